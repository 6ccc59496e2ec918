package checkout_test

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/webhook"
)

// owner gives back as much as she likes.
var owner = checkout.Giver{By: ada, Role: access.Owner}

// collecting is a shop whose money is kept for it.
func collecting(t *testing.T, p plan) *testShop {
	t.Helper()
	s := newShopWith(t, p)
	s.collects(t)
	return s
}

func (s *testShop) collects(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		return s.worker.custody.Fill(t.Context()) == nil && s.worker.custody.SetMode(t.Context(), s.merchant, sepolia, true, ada) == nil
	}, 20*time.Second, 50*time.Millisecond, "the shop has no deposit address")
}

// ownKey gives the shop an address whose key the test has, with money of its own.
func (s *testShop) ownKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key := newBuyer(t) // who has his money since the first block: what comes later has to be explained
	require.NoError(t, world.dev().FundGas(t.Context(), addressOf(key), ether(1)))
	s.payee = addressOf(key)
	s.exec(t, `UPDATE payees SET address = $1 WHERE merchant_id = $2`, strings.ToLower(s.payee.Hex()), s.merchant)
	return key
}

// pays is a purchase of the shop's link that is paid.
func (s *testShop) pays(t *testing.T) checkout.Purchase {
	t.Helper()
	return s.paysFor(t, s.begin(t))
}

func (s *testShop) paysFor(t *testing.T, a checkout.Attempt) checkout.Purchase {
	t.Helper()
	_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)
	return s.awaitStatus(t, a.ID, checkout.Settled)
}

func (s *testShop) refund(t *testing.T, f checkout.RefundForm) (checkout.Refund, error) {
	t.Helper()
	return s.checkout.Refund(t.Context(), s.merchant, false, f, owner)
}

func (s *testShop) awaitRefund(t *testing.T, refund id.Refund, want checkout.RefundStatus) checkout.Refund {
	t.Helper()
	var r checkout.Refund
	require.Eventually(t, func() bool {
		var err error
		r, err = s.checkout.RefundByID(t.Context(), s.merchant, false, refund)
		return err == nil && r.Status == want
	}, 40*time.Second, 20*time.Millisecond, "it does not become %s", want)
	return r
}

// holds is what an account of the shop holds.
func (s *testShop) holds(t *testing.T, account ledger.Account) money.USDC {
	t.Helper()
	return money.USDC(s.count(t, `SELECT coalesce(sum(amount), 0) FROM balances WHERE merchant_id = $1 AND account = $2`, s.merchant, account))
}

func part(amount money.USDC) *money.USDC { return &amount }

func TestARefundOfKeptMoneyReachesTheWalletThatPaid(t *testing.T) {
	t.Parallel()
	s := collecting(t, plan{fee: 150})
	p := s.pays(t)
	payer := common.HexToAddress(p.Settlement.Payer)
	before := balanceOf(t, payer)

	r, err := s.refund(t, checkout.RefundForm{Attempt: p.ID, Amount: part(700_001), Reason: "Cold"})
	require.NoError(t, err)
	require.Equal(t, checkout.RefundRequested, r.Status)
	require.True(t, r.Collected)
	require.EqualValues(t, -700_001, s.holds(t, ledger.Refunds))
	r = s.awaitRefund(t, r.ID, checkout.RefundCompleted)
	require.NotEmpty(t, r.Transaction)
	require.Equal(t, before+700_001, balanceOf(t, payer))
	require.EqualValues(t, 30_000*700_001/2_000_000, r.Fee, "its share of the fee, rounded down")
	require.Zero(t, s.holds(t, ledger.Refunds))
	require.Equal(t, price-700_001, s.holds(t, ledger.Deposit))

	rest, err := s.refund(t, checkout.RefundForm{Attempt: p.ID})
	require.NoError(t, err)
	require.Equal(t, price-700_001, rest.Amount)
	s.awaitRefund(t, rest.ID, checkout.RefundCompleted)
	require.EqualValues(t, 30_000, r.Fee+rest.Fee, "the whole price gives back the whole fee")
	for _, account := range []ledger.Account{ledger.Available, ledger.Fees, ledger.Refunds, ledger.Deposit} {
		require.Zero(t, s.holds(t, account), account)
	}
	_, err = s.refund(t, checkout.RefundForm{Attempt: p.ID})
	require.ErrorIs(t, err, checkout.ErrNothingToRefund)
	types := typesOf(s.events(t), string(r.ID))
	require.Equal(t, []webhook.Type{webhook.RefundCreated, webhook.RefundCompleted}, types)
}

func TestMoneyThatWasPaidOutCannotBeGivenBack(t *testing.T) {
	t.Parallel()
	s := collecting(t, plan{})
	p := s.pays(t)
	// What the balance lacks a payout has taken.
	first, err := s.refund(t, checkout.RefundForm{Attempt: p.ID, Amount: part(price)})
	require.NoError(t, err)
	_, err = s.refund(t, checkout.RefundForm{Attempt: p.ID, Amount: part(1)})
	require.ErrorIs(t, err, checkout.ErrNothingToRefund)
	s.awaitRefund(t, first.ID, checkout.RefundCompleted)
}

func TestAShopsOwnWalletGivesBackWithOneSignature(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	key := s.ownKey(t)
	p := s.pays(t)
	payer := common.HexToAddress(p.Settlement.Payer)
	r, err := s.refund(t, checkout.RefundForm{Attempt: p.ID, Amount: part(500_000)})
	require.NoError(t, err)
	require.True(t, r.AwaitsSignature())
	require.Equal(t, price, s.received(t), "nothing went yet")
	prepared, ok := s.checkout.Prepared(r)
	require.True(t, ok)
	require.Equal(t, addressOf(key), prepared.From)
	require.Equal(t, payer, prepared.To)

	report := func(hash common.Hash) error {
		_, err := s.checkout.ReportRefund(t.Context(), s.merchant, false, r.ID, hash.Hex(), ada)
		return err
	}
	var wrong *shop.FieldError
	for what, hash := range map[string]common.Hash{
		"too little":  sends(t, key, payer, 499_999),
		"too much":    sends(t, key, payer, 500_001),
		"to another":  sends(t, key, addressOf(newKey()), 500_000),
		"another's":   sends(t, newSpender(t, money.One), payer, 500_000),
		"the payment": common.HexToHash(p.Settlement.Transaction),
	} {
		require.ErrorAs(t, report(hash), &wrong, what)
		require.Equal(t, "transaction", wrong.Field)
	}
	hash := sends(t, key, payer, 500_000)
	require.NoError(t, report(hash))
	done := s.awaitRefund(t, r.ID, checkout.RefundCompleted)
	require.Equal(t, hash.Hex(), done.Transaction)
	require.Equal(t, price-500_000, s.received(t))
	traced, err := queries.New().TransactionsOf(t.Context(), s.pool, []string{string(r.ID)})
	require.NoError(t, err)
	require.Equal(t, []queries.TransactionsOfRow{{Source: string(r.ID), Transaction: hash.Hex()}}, traced, "the journal names it")

	again, err := s.refund(t, checkout.RefundForm{Attempt: p.ID, Amount: part(500_000)})
	require.NoError(t, err)
	r = again
	require.ErrorAs(t, report(hash), &wrong, "one transfer proves one refund")
	second := sends(t, key, payer, 500_000)
	require.NoError(t, report(second))
	s.awaitRefund(t, again.ID, checkout.RefundCompleted)
}

func TestARefundThatIsNotSentIsCalledOff(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	key := s.ownKey(t)
	p := s.pays(t)
	payer := common.HexToAddress(p.Settlement.Payer)
	r, err := s.refund(t, checkout.RefundForm{Attempt: p.ID})
	require.NoError(t, err)
	_, err = s.refund(t, checkout.RefundForm{Attempt: p.ID})
	require.ErrorIs(t, err, checkout.ErrNothingToRefund, "all of it is on its way")
	off, err := s.checkout.CancelRefund(t.Context(), s.merchant, false, r.ID, ada)
	require.NoError(t, err)
	require.Equal(t, checkout.RefundFailed, off.Status)
	require.Equal(t, price, s.received(t))

	r, err = s.refund(t, checkout.RefundForm{Attempt: p.ID})
	require.NoError(t, err)
	hash := sends(t, key, payer, price)
	on, err := s.checkout.CancelRefund(t.Context(), s.merchant, false, r.ID, ada)
	require.NoError(t, err)
	require.Equal(t, checkout.RefundCompleted, on.Status, "it is on the chain all the same")
	require.Equal(t, hash.Hex(), on.Transaction)
	require.Zero(t, s.received(t))
}

func TestAWalletIsFasterThanWhoCallsARefundOff(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	key := s.ownKey(t)
	p := s.pays(t)
	payer := common.HexToAddress(p.Settlement.Payer)
	report := func(refund id.Refund, hash common.Hash) error {
		_, err := s.checkout.ReportRefund(t.Context(), s.merchant, false, refund, hash.Hex(), ada)
		return err
	}
	for range 10 { // whoever comes first
		r, err := s.refund(t, checkout.RefundForm{Attempt: p.ID})
		require.NoError(t, err)
		var both sync.WaitGroup
		both.Go(func() { _, _ = s.checkout.CancelRefund(t.Context(), s.merchant, false, r.ID, ada) })
		both.Go(func() {
			if err := report(r.ID, randomHash()); err != nil {
				t.Errorf("report: %v", err)
			}
		})
		both.Wait()
		s.awaitRefund(t, r.ID, checkout.RefundSent)
		_, err = s.refund(t, checkout.RefundForm{Attempt: p.ID})
		require.ErrorIs(t, err, checkout.ErrNothingToRefund, "it may be on its way")
		s.clock.advance(11 * time.Minute)
		_, err = s.checkout.CancelRefund(t.Context(), s.merchant, false, r.ID, ada)
		require.NoError(t, err)
		require.Zero(t, s.count(t, `SELECT refunded FROM attempts WHERE id = $1`, p.ID))
	}

	off, err := s.refund(t, checkout.RefundForm{Attempt: p.ID})
	require.NoError(t, err)
	_, err = s.checkout.CancelRefund(t.Context(), s.merchant, false, off.ID, ada)
	require.NoError(t, err)
	other, err := s.refund(t, checkout.RefundForm{Attempt: p.ID})
	require.NoError(t, err)
	var over *shop.FieldError
	hash := sends(t, key, payer, price)
	require.ErrorAs(t, report(off.ID, hash), &over, "all of it goes back by the other")
	_, err = s.checkout.CancelRefund(t.Context(), s.merchant, false, other.ID, ada)
	require.NoError(t, err)
	s.awaitRefund(t, other.ID, checkout.RefundCompleted) // the chain shows it
	require.ErrorAs(t, report(off.ID, hash), &over)
	require.Zero(t, s.received(t))
}

func TestWhatWasCalledOffAndSentIsEntered(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	key := s.ownKey(t)
	p := s.pays(t)
	r, err := s.refund(t, checkout.RefundForm{Attempt: p.ID, Amount: part(700_000)})
	require.NoError(t, err)
	_, err = s.checkout.CancelRefund(t.Context(), s.merchant, false, r.ID, ada)
	require.NoError(t, err)
	hash := sends(t, key, common.HexToAddress(p.Settlement.Payer), 700_000)
	for range 2 {
		_, err = s.checkout.ReportRefund(t.Context(), s.merchant, false, r.ID, hash.Hex(), ada)
		require.NoError(t, err)
	}
	require.Equal(t, hash.Hex(), s.awaitRefund(t, r.ID, checkout.RefundCompleted).Transaction)
	require.Equal(t, price-700_000, s.received(t))
	require.EqualValues(t, 700_000, s.countedBack(t))
	require.Equal(t, 700_000, s.count(t, `SELECT refunded FROM sales WHERE attempt_id = $1`, p.ID))
}

func TestATransactionThatIsNotMinedYetIsLookedFor(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	key := s.ownKey(t)
	p := s.pays(t)
	r, err := s.refund(t, checkout.RefundForm{Attempt: p.ID})
	require.NoError(t, err)
	sent, err := s.checkout.ReportRefund(t.Context(), s.merchant, false, r.ID, randomHash().Hex(), ada)
	require.NoError(t, err)
	require.Equal(t, checkout.RefundSent, sent.Status)
	_, ok := s.checkout.Prepared(sent)
	require.False(t, ok, "a wallet that sent is asked again")
	s.clock.advance(11 * time.Minute)
	_, ok = s.checkout.Prepared(sent)
	require.True(t, ok, "what never comes cannot be sent anew")
	sent, err = s.checkout.ReportRefund(t.Context(), s.merchant, false, r.ID, randomHash().Hex(), ada)
	require.NoError(t, err)
	_, ok = s.checkout.Prepared(sent)
	require.False(t, ok, "a wallet that sent anew is asked again")
	_, err = s.checkout.CancelRefund(t.Context(), s.merchant, false, r.ID, ada)
	require.ErrorIs(t, err, checkout.ErrRefundUnderWay, "it may still be on its way")
	hash := sends(t, key, common.HexToAddress(p.Settlement.Payer), price) // under another hash, as a wallet that paid more gas sends it
	done := s.awaitRefund(t, r.ID, checkout.RefundCompleted)
	require.Equal(t, hash.Hex(), done.Transaction)
}

func TestOneKeyIsOneRefundForEver(t *testing.T) {
	t.Parallel()
	s := collecting(t, plan{})
	p := s.pays(t)
	f := checkout.RefundForm{Attempt: p.ID, Amount: part(100), Once: []byte("the form that was sent twice")}
	var refunds [20]checkout.Refund
	var g errgroup.Group
	for i := range refunds {
		g.Go(func() (err error) {
			refunds[i], err = s.checkout.Refund(t.Context(), s.merchant, false, f, owner)
			return err
		})
	}
	require.NoError(t, g.Wait())
	for _, r := range refunds {
		require.Equal(t, refunds[0].ID, r.ID)
	}
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM refunds`))
	s.awaitRefund(t, refunds[0].ID, checkout.RefundCompleted)
	s.clock.advance(365 * 24 * time.Hour)
	r, err := s.refund(t, f)
	require.NoError(t, err)
	require.Equal(t, refunds[0].ID, r.ID)
}

func TestManyRefundsAtOnceNeverGiveBackMoreThanWasPaid(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a, b := s.stocked(t, "Cup", 9), s.stocked(t, "Pot", 9)
	purchase := s.paysFor(t, s.bought(t, "192.0.2.1", a, 3, b, 2))
	sales, err := s.checkout.SalesOf(t.Context(), purchase.ID)
	require.NoError(t, err)
	try := func(ctx context.Context, n int) error {
		r := rand.New(rand.NewPCG(uint64(n), 7))
		f := checkout.RefundForm{Attempt: purchase.ID}
		switch r.IntN(4) {
		case 0:
			f.Amount = part(money.USDC(1 + r.Int64N(int64(purchase.Amount))))
		case 1:
			f.Attempt, f.Sale = "", sales[r.IntN(len(sales))].ID
		case 2:
			f.Lines = []checkout.RefundPiece{{Sale: sales[r.IntN(len(sales))].ID, Qty: 1 + r.IntN(2)}}
		}
		refund, err := s.checkout.Refund(ctx, s.merchant, false, f, owner)
		var field *shop.FieldError
		switch {
		case errors.Is(err, checkout.ErrNothingToRefund), errors.Is(err, checkout.ErrOverRefund), errors.As(err, &field):
			return nil
		case err == nil && r.IntN(3) == 0:
			_, err = s.checkout.CancelRefund(ctx, s.merchant, false, refund.ID, ada)
		}
		return err
	}
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(8)
	for n := range 80 {
		g.Go(func() error { return try(ctx, n) })
	}
	require.NoError(t, g.Wait())
	given := func() int { return s.count(t, `SELECT coalesce(sum(amount), 0) FROM refunds WHERE status <> 'failed'`) }
	require.Positive(t, given())
	require.LessOrEqual(t, given(), int(purchase.Amount))
	if _, err := s.refund(t, checkout.RefundForm{Attempt: purchase.ID}); !errors.Is(err, checkout.ErrNothingToRefund) {
		require.NoError(t, err)
	}
	require.Equal(t, int(purchase.Amount), given(), "and not a unit less, once the rest has gone too")
	require.Zero(t, s.count(t, `SELECT count(*) FROM sales WHERE refunded > amount`))
}

func TestTicksPutStockBackAndTakeGoodsBack(t *testing.T) {
	t.Parallel()
	s := collecting(t, plan{})
	cup, book, game := s.stocked(t, "Cup", 5), s.book(t, "whole"), s.game(t, "KEY-1", "KEY-2")
	a := s.bought(t, "192.0.2.1", cup, 2, book, 1, game, 1)
	k := s.checkout.BuyerToken(t.Context(), a)
	s.paysFor(t, a)
	sales, err := s.checkout.SalesOf(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, 3, s.stock(t, cup).Free())
	require.Len(t, s.goods(t, a.ID), 2)

	one, err := s.refund(t, checkout.RefundForm{
		Attempt: a.ID, Lines: []checkout.RefundPiece{{Sale: sales[0].ID, Qty: 1}, {Sale: sales[2].ID, Qty: 1}},
		Effects: checkout.RefundEffects{Restock: true, Revoke: true},
	})
	require.NoError(t, err)
	s.awaitRefund(t, one.ID, checkout.RefundCompleted)
	require.Equal(t, 4, s.stock(t, cup).Free())
	require.Equal(t, 1, s.stock(t, game).Free(), "somebody has read the key")
	require.Len(t, s.goods(t, a.ID), 1, "the book is still his")
	require.True(t, s.purchase(t, a.ID).IsBuyer(k))

	rest, err := s.refund(t, checkout.RefundForm{Attempt: a.ID, Effects: checkout.RefundEffects{Restock: true, Revoke: true}})
	require.NoError(t, err)
	s.awaitRefund(t, rest.ID, checkout.RefundCompleted)
	require.Equal(t, 5, s.stock(t, cup).Free())
	require.Empty(t, s.goods(t, a.ID))
	require.False(t, s.purchase(t, a.ID).IsBuyer(k))
	_, _, err = s.checkout.Download(t.Context(), a.ID, 1, k, false)
	require.ErrorIs(t, err, checkout.ErrNotFound)
}

func TestGoodsAreTheBuyersUntilTheirMoneyIsBack(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	key := s.ownKey(t)
	a := s.bought(t, "192.0.2.1", s.book(t, "whole"), 1)
	k := s.checkout.BuyerToken(t.Context(), a)
	p := s.paysFor(t, a)
	payer := common.HexToAddress(p.Settlement.Payer)
	first, err := s.refund(t, checkout.RefundForm{Attempt: a.ID, Amount: part(400_000), Effects: checkout.RefundEffects{Revoke: true}})
	require.NoError(t, err)
	rest, err := s.refund(t, checkout.RefundForm{Attempt: a.ID, Effects: checkout.RefundEffects{Revoke: true}})
	require.NoError(t, err)
	sales, err := s.checkout.SalesOf(t.Context(), a.ID)
	require.NoError(t, err)
	send := func(r checkout.Refund) {
		_, err := s.checkout.ReportRefund(t.Context(), s.merchant, false, r.ID, sends(t, key, payer, r.Amount).Hex(), ada)
		require.NoError(t, err)
		s.awaitRefund(t, r.ID, checkout.RefundCompleted)
	}
	send(first)
	require.True(t, s.purchase(t, a.ID).IsBuyer(k), "the rest may never be sent")
	require.Len(t, s.goods(t, a.ID), 1)
	under, err := s.checkout.Refunding(t.Context(), sales)
	require.NoError(t, err)
	require.True(t, under[sales[0].ID])
	send(rest)
	require.False(t, s.purchase(t, a.ID).IsBuyer(k))
	require.Empty(t, s.goods(t, a.ID))
	under, err = s.checkout.Refunding(t.Context(), sales)
	require.NoError(t, err)
	require.Empty(t, under)
}

func TestARefundFreesItsCode(t *testing.T) {
	t.Parallel()
	s := collecting(t, plan{})
	code := s.newCode(t, shop.Terms{Off: shop.OffPercent, Percent: 50, Uses: 1})
	a, err := s.beginWith(t, code.Code)
	require.NoError(t, err)
	p := s.paysFor(t, a)
	require.Equal(t, 1, s.usedOf(t, code))
	r, err := s.refund(t, checkout.RefundForm{Attempt: p.ID, Effects: checkout.RefundEffects{FreeCode: true}})
	require.NoError(t, err)
	require.Equal(t, price/2, r.Amount, "what was paid, and not what it cost")
	s.awaitRefund(t, r.ID, checkout.RefundCompleted)
	require.Zero(t, s.usedOf(t, code))
}

func TestARoleGivesBackSoMuchADay(t *testing.T) {
	t.Parallel()
	s := collecting(t, plan{})
	p := s.pays(t)
	var person id.Person
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT person_id FROM members WHERE merchant_id = $1`, s.merchant).Scan(&person))
	s.exec(t, `UPDATE members SET refund_limit = 1000000 WHERE person_id = $1`, person)
	manager := checkout.Giver{By: ada, Role: access.Manager}
	manager.Person = person
	give := func(amount money.USDC) error {
		_, err := s.checkout.Refund(t.Context(), s.merchant, false, checkout.RefundForm{Attempt: p.ID, Amount: &amount}, manager)
		return err
	}
	require.NoError(t, give(600_000))
	require.ErrorIs(t, give(400_001), checkout.ErrRefundLimit)
	require.NoError(t, give(400_000))
	s.clock.advance(24 * time.Hour)
	require.NoError(t, give(1_000_000))
	_, err := s.checkout.Refund(t.Context(), s.merchant, false, checkout.RefundForm{Attempt: p.ID, Amount: part(1)},
		checkout.Giver{By: manager.By, Role: access.Viewer})
	require.Error(t, err)
}

func TestAnotherShopsSaleIsNotThere(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	p := s.pays(t)
	other := s.found(t, "bookshop", addressOf(newKey()))
	_, err := s.checkout.Refund(t.Context(), other, false, checkout.RefundForm{Attempt: p.ID}, owner)
	require.ErrorIs(t, err, checkout.ErrNotFound)
	_, err = s.checkout.Refund(t.Context(), s.merchant, true, checkout.RefundForm{Attempt: p.ID}, owner)
	require.ErrorIs(t, err, checkout.ErrNotFound)
}

// unexplained sends money that bought nothing, and returns what somebody has to decide on.
func (s *testShop) unexplained(t *testing.T, payer *ecdsa.PrivateKey, to common.Address) id.Exception {
	t.Helper()
	sends(t, payer, to, 1_500_000)
	s.watch(t)
	var exception id.Exception
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT id FROM exceptions WHERE kind = 'unmatched' AND payer = $1`, lower(addressOf(payer))).Scan(&exception))
	return exception
}

func lower(a common.Address) string { return strings.ToLower(a.Hex()) }

func TestMoneyThatBoughtNothingGoesBack(t *testing.T) {
	t.Parallel()
	s := collecting(t, plan{})
	s.watch(t)
	payer := newSpender(t, 2*money.One)
	exception := s.unexplained(t, payer, s.begin(t).PayTo)
	require.EqualValues(t, -1_500_000, s.holds(t, ledger.Exceptions))
	_, err := s.refund(t, checkout.RefundForm{Exception: exception, Amount: part(1)})
	var field *shop.FieldError
	require.ErrorAs(t, err, &field, "as a whole, or not at all")
	r, err := s.refund(t, checkout.RefundForm{Exception: exception})
	require.NoError(t, err)
	_, err = s.refund(t, checkout.RefundForm{Exception: exception})
	require.ErrorIs(t, err, checkout.ErrRefundUnderWay)
	s.awaitRefund(t, r.ID, checkout.RefundCompleted)
	require.Equal(t, 2*money.One, balanceOf(t, addressOf(payer)))
	for _, account := range []ledger.Account{ledger.Exceptions, ledger.Refunds, ledger.Deposit, ledger.Available} {
		require.Zero(t, s.holds(t, account), account)
	}
	_, err = s.refund(t, checkout.RefundForm{Exception: exception})
	require.ErrorIs(t, err, checkout.ErrDecided)
}

func TestAShopReturnsWhatItsOwnWalletGotForNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.watch(t)
	key := s.ownKey(t)
	payer := newSpender(t, 2*money.One)
	exception := s.unexplained(t, payer, s.payee)
	r, err := s.refund(t, checkout.RefundForm{Exception: exception})
	require.NoError(t, err)
	hash := sends(t, key, addressOf(payer), 1_500_000)
	_, err = s.checkout.ReportRefund(t.Context(), s.merchant, false, r.ID, hash.Hex(), ada)
	require.NoError(t, err)
	s.awaitRefund(t, r.ID, checkout.RefundCompleted)
	require.Zero(t, s.received(t), "it never was in the books")
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM exceptions WHERE resolution = 'refunded'`))
}
