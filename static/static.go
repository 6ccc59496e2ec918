// Package static serves the few files every page needs, under names that change with their content.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// Prefix is where [Handler] is mounted.
const Prefix = "/static/"

//go:embed css js img icons
var embedded embed.FS

// types names every kind of file we ship: a guess by the host's MIME table differs between machines.
var types = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
	".png": "image/png",
	".ico": "image/x-icon",
}

// file is one asset, ready to send.
type file struct {
	url, etag, kind string
	plain, zipped   []byte // zipped is nil where compression gains nothing
}

type assets struct{ byName, byURL map[string]*file }

// loaded compresses everything once, at the first use.
var loaded = sync.OnceValue(func() assets {
	a, err := load(embedded)
	if err != nil {
		panic(fmt.Errorf("static: load the embedded files: %w", err))
	}
	return a
})

// URL gives the address of a file such as "css/base.css". Asking for a file that is not there is a
// mistake in the program, so it panics; the golden tests of the pages meet every name.
func URL(name string) string {
	f, ok := loaded().byName[name]
	if !ok {
		panic("static: no file " + name)
	}
	return f.url
}

// Content gives what a file such as "js/till-worker.js" holds, for an answer at an address of its own. It panics as
// [URL] does.
func Content(name string) []byte {
	URL(name)
	return bytes.Clone(loaded().byName[name].plain)
}

// ModulePath is where pages of other sites import the payer's module from. Its name stays, so that they can.
const ModulePath = Prefix + "pay.js"

// Handler answers GET and HEAD under [Prefix], and for /favicon.ico, which browsers ask for unbidden.
func Handler() http.Handler { return http.HandlerFunc(serve) }

func serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	a := loaded()
	f, hashed := a.byURL[r.URL.Path]
	switch r.URL.Path {
	case "/favicon.ico":
		f = a.byName["img/favicon.ico"]
	case ModulePath:
		f = a.byName["js/pay.js"]
		w.Header().Set("Access-Control-Allow-Origin", "*") // without it no other site's page may import it
	}
	if f == nil {
		http.NotFound(w, r)
		return
	}
	f.send(w, r, hashed)
}

func (f *file) send(w http.ResponseWriter, r *http.Request, hashed bool) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age=86400")
	if hashed {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	body, etag := f.plain, f.etag
	if f.zipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			body, etag = f.zipped, f.etag+"-gz"
		}
	}
	h.Set("ETag", `"`+etag+`"`)
	if strings.Contains(r.Header.Get("If-None-Match"), `"`+etag+`"`) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // a reader that left is nobody's error
}

// acceptsGzip reads an Accept-Encoding header: gzip or *, unless its weight is zero.
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, weight, _ := strings.Cut(part, ";")
		coding = strings.ToLower(strings.TrimSpace(coding))
		if coding != "gzip" && coding != "*" {
			continue
		}
		_, q, found := strings.Cut(weight, "=")
		if !found {
			return true
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
		return err == nil && value > 0
	}
	return false
}

func load(files fs.FS) (assets, error) {
	a := assets{byName: map[string]*file{}, byURL: map[string]*file{}}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		f, err := newFile(name, content)
		if err != nil {
			return err
		}
		a.byName[name], a.byURL[f.url] = f, f
		return nil
	})
	return a, err
}

func newFile(name string, content []byte) (*file, error) {
	ext := path.Ext(name)
	kind, ok := types[ext]
	if !ok {
		return nil, fmt.Errorf("%s: no content type for %q", name, ext)
	}
	sum := sha256.Sum256(content)
	tag := hex.EncodeToString(sum[:6])
	zipped, err := compress(content)
	if err != nil {
		return nil, fmt.Errorf("compress %s: %w", name, err)
	}
	if len(zipped) >= len(content)*9/10 {
		zipped = nil
	}
	return &file{
		url:   Prefix + strings.TrimSuffix(name, ext) + "." + tag + ext,
		etag:  tag,
		kind:  kind,
		plain: content, zipped: zipped,
	}, nil
}

func compress(content []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
