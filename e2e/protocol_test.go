package e2e

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOfferIsWrittenInBothVersions(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Two espressi", "0.07")
	a := w.get(t, l.URL)
	r := a.required(t)

	require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
	require.Equal(t, "Accept, HX-Request, PAYMENT-SIGNATURE, X-PAYMENT", a.Header.Get("Vary"))
	require.Equal(t, "application/json", strings.Split(a.Header.Get("Content-Type"), ";")[0])

	require.Equal(t, 1, r.V1.X402Version)
	require.NotEmpty(t, r.V1.Error)
	require.Len(t, r.V1.Accepts, 1)
	v1 := r.V1.Accepts[0]
	require.Equal(t, "exact", v1.Scheme)
	require.Equal(t, "base-sepolia", v1.Network)
	require.Equal(t, "70000", v1.MaxAmountRequired)
	require.Equal(t, l.URL, v1.Resource)
	require.NotNil(t, v1.Description, "clients demand it, even empty")
	require.NotNil(t, v1.MimeType, "clients demand it, even empty")
	require.Equal(t, w.payTo(t), v1.PayTo)
	require.Equal(t, w.USDC, v1.Asset)
	require.Equal(t, map[string]string{"name": "USDC", "version": "2"}, v1.Extra)
	require.Positive(t, v1.MaxTimeoutSeconds)

	require.Equal(t, 2, r.V2.X402Version)
	require.Equal(t, l.URL, r.V2.Resource.URL)
	require.Len(t, r.V2.Accepts, 1)
	v2 := r.V2.Accepts[0]
	require.Equal(t, offerV2{"exact", w.Network, "70000", w.USDC, w.payTo(t), v1.MaxTimeoutSeconds, v1.Extra}, v2)
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	program := w.do(t, http.MethodHead, w.PayURL, "")
	require.Equal(t, http.StatusPaymentRequired, program.Status)
	require.NotEmpty(t, program.Header.Get("PAYMENT-REQUIRED"))
	require.Empty(t, program.Body)

	person := w.do(t, http.MethodHead, w.PayURL, "", "Accept", "text/html")
	require.Equal(t, http.StatusOK, person.Status)
	require.Contains(t, person.Header.Get("Content-Type"), "text/html")
	require.Empty(t, person.Body)
}

func TestPageCarriesTheOfferForProgramsToo(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for _, agent := range []string{"Mozilla/5.0", "WhatsApp/2.24"} {
		accept := "text/html"
		if agent == "WhatsApp/2.24" {
			accept = "*/*" // as its previews ask
		}
		page := w.get(t, w.PayURL, "Accept", accept, "User-Agent", agent)
		require.Equal(t, http.StatusOK, page.Status)
		require.Contains(t, page.Header.Get("Content-Type"), "text/html")
		require.Equal(t, "private, no-cache", page.Header.Get("Cache-Control"))
		require.NotEmpty(t, page.Header.Get("PAYMENT-REQUIRED"))
		require.Contains(t, page.Body, `property="og:title"`)
	}
}

func TestAnySiteMayAskAndPay(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	preflight := w.do(t, http.MethodOptions, w.PayURL, "", "Origin", "https://agent.example",
		"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "payment-signature,access-control-expose-headers")
	require.Equal(t, http.StatusNoContent, preflight.Status)
	require.Equal(t, "*", preflight.Header.Get("Access-Control-Allow-Origin"))
	for _, name := range []string{"PAYMENT-SIGNATURE", "X-PAYMENT", "Access-Control-Expose-Headers"} {
		require.Contains(t, preflight.Header.Get("Access-Control-Allow-Headers"), name)
	}
	a := w.get(t, w.PayURL, "Origin", "https://agent.example")
	require.Equal(t, "*", a.Header.Get("Access-Control-Allow-Origin"))
	for _, name := range []string{"PAYMENT-REQUIRED", "PAYMENT-RESPONSE", "X-PAYMENT-RESPONSE"} {
		require.Contains(t, a.Header.Get("Access-Control-Expose-Headers"), name)
	}
}

func TestPaymentThatCannotBeReadIsRefusedAndClaimsNothing(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Cinnamon bun", "0.06")
	r := w.get(t, l.URL).required(t)
	_, good1 := w.payment(t, w.buyer(t), 1, r)
	_, good2 := w.payment(t, w.buyer(t), 2, r)
	text, err := base64.StdEncoding.DecodeString(good2)
	require.NoError(t, err)
	twice := base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(text), `"x402Version":2`, `"x402Version":2,"x402Version":2`, 1)))

	for name, header := range map[string][2]string{
		"longer than 16 KB":       {"PAYMENT-SIGNATURE", good2 + strings.Repeat("A", 17<<10)},
		"not base64":              {"PAYMENT-SIGNATURE", "{not base64}"},
		"not JSON":                {"PAYMENT-SIGNATURE", base64.StdEncoding.EncodeToString([]byte("not json"))},
		"a name twice":            {"PAYMENT-SIGNATURE", twice},
		"version 2 in the header": {"X-PAYMENT", good2},
		"version 1 in the header": {"PAYMENT-SIGNATURE", good1},
		"not JSON, version 1":     {"X-PAYMENT", base64.StdEncoding.EncodeToString([]byte("[1]"))},
	} {
		refused := w.get(t, l.URL, header[0], header[1]).required(t)
		require.NotEmpty(t, refused.V1.Error, name)
		require.NotEqual(t, r.V1.Error, refused.V1.Error, "%s: the reason must be told", name)
		require.Equal(t, refused.V1.Error, refused.V2.Error, name)
		require.Equal(t, r.V1.Accepts, refused.V1.Accepts, name)
	}
	w.requireNoClaims(t, l)
	w.get(t, l.URL, "PAYMENT-SIGNATURE", good2).receipt(t) // it was good all along
}

func TestPaymentThatDoesNotFitIsRefusedAndMovesNothing(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Apple cake", "0.08")
	r := w.get(t, l.URL).required(t)
	for name, spoil := range map[string]func(*required){
		"less than the price":    func(r *required) { r.V2.Accepts[0].Amount = "79999" },
		"more than the price":    func(r *required) { r.V2.Accepts[0].Amount = "80001" },
		"to somebody else":       func(r *required) { r.V2.Accepts[0].PayTo = w.BuyerAddress },
		"in another token":       func(r *required) { r.V2.Accepts[0].Asset = w.BuyerAddress },
		"valid for a day":        func(r *required) { r.V2.Accepts[0].MaxTimeoutSeconds = 86_400 },
		"over before it settles": func(r *required) { r.V2.Accepts[0].MaxTimeoutSeconds = 2 },
	} {
		for _, version := range []int{1, 2} {
			spoilt := r
			spoilt.V2.Accepts = []offerV2{r.V2.Accepts[0]}
			spoil(&spoilt)
			header, value := w.payment(t, w.buyer(t), version, spoilt)
			refused := w.get(t, l.URL, header, value).required(t)
			require.NotEqual(t, r.V1.Error, refused.V1.Error, name)
		}
	}
	w.requireNoClaims(t, l)

	header, value := w.payment(t, newKey(t), 2, r)
	poor := w.get(t, l.URL, header, value).required(t)
	require.Contains(t, poor.V1.Error, "insufficient")
	require.Empty(t, w.sales(t, "item_title", l.Title))
}

// requireNoClaims demands that no payment for the link was ever taken in hand.
func (w *world) requireNoClaims(t testing.TB, l link) {
	t.Helper()
	var claims int
	err := w.pool(t).QueryRow(context.Background(),
		`SELECT count(*) FROM claims JOIN attempts ON attempts.id = attempt_id WHERE link_id = $1`, l.ID).Scan(&claims)
	require.NoError(t, err)
	require.Zero(t, claims)
}

func TestSimultaneousCopiesOfOnePaymentGetOneAnswer(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Filter coffee", "0.04")
	name, value := w.payment(t, w.buyer(t), 2, w.get(t, l.URL).required(t))
	answers := w.together(t, slices.Repeat([][3]string{{l.URL, name, value}}, 8)...)
	paid := answers[0].receipt(t)
	for _, a := range answers {
		require.Equal(t, answers[0].Body, a.Body)
	}
	require.Len(t, w.sales(t, "item_title", l.Title), 1)
	w.requireTransfer(t, paid.Transaction, w.BuyerAddress, w.payTo(t), 40_000)
}

func TestAddressWithoutALinkIsNotFound(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for _, path := range []string{
		"/link/AAAAAAAAAAAAAAAAAAAAAA", "/link/x", "/link/%E2%82%AC", "/link/..%2f..%2fetc",
		"/pay/pa_0000000000000000000000", "/pay/nonsense",
	} {
		program := w.get(t, path)
		require.Equal(t, http.StatusNotFound, program.Status, path)
		require.Equal(t, "not_found", program.errorCode(t))
		person := w.get(t, path, "Accept", "text/html")
		require.Equal(t, http.StatusNotFound, person.Status, path)
		require.Contains(t, person.Header.Get("Content-Type"), "text/html")
	}
}

func TestExpiredLinkIsGone(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Yesterday's bread", "0.03")
	name, value := w.payment(t, w.buyer(t), 2, w.get(t, l.URL).required(t))
	w.expire(t, l)

	program := w.get(t, l.URL)
	require.Equal(t, http.StatusGone, program.Status, program.Body)
	require.Equal(t, "link_expired", program.errorCode(t))
	person := w.get(t, l.URL, "Accept", "text/html")
	require.Equal(t, http.StatusGone, person.Status)
	require.Contains(t, person.Body, "This offer has ended")

	late := w.get(t, l.URL, name, value)
	require.Equal(t, http.StatusGone, late.Status, late.Body)
	w.requireNoClaims(t, l)
}

func TestPurchaseAnswersProgramsByItsState(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Cold brew", "0.09")
	began := w.do(t, http.MethodPost, l.URL, "", "Accept", "text/html", "Content-Type", formType)
	require.Equal(t, http.StatusSeeOther, began.Status, began.Body)
	purchase := began.Header.Get("Location")

	r := w.get(t, purchase).required(t)
	name, value := w.payment(t, w.buyer(t), 1, r)
	paid := w.get(t, purchase, name, value)
	require.Equal(t, "settled", paid.receipt(t).Status)
	require.NotEmpty(t, paid.Header.Get("X-PAYMENT-RESPONSE"))

	after := w.get(t, purchase)
	require.Equal(t, paid.receipt(t).Transaction, after.receipt(t).Transaction)
	_, second := w.payment(t, w.buyer(t), 1, r)
	refused := w.get(t, purchase, name, second)
	require.Equal(t, http.StatusConflict, refused.Status, refused.Body)
	require.Equal(t, "already_paid", refused.errorCode(t))
	require.Len(t, w.sales(t, "item_title", l.Title), 1)
}

func TestLimitedLinkSellsNoMoreThanItHas(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	var l link
	w.call(t, "/api/payment_links/create", object{"title": "Last two seats", "price": "0.02", "max_payments": 2}, &l)
	r := w.get(t, l.URL).required(t)
	var payments [][3]string
	for range 5 {
		name, value := w.payment(t, w.buyer(t), 2, r)
		payments = append(payments, [3]string{l.URL, name, value})
	}
	sold := map[int]int{}
	for _, a := range w.together(t, payments...) {
		sold[a.Status]++
	}
	require.Equal(t, map[int]int{http.StatusOK: 2, http.StatusConflict: 3}, sold)
	require.Len(t, w.sales(t, "item_title", l.Title), 2)
}
