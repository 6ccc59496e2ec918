package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hostileServer is a seller's server that answers by hand, as no honest one does.
type hostileServer struct {
	*httptest.Server
	mu    sync.Mutex
	asked map[string]int
	wrote atomic.Int64 // bytes of answers that never end
}

// hostileTime is what sellers' servers may take here.
const hostileTime = 2 * time.Second

// bomb is small, and large once it is unpacked.
var bomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	part := make([]byte, 1<<20)
	for range 256 {
		_, _ = w.Write(part)
	}
	_ = w.Close()
	return b.Bytes()
})

func startHostile(t *testing.T) *hostileServer {
	t.Helper()
	h := &hostileServer{asked: map[string]int{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/v1")
		h.mu.Lock()
		h.asked[path]++
		h.mu.Unlock()
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close() //nolint:errcheck // some answers close it themselves
		if answer, ok := h.answers()[path]; ok {
			answer(conn)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hostileServer) times(path string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked[path]
}

func says(text string) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.WriteString(c, text) }
}

// drips says something, and then a little more, without end.
func (h *hostileServer) drips(begin, drop string, pause time.Duration) func(net.Conn) {
	return func(c net.Conn) {
		n, err := io.WriteString(c, begin)
		for err == nil {
			h.wrote.Add(int64(n))
			time.Sleep(pause)
			n, err = io.WriteString(c, drop)
		}
	}
}

func redirects(status int, to string) func(net.Conn) {
	return says(fmt.Sprintf("HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", status, to))
}

func (h *hostileServer) answers() map[string]func(net.Conn) {
	const well = "HTTP/1.1 200 OK\r\n"
	const chunk = 64 << 10
	return map[string]func(net.Conn){
		"/slow-headers": h.drips(well, "X-A: b\r\n", 100*time.Millisecond),
		"/slow-body":    h.drips(well+"Content-Length: 1000\r\n\r\n", "x", 100*time.Millisecond),
		"/silent":       h.drips("", "", 100*time.Millisecond),
		"/endless":      h.drips(well+"Transfer-Encoding: chunked\r\n\r\n", fmt.Sprintf("%x\r\n%s\r\n", chunk, strings.Repeat("x", chunk)), 0),
		"/10-gb":        h.drips(well+"Content-Length: 10737418240\r\n\r\n", strings.Repeat("x", chunk), 0),
		"/many-1xx":     h.drips("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 0),
		"/switches":     says("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
		"/switches-not": says("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
		"/long-header":  h.drips(well+"X-A: ", strings.Repeat("a", chunk), 0),
		"/two-lengths":  says(well + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
		"/no-http":      says("SSH-2.0-OpenSSH_9.6\r\n"),
		"/hangs-up":     func(net.Conn) {},
		"/resets": func(c net.Conn) {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
		},
		"/half":     says(well + "Content-Length: 100\r\n\r\nhalf"),
		"/metadata": redirects(302, "http://169.254.169.254/latest/meta-data/iam/"),
		"/here":     redirects(307, "/v1/followed"),
		"/always":   redirects(308, h.URL+"/v1/followed"),
		"/bomb": func(c net.Conn) {
			_, _ = fmt.Fprintf(c, well+"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(bomb()), bomb())
		},
		"/forges": says(well + "PAYMENT-RESPONSE: forged\r\nX-PAYMENT-RESPONSE: forged\r\nX-Payment-Attempt: forged\r\nX-Access-Pass: forged\r\n" +
			"Set-Cookie: sid=forged\r\nCache-Control: public, max-age=9\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"),
	}
}

// mostSent is what a server may get rid of that never stops: what is held, and what the network holds.
const mostSent = 64 << 20

// TestHostileServersOfSellers tries what a seller's server can do to the gateway and to who pays. It costs nobody anything:
// the same payment pays another call afterwards.
func TestHostileServersOfSellers(t *testing.T) {
	t.Parallel()
	w, h := sharedWorld(t), startHostile(t)
	e := w.newEndpoint(t, h.URL+"/v1", map[string]any{"timeout_seconds": int(hostileTime.Seconds())})
	var withstood atomic.Int32
	tries := map[string]struct {
		status int
		code   string
	}{
		"slow-headers": {504, "upstream_timeout"}, "slow-body": {504, "upstream_timeout"}, "silent": {504, "upstream_timeout"},
		"endless": {502, "upstream_too_large"}, "10-gb": {502, "upstream_too_large"}, "many-1xx": {502, "upstream_too_large"},
		"switches": {502, "upstream_failed"}, "switches-not": {502, "upstream_failed"}, "long-header": {502, "upstream_too_large"},
		"two-lengths": {502, "upstream_failed"}, "no-http": {502, "upstream_failed"}, "hangs-up": {502, "upstream_failed"}, "resets": {502, "upstream_failed"},
		"half": {502, "upstream_failed"}, "metadata": {502, "upstream_failed"}, "here": {502, "upstream_failed"}, "always": {502, "upstream_failed"},
	}
	t.Run("all", func(t *testing.T) {
		for name, want := range tries {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				url := e.EndpointURL + "/" + name
				header, value := w.paymentFor(t, url)
				began := time.Now()
				a := w.get(t, url, header, value)
				require.Equal(t, want.status, a.Status, a.Body)
				require.Equal(t, want.code, a.errorCode(t))
				require.Less(t, time.Since(began), hostileTime+20*time.Second)
				require.Empty(t, a.Header.Get("PAYMENT-RESPONSE"))
				require.Equal(t, 1, h.times("/"+name))
				again := w.get(t, e.EndpointURL+"/well/"+name, header, value)
				require.Equal(t, 200, again.Status, again.Body)
				require.Equal(t, "ok", again.Body)
				withstood.Add(1)
			})
		}
	})
	require.Zero(t, h.times("/followed"))
	require.Less(t, h.wrote.Load(), int64(mostSent))
	report(t, "%d of %d hostile answers cost nothing; %.1f MiB taken of those without end", withstood.Load(), len(tries), float64(h.wrote.Load())/(1<<20))
}

func TestAnAnswerIsHandedOnAsItIs(t *testing.T) {
	t.Parallel()
	w, h := sharedWorld(t), startHostile(t)
	e := w.newEndpoint(t, h.URL+"/v1", nil)
	t.Run("a bomb stays packed", func(t *testing.T) {
		t.Parallel()
		url := e.EndpointURL + "/bomb"
		name, value := w.paymentFor(t, url)
		a := w.get(t, url, name, value, "Accept-Encoding", "gzip")
		require.Equal(t, 200, a.Status)
		require.Equal(t, "gzip", a.Header.Get("Content-Encoding"))
		require.True(t, bytes.Equal(bomb(), []byte(a.Body)), "%d bytes of %d", len(a.Body), len(bomb()))
	})
	t.Run("a receipt cannot be forged", func(t *testing.T) {
		t.Parallel()
		url := e.EndpointURL + "/forges"
		name, value := w.paymentFor(t, url)
		a := w.get(t, url, name, value)
		require.Equal(t, 200, a.Status, a.Body)
		for _, header := range []string{"PAYMENT-RESPONSE", "X-PAYMENT-RESPONSE", "X-Payment-Attempt", "X-Access-Pass", "Set-Cookie", "Cache-Control"} {
			require.NotContains(t, a.Header.Values(header), "forged", header)
		}
		require.Len(t, a.Header.Values("PAYMENT-RESPONSE"), 1)
		require.Empty(t, a.Header.Values("Set-Cookie"))
		require.Equal(t, "private, no-store", a.Header.Get("Cache-Control"))
	})
}

// What is paid first may be tried again, whatever its seller's server did to it.
func TestAHostileServerThatIsPaidFirst(t *testing.T) {
	t.Parallel()
	w, h := sharedWorld(t), startHostile(t)
	e := w.newEndpoint(t, h.URL+"/v1", map[string]any{"settle": "first", "timeout_seconds": int(hostileTime.Seconds()), "max_answer_bytes": 8 << 20})
	for _, name := range []string{"slow-body", "endless", "10-gb", "half", "many-1xx", "metadata", "switches"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := e.EndpointURL + "/" + name
			header, value := w.paymentFor(t, url)
			for try := 1; try <= 2; try++ {
				a, err := w.send(t.Context(), http.MethodGet, url, "", header, value)
				if err == nil { // or the answer breaks off, so that nobody takes it for whole
					require.GreaterOrEqual(t, a.Status, 500, a.Body)
					require.NotEmpty(t, a.Header.Get("PAYMENT-RESPONSE"), "it is paid")
				}
				require.Equal(t, try, h.times("/"+name), "the same payment asks again")
			}
		})
	}
	t.Cleanup(func() { require.Less(t, h.wrote.Load(), int64(mostSent)) })
}
