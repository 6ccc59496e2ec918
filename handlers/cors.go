package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

const (
	// Clients in use send Access-Control-Expose-Headers with a request, so a preflight must allow it.
	corsAllowed = "PAYMENT-SIGNATURE, X-PAYMENT, Access-Control-Expose-Headers, SIGN-IN-WITH-X, Content-Type, Idempotency-Key, Authorization"
	corsExposed = "PAYMENT-REQUIRED, PAYMENT-RESPONSE, X-PAYMENT-RESPONSE, Location, Content-Location, Retry-After, Idempotent-Replayed, X-Request-Id"
	corsMethods = "GET, HEAD, POST, OPTIONS"
	corsMaxAge  = "86400"
)

// cors lets pages of any site call what reads no cookie: paid URLs and public calls.
func cors(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		header := c.Response().Header()
		header.Set("Access-Control-Allow-Origin", "*")
		header.Set("Access-Control-Expose-Headers", corsExposed)
		if c.Request().Method != http.MethodOptions {
			return next(c)
		}
		header.Set("Access-Control-Allow-Methods", corsMethods)
		header.Set("Access-Control-Allow-Headers", corsAllowed)
		header.Set("Access-Control-Max-Age", corsMaxAge)
		return c.NoContent(http.StatusNoContent)
	}
}
