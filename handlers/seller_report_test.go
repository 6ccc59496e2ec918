package handlers_test

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"xsynesis/id"
)

// browser is that of the café's owner.
func (w *apiWorld) browser() with {
	keeps := w.member()
	return func(r *http.Request) {
		keeps(r)
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
}

// found are the titles of the sales that a search finds.
func (w *apiWorld) found(browser with, search string) []string {
	w.t.Helper()
	answer := w.get("/dashboard/sales?period=all&q="+url.QueryEscape(search), browser)
	require.Equal(w.t, 200, answer.status, string(answer.body))
	var titles []string
	for _, n := range answer.document().Find(".sales-rows .cell-name a").EachIter() {
		titles = append(titles, n.Text())
	}
	return titles
}

func TestAPaymentIsFoundByAllThatIsWrittenOnIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.browser()
	w.sell("Coffee beans “Fjord”, 250 g", "Table-4")
	w.sell("Größe é", "1042")
	sale := func(title string) map[string]any {
		for _, s := range w.get("/api/sales/list", as(w.cafeKey)).json()["data"].([]any) {
			if s := s.(map[string]any); s["item_title"] == title {
				return s
			}
		}
		return nil
	}
	beans := sale("Coffee beans “Fjord”, 250 g")
	hash, payer := beans["transaction"].(string), beans["purchaser_address"].(string)
	only := []string{"Coffee beans “Fjord”, 250 g"}
	for _, search := range []string{
		hash, strings.ToUpper(hash[2:4]) + "no", hash[:20], hash[:8] + "…" + hash[len(hash)-4:], payer, strings.ToLower(payer), payer[:12],
		payer[:6] + "…" + payer[38:], beans["id"].(string), beans["payment_attempt_id"].(string), beans["settlement_id"].(string),
		"table-4", "TABLE-4", "beans", "coff", "fjord 250", " Beans ",
	} {
		if strings.HasSuffix(search, "no") {
			require.Empty(t, w.found(ada, search), search)
			continue
		}
		require.Equal(t, only, w.found(ada, search), search)
	}
	require.Equal(t, []string{"Größe é"}, w.found(ada, "1042"), "a number may be a reference")
	require.Equal(t, []string{"Größe é"}, w.found(ada, "größe"))
	require.Len(t, w.found(ada, "0.505"), 2)
	require.Len(t, w.found(ada, "0.505 USDC"), 2)
	for _, nothing := range []string{
		"0.5", "able", "tea", "0x" + strings.Repeat("0", 40), "0x" + strings.Repeat("0", 64), "0xdeadbeef", "';--", "%", "_", "&|!:*", "\\", strings.Repeat("a ", 900),
		string(id.New[id.Sale](w.now())),
	} {
		require.Empty(t, w.found(ada, nothing), nothing)
	}
	stranger, _ := w.signIn("strangers")
	for _, theirs := range []string{hash, payer, beans["id"].(string), beans["settlement_id"].(string), "beans", "0.505", "table-4"} {
		require.Empty(t, w.found(stranger, theirs), theirs)
	}
}

func TestTheOverviewTellsWhenHowAndWhatWasSold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.browser()
	w.sell("Flat white", "")
	w.sell("Flat white", "")
	for _, period := range []string{"", "today", "yesterday", "7d", "14d", "30d", "month", "last_month", "year", "all", "custom", "nonsense"} {
		answer := w.get("/dashboard?period="+period, ada)
		require.Equal(t, 200, answer.status, period)
		require.Equal(t, "2 sales", strings.TrimSpace(answer.document().Find(".sum .hint").First().Text()), "today stays today")
	}
	page := w.get("/dashboard?period=today", ada).document()
	require.Contains(t, page.Find(".period-sums").Text(), "1.01 USDC")
	require.Equal(t, "API", strings.TrimSpace(page.Find("[aria-labelledby=channels] tbody th").Text()))
	require.Equal(t, 2, page.Find("[aria-labelledby=links] tbody tr").Length())
	require.Equal(t, 1, page.Find("#hours-title").Length())
	require.Zero(t, page.Find("#hours-heading").Length(), "the hours are drawn once")
	require.Equal(t, 1, w.get("/dashboard?period=30d", ada).document().Find("#hours-heading").Length())

	wrong := w.get("/dashboard?period=custom&from=2026-02-01&to=2026-01-01", ada).document()
	require.Contains(t, wrong.Find(".filter .problem").Text(), "The first day is after the last.")
	require.Contains(t, w.get("/dashboard?period=custom&from=0001-01-01&to=9999-01-01", ada).document().Find(".filter .problem").Text(), "at most 20 years")
	require.Contains(t, w.get("/dashboard?period=custom&from=x", ada).document().Find(".filter .problem").Text(), "Give a day")
	require.Contains(t, w.get("/dashboard?period=last_month", ada).document().Find(".period-sums").Text(), "0 sales")
}

func TestTheShopsTimeZoneIsASetting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.browser()
	set := func(was, zone string) int {
		return w.form("/dashboard/settings/zone", url.Values{"was": {was}, "zone": {zone}}, ada).status
	}
	require.Equal(t, 422, set("UTC", "Europe/Atlantis"))
	require.Equal(t, 422, set("UTC", "Local"))
	require.Equal(t, 422, set("UTC", ""))
	require.Equal(t, 409, set("Europe/Paris", "Asia/Kathmandu"))
	require.Equal(t, 303, set("UTC", "Asia/Kathmandu"))
	require.Contains(t, string(w.get("/dashboard/settings", ada).body), "counted anew for Asia/Kathmandu")
	require.NoError(t, w.checkout.Recount(t.Context(), w.cafe))
	require.NotContains(t, string(w.get("/dashboard/settings", ada).body), "counted anew")
	w.sell("Tea", "")
	require.Contains(t, w.get("/dashboard", ada).document().Find(".filter .hint").Text(), "Days in Asia/Kathmandu time")
}

func TestTheOverviewTellsWhatThePlatformKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.browser()
	for _, row := range [][]any{{"channel", "link", 2, 1_000_000, 30_000}, {"refund", "all", 1, 250_000, 10_000}} {
		_, err := w.pool.Exec(t.Context(), `INSERT INTO sales_sums (merchant_id, livemode, zone, by, span, start, key, slot, payments, qty, amount, fee)
			VALUES ($1, false, 'UTC', $2, 'day', (now() AT TIME ZONE 'UTC')::date, $3, 0, $4, 0, $5, $6)`, append([]any{w.cafe}, row...)...)
		require.NoError(t, err)
	}
	sums := w.get("/dashboard?period=today", ada).document().Find(".period-sums").Text()
	require.Contains(t, sums, "1.00 USDC")
	require.Contains(t, sums, "−0.25 USDC")
	require.Contains(t, sums, "−0.02 USDC", "a part of its fee went back with the refund")
}

func TestPaymentsUnderWayStandWhereTheyBelong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.browser()
	w.sell("Tea", "")
	link := w.post("/api/payment_links/create", map[string]any{"title": "Coffee", "price": "2.00"}, as(w.cafeKey))
	session := w.session(link.json())
	a, signature := w.sign(session, newKey(t))
	require.Equal(t, 202, w.post("/api/payment_attempts/"+session["payment_attempt"].(string)+"/pay", payload(a, signature)).status)

	day := w.get("/dashboard/sales", ada).document().Find(".sales-rows")
	require.Equal(t, []string{"Coffee", "Tea"}, texts(day.Find(".cell-name a")))
	require.Equal(t, "1 payment, 1 in progress", day.Find(".day-row td").First().Text())
	for query, want := range map[string][]string{
		"channel=api": {"Coffee", "Tea"}, "channel=till": nil, "period=yesterday": nil, "period=custom&from=2020-01-01&to=2020-01-02": nil, "q=tea": {"Tea"},
	} {
		require.Equal(t, want, texts(w.get("/dashboard/sales?"+query, ada).document().Find(".sales-rows .cell-name a")), query)
	}
}

// texts are those of all elements, without the space around them.
func texts(all *goquery.Selection) (out []string) {
	for _, n := range all.EachIter() {
		out = append(out, strings.TrimSpace(n.Text()))
	}
	return out
}

// clockDay is a day on which clocks are moved, and six payments about it: the last before it, four on it, and the first after it.
type clockDay struct {
	zone, day string
	payments  [6]string
	shown     []string       // the four, as the clocks there say
	hours     map[string]int // payments by the hour of these clocks
}

var clockDays = map[string]clockDay{
	"an hour is missing": {
		"Europe/Copenhagen", "2025-03-30",
		[6]string{"2025-03-29T22:59:59Z", "2025-03-29T23:00:00Z", "2025-03-30T00:59:59Z", "2025-03-30T01:00:00Z", "2025-03-30T21:59:59Z", "2025-03-30T22:00:00Z"},
		[]string{"23:59:59", "03:00:00", "01:59:59", "00:00:00"}, map[string]int{"1:00 to 2:00": 1, "2:00 to 3:00": 0, "3:00 to 4:00": 1},
	},
	"midnight is missing": {
		"America/Havana", "2025-03-09",
		[6]string{"2025-03-09T04:59:59Z", "2025-03-09T05:00:00Z", "2025-03-09T05:30:00Z", "2025-03-09T16:00:00Z", "2025-03-10T03:59:59Z", "2025-03-10T04:00:00Z"},
		[]string{"23:59:59", "12:00:00", "01:30:00", "01:00:00"}, map[string]int{"0:00 to 1:00": 0, "1:00 to 2:00": 2, "23:00 to 24:00": 1},
	},
	"an hour comes twice": {
		"Europe/Copenhagen", "2025-10-26",
		[6]string{"2025-10-25T21:59:59Z", "2025-10-25T22:00:00Z", "2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z", "2025-10-26T22:59:59Z", "2025-10-26T23:00:00Z"},
		[]string{"23:59:59", "02:30:00", "02:30:00", "00:00:00"}, map[string]int{"1:00 to 2:00": 0, "2:00 to 3:00": 2, "3:00 to 4:00": 0},
	},
}

func TestADayIsAsLongAsTheShopsClocksMakeIt(t *testing.T) {
	t.Parallel()
	for name, d := range clockDays {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ada := w.browser()
			w.paidAt(d.payments[:])
			require.Equal(t, 303, w.form("/dashboard/settings/zone", url.Values{"was": {"UTC"}, "zone": {d.zone}}, ada).status)
			require.NoError(t, w.checkout.Recount(t.Context(), w.cafe))

			only := "?period=custom&from=" + d.day + "&to=" + d.day
			list := w.get("/dashboard/sales"+only, ada).document()
			require.Equal(t, d.shown, texts(list.Find(".sales-rows .cell-time time")))
			require.Equal(t, "4 payments", list.Find(".day-row td").Text())
			require.Contains(t, list.Find("tfoot").Text(), "2.02")

			file, _ := list.Find("a[download]").Attr("href")
			table := w.get(file, ada)
			require.Equal(t, "4", table.header.Get("X-Row-Count"), "the file has the days of the list")
			require.Equal(t, "2020000", table.header.Get("X-Control-Total"))
			require.Equal(t, "4", w.get("/api/sales.csv?start_date="+d.payments[1]+"&end_date="+d.payments[5], as(w.cafeKey)).header.Get("X-Row-Count"))

			drawn := w.get("/dashboard"+only, ada).document()
			require.Contains(t, drawn.Find(".period-sums").Text(), "4 sales")
			hours := drawn.Find("#hours-table tbody tr")
			require.Equal(t, 24, hours.Length())
			for hour, want := range d.hours {
				row := hours.FilterFunction(func(_ int, r *goquery.Selection) bool { return strings.TrimSpace(r.Find("td").First().Text()) == hour })
				require.Equal(t, strconv.Itoa(want), row.Find("td").Eq(1).Text(), hour)
			}
			day, err := time.Parse(time.DateOnly, d.day)
			require.NoError(t, err)
			around := "?period=custom&from=" + day.AddDate(0, 0, -1).Format(time.DateOnly) + "&to=" + day.AddDate(0, 0, 1).Format(time.DateOnly)
			require.Equal(t, []string{"1", "4", "1"}, texts(w.get("/dashboard"+around, ada).document().Find("#days-table tbody td:nth-child(2)")))
		})
	}
}

// paidAt sells something at each of these moments.
func (w *apiWorld) paidAt(moments []string) {
	w.t.Helper()
	for _, at := range moments {
		w.sell("Tea", at)
		_, err := w.pool.Exec(w.t.Context(), `UPDATE sales SET created_at = $1::timestamptz WHERE reference = $2`, at, at)
		require.NoError(w.t, err)
	}
}

func TestTheTableOfSalesIsWhatAnAccountantAsksFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sell("Flat white", "")
	rows, err := csv.NewReader(strings.NewReader(string(w.get("/api/sales.csv", as(w.cafeKey)).body))).ReadAll()
	require.NoError(t, err)
	line := map[string]string{}
	for i, column := range rows[0] {
		line[column] = rows[1][i]
	}
	require.Equal(t, "505000", line["net"])
	require.Equal(t, "0", line["fee"])
	require.Equal(t, "0", line["refunded"])
	require.Empty(t, line["refund_ids"])
	require.Equal(t, "0", line["gas_wei"])
	require.NotEmpty(t, line["block_number"])
	require.NotEmpty(t, line["block_time"])
	require.Equal(t, "false", line["reversed"])
	require.True(t, strings.HasPrefix(line["link_id"], "lnk_"))
}

func TestTheTableOfSalesSaysWhatWentBackAndWhatThePaymentTook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sell("Flat white", "")
	for _, statement := range []string{
		`UPDATE settlements SET gas = 21000000000`,
		`UPDATE sales SET fee = 5050, refunded = 200000`,
		`INSERT INTO sales SELECT (jsonb_populate_record(s, '{"id": "sal_2", "line": 1, "item_title": "Tea", "refunded": 0}')).* FROM sales s`,
		`INSERT INTO refunds (id, merchant_id, livemode, attempt_id, title, status, collected, booked, network, asset, pay_from, pay_to, amount, actor, created_at, updated_at, ended_at)
			SELECT 'rfd_' || n, merchant_id, livemode, attempt_id, item_title, (ARRAY['completed', 'requested', 'failed'])[n], true, true, network, '', '', '', 100000, 'Ada', now(), now(),
				CASE n WHEN 2 THEN NULL ELSE now() END FROM sales, generate_series(1, 3) n WHERE line = 0`,
		`INSERT INTO refund_lines (refund_id, sale_id, line, qty, amount) SELECT refunds.id, sales.id, 0, 0, 100000 FROM refunds, sales WHERE sales.line = 0`,
	} {
		_, err := w.pool.Exec(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	rows, err := csv.NewReader(strings.NewReader(string(w.get("/api/sales.csv", as(w.cafeKey)).body))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 3, "a row for each line, however often some of it went back")
	cells := map[string]map[string]string{}
	for _, row := range rows[1:] {
		line := map[string]string{}
		for i, column := range rows[0] {
			line[column] = row[i]
		}
		cells[line["item_title"]] = line
	}
	coffee, tea := cells["Flat white"], cells["Tea"]
	require.Equal(t, "499950", coffee["net"])
	require.Equal(t, "5050", coffee["fee"])
	require.Equal(t, "200000", coffee["refunded"])
	require.Equal(t, "rfd_1 rfd_2", coffee["refund_ids"], "a refund that failed gave nothing back")
	require.Equal(t, "21000000000", coffee["gas_wei"])
	require.Equal(t, "0", tea["gas_wei"], "the payment's gas stands once")
	require.Empty(t, tea["refund_ids"])
	require.Equal(t, coffee["transaction"], tea["transaction"])
	require.Equal(t, coffee["block_time"], tea["block_time"])
}
