package handlers_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/handlers"
	"xsynesis/id"
)

func TestEveryAnswerTellsBrowsersHowToTreatIt(t *testing.T) {
	t.Parallel()
	w := newLimitedWorld(t, func(o *handlers.Options) {
		o.AnyHost = false
		o.Extend = func(e *echo.Echo, _ *handlers.Handlers) {
			e.GET("/boom", func(echo.Context) error { panic("a secret of ours") })
		}
	})
	link := w.link(w.cafeKey, "0.50")
	browser, _ := w.signIn("kiosk")
	w.exhaust("/nothing", at(neighbour))
	large := strings.Repeat("x", 300<<10)
	for name, a := range map[string]reply{
		"a page":                   w.get("/login", page),
		"a page of the dashboard":  w.get("/dashboard", page, browser),
		"a part of a page":         w.get("/dashboard", header("HX-Request", "true"), browser),
		"a link's page":            w.get("/link/"+link["token"].(string), page),
		"an offer":                 w.get("/link/" + link["token"].(string)),
		"JSON":                     w.get("/api/payment_links/list", as(w.cafeKey)),
		"a redirect":               w.get("/"),
		"a preflight":              w.do(http.MethodOptions, "/link/x", nil),
		"a style sheet":            w.get(w.styleSheet()),
		"a code":                   w.get("/api/qr?token=" + link["token"].(string)),
		"a health check":           w.get("/healthz"),
		"the queue's pages":        w.get("/admin/jobs", w.signInOperator()),
		"not signed in":            w.get("/dashboard", page),
		"no key":                   w.get("/api/balance"),
		"refused figures":          w.get("/metrics"),
		"another site":             w.sends("/logout", nil, header("Sec-Fetch-Site", "cross-site")),
		"not found":                w.get("/nothing", page),
		"no such method":           w.do(http.MethodDelete, "/login", nil),
		"text that no row holds":   w.get("/nothing%00", page),
		"too large":                w.post("/api/payment_links/create", large, as(w.cafeKey)),
		"another host":             w.get("/login", page, func(r *http.Request) { r.Host = "evil.example" }),
		"too often":                w.get("/login", page, at(neighbour)),
		"a fault of our own":       w.get("/boom", page),
		"a fault, for programs":    w.get("/boom"),
		"an answer kept for a key": w.post("/api/payment_links/create", map[string]any{"title": "x", "price": "1"}, as(w.cafeKey), header("Idempotency-Key", "once")),
	} {
		require.Contains(t, a.header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'; ", name)
		require.Contains(t, a.header.Get("Content-Security-Policy"), "frame-ancestors 'none'; base-uri 'none'", name)
		for header, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin-allow-popups", "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
		} {
			require.Equal(t, []string{want}, a.header.Values(header), "%s of %s", header, name)
		}
	}
	require.Equal(t, 500, w.get("/boom", page).status)
	require.NotContains(t, string(w.get("/boom", page).body), "secret")
}

// styleSheet is the address of one, as pages name it.
func (w *apiWorld) styleSheet() string {
	w.t.Helper()
	found := regexp.MustCompile(`href="(/static/css/[^"]+)"`).FindSubmatch(w.get("/login", page).body)
	require.NotNil(w.t, found)
	return string(found[1])
}

func TestHTTPSIsAskedForWhereTheSiteHasItWhateverAProxySays(t *testing.T) {
	t.Parallel()
	const name = "Strict-Transport-Security"
	plain := newWorld(t, func(o *handlers.Options) { o.PublicURL = "http://localhost:8402" })
	require.Empty(t, plain.get("/login", header("X-Forwarded-Proto", "https")).header.Get(name))
	require.NotContains(t, plain.sends("/join", url.Values{"name": {"Ada"}}, header("X-Forwarded-Proto", "https")).header.Get("Set-Cookie"), "Secure")
	secured := newWorld(t)
	require.NotEmpty(t, secured.get("/login", header("X-Forwarded-Proto", "http")).header.Get(name))
	require.Contains(t, secured.sends("/join", url.Values{"name": {"Ada"}}, header("X-Forwarded-Proto", "http")).header.Get("Set-Cookie"), "; Secure")
}

func TestOnlyTheSitesOwnNameIsAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *handlers.Options) { o.AnyHost = false })
	named := func(host string) with { return func(r *http.Request) { r.Host = host } }
	for _, host := range []string{
		"evil.example", "shop.example.evil.example", "evil.example:443", "shop.example:8443", "shop.example:80", "shop.example.", "shop.example@evil.example",
		"127.0.0.1", "localhost", "", ":443", "shop.example:443:443", "[::1]", "shop.example,evil.example",
	} {
		for _, path := range []string{"/login", "/link/x", "/api/nothing", "/docs", "/nothing", "/favicon.ico"} {
			a := w.get(path, named(host))
			require.Equal(t, 421, a.status, "%q %s", host, path)
			require.NotContains(t, string(a.body), "evil")
		}
	}
	for _, host := range []string{"shop.example", "SHOP.example", "shop.example:443"} {
		require.Equal(t, 200, w.get("/login", named(host)).status, host)
	}
	// What else names a host is not read: every address is made of PUBLIC_URL.
	link := w.link(w.cafeKey, "0.50")
	forged := []with{header("X-Forwarded-Host", "evil.example"), header("Forwarded", "host=evil.example"), header("X-Original-Host", "evil.example"), header("X-Host", "evil.example")}
	for _, a := range []reply{
		w.get("/link/"+link["token"].(string), append(forged, page)...), w.get("/link/"+link["token"].(string), forged...), w.get("/openapi.json", forged...),
		w.post("/api/create_payment_session", map[string]any{"link_token": link["token"]}, forged...), w.get("/dashboard", append(forged, page)...),
	} {
		require.Less(t, a.status, 500)
		require.NotContains(t, string(a.body)+fmt.Sprint(a.header), "evil.example")
	}
}

func TestARequestHasAnEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	browser, _ := w.signIn("kiosk")
	var parts bytes.Buffer
	form := multipart.NewWriter(&parts)
	require.NoError(t, form.WriteField("title", strings.Repeat("x", 300<<10)))
	require.NoError(t, form.Close())
	// Of a body without a length the server learns only while it reads.
	endless := func() io.Reader { return io.LimitReader(repeating('x'), 1<<30) }
	for name, a := range map[string]reply{
		"JSON":               w.post("/api/create_payment_session", strings.Repeat(" ", 300<<10)+"{}"),
		"JSON, no length":    w.do(http.MethodPost, "/api/create_payment_session", endless()),
		"a form":             w.form("/dashboard/links", url.Values{"title": {strings.Repeat("x", 300<<10)}}, browser),
		"a form, no length":  w.do(http.MethodPost, "/dashboard/links", endless(), browser),
		"a form in parts":    w.do(http.MethodPost, "/dashboard/links", bytes.NewReader(parts.Bytes()), browser, header("Content-Type", form.FormDataContentType())),
		"a payment":          w.do(http.MethodPost, "/link/AAAAAAAAAAAAAAAAAAAAAA", endless(), header("X-PAYMENT", "x")),
		"nobody's":           w.do(http.MethodPost, "/dashboard/links", endless(), page),
		"an access token":    w.post("/api/auth/privy", map[string]any{"token": strings.Repeat("x", 1<<20)}),
		"a passkey's answer": w.post("/login/passkeys", map[string]any{"answer": strings.Repeat("x", 1<<20)}),
		"a GET with a body":  w.do(http.MethodGet, "/login", endless()),
	} {
		require.Equal(t, http.StatusRequestEntityTooLarge, a.status, name)
	}
	require.Equal(t, 422, w.sends("/login/codes", url.Values{"code": {strings.Repeat("0", 200<<10)}}).status, "the largest that is read")
}

// repeating never ends.
type repeating byte

func (b repeating) Read(into []byte) (int, error) {
	for i := range into {
		into[i] = byte(b)
	}
	return len(into), nil
}

// impatient is a world on a server that waits little for slow clients, with two routes of a test's.
func impatient(t *testing.T, routes func(*echo.Echo)) (w *apiWorld, dial func() net.Conn) {
	t.Helper()
	w = newWorld(t, func(o *handlers.Options) {
		o.Patience = 300 * time.Millisecond
		o.Extend = func(e *echo.Echo, _ *handlers.Handlers) { routes(e) }
	})
	server := httptest.NewServer(w.echo)
	t.Cleanup(server.Close)
	return w, func() net.Conn {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		return conn
	}
}

func TestASlowSenderIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	_, dial := impatient(t, func(e *echo.Echo) {
		e.POST("/slow", func(c echo.Context) error { // as a payment waits for its chain
			select {
			case <-c.Request().Context().Done():
				return c.NoContent(http.StatusTeapot)
			case <-time.After(time.Second):
				return c.NoContent(http.StatusAccepted)
			}
		})
	})
	for _, head := range []string{
		"POST /login/codes HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 100\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\ncode=1",
		"POST /api/create_payment_session HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
	} {
		conn := dial()
		began := time.Now()
		_, err := io.WriteString(conn, head)
		require.NoError(t, err)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusRequestTimeout, answer.StatusCode)
		_, err = io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Less(t, time.Since(began), 10*time.Second)
		_, err = conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "the connection is over")
	}

	conn := dial()
	reader := bufio.NewReader(conn)
	for range 2 { // also the second time on one connection
		_, err := io.WriteString(conn, "POST /slow HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 2\r\n\r\n{}")
		require.NoError(t, err)
		answer, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusAccepted, answer.StatusCode, "what was sent in time may take its time here")
	}
}

func TestASlowReaderIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	_, dial := impatient(t, func(e *echo.Echo) {
		e.GET("/large", func(c echo.Context) error {
			c.Response().WriteHeader(http.StatusOK)
			_, err := io.Copy(c.Response(), io.LimitReader(repeating('x'), 1<<30))
			ended <- err
			return nil
		})
	})
	_, err := io.WriteString(dial(), "GET /large HTTP/1.1\r\nHost: shop.example\r\n\r\n")
	require.NoError(t, err)
	select {
	case err := <-ended:
		require.Error(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("it is still being sent")
	}
}

func TestAStreamOutlivesThePatienceWithOneAnswer(t *testing.T) {
	t.Parallel()
	var hub *checkout.Hub
	w := newWorld(t, func(o *handlers.Options) { o.Patience, hub = 200*time.Millisecond, o.Hub })
	go func() { _ = hub.Run(t.Context()) }()
	server := httptest.NewServer(w.echo)
	t.Cleanup(server.Close)
	attempt := w.session(w.link(w.cafeKey, "0.50"))["payment_attempt"].(string)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/pay/"+attempt+"/events", nil)
	require.NoError(t, err)
	answer, err := server.Client().Do(r)
	require.NoError(t, err)
	defer answer.Body.Close() //nolint:errcheck // it was read
	lines := make(chan string, 100)
	go func() {
		for s := bufio.NewScanner(answer.Body); s.Scan(); {
			lines <- s.Text()
		}
		close(lines)
	}()
	time.Sleep(600 * time.Millisecond)
	parsed, err := id.Parse[id.Attempt](attempt)
	require.NoError(t, err)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case line, open := <-lines:
			require.True(t, open, "it was cut off")
			if line == "event: changed" {
				return
			}
		case <-tick.C: // until the hub listens
			hub.Changed(parsed, w.cafe)
		case <-time.After(10 * time.Second):
			t.Fatal("nothing came")
		}
	}
}
