package e2e

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

// canaries are secrets, by what they are. Wherever one of them turns up, something leaks.
type canaries map[string]string

// in names those that a text shows, in clear or in one of the disguises that texts have in logs, pages and databases.
func (c canaries) in(text string) (shown []string) {
	lower := strings.ToLower(text)
	for _, what := range slices.Sorted(maps.Keys(c)) {
		secret := c[what]
		for _, form := range []string{
			secret, url.QueryEscape(secret), html.EscapeString(secret), hex.EncodeToString([]byte(secret)),
			base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
		} {
			if strings.Contains(lower, strings.ToLower(form)) {
				shown = append(shown, what)
				break
			}
		}
	}
	return shown
}

// canaryShop is a shop in three processes that write all they have to say into one file.
type canaryShop struct {
	*world
	canaries
	log   string // path
	owner string // cookie
}

// startCanaryShop plants what the operator sets.
func startCanaryShop(t *testing.T) *canaryShop {
	t.Helper()
	master, operator := drawMasterKey(), "operator-"+rand.Text()
	app, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&app.PublicKey)
	require.NoError(t, err)
	w := startChainAndDatabase(t, "MASTER_KEY="+master, "OPERATOR_TOKEN="+operator, "LOG_LEVEL=debug", "PRIVY_APP_ID=app",
		"PRIVY_VERIFICATION_KEY="+string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	w.seed(t)
	raw, err := base64.StdEncoding.DecodeString(master)
	require.NoError(t, err)
	s := &canaryShop{world: w, log: filepath.Join(t.TempDir(), "log"), canaries: canaries{
		"the master key": master, "the master key's bytes": string(raw), "the master key in hexadecimal": hex.EncodeToString(raw),
		"the operator's token": operator, "the relayer's key": strings.TrimPrefix(w.RelayerKey, "0x"), "the demo's API key": w.APIKey,
	}}
	rpc := s.plant("the node's key", "node"+rand.Text())
	w.Env = w.with(fmt.Sprintf("RPC_URL_%d=%s/v2/%s", w.ChainID, moodyNode(t, w.RPCURL).URL, rpc),
		"FACILITATOR_WEBHOOK_SECRET="+s.plant("the secret of callbacks", rand.Text()))
	s.plant("an access token", accessToken(t, app))
	for _, role := range []string{"serve", "worker", "webhook-dispatcher"} {
		env := w.Env
		if role == "worker" {
			env = w.with(append(s.unreachable(t), "RELAYER_KEY="+w.RelayerKey)...)
		}
		s.startLogged(t, env, role)
	}
	w.awaitReady(t)
	return s
}

func (s *canaryShop) plant(what, secret string) string {
	s.canaries[what] = secret
	return secret
}

// startLogged keeps every line that a process writes.
func (s *canaryShop) startLogged(t *testing.T, env []string, role string) {
	t.Helper()
	path, err := binary("xsynesis")
	require.NoError(t, err)
	s.startPath(t, append(slices.Clone(env), "LOG="+s.log), "/bin/sh", "-c", `exec "$0" "$@" >>"$LOG" 2>&1`, path, role)
}

// unreachable has a facilitator asked first that cannot be had: there is no way out, whatever the machine is connected to.
func (s *canaryShop) unreachable(t *testing.T) (env []string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	secret := s.plant("the facilitator's key", base64.StdEncoding.EncodeToString(key))
	return []string{"FACILITATOR_URL=cdp,own", "CDP_API_KEY_ID=canary", "CDP_API_KEY_SECRET=" + secret, "HTTPS_PROXY=http://127.0.0.1:1"}
}

// moodyNode answers for the chain, and now and then not: errors about it must not show its address.
func moodyNode(t *testing.T, chain string) *httptest.Server {
	t.Helper()
	behind, err := url.Parse(chain)
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(behind)
		r.Out.URL.Path = "/"
	}}
	var asked atomic.Int64
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch asked.Add(1) % 20 {
		case 7:
			http.Error(w, "too many requests for "+r.URL.Path, http.StatusTooManyRequests)
		case 13:
			panic(http.ErrAbortHandler)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(node.Close)
	return node
}

func accessToken(t *testing.T, app *ecdsa.PrivateKey) string {
	t.Helper()
	now := time.Now()
	text, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "privy.io", "aud": "app", "sub": "did:privy:canary", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}).SignedString(app)
	require.NoError(t, err)
	return text
}

// post sends a form that must be taken.
func (s *canaryShop) post(t *testing.T, path, cookie string, fields url.Values) answer {
	t.Helper()
	a := s.sends(t, path, fields, cookie)
	require.Less(t, a.Status, 400, "%s: %s", path, a.Body)
	return a
}

// plantCookie plants what a cookie holds.
func (s *canaryShop) plantCookie(t *testing.T, what, cookie string) string {
	t.Helper()
	_, secret, _ := strings.Cut(cookie, "=")
	require.NotEmpty(t, secret, what)
	s.plant(what, secret)
	return cookie
}

// found finds a secret in the page that shows it once.
func (s *canaryShop) found(t *testing.T, what, pattern string, a answer) string {
	t.Helper()
	return s.plant(what, html.UnescapeString(a.found(t, pattern)))
}

// comeIn uses each way in, leaves the owner signed in, and returns the operator's cookie.
func (s *canaryShop) comeIn(t *testing.T) (operator string) {
	t.Helper()
	s.plant("the owner's key", strings.TrimPrefix(s.OwnerKey, "0x"))
	s.owner = s.plantCookie(t, "the owner's session", s.ownerCookie(t))
	codes := s.post(t, "/account/recovery-codes", s.owner, nil)
	code := s.found(t, "a recovery code", `<code[^>]*>([^<]+)</code>`, codes)
	byCode := s.post(t, "/login/codes", "", url.Values{"code": {code}, "return": {"/dashboard"}})
	s.plantCookie(t, "a session by recovery code", byCode.cookie(t, "sid"))
	body, err := json.Marshal(object{"token": s.canaries["an access token"]})
	require.NoError(t, err)
	by := s.do(t, http.MethodPost, "/api/auth/privy", string(body), "Content-Type", "application/json")
	require.Equal(t, http.StatusOK, by.Status, by.Body)
	s.plantCookie(t, "a session by access token", by.cookie(t, "sid"))
	s.get(t, "/api/payment_links/list", "Authorization", "Bearer "+s.canaries["an access token"])
	signedIn := s.post(t, "/admin/sessions", "", url.Values{"token": {s.canaries["the operator's token"]}})
	return s.plantCookie(t, "the operator's session", signedIn.cookie(t, "oid"))
}

// handOutKeys makes whatever is shown once.
func (s *canaryShop) handOutKeys(t *testing.T, e *endpoint) (till string) {
	t.Helper()
	key := s.post(t, "/dashboard/settings/keys", s.owner, url.Values{"name": {"Web shop"}, "scope": {"links:read", "links:write"}, "expires": {"90"}})
	s.found(t, "an API key", `(sk_test_[0-9A-Za-z]{40,})`, key)
	hook := s.post(t, "/dashboard/webhooks", s.owner, url.Values{"url": {e.URL}, "choice": {"all"}})
	s.found(t, "a webhook's secret", `(whsec_[^<"]{32})`, hook)
	path := regexp.MustCompile(`/dashboard/webhooks/ws_\w+`).FindString(hook.Body)
	s.found(t, "a webhook's next secret", `(whsec_[^<"]{32})`, s.post(t, path+"/rotation", s.owner, nil))
	invite := s.post(t, "/dashboard/staff/invites", s.owner, url.Values{"name": {"Mia"}, "role": {"viewer"}})
	require.Equal(t, http.StatusOK, s.get(t, "/invite/"+s.found(t, "an invitation", `/invite/([\w-]{20,})`, invite), "Accept", "text/html").Status)

	pin := s.plant("a PIN", "90817263")
	s.post(t, "/dashboard/staff/cashiers", s.owner, url.Values{"name": {"Kim"}, "pin": {pin}})
	till = s.plantCookie(t, "a tablet", s.pairTablet(t, s.owner))
	kim := s.get(t, "/dashboard/staff", "Cookie", s.owner, "Accept", "text/html").found(t, `href="/dashboard/staff/people/(usr_\w+)">Kim<`)
	unlocked := s.post(t, "/pos/unlock", till, url.Values{"person": {kim}, "pin": {pin}})
	return till + "; " + s.plantCookie(t, "a cashier's session", unlocked.cookie(t, "till"))
}

// sell sells by page, by program, and to a program that pays at once.
func (s *canaryShop) sell(t *testing.T) {
	t.Helper()
	l := s.newLink(t, "Canary seed", "0.10")
	begun := s.do(t, http.MethodPost, "/link/"+l.Token, "", "Content-Type", formType, "Accept", "text/html")
	require.Equal(t, http.StatusSeeOther, begun.Status, begun.Body)
	address, k, _ := strings.Cut(begun.Header.Get("Location"), "?k=")
	s.plant("a buyer's token", k)
	s.get(t, address+"?k="+k, "Accept", "text/html")

	once := s.plant("an idempotency key", rand.Text()+rand.Text())
	session := s.do(t, http.MethodPost, "/api/create_payment_session", `{"link_token":"`+l.Token+`"}`, "Content-Type", "application/json", "Idempotency-Key", once)
	require.Equal(t, http.StatusCreated, session.Status, session.Body)
	s.found(t, "the token of a program's buyer", `\?k=(\w+)`, session)
	_, k, _ = strings.Cut(s.payAtOnce(t, l.URL).ReceiptURL, "?k=")
	s.plant("the token of a buyer who paid at once", k)
}

// sellKey sells a licence key, which nobody sees but its buyer.
func (s *canaryShop) sellKey(t *testing.T) {
	t.Helper()
	var item struct{ ID string }
	var l link
	key := s.plant("a licence key", rand.Text())
	s.call(t, "/api/items/create", object{"title": "Canary game", "kind": "key", "price": "0.10"}, &item)
	s.call(t, "/api/items/import_keys", object{"id": item.ID, "keys": []string{key}}, &struct{}{})
	s.call(t, "/api/payment_links/create", object{"items": []object{{"item_id": item.ID}}}, &l)
	address := s.payAtOnce(t, l.URL).ReceiptURL
	_, k, _ := strings.Cut(address, "?k=")
	s.plant("the token of a licence key's buyer", k)
	require.Contains(t, s.get(t, address, "Accept", "text/html").Body, key)
}

// sellCalls puts a price on a server that wants a secret, and is let in by whatever opens it.
func (s *canaryShop) sellCalls(t *testing.T) {
	t.Helper()
	secret := s.plant("an upstream's secret", rand.Text())
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != secret {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(upstream.Close)
	e := s.newEndpoint(t, upstream.URL, object{"pricing_type": "subscription", "billing_interval": "month", "secret_header": "X-Api-Key", "secret": secret})
	calls := func(header, value string) (a answer) {
		require.Eventually(t, func() bool { // the node is moody
			a = s.get(t, e.EndpointURL, header, value)
			return a.Status == http.StatusOK
		}, time.Minute, 200*time.Millisecond, header)
		return a
	}
	pass := s.plant("a pass", calls(s.paymentFor(t, e.EndpointURL)).Header.Get("X-Access-Pass"))
	require.Regexp(t, `^pss_\w+\.\w+$`, pass)
	calls("X-Access-Pass", pass)
	calls("Authorization", "Bearer "+pass)

	free, half := s.plant("an activation code for a call", "FREE"+rand.Text()), s.plant("an activation code", "HALF"+rand.Text())
	s.call(t, "/api/activation_codes/generate", object{"codes": []string{free}, "free": true, "uses": 5, "endpoint_id": e.ID}, &struct{}{})
	s.call(t, "/api/activation_codes/generate", object{"codes": []string{half}, "percent_off": 50, "uses": 5}, &struct{}{})
	calls("X-Activation-Code", free)
	redeemed := s.do(t, http.MethodPost, "/api/activation_codes/redeem", `{"code":"`+free+`","endpoint_id":"`+e.ID+`"}`,
		"Content-Type", "application/json", "Idempotency-Key", rand.Text()+rand.Text())
	require.Equal(t, http.StatusOK, redeemed.Status, redeemed.Body)
	calls("X-Activation-Code", s.found(t, "a bypass token", `"bypass_token":"(bypass_\w+)"`, redeemed))

	l := s.newLink(t, "Canary cup", "0.20")
	require.Equal(t, http.StatusOK, s.get(t, l.URL+"?code="+half, "Accept", "text/html").Status)
	begun := s.do(t, http.MethodPost, "/link/"+l.Token, "code="+half, "Content-Type", formType, "Accept", "text/html")
	require.Equal(t, http.StatusSeeOther, begun.Status, begun.Body)
	_, k, _ := strings.Cut(begun.Header.Get("Location"), "?k=")
	s.plant("the token of a buyer with a code", k)
	s.do(t, http.MethodPost, "/api/facilitator/webhook", `{"success":true}`, "X-Signature", s.canaries["the secret of callbacks"])
}

// mayShow tells where a seller reads the codes that he hands out.
func mayShow(where, what string) bool {
	return strings.HasPrefix(what, "an activation code") && strings.HasPrefix(where, "the page /dashboard/codes")
}

// payAtOnce pays what a link offers, as programs do.
func (s *canaryShop) payAtOnce(t *testing.T, url string) (paid receipt) {
	t.Helper()
	require.Eventually(t, func() bool { // the node is moody
		offer := s.get(t, url)
		if offer.Status != http.StatusPaymentRequired {
			return false
		}
		name, value := s.payment(t, s.buyer(t), 2, offer.required(t))
		require.Eventually(t, func() bool {
			a := s.get(t, url, name, value)
			if a.Status == http.StatusOK {
				paid = a.receipt(t)
			}
			return a.Status == http.StatusOK
		}, time.Minute, 200*time.Millisecond)
		return true
	}, time.Minute, 200*time.Millisecond)
	return paid
}

// blunder sends secrets where they do not belong.
func (s *canaryShop) blunder(t *testing.T) {
	t.Helper()
	wallet := s.plant("a private key", freshKey(t)[2:])
	key := s.canaries["an API key"]
	for _, secret := range []string{wallet, key, s.canaries["a pass"], s.canaries["a bypass token"], s.canaries["an activation code"]} {
		for _, path := range []string{
			"/dashboard/links/" + secret, "/pay/" + secret, "/link/" + secret, "/api/payment_attempts/" + secret, "/" + secret,
			"/api/sales/list?key=" + secret, "/invite/" + secret, "/first-run?token=" + secret, "/dashboard/webhooks/" + secret, "/login?return=/" + secret,
			"/x/" + secret, "/x/" + secret + "/" + secret + "?key=" + secret, "/dashboard/codes/" + secret, "/api/activation_codes/list?code=" + secret,
		} {
			s.get(t, path, "Cookie", s.owner)
			s.get(t, path, "Authorization", "Bearer "+secret)
			s.get(t, path, "Authorization", secret, "X-PAYMENT", secret)
			s.get(t, path, "X-Access-Pass", secret, "X-Activation-Code", secret)
		}
		for _, path := range []string{"/api/payment_links/create", "/api/auth/siwe/verify", "/api/auth/privy", "/login/codes", "/pos/pairings", "/admin/sessions",
			"/api/endpoints/create", "/api/passes/revoke", "/api/activation_codes/redeem", "/facilitator/settle", "/api/facilitator/webhook",
		} {
			s.do(t, http.MethodPost, path, `{"`+secret+`":`, "Content-Type", "application/json", "Authorization", "Bearer "+s.APIKey)
			s.do(t, http.MethodPost, path, "code="+secret+"&token="+secret, "Content-Type", formType)
		}
	}
}

var hrefs = regexp.MustCompile(`(?:href|hx-get|src)="(/[^"#]*)"`)

// crawl opens a page and all that it leads to, and hands each to look.
func (s *canaryShop) crawl(t *testing.T, cookie string, look func(path string, a answer), from ...string) (pages int) {
	t.Helper()
	seen, next := map[string]bool{}, from
	for len(next) > 0 && pages < 400 {
		path := html.UnescapeString(next[0])
		next = next[1:]
		if seen[path] || strings.HasSuffix(path, "/events") || strings.HasPrefix(path, "/static/") || strings.Contains(path, "/assets/") {
			continue
		}
		seen[path] = true
		a := s.get(t, path, "Cookie", cookie, "Accept", "text/html")
		pages++
		look(path, a)
		for _, link := range hrefs.FindAllStringSubmatch(a.Body, -1) {
			next = append(next, link[1])
		}
		if to := a.Header.Get("Location"); strings.HasPrefix(to, "/") {
			next = append(next, to)
		}
	}
	return pages
}

// TestNoSecretTurnsUpWhereItIsNotShown plants secrets of every kind, uses the shop with them, and looks for them in every
// log line, page, job, delivery and column.
func TestNoSecretTurnsUpWhereItIsNotShown(t *testing.T) {
	t.Parallel()
	s := startCanaryShop(t)
	e := newEndpoint(t)
	operator := s.comeIn(t)
	till := s.handOutKeys(t, e)
	s.sell(t)
	s.sellKey(t)
	s.sellCalls(t)
	e.hears(t, "payment.completed", "")
	s.blunder(t)

	var leaks []string
	look := func(where, text string) {
		for _, what := range s.in(text) {
			if !mayShow(where, what) {
				leaks = append(leaks, where+" shows "+what)
			}
		}
	}
	answered := map[int]int{}
	page := func(path string, a answer) {
		require.Less(t, a.Status, 500, path)
		answered[a.Status]++
		look("the page "+path, a.Body)
	}
	visited := s.crawl(t, s.owner, page, "/dashboard", "/account", "/dashboard/staff", "/dashboard/audit", "/dashboard/webhooks/deliveries",
		"/dashboard/settings/keys", "/dashboard/settings/address", "/dashboard/notices", "/dashboard/codes", "/onboarding", "/docs") +
		s.crawl(t, operator, page, "/admin", "/admin/jobs", "/admin/jobs/api/jobs?limit=100&state=completed", "/metrics") +
		s.crawl(t, till, page, "/pos") + s.crawl(t, "", page, "/login", "/join", "/first-run", "/openapi.json")
	require.Greater(t, answered[http.StatusOK], 60, "%d pages were opened: %v", visited, answered)
	for _, path := range []string{"/api/webhooks/list", "/api/webhooks/deliveries", "/api/events/list?limit=100", "/api/sales/list", "/api/payment_links/list",
		"/api/endpoints/list", "/api/passes/list",
	} {
		page(path, s.get(t, path, "Authorization", "Bearer "+s.APIKey))
	}
	for _, sent := range e.all() {
		look("a webhook", string(sent.body)+fmt.Sprint(sent.header))
	}

	require.Contains(t, s.text(t, `SELECT key FROM item_keys WHERE attempt_id IS NOT NULL`), s.canaries["a licence key"])
	require.Contains(t, s.text(t, `SELECT string_agg(code, ' ') FROM codes`), s.canaries["an activation code"])
	database := s.everyColumn(t, "item_keys", "codes")
	look("the database", database)
	look("a job", s.text(t, `SELECT string_agg(j::text, E'\n') FROM river_job j`))
	logged, err := os.ReadFile(s.log)
	require.NoError(t, err)
	for line := range strings.Lines(string(logged)) {
		look("the log, in "+line, line)
	}
	require.Empty(t, leaks)

	// It would have been seen: there is plenty to look at, and what is stored of secrets is their hashes.
	t.Logf("%d pages (%v), %d bytes of log, %d of the database", visited, answered, len(logged), len(database))
	require.Greater(t, strings.Count(string(logged), `request`), 200)
	require.Contains(t, string(logged), "429")
	for _, what := range []string{"an API key", "the owner's session", "an invitation", "a tablet", "a cashier's session", "an idempotency key", "a buyer's token", "a pass"} {
		sum := sha256.Sum256([]byte(s.canaries[what]))
		require.Contains(t, database, hex.EncodeToString(sum[:]), what)
	}
	require.NotEmpty(t, canaries{"title": "Canary seed"}.in(database))
}

func (w *world) text(t *testing.T, sql string) (text string) {
	t.Helper()
	require.NoError(t, w.pool(t).QueryRow(t.Context(), sql).Scan(&text))
	return text
}

// all is what has arrived so far.
func (e *endpoint) all() []sentEvent {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.got)
}
