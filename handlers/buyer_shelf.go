package handlers

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/shop"
	"xsynesis/x402"
)

const (
	// shelfTime is how long a link's page is shown without another look at its link. What has changed meanwhile is
	// told at the tap on Pay; a former price is honoured for much longer.
	shelfTime = time.Second
	// shelfSize bounds the pages that are kept at a time.
	shelfSize = 1000
)

// shelf keeps the pages that everybody gets alike, so that a link which a crowd opens is read and drawn once a second.
type shelf struct {
	mu    sync.RWMutex
	pages map[string]shelved // by the link's token
}

type shelved struct {
	until time.Time
	offer string // the header with the offer
	page  []byte
}

func newShelf() *shelf { return &shelf{pages: map[string]shelved{}} }

func (s *shelf) take(token string, now time.Time) (shelved, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	kept, ok := s.pages[token]
	return kept, ok && now.Before(kept.until)
}

// put keeps the page of a link, unless it can be sold out, which must show at once, or each of its openings is counted.
func (s *shelf) put(l shop.Link, now time.Time, offer string, page []byte) {
	if l.MaxPayments > 0 || l.Gift != nil || l.LeadsTo.URL != "" || slices.ContainsFunc(l.Goods, func(g shop.Good) bool { return g.Limited }) {
		return
	}
	until := now.Add(shelfTime)
	if l.ExpiresAt != nil && l.ExpiresAt.Before(until) {
		until = *l.ExpiresAt
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pages) >= shelfSize {
		clear(s.pages)
	}
	s.pages[l.Token] = shelved{until, offer, page}
}

// forget drops the page of a link that its shop has changed.
func (s *shelf) forget(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pages, token)
}

// shelvedPage answers with a kept page, if there is one.
func (h *Handlers) shelvedPage(c echo.Context) (sent bool, err error) {
	if carriesPayment(c.Request()) || !wantsPage(c.Request()) || c.Request().URL.RawQuery != "" {
		return false, nil
	}
	kept, ok := h.shelf.take(c.Param("token"), h.Now())
	if !ok {
		return false, nil
	}
	return true, h.sendOffer(c, kept.offer, kept.page)
}

// sendOffer sends the page of a link that can be paid.
func (h *Handlers) sendOffer(c echo.Context, offer string, page []byte) error {
	c.Response().Header().Set("Cache-Control", "private, no-cache")
	c.Response().Header().Set(x402.HeaderRequired, offer)
	return c.HTMLBlob(http.StatusOK, page)
}
