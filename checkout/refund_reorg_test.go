package checkout_test

import (
	"crypto/ecdsa"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/evm/devchain"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/vault"
	"xsynesis/x402"
)

// keyOn gives the shop an address on a chain of its own, whose key the test has, with money since the first block.
func (s *testShop) keyOn(t *testing.T, dev *devchain.Chain) *ecdsa.PrivateKey {
	t.Helper()
	key := newBuyer(t)
	require.NoError(t, dev.FundGas(t.Context(), addressOf(key), ether(1)))
	s.payee = addressOf(key)
	s.exec(t, `UPDATE payees SET address = $1 WHERE merchant_id = $2`, strings.ToLower(s.payee.Hex()), s.merchant)
	return key
}

// returned is a refund that the shop's own wallet gave in a block of the chain, with its transaction.
func (s *testShop) returned(t *testing.T, dev *devchain.Chain, key *ecdsa.PrivateKey, f checkout.RefundForm) (checkout.Refund, *types.Transaction, int64) {
	t.Helper()
	r, err := s.refund(t, f)
	require.NoError(t, err)
	tx := transferOf(t, dev, key, common.HexToAddress(r.To), r.Amount)
	block := mine(t, dev, tx)
	r, err = s.checkout.ReportRefund(t.Context(), s.merchant, false, r.ID, tx.Hash().Hex(), ada)
	require.NoError(t, err)
	require.Equal(t, checkout.RefundCompleted, r.Status)
	return r, tx, block
}

func (s *testShop) blockOfRefund(t *testing.T, refund id.Refund) (hash string) {
	t.Helper()
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT coalesce(block_hash, '') FROM refunds WHERE id = $1`, refund).Scan(&hash))
	return hash
}

// looksFor has a refund looked for until that shows; a snooze asks for another look.
func (s *testShop) looksFor(t *testing.T, refund id.Refund, until func() bool, says string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_ = s.worker.checkout.LookForRefund(t.Context(), refund)
		return until()
	}, 40*time.Second, 50*time.Millisecond, says)
}

// awaitLost has the chain compared, until a refund is known to be in no block of it.
func (s *testShop) awaitLost(t *testing.T, refund id.Refund) {
	t.Helper()
	require.NoError(t, s.worker.checkout.Recheck(t.Context()))
	require.Eventually(t, func() bool {
		return s.count(t, `SELECT count(*) FROM refunds WHERE id = $1 AND status = 'completed' AND lost_at IS NOT NULL`, refund) == 1
	}, 20*time.Second, 50*time.Millisecond, "nobody notes that it is gone")
}

// countedBack is what the days' figures say that went back.
func (s *testShop) countedBack(t *testing.T) money.USDC {
	t.Helper()
	return money.USDC(s.count(t, `SELECT coalesce(sum(amount), 0) FROM sales_sums WHERE by = 'refund' AND span = 'day'`))
}

func TestARefundOfTheShopsOwnWalletSurvivesItsBlock(t *testing.T) {
	t.Parallel()
	for _, depth := range []uint64{1, 3, 20} {
		for name, again := range map[string]func(t *testing.T, dev *devchain.Chain, key *ecdsa.PrivateKey, tx *types.Transaction) common.Hash{
			"the same transaction": func(t *testing.T, dev *devchain.Chain, _ *ecdsa.PrivateKey, tx *types.Transaction) common.Hash {
				mine(t, dev, tx)
				return tx.Hash()
			},
			"another transaction": func(t *testing.T, dev *devchain.Chain, key *ecdsa.PrivateKey, tx *types.Transaction) common.Hash {
				dearer := transferOf(t, dev, key, common.BytesToAddress(tx.Data()[4:36]), 500_000)
				mine(t, dev, dearer)
				return dearer.Hash()
			},
		} {
			t.Run(fmt.Sprintf("%d deep, %s", depth, name), func(t *testing.T) {
				t.Parallel()
				dev := ownChain(t, 64)
				s := newShopWith(t, plan{chain: dev})
				key := s.keyOn(t, dev)
				_, _, p := s.paidOn(t)
				r, tx, block := s.returned(t, dev, key, checkout.RefundForm{Attempt: p.ID, Amount: part(500_000)})
				first := s.blockOfRefund(t, r.ID)
				grow(t, dev, depth-1)
				lose(t, dev, block)
				s.awaitLost(t, r.ID)
				require.Equal(t, price-500_000, s.received(t), "it may come back yet")

				hash := again(t, dev, key, tx)
				s.looksFor(t, r.ID, func() bool { return s.count(t, `SELECT count(*) FROM refunds WHERE lost_at IS NULL`) == 1 }, "it is not found in another block")
				require.NotEqual(t, first, s.blockOfRefund(t, r.ID))
				now, err := s.checkout.RefundByID(t.Context(), s.merchant, false, r.ID)
				require.NoError(t, err)
				require.Equal(t, checkout.RefundCompleted, now.Status)
				require.Equal(t, hash.Hex(), now.Transaction)
				require.Equal(t, price-500_000, s.received(t))
				require.EqualValues(t, 500_000, s.countedBack(t))
				require.Equal(t, 1, s.count(t, `SELECT count(*) FROM postings WHERE source LIKE $1 || '%'`, r.ID))
				require.Zero(t, s.count(t, `SELECT count(*) FROM notices WHERE kind = 'refund_taken_back'`))
			})
		}
	}
}

func TestARefundWhoseTransferIsGoneForGoodWaitsForItAgain(t *testing.T) {
	t.Parallel()
	for _, depth := range []uint64{1, 3, 20} {
		t.Run(fmt.Sprintf("%d deep", depth), func(t *testing.T) {
			t.Parallel()
			dev := ownChain(t, depth+3)
			s := newShopWith(t, plan{chain: dev})
			key := s.keyOn(t, dev)
			cup := s.stocked(t, "Cup", 5)
			p := s.paysFor(t, s.bought(t, "192.0.2.1", cup, 2))
			r, tx, block := s.returned(t, dev, key, checkout.RefundForm{Attempt: p.ID, Effects: checkout.RefundEffects{Restock: true}})
			require.Equal(t, 5, s.stock(t, cup).Free())
			grow(t, dev, depth-1)
			lose(t, dev, block)
			s.awaitLost(t, r.ID)
			require.Zero(t, s.received(t), "it may come back yet")
			grow(t, dev, depth+4)
			s.looksFor(t, r.ID, func() bool { return s.count(t, `SELECT count(*) FROM refunds WHERE status = 'sent'`) == 1 }, "it is not taken back")

			waits := s.awaitRefund(t, r.ID, checkout.RefundSent)
			require.Contains(t, waits.LastError, "The network took the transfer back")
			require.Nil(t, waits.EndedAt)
			_, ok := s.checkout.Prepared(waits)
			require.True(t, ok, "the wallet may send it again")
			require.Equal(t, p.Amount, s.received(t), "the shop has it")
			require.Zero(t, s.countedBack(t))
			require.EqualValues(t, p.Amount, s.count(t, `SELECT refunded FROM attempts`), "nobody else may give it back")
			require.Equal(t, 1, s.count(t, `SELECT count(*) FROM notices WHERE kind = 'refund_taken_back'`))
			require.Empty(t, s.findings(t))
			_, err := s.checkout.CancelRefund(t.Context(), s.merchant, false, r.ID, ada)
			require.ErrorIs(t, err, checkout.ErrRefundUnderWay, "it may still be on its way")

			mine(t, dev, tx)
			done := s.awaitRefund(t, r.ID, checkout.RefundCompleted)
			require.Equal(t, tx.Hash().Hex(), done.Transaction)
			require.Zero(t, s.received(t))
			require.Equal(t, p.Amount, s.countedBack(t))
			require.Equal(t, 5, s.stock(t, cup).Free(), "the pieces came back once")
			require.Equal(t, 2, s.count(t, `SELECT count(*) FROM postings WHERE kind = 'refund_completed'`))
			grow(t, dev, depth+4)
			require.Eventually(t, func() bool {
				require.NoError(t, s.worker.checkout.Recheck(t.Context()))
				return s.count(t, `SELECT count(*) FROM refunds WHERE final_at IS NOT NULL`) == 1
			}, 20*time.Second, 100*time.Millisecond, "it is not final")
		})
	}
}

func TestARefundThatTheNetworkTookBackIsCalledOff(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 4)
	s := newShopWith(t, plan{chain: dev})
	key := s.keyOn(t, dev)
	_, _, p := s.paidOn(t)
	r, _, block := s.returned(t, dev, key, checkout.RefundForm{Attempt: p.ID})
	lose(t, dev, block)
	s.awaitLost(t, r.ID)
	grow(t, dev, 6)
	s.looksFor(t, r.ID, func() bool { return s.count(t, `SELECT count(*) FROM refunds WHERE status = 'sent'`) == 1 }, "it is not taken back")
	s.clock.advance(11 * time.Minute)
	off, err := s.checkout.CancelRefund(t.Context(), s.merchant, false, r.ID, ada)
	require.NoError(t, err)
	require.Equal(t, checkout.RefundFailed, off.Status)
	require.Equal(t, price, s.received(t))
	require.Zero(t, s.count(t, `SELECT refunded FROM attempts`))
	require.Zero(t, s.count(t, `SELECT sum(refunded) FROM sales`))
	require.Zero(t, s.countedBack(t))
	again, err := s.refund(t, checkout.RefundForm{Attempt: p.ID})
	require.NoError(t, err)
	require.Equal(t, price, again.Amount)
}

func TestWhatARefundDecidedOnIsOpenAgainWhenItIsTakenBack(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 4)
	s := newShopWith(t, plan{chain: dev, quiet: true})
	key, payer := s.keyOn(t, dev), newBuyer(t)
	require.NoError(t, dev.FundGas(t.Context(), addressOf(payer), ether(1)))
	s.watch(t)
	mine(t, dev, transferOf(t, dev, payer, s.payee, 1_500_000))
	s.watch(t)
	var exception id.Exception
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT id FROM exceptions WHERE kind = 'unmatched'`).Scan(&exception))
	r, tx, block := s.returned(t, dev, key, checkout.RefundForm{Exception: exception})
	require.Zero(t, s.listed(t, "unmatched"))
	lose(t, dev, block)
	grow(t, dev, 6)
	s.looksFor(t, r.ID, func() bool { return s.listed(t, "unmatched") == 1 }, "it is not open again")
	_, err := s.refund(t, checkout.RefundForm{Exception: exception})
	require.ErrorIs(t, err, checkout.ErrRefundUnderWay, "one refund of it waits")
	mine(t, dev, tx)
	s.looksFor(t, r.ID, func() bool { return s.listed(t, "unmatched") == 0 }, "it is not decided again")
	require.Zero(t, s.received(t), "it never was in the books")
}

func TestNothingIsGivenBackOfAPaymentThatTheNetworkTookBack(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.ownKey(t)
	p := s.pays(t)
	waits, err := s.refund(t, checkout.RefundForm{Attempt: p.ID, Amount: part(500_000)})
	require.NoError(t, err)
	sent, err := s.refund(t, checkout.RefundForm{Attempt: p.ID, Amount: part(600_000)})
	require.NoError(t, err)
	_, err = s.checkout.ReportRefund(t.Context(), s.merchant, false, sent.ID, randomHash().Hex(), ada)
	require.NoError(t, err)
	require.NoError(t, s.worker.checkout.Reverse(t.Context(), p.Settlement.ID))

	waits = s.awaitRefund(t, waits.ID, checkout.RefundFailed)
	require.Contains(t, waits.LastError, "Do not send this.")
	sent = s.awaitRefund(t, sent.ID, checkout.RefundSent)
	require.Contains(t, sent.LastError, "Do not send this.")
	_, ok := s.checkout.Prepared(sent)
	require.False(t, ok, "nobody is asked to send it")
	sent, err = s.checkout.ReportRefund(t.Context(), s.merchant, false, sent.ID, randomHash().Hex(), ada)
	require.NoError(t, err)
	require.Contains(t, sent.LastError, "Do not send this.")
	s.clock.advance(11 * time.Minute)
	s.looksFor(t, sent.ID, func() bool { return s.count(t, `SELECT count(*) FROM refunds WHERE status = 'failed'`) == 2 }, "it waits for ever")
	require.Zero(t, s.count(t, `SELECT refunded FROM attempts`))
	_, err = s.refund(t, checkout.RefundForm{Attempt: p.ID})
	require.ErrorIs(t, err, checkout.ErrReversed)
	left, err := s.checkout.Refundable(t.Context(), s.merchant, false, s.saleOf(t, p))
	require.NoError(t, err)
	require.True(t, left.Reversed)
	require.Zero(t, left.Left)
}

func (s *testShop) saleOf(t *testing.T, p checkout.Purchase) id.Sale {
	t.Helper()
	sales, err := s.checkout.SalesOf(t.Context(), p.ID)
	require.NoError(t, err)
	return sales[0].ID
}

// depositKey is the key of the address that is kept for the shop.
func (s *testShop) depositKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	var address string
	var sealed []byte
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT address, sealed FROM deposit_addresses WHERE merchant_id = $1`, s.merchant).Scan(&address, &sealed))
	v, err := vault.New(masterKey)
	require.NoError(t, err)
	secret, err := v.Open("deposit_addresses/"+sepolia+" "+address+"/sealed", sealed)
	require.NoError(t, err)
	key, err := crypto.ToECDSA(secret)
	require.NoError(t, err)
	return key
}

// sentOf is what the sender says of a refund of kept money: its block, and whether it is looked for.
func (s *testShop) sentOf(t *testing.T, refund id.Refund) (block int64, hash string, lost bool) {
	t.Helper()
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT coalesce(block_number, 0), coalesce(block_hash, ''), lost_at IS NOT NULL FROM sendings WHERE id = $1`, refund).
		Scan(&block, &hash, &lost))
	return block, hash, lost
}

func TestARefundOfKeptMoneySurvivesItsBlock(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 64)
	s := collecting(t, plan{fee: 150, chain: dev})
	_, _, p := s.paidOn(t)
	r, err := s.refund(t, checkout.RefundForm{Attempt: p.ID, Amount: part(500_000)})
	require.NoError(t, err)
	s.awaitRefund(t, r.ID, checkout.RefundCompleted)
	block, first, _ := s.sentOf(t, r.ID)
	lose(t, dev, block)
	require.Eventually(t, func() bool {
		require.NoError(t, s.worker.custody.Keep(t.Context()))
		_, hash, lost := s.sentOf(t, r.ID)
		return hash != first && !lost
	}, 60*time.Second, 200*time.Millisecond, "it is not found in another block")
	block, _, _ = s.sentOf(t, r.ID)
	require.EqualValues(t, block, s.count(t, `SELECT block_number FROM refunds WHERE status = 'completed'`))
	require.Equal(t, price-500_000, s.holds(t, ledger.Deposit))
	require.EqualValues(t, 500_000, s.countedBack(t))
}

func TestARefundOfKeptMoneyThatIsGoneForGoodGoesBackToTheBalance(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 4)
	s := collecting(t, plan{fee: 150, chain: dev})
	_, _, p := s.paidOn(t)
	available := s.holds(t, ledger.Available)
	r, err := s.refund(t, checkout.RefundForm{Attempt: p.ID, Amount: part(500_000)})
	require.NoError(t, err)
	s.awaitRefund(t, r.ID, checkout.RefundCompleted)
	require.EqualValues(t, 500_000, s.countedBack(t))
	block, _, _ := s.sentOf(t, r.ID)
	var nonce string
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT nonce FROM sendings WHERE id = $1`, r.ID).Scan(&nonce))
	key := s.depositKey(t)
	s.worker.stop(t)
	lose(t, dev, block)
	sendOn(t, dev, cancelCall(t, s.network.Token, x402.Payment{Authorization: x402.Authorization{From: addressOf(key), Nonce: common.HexToHash(nonce)}}, key))
	s.worker = s.start(t, role{settles: true, works: true})
	require.NoError(t, s.worker.custody.Keep(t.Context()))
	grow(t, dev, 8)
	require.Eventually(t, func() bool {
		require.NoError(t, s.worker.custody.Keep(t.Context()))
		return s.count(t, `SELECT count(*) FROM refunds WHERE status = 'failed'`) == 1
	}, 60*time.Second, 200*time.Millisecond, "it does not come back")
	require.Equal(t, available, s.holds(t, ledger.Available))
	require.EqualValues(t, -30_000, s.holds(t, ledger.Fees))
	require.Zero(t, s.holds(t, ledger.Refunds))
	require.Equal(t, price, s.holds(t, ledger.Deposit))
	require.Zero(t, s.countedBack(t))
	require.Zero(t, s.count(t, `SELECT refunded FROM attempts`))
	again, err := s.refund(t, checkout.RefundForm{Attempt: p.ID})
	require.NoError(t, err)
	s.awaitRefund(t, again.ID, checkout.RefundCompleted)
	require.Zero(t, s.holds(t, ledger.Deposit))
}

func TestPartsOfAPurchaseAddUpToAllOfIt(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	beans, cup := s.stocked(t, "Beans", 9), s.item(t, shop.ItemForm{Title: "Cup", Price: 3_333_331})
	a, err := s.checkout.Start(t.Context(), checkout.Begin{
		Items: []shop.Want{{Item: beans.ID, Qty: 3}, {Item: cup.ID, Qty: 2}}, Merchant: s.merchant, Channel: "till",
		Choice: shop.Choice{Tip: 777_777, Discount: 1_000_003, DiscountTitle: "Regulars"},
	})
	require.NoError(t, err)
	p := s.paysFor(t, a)
	sales, err := s.checkout.SalesOf(t.Context(), p.ID)
	require.NoError(t, err)
	require.Len(t, sales, 4)
	var all money.USDC
	for _, f := range []checkout.RefundForm{
		{Attempt: p.ID, Lines: []checkout.RefundPiece{{Sale: sales[0].ID, Qty: 1}, {Sale: sales[1].ID, Qty: 1}}},
		{Attempt: p.ID, Amount: part(1_000_001)},
		{Sale: sales[1].ID, Amount: part(1)},
		{Attempt: p.ID, Lines: []checkout.RefundPiece{{Sale: sales[0].ID, Qty: 1}}},
		{Sale: sales[1].ID},
		{Attempt: p.ID},
	} {
		r, err := s.refund(t, f)
		require.NoError(t, err, "%+v", f)
		var lines money.USDC
		for _, l := range r.Lines {
			lines += l.Amount
		}
		require.Equal(t, r.Amount, lines, "each unit is some line's")
		all += r.Amount
	}
	require.Equal(t, p.Amount, all)
	require.EqualValues(t, p.Amount, s.count(t, `SELECT sum(refunded) FROM sales`))
	_, err = s.refund(t, checkout.RefundForm{Attempt: p.ID})
	require.ErrorIs(t, err, checkout.ErrNothingToRefund)
}

// listedOn is what a stranger sent that bought nothing, in a block of a chain that may lose it.
func (s *testShop) listedOn(t *testing.T, dev *devchain.Chain, to common.Address) (exception id.Exception, tx *types.Transaction, block int64) {
	t.Helper()
	payer := newBuyer(t)
	require.NoError(t, dev.FundGas(t.Context(), addressOf(payer), ether(1)))
	s.watch(t)
	tx = transferOf(t, dev, payer, to, 1_500_000)
	block = mine(t, dev, tx)
	s.watch(t)
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT id FROM exceptions WHERE kind = 'unmatched' AND resolution = ''`).Scan(&exception))
	return exception, tx, block
}

func TestNothingIsGivenBackOfATransferThatTheNetworkTookBack(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 4)
	s := newShopWith(t, plan{chain: dev, quiet: true})
	s.keyOn(t, dev)
	exception, _, block := s.listedOn(t, dev, s.payee)
	r, err := s.refund(t, checkout.RefundForm{Exception: exception})
	require.NoError(t, err)
	_, ok := s.checkout.Prepared(r)
	require.True(t, ok, "the shop's wallet is asked for it")
	lose(t, dev, block)
	grow(t, dev, 12)
	s.watchAgain(t)
	r = s.awaitRefund(t, r.ID, checkout.RefundFailed)
	require.Contains(t, r.LastError, "Do not send this.")
	require.Zero(t, s.listed(t, "unmatched"))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM exceptions WHERE resolution = 'reversed'`))
}

func TestADecisionOnATransferThatTheNetworkTookBackIsTakenBack(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 4)
	s := collecting(t, plan{chain: dev, quiet: true})
	exception, tx, block := s.listedOn(t, dev, s.holding(t).Deposit)
	require.NoError(t, s.checkout.Ignore(t.Context(), s.merchant, false, exception, "A gift", ada))
	require.EqualValues(t, 1_500_000, s.holding(t).Available)
	lose(t, dev, block)
	grow(t, dev, 12)
	s.watchAgain(t)
	for _, account := range []ledger.Account{ledger.Exceptions, ledger.Available, ledger.Deposit} {
		require.Zero(t, s.holds(t, account), account)
	}
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM notices WHERE kind = 'payment_reversed'`))

	mine(t, dev, tx)
	s.watchAgain(t)
	require.Equal(t, 1, s.listed(t, "unmatched"), "it is another transfer, and not decided on")
	require.EqualValues(t, -1_500_000, s.holds(t, ledger.Exceptions))
	require.Zero(t, s.holds(t, ledger.Available))
	require.Zero(t, s.holding(t).Drift)
}

func TestWhatWentBackOfATransferThatTheNetworkTookBackWasTheShops(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 4)
	s := collecting(t, plan{chain: dev})
	s.paidOn(t)
	exception, _, block := s.listedOn(t, dev, s.holding(t).Deposit)
	r, err := s.refund(t, checkout.RefundForm{Exception: exception})
	require.NoError(t, err)
	s.awaitRefund(t, r.ID, checkout.RefundCompleted)
	_, first, _ := s.sentOf(t, r.ID)
	lose(t, dev, block)
	require.Eventually(t, func() bool {
		require.NoError(t, s.worker.custody.Keep(t.Context()))
		_, hash, lost := s.sentOf(t, r.ID)
		return hash != first && !lost
	}, 60*time.Second, 200*time.Millisecond, "it is not sent once more")
	grow(t, dev, 12)
	s.watchAgain(t)
	h := s.holding(t)
	require.Equal(t, price-1_500_000, h.Available)
	require.Equal(t, price-1_500_000, h.Deposited)
	require.Zero(t, h.Open)
	require.Zero(t, h.InRefund)
	require.Zero(t, h.Drift)
}

func TestKeptMoneyIsNotGivenBackForAPaymentThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := collecting(t, plan{})
	s.pays(t)
	p := s.pays(t)
	lost := func(at any) { s.exec(t, `UPDATE settlements SET lost_at = $2 WHERE id = $1`, p.Settlement.ID, at) }
	s.worker.stop(t)
	r, err := s.refund(t, checkout.RefundForm{Attempt: p.ID})
	require.NoError(t, err)
	lost(s.clock.now())
	_, err = s.refund(t, checkout.RefundForm{Attempt: p.ID, Amount: part(1)})
	require.Error(t, err)
	s.worker = s.start(t, role{settles: true})
	var later *river.JobSnoozeError
	require.ErrorAs(t, s.worker.custody.Send(t.Context(), string(r.ID)), &later, "whether it comes back is not known")
	require.NoError(t, s.worker.checkout.Reverse(t.Context(), p.Settlement.ID))
	require.NoError(t, s.worker.custody.Send(t.Context(), string(r.ID)))
	r = s.awaitRefund(t, r.ID, checkout.RefundFailed)
	require.Contains(t, r.LastError, "Do not send this.")
	require.Equal(t, price, s.holds(t, ledger.Deposit))
	require.Zero(t, s.holds(t, ledger.Refunds))
}

func TestNoRefundBeginsWhileNoBlockHoldsThePayment(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.ownKey(t)
	p := s.pays(t)
	s.exec(t, `UPDATE settlements SET lost_at = $2 WHERE id = $1`, p.Settlement.ID, s.clock.now())
	_, err := s.refund(t, checkout.RefundForm{Attempt: p.ID})
	require.ErrorIs(t, err, checkout.ErrUnsettled)
	s.exec(t, `UPDATE settlements SET lost_at = NULL`)
	_, err = s.refund(t, checkout.RefundForm{Attempt: p.ID})
	require.NoError(t, err)
}
