package views

import (
	"strconv"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/stretchr/testify/require"

	"xsynesis/id"
	"xsynesis/money"
)

// shopTime is a place one hour east of UTC, so that a page that forgets the shop's clock shows it.
var shopTime = time.FixedZone("CET", 3600)

func at(day, hour, minute, second int) time.Time {
	return time.Date(2026, time.November, day, hour, minute, second, 0, shopTime)
}

func usdc(t *testing.T, s string) money.USDC {
	t.Helper()
	a, err := money.ParseUSDC(s)
	require.NoError(t, err)
	return a
}

func shell(heading string, section Section) DashboardView {
	return DashboardView{
		Heading: heading, Section: section,
		Shop: "Kaffe Nord", Person: "Mette Lund", Role: "owner", Test: true,
	}
}

func TestDashboardPages(t *testing.T) {
	t.Parallel()
	pages := map[string]templ.Component{
		"sign_in":          SignIn(signInExample()),
		"sign_in_closed":   SignIn(SignInView{Return: "/dashboard/sales?period=7d", Code: Field{Value: "x", Problem: "This is no recovery code, or it was used before."}}),
		"overview":         Overview(overviewExample(t)),
		"overview_first":   Overview(OverviewView{DashboardView: shell("Overview", SectionOverview), Checklist: newShopExample()}),
		"overview_drift":   Overview(OverviewView{DashboardView: shell("Overview", SectionOverview), Drifts: []DriftRow{{"Base Sepolia", -1}, {"Base", usdc(t, "4.20")}}}),
		"overview_viewer":  Overview(OverviewView{DashboardView: shell("Overview", SectionOverview)}),
		"sales":            Sales(salesExample(t)),
		"sales_none":       Sales(noSalesExample("all")),
		"sales_no_match":   Sales(noSalesExample("custom")),
		"sales_found":      Sales(foundSalesExample(t)),
		"links":            Links(linksExample(t)),
		"links_none":       Links(LinksView{DashboardView: shell("Links", SectionLinks)}),
		"link":             Link(linkExample(t)),
		"link_expired":     Link(expiredLinkExample(t)),
		"link_new":         LinkForm(LinkFormView{DashboardView: shell("New link", SectionLinks), Zone: "Copenhagen time"}),
		"link_new_refused": LinkForm(refusedLinkExample()),
		"link_edit":        LinkForm(editLinkExample()),
		"link_expire":      Confirm(confirmExample(t)),
		"settlements":      Settlements(settlementsExample(t)),
		"settlements_none": Settlements(SettlementsView{DashboardView: shell("Settlements", SectionSettlements)}),
	}
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, "dashboard_"+name, page)
		})
	}
}

func TestDashboardFragmentIsThePageWithoutItsFrame(t *testing.T) {
	t.Parallel()
	v := salesExample(t)
	v.Live = SalesPath + "?period=7d"

	fragment := render(t, Sales(v), LiveFragment)

	require.Contains(t, fragment, `<div id="live"`)
	require.Contains(t, fragment, "Coffee beans")
	require.NotContains(t, fragment, "<nav class=\"nav\"")
	require.NotContains(t, fragment, "sse-connect", "a swap must not open a second stream")
	require.Contains(t, render(t, Sales(v)), `hx-get="/dashboard/sales?period=7d"`)
}

func TestDashboardPagesCarryNoStyleAndNoInlineScript(t *testing.T) {
	t.Parallel()
	for _, page := range []templ.Component{
		Overview(overviewExample(t)), Sales(salesExample(t)), Link(linkExample(t)), LinkForm(refusedLinkExample()),
	} {
		html := render(t, page)
		require.NotContains(t, html, " style=")
		require.NotContains(t, html, "<style")
		require.NotContains(t, html, "<script>")
		require.NotRegexp(t, ` on[a-z]+=`, html)
	}
}

func signInExample() SignInView {
	return SignInView{DoorView: DoorView{Test: true, TestWallet: true}, CanJoin: true, Demo: []DemoPerson{
		{Person: "usr_mette", Name: "Mette", Role: "owner", Shop: "Kaffe Nord"},
		{Person: "usr_ines", Name: "Ines", Role: "owner", Shop: "Halden Books"},
		{Person: "usr_anil", Name: "Anil", Role: "developer", Shop: "Menu Data"},
	}}
}

func overviewExample(t *testing.T) OverviewView {
	t.Helper()
	v := OverviewView{
		DashboardView: shell("Overview", SectionOverview),
		All:           SumView{Amount: usdc(t, "1842.35"), Sales: 412},
		Today:         SumView{Amount: usdc(t, "35.74"), Sales: 5},
		Week:          SumView{Amount: usdc(t, "699.84"), Sales: 94},
		Sold:          SumView{Amount: usdc(t, "1429.79"), Sales: 188}, Refunded: SumView{Amount: usdc(t, "12.50"), Sales: 1}, Fee: usdc(t, "7.14"),
		Period: PeriodField{Value: "14d", Word: "Last 14 days", Zone: "Europe/Copenhagen", NextZone: "America/New_York"},
		Latest: salesOfToday(t), Midnight: at(21, 0, 0, 0),
		Attention: 1, Checklist: checklistExample(),
		Chart: ChartView{ID: "days", Title: "Sales by day", Column: "Day"},
		Hours: ChartView{ID: "hours", Title: "Sales by hour of the day", Column: "Hour"},
		Rankings: []RankingView{
			{ID: "channels", Title: "By channel", Column: "Channel", Counted: "Sales", Rows: []RankingRow{
				{Key: "link", Name: "Link", Sales: 120, Amount: usdc(t, "1100")}, {Key: "till", Name: "Till", Sales: 68, Amount: usdc(t, "329.79")},
			}},
			{ID: "items", Title: "Best sellers", Column: "Item", Counted: "Sold", Rows: []RankingRow{
				{Key: "itm_1", Name: "Coffee beans “Fjord”, 250 g", Path: "/dashboard/items/itm_1", Sales: 1204, Amount: usdc(t, "800")},
			}},
			{ID: "links", Title: "Best links", Column: "Link", Counted: "Sales"},
		},
	}
	v.Live = OverviewPath
	for i, amount := range []string{
		"62.10", "88.00", "71.20", "96.50", "143", "178.25", "90.40", "58.90", "84", "79.30", "104.60", "151.70", "186.20", "35.74",
	} {
		day := at(8+i, 0, 0, 0)
		v.Chart.Bars = append(v.Chart.Bars, ChartBar{
			Name: strconv.Itoa(day.Day()), Full: day.Format("Mon 2 Jan"), Time: day.Format(time.DateOnly), Amount: usdc(t, amount), Sales: 7 + i%4, Now: i == 13,
		})
	}
	v.Chart.Bars[13].Name = "Today"
	for hour := range 24 {
		v.Hours.Bars = append(v.Hours.Bars, ChartBar{Name: strconv.Itoa(hour), Full: strconv.Itoa(hour) + ":00", Amount: usdc(t, strconv.Itoa(hour)), Sales: hour})
	}
	return v
}

func salesOfToday(t *testing.T) []SaleRow {
	t.Helper()
	return []SaleRow{
		{Sale: "sal_7", Attempt: "pa_7", Time: at(21, 14, 32, 9), Title: "Coffee beans “Fjord”, 250 g", Channel: "Link", Payer: "0x12c4A91f0b3D52e6c8B7a1E0F4d39C2b71A69aB0", State: "settled", Amount: usdc(t, "12.50")},
		{Sale: "sal_6", Attempt: "pa_6", Time: at(21, 14, 31, 38), Title: "Table 4, 4 items", Detail: "Flat white ×2, cardamom bun, other", Channel: "Till", Payer: "0x12c4A91f0b3D52e6c8B7a1E0F4d39C2b71A69aB0", State: "settled", Amount: usdc(t, "15.12")},
		{Attempt: "pa_5", Time: at(21, 14, 27, 51), Title: "Reading night, 2 seats", Channel: "Link", Payer: "0x88d1c02Bf3D52e6c8B7a1E0F4d39C2b71A6941C7", State: "settling", Amount: usdc(t, "24.00"), Pending: true},
		{Attempt: "pa_4", Time: at(21, 14, 26, 40), Title: "Coffee beans “Fjord”, 250 g", Channel: "Link", Payer: "0x03bEc02Bf3D52e6c8B7a1E0F4d39C2b71A695f18", State: "unknown", Amount: usdc(t, "12.50"), Pending: true},
		{Sale: "sal_3", Attempt: "pa_3", Time: at(21, 14, 5, 12), Title: "Filter coffee", Channel: "Link", Payer: "0x9c20c02Bf3D52e6c8B7a1E0F4d39C2b71A69e02D", State: "settled", Amount: usdc(t, "3.10"), Simulated: true},
		{Sale: "sal_2", Attempt: "pa_2", Time: at(21, 13, 48, 3), Title: "Menu data", Detail: "1 call", Channel: "API", Payer: "0x5dA9c02Bf3D52e6c8B7a1E0F4d39C2b71A6977F3", State: "settled", Amount: usdc(t, "0.0025")},
	}
}

func salesExample(t *testing.T) SalesView {
	t.Helper()
	v := SalesView{
		DashboardView: shell("Sales", SectionSales),
		Filter:        SalesFilter{Period: "7d", Channels: []Option{{"link", "Link"}, {"api", "API"}}},
		Period:        "7 days",
		Total:         SumView{Amount: usdc(t, "699.84"), Sales: 94},
		Pages:         Pages{Older: SalesPath + "?period=7d&before=sal_1"},
		CSV:           SalesCSVPath + "?period=7d",
		Days: []SalesDay{
			{Day: at(21, 0, 0, 0), Paid: 5, UnderWay: 2, Rows: salesOfToday(t)},
			{Day: at(20, 0, 0, 0), Paid: 22, Rows: []SaleRow{
				{Sale: "sal_1", Attempt: "pa_1", Time: at(20, 18, 2, 30), Title: "Gift box, winter", Channel: "Link", Payer: "0x77e3c02Bf3D52e6c8B7a1E0F4d39C2b71A69c8D4", State: "refunded", Amount: usdc(t, "38.00"), Pending: true},
				{Sale: "sal_0", Attempt: "pa_0", Time: at(20, 17, 40, 19), Title: "Table 2, 3 items", Channel: "Till", Payer: "0x4a0Fc02Bf3D52e6c8B7a1E0F4d39C2b71A691e66", State: "settled_late", Amount: usdc(t, "11.30")},
			}},
		},
	}
	v.Live = SalesPath + "?period=7d"
	return v
}

func foundSalesExample(t *testing.T) SalesView {
	t.Helper()
	v := salesExample(t)
	v.Filter.Search = "0x12c4…9aB0"
	v.Days = []SalesDay{{Day: at(21, 0, 0, 0), Rows: salesOfToday(t)[:1]}}
	return v
}

func noSalesExample(period string) SalesView {
	return SalesView{
		DashboardView: shell("Sales", SectionSales),
		Filter: SalesFilter{
			Period: period,
			From:   Field{Value: "2026-11-30", Problem: "The first day is after the last. Change one of them."},
			To:     Field{Value: "2026-11-01"},
		},
		CSV: SalesCSVPath,
	}
}

func linksExample(t *testing.T) LinksView {
	t.Helper()
	return LinksView{
		DashboardView: shell("Links", SectionLinks),
		Pages:         Pages{Newer: LinksPath + "?after=lnk_4", Older: LinksPath + "?before=lnk_1"},
		Links: []LinkRow{
			{Link: "lnk_4", Title: "Coffee beans “Fjord”, 250 g", Price: usdc(t, "12.50"), Paid: 21, LastPaid: at(21, 14, 32, 9), State: "open"},
			{Link: "lnk_3", Title: "Reading night, one seat", Price: usdc(t, "12"), Paid: 14, Limit: 40, LastPaid: at(21, 14, 27, 51), State: "open"},
			{Link: "lnk_2", Title: "Gift box, winter", Price: usdc(t, "38"), Paid: 30, Limit: 30, LastPaid: at(20, 18, 2, 30), State: "sold_out"},
			{Link: "lnk_1", Title: "Summer party, deposit for the long table by the window and the terrace", Price: usdc(t, "1250"), State: "expired"},
		},
	}
}

func linkExample(t *testing.T) LinkView {
	t.Helper()
	v := LinkView{
		DashboardView: shell("Reading night, one seat", SectionLinks),
		Link:          "lnk_3vQB7u9dXkZpR2mNcTfWyA", Token: "7yGm2QwErTzUiPaSdFgHjK",
		Title: "Reading night, one seat", Description: "Friday at seven, tea included.",
		Price: usdc(t, "12"), State: "open", URL: "http://localhost:8402/link/7yGm2QwErTzUiPaSdFgHjK",
		Paid: 14, Limit: 40, Received: usdc(t, "168"), LastPaid: at(21, 14, 27, 51),
		Created: at(18, 9, 12, 0), Expires: at(30, 23, 59, 0), Reference: "EVENT-11", DevSettle: true,
		Attempts: []AttemptRow{
			{Attempt: "pa_9kQB7u9dXkZpR2mNcTAWy9", Time: at(21, 14, 40, 2), State: "open", Open: true, Amount: usdc(t, "12"), Pending: true},
			{Attempt: "pa_8kQB7u9dXkZpR2mNcTBWy8", Time: at(21, 14, 27, 51), Payer: "0x88d1c02Bf3D52e6c8B7a1E0F4d39C2b71A6941C7", State: "settling", Amount: usdc(t, "12"), Pending: true},
			{Attempt: "pa_7kQB7u9dXkZpR2mNcTCWy7", Time: at(21, 13, 20, 18), State: "settled", Amount: usdc(t, "12"), Simulated: true},
			{Attempt: "pa_6kQB7u9dXkZpR2mNcTDWy6", Time: at(20, 10, 0, 59), Payer: "0x12c4A91f0b3D52e6c8B7a1E0F4d39C2b71A69aB0", State: "settled", Amount: usdc(t, "12")},
		},
	}
	v.Flash = Flash{Text: "Link created. Share the address or the code."}
	v.Live = LinkDetailPath(v.Link)
	return v
}

func expiredLinkExample(t *testing.T) LinkView {
	t.Helper()
	return LinkView{
		DashboardView: shell("Gift box, winter", SectionLinks),
		Link:          "lnk_2", Token: "4yGm2QwErTzUiPaSdFgHjK", Title: "Gift box, winter",
		Price: usdc(t, "38"), State: "expired", Over: "Ended 20 Nov 2026. Buyers who open it read that it is over.",
		URL: "http://localhost:8402/link/4yGm2QwErTzUiPaSdFgHjK", Created: at(2, 9, 0, 0),
		SuccessURL: "https://kaffe-nord.example/thank-you",
	}
}

func refusedLinkExample() LinkFormView {
	return LinkFormView{
		DashboardView: shell("New link", SectionLinks),
		Zone:          "Copenhagen time",
		Problem:       "Two fields need a change. Nothing was created yet.",
		Title:         Field{Value: "Reading <night>"},
		Price:         Field{Value: "12,5,0", Problem: "An amount has digits and one point, such as 12.50."},
		MaxPayments:   Field{Value: "40"},
		Expires:       Field{Value: "2026-11-01T18:00", Problem: "This moment has passed. Choose a later one."},
		SuccessURL:    Field{Value: "https://kaffe-nord.example/thank-you"},
	}
}

func editLinkExample() LinkFormView {
	return LinkFormView{
		DashboardView: shell("Edit link", SectionLinks), Link: "lnk_3", Zone: "Copenhagen time",
		Title: Field{Value: "Reading night, one seat"}, Description: Field{Value: "Friday at seven, tea included."},
		Price: Field{Value: "12.00"}, MaxPayments: Field{Value: "40"}, Expires: Field{Value: "2026-12-04T18:00"},
		Reference: Field{Value: "EVENT-11"},
	}
}

func confirmExample(t *testing.T) ConfirmView {
	t.Helper()
	link := id.Link("lnk_3")
	return ConfirmView{
		DashboardView: shell("Expire this link?", SectionLinks),
		Subject:       "Reading night, one seat", Amount: usdc(t, "12"),
		Consequence: "Nobody can start a purchase with it any more, and it cannot be opened again. Purchases already begun can still be paid.",
		Action:      LinkExpirePath(link), Verb: "Expire link", Back: LinkDetailPath(link),
	}
}

func settlementsExample(t *testing.T) SettlementsView {
	t.Helper()
	const hash = "0x5c1f3a7e9b20d4c68fa1e3075b9d2c4e6f80a1b3c5d7e9f1a3b5c7d9e1f30517"
	v := SettlementsView{
		DashboardView: shell("Settlements", SectionSettlements),
		Settlements: []SettlementRow{
			{Settlement: "stl_4", Attempt: "pa_8kQB7u9dXkZpR2mNcTVWy8", State: "broadcast", Facilitator: "Own", Transaction: hash, Age: "20 seconds", Time: at(21, 14, 27, 53), Amount: usdc(t, "24"), Pending: true},
			{Settlement: "stl_3", Attempt: "pa_4kQB7u9dXkZpR2mNcTWWy4", State: "queued", Facilitator: "Own", Age: "3 minutes", Time: at(21, 14, 26, 40), Amount: usdc(t, "12.50"), Pending: true, LastError: "The chain did not answer in time. Trying again at 14:34."},
			{Settlement: "stl_2", Attempt: "pa_3kQB7u9dXkZpR2mNcTXWy3", State: "final", Facilitator: "Simulated", Age: "29 minutes", Time: at(21, 14, 5, 12), Amount: usdc(t, "3.10"), Simulated: true},
			{Settlement: "stl_1", Attempt: "pa_2kQB7u9dXkZpR2mNcTYWy2", State: "final", Facilitator: "Own", Transaction: hash, Explorer: "https://sepolia.basescan.org/tx/" + hash, Age: "2 days", Time: at(19, 13, 48, 3), Amount: usdc(t, "0.02")},
			{Settlement: "stl_0", Attempt: "pa_1kQB7u9dXkZpR2mNcTZWy1", State: "failed", Facilitator: "Own", Age: "3 days", Time: at(18, 10, 0, 0), Amount: usdc(t, "12"), LastError: "The buyer cancelled the approval before it was used."},
		},
	}
	v.Live = SettlementsPath
	return v
}
