package e2e

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"xsynesis/cmd/config"
	"xsynesis/cmd/wire"
	"xsynesis/evm/devchain"
	"xsynesis/fault"
	"xsynesis/money"
)

// The built programs cannot be told where to die. So this test binary, started again with one of these set, is the
// shop or its chain.
const (
	crashRole  = "CRASH_TEST_ROLE"  // shop or chain
	crashStep  = "CRASH_TEST_STEP"  // of fault.Steps, for a shop
	crashNth   = "CRASH_TEST_NTH"   // which time it meets that step, if not the first
	crashAlloc = "CRASH_TEST_ALLOC" // the addresses of relayer, buyer and payee, for a chain
)

// What a shop that dies needs to be back soon.
var crashTiming = wire.Timing{Lease: 2 * time.Second, Sweep: time.Second}

// It runs before the tests' own start, which a child has no use for.
func init() {
	var run func(context.Context) error
	switch os.Getenv(crashRole) {
	case "shop":
		run = crashShop
	case "chain":
		run = crashChain
	default:
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // our end of the pipe closes when the test is gone, however it went
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		slog.Error("child ends", "error", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// crashShop serves and works in one process, which dies at the first moment that it was told.
func crashShop(ctx context.Context) error {
	c, err := config.Load(config.Development)
	if err != nil {
		return err
	}
	c.Role = config.All
	if step := os.Getenv(crashStep); step != "" {
		nth, err := strconv.ParseInt(cmp.Or(os.Getenv(crashNth), "1"), 10, 64)
		if err != nil {
			return err
		}
		fault.ArmNth(fault.Step(step), nth)
	}
	return wire.ServeWith(ctx, c, crashTiming, wire.Extra{})
}

func crashChain(ctx context.Context) error {
	port, err := strconv.Atoi(os.Getenv("DEV_RPC_PORT"))
	if err != nil {
		return err
	}
	accounts := strings.Split(os.Getenv(crashAlloc), " ")
	chain, err := devchain.Start(ctx, devchain.Options{
		Port: port, Alloc: crashAccounts(common.HexToAddress(accounts[0]), common.HexToAddress(accounts[1]), common.HexToAddress(accounts[2])),
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return chain.Stop()
}

// crashAccounts is what those have in the first block who take part.
func crashAccounts(relayer, buyer, payee common.Address) map[common.Address]devchain.Account {
	ether := new(big.Int).Mul(big.NewInt(100), big.NewInt(1e18))
	return map[common.Address]devchain.Account{relayer: {ETH: ether}, buyer: {ETH: ether, USDC: 1_000 * money.One}, payee: {ETH: ether}}
}

// life is one run of this binary as a child.
type life struct {
	cmd  *exec.Cmd
	pipe io.Closer // what it holds on to
	over chan struct{}
}

// live starts a child; what it writes goes to the end of the file log. It ends with the test.
func live(t testing.TB, log string, env ...string) *life {
	t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	l := &life{cmd: exec.Command(os.Args[0]), over: make(chan struct{})}
	l.cmd.Env, l.cmd.Stdout, l.cmd.Stderr = env, out, out
	l.pipe, err = l.cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, l.cmd.Start())
	go func() {
		_ = l.cmd.Wait() // its exit is looked at by whoever waits
		_ = out.Close()
		close(l.over)
	}()
	t.Cleanup(l.kill)
	return l
}

// kill does what a power cut does.
func (l *life) kill() {
	_ = l.cmd.Process.Kill() // it may be over
	<-l.over
}

// end lets it finish what it does, and hand over what others wait for.
func (l *life) end() {
	_ = l.pipe.Close() // it may be over
	<-l.over
}

// killed reports whether SIGKILL ended it, and not an error of its own.
func (l *life) killed() bool {
	status, ok := l.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
