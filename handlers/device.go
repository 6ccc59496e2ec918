package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/health"
	"xsynesis/id"
	"xsynesis/views"
)

func (h *Handlers) deviceRoutes(e *echo.Echo) {
	e.GET(views.TillNewPath, h.may(access.ChangeStaff, h.newTill))
	e.POST(views.TillsPath, h.may(access.ChangeStaff, h.startPairing))
	e.GET(views.TillsPath+"/:till/removal", h.may(access.ChangeStaff, h.confirmTillRemoval))
	e.POST(views.TillsPath+"/:till/removal", h.may(access.ChangeStaff, h.removeTill))

	e.POST(views.TillsPath+"/:till/locking", h.may(access.ChangeStaff, h.setTillLocking))

	e.GET(views.TillPath, h.till)
	e.POST(views.TillPairPath, h.pairTill)
	e.POST(views.TillUnlockPath, h.atTill(h.unlockTill))
	e.POST(views.TillLockPath, h.atTill(h.lockTill))
	e.GET(views.TillEventsPath, h.atTill(h.tillEvents))
	h.posRoutes(e)
}

func (h *Handlers) newTill(c echo.Context, s seller) error {
	return h.tillForm(c, s, http.StatusOK, views.Field{})
}

func (h *Handlers) tillForm(c echo.Context, s seller, status int, name views.Field) error {
	return h.Page(c, status, views.TillForm(views.TillFormView{
		DashboardView: h.frame(c, s, "Pair a tablet", views.SectionStaff, false), Name: name,
	}))
}

func (h *Handlers) startPairing(c echo.Context, s seller) error {
	name := c.FormValue("name")
	code, _, err := h.Access.StartPairing(c.Request().Context(), s.Session, browserOf(c), name)
	if errors.Is(err, access.ErrPerson) {
		return h.tillForm(c, s, http.StatusUnprocessableEntity, views.Field{Value: name, Problem: nameProblem})
	}
	if err != nil {
		return err
	}
	v := views.PairingView{
		DashboardView: h.frame(c, s, "Pair a tablet", views.SectionStaff, false), Name: strings.TrimSpace(name), Code: code,
		URL: h.PublicURL + views.TillPath, Minutes: int(access.PairingTime.Minutes()),
	}
	if v.QR, err = views.NewQR(v.URL + "?code=" + code); err != nil {
		return err
	}
	return h.Page(c, http.StatusOK, views.Pairing(v))
}

// tillOf is the tablet of the shop that a path names.
func (h *Handlers) tillOf(c echo.Context, s seller) (access.Device, error) {
	all, err := h.Access.Devices(c.Request().Context(), s.Merchant)
	if err != nil {
		return access.Device{}, err
	}
	for _, d := range all {
		if d.ID == id.Device(c.Param("till")) {
			return d, nil
		}
	}
	return access.Device{}, access.ErrNotFound
}

func (h *Handlers) confirmTillRemoval(c echo.Context, s seller) error {
	d, err := h.tillOf(c, s)
	if err != nil {
		return err
	}
	verb := "Remove " + d.Name
	return h.Page(c, http.StatusOK, views.Confirm(views.ConfirmView{
		DashboardView: h.frame(c, s, verb, views.SectionStaff, false), Subject: d.Name, Action: views.TillRemovalPath(d.ID), Verb: verb,
		Consequence: "The tablet is locked at once, and has to be paired again to take payments.", Back: views.StaffPath,
	}))
}

func (h *Handlers) removeTill(c echo.Context, s seller) error {
	d, err := h.tillOf(c, s)
	if err != nil {
		return err
	}
	return h.staffChanged(c, s, h.Access.RevokeDevice(c.Request().Context(), s.Session, browserOf(c), d.ID))
}

// setTillLocking says whether a tablet locks itself after each sale.
func (h *Handlers) setTillLocking(c echo.Context, s seller) error {
	each := c.FormValue("locks") == "each"
	return h.staffChanged(c, s, h.Access.SetLocksEach(c.Request().Context(), s.Session, browserOf(c), id.Device(c.Param("till")), each))
}

// A tablet keeps two secrets: which tablet it is, for as long as it stays one, and who unlocked it.
const (
	deviceCookie = "device"
	tillCookie   = "till"
	deviceAge    = 400 * 24 * 60 * 60 // seconds; the longest that browsers keep a cookie
)

// atTill asks for a paired tablet.
func (h *Handlers) atTill(next func(echo.Context, access.Device) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "private, no-store")
		d, err := h.Access.Device(c.Request().Context(), h.kept(c, deviceCookie))
		if errors.Is(err, access.ErrDenied) {
			return errNoTill
		}
		if err != nil {
			return err
		}
		h.learnTill(h.kept(c, deviceCookie), d.ID)
		return next(c, d)
	}
}

// till is the register: unlocked for whoever gave his PIN, else locked, and on a tablet that no shop knows the page that
// pairs it.
func (h *Handlers) till(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "private, no-store")
	ctx := c.Request().Context()
	d, err := h.Access.Device(ctx, h.kept(c, deviceCookie))
	if errors.Is(err, access.ErrDenied) {
		if isScript(c.Request()) {
			return errNoTill
		}
		return h.Page(c, http.StatusOK, views.TillPair(views.TillPairView{Code: views.Field{Value: c.QueryParam("code")}, Test: h.Development}))
	}
	if err != nil {
		return err
	}
	h.learnTill(h.kept(c, deviceCookie), d.ID)
	s, err := h.Tills.Unlocked(ctx, d, h.kept(c, tillCookie), !isScript(c.Request()))
	if errors.Is(err, access.ErrDenied) {
		if isScript(c.Request()) && c.Request().Header.Get("HX-Target") != views.LiveFragment { // not of the lock screen
			return leaveTill(c)
		}
		return h.lockScreen(c, d, http.StatusOK, id.Person(c.QueryParam("person")), "")
	}
	if err != nil {
		return err
	}
	return h.register(c, h.cashier(c, d, s))
}

func (h *Handlers) lockScreen(c echo.Context, d access.Device, status int, chosen id.Person, problem string) error {
	tiles, err := h.Tills.Tiles(c.Request().Context(), d.Merchant)
	if err != nil {
		return err
	}
	v := views.TillLockView{Shop: d.Shop, Till: d.Name, Test: h.Development, Problem: problem, Live: views.TillPath}
	for _, t := range tiles {
		tile := views.TillTile{Person: t.Person, Name: t.Name, Role: t.Role.Sheet().Name}
		v.Tiles = append(v.Tiles, tile)
		if t.Person == chosen {
			v.Chosen, v.Live = &tile, views.TillPickPath(t.Person)
		}
	}
	return h.pageOr(c, status, views.LiveFragment, views.TillLock(v))
}

func (h *Handlers) pairTill(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "private, no-store")
	code := c.FormValue("code")
	secret, err := h.tries(c, func() (string, error) { return h.Access.Pair(c.Request().Context(), code, browserOf(c)) })
	if errors.Is(err, access.ErrPairing) {
		r, _ := replyTo(err)
		return h.Page(c, r.status, views.TillPair(views.TillPairView{Code: views.Field{Value: code, Problem: r.message}, Test: h.Development}))
	}
	if err != nil {
		return err
	}
	h.keep(c, deviceCookie, secret, deviceAge)
	if d, err := h.Access.Device(c.Request().Context(), secret); err == nil {
		h.Hub.Changed("", d.Merchant)
	}
	return c.Redirect(http.StatusSeeOther, views.TillPath)
}

func (h *Handlers) unlockTill(c echo.Context, d access.Device) error {
	person, err := id.Parse[id.Person](c.FormValue("person"))
	if err != nil {
		return access.ErrNotFound
	}
	if wait := h.pins.wait(string(d.ID), h.Now()); wait > 0 {
		askToWait(c, wait)
		return h.lockScreen(c, d, http.StatusTooManyRequests, person,
			fmt.Sprintf("Too many wrong PINs at this till. Try again in %s.", waitWords(wait)))
	}
	secret, err := h.Tills.Unlock(c.Request().Context(), d, person, c.FormValue("pin"), browserOf(c))
	var paused *access.PausedError
	switch {
	case errors.Is(err, access.ErrPIN):
		h.pins.failed(string(d.ID), h.Now())
		return h.lockScreen(c, d, http.StatusUnprocessableEntity, person, "This is not the PIN.")
	case errors.As(err, &paused):
		h.Hub.Changed("", d.Merchant)
		wait := paused.Until.Sub(h.Now())
		askToWait(c, wait)
		return h.lockScreen(c, d, http.StatusTooManyRequests, person,
			fmt.Sprintf("Too many wrong PINs. Try again in %s; the owners have been told.", waitWords(wait)))
	case err != nil:
		return err
	}
	h.keep(c, tillCookie, secret, 0)
	return c.Redirect(http.StatusSeeOther, views.TillPath)
}

// waitWords is a wait as people say it.
func waitWords(wait time.Duration) string { return health.Span(wait.Round(time.Second)) }

func (h *Handlers) lockTill(c echo.Context, d access.Device) error {
	if err := h.Tills.Lock(c.Request().Context(), d, h.kept(c, tillCookie)); err != nil {
		return err
	}
	h.keep(c, tillCookie, "", -1)
	return c.Redirect(http.StatusSeeOther, views.TillPath)
}

func (h *Handlers) tillEvents(c echo.Context, d access.Device) error {
	ctx, session := c.Request().Context(), h.kept(c, tillCookie)
	unlocked := func() bool {
		_, err := h.Tills.Unlocked(ctx, d, session, false)
		return err == nil
	}
	began := unlocked()
	return h.stream(c, string(d.Merchant), func() bool {
		_, err := h.Access.Device(ctx, h.kept(c, deviceCookie))
		return err == nil && (!began || unlocked()) // what was left alone locks itself, and the screen shows it
	})
}
