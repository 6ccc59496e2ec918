package handlers

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/id"
)

const (
	// streamsPerAddress caps what one visitor may keep open.
	streamsPerAddress = 50
	// beat keeps proxies from closing a quiet stream, and finds readers that are gone.
	beat = 20 * time.Second
	// streamTime ends a stream; the page opens another.
	streamTime = 15 * time.Minute
)

// streams counts the open streams of each address.
type streams struct {
	mu   sync.Mutex
	open map[string]int
}

func newStreams() *streams { return &streams{open: map[string]int{}} }

func (s *streams) enter(address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[address] >= streamsPerAddress {
		return false
	}
	s.open[address]++
	return true
}

func (s *streams) leave(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[address]--; s.open[address] <= 0 {
		delete(s.open, address)
	}
}

// purchaseEvents streams "changed" whenever the purchase changes; the page then fetches itself.
func (h *Handlers) purchaseEvents(c echo.Context) error {
	attempt, err := id.Parse[id.Attempt](c.Param("attempt"))
	if err != nil {
		return checkout.ErrNotFound
	}
	if _, err := h.Checkout.Purchase(c.Request().Context(), attempt); err != nil {
		return err
	}
	return h.stream(c, string(attempt))
}

// stream says only "changed", until the reader leaves.
func (h *Handlers) stream(c echo.Context, topic string) error {
	address := c.RealIP()
	if !h.streams.enter(address) {
		return echo.NewHTTPError(http.StatusTooManyRequests)
	}
	defer h.streams.leave(address)
	changed, cancel := h.Hub.Subscribe(topic)
	defer cancel()

	w := c.Response()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	fmt.Fprint(w, "retry: 1000\n\n") //nolint:errcheck // a reader that is gone is found below
	w.Flush()
	pulse, end := time.NewTicker(beat), time.NewTimer(streamTime)
	defer pulse.Stop()
	defer end.Stop()
	for {
		line := ": still here\n\n"
		select {
		case <-c.Request().Context().Done():
			return nil
		case <-end.C:
			return nil
		case <-pulse.C:
		case <-changed:
			line = "event: changed\ndata: changed\n\n"
		}
		if _, err := fmt.Fprint(w, line); err != nil {
			return nil //nolint:nilerr // the reader is gone, which is how streams end
		}
		w.Flush()
	}
}
