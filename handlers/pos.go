package handlers

import (
	"bytes"
	"cmp"
	"errors"
	"net/http"
	"slices"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/views"
)

func (h *Handlers) posRoutes(e *echo.Echo) {
	e.GET(views.TillManifestPath, h.tillManifest)
	e.GET(views.TillWorkerPath, h.tillWorker)
	e.Match([]string{http.MethodGet, http.MethodHead}, views.TillOfflinePath, h.tillOffline)

	e.POST(views.TillLinesPath, h.unlocked(h.addTicketLine))
	e.POST(views.TillLinesPath+"/:number", h.unlocked(h.changeTicketLine))
	e.POST(views.TillLinesPath+"/:number/removal", h.unlocked(h.removeTicketLine))
	e.POST(views.TillDiscountPath, h.unlocked(h.discountTicket))
	e.POST(views.TillReferencePath, h.unlocked(h.referTicket))
	e.POST(views.TillClearPath, h.unlocked(h.clearTicket))
	e.POST(views.TillParkedPath, h.unlocked(h.parkTicket))
	e.POST(views.TillParkedPath+"/:number", h.unlocked(h.recallTicket))

	const charge = views.TillChargesPath + "/:attempt"
	e.POST(views.TillChargesPath, h.unlocked(h.chargeTicket))
	e.GET(charge, h.unlocked(h.showCharge))
	e.POST(charge+"/cancellation", h.unlocked(h.cancelCharge))
	e.POST(charge+"/completion", h.unlocked(h.completeCharge))
	e.POST(charge+"/acceptance", h.unlocked(h.acceptLate))
	e.POST(charge+"/refund", h.unlocked(h.refundLate))
	e.GET(views.TillSalesPath, h.unlocked(h.tillSales))

	e.GET(views.TillPath+"/:token", h.counter)
	e.GET(views.TillPath+"/:token/events", h.counterEvents)
}

// cashier is somebody who unlocked a till.
type cashier struct {
	access.Session
	device access.Device
	at     checkout.AtTill
}

// unlocked asks for a tablet that is paired, and that somebody unlocked.
func (h *Handlers) unlocked(next func(echo.Context, cashier) error) echo.HandlerFunc {
	return h.atTill(func(c echo.Context, d access.Device) error {
		// What a script asks for by itself is nobody's touch.
		touched := !isScript(c.Request()) || c.Request().Method == http.MethodPost
		s, err := h.Tills.Unlocked(c.Request().Context(), d, h.kept(c, tillCookie), touched)
		if errors.Is(err, access.ErrDenied) {
			if isScript(c.Request()) {
				return leaveTill(c)
			}
			return errLocked
		}
		if err != nil {
			return err
		}
		return next(c, h.cashier(c, d, s))
	})
}

// leaveTill makes an open screen go to where the till says that it is locked.
func leaveTill(c echo.Context) error {
	c.Response().Header().Set("HX-Redirect", views.TillPath)
	return c.NoContent(http.StatusNoContent)
}

func (h *Handlers) cashier(c echo.Context, d access.Device, s access.Session) cashier {
	return cashier{Session: s, device: d, at: checkout.AtTill{
		Device: d.ID, Merchant: d.Merchant, Livemode: s.Livemode, Person: s.Person, Cashier: s.PersonName,
		By: actor(c, seller{Session: s}),
	}}
}

func (h *Handlers) tillFrame(who cashier) views.TillFrame {
	return views.TillFrame{Shop: who.device.Shop, Till: who.device.Name, Cashier: who.PersonName, Now: h.Now().UTC(), Test: !who.at.Livemode, LocksAfter: access.TillIdle}
}

// partNamed is the part of a screen that a script asks for.
func partNamed(c echo.Context) string {
	parts := []string{views.ShelfFragment, views.EntryFragment, views.TicketFragment, views.LiveFragment}
	if asked := c.Request().Header.Get("HX-Target"); slices.Contains(parts, asked) {
		return asked
	}
	return views.TillFragment
}

// tillPage is a screen of the till, or the part of it that a script asks for; the whole screen where it has no such part.
func (h *Handlers) tillPage(c echo.Context, status int, page templ.Component) error {
	c.Response().Header().Set("Vary", vary+", HX-Target")
	if !isScript(c.Request()) {
		return h.Page(c, status, page)
	}
	var b bytes.Buffer
	for _, part := range []string{partNamed(c), views.TillFragment} {
		if err := templ.RenderFragments(c.Request().Context(), &b, page, part); err != nil {
			return err
		}
		if b.Len() > 0 {
			break
		}
	}
	return c.HTMLBlob(status, b.Bytes())
}

// tillRefusal is what a refused form says: the sentence, and with which status. What is nobody's fault at the till is an
// error as everywhere.
func tillRefusal(err error) (sentence string, status int) {
	r, field := replyTo(err)
	switch {
	case field != "":
		return r.message, http.StatusUnprocessableEntity
	case r.status == http.StatusNotFound:
		return "This is not sold any more.", http.StatusConflict
	case r.status == http.StatusInternalServerError:
		return "", r.status
	}
	return r.message, cmp.Or(r.status, http.StatusConflict)
}

func (h *Handlers) tillManifest(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "public, max-age=3600")
	return c.Blob(http.StatusOK, "application/manifest+json", views.TillManifest())
}

func (h *Handlers) tillWorker(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-cache")
	c.Response().Header().Set("Service-Worker-Allowed", views.TillPath)
	return c.Blob(http.StatusOK, "text/javascript; charset=utf-8", views.TillWorker())
}

func (h *Handlers) tillOffline(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-cache")
	return h.Page(c, http.StatusOK, views.TillOffline())
}
