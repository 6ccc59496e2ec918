package handlers

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/yeqown/go-qrcode/v2"

	"xsynesis/access"
	"xsynesis/shop"
	"xsynesis/views"
)

const (
	// quietZone is the white margin of a code, in modules; cameras need it.
	quietZone = 4

	qrDefault = 300
	qrLeast   = 100
	qrMost    = 1000
)

// qrJSON is a code for programs that show it themselves.
type qrJSON struct {
	DataURL string `json:"data_url"`
	URL     string `json:"url"`
}

// modules takes a code's squares from the encoder: rows of black ones.
type modules [][]bool

// Write is called by the encoder.
func (m *modules) Write(matrix qrcode.Matrix) error {
	*m = matrix.Bitmap()
	return nil
}

// Close is called by the encoder.
func (m *modules) Close() error { return nil }

func encodeQR(text string) (modules, error) {
	code, err := qrcode.NewWith(text, qrcode.WithErrorCorrectionLevel(qrcode.ErrorCorrectionMedium))
	if err != nil {
		return nil, fmt.Errorf("encode a QR code: %w", err)
	}
	var m modules
	if err := code.Save(&m); err != nil {
		return nil, fmt.Errorf("draw a QR code: %w", err)
	}
	return m, nil
}

// qr draws a payment link's address.
func (a api) qr(c echo.Context, _ access.Caller) error {
	size, err := qrSize(c.QueryParam("size"))
	if err != nil {
		return err
	}
	offer, err := a.Shop.Offer(c.Request().Context(), c.QueryParam("token"))
	if err != nil {
		return err
	}
	address := a.PublicURL + views.LinkPath(offer.Link.Token)
	code, err := encodeQR(address)
	if err != nil {
		return err
	}
	format := c.QueryParam("format")
	if format == "svg" {
		cacheable(c)
		return c.Blob(http.StatusOK, "image/svg+xml", code.svg(size))
	}
	picture, err := code.png(size)
	if err != nil {
		return err
	}
	switch format {
	case "", "png":
		cacheable(c)
		return c.Blob(http.StatusOK, "image/png", picture)
	case "json":
		cacheable(c)
		return c.JSON(http.StatusOK, qrJSON{DataURL: "data:image/png;base64," + base64.StdEncoding.EncodeToString(picture), URL: address})
	default:
		return &shop.FieldError{Field: "format", Message: "Say png, svg or json."}
	}
}

// cacheable: a link keeps its address for ever.
func cacheable(c echo.Context) { c.Response().Header().Set("Cache-Control", "public, max-age=3600") }

// qrSize raises or cuts to what can be scanned and drawn.
func qrSize(text string) (int, error) {
	if text == "" {
		return qrDefault, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, &shop.FieldError{Field: "size", Message: "Give a whole number of pixels."}
	}
	return min(max(n, qrLeast), qrMost), nil
}

// png draws the code in the middle of exactly size × size pixels, each module as large as whole pixels allow.
func (m modules) png(size int) ([]byte, error) {
	scale := max(size/(len(m)+2*quietZone), 1)
	margin := (size - scale*len(m)) / 2
	picture := image.NewPaletted(image.Rect(0, 0, size, size), color.Palette{color.White, color.Black})
	for y, row := range m {
		for x, black := range row {
			if !black {
				continue
			}
			for i := range scale * scale {
				picture.SetColorIndex(margin+x*scale+i%scale, margin+y*scale+i/scale, 1)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return nil, fmt.Errorf("encode a picture: %w", err)
	}
	return b.Bytes(), nil
}

func (m modules) svg(size int) []byte {
	side := len(m) + 2*quietZone
	var path strings.Builder
	for y, row := range m {
		for x, black := range row {
			if black {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+quietZone, y+quietZone)
			}
		}
	}
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" shape-rendering="crispEdges">`+
		`<path fill="#fff" d="M0 0h%dv%dH0z"/><path d="%s"/></svg>`, size, size, side, side, side, side, path.String())
}
