package handlers

import (
	"bytes"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"
)

// whole waits for a request's body before anything looks at who sends it. A request that trickles in would otherwise
// carry what its sender might do past the moment in which he was sent away. Bodies are small, see [maxBody]; those that
// bring files are read as they come, and their senders are looked at once before and once after, see [incoming].
func whole(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if _, files := filePaths[c.Path()]; files || r.Body == nil || r.Body == http.NoBody {
			return next(c)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err // it says itself what it is: too large, too late, broken off
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		return next(c)
	}
}
