package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/audit"
	"xsynesis/checkout"
	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/fault"
	"xsynesis/money"
	"xsynesis/shop"
)

const (
	crashPoster = 4 * money.One // what a buyer pays by a transfer of his own
	crashStray  = money.One     // what comes besides, and nobody awaits
	crashDust   = money.USDC(7)
)

// TestCrashOfTransfers kills a shop at every moment in which it sees what buyers send by themselves, and starts it again once
// and twice. Each transfer is recorded once, as what it is.
func TestCrashOfTransfers(t *testing.T) {
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
	for _, step := range fault.TransferSteps {
		table.order = append(table.order, string(step))
	}
	for _, restarts := range []int{2, 1} { // the longer ones first
		for _, step := range fault.TransferSteps {
			scenarios <- func() {
				t.Run(fmt.Sprintf("%s/%d", step, restarts), func(t *testing.T) {
					row := crashRow{step: string(step), restarts: restarts, outcome: "FAILED"}
					began := time.Now()
					defer func() { row.took = time.Since(began); table.add(row) }()
					w := newCrashWorld(t)
					purchase, manual := w.awaitsTransfer(t)
					_, how := w.crash(t, &row, step, restarts, w.sendsAll(t, purchase, manual), func() {})
					require.NoError(t, w.wrongTransfers(t.Context(), purchase, manual.Amount))
					row.outcome = "3 transfers, 1 sale, 1 listed, audit clean" + how
				})
			}
		}
	}
	close(scenarios)
	running.Wait()
	table.print()
}

// awaitsTransfer begins a purchase that is to be paid by a transfer to the address that is kept for the shop.
func (w *crashWorld) awaitsTransfer(t *testing.T) (checkout.Attempt, checkout.Manual) {
	t.Helper()
	calm := w.live(t, "")
	defer calm.end()
	require.Eventually(t, func() bool { // a worker makes the addresses
		return w.parts.Custody.SetMode(t.Context(), w.merchant, crashNetwork, true, audit.By{Actor: "test"}) == nil
	}, hitWithin, 50*time.Millisecond, "there is no address to keep money at")
	link, err := w.parts.Shop.CreateLink(t.Context(), w.merchant, false, shop.LinkForm{Title: "Poster", Price: crashPoster}, audit.By{Actor: "test"})
	require.NoError(t, err)
	purchase, err := w.parts.Checkout.Start(t.Context(), checkout.Begin{Token: link.Token, From: "192.0.2.1"})
	require.NoError(t, err)
	manual, err := w.parts.Checkout.OpenManual(t.Context(), purchase.ID)
	require.NoError(t, err)
	w.deposit = purchase.PayTo
	return purchase, manual
}

// sendsAll sends the amount, and more that nobody awaits, and waits through every crash until all of it is recorded.
func (w *crashWorld) sendsAll(t *testing.T, purchase checkout.Attempt, manual checkout.Manual) chan bought {
	t.Helper()
	ctx := within(t, hitWithin+againWithin+paidWithin)
	done := make(chan bought, 1)
	go func() {
		var b bought
		for _, amount := range []money.USDC{manual.Amount, crashStray, crashDust} {
			if _, err := sendFrom(ctx, w.chain, w.payer, devchain.USDC, nil, evm.SendData(purchase.PayTo, amount)); err != nil {
				b.err = errors.Join(b.err, err)
			}
		}
		for recorded := 0; b.err == nil && recorded < 3; {
			const known = `SELECT count(*) FROM transfers WHERE state IN ('settled', 'listed', 'dust')`
			if err := w.parts.Pool.QueryRow(ctx, known).Scan(&recorded); err != nil {
				b.err = err
			} else if recorded < 3 {
				b.err = pause(ctx)
			}
		}
		time.Sleep(seenTogether)
		done <- b
	}()
	return done
}

// wrongTransfers is everything that is not as after one sale, one listing and some dust; nil if nothing is.
func (w *crashWorld) wrongTransfers(ctx context.Context, purchase checkout.Attempt, amount money.USDC) error {
	var all []error
	is := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			all = append(all, fmt.Errorf("%s: %v, not %v", what, got, want))
		}
	}
	for _, c := range []struct {
		what, sql string
		want      []string
	}{
		{"transfers", `SELECT state || ' ' || amount FROM transfers ORDER BY 1`,
			[]string{"dust 7", fmt.Sprintf("listed %d", crashStray), fmt.Sprintf("settled %d", amount)}},
		{"sales", `SELECT attempt_id FROM sales`, []string{string(purchase.ID)}},
		{"settlements", `SELECT amount::text FROM settlements`, []string{amount.Units()}},
		{"listed", `SELECT kind || ' ' || amount FROM exceptions`, []string{"unmatched " + crashStray.Units()}},
		{"dust", `SELECT transfers || ' ' || amount FROM transfer_dust`, []string{"1 7"}},
		{"postings", `SELECT kind FROM postings ORDER BY kind`, []string{"exception", "exception", "sale"}},
	} {
		got, err := w.texts(ctx, c.sql)
		all = append(all, err)
		is(c.what, got, c.want)
	}
	holdings, err := w.parts.Custody.Holdings(ctx, w.merchant, false)
	if err != nil || len(holdings) != 1 {
		return fmt.Errorf("%d holdings: %w", len(holdings), err)
	}
	is("owed to the shop", holdings[0].Available, amount)
	is("kept for the shop", holdings[0].Deposited, amount+crashStray+crashDust)
	is("beyond the books", holdings[0].Drift, money.USDC(0))
	return errors.Join(append(all, w.broken(ctx))...)
}
