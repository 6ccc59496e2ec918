package e2e

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

func TestAPaymentGetsThroughWhileItsNeighbourAsksWithoutEnd(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "RATE_LIMITS=true")
	l := w.newLink(t, "Filter coffee", "0.04")
	name, value := w.payment(t, w.buyer(t), 2, w.get(t, l.URL).required(t))

	flood, end := context.WithCancel(t.Context())
	var waiting atomic.Int64
	var g errgroup.Group
	for range 4 {
		g.Go(func() error {
			for flood.Err() == nil {
				if a, err := w.send(flood, http.MethodGet, "/nothing", ""); err == nil && a.Status == http.StatusTooManyRequests {
					waiting.Add(1)
				}
			}
			return nil
		})
	}
	require.Eventually(t, func() bool { return waiting.Load() > 100 }, time.Minute, 10*time.Millisecond)
	late := w.get(t, "/link/"+l.Token, "Accept", "text/html")
	require.Equal(t, http.StatusTooManyRequests, late.Status, "a page from the same address")
	wait, err := strconv.Atoi(late.Header.Get("Retry-After"))
	require.NoError(t, err)
	w.get(t, l.URL, name, value).receipt(t)
	require.Len(t, w.sales(t, "item_title", l.Title), 1, "the shop's own key")
	end()
	require.NoError(t, g.Wait())

	time.Sleep(time.Duration(wait) * time.Second)
	require.Equal(t, http.StatusOK, w.get(t, "/login", "Accept", "text/html").Status)
}
