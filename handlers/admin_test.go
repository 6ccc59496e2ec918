package handlers_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/handlers"
	"xsynesis/health"
	"xsynesis/id"
)

const operatorToken = "kP2r9vQ7sXw4zB6nM1tC8yL3hD5gJ0aF"

// queuePages stand for the pages of the queue: they say who got through.
type queuePages struct{}

func (queuePages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = w.Write([]byte("inside: " + r.Method + " " + r.URL.Path))
}

func form() []with {
	return []with{header("Content-Type", "application/x-www-form-urlencoded"), asPage}
}

func asPage(r *http.Request) { r.Header.Set("Accept", "text/html") }

// signInOperator posts the token and returns what browsers keep.
func (w *apiWorld) signInOperator() with {
	w.t.Helper()
	answer := w.post("/admin/sessions", url.Values{"token": {operatorToken}}.Encode(), form()...)
	require.Equal(w.t, http.StatusSeeOther, answer.status, string(answer.body))
	require.Equal(w.t, "/admin", answer.header.Get("Location"))
	return keeps(w.t, answer)
}

func keeps(t *testing.T, answer reply) with {
	t.Helper()
	cookies := (&http.Response{Header: answer.header}).Cookies()
	require.Len(t, cookies, 1)
	return func(r *http.Request) { r.AddCookie(cookies[0]) }
}

// member is a cookie of a shop's owner.
func (w *apiWorld) member() with {
	w.t.Helper()
	var person id.Person
	_, err := w.pool.Exec(w.t.Context(), `INSERT INTO persons (id, name, created_at) VALUES ('usr_1', 'Ada', now())`)
	require.NoError(w.t, err)
	person = "usr_1"
	_, err = w.pool.Exec(w.t.Context(), `INSERT INTO members (merchant_id, person_id, role, created_at) VALUES ($1, $2, 'owner', now())`, w.cafe, person)
	require.NoError(w.t, err)
	secret, err := w.access.SignIn(w.t.Context(), w.cafe, person)
	require.NoError(w.t, err)
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "__Host-sid", Value: secret}) }
}

func TestTheOperatorsPagesAreTheOperatorsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seller, operator := w.member(), w.signInOperator()
	for _, path := range []string{"/admin/jobs", "/admin/jobs/", "/admin/jobs/api/jobs", "/admin/jobs/api/health-checks/minimal", "/admin/jobs/assets/main.js"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			require.Equal(t, 401, w.do(method, path, nil).status, "%s %s, anybody", method, path)
			require.Equal(t, 401, w.do(method, path, nil, as(w.cafeKey)).status, "%s %s, an API key", method, path)
			require.Equal(t, 403, w.do(method, path, nil, seller).status, "%s %s, a seller", method, path)
			inside := w.do(method, path, nil, operator)
			require.Equal(t, 200, inside.status)
			require.Equal(t, "inside: "+method+" "+path, string(inside.body))
			require.Equal(t, "DENY", inside.header.Get("X-Frame-Options"))
			require.Contains(t, inside.header.Get("Content-Security-Policy"), "script-src 'self'")
		}
		foreign := w.do(http.MethodPut, path, nil, operator, header("Sec-Fetch-Site", "cross-site"))
		require.Equal(t, 403, foreign.status, "another site's page may not pull the operator's strings")
	}

	require.Equal(t, 401, w.get("/admin").status, "a program")
	anybody := w.get("/admin", asPage)
	require.Equal(t, 200, anybody.status)
	require.Contains(t, string(anybody.body), `action="/admin/sessions"`)
	require.NotContains(t, string(anybody.body), "Gas money")
	asSeller := w.get("/admin", asPage, seller)
	require.Equal(t, 403, asSeller.status)
	require.Contains(t, string(asSeller.body), "signed in as a seller")
	require.NotContains(t, string(asSeller.body), "Gas money")

	page := w.get("/admin", asPage, operator, seller)
	require.Equal(t, 200, page.status)
	require.Contains(t, string(page.body), "Gas money")
	require.Contains(t, page.header.Get("Cache-Control"), "no-store")
	part := w.get("/admin", header("HX-Request", "true"), operator)
	require.Equal(t, 200, part.status)
	require.True(t, strings.HasPrefix(string(part.body), `<div id="live"`))
	require.Equal(t, "/admin", w.get("/admin", header("HX-Request", "true")).header.Get("HX-Redirect"))
}

func TestTheOperatorsCookieIsBoundAndEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	answer := w.post("/admin/sessions", url.Values{"token": {" " + operatorToken + "\n"}}.Encode(), form()...)
	cookie := answer.header.Get("Set-Cookie")
	for _, part := range []string{"__Host-oid=", "Path=/", "Max-Age=43200", "HttpOnly", "Secure", "SameSite=Strict"} {
		require.Contains(t, cookie, part)
	}
	operator := keeps(t, answer)
	require.Equal(t, 200, w.get("/admin/jobs", operator).status)

	out := w.post("/admin/sign-out", "", append(form(), operator)...)
	require.Equal(t, 303, out.status)
	require.Contains(t, out.header.Get("Set-Cookie"), "Max-Age=0")
	require.Equal(t, 401, w.get("/admin/jobs", operator).status, "the cookie that somebody kept opens nothing")

	foreign := w.post("/admin/sessions", url.Values{"token": {operatorToken}}.Encode(), append(form(), header("Sec-Fetch-Site", "cross-site"))...)
	require.Equal(t, 403, foreign.status)
}

func TestWrongTokensAreFewToTheMinute(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	w := newWorld(t, func(o *handlers.Options) { o.Now = func() time.Time { return now } })
	try := func(token, address string) reply {
		return w.post("/admin/sessions", url.Values{"token": {token}}.Encode(),
			append(form(), func(r *http.Request) { r.RemoteAddr = address + ":999" })...)
	}
	for range 5 {
		wrong := try("guess", "203.0.113.7")
		require.Equal(t, 422, wrong.status)
		require.Contains(t, string(wrong.body), "not the operator")
		require.NotContains(t, string(wrong.body), "guess")
	}
	for _, token := range []string{"guess", operatorToken} {
		late := try(token, "203.0.113.7")
		require.Equal(t, 429, late.status)
		require.Equal(t, "60", late.header.Get("Retry-After"))
	}
	require.Equal(t, 303, try(operatorToken, "203.0.113.8").status, "others are not held up")
	now = now.Add(time.Minute)
	require.Equal(t, 303, try(operatorToken, "203.0.113.7").status)
}

func TestMetricsAreNotForThePublic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.get("/healthz")
	w.get("/link/AAAAAAAAAAAAAAAAAAAAAA")
	from := func(address, host string, more ...with) []with {
		return append([]with{func(r *http.Request) { r.RemoteAddr, r.Host = address, host }}, more...)
	}
	require.Equal(t, 401, w.get("/metrics").status)
	require.Equal(t, 401, w.get("/metrics", from("127.0.0.1:9", "localhost:8402")...).status, "not even from here: a proxy is here too")
	require.Equal(t, 401, w.get("/metrics", as(w.cafeKey)).status)
	require.Equal(t, "Bearer", w.get("/metrics").header.Get("WWW-Authenticate"))
	require.Equal(t, 200, w.get("/metrics", w.signInOperator()).status)

	answer := w.get("/metrics", as(operatorToken))
	require.Equal(t, 200, answer.status)
	for _, name := range []string{
		`xsynesis_figures_up 1`, `xsynesis_payments_under_way{state="open"} 0`, `xsynesis_settlement_seconds_bucket{le="1"} 0`,
		`xsynesis_queue_age_seconds{queue="settle"} 0`, `xsynesis_unsettled_oldest_seconds 0`, `xsynesis_webhook_oldest_pending_seconds 0`,
		`xsynesis_relayer_settlements_left{address="0x90f79bf6eb2c4f870365e785982e1f101e93b906",network="eip155:84532"} 1000`,
		`xsynesis_http_requests_total{route="/healthz",status="200"} 1`, `xsynesis_http_requests_total{route="/link/:token",status="404"} 1`,
		`xsynesis_finding{subject="gas"} 0`, `go_goroutines`,
	} {
		require.True(t, strings.Contains(string(answer.body), name), name) //nolint:testifylint // the whole text is pages long
	}
	require.False(t, strings.Contains(string(answer.body), "AAAAAAAAAAAA"), "labels hold routes, not addresses") //nolint:testifylint // the same

	development := newWorld(t, func(o *handlers.Options) { o.Development = true })
	require.Equal(t, 200, development.get("/metrics", from("127.0.0.1:9", "localhost:8402")...).status)
	require.Equal(t, 200, development.get("/metrics", from("[::1]:9", "[::1]:8402")...).status)
	for name, asked := range map[string][]with{
		"another machine":   from("192.0.2.1:9", "localhost:8402"),
		"a name from a web": from("127.0.0.1:9", "evil.example"),
		"through a proxy":   from("127.0.0.1:9", "localhost:8402", header("X-Forwarded-For", "192.0.2.1")),
	} {
		require.Equal(t, 401, development.get("/metrics", asked...).status, name)
	}
}

func TestMonitoringNeedsNoPublicName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *handlers.Options) { o.AnyHost = false })
	inside := func(r *http.Request) { r.Host = "10.0.0.7:8402" }
	require.Equal(t, 200, w.get("/healthz", inside).status)
	require.Equal(t, 200, w.get("/readyz", inside).status)
	require.Equal(t, 200, w.get("/metrics", inside, as(operatorToken)).status)
	require.Equal(t, 421, w.get("/admin", inside).status)
}

func TestTheProbeAnswersPrivateNetworks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	down := errors.New("no database")
	var ready error
	probe := handlers.NewProbe(health.New(w.pool, health.Options{Networks: w.networks, Now: time.Now}), access.NewOperator(w.pool, operatorToken, time.Now),
		func(context.Context) error { return ready })
	ask := func(path, from string, more ...with) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.RemoteAddr = from
		for _, m := range more {
			m(r)
		}
		recorder := httptest.NewRecorder()
		probe.ServeHTTP(recorder, r)
		return recorder.Code
	}
	require.Equal(t, 200, ask("/healthz", "192.0.2.1:9"))
	require.Equal(t, 200, ask("/readyz", "192.0.2.1:9"))
	ready = down
	require.Equal(t, 503, ask("/readyz", "127.0.0.1:9"))
	require.Equal(t, 200, ask("/healthz", "127.0.0.1:9"), "a process without its database lives; killing it helps nobody")
	for from, status := range map[string]int{
		"127.0.0.1:9": 200, "[::1]:9": 200, "10.1.2.3:9": 200, "172.18.0.4:9": 200, "[fd00::7]:9": 200, "[::ffff:10.1.2.3]:9": 200,
		"192.0.2.1:9": 401, "[2001:db8::1]:9": 401, "100.64.0.1:9": 401,
	} {
		require.Equal(t, status, ask("/metrics", from), from)
	}
	require.Equal(t, 401, ask("/metrics", "10.1.2.3:9", header("X-Forwarded-For", "192.0.2.1")))
	require.Equal(t, 200, ask("/metrics", "192.0.2.1:9", as(operatorToken)))
	require.Equal(t, 404, ask("/admin", "127.0.0.1:9"))
}

func TestEveryMetricIsInTheDocumentation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/monitoring.md")
	require.NoError(t, err)
	w := newWorld(t)
	w.get("/healthz")
	name := regexp.MustCompile(`(?m)^# TYPE (xsynesis_\w+)`)
	described := regexp.MustCompile("(?m)^\\| `(xsynesis_\\w+)")
	documented := map[string]bool{}
	for _, found := range described.FindAllStringSubmatch(string(text), -1) {
		documented[found[1]] = true
	}
	for _, found := range name.FindAllStringSubmatch(string(w.get("/metrics", as(operatorToken)).body), -1) {
		require.True(t, documented[found[1]], found[1])
	}
}
