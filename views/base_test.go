// Package views shows shops, purchases and sales to people.
package views

import (
	"encoding/hex"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/static"
)

// stylesheet returns a sheet as browsers get it.
func stylesheet(t *testing.T, name string) string {
	t.Helper()
	w := httptest.NewRecorder()
	static.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, static.URL(name), nil))
	require.Equal(t, http.StatusOK, w.Code)
	return w.Body.String()
}

var colour = regexp.MustCompile(`--([a-z0-9-]+): #([0-9A-F]{6});`)

// theme reads the colours of the rule that begins with selector.
func theme(t *testing.T, css, selector string) map[string]string {
	t.Helper()
	_, rule, found := strings.Cut(css, selector+" {")
	require.True(t, found, selector)
	rule, _, _ = strings.Cut(rule, "}")
	colours := map[string]string{}
	for _, m := range colour.FindAllStringSubmatch(rule, -1) {
		colours[m[1]] = m[2]
	}
	return colours
}

// ratio is the contrast of two colours by the WCAG formula.
func ratio(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + .05) / (min(x, y) + .05)
}

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	b, err := hex.DecodeString(colour)
	require.NoError(t, err)
	var sum float64
	for i, weight := range []float64{.2126, .7152, .0722} {
		c := float64(b[i]) / 255
		if c <= .04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

func TestContrast(t *testing.T) {
	t.Parallel()
	css := stylesheet(t, "css/base.css")
	light := theme(t, css, "\n  :root")
	dark := theme(t, css, `:root[data-theme="dark"]`)
	require.Equal(t, dark, theme(t, css, `:root:not([data-theme="light"])`), "the two dark themes are one")
	for name, value := range light {
		if _, ok := dark[name]; !ok {
			dark[name] = value
		}
	}
	for _, tt := range []struct {
		over, under string
		light, dark float64
	}{
		{"ink", "page", 16.6, 17.1},
		{"ink", "surface", 18.1, 15.8},
		{"ink", "sunken", 15.3, 13.7},
		{"ink2", "surface", 8.7, 10.0},
		{"ink2", "sunken", 7.4, 8.7},
		{"ink3", "surface", 5.7, 6.5},
		{"ink3", "page", 5.2, 7.1},
		{"ink3", "sunken", 4.8, 5.6},
		{"edge", "surface", 3.7, 4.3},
		{"edge", "page", 3.4, 4.7},
		{"edge", "sunken", 3.1, 3.7},
		{"bar", "surface", 3.6, 4.3},
		{"on-accent", "accent", 7.4, 8.7},
		{"on-accent", "accent-hover", 10.1, 10.8},
		{"accent", "page", 6.8, 9.1},
		{"ok", "ok-soft", 5.7, 7.8},
		{"ok", "surface", 6.6, 9.7},
		{"warn", "warn-soft", 6.6, 8.1},
		{"warn", "surface", 7.4, 10.4},
		{"bad", "bad-soft", 6.2, 7.7},
		{"bad", "surface", 7.3, 8.6},
		{"ink", "warn-soft", 16.0, 12.3},
		{"on-ok-fill", "ok-fill", 7.8, 7.8},
		{"on-bad-fill", "bad-fill", 7.3, 9.0},
		{"on-stripe", "stripe", 12.8, 12.8},
		{"on-qr", "qr", 18.1, 18.1},
	} {
		t.Run(tt.over+" on "+tt.under, func(t *testing.T) {
			t.Parallel()
			require.InDelta(t, tt.light, ratio(t, light[tt.over], light[tt.under]), .051)
			require.InDelta(t, tt.dark, ratio(t, dark[tt.over], dark[tt.under]), .051)
		})
	}
}

func TestStylesheetsHoldNoUtilities(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"css/base.css", "css/checkout.css", "css/till.css"} {
		require.NotContains(t, stylesheet(t, name), "url(", "one request per sheet, and hashed names stay whole")
	}
}

func TestEveryStateHasADrawing(t *testing.T) {
	t.Parallel()
	for state, s := range statuses {
		require.Contains(t, glyphs, s.Glyph, state)
	}
	for name, s := range screens {
		require.Contains(t, statuses, s.state, name)
		require.Contains(t, screenOrder, name)
	}
	require.Len(t, screenOrder, len(screens))
}

func TestMoneyIsSetSmallerBeforeItWouldWrap(t *testing.T) {
	t.Parallel()
	require.Equal(t, "money l", MoneyClass(9_999_990_000, MoneyL))
	require.Equal(t, "money l long", MoneyClass(12_345_670_000, MoneyL))
	require.Equal(t, "money l longer", MoneyClass(1_234_567_890_000, MoneyL))
	require.Equal(t, "−3.00", Amount(-3_000_000))
	require.Equal(t, "0.0025\u00a0USDC", AmountUSDC(2_500))
}

func TestQRKeepsItsQuietZoneAndWholePixels(t *testing.T) {
	t.Parallel()
	q, err := NewQR("https://pay.example/link/7NqJ4kd2RmXcVb8sTgHyPw")
	require.NoError(t, err)
	require.Equal(t, 33, q.modules)
	require.Equal(t, "-4 -4 41 41", q.viewBox())
	require.Equal(t, "369", q.size(290), "nine pixels per module")
	require.True(t, strings.HasPrefix(q.path, "M0 0h7v1H0z"), "the first finder begins at the corner")

	_, err = NewQR(strings.Repeat("x", 5_000))
	require.Error(t, err)
}
