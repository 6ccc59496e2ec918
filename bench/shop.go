package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/jackc/pgx/v5"

	"xsynesis/bench/buyer"
	"xsynesis/postgres"
)

const (
	readyTimeout = 90 * time.Second
	stopTimeout  = 30 * time.Second
)

// openedShop is a shop of its own, for one run: a database that writes to the disk, a chain, a web process and a worker.
type openedShop struct {
	bin, dir string
	env      []string
	cluster  *postgres.Cluster
	running  []*exec.Cmd
	web      *exec.Cmd // among them, the process that answers
	working  bool

	site    string // the web process's address
	master  string // MASTER_KEY, in base64
	Link    string `json:"link_token"`
	RPC     string `json:"rpc_url"`
	Buyer   string `json:"buyer_key"`
	Key     string `json:"api_key"`
	Relayer string `json:"relayer_key"`
}

// openShop starts all but the worker, which must not relay while somebody else uses its key.
func openShop(ctx context.Context, bin string) (*openedShop, error) {
	s := &openedShop{bin: bin}
	var err error
	if s.dir, err = os.MkdirTemp("", "xsynesis-bench-"); err != nil {
		return s, err
	}
	if err := os.Chmod(s.dir, 0o755); err != nil { //nolint:gosec // started by root, the database runs as another user
		return s, err
	}
	if s.cluster, err = postgres.Start(ctx, postgres.Options{Dir: s.dir}); err != nil {
		return s, err
	}
	site, chain := freePort(), freePort()
	s.site = fmt.Sprintf("http://localhost:%d", site)
	s.master = masterKey()
	s.env = append(os.Environ(), "XSYNESIS_ENV=development", "ALLOW_PRIVATE_TARGETS=true", "MASTER_KEY="+s.master, "DATA_DIR="+s.dir, "DATABASE_URL="+s.cluster.URL(),
		fmt.Sprintf("PORT=%d", site), "PUBLIC_URL="+s.site, fmt.Sprintf("DEV_RPC_PORT=%d", chain), "LOG_LEVEL=error")
	if err := s.run(ctx, "xsynesis", "migrate"); err != nil {
		return s, err
	}
	if err := s.start("xsynesis-dev", nil, "chain"); err != nil {
		return s, err
	}
	if err := await(ctx, func() bool { return listens(ctx, chain) }); err != nil {
		return s, fmt.Errorf("start the chain: %w", err)
	}
	if err := s.run(ctx, "xsynesis-dev", "seed"); err != nil {
		return s, err
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "dev.json"))
	if err != nil {
		return s, err
	}
	err = errors.Join(json.Unmarshal(text, s), s.start("xsynesis", nil, "serve"))
	s.web = s.running[len(s.running)-1]
	return s, err
}

// work starts the worker and waits until payments are taken.
func (s *openedShop) work(ctx context.Context) error {
	if s.working {
		return nil
	}
	s.working = true
	if err := s.start("xsynesis", []string{"RELAYER_KEY=" + s.Relayer}, "worker"); err != nil {
		return err
	}
	// Before a worker has looked at its gas money, no payment is asked for.
	return await(ctx, func() bool { return answers(ctx, s.linkURL()) })
}

// analyze does what the database does by itself once a minute.
func (s *openedShop) analyze(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.cluster.URL())
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "ANALYZE")
	return errors.Join(err, conn.Close(ctx))
}

func (s *openedShop) linkURL() string { return s.site + "/link/" + s.Link }

func (s *openedShop) buyer(connections int) (*buyer.Buyer, error) {
	key, err := readKey(s.Buyer)
	if err != nil {
		return nil, err
	}
	return buyer.New(key, connections), nil
}

func readKey(hex string) (*ecdsa.PrivateKey, error) {
	return crypto.HexToECDSA(strings.TrimPrefix(hex, "0x"))
}

// audit fails if the books do not agree with the chain. Payments that were measured are payments.
func (s *openedShop) audit(ctx context.Context) error { return s.run(ctx, "xsynesis", "audit") }

func (s *openedShop) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	cmd.Env, cmd.Dir = s.env, s.dir
	return cmd
}

func (s *openedShop) run(ctx context.Context, name string, args ...string) error {
	out, err := s.command(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, args[0], err, out)
	}
	return nil
}

func (s *openedShop) start(name string, env []string, args ...string) error {
	cmd := s.command(context.Background(), name, args...)
	cmd.Env = append(slices.Clone(cmd.Env), env...)
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the process has its own descriptor
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s %s: %w", name, args[0], err)
	}
	s.running = append(s.running, cmd)
	return nil
}

// log is where all processes write what they have to say.
func (s *openedShop) log() string { return filepath.Join(s.dir, "log") }

// explain adds the end of the log to an error.
func (s *openedShop) explain(err error) error {
	text, _ := os.ReadFile(s.log()) // there may be none
	if err == nil || len(text) == 0 {
		return err
	}
	return fmt.Errorf("%w\n%s", err, text[max(0, len(text)-4000):])
}

// close stops what was started, the last first.
func (s *openedShop) close() {
	for _, cmd := range slices.Backward(s.running) {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		late := time.AfterFunc(stopTimeout, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // nothing that it says now matters
		late.Stop()
	}
	if s.cluster != nil {
		_ = s.cluster.Stop() // its folder goes anyway
	}
	_ = os.RemoveAll(s.dir)
}

var errNotReady = errors.New("bench: not ready in time")

func await(ctx context.Context, ready func() bool) error {
	deadline := time.Now().Add(readyTimeout)
	for !ready() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return errNotReady
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

func answers(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	return err == nil && response.Body.Close() == nil && (response.StatusCode == http.StatusOK || response.StatusCode == http.StatusPaymentRequired)
}

func listens(ctx context.Context, port int) bool {
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	return err == nil && c.Close() == nil
}

func masterKey() string {
	var key [32]byte
	_, _ = rand.Read(key[:])
	return base64.StdEncoding.EncodeToString(key[:])
}

func freePort() int {
	l, err := net.Listen("tcp", ":0") //nolint:gosec,noctx // closed at once
	if err != nil {
		panic(err) // no port left on this machine
	}
	defer l.Close() //nolint:errcheck // nothing was sent
	return l.Addr().(*net.TCPAddr).Port
}
