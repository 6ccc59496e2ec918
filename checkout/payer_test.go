package checkout_test

import (
	"bytes"
	"context"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/x402"
)

// TestWhoKeepsHisMoneyIsRefused pays from a wallet that is emptied after its payment was tried and before it is mined.
func TestWhoKeepsHisMoneyIsRefused(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	s := newShopWith(t, plan{rpc: l.URL, wait: time.Second})
	pays := func() error {
		a := s.begin(t)
		_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
		return err
	}
	for n := range 3 {
		l.mu.Lock()
		clear(l.asked)
		l.mu.Unlock()
		l.hold("eth_sendRawTransaction")
		require.ErrorIs(t, pays(), checkout.ErrPending)
		l.awaitHeld(t, "eth_sendRawTransaction")
		s.empty(t)
		l.mend()
		require.Eventually(t, func() bool {
			return s.count(t, `SELECT count(*) FROM settlements WHERE reverted_at IS NOT NULL`) == n+1
		}, 60*time.Second, 50*time.Millisecond, "nobody noticed")
		require.NoError(t, world.dev().Mint(t.Context(), addressOf(s.buyer), pocket))
	}
	before := s.count(t, `SELECT count(*) FROM claims`)
	requireInvalid(t, x402.Unreliable, pays())
	require.Equal(t, before, s.count(t, `SELECT count(*) FROM claims`), "it costs us nothing any more")

	a := s.begin(t)
	_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, newBuyer(t)))
	require.True(t, err == nil || errors.Is(err, checkout.ErrPending), "%v", err)
	require.Equal(t, checkout.Settled, s.awaitStatus(t, a.ID, checkout.Settled).Status, "others pay as ever")

	_, err = s.pool.Exec(t.Context(), `UPDATE settlements SET reverted_at = reverted_at - interval '25 hours' WHERE reverted_at IS NOT NULL`)
	require.NoError(t, err)
	err = pays()
	require.True(t, err == nil || errors.Is(err, checkout.ErrPending), "a day is enough: %v", err)
}

// empty lets the buyer take all his money somewhere else.
func (s *testShop) empty(t *testing.T) {
	t.Helper()
	balance := balanceOf(t, addressOf(s.buyer))
	want := x402.Requirement{Token: s.network.Token, Amount: balance, PayTo: addressOf(newKey())}
	sendByStranger(t, transferCall(signed(t, 1, want, x402.Authorization{
		From: addressOf(s.buyer), To: want.PayTo, Value: big.NewInt(int64(balance)), ValidAfter: new(big.Int),
		ValidBefore: big.NewInt(time.Now().Add(time.Hour).Unix()), Nonce: randomHash(),
	}, s.buyer)))
	require.Equal(t, money.USDC(0), balanceOf(t, addressOf(s.buyer)))
}

func TestAWalletThatIsNotOnTheChainIsToldSo(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.begin(t)
	payment := s.sign(t, a, s.buyer)
	payment.Signature = append(payment.Signature, bytes.Repeat([]byte{0x64, 0x92}, 16)...)
	_, err := s.checkout.Pay(t.Context(), a.ID, payment)
	requireInvalid(t, x402.Undeployed, err)
	require.ErrorContains(t, err, "ERC-6492")
	require.Zero(t, s.count(t, `SELECT count(*) FROM claims`))
	p, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)
	s.soldOnce(t, p)
}

// TestWhoLetsSellersWorkForNothingIsRefused empties the payer's wallet while the seller's server works for him.
func TestWhoLetsSellersWorkForNothingIsRefused(t *testing.T) {
	t.Parallel()
	a := newAPI(t, plan{}, shop.EndpointForm{})
	well, poor := a.answers, func(context.Context) (checkout.Answer, error) {
		a.empty(t)
		return checkout.Answer{Status: 200, Body: []byte("dry")}, nil
	}
	for n := range 10 {
		a.answers = poor
		called, err := a.checkout.Call(t.Context(), a.calling(t))
		requireInvalid(t, x402.Funds, err)
		require.Empty(t, called.Answer, "who does not pay gets nothing")
		require.EqualValues(t, n+1, a.asked.Load())
		require.NoError(t, world.dev().Mint(t.Context(), addressOf(a.buyer), pocket))
	}
	require.Zero(t, a.received(t))
	require.Zero(t, a.count(t, `SELECT count(*) FROM claims WHERE released_at IS NULL`))
	require.Zero(t, a.count(t, `SELECT count(*) FROM attempts WHERE status <> 'cancelled'`))
	a.answers = well
	_, err := a.checkout.Call(t.Context(), a.calling(t))
	requireInvalid(t, x402.Unreliable, err)
	require.EqualValues(t, 10, a.asked.Load(), "nobody works for him any more")

	a.exec(t, `UPDATE settlements SET unpaid_at = unpaid_at - interval '61 minutes'`)
	called, err := a.checkout.Call(t.Context(), a.calling(t))
	require.NoError(t, err, "an hour later he may")
	a.soldOnce(t, called.Purchase)
}
