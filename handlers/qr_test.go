package handlers_test

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCodesAreExactlyAsLargeAsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.link(w.cafeKey, "0.50")["token"].(string)
	for asked, want := range map[string]int{
		"": 300, "300": 300, "317": 317, "100": 100, "1000": 1000, "99": 100, "1": 100, "0": 100, "-5": 100, "1001": 1000, "99999999999999999999": 1000,
	} {
		answer := w.get("/api/qr?token=" + token + "&size=" + asked)
		require.Equal(t, 200, answer.status, asked)
		require.Equal(t, "image/png", answer.header.Get("Content-Type"))
		require.Contains(t, answer.header.Get("Cache-Control"), "public")
		picture, err := png.Decode(bytes.NewReader(answer.body))
		require.NoError(t, err)
		require.Equal(t, image.Rect(0, 0, want, want), picture.Bounds(), asked)
		requireSharp(t, picture)
	}
	requireField(t, "size", w.get("/api/qr?token="+token+"&size=big"), "size")
	requireField(t, "format", w.get("/api/qr?token="+token+"&format=gif"), "format")
}

// requireSharp measures the finder pattern in the corner: seven modules of whole pixels, four white ones around.
func requireSharp(t *testing.T, picture image.Image) {
	t.Helper()
	black := func(x, y int) bool { return color.GrayModel.Convert(picture.At(x, y)).(color.Gray).Y < 128 }
	corner := 0
	for !black(corner, corner) {
		corner++
	}
	width := 0
	for black(corner+width, corner) {
		width++
	}
	require.Zero(t, width%7, "the finder pattern is %d pixels wide", width)
	require.GreaterOrEqual(t, corner, 4*width/7, "quiet zone")
}

func TestCodesInOtherForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.link(w.cafeKey, "0.50")["token"].(string)

	drawing := w.get("/api/qr?format=svg&size=400&token=" + token)
	require.Equal(t, "image/svg+xml", drawing.header.Get("Content-Type"))
	require.Contains(t, string(drawing.body), `width="`+strconv.Itoa(400)+`"`)

	both := w.get("/api/qr?format=json&token=" + token).json()
	require.Equal(t, site+"/link/"+token, both["url"])
	data, ok := strings.CutPrefix(both["data_url"].(string), "data:image/png;base64,")
	require.True(t, ok)
	picture, err := base64.StdEncoding.DecodeString(data)
	require.NoError(t, err)
	require.Equal(t, w.get("/api/qr?token="+token).body, picture)
}
