package handlers_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/handlers"
)

func TestShelf(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	w := newWorld(t, func(o *handlers.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	page := func(t *testing.T, link map[string]any) string {
		t.Helper()
		answer := w.get("/link/"+link["token"].(string), header("Accept", "text/html"))
		require.Equal(t, 200, answer.status)
		require.NotEmpty(t, answer.header.Get("PAYMENT-REQUIRED"))
		return string(answer.body)
	}
	retitle := func(t *testing.T, link map[string]any, title string) {
		t.Helper()
		_, err := w.pool.Exec(t.Context(), `UPDATE links SET title = $2 WHERE id = $1`, link["id"], title)
		require.NoError(t, err)
	}

	t.Run("a page is drawn once a second, whoever changes its link elsewhere", func(t *testing.T) {
		link := w.link(w.cafeKey, "0.50")
		first := page(t, link)
		retitle(t, link, "Cortado")
		require.Equal(t, first, page(t, link))
		ahead.Add(int64(time.Second))
		require.Contains(t, page(t, link), "Cortado")
	})

	t.Run("what a shop changes here shows at once", func(t *testing.T) {
		link := w.link(w.cafeKey, "0.50")
		page(t, link)
		changed := w.post("/api/payment_links/update", map[string]any{"id": link["id"], "title": "Espresso"}, as(w.cafeKey))
		require.Equal(t, 200, changed.status)
		require.Contains(t, page(t, link), "Espresso")
		expired := w.post("/api/payment_links/expire", map[string]any{"id": link["id"]}, as(w.cafeKey))
		require.Equal(t, 200, expired.status)
		require.Equal(t, 410, w.get("/link/"+link["token"].(string), header("Accept", "text/html")).status)
	})

	t.Run("what can be sold out is looked at every time", func(t *testing.T) {
		answer := w.post("/api/payment_links/create", map[string]any{"title": "One seat", "price": "1", "max_payments": 1}, as(w.cafeKey))
		require.Equal(t, 201, answer.status)
		link := answer.json()
		page(t, link)
		retitle(t, link, "The last seat")
		require.Contains(t, page(t, link), "The last seat")
	})
}
