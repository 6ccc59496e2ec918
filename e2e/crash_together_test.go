package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"xsynesis/bench/buyer"
	"xsynesis/fault"
)

// atOnce is how many payments come at the same time: the first goes alone, the others share a transaction.
const atOnce = 8

// crashesTogether are the moments at which a shop dies that has a transaction of many under way, and which time it meets
// each: the first times may be those of payments that went alone.
var crashesTogether = []struct {
	name string
	step fault.Step // none: the shop is killed from outside, when half of them are recorded
	nth  int
}{
	{"a transaction of many is written", fault.RelayStored, 4},
	{"a transaction of many is sent", fault.RelaySent, atOnce},
	{"a transaction of many is mined", fault.RelayMined, 3},
	{"many are being recorded", fault.SettleRecording, 2},
	{"half of many are recorded", "", 0},
}

// TestCrashOfPaymentsThatGoTogether kills a shop at every moment of a transaction that moves the money of many, and starts
// it again once and twice. Each buyer gets his purchase, and the shop one transfer and one sale of each.
func TestCrashOfPaymentsThatGoTogether(t *testing.T) {
	t.Parallel()
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
	for _, c := range crashesTogether {
		table.order = append(table.order, c.name)
	}
	for _, restarts := range []int{2, 1} { // the longer ones first
		for _, c := range crashesTogether {
			scenarios <- func() {
				t.Run(fmt.Sprintf("%s/%d", c.name, restarts), func(t *testing.T) {
					row := crashRow{step: c.name, restarts: restarts, outcome: "FAILED"}
					began := time.Now()
					defer func() { row.took = time.Since(began); table.add(row) }()
					newCrashWorld(t).crashTogether(t, &row, c.step, c.nth)
				})
			}
		}
	}
	close(scenarios)
	running.Wait()
	table.print()
}

// crashTogether kills the shop while many payments that came at once are under way.
func (w *crashWorld) crashTogether(t *testing.T, row *crashRow, step fault.Step, nth int) {
	t.Helper()
	w.nth = nth
	first := w.live(t, step)
	w.nth = 0
	payments := make([]buyer.Payment, atOnce)
	for i := range payments {
		var err error
		payments[i], err = w.sign(within(t, hitWithin), w.crowd, 2)
		require.NoError(t, err)
	}
	gathered := w.hold(t, `LOCK TABLE settlements IN SHARE MODE`) // however slowly they come
	answers, all := w.payTogether(t, payments)
	w.await(t, "the first has come", `SELECT count(*) > 0 FROM pg_locks WHERE NOT granted`)
	time.Sleep(2 * time.Second) // the last one, too
	gate := w.hold(t, `LOCK TABLE relays IN SHARE MODE`)
	require.NoError(t, gathered.Rollback(t.Context()))
	w.await(t, "all wait to be written down, most of them together", `SELECT count(*) FILTER (WHERE lease_until IS NOT NULL) = 8
		AND (SELECT count(*) FROM pg_locks WHERE NOT granted) >= 2 FROM settlements`)
	time.Sleep(2 * time.Second) // those that were tried together wait as well
	if step == "" {
		half := w.hold(t, `SELECT FROM attempts ORDER BY id LIMIT 4 FOR UPDATE`)
		require.NoError(t, gate.Rollback(t.Context()))
		w.await(t, "the others are recorded", `SELECT count(*) = 4 FROM sales`)
		first.kill()
		require.NoError(t, half.Rollback(t.Context()))
	} else {
		require.NoError(t, gate.Rollback(t.Context()))
		select {
		case <-first.over:
			require.True(t, first.killed(), "the shop ended, but not by a signal")
		case <-time.After(hitWithin):
			require.Fail(t, "the step was never met")
		}
	}
	row.outcome = "FAILED after the crash"
	w.await(t, "some share a transaction", `SELECT count(*) > 1 FROM relay_items`)
	again := ""
	if row.restarts == 2 {
		again = w.liveAgain(t, cmp.Or(step, fault.SettleRecording), all)
	}
	w.live(t, "")
	b := <-all
	require.NoError(t, b.err)
	transactions, err := w.boughtTogether(t.Context(), answers)
	require.NoError(t, err)
	row.outcome = fmt.Sprintf("%d transfers in %d transactions, %d sales, audit clean%s", atOnce, transactions, atOnce, again)
}

// hold takes locks, and keeps them until it is rolled back.
func (w *crashWorld) hold(t *testing.T, sql string) pgx.Tx {
	t.Helper()
	tx, err := w.parts.Pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }) // it is over, unless the test failed
	_, err = tx.Exec(t.Context(), sql)
	require.NoError(t, err)
	return tx
}

// await waits until a statement says that something is so.
func (w *crashWorld) await(t *testing.T, what, sql string) {
	t.Helper()
	require.Eventually(t, func() bool {
		var so bool
		return w.parts.Pool.QueryRow(t.Context(), sql).Scan(&so) == nil && so
	}, hitWithin, 20*time.Millisecond, what)
}

// payTogether sends many payments at once, each through every crash. The channel has an element when all are answered.
func (w *crashWorld) payTogether(t *testing.T, payments []buyer.Payment) (answers []buyer.Answer, all chan bought) {
	t.Helper()
	answers, all = make([]buyer.Answer, len(payments)), make(chan bought, 1)
	ctx := within(t, hitWithin+againWithin+paidWithin)
	wrong := make([]error, len(payments))
	var paying sync.WaitGroup
	for i, p := range payments {
		paying.Go(func() { answers[i], wrong[i] = w.buyer.Pay(ctx, p, w.crowd) })
	}
	go func() {
		paying.Wait()
		all <- bought{err: errors.Join(wrong...)}
	}()
	return answers, all
}

// boughtTogether wants one payment and one sale of each purchase, and counts the transactions that moved them.
func (w *crashWorld) boughtTogether(ctx context.Context, answers []buyer.Answer) (transactions int, err error) {
	var all []error
	is := func(what string, got, want any) {
		if got != want {
			all = append(all, fmt.Errorf("%s: %v, not %v", what, got, want))
		}
	}
	transfers, value, err := w.moved(ctx, nil, []common.Hash{common.BytesToHash(w.payee.Bytes())})
	if err != nil {
		return 0, err
	}
	is("transfers on the chain", transfers, atOnce)
	is("money on the chain", value, atOnce*crashPrice)
	purchases := map[string]bool{}
	for _, a := range answers {
		purchases[a.Purchase] = true
	}
	is("purchases that were answered", len(purchases), atOnce)
	var sales, sold, paid int
	const books = `SELECT count(*), count(DISTINCT attempt_id),
		(SELECT count(*) FROM attempts WHERE status = 'settled'), (SELECT count(DISTINCT transaction) FROM settlements) FROM sales`
	if err := w.parts.Pool.QueryRow(ctx, books).Scan(&sales, &sold, &paid, &transactions); err != nil {
		return 0, err
	}
	is("sales", sales, atOnce)
	is("purchases sold", sold, atOnce)
	is("purchases paid", paid, atOnce)
	return transactions, errors.Join(append(all, w.broken(ctx))...)
}
