package checkout_test

import (
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/evm/devchain"
	"xsynesis/money"
	"xsynesis/shop"
)

// gift is money that a stranger sends to the shop without a word.
func (s *testShop) gift(t *testing.T, dev *devchain.Chain, amount money.USDC) {
	t.Helper()
	require.NoError(t, dev.Mint(t.Context(), s.payee, amount))
}

func (s *testShop) unresolved(t *testing.T, decided bool) []checkout.Unresolved {
	t.Helper()
	rows, err := s.checkout.UnresolvedList(t.Context(), s.merchant, false, decided, shop.Page{Limit: 50})
	require.NoError(t, err)
	return rows
}

func TestTheBooksAreHeldAgainstTheChain(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 4)
	s := newShopWith(t, plan{chain: dev})
	a, _, _ := s.paidOn(t)
	var compared []checkout.Compared
	require.Eventually(t, func() bool { // the worker's own comparison may be under way, from before the payment
		require.NoError(t, s.worker.checkout.ReconcileChains(t.Context()))
		now, waiting, err := s.checkout.Reconciled(t.Context(), s.merchant, false)
		require.NoError(t, err)
		require.Empty(t, waiting)
		compared = now
		return len(compared) == 1 && compared[0].Matched == 1
	}, 20*time.Second, 200*time.Millisecond)
	require.Equal(t, a.Amount, compared[0].Amount)
	require.NotNil(t, compared[0].EndedAt)
	require.False(t, compared[0].Failed)
	none, _, err := s.checkout.Reconciled(t.Context(), s.merchant, true)
	require.NoError(t, err)
	require.Empty(t, none, "networks of the other mode")
}

func TestAPaymentThatJustMovedDiffersFromNothing(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 64)
	s := newShopWith(t, plan{chain: dev})
	a, _, p := s.paidOn(t)
	tx, _, err := dev.Client().TransactionByHash(t.Context(), common.HexToHash(p.Settlement.Transaction))
	require.NoError(t, err)
	first := s.blockOf(t, a)
	lose(t, dev, p.Settlement.Block)
	grow(t, dev, 1)
	mine(t, dev, tx)
	require.NoError(t, s.worker.checkout.ReconcileChains(t.Context()))
	require.Empty(t, s.unresolved(t, false))
	require.Zero(t, s.count(t, `SELECT count(*) FROM notices`))
	require.Eventually(t, func() bool { return s.blockOf(t, a) != first }, 20*time.Second, 50*time.Millisecond, "nobody looks where it is")
	require.Equal(t, checkout.Settled, s.status(t, a.ID))
}

func TestMoneyThatNobodyToldOfIsFoundAndWorkedOff(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 4)
	s := newShopWith(t, plan{chain: dev})
	s.paidOn(t)
	require.NoError(t, s.worker.checkout.ReconcileChains(t.Context()))
	s.gift(t, dev, 3*money.One)
	s.gift(t, dev, 5*money.One)
	for range 2 {
		require.NoError(t, s.worker.checkout.ReconcileChains(t.Context()))
	}
	open := s.unresolved(t, false)
	require.Len(t, open, 2, "each once")
	attached, ignored := open[0], open[1]
	require.Equal(t, "unmatched", attached.Kind)
	require.True(t, attached.Attachable() && attached.Ignorable() && attached.Refundable() && !attached.Acceptable())

	var wrong *shop.FieldError
	require.ErrorAs(t, s.checkout.Ignore(t.Context(), s.merchant, false, ignored.ID, " ", ada), &wrong)
	require.NoError(t, s.checkout.Ignore(t.Context(), s.merchant, false, ignored.ID, "a present", ada))
	require.ErrorIs(t, s.checkout.Ignore(t.Context(), s.merchant, false, ignored.ID, "a present", ada), checkout.ErrDecided)

	b := s.begin(t)
	require.ErrorIs(t, s.checkout.Attach(t.Context(), s.found(t, "bookshop", addressOf(newKey())), false, attached.ID, b.ID, ada), checkout.ErrNotFound)
	require.NoError(t, s.checkout.Attach(t.Context(), s.merchant, false, attached.ID, b.ID, ada))
	require.Equal(t, checkout.Settled, s.status(t, b.ID))
	require.Equal(t, b.Amount, s.count64(t, `SELECT sum(amount) FROM sales WHERE attempt_id = $1`, b.ID))
	require.ErrorIs(t, s.checkout.Attach(t.Context(), s.merchant, false, attached.ID, b.ID, ada), checkout.ErrDecided)
	require.Empty(t, s.unresolved(t, false))
	over := s.unresolved(t, true)
	require.Len(t, over, 2)
	require.Equal(t, "attached", over[0].Resolution)
	require.Equal(t, b.ID, over[0].Attempt)
	require.Equal(t, "ignored", over[1].Resolution)
	require.Equal(t, "a present", over[1].Reason)
	require.Equal(t, ada.Actor, over[1].ResolvedBy)
	require.Equal(t, 2, s.count(t, `SELECT count(*) FROM audit_rows WHERE action IN ('exception.attached', 'exception.ignored')`))

	require.NoError(t, s.worker.checkout.ReconcileChains(t.Context()))
	require.Empty(t, s.unresolved(t, false), "what was decided stays decided")
}

func TestWhatAWalletReceivedBeforeItWasAShopsIsNoMatter(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 4)
	s := newShopWith(t, plan{chain: dev, quiet: true})
	s.gift(t, dev, 3*money.One)
	s.gift(t, dev, 3*money.One)
	head, err := dial(t, dev.URL()).Head(t.Context())
	require.NoError(t, err)
	// The wallet was proven before, and counts from the next second on: a chain's clock may be off by half a minute.
	s.exec(t, `UPDATE payees SET created_at = $1`, head.Time.Add(31*time.Second))
	require.Empty(t, s.findings(t))
	require.NoError(t, s.worker.checkout.ReconcileChains(t.Context()))
	require.Empty(t, s.unresolved(t, false))
	require.Zero(t, s.count(t, `SELECT found FROM reconciliations`))

	s.gift(t, dev, 5*money.One)
	require.Equal(t, []string{"a transfer to a shop is explained"}, rulesOf(s.findings(t)))
	require.NoError(t, s.worker.checkout.ReconcileChains(t.Context()))
	open := s.unresolved(t, false)
	require.Len(t, open, 1)
	require.Equal(t, 5*money.One, open[0].Amount)
	require.Equal(t, 1, s.count(t, `SELECT found FROM reconciliations`))
	require.Empty(t, s.findings(t))
}

func TestAnAddressThatAShopHasLeftWasPaidAllTheSame(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 4)
	s := newShopWith(t, plan{chain: dev})
	s.paidOn(t)
	s.exec(t, `UPDATE payees SET address = lower($1), created_at = $2`, addressOf(newKey()).Hex(), s.clock.now())
	require.Empty(t, s.findings(t))
	grow(t, dev, 1)
	require.NoError(t, s.worker.checkout.ReconcileChains(t.Context()))
	require.Equal(t, 1, s.count(t, `SELECT matched FROM reconciliations`))
}

func TestALookGoesOnWhereTheLastOneEnded(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 1)
	s := newShopWith(t, plan{chain: dev, quiet: true})
	s.gift(t, dev, money.One)
	grow(t, dev, 4)
	look := func() (from, block int) {
		require.NoError(t, s.worker.checkout.ReconcileChains(t.Context()))
		require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT from_block, block FROM reconciliations`).Scan(&from, &block))
		return from, block
	}
	final := func() uint64 {
		sealed, err := dial(t, dev.URL()).Finalized(t.Context())
		require.NoError(t, err)
		return sealed.Number
	}
	before := final()
	_, block := look()
	require.GreaterOrEqual(t, block, int(before), "what is final is not compared again")
	require.LessOrEqual(t, block, int(final()))
	s.exec(t, `UPDATE reconciliations SET block = 7000`) // of a chain that is longer
	from, block := look()
	require.Equal(t, 5_001, from, "but for what a node may show late")
	require.Equal(t, 7_000, block)
}

func TestAPaymentThatIsPaidTakesNoOther(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 4)
	s := newShopWith(t, plan{chain: dev})
	a, _, _ := s.paidOn(t)
	require.NoError(t, s.worker.checkout.ReconcileChains(t.Context()))
	s.gift(t, dev, price)
	require.NoError(t, s.worker.checkout.ReconcileChains(t.Context()))
	open := s.unresolved(t, false)
	require.Len(t, open, 1)
	var wrong *shop.FieldError
	require.ErrorAs(t, s.checkout.Attach(t.Context(), s.merchant, false, open[0].ID, a.ID, ada), &wrong)
	require.Len(t, s.unresolved(t, false), 1, "nothing was decided")
	require.ErrorIs(t, s.checkout.Accept(t.Context(), s.merchant, false, open[0].ID, ada), checkout.ErrUndecidable)
}

func TestWhatTheBooksHaveAndTheChainDoesNotIsListedUntilItIsThere(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 2)
	s := newShopWith(t, plan{chain: dev})
	a, _, p := s.paidOn(t)
	grow(t, dev, 6)
	require.NoError(t, s.worker.checkout.Finalize(t.Context()))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM settlements WHERE status = 'final'`))
	change := func(sql string, kind string) {
		s.exec(t, sql, p.Settlement.ID)
		require.NoError(t, s.worker.checkout.ReconcileChains(t.Context()))
		open := s.unresolved(t, false)
		require.Len(t, open, 1)
		require.Equal(t, kind, open[0].Kind)
		require.Equal(t, a.ID, open[0].Attempt)
		require.False(t, open[0].Refundable(), "nobody knows whether there is money to give back")
	}
	change(`UPDATE settlements SET amount = amount + 1 WHERE id = $1`, "mismatch")
	s.exec(t, `UPDATE settlements SET amount = amount - 1 WHERE id = $1`, p.Settlement.ID)
	require.NoError(t, s.worker.checkout.ReconcileChains(t.Context()))
	require.Empty(t, s.unresolved(t, false), "it agrees again")
	require.Equal(t, "matched", s.unresolved(t, true)[0].Resolution)
	change(`UPDATE settlements SET amount = amount + 1 WHERE id = $1`, "mismatch")
	s.exec(t, `UPDATE settlements SET amount = amount - 1 WHERE id = $1`, p.Settlement.ID)
	require.NoError(t, s.worker.checkout.ReconcileChains(t.Context()))
}

func TestALookAtTheBooksIsAskedForOnce(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 4)
	s := newShopWith(t, plan{chain: dev, quiet: true})
	for range 3 {
		require.NoError(t, s.checkout.AskReconciliation(t.Context(), s.merchant, ada))
	}
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'reconcile_chains'`))
}

// count64 runs a SELECT of one amount.
func (s *testShop) count64(t *testing.T, sql string, args ...any) (n money.USDC) {
	t.Helper()
	require.NoError(t, s.pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}
