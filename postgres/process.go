package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const biggestLog = 10 << 20

// child is a server that this process started.
type child struct {
	process *os.Process
	ended   chan struct{}
}

// spawn starts the server in its own process group: Ctrl-C in a terminal must reach us first, so that we can finish
// our transactions before the database goes.
func (p place) spawn(bin binaries, ephemeral bool) (*child, error) {
	log, err := p.openLog()
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // the child has its own descriptor
	args := append([]string{"-D", p.data()}, p.settings(ephemeral)...)
	cmd := exec.Command(filepath.Join(bin.dir, "postgres"), args...) //nolint:noctx // outlives the start's context
	cmd.Dir, cmd.Env = p.dir, environment()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as, Setpgid: true}
	dieWithParent(cmd.SysProcAttr)

	c := &child{ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel's parent is the thread, not the process: this one must live as long as the server.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // its log says why
			close(c.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	c.process = cmd.Process
	return c, nil
}

// stop asks for a fast shutdown (no waiting for clients, no recovery at the next start), then for an immediate one.
func (c *child) stop() error {
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		if err := c.process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop postgres: %w", err)
		}
		select {
		case <-c.ended:
			return nil
		case <-time.After(stopTimeout):
		}
	}
	return errors.New("stop postgres: it does not end")
}

// evict waits until no server of an earlier starter is left. We hold the lock, so whatever still works in the data
// folder belongs to a starter that was killed, and is shutting down. What such a server leaves behind is removed:
// its pid may by now be another program's, which PostgreSQL would take for a running server.
func (p place) evict(ctx context.Context) error {
	pidFile := filepath.Join(p.data(), "postmaster.pid")
	asked := false
	for len(p.inhabitants()) > 0 {
		if pid, err := readPid(pidFile); err == nil && !asked && p.inhabits(pid) {
			asked = syscall.Kill(pid, syscall.SIGINT) == nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("wait for an earlier server in %s to end: %w", p.dir, err)
		}
	}
	if runtime.GOOS != "linux" {
		return nil // inhabitants cannot be seen; PostgreSQL judges the file by itself
	}
	return errors.Join(os.RemoveAll(pidFile), os.RemoveAll(filepath.Join(p.socket, ".s.PGSQL."+port+".lock")))
}

// inhabitants are the processes that work in the data folder, which is every server's working directory.
func (p place) inhabitants() []int {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd") // the pattern is well-formed
	var pids []int
	for _, link := range links {
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil && p.inhabits(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (p place) inhabits(pid int) bool {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return err == nil && cwd == p.data()
}

func readPid(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(strings.TrimSpace(first))
}

func (p place) openLog() (*os.File, error) {
	if info, err := os.Stat(p.log()); err == nil && info.Size() > biggestLog {
		if err := os.Rename(p.log(), p.log()+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(p.log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}
