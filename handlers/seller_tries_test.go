package handlers_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/jobs"
	"xsynesis/webhook"
)

// TestThePageShowsAllFiveTries lets a real worker fail four times, while hours pass in seconds, and succeed at last.
func TestThePageShowsAllFiveTries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	answers := []int{500, 503, 404, 500, 200}
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		rw.WriteHeader(answers[calls.Add(1)-1])
	}))
	t.Cleanup(server.Close)
	seller, merchant := w.signIn("shop")
	key := w.key(merchant, false, access.Scopes...)
	hook := w.register(key, server.URL)["id"].(string)
	delivery := w.post("/api/webhooks/test", object{"id": hook}, as(key)).json()["id"].(string)
	w.dispatch()

	tried := func(n int) webhook.DeliveryDetail {
		var d webhook.DeliveryDetail
		require.Eventually(t, func() bool {
			w.wakeQueue()
			var err error
			d, err = w.hooks.Delivery(t.Context(), merchant, false, id.Delivery(delivery))
			return err == nil && d.Tries == n
		}, 20*time.Second, 50*time.Millisecond, "try %d", n)
		return d
	}
	for n := range 4 {
		d := tried(n + 1)
		page := string(w.get("/dashboard/webhooks/deliveries/"+delivery, seller).body)
		require.Regexp(t, fmt.Sprintf(`(?s)Tries <span>%d of 5`, n+1), page)
		w.ahead.Add(int64(d.NextTry.Sub(w.now())))
	}
	d := tried(5)
	page := string(w.get("/dashboard/webhooks/deliveries/"+delivery, seller).body)
	require.Equal(t, webhook.Delivered, d.Status)
	require.Regexp(t, `(?s)Tries <span>5 of 5`, page)
	for _, said := range []string{"500 Internal Server Error", "503 Service Unavailable", "404 Not Found", "200 OK"} {
		require.Contains(t, page, said)
	}
	for n, at := range []time.Duration{0, 2, 6, 14, 30} {
		began := d.Log[n].StartedAt.Sub(d.Log[0].StartedAt)
		require.GreaterOrEqual(t, began, at*time.Minute, "try %d", n+1)
		require.LessOrEqual(t, began, at*time.Minute*11/10+10*time.Second, "try %d", n+1)
	}
}

// dispatch works the queues of webhooks until the test ends.
func (w *apiWorld) dispatch() {
	w.t.Helper()
	client, err := river.NewClient(riverpgxv5.New(w.pool), &river.Config{
		Queues:        map[string]river.QueueConfig{webhook.QueueWebhook: {MaxWorkers: 8}, webhook.QueueWebhookSlow: {MaxWorkers: 8}},
		Workers:       jobs.Workers(w.checkout, w.hooks, w.access, w.payees, nil),
		FetchCooldown: 10 * time.Millisecond, FetchPollInterval: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler), TestOnly: true,
	})
	require.NoError(w.t, err)
	ctx := w.t.Context()
	require.NoError(w.t, client.Start(ctx))
	w.t.Cleanup(func() { <-client.Stopped() })
}

// wakeQueue lets the queue look at what it would wait for by its own clock; the rows know what is due.
func (w *apiWorld) wakeQueue() {
	_, err := w.pool.Exec(w.t.Context(), `UPDATE river_job SET scheduled_at = now(), state = 'available' WHERE state IN ('scheduled', 'retryable')`)
	require.NoError(w.t, err)
}
