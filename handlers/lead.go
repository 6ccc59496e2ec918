package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

func (h *Handlers) leadRoutes(e *echo.Echo) {
	e.GET("/link/:token/onward", h.onward)
	e.GET("/pay/:attempt/onward", h.paidOnward)
}

// opened counts that somebody looks at a link that leads somewhere.
func (h *Handlers) opened(c echo.Context, l shop.Link) error {
	r := c.Request()
	if l.LeadsTo.URL == "" || r.Method != http.MethodGet || carriesPayment(r) || !wantsPage(r) {
		return nil
	}
	return h.Shop.Click(r.Context(), l.ID)
}

// shortLink is a link that leads everybody on: people read where to before they follow it, programs follow it at once.
func (h *Handlers) shortLink(c echo.Context, o shop.Offer) error {
	c.Response().Header().Set("Cache-Control", "private, no-cache")
	problem := o.Link.Timely(h.Now())
	switch {
	case wantsPage(c.Request()):
		status := http.StatusOK
		if problem != nil {
			status = http.StatusGone
		}
		return h.Page(c, status, views.ShortLinkPage(h.shortView(o, problem)))
	case problem != nil:
		return problem
	}
	return c.Redirect(http.StatusSeeOther, views.OnwardPath(o.Link.Token))
}

func (h *Handlers) shortView(o shop.Offer, problem error) views.ShortLinkView {
	return views.ShortLinkView{
		Token: o.Link.Token, URL: h.PublicURL + views.LinkPath(o.Link.Token), Payee: views.Payee{Name: o.Shop, Domain: o.Domain, Address: checksum(o.PayTo)},
		Title: o.Title(), Description: o.Link.Description, Host: o.Link.LeadsTo.Host(), Closing: closingOf(o.Link, problem), Test: !o.Link.Livemode,
	}
}

// onward follows a link that leads everybody on; one that has to be paid shows its page instead.
func (h *Handlers) onward(c echo.Context) error {
	o, err := h.Shop.Offer(c.Request().Context(), c.Param("token"))
	switch {
	case err != nil:
		return err
	case o.Link.LeadsTo.URL == "":
		return shop.ErrNotFound
	case !o.Link.LeadsTo.All || o.Link.Timely(h.Now()) != nil:
		return c.Redirect(http.StatusSeeOther, views.LinkPath(o.Link.Token))
	}
	return h.leadOn(c, o.Link.ID, o.Link.LeadsTo.URL)
}

// paidOnward leads on who has paid, for ever, also where the link is over meanwhile.
func (h *Handlers) paidOnward(c echo.Context) error {
	attempt, err := id.Parse[id.Attempt](c.Param("attempt"))
	if err != nil {
		return checkout.ErrNotFound
	}
	p, err := h.Checkout.Purchase(c.Request().Context(), attempt)
	if err != nil {
		return err
	}
	k := c.QueryParam("k")
	if !p.IsBuyer(k) || onwardPath(p, k) == "" {
		return checkout.ErrNotFound
	}
	return h.leadOn(c, p.Link, p.LeadsTo)
}

// leadOn counts, and leads to another site.
func (h *Handlers) leadOn(c echo.Context, link id.Link, to string) error {
	// Looked at again where it counts: nothing but https may ever stand in this header.
	if err := shop.CheckLeadsTo(to); err != nil {
		return err
	}
	if err := h.Shop.LeadOn(c.Request().Context(), link); err != nil {
		return err
	}
	header := c.Response().Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer") // the buyer's token may stand in this address
	return c.Redirect(http.StatusSeeOther, to)
}

// onwardPath is where a paid purchase leads its buyer, or empty.
func onwardPath(p checkout.Purchase, k string) string {
	if p.LeadsTo == "" || k == "" || p.LinkToken == "" || !p.Status.Paid() {
		return ""
	}
	return views.PaidOnwardPath(string(p.ID), k)
}
