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
	// streamsPerVisitor caps what one visitor may keep open.
	streamsPerVisitor = 50
	// beat keeps proxies from closing a quiet stream, and finds readers that are gone.
	beat = 20 * time.Second
	// streamTime ends a stream; the page opens another.
	streamTime = 15 * time.Minute
	// lookEvery is how often a stream looks, while there is something to say, whether its reader may still hear it.
	lookEvery = time.Second
)

// streams counts the open streams of each visitor.
type streams struct {
	mu   sync.Mutex
	open map[string]int
}

func newStreams() *streams { return &streams{open: map[string]int{}} }

func (s *streams) enter(visitor string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[visitor] >= streamsPerVisitor {
		return false
	}
	s.open[visitor]++
	return true
}

func (s *streams) leave(visitor string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[visitor]--; s.open[visitor] <= 0 {
		delete(s.open, visitor)
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
	return h.stream(c, string(attempt), nil)
}

const changedLine = "event: changed\ndata: changed\n\n"

// stream says only "changed", until the reader leaves, or may hear it no more: then it is silent. may is nil for what
// anybody may hear.
func (h *Handlers) stream(c echo.Context, topic string, may func() bool) error {
	visitor := h.visitor(c)
	if !h.streams.enter(visitor) {
		return errTooMany
	}
	defer h.streams.leave(visitor)
	changed, cancel := h.Hub.Subscribe(topic)
	defer cancel()

	w := c.Response()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	first := "retry: 1000\n\n"
	if since := c.QueryParam("since"); since != "" && h.Hub.ChangedSince(topic, since) {
		first += changedLine
	}
	fmt.Fprint(w, first) //nolint:errcheck // a reader that is gone is found below
	w.Flush()
	pulse, end := time.NewTicker(beat), time.NewTimer(streamTime)
	defer pulse.Stop()
	defer end.Stop()
	looked := h.Now()
	for {
		line := ": still here\n\n"
		select {
		case <-c.Request().Context().Done():
			return nil
		case <-end.C:
			return nil
		case <-pulse.C:
		case <-changed:
			line = changedLine
		}
		if now := h.Now(); may != nil && now.Sub(looked) >= lookEvery {
			looked = now
			if !may() {
				// The page fetches itself, and finds out why. The connection is left to it: to end it here would be an error there.
				line, changed, may = changedLine, nil, nil
			}
		}
		h.awaitReader(c)
		if _, err := fmt.Fprint(w, line); err != nil {
			return nil //nolint:nilerr // the reader is gone, which is how streams end
		}
		w.Flush()
	}
}
