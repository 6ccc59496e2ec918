package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/views"
)

// operatorRoutes are for whoever runs the gateway: a person with its token, not a seller.
func (h *Handlers) operatorRoutes(e *echo.Echo) {
	e.GET(metricsPath, h.metrics)
	e.GET(views.AdminPath, h.operator(h.admin))
	e.POST(views.AdminSessionsPath, h.createOperatorSession)
	e.POST(views.AdminSignOutPath, h.deleteOperatorSession)
	jobs := h.operator(jobPagesPolicy(echo.WrapHandler(h.JobPages)))
	e.Any(views.AdminJobsPath, jobs)
	e.Any(views.AdminJobsPath+"/*", jobs)
}

// jobPagesPolicy lets the pages of the queue, which come with the queue, write style sheets into themselves: their short
// messages are drawn with those. Scripts stay bound as everywhere, and so do styles on elements.
func jobPagesPolicy(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("Content-Security-Policy", policy+"; style-src-elem 'self' 'unsafe-inline'")
		return next(c)
	}
}

// operatorCookie keeps the secret of the operator's session. Other than the sellers', no link of another site carries it.
const operatorCookie = "oid"

func (h *Handlers) setOperatorCookie(c echo.Context, secret string, age int) {
	name, encrypted := h.cookieOf(operatorCookie)
	c.SetCookie(&http.Cookie{ //nolint:gosec // Secure wherever the site itself is
		Name: name, Value: secret, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: encrypted,
	})
}

// operatorSession tells whether an operator asks, or returns [access.ErrDenied].
func (h *Handlers) operatorSession(c echo.Context) error {
	return h.Operator.Session(c.Request().Context(), h.kept(c, operatorCookie))
}

// operator lets nobody else in. A seller is told that this is not for him; anybody else may sign in.
func (h *Handlers) operator(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "private, no-store")
		err := h.operatorSession(c)
		if err == nil {
			return next(c)
		}
		if !errors.Is(err, access.ErrDenied) {
			return err
		}
		return h.refuseOperator(c)
	}
}

func (h *Handlers) refuseOperator(c echo.Context) error {
	seller, err := h.isSeller(c)
	if err != nil {
		return err
	}
	r, v := reply{nil, http.StatusUnauthorized, "unauthorized", "Sign in as the operator."}, h.operatorSignIn("")
	if seller {
		r, v.Seller = reply{nil, http.StatusForbidden, "forbidden", "This is for whoever runs the gateway, not for sellers."}, true
	}
	switch {
	case isScript(c.Request()):
		c.Response().Header().Set("HX-Redirect", views.AdminPath)
		return c.NoContent(r.status)
	case !wantsPage(c.Request()):
		return c.JSON(r.status, errorBody(c, r, ""))
	case c.Path() == views.AdminPath && !seller:
		r.status = http.StatusOK // its own front door
	}
	return h.Page(c, r.status, views.OperatorSignIn(v))
}

func (h *Handlers) operatorSignIn(problem string) views.OperatorSignInView {
	return views.OperatorSignInView{Test: h.Development, Shut: !h.Operator.Configured(), Problem: problem}
}

// isSeller tells whether a shop's member asks.
func (h *Handlers) isSeller(c echo.Context) (bool, error) {
	_, err := h.Access.Session(c.Request().Context(), h.secretOf(c))
	if errors.Is(err, access.ErrDenied) {
		return false, nil
	}
	return err == nil, err
}

func (h *Handlers) createOperatorSession(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	if wait := h.signIns.wait(addressOf(c), h.Now()); wait > 0 {
		askToWait(c, wait)
		problem := fmt.Sprintf("That was wrong too often. Try again in %s.", waitWords(wait))
		return h.Page(c, http.StatusTooManyRequests, views.OperatorSignIn(h.operatorSignIn(problem)))
	}
	secret, err := h.Operator.SignIn(c.Request().Context(), strings.TrimSpace(c.FormValue("token")))
	if errors.Is(err, access.ErrDenied) {
		h.signIns.failed(addressOf(c), h.Now())
		return h.Page(c, http.StatusUnprocessableEntity, views.OperatorSignIn(h.operatorSignIn("That is not the operator's token.")))
	}
	if err != nil {
		return err
	}
	h.setOperatorCookie(c, secret, int(access.OperatorTime.Seconds()))
	return c.Redirect(http.StatusSeeOther, views.AdminPath)
}

func (h *Handlers) deleteOperatorSession(c echo.Context) error {
	if secret := h.kept(c, operatorCookie); secret != "" {
		if err := h.Operator.SignOut(c.Request().Context(), secret); err != nil {
			return err
		}
	}
	h.setOperatorCookie(c, "", -1)
	return c.Redirect(http.StatusSeeOther, views.AdminPath)
}

// admin is the page of the figures; its live part fetches itself.
func (h *Handlers) admin(c echo.Context) error {
	f, err := h.Health.Figures(c.Request().Context())
	if err != nil {
		return err
	}
	v, err := h.adminView(f)
	if err != nil {
		return err
	}
	return h.pageOr(c, http.StatusOK, views.LiveFragment, views.Admin(v))
}
