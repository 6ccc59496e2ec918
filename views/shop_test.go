package views

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/stretchr/testify/require"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/static"
)

func shopFrameExample() ShopFrame {
	return ShopFrame{Slug: "halden-books", Payee: Payee{Name: "Halden Books", Domain: "halden-books.example", Checked: true, Help: "mailto:hello@halden-books.example"}, InCart: 3, Test: true}
}

// shopExamples are every page of a storefront and of what belongs to it.
func shopExamples(t *testing.T) map[string]templ.Component {
	t.Helper()
	empty := shopExample(t)
	empty.Products, empty.Pages, empty.InCart = nil, Pages{}, 0
	nothing := empty
	nothing.Search, nothing.Category = `<b>"tea"`, "Books"
	return map[string]templ.Component{
		"front":             ShopPage(shopExample(t)),
		"front_empty":       ShopPage(empty),
		"front_no_match":    ShopPage(nothing),
		"product":           ProductPage(productExample(t, "fixed")),
		"product_refused":   ProductPage(refusedProductExample(t)),
		"product_sold_out":  ProductPage(soldOutProductExample(t)),
		"cart":              BasketPage(basketExample(t)),
		"cart_short":        BasketPage(shortBasketExample(t)),
		"cart_empty":        BasketPage(BasketView{ShopFrame: ShopFrame{Slug: "halden-books", Payee: shopFrameExample().Payee}}),
		"checkout":          ShopCheckoutPage(shopCheckoutExample(t, "")),
		"checkout_refused":  ShopCheckoutPage(refusedCheckoutExample(t)),
		"link_asks":         LinkPage(askingOfferExample(t)),
		"link_donation":     LinkPage(donationExample(t, nil)),
		"link_own_amount":   LinkPage(ownAmountExample(t)),
		"link_paused":       LinkPage(pausedExample(t)),
		"link_early":        LinkPage(earlyExample(t)),
		"link_leads":        LinkPage(leadingExample(t)),
		"short":             ShortLinkPage(shortExample("")),
		"short_closed":      ShortLinkPage(shortExample(ClosedExpired)),
		"paid_goods":        PurchasePage(goodsExample(t)),
		"paid_goods_hidden": PurchasePage(hiddenGoodsExample(t)),
		"paid_sent":         PurchasePage(sentPurchaseExample(t)),
		"paid_leads":        PurchasePage(paidLeadExample(t)),
		"paid_pass":         PurchasePage(paidPassExample(t, BoughtPass{EndsAt: time.Date(2026, 12, 22, 9, 0, 0, 0, time.UTC)})),
		"paid_pass_once":    PurchasePage(paidPassExample(t, BoughtPass{Once: true})),
		"verify":            Verify(VerifyView{Test: true}),
		"verify_whole":      Verify(VerifyView{Result: proofExample(ProofWhole)}),
		"verify_paid":       Verify(VerifyView{Result: proofExample(ProofPaid)}),
		"verify_broken":     Verify(VerifyView{Result: proofExample(ProofBroken)}),
		"verify_unreadable": Verify(VerifyView{Receipt: Field{Value: "hello", Problem: "This is no receipt. Take the whole text of the file."}}),
	}
}

func shopExample(t *testing.T) ShopView {
	t.Helper()
	v := ShopView{
		ShopFrame: shopFrameExample(), URL: "https://pay.example/s/halden-books",
		Categories: []ShopCategory{{"Books", 12}, {"Files & fonts", 3}, {"Events", 2}},
		Pages:      Pages{Older: ShopShelfPath("halden-books", "", "", 2)},
	}
	for i, p := range []Product{
		{Title: "The Salt Path Atlas, Paperback", Pricing: "fixed", Price: usdc(t, "18.50"), Limited: true, Free: 3, Low: true},
		{Title: "The Salt Path Atlas, PDF", Pricing: "minimum", Price: usdc(t, "5")},
		{Title: "Reading night, one seat", Pricing: "fixed", Price: usdc(t, "12"), Limited: true},
		{Title: "Donate to the library", Pricing: "any", Price: 0},
		{Title: "Sampler of the autumn catalogue with a very long name that needs more than two lines in a tile", Pricing: "free"},
		{Title: "Halden Grotesk, licence for one computer", Pricing: "fixed", Price: usdc(t, "49"), Limited: true, Free: 41},
		{Title: "Bookplate <script>", Pricing: "fixed", Price: usdc(t, "0.0025")},
	} {
		p.Item = id.Item("itm_" + strconv.Itoa(i))
		if i%2 == 0 && i < 4 {
			p.Image = "/images/upl_" + strconv.Itoa(i) + "-small"
		}
		v.Products = append(v.Products, p)
	}
	return v
}

func productExample(t *testing.T, pricing string) ProductView {
	t.Helper()
	return ProductView{
		ShopFrame: shopFrameExample(), URL: "https://pay.example/s/halden-books/items/itm_0",
		Product: Product{Item: "itm_0", Title: "The Salt Path Atlas, Paperback", Pricing: pricing, Price: usdc(t, "18.50"), Limited: true, Free: 3, Low: true},
		Large:   "/images/upl_0", LargeURL: "https://pay.example/images/upl_0", Kind: "physical",
		Description: "Forty-two walks along the coast, drawn by hand.\n\nSewn binding, 168 pages.",
		Editions: []EditionLink{
			{Item: "itm_0", Name: "Paperback", Pricing: "fixed", Price: usdc(t, "18.50"), Here: true},
			{Item: "itm_1", Name: "PDF", Pricing: "minimum", Price: usdc(t, "5")},
			{Item: "itm_9", Name: "Signed hardback", Pricing: "fixed", Price: usdc(t, "48"), SoldOut: true},
		},
	}
}

func refusedProductExample(t *testing.T) ProductView {
	t.Helper()
	v := productExample(t, "minimum")
	v.Kind, v.Limited, v.Low, v.Large, v.Editions = "file", false, false, "", nil
	v.Problem = "One field needs a change."
	v.Amount = Field{Value: "2", Problem: "This costs at least 18.50 USDC."}
	v.Qty = Field{Value: "1.5", Problem: "Give a whole number from 1 on."}
	return v
}

func soldOutProductExample(t *testing.T) ProductView {
	t.Helper()
	v := productExample(t, "fixed")
	v.Free = 0
	return v
}

func basketExample(t *testing.T) BasketView {
	t.Helper()
	return BasketView{
		ShopFrame: shopFrameExample(), Total: usdc(t, "98"),
		Lines: []BasketLine{
			{Line: 1, Item: "itm_0", Title: "The Salt Path Atlas, Paperback", Image: "/images/upl_0-small", Qty: 2, Unit: usdc(t, "18.50")},
			{Line: 2, Item: "itm_5", Title: "Halden Grotesk, licence for one computer", Qty: 1, Unit: usdc(t, "49"), Was: usdc(t, "45")},
			{Line: 4, Item: "itm_2", Title: "Reading night, one seat", Qty: 1, Unit: usdc(t, "12")},
		},
	}
}

func shortBasketExample(t *testing.T) BasketView {
	t.Helper()
	v := basketExample(t)
	v.Problem = "Something was sold while it was in your cart. Nothing was charged."
	v.Lines[0].Qty, v.Lines[0].Problem = 5, "Only 3 are left."
	v.Lines[2].Gone, v.Lines[2].Problem = true, "This is not on sale any more."
	v.Total = usdc(t, "49")
	return v
}

func shopCheckoutExample(t *testing.T, problem string) ShopCheckoutView {
	t.Helper()
	return ShopCheckoutView{
		ShopFrame: shopFrameExample(), Once: "7yGm2QwErTzUiPaSdFgHjK", Problem: problem,
		Cart: Cart{
			Title: "The Salt Path Atlas, Paperback and 2 more", Amount: usdc(t, "98"),
			Lines: []CartLine{
				{Title: "The Salt Path Atlas, Paperback", Quantity: 2, Amount: usdc(t, "37")},
				{Title: "Halden Grotesk, licence for one computer", Quantity: 1, Amount: usdc(t, "49")},
				{Title: "Reading night, one seat", Quantity: 1, Amount: usdc(t, "12")},
			},
		},
		Ask: Ask{Unit: usdc(t, "98"), Ships: true, Email: AskField{Asked: true}, Note: AskField{Asked: true}},
	}
}

func refusedCheckoutExample(t *testing.T) ShopCheckoutView {
	t.Helper()
	v := shopCheckoutExample(t, "Two fields need a change. Nothing was charged.")
	v.Ask.Email = AskField{Field: Field{Value: "ada", Problem: "Give an e-mail address such as ada@example.org."}, Asked: true}
	v.Ask.Shipping = ShippingForm{
		Name: Field{Value: "Ada Byron"}, Line1: Field{Value: "12 St James’s Square"}, City: Field{Problem: "Use 1 to 120 printable characters."},
		Country: Field{Value: "GB"},
	}
	return v
}

func tipsExample(t *testing.T) []Tip {
	t.Helper()
	return []Tip{{5, usdc(t, "0.63")}, {10, usdc(t, "1.25")}, {15, usdc(t, "1.88")}}
}

func askingOfferExample(t *testing.T) OfferView {
	t.Helper()
	v := exampleOffer(t, "", "")
	v.Ask = Ask{
		Quantity: true, Qty: Field{Value: "2"}, Unit: v.Cart.Amount, Tips: tipsExample(t), Tip: Field{Value: "1.25"},
		Name: AskField{Asked: true, Required: true}, Email: AskField{Asked: true}, Note: AskField{Asked: true},
	}
	return v
}

func donationExample(t *testing.T, amount *Field) OfferView {
	t.Helper()
	v := exampleOffer(t, "", "")
	v.Cart = Cart{Title: "Keep the library open", Amount: usdc(t, "5"), Lines: []CartLine{{Title: "Keep the library open", Quantity: 1, Amount: usdc(t, "5")}}}
	v.Ask = Ask{Open: &OpenAsk{Presets: []money.USDC{usdc(t, "5"), usdc(t, "10"), usdc(t, "25")}, Least: usdc(t, "1")}, Unit: usdc(t, "5")}
	if amount != nil {
		v.Ask.Open.Amount = *amount
	}
	return v
}

func ownAmountExample(t *testing.T) OfferView {
	t.Helper()
	v := donationExample(t, &Field{Value: "other"})
	v.Problem = "Give at least 1.00 USDC."
	v.Ask.Open.Other = Field{Value: "0.50", Problem: "Give at least 1.00 USDC."}
	return v
}

func pausedExample(t *testing.T) OfferView {
	t.Helper()
	v := exampleOffer(t, ClosedPaused, "")
	v.ClosedText = "We are on holiday until 3 January."
	return v
}

func earlyExample(t *testing.T) OfferView {
	t.Helper()
	v := exampleOffer(t, ClosedEarly, "")
	v.OpensAt = time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)
	return v
}

func leadingExample(t *testing.T) OfferView {
	t.Helper()
	v := exampleOffer(t, "", "")
	v.Cart.Title, v.Cart.Lines[0].Title, v.Leads = "Recording of the reading night", "Recording of the reading night", "media.halden-books.example"
	return v
}

func shortExample(closed string) ShortLinkView {
	return ShortLinkView{
		Token: "7NqJ4kd2RmXcVb8sTgHyPw", URL: "https://pay.example/link/7NqJ4kd2RmXcVb8sTgHyPw", Payee: examplePayee(), Title: "Map of the stalls",
		Description: "Where everybody stands this Saturday.", Host: "maps.kiosk-nord.example", Closing: Closing{Closed: closed}, Test: true,
	}
}

func goodsExample(t *testing.T) PurchaseView {
	t.Helper()
	v := examplePurchase(t, "settled", "")
	v.Handover = Handover{
		ReceiptURL: "/pay/pa_1CbVxLwM7Qe2RtYu8PzKsd/receipt.json?k=3vQB7uYtRwExZs9LmKpHdG",
		Goods: []DeliveredGoods{
			{Title: "The Salt Path Atlas, PDF", File: &DeliveredFile{Name: "salt-path-atlas.pdf", Bytes: 14_380_112, URL: "/pay/pa_1CbVxLwM7Qe2RtYu8PzKsd/files/0?k=3vQB7uYtRwExZs9LmKpHdG", Times: 2}},
			{Title: "Halden Grotesk", Keys: []string{"HG24-9QX7-PL3D-7TTE", "HG24-0AAA-PL3D-1<b>"}},
			{Title: "Reading night, recording", Late: true},
		},
	}
	return v
}

func hiddenGoodsExample(t *testing.T) PurchaseView {
	t.Helper()
	v := examplePurchase(t, "settled", "")
	v.Handover.Held = true
	return v
}

func sentPurchaseExample(t *testing.T) PurchaseView {
	t.Helper()
	v := examplePurchase(t, "settled", "")
	v.Handover = Handover{
		To:   []string{"Ada Byron", "12 St James’s Square", "SW1Y 4JH London", "United Kingdom"},
		Sent: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC), SentNotes: []string{"Royal Mail, QM 1234 5678 9GB"},
	}
	return v
}

func paidLeadExample(t *testing.T) PurchaseView {
	t.Helper()
	v := examplePurchase(t, "settled", "")
	v.Handover = Handover{Onward: PaidOnwardPath(v.Attempt, "3vQB7uYtRwExZs9LmKpHdG"), OnwardHost: "media.halden-books.example"}
	return v
}

func paidPassExample(t *testing.T, p BoughtPass) PurchaseView {
	t.Helper()
	v := examplePurchase(t, "settled", "")
	p.URL, p.Token = "https://pay.example/x/end_1CbVxLwM7Qe2RtYu8PzKsd", "pss_1CbVxLwM7Qe2RtYu8PzKsd.3vQB7uYtRwExZs9LmKpHdG"
	v.Handover = Handover{Pass: &p}
	return v
}

func proofExample(verdict string) *Proof {
	p := &Proof{
		Verdict: verdict, Amount: 98_000_000, From: "0x12c4A0b3f8D7e6C5b4A39281706f5E4d3C2b9aB0",
		To: "0x7A3f52b1C9d04E8a6F21B7c35D98e0A4f6C191Bc", Paid: time.Date(2026, 11, 21, 14, 32, 9, 0, time.UTC), Network: "Base Sepolia",
		Checks: []ProofCheck{
			{Text: "The payment is on the chain, in block 41,220,915", State: "settled"},
			{Text: "It moved 98.00 USDC to the shop’s address", State: "settled"},
		},
		URL: "https://sepolia.basescan.org/tx/0x4be1a9c07d3e5f2b8a6c4d1e0f9b7a5c3d2e1f0a9b8c7d6e5f4a3b2c1d0e77d0",
	}
	switch verdict {
	case ProofWhole:
		p.Lines = []CartLine{{Title: "The Salt Path Atlas, Paperback", Quantity: 2, Amount: 37_000_000}, {Title: "Halden Grotesk", Quantity: 1, Amount: 61_000_000}}
		p.Checks = append(p.Checks, ProofCheck{Text: "It names what was bought", State: "settled"})
	case ProofPaid:
		p.Checks = append(p.Checks, ProofCheck{Text: "It does not name what was bought", State: "open", Note: "The payer’s program chose its own number."})
	case ProofBroken:
		p.Checks[1] = ProofCheck{Text: "It moved another amount", State: "failed", Note: "The receipt says 98.00 USDC, the chain says 89.00 USDC."}
	}
	return p
}

func TestShopPages(t *testing.T) {
	t.Parallel()
	for name, page := range shopExamples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, "shop_"+name, page)
			doc := parse(t, page)
			require.Zero(t, doc.Find("[style], style").Length(), "inline styles are refused by the security policy")
			require.Zero(t, doc.Find("script:not([src]):not([type='application/json'])").Length(), "inline scripts are refused by the security policy")
			require.Zero(t, doc.Find(`path[d=""]`).Length(), "a drawing is missing")
			require.Equal(t, 1, doc.Find("h1").Length(), "one heading tells what the page is")
			require.LessOrEqual(t, shown(doc).Find(".primary").Length(), 1, "one primary action at most")
			require.Equal(t, 1, doc.Find("main").Length())
			require.Zero(t, doc.Find(".products script, .shop-none b").Length(), "what sellers and buyers write is text")
		})
	}
}

func TestACartIsChangedWithoutScripts(t *testing.T) {
	t.Parallel()
	doc := parse(t, BasketPage(basketExample(t)))
	form := doc.Find(".basket-lines li").Eq(2).Find("form").First()
	require.Equal(t, "post", form.AttrOr("method", ""))
	require.Equal(t, "/s/halden-books/cart/lines/4", form.AttrOr("action", ""), "a line keeps its number")
	require.Equal(t, "Change", form.Find("button").First().Text(), "Enter means the field, not one less")
	require.Equal(t, "/s/halden-books/checkout", doc.Find(".basket-sum .primary").AttrOr("href", ""))

	short := parse(t, BasketPage(shortBasketExample(t)))
	require.Zero(t, short.Find(".primary").Length(), "a cart that cannot be bought is not offered for payment")
	require.Equal(t, 1, short.Find(".basket-lines li").Eq(2).Find("form").Length(), "what is gone can only be removed")
}

func TestWhatIsSoldOutCannotBePutIntoTheCart(t *testing.T) {
	t.Parallel()
	require.Equal(t, 1, parse(t, ProductPage(productExample(t, "fixed"))).Find("form[action='/s/halden-books/cart/lines']").Length())
	require.Zero(t, parse(t, ProductPage(soldOutProductExample(t))).Find("form").Length())
}

func TestPricesInWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ pricing, price, want string }{
		{"fixed", "12.5", "12.50\u00a0USDC"},
		{"minimum", "5", "From 5.00\u00a0USDC"},
		{"any", "0", "You decide"},
		{"any", "3", "About 3.00\u00a0USDC"},
		{"free", "0", "Free"},
	} {
		require.Equal(t, tt.want, priceInWords(tt.pricing, usdc(t, tt.price)))
	}
}

func TestTheQuestionsKeepTheirAnswers(t *testing.T) {
	t.Parallel()
	doc := parse(t, LinkPage(askingOfferExample(t)))
	require.Equal(t, "2", doc.Find("#qty").AttrOr("value", ""))
	require.Equal(t, "1.25", doc.Find("[name=tip][checked]").AttrOr("value", ""))
	require.Equal(t, "5.00", parse(t, LinkPage(donationExample(t, nil))).Find("[name=amount][checked]").AttrOr("value", ""), "the first is chosen already")
	require.Equal(t, "10.00", parse(t, LinkPage(donationExample(t, &Field{Value: "10"}))).Find("[name=amount][checked]").AttrOr("value", ""))

	own := parse(t, LinkPage(ownAmountExample(t)))
	require.Equal(t, "other", own.Find("[name=amount][checked]").AttrOr("value", ""))
	require.Equal(t, "0.50", own.Find("#amount_other").AttrOr("value", ""))

	address := parse(t, ShopCheckoutPage(refusedCheckoutExample(t)))
	require.Equal(t, "GB", address.Find("select option[selected]").AttrOr("value", ""))
	require.Equal(t, "Ada Byron", address.Find(`[name="shipping_address.name"]`).AttrOr("value", ""))
	require.Equal(t, 2, address.Find("[aria-invalid]").Length())
	require.Zero(t, address.Find("#name").Length(), "nobody is asked for his name twice")
}

func TestGoodsAreForWhoHasTheToken(t *testing.T) {
	t.Parallel()
	yours := parse(t, PurchasePage(goodsExample(t)))
	require.Equal(t, "salt-path-atlas.pdf", yours.Find(".goods a[download]").AttrOr("download", ""))
	require.Equal(t, "HG24-9QX7-PL3D-7TTE", yours.Find(".licence code").First().Text())
	require.Equal(t, "Download salt-path-atlas.pdf", strings.TrimSpace(yours.Find(".primary").Text()), "what was bought comes before its receipt")

	theirs := parse(t, PurchasePage(hiddenGoodsExample(t)))
	require.Zero(t, theirs.Find(".goods a, .licence").Length())
}

func TestAShortLinkNamesItsHostBeforeItIsFollowed(t *testing.T) {
	t.Parallel()
	doc := parse(t, ShortLinkPage(shortExample("")))
	require.Contains(t, doc.Find(".leads").Text(), "maps.kiosk-nord.example")
	require.Equal(t, "/link/7NqJ4kd2RmXcVb8sTgHyPw/onward", doc.Find(".primary").AttrOr("href", ""), "no address of another site stands on the page")
	require.Contains(t, parse(t, LinkPage(leadingExample(t))).Find(".leads").Text(), "media.halden-books.example")
}

func TestFileSizes(t *testing.T) {
	t.Parallel()
	for want, bytes := range map[string]int64{"812\u00a0bytes": 812, "1.4\u00a0kB": 1_490, "14\u00a0MB": 14_380_112, "9.9\u00a0MB": 9_999_999, "200\u00a0MB": 200_000_000} {
		require.Equal(t, want, fileSize(bytes))
	}
}

func TestCountriesAreInOrderAndOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range countries {
		require.Len(t, c.Value, 2)
		require.False(t, seen[c.Value], c.Value)
		seen[c.Value] = true
	}
	require.True(t, seen["DK"] && seen["GB"] && seen["US"])
}

// TestAShopsWeight keeps a page of sixty products, compressed and without its pictures, below what a slow phone takes.
func TestAShopsWeight(t *testing.T) {
	t.Parallel()
	v := shopExample(t)
	for i := len(v.Products); i < 60; i++ {
		p := v.Products[i%7]
		p.Item, p.Title = id.Item("itm_1CbVxLwM7Qe2RtYu8Pz"+strconv.Itoa(i)), p.Title+" "+strconv.Itoa(i)
		v.Products = append(v.Products, p)
	}
	require.Less(t, gzipped(t, []byte(markup(t, ShopPage(v)))), 10_000)
	total := gzipped(t, []byte(markup(t, ShopPage(v))))
	for _, name := range []string{"css/base.css", "css/checkout.css", "css/shop.css", "js/shop.js"} {
		w := httptest.NewRecorder()
		static.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, static.URL(name), nil))
		total += gzipped(t, w.Body.Bytes())
	}
	t.Logf("%d bytes in all", total)
	require.Less(t, total, 40_000)
}

func gzipped(t *testing.T, content []byte) int {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	_, err := zip.Write(content)
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	return b.Len()
}
