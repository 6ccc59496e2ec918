package views

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/a-h/templ"
	"github.com/stretchr/testify/require"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/static"
)

func tillFrame() TillFrame {
	return TillFrame{Shop: "Kiosk Nord", Till: "Counter 1", Cashier: "Mette", Now: at(21, 14, 31, 34), Test: true}
}

func itemID(n int) id.Item { return id.Item(fmt.Sprintf("itm_1ChHQgZvF7Y4JLiQa34o%02d", n)) }

func exampleTiles() []ItemTile {
	tiles := []ItemTile{
		{Title: "Flat white", Price: 4_200_000, Count: 2},
		{Title: "Filter coffee", Price: 3_100_000},
		{Title: "Oat cappuccino", Price: 4_600_000},
		{Title: "Tea, pot", Price: 3_900_000},
		{Title: "Cardamom bun", Price: 3_400_000, Count: 1},
		{Title: "Rye sandwich", Price: 7_800_000, Limited: true, Free: 2, Low: true},
		{Title: "Lemonade", Price: 3_700_000, Limited: true, Free: 40},
		{Title: "Cheesecake", Price: 4_900_000, Limited: true},
		{Title: "Muffin", Price: 2_800_000, Limited: true, Held: 1},
		{Title: "Coffee club", Price: 5_000_000, Pricing: "minimum"},
		{Title: "For the orchestra", Pricing: "any"},
		{Title: "Glass of water", Pricing: "free"},
	}
	for i := range tiles {
		tiles[i].Item = itemID(i)
	}
	return tiles
}

func exampleTicket() Ticket {
	return Ticket{
		Reference: "Table 4",
		Lines: []TicketLine{
			{Number: 1, Item: itemID(0), Title: "Flat white", Quantity: 2, Unit: 4_200_000, Amount: 8_400_000, Open: true},
			{Number: 2, Item: itemID(4), Title: "Cardamom bun", Quantity: 1, Unit: 3_400_000, Amount: 3_400_000},
			{Number: 4, Title: "Other amount", Note: "Gift wrap", Quantity: 1, Unit: 5_000_000, Amount: 5_000_000},
		},
		Subtotal: 16_800_000, Discount: -1_680_000, DiscountTitle: "Regulars, 10 % off", Total: 15_120_000,
		Once: "tkt_4f1a-7", MayPark: true, Parked: []ParkedTicket{{Number: 3, Items: 2, Total: 7_600_000, At: at(21, 14, 20, 0)}},
	}
}

func exampleRegister() RegisterView {
	return RegisterView{
		TillFrame: tillFrame(), Categories: []string{"Hot", "Food", "Beans"}, Tiles: exampleTiles(),
		Entry: TillEntry{MayDiscount: true, MostPercent: 20}, Ticket: exampleTicket(),
	}
}

func exampleCharge(t *testing.T, status string) ChargeView {
	t.Helper()
	code, err := NewQR("https://pay.kiosk-nord.example/pay/pa_1CbVxLwM7Qe2RtYu8PzKsd")
	require.NoError(t, err)
	v := ChargeView{
		TillFrame: tillFrame(), Attempt: "pa_1CbVxLwM7Qe2RtYu8PzKsd", Status: status, Reference: "Table 4", QR: code, ReceiptQR: code,
		Cart: Cart{Title: "Flat white and 2 more", Amount: 15_120_000, Fiat: "about 13.06 EUR", Lines: []CartLine{
			{Title: "Flat white", Quantity: 2, Amount: 8_400_000}, {Title: "Cardamom bun", Quantity: 1, Amount: 3_400_000},
			{Title: "Other amount", Quantity: 1, Amount: 5_000_000}, {Title: "Regulars, 10 % off", Amount: -1_680_000},
		}},
		Number: "KN-2026-00418", Once: "tkt_4f1a-8", ShownAt: at(21, 14, 31, 20),
	}
	switch status {
	case "open":
	case "expired", "cancelled":
		v.OpenedAt, v.EndedAt = at(21, 14, 31, 31), at(21, 14, 46, 20)
	default:
		v.OpenedAt, v.ApprovedAt = at(21, 14, 31, 31), at(21, 14, 31, 36)
		v.Payer, v.CertainBy = "0x12c4A0b3f8D7e6C5b4A39281706f5E4d3C2b9aB0", at(21, 14, 46, 20)
	}
	if status == "settled" || status == "settled_late" {
		v.SettledAt = at(21, 14, 31, 38)
	}
	return v
}

func exampleCounter(t *testing.T) CounterView {
	t.Helper()
	code, err := NewQR("https://pay.kiosk-nord.example/link/7NqJ4kd2RmXcVb8sTgHyPw")
	require.NoError(t, err)
	return CounterView{
		Token: "7NqJ4kd2RmXcVb8sTgHyPw", Payee: examplePayee(), Cart: Cart{Title: "Museum entry", Amount: 8_000_000, Fiat: "about 6.91 EUR"}, QR: code, Test: true,
		Paid: []CounterPayment{{At: at(21, 14, 30, 2), Amount: 8_000_000, Payer: "0x12c4A0b3f8D7e6C5b4A39281706f5E4d3C2b9aB0"}, {At: at(21, 14, 12, 40), Amount: 8_000_000, Payer: "0x77"}},
	}
}

func exampleSales() TillSalesView {
	return TillSalesView{
		TillFrame: tillFrame(), Live: TillSalesPath, Since: at(21, 1, 0, 0), Today: 42_720_000, Sold: 3, Pages: Pages{Older: TillSalesPath + "?before=pa_1"},
		Rows: []TillSale{
			{Attempt: "pa_5", At: at(21, 14, 31, 20), Title: "Flat white and 2 more", Reference: "Table 4", Cashier: "Mette", Amount: 15_120_000, Status: "settling"},
			{Attempt: "pa_4", At: at(21, 14, 12, 9), Title: "Museum entry", Cashier: "Kim", Amount: 8_000_000, Status: "settled_late", AfterCancel: true},
			{Attempt: "pa_3", At: at(21, 13, 50, 0), Title: "Coffee beans “Fjord”, 1 kg", Cashier: "Kim", Amount: 34_000_000, Status: "settled"},
			{Attempt: "pa_2", At: at(21, 13, 44, 0), Title: "Other amount", Cashier: "Kim", Amount: 720_000, Status: "unknown"},
			{Attempt: "pa_1", At: at(20, 18, 2, 0), Title: "Tea, pot", Cashier: "Mette", Amount: 3_900_000, Status: "cancelled"},
		},
	}
}

// tillExamples are every screen of a till, each in one state.
func tillExamples(t *testing.T) map[string]templ.Component {
	t.Helper()
	register := func(change func(*RegisterView)) templ.Component {
		v := exampleRegister()
		change(&v)
		return Register(v)
	}
	charge := func(status string, change func(*ChargeView)) templ.Component {
		v := exampleCharge(t, status)
		change(&v)
		return Charge(v)
	}
	counter := func(change func(*CounterView)) templ.Component {
		v := exampleCounter(t)
		change(&v)
		return Counter(v)
	}
	pages := map[string]templ.Component{
		"register": Register(exampleRegister()),
		"register_empty": register(func(v *RegisterView) {
			v.Tiles, v.Categories, v.Ticket, v.Entry = nil, nil, Ticket{Once: "tkt_1"}, TillEntry{}
		}),
		"register_search":    register(func(v *RegisterView) { v.Search, v.Tiles, v.More = "fl", v.Tiles[:1], "/pos?q=fl&after=60" }),
		"register_no_match":  register(func(v *RegisterView) { v.Search, v.Tiles = "<b>stollen</b>", nil }),
		"register_percent":   register(func(v *RegisterView) { v.Entry.Mode = EntryPercent }),
		"register_reference": register(func(v *RegisterView) { v.Entry.Mode = EntryReference }),
		"register_item": register(func(v *RegisterView) {
			v.Entry = TillEntry{Item: itemID(9), Title: "Coffee club", Least: 5_000_000, Field: Field{Value: "4.00", Problem: "At least 5.00 USDC."}}
		}),
		"register_short": register(func(v *RegisterView) {
			v.Ticket.Lines[1].Problem, v.Ticket.Lines[0].Open, v.Ticket.Lines[1].Open = "Only 1 left", false, true
			v.Ticket.Lines[1].Quantity, v.Ticket.Lines[1].Amount = 2, 6_800_000
			v.Ticket.Problem = "Somebody else has just bought a Cardamom bun. Nothing was charged."
			v.Ticket.Discount, v.Ticket.Total = 0, 20_200_000
		}),
		"register_closed": register(func(v *RegisterView) {
			v.Ticket.Closed = "The shop cannot take payments just now. An owner has been told."
		}),
		"register_late": register(func(v *RegisterView) {
			v.Late = []TillSale{{Attempt: "pa_4", Amount: 8_000_000, Status: "settled_late", AfterCancel: true}}
		}),
		"register_long": register(func(v *RegisterView) {
			v.Shop, v.Till, v.Test, v.Theme = "Gesellschaft für Donaudampfschifffahrt und Hafenwirtschaft", "Hafenrundfahrt am Steg 12", false, "dark"
			v.Ticket.Reference = "Betriebsausflug der Donaudampfschifffahrtsgesellschaft"
			v.Ticket.Lines = append(v.Ticket.Lines, TicketLine{Number: 9, Item: itemID(3), Title: "Annual membership with unlimited crossings, luggage and two bicycles", Quantity: 1200, Unit: 1_028_806_575, Amount: 1_234_567_890_000})
			v.Ticket.Total = 1_234_567_890_000
		}),
		"charge":            Charge(exampleCharge(t, "open")),
		"charge_opened":     charge("open", func(v *ChargeView) { v.OpenedAt = at(21, 14, 31, 31) }),
		"charge_refused":    charge("open", func(v *ChargeView) { v.OpenedAt, v.Note = at(21, 14, 31, 31), "Their wallet holds less than the price" }),
		"charge_cancelling": charge("open", func(v *ChargeView) { v.OpenedAt, v.Cancelling = at(21, 14, 31, 31), true }),
		"charge_simulated":  charge("settled", func(v *ChargeView) { v.Simulated = true }),
		"charge_late":       charge("settled_late", func(v *ChargeView) { v.EndedAt = at(21, 14, 30, 20) }),
		"charge_late_cancelled": charge("settled_late", func(v *ChargeView) {
			v.EndedAt, v.AfterCancel, v.Short = at(21, 14, 30, 20), true, "Cardamom buns are sold out by now."
		}),
		"charge_late_accepted": charge("settled_late", func(v *ChargeView) { v.AfterCancel, v.Decided = true, LateAccepted }),
		"charge_late_refund":   charge("settled_late", func(v *ChargeView) { v.AfterCancel, v.Decided = true, LateRefund }),
		"sales":                TillSales(exampleSales()),
		"sales_none":           TillSales(TillSalesView{TillFrame: tillFrame(), Live: TillSalesPath, Since: at(21, 1, 0, 0)}),
		"counter":              Counter(exampleCounter(t)),
		"counter_open":         counter(func(v *CounterView) { v.Asks, v.Least, v.Paid = true, 1_000_000, nil }),
		"counter_sold_out":     counter(func(v *CounterView) { v.Closed = ClosedSoldOut }),
		"offline":              TillOffline(),
	}
	for _, status := range []string{"settling", "unknown", "settled", "expired", "cancelled", "failed", "reversed"} {
		pages["charge_"+status] = Charge(exampleCharge(t, status))
	}
	return pages
}

func TestTillScreens(t *testing.T) {
	t.Parallel()
	for name, page := range tillExamples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, "till_"+name, page)
			doc := parse(t, page)
			require.Zero(t, doc.Find("[style], style, script:not([src])").Length(), "the security policy refuses them")
			require.Zero(t, doc.Find(`path[d=""]`).Length(), "a drawing is missing")
			require.Equal(t, 1, doc.Find("h1").Length(), "one heading tells what the screen is")
			require.Equal(t, 1, doc.Find("main").Length())
			require.LessOrEqual(t, doc.Find(".primary").Length(), 1, "one primary action at most")
			require.Equal(t, 1, doc.Find("#till[data-state]").Length())
			doc.Find("form").Each(func(_ int, f *goquery.Selection) {
				require.NotEmpty(t, f.AttrOr("action", ""), "works without scripts")
			})
			parts := []string{TillFragment, ShelfFragment, EntryFragment, TicketFragment}
			doc.Find("[data-part]").Each(func(_ int, e *goquery.Selection) {
				require.Contains(t, parts, e.AttrOr("data-part", ""))
			})
			doc.Find("[data-live]").Each(func(_ int, e *goquery.Selection) {
				require.NotEmpty(t, e.AttrOr("id", ""), "what lives is asked for by its name")
			})
			seen := map[string]bool{}
			doc.Find("[id]").Each(func(_ int, e *goquery.Selection) {
				require.False(t, seen[e.AttrOr("id", "")], e.AttrOr("id", ""))
				seen[e.AttrOr("id", "")] = true
			})
		})
	}
}

func TestAScriptIsGivenThePartThatItNames(t *testing.T) {
	t.Parallel()
	page := Register(exampleRegister())
	for fragment, begins := range map[string]string{
		TillFragment: `<main id="till"`, ShelfFragment: `<div id="shelf"`, EntryFragment: `<form id="entry"`, TicketFragment: `<section id="ticket"`,
	} {
		part := markup(t, page, fragment)
		require.True(t, strings.HasPrefix(part, begins), part)
		require.Contains(t, markup(t, page), part)
	}
}

func TestWhatIsSoldOutCannotBeTapped(t *testing.T) {
	t.Parallel()
	doc := parse(t, Register(exampleRegister()))
	var shut []string
	doc.Find(".tile:disabled, .tile[disabled]").Each(func(_ int, tile *goquery.Selection) {
		shut = append(shut, strings.Join(strings.Fields(tile.Text()), " "))
	})
	require.Equal(t, []string{"Cheesecake 4.90 Sold out", "Muffin 2.80 1 held"}, shut)
}

func TestChargeSaysWhyItCannotBeTapped(t *testing.T) {
	t.Parallel()
	v := exampleRegister()
	require.Equal(t, "Charge 15.12\u00a0USDC", parse(t, Register(v)).Find(".charge").Text())
	v.Ticket.Lines[1].Problem = "Only 1 left"
	doc := parse(t, Register(v))
	require.Equal(t, 1, doc.Find(".charge[disabled]").Length())
	require.Equal(t, "Look at Cardamom bun first.", doc.Find("#charge-why").Text())
	v.Ticket.Lines = nil
	require.Equal(t, "Tap an item, scan it, or type an amount.", parse(t, Register(v)).Find("#charge-why").Text())
}

func TestChargeIsSentWithItsKeyAndWhatTheCashierSaw(t *testing.T) {
	t.Parallel()
	form := parse(t, Register(exampleRegister())).Find(`form[action="/pos/charges"]`)
	require.Equal(t, "tkt_4f1a-7", form.Find(`[name="once"]`).AttrOr("value", ""))
	require.Equal(t, "15120000", form.Find(`[name="total"]`).AttrOr("value", ""))
}

func TestOnlyWhoMayGiveDiscountsFindsTheKey(t *testing.T) {
	t.Parallel()
	v := exampleRegister()
	require.Contains(t, render(t, Register(v)), "% off</a>")
	v.Entry.MayDiscount = false
	require.NotContains(t, render(t, Register(v)), "% off</a>")
}

func TestACancellationIsAskedAboutOnceTheCustomerOpenedIt(t *testing.T) {
	t.Parallel()
	path := "/pos/charges/pa_1CbVxLwM7Qe2RtYu8PzKsd/cancellation"
	form := `form[action="` + path + `"]`
	v := exampleCharge(t, "open")
	require.Equal(t, 1, parse(t, Charge(v)).Find(form).Length())
	v.OpenedAt = at(21, 14, 31, 31)
	require.Zero(t, parse(t, Charge(v)).Find(form).Length())
	v.Cancelling = true
	asked := parse(t, Charge(v))
	require.Equal(t, 1, asked.Find(`[role="alertdialog"] `+form).Length())
	require.Equal(t, 1, asked.Find(".qr").Length(), "the customer may be paying while we ask")
	for _, status := range []string{"settling", "unknown", "settled"} {
		require.Zero(t, parse(t, Charge(exampleCharge(t, status))).Find(form).Length(), status)
	}
}

func TestNobodyIsChargedAgainWhileTheOutcomeIsOpen(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"settling", "unknown", "settled", "settled_late"} {
		doc := parse(t, Charge(exampleCharge(t, status)))
		require.Zero(t, doc.Find(`form[action="/pos/charges"], .charge-code .qr`).Length(), status)
	}
	require.Equal(t, "Do not charge again", parse(t, Charge(exampleCharge(t, "unknown"))).Find("h1").Text())
}

func TestMoneyAfterTheEndAsksForADecisionOnce(t *testing.T) {
	t.Parallel()
	v := exampleCharge(t, "settled_late")
	v.AfterCancel = true
	doc := parse(t, Charge(v))
	require.Equal(t, "Paid after cancel", doc.Find("h1").Text())
	require.Equal(t, 2, doc.Find(`form[action$="/acceptance"], form[action$="/refund"]`).Length())
	for _, decided := range []string{LateAccepted, LateRefund} {
		v.Decided = decided
		require.Zero(t, parse(t, Charge(v)).Find(`form[action$="/acceptance"], form[action$="/refund"]`).Length())
	}
}

func TestAScreenLivesWhileThereMayBeNews(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]int{"open": 1, "settling": 1, "unknown": 1, "cancelled": 1, "expired": 1, "settled": 0, "settled_late": 0, "failed": 0} {
		page := Charge(exampleCharge(t, status))
		require.Equal(t, want, parse(t, page).Find("[data-live]").Length(), status)
		require.Equal(t, want, strings.Count(markup(t, page), `<noscript><meta http-equiv="refresh" content="5"`), status)
	}
}

func TestStopwatch(t *testing.T) {
	t.Parallel()
	from := at(21, 14, 31, 20)
	for want, passed := range map[string]time.Duration{"0:00": -time.Second, "0:14": 14 * time.Second, "2:05": 125 * time.Second, "12:00": 12 * time.Minute} {
		require.Equal(t, want, stopwatch(from, from.Add(passed)))
	}
}

func TestTheTillCanBeInstalled(t *testing.T) {
	t.Parallel()
	var manifest struct {
		ID       string `json:"id"`
		Name     string `json:"name"`
		StartURL string `json:"start_url"`
		Scope    string `json:"scope"`
		Display  string `json:"display"`
		Icons    []struct {
			Src, Sizes, Purpose string
		} `json:"icons"`
	}
	require.NoError(t, json.Unmarshal(TillManifest(), &manifest))
	require.Equal(t, "/pos", manifest.StartURL)
	require.Equal(t, "/pos", manifest.Scope)
	require.Equal(t, "standalone", manifest.Display)
	var sizes []string
	for _, i := range manifest.Icons {
		picture, err := png.DecodeConfig(strings.NewReader(fetched(t, i.Src)))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%dx%d", picture.Width, picture.Height), i.Sizes)
		sizes = append(sizes, i.Sizes+" "+i.Purpose)
	}
	require.Equal(t, []string{"192x192 any", "512x512 any", "512x512 maskable"}, sizes)
	require.Contains(t, render(t, Register(exampleRegister())), `<link rel="manifest" href="/pos/manifest.webmanifest">`)
}

func TestTheWorkerKeepsNothingOfAPurchase(t *testing.T) {
	t.Parallel()
	list, script, found := strings.Cut(string(TillWorker()), "\n")
	require.True(t, found)
	var shell []string
	require.NoError(t, json.Unmarshal([]byte(strings.TrimSuffix(strings.TrimPrefix(list, "const shell = "), ";")), &shell))
	require.Equal(t, TillOfflinePath, shell[0])
	for _, name := range shell[1:] {
		require.Equal(t, http.StatusOK, download(name).Code, name)
	}
	require.NotContains(t, script, ".put(", "answers are never kept")
	need := parse(t, TillOffline()).Find("link[rel=stylesheet], script")
	need.Each(func(_ int, s *goquery.Selection) {
		require.True(t, slices.Contains(shell, s.AttrOr("href", s.AttrOr("src", ""))), "the page for no network needs no network")
	})
}

// fetched is a file as it is.
func fetched(t *testing.T, address string) string {
	t.Helper()
	w := httptest.NewRecorder()
	static.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, address, nil))
	require.Equal(t, http.StatusOK, w.Code, address)
	return w.Body.String()
}

// download asks for a file as browsers do.
func download(address string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, address, nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	static.Handler().ServeHTTP(w, r)
	return w
}

func zipped(t *testing.T, text string) int {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Len()
}

// TestRegisterWeight keeps the whole of the register with sixty items, compressed, below what a shop's slow line can take.
func TestRegisterWeight(t *testing.T) {
	t.Parallel()
	v := exampleRegister()
	for i := len(v.Tiles); i < 60; i++ {
		v.Tiles = append(v.Tiles, ItemTile{
			Item: id.New[id.Item](time.Unix(int64(1_700_000_000+i*7919), 0)), Title: fmt.Sprintf("Speciality number %d of the house", i*37%101), Price: money.USDC(1_234_000 + i*310_000), Limited: i%3 == 0, Free: i % 7, Low: true,
		})
	}
	page := markup(t, Register(v))
	total := zipped(t, page)
	shelf := zipped(t, markup(t, Register(v), ShelfFragment))
	parse(t, Register(v)).Find("link[rel=stylesheet], script").Each(func(_ int, s *goquery.Selection) {
		total += download(s.AttrOr("href", s.AttrOr("src", ""))).Body.Len()
	})
	t.Logf("page and files %d bytes, shelf %d", total, shelf)
	require.Less(t, total, 25_000)
	require.Less(t, shelf, 5_000)
}
