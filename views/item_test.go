package views

import (
	"strings"
	"testing"

	"github.com/a-h/templ"
	"github.com/stretchr/testify/require"

	"xsynesis/money"
)

// itemExamples are the pages of what a shop sells, and of what it prints.
func itemExamples(t *testing.T) map[string]templ.Component {
	t.Helper()
	code, err := NewQR("https://pay.example/link/7NqJ4kd2RmXcVb8sTgHyPw")
	require.NoError(t, err)
	poster := PosterView{
		Link: "lnk_3vQB7u9dXkZpR2mNcTfWyA", Shop: "Kaffe Nord", Title: "Reading night, one seat", Price: usdc(t, "12"), QR: code,
		URL: "https://pay.example/link/7NqJ4kd2RmXcVb8sTgHyPw", Size: "a4", Test: true,
	}
	small := poster
	small.Size, small.Pricing, small.Price, small.Test = "a6", "any", 0, false
	leading := poster
	leading.Leads = "maps.kaffe-nord.example"
	return map[string]templ.Component{
		"items":            Items(itemsExample(t)),
		"items_none":       Items(ItemsView{DashboardView: shell("Items", SectionItems), MayChange: true}),
		"items_no_match":   Items(ItemsView{DashboardView: shell("Items", SectionItems), Search: `"><b>`}),
		"item":             ItemPage(itemExample(t)),
		"item_keys":        ItemPage(keyItemExample(t)),
		"item_viewer":      ItemPage(watchedItemExample(t)),
		"item_new":         ItemForm(ItemFormView{DashboardView: shell("New item", SectionItems), Once: "7yGm2QwErTzUiPaSdFgHjK"}),
		"item_new_refused": ItemForm(refusedItemExample(t)),
		"item_edit":        ItemForm(editItemExample(t)),
		"link_form_amount": LinkForm(LinkFormView{DashboardView: shell("New link", SectionLinks), Zone: "Copenhagen time", Offer: LinkOffer{Sells: Field{Value: "amount"}}}),
		"link_form_items":  LinkForm(itemsLinkExample(t)),
		"link_form_open":   LinkForm(openLinkExample()),
		"link_form_short":  LinkForm(shortLinkExample()),
		"link_items":       Link(itemsLinkViewExample(t)),
		"link_short":       Link(shortLinkViewExample(t)),
		"link_pause":       LinkPause(LinkPauseView{DashboardView: shell("Pause this link?", SectionLinks), Link: "lnk_3", Subject: "Reading night, one seat"}),
		"poster":           Poster(poster),
		"poster_small":     Poster(small),
		"poster_leads":     Poster(leading),
		"orders":           Orders(ordersExample(t)),
		"orders_none":      Orders(OrdersView{DashboardView: shell("Orders", SectionOrders)}),
		"orders_sent_none": Orders(OrdersView{DashboardView: shell("Orders", SectionOrders), Sent: true}),
		"order":            Order(orderExample(t)),
		"order_sent":       Order(sentOrderExample(t)),
		"order_reversed":   Order(reversedOrderExample(t)),
		"order_packing":    Packing(packingExample()),
	}
}

func itemsExample(t *testing.T) ItemsView {
	t.Helper()
	v := ItemsView{
		DashboardView: shell("Items", SectionItems), Categories: []string{"Beans", "Drinks", "Books"}, MayChange: true,
		Storefront: "/s/kaffe-nord", Pages: Pages{Older: ItemsPath + "?before=itm_1"},
		Items: []ItemRow{
			{Item: "itm_6", Title: "Coffee beans “Fjord”, 250 g", Image: "/images/upl_6-small", Category: "Beans", SKU: "FJ-250", Kind: "physical", Pricing: "fixed", Price: usdc(t, "12.50"), Stock: StockView{Limited: true, Free: 1204, Held: 2, Sold: 311}},
			{Item: "itm_5", Title: "Cardamom bun", Category: "Drinks", Kind: "service", Pricing: "fixed", Price: usdc(t, "3.40"), Stock: StockView{Limited: true, Free: 2, Low: true}},
			{Item: "itm_4", Title: "Reading night, one seat", Kind: "service", Pricing: "fixed", Price: usdc(t, "12"), Stock: StockView{Limited: true, Held: 3, Sold: 37}},
			{Item: "itm_3", Title: "The Salt Path Atlas, PDF", Category: "Books", Kind: "file", Pricing: "minimum", Price: usdc(t, "5")},
			{Item: "itm_2", Title: "Halden Grotesk, licence for one computer", Kind: "key", Pricing: "fixed", Price: usdc(t, "49"), Stock: StockView{Limited: true, Free: 41}},
			{Item: "itm_1", Title: "Tip jar", Kind: "service", Pricing: "any"},
			{Item: "itm_0", Title: "Sampler <b>", Kind: "file", Pricing: "free", Archived: true},
		},
	}
	v.Live = ItemsPath
	return v
}

func itemExample(t *testing.T) ItemView {
	t.Helper()
	v := ItemView{
		DashboardView: shell("The Salt Path Atlas", SectionItems), Item: "itm_1CbVxLwM7Qe2RtYu8PzKsd", Title: "The Salt Path Atlas", Edition: "Paperback",
		Editions:    []ItemChoice{{"itm_1CbVxLwM7Qe2RtYu8PzKse", "The Salt Path Atlas, PDF"}},
		Description: "Forty-two walks along the coast, drawn by hand.\n\nSewn binding, 168 pages.", Image: "/images/upl_0", Kind: "physical",
		Pricing: "fixed", Price: usdc(t, "18.50"), SKU: "SPA-1", Barcode: "9780241352137", Category: "Books", LowStock: 5,
		Stock: StockView{Limited: true, Free: 3, Held: 1, Sold: 46, Low: true}, Created: at(2, 9, 0, 0), URL: "/s/kaffe-nord/items/itm_1CbVxLwM7Qe2RtYu8PzKsd",
		MayChange: true,
	}
	v.Live = ItemPath(v.Item)
	return v
}

func keyItemExample(t *testing.T) ItemView {
	t.Helper()
	v := itemExample(t)
	v.Heading, v.Title, v.Edition, v.Editions, v.Image, v.Description = "Halden Grotesk", "Halden Grotesk", "", nil, "", ""
	v.Kind, v.Price, v.Stock, v.LowStock = "key", usdc(t, "49"), StockView{Limited: true, Free: 41, Sold: 12}, -1
	v.Keys = Field{Value: "HG24-1\nHG24-2\x01", Problem: "Key 2 is not one line of at most 500 printable characters."}
	return v
}

func watchedItemExample(t *testing.T) ItemView {
	t.Helper()
	v := itemExample(t)
	v.MayChange, v.Archived, v.Stock, v.Pricing, v.Image = false, true, StockView{}, "any", ""
	return v
}

func refusedItemExample(t *testing.T) ItemFormView {
	t.Helper()
	return ItemFormView{
		DashboardView: shell("New item", SectionItems), Problem: "Four fields need a change. Nothing was created yet.",
		Title: Field{Value: ""}, Kind: Field{Value: "file"}, Pricing: Field{Value: "minimum"},
		Price: Field{Value: "0", Problem: "The price must be more than zero."}, Counted: true, Stock: Field{Value: "1.5", Problem: "Give a whole number, or leave it empty."},
		Image: Field{Problem: "This is no picture that can be read. Choose a JPEG, PNG, WebP or GIF."}, File: Field{Value: "upl_1"},
		FileFact: FileFact{Name: "salt-path-atlas.pdf", Bytes: 14_380_112}, SKU: Field{Value: "SPA-1", Problem: "Another item has this SKU."},
		Categories: []string{"Books", "Beans"}, Once: "7yGm2QwErTzUiPaSdFgHjK",
	}
}

func editItemExample(t *testing.T) ItemFormView {
	t.Helper()
	return ItemFormView{
		DashboardView: shell("Edit item", SectionItems), Item: "itm_1CbVxLwM7Qe2RtYu8PzKsd",
		Title: Field{Value: "The Salt Path Atlas"}, Kind: Field{Value: "physical"}, Pricing: Field{Value: "fixed"}, Price: Field{Value: "18.50"},
		Description: Field{Value: "Forty-two walks along the coast, drawn by hand."}, Counted: true, Stock: Field{Value: "4"}, StockWas: "4", Held: 1,
		LowStock: Field{Value: "5"}, SKU: Field{Value: "SPA-1"}, Barcode: Field{Value: "9780241352137"}, Category: Field{Value: "Books"},
		Image: Field{Value: "upl_0"}, ImageURL: "/images/upl_0-small", Edition: Field{Value: "Paperback"}, Titles: []ItemChoice{{"itm_2", "Halden Grotesk"}},
	}
}

func linkLines(t *testing.T) []LinkLine {
	t.Helper()
	return []LinkLine{
		{Item: "itm_6", Title: "Coffee beans “Fjord”, 250 g", Pricing: "fixed", Price: usdc(t, "12.50"), Qty: Field{Value: "2"}, Stock: StockView{Limited: true, Free: 12, Held: 2}},
		{Item: "itm_5", Title: "Cardamom bun", Pricing: "fixed", Price: usdc(t, "3.40"), Qty: Field{Value: "1"}},
	}
}

func itemsLinkExample(t *testing.T) LinkFormView {
	t.Helper()
	v := LinkFormView{DashboardView: shell("New link", SectionLinks), Zone: "Copenhagen time", Title: Field{Value: "Weekend box"}}
	v.Offer = LinkOffer{
		Sells: Field{Value: "items"}, Lines: linkLines(t), Find: Field{Value: "atlas"}, Searched: true,
		Found: []ItemChoice{{"itm_3", "The Salt Path Atlas, PDF"}, {"itm_7", "The Salt Path Atlas, Paperback"}},
		Asks:  []string{"name", "note"}, Tips: true, Message: Field{Value: "See you on Saturday."},
	}
	v.Offer.Lines[1].Qty = Field{Value: "0", Problem: "Give a whole number from 1 on."}
	return v
}

func openLinkExample() LinkFormView {
	v := LinkFormView{DashboardView: shell("New link", SectionLinks), Zone: "Copenhagen time", Title: Field{Value: "Tip jar"}}
	v.Offer = LinkOffer{Sells: Field{Value: "open"}, Min: Field{Value: "1"}, Presets: Field{Value: "3 5 x", Problem: "Give amounts such as 3 5 10."}, Starts: Field{Value: "2026-12-01T08:00"}}
	return v
}

func shortLinkExample() LinkFormView {
	v := LinkFormView{DashboardView: shell("New link", SectionLinks), Zone: "Copenhagen time", Title: Field{Value: "Recording"}, Price: Field{Value: "2.00"}}
	v.Offer = LinkOffer{Sells: Field{Value: "short"}, Target: Field{Value: "http://media.example/", Problem: "Give an address that begins with https://."}, Require: true}
	return v
}

func itemsLinkViewExample(t *testing.T) LinkView {
	t.Helper()
	v := linkExample(t)
	v.Terms = LinkTerms{
		Sells: "items", Lines: linkLines(t), Asks: []string{"name", "email"}, Message: "See you on Saturday.", MayPause: true, Starts: at(30, 8, 0, 0),
		Counter: CounterPath(v.Token),
	}
	return v
}

func shortLinkViewExample(t *testing.T) LinkView {
	t.Helper()
	v := linkExample(t)
	v.State = "paused"
	v.Terms = LinkTerms{Sells: "short", Target: "https://media.kaffe-nord.example/recordings/2026-11?id=7", Clicks: 1204, MayPause: true, Paused: true}
	return v
}

func ordersExample(t *testing.T) OrdersView {
	t.Helper()
	v := OrdersView{
		DashboardView: shell("Orders", SectionOrders), Pages: Pages{Older: OrdersPath + "?before=sal_1"}, Undecided: true, MayFulfil: true,
		Orders: []OrderRow{
			{Sale: "sal_3", Time: at(21, 14, 32, 9), Title: "Coffee beans “Fjord”, 250 g", Qty: 2, To: "Ada Byron, London GB", Amount: usdc(t, "25")},
			{Sale: "sal_2", Time: at(21, 9, 2, 40), Title: "The Salt Path Atlas, Paperback", Qty: 1, To: "Jens Østergård, Aarhus DK", Amount: usdc(t, "18.50"), Problem: "Payment undone"},
			{Sale: "sal_1", Time: at(20, 18, 0, 1), Title: "Gift box, winter", Qty: 1, To: "María de los Ángeles Fernández-Villaverde, Santiago de Compostela ES", Amount: usdc(t, "38")},
		},
	}
	v.Live = OrdersPath
	return v
}

func orderExample(t *testing.T) OrderView {
	t.Helper()
	v := OrderView{
		DashboardView: shell("Coffee beans “Fjord”, 250 g", SectionOrders), OrderRow: ordersExample(t).Orders[0], Attempt: "pa_1CbVxLwM7Qe2RtYu8PzKsd",
		Receipt: "9fQ2-41", Payer: "0x12c4A0b3f8D7e6C5b4A39281706f5E4d3C2b9aB0", Email: "ada@example.org", BuyerNote: "Ring twice, please.",
		Address: []string{"Ada Byron", "12 St James’s Square", "SW1Y 4JH London", "United Kingdom"}, MayFulfil: true,
		Others: []OrderRow{{Sale: "sal_4", Title: "Filter papers", Qty: 3, Sent: at(22, 9, 0, 0)}},
	}
	v.Live = OrderPath(v.Sale)
	return v
}

func sentOrderExample(t *testing.T) OrderView {
	t.Helper()
	v := orderExample(t)
	v.Sent, v.SentBy, v.SentNote, v.Others = at(22, 9, 0, 0), "Mette Lund", "Royal Mail, QM 1234 5678 9GB", nil
	v.Flash = Flash{Text: "Marked as sent. The buyer’s receipt says so."}
	return v
}

func reversedOrderExample(t *testing.T) OrderView {
	t.Helper()
	v := orderExample(t)
	v.Problem = "The payment was undone: you do not have the money. Do not send this."
	v.Note = Field{Value: strings.Repeat("x", 20), Problem: "Use at most 500 printable characters."}
	v.MayFulfil, v.Address, v.Email, v.BuyerNote, v.To = false, nil, "", "", "London GB"
	return v
}

func packingExample() PackingView {
	slip := PackingSlip{
		Receipt: "9fQ2-41", Paid: at(21, 14, 32, 9), Address: []string{"Ada Byron", "12 St James’s Square", "SW1Y 4JH London", "United Kingdom"},
		Lines: []PackingLine{{2, "Coffee beans “Fjord”, 250 g", "FJ-250"}, {3, "Filter papers", ""}}, BuyerNote: "Ring twice, please.",
	}
	second := slip
	second.Receipt, second.BuyerNote = "7aB3-09", ""
	return PackingView{Shop: "Kaffe Nord", Slips: []PackingSlip{slip, second}, Back: OrdersPath, Test: true}
}

func TestPagesOfItemsAndOrders(t *testing.T) {
	t.Parallel()
	for name, page := range itemExamples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, name, page)
			doc := parse(t, page)
			require.Zero(t, doc.Find("[style], style").Length(), "inline styles are refused by the security policy")
			require.Zero(t, doc.Find("script:not([src])").Length(), "inline scripts are refused by the security policy")
			require.Zero(t, doc.Find(`path[d=""]`).Length(), "a drawing is missing")
			require.Equal(t, 1, doc.Find("h1").Length(), "one heading tells what the page is")
			require.NotContains(t, markup(t, page), "0001-01-01", "a moment that never was")
		})
	}
}

func TestAnItemsFormKeepsWhatWasSent(t *testing.T) {
	t.Parallel()
	doc := parse(t, ItemForm(refusedItemExample(t)))
	form := doc.Find("form.item-form")
	require.Equal(t, "multipart/form-data", form.AttrOr("enctype", ""))
	require.Equal(t, ItemsPath, form.AttrOr("action", ""))
	require.Equal(t, "minimum", form.Find("[name=pricing][checked]").AttrOr("value", ""))
	require.Equal(t, "file", form.Find("[name=kind][checked]").AttrOr("value", ""))
	require.Equal(t, "upl_1", form.Find("[name=file_id]").AttrOr("value", ""), "a file that was uploaded is not sent twice")
	require.Equal(t, 4, form.Find("[aria-invalid]").Length())
	_, open := form.Find(".item-stock-fold").Attr("open")
	require.True(t, open, "what is wrong is in sight")

	edit := parse(t, ItemForm(editItemExample(t)))
	require.Equal(t, 1, edit.Find("[name=kind]:disabled").Length(), "no item becomes one with keys")
	require.Equal(t, "upl_0", edit.Find("[name=image_id][checked]").AttrOr("value", ""))
	require.Equal(t, "4", edit.Find("[name=stock_was]").AttrOr("value", ""))
}

func TestEnterInALinksFormSavesIt(t *testing.T) {
	t.Parallel()
	form := parse(t, LinkForm(itemsLinkExample(t))).Find("form.link-form")
	first := form.Find("button").First()
	require.Equal(t, "Create link", first.Text())
	require.Empty(t, first.AttrOr("name", ""), "it looks for nothing, and adds or drops nothing")
	require.Equal(t, 2, form.Find("[name=item]").Length())
	require.Equal(t, 2, form.Find("[name=qty]").Length(), "in the same order")
	require.Equal(t, 2, form.Find("[name=ask][checked]").Length())
	require.Zero(t, parse(t, LinkForm(LinkFormView{})).Find("[name=sells]").Length(), "without a choice the form is that of an amount")
}

func TestStockInWords(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Not counted", StockView{Free: 3}.words())
	require.Equal(t, "1,204 left, 2 held", StockView{Limited: true, Free: 1204, Held: 2}.words())
	require.Equal(t, "None left, 3 held", StockView{Limited: true, Held: 3}.words())
	require.Equal(t, "Open", priceCell("any", 0))
	require.Equal(t, "from 5.00", priceCell("minimum", 5*money.One))
}

func TestWhoDoesNotSendDoesNotReadWhereItGoes(t *testing.T) {
	t.Parallel()
	shown := parse(t, Order(reversedOrderExample(t)))
	require.Contains(t, shown.Find("#live").Text(), "25.00")
	require.Zero(t, shown.Find("address span, a[href^=mailto], form[action*=fulfilment], a[href*=packing]").Length())
	require.NotContains(t, markup(t, Packing(packingExample())), "USDC")
}
