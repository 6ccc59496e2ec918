package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"
	"github.com/stretchr/testify/require"
)

// hookServer is a merchant's server. It remembers what it was sent, and answers as the test says.
type hookServer struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	body   string
	got    []hookCall
}

type hookCall struct {
	header http.Header
	body   []byte
}

func startHookServer(t testing.TB) *hookServer {
	t.Helper()
	r := &hookServer{status: http.StatusOK}
	r.Server = httptest.NewServer(http.HandlerFunc(r.take))
	t.Cleanup(r.Close)
	return r
}

func (r *hookServer) take(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, hookCall{request.Header, body})
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(r.status)
	_, _ = io.WriteString(w, r.body)
}

// answers changes what the server says from now on.
func (r *hookServer) answers(status int, body string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status, r.body = status, body
}

// lastTest is the newest test event: the shop sells to others meanwhile, and tells of that as well.
func (r *hookServer) lastTest(t testing.TB) hookCall {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, call := range slices.Backward(r.got) {
		if bytes.Contains(call.body, []byte(`"event_type":"webhook.test"`)) {
			return call
		}
	}
	require.Fail(t, "no test event came")
	return hookCall{}
}

// hexMAC is the signature as the origin's snippet makes it.
func hexMAC(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// addWebhook makes a webhook by the dashboard's form, as a seller does, and returns its secret.
func (v *visitor) addWebhook(address string) string {
	v.t.Helper()
	v.open("/dashboard/webhooks/new")
	v.fill("Address of your server", address)
	v.press(v.button("Create webhook"))
	v.sees(v.heading("Keep this secret"))
	secret, err := v.Locator("#secret").InnerText()
	require.NoError(v.t, err)
	require.Regexp(v.t, `^whsec_[A-Za-z0-9+/]{32}$`, secret)
	return secret
}

// pill is the state beside the page's heading.
func (v *visitor) pill(word string) playwright.Locator {
	return v.Locator(".title .pill").GetByText(word)
}

func TestSellerSeesWhatTheirServerWasSent(t *testing.T) {
	t.Parallel()
	w, server := sharedWorld(t), startHookServer(t)
	seller := signedIn(t, w, desktop)
	secret := seller.addWebhook(server.URL + "/hooks")
	code, err := seller.Locator("#code-node").InnerText()
	require.NoError(t, err)
	require.Contains(t, code, `"`+secret+`"`)

	server.answers(http.StatusOK, `<title>x</title><script>document.title = "owned"</script><img src="/nothing.png" onerror="document.title='owned'">`)
	seller.press(seller.button("Send test event"))
	seller.sees(seller.heading("webhook.test"))
	seller.sees(seller.pill("Delivered"))
	sent := server.lastTest(t)
	require.Equal(t, hexMAC(secret, sent.body), sent.header.Get("X-Webhook-Signature"))
	seller.says(`<script>document.title = "owned"</script>`)
	title, err := seller.Title()
	require.NoError(t, err)
	require.NotContains(t, title, "owned")
	n, err := seller.Locator("#shown img").Count()
	require.NoError(t, err)
	require.Zero(t, n, "what a server said is text")
	page, err := seller.Content()
	require.NoError(t, err)
	require.NotContains(t, page, sent.header.Get("X-Webhook-Signature"), "no page shows a signature")

	server.answers(http.StatusInternalServerError, "we are closed")
	seller.press(seller.button("Send again now"))
	seller.sees(seller.pill("Trying again"))
	seller.says("Your server answered 500 Internal Server Error.")
	seller.says("we are closed")
	seller.says("Next try in 2 minutes")
	failing := seller.URL()

	server.answers(http.StatusNoContent, "")
	seller.press(seller.button("Send again now"))
	seller.sees(seller.pill("Delivered"))
	require.Equal(t, sent.body, server.lastTest(t).body, "the same event, to the letter")
	require.NotEqual(t, failing, seller.URL(), "sent again is a delivery of its own")
}

func TestSellerChangesTheSecretAndEndsTheWebhook(t *testing.T) {
	t.Parallel()
	w, server := sharedWorld(t), startHookServer(t)
	seller := signedIn(t, w, desktop).provokes(http.StatusConflict, http.StatusNotFound)
	first := seller.addWebhook(server.URL)
	seller.press(seller.link("I have copied it"))
	page := seller.URL()

	seller.press(seller.link("New secret"))
	rotation := seller.URL()
	seller.press(seller.button("Make new secret"))
	second, err := seller.Locator("#secret").InnerText()
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	seller.reload() // the form is sent again, and nothing new comes of it
	again, err := seller.Locator("#secret").InnerText()
	require.NoError(t, err)
	require.Equal(t, second, again)
	seller.press(seller.button("Send test event"))
	seller.sees(seller.pill("Delivered"))
	sent := server.lastTest(t)
	require.Equal(t, hexMAC(first, sent.body), sent.header.Get("X-Webhook-Signature"))
	require.Equal(t, hexMAC(second, sent.body), sent.header.Get("X-Webhook-Signature-Next"))

	seller.open(rotation)
	seller.press(seller.button("Make new secret"))
	seller.says("The secret before still signs beside the newest.")
	seller.open(page)
	seller.press(seller.link("End the old secret"))
	seller.press(seller.button("End old secret"))
	seller.says("One secret signs.")

	seller.press(seller.button("Pause"))
	seller.says("Paused")
	seller.press(seller.button("Resume"))
	seller.sees(seller.button("Pause"))
	seller.press(seller.link("Remove webhook"))
	seller.press(seller.button("Remove webhook"))
	seller.sees(seller.heading("Webhooks"))
	require.Equal(t, http.StatusNotFound, seller.open(page))
}

func TestWebhookIsSetUpAndTestedWithoutScripts(t *testing.T) {
	t.Parallel()
	w, server := sharedWorld(t), startHookServer(t)
	seller := signedIn(t, w, without(desktop)).provokes(http.StatusUnprocessableEntity)
	seller.open("/dashboard/webhooks/new")
	seller.fill("Address of your server", "https://user:secret@hooks.example/")
	require.NoError(t, seller.GetByLabel("Only these").Check())
	seller.press(seller.button("Create webhook"))
	seller.says("Choose at least one event.")
	seller.fill("Address of your server", "https://user:secret@hooks.example/")
	require.NoError(t, seller.GetByLabel("payment.completed").Check())
	seller.press(seller.button("Create webhook"))
	seller.sees(seller.Locator("#url-note.problem"))
	seller.fill("Address of your server", server.URL)
	seller.press(seller.button("Create webhook"))
	seller.sees(seller.heading("Keep this secret"))
	seller.press(seller.button("Send test event"))
	seller.sees(seller.pill("Delivered")) // the page reloads itself
}

// The code that pages give must hold what they promise: here each runs as a merchant would run it.
func TestCodeOnThePageChecksSignatures(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for language, run := range map[string]func(t *testing.T, file string) *exec.Cmd{
		"node":   func(_ *testing.T, file string) *exec.Cmd { return exec.Command("node", file) },
		"python": func(_ *testing.T, file string) *exec.Cmd { return exec.Command("python3", file) },
		"go": func(t *testing.T, file string) *exec.Cmd {
			binary := file + ".bin"
			out, err := exec.Command("go", "build", "-o", binary, file).CombinedOutput()
			require.NoError(t, err, string(out))
			return exec.Command(binary)
		},
	} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			port := freePort()
			address := "http://127.0.0.1:" + strconv.Itoa(port) + "/"
			seller := signedIn(t, w, desktop)
			seller.addWebhook(address)
			code, err := seller.Locator("#code-" + language).TextContent()
			require.NoError(t, err)
			file := filepath.Join(t.TempDir(), "receiver"+map[string]string{"node": ".mjs", "python": ".py", "go": ".go"}[language])
			require.NoError(t, os.WriteFile(file, []byte(code), 0o600))
			command := run(t, file)
			command.Env = append(cleanEnv(), "PORT="+strconv.Itoa(port))
			require.NoError(t, command.Start())
			t.Cleanup(func() { _, _ = command.Process.Kill(), command.Wait() })
			require.Eventually(t, func() bool {
				answer, err := plainClient.Post(address, "application/json", strings.NewReader(`{"forged":true}`))
				if err != nil {
					return false
				}
				_ = answer.Body.Close()
				return answer.StatusCode == http.StatusUnauthorized
			}, 15*time.Second, 50*time.Millisecond, "a forged event is refused")
			seller.press(seller.button("Send test event"))
			seller.sees(seller.pill("Delivered"))
			seller.says("204 No Content")
		})
	}
}

// webhook sets up what the pages about webhooks have to show, and returns their addresses.
func (g *gallery) webhookPages() []page {
	g.t.Helper()
	server := startHookServer(g.t)
	server.answers(http.StatusInternalServerError, "<h1>500</h1>\nWe are closed on Sundays.")
	var hook struct{ ID string }
	g.call(g.t, "/api/webhooks/register", object{"url": server.URL + "/hooks/xsynesis", "description": "Orders", "events": []string{
		"payment.attempt_created", "payment.completed", "settlement.confirmed",
	}}, &hook)
	failing := g.failingDelivery(server, hook.ID)
	var failed, again struct{ ID string }
	g.call(g.t, "/api/webhooks/test", object{"id": hook.ID}, &failed)
	g.awaitTry(failed.ID)
	g.exec(`UPDATE deliveries SET status = 'failed', reason = 'The last try failed.', next_try_at = NULL, ended_at = now() WHERE id = $1`, failed.ID)
	server.answers(http.StatusOK, `{"thanks":true}`)
	g.call(g.t, "/api/webhooks/test", object{"id": hook.ID}, &again)
	g.awaitTry(again.ID)
	var paused struct{ ID string }
	g.call(g.t, "/api/webhooks/register", object{"url": "https://kitchen.kaffe-nord.example/", "events": []string{"payment.completed"}, "active": false}, &paused)
	g.exec(`INSERT INTO notices (id, merchant_id, livemode, kind, text, link, created_at)
		VALUES ('ntc_' || repeat('1', 22), $1, false, 'webhook_failed', 'An event was not delivered.', '/dashboard/webhooks', now())`, g.SellerID)
	const at = "/dashboard/webhooks"
	return []page{
		{"webhooks", at, 200, true}, {"webhook", at + "/" + hook.ID, 200, true}, {"webhook, paused", at + "/" + paused.ID, 200, true},
		{"new webhook", at + "/new", 200, true}, {"edit webhook", at + "/" + paused.ID + "/edit", 200, true},
		{"new secret", at + "/" + hook.ID + "/rotation", 200, true}, {"end of a secret", at + "/" + hook.ID + "/rotation/end", 200, true},
		{"removal of a webhook", at + "/" + hook.ID + "/removal", 200, true},
		{"deliveries", at + "/deliveries", 200, true}, {"deliveries, none", at + "/deliveries?q=pa_nothing", 200, true},
		{"delivery", at + "/deliveries/" + failing, 200, true}, {"delivery, raw", at + "/deliveries/" + failing + "?try=1&view=raw", 200, true},
		{"delivery, delivered", at + "/deliveries/" + again.ID, 200, true}, {"delivery, failed", at + "/deliveries/" + failed.ID, 200, true},
		{"sending failed again", at + "/replays/new", 200, true}, {"sending failed again, counted", at + "/replays/new?since=2020-01-01T00:00&rate=10&count=1", 200, true},
		{"notices", "/dashboard/notices", 200, true},
	}
}

// sendFailedAgain goes the way from the count to its end.
func (g *gallery) sendFailedAgain(t *testing.T) {
	seller := g.visitor(t, page{"", "/dashboard/webhooks", http.StatusOK, true}, desktop)
	seller.says("1 event was not delivered")
	seller.press(seller.link("Send failed again"))
	seller.press(seller.button("Count them"))
	seller.says("1 event to send again")
	seller.press(seller.button("Send 1 event again"))
	seller.sees(seller.heading("1 of 1 sent again"))
	seller.sees(seller.Locator(".replay-count .pill").GetByText("Done"))
	seller.open("/dashboard/webhooks")
	n, err := seller.GetByText("not delivered").Count()
	require.NoError(t, err)
	require.Zero(t, n, "what was sent again needs nobody")
}

// failingDelivery tells of a payment, three times and in vain: the minutes between the tries are written by hand.
func (g *gallery) failingDelivery(server *hookServer, hook string) (delivery string) {
	g.t.Helper()
	server.answers(http.StatusInternalServerError, "")
	g.purchase("settled")
	const one = `SELECT id FROM deliveries WHERE subscription_id = $1 AND event_type = 'payment.completed' LIMIT 1`
	require.Eventually(g.t, func() bool { return g.pool(g.t).QueryRow(g.t.Context(), one, hook).Scan(&delivery) == nil }, 20*time.Second, 50*time.Millisecond)
	g.awaitTry(delivery)
	g.exec(`UPDATE tries SET latency_ms = 212, started_at = now() - interval '8 minutes', ended_at = now() - interval '8 minutes' WHERE delivery_id = $1`, delivery)
	g.exec(`INSERT INTO tries (delivery_id, number, attempt, state, lease, url, request_headers, started_at, ended_at, status, class, error,
			connected_ms, latency_ms, answer_headers, answer, answer_bytes)
		SELECT delivery_id, n, n, 'failed', lease, url, jsonb_set(request_headers, '{X-Webhook-Attempt}', jsonb_build_array(n::text)),
			now() - at, now() - at, status, class, error, 41, ms, answer_headers, answer, answer_bytes
		FROM tries, (VALUES (2, interval '6 minutes', 198), (3, interval '2 minutes', 10000)) AS more (n, at, ms)
		WHERE delivery_id = $1`, delivery)
	g.exec(`UPDATE tries SET status = 0, class = 'timeout', answer = '', answer_bytes = 0, answer_headers = '{}' WHERE delivery_id = $1 AND number = 3`, delivery)
	g.exec(`UPDATE deliveries SET tries = 3, last_status = 0, last_class = 'timeout', last_ms = 10000, next_try_at = now() + interval '6 minutes' WHERE id = $1`, delivery)
	return delivery
}

// awaitTry waits until a delivery's first try is over.
func (g *gallery) awaitTry(delivery string) {
	g.t.Helper()
	require.Eventually(g.t, func() bool {
		a := g.get(g.t, "/api/webhooks/deliveries/"+delivery, "Authorization", "Bearer "+g.APIKey)
		return a.Status == http.StatusOK && regexp.MustCompile(`"last_status":[2-5]`).MatchString(a.Body)
	}, 20*time.Second, 50*time.Millisecond)
}
