package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/bench/buyer"
	"xsynesis/fault"
)

const (
	sideBySide    = 8                // most of a crash is waiting
	hitWithin     = 45 * time.Second // a shop on a busy machine reaches its step
	againWithin   = 25 * time.Second // a shop reaches its step a second time, if it can
	paidWithin    = 90 * time.Second
	controlWithin = 15 * time.Second // one is paid within; the others never are
	crashesLimit  = 5 * time.Minute
)

// crashRow is one line of the table.
type crashRow struct {
	step     string
	restarts int
	took     time.Duration
	outcome  string
}

type crashTable struct {
	order []string // of the rows' steps; none is the order of crashOrder

	mu   sync.Mutex
	rows []crashRow
}

func (c *crashTable) add(r crashRow) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows = append(c.rows, r)
}

// crashOrder is the order in which payments, and what is beside them, meet the steps.
var crashOrder = slices.Concat(fault.Steps, fault.CallSteps, fault.FacilitatorSteps, []fault.Step{fault.CallbackStored})

// print lists the steps in the order in which a purchase meets them.
func (c *crashTable) print() {
	slices.SortStableFunc(c.rows, func(a, b crashRow) int {
		place := func(r crashRow) int {
			if i := slices.Index(c.order, r.step); i >= 0 {
				return 2*i + r.restarts
			}
			step, _, _ := strings.Cut(r.step, ",")
			if i := slices.Index(crashOrder, fault.Step(step)); i >= 0 {
				return 2*i + r.restarts
			}
			return 1000
		}
		return place(a) - place(b)
	})
	var out bytes.Buffer
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "step\trestarts\tseconds\toutcome")
	for _, r := range c.rows {
		_, _ = fmt.Fprintf(table, "%s\t%d\t%.1f\t%s\n", r.step, r.restarts, r.took.Seconds(), r.outcome)
	}
	_ = table.Flush() // into a buffer
	_, _ = out.WriteTo(os.Stdout)
}

// TestCrash kills a shop at every moment of a purchase, and starts it again once and twice. Whatever the moment, the
// buyer who sends his payment again gets one purchase, and the shop one transfer and one sale.
func TestCrash(t *testing.T) {
	t.Parallel()
	began := time.Now()
	table := &crashTable{}
	scenarios := make(chan func())
	var running sync.WaitGroup
	for range sideBySide {
		running.Go(func() {
			for scenario := range scenarios {
				scenario()
			}
		})
	}
	scenarios <- func() { t.Run("control", func(t *testing.T) { crashControl(t, table) }) }
	scenarios <- func() { t.Run("storm", func(t *testing.T) { crashStorm(t, table) }) }
	for _, restarts := range []int{2, 1} { // the longer ones first
		for _, step := range fault.Steps {
			scenarios <- func() {
				t.Run(fmt.Sprintf("%s/%d", step, restarts), func(t *testing.T) { crashAt(t, table, step, restarts) })
			}
		}
	}
	close(scenarios)
	running.Wait()
	table.print()
	require.Less(t, time.Since(began), crashesLimit)
}

func crashAt(t *testing.T, table *crashTable, step fault.Step, restarts int) {
	row := crashRow{step: string(step), restarts: restarts, outcome: "FAILED"}
	began := time.Now()
	defer func() { row.took = time.Since(began); table.add(row) }()
	w := newCrashWorld(t)
	w.crashPaying(t, &row, step, restarts)
}

// crashPaying kills the shop while a buyer pays, and wants what a buyer and a shop want.
func (w *crashWorld) crashPaying(t *testing.T, row *crashRow, step fault.Step, restarts int) {
	t.Helper()
	bought, how := w.crash(t, row, step, restarts, w.pay(t, step, restarts), func() {})
	w.boughtOnce(t, bought)
	row.outcome = fmt.Sprintf("1 transfer, 1 sale, audit clean; the payment was sent %d times%s", bought.answer.Tries, how)
}

// crash kills the shop at a step, as often as it is to start again, and returns what the buyer has in the end. Before
// the shop is started for good, last is called.
func (w *crashWorld) crash(t *testing.T, row *crashRow, step fault.Step, restarts int, paying chan bought, last func()) (_ bought, how string) {
	t.Helper()
	first := w.live(t, step)
	select {
	case <-first.over:
		require.True(t, first.killed(), "the shop ended, but not by a signal")
	case <-time.After(hitWithin): // the buyer may well have his answer before: others see the chain as well
		require.Fail(t, "the step was never met")
	}
	row.outcome = "FAILED after the crash"
	if restarts == 2 {
		how = w.liveAgain(t, step, paying)
	}
	last()
	w.live(t, "")
	bought := <-paying
	require.NoError(t, bought.err)
	return bought, how
}

// boughtOnce wants one payment of one purchase, and the same answer to the same payment.
func (w *crashWorld) boughtOnce(t *testing.T, b bought) {
	t.Helper()
	require.NoError(t, w.wrong(t.Context(), b.answer.Purchase))
	same, err := w.buyer.Pay(within(t, paidWithin), b.payment, b.url)
	require.NoError(t, err)
	require.Equal(t, b.answer.Body, same.Body, "the same payment has another answer")
	require.NoError(t, w.wrong(t.Context(), b.answer.Purchase))
}

const diedAgain = "; died there again"

// liveAgain starts the shop to die at the same step, or, where that step lies behind it, as soon as it has answered
// the buyer or the time for it is over.
func (w *crashWorld) liveAgain(t *testing.T, step fault.Step, paying chan bought) string {
	t.Helper()
	second := w.live(t, step)
	select {
	case <-second.over:
		require.True(t, second.killed(), "the shop ended, but not by a signal")
		return diedAgain
	case b := <-paying:
		second.kill()
		paying <- b
		return "; killed when it had answered"
	case <-time.After(againWithin):
		second.kill()
		return "; killed while it waited"
	}
}

// bought is what a buyer has in the end.
type bought struct {
	url     string
	payment buyer.Payment
	answer  buyer.Answer
	err     error
}

// pay buys, through every crash. Purchases are begun at the link and paid at their own address; those that meet
// their crash once are paid by a program, at the link itself.
func (w *crashWorld) pay(t *testing.T, step fault.Step, restarts int) chan bought {
	t.Helper()
	ctx := within(t, hitWithin+againWithin+paidWithin)
	done := make(chan bought, 1)
	go func() {
		b := bought{url: w.link}
		if restarts == 2 || step == fault.StartTaken || step == fault.StartCommitted {
			b.url, b.err = w.buyer.Begin(ctx, w.link)
		}
		if b.err == nil {
			b.payment, b.err = w.sign(ctx, b.url, restarts)
		}
		if b.err == nil {
			b.answer, b.err = w.buyer.Pay(ctx, b.payment, b.url)
		}
		done <- b
	}()
	return done
}

func (w *crashWorld) sign(ctx context.Context, url string, version int) (buyer.Payment, error) {
	want, err := w.buyer.Ask(ctx, url)
	if err != nil {
		return buyer.Payment{}, err
	}
	return w.buyer.Sign(want, version)
}

const stormSize = 16

// crashStorm sends one payment many times at once, and the shop dies when the first of them is claimed.
func crashStorm(t *testing.T, table *crashTable) {
	row := crashRow{step: "storm of one payment", restarts: 1, outcome: "FAILED"}
	began := time.Now()
	defer func() { row.took = time.Since(began); table.add(row) }()
	w := newCrashWorld(t)
	var dying *life
	answers := w.storm(t, paidWithin, func() { dying = w.live(t, fault.PayCommitted) }, func() {
		select {
		case <-dying.over:
			require.True(t, dying.killed(), "the shop ended, but not by a signal")
		case <-time.After(hitWithin):
			require.Fail(t, "the step was never met")
		}
		w.live(t, "")
	})
	for _, a := range answers {
		require.NoError(t, a.err)
		require.Equal(t, answers[0].answer.Body, a.answer.Body)
	}
	require.NoError(t, w.wrong(t.Context(), answers[0].answer.Purchase))
	row.outcome = fmt.Sprintf("1 transfer, 1 sale, audit clean, %d equal answers", len(answers))
}

// crashControl takes away the keys that make a payment one. What the other tests look at must then be wrong: if it
// were not, they would prove nothing.
func crashControl(t *testing.T, table *crashTable) {
	row := crashRow{step: "control: storm without the unique keys", outcome: "FAILED: nothing was found wrong"}
	began := time.Now()
	defer func() { row.took = time.Since(began); table.add(row) }()
	w := newCrashWorld(t)
	_, err := w.parts.Pool.Exec(t.Context(), `DROP INDEX claims_authorization, claims_of_attempt, settlements_authorization`)
	require.NoError(t, err)
	answers := w.storm(t, controlWithin, func() { w.live(t, "") }, func() {})
	answered := slices.IndexFunc(answers, func(b bought) bool { return b.err == nil })
	require.GreaterOrEqual(t, answered, 0, "nobody was answered")
	wrong := w.wrong(t.Context(), answers[answered].answer.Purchase)
	require.Error(t, wrong)
	for line := range strings.SplitSeq(wrong.Error(), "\n") {
		if strings.HasPrefix(line, "an authorization has one settlement") {
			row.outcome = "is found out, as it must be: " + line
			return
		}
	}
	require.Fail(t, "the second settlement was not found", wrong.Error())
}

// storm sends one payment from many connections at once, to a shop that open starts. All of them are let as far as the
// claim before the first may write it, so that each has seen that there is none; then after runs.
func (w *crashWorld) storm(t *testing.T, patience time.Duration, open, after func()) []bought {
	t.Helper()
	calm := w.live(t, "")
	payment, err := w.sign(within(t, hitWithin), w.crowd, 2)
	require.NoError(t, err)
	calm.kill()
	gate, err := w.parts.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer gate.Rollback(context.WithoutCancel(t.Context())) //nolint:errcheck // it is committed, unless the test failed
	_, err = gate.Exec(t.Context(), `LOCK TABLE claims IN SHARE MODE`)
	require.NoError(t, err)
	open()
	_, err = w.buyer.Ask(within(t, hitWithin), w.crowd) // it answers
	require.NoError(t, err)
	ctx, lose := context.WithCancelCause(t.Context())
	defer lose(nil)
	answers := make([]bought, stormSize)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i].answer, answers[i].err = w.buyer.Pay(ctx, payment, w.crowd) })
	}
	const waiting = `SELECT count(*) FROM pg_locks WHERE relation = 'claims'::regclass AND NOT granted`
	require.Eventually(t, func() bool {
		var n int
		err := gate.QueryRow(t.Context(), waiting).Scan(&n)
		return err == nil && n >= 1
	}, hitWithin, 20*time.Millisecond, "no payment has come as far as the claim")
	time.Sleep(time.Second) // the others wait behind it by now, to be written together
	require.NoError(t, gate.Commit(t.Context()))
	defer time.AfterFunc(patience, func() { lose(errNotYet) }).Stop()
	after()
	all.Wait()
	return answers
}

var errNotYet = errors.New("not yet")

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), d, errNotYet)
	t.Cleanup(cancel)
	return ctx
}
