package handlers

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// policy lets a page load what this server serves, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// secure says on every answer, also those of errors, how browsers are to treat it.
func (h *Handlers) secure(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		header := c.Response().Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "same-origin")
		header.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
		if h.isHTTPS() { // whoever ends TLS for us need not say so
			header.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
		}
		return next(c)
	}
}

func (h *Handlers) isHTTPS() bool { return strings.HasPrefix(h.PublicURL, "https://") }

// checkHost refuses requests that were meant for another site; PUBLIC_URL is the only name we have.
func (h *Handlers) checkHost(next echo.HandlerFunc) echo.HandlerFunc {
	_, host, _ := strings.Cut(h.PublicURL, "://")
	ours := h.plainHost(host)
	return func(c echo.Context) error {
		if h.AnyHost || h.plainHost(c.Request().Host) == ours || isForMonitoring(c.Path()) {
			return next(c)
		}
		return errMisdirected
	}
}

// plainHost leaves out what different writings of one host differ in: the case, and the port that goes without saying.
func (h *Handlers) plainHost(host string) string {
	host = strings.ToLower(host)
	usual := "80"
	if h.isHTTPS() {
		usual = "443"
	}
	if name, port, err := net.SplitHostPort(host); err == nil && port == usual {
		host = name
		if strings.Contains(name, ":") {
			host = "[" + name + "]"
		}
	}
	return host
}

// isForMonitoring names the paths that are asked for without the public name.
func isForMonitoring(path string) bool {
	return path == "/healthz" || path == "/readyz" || path == metricsPath
}

// patience is how long a client may take to send its request, and as long again to take the answer. Streams and exports
// give it anew with each part.
const patience = time.Minute

// timed bounds how long a slow client holds us.
func (h *Handlers) timed(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if r := c.Request(); r.Body != nil && r.Body != http.NoBody {
			connection := http.NewResponseController(c.Response())
			_ = connection.SetReadDeadline(time.Now().Add(h.Patience)) // fails where there is no connection, as in tests
			r.Body = &timedBody{r.Body, connection}
		}
		c.Response().Before(func() { h.awaitReader(c) })
		return next(c)
	}
}

// awaitReader gives the client time to take what is written next.
func (h *Handlers) awaitReader(c echo.Context) {
	_ = http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(h.Patience))
}

// timedBody is a body that has to arrive in time. What follows is ours to be done in time: a payment waits for the chain.
type timedBody struct {
	io.ReadCloser
	connection *http.ResponseController
}

func (b *timedBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		_ = b.connection.SetReadDeadline(time.Time{})
		return n, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, echo.NewHTTPError(http.StatusRequestTimeout).SetInternal(err)
	default: // the client broke off
		return n, echo.NewHTTPError(http.StatusBadRequest).SetInternal(err)
	}
}
