package handlers

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"xsynesis/access"
	"xsynesis/health"
)

// metricsPath is where monitoring reads.
const metricsPath = "/metrics"

// measures are what monitoring reads of one process: the figures of the shop, its own requests, and its own memory.
type measures struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
}

func newMeasures(figures *health.Service) *measures {
	m := &measures{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xsynesis_http_requests_total", Help: "Requests that this process answered.",
		}, []string{"route", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "xsynesis_http_request_seconds", Help: "How long they took; streams stay open on purpose.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route"}),
	}
	m.registry.MustRegister(m.requests, m.took, shopFigures{figures},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// count counts every request under its route, never under its address: addresses are without number.
func (m *measures) count(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		err := next(c)
		m.requests.WithLabelValues(c.Path(), strconv.Itoa(c.Response().Status)).Inc()
		m.took.WithLabelValues(c.Path()).Observe(time.Since(began).Seconds())
		return err
	}
}

func (m *measures) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

// metrics shows the shop's business to whoever runs it, and to nobody else.
func (h *Handlers) metrics(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	local := h.Development && fromHere(c.Request())
	if !local && !bearsToken(c.Request(), h.Operator) && h.operatorSession(c) != nil {
		return askForToken(c.Response())
	}
	h.measures.ServeHTTP(c.Response(), c.Request())
	return nil
}

func askForToken(w http.ResponseWriter) error {
	w.Header().Set("WWW-Authenticate", "Bearer")
	w.WriteHeader(http.StatusUnauthorized)
	_, err := w.Write([]byte("Send OPERATOR_TOKEN as a bearer token.\n"))
	return err
}

func bearsToken(r *http.Request, operator *access.Operator) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && operator.Admits(token)
}

// fromHere tells whether a program on this machine asks without a proxy between: its address, the name that it calls us
// by and the absence of what proxies add say the same.
func fromHere(r *http.Request) bool {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	peer, ok := peerOf(r)
	return ok && peer.IsLoopback() && (host == "localhost" || isLoopback(host)) && !proxied(r)
}

// fromInside is the same for a port that only serves monitoring, and that nobody publishes: private networks will do.
func fromInside(r *http.Request) bool {
	peer, ok := peerOf(r)
	return ok && (peer.IsLoopback() || peer.IsPrivate() || peer.IsLinkLocalUnicast()) && !proxied(r)
}

func peerOf(r *http.Request) (netip.Addr, bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return peer.Addr().Unmap().WithZone(""), err == nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.IsLoopback()
}

func proxied(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(name) != "" {
			return true
		}
	}
	return false
}

// NewProbe answers health checks and monitoring on a port of their own.
func NewProbe(figures *health.Service, operator *access.Operator, ready func(context.Context) error) http.Handler {
	m, mux := newMeasures(figures), http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := ready(r.Context()); err != nil {
			slog.WarnContext(r.Context(), "not ready", "error", err)
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
	mux.HandleFunc("GET "+metricsPath, func(w http.ResponseWriter, r *http.Request) {
		if !fromInside(r) && !bearsToken(r, operator) {
			_ = askForToken(w)
			return
		}
		m.ServeHTTP(w, r)
	})
	return mux
}
