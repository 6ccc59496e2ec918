package handlers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

func (h *Handlers) links(c echo.Context, s seller) error {
	before, after := c.QueryParam("before"), c.QueryParam("after")
	rows, err := h.Shop.Links(c.Request().Context(), s.Merchant, s.livemode, shop.Page{Before: before, After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	rows, more := trim(rows, after != "")
	v := views.LinksView{DashboardView: h.frame(c, s, "Links", views.SectionLinks, true)}
	for _, l := range rows {
		v.Links = append(v.Links, views.LinkRow{
			Link: l.ID, Title: l.Title, Price: l.Price, Paid: int(l.Payments), Limit: l.MaxPayments, LastPaid: l.LastPaidAt, State: h.linkState(l.Link),
			Pricing: linkPricing(l.Link),
		})
	}
	if len(rows) > 0 {
		v.Pages = pager(c, more, string(rows[0].ID), string(rows[len(rows)-1].ID), len(rows))
	}
	return h.livePage(c, views.Links(v))
}

// linkState is the word on a link's pill.
func (h *Handlers) linkState(l shop.Link) string {
	if status := linkStatus(l, h.Now()); status != "active" {
		return status
	}
	return "open"
}

func (h *Handlers) ownLink(c echo.Context, s seller) (shop.Link, error) {
	link, err := id.Parse[id.Link](c.Param("link"))
	if err != nil {
		return shop.Link{}, shop.ErrNotFound
	}
	l, err := h.Shop.Link(c.Request().Context(), s.Merchant, link)
	if err == nil && l.Livemode != s.livemode {
		return shop.Link{}, shop.ErrNotFound
	}
	return l, err
}

// attemptsShown is how many of a link's purchases its page lists.
const attemptsShown = 50

func (h *Handlers) showLink(c echo.Context, s seller) error {
	l, err := h.ownLink(c, s)
	if err != nil {
		return err
	}
	totals, err := h.Shop.Totals(c.Request().Context(), l.ID)
	if err != nil {
		return err
	}
	attempts, err := h.Checkout.AttemptsOfLink(c.Request().Context(), s.Merchant, l.ID, attemptsShown)
	if err != nil {
		return err
	}
	v := views.LinkView{
		DashboardView: h.frame(c, s, l.Title, views.SectionLinks, true), Link: l.ID, Token: l.Token, Title: l.Title,
		Description: l.Description, Price: l.Price, Pricing: linkPricing(l), State: h.linkState(l), URL: h.PublicURL + views.LinkPath(l.Token),
		Paid: int(totals.Payments), Limit: l.MaxPayments, Received: totals.Received, LastPaid: totals.LastPaidAt, Created: l.CreatedAt.UTC(),
		SuccessURL: l.SuccessURL, Terms: linkTerms(l, totals.Clicks), Reference: l.Reference, DevSettle: h.DevSettle, Attempts: attemptRows(attempts),
	}
	if l.ExpiresAt != nil {
		v.Expires = l.ExpiresAt.UTC()
	}
	problem := l.Open(h.Now())
	v.Terms.MayPause = !errors.Is(problem, shop.ErrLinkExpired)
	if errors.Is(problem, shop.ErrLinkExpired) || errors.Is(problem, shop.ErrSoldOut) {
		r, _ := replyTo(problem)
		v.Over = r.message
	}
	return h.livePage(c, views.Link(v))
}

// linkTerms is what a link's own page says beyond title and price.
func linkTerms(l shop.Link, clicks shop.Clicks) views.LinkTerms {
	t := views.LinkTerms{
		Sells: sellsOf(l), Lines: linkLines(l.Goods), Presets: l.Presets, Target: l.LeadsTo.URL, Free: l.LeadsTo.All, Opened: int(clicks.All), Clicks: int(clicks.Led),
		Asks: l.Asks.Words(), Message: l.After.Message, Paused: l.PausedAt != nil, PauseSay: l.PauseText,
	}
	if l.Sells == shop.SellsOpen {
		t.Least = l.Price
	}
	if !l.LeadsTo.All {
		t.Counter = views.CounterPath(l.Token)
	}
	if l.StartsAt != nil {
		t.Starts = l.StartsAt.UTC()
	}
	return t
}

// linkPricing says who decides on a link's price, as an item has it; empty for the seller.
func linkPricing(l shop.Link) string {
	switch {
	case l.LeadsTo.All:
		return string(shop.Free)
	case l.Sells == shop.SellsOpen:
		return string(shop.Minimum)
	default:
		return ""
	}
}

func attemptRows(attempts []checkout.Listed) []views.AttemptRow {
	rows := make([]views.AttemptRow, len(attempts))
	for i, a := range attempts {
		rows[i] = views.AttemptRow{
			Attempt: a.ID, Time: a.CreatedAt.UTC(), Payer: payer(a.Payer), State: string(a.Status), Open: a.Status == checkout.Open,
			Amount: a.Amount, Pending: !a.Status.Paid(), Simulated: a.Simulated,
		}
	}
	return rows
}

func (h *Handlers) confirmExpire(c echo.Context, s seller) error {
	l, err := h.ownLink(c, s)
	if err != nil {
		return err
	}
	return h.Page(c, http.StatusOK, views.Confirm(views.ConfirmView{
		DashboardView: h.frame(c, s, "Expire link", views.SectionLinks, false), Subject: l.Title, Amount: l.Price,
		Consequence: "Nobody can begin a payment with this link any more. Payments under way are still taken.",
		Action:      views.LinkExpirePath(l.ID), Verb: "Expire link", Back: views.LinkDetailPath(l.ID),
	}))
}

func (h *Handlers) expireLink(c echo.Context, s seller) error {
	l, err := h.ownLink(c, s)
	if err != nil {
		return err
	}
	if _, err := h.Shop.ExpireLink(c.Request().Context(), s.Merchant, l.ID, actor(c, s)); err != nil {
		return err
	}
	h.shelf.forget(l.Token)
	return c.Redirect(http.StatusSeeOther, views.LinkDetailPath(l.ID))
}

func (h *Handlers) confirmDeletion(c echo.Context, s seller) error {
	l, err := h.ownLink(c, s)
	if err != nil {
		return err
	}
	return h.Page(c, http.StatusOK, views.Confirm(views.ConfirmView{
		DashboardView: h.frame(c, s, "Delete link", views.SectionLinks, false), Subject: l.Title, Amount: l.Price,
		Consequence: "Its address leads nowhere any more, and it is in no list. Its sales and receipts stay.",
		Action:      views.LinkDeletionPath(l.ID), Verb: "Delete link", Back: views.LinkDetailPath(l.ID),
	}))
}

func (h *Handlers) deleteLink(c echo.Context, s seller) error {
	l, err := h.ownLink(c, s)
	if err != nil {
		return err
	}
	if err := h.Shop.DeleteLink(c.Request().Context(), s.Merchant, l.ID, actor(c, s)); err != nil {
		return err
	}
	h.shelf.forget(l.Token)
	return c.Redirect(http.StatusSeeOther, views.LinksPath)
}

// simulate pays an open purchase with money that was never there.
func (h *Handlers) simulate(c echo.Context, s seller) error {
	attempt, err := id.Parse[id.Attempt](c.Param("attempt"))
	if err != nil {
		return checkout.ErrNotFound
	}
	mode := checkout.Direct
	if c.FormValue("mode") == string(checkout.Worker) {
		mode = checkout.Worker
	}
	purchase, err := h.Checkout.Purchase(c.Request().Context(), attempt)
	switch {
	case err != nil:
		return err
	case purchase.Livemode != s.livemode:
		return checkout.ErrNotFound
	}
	purchase, err = h.Checkout.Simulate(c.Request().Context(), s.Merchant, attempt, mode)
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.LinkDetailPath(purchase.Link))
}
