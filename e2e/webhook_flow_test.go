package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/postgres/pgtest"
)

// hearTimeout is how long a webhook may take from the paid page to the seller's server.
const hearTimeout = 20 * time.Second

// TestWebhookFlow is a whole sale through separate processes: web, worker and webhook dispatcher.
func TestWebhookFlow(t *testing.T) {
	t.Parallel()
	w := startChainAndDatabase(t)
	w.seed(t)
	w.startProcess(t, w.Env, "xsynesis", "serve")
	w.startProcess(t, w.with("RELAYER_KEY="+w.RelayerKey), "xsynesis", "worker")
	w.startProcess(t, w.Env, "xsynesis", "webhook-dispatcher")
	w.awaitReady(t)
	flow(t, w)
	require.NoError(t, w.audit())
}

// startChainAndDatabase is a world without programs: a chain that outlives them, and a migrated database.
func startChainAndDatabase(t *testing.T, env ...string) *world {
	t.Helper()
	w, err := newWorld(append([]string{"DATABASE_URL=" + pgtest.URL(t), "ALLOW_PRIVATE_TARGETS=true"}, env...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(w.Dir)) })
	w.process = w.startProcess(t, w.Env, "xsynesis-dev", "chain")
	_, err = w.process.await("chain ", readyTimeout)
	require.NoError(t, err)
	return w
}

// seed founds the demo's shops.
func (w *world) seed(t *testing.T) {
	t.Helper()
	out, err := w.run("xsynesis-dev", "seed")
	require.NoError(t, err, out)
	require.NoError(t, w.readDevFile())
}

// with is the world's environment and more.
func (w *world) with(env ...string) []string { return append(w.Env[:len(w.Env):len(w.Env)], env...) }

// startProcess starts a process that is stopped with the test.
func (w *world) startProcess(t *testing.T, env []string, name string, args ...string) *child {
	t.Helper()
	path, err := binary(name)
	require.NoError(t, err)
	return w.startPath(t, env, path, args...)
}

func (w *world) startPath(t *testing.T, env []string, path string, args ...string) *child {
	t.Helper()
	c, err := startProgram(env, w.Dir, path, args...)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the log of %s %s:\n%s", path, strings.Join(args, " "), c.log())
		}
		require.NoError(t, c.stop())
	})
	return c
}

func (w *world) awaitReady(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return answers(t.Context(), w.BaseURL+"/readyz") }, readyTimeout, 100*time.Millisecond, "%s is not ready", w.BaseURL)
}

// flow is a seller's first day at a running shop, with programs that know nothing of us: a link; its code, read by a
// phone; a webhook; a buyer with a browser; and the seller's server, which checks what it hears. Then a secret is
// rotated, and both the old and the new one will do.
func flow(t *testing.T, w *world) {
	t.Helper()
	l := w.newLink(t, "Cinnamon roll", "0.10")
	require.Equal(t, l.URL, w.readQR(t, l.Token))

	s := w.registerWebhook(t, "payment.completed", "settlement.confirmed")
	server := w.startReceiver(t, s.port, s.Secret, strangersSecret)
	paid := w.buysWithBrowser(t, l)
	for _, h := range server.hears(t, paid) {
		require.Equal(t, []verdict{{Plain: true, Standard: true}, {}}, h.Verdicts, h.Type)
		require.Equal(t, "1", h.Attempt)
	}
	require.NoError(t, server.stop())

	var rotated subscription
	w.call(t, "/api/webhooks/rotate_secret", object{"webhook_subscription_id": s.ID}, &rotated)
	require.NotEqual(t, s.Secret, rotated.Secret)
	server = w.startReceiver(t, s.port, s.Secret, rotated.Secret, strangersSecret)
	paid = w.buysWithBrowser(t, l)
	for _, h := range server.hears(t, paid) {
		require.Equal(t, []verdict{{Plain: true, Standard: true}, {Next: true, Standard: true}, {}}, h.Verdicts, h.Type)
	}
	require.NoError(t, server.stop())
}

// strangersSecret verifies nothing, so that a receiver which takes everything is noticed.
const strangersSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// readQR reads the code of a link with a decoder that is not ours.
func (w *world) readQR(t *testing.T, token string) string {
	t.Helper()
	code := w.get(t, "/api/qr?token="+token)
	require.Equal(t, http.StatusOK, code.Status, code.Body)
	require.Equal(t, "image/png", code.Header.Get("Content-Type"))
	dir := scriptFolder(t, "receiver", "testdata/readqr.mjs")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "code.png"), []byte(code.Body), 0o600))
	node := exec.CommandContext(t.Context(), "node", "readqr.mjs", "code.png")
	node.Dir, node.Env = dir, cleanEnv()
	out, err := node.CombinedOutput()
	require.NoError(t, err, string(out))
	return strings.TrimSpace(string(out))
}

// subscription is what a seller is told of one, with its secret where that is new.
type subscription struct {
	ID     string   `json:"webhook_subscription_id"`
	URL    string   `json:"url"`
	Secret string   `json:"secret"`
	Events []string `json:"events"`
	Active bool     `json:"active"`

	port int
}

// registerWebhook asks for events at a port where nobody listens yet.
func (w *world) registerWebhook(t *testing.T, events ...string) subscription {
	t.Helper()
	s := subscription{port: freePort()}
	w.call(t, "/api/webhooks/register", object{"url": fmt.Sprintf("http://127.0.0.1:%d/hooks", s.port), "events": events, "active": true}, &s)
	require.True(t, strings.HasPrefix(s.ID, "ws_"), s.ID)
	require.Regexp(t, `^whsec_[A-Za-z0-9+/]{32}$`, s.Secret)
	require.ElementsMatch(t, events, s.Events)
	return s
}

// receiver is a seller's server, written in another language.
type receiver struct{ *child }

func (w *world) startReceiver(t *testing.T, port int, secrets ...string) receiver {
	t.Helper()
	dir := scriptFolder(t, "receiver", "testdata/receiver.mjs")
	c, err := startProgram(cleanEnv(), dir, "node", append([]string{"receiver.mjs", fmt.Sprint(port)}, secrets...)...)
	require.NoError(t, err)
	t.Cleanup(c.kill)
	_, err = c.await("listening ", readyTimeout)
	require.NoError(t, err)
	return receiver{c}
}

// heard is a webhook as the receiver tells of it.
type heard struct {
	ID       string    `json:"id"`
	Type     string    `json:"type"`
	Attempt  string    `json:"attempt"`
	Body     string    `json:"body"`
	Verdicts []verdict `json:"verdicts"` // in the order of the secrets it was started with
}

// verdict is which signatures are right by one secret.
type verdict struct {
	Plain    bool `json:"plain"`
	Next     bool `json:"next"`
	Standard bool `json:"standard"`
}

// eventBody is the form that every event has.
type eventBody struct {
	ID           string `json:"id"`
	Type         string `json:"event_type"`
	SellerID     string `json:"seller_id"`
	Livemode     bool   `json:"livemode"`
	ResourceType string `json:"resource_type"`
	ResourceID   string `json:"resource_id"`
	Sequence     int    `json:"sequence"`
	Payload      struct {
		Attempt     string `json:"payment_attempt_id"`
		Settlement  string `json:"settlement_id"`
		AmountCents int    `json:"amount_cents"`
		Amount      string `json:"amount"`
		Currency    string `json:"currency"`
		Purchaser   string `json:"purchaser_address"`
		Status      string `json:"status"`
		Sale        string `json:"sale_id"`
		ItemTitle   string `json:"item_title"`
		Link        string `json:"link_id"`
		Transaction string `json:"transaction"`
		Network     string `json:"network"`
	} `json:"payload"`
	Timestamp time.Time `json:"timestamp"`
}

// buysWithBrowser pays what the link's code says, with a wallet in a phone's browser, and returns the sale.
func (w *world) buysWithBrowser(t *testing.T, l link) sale {
	t.Helper()
	l.URL = w.readQR(t, l.Token)
	pocket := newWallet(w.buyer(t), w.ChainID)
	v := visit(t, w, phone, pocket.in) // the only wallet there is: a shop that runs for good offers none of its own
	require.Equal(t, http.StatusOK, v.open(l.URL))
	v.press(v.button("Pay 0.10"))
	v.sees(v.heading("Paid"))
	sales := w.sales(t, "payment_attempt_id", v.attempt())
	require.Len(t, sales, 1)
	w.requireTransfer(t, sales[0]["transaction"], pocket.address(), w.payTo(t), 100_000)
	return sales[0]
}

// hears waits for both events of a sale and checks what they say.
func (r receiver) hears(t *testing.T, s sale) []heard {
	t.Helper()
	var found map[string]heard
	require.Eventually(t, func() bool {
		found = map[string]heard{}
		for _, h := range r.all(t) {
			if strings.Contains(h.Body, s["payment_attempt_id"]) {
				found[h.Type] = h
			}
		}
		return len(found) == 2
	}, hearTimeout, 50*time.Millisecond, "the seller's server has not heard of %s: %v", s["payment_attempt_id"], r.all(t))
	var all []heard
	for _, kind := range []string{"payment.completed", "settlement.confirmed"} {
		h, ok := found[kind]
		require.True(t, ok, "no %s in %v", kind, found)
		requireBody(t, h, s)
		all = append(all, h)
	}
	return all
}

func (r receiver) all(t *testing.T) []heard {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []heard
	for _, line := range r.lines {
		if text, ok := strings.CutPrefix(line, "webhook "); ok {
			var h heard
			require.NoError(t, json.Unmarshal([]byte(text), &h), text)
			all = append(all, h)
		}
	}
	return all
}

// requireBody holds an event against the sale in the seller's own export.
func requireBody(t *testing.T, h heard, s sale) {
	t.Helper()
	var b eventBody
	require.NoError(t, json.Unmarshal([]byte(h.Body), &b), h.Body)
	require.Equal(t, h.ID, b.ID)
	require.Equal(t, h.Type, b.Type)
	require.True(t, strings.HasPrefix(b.ID, "evt_"), b.ID)
	require.Positive(t, b.Sequence)
	require.False(t, b.Livemode)
	require.WithinDuration(t, time.Now(), b.Timestamp, time.Minute)
	p := b.Payload
	require.Equal(t, s["payment_attempt_id"], p.Attempt)
	require.Equal(t, []any{10, "100000", "USDC", s["transaction"], s["network"]}, []any{p.AmountCents, p.Amount, p.Currency, p.Transaction, p.Network})
	if h.Type == "settlement.confirmed" {
		require.Equal(t, []any{"confirmed", s["settlement_id"], "settlement"}, []any{p.Status, p.Settlement, b.ResourceType})
		return
	}
	require.Equal(t, []any{"completed", s["id"], s["item_title"], s["payment_attempt_id"]}, []any{p.Status, p.Sale, p.ItemTitle, b.ResourceID})
	require.True(t, strings.EqualFold(s["purchaser_address"], p.Purchaser), p.Purchaser)
}
