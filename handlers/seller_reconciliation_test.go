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

// unmatched is money that came to a shop and that no purchase explains.
func (w *apiWorld) unmatched(merchant id.Merchant, index int) id.Exception {
	w.t.Helper()
	exception := id.New[id.Exception](w.now())
	_, err := w.pool.Exec(w.t.Context(), `
		INSERT INTO exceptions (id, merchant_id, livemode, kind, payer, pay_to, amount, network, transaction, log_index, created_at)
		VALUES ($1, $2, false, 'unmatched', $3, $3, 3400000, $4, $5, $6, now() - interval '2 days')`,
		exception, merchant, strings.ToLower(payTo), sepolia, "0x"+strings.Repeat("ab", 32), index)
	require.NoError(w.t, err)
	return exception
}

func TestMoneyWithoutAPurchaseIsWorkedOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	browser, merchant := w.signIn("kiosk")
	kept, other := w.unmatched(merchant, 0), w.unmatched(merchant, 1)
	list := w.get("/dashboard/reconciliation", browser).document()
	require.Equal(t, 2, list.Find(".exception-rows tbody tr").Length())
	require.Contains(t, list.Find(".waiting").Text(), "the oldest 2 days")
	path := list.Find("#open-"+string(kept)).AttrOr("href", "")
	page := w.get(path, browser).document()
	require.Equal(t, 1, page.Find(`form[action$="/attachment"]`).Length())
	require.Equal(t, 1, page.Find(`a[href$="/refund"]`).Length())

	empty := w.form(path+"/dismissal", url.Values{"reason": {" "}}, browser)
	require.Equal(t, http.StatusUnprocessableEntity, empty.status)
	require.Equal(t, 1, empty.document().Find("#reason[aria-invalid]").Length())
	nobodys := w.form(path+"/attachment", url.Values{"other": {"pa_1ChHQgZvF7Y4JLiQa34ooR"}}, browser)
	require.Equal(t, http.StatusUnprocessableEntity, nobodys.status)
	require.Contains(t, string(nobodys.body), "There is no such purchase.")

	require.Equal(t, path, w.form(path+"/dismissal", url.Values{"reason": {"=a tip"}}, browser).header.Get("Location"))
	require.Equal(t, http.StatusConflict, w.form(path+"/dismissal", url.Values{"reason": {"a tip"}}, browser).status, "twice")
	require.Contains(t, w.get(path, browser).document().Find("main").Text(), "Left as it is")
	require.Equal(t, 1, w.get("/dashboard/reconciliation", browser).document().Find("#"+string(other)).Length())
	require.Equal(t, 1, w.get("/dashboard/reconciliation?decided=1", browser).document().Find("#"+string(kept)).Length())

	file := w.get("/dashboard/reconciliation.csv", browser)
	rows, err := csv.NewReader(strings.NewReader(string(file.body))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 3)
	require.Equal(t, []string{string(other), string(kept)}, []string{rows[1][0], rows[2][0]}, "what is open comes first")
	require.Equal(t, "'=a tip", rows[2][16], "no formula")

	stranger, _ := w.signIn("bookshop")
	require.Equal(t, http.StatusNotFound, w.get(path, stranger).status)
	require.Equal(t, http.StatusNotFound, w.form(path+"/dismissal", url.Values{"reason": {"mine"}}, stranger).status)
}

func TestWhatDiffersIsSaidOnTheOverview(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	browser, merchant := w.signIn("kiosk")
	require.Zero(t, w.get("/dashboard", browser).document().Find(`#live [role="alert"]`).Length())
	_, err := w.pool.Exec(t.Context(), `INSERT INTO drifts (merchant_id, network, amount, since) VALUES ($1, $2, -1, now())`, merchant, sepolia)
	require.NoError(t, err)
	said := w.get("/dashboard", browser).document().Find(`#live [role="alert"]`)
	require.Contains(t, said.Text(), "0.000001\u00a0USDC less than the books")
	require.Equal(t, "/dashboard/balance", said.Find("a").AttrOr("href", ""))
	stranger, _ := w.signIn("bookshop")
	require.Zero(t, w.get("/dashboard", stranger).document().Find(`#live [role="alert"]`).Length())
}

func TestAShopComparesItsBooksWhenItLikes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	browser, _ := w.signIn("kiosk")
	for range 2 {
		require.Equal(t, "/dashboard/reconciliation", w.form("/dashboard/reconciliation/runs", nil, browser).header.Get("Location"))
	}
	var jobs int
	require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE kind = 'reconcile_chains'`).Scan(&jobs))
	require.LessOrEqual(t, jobs, 1)
}

func TestTheLimitOfLargePaymentsIsTheShops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	browser, merchant := w.signIn("kiosk")
	require.Equal(t, "1000.00", w.get("/dashboard/settings", browser).document().Find("#confirm_limit").AttrOr("value", ""))
	require.Equal(t, http.StatusUnprocessableEntity, w.form("/dashboard/settings/confirm_limit", url.Values{"was": {"1000.00"}, "confirm_limit": {"-1"}}, browser).status)
	require.Equal(t, http.StatusConflict, w.form("/dashboard/settings/confirm_limit", url.Values{"was": {"7"}, "confirm_limit": {"50"}}, browser).status)
	require.Equal(t, http.StatusSeeOther, w.form("/dashboard/settings/confirm_limit", url.Values{"was": {"1000.00"}, "confirm_limit": {"50.5"}}, browser).status)
	var limit int64
	require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT confirm_limit FROM merchants WHERE id = $1`, merchant).Scan(&limit))
	require.EqualValues(t, 50_500_000, limit)
}
