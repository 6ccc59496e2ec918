package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAnotherMasterKeyTakesOver gives a shop a new MASTER_KEY in front of the old one, has everything sealed anew, and
// takes the old one away. What was handed out under the old one goes on opening what it opened.
func TestAnotherMasterKeyTakesOver(t *testing.T) {
	t.Parallel()
	former, fresh := drawMasterKey(), drawMasterKey()
	w := startChainAndDatabase(t, "MASTER_KEY="+former)
	w.seed(t)
	site := w.openAlone(t, former)
	first := w.handOut(t)
	first.open(t, w)
	mark := w.sealer(t, first.hook.ID)
	require.Contains(t, w.everyColumn(t), mark)

	require.NoError(t, site.stop())
	site = w.openAlone(t, fresh+","+former)
	first.open(t, w)
	second := w.handOut(t)
	second.open(t, w)

	began := time.Now()
	out, err := w.run("xsynesis", "keys", "rotate")
	require.NoError(t, err, out)
	report(t, "keys rotate beside a running shop: %.1f s", time.Since(began).Seconds())
	require.Contains(t, out, "the secrets of 1 webhooks and 0 endpoints, 1 keys of buyers' tokens")
	require.Contains(t, out, "Set MASTER_KEY to its first key alone")
	require.NotContains(t, w.everyColumn(t), mark, "something is left under the former key")
	first.open(t, w)
	out, err = w.run("xsynesis", "keys", "rotate")
	require.NoError(t, err, out)
	require.Contains(t, out, "the secrets of 0 webhooks and 0 endpoints, 0 keys of buyers' tokens")
	require.Equal(t, 1, w.one(t, `SELECT count(*) FROM audit_rows WHERE action = 'master_key.rotated' AND actor = 'operator'`))

	require.NoError(t, site.stop())
	site = w.openAlone(t, fresh)
	first.open(t, w)
	second.open(t, w)
	third := w.handOut(t)
	third.open(t, w)
	require.NoError(t, w.audit())
	require.NoError(t, site.stop())

	w.Env = w.with("MASTER_KEY=" + former)
	out, err = w.run("xsynesis", "keys", "rotate")
	require.Error(t, err, "the former key alone opens nothing any more")
	require.Contains(t, out, "no key of MASTER_KEY opens these")
	require.Contains(t, out, first.hook.ID)
	require.NotContains(t, out, former)
}

func TestAnotherCustodyKeyTakesOver(t *testing.T) {
	t.Parallel()
	former, fresh, master := drawMasterKey(), drawMasterKey(), drawMasterKey()
	w := startChainAndDatabase(t, "MASTER_KEY="+master, "CUSTODY_KEY="+former)
	w.seed(t)
	site := w.openAlone(t, master)
	kept := func() int { return w.one(t, `SELECT count(*) FROM deposit_addresses`) }
	require.Eventually(t, func() bool { return kept() >= 20 }, hearTimeout, 100*time.Millisecond, "no address is made")
	require.NoError(t, site.stop())
	all := kept()
	for _, step := range []struct {
		keys, says string
	}{
		{former, "sealed anew: the keys of 0 deposit addresses"},
		{fresh + "," + former, fmt.Sprintf("sealed anew: the keys of %d deposit addresses", all)},
		{fresh + "," + former, "Set CUSTODY_KEY to its first key alone"},
		{fresh, "nothing is left under another key"},
	} {
		w.Env = w.with("CUSTODY_KEY=" + step.keys)
		out, err := w.run("xsynesis", "keys", "custody")
		require.NoError(t, err, out)
		require.Contains(t, out, step.says)
	}
	require.Equal(t, 1, w.one(t, `SELECT count(*) FROM audit_rows WHERE action = 'custody_key.rotated' AND actor = 'operator'`))
	w.Env = w.with("CUSTODY_KEY=" + former)
	out, err := w.run("xsynesis", "keys", "custody")
	require.Error(t, err, "the former key alone opens nothing any more")
	require.Contains(t, out, "no key of CUSTODY_KEY opens these")
	require.NotContains(t, out, former)
}

func drawMasterKey() string {
	var key [32]byte
	_, _ = rand.Read(key[:])
	return base64.StdEncoding.EncodeToString(key[:])
}

// openAlone starts the shop in one process with this MASTER_KEY, which all programs of the world have from then on.
func (w *world) openAlone(t *testing.T, masterKey string) *child {
	t.Helper()
	w.Env = w.with("MASTER_KEY=" + masterKey)
	c := w.startProcess(t, w.with("RELAYER_KEY="+w.RelayerKey), "xsynesis", "serve", "--all")
	w.awaitReady(t)
	return c
}

// handedOut is what a shop gives to others, of each kind one.
type handedOut struct {
	server  *endpoint
	hook    subscription
	session string // what a program was told of a purchase that it began, with the token of its buyer
	once    string // its idempotency key
	request string
	payment [2]string // name and value of the header
	link    link
	receipt receipt
	cookie  string // of somebody who is signed in
	till    string // the cookie of a paired tablet
}

func (w *world) handOut(t *testing.T) handedOut {
	t.Helper()
	h := handedOut{server: newEndpoint(t), link: w.newLink(t, "Poppy-seed cake", "3.00"), once: rand.Text()}
	w.call(t, "/api/webhooks/register", object{"url": h.server.URL, "events": []string{"webhook.test"}, "active": true}, &h.hook)

	h.request = `{"link_token":"` + h.link.Token + `"}`
	begun := h.begins(t, w)
	require.Equal(t, http.StatusCreated, begun.Status, begun.Body)
	require.Regexp(t, `/pay/pa_\w+\?k=\w{20,}`, begun.Body)
	h.session = begun.Body

	name, value := w.payment(t, w.buyer(t), 2, w.get(t, h.link.URL).required(t))
	h.payment = [2]string{name, value}
	h.receipt = w.get(t, h.link.URL, name, value).receipt(t)
	require.Regexp(t, `\?k=\w{20,}$`, h.receipt.ReceiptURL)

	h.cookie = w.ownerCookie(t)
	h.till = w.pairTablet(t, h.cookie)
	return h
}

// begins begins a purchase, or asks for the answer to that once more.
func (h handedOut) begins(t *testing.T, w *world) answer {
	t.Helper()
	return w.do(t, http.MethodPost, "/api/create_payment_session", h.request, "Authorization", "Bearer "+w.APIKey,
		"Content-Type", "application/json", "Idempotency-Key", h.once)
}

// pairTablet pairs a tablet as its owner would, and returns its cookie.
func (w *world) pairTablet(t *testing.T, owner string) string {
	t.Helper()
	code := w.sends(t, "/dashboard/staff/tills", url.Values{"name": {"Counter"}}, owner).found(t, `id="pairing-code">(\d{3} \d{3})<`)
	return w.sends(t, "/pos/pairings", url.Values{"code": {code}}).cookie(t, "device")
}

// open uses all that was handed out, each as whoever has it would.
func (h handedOut) open(t *testing.T, w *world) {
	t.Helper()
	heard := h.server.count()
	w.call(t, "/api/webhooks/test", object{"id": h.hook.ID}, &struct{}{})
	require.Eventually(t, func() bool { return h.server.count() > heard }, hearTimeout, 20*time.Millisecond, "%s hears nothing", h.hook.ID)
	h.server.last().requireSigned(t, h.hook.Secret)

	again := h.begins(t, w)
	require.Equal(t, "true", again.Header.Get("Idempotent-Replayed"))
	require.JSONEq(t, h.session, again.Body, "the answer to a program, with the token of its buyer")
	var begun struct {
		URL     string `json:"pay_url"`
		Attempt string `json:"payment_attempt"`
	}
	require.NoError(t, json.Unmarshal([]byte(h.session), &begun))
	_, k, _ := strings.Cut(begun.URL, "?k=")
	told := w.get(t, "/api/payment_attempts/"+begun.Attempt+"?k="+k)
	require.Equal(t, http.StatusOK, told.Status, told.Body)
	require.Contains(t, told.Body, k, "the buyer's token opens his purchase")

	require.Equal(t, h.receipt, w.get(t, h.link.URL, h.payment[0], h.payment[1]).receipt(t), "the answer to a payment, with the token of its buyer")
	page := w.get(t, h.receipt.ReceiptURL, "Accept", "text/html")
	require.Equal(t, http.StatusOK, page.Status, page.Body)

	for path, cookie := range map[string]string{"/dashboard": h.cookie, "/account": h.cookie, "/pos": h.till} {
		a := w.get(t, path, "Accept", "text/html", "Cookie", cookie)
		require.Equal(t, http.StatusOK, a.Status, path)
	}
	require.Contains(t, w.get(t, "/pos", "Accept", "text/html", "Cookie", h.till).Body, "Counter", "the tablet is still paired")
	require.Equal(t, http.StatusOK, w.get(t, "/api/payment_links/list", "Authorization", "Bearer "+w.APIKey).Status)
}

// sealer is the mark, in hexadecimal, of the key that sealed a webhook's secret: its id, as it stands in the sealed bytes.
func (w *world) sealer(t *testing.T, hook string) (mark string) {
	t.Helper()
	var sealed []byte
	require.NoError(t, w.pool(t).QueryRow(t.Context(), `SELECT secret FROM subscriptions WHERE id = $1`, hook).Scan(&sealed))
	return hex.EncodeToString(sealed[1:9])
}

// everyColumn is all that the database holds, some tables left out, bytes in hexadecimal.
func (w *world) everyColumn(t *testing.T, but ...string) (text string) {
	t.Helper()
	c, err := w.pool(t).Acquire(t.Context())
	require.NoError(t, err)
	defer c.Release()
	_, err = c.Exec(t.Context(), `SET xmlbinary = hex`)
	require.NoError(t, err)
	require.NoError(t, c.QueryRow(t.Context(), `
		SELECT string_agg(query_to_xml(format('SELECT * FROM %I', table_name), true, false, '')::text, '')
		FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name <> ALL ($1)`, append([]string{}, but...)).Scan(&text))
	return strings.ToLower(text)
}
