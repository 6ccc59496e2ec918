package handlers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/handlers"
	"xsynesis/x402"
)

// limitedWorld counts requests by a clock that stands still unless it is moved.
type limitedWorld struct {
	*apiWorld
	clock *atomic.Int64 // nanoseconds after the beginning
}

func newLimitedWorld(t *testing.T, change ...func(*handlers.Options)) limitedWorld {
	t.Helper()
	clock, began := &atomic.Int64{}, time.Now()
	limited := func(o *handlers.Options) {
		o.Limited = true
		o.Now = func() time.Time { return began.Add(time.Duration(clock.Load())) }
	}
	return limitedWorld{newWorld(t, append(change, limited)...), clock}
}

// neighbour is an address that somebody asks from.
const neighbour = "203.0.113.7"

func at(address string) with {
	return func(r *http.Request) { r.RemoteAddr = net.JoinHostPort(address, "1") }
}

// exhaust asks until it is told to wait, and returns how often it was answered.
func (w limitedWorld) exhaust(target string, more ...with) (answered int) {
	w.t.Helper()
	for ; answered < 1000; answered++ {
		if a := w.get(target, more...); a.status == http.StatusTooManyRequests {
			w.isPatient(a)
			return answered
		}
	}
	w.t.Fatal("no end of it")
	return 0
}

// isPatient looks at an answer to somebody who asked too often: it says when to come again.
func (w limitedWorld) isPatient(a reply) {
	w.t.Helper()
	require.Equal(w.t, http.StatusTooManyRequests, a.status, string(a.body))
	wait, err := strconv.Atoi(a.header.Get("Retry-After"))
	require.NoError(w.t, err)
	require.Positive(w.t, wait)
}

func TestAnAddressThatAsksTooOftenWaits(t *testing.T) {
	t.Parallel()
	w := newLimitedWorld(t)
	sheet := w.styleSheet()
	require.Equal(t, 300, w.exhaust("/nothing", at(neighbour)))
	a := w.get("/api/link/x", at(neighbour))
	w.isPatient(a)
	require.Equal(t, "1", a.header.Get("Retry-After"))
	code, _ := a.code()
	require.Equal(t, "too_many_requests", code)
	require.Equal(t, "*", a.header.Get("Access-Control-Allow-Origin"), "a page elsewhere learns when to ask again")
	shown := w.get("/dashboard", page, at(neighbour))
	w.isPatient(shown)
	require.Contains(t, string(shown.body), "One moment, please")
	require.Empty(t, shown.header.Get("Access-Control-Allow-Origin"))
	w.isPatient(w.post("/api/create_payment_session", map[string]any{"link_token": "x"}, at(neighbour)))
	w.isPatient(w.sends("/login/codes", url.Values{"code": {"x"}}, at(neighbour)))

	for _, free := range []string{"/healthz", "/readyz", "/favicon.ico", sheet} {
		require.Equal(t, 200, w.get(free, at(neighbour)).status, free)
	}
	require.Equal(t, 204, w.do(http.MethodOptions, "/link/x", nil, at(neighbour)).status)
	require.Equal(t, 404, w.get("/nothing", at("203.0.113.8")).status, "others need not wait")
	w.clock.Add(int64(time.Second))
	require.Equal(t, 50, w.exhaust("/nothing", at(neighbour)))
}

func TestAHouseholdIsOneAddress(t *testing.T) {
	t.Parallel()
	w := newLimitedWorld(t)
	require.Equal(t, 300, w.exhaust("/nothing", at("2001:db8:1:2::1")))
	w.isPatient(w.get("/nothing", at("2001:db8:1:2:ffff::9")))
	require.Equal(t, 404, w.get("/nothing", at("2001:db8:1:3::1")).status)
	require.Equal(t, 300, w.exhaust("/nothing", at("::ffff:203.0.113.7")))
	w.isPatient(w.get("/nothing", at(neighbour)))
}

func TestOnlyATrustedProxySaysWhoAsks(t *testing.T) {
	t.Parallel()
	_, inside, err := net.ParseCIDR("10.0.0.0/8")
	require.NoError(t, err)
	w := newLimitedWorld(t, func(o *handlers.Options) { o.TrustedProxies = []*net.IPNet{inside} })
	forwarded := func(from string) with { return header("X-Forwarded-For", from) }
	require.Equal(t, 300, w.exhaust("/nothing", at("10.0.0.1"), forwarded(neighbour)))
	w.isPatient(w.get("/nothing", at("10.0.0.1"), forwarded("192.0.2.99, "+neighbour)))
	w.isPatient(w.get("/nothing", at("10.0.0.1"), forwarded("192.0.2.99, "+neighbour+", 10.0.0.2")))
	w.isPatient(w.get("/nothing", at("10.0.0.3"), forwarded(neighbour), header("X-Real-Ip", "192.0.2.99"), header("Forwarded", "for=192.0.2.99")))
	require.Equal(t, 404, w.get("/nothing", at("10.0.0.1"), forwarded("192.0.2.98")).status)

	require.Equal(t, 300, w.exhaust("/nothing", at("198.51.100.1")))
	for _, said := range []string{"192.0.2.97", "10.0.0.1", "127.0.0.1", "x", "", ",,", strings.Repeat("1.1.1.1,", 500) + "1.1.1.1"} {
		w.isPatient(w.get("/nothing", at("198.51.100.1"), forwarded(said)))
	}
}

func TestAKeyIsCountedByItself(t *testing.T) {
	t.Parallel()
	w := newLimitedWorld(t)
	w.exhaust("/nothing", at(neighbour))
	require.Equal(t, 200, w.get("/api/payment_links/list", as(w.cafeKey), at(neighbour)).status, "a shop's server beside somebody who asks too often")
	require.Equal(t, 499, w.exhaust("/api/link/x", as(w.cafeKey), at(neighbour)))
	w.isPatient(w.get("/api/payment_links/list", as(w.cafeKey), at("203.0.113.8")))
	require.Equal(t, 200, w.get("/api/payment_links/list", as(w.booksKey), at(neighbour)).status)
	for _, none := range []with{as("sk_test_unknown"), header("Authorization", "Basic "+w.cafeKey), header("Cookie", "__Host-sid=x; __Host-device=y")} {
		w.isPatient(w.get("/api/payment_links/list", none, at(neighbour)))
	}
}

func TestAPersonIsCountedByHimself(t *testing.T) {
	t.Parallel()
	w := newLimitedWorld(t)
	browser, _ := w.signIn("kiosk")
	w.exhaust("/nothing", at(neighbour))
	require.Equal(t, 200, w.get("/dashboard", browser, at(neighbour)).status)
	require.Equal(t, 199, w.exhaust("/nothing", browser, at(neighbour)))
	w.isPatient(w.get("/dashboard", browser, at("203.0.113.8")))
	w.clock.Add(int64(time.Second))
	require.Equal(t, 200, w.get("/dashboard", browser, at(neighbour)).status)
}

// tablet is a paired tablet of a shop: what it sends, and whoever owns the shop.
func (w *apiWorld) tablet(shop string) (cookie with, boss access.Session) {
	w.t.Helper()
	_, merchant := w.signIn(shop)
	boss = w.ownerOf(merchant)
	code, _, err := w.access.StartPairing(w.t.Context(), boss, access.Browser{}, "Counter")
	require.NoError(w.t, err)
	secret, err := w.access.Pair(w.t.Context(), code, access.Browser{})
	require.NoError(w.t, err)
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "__Host-device", Value: secret}) }, boss
}

func TestAPairedTillNeverWaits(t *testing.T) {
	t.Parallel()
	w := newLimitedWorld(t)
	tablet, boss := w.tablet("kiosk")
	w.exhaust("/nothing", at(neighbour))
	for range 700 { // with a guest's telephone behind the same address
		require.Equal(t, 200, w.get("/pos", page, tablet, at(neighbour)).status)
	}
	require.Equal(t, 404, w.get("/link/AAAAAAAAAAAAAAAAAAAAAA", page, tablet, at(neighbour)).status)
	w.isPatient(w.get("/pos", page, at(neighbour)))

	all, err := w.access.Devices(t.Context(), boss.Merchant)
	require.NoError(t, err)
	require.NoError(t, w.access.RevokeDevice(t.Context(), boss, access.Browser{}, all[0].ID))
	w.clock.Add(int64(11 * time.Minute))
	w.exhaust("/nothing", at(neighbour))
	w.isPatient(w.get("/pos", page, tablet, at(neighbour)))
}

func TestAPaymentThatIsSignedNeverWaits(t *testing.T) {
	t.Parallel()
	w := newLimitedWorld(t)
	link := w.link(w.cafeKey, "0.50")
	begun, direct := w.session(link), w.session(link)
	pay := "/api/payment_attempts/" + begun["payment_attempt"].(string) + "/pay"
	a, signature := w.sign(begun, newKey(t))
	w.exhaust("/nothing", at(neighbour))
	sent := payload(a, signature)
	require.Equal(t, 202, w.post(pay, sent, at(neighbour)).status)
	w.work()
	require.Equal(t, 200, w.post(pay, sent, at(neighbour)).status, "the answer that got lost")

	b, signed := w.sign(direct, newKey(t))
	for version := 1; version <= 2; version++ {
		name, value := w.requirement(b).Payment(version, b, signed).Encode()
		for _, target := range []string{"/link/" + link["token"].(string), "/pay/" + begun["payment_attempt"].(string)} {
			require.NotEqual(t, http.StatusTooManyRequests, w.get(target, header(name, value), at(neighbour)).status, "%s %d", target, version)
		}
		w.isPatient(w.get("/dashboard", header(name, value), at(neighbour)))
	}

	forged := append([]byte{}, signature...)
	forged[0] ^= 1
	late := a
	late.ValidBefore = a.ValidAfter
	for name, body := range map[string]any{
		"another's signature": payload(a, forged), "a time that is over": payload(late, signature), "nothing": "", "no payment": "{}", "no JSON": "{",
	} {
		answer := w.post(pay, body, at(neighbour))
		require.Equal(t, http.StatusTooManyRequests, answer.status, name)
	}
	for name, value := range map[string]string{"garbage": "x", "no signature": "e30="} {
		w.isPatient(w.get("/link/"+link["token"].(string), header(x402.HeaderPayment, value), at(neighbour)))
		require.NotEmpty(t, name)
	}
	w.isPatient(w.post("/api/create_payment_session", sent, at(neighbour)))
}

func TestOneLinkIsNotBegunByACrowdOfPrograms(t *testing.T) {
	t.Parallel()
	w := newLimitedWorld(t)
	link, other := w.link(w.cafeKey, "0.50"), w.link(w.cafeKey, "0.50")
	waiting := w.session(link)
	tablet, _ := w.tablet("kiosk")
	require.Equal(t, 200, w.get("/pos", page, tablet).status)
	begin := func(i int) reply { // refused before anything is written, and counted
		return w.post("/api/create_payment_session", map[string]any{"link_token": link["token"], "success_url": "ftp://x"}, at(fmt.Sprintf("198.51.100.%d", i%250)))
	}
	for i := range 499 {
		require.Equal(t, 400, begin(i).status)
	}
	busy := begin(0)
	w.isPatient(busy)
	code, _ := busy.code()
	require.Equal(t, "link_busy", code)
	shown := w.sends("/link/"+link["token"].(string), nil)
	w.isPatient(shown)
	require.Contains(t, string(shown.body), "Flat white")
	require.Contains(t, string(shown.body), "Nothing was charged")

	require.Equal(t, 201, w.post("/api/create_payment_session", map[string]any{"link_token": other["token"]}).status)
	require.Equal(t, 201, w.post("/api/create_payment_session", map[string]any{"link_token": link["token"]}, as(w.cafeKey)).status, "the shop itself")
	require.Equal(t, 303, w.sends("/link/"+link["token"].(string), nil, tablet).status, "a till")
	a, signature := w.sign(waiting, newKey(t))
	require.Equal(t, 202, w.post("/api/payment_attempts/"+waiting["payment_attempt"].(string)+"/pay", payload(a, signature)).status, "a payment")
	name, value := w.requirement(a).Payment(2, a, signature).Encode()
	require.Equal(t, 409, w.get("/link/"+link["token"].(string), header(name, value)).status, "it was used just now")
}

func TestWrongPINsHoldUpTheTillTheyAreTypedAt(t *testing.T) {
	t.Parallel()
	w := newLimitedWorld(t)
	tablet, boss := w.tablet("kiosk")
	var people []string
	for _, name := range []string{"Kim", "Lea", "Max", "Noa"} {
		person, err := w.access.AddCashier(t.Context(), boss, access.Browser{}, name, "4921")
		require.NoError(t, err)
		people = append(people, string(person))
	}
	unlock := func(person, pin string) reply {
		return w.sends("/pos/unlock", url.Values{"person": {person}, "pin": {pin}}, tablet, at(neighbour))
	}
	for i := range 10 { // nobody's tile is paused by so few
		require.Equal(t, 422, unlock(people[i%3], "0000").status)
	}
	held := unlock(people[3], "4921")
	w.isPatient(held)
	require.Contains(t, string(held.body), "Too many wrong PINs at this till")
	require.Equal(t, 200, w.get("/pos", page, tablet, at(neighbour)).status, "it goes on showing who may")
	w.clock.Add(int64(time.Minute))
	require.Equal(t, 303, unlock(people[3], "4921").status)
}

func TestAGuessedPINPausesItsTileForEverybody(t *testing.T) {
	t.Parallel()
	w := newLimitedWorld(t)
	tablet, boss := w.tablet("kiosk")
	kim, err := w.access.AddCashier(t.Context(), boss, access.Browser{}, "Kim", "4921")
	require.NoError(t, err)
	var last reply
	for range 5 {
		last = w.sends("/pos/unlock", url.Values{"person": {string(kim)}, "pin": {"0000"}}, tablet)
	}
	w.isPatient(last)
	require.Contains(t, string(last.body), "the owners have been told")
	w.isPatient(w.sends("/pos/unlock", url.Values{"person": {string(kim)}, "pin": {"4921"}}, tablet))
	var text string
	require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT text FROM notices WHERE kind = 'pin_paused'`).Scan(&text))
	require.Contains(t, text, "5 wrong PINs for Kim at the till Counter")
}

func TestStreamsOfOneVisitorLeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	w := newLimitedWorld(t)
	tablet, _ := w.tablet("kiosk")
	attempt := w.session(w.link(w.cafeKey, "0.50"))["payment_attempt"].(string)
	server := httptest.NewServer(w.echo)
	t.Cleanup(server.Close)
	ctx, leave := context.WithCancel(t.Context())
	t.Cleanup(leave)
	open := func(path string, more ...with) *http.Response {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
		require.NoError(t, err)
		for _, m := range more {
			m(r)
		}
		answer, err := server.Client().Do(r)
		require.NoError(t, err)
		t.Cleanup(func() { _ = answer.Body.Close() })
		return answer
	}
	for range 50 {
		require.Equal(t, 200, open("/pay/"+attempt+"/events").StatusCode)
	}
	full := open("/pay/" + attempt + "/events")
	require.Equal(t, 429, full.StatusCode)
	require.NotEmpty(t, full.Header.Get("Retry-After"))
	var body struct{ Error struct{ Code string } }
	require.NoError(t, json.NewDecoder(full.Body).Decode(&body))
	require.Equal(t, "too_many_requests", body.Error.Code)
	require.Equal(t, 200, open("/pos/events", tablet).StatusCode, "a till beside them")
}
