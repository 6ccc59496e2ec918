package handlers_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/evm"
	"xsynesis/handlers"
	"xsynesis/id"
)

// newGate is where people come in. Its chain has no node: accounts without code need none.
func newGate(t *testing.T, s *access.Service, change ...func(*access.GateOptions)) *access.Gate {
	t.Helper()
	n, err := evm.NewRegistry(map[uint64][]string{84532: {"http://127.0.0.1:1"}}).Network(sepolia)
	require.NoError(t, err)
	o := access.GateOptions{
		Origin: site, Open: true, Chains: map[string]*evm.Chain{sepolia: evm.Dial(n, evm.Options{})}, MasterKey: []byte("the master key of this: 32 bytes"),
	}
	for _, c := range change {
		c(&o)
	}
	g, err := access.NewGate(s, o)
	require.NoError(t, err)
	return g
}

// withGate changes how people may come in.
func withGate(t *testing.T, change func(*access.GateOptions)) func(*handlers.Options) {
	return func(o *handlers.Options) { o.Gate = newGate(t, o.Access, change) }
}

func closed(o *access.GateOptions) { o.Open = false }

// personalSign is what a wallet makes of a text.
func personalSign(t *testing.T, key *ecdsa.PrivateKey, text string) string {
	t.Helper()
	signature, err := crypto.Sign(accounts.TextHash([]byte(text)), key)
	require.NoError(t, err)
	signature[64] += 27
	return hexutil.Encode(signature)
}

// signed asks for a message at a path and signs it.
func (w *apiWorld) signed(path string, key *ecdsa.PrivateKey, more ...with) map[string]any {
	w.t.Helper()
	asked := w.post(path, map[string]any{"address": crypto.PubkeyToAddress(key.PublicKey).Hex(), "chain_id": 84532}, more...)
	require.Equal(w.t, 200, asked.status, string(asked.body))
	text := asked.json()["message"].(string)
	return map[string]any{"message": text, "signature": personalSign(w.t, key, text)}
}

// enters signs a wallet in, and returns what its browser sends from then on.
func (w *apiWorld) enters(key *ecdsa.PrivateKey, more ...with) (with, reply) {
	w.t.Helper()
	in := w.post("/api/auth/siwe/verify", w.signed("/api/auth/siwe/nonce", key), more...)
	require.Equal(w.t, 200, in.status, string(in.body))
	return header("Cookie", "__Host-sid="+in.cookie()), in
}

// cookie is the session's secret that an answer sets; empty if it takes it, "-" if it says nothing.
func (r reply) cookie() string {
	r.t.Helper()
	found := "-"
	for _, c := range (&http.Response{Header: r.header}).Cookies() {
		if c.Name == "__Host-sid" {
			found = c.Value
		}
	}
	return found
}

func page(r *http.Request) { r.Header.Set("Accept", "text/html") }

// sends posts a form as somebody does who is not signed in.
func (w *apiWorld) sends(path string, values url.Values, more ...with) reply {
	w.t.Helper()
	return w.form(path, values, append([]with{page, header("Content-Type", "application/x-www-form-urlencoded")}, more...)...)
}

// employs gives whoever just signed in a role.
func (w *apiWorld) employs(merchant id.Merchant, in reply, role access.Role) {
	w.t.Helper()
	_, err := w.pool.Exec(w.t.Context(), `INSERT INTO members (merchant_id, person_id, role, created_at) VALUES ($1, $2, $3, now())`,
		merchant, in.json()["person"].(map[string]any)["id"], role)
	require.NoError(w.t, err)
}

func TestAWalletGetsASession(t *testing.T) {
	t.Parallel()
	w, key := newWorld(t), newKey(t)
	message := w.signed("/api/auth/siwe/nonce", key)
	in := w.post("/api/auth/siwe/verify", message)
	require.Equal(t, 200, in.status, string(in.body))
	require.Equal(t, []any{}, in.json()["shops"])
	require.Equal(t, "/onboarding", in.json()["location"])
	cookie := in.header.Get("Set-Cookie")
	for _, part := range []string{"__Host-sid=", "; Path=/", "; HttpOnly", "; Secure", "; SameSite=Lax"} {
		require.Contains(t, cookie, part)
	}
	require.NotContains(t, cookie, "Domain")
	require.Equal(t, "no-store", in.header.Get("Cache-Control"))

	again := w.post("/api/auth/siwe/verify", message)
	require.Equal(t, 401, again.status)
	require.Equal(t, "-", again.cookie())
	code, _ := again.code()
	require.Equal(t, "challenge_used", code, "a captured sign-in is refused")

	browser, second := w.enters(key)
	require.Equal(t, in.json()["person"], second.json()["person"])
	require.Equal(t, 200, w.get("/account", page, browser).status)
	w.employs(w.cafe, in, access.Owner)
	_, third := w.enters(key)
	require.Equal(t, []any{map[string]any{"seller_id": string(w.cafe), "name": "cafe", "role": "owner"}}, third.json()["shops"])

	out := w.post("/api/auth/logout", "", browser)
	require.Equal(t, 200, out.status)
	require.Empty(t, out.cookie())
	require.Equal(t, http.StatusSeeOther, w.get("/account", page, browser).status)
	require.Equal(t, 200, w.post("/api/auth/logout", "").status, "twice is no fault")
}

func TestSignInsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withGate(t, closed))
	key := newKey(t)
	in := w.post("/api/auth/siwe/verify", w.signed("/api/auth/siwe/nonce", key))
	require.Equal(t, 403, in.status)
	code, _ := in.code()
	require.Equal(t, "signups_closed", code)
	require.Equal(t, "-", in.cookie())

	m := w.signed("/api/auth/siwe/nonce", key)
	m["message"] = strings.Replace(m["message"].(string), "shop.example wants", "evil.example wants", 1)
	refused := w.post("/api/auth/siwe/verify", m)
	require.Equal(t, 401, refused.status)
	code, _ = refused.code()
	require.Equal(t, "message_refused", code)
	require.Contains(t, string(refused.body), "its domain is another site's")

	for name, body := range map[string]any{
		"no signature": map[string]any{"message": "x"}, "a number": map[string]any{"message": 1, "signature": "0x"}, "no object": "[]", "nothing": "",
		"a role that nobody asked for": map[string]any{"message": "x", "signature": "0x", "role": "owner"},
	} {
		status := w.post("/api/auth/siwe/verify", body).status
		require.Contains(t, []int{400, 401}, status, name)
	}
	require.Equal(t, 413, w.post("/api/auth/privy", map[string]any{"token": strings.Repeat("x", 1<<20)}).status)
	require.Equal(t, 404, w.post("/api/auth/privy", map[string]any{"token": "x.y.z"}).status, "no app is set")
	require.Equal(t, 200, w.post("/api/auth/siwe/nonce", "").status, "nothing has to be said to get a nonce")
}

func TestWhoIsWrongTooOftenWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.signed("/api/auth/siwe/nonce", newKey(t))
	for range 5 {
		require.Equal(t, 422, w.sends("/login/codes", url.Values{"code": {"0000-0000-0000-0000"}}).status)
	}
	for _, a := range []reply{
		w.post("/api/auth/siwe/verify", good), w.sends("/login/codes", url.Values{"code": {"x"}}), w.post("/login/passkeys", map[string]any{"answer": map[string]any{}}),
	} {
		require.Equal(t, 429, a.status)
		require.NotEmpty(t, a.header.Get("Retry-After"))
	}
	require.Equal(t, 200, w.post("/api/auth/siwe/verify", good, func(r *http.Request) { r.RemoteAddr = "203.0.113.9:1" }).status, "others need not wait")
}

func TestASessionCannotBeFixed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := newKey(t)
	_, in := w.enters(key, header("Cookie", "__Host-sid=chosen-by-somebody-else"))
	require.NotContains(t, in.header.Get("Set-Cookie"), "chosen")
	require.GreaterOrEqual(t, len(in.cookie()), 43)
	require.Equal(t, http.StatusSeeOther, w.get("/account", page, header("Cookie", "__Host-sid=chosen-by-somebody-else")).status)

	// Whoever signs in again in the same browser leaves the session before behind, also if it was planted there.
	planted, _ := w.enters(newKey(t))
	browser, again := w.enters(key, planted)
	require.NotEqual(t, in.cookie(), again.cookie())
	require.Equal(t, 200, w.get("/account", page, browser).status)
	require.Equal(t, http.StatusSeeOther, w.get("/account", page, planted).status, "it ended")
}

func TestOtherSitesSignNobodyInOrOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	browser, _ := w.enters(newKey(t))
	for _, path := range []string{
		"/api/auth/siwe/nonce", "/api/auth/siwe/verify", "/api/auth/privy", "/api/auth/logout", "/logout", "/login/codes", "/login/passkeys",
		"/login/passkeys/challenges", "/join", "/join/passkeys", "/join/passkeys/challenges", "/account/name", "/account/passkeys",
		"/account/passkeys/challenges", "/account/passkeys/x", "/account/passkeys/x/removal", "/account/wallets", "/account/wallets/challenges",
		"/account/wallets/x/removal", "/account/recovery-codes", "/account/sessions", "/account/sessions/x/end", "/account/confirm/passkeys",
		"/account/confirm/passkeys/challenges", "/account/confirm/wallets", "/account/confirm/wallets/challenges", "/account/confirm/codes",
	} {
		for _, from := range []with{header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Site", "same-site"), header("Origin", "https://evil.example")} {
			a := w.post(path, "{}", browser, from, page)
			require.Equal(t, 403, a.status, path)
			require.Equal(t, "-", a.cookie(), path)
		}
	}
	require.Equal(t, 200, w.get("/account", page, browser).status, "nothing happened")
	require.Empty(t, w.post("/api/auth/siwe/nonce", "").header.Get("Access-Control-Allow-Origin"), "no other site may read an answer")
}

func TestTheAPIReadsNoCookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	browser, in := w.enters(newKey(t))
	w.employs(w.cafe, in, access.Owner)
	for _, path := range []string{"/api/sales/list", "/api/payment_links/list", "/api/balance"} {
		require.Equal(t, 401, w.get(path, browser).status, path)
	}
}

func TestAddressesToGoBackToAreOurOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.sends("/join", url.Values{"name": {"Ada"}})
	require.Equal(t, 200, in.status)
	_, codes, err := w.gate.Join(t.Context(), access.Newcomer{Name: "Ada"}, access.Browser{})
	require.NoError(t, err)
	goTo := func(to string) string {
		a := w.sends("/login/codes", url.Values{"code": {codes[0]}, "return": {to}})
		require.Equal(t, http.StatusSeeOther, a.status)
		codes = codes[1:]
		return a.header.Get("Location")
	}
	for _, bad := range []string{
		"//evil.example", `/\evil.example`, "https:evil.example", "https://good@evil.example", "javascript:alert(1)", "/%0d%0aSet-Cookie:x", "/\t/evil.example", "data:text/html,x",
	} {
		require.Equal(t, "/onboarding", goTo(bad), "%q", bad)
	}
	require.Equal(t, "/dashboard/sales?period=7d", goTo("/dashboard/sales?period=7d"))
	for _, bad := range []string{"//evil.example", `\\evil.example`, `/\/evil.example`, "https://shop.example.evil.example/", "https://shop.example/", "/%5cevil.example", "/%2f%2fevil.example/..//x\n", "x", "?x", "/ x"} {
		html := string(w.get("/login?return="+url.QueryEscape(bad), page).body)
		require.Contains(t, html, `data-done=""`, "%q", bad)
		require.NotContains(t, html, "evil.example", "%q", bad)
	}
}

func TestWhoIsNotSignedInComesBackToHisPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.get("/dashboard/sales?period=7d", page)
	require.Equal(t, http.StatusSeeOther, a.status)
	require.Equal(t, "/login?return=%2Fdashboard%2Fsales%3Fperiod%3D7d", a.header.Get("Location"))
	a = w.sends("/dashboard/links", url.Values{})
	require.Equal(t, "/login", a.header.Get("Location"), "a form is not posted again")
	a = w.get("/dashboard", page, header("HX-Request", "true"))
	require.Equal(t, 401, a.status)
	require.Equal(t, "/login", a.header.Get("HX-Redirect"))
	browser, _ := w.enters(newKey(t))
	a = w.get("/dashboard", page, browser)
	require.Equal(t, "/onboarding", a.header.Get("Location"), "he has no shop yet")
}

// privySigner signs as the other service does.
func privySigner(t *testing.T) (*ecdsa.PrivateKey, func(*access.GateOptions)) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	return key, func(o *access.GateOptions) {
		o.Privy, err = access.NewPrivy("app", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), time.Now)
		require.NoError(t, err)
	}
}

func TestAnAccessTokenBecomesASessionAndIsABearer(t *testing.T) {
	t.Parallel()
	key, privy := privySigner(t)
	w := newWorld(t, withGate(t, privy))
	token := func(audience string) string {
		text, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": "privy.io", "aud": audience, "sub": "did:privy:cm0user", "exp": time.Now().Add(time.Hour).Unix(),
		}).SignedString(key)
		require.NoError(t, err)
		return text
	}
	refused := w.post("/api/auth/privy", map[string]any{"token": token("another app")})
	require.Equal(t, 401, refused.status)
	in := w.post("/api/auth/privy", map[string]any{"token": token("app")})
	require.Equal(t, 200, in.status, string(in.body))
	require.Equal(t, 200, w.get("/account", page, header("Cookie", "__Host-sid="+in.cookie())).status)

	require.Equal(t, 401, w.get("/api/payment_links/list", as(token("app"))).status, "no shop")
	w.employs(w.cafe, in, access.Viewer)
	w.link(w.cafeKey, "1.00")
	own := w.get("/api/payment_links/list", as(token("app")))
	require.Equal(t, 200, own.status, string(own.body))
	require.Len(t, own.json()["data"], 1)
	require.Empty(t, w.get("/api/payment_links/list", as(token("app")), header("Livemode", "true")).json()["data"])
	require.Equal(t, 403, w.post("/api/payment_links/create", map[string]any{"title": "x", "price": "1"}, as(token("app"))).status, "a viewer makes nothing")
	require.Equal(t, 401, w.get("/api/payment_links/list", as(token("another app"))).status)

	w.employs(w.books, in, access.Owner)
	several := w.get("/api/payment_links/list", as(token("app")))
	require.Equal(t, 400, several.status)
	code, _ := several.code()
	require.Equal(t, "seller_required", code)
	require.Equal(t, 200, w.get("/api/payment_links/list", as(token("app")), header("Seller-Id", string(w.books))).status)
	require.Equal(t, 401, w.get("/api/payment_links/list", as(token("app")), header("Seller-Id", "sel_1ChHQgZvF7Y4JLiQa34ooR")).status)
}
