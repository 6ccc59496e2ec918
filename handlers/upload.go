package handlers

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

const (
	uploadPath   = "/api/uploads/create"
	itemEditPath = views.ItemsPath + "/:item/edit"
	itemKeysPath = views.ItemsPath + "/:item/keys"
)

const (
	maxUpload = shop.MaxFile + 1<<20      // a file, and what surrounds it
	maxFiled  = maxUpload + shop.MaxImage // a form with a file and a picture
	maxKeyed  = 8 << 20                   // a form with a list of keys
)

// filePaths are the routes whose requests bring files, each with how many bytes a request has at most.
var filePaths = map[string]int{
	uploadPath: maxUpload, views.ItemsPath: maxFiled, itemEditPath: maxFiled, itemKeysPath: maxKeyed,
}

// takeIn keeps a picture or a file that comes in.
func (h *Handlers) takeIn(c echo.Context, merchant id.Merchant, purpose shop.Purpose, name string, r io.Reader, by audit.By) (shop.Upload, error) {
	switch purpose {
	case shop.ImageUpload:
		return h.Shop.UploadImage(c.Request().Context(), merchant, name, r, by)
	case shop.FileUpload:
		return h.Shop.UploadFile(c.Request().Context(), merchant, name, r, by)
	default:
		return shop.Upload{}, &shop.FieldError{Field: "purpose", Message: "Say image or file."}
	}
}

// patienceEach is how much of a file has to arrive within the time that a request has.
const patienceEach = 1 << 20

// incoming is a file on its way in. A client has time for each part of it anew. At its end, whoever sends it is looked at
// once more: what is not his to send any more is not kept.
type incoming struct {
	from       io.Reader
	still      func() error
	connection *http.ResponseController
	patience   time.Duration
	left       int // bytes until there is time anew
}

// incomingOf reads a file whose sender still may send it as long as still returns nil.
func (h *Handlers) incomingOf(c echo.Context, from io.Reader, still func() error) *incoming {
	return &incoming{from: from, still: still, connection: http.NewResponseController(c.Response()), patience: h.Patience, left: patienceEach}
}

func (i *incoming) Read(into []byte) (int, error) {
	n, err := i.from.Read(into)
	if i.left -= n; i.left <= 0 {
		i.left = patienceEach
		_ = i.connection.SetReadDeadline(time.Now().Add(i.patience)) // fails where there is no connection, as in tests
	}
	if errors.Is(err, io.EOF) {
		if denied := i.still(); denied != nil {
			return n, denied
		}
	}
	return n, err
}
