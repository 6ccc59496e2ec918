// Package handlers is the shop's front door: pages for people, x402 and JSON for programs.
package handlers

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/egress"
	"xsynesis/evm"
	"xsynesis/health"
	"xsynesis/ledger"
	"xsynesis/shop"
	"xsynesis/static"
	"xsynesis/views"
	"xsynesis/webhook"
	"xsynesis/x402/buyer"
)

// Options are what the handlers serve and how.
type Options struct {
	Access   *access.Service
	Gate     *access.Gate
	Tills    *access.Tills
	Shop     *shop.Service
	Payees   *shop.Payees
	Checkout *checkout.Service
	// Endpoints are what programs pay for by the call; Egress asks the servers behind them.
	Endpoints *shop.Endpoints
	Egress    *egress.Client
	Custody   *ledger.Custody
	Hub       *checkout.Hub
	Networks  *evm.Registry
	Webhooks  *webhook.Service

	// Health, Operator and JobPages are what whoever runs the gateway sees; without an operator there are no such pages.
	Health   *health.Service
	Operator *access.Operator
	JobPages http.Handler // mounted at views.AdminJobsPath

	PublicURL   string // scheme, host and port, without a slash at the end
	AnyHost     bool   // no check of the Host header
	Development bool   // nothing is real, and programs on this machine may read the figures
	DevSettle   bool   // simulated payments
	// FacilitatorSecret signs what facilitators call back with; without it they cannot.
	FacilitatorSecret string
	TestWallet        bool         // pages offer the wallet that Extend answers for
	TestPayer         buyer.Wallet // pays sellers' trials of their own paid APIs; nil outside the development build
	TrustedProxies    []*net.IPNet // whose X-Forwarded-For is believed
	Limited           bool         // who asks too often has to wait
	// Patience is how long a client may take to send a request, and to take its answer; 0 for a minute.
	Patience time.Duration
	// Ready tells whether this process can serve: database, schema, chain.
	Ready func(ctx context.Context) error
	// Extend adds routes; nil outside the development build.
	Extend func(*echo.Echo, *Handlers)
	// Demo lists whom the development build lets in without proof; nil elsewhere.
	Demo func(ctx context.Context) ([]views.DemoPerson, error)
	Now  func() time.Time
}

// Handlers answers requests; it holds no rule about money, stock or state.
type Handlers struct {
	Options
	streams  *streams
	shelf    *shelf
	limits   *limits
	signIns  *wrongs // by address
	pins     *wrongs // by tablet
	codes    *wrongs // by address
	measures *measures
	open     map[string]bool // routes that pages of any site may call

	proxyNoted sync.Once
}

// maxBody is the largest request body, before any handler reads it.
const maxBody = "256K"

// maxCall is the largest body that is handed on to a seller's server.
const maxCall = "1M"

// limitBody refuses what is too large, before any handler reads it; files have limits of their own. They are made once:
// a middleware is applied anew to every request.
func limitBody() echo.MiddlewareFunc {
	ordinary, calls, files := middleware.BodyLimit(maxBody), middleware.BodyLimit(maxCall), map[string]echo.MiddlewareFunc{}
	for path, most := range filePaths {
		files[path] = middleware.BodyLimit(strconv.Itoa(most) + "B")
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			limit, ok := files[c.Path()]
			switch {
			case ok:
			case isCall(c.Path()):
				limit = calls
			default:
				limit = ordinary
			}
			return limit(next)(c)
		}
	}
}

// New returns the whole site.
func New(o Options) *echo.Echo {
	o.Patience = cmp.Or(o.Patience, patience)
	h := &Handlers{
		Options: o, streams: newStreams(), shelf: newShelf(), limits: newLimits(), signIns: newWrongs(signInTries), pins: newWrongs(pinTries), codes: newWrongs(codeTries),
		open: openPaths(),
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = h.fail
	e.IPExtractor = ipExtractor(o.TrustedProxies)
	e.Pre(middleware.RequestIDWithConfig(middleware.RequestIDConfig{RequestIDHandler: func(echo.Context, string) {}}))
	if o.Operator != nil {
		h.measures = newMeasures(o.Health)
		e.Use(h.measures.count)
	}
	e.Use(h.log, middleware.Recover(), h.secure, h.timed, h.checkHost, readable, h.sameOrigin, limitBody(), h.limit, whole)
	h.routes(e)
	return e
}

func (h *Handlers) routes(e *echo.Echo) {
	e.Match([]string{http.MethodGet, http.MethodHead}, "/static/*", echo.WrapHandler(static.Handler()))
	e.Match([]string{http.MethodGet, http.MethodHead}, "/favicon.ico", echo.WrapHandler(static.Handler()))
	e.GET("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	e.GET("/readyz", h.ready)
	e.Match([]string{http.MethodGet, http.MethodHead}, "/images/:upload", h.image)
	h.buyerRoutes(e)
	h.callRoutes(e)
	h.storefrontRoutes(e)
	h.leadRoutes(e)
	h.receiptRoutes(e)
	h.signInRoutes(e)
	h.accountRoutes(e)
	h.onboardingRoutes(e)
	h.sellerRoutes(e)
	h.staffRoutes(e)
	h.apiRoutes(e)
	h.facilitatorRoutes(e)
	h.docsRoutes(e)
	if h.Operator != nil {
		h.operatorRoutes(e)
	}
	if h.Extend != nil {
		h.Extend(e, h)
	}
}

func (h *Handlers) ready(c echo.Context) error {
	if err := h.Ready(c.Request().Context()); err != nil {
		return c.String(http.StatusServiceUnavailable, err.Error()+"\n")
	}
	return c.String(http.StatusOK, "ready\n")
}

func ipExtractor(trusted []*net.IPNet) echo.IPExtractor {
	if len(trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, n := range trusted {
		options = append(options, echo.TrustIPRange(n))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

// log writes one line for each request; errors of our own making are logged here and nowhere else.
func (h *Handlers) log(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := h.Now()
		err := next(c)
		if err != nil {
			c.Error(err)
		}
		r, status := c.Request(), c.Response().Status
		level := slog.LevelDebug
		attrs := []slog.Attr{
			slog.String("request_id", requestID(c)), slog.String("method", r.Method), slog.String("route", c.Path()),
			slog.Int("status", status), slog.Duration("took", h.Now().Sub(began)),
		}
		if status >= http.StatusInternalServerError && !errors.Is(err, context.Canceled) { // a reader who left is no fault
			level = slog.LevelError
		}
		if err != nil {
			attrs = append(attrs, slog.Any("error", err))
		}
		slog.LogAttrs(r.Context(), level, "request", attrs...)
		return nil
	}
}

func requestID(c echo.Context) string { return c.Response().Header().Get(echo.HeaderXRequestID) }

// readable refuses pages' addresses with text that no row can hold; the API names the field instead.
func readable(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if strings.HasPrefix(c.Path(), "/api/") {
			return next(c)
		}
		query, err := url.QueryUnescape(c.Request().URL.RawQuery)
		for _, text := range []string{c.Request().URL.Path, query} {
			if err != nil || strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
				return echo.ErrBadRequest
			}
		}
		return next(c)
	}
}

// sameOrigin keeps other sites from posting with a cookie of ours. The JSON API and paid APIs read none, so any origin may call them,
// except for its calls that begin or end a browser's session.
func (h *Handlers) sameOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	protection := http.NewCrossOriginProtection()
	return func(c echo.Context) error {
		if open := strings.HasPrefix(c.Path(), "/api/") && !strings.HasPrefix(c.Path(), "/api/auth/"); open || isCall(c.Path()) {
			return next(c)
		}
		if err := protection.Check(c.Request()); err != nil {
			return errCrossOrigin
		}
		return next(c)
	}
}
