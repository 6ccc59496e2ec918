package handlers

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/views"
)

func (h *Handlers) staffRoutes(e *echo.Echo) {
	const person = views.StaffPeoplePath + "/:person"
	e.GET(views.StaffPath, h.may(access.SeeStaff, h.staff))
	e.GET(person, h.may(access.SeeStaff, h.showColleague))
	e.POST(person+"/role", h.may(access.ChangeStaff, h.changeRole))
	e.POST(person+"/pin", h.may(access.ChangeStaff, h.setPIN))
	e.POST(person+"/refund_limit", h.may(access.ChangeStaff, h.setRefundLimit))
	e.POST(person+"/status", h.may(access.ChangeStaff, h.setMemberStatus))
	e.GET(person+"/removal", h.may(access.ChangeStaff, h.confirmMemberRemoval))
	e.POST(person+"/removal", h.may(access.ChangeStaff, h.removeMember))
	e.GET(views.CashierNewPath, h.may(access.ChangeStaff, h.newCashier))
	e.POST(views.CashiersPath, h.may(access.ChangeStaff, h.addCashier))
	e.GET(views.DeparturePath, h.owner(h.confirmDeparture))
	e.POST(views.DeparturePath, h.owner(h.leaveShop))
	e.POST(views.ShopCurrentPath, h.owner(h.switchShop))
	h.inviteRoutes(e)
	h.deviceRoutes(e)
	h.auditRoutes(e)
}

func (h *Handlers) staff(c echo.Context, s seller) error {
	ctx := c.Request().Context()
	people, err := h.Access.Staff(ctx, s.Merchant)
	if err != nil {
		return err
	}
	invites, err := h.Access.Invites(ctx, s.Merchant)
	if err != nil {
		return err
	}
	tills, err := h.Access.Devices(ctx, s.Merchant)
	if err != nil {
		return err
	}
	v := views.StaffView{DashboardView: h.frame(c, s, "Staff", views.SectionStaff, true), MayChange: s.May(access.ChangeStaff)}
	for _, p := range people {
		v.People = append(v.People, h.colleagueRow(s, p))
	}
	for _, i := range invites {
		v.Invites = append(v.Invites, views.InviteRow{Invite: i.ID, Name: i.Name, Role: i.Role.Sheet().Name, Inviter: i.Inviter, Expires: i.Expires.UTC()})
	}
	for _, d := range tills {
		v.Tills = append(v.Tills, views.TillRow{Till: d.ID, Locks: d.LocksEach, Name: d.Name, PairedBy: d.PairedBy, Seen: d.Seen.UTC()})
	}
	return h.livePage(c, views.Staff(v))
}

func (h *Handlers) colleagueRow(s seller, p access.Colleague) views.ColleagueRow {
	return views.ColleagueRow{
		Person: p.Person, Name: p.Name, Role: p.Role.Sheet().Name, You: p.Person == s.Person, Suspended: p.Status == access.Suspended, PIN: p.PIN,
		Paused: p.PausedUntil != nil && p.PausedUntil.After(h.Now()), Seen: p.Seen.UTC(),
	}
}

// roleCards are the roles that somebody may give.
func roleCards(giver access.Role, chosen string) []views.RoleCard {
	var out []views.RoleCard
	for _, r := range access.Roles {
		if giver.MayGrant(r) {
			out = append(out, roleCard(r, string(r) == chosen))
		}
	}
	return out
}

func roleCard(r access.Role, chosen bool) views.RoleCard {
	sheet := r.Sheet()
	return views.RoleCard{Value: string(r), Name: sheet.Name, Can: sheet.Can, Cannot: sheet.Cannot, Chosen: chosen}
}

// colleague is the member that a path names.
func (h *Handlers) colleague(c echo.Context, s seller) (access.Colleague, error) {
	person, err := id.Parse[id.Person](c.Param("person"))
	if err != nil {
		return access.Colleague{}, access.ErrNotFound
	}
	return h.Access.Colleague(c.Request().Context(), s.Merchant, person)
}

func (h *Handlers) showColleague(c echo.Context, s seller) error {
	p, err := h.colleague(c, s)
	if err != nil {
		return err
	}
	return h.colleaguePage(c, s, p, http.StatusOK, func(*views.ColleagueView) {})
}

// colleaguePage shows somebody as he is now; change puts in what was sent and why it was not taken.
func (h *Handlers) colleaguePage(c echo.Context, s seller, p access.Colleague, status int, change func(*views.ColleagueView)) error {
	v := views.ColleagueView{DashboardView: h.frame(c, s, p.Name, views.SectionStaff, false), ColleagueRow: h.colleagueRow(s, p)}
	if s.Role.MayGrant(p.Role) {
		v.Roles = roleCards(s.Role, string(p.Role))
	}
	v.MayPIN = s.May(access.ChangeStaff) && p.Role.May(access.UseTill) && (p.Person == s.Person || s.Role.MayGrant(p.Role))
	v.RoleLimit = p.Role.RefundsADay()
	v.MayLimit = v.RoleLimit > 0 && s.Role.MayGrant(p.Role)
	if p.RefundLimit != nil {
		v.RefundLimit.Value = p.RefundLimit.String()
	}
	change(&v)
	return h.Page(c, status, views.Colleague(v))
}

// staffProblem is what whoever looks after the staff reads, on the page itself, when something cannot be done; empty for
// other errors.
func staffProblem(err error) string {
	if !errors.Is(err, access.ErrLastOwner) && !errors.Is(err, access.ErrRole) {
		return ""
	}
	r, _ := replyTo(err)
	return r.message
}

// changed shows the staff as it is now, and makes open pages of the shop look whether they may still be open.
func (h *Handlers) changed(c echo.Context, s seller, p access.Colleague, err error) error {
	if why := staffProblem(err); why != "" {
		return h.colleaguePage(c, s, p, http.StatusConflict, func(v *views.ColleagueView) { v.Problem = why })
	}
	return h.staffChanged(c, s, err)
}

func (h *Handlers) staffChanged(c echo.Context, s seller, err error) error {
	if err != nil {
		return err
	}
	h.Hub.Changed("", s.Merchant)
	return c.Redirect(http.StatusSeeOther, views.StaffPath)
}

func (h *Handlers) changeRole(c echo.Context, s seller) error {
	p, err := h.colleague(c, s)
	if err != nil {
		return err
	}
	err = h.Access.ChangeRole(c.Request().Context(), s.Session, browserOf(c), p.Person, access.Role(c.FormValue("role")))
	return h.changed(c, s, p, err)
}

func (h *Handlers) setMemberStatus(c echo.Context, s seller) error {
	p, err := h.colleague(c, s)
	if err != nil {
		return err
	}
	set := map[string]func() error{
		"active":    func() error { return h.Access.Resume(c.Request().Context(), s.Session, browserOf(c), p.Person) },
		"suspended": func() error { return h.Access.Suspend(c.Request().Context(), s.Session, browserOf(c), p.Person) },
	}[c.FormValue("status")]
	if set == nil {
		return echo.ErrBadRequest
	}
	return h.changed(c, s, p, set())
}

func (h *Handlers) confirmMemberRemoval(c echo.Context, s seller) error {
	p, err := h.colleague(c, s)
	if err != nil {
		return err
	}
	verb := "Remove " + p.Name
	return h.Page(c, http.StatusOK, views.Confirm(views.ConfirmView{
		DashboardView: h.frame(c, s, verb, views.SectionStaff, false), Subject: p.Name + ", " + p.Role.Sheet().Name,
		Consequence: "Every page and till that is open with this name is signed out at once. What was done stays in the log.",
		Action:      views.ColleaguePath(p.Person) + "/removal", Verb: verb, Back: views.ColleaguePath(p.Person),
	}))
}

func (h *Handlers) removeMember(c echo.Context, s seller) error {
	p, err := h.colleague(c, s)
	if err != nil {
		return err
	}
	return h.changed(c, s, p, h.Access.Remove(c.Request().Context(), s.Session, browserOf(c), p.Person))
}

func (h *Handlers) setPIN(c echo.Context, s seller) error {
	p, err := h.colleague(c, s)
	if err != nil {
		return err
	}
	err = h.Access.SetPIN(c.Request().Context(), s.Session, browserOf(c), p.Person, c.FormValue("pin"))
	if errors.Is(err, access.ErrPINForm) {
		return h.colleaguePage(c, s, p, http.StatusUnprocessableEntity, func(v *views.ColleagueView) { v.PIN.Problem = pinProblem })
	}
	return h.changed(c, s, p, err)
}

// setRefundLimit takes an empty field for what the role may.
func (h *Handlers) setRefundLimit(c echo.Context, s seller) error {
	p, err := h.colleague(c, s)
	if err != nil {
		return err
	}
	var limit *money.USDC
	if text := strings.TrimSpace(c.FormValue("refund_limit")); text != "" {
		amount, err := money.ParseUSDC(text)
		if err != nil {
			return h.colleaguePage(c, s, p, http.StatusUnprocessableEntity, func(v *views.ColleagueView) {
				v.RefundLimit = views.Field{Value: text, Problem: limitProblem}
			})
		}
		limit = &amount
	}
	return h.changed(c, s, p, h.Access.SetRefundLimit(c.Request().Context(), s.Session, browserOf(c), p.Person, limit))
}

const limitProblem = "Give an amount such as 250.00, 0 for none, or nothing for what the role may."

func (h *Handlers) newCashier(c echo.Context, s seller) error {
	return h.cashierForm(c, s, http.StatusOK, views.Field{}, views.Field{})
}

func (h *Handlers) cashierForm(c echo.Context, s seller, status int, name, pin views.Field) error {
	return h.Page(c, status, views.CashierForm(views.CashierFormView{
		DashboardView: h.frame(c, s, "Add a cashier", views.SectionStaff, false), Name: name, PIN: pin,
	}))
}

func (h *Handlers) addCashier(c echo.Context, s seller) error {
	name := views.Field{Value: c.FormValue("name")}
	_, err := h.Access.AddCashier(c.Request().Context(), s.Session, browserOf(c), name.Value, c.FormValue("pin"))
	switch {
	case errors.Is(err, access.ErrPerson):
		name.Problem = nameProblem
		return h.cashierForm(c, s, http.StatusUnprocessableEntity, name, views.Field{})
	case errors.Is(err, access.ErrPINForm):
		return h.cashierForm(c, s, http.StatusUnprocessableEntity, name, views.Field{Problem: pinProblem})
	}
	return h.staffChanged(c, s, err)
}

func (h *Handlers) confirmDeparture(c echo.Context, s seller) error {
	if s.Merchant == "" {
		return errNoShop
	}
	return h.Page(c, http.StatusOK, views.Confirm(views.ConfirmView{
		DashboardView: h.frame(c, s, "Leave "+s.Shop, views.SectionStaff, false), Subject: s.Shop,
		Consequence: "You are signed out, and come back only by a new invitation.", Action: views.DeparturePath, Verb: "Leave " + s.Shop,
		Back: views.HomePath,
	}))
}

func (h *Handlers) leaveShop(c echo.Context, s seller) error {
	if s.Merchant == "" {
		return errNoShop
	}
	err := h.Access.Leave(c.Request().Context(), s.Session, browserOf(c))
	if why := staffProblem(err); why != "" {
		return h.refuseChange(c, s, http.StatusConflict, why)
	}
	if err != nil {
		return err
	}
	h.Hub.Changed("", s.Merchant)
	h.setCookie(c, "", -1)
	return c.Redirect(http.StatusSeeOther, views.SignInPath)
}

// switchShop makes the session one for another of the person's shops.
func (h *Handlers) switchShop(c echo.Context, s seller) error {
	merchant, err := id.Parse[id.Merchant](c.FormValue("shop"))
	if err != nil {
		return access.ErrNotFound
	}
	return h.enterShop(c, s, merchant)
}

func (h *Handlers) enterShop(c echo.Context, s seller, merchant id.Merchant) error {
	fresh, err := h.Access.Enter(c.Request().Context(), s.Session, h.secretOf(c), merchant, browserOf(c))
	if errors.Is(err, access.ErrDenied) {
		return access.ErrNotFound // as a shop that is not there
	}
	if err != nil {
		return err
	}
	// The session's other pages leave what they show, once the browser has the new secret to ask with.
	time.AfterFunc(time.Second, func() { h.Hub.Changed("", s.Merchant) })
	h.setCookie(c, fresh, 0)
	return c.Redirect(http.StatusSeeOther, views.HomePath)
}

// shopChoices are the shops of a person, for the menu of a dashboard.
func (h *Handlers) shopChoices(c echo.Context, s seller) ([]views.ShopChoice, error) {
	shops, err := h.Access.Shops(c.Request().Context(), s.Person)
	if err != nil || len(shops) < 2 {
		return nil, err
	}
	out := make([]views.ShopChoice, len(shops))
	for i, m := range shops {
		out[i] = views.ShopChoice{Merchant: m.Merchant, Name: m.Shop, Role: string(m.Role), Current: m.Merchant == s.Merchant}
	}
	return out, nil
}
