package handlers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

func (h *Handlers) endpointRoutes(e *echo.Echo) {
	const one = views.EndpointsPath + "/:endpoint"
	e.GET(views.EndpointsPath, h.may(access.SeeEndpoints, h.endpoints))
	e.POST(views.EndpointsPath, h.may(access.ChangeEndpoints, h.createEndpoint))
	e.GET(views.EndpointNewPath, h.may(access.ChangeEndpoints, h.newEndpoint))
	e.GET(views.PassesPath, h.may(access.SeeEndpoints, h.passes))
	e.GET(views.PassesPath+"/:pass/revocation", h.may(access.ChangeEndpoints, h.confirmPassEnd))
	e.POST(views.PassesPath+"/:pass/revocation", h.may(access.ChangeEndpoints, h.revokePass))
	e.GET(one, h.may(access.SeeEndpoints, h.showEndpoint))
	e.GET(one+"/edit", h.may(access.ChangeEndpoints, h.editEndpoint))
	e.POST(one+"/edit", h.may(access.ChangeEndpoints, h.updateEndpoint))
	e.POST(one+"/status", h.may(access.ChangeEndpoints, h.setEndpointStatus))
	e.GET(one+"/trial", h.may(access.ChangeEndpoints, h.newTrial))
	e.POST(one+"/trial", h.may(access.ChangeEndpoints, h.createTrial))
}

func (h *Handlers) endpoints(c echo.Context, s seller) error {
	before, after := c.QueryParam("before"), c.QueryParam("after")
	rows, err := h.Endpoints.List(c.Request().Context(), s.Merchant, s.livemode, shop.Page{Before: before, After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	rows, more := trim(rows, after != "")
	v := views.EndpointsView{DashboardView: h.frame(c, s, "Paid APIs", views.SectionEndpoints, true)}
	for _, e := range rows {
		v.Endpoints = append(v.Endpoints, endpointRow(e))
	}
	if len(rows) > 0 {
		v.Pages = pager(c, more, string(rows[0].ID), string(rows[len(rows)-1].ID), len(rows))
	}
	return h.livePage(c, views.Endpoints(v))
}

func endpointRow(e shop.Endpoint) views.EndpointRow {
	return views.EndpointRow{
		Endpoint: e.ID, Title: e.Title, URL: e.URL, Price: e.Price, Pricing: string(e.Pricing), Interval: string(e.Interval),
		First: e.Settles == shop.SettlesFirst, Disabled: e.DisabledAt != nil,
	}
}

// ownEndpoint finds the endpoint that the address names.
func (h *Handlers) ownEndpoint(c echo.Context, s seller) (shop.Endpoint, error) {
	endpoint, err := id.Parse[id.Endpoint](c.Param("endpoint"))
	if err != nil {
		return shop.Endpoint{}, shop.ErrNotFound
	}
	e, err := h.Endpoints.Endpoint(c.Request().Context(), s.Merchant, endpoint)
	if err == nil && e.Livemode != s.livemode {
		return shop.Endpoint{}, shop.ErrNotFound
	}
	return e, err
}

// callsShown is how many payments an endpoint's page lists.
const callsShown = 25

func (h *Handlers) showEndpoint(c echo.Context, s seller) error {
	e, err := h.ownEndpoint(c, s)
	if err != nil {
		return err
	}
	calls, err := h.Checkout.AttemptsOfEndpoint(c.Request().Context(), s.Merchant, e.ID, callsShown)
	if err != nil {
		return err
	}
	v := views.EndpointView{
		DashboardView: h.frame(c, s, e.Title, views.SectionEndpoints, true), EndpointRow: endpointRow(e), CallURL: h.callURL(e.ID), Description: e.Description,
		MimeType: e.MimeType, Network: e.Network.Name, SecretHeader: e.SecretHeader, Timeout: e.Timeout, MaxAnswer: e.MaxAnswer, Identified: e.Identified,
		Input: e.Input, Output: e.Output, Created: e.CreatedAt.UTC(), Calls: attemptRows(calls),
	}
	_, offer, err := h.Endpoints.Offered(c.Request().Context(), e.ID)
	switch {
	case err == nil:
		v.PayTo = checksum(offer.PayTo)
	case !errors.Is(err, shop.ErrNoPayee) && !errors.Is(err, shop.ErrUnproven):
		return err
	}
	return h.livePage(c, views.Endpoint(v))
}

// callURL is what programs are given.
func (h *Handlers) callURL(e id.Endpoint) string { return h.PublicURL + views.CallPath(e) }

// setEndpointStatus switches an endpoint off, or on again.
func (h *Handlers) setEndpointStatus(c echo.Context, s seller) error {
	e, err := h.ownEndpoint(c, s)
	if err != nil {
		return err
	}
	status := c.FormValue("status")
	if status != "active" && status != "disabled" {
		return echo.ErrBadRequest
	}
	_, err = h.Endpoints.Update(c.Request().Context(), s.Merchant, s.livemode, e.ID, func(f *shop.EndpointForm) error {
		f.Disabled = status == "disabled"
		return nil
	}, actor(c, s))
	if err != nil {
		return err
	}
	h.Hub.Changed("", s.Merchant)
	return c.Redirect(http.StatusSeeOther, views.EndpointPath(e.ID))
}
