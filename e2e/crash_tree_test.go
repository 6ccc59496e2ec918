package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/bench/buyer"
	"xsynesis/x402"
)

// kills is 1 in `make test` and more in `make soak`.
var kills = flag.Int("kills", 1, "how often TestKilledTree kills the whole shop")

const (
	treeBuyers = 8
	treeRest   = 4 * time.Minute // leases of killed workers end within
)

// tree is a shop as `make run` starts it, killed and started again in the same folder.
type tree struct {
	*world
	buyer *buyer.Buyer
	want  x402.Requirement
	link  string // what is bought, the same after every start

	buyers    errgroup.Group
	paid      chan struct{} // has an element when a payment was answered
	purchases sync.Map      // those that were answered
}

// TestKilledTree kills everything that `make run` started, database and chain with it, in the second in which a payment
// turns paid, and starts it again. The books are clean as soon as the shop is ready, and in the end every buyer has
// what he paid for, once.
func TestKilledTree(t *testing.T) {
	t.Parallel()
	w, err := newWorld()
	require.NoError(t, err)
	tr := &tree{world: w, paid: make(chan struct{}, 1)}
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(w.Dir)) })
	t.Cleanup(tr.killAll)
	tr.makeRun(t)
	before := w.count(t)
	key, err := crypto.HexToECDSA(strings.TrimPrefix(w.BuyerKey, "0x"))
	require.NoError(t, err)
	tr.buyer, tr.link = buyer.New(key, treeBuyers), w.PayURL
	tr.want, err = tr.buyer.Ask(t.Context(), w.PayURL)
	require.NoError(t, err)

	for round := 1; round <= *kills; round++ {
		tr.round(t, round)
	}
	all := make(chan error, 1)
	go func() { all <- tr.buyers.Wait() }()
	select {
	case err := <-all:
		require.NoError(t, err)
	case <-time.After(treeRest):
		require.Fail(t, "payments are left unanswered")
	}
	answered := 0
	tr.purchases.Range(func(any, any) bool { answered++; return true })
	after := w.count(t)
	require.Equal(t, answered, after.Transfers-before.Transfers, "transfers for the purchases that were answered")
	require.Equal(t, int64(answered)*int64(tr.want.Amount), after.balance(t)-before.balance(t))
	var sales int
	require.NoError(t, w.pool(t).QueryRow(t.Context(), `SELECT count(DISTINCT attempt_id) FROM sales`).Scan(&sales))
	require.Equal(t, answered, sales)
	require.NoError(t, w.audit())
	report(t, "killed %d times: %d payments, as many transfers and sales; audit clean", *kills, answered)
	require.NoError(t, tr.stopAll())
}

// round lets buyers in, kills the tree in the second in which one of them was answered, and starts it again. Those
// whose payment is under way wait for their answer, through the next kills.
func (tr *tree) round(t *testing.T, round int) {
	t.Helper()
	closed := make(chan struct{})
	for range treeBuyers {
		tr.buyers.Go(func() error { return tr.shop(t.Context(), closed) })
	}
	select {
	case <-tr.paid:
	case <-time.After(treeRest):
		require.Fail(t, "nobody is paid any more")
	}
	delay := rand.N(time.Second)
	time.Sleep(delay)
	began := time.Now()
	tr.killAll()
	close(closed)
	select {
	case <-tr.paid: // before the kill
	default:
	}
	tr.makeRun(t)
	ready := time.Since(began)
	require.NoError(t, tr.audit(), "round %d", round)
	report(t, "round %2d: killed %4d ms after a payment turned paid; ready after %.1f s; audit clean", round, delay.Milliseconds(), ready.Seconds())
}

// shop pays one purchase after the other until it is closed; what was begun is paid to its end.
func (tr *tree) shop(ctx context.Context, closed <-chan struct{}) error {
	for {
		answer, err := payOnce(ctx, tr.buyer, tr.want, tr.link)
		if err != nil {
			return err
		}
		if _, again := tr.purchases.LoadOrStore(answer.Purchase, true); again {
			return fmt.Errorf("two payments were answered with %s", answer.Purchase)
		}
		select {
		case tr.paid <- struct{}{}:
		default:
		}
		select {
		case <-closed:
			return nil
		default:
		}
	}
}

// makeRun runs `make run` until it says that it is ready.
func (tr *tree) makeRun(t *testing.T) {
	t.Helper()
	env := slices.Clone(tr.Env)
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "GO") { // it builds
			env = append(env, v)
		}
	}
	c, err := startProgram(env, "..", "make", "run")
	require.NoError(t, err)
	tr.process = c
	_, err = c.await("ready ", readyTimeout)
	require.NoError(t, err)
	pay, err := c.await("pay ", readyTimeout)
	require.NoError(t, err)
	tr.PayURL = strings.TrimSpace(pay)
	require.NoError(t, tr.readDevFile())
}

// killAll ends the whole tree at once, as a power cut would.
func (tr *tree) killAll() {
	if !tr.process.running() {
		return
	}
	for _, pid := range append(descendants(tr.process.cmd.Process.Pid), tr.process.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended with another one
	}
	<-tr.process.exited
}

// stopAll does what Ctrl-C in the terminal does.
func (tr *tree) stopAll() error {
	below := descendants(tr.process.cmd.Process.Pid)
	if len(below) == 0 {
		return errors.New("there is no shop")
	}
	// The nearest is the shop itself; its database is not in the terminal's group.
	if err := syscall.Kill(below[0], syscall.SIGINT); err != nil {
		return err
	}
	select {
	case <-tr.process.exited:
		return nil
	case <-time.After(stopTimeout):
		return errors.New("the shop does not stop")
	}
}

// descendants are all processes below one, nearest first.
func descendants(root int) []int {
	below := map[int][]int{}
	for pid, parent := range parents() {
		below[parent] = append(below[parent], pid)
	}
	all := below[root]
	for i := 0; i < len(all); i++ {
		all = append(all, below[all[i]]...)
	}
	return all
}

// parents is every process with its parent.
func parents() map[int]int {
	found := map[int]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended since
		}
		// pid (name) state parent …, where the name may hold anything.
		var pid, parent int
		var state string
		end := strings.LastIndexByte(string(text), ')')
		if _, err := fmt.Sscan(string(text), &pid); err != nil || end < 0 {
			continue
		}
		if _, err := fmt.Sscan(string(text[end+1:]), &state, &parent); err == nil {
			found[pid] = parent
		}
	}
	if len(found) > 0 {
		return found
	}
	out, _ := exec.Command("ps", "-axo", "pid=,ppid=").Output() // where there is no /proc
	for line := range strings.Lines(string(out)) {
		var pid, parent int
		if _, err := fmt.Sscan(line, &pid, &parent); err == nil {
			found[pid] = parent
		}
	}
	return found
}
