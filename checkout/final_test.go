package checkout_test

import (
	"context"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/id"
	"xsynesis/x402"
)

// ownChain is a chain that no other test's payments are on, so that it may lose blocks. It is final that many blocks behind.
func ownChain(t *testing.T, finality uint64) *devchain.Chain {
	t.Helper()
	world.dev()
	alloc := map[common.Address]devchain.Account{}
	for _, key := range world.gas {
		alloc[addressOf(key)] = devchain.Account{ETH: ether(10)}
	}
	for _, key := range world.buyers {
		alloc[addressOf(key)] = devchain.Account{USDC: pocket}
	}
	dev, err := devchain.Start(context.Background(), devchain.Options{Alloc: alloc, Finality: finality})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, dev.Stop()) })
	return dev
}

// grow makes the chain that many blocks longer.
func grow(t *testing.T, dev *devchain.Chain, blocks uint64) {
	t.Helper()
	chain := dial(t, dev.URL())
	head, err := chain.Head(t.Context())
	require.NoError(t, err)
	for to := head.Number + blocks; head.Number < to; {
		require.NoError(t, dev.FundGas(t.Context(), common.Address{1}, big.NewInt(1)))
		head, err = chain.Head(t.Context())
		require.NoError(t, err)
	}
}

// lose takes the block with a payment away, and all after it.
func lose(t *testing.T, dev *devchain.Chain, block int64) {
	t.Helper()
	require.NoError(t, dev.Rewind(uint64(block)-1))
}

// paidOn is a purchase that is paid in a block of the shop's own chain.
func (s *testShop) paidOn(t *testing.T) (checkout.Attempt, x402.Payment, checkout.Purchase) {
	t.Helper()
	a := s.begin(t)
	payment := s.sign(t, a, s.buyer)
	_, err := s.checkout.Pay(t.Context(), a.ID, payment)
	require.NoError(t, err)
	paid := s.awaitStatus(t, a.ID, checkout.Settled)
	chain := dial(t, s.chain.URL())
	require.Eventually(t, func() bool { // a receipt is there a moment before its block is the latest
		head, err := chain.Head(t.Context())
		return err == nil && head.Number >= uint64(paid.Settlement.Block)
	}, 5*time.Second, 5*time.Millisecond)
	return a, payment, paid
}

func (s *testShop) blockOf(t *testing.T, a checkout.Attempt) (hash string) {
	t.Helper()
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT coalesce(block_hash, '') FROM settlements WHERE attempt_id = $1`, a.ID).Scan(&hash))
	return hash
}

func TestAPaymentSurvivesItsBlock(t *testing.T) {
	t.Parallel()
	for _, depth := range []uint64{1, 3, 20} {
		t.Run(fmt.Sprintf("%d deep, sent again", depth), func(t *testing.T) {
			t.Parallel()
			dev := ownChain(t, 64)
			s := newShopWith(t, plan{chain: dev})
			a, _, p := s.paidOn(t)
			first := s.blockOf(t, a)
			grow(t, dev, depth-1)
			lose(t, dev, p.Settlement.Block)
			require.Eventually(t, func() bool {
				require.NoError(t, s.worker.checkout.Recheck(t.Context()))
				return s.blockOf(t, a) != first
			}, 60*time.Second, time.Second, "it is not found in another block")
			require.Equal(t, checkout.Settled, s.status(t, a.ID))
			require.Equal(t, a.Amount, s.received(t))
			require.Zero(t, s.count(t, `SELECT count(*) FROM settlements WHERE lost_at IS NOT NULL`))
		})
		t.Run(fmt.Sprintf("%d deep, sent by somebody else", depth), func(t *testing.T) {
			t.Parallel()
			dev := ownChain(t, 64)
			s := newShopWith(t, plan{chain: dev})
			a, payment, p := s.paidOn(t)
			grow(t, dev, depth-1)
			s.worker.stop(t)
			lose(t, dev, p.Settlement.Block)
			theirs := sendOn(t, dev, transferCall(payment))
			s.worker = s.start(t, role{settles: true, works: true})
			require.Eventually(t, func() bool {
				require.NoError(t, s.worker.checkout.Recheck(t.Context()))
				return s.count(t, `SELECT count(*) FROM settlements WHERE transaction = $1 AND status = 'confirmed'`, theirs.Hex()) == 1
			}, 60*time.Second, time.Second, "it is not found in the other transaction")
			require.Equal(t, 1, s.count(t, `SELECT count(*) FROM sales WHERE transaction = $1`, theirs.Hex()))
			require.Equal(t, checkout.Settled, s.status(t, a.ID))
		})
	}
}

func TestAPaymentThatIsGoneForGoodIsTakenBack(t *testing.T) {
	t.Parallel()
	for _, depth := range []uint64{1, 3, 20} {
		t.Run(fmt.Sprintf("%d deep", depth), func(t *testing.T) {
			t.Parallel()
			dev := ownChain(t, depth+3)
			s := newShopWith(t, plan{chain: dev})
			a, payment, p := s.paidOn(t)
			grow(t, dev, depth-1)
			k := s.checkout.BuyerToken(t.Context(), p.Attempt)
			require.NotEmpty(t, k)
			s.worker.stop(t)
			lose(t, dev, p.Settlement.Block)
			sendOn(t, dev, cancelCall(t, s.network.Token, payment, s.buyer))
			s.worker = s.start(t, role{settles: true, works: true})

			require.NoError(t, s.worker.checkout.Recheck(t.Context()))
			require.Eventually(t, func() bool {
				return s.count(t, `SELECT count(*) FROM settlements WHERE lost_at IS NOT NULL`) == 1
			}, 20*time.Second, 50*time.Millisecond, "nobody notes that it is gone")
			require.Equal(t, checkout.Settled, s.status(t, a.ID), "it may come back yet")
			grow(t, dev, depth+4)
			require.Eventually(t, func() bool {
				require.NoError(t, s.worker.checkout.Recheck(t.Context()))
				return s.status(t, a.ID) == checkout.Reversed
			}, 60*time.Second, time.Second, "it is not taken back")

			require.Zero(t, s.received(t))
			require.Equal(t, 2, s.count(t, `SELECT count(*) FROM postings WHERE source = $1 AND kind IN ('sale', 'reversal')`, p.Settlement.ID))
			require.Equal(t, 1, s.count(t, `SELECT count(*) FROM events WHERE event_type = 'settlement.reversed'`))
			require.Equal(t, 1, s.count(t, `SELECT count(*) FROM notices WHERE kind = 'payment_reversed'`))
			require.Zero(t, s.count(t, `SELECT sum(payments) FROM link_totals`), "its link was not paid")
			require.Zero(t, s.count(t, `SELECT sum(amount) FROM link_totals`))
			now, err := s.checkout.Purchase(t.Context(), a.ID)
			require.NoError(t, err)
			require.False(t, now.IsBuyer(k), "what was bought is not his any more")
			require.NoError(t, s.worker.checkout.Find(t.Context(), p.Settlement.ID), "twice is once")
		})
	}
}

func TestAPaymentForAnotherServerMovesAndIsTakenBack(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 8)
	s := newShopWith(t, plan{chain: dev, wait: 10 * time.Second, policy: checkout.FacilitateOwn, budget: 100})
	s.collects(t)
	asked := s.elsewhere(t, 2, s.holding(t).Deposit)
	paid, err := s.checkout.SettleFor(t.Context(), asked, checkout.Caller{Address: "192.0.2.1"})
	require.NoError(t, err)
	block := func() (at int64, hash string) {
		require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT block_number, block_hash FROM settlements`).Scan(&at, &hash))
		return at, hash
	}
	reconciled := func() {
		require.NoError(t, s.worker.checkout.ReconcileChains(t.Context()))
		require.Empty(t, s.unresolved(t, false), "nothing differs")
	}
	reconciled()
	at, first := block()
	lose(t, dev, at)
	require.Eventually(t, func() bool {
		require.NoError(t, s.worker.checkout.Recheck(t.Context()))
		_, now := block()
		return now != first
	}, 60*time.Second, 200*time.Millisecond, "it is not found in another block")
	require.Equal(t, price, s.holding(t).Available)
	reconciled()

	s.worker.stop(t)
	at, _ = block()
	lose(t, dev, at)
	sendOn(t, dev, cancelCall(t, s.network.Token, asked.Payment, s.buyer))
	s.worker = s.start(t, role{settles: true, works: true})
	grow(t, dev, 12)
	require.Eventually(t, func() bool {
		require.NoError(t, s.worker.checkout.Recheck(t.Context()))
		return s.count(t, `SELECT count(*) FROM settlements WHERE status = 'reversed' AND transaction = $1`, paid.Transaction) == 1
	}, 60*time.Second, 200*time.Millisecond, "it is not taken back")
	h := s.holding(t)
	require.Zero(t, h.Available, "nobody is owed what is not there")
	require.Zero(t, h.Deposited)
	require.Zero(t, h.Drift)
	reconciled()
}

func TestATransferThatIsGoneForGoodIsTakenBack(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 6)
	s := newShopWith(t, plan{chain: dev})
	a := s.begin(t)
	m, err := s.checkout.OpenManual(t.Context(), a.ID)
	require.NoError(t, err)
	reconcile := func() { require.NoError(t, s.worker.checkout.ReconcileChains(t.Context())) }
	reconcile()
	s.gift(t, dev, m.Amount)
	reconcile()
	p := s.awaitStatus(t, a.ID, checkout.Settled)
	lose(t, dev, p.Settlement.Block)
	require.NoError(t, s.worker.checkout.Find(t.Context(), p.Settlement.ID))
	require.Equal(t, checkout.Settled, s.status(t, a.ID), "it may come back yet")
	grow(t, dev, 8)
	require.Eventually(t, func() bool {
		require.NoError(t, s.worker.checkout.Find(t.Context(), p.Settlement.ID))
		return s.status(t, a.ID) == checkout.Reversed
	}, 40*time.Second, time.Second)
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM transfers WHERE state = 'gone'`))
	s.gift(t, dev, m.Amount)
	reconcile()
	open := s.unresolved(t, false)
	require.Len(t, open, 1, "what comes later pays nothing by itself")
	require.Equal(t, "unmatched", open[0].Kind, "it was not paid twice: what was paid before is gone")
}

func TestALargePaymentWaitsUntilItsBlockIsSafe(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 6)
	s := newShopWith(t, plan{chain: dev, wait: time.Second})
	s.exec(t, `UPDATE merchants SET confirm_limit = $1`, int64(price-1))
	a := s.begin(t)
	_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.ErrorIs(t, err, checkout.ErrPending)
	require.Equal(t, checkout.Settling, s.status(t, a.ID))
	p := s.awaitStatus(t, a.ID, checkout.Settled)
	safe, err := dial(t, dev.URL()).Safe(t.Context())
	require.NoError(t, err)
	require.LessOrEqual(t, uint64(p.Settlement.Block), safe.Number)
}

func TestWhatAStrangerSendsWaitsAsLong(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 20) // safe is ten blocks behind
	s := newShopWith(t, plan{chain: dev, quiet: true})
	s.exec(t, `UPDATE merchants SET confirm_limit = $1`, int64(price-1))
	a, poor := s.begin(t), newKey()
	payment := s.sign(t, a, poor)
	require.NoError(t, settled(s.worker.checkout.Settle(t.Context(), s.claim(t, a, payment))))
	require.Equal(t, checkout.Open, s.status(t, a.ID), "he has no money")
	require.NoError(t, dev.Mint(t.Context(), addressOf(poor), price))
	sendOn(t, dev, transferCall(payment))
	s.watch(t)
	var claim id.Claim
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT id FROM claims`).Scan(&claim))
	var later *river.JobSnoozeError
	require.ErrorAs(t, s.worker.checkout.Look(t.Context(), claim), &later)
	require.Equal(t, checkout.Open, s.status(t, a.ID), "it is not deep enough")
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM transfers WHERE state = 'seen'`))
	grow(t, dev, 10)
	s.watchAgain(t)
	require.Equal(t, checkout.Settled, s.status(t, a.ID))
}

func TestAPaymentForAnotherServerWaitsAsLong(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 20)
	s := newShopWith(t, plan{chain: dev, wait: time.Second, policy: checkout.FacilitateOwn, budget: 100})
	s.collects(t)
	s.exec(t, `UPDATE merchants SET confirm_limit = $1`, int64(price-1))
	asked, who := s.elsewhere(t, 2, s.holding(t).Deposit), checkout.Caller{Address: "192.0.2.1"}
	_, err := s.checkout.SettleFor(t.Context(), asked, who)
	require.ErrorIs(t, err, checkout.ErrPending)
	h := s.holding(t)
	require.Equal(t, price, h.Pending)
	require.Zero(t, h.Available)
	require.Zero(t, h.Drift, "it is being paid")
	grow(t, dev, 10)
	require.Eventually(t, func() bool {
		_, err := s.checkout.SettleFor(t.Context(), asked, who)
		return err == nil
	}, 40*time.Second, 100*time.Millisecond)
	require.Equal(t, price, s.holding(t).Available)
}

func TestAPaymentThatOneNodeVouchesForHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 20)
	s := newShopWith(t, plan{chain: dev, quiet: true})
	s.exec(t, `UPDATE merchants SET confirm_limit = $1`, int64(price-1))
	a, m := s.open(t)
	lone := s.start(t, role{rpc: dev.URL() + " http://127.0.0.1:1"}).checkout
	require.NoError(t, lone.Watch(t.Context()))
	require.NoError(t, dev.Mint(t.Context(), a.PayTo, m.Amount))
	require.NoError(t, dev.Mint(t.Context(), a.PayTo, 50_000))
	for range 2 {
		require.NoError(t, lone.Watch(t.Context()))
	}
	require.NoError(t, lone.ReconcileChains(t.Context()))
	require.Equal(t, checkout.Open, s.status(t, a.ID), "one node is not enough for so much")
	require.Equal(t, 1, s.listed(t, "unmatched"), "what came after it")
	grow(t, dev, 10)
	s.watchAgain(t)
	require.Equal(t, checkout.Settled, s.status(t, a.ID))
}

func TestNodesThatDisagreeMakeAPaymentWait(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 4)
	other := ownChain(t, 4)
	network := dial(t, dev.URL()).Network()
	network.RPC = []string{dev.URL(), other.URL()}
	both := evm.Dial(network, evm.Options{})
	grow(t, dev, 2)
	head, err := both.Head(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool { // until it has such a block as well
		number, err := other.Client().BlockNumber(t.Context())
		return err == nil && number >= head.Number
	}, 20*time.Second, 50*time.Millisecond)
	require.ErrorIs(t, both.Agree(t.Context(), head.Number, head.Hash, time.Second), evm.ErrDisagree)

	network.RPC = []string{dev.URL(), dev.URL()}
	require.NoError(t, evm.Dial(network, evm.Options{}).Agree(t.Context(), head.Number, head.Hash, time.Second))
	network.RPC = []string{dev.URL(), "http://127.0.0.1:1"}
	alone := evm.Dial(network, evm.Options{})
	require.ErrorIs(t, alone.Agree(t.Context(), head.Number, head.Hash, time.Second), evm.ErrAlone)
	network.RPC = []string{dev.URL()}
	require.NoError(t, evm.Dial(network, evm.Options{}).Agree(t.Context(), head.Number, head.Hash, time.Second))
}

// sendOn lets a stranger send a transaction to the token of a chain of a test's own, and waits until it is mined.
func sendOn(t *testing.T, dev *devchain.Chain, data []byte) common.Hash {
	t.Helper()
	key := newGas(t)
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(devchain.ChainID)), &types.DynamicFeeTx{
		ChainID: big.NewInt(devchain.ChainID), To: &devchain.USDC, Value: new(big.Int), Data: data, Gas: 200_000,
		GasTipCap: big.NewInt(5e9), GasFeeCap: big.NewInt(1e11),
	})
	require.NoError(t, err)
	require.NoError(t, dev.Client().SendTransaction(t.Context(), tx))
	require.Eventually(t, func() bool {
		receipt, err := dev.Client().TransactionReceipt(t.Context(), tx.Hash())
		return err == nil && receipt.Status == types.ReceiptStatusSuccessful
	}, 20*time.Second, 20*time.Millisecond, "the stranger's transaction is not mined")
	return tx.Hash()
}
