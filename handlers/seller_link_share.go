package handlers

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"xsynesis/shop"
	"xsynesis/views"
)

func (h *Handlers) confirmPause(c echo.Context, s seller) error {
	l, err := h.ownLink(c, s)
	if err != nil {
		return err
	}
	return h.showPause(c, s, http.StatusOK, l, views.Field{Value: l.PauseText})
}

func (h *Handlers) showPause(c echo.Context, s seller, status int, l shop.Link, text views.Field) error {
	return h.Page(c, status, views.LinkPause(views.LinkPauseView{
		DashboardView: h.frame(c, s, "Pause link", views.SectionLinks, false), Link: l.ID, Subject: l.Title, Text: text,
	}))
}

func (h *Handlers) pauseLink(c echo.Context, s seller) error {
	l, err := h.ownLink(c, s)
	if err != nil {
		return err
	}
	text := c.FormValue("text")
	_, err = h.Shop.PauseLink(c.Request().Context(), s.Merchant, l.ID, text, actor(c, s))
	if r, field := replyTo(err); err != nil && field != "" {
		return h.showPause(c, s, http.StatusUnprocessableEntity, l, views.Field{Value: text, Problem: r.message})
	}
	return h.pausedOr(c, l, err)
}

func (h *Handlers) resumeLink(c echo.Context, s seller) error {
	l, err := h.ownLink(c, s)
	if err != nil {
		return err
	}
	_, err = h.Shop.ResumeLink(c.Request().Context(), s.Merchant, l.ID, actor(c, s))
	return h.pausedOr(c, l, err)
}

func (h *Handlers) pausedOr(c echo.Context, l shop.Link, err error) error {
	if err != nil {
		return err
	}
	h.shelf.forget(l.Token)
	return c.Redirect(http.StatusSeeOther, views.LinkDetailPath(l.ID))
}

// poster is a link's code on a sheet of paper.
func (h *Handlers) poster(c echo.Context, s seller) error {
	l, err := h.ownLink(c, s)
	if err != nil {
		return err
	}
	address := h.PublicURL + views.LinkPath(l.Token)
	qr, err := views.NewQR(address)
	if err != nil {
		return err
	}
	v := views.PosterView{
		Link: l.ID, Shop: s.Shop, Title: l.Title, Pricing: linkPricing(l), Price: l.Price, QR: qr, URL: address,
		Size: views.PosterSizes[0].Value, Test: !l.Livemode,
	}
	if l.LeadsTo.All {
		v.Leads = l.LeadsTo.Host()
	}
	size := c.QueryParam("size")
	if slices.ContainsFunc(views.PosterSizes, func(o views.Option) bool { return o.Value == size }) {
		v.Size = size
	}
	return h.Page(c, http.StatusOK, views.Poster(v))
}
