package egress_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/egress"
)

func newClient() *egress.Client {
	return egress.New(egress.Options{AllowPrivate: true, Own: "http://localhost:8402"})
}

// serve answers every connection by hand, once its request was read, and closes it.
func serve(t *testing.T, answer func(net.Conn)) (url string) {
	t.Helper()
	l := listen(t, func(conn net.Conn) {
		request, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, request.Body); err == nil {
			answer(conn)
		}
	})
	return "http://" + l + "/"
}

func listen(t *testing.T, accept func(net.Conn)) (address string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close() //nolint:errcheck // some answers close it themselves
				accept(conn)
			}()
		}
	}()
	return l.Addr().String()
}

func post(t *testing.T, url string) (egress.Answer, error) {
	t.Helper()
	return newClient().Post(t.Context(), egress.Call{URL: url, Body: []byte(`{"id":"evt_1"}`)})
}

func TestARequestArrivesAsItWasGiven(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte("thank you"))
	}))
	t.Cleanup(server.Close)
	given := http.Header{"Webhook-Id": {"evt_1"}, "Content-Type": {"application/json"}}
	before := given.Clone()
	answer, err := newClient().Post(t.Context(), egress.Call{URL: server.URL + "/hook?a=b%20c", Header: given, Body: []byte("{ \"exact\":\t1}")})
	require.NoError(t, err)
	require.Equal(t, before, given)

	require.Equal(t, http.MethodPost, got.Method)
	require.Equal(t, "/hook?a=b%20c", got.RequestURI)
	require.Equal(t, "HTTP/1.1", got.Proto)
	require.Equal(t, "{ \"exact\":\t1}", string(body))
	require.Equal(t, http.Header{
		"Webhook-Id": {"evt_1"}, "Content-Type": {"application/json"}, "User-Agent": {"xsynesis"}, "Content-Length": {"13"},
	}, got.Header)

	require.Equal(t, http.StatusAccepted, answer.Status)
	require.Equal(t, "yes", answer.Header.Get("X-Answer"))
	require.Equal(t, "thank you", string(answer.Body))
	require.EqualValues(t, 9, answer.Bytes)
	require.Empty(t, answer.TLS)
	require.Positive(t, answer.Connected)
	require.GreaterOrEqual(t, answer.Took, answer.Connected)
}

func TestATLSServerMustHaveACertificateForItsName(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	local := egress.Options{AllowPrivate: true, Roots: roots, Resolver: fixed{"127.0.0.1"}}
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)

	answer, err := egress.New(local).Post(t.Context(), egress.Call{URL: "https://example.com:" + port}) // the certificate's name
	require.NoError(t, err)
	require.Equal(t, "TLS 1.3", answer.TLS)

	_, err = egress.New(local).Post(t.Context(), egress.Call{URL: "https://shop.example:" + port})
	require.Equal(t, egress.ClassTLS, egress.Class(err), "another name: %v", err)

	_, err = post(t, server.URL)
	require.Equal(t, egress.ClassTLS, egress.Class(err), "nobody's root: %v", err)
}

type fixed []string

func (f fixed) LookupNetIP(context.Context, string, string) (addrs []netip.Addr, _ error) {
	for _, a := range f {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs, nil
}

func TestARedirectIsAnAnswerAndNotFollowed(t *testing.T) {
	t.Parallel()
	var followed atomic.Int32
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	t.Cleanup(inside.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{inside.URL, "http://169.254.169.254/latest/meta-data/", "http://[::1", "", "//", "/again"} {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Location"] = []string{to}
				w.WriteHeader(status)
			}))
			t.Cleanup(server.Close)
			answer, err := post(t, server.URL)
			require.NoError(t, err, "%d to %q", status, to)
			require.Equal(t, status, answer.Status)
		}
	}
	require.Zero(t, followed.Load())
}

func TestEveryStatusIsAnAnswer(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 204, 400, 401, 410, 429, 500, 503} {
		url := serve(t, func(conn net.Conn) {
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d Whatever\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n", status)
		})
		answer, err := post(t, url)
		require.NoError(t, err)
		require.Equal(t, status, answer.Status)
		require.Equal(t, "3600", answer.Header.Get("Retry-After"))
	}
}

func TestASlowAnswerEndsWithTheTime(t *testing.T) {
	t.Parallel()
	url := serve(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
		for range 100 {
			if _, err := conn.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	answer, err := newClient().Post(t.Context(), egress.Call{URL: url, Timeout: 450 * time.Millisecond})
	require.Equal(t, egress.ClassTimeout, egress.Class(err), err)
	require.Equal(t, http.StatusOK, answer.Status, "what came is kept")
	require.Less(t, answer.Bytes, int64(10))
	require.Less(t, answer.Took, 3*time.Second)
}

func TestAServerThatSaysNothingEndsWithTheTime(t *testing.T) {
	t.Parallel()
	url := serve(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	answer, err := newClient().Post(t.Context(), egress.Call{URL: url, Timeout: 300 * time.Millisecond})
	require.Equal(t, egress.ClassTimeout, egress.Class(err), err)
	require.Zero(t, answer.Status)
	require.Positive(t, answer.Connected)
}

func TestAnEndlessBodyIsReadUpToItsLimit(t *testing.T) {
	t.Parallel()
	hungUp := make(chan int64, 1)
	for _, head := range []string{"Content-Length: 10737418240\r\n\r\n", "\r\n"} {
		url := serve(t, func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+head)
			sent, _ := io.Copy(conn, endless{})
			hungUp <- sent
		})
		answer, err := post(t, url)
		require.NoError(t, err)
		require.EqualValues(t, 16<<10, answer.Bytes)
		require.Len(t, answer.Body, 4<<10)
		require.Less(t, <-hungUp, int64(64<<20), "the connection is closed, not drained")
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("y"), len(p))), nil }

func TestTheCallerSaysHowMuchIsKept(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("z"), 5000)) }))
	t.Cleanup(server.Close)
	for keep, want := range map[int]int{0: 4096, 10: 10, 1 << 20: 5000} {
		answer, err := newClient().Post(t.Context(), egress.Call{URL: server.URL, Keep: keep})
		require.NoError(t, err)
		require.Len(t, answer.Body, want)
		require.EqualValues(t, 5000, answer.Bytes)
	}
}

func TestACompressedBodyStaysCompressed(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	_, _ = w.Write(make([]byte, 10<<20))
	require.NoError(t, w.Close())
	require.Less(t, bomb.Len(), 16<<10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			w.WriteHeader(http.StatusBadRequest)
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	}))
	t.Cleanup(server.Close)
	answer, err := newClient().Post(t.Context(), egress.Call{URL: server.URL, Keep: 16 << 10})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.Status)
	require.Equal(t, bomb.Bytes(), answer.Body)
}

func TestABrokenAnswerHasItsClass(t *testing.T) {
	t.Parallel()
	endlessly := func(head, line string) func(net.Conn) {
		return func(conn net.Conn) {
			_, _ = io.WriteString(conn, head)
			for {
				if _, err := io.WriteString(conn, strings.Repeat(line, 100)); err != nil {
					return
				}
			}
		}
	}
	say := func(text string) func(net.Conn) {
		return func(conn net.Conn) { _, _ = io.WriteString(conn, text) }
	}
	reset := func(text string) func(net.Conn) {
		return func(conn net.Conn) {
			_, _ = io.WriteString(conn, text)
			time.Sleep(50 * time.Millisecond) // a reset may overtake what was sent before it
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
	}
	for name, tt := range map[string]struct {
		answer func(net.Conn)
		want   []string
	}{
		"a reset in the middle of the body":  {reset("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"), []string{egress.ClassReset}},
		"a reset before any answer":          {reset(""), []string{egress.ClassReset}},
		"a connection closed without answer": {say(""), []string{egress.ClassReset}},
		"a body that is too short":           {say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"), []string{egress.ClassReset}},
		"an invalid chunk":                   {say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n"), []string{egress.ClassProtocol}},
		"a chunk without its end":            {say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n"), []string{egress.ClassProtocol}},
		"another protocol":                   {say("SSH-2.0-OpenSSH_9.2\r\n\r\n"), []string{egress.ClassProtocol}},
		"two lengths":                        {say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), []string{egress.ClassProtocol}},
		"a flood of headers":                 {endlessly("HTTP/1.1 200 OK\r\n", "X-A: b\r\n"), []string{egress.ClassTooLarge}},
		"one endless header":                 {endlessly("HTTP/1.1 200 OK\r\nX-A: ", "bbbbbbbb"), []string{egress.ClassTooLarge}},
		"a flood of interim answers":         {endlessly("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), []string{egress.ClassTooLarge}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := post(t, serve(t, tt.answer))
			require.Contains(t, tt.want, egress.Class(err), "%v", err)
		})
	}
}

func TestWhatFailsBeforeTheRequestHasItsClass(t *testing.T) {
	t.Parallel()
	closed := listen(t, func(net.Conn) {})
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		_, err = post(t, "http://"+l.Addr().String())
		require.Equal(t, egress.ClassConnect, egress.Class(err), err)
	})
	t.Run("a name that does not exist", func(t *testing.T) {
		t.Parallel()
		for _, r := range []egress.Resolver{fixed{}, failing{}} {
			c := egress.New(egress.Options{AllowPrivate: true, Resolver: r})
			_, err := c.Post(t.Context(), egress.Call{URL: "http://nowhere.example:8080/"})
			require.Equal(t, egress.ClassDNS, egress.Class(err), err)
		}
	})
	t.Run("a handshake that is cut off", func(t *testing.T) {
		t.Parallel()
		_, err := post(t, "https://"+closed)
		require.Equal(t, egress.ClassTLS, egress.Class(err), err)
	})
	t.Run("a handshake that never ends", func(t *testing.T) {
		t.Parallel()
		stalled := listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
		answer, err := post(t, "https://"+stalled)
		require.Equal(t, egress.ClassTLS, egress.Class(err), err)
		require.InDelta(t, 5*time.Second, answer.Took, float64(2*time.Second))
	})
	t.Run("a connection that never comes", func(t *testing.T) {
		t.Parallel()
		c := egress.New(egress.Options{AllowPrivate: true, Resolver: fixed{"127.0.0.1", "127.0.0.2", "127.0.0.3"}, Dial: hang})
		answer, err := c.Post(t.Context(), egress.Call{URL: "http://slow.example:8080/"})
		require.Equal(t, egress.ClassConnect, egress.Class(err), err)
		require.InDelta(t, 3*time.Second, answer.Took, float64(time.Second))
	})
	t.Run("a caller that gives up", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		url := serve(t, func(conn net.Conn) {
			cancel()
			_, _ = io.Copy(io.Discard, conn)
		})
		_, err := newClient().Post(ctx, egress.Call{URL: url})
		require.Equal(t, egress.ClassInterrupted, egress.Class(err), err)
	})
	require.Empty(t, egress.Class(nil))
}

type failing struct{}

func (failing) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

func hang(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestTheNextAddressIsTriedWhereOneDoesNotAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	c := egress.New(egress.Options{
		AllowPrivate: true, Resolver: fixed{"fd12::1", "10.0.0.1", "127.0.0.1"},
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if !strings.HasPrefix(address, "127.") {
				return nil, errors.New("unreachable")
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	})
	answer, err := c.Post(t.Context(), egress.Call{URL: "http://shop.example:" + port})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.Status)
}

func TestAConnectionIsUsedAgainAndItsLossIsNotAFailure(t *testing.T) {
	t.Parallel()
	var connections, requests atomic.Int32
	address := listen(t, func(conn net.Conn) {
		connections.Add(1)
		in := bufio.NewReader(conn)
		for range 2 { // and then the server has had enough, without a word
			request, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, request.Body)
			requests.Add(1)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
		if _, err := http.ReadRequest(in); err == nil {
			_ = conn.Close()
		}
	})
	c := newClient()
	for range 10 {
		answer, err := c.Post(t.Context(), egress.Call{URL: "http://" + address, Body: []byte("{}")})
		require.NoError(t, err)
		require.Equal(t, "ok", string(answer.Body))
	}
	require.EqualValues(t, 10, requests.Load())
	require.EqualValues(t, 5, connections.Load())
}
