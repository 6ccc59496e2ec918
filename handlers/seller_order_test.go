package handlers_test

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/shop"
)

// ordered sells items to somebody who gave an address.
func (w *apiWorld) ordered(merchant id.Merchant, items ...string) checkout.Attempt {
	w.t.Helper()
	begin := checkout.Begin{Channel: "api", Buyer: checkout.Buyer{Email: "ada@example.org", Note: "Ring twice.", Shipping: &checkout.Address{
		Name: "Ada Byron", Line1: "12 St James’s Square", PostalCode: "SW1Y 4JH", City: "London", Country: "GB",
	}}}
	for i, item := range items {
		begin.Items = append(begin.Items, shop.Want{Item: id.Item(path.Base(item)), Qty: i + 1})
	}
	a, err := w.checkout.Start(w.t.Context(), begin)
	require.NoError(w.t, err)
	_, err = w.checkout.Simulate(w.t.Context(), merchant, a.ID, checkout.Direct)
	require.NoError(w.t, err)
	return a
}

func TestAnOrderIsSentAndTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	browser, merchant := w.signIn("kiosk")
	w.isPaidAt(merchant, strings.ToLower(payTo))
	beans, cup, seat := w.made(beansForm("sku", "B-1"), browser), w.made(beansForm("title", "Cup"), browser), w.made(beansForm("kind", "service", "title", "Seat"), browser)
	w.ordered(merchant, beans, cup, seat)

	list := w.get("/dashboard/orders", browser).document()
	require.Equal(t, 2, list.Find(".order-rows tbody tr").Length(), "a seat is not sent")
	require.Contains(t, list.Find(".cell-channel").First().Text(), "Ada Byron, London GB")
	order := list.Find(".order-rows a").FilterFunction(func(_ int, s *goquery.Selection) bool { return s.Text() == "Coffee beans" }).AttrOr("href", "")
	shown := w.get(order, browser).document()
	require.Contains(t, shown.Find("address").Text(), "SW1Y 4JH London")
	require.Contains(t, shown.Find("address").Text(), "United Kingdom")
	require.Contains(t, shown.Find("#live").Text(), "Ring twice.")
	require.Contains(t, shown.Find(".setting-links").Text(), "2 × Cup")

	packing := w.get("/dashboard/orders/packing", browser).document()
	require.Equal(t, 1, packing.Find(".slip").Length(), "what was bought together goes into one parcel")
	require.Equal(t, 2, packing.Find(".slip tbody tr").Length())
	require.Contains(t, packing.Find(".slip").Text(), "B-1")
	one := w.get(shown.Find(".actions a").AttrOr("href", ""), browser).document()
	require.Equal(t, 1, one.Find(".slip tbody tr").Length())

	long := w.form(order+"/fulfilment", url.Values{"note": {strings.Repeat("x", 501)}}, browser)
	require.Equal(t, "Use at most 500 printable characters.", long.problem("note"))
	require.Equal(t, http.StatusSeeOther, w.form(order+"/fulfilment", url.Values{"note": {"Parcel 7"}}, browser).status)
	shown = w.get(order, browser).document()
	require.Contains(t, shown.Find("#live").Text(), "Parcel 7")
	require.Contains(t, shown.Find("#live").Text(), "by Ada of kiosk")
	require.Equal(t, 1, w.get("/dashboard/orders?sent=1", browser).document().Find(".order-rows tbody tr").Length())
	require.Equal(t, http.StatusSeeOther, w.form(order+"/return", nil, browser).status)
	require.Zero(t, w.get("/dashboard/orders?sent=1", browser).document().Find(".order-rows").Length())
	require.Equal(t, 2, w.count(`SELECT count(*) FROM audit_rows WHERE action IN ('order.sent', 'order.reopened')`))
}

func TestWhereAnOrderGoesIsForThoseWhoSendIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	browser, merchant := w.signIn("kiosk")
	w.isPaidAt(merchant, strings.ToLower(payTo))
	w.ordered(merchant, w.made(beansForm(), browser))
	viewer, _ := w.joined(w.ownerOf(merchant), access.Viewer, "Vic")
	list := w.get("/dashboard/orders", viewer)
	require.Equal(t, "London GB", list.document().Find("tbody .cell-channel").Text())
	order := list.document().Find(".order-rows a").AttrOr("href", "")
	for _, path := range []string{"/dashboard/orders", order} {
		for _, private := range []string{"Byron", "Square", "ada@example.org", "Ring twice"} {
			require.NotContains(t, string(w.get(path, viewer).body), private, path)
		}
	}
	require.Equal(t, http.StatusForbidden, w.get("/dashboard/orders/packing", viewer).status)
	require.Equal(t, http.StatusForbidden, w.form(order+"/fulfilment", nil, viewer).status)
}

func TestWhatShouldNotBeSentSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	browser, merchant := w.signIn("kiosk")
	w.isPaidAt(merchant, strings.ToLower(payTo))
	beans := w.made(beansForm(), browser)
	undone, late := w.ordered(merchant, beans), w.ordered(merchant, beans)
	_, err := w.pool.Exec(t.Context(), `UPDATE attempts SET status = 'reversed' WHERE id = $1`, undone.ID)
	require.NoError(t, err)
	_, err = w.pool.Exec(t.Context(), `INSERT INTO exceptions (id, merchant_id, livemode, kind, attempt_id, settlement_id, payer, amount, network, transaction, created_at)
		SELECT $2, merchant_id, false, 'late_sold_out', attempt_id, id, payer, amount, network, transaction, now() FROM settlements WHERE attempt_id = $1`,
		late.ID, id.New[id.Exception](w.now()))
	require.NoError(t, err)
	list := w.get("/dashboard/orders", browser).document()
	require.Equal(t, "Paid latePayment undone", list.Find(".tag").Text())
	require.Equal(t, "/dashboard/reconciliation", w.get("/dashboard/orders/late", browser).header.Get("Location"), "where it stood before")
	decide := list.Find(`main a[href="/dashboard/reconciliation"]`)
	require.Equal(t, 1, decide.Length())
	require.Equal(t, 1, w.get(decide.AttrOr("href", ""), browser).document().Find(".exception-rows tbody tr").Length())
	require.Contains(t, string(w.get(list.Find(".order-rows a").Last().AttrOr("href", ""), browser).body), "Do not send this.")
}
