package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/yeqown/go-qrcode/v2"

	"xsynesis/views"
)

// herald tells whoever started the shop where it is.
type herald struct {
	out    io.Writer
	client *http.Client // trusts the site's certificate
	draw   bool         // also as a code, for cameras
	token  string       // that opens the operator's pages
}

// announce waits until the site can be paid at, and says where it is.
func (h herald) announce(ctx context.Context, w world) error {
	for !h.ready(ctx, w.BaseURL) {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(50 * time.Millisecond):
		}
	}
	var code terminalCode
	if h.draw {
		if err := code.encode(w.BaseURL); err != nil {
			return err
		}
	}
	begin := "sign in " + w.BaseURL + views.SignInPath
	if w.LinkToken != "" {
		begin += "\npay     " + w.BaseURL + views.LinkPath(w.LinkToken)
		begin += "\nshop    " + w.BaseURL + views.ShopPath(demoShops[0].founding.Slug)
	}
	if w.firstRun != "" {
		begin = "set up  " + w.firstRun
	}
	_, err := fmt.Fprintf(h.out, "ready %s\n%s\noperate %s with the token %s\n%s", w.BaseURL, begin, w.BaseURL+views.AdminPath, h.token, code)
	return err
}

func (h herald) ready(ctx context.Context, base string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return false
	}
	response, err := h.client.Do(request)
	if err != nil {
		return false
	}
	return response.Body.Close() == nil && response.StatusCode == http.StatusOK
}

// terminalCode is a QR code as rows of black modules.
type terminalCode struct{ modules [][]bool }

func (t *terminalCode) encode(text string) error {
	code, err := qrcode.NewWith(text, qrcode.WithErrorCorrectionLevel(qrcode.ErrorCorrectionMedium))
	if err != nil {
		return fmt.Errorf("encode a QR code: %w", err)
	}
	if err := code.Save(t); err != nil {
		return fmt.Errorf("draw a QR code: %w", err)
	}
	return nil
}

// Write is called by the encoder.
func (t *terminalCode) Write(m qrcode.Matrix) error {
	t.modules = m.Bitmap()
	return nil
}

// Close is called by the encoder.
func (t *terminalCode) Close() error { return nil }

// quietZone is the white margin of a code, in modules; cameras need it.
const quietZone = 4

// Black on white, whatever colours the terminal has.
const (
	inkAndPaper = "\x1b[38;5;16;48;5;231m"
	asBefore    = "\x1b[0m"
)

// String draws two rows of modules in each line of text; nothing where there is no code.
func (t terminalCode) String() string {
	if len(t.modules) == 0 {
		return ""
	}
	var b strings.Builder
	for y := -quietZone; y < len(t.modules)+quietZone; y += 2 {
		b.WriteString(inkAndPaper)
		for x := -quietZone; x < len(t.modules)+quietZone; x++ {
			b.WriteString(halves(t.black(x, y), t.black(x, y+1)))
		}
		b.WriteString(asBefore + "\n")
	}
	return b.String()
}

func (t terminalCode) black(x, y int) bool {
	return x >= 0 && y >= 0 && y < len(t.modules) && x < len(t.modules[y]) && t.modules[y][x]
}

func halves(upper, lower bool) string {
	switch {
	case upper && lower:
		return "█"
	case upper:
		return "▀"
	case lower:
		return "▄"
	default:
		return " "
	}
}
