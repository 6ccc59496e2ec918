package handlers

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

// leadOn counts the opening of a link that leads somewhere, and leads on whoever may go there.
func (h *Handlers) leadOn(c echo.Context, l shop.Link) (sent bool, err error) {
	r := c.Request()
	if l.LeadsTo.URL == "" || r.Method != http.MethodGet || carriesPayment(r) {
		return false, nil
	}
	led, err := h.mayGoOn(c, l)
	if err != nil || !led && !wantsPage(r) { // programs are asked for money
		return false, err
	}
	if err := h.Shop.Click(r.Context(), l.ID, led); err != nil || !led {
		return false, err
	}
	// Looked at again where it counts: nothing but https may ever stand in this header.
	if err := shop.CheckLeadsTo(l.LeadsTo.URL); err != nil {
		return false, err
	}
	header := c.Response().Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer") // the buyer's token stands in this address
	return true, c.Redirect(http.StatusSeeOther, l.LeadsTo.URL)
}

// mayGoOn tells whether a visitor has paid at this link, or need not.
func (h *Handlers) mayGoOn(c echo.Context, l shop.Link) (bool, error) {
	if l.LeadsTo.All {
		return l.Timely(h.Now()) == nil, nil
	}
	attempt, err := id.Parse[id.Attempt](c.QueryParam("paid"))
	if err != nil {
		return false, nil //nolint:nilerr // an address that names no purchase is that of somebody who has not paid
	}
	p, err := h.Checkout.Purchase(c.Request().Context(), attempt)
	if errors.Is(err, checkout.ErrNotFound) {
		return false, nil
	}
	return err == nil && p.Link == l.ID && p.Status.Paid() && p.IsBuyer(c.QueryParam("k")), err
}

// onwardPath is where a paid purchase leads its buyer, or empty.
func onwardPath(p checkout.Purchase, k string) string {
	if p.LeadsTo == "" || k == "" || p.LinkToken == "" || !p.Status.Paid() {
		return ""
	}
	return views.LinkPath(p.LinkToken) + "?" + url.Values{"paid": {string(p.ID)}, "k": {k}}.Encode()
}
