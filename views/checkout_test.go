package views

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/a-h/templ"
	"github.com/stretchr/testify/require"

	"xsynesis/static"
)

// checkoutExamples are every page a buyer can meet, each in one state.
func checkoutExamples(t *testing.T) map[string]templ.Component {
	t.Helper()
	pages := map[string]templ.Component{
		"link":          LinkPage(exampleOffer(t, "", "")),
		"link_refused":  LinkPage(exampleOffer(t, "", "Somebody else is buying the last one. Try again in a few minutes")),
		"link_expired":  LinkPage(exampleOffer(t, ClosedExpired, "")),
		"link_paused":   LinkPage(exampleOffer(t, ClosedPaused, "")),
		"link_sold_out": LinkPage(exampleOffer(t, ClosedSoldOut, "")),
		"link_unknown":  ErrorPage(UnknownLink("req_7Q2f")),
		"link_long": LinkPage(func() OfferView {
			v := exampleOffer(t, "", "")
			v.Payee = Payee{Name: "Gesellschaft für Donaudampfschifffahrt und Hafenwirtschaft", Address: v.Payee.Address}
			v.Cart = Cart{
				Title: "Annual membership with unlimited crossings, luggage and two bicycles", Amount: 1_234_567_890_000,
				Lines: []CartLine{{Title: "Membership", Quantity: 3, Amount: 1_300_000_000_000}, {Title: "Early bird", Amount: -65_432_110_000}},
			}
			v.Test = false
			return v
		}()),
	}
	for _, status := range []string{
		"open", "settling", "unknown", "settled", "settled_late", "expired", "cancelled", "failed", "reversed",
	} {
		pages["pay_"+status] = PurchasePage(examplePurchase(t, status, ""))
	}
	for _, name := range screenOrder {
		pages["pay_open_"+name] = PurchasePage(examplePurchase(t, "open", name))
	}
	for _, status := range []string{"open", "expired"} {
		pages["pay_"+status+"_transfer"] = PurchasePage(exampleTransfer(t, status))
	}
	offered := examplePurchase(t, "open", "")
	offered.Transfer.Offered = true
	pages["pay_open_transferable"] = PurchasePage(offered)
	crowded := examplePurchase(t, "open", "")
	crowded.Transfer = TransferView{Offered: true, Crowded: true}
	pages["pay_open_crowded"] = PurchasePage(crowded)
	named := exampleTransfer(t, "open")
	named.Transfer.Hash, named.Transfer.Told = Field{}, nil
	named.Transfer.Came = []CameView{
		{Amount: 20_000_000, Missing: -7_495_289, Named: true, Claim: "I sent this transfer.\n\nPurchase: pa_1", Transaction: "0x4be1" + strings.Repeat("7d", 30)},
		{Amount: 12_600_000, Missing: -95_289, Transaction: "0x51c2" + strings.Repeat("9a", 30)},
	}
	pages["pay_open_transfer_named"] = PurchasePage(named)
	sent := examplePurchase(t, "settled", "")
	sent.Approval, sent.Received = "", 12_504_711
	pages["pay_settled_transfer"] = PurchasePage(sent)
	simulated := examplePurchase(t, "settled", "")
	simulated.Simulated, simulated.Transaction, simulated.TransactionURL = true, "", ""
	pages["pay_simulated"] = PurchasePage(simulated)
	return pages
}

func exampleCart() Cart {
	return Cart{
		Title:  "Coffee beans “Fjord”, 250 g",
		Note:   "Ready to take at the counter",
		Amount: 12_500_000,
		Lines:  []CartLine{{Title: "Coffee beans “Fjord”, 250 g", Quantity: 1, Amount: 12_500_000}},
		Fiat:   "about 10.80 EUR, tax included",
	}
}

func examplePayee() Payee {
	return Payee{
		Name: "Kiosk Nord", Domain: "kiosk-nord.example", Checked: true,
		Address: "0x7A3f52b1C9d04E8a6F21B7c35D98e0A4f6C191Bc",
	}
}

func exampleOffer(t *testing.T, closed, problem string) OfferView {
	t.Helper()
	address := "https://pay.example/link/7NqJ4kd2RmXcVb8sTgHyPw"
	code, err := NewQR(address)
	require.NoError(t, err)
	return OfferView{
		Token: "7NqJ4kd2RmXcVb8sTgHyPw", URL: address, Payee: examplePayee(), Cart: exampleCart(), QR: code,
		Closing: Closing{Closed: closed}, Problem: problem, Test: true, TestWallet: true,
	}
}

func examplePurchase(t *testing.T, status, screen string) PurchaseView {
	t.Helper()
	at := time.Date(2026, 11, 21, 14, 32, 7, 0, time.UTC)
	address := "https://pay.example/pay/pa_1CbVxLwM7Qe2RtYu8PzKsd"
	code, err := NewQR(address)
	require.NoError(t, err)
	v := PurchaseView{
		Attempt: "pa_1CbVxLwM7Qe2RtYu8PzKsd", Status: status, Screen: screen, Payee: examplePayee(), Cart: exampleCart(),
		URL: address, PayURL: address + "?k=3vQB7uYtRwExZs9LmKpHdG", AgainToken: "7NqJ4kd2RmXcVb8sTgHyPw",
		Number: "9fQ2-41", Network: "Base Sepolia", QR: code, Now: at.Add(4 * time.Second),
		ExpiresAt: at.Add(15 * time.Minute), Test: true, TestWallet: true,
	}
	if status == "open" {
		v.TypedData = map[string]any{
			"primaryType": "TransferWithAuthorization",
			"domain":      map[string]any{"name": "USDC", "version": "2", "chainId": 84532},
			"message":     map[string]any{"to": v.Payee.Address, "value": "12500000", "validAfter": "0", "validBefore": "1795271527"},
		}
		return v
	}
	v.ApprovedAt, v.SentAt, v.CheckedAt = at, at.Add(time.Second), at.Add(2*time.Second)
	v.CertainBy, v.SettledAt = at.Add(15*time.Minute), at.Add(2*time.Second)
	v.Payer = "0x12c4A0b3f8D7e6C5b4A39281706f5E4d3C2b9aB0"
	v.Approval = "0x91c0e5a7d3b2f4866a1d0c9b8e7f6a5d4c3b2a190807f6e5d4c3b2a1908f7e6d"
	v.Transaction = "0x4be1a9c07d3e5f2b8a6c4d1e0f9b7a5c3d2e1f0a9b8c7d6e5f4a3b2c1d0e77d0"
	v.TransactionURL = "https://sepolia.basescan.org/tx/" + v.Transaction
	v.Receipt, v.Thanks, v.BackURL = "KN-2026-00418", "Show this page at the counter to pick up your beans.", "https://kiosk-nord.example/"
	return v
}

// exampleTransfer is a purchase for which its buyer has sent one unit too little.
func exampleTransfer(t *testing.T, status string) PurchaseView {
	t.Helper()
	v := examplePurchase(t, status, "")
	token := "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
	code, err := NewQR("ethereum:" + token + "@84532/transfer?address=" + v.Payee.Address + "&uint256=12504711")
	require.NoError(t, err)
	v.Transfer = TransferView{
		Offered: status == "open", Key: "3vQB7uYtRwExZs9LmKpHdG", Amount: 12_504_711, Token: token, Code: code,
		Call: map[string]any{"chainId": 84532, "to": token, "data": "0xa9059cbb"}, Until: v.ExpiresAt, Kept: v.ExpiresAt.Add(24 * time.Hour),
		Told: []string{"0x9d2fc1a07d3e5f2b8a6c4d1e0f9b7a5c3d2e1f0a9b8c7d6e5f4a3b2c1d0e1a2b"},
		Hash: Field{Value: "0x12", Problem: "That is no transaction's number. It begins with 0x and has 64 more characters."},
		Came: []CameView{{
			Amount: 12_504_710, Missing: 1, Transaction: "0x4be1a9c07d3e5f2b8a6c4d1e0f9b7a5c3d2e1f0a9b8c7d6e5f4a3b2c1d0e77d0",
			Claim: "I sent this transfer.\n\nPurchase: pa_1",
		}},
	}
	return v
}

// markup is a page, or only its named fragments, as text.
func markup(t *testing.T, page templ.Component, fragments ...any) string {
	t.Helper()
	var b strings.Builder
	if len(fragments) > 0 {
		require.NoError(t, templ.RenderFragments(t.Context(), &b, page, fragments...))
	} else {
		require.NoError(t, page.Render(t.Context(), &b))
	}
	return b.String()
}

func parse(t *testing.T, page templ.Component) *goquery.Document {
	t.Helper()
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(markup(t, page)))
	require.NoError(t, err)
	return doc
}

// shown leaves out what the page carries but does not show.
func shown(doc *goquery.Document) *goquery.Selection {
	body := doc.Find("body").Clone()
	body.Find("template, script, noscript, details > :not(summary)").Remove()
	return body
}

func TestCheckoutPages(t *testing.T) {
	t.Parallel()
	for name, page := range checkoutExamples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, "checkout_"+name, page)
			doc := parse(t, page)
			require.Zero(t, doc.Find("[style], style").Length(), "inline styles are refused by the security policy")
			doc.Find("script:not([type='application/json'])").Each(func(_ int, s *goquery.Selection) {
				require.NotEmpty(t, s.AttrOr("src", ""), "inline scripts are refused by the security policy")
				require.Empty(t, s.Text())
			})
			require.Zero(t, doc.Find(`path[d=""]`).Length(), "a drawing is missing")
			require.Equal(t, 1, doc.Find("h1").Length(), "one heading tells what the page is")
			require.LessOrEqual(t, shown(doc).Find(".primary").Length(), 1, "one primary action at most")
			require.Equal(t, 1, doc.Find("main").Length())
		})
	}
}

func TestBuyersReadNoJargon(t *testing.T) {
	t.Parallel()
	jargon := regexp.MustCompile(`(?i)\b(gas|chain|chain id|signature|sign|hash|nonce|eip|eip-\d+|facilitator|x402|oops)\b`)
	for name, page := range checkoutExamples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := parse(t, page).Find("body")
			body.Find("script").Remove()
			require.Empty(t, jargon.FindString(body.Text()))
		})
	}
}

func TestNobodyIsAskedToPayWhileTheOutcomeIsOpen(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"settling", "unknown"} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			doc := parse(t, PurchasePage(examplePurchase(t, status, "")))
			require.Zero(t, doc.Find(".primary, #typed-data, form").Length())
		})
	}
	doc := parse(t, PurchasePage(examplePurchase(t, "unknown", "")))
	require.Equal(t, "Do not pay again", doc.Find("h1").Text())
	for _, name := range []string{"sending", "unsent"} {
		doc := parse(t, PurchasePage(examplePurchase(t, "open", name)))
		require.Contains(t, doc.Find("#act").Text(), "o not pay again")
		require.Zero(t, doc.Find("#act .primary").Length())
	}
}

func TestAPurchaseWithoutScriptsReloadsOnlyWhileThereIsNews(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]int{
		"open": 1, "settling": 1, "unknown": 1, "settled": 0, "settled_late": 0, "expired": 0, "cancelled": 0, "failed": 0, "reversed": 0,
	} {
		page := PurchasePage(examplePurchase(t, status, ""))
		require.Equal(t, want, strings.Count(markup(t, page), `<noscript><meta http-equiv="refresh" content="5"`), status)
		require.Equal(t, want, parse(t, page).Find("#purchase[data-events]").Length(), status)
	}
}

func TestTheFragmentIsThePageWithoutItsFrame(t *testing.T) {
	t.Parallel()
	page := PurchasePage(examplePurchase(t, "settling", ""))
	part := markup(t, page, PurchaseFragment)
	require.True(t, strings.HasPrefix(part, `<main id="purchase"`), part)
	require.True(t, strings.HasSuffix(part, "</main>"))
	require.Contains(t, markup(t, page), part)
}

func TestPayingWorksWithoutScripts(t *testing.T) {
	t.Parallel()
	form := parse(t, LinkPage(exampleOffer(t, "", ""))).Find("form")
	require.Equal(t, "post", form.AttrOr("method", ""))
	require.Equal(t, "/link/7NqJ4kd2RmXcVb8sTgHyPw", form.AttrOr("action", ""))
	require.Equal(t, "Pay 12.50\u00a0USDC", form.Find("button.primary").Text())
}

func TestAClosedLinkCannotBePaid(t *testing.T) {
	t.Parallel()
	for _, closed := range []string{ClosedExpired, ClosedPaused, ClosedEarly, ClosedSoldOut} {
		require.Zero(t, parse(t, LinkPage(exampleOffer(t, closed, ""))).Find("form, .primary").Length(), closed)
	}
}

func TestPreviewNamesThePrice(t *testing.T) {
	t.Parallel()
	v := exampleOffer(t, "", "")
	v.Cart.Image = "https://pay.example/uploads/beans.webp"
	doc := parse(t, LinkPage(v))
	content := func(property string) string {
		return doc.Find(`meta[property="`+property+`"]`).AttrOr("content", "")
	}
	require.Equal(t, "Coffee beans “Fjord”, 250 g, 12.50\u00a0USDC", content("og:title"))
	require.Equal(t, "12.50", content("product:price:amount"))
	require.Equal(t, v.Cart.Image, content("og:image"))
	require.Equal(t, v.URL, content("og:url"))
}

func TestTestMoneyIsNamed(t *testing.T) {
	t.Parallel()
	doc := parse(t, PurchasePage(examplePurchase(t, "settled", "")))
	require.Equal(t, 1, doc.Find(".stripe").Length())
	require.Equal(t, 2, doc.Find(".facts .test").Length(), "above and below the printed total")

	v := examplePurchase(t, "settled", "")
	v.Test = false
	require.Zero(t, parse(t, PurchasePage(v)).Find(".stripe, .facts .test").Length())
}

func TestTheTestWalletComesOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	v := exampleOffer(t, "", "")
	require.Contains(t, markup(t, LinkPage(v)), "testwallet")
	v.TestWallet = false
	require.NotContains(t, markup(t, LinkPage(v)), "testwallet")
}

func TestWalletApps(t *testing.T) {
	t.Parallel()
	apps := walletApps("https://pay.example/pay/pa_1?k=x")
	require.Equal(t, "https://link.metamask.io/dapp/pay.example/pay/pa_1?k=x&via=wallet", apps[0].Href)
	require.Equal(t, "https://go.cb-w.com/dapp?cb_url=https%3A%2F%2Fpay.example%2Fpay%2Fpa_1%3Fk%3Dx%26via%3Dwallet", apps[1].Href)
	require.Contains(t, walletApps("https://pay.example/pay/pa_1")[0].Href, "/pa_1?via=wallet")
}

func TestAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)
	for want, passed := range map[string]time.Duration{
		"just now": 0, "1 second ago": time.Second, "59 seconds ago": 59 * time.Second,
		"1 minute ago": 90 * time.Second, "3 hours ago": 3*time.Hour + time.Minute,
	} {
		require.Equal(t, want, ago(now.Add(-passed), now))
	}
	require.Equal(t, "just now", ago(now.Add(time.Second), now), "clocks of two hosts differ")
}

// TestPageWeight keeps the whole of a buyer's page, compressed, far below the 60 KB that a slow phone can take.
func TestPageWeight(t *testing.T) {
	t.Parallel()
	total := 0
	var page bytes.Buffer
	zip := gzip.NewWriter(&page)
	_, err := zip.Write([]byte(markup(t, PurchasePage(examplePurchase(t, "open", "")))))
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	require.Less(t, page.Len(), 10_000, "the page itself fits into the first round trip")
	for _, name := range []string{"css/base.css", "css/checkout.css", "js/checkout.js"} {
		r := httptest.NewRequest(http.MethodGet, static.URL(name), nil)
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		static.Handler().ServeHTTP(w, r)
		total += w.Body.Len()
	}
	require.Less(t, page.Len()+total, 22_000)
}
