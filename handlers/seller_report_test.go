package handlers_test

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"strings"
	"testing"

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
