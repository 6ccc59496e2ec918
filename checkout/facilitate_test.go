package checkout_test

import (
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/evm"
	"xsynesis/x402"
)

// facilitating is a shop that settles for others by this policy.
func facilitating(t *testing.T, p checkout.FacilitatorPolicy, budget int) *testShop {
	t.Helper()
	s := newShopWith(t, plan{wait: 10 * time.Second, policy: p, budget: budget})
	return s
}

// elsewhere is a payment for what another server sells.
func (s *testShop) elsewhere(t *testing.T, version int, payee common.Address) x402.Asked {
	t.Helper()
	want := x402.Requirement{Token: s.network.Token, Amount: price, PayTo: payee, MaxTimeout: time.Minute}
	p := signed(t, version, want, x402.Authorization{
		From: addressOf(s.buyer), To: payee, Value: big.NewInt(int64(price)), ValidAfter: new(big.Int),
		ValidBefore: big.NewInt(s.clock.now().Add(time.Minute).Unix()), Nonce: randomHash(),
	}, s.buyer)
	return x402.Asked{Version: version, Payment: p, Requirement: x402.Accepted{
		Network: want.Token.NetworkName(version), Amount: big.NewInt(int64(price)), Asset: want.Token.Address, PayTo: payee, Name: "USDC", Version: "2",
	}}
}

func TestAPaymentForAnotherServerIsSettledOnce(t *testing.T) {
	t.Parallel()
	s := facilitating(t, checkout.FacilitateOwn, 100)
	for _, version := range []int{1, 2} {
		asked := s.elsewhere(t, version, s.payee)
		require.NoError(t, s.checkout.VerifyFor(t.Context(), asked, checkout.Caller{Address: "192.0.2.1"}))
		answers := make([]checkout.Settlement, 20)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() {
				var err error
				answers[i], err = s.checkout.SettleFor(t.Context(), asked, checkout.Caller{Address: "192.0.2.1"})
				if err != nil {
					t.Errorf("settle: %v", err)
				}
			})
		}
		all.Wait()
		for _, a := range answers {
			require.NotEmpty(t, a.Transaction)
			require.Equal(t, answers[0].Transaction, a.Transaction)
		}
		requireInvalid(t, x402.NonceUsed, s.checkout.VerifyFor(t.Context(), asked, checkout.Caller{}))
	}
	require.Equal(t, 2*price, balanceOf(t, s.payee))
	require.Equal(t, 2, s.count(t, `SELECT count(*) FROM settlements WHERE attempt_id IS NULL AND merchant_id = $1`, s.merchant))
	require.Zero(t, s.count(t, `SELECT count(*) FROM sales`), "it is no sale of ours")
	require.Zero(t, s.received(t), "and in no balance")
	require.Equal(t, 2, s.count(t, `SELECT used FROM facilitator_budgets`))
}

func TestAPaymentBuysHereOrElsewhere(t *testing.T) {
	t.Parallel()
	s := facilitating(t, checkout.FacilitateOwn, 100)
	o := s.offer(t)
	here := s.answer(t, o, s.buyer)
	_, err := s.checkout.PayLink(t.Context(), o, here, checkout.Request{})
	require.NoError(t, err)
	want := s.checkout.Offered(o)
	asked := x402.Asked{Version: 2, Payment: here, Requirement: x402.Accepted{
		Network: want.Token.Network, Amount: big.NewInt(int64(want.Amount)), Asset: want.Token.Address, PayTo: want.PayTo, Name: "USDC", Version: "2",
	}}
	_, err = s.checkout.SettleFor(t.Context(), asked, checkout.Caller{})
	requireInvalid(t, x402.NonceUsed, err)

	asked = s.elsewhere(t, 2, s.payee)
	_, err = s.checkout.SettleFor(t.Context(), asked, checkout.Caller{})
	require.NoError(t, err)
	_, err = s.checkout.PayLink(t.Context(), o, asked.Payment, checkout.Request{})
	require.Error(t, err)
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM sales`))
}

func TestWhomAFacilitatorServes(t *testing.T) {
	t.Parallel()
	stranger := addressOf(newKey())
	for _, tt := range []struct {
		policy  checkout.FacilitatorPolicy
		foreign bool
		key     bool
		err     error
	}{
		{checkout.FacilitateOwn, false, false, nil},
		{checkout.FacilitateOwn, true, true, checkout.ErrNotFacilitated},
		{checkout.FacilitateKey, true, true, nil},
		{checkout.FacilitateKey, false, false, checkout.ErrFacilitatorKey},
		{checkout.FacilitateOpen, true, false, nil},
		{checkout.FacilitateOff, false, true, checkout.ErrNotFacilitated},
	} {
		t.Run(fmt.Sprintf("%s foreign=%t key=%t", tt.policy, tt.foreign, tt.key), func(t *testing.T) {
			t.Parallel()
			s := facilitating(t, tt.policy, 1)
			payee, who := s.payee, checkout.Caller{Address: "192.0.2.1"}
			if tt.foreign {
				payee = stranger
			}
			if tt.key {
				who.Merchant = s.merchant
			}
			asked := s.elsewhere(t, 2, payee)
			require.ErrorIs(t, s.checkout.VerifyFor(t.Context(), asked, who), tt.err)
			_, err := s.checkout.SettleFor(t.Context(), asked, who)
			require.ErrorIs(t, err, tt.err)
			if tt.err != nil {
				require.Zero(t, s.count(t, `SELECT count(*) FROM settlements`))
				return
			}
			_, err = s.checkout.SettleFor(t.Context(), s.elsewhere(t, 2, payee), who)
			require.ErrorIs(t, err, checkout.ErrBudget, "a budget of one")
			_, err = s.checkout.SettleFor(t.Context(), asked, who)
			require.NoError(t, err, "the same payment costs nothing more")
		})
	}
}

func TestDustOfStrangersDoesNotUseUpAShopsBudget(t *testing.T) {
	t.Parallel()
	s := facilitating(t, checkout.FacilitateOwn, 1)
	stranger, owner := checkout.Caller{Address: "192.0.2.1"}, checkout.Caller{Merchant: s.merchant, Address: "192.0.2.2"}
	_, err := s.checkout.SettleFor(t.Context(), s.elsewhere(t, 2, s.payee), stranger)
	require.NoError(t, err)
	_, err = s.checkout.SettleFor(t.Context(), s.elsewhere(t, 2, s.payee), stranger)
	require.ErrorIs(t, err, checkout.ErrBudget)
	_, err = s.checkout.SettleFor(t.Context(), s.elsewhere(t, 2, s.payee), owner)
	require.NoError(t, err)
	_, err = s.checkout.SettleFor(t.Context(), s.elsewhere(t, 2, s.payee), owner)
	require.ErrorIs(t, err, checkout.ErrBudget)
}

func TestAPaymentThatAFacilitatorRefuses(t *testing.T) {
	t.Parallel()
	s := facilitating(t, checkout.FacilitateOwn, 100)
	for name, tt := range map[string]struct {
		kind  x402.Kind
		spoil func(*x402.Asked)
	}{
		"another network": {x402.Network, func(a *x402.Asked) { a.Requirement.Network = "eip155:1" }},
		"another token":   {x402.NoMatch, func(a *x402.Asked) { a.Requirement.Asset = stranger(a) }},
		"another name":    {x402.TokenName, func(a *x402.Asked) { a.Requirement.Name = "USD Coin" }},
		"no name":         {x402.TokenDomain, func(a *x402.Asked) { a.Requirement.Name = "" }},
		"another amount":  {x402.NoMatch, func(a *x402.Asked) { a.Requirement.Amount = big.NewInt(1) }},
		"nothing":         {x402.Amount, func(a *x402.Asked) { a.Requirement.Amount = new(big.Int) }},
		"another signer":  {x402.Signature, func(a *x402.Asked) { a.Payment.Signature[5] ^= 1 }},
		"too late":        {x402.Expired, func(a *x402.Asked) { a.Payment.Authorization.ValidBefore = big.NewInt(1) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := s.elsewhere(t, 2, s.payee)
			tt.spoil(&asked)
			requireInvalid(t, tt.kind, s.checkout.VerifyFor(t.Context(), asked, checkout.Caller{}))
			_, err := s.checkout.SettleFor(t.Context(), asked, checkout.Caller{})
			requireInvalid(t, tt.kind, err)
		})
	}
	t.Run("no money", func(t *testing.T) {
		t.Parallel()
		poor := *s
		poor.buyer = newKey()
		asked := poor.elsewhere(t, 2, s.payee)
		requireInvalid(t, x402.Funds, s.checkout.VerifyFor(t.Context(), asked, checkout.Caller{}))
		_, err := s.checkout.SettleFor(t.Context(), asked, checkout.Caller{})
		requireInvalid(t, x402.Funds, err)
		require.Zero(t, s.count(t, `SELECT count(*) FROM facilitator_budgets`))
	})
}

func stranger(a *x402.Asked) common.Address { return common.BytesToAddress(a.Payment.Signature[:20]) }

// TestAFacilitatorsWorkerDies kills the worker in the middle of somebody else's payment.
func TestAFacilitatorsWorkerDies(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"eth_estimateGas", "eth_sendRawTransaction"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			l := newLine(t)
			s := newShopWith(t, plan{quiet: true, wait: 2 * time.Second, policy: checkout.FacilitateOwn, budget: 10})
			s.worker.stop(t)
			s.worker = s.start(t, role{settles: true, works: true, lease: 2 * time.Second, rpc: l.URL})
			l.hold(method)
			asked := s.elsewhere(t, 2, s.payee)
			_, err := s.checkout.SettleFor(t.Context(), asked, checkout.Caller{})
			require.ErrorIs(t, err, checkout.ErrPending)
			l.awaitHeld(t, method)
			s.kill(t, s.worker)
			l.mend()
			time.Sleep(2 * time.Second) // the lease of the dead
			s.start(t, role{settles: true, works: true, lease: 2 * time.Second, sweep: time.Second})
			done, err := s.checkout.SettleFor(t.Context(), asked, checkout.Caller{})
			for errors.Is(err, checkout.ErrPending) {
				done, err = s.checkout.SettleFor(t.Context(), asked, checkout.Caller{})
			}
			require.NoError(t, err)
			require.NotEmpty(t, done.Transaction)
			require.Equal(t, price, balanceOf(t, s.payee))
		})
	}
}

func TestAFacilitatorWithoutGasSaysSo(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{broke: true, policy: checkout.FacilitateOwn, budget: 1})
	_, err := s.checkout.SettleFor(t.Context(), s.elsewhere(t, 2, s.payee), checkout.Caller{})
	require.ErrorIs(t, err, checkout.ErrUnfunded)
	require.Zero(t, s.count(t, `SELECT count(*) FROM settlements`))
}

func TestTheNetworkIsAwayWhenAFacilitatorIsAsked(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	s := newShopWith(t, plan{rpc: l.URL, policy: checkout.FacilitateOwn, budget: 1})
	asked := s.elsewhere(t, 2, s.payee)
	l.setCut(true)
	require.ErrorIs(t, s.checkout.VerifyFor(t.Context(), asked, checkout.Caller{}), evm.ErrUnavailable)
	l.mend()
}

// TestWhatFacilitatorsCallBackWith goes through every moment at which a callback may come. None of them moves anything by
// itself.
func TestWhatFacilitatorsCallBackWith(t *testing.T) {
	t.Parallel()
	receive := func(t *testing.T, s *testShop, body string) string {
		t.Helper()
		require.NoError(t, s.checkout.Receive(t.Context(), []byte(body)))
		var outcome string
		require.Eventually(t, func() bool {
			err := s.pool.QueryRow(t.Context(), `SELECT outcome FROM facilitator_callbacks WHERE body = $1 AND outcome <> ''`, []byte(body)).Scan(&outcome)
			return err == nil
		}, 10*time.Second, 20*time.Millisecond, "nobody looked")
		return outcome
	}

	t.Run("of nothing we know", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		require.Equal(t, "of nothing we know", receive(t, s, `{"payment_attempt_id":"pa_1111111111111111111111","success":true}`))
		require.Equal(t, "of nothing we know", receive(t, s, `{}`))
		require.Equal(t, "unreadable", receive(t, s, `[1,2`))
		require.Equal(t, "unreadable", receive(t, s, `{"success":"maybe"}`))
		for range 3 {
			require.NoError(t, s.checkout.Receive(t.Context(), []byte(`{}`)))
		}
		require.Equal(t, 4, s.count(t, `SELECT count(*) FROM facilitator_callbacks`))
		require.Equal(t, 1, s.count(t, `SELECT count(*) FROM facilitator_callbacks WHERE times = 4`))
	})

	t.Run("while the outcome is not known, and the money moved", func(t *testing.T) {
		t.Parallel()
		f := newCarrier(t, false, hangsUp)
		s := carried(t, f)
		a := s.begin(t)
		payment := s.sign(t, a, s.buyer)
		_, err := s.checkout.Pay(t.Context(), a.ID, payment)
		require.ErrorIs(t, err, checkout.ErrPending)
		s.awaitStatus(t, a.ID, checkout.Unknown)
		require.Equal(t, "looked at the chain", receive(t, s, fmt.Sprintf(`{"payment_attempt_id":%q,"success":true}`, a.ID)))
		require.Equal(t, "looked at the chain", receive(t, s, fmt.Sprintf(`{"payment_attempt_id":%q,"success":false}`, a.ID)))
		time.Sleep(time.Second)
		require.Equal(t, checkout.Unknown, s.status(t, a.ID), "a word is no proof")
		require.EqualValues(t, 1, f.settles.Load())
		hash := sendByStranger(t, transferCall(payment))
		s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))

		require.Equal(t, "late: known already", receive(t, s, fmt.Sprintf(`{"transaction":%q,"success":true}`, hash)))
		require.Equal(t, "contradicts: it is paid", receive(t, s, fmt.Sprintf(`{"transaction":%q,"status":"failed"}`, hash)))
		require.Equal(t, "contradicts: another network", receive(t, s, fmt.Sprintf(`{"transaction":%q,"success":true,"network":"eip155:1"}`, hash)))
		require.Equal(t, "late: known already", receive(t, s, fmt.Sprintf(`{"payer":%q,"nonce":%q,"success":true,"network":"base-sepolia"}`, addressOf(s.buyer), a.Nonce)))
	})

	t.Run("before anybody was asked", func(t *testing.T) {
		t.Parallel()
		f := newCarrier(t, true, says)
		f.verify = func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }
		s := carried(t, f)
		a := s.begin(t)
		_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
		require.ErrorIs(t, err, checkout.ErrPending)
		require.Equal(t, "early: not asked for yet", receive(t, s, fmt.Sprintf(`{"payment_attempt_id":%q,"success":false}`, a.ID)))
		require.Equal(t, checkout.Settling, s.status(t, a.ID))
	})
}
