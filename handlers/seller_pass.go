package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

// passes lists the passes of a shop, or of the endpoint that is asked for.
func (h *Handlers) passes(c echo.Context, s seller) error {
	ctx, before, after := c.Request().Context(), c.QueryParam("before"), c.QueryParam("after")
	v := views.PassesView{DashboardView: h.frame(c, s, "Passes", views.SectionEndpoints, true)}
	titles := map[id.Endpoint]string{}
	if of := c.QueryParam("endpoint"); of != "" {
		endpoint, err := id.Parse[id.Endpoint](of)
		if err != nil {
			return shop.ErrNotFound
		}
		e, err := h.Endpoints.Endpoint(ctx, s.Merchant, endpoint)
		if err != nil {
			return err
		}
		v.Endpoint, v.Title, titles[e.ID] = e.ID, e.Title, e.Title
	}
	rows, err := h.Checkout.Passes(ctx, s.Merchant, s.livemode, v.Endpoint, shop.Page{Before: before, After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	rows, more := trim(rows, after != "")
	for _, p := range rows {
		if _, known := titles[p.Endpoint]; !known {
			e, err := h.Endpoints.Endpoint(ctx, s.Merchant, p.Endpoint)
			if err != nil {
				return err
			}
			titles[e.ID] = e.Title
		}
		v.Passes = append(v.Passes, h.passRow(p, titles[p.Endpoint]))
	}
	if len(rows) > 0 {
		v.Pages = pager(c, more, string(rows[0].ID), string(rows[len(rows)-1].ID), len(rows))
	}
	return h.livePage(c, views.Passes(v))
}

func (h *Handlers) passRow(p checkout.Pass, title string) views.PassRow {
	row := views.PassRow{
		Pass: p.ID, Endpoint: p.Endpoint, Title: title, Payer: payer(p.Payer), Payments: p.Payments, Ends: timeOr(p.EndsAt), State: "expired",
	}
	switch {
	case p.RevokedAt != nil:
		row.State = "revoked"
	case p.Alive(h.Now()):
		row.State = "active"
	}
	return row
}

// ownPass finds the pass that the address names.
func (h *Handlers) ownPass(c echo.Context, s seller) (checkout.Pass, error) {
	pass, err := id.Parse[id.Pass](c.Param("pass"))
	if err != nil {
		return checkout.Pass{}, shop.ErrNotFound
	}
	return h.Checkout.Pass(c.Request().Context(), s.Merchant, s.livemode, pass)
}

func (h *Handlers) confirmPassEnd(c echo.Context, s seller) error {
	p, err := h.ownPass(c, s)
	if err != nil {
		return err
	}
	return h.Page(c, http.StatusOK, views.Confirm(views.ConfirmView{
		DashboardView: h.frame(c, s, "Revoke this pass?", views.SectionEndpoints, false), Subject: "Pass of " + payer(p.Payer),
		Consequence: "It opens nothing any more, and what is left of its time is lost. Who pays again gets another.",
		Action:      views.PassRevocationPath(p.ID), Verb: "Revoke", Back: views.PassesPath,
	}))
}

func (h *Handlers) revokePass(c echo.Context, s seller) error {
	p, err := h.ownPass(c, s)
	if err != nil {
		return err
	}
	if _, err := h.Checkout.RevokePass(c.Request().Context(), s.Merchant, s.livemode, p.ID, actor(c, s)); err != nil {
		return err
	}
	h.Hub.Changed("", s.Merchant)
	return c.Redirect(http.StatusSeeOther, views.PassesPath)
}
