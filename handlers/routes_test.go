package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/handlers"
)

func TestEveryRouteStandsInTheTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var served, written []string
	for _, r := range w.echo.Routes() {
		if !strings.HasPrefix(r.Method, "echo_") { // what the router keeps for itself
			served = append(served, r.Method+" "+r.Path)
		}
	}
	for _, r := range accessTable(t) {
		written = append(written, r.String())
	}
	slices.Sort(served)
	slices.Sort(written)
	require.Equal(t, slices.Compact(slices.Clone(written)), written, "a route stands there once")
	require.Equal(t, served, written, "say in testdata/access.tsv who may do it")
}

// refusals are the words of the table for requests that change nothing.
var refusals = []string{"no", "login", "none", "gone", "shop", "pair", "invited", "confirm"}

// tried is one request of the table, and what came of it.
type tried struct {
	reply
	touched []touch
	what    string
}

// try makes a route's usual request.
func (w *accessWorld) try(r rule, p somebody, sends ...with) tried {
	w.t.Helper()
	ids := w.own(p)
	carries := w.form(r, ids)
	w.target(r.path, ids) // what it names is there before anybody looks what is touched
	w.touched()
	answer := w.ask(r, ids, carries, sends...)
	return tried{answer, w.touched(), fmt.Sprintf("%s: %d %.300s", r, answer.status, answer.body)}
}

// mistakes are what is wrong with an answer, where the table has a word for it.
func (a tried) mistakes(r rule, want string) (out []string) {
	got := a.outcome()
	if want == "gone" && got == "yes" {
		got = "gone"
	}
	if got != want {
		out = append(out, fmt.Sprintf("want %q, got %q: %s", want, got, a.what))
	}
	if len(a.touched) > 0 && (r.safe() || slices.Contains(refusals, want)) {
		out = append(out, fmt.Sprintf("%v is changed: %s", a.touched, a.what))
	}
	if to := a.header.Get("Location"); to != "" && ownTarget(to) == "" {
		out = append(out, fmt.Sprintf("leads to %s: %s", to, a.what))
	}
	return out
}

// ownTarget is a path of this site, or nothing for what leads elsewhere.
func ownTarget(to string) string {
	to = strings.TrimPrefix(to, site)
	u, err := url.Parse(to)
	if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") {
		return ""
	}
	return to
}

// astray is what somebody adds who wants to be sent to another site.
func astray(r *http.Request) {
	q := r.URL.Query()
	for _, name := range []string{"return", "next", "redirect", "url"} {
		q.Set(name, "https://evil.example/")
	}
	if r.URL.Path != "/api/qr" {
		r.URL.RawQuery = q.Encode()
	}
	r.Header.Set("Referer", "https://evil.example/login")
}

func TestEveryRouteOpensToWhomTheTableNames(t *testing.T) {
	t.Parallel()
	table := accessTable(t)
	for _, column := range people {
		t.Run(column, func(t *testing.T) {
			t.Parallel()
			w := newAccessWorld(t)
			var wrong []string
			changed := 0
			for _, r := range table {
				p, sends := w.as(column)
				answer := w.try(r, p, sends, astray)
				wrong = append(wrong, answer.mistakes(r, r.cells[column])...)
				changed += len(answer.touched)
			}
			require.Empty(t, strings.Join(wrong, "\n"))
			require.NotZero(t, changed, "somebody looks")
		})
	}
}

func TestWhatWeighsMuchIsConfirmedFirst(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	var wrong []string
	stale := func(r rule) tried {
		p, sends := w.as("owner")
		w.exec(`UPDATE sessions SET stepped_up_at = now() - interval '6 minutes' WHERE id = $1`, p.session.ID)
		return w.try(r, p, sends)
	}
	for _, r := range accessTable(t) {
		if r.cells["owner"] == "no" || r.readsNoCookie() {
			continue
		}
		w.weighty = false
		want := r.cells["owner"]
		if r.cells["proof"] == "yes" {
			want = "confirm"
		}
		wrong = append(wrong, stale(r).mistakes(r, want)...)
		if w.weighty = r.cells["proof"] == "weighty"; w.weighty {
			wrong = append(wrong, stale(r).mistakes(r, "confirm")...)
		}
	}
	require.Empty(t, strings.Join(wrong, "\n"))
}

func TestAKeyOpensWhatItsScopesSayAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	var wrong []string
	try := func(r rule, want, key string) {
		wrong = append(wrong, w.try(r, w.boss, as(key)).mistakes(r, want)...)
	}
	for _, r := range accessTable(t) {
		all, foreign := w.key(w.shop, false, access.Scopes...), w.key(w.other, false, access.Scopes...)
		switch scope := access.Scope(r.cells["key"]); scope {
		case "-":
			try(r, r.cells["nobody"], all)
		case "public":
			try(r, r.cells["owner"], all)
			try(r, r.cells["other"], foreign)
		default:
			require.Contains(t, access.Scopes, scope, r)
			rest := slices.DeleteFunc(slices.Clone(access.Scopes), func(s access.Scope) bool { return s == scope })
			try(r, r.cells["owner"], w.key(w.shop, false, scope))
			try(r, "no", w.key(w.shop, false, rest...))
			try(r, r.cells["other"], foreign)
			if r.cells["other"] == "none" && !strings.HasPrefix(r.path, "/api/items/") { // which are of both modes
				try(r, "none", w.key(w.shop, true, scope)) // of the other mode
			}
		}
	}
	require.Empty(t, strings.Join(wrong, "\n"))
}

func TestNoGetChangesARow(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	var wrong []string
	disguised := func(r *http.Request) {
		r.Header.Set("X-Http-Method-Override", http.MethodPost)
		r.Header.Set("X-Method-Override", http.MethodPost)
		q := r.URL.Query()
		q.Set("_method", http.MethodPost)
		r.URL.RawQuery = q.Encode()
	}
	for _, r := range accessTable(t) {
		if !r.safe() {
			continue
		}
		for _, column := range []string{"owner", "till", "operator"} {
			p, sends := w.as(column)
			for name, accept := range readers {
				answer := w.try(r, p, sends, accept, disguised)
				if len(answer.touched) > 0 || answer.status >= 500 {
					wrong = append(wrong, fmt.Sprintf("%s as %s, %s, changes %v", r, column, name, answer.touched))
				}
			}
		}
	}
	require.Empty(t, strings.Join(wrong, "\n"))
}

func TestNoFormOfAnotherSiteIsTaken(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	var wrong []string
	for _, r := range accessTable(t) {
		if r.safe() {
			continue
		}
		for name, comes := range map[string]with{
			"another site": header("Sec-Fetch-Site", "cross-site"), "a subdomain": header("Sec-Fetch-Site", "same-site"),
			"an old browser": header("Origin", "https://evil.example"), "a sandbox": header("Origin", "null"),
		} {
			p, _ := w.as("owner")
			answer := w.try(r, p, cookies("sid", p.secret, "oid", w.operator()), comes)
			if r.readsNoCookie() { // so that there is nothing that another site could use
				wrong = append(wrong, answer.mistakes(r, r.cells["nobody"])...)
				continue
			}
			if answer.status != http.StatusForbidden || answer.errorCode() != "cross_origin" || len(answer.touched) > 0 {
				wrong = append(wrong, fmt.Sprintf("from %s: %v, %s", name, answer.touched, answer.what))
			}
		}
	}
	require.Empty(t, strings.Join(wrong, "\n"))
}

func TestARequestForAnotherHostIsRefused(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t, func(o *handlers.Options) { o.AnyHost = false })
	forMonitoring := []string{"/healthz", "/readyz", "/metrics"}
	for _, r := range accessTable(t) {
		p, sends := w.as("owner")
		for _, host := range []string{"evil.example", "shop.example.evil.example", "shop.example:8443", "SHOP.EXAMPLE@evil.example"} {
			forged := w.try(r, p, sends, func(r *http.Request) { r.Host = host })
			if slices.Contains(forMonitoring, r.path) {
				require.NotEqual(t, http.StatusMisdirectedRequest, forged.status, forged.what)
				continue
			}
			require.Equal(t, http.StatusMisdirectedRequest, forged.status, forged.what)
			require.Empty(t, forged.touched, forged.what)
		}
		told := w.try(r, p, sends, header("X-Forwarded-Host", "evil.example"), header("Forwarded", "host=evil.example"))
		require.NotContains(t, string(told.body), "evil.example", r)
		require.NotContains(t, fmt.Sprint(told.header), "evil.example", r)
	}
}
