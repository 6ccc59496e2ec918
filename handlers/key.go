package handlers

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/views"
)

func (h *Handlers) keyRoutes(e *echo.Echo) {
	const one = views.KeysPath + "/:key"
	e.GET(views.KeysPath, h.may(access.SeeKeys, h.keys))
	e.POST(views.KeysPath, h.may(access.ChangeKeys, h.stepUp(h.createKey)))
	e.GET(views.KeyNewPath, h.may(access.ChangeKeys, h.stepUp(h.newKey)))
	e.GET(one+"/successor", h.may(access.ChangeKeys, h.stepUp(h.confirmRoll)))
	e.POST(one+"/successor", h.may(access.ChangeKeys, h.stepUp(h.rollKey)))
	// To end a key is always safe: nobody is asked to prove anything first.
	e.GET(one+"/revocation", h.may(access.ChangeKeys, h.confirmRevocation))
	e.POST(one+"/revocation", h.may(access.ChangeKeys, h.revokeKey))
}

func (h *Handlers) keys(c echo.Context, s seller) error {
	keys, err := h.Access.Keys(c.Request().Context(), s.Merchant, s.livemode)
	if err != nil {
		return err
	}
	v := views.KeysView{DashboardView: h.frame(c, s, "API keys", views.SectionSettings, false), MayChange: s.May(access.ChangeKeys)}
	for _, k := range keys {
		v.Keys = append(v.Keys, h.keyRow(k))
	}
	return h.Page(c, http.StatusOK, views.Keys(v))
}

func (h *Handlers) keyRow(k access.Key) views.KeyRow {
	r := views.KeyRow{
		Key: k.ID, Name: k.Name, Hint: k.Hint, Creator: k.Creator, Created: k.CreatedAt.UTC(),
		Used: timeOr(k.UsedAt), Expires: timeOr(k.ExpiresAt), State: "active",
	}
	for _, scope := range k.Scopes {
		r.Scopes = append(r.Scopes, string(scope))
	}
	switch {
	case k.RevokedAt != nil:
		r.State = "revoked"
	case !k.Alive(h.Now()):
		r.State = "expired"
	}
	return r
}

// scopeWords say what a key may do.
var scopeWords = map[access.Scope]string{
	access.LinksRead: "Read payment links", access.LinksWrite: "Make and change payment links",
	access.ItemsRead: "Read items and their stock", access.ItemsWrite: "Make and change items and their stock",
	access.EndpointsRead: "Read paid APIs and their passes", access.EndpointsWrite: "Make and change paid APIs, and revoke passes",
	access.SalesRead:    "Read sales, settlements and the balance",
	access.SalesWrite:   "Note which sales were sent",
	access.RefundsRead:  "Read refunds",
	access.RefundsWrite: "Pay buyers back",
	access.PayoutsRead:  "Read payouts",
	access.PayoutsWrite: "Pay out to known addresses, up to the daily limit",
	access.WebhooksRead: "Read webhooks and deliveries", access.WebhooksWrite: "Change webhooks and send events again", access.EventsRead: "Read events",
	access.CodesRead: "Read activation codes", access.CodesWrite: "Make and revoke activation codes",
	access.PaymentsDev: "Simulate payments, where that is on",
}

func scopeOptions(chosen func(access.Scope) bool) []views.ScopeOption {
	var out []views.ScopeOption
	for _, s := range access.Scopes {
		out = append(out, views.ScopeOption{Value: string(s), Word: scopeWords[s], Chosen: chosen(s)})
	}
	return out
}

func (h *Handlers) newKey(c echo.Context, s seller) error {
	nothing := func(access.Scope) bool { return false }
	return h.Page(c, http.StatusOK, views.KeyForm(views.KeyFormView{
		DashboardView: h.frame(c, s, "New API key", views.SectionSettings, false), Scopes: scopeOptions(nothing), Expires: "90",
	}))
}

// createKey answers the post itself, since its page shows what is shown once.
func (h *Handlers) createKey(c echo.Context, s seller) error {
	form, err := c.FormParams()
	if err != nil {
		return echo.ErrBadRequest
	}
	f := access.KeyForm{Name: form.Get("name"), Livemode: s.livemode}
	for _, scope := range form["scope"] {
		f.Scopes = append(f.Scopes, access.Scope(scope))
	}
	if days := form.Get("expires"); days != "never" {
		n, err := strconv.Atoi(days)
		if err != nil {
			return h.keyFormAgain(c, s, f, &access.KeyFormError{Field: "expires", Message: "Choose when the key ends."})
		}
		at := h.Now().AddDate(0, 0, n)
		f.ExpiresAt = &at
	}
	made, secret, err := h.Access.MakeKey(c.Request().Context(), s.Merchant, f, actor(c, s))
	if err != nil {
		return h.keyFormAgain(c, s, f, err)
	}
	return h.keyPage(c, s, http.StatusCreated, made, secret, time.Time{})
}

func (h *Handlers) keyFormAgain(c echo.Context, s seller, f access.KeyForm, err error) error {
	r, field := replyTo(err)
	if r.status >= http.StatusInternalServerError || errors.Is(err, access.ErrDenied) {
		return err
	}
	v := views.KeyFormView{
		DashboardView: h.frame(c, s, "New API key", views.SectionSettings, false), Name: views.Field{Value: f.Name}, Expires: c.FormValue("expires"),
		Scopes: scopeOptions(func(s access.Scope) bool { return slices.Contains(f.Scopes, s) }),
	}
	switch field {
	case "name":
		v.Name.Problem = r.message
	case "scopes":
		v.NoScope = r.message
	default:
		v.Problem = r.message
	}
	return h.Page(c, http.StatusUnprocessableEntity, views.KeyForm(v))
}

func (h *Handlers) keyPage(c echo.Context, s seller, status int, of access.Key, secret string, until time.Time) error {
	return h.Page(c, status, views.KeySecret(views.KeySecretView{
		DashboardView: h.frame(c, s, "Keep this key", views.SectionSettings, false), Name: of.Name, Secret: secret, Until: until,
	}))
}

// ownKey finds the key that the address names.
func (h *Handlers) ownKey(c echo.Context, s seller) (access.Key, error) {
	of, err := id.Parse[id.Key](c.Param("key"))
	if err != nil {
		return access.Key{}, err
	}
	return h.Access.Key(c.Request().Context(), s.Merchant, s.livemode, of)
}

func (h *Handlers) askOfKey(c echo.Context, s seller, v views.ConfirmView) error {
	of, err := h.ownKey(c, s)
	if err != nil {
		return err
	}
	v.DashboardView = h.frame(c, s, v.Heading, views.SectionSettings, false)
	v.Subject, v.Action, v.Back = of.Name, c.Request().URL.Path, views.KeysPath
	if of.Hint != "" {
		v.Subject += " …" + of.Hint
	}
	return h.Page(c, http.StatusOK, views.Confirm(v))
}

func (h *Handlers) confirmRoll(c echo.Context, s seller) error {
	return h.askOfKey(c, s, views.ConfirmView{
		DashboardView: views.DashboardView{Heading: "Replace this key?"}, Verb: "Make new key", Harmless: true,
		Consequence: "The new key may do the same, and is shown once. The old one works for 24 hours more, so that your program can change over.",
	})
}

func (h *Handlers) rollKey(c echo.Context, s seller) error {
	old, err := h.ownKey(c, s)
	if err != nil {
		return err
	}
	made, secret, err := h.Access.RollKey(c.Request().Context(), s.Merchant, s.livemode, old.ID, actor(c, s))
	if err != nil {
		return err
	}
	if old, err = h.ownKey(c, s); err != nil {
		return err
	}
	return h.keyPage(c, s, http.StatusCreated, made, secret, timeOr(old.ExpiresAt))
}

func (h *Handlers) confirmRevocation(c echo.Context, s seller) error {
	return h.askOfKey(c, s, views.ConfirmView{
		DashboardView: views.DashboardView{Heading: "Revoke this key?"}, Verb: "Revoke key",
		Consequence: "From the next request on it opens nothing, for ever. A program that still has it is refused.",
	})
}

func (h *Handlers) revokeKey(c echo.Context, s seller) error {
	of, err := h.ownKey(c, s)
	if err != nil {
		return err
	}
	err = h.Access.RevokeKey(c.Request().Context(), s.Merchant, s.livemode, of.ID, actor(c, s))
	if err != nil && !errors.Is(err, access.ErrNotFound) {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.KeysPath)
}
