package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/id"
	"xsynesis/webhook"
)

// How long one block of a document may take: the slowest builds both programs and starts a shop, on a busy machine.
const (
	blockTimeout = 2 * time.Minute
	serveTimeout = 10 * time.Minute
)

// TestShellOfTheDocuments runs each page from its first block to its last, as somebody would who copies all of them
// while a shop is running.
func TestShellOfTheDocuments(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "DEV_SETTLE_ENABLED=true")
	t.Run("page", func(t *testing.T) { // ends before the world does
		for _, page := range shellPages(t, false) {
			t.Run(page[0].page, func(t *testing.T) {
				t.Parallel()
				s := &shell{dir: scratch(t)}
				s.visit(t, w)
				for _, b := range page {
					s.do(t, b)
				}
			})
		}
	})
}

// TestShellOfTheDocumentsThatStartsAShop does the same with pages that begin with nothing but the source.
func TestShellOfTheDocumentsThatStartsAShop(t *testing.T) {
	t.Parallel()
	s := &shell{dir: scratch(t)}
	s.clone(t)
	for _, page := range shellPages(t, true) {
		t.Run(page[0].page, func(t *testing.T) {
			require.NoError(t, os.RemoveAll(filepath.Join(s.dir, ".data")))
			require.NoError(t, os.RemoveAll(filepath.Join(s.dir, kept)))
			for _, b := range page {
				s.do(t, b)
			}
		})
	}
}

// shellPages are the blocks of each page that are run, by whether one of them starts a shop.
func shellPages(t *testing.T, serving bool) (pages [][]block) {
	t.Helper()
	for _, d := range documents(t) {
		var blocks []block
		serves := false
		for _, b := range d.blocks {
			if b.language == "sh" && !b.skipped() {
				blocks = append(blocks, b)
				serves = serves || b.how == "serves"
			}
		}
		if len(blocks) > 0 && serves == serving {
			pages = append(pages, blocks)
		}
	}
	require.NotEmpty(t, pages)
	return pages
}

// shell runs the blocks of one page: each in a process of its own, which finds the variables and functions of the last one.
type shell struct {
	dir string
	env []string
	url string // where what a block serves answers
}

// kept is where a block's variables wait for the next one.
const kept = ".env.docs"

// scratch is an empty folder that a database's own user may enter.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "xsdocs") //nolint:usetesting // the test's own folder is closed to that user
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// visit gives a page a running shop.
func (s *shell) visit(t *testing.T, w *world) {
	t.Helper()
	top, err := filepath.Abs("..")
	require.NoError(t, err)
	programs, err := binaries()
	require.NoError(t, err)
	hooks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(hooks.Close)
	s.env = append(slices.Clone(w.Env), "BASE_URL="+w.BaseURL, "API_KEY="+w.APIKey, "HOOK_URL="+hooks.URL+"/hooks", "XSYNESIS="+top)
	for i, v := range s.env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			s.env[i] = "PATH=" + programs + ":" + path
		}
	}
}

// clone gives a page that starts a shop of its own a copy of everything, and ports that nobody else has.
func (s *shell) clone(t *testing.T) {
	t.Helper()
	require.NoError(t, filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(s.dir, strings.TrimPrefix(path, ".."))
		switch {
		case e.IsDir() && (e.Name() == ".git" || path == "../.data" || path == "../bin"):
			return filepath.SkipDir
		case e.IsDir():
			return os.MkdirAll(to, 0o755)
		case !e.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(to, text, info.Mode().Perm())
	}))
	port := freePort()
	s.url = fmt.Sprintf("http://localhost:%d", port)
	s.env = append(cleanEnv(), fmt.Sprintf("PORT=%d", port), fmt.Sprintf("DEV_RPC_PORT=%d", freePort()))
}

// do runs one block.
func (s *shell) do(t *testing.T, b block) {
	t.Helper()
	switch b.how {
	case "serves":
		s.serve(t, b)
	case "until stopped":
		s.untilStopped(t, b)
	default:
		p := s.start(t, b, true)
		require.NoError(t, p.wait(blockTimeout), "%s:\n%s\n%s", b, b.text, p.output())
	}
}

// serve starts what runs for as long as the page lasts.
func (s *shell) serve(t *testing.T, b block) {
	t.Helper()
	p := s.start(t, b, false)
	t.Cleanup(func() {
		p.signal(syscall.SIGTERM)
		if err := p.wait(stopTimeout); errors.Is(err, errTooLong) {
			t.Errorf("%s does not end: %s", b, p.output())
		}
	})
	deadline := time.Now().Add(serveTimeout)
	for !answers(t.Context(), s.url+"/readyz") {
		require.True(t, p.running(), "%s ended:\n%s", b, p.output())
		require.True(t, time.Now().Before(deadline), "%s does not answer:\n%s", b, p.output())
		time.Sleep(100 * time.Millisecond)
	}
}

// untilStopped starts what somebody interrupts once he has seen enough.
func (s *shell) untilStopped(t *testing.T, b block) {
	t.Helper()
	p := s.start(t, b, true)
	deadline := time.Now().Add(blockTimeout)
	for p.output() == "" {
		require.True(t, p.running() && time.Now().Before(deadline), "%s printed nothing", b)
		time.Sleep(50 * time.Millisecond)
	}
	p.signal(syscall.SIGINT)
	require.NoError(t, p.wait(stopTimeout), "%s:\n%s", b, p.output())
}

// started is a block under way, with everything that it starts.
type started struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error

	mu  sync.Mutex
	out bytes.Buffer
}

// start starts a block; its variables and functions are kept for the next one if it is going to end by itself.
func (s *shell) start(t *testing.T, b block, keep bool) *started {
	t.Helper()
	script := "set -aeuo pipefail\n[ ! -e " + kept + " ] || . ./" + kept + "\n" + b.text
	if keep {
		script += "{ export -p; declare -f; } > " + kept + "\n"
	}
	p := &started{cmd: exec.Command("bash", "-c", script), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = s.dir, s.env
	p.cmd.SysProcAttr = dieWithParent()
	p.cmd.SysProcAttr.Setpgid = true
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.WaitDelay = stopTimeout
	require.NoError(t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p
}

// Write keeps what the block prints.
func (p *started) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *started) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func (p *started) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// signal reaches the block and all that it started, and nothing else.
func (p *started) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

var errTooLong = errors.New("took too long, and was killed")

// wait waits for the block's end, and makes it come.
func (p *started) wait(patience time.Duration) error {
	select {
	case <-p.ended:
		return p.err
	case <-time.After(patience):
		p.signal(syscall.SIGKILL)
		<-p.ended
		return errTooLong
	}
}

// TestReceiversOfTheDocuments sends webhooks to the code that shops are told to check them with.
func TestReceiversOfTheDocuments(t *testing.T) {
	t.Parallel()
	found := 0
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if b.how != "receiver" {
				continue
			}
			found++
			if _, err := exec.LookPath("python3"); err != nil && b.language == "python" {
				report(t, "%s is not run: there is no python3 here", b)
				continue
			}
			t.Run(fmt.Sprintf("%s in %s", b, b.language), func(t *testing.T) {
				t.Parallel()
				requireReceives(t, b)
			})
		}
	}
	require.GreaterOrEqual(t, found, 3)
}

func requireReceives(t *testing.T, b block) {
	t.Helper()
	secret, other := webhook.NewSecret(), webhook.NewSecret()
	url := startReceiver(t, b, secret)
	now, event := time.Now(), id.New[id.Event](time.Now())
	body := []byte(`{"id":"` + string(event) + `","event_type":"payment.completed","payload":{"reference":"Ærø & <söhne>"}}`)
	send := func(secrets webhook.Secrets, sent []byte) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/hooks", bytes.NewReader(sent))
		require.NoError(t, err)
		request.Header = webhook.Headers(secrets, event, webhook.PaymentCompleted, body, now, 1)
		answer, err := plainClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer.StatusCode
	}
	require.Equal(t, http.StatusNoContent, send(webhook.Secrets{Current: secret}, body))
	require.Equal(t, http.StatusNoContent, send(webhook.Secrets{Current: secret, Next: other}, body), "a rotation that it has not followed")
	require.Equal(t, http.StatusNoContent, send(webhook.Secrets{Current: other, Next: secret}, body), "a rotation that it has followed")
	require.Equal(t, http.StatusUnauthorized, send(webhook.Secrets{Current: other}, body))
	require.Equal(t, http.StatusUnauthorized, send(webhook.Secrets{Current: secret}, bytes.Replace(body, []byte("completed"), []byte("Completed"), 1)))
	require.Equal(t, http.StatusNoContent, send(webhook.Secrets{Current: secret}, body), "it still answers")
}

// startReceiver starts a receiver as its readers would, and returns where it listens.
func startReceiver(t *testing.T, b block, secret string) string {
	t.Helper()
	dir, port := t.TempDir(), freePort()
	var cmd *exec.Cmd
	switch b.language {
	case "js":
		require.NoError(t, os.Symlink(filepath.Join(npmFolder(t, "receiver"), "node_modules"), filepath.Join(dir, "node_modules")))
		cmd = exec.Command("node", writeBlock(t, dir, "receiver.mjs", b))
	case "go":
		program := filepath.Join(dir, "receiver")
		build := exec.CommandContext(t.Context(), "go", "build", "-o", program, writeBlock(t, dir, "receiver.go", b))
		out, err := build.CombinedOutput()
		require.NoError(t, err, string(out))
		cmd = exec.Command(program)
	case "python":
		cmd = exec.Command("python3", writeBlock(t, dir, "receiver.py", b))
	}
	cmd.Dir, cmd.SysProcAttr = dir, dieWithParent()
	cmd.Env = append(cleanEnv(), fmt.Sprintf("PORT=%d", port), "WEBHOOK_SECRET="+secret)
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(printed.String())
		}
	})
	address := fmt.Sprintf("localhost:%d", port)
	require.Eventually(t, func() bool {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return false
		}
		return c.Close() == nil
	}, readyTimeout, 50*time.Millisecond, b.String())
	return "http://" + address
}

func writeBlock(t *testing.T, dir, name string, b block) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte(b.text), 0o600))
	return path
}

// TestGoOfTheDocuments compiles the rest of the documents' Go, and runs programs that say what they print.
func TestGoOfTheDocuments(t *testing.T) {
	t.Parallel()
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if b.language != "go" || b.how != "" {
				continue
			}
			program := filepath.Join(t.TempDir(), "block")
			out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, writeBlock(t, t.TempDir(), "block.go", b)).CombinedOutput()
			require.NoError(t, err, "%s:\n%s", b, out)
			_, want, runs := strings.Cut(b.text, "// Output:")
			if !runs {
				continue
			}
			out, err = exec.CommandContext(t.Context(), program).CombinedOutput()
			require.NoError(t, err, "%s:\n%s", b, out)
			require.Equal(t, strings.Fields(strings.ReplaceAll(want, "//", " ")), strings.Fields(string(out)), b.String())
		}
	}
}

// TestServersOfTheDocumentsFindTheirFacilitator asks the gateway with the code that other servers are told to use.
func TestServersOfTheDocumentsFindTheirFacilitator(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(npmFolder(t, "v2"), "node_modules"), filepath.Join(dir, "node_modules")))
	ctx, cancel := context.WithTimeout(t.Context(), blockTimeout)
	defer cancel()
	node := exec.CommandContext(ctx, "node", writeBlock(t, dir, "facilitator.mjs", blockOf(t, "js", "facilitator")))
	node.Dir, node.Env = dir, append(cleanEnv(), "PUBLIC_URL="+sharedWorld(t).BaseURL)
	out, err := node.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "network: 'eip155:84532'")
}

// TestPayersOfTheDocuments pays a link with the code that buyers' programs are told to use.
func TestPayersOfTheDocuments(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if b.language != "js" || b.how != "pays" {
				continue
			}
			dir := t.TempDir()
			require.NoError(t, os.Symlink(filepath.Join(npmFolder(t, "v2"), "node_modules"), filepath.Join(dir, "node_modules")))
			ctx, cancel := context.WithTimeout(t.Context(), blockTimeout)
			defer cancel()
			node := exec.CommandContext(ctx, "node", writeBlock(t, dir, "pay.mjs", b))
			node.Dir, node.Env = dir, append(cleanEnv(), "BUYER_KEY="+w.BuyerKey, "LINK="+w.newLink(t, "Paid from a document", "0.05").URL)
			out, err := node.CombinedOutput()
			require.NoError(t, err, "%s:\n%s", b, out)
			require.Contains(t, string(out), "200 {", b.String())
			require.Contains(t, string(out), "status: 'settled'", b.String())
		}
	}
}
