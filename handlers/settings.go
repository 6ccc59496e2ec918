package handlers

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

func (h *Handlers) settingsRoutes(e *echo.Echo) {
	e.GET(views.SettingsPath, h.may(access.SeeSettings, h.settings))
	e.POST(views.SettingsNamePath, h.may(access.ChangeSettings, h.amend("name", h.Shop.Rename)))
	e.POST(views.SettingsDomainPath, h.may(access.ChangeSettings, h.amend("domain", h.Shop.SetDomain)))
	e.POST(views.SettingsSlugPath, h.may(access.ChangeSettings, h.amend("slug", h.Shop.SetSlug)))
	e.POST(views.SettingsZonePath, h.may(access.ChangeSettings, h.amend("zone", h.Checkout.SetZone)))
	e.POST(views.SettingsLimitPath, h.may(access.ChangeSettings, h.amend("confirm_limit", h.Shop.SetConfirmLimit)))
	e.POST(views.ModePath, h.may(access.SeeShop, h.setMode))
	h.keyRoutes(e)
	h.addressRoutes(e)
}

// actor is who changes something, and from where.
func actor(c echo.Context, s seller) audit.By {
	from := browserOf(c)
	return audit.By{Person: s.Person, Actor: s.PersonName, Address: from.Address, UserAgent: from.UserAgent}
}

// program is the program that changes something by the API, and from where: a key, or a person's access token.
func program(c echo.Context, who access.Caller) audit.By {
	from := browserOf(c)
	by := audit.By{Person: who.Person, Actor: who.PersonName, Address: from.Address, UserAgent: from.UserAgent}
	if who.Key != "" {
		by.Actor = "API key …" + who.KeyHint
	}
	return by
}

func (h *Handlers) settings(c echo.Context, s seller) error {
	return h.showSettings(c, s, http.StatusOK, nil)
}

// showSettings shows a shop as it is now; change puts in what was sent and why it was not taken.
func (h *Handlers) showSettings(c echo.Context, s seller, status int, change func(*views.SettingsView)) error {
	ctx := c.Request().Context()
	p, err := h.Shop.Profile(ctx, s.Merchant)
	if err != nil {
		return err
	}
	zone, err := h.Checkout.Zone(ctx, s.Merchant)
	if err != nil {
		return err
	}
	live := p.WentLiveAt != nil
	ready := live
	if !live {
		if ready, err = h.Payees.MayGoLive(ctx, s.Merchant); err != nil {
			return err
		}
	}
	v := views.SettingsView{
		DashboardView: h.frame(c, s, "Settings", views.SectionSettings, false), MayChange: s.May(access.ChangeSettings),
		MayGoLive: live || s.May(access.GoLive), Ready: ready, WasName: p.Name, WasDomain: p.Domain, WasSlug: p.Slug,
		Name: views.Field{Value: p.Name}, Domain: views.Field{Value: p.Domain}, Slug: views.Field{Value: p.Slug},
		WasLimit: p.ConfirmLimit.String(), Limit: views.Field{Value: p.ConfirmLimit.String()}, WasZone: zone.String(), NextZone: zone.Next, Zone: views.Field{Value: or(zone.Next, zone.String())},
	}
	if change != nil {
		change(&v)
	}
	return h.Page(c, status, views.Settings(v))
}

// amend changes one thing that a shop says of itself. A form that showed something else than what is there now changes
// nothing: it comes back with what is there, and with what was typed.
func (h *Handlers) amend(
	name string, change func(ctx context.Context, merchant id.Merchant, was, value string, by audit.By) error,
) func(echo.Context, seller) error {
	return func(c echo.Context, s seller) error {
		value := c.FormValue(name)
		err := change(c.Request().Context(), s.Merchant, c.FormValue("was"), value, actor(c, s))
		r, status := reply{}, http.StatusUnprocessableEntity
		var wrong *shop.FieldError
		switch {
		case err == nil:
			h.Hub.Changed("", s.Merchant)
			return c.Redirect(http.StatusSeeOther, views.SettingsPath)
		case errors.Is(err, shop.ErrChanged):
			status = http.StatusConflict
		case !errors.As(err, &wrong):
			return err
		}
		r, _ = replyTo(err)
		return h.showSettings(c, s, status, func(v *views.SettingsView) {
			fields := map[string]*views.Field{"name": &v.Name, "domain": &v.Domain, "slug": &v.Slug, "zone": &v.Zone, "confirm_limit": &v.Limit}
			*fields[name] = views.Field{Value: value, Problem: r.message}
		})
	}
}

// setMode shows the other money. The first time it is an owner's decision.
func (h *Handlers) setMode(c echo.Context, s seller) error {
	ctx, livemode := c.Request().Context(), c.FormValue("livemode") == "true"
	if livemode && !s.WentLive {
		if !s.May(access.GoLive) {
			return h.lacks(c, s, access.GoLive)
		}
		if err := h.Payees.GoLive(ctx, s.Merchant, actor(c, s)); err != nil {
			return err
		}
	}
	if err := h.Access.SetMode(ctx, s.ID, livemode); err != nil {
		return err
	}
	h.Hub.Changed("", s.Merchant) // the session's other pages leave what they show
	return c.Redirect(http.StatusSeeOther, views.OverviewPath)
}
