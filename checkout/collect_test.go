package checkout_test

import (
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/ledger"
	"xsynesis/money"
)

// holding is how the shop's money stands.
func (s *testShop) holding(t *testing.T) ledger.Holding {
	t.Helper()
	all, err := s.web.custody.Holdings(t.Context(), s.merchant, false)
	require.NoError(t, err)
	require.Len(t, all, 1)
	return all[0]
}

func TestWhatIsKeptForAShopIsOwedToItLessTheFee(t *testing.T) {
	t.Parallel()
	s := collecting(t, plan{fee: 250})
	h := s.holding(t)
	require.NotEqual(t, common.Address{}, h.Deposit)
	require.Equal(t, h.Deposit, common.HexToAddress(s.offer(t).PayTo))
	p := s.pays(t)
	fee := ledger.Fee(price, 250)
	require.Positive(t, fee)
	require.Equal(t, h.Deposit, p.PayTo)
	require.True(t, p.Collected)
	h = s.holding(t)
	require.Equal(t, price-fee, h.Available)
	require.Equal(t, fee, h.Fees)
	require.Equal(t, price, h.Deposited)
	require.Equal(t, price, h.OnChain.Amount)
	require.Zero(t, h.Received)
	require.Zero(t, h.Drift)
	require.Equal(t, price, balanceOf(t, h.Deposit))
	require.Equal(t, fee, s.count64(t, `SELECT sum(fee)::bigint FROM sales`))
	require.Equal(t, fee, s.count64(t, `SELECT sum(fee)::bigint FROM settlements`))
	findings, err := s.worker.custody.Audit(t.Context())
	require.NoError(t, err)
	require.Empty(t, findings)
}

func TestAFeeIsNoneWhereAShopIsPaidAtItsOwnAddress(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{fee: 250})
	s.pays(t)
	h := s.holding(t)
	require.Equal(t, price, h.Received)
	require.Zero(t, h.Fees)
	require.Zero(t, h.Available)
	require.Zero(t, s.count64(t, `SELECT sum(fee)::bigint FROM settlements`))
}

func TestSwitchingWhoKeepsTheMoneyTouchesNoOpenPurchase(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	direct := s.begin(t)
	s.collects(t)
	kept := s.begin(t)
	require.NoError(t, s.web.custody.SetMode(t.Context(), s.merchant, sepolia, false, ada))
	own := s.begin(t)
	require.Equal(t, s.payee, direct.PayTo)
	require.NotEqual(t, s.payee, kept.PayTo)
	require.Equal(t, s.payee, own.PayTo)
	for _, a := range []checkout.Attempt{direct, kept, own} {
		s.paysFor(t, a)
	}
	h := s.holding(t)
	require.Equal(t, 2*price, h.Received)
	require.Equal(t, price, h.Available)
	require.Equal(t, kept.PayTo, h.Deposit)
	require.False(t, h.Collects)
}

func TestAPaymentForAnotherServerToAKeptAddressIsOwedToItsShop(t *testing.T) {
	t.Parallel()
	s := facilitating(t, checkout.FacilitateOwn, 100)
	s.collects(t)
	deposit := s.holding(t).Deposit
	_, err := s.checkout.SettleFor(t.Context(), s.elsewhere(t, 2, deposit), checkout.Caller{Address: "192.0.2.1"})
	require.NoError(t, err)
	h := s.holding(t)
	require.Equal(t, price, h.Available)
	require.Equal(t, price, h.Deposited)
	require.Equal(t, money.USDC(0), h.Drift)
	require.Zero(t, s.count(t, `SELECT count(*) FROM sales`), "it is no sale of ours")
}

func TestMoneyAboveTheLimitIsPendingUntilItsBlockIsSafe(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 20) // safe is ten blocks behind
	s := newShopWith(t, plan{chain: dev, wait: time.Second})
	s.collects(t)
	payOut := func() error {
		_, err := s.web.custody.CreatePayout(t.Context(), s.merchant, false, ledger.PayoutForm{Amount: 1, Destination: s.payee.Hex(), By: ada})
		return err
	}
	s.exec(t, `UPDATE payees SET proven_at = $1`, s.clock.now().Add(-48*time.Hour))
	s.exec(t, `UPDATE merchants SET confirm_limit = $1`, int64(price-1))
	a := s.begin(t)
	_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.ErrorIs(t, err, checkout.ErrPending)
	h := s.holding(t)
	require.Equal(t, price, h.Pending)
	require.Zero(t, h.Available)
	require.Zero(t, h.Drift, "it is being paid")
	require.ErrorIs(t, payOut(), ledger.ErrInsufficient)
	grow(t, dev, 10)
	s.awaitStatus(t, a.ID, checkout.Settled)
	h = s.holding(t)
	require.Zero(t, h.Pending)
	require.Equal(t, price, h.Available)
	require.NoError(t, payOut())
}

func TestATransferAboveTheLimitIsPendingUntilItsBlockIsSafe(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 20) // safe is ten blocks behind
	s := newShopWith(t, plan{chain: dev, quiet: true})
	s.collects(t)
	s.exec(t, `UPDATE merchants SET confirm_limit = $1`, int64(price-1))
	a, m := s.open(t)
	require.NoError(t, dev.Mint(t.Context(), a.PayTo, m.Amount))
	s.watch(t)
	h := s.holding(t)
	require.Equal(t, m.Amount, h.Pending)
	require.Zero(t, h.Available)
	require.Zero(t, h.Drift, "it is being paid")
	grow(t, dev, 10)
	s.watchAgain(t)
	require.Equal(t, checkout.Settled, s.status(t, a.ID))
	h = s.holding(t)
	require.Zero(t, h.Pending)
	require.Equal(t, m.Amount, h.Available)
}
