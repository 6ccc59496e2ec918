package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

const (
	// Clients in use send Access-Control-Expose-Headers with a request, so a preflight must allow it.
	corsAllowed = "PAYMENT-SIGNATURE, X-PAYMENT, Access-Control-Expose-Headers, SIGN-IN-WITH-X, Content-Type, Idempotency-Key, Authorization, " + headerCode
	corsExposed = "PAYMENT-REQUIRED, PAYMENT-RESPONSE, X-PAYMENT-RESPONSE, Location, Content-Location, Retry-After, Idempotent-Replayed, X-Request-Id"
	corsMethods = "GET, HEAD, POST, OPTIONS"
	corsMaxAge  = "86400"
)

// cors lets pages of any site call what reads no cookie: paid URLs and public calls.
func cors(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		header := c.Response().Header()
		allowAnySite(header)
		if c.Request().Method != http.MethodOptions {
			return next(c)
		}
		header.Set("Access-Control-Allow-Methods", corsMethods)
		header.Set("Access-Control-Allow-Headers", corsAllowed)
		header.Set("Access-Control-Max-Age", corsMaxAge)
		return c.NoContent(http.StatusNoContent)
	}
}

// allowAnySite lets pages of any site read an answer.
func allowAnySite(header http.Header) {
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Expose-Headers", corsExposed)
}

// openPaths are the routes that [cors] opens, for answers that are given before it is asked.
func openPaths() map[string]bool {
	open := map[string]bool{"/link/:token": true, "/pay/:attempt": true, "/pay/:attempt/events": true, "/openapi.json": true, callPath: true, callPathMore: true}
	for _, call := range apiCalls() {
		if call.public() && !call.browser {
			open[echoPath.Replace(call.path)] = true
		}
	}
	return open
}
