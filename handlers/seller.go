package handlers

import (
	"net/http"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/views"
)

func (h *Handlers) sellerRoutes(e *echo.Echo) {
	e.GET(views.HomePath, h.front)
	e.POST(views.SignOutPath, h.deleteSession)

	e.GET(views.OverviewPath, h.may(access.SeeShop, h.overview))
	e.GET(views.DashboardEventsPath, h.may(access.SeeShop, h.dashboardEvents))
	e.GET(views.PresencePath, h.may(access.SeeShop, h.presence))
	e.GET(views.SalesPath, h.may(access.SeeSales, h.sales))
	e.GET(views.SalesCSVPath, h.may(access.ExportSales, h.salesCSV))
	e.GET(views.SettlementsPath, h.may(access.SeeSales, h.settlements))
	e.GET(views.LinksPath, h.may(access.SeeLinks, h.links))
	e.POST(views.LinksPath, h.may(access.ChangeLinks, h.createLink))
	e.GET(views.LinkNewPath, h.may(access.ChangeLinks, h.newLink))
	e.GET(views.LinksPath+"/:link", h.may(access.SeeLinks, h.showLink))
	e.GET(views.LinksPath+"/:link/edit", h.may(access.ChangeLinks, h.editLink))
	e.POST(views.LinksPath+"/:link/edit", h.may(access.ChangeLinks, h.updateLink))
	e.GET(views.LinksPath+"/:link/expire", h.may(access.ChangeLinks, h.confirmExpire))
	e.POST(views.LinksPath+"/:link/expire", h.may(access.ChangeLinks, h.expireLink))
	e.GET(views.LinksPath+"/:link/deletion", h.may(access.ChangeLinks, h.confirmDeletion))
	e.POST(views.LinksPath+"/:link/deletion", h.may(access.ChangeLinks, h.deleteLink))
	e.GET(views.LinksPath+"/:link/pause", h.may(access.ChangeLinks, h.confirmPause))
	e.POST(views.LinksPath+"/:link/pause", h.may(access.ChangeLinks, h.pauseLink))
	e.POST(views.LinksPath+"/:link/resumption", h.may(access.ChangeLinks, h.resumeLink))
	e.GET(views.LinksPath+"/:link/poster", h.may(access.SeeLinks, h.poster))
	h.itemRoutes(e)
	h.orderRoutes(e)
	h.reconciliationRoutes(e)
	h.refundRoutes(e)
	h.endpointRoutes(e)
	h.codeRoutes(e)
	h.webhookRoutes(e)
	h.noticeRoutes(e)
	h.settingsRoutes(e)
	h.balanceRoutes(e)
	if h.DevSettle {
		e.POST("/dashboard/attempts/:attempt/simulations", h.may(access.Simulate, h.simulate))
	}
}

// sessionCookie keeps the secret of a session.
const sessionCookie = "sid"

// cookieOf is a cookie's name: bound to this host where the connection is encrypted.
func (h *Handlers) cookieOf(name string) (bound string, encrypted bool) {
	if strings.HasPrefix(h.PublicURL, "https://") {
		return "__Host-" + name, true
	}
	return name, false
}

// keep has the browser keep a secret for so many seconds: 0 for until it is closed, -1 to forget it.
func (h *Handlers) keep(c echo.Context, name, secret string, age int) {
	bound, encrypted := h.cookieOf(name)
	c.SetCookie(&http.Cookie{ //nolint:gosec // Secure wherever the site itself is
		Name: bound, Value: secret, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: encrypted,
	})
}

// kept is the secret that the browser keeps under a name; empty for none.
func (h *Handlers) kept(c echo.Context, name string) string {
	bound, _ := h.cookieOf(name)
	cookie, err := c.Cookie(bound)
	if err != nil {
		return ""
	}
	return cookie.Value
}

func (h *Handlers) setCookie(c echo.Context, secret string, age int) {
	h.keep(c, sessionCookie, secret, age)
}

// seller is a person at work in the dashboard, and the mode that it shows.
type seller struct {
	access.Session
	livemode bool
	moment   string // before anything was read
}

// signedIn asks for a session for a shop; what it finds is an argument, never a value in the context.
func (h *Handlers) signedIn(next func(echo.Context, seller) error) echo.HandlerFunc {
	return h.person(func(c echo.Context, s seller) error {
		if s.Merchant == "" {
			return errNoShop
		}
		if strayed(c.Request(), s) {
			return leaveOpenPage(c)
		}
		return next(c, s)
	})
}

// person asks for a session, also for none of the shops.
func (h *Handlers) person(next func(echo.Context, seller) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "private, no-store")
		session, err := h.Access.Session(c.Request().Context(), h.secretOf(c))
		if err != nil {
			return err
		}
		h.learnPerson(h.secretOf(c), session.Person)
		return next(c, seller{Session: session, livemode: session.Livemode, moment: h.Hub.Moment()})
	}
}

// stepUp lets only those through who proved within the last five minutes that they are still themselves.
func (h *Handlers) stepUp(next func(echo.Context, seller) error) func(echo.Context, seller) error {
	return func(c echo.Context, s seller) error {
		if !s.SteppedUp {
			return access.ErrStepUp
		}
		return next(c, s)
	}
}

// secretOf is what the browser keeps of its session; empty for none.
func (h *Handlers) secretOf(c echo.Context) string { return h.kept(c, sessionCookie) }

// front leads everybody in: to the dashboard, which sends on whoever is not signed in, or to what his role opens instead.
func (h *Handlers) front(c echo.Context) error {
	s, err := h.Access.Session(c.Request().Context(), h.secretOf(c))
	switch {
	case err == nil && s.Device != "":
		return c.Redirect(http.StatusSeeOther, views.TillPath)
	case err == nil && s.Merchant != "":
		return c.Redirect(http.StatusSeeOther, homeOf(s.Role))
	}
	return c.Redirect(http.StatusSeeOther, views.OverviewPath)
}

// homeOf is where somebody begins who works in a shop in this role.
func homeOf(r access.Role) string {
	if r.May(access.SeeShop) {
		return views.OverviewPath
	}
	return views.AccountPath
}

func (h *Handlers) deleteSession(c echo.Context) error {
	if err := h.endSession(c); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.SignInPath)
}

func (h *Handlers) dashboardEvents(c echo.Context, s seller) error {
	return h.stream(c, string(s.Merchant), func() bool {
		now, err := h.Access.Session(c.Request().Context(), h.secretOf(c))
		return err == nil && now.Merchant == s.Merchant && now.May(access.SeeShop)
	})
}

// frame is what stands around a page of the dashboard; live pages fetch themselves when something changed.
func (h *Handlers) frame(c echo.Context, s seller, heading string, section views.Section, live bool) views.DashboardView {
	v := views.DashboardView{
		Heading: heading, Section: section, Shop: s.Shop, Person: s.PersonName, Role: string(s.Role), Test: !s.livemode,
		WentLive: s.WentLive, Shown: shown(s),
	}
	h.badges(c, s, &v)
	h.reach(c, s, &v)
	if live {
		v.Live, v.Since = c.Request().URL.RequestURI(), s.moment
	}
	return v
}

// livePage renders a dashboard page, or its live part for the page's own script.
func (h *Handlers) livePage(c echo.Context, page templ.Component) error {
	return h.pageOr(c, http.StatusOK, views.LiveFragment, page)
}

// pageSize is how many rows a list of the dashboard shows.
const pageSize = 25

// pager turns one row more than a page into links to the pages beside it. first and last are cursors.
func pager(c echo.Context, more bool, first, last string, rows int) views.Pages {
	path, query := c.Request().URL.Path, c.Request().URL.Query()
	before, after := query.Get("before"), query.Get("after")
	query.Del("before")
	query.Del("after")
	at := func(name, cursor string) string {
		query.Set(name, cursor)
		defer query.Del(name)
		return path + "?" + query.Encode()
	}
	var p views.Pages
	if rows == 0 {
		return p
	}
	// Going up, the extra row lies above the page; going down, below it.
	if after != "" && more || before != "" {
		p.Newer = at("after", first)
	}
	if after == "" && more || after != "" {
		p.Older = at("before", last)
	}
	return p
}

// trim cuts the row that only told that there are more: the first one when the page was read upwards.
func trim[T any](rows []T, upwards bool) (page []T, more bool) {
	if len(rows) <= pageSize {
		return rows, false
	}
	if upwards {
		return rows[1:], true
	}
	return rows[:pageSize], true
}
