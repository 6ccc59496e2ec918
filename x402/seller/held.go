package seller

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"xsynesis/x402"
)

var errTooLarge = errors.New("seller: answer too large to be held back")

// held is an answer that has not left yet. It cannot be flushed or taken over: bytes that are out cannot be unpaid.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
	most   int
	over   bool
}

func newHeld(most int) *held { return &held{header: http.Header{}, most: most} }

// Header implements http.ResponseWriter.
func (h *held) Header() http.Header { return h.header }

// WriteHeader implements http.ResponseWriter; what only announces an answer is nobody's before the money moved.
func (h *held) WriteHeader(status int) {
	if h.status == 0 && status >= http.StatusOK {
		h.status = status
	}
}

// Write implements http.ResponseWriter.
func (h *held) Write(b []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	if h.over || h.body.Len()+len(b) > h.most {
		h.over = true
		return 0, errTooLarge
	}
	return h.body.Write(b)
}

// send lets the answer out.
func (h *held) send(out http.ResponseWriter, r *http.Request) {
	header := out.Header()
	for name, values := range h.header {
		header[name] = append([]string{}, values...)
	}
	if h.status == 0 {
		h.status = http.StatusOK
	}
	if h.header.Get("Content-Length") == "" && h.status != http.StatusNoContent && h.status != http.StatusNotModified {
		header.Set("Content-Length", strconv.Itoa(h.body.Len()))
	}
	out.WriteHeader(h.status)
	if r.Method != http.MethodHead {
		_, _ = out.Write(h.body.Bytes()) // a reader that left is nobody's error
	}
}

// private keeps shared caches from handing out what one buyer paid for.
func (h *held) private() {
	var kept []string
	for part := range strings.SplitSeq(h.header.Get("Cache-Control"), ",") {
		part = strings.TrimSpace(part)
		name, _, _ := strings.Cut(strings.ToLower(part), "=")
		if part != "" && name != "public" && name != "private" && name != "s-maxage" {
			kept = append(kept, part)
		}
	}
	h.header.Set("Cache-Control", strings.Join(append(kept, "private"), ", "))
}

func vary(h http.Header) {
	h.Add("Vary", x402.HeaderSignature+", "+x402.HeaderPayment)
}
