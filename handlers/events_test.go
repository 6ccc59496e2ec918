package handlers_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
)

// listens opens a stream, and tells of its lines until it ends.
func (w *accessWorld) listens(ctx context.Context, path string, sends with) <-chan string {
	w.t.Helper()
	server := httptest.NewServer(w.echo)
	w.t.Cleanup(server.Close)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
	require.NoError(w.t, err)
	sends(r)
	answer, err := server.Client().Do(r)
	require.NoError(w.t, err)
	require.Equal(w.t, http.StatusOK, answer.StatusCode)
	lines := make(chan string)
	go func() {
		defer close(lines)
		defer answer.Body.Close() //nolint:errcheck // read to its end
		for s := bufio.NewScanner(answer.Body); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// hears tells whether a line comes within a time.
func hears(lines <-chan string, want string, within time.Duration) bool {
	late := time.After(within)
	for {
		select {
		case line, ok := <-lines:
			if !ok || line == want {
				return ok
			}
		case <-late:
			return false
		}
	}
}

func TestAStreamIsSilentForWhoeverMayHearItNoMore(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() { _ = w.hub.Run(ctx) }()
	mia, kim := w.somebody(w.shop, access.Manager), w.somebody(w.shop, access.Viewer)
	till := w.till(w.shop)
	gone := map[string]<-chan string{"mia": w.listens(ctx, "/dashboard/events", w.by(mia)), "till": w.listens(ctx, "/pos/events", till)}
	stays := w.listens(ctx, "/dashboard/events", w.by(kim))
	const changed, soon, silence = "event: changed", 10 * time.Second, time.Second
	w.hub.Changed("", w.shop)
	for name, lines := range gone {
		require.True(t, hears(lines, changed, soon), name)
	}
	require.True(t, hears(stays, changed, soon))
	require.NoError(t, w.access.Remove(ctx, w.boss.session, access.Browser{}, mia.id))
	w.exec(`UPDATE devices SET revoked_at = now() WHERE merchant_id = $1`, w.shop)
	time.Sleep(1100 * time.Millisecond)
	w.hub.Changed("", w.shop)
	for name, lines := range gone {
		require.True(t, hears(lines, changed, soon), "%s is told to look", name)
		for hears(lines, changed, silence) { // what was said before
		}
	}
	for hears(stays, changed, silence) {
	}
	w.hub.Changed("", w.shop)
	require.True(t, hears(stays, changed, soon), "everybody else goes on")
	for name, lines := range gone {
		require.False(t, hears(lines, changed, silence), "%s hears nothing more", name)
	}
}

// A page shows what was so when it was read, and only then begins to listen.
func TestAStreamTellsWhatHappenedBeforeItWasOpen(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() { _ = w.hub.Run(ctx) }()
	mia := w.by(w.somebody(w.shop, access.Manager))
	const changed, soon, silence = "event: changed", 10 * time.Second, time.Second
	require.True(t, func() bool { // until the hub hears
		lines := w.listens(ctx, "/dashboard/events", mia)
		for range 10 {
			w.hub.Changed("", w.shop)
			if hears(lines, changed, time.Second) {
				return true
			}
		}
		return false
	}())
	var moment string
	require.Eventually(t, func() bool { // until it has heard all of that
		before := moment
		moment = w.hub.Moment()
		return moment == before
	}, soon, 200*time.Millisecond)

	require.False(t, hears(w.listens(ctx, "/dashboard/events?since="+moment, mia), changed, silence), "nothing happened since")
	w.hub.Changed("", "sel_another")
	w.hub.Changed("", w.shop)
	require.Eventually(t, func() bool { return w.hub.ChangedSince(string(w.shop), moment) }, soon, 10*time.Millisecond)
	require.True(t, hears(w.listens(ctx, "/dashboard/events?since="+moment, mia), changed, soon))
	for _, unknown := range []string{"0", "another." + "1", moment + "9"} {
		require.True(t, hears(w.listens(ctx, "/dashboard/events?since="+unknown, mia), changed, soon), "who does not know tells to look")
	}
}
