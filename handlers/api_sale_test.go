package handlers_test

import (
	"encoding/csv"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sell sells something of this title and reference, paid on the chain.
func (w *apiWorld) sell(title, reference string) {
	link := w.post("/api/payment_links/create", map[string]any{"title": title, "price": "0.505", "reference": reference}, as(w.cafeKey))
	require.Equal(w.t, 201, link.status, string(link.body))
	session := w.session(link.json())
	a, signature := w.sign(session, newKey(w.t))
	require.Equal(w.t, 202, w.post("/api/payment_attempts/"+session["payment_attempt"].(string)+"/pay", payload(a, signature)).status)
	w.work()
}

func TestTheSalesTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	titles := []string{"Flat white, \"large\"", "=HYPERLINK(\"x\")", "+1", "-2+3", "@SUM(A1)", "＝1+1", "Größe é"}
	for _, title := range titles {
		w.sell(title, "=1+1")
	}
	answer := w.get("/api/sales.csv", as(w.cafeKey))
	require.Equal(t, 200, answer.status)
	require.Equal(t, "text/csv; charset=utf-8", answer.header.Get("Content-Type"))
	require.Equal(t, "7", answer.header.Get("X-Row-Count"))
	require.Equal(t, "3535000", answer.header.Get("X-Control-Total"))
	require.True(t, strings.HasPrefix(string(answer.body),
		"id,item_id,item_title,reservation_id,payment_attempt_id,settlement_id,qty,amount_cents,currency,purchaser_address,created_at,"+
			"amount,network,transaction,channel,reference,late,simulated,"+
			"link_id,net,fee,refunded,refund_ids,gas_wei,block_number,block_time,log_index,reversed\r\n"))

	rows, err := csv.NewReader(strings.NewReader(string(answer.body))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 8)
	var seen []string
	for _, row := range rows[1:] {
		for _, cell := range row {
			require.False(t, cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r"), "%q is a formula", cell)
		}
		seen = append(seen, row[2])
		require.Equal(t, "50", row[7])
		require.Equal(t, "505000", row[11])
		require.Equal(t, "'=1+1", row[15])
	}
	require.ElementsMatch(t, []string{titles[0], "'" + titles[1], "'" + titles[2], "'" + titles[3], "'" + titles[4], "'" + titles[5], titles[6]}, seen)
}

func TestSalesAreFiltered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sell("One", "")
	w.sell("Two", "")
	today := time.Now().UTC()
	day := func(n int) string { return today.AddDate(0, 0, n).Format(time.DateOnly) }
	sales := w.get("/api/sales/list", as(w.cafeKey)).json()["data"].([]any)
	require.Len(t, sales, 2)
	item := sales[0].(map[string]any)["item_id"].(string)

	for query, want := range map[string]int{
		"start_date=" + day(0): 2, "start_date=" + day(1): 0, "end_date=" + day(0): 2, "end_date=" + day(-1): 0,
		"start_date=" + day(0) + "&end_date=" + day(0):                             2,
		"start_date=" + url.QueryEscape(today.Add(time.Hour).Format(time.RFC3339)): 0,
		"channel=api": 2, "channel=till": 0, "network=" + sepolia: 2, "network=eip155:8453": 0, "item_id=" + item: 1, "item_id=itm_x": 0,
	} {
		require.Len(t, w.get("/api/sales/list?"+query, as(w.cafeKey)).json()["data"], want, query)
		rows, err := csv.NewReader(strings.NewReader(string(w.get("/api/sales.csv?"+query, as(w.cafeKey)).body))).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, want+1, query)
	}
	for query, field := range map[string]string{
		"start_date=yesterday": "start_date", "end_date=2026-02-30": "end_date", "channel=x": "channel", "network=base": "network", "item_id=%00": "item_id",
	} {
		requireField(t, field, w.get("/api/sales/list?"+query, as(w.cafeKey)), query)
		requireField(t, field, w.get("/api/sales.csv?"+query, as(w.cafeKey)), query)
	}

	first := w.get("/api/sales/list?limit=1", as(w.cafeKey)).json()
	before := "cursor=-1000000000000." + first["data"].([]any)[0].(map[string]any)["id"].(string) // of a year that no database knows
	requireField(t, "cursor", w.get("/api/sales/list?"+before, as(w.cafeKey)), before)
	second := w.get("/api/sales/list?limit=1&cursor="+first["next_cursor"].(string), as(w.cafeKey)).json()
	require.Equal(t, sales, append(first["data"].([]any), second["data"].([]any)...))
	require.Nil(t, second["next_cursor"])
}

func TestTheBalanceIsWhatTheShopReceived(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sell("One", "")
	balances := w.get("/api/balance", as(w.cafeKey)).json()["data"].([]any)
	require.Len(t, balances, 1)
	balance := balances[0].(map[string]any)
	require.Equal(t, sepolia, balance["network"])
	require.Equal(t, "0x036CbD53842c5426634e7929541eC2318f3dCF7e", balance["asset"])
	require.Equal(t, "505000", balance["received"])
	require.Equal(t, "0", balance["available"], "the shop's own wallet has it already")
	require.Equal(t, false, balance["collects"])
	other := w.get("/api/balance", as(w.booksKey)).json()["data"].([]any)
	require.Len(t, other, 1)
	require.Equal(t, "0", other[0].(map[string]any)["received"])
	require.Empty(t, w.get("/api/balance", as(w.key(w.cafe, true, "sales:read"))).json()["data"])
}

func TestWhatNoDatabaseTakesIsRefusedWhereMoneyLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	browser, _ := w.signIn("kiosk")
	for path, values := range map[string]url.Values{
		"/dashboard/payouts/addresses/removal": {"network": {sepolia + "\x00"}, "address": {payTo}},
		"/dashboard/payouts/entries":           {"network": {sepolia}, "nonce": {"0x00\x00"}},
	} {
		answer := w.post(path, values.Encode(), append(form(), browser)...)
		require.Contains(t, []int{400, 404}, answer.status, path)
	}
}
