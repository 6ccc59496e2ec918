package handlers

import (
	"encoding/hex"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/shop"
)

// uploadJSON is a picture or a file of a seller.
type uploadJSON struct {
	ID          id.Upload `json:"id"`
	Purpose     string    `json:"purpose"`
	Name        string    `json:"name"`
	ContentType string    `json:"content_type"`
	Size        int64     `json:"size"`
	Width       int       `json:"width,omitempty"`
	Height      int       `json:"height,omitempty"`
	SHA256      string    `json:"sha256"`
	URL         string    `json:"url,omitempty"`
	CreatedAt   time.Time `json:"created_at"`
}

func (h *Handlers) uploadJSON(u shop.Upload) uploadJSON {
	j := uploadJSON{
		ID: u.ID, Purpose: string(u.Purpose), Name: u.Name, ContentType: u.ContentType, Size: u.Size, Width: u.Width, Height: u.Height,
		SHA256: hex.EncodeToString(u.SHA256[:]), CreatedAt: u.CreatedAt.UTC(),
	}
	if u.Purpose == shop.ImageUpload {
		j.URL = h.PublicURL + ImagePath(u.ID)
	}
	return j
}

var errNoFile = &shop.FieldError{Field: "file", Message: "Send a form (multipart/form-data) whose field file holds the file; purpose, if given, comes before it."}

func (a api) createUpload(c echo.Context, who access.Caller) error {
	form, err := c.Request().MultipartReader()
	if err != nil {
		return errNoFile
	}
	u, err := a.receive(c, who, form)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, a.uploadJSON(u))
}

// still is nil as long as the caller may do what he could when his request began.
func (a api) still(c echo.Context, who access.Caller) func() error {
	return func() error {
		now, err := a.caller(c)
		if err == nil && (now.Merchant != who.Merchant || !now.May(access.ItemsWrite)) {
			err = access.ErrDenied
		}
		return err
	}
}

// receive reads a form as it comes: a file is never whole in memory.
func (a api) receive(c echo.Context, who access.Caller, form *multipart.Reader) (shop.Upload, error) {
	purpose := shop.ImageUpload
	for {
		part, err := form.NextPart()
		if err != nil {
			return shop.Upload{}, unreadable(err)
		}
		switch part.FormName() {
		case "purpose":
			text, err := io.ReadAll(io.LimitReader(part, 16))
			if err != nil {
				return shop.Upload{}, unreadable(err)
			}
			purpose = shop.Purpose(strings.TrimSpace(string(text)))
		case "file", "image":
			u, err := a.takeIn(c, who.Merchant, purpose, part.FileName(), a.incomingOf(c, part, a.still(c, who)), program(c, who))
			return u, unreadable(err)
		}
	}
}

// unreadable tells a form that broke off, or never was one, from our own faults.
func unreadable(err error) error {
	var he *echo.HTTPError
	switch {
	case err == nil, errors.As(err, &he):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, multipart.ErrMessageTooLarge):
		return errNoFile
	case strings.HasPrefix(err.Error(), "multipart: "):
		return errNoFile
	default:
		return err
	}
}

// image shows a seller's picture. Its bytes never change.
func (h *Handlers) image(c echo.Context) error {
	text, inSmall := strings.CutSuffix(c.Param("upload"), "-small")
	upload, err := id.Parse[id.Upload](text)
	if err != nil {
		return shop.ErrNotFound
	}
	header, etag := c.Response().Header(), `"`+c.Param("upload")+`"`
	u, content, err := h.Shop.Picture(c.Request().Context(), upload, inSmall)
	if err != nil {
		return err
	}
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Set("ETag", etag)
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if c.Request().Header.Get("If-None-Match") == etag {
		return c.NoContent(http.StatusNotModified)
	}
	return c.Blob(http.StatusOK, u.ContentType, content)
}
