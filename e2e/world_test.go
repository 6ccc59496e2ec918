// Package e2e runs the built programs as a merchant would, and pays at them as buyers do: with unmodified x402 clients
// and in a browser.
package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// How long things may take on a small machine with other work beside them.
const (
	readyTimeout = 90 * time.Second
	stopTimeout  = 30 * time.Second
	auditTimeout = 60 * time.Second
)

// TestMain ends what the tests share: a world, a browser, the folder of the binaries.
func TestMain(m *testing.M) {
	code := m.Run()
	if err := endShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

var (
	endings   []func() error
	endingsMu sync.Mutex
)

// atEnd runs end after all tests, the last one first.
func atEnd(end func() error) {
	endingsMu.Lock()
	defer endingsMu.Unlock()
	endings = append(endings, end)
}

func endShared() error {
	var errs []error
	for _, end := range slices.Backward(endings) {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}

// binaries builds both programs, once for each run of the tests, and returns their folder.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "xsynesis-bin")
	if err != nil {
		return "", err
	}
	atEnd(func() error { return os.RemoveAll(dir) })
	build := exec.Command("go", "build", "-p", "2", "-o", dir+"/", "./cmd/xsynesis", "./cmd/xsynesis-dev")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return dir, nil
})

// binary is the path of one of the programs.
func binary(name string) (string, error) {
	dir, err := binaries()
	return filepath.Join(dir, name), err
}

// devFile is what dev.json says of a world.
type devFile struct {
	BaseURL      string `json:"base_url"`
	RPCURL       string `json:"rpc_url"`
	ChainID      int64  `json:"chain_id"`
	Network      string `json:"network"`
	USDC         string `json:"usdc"`
	DatabaseURL  string `json:"database_url"`
	SellerID     string `json:"seller_id"`
	APIKey       string `json:"api_key"`
	OwnerAddress string `json:"owner_address"`
	OwnerKey     string `json:"owner_key"`
	BuyerAddress string `json:"buyer_address"`
	BuyerKey     string `json:"buyer_key"`
	RelayerKey   string `json:"relayer_key"`
	LinkToken    string `json:"link_token"`
	EndpointID   string `json:"endpoint_id"`
	EndpointURL  string `json:"endpoint_url"`
}

// world is a running shop with its own database and chain, as `make run` starts one.
type world struct {
	devFile
	Dir     string   // DATA_DIR
	Env     []string // of the programs that belong to it
	PayURL  string   // the demo link, as it was printed
	process *child
}

// startWorld starts a world of the test's own. When the test ends its books must be clean.
func startWorld(t testing.TB, env ...string) *world {
	t.Helper()
	w := startUnauditedWorld(t, env...)
	w.auditedAtEnd(t)
	return w
}

func (w *world) auditedAtEnd(t testing.TB) {
	t.Helper()
	t.Cleanup(func() {
		if w.process.running() {
			require.NoError(t, w.audit())
		}
	})
}

// closedAtEnd closes a world with its test, and shows what it wrote where the test failed.
func (w *world) closedAtEnd(t testing.TB) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the world's log:\n%s", w.process.log())
		}
		require.NoError(t, w.close())
	})
}

// startUnauditedWorld is for tests that put something into the database by hand, or that audit themselves.
func startUnauditedWorld(t testing.TB, env ...string) *world {
	t.Helper()
	w, err := openWorld(env...)
	if w != nil {
		w.closedAtEnd(t)
	}
	require.NoError(t, err)
	return w
}

var shared struct {
	once sync.Once
	w    *world
	err  error
}

// sharedWorld is for tests that add links and purchases of their own and disturb nobody's. It is audited at the end.
func sharedWorld(t testing.TB) *world {
	t.Helper()
	shared.once.Do(func() {
		w, err := openWorld()
		shared.w, shared.err = w, err
		if w != nil {
			atEnd(func() error {
				if shared.err != nil {
					return w.close()
				}
				return errors.Join(w.audit(), w.close())
			})
		}
	})
	require.NoError(t, shared.err)
	return shared.w
}

// openWorld makes the folder and starts the programs; what is not nil has to be closed, whatever the error.
func openWorld(env ...string) (*world, error) {
	w, err := newWorld(env...)
	if err != nil {
		return w, err
	}
	return w, w.start()
}

// newWorld is a world whose programs have not been started.
func newWorld(env ...string) (*world, error) {
	dir, err := os.MkdirTemp("", "xs")
	if err != nil {
		return nil, err
	}
	w := &world{Dir: dir, process: &child{}}
	// Started by root, the database runs as another user, who must be able to get in.
	if err := os.Chmod(dir, 0o755); err != nil {
		return w, err
	}
	site, chain := freePort(), freePort()
	w.Env = append(cleanEnv(), "XSYNESIS_ENV=development", "DATA_DIR="+dir,
		fmt.Sprintf("PORT=%d", site), fmt.Sprintf("DEV_RPC_PORT=%d", chain))
	w.Env = append(w.Env, env...)
	return w, nil
}

// start starts `xsynesis-dev run`, as often as a test likes, and waits until it can be paid at.
func (w *world) start() error {
	process, err := startChild(w.Env, w.Dir, "xsynesis-dev", "run")
	if err != nil {
		return err
	}
	w.process = process
	if _, err := process.await("ready ", readyTimeout); err != nil {
		return err
	}
	pay, err := process.await("pay ", readyTimeout)
	if err != nil {
		return err
	}
	w.PayURL = strings.TrimSpace(pay)
	return w.readDevFile()
}

func (w *world) readDevFile() error {
	text, err := os.ReadFile(filepath.Join(w.Dir, "dev.json"))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, &w.devFile)
}

// stop asks the world to stop, and waits until it has.
func (w *world) stop() error { return w.process.stop() }

func (w *world) close() error {
	err := w.stop()
	return errors.Join(err, os.RemoveAll(w.Dir))
}

// audit runs `xsynesis audit` on the running world. Its error says what is broken.
func (w *world) audit() error {
	out, err := w.run("xsynesis", "audit")
	if err != nil {
		return fmt.Errorf("xsynesis audit: %w\n%s", err, out)
	}
	return nil
}

// run runs one of the programs to its end, with the world's environment, and returns all it printed.
func (w *world) run(name string, args ...string) (string, error) {
	path, err := binary(name)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), auditTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Dir = w.Env, w.Dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// pool is the world's database, for a look; what it shows may be written only where nobody audits.
func (w *world) pool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), w.DatabaseURL)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// cleanEnv is what a program needs of our own environment. Nothing in it configures a shop.
func cleanEnv() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "USER", "TMPDIR", "LANG", "PGBIN", "XDG_CACHE_HOME", "GOCOVERDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// lastPort is the last one that was given away. They are below those that the system gives to connections: a shop that is started
// again finds its port free.
var lastPort atomic.Int32

func init() { lastPort.Store(20_000 + int32(os.Getpid()%5_000)) }

// freePort is a port that nobody listens on, and that no other test of this run was given.
func freePort() int {
	for {
		port := int(lastPort.Add(1))
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err == nil {
			_ = l.Close()
			return port
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			panic(err) // no port left on this machine
		}
	}
}
