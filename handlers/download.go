package handlers

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/id"
)

// download hands a file to its buyer, from the beginning or from where another download broke off.
func (h *Handlers) download(c echo.Context) error {
	header := c.Response().Header()
	header.Set("Cache-Control", "private, no-store")
	attempt, err := id.Parse[id.Attempt](c.Param("attempt"))
	if err != nil {
		return checkout.ErrNotFound
	}
	line, err := strconv.Atoi(c.Param("line"))
	if err != nil {
		return checkout.ErrNotFound
	}
	r := c.Request()
	from := r.Header.Get("Range")
	goesOn := r.Method == http.MethodHead || from != "" && !strings.HasPrefix(strings.ReplaceAll(from, " ", ""), "bytes=0-")
	u, content, err := h.Checkout.Download(r.Context(), attempt, line, c.QueryParam("k"), goesOn)
	if err != nil {
		return err
	}
	// Nothing that a seller uploads is ever shown as a page of this site.
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": u.Name}))
	header.Set("ETag", `"`+string(u.ID)+`"`)
	http.ServeContent(c.Response(), r, "", time.Time{}, content)
	return nil
}
