package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// logLines is how much of a program's log a failed test shows.
const logLines = 60

// child is a running program.
type child struct {
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of the exit; set when exited is closed

	mu     sync.Mutex
	lines  []string // of stdout, all
	stderr []string // the last ones
	news   chan struct{}
}

// startChild starts one of the built programs in dir.
func startChild(env []string, dir, name string, args ...string) (*child, error) {
	path, err := binary(name)
	if err != nil {
		return nil, err
	}
	return startProgram(env, dir, path, args...)
}

// startProgram is [startChild] for a program by its path.
func startProgram(env []string, dir, path string, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(path, args...), exited: make(chan struct{}), news: make(chan struct{}, 1)}
	c.cmd.Env, c.cmd.Dir, c.cmd.SysProcAttr = env, dir, dieWithParent()
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	var reading sync.WaitGroup
	reading.Go(func() { c.read(stdout, func(line string) { c.lines = append(c.lines, line) }) })
	reading.Go(func() { c.read(stderr, c.keep) })
	go func() {
		reading.Wait()
		c.err = c.cmd.Wait()
		close(c.exited)
	}()
	return c, nil
}

func (c *child) read(from io.Reader, add func(string)) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		c.mu.Lock()
		add(lines.Text())
		c.mu.Unlock()
		select {
		case c.news <- struct{}{}:
		default:
		}
	}
	_, _ = io.Copy(io.Discard, from) // after a line too long
}

func (c *child) keep(line string) {
	c.stderr = append(c.stderr, line)
	if extra := len(c.stderr) - logLines; extra > 0 {
		c.stderr = c.stderr[extra:]
	}
}

// await waits for a line of stdout that begins so, and returns the rest of it.
func (c *child) await(prefix string, patience time.Duration) (string, error) {
	deadline := time.After(patience)
	for {
		if rest, ok := c.printed(prefix); ok {
			return rest, nil
		}
		select {
		case <-c.news:
		case <-c.exited:
			if rest, ok := c.printed(prefix); ok {
				return rest, nil
			}
			return "", fmt.Errorf("%s ended without printing %q: %v\n%s", c.cmd.Path, prefix, c.err, c.log()) //nolint:errorlint // one sentence
		case <-deadline:
			return "", fmt.Errorf("%s has not printed %q in %s\n%s", c.cmd.Path, prefix, patience, c.log())
		}
	}
}

func (c *child) printed(prefix string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range c.lines {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			return rest, true
		}
	}
	return "", false
}

// log is the end of what the program wrote to stderr.
func (c *child) log() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.stderr, "\n")
}

func (c *child) running() bool {
	if c.cmd == nil {
		return false
	}
	select {
	case <-c.exited:
		return false
	default:
		return true
	}
}

// stop asks the program to end, as Ctrl-C does, and waits until it has. A program that needs a kill is an error.
func (c *child) stop() error {
	if !c.running() {
		return nil
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended this moment
	select {
	case <-c.exited:
		if c.err != nil {
			return fmt.Errorf("%s did not stop well: %w\n%s", c.cmd.Path, c.err, c.log())
		}
		return nil
	case <-time.After(stopTimeout):
		c.kill()
		return fmt.Errorf("%s did not stop in %s\n%s", c.cmd.Path, stopTimeout, c.log())
	}
}

// kill ends the program without giving it a chance to do anything.
func (c *child) kill() {
	if c.running() {
		_ = c.cmd.Process.Signal(os.Kill)
		<-c.exited
	}
}
