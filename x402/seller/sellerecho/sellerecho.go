// Package sellerecho prices the routes of a server that stands on echo.
package sellerecho

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"xsynesis/x402/seller"
)

// Route is the middleware that prices a route. An error of the handler is answered as the server answers errors, and costs
// nothing. It panics where the route has no price.
func Route(w *seller.Paywall, r seller.Route) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		type contextKey struct{}
		priced := w.Route(r, http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
			c := in.Context().Value(contextKey{}).(echo.Context) //nolint:forcetypeassert // put there below
			c.SetRequest(in)
			c.SetResponse(echo.NewResponse(out, c.Echo()))
			if err := next(c); err != nil {
				c.Error(err) // into the answer that is held back
			}
		}))
		return func(c echo.Context) error {
			in, out := c.Request(), c.Response()
			defer func() {
				c.SetRequest(in)
				c.SetResponse(out)
			}()
			priced.ServeHTTP(out, in.WithContext(contextWith(in, contextKey{}, c)))
			return nil
		}
	}
}

func contextWith(r *http.Request, key, value any) context.Context {
	return context.WithValue(r.Context(), key, value)
}
