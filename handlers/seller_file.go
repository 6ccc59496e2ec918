package handlers

import (
	"errors"
	"io"
	"mime/multipart"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/shop"
)

// filed is a form of a page that may have brought files.
type filed struct {
	url.Values
	uploads map[string]id.Upload // what was kept, by field
	refused map[string]string    // why a file was not kept, by field
}

// Text is a value without the space around it.
func (f filed) Text(field string) string { return strings.TrimSpace(f.Get(field)) }

// purposeOf says what a field's file is for, by what the form has said before; empty for one that is not wanted.
type purposeOf func(form url.Values, field string) shop.Purpose

// asText is the purpose of a file that is read as if its text had been typed.
const asText shop.Purpose = "text"

// maxText is how much all the text of such a form may be.
const maxText = maxKeyed

// mayFile lets those in whose role includes the permission, and reads their form as it comes. Once all of it is there they
// are looked at again: what somebody may do may have changed meanwhile.
func (h *Handlers) mayFile(p access.Permission, takes purposeOf, next func(echo.Context, seller, filed) error) echo.HandlerFunc {
	return h.may(p, func(c echo.Context, s seller) error {
		form, err := h.filedForm(c, s, p, takes)
		if err != nil {
			return err
		}
		return h.may(p, func(c echo.Context, s seller) error { return next(c, s, form) })(c)
	})
}

// stillMay is nil as long as the browser's session is of the same shop and includes the permission.
func (h *Handlers) stillMay(c echo.Context, s seller, p access.Permission) func() error {
	return func() error {
		now, err := h.Access.Session(c.Request().Context(), h.secretOf(c))
		if err == nil && (now.Merchant != s.Merchant || !now.May(p)) {
			err = access.ErrDenied
		}
		return err
	}
}

// filedForm reads a form, with files or without.
func (h *Handlers) filedForm(c echo.Context, s seller, p access.Permission, takes purposeOf) (filed, error) {
	form := filed{Values: url.Values{}, uploads: map[string]id.Upload{}, refused: map[string]string{}}
	r := c.Request()
	parts, err := r.MultipartReader()
	if err != nil {
		if err := r.ParseForm(); err != nil {
			return form, echo.ErrBadRequest
		}
		form.Values = r.PostForm
		return form, nil
	}
	for room := int64(maxText); ; {
		part, err := parts.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			return form, nil
		case err != nil:
			return form, brokenForm(err)
		}
		switch purpose := takes(form.Values, part.FormName()); {
		case part.FileName() == "", purpose == asText:
			room, err = form.textIn(part, room)
		case purpose != "":
			err = h.fileIn(c, s, form, part, purpose, h.stillMay(c, s, p))
		}
		if err != nil {
			return form, err
		}
	}
}

// textIn adds a field of text, and returns how much room is left for others.
func (f filed) textIn(part *multipart.Part, room int64) (int64, error) {
	text, err := io.ReadAll(io.LimitReader(part, room+1))
	switch {
	case err != nil:
		return 0, brokenForm(err)
	case int64(len(text)) > room:
		return 0, echo.ErrStatusRequestEntityTooLarge
	}
	f.Add(part.FormName(), string(text))
	return room - int64(len(text)), nil
}

// fileIn keeps a file, or why it is not kept: the rest of the form is read in any case, and shown again.
func (h *Handlers) fileIn(c echo.Context, s seller, form filed, part *multipart.Part, purpose shop.Purpose, still func() error) error {
	u, err := h.takeIn(c, s.Merchant, purpose, part.FileName(), h.incomingOf(c, part, still), actor(c, s))
	r, _ := replyTo(err)
	switch {
	case err == nil:
		form.uploads[part.FormName()] = u.ID
	case errors.As(err, new(*shop.FieldError)), errors.Is(err, shop.ErrTooLarge):
		form.refused[part.FormName()] = r.message
	default:
		return brokenForm(err)
	}
	return nil
}

// brokenForm tells a form that broke off, or never was one, from our own faults.
func brokenForm(err error) error {
	if errors.Is(unreadable(err), errNoFile) {
		return echo.ErrBadRequest
	}
	return err
}
