package handlers_test

import (
	"crypto/ecdsa"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/evm"
	"xsynesis/handlers"
	"xsynesis/shop"
	"xsynesis/x402"
)

// joins makes a person who belongs to no shop, and returns his browser.
func (w *apiWorld) joins(name string) with {
	w.t.Helper()
	in, _, err := w.gate.Join(w.t.Context(), access.Newcomer{Name: name}, access.Browser{})
	require.NoError(w.t, err)
	return cookieOf(in.Secret)
}

// goesTo is where a page sends a browser on to.
func (r reply) goesTo(t *testing.T) string {
	t.Helper()
	require.Equal(t, http.StatusSeeOther, r.status, string(r.body))
	return r.header.Get("Location")
}

func TestSomebodyNewOpensAShopStepByStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withGate(t, func(o *access.GateOptions) { o.Chains = silentChains() }), paysFor(newKey(t)))
	eve := w.joins("Eve")
	require.Equal(t, "/onboarding", w.get("/dashboard", eve).goesTo(t))
	require.Equal(t, "/onboarding/shop", w.get("/onboarding", eve).goesTo(t))
	require.Equal(t, 200, w.get("/onboarding/shop", eve).status)
	require.Equal(t, 422, w.form("/onboarding/shop", url.Values{"name": {" "}}, eve).status)
	opened := w.form("/onboarding/shop", url.Values{"name": {"Kaffe Syd"}}, eve)
	require.Equal(t, "/onboarding", opened.goesTo(t))
	require.Equal(t, "/login", w.get("/account", eve).goesTo(t)[:6], "her session has another secret now")
	eve = cookieOf(opened.cookie())

	require.Equal(t, "/onboarding/money", w.get("/onboarding", eve).goesTo(t))
	require.Equal(t, "/onboarding/money", w.get("/onboarding/proof", eve).goesTo(t), "there is nothing to prove yet")
	require.Equal(t, "/onboarding/sell", w.get("/onboarding/try", eve).goesTo(t), "there is nothing to try yet")
	require.Contains(t, string(w.get("/dashboard", eve).body), "Go on with the set-up")
	for _, bad := range []url.Values{
		{"address": {"0x1"}, "network": {sepolia}}, {"address": {payTo}}, {"network": {sepolia}}, {"address": {tokenOf(sepolia)}, "network": {sepolia}},
	} {
		answer := w.form("/onboarding/money", bad, eve)
		require.Equal(t, 422, answer.status, bad)
		require.Contains(t, string(answer.body), `class="problem"`, bad)
	}
	require.Equal(t, "/onboarding/proof", w.form("/onboarding/money", url.Values{"address": {payTo}, "network": {base, sepolia}}, eve).goesTo(t))
	require.Equal(t, "/onboarding/proof", w.get("/onboarding", eve).goesTo(t))
	proof := string(w.get("/onboarding/proof", eve).body)
	require.Contains(t, proof, payTo)
	require.Contains(t, proof, "Not checked yet", "a network that does not answer stands in nobody's way")

	require.Contains(t, string(w.get("/onboarding/sell", eve).body), `value="Flat white"`)
	refused := w.form("/onboarding/sell", url.Values{"title": {""}, "price": {"x"}}, eve)
	require.Equal(t, 422, refused.status)
	require.Contains(t, string(refused.body), `value="x"`)
	require.Equal(t, "/onboarding/try", w.form("/onboarding/sell", url.Values{"title": {"Flat white"}, "price": {"4.50"}}, eve).goesTo(t))
	require.Equal(t, "/onboarding/try", w.get("/onboarding", eve).goesTo(t), "an address is proven before real money, not before test money")
	try := string(w.get("/onboarding/try", eve).body)
	require.Contains(t, try, "Scan it with a phone")
	require.NotContains(t, try, "Your first payment is there")

	require.Equal(t, "/onboarding/try", w.form("/onboarding/payments", nil, eve).goesTo(t))
	require.Contains(t, string(w.get("/onboarding/try", eve).body), "Confirming")
	w.work()
	try = string(w.get("/onboarding/try", eve).body)
	require.Contains(t, try, "Your first payment is there")
	require.Equal(t, "/dashboard", w.get("/onboarding", eve).goesTo(t))
	overview := string(w.get("/dashboard", eve).body)
	require.Contains(t, overview, "Ready for real money")
	require.Contains(t, overview, "Recovery codes: 10 left")
	require.Contains(t, overview, "Where the money goes")
	require.Contains(t, overview, "0x15d3…6A65, Eve")
}

// paysFor gives the site a wallet that pays for tests.
func paysFor(key *ecdsa.PrivateKey) func(*handlers.Options) {
	return func(o *handlers.Options) {
		o.TestWallet = true
		o.Extend = func(e *echo.Echo, h *handlers.Handlers) {
			e.POST("/onboarding/payments", h.PayTest(func(a checkout.Attempt, want x402.Requirement) (x402.Payment, error) {
				signed := x402.Authorization{
					From: crypto.PubkeyToAddress(key.PublicKey), To: want.PayTo, Value: big.NewInt(int64(want.Amount)), ValidAfter: new(big.Int),
					ValidBefore: big.NewInt(a.ExpiresAt.Unix()), Nonce: a.Nonce,
				}
				signature, err := x402.Sign(signed, want.Token, key)
				return want.Payment(2, signed, signature), err
			}))
		}
	}
}

func TestNobodyOpensAShopWhereNotAnybodyMayComeIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	eve := w.joins("Eve")
	w.gate.Open = false
	page := w.get("/onboarding/shop", eve)
	require.Equal(t, 200, page.status)
	require.Contains(t, string(page.body), "does not let everybody open one")
	require.NotContains(t, string(page.body), "Open this shop")
	require.Equal(t, 403, w.form("/onboarding/shop", url.Values{"name": {"Hers"}}, eve).status)

	ada, first := w.signIn("ada")
	second := w.form("/onboarding/shop", url.Values{"name": {"Another of Ada's"}}, ada)
	require.Equal(t, "/onboarding", second.goesTo(t), "who owns a shop may open another one")
	require.Contains(t, string(w.get("/dashboard", cookieOf(second.cookie())).body), "Another of Ada")
	var shops int
	require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT count(*) FROM audit_rows WHERE action = 'shop.opened' AND merchant_id <> $1`, first).Scan(&shops))
	require.Equal(t, 1, shops)
}

func TestAPersonOpensSoManyShopsAndNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	eve, last := w.joins("Eve"), reply{}
	for range 21 {
		last = w.form("/onboarding/shop", url.Values{"name": {"One of many"}}, eve)
		if last.status == http.StatusSeeOther {
			eve = cookieOf(last.cookie())
		}
	}
	require.Equal(t, 409, last.status)
}

func TestAnAddressIsLookedAtWhileItIsTyped(t *testing.T) {
	t.Parallel()
	w := newShopWorld(t)
	ada, _ := w.signIn("ada")
	says := func(address string, browser with) string {
		answer := w.get("/onboarding/money/checks?address="+url.QueryEscape(address), browser)
		require.Equal(t, 200, answer.status)
		return string(answer.body)
	}
	require.Contains(t, says("", ada), "0x and 40 characters")
	require.Contains(t, says("0x12", ada), "An address is 0x and 40 figures")
	require.Contains(t, says(strings.Replace(payTo, "A", "a", 1), ada), "A character is wrong")
	require.Contains(t, says(tokenOf(base), ada), "This is the address of USDC itself")
	known := says(payTo, ada)
	require.Contains(t, known, "The address is complete and typed correctly")
	require.Contains(t, known, "Not checked yet")
	require.NotContains(t, known, "It can receive USDC", "nobody said so")

	bob, merchant := w.signIn("bob")
	require.NoError(t, w.payees.SetAddress(t.Context(), merchant, shop.AddressForm{
		Address: common.HexToAddress(payTo), Networks: []string{sepolia}, Proven: func(evm.Network) bool { return true },
	}, actorOfTests))
	require.Contains(t, says(payTo, ada), "Another shop here has proven")
	require.Contains(t, says(payTo, bob), "The address is complete")
}

func TestTheSetUpOfAShopIsItsOwners(t *testing.T) {
	t.Parallel()
	w := newShopWorld(t)
	_, merchant := w.signIn("ada")
	manager, _ := w.joined(w.ownerOf(merchant), access.Manager, "Max")
	require.Equal(t, "/dashboard", w.get("/onboarding", manager).goesTo(t), "the next step is not his")
	require.Equal(t, 403, w.get("/onboarding/money", manager).status)
	overview := string(w.get("/dashboard", manager).body)
	require.Contains(t, overview, "Ready for real money", "he sees how far the shop is")
	require.NotContains(t, overview, "/onboarding/money")
	viewer, _ := w.joined(w.ownerOf(merchant), access.Viewer, "Vic")
	require.NotContains(t, string(w.get("/dashboard", viewer).body), "Ready for real money")
}

func tokenOf(network string) string {
	n, _ := silentNetworks().Network(network)
	return n.Token.Address.Hex()
}

func TestAProvenAddressIsNotAskedAboutAgain(t *testing.T) {
	t.Parallel()
	w := newShopWorld(t)
	ada, merchant := w.signIn("ada")
	key := newKey(t)
	require.NoError(t, w.payees.SetAddress(t.Context(), merchant, shop.AddressForm{
		Address: crypto.PubkeyToAddress(key.PublicKey), Networks: []string{base, sepolia}, Proven: func(n evm.Network) bool { return n.Test },
	}, actorOfTests))
	require.Equal(t, "/onboarding/sell", w.get("/onboarding", ada).goesTo(t))
	page := string(w.get("/onboarding/proof", ada).body)
	require.Contains(t, page, `name="networks" value="`+base+`"`, "on the live network it is not proven yet")
	require.NoError(t, w.payees.SetAddress(t.Context(), merchant, shop.AddressForm{
		Address: crypto.PubkeyToAddress(key.PublicKey), Networks: []string{base}, Proven: func(evm.Network) bool { return true },
	}, actorOfTests))
	require.Equal(t, "/onboarding/sell", w.get("/onboarding/proof", ada).goesTo(t))
}
