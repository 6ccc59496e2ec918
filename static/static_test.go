package static_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/static"
)

func get(t *testing.T, method, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	static.Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(b)
}

func TestURLNamesTheContent(t *testing.T) {
	t.Parallel()
	require.Regexp(t, `^/static/css/base\.[0-9a-f]{12}\.css$`, static.URL("css/base.css"))
	require.Panics(t, func() { static.URL("css/none.css") })
}

func TestHandler(t *testing.T) {
	t.Parallel()
	css := static.URL("css/base.css")

	t.Run("a file is kept for ever", func(t *testing.T) {
		t.Parallel()
		r := get(t, http.MethodGet, css)
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Equal(t, "text/css; charset=utf-8", r.Header.Get("Content-Type"))
		require.Equal(t, "public, max-age=31536000, immutable", r.Header.Get("Cache-Control"))
		require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"))
		require.Equal(t, "Accept-Encoding", r.Header.Get("Vary"))
		require.Empty(t, r.Header.Get("Content-Encoding"))
		require.Contains(t, body(t, r.Body), "@layer tokens, elements, components;")
	})
	t.Run("gzip holds the same bytes", func(t *testing.T) {
		t.Parallel()
		r := get(t, http.MethodGet, css, "Accept-Encoding", "br, gzip")
		require.Equal(t, "gzip", r.Header.Get("Content-Encoding"))
		plain, err := gzip.NewReader(r.Body)
		require.NoError(t, err)
		require.Equal(t, body(t, get(t, http.MethodGet, css).Body), body(t, plain))
	})
	t.Run("gzip with weight zero is refused", func(t *testing.T) {
		t.Parallel()
		for header, want := range map[string]string{
			"gzip;q=0": "", "gzip; q=0.0, br": "", "identity": "", "": "", "*": "gzip", "GZIP;q=0.5": "gzip",
		} {
			require.Equal(t, want, get(t, http.MethodGet, css, "Accept-Encoding", header).Header.Get("Content-Encoding"), header)
		}
	})
	t.Run("HEAD tells the length and sends nothing", func(t *testing.T) {
		t.Parallel()
		r := get(t, http.MethodHead, css)
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.NotEmpty(t, r.Header.Get("Content-Length"))
		require.Empty(t, body(t, r.Body))
	})
	t.Run("a known version is not sent again", func(t *testing.T) {
		t.Parallel()
		tag := get(t, http.MethodGet, css).Header.Get("ETag")
		require.Equal(t, http.StatusNotModified, get(t, http.MethodGet, css, "If-None-Match", tag).StatusCode)
		require.Equal(t, http.StatusOK, get(t, http.MethodGet, css, "If-None-Match", tag, "Accept-Encoding", "gzip").StatusCode)
	})
	t.Run("the favicon has a fixed name and may change", func(t *testing.T) {
		t.Parallel()
		r := get(t, http.MethodGet, "/favicon.ico")
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Equal(t, "image/x-icon", r.Header.Get("Content-Type"))
		require.Equal(t, "public, max-age=86400", r.Header.Get("Cache-Control"))
	})
	t.Run("the module that pays has a fixed name, is open to any site and small", func(t *testing.T) {
		t.Parallel()
		r := get(t, http.MethodGet, static.ModulePath)
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Equal(t, "text/javascript; charset=utf-8", r.Header.Get("Content-Type"))
		require.Equal(t, "*", r.Header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, "public, max-age=86400", r.Header.Get("Cache-Control"))
		require.Less(t, len(body(t, r.Body)), 6000)
		require.Empty(t, get(t, http.MethodGet, static.URL("js/shop.js")).Header.Get("Access-Control-Allow-Origin"))
	})
	t.Run("other names and methods are refused", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, http.StatusNotFound, get(t, http.MethodGet, "/static/css/base.css").StatusCode)
		require.Equal(t, http.StatusNotFound, get(t, http.MethodGet, "/static/../static.go").StatusCode)
		r := get(t, http.MethodPost, css)
		require.Equal(t, http.StatusMethodNotAllowed, r.StatusCode)
		require.Equal(t, "GET, HEAD", r.Header.Get("Allow"))
	})
}
