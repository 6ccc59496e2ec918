package checkout_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// line is the wire to the chain: it can be cut, slowed down, and made to hold back single calls.
type line struct {
	URL string

	mu    sync.Mutex
	cut   bool
	delay time.Duration
	held  map[string]chan struct{} // calls by method; closed when they are let go
	late  map[string]chan struct{} // answers by method
	asked map[string]int           // how often each method was held back
}

func newLine(t *testing.T) *line {
	t.Helper()
	chain, err := url.Parse(world.dev().URL())
	require.NoError(t, err)
	l := &line{held: map[string]chan struct{}{}, late: map[string]chan struct{}{}, asked: map[string]int{}}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(chain) }}
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !l.passes(r, string(body)) {
			panic(http.ErrAbortHandler) // the connection breaks without an answer
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		proxy.ServeHTTP(answer, r)
		l.await(r, l.late, string(body))
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	l.URL = server.URL
	t.Cleanup(func() {
		l.mend()
		server.CloseClientConnections()
		server.Close()
	})
	return l
}

// passes waits as long as the line is slow, or holds back this call; it is false when the line is cut.
func (l *line) passes(r *http.Request, body string) bool {
	l.mu.Lock()
	delay := l.delay
	l.mu.Unlock()
	time.Sleep(delay)
	if !l.await(r, l.held, body) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.cut
}

// await stands at a gate, where there is one for this call; it is false when the caller went away meanwhile.
func (l *line) await(r *http.Request, gates map[string]chan struct{}, body string) bool {
	var gate chan struct{}
	l.mu.Lock()
	for method := range gates {
		if strings.Contains(body, `"`+method+`"`) {
			gate = gates[method]
			l.asked[method]++
		}
	}
	l.mu.Unlock()
	if gate == nil {
		return true
	}
	select {
	case <-gate:
		return true
	case <-r.Context().Done():
		return false
	}
}

func (l *line) setCut(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

func (l *line) setDelay(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = d
}

// hold keeps every call of a method from the chain until the line is mended.
func (l *line) hold(method string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[method] = make(chan struct{})
}

// holdAnswers lets every call of a method reach the chain, and keeps the answer until the line is mended.
func (l *line) holdAnswers(method string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.late[method] = make(chan struct{})
}

// awaitHeld returns when somebody waits for a method that is held back.
func (l *line) awaitHeld(t *testing.T, method string) {
	t.Helper()
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.asked[method] > 0
	}, 20*time.Second, 10*time.Millisecond, "nobody called %s", method)
}

// mend makes the line good again and lets go of what was held back.
func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut, l.delay = false, 0
	for _, gates := range []map[string]chan struct{}{l.held, l.late} {
		for method, gate := range gates {
			close(gate)
			delete(gates, method)
		}
	}
}
