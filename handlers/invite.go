package handlers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/views"
)

func (h *Handlers) inviteRoutes(e *echo.Echo) {
	e.GET(views.StaffInviteNewPath, h.may(access.ChangeStaff, h.newInvite))
	e.POST(views.StaffInvitesPath, h.may(access.ChangeStaff, h.createInvite))
	e.POST(views.StaffInvitesPath+"/:invite/revocation", h.may(access.ChangeStaff, h.revokeInvite))
	e.GET(views.InvitePath+"/:token", h.showInvite)
	e.POST(views.InvitePath+"/:token", h.owner(h.acceptInvite))
}

func (h *Handlers) newInvite(c echo.Context, s seller) error {
	// Whom an owner most likely asks weighs much: he proves that he is himself before he fills the form.
	if s.Role.MayGrant(access.Manager) && !s.SteppedUp {
		return access.ErrStepUp
	}
	return h.inviteForm(c, s, http.StatusOK, views.Field{}, "")
}

func (h *Handlers) inviteForm(c echo.Context, s seller, status int, name views.Field, problem string) error {
	return h.Page(c, status, views.InviteForm(views.InviteFormView{
		DashboardView: h.frame(c, s, "Invite", views.SectionStaff, false), Name: name, Roles: roleCards(s.Role, c.FormValue("role")), Problem: problem,
	}))
}

func (h *Handlers) createInvite(c echo.Context, s seller) error {
	name := views.Field{Value: c.FormValue("name")}
	asked, token, err := h.Access.Invite(c.Request().Context(), s.Session, browserOf(c), access.Role(c.FormValue("role")), name.Value)
	switch {
	case errors.Is(err, access.ErrPerson):
		name.Problem = nameProblem
		return h.inviteForm(c, s, http.StatusUnprocessableEntity, name, "")
	case errors.Is(err, access.ErrRole):
		return h.inviteForm(c, s, http.StatusUnprocessableEntity, name, "Choose a role that you may give.")
	case err != nil:
		return err
	}
	h.Hub.Changed("", s.Merchant)
	v := views.InviteLinkView{
		DashboardView: h.frame(c, s, "Invitation", views.SectionStaff, false), Name: asked.Name, Role: asked.Role.Sheet().Name,
		URL: h.PublicURL + views.InviteURLPath(token), Expires: asked.Expires.UTC(),
	}
	if v.QR, err = views.NewQR(v.URL); err != nil {
		return err
	}
	return h.Page(c, http.StatusOK, views.InviteLink(v))
}

func (h *Handlers) revokeInvite(c echo.Context, s seller) error {
	invite, err := id.Parse[id.Invite](c.Param("invite"))
	if err != nil {
		return access.ErrNotFound
	}
	return h.staffChanged(c, s, h.Access.RevokeInvite(c.Request().Context(), s.Session, browserOf(c), invite))
}

// showInvite is open to anybody who has the link; it changes nothing.
func (h *Handlers) showInvite(c echo.Context) error {
	ctx, token := c.Request().Context(), c.Param("token")
	c.Response().Header().Set("Cache-Control", "private, no-store")
	c.Response().Header().Set("Referrer-Policy", "no-referrer")
	asked, err := h.Access.Invited(ctx, token)
	if err != nil {
		return err
	}
	v := views.InviteView{DoorView: h.door(), Token: token, Shop: asked.Shop, Role: roleCard(asked.Role, true), Inviter: asked.Inviter}
	session, err := h.Access.Session(ctx, h.secretOf(c))
	switch {
	case err == nil && session.Device == "":
		v.Person = session.PersonName
		if _, err := h.Access.Colleague(ctx, asked.Merchant, session.Person); err == nil {
			v.Member = true
		}
	case err != nil && !errors.Is(err, access.ErrDenied):
		return err
	}
	return h.Page(c, http.StatusOK, views.Invite(v))
}

func (h *Handlers) acceptInvite(c echo.Context, s seller) error {
	merchant, err := h.Access.Accept(c.Request().Context(), s.Session, browserOf(c), c.Param("token"))
	if err != nil {
		return err
	}
	h.Hub.Changed("", merchant)
	return h.enterShop(c, s, merchant)
}
