package checkout_test

import (
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/x402"
)

// authorized is a payment of the buyer's in which everything is right but what change does to it.
func (s *testShop) authorized(t *testing.T, version int, want x402.Requirement, change func(*x402.Authorization)) x402.Payment {
	t.Helper()
	a := x402.Authorization{
		From: addressOf(s.buyer), To: want.PayTo, Value: big.NewInt(int64(want.Amount)), ValidAfter: new(big.Int),
		ValidBefore: big.NewInt(s.clock.now().Add(shop.OfferTime).Unix()), Nonce: randomHash(),
	}
	change(&a)
	return signed(t, version, want, a, s.buyer)
}

func unchanged(*x402.Authorization) {}

// spoilt lists what may be wrong with an authorization whose signature is good.
var spoilt = map[string]struct {
	change func(s *testShop, a *x402.Authorization)
	kind   x402.Kind
}{
	"pays somebody else":      {func(_ *testShop, a *x402.Authorization) { a.To[3]++ }, x402.Recipient},
	"pays the token":          {func(s *testShop, a *x402.Authorization) { a.To = s.network.Token.Address }, x402.Recipient},
	"one unit too little":     {func(_ *testShop, a *x402.Authorization) { a.Value.Sub(a.Value, big.NewInt(1)) }, x402.Amount},
	"one unit too much":       {func(_ *testShop, a *x402.Authorization) { a.Value.Add(a.Value, big.NewInt(1)) }, x402.Amount},
	"nothing":                 {func(_ *testShop, a *x402.Authorization) { a.Value = new(big.Int) }, x402.Amount},
	"more than there is":      {func(_ *testShop, a *x402.Authorization) { a.Value.Lsh(big.NewInt(1), 255) }, x402.Amount},
	"expired":                 {func(s *testShop, a *x402.Authorization) { a.ValidBefore = s.in(-time.Second) }, x402.Expired},
	"nine seconds left":       {func(s *testShop, a *x402.Authorization) { a.ValidBefore = s.in(9 * time.Second) }, x402.Expired},
	"valid for two hours":     {func(s *testShop, a *x402.Authorization) { a.ValidBefore = s.in(2 * time.Hour) }, x402.TooLong},
	"valid for ever":          {func(_ *testShop, a *x402.Authorization) { a.ValidBefore.Lsh(big.NewInt(1), 255) }, x402.TooLong},
	"not yet valid":           {func(s *testShop, a *x402.Authorization) { a.ValidAfter = s.in(time.Minute) }, x402.NotYetValid},
	"valid from 2^255 onward": {func(_ *testShop, a *x402.Authorization) { a.ValidAfter.Lsh(big.NewInt(1), 255) }, x402.NotYetValid},
}

func (s *testShop) in(d time.Duration) *big.Int { return big.NewInt(s.clock.now().Add(d).Unix()) }

// forged lists what may be wrong with a signature.
var forged = map[string]func(t *testing.T, s *testShop, p *x402.Payment){
	"no signature":   func(_ *testing.T, _ *testShop, p *x402.Payment) { p.Signature = nil },
	"one byte":       func(_ *testing.T, _ *testShop, p *x402.Payment) { p.Signature = p.Signature[:1] },
	"64 bytes":       func(_ *testing.T, _ *testShop, p *x402.Payment) { p.Signature = p.Signature[:64] },
	"66 bytes":       func(_ *testing.T, _ *testShop, p *x402.Payment) { p.Signature = append(p.Signature, 0) },
	"v is 29":        func(_ *testing.T, _ *testShop, p *x402.Payment) { p.Signature[64] = 29 },
	"v is the other": func(_ *testing.T, _ *testShop, p *x402.Payment) { p.Signature[64] ^= 27 ^ 28 },
	"a flipped bit":  func(_ *testing.T, _ *testShop, p *x402.Payment) { p.Signature[7] ^= 1 },
	"high s":         func(_ *testing.T, _ *testShop, p *x402.Payment) { mirror(p.Signature) },
	"all zero":       func(_ *testing.T, _ *testShop, p *x402.Payment) { p.Signature = make([]byte, 65) },
	"another's key": func(t *testing.T, s *testShop, p *x402.Payment) {
		p.Signature = signed(t, 1, s.offered(t), p.Authorization, newKey()).Signature
	},
	"other contract":  otherDomain(func(token *x402.Token) { token.Address[0]++ }),
	"other chain":     otherDomain(func(token *x402.Token) { token.ChainID = 8453 }),
	"other name":      otherDomain(func(token *x402.Token) { token.Name = "USD Coin" }),
	"other version":   otherDomain(func(token *x402.Token) { token.Version = "1" }),
	"other nonce":     func(_ *testing.T, _ *testShop, p *x402.Payment) { p.Authorization.Nonce = randomHash() },
	"another's money": func(t *testing.T, _ *testShop, p *x402.Payment) { p.Authorization.From = addressOf(newBuyer(t)) },
}

// mirror makes the second signature that goes with every first one.
func mirror(signature []byte) {
	s := new(big.Int).SetBytes(signature[32:64])
	s.Sub(crypto.S256().Params().N, s)
	s.FillBytes(signature[32:64])
	signature[64] ^= 27 ^ 28
}

// offered is what the shop's link asks for.
func (s *testShop) offered(t *testing.T) x402.Requirement {
	t.Helper()
	return s.checkout.Offered(s.offer(t))
}

func otherDomain(change func(*x402.Token)) func(*testing.T, *testShop, *x402.Payment) {
	return func(t *testing.T, s *testShop, p *x402.Payment) {
		t.Helper()
		token := s.network.Token
		change(&token)
		signature, err := x402.Sign(p.Authorization, token, s.buyer)
		require.NoError(t, err)
		p.Signature = signature
	}
}

func TestBadPaymentsTouchNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a, o := s.begin(t), s.offer(t)
	refused := func(t *testing.T, kind x402.Kind, ofPurchase, ofLink x402.Payment) {
		t.Helper()
		_, err := s.checkout.Pay(t.Context(), a.ID, ofPurchase)
		requireInvalid(t, kind, err)
		_, err = s.checkout.PayLink(t.Context(), o, ofLink, checkout.Request{})
		requireInvalid(t, kind, err)
	}
	for name, tt := range spoilt {
		t.Run(name, func(t *testing.T) {
			change := func(a *x402.Authorization) { tt.change(s, a) }
			refused(t, tt.kind, s.authorized(t, 1, s.checkout.Requirement(a), change), s.authorized(t, 2, s.checkout.Offered(o), change))
		})
	}
	for name, spoil := range forged {
		t.Run(name, func(t *testing.T) {
			of := s.authorized(t, 2, s.checkout.Requirement(a), unchanged)
			at := s.authorized(t, 1, s.checkout.Offered(o), unchanged)
			spoil(t, s, &of)
			spoil(t, s, &at)
			refused(t, x402.Signature, of, at)
		})
	}
	t.Run("another network", func(t *testing.T) {
		of, at := s.authorized(t, 1, s.checkout.Requirement(a), unchanged), s.authorized(t, 2, s.checkout.Offered(o), unchanged)
		of.Network, at.Network, at.Accepted.Network = "base", "eip155:8453", "eip155:8453"
		refused(t, x402.Network, of, at)
	})
	t.Run("another offer", func(t *testing.T) {
		for kind, change := range map[x402.Kind]func(*x402.Accepted){
			x402.NoMatch:      func(c *x402.Accepted) { c.Asset = common.HexToAddress("0x1") },
			x402.TokenName:    func(c *x402.Accepted) { c.Name = "USD Coin" },
			x402.TokenVersion: func(c *x402.Accepted) { c.Version = "1" },
			x402.TokenDomain:  func(c *x402.Accepted) { c.Name = "" },
		} {
			of, at := s.authorized(t, 2, s.checkout.Requirement(a), unchanged), s.authorized(t, 2, s.checkout.Offered(o), unchanged)
			change(of.Accepted)
			change(at.Accepted)
			refused(t, kind, of, at)
		}
	})

	require.Zero(t, s.count(t, `SELECT count(*) FROM claims`))
	require.Zero(t, s.count(t, `SELECT count(*) FROM settlements`))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM attempts`))
	require.Equal(t, checkout.Open, s.status(t, a.ID))
	require.Equal(t, pocket, balanceOf(t, addressOf(s.buyer)))
}

func TestAVOfZeroOrOneIsTaken(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	seen := map[byte]bool{}
	a := s.begin(t)
	payment := s.sign(t, a, s.buyer)
	for len(seen) < 2 { // of 27 and 28 a wallet gets either
		if v := payment.Signature[64]; !seen[v] {
			seen[v] = true
			payment.Signature[64] -= 27
			p, err := s.checkout.Pay(t.Context(), a.ID, payment)
			require.NoError(t, err)
			require.Equal(t, checkout.Settled, p.Status)
		}
		a = s.begin(t)
		payment = s.sign(t, a, s.buyer)
	}
	require.Equal(t, 2*price, s.received(t))
}

func TestWhoHasTooLittleIsRefusedAndAnotherWalletPays(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a, poor := s.begin(t), newKey()
	p, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, poor))
	requireInvalid(t, x402.Funds, err)
	require.Equal(t, checkout.Open, p.Status)
	require.Equal(t, string(x402.Funds), p.Refusal)
	require.Equal(t, 1, p.Refusals)
	require.Nil(t, p.Claim)
	require.Equal(t, "failed", p.Settlement.Status)

	p, err = s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)
	require.Equal(t, addressOf(s.buyer), p.Claim.Payer)
	require.Empty(t, p.Refusal)
	s.soldOnce(t, p)
}

func TestARefusedWalletMayPayOnceItHasTheMoney(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a, poor := s.begin(t), newKey()
	payment := s.sign(t, a, poor)
	_, err := s.checkout.Pay(t.Context(), a.ID, payment)
	requireInvalid(t, x402.Funds, err)
	require.NoError(t, world.dev().Mint(t.Context(), addressOf(poor), price))
	p, err := s.checkout.Pay(t.Context(), a.ID, payment)
	require.NoError(t, err)
	s.soldOnce(t, p)
	require.Zero(t, balanceOf(t, addressOf(poor)))
}

func TestAfterThreeEmptyWalletsTheMoneyIsLookedAtFirst(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.begin(t)
	for n := range 3 {
		p, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, newKey()))
		requireInvalid(t, x402.Funds, err)
		require.Equal(t, n+1, p.Refusals)
	}
	for range 2 {
		_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, newKey()))
		requireInvalid(t, x402.Funds, err)
	}
	require.Equal(t, 3, s.count(t, `SELECT count(*) FROM claims`), "an empty wallet took hold of it")
	p, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)
	s.soldOnce(t, p)
}

func TestARefusedPaymentForALinkLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{limit: 1})
	p, err := s.checkout.PayLink(t.Context(), s.offer(t), s.answer(t, s.offer(t), newKey()), checkout.Request{})
	requireInvalid(t, x402.Funds, err)
	require.Equal(t, checkout.Cancelled, p.Status)
	require.Zero(t, s.offer(t).Link.PaymentsTaken)

	p, err = s.checkout.PayLink(t.Context(), s.offer(t), s.answer(t, s.offer(t), s.buyer), checkout.Request{})
	require.NoError(t, err)
	s.soldOnce(t, p)
	require.Equal(t, 1, s.offer(t).Link.PaymentsTaken)
}

func TestOneCoinCannotPayTwice(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	payer := newKey()
	require.NoError(t, world.dev().Mint(t.Context(), addressOf(payer), price+money.One))
	a, b := s.begin(t), s.begin(t)
	outcome := make(chan error, 2)
	for attempt, payment := range map[id.Attempt]x402.Payment{a.ID: s.sign(t, a, payer), b.ID: s.sign(t, b, payer)} {
		go func() {
			_, err := s.checkout.Pay(t.Context(), attempt, payment)
			outcome <- err
		}()
	}
	first, second := <-outcome, <-outcome
	require.NotEqual(t, first == nil, second == nil, "%v, %v", first, second)
	require.Equal(t, price, s.received(t))
	require.Equal(t, price, balanceOf(t, s.payee))
}

func TestWithoutGasMoneyNobodyIsAskedToPay(t *testing.T) {
	t.Parallel()

	t.Run("a shop that never had any", func(t *testing.T) {
		t.Parallel()
		s := newShopWith(t, plan{broke: true})
		s.start(t, role{settles: true, works: true, relayer: newKey()})
		require.Eventually(t, func() bool { return s.count(t, `SELECT count(*) FROM relayers WHERE seen_at IS NOT NULL`) == 1 },
			20*time.Second, 20*time.Millisecond, "the relayer does not look")
		o := s.offer(t)
		_, err := s.checkout.Quote(t.Context(), o)
		require.ErrorIs(t, err, checkout.ErrUnfunded)
		_, err = s.checkout.Start(t.Context(), checkout.Begin{Token: s.link.Token})
		require.ErrorIs(t, err, checkout.ErrUnfunded)
		_, err = s.checkout.PayLink(t.Context(), o, s.answer(t, o, s.buyer), checkout.Request{})
		require.ErrorIs(t, err, checkout.ErrUnfunded)
		require.Zero(t, s.count(t, `SELECT count(*) FROM attempts`))
		require.Zero(t, s.count(t, `SELECT count(*) FROM claims`))
	})

	t.Run("a shop whose workers are silent", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		a := s.begin(t)
		s.worker.stop(t)
		s.clock.advance(3 * time.Minute)
		_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
		require.ErrorIs(t, err, checkout.ErrUnfunded)
		require.Zero(t, s.count(t, `SELECT count(*) FROM claims`))
		s.start(t, role{settles: true, works: true})
		s.awaitFunded(t)
		p, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
		require.NoError(t, err)
		s.soldOnce(t, p)
	})

	t.Run("a payment that is claimed waits for the money", func(t *testing.T) {
		t.Parallel()
		s := newShopWith(t, plan{quiet: true, wait: time.Second})
		a := s.begin(t)
		_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
		require.ErrorIs(t, err, checkout.ErrPending)
		relayer := newKey()
		s.start(t, role{settles: true, works: true, relayer: relayer})
		require.Eventually(t, func() bool { return s.count(t, `SELECT count(*) FROM settlements WHERE last_error <> ''`) == 1 },
			20*time.Second, 20*time.Millisecond, "nobody tried")
		require.Equal(t, checkout.Settling, s.status(t, a.ID))
		require.NoError(t, world.dev().FundGas(t.Context(), addressOf(relayer), ether(1)))
		s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
	})
}
