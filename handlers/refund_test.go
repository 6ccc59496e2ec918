package handlers_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
)

// keeps makes a shop one whose money is kept for it.
func (w *apiWorld) keeps(merchant id.Merchant) {
	w.t.Helper()
	require.NoError(w.t, queries.New().DepositInsert(w.t.Context(), w.pool, queries.DepositInsertParams{
		Network: sepolia, Address: "0x90f79bf6eb2c4f870365e785982e1f101e93b906", Sealed: []byte("no key"), CreatedAt: w.now(),
	}))
	require.NoError(w.t, w.custody.SetMode(w.t.Context(), merchant, sepolia, true, audit.By{Actor: "Ada"}))
}

// sold is a sale of the café for 0.505.
func (w *apiWorld) sold() map[string]any {
	w.t.Helper()
	w.sell("Tea", "Table-4")
	return w.get("/api/sales/list", as(w.cafeKey)).json()["data"].([]any)[0].(map[string]any)
}

func TestARefundByAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.keeps(w.cafe)
	sale := w.sold()
	again := header("Idempotency-Key", "order-7-came-back")
	body := map[string]any{"sale_id": sale["id"], "amount": "5000", "reason": "Cold"}
	made := w.post("/api/refunds/create", body, as(w.cafeKey), again)
	require.Equal(t, 201, made.status, string(made.body))
	refund := made.json()
	require.Equal(t, "requested", refund["status"])
	require.Equal(t, sale["purchaser_address"], refund["destination_wallet"])
	require.Equal(t, true, refund["collected"])
	require.Nil(t, refund["transfer"])
	require.Equal(t, refund["id"], w.post("/api/refunds/create", body, as(w.cafeKey), again).json()["id"])

	for what, wrong := range map[string]struct {
		body   map[string]any
		status int
		code   string
	}{
		"nothing named":      {map[string]any{"amount": "1"}, 400, "invalid_field"},
		"two things named":   {map[string]any{"sale_id": sale["id"], "payment_attempt_id": sale["payment_attempt_id"]}, 400, "invalid_field"},
		"too much":           {map[string]any{"sale_id": sale["id"], "amount": "500001"}, 409, "refund_above_paid"},
		"nothing":            {map[string]any{"sale_id": sale["id"], "amount": "0"}, 400, "invalid_field"},
		"two amounts":        {map[string]any{"sale_id": sale["id"], "amount": "5000", "amount_cents": 1}, 400, "invalid_field"},
		"no number":          {map[string]any{"sale_id": sale["id"], "amount": "0.5"}, 400, "invalid_field"},
		"more pieces":        {map[string]any{"payment_attempt_id": sale["payment_attempt_id"], "lines": []object{{"sale_id": sale["id"], "qty": 2}}}, 400, "invalid_field"},
		"nobody's sale":      {map[string]any{"sale_id": string(id.New[id.Sale](w.now()))}, 404, "not_found"},
		"a reason of a page": {map[string]any{"sale_id": sale["id"], "reason": string(make([]byte, 201))}, 400, "invalid_json"},
	} {
		answer := w.post("/api/refunds/create", wrong.body, as(w.cafeKey))
		require.Equal(t, wrong.status, answer.status, "%s: %s", what, answer.body)
		require.Equal(t, wrong.code, answer.json()["error"].(map[string]any)["code"], what)
	}
	require.Equal(t, 404, w.post("/api/refunds/create", body, as(w.booksKey)).status, "another shop's")
	require.Len(t, w.get("/api/refunds/list", as(w.cafeKey)).json()["data"], 1)
	require.Empty(t, w.get("/api/refunds/list", as(w.booksKey)).json()["data"])
	rest := w.post("/api/refunds/create", map[string]any{"sale_id": sale["id"]}, as(w.cafeKey))
	require.Equal(t, 201, rest.status, string(rest.body))
	for _, nothing := range []map[string]any{{"sale_id": sale["id"]}, {"payment_attempt_id": sale["payment_attempt_id"], "amount": "1"}} {
		answer := w.post("/api/refunds/create", nothing, as(w.cafeKey))
		require.Equal(t, 409, answer.status)
		require.Equal(t, "nothing_to_refund", answer.json()["error"].(map[string]any)["code"])
	}
	require.Equal(t, 409, w.post("/api/refunds/cancel", map[string]any{"id": refund["id"]}, as(w.cafeKey)).status, "a worker sends it")
}

func TestASaleGoesBackByTwoClicks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	browser, merchant := w.signIn("kiosk")
	w.isPaidAt(merchant, strings.ToLower(payTo))
	w.keeps(merchant)
	w.cafe, w.cafeKey = merchant, w.key(merchant, false, "links:write", "sales:read")
	sale := w.sold()
	page := "/dashboard/sales/" + sale["id"].(string)
	shown := w.get(page, browser).document()
	require.Contains(t, shown.Find("#live").Text(), "0.505")
	form := shown.Find(".actions .primary").AttrOr("href", "")
	require.Equal(t, page+"/refund", form)
	doc := w.get(form, browser).document()
	sent := url.Values{"once": {doc.Find("[name=once]").AttrOr("value", "")}, "what": {"part"}, "amount": {"9"}, "reason": {"Cold"}}
	refused := w.form(form, sent, browser)
	require.Equal(t, 409, refused.status)
	require.Contains(t, string(refused.body), "more than what is left")
	sent.Set("what", "whole")
	first := w.form(form, sent, browser)
	require.Equal(t, 303, first.status, string(first.body))
	second := w.form(form, sent, browser)
	require.Equal(t, 303, second.status, "the same form once more")
	require.Equal(t, first.header.Get("Location"), second.header.Get("Location"))
	require.Contains(t, w.get(first.header.Get("Location"), browser).document().Find("#live").Text(), "Cold")
	require.Regexp(t, "Refund(ing|ed)", w.get(page, browser).document().Find(".pill").First().Text(), "the worker may be as fast")
	require.Zero(t, w.get(page, browser).document().Find(".actions .primary").Length(), "nothing is left")
	require.Contains(t, string(w.get("/pay/"+sale["payment_attempt_id"].(string), asks("text/html")).body), "Cold")
	over := w.get(form, browser).document().Find("main")
	require.Contains(t, over.Text(), "All of it went back already")
	require.Zero(t, over.Find(".refund-form").Length(), "nothing is asked where nothing is left")
	for what, values := range map[string]url.Values{
		"all":               {"once": {"another"}, "what": {"whole"}},
		"a part":            {"once": {"another"}, "what": {"part"}, "amount": {"0.01"}},
		"something strange": {"once": {"another"}, "what": {"part"}, "amount": {"x"}},
		"no pieces":         {"once": {"another"}, "what": {"lines"}},
	} {
		answer := w.form(form, values, browser)
		require.Equal(t, 409, answer.status, what)
		require.Contains(t, string(answer.body), "All of it went back already", what)
	}
	require.Equal(t, 1, w.get("/dashboard/refunds", browser).document().Find(".refund-rows tbody tr").Length())
}

func TestNothingGoesBackOfWhatTheNetworkTookBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	browser, merchant := w.signIn("kiosk")
	w.isPaidAt(merchant, strings.ToLower(payTo))
	w.cafe, w.cafeKey = merchant, w.key(merchant, false, access.Scopes...)
	sale := w.sold()
	form := "/dashboard/sales/" + sale["id"].(string) + "/refund"
	require.Equal(t, 1, w.get(form, browser).document().Find(".refund-form").Length())
	for _, gone := range []string{`UPDATE settlements SET status = 'reversed'`, `UPDATE attempts SET status = 'reversed' WHERE status = 'settled'`} {
		_, err := w.pool.Exec(t.Context(), gone)
		require.NoError(t, err)
	}
	require.Contains(t, w.get(form, browser).document().Find("main").Text(), "The network took this payment back")
	refused := w.form(form, url.Values{"once": {"once"}, "what": {"whole"}}, browser)
	require.Equal(t, 409, refused.status)
	require.Contains(t, string(refused.body), "The network took this payment back")
	for _, body := range []map[string]any{{"sale_id": sale["id"]}, {"payment_attempt_id": sale["payment_attempt_id"], "amount": "1"}} {
		answer := w.post("/api/refunds/create", body, as(w.cafeKey))
		require.Equal(t, 409, answer.status, string(answer.body))
		require.Equal(t, "reversed", answer.json()["error"].(map[string]any)["code"])
	}
}

func TestSimulatedMoneyDoesNotGoBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.post("/api/payment_links/create", map[string]any{"title": "Tea", "price": "1"}, as(w.cafeKey)).json()
	session := w.session(link)
	require.Equal(t, 200, w.post("/api/dev/settle", map[string]any{"payment_attempt_id": session["payment_attempt"], "mode": "direct"}, as(w.cafeKey)).status)
	answer := w.post("/api/refunds/create", map[string]any{"payment_attempt_id": session["payment_attempt"]}, as(w.cafeKey))
	require.Equal(t, 409, answer.status, string(answer.body))
}
