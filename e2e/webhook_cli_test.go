package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/webhook"
)

// endpoint is a shop's server on this machine, which keeps what it is sent.
type endpoint struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []sentEvent
}

// sentEvent is a request as it arrived.
type sentEvent struct {
	header http.Header
	body   []byte
	ID     string `json:"id"`
	Type   string `json:"event_type"`
	About  string `json:"resource_id"`
	Load   struct {
		Attempt string `json:"payment_attempt_id"`
	} `json:"payload"`
}

func newEndpoint(t *testing.T) *endpoint {
	t.Helper()
	e := &endpoint{status: http.StatusNoContent}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

// ServeHTTP answers what the test wants.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	got := sentEvent{header: r.Header, body: body}
	_ = json.Unmarshal(body, &got) // what is no event is seen by what looks for it
	e.mu.Lock()
	defer e.mu.Unlock()
	e.got = append(e.got, got)
	w.WriteHeader(e.status)
}

// hears waits for an event of the type about the purchase, or about anything.
func (e *endpoint) hears(t *testing.T, kind, attempt string) (found sentEvent) {
	t.Helper()
	require.Eventually(t, func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, got := range e.got {
			if got.Type == kind && (attempt == "" || got.Load.Attempt == attempt) {
				found = got
				return true
			}
		}
		return false
	}, hearTimeout, 20*time.Millisecond, "%s about %s", kind, attempt)
	return found
}

func (e *endpoint) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.got)
}

func (e *endpoint) last() sentEvent {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.got[len(e.got)-1]
}

// requireSigned checks a request as the dispatcher's receivers would.
func (s sentEvent) requireSigned(t *testing.T, secret string) {
	t.Helper()
	hexed, _ := webhook.Sign(secret, "", time.Time{}, s.body)
	require.Equal(t, hexed, s.header.Get("X-Webhook-Signature"))
	require.Equal(t, s.ID, s.header.Get("webhook-id"))
	require.Equal(t, s.Type, s.header.Get("X-Webhook-Event"))
	require.True(t, strings.HasPrefix(s.header.Get("webhook-signature"), "v1,"))
}

func (w *world) cliEnv() []string {
	return w.with("XSYNESIS_URL="+w.BaseURL, "XSYNESIS_API_KEY="+w.APIKey)
}

func TestListenForwardsWhatHappensFromNowOnAndOutlivesTheGateway(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	l := w.newLink(t, "A bun for the laptop", "0.10")
	before := w.paysLink(t, l, 2)
	mine := newEndpoint(t)
	cli := w.startProcess(t, w.cliEnv(), "xsynesis", "webhooks", "listen", "--forward-to", mine.URL+"/hooks",
		"--events", "payment.completed,settlement.confirmed")
	secret, err := cli.await("secret ", readyTimeout)
	require.NoError(t, err)
	_, err = cli.await("forwarding events of "+w.BaseURL, readyTimeout)
	require.NoError(t, err)

	paid := w.paysLink(t, l, 1)
	for _, kind := range []string{"payment.completed", "settlement.confirmed"} {
		mine.hears(t, kind, paid.PaymentAttempt).requireSigned(t, secret)
	}
	require.Equal(t, 2, mine.count(), "nothing from before %s, and nothing that was not asked for", before.PaymentAttempt)

	require.NoError(t, w.stop())
	require.Eventually(t, func() bool { return strings.Contains(cli.log(), "does not answer") }, readyTimeout, 50*time.Millisecond)
	require.NoError(t, w.start())
	later := w.paysLink(t, l, 2)
	mine.hears(t, "payment.completed", later.PaymentAttempt).requireSigned(t, secret)
	require.NoError(t, cli.stop(), "it ends well")

	cli.mu.Lock()
	defer cli.mu.Unlock()
	lines := strings.Join(cli.lines, "\n")
	require.Regexp(t, `(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ payment\.completed `+paid.PaymentAttempt+` completed → 204 No Content in \d+ ms$`, lines)
}

func TestTriggerTriesAWebhook(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	mine := newEndpoint(t)
	var s struct{ ID, Secret string }
	w.call(t, "/api/webhooks/register", object{"url": mine.URL, "events": []string{"webhook.test"}}, &s)

	out := w.cli(t, 0, "trigger", "--subscription", s.ID)
	require.Contains(t, out, "webhook.test to "+mine.URL)
	mine.hears(t, "webhook.test", "").requireSigned(t, s.Secret)

	out = w.cli(t, 1, "trigger", "--subscription", "ws_nobody")
	require.Contains(t, out, "ws_nobody is no webhook of this shop")
	w.call(t, "/api/webhooks/unregister", object{"id": s.ID}, &struct{}{})
}

func TestReplaySendsAgainWhatFailed(t *testing.T) {
	t.Parallel()
	w := startUnauditedWorld(t)
	mine := newEndpoint(t)
	mine.status = http.StatusInternalServerError
	var s struct{ ID, Secret string }
	w.call(t, "/api/webhooks/register", object{"url": mine.URL, "events": []string{"payment.completed"}}, &s)
	l := w.newLink(t, "Heard late", "0.10")
	var paid []receipt
	for range 3 {
		paid = append(paid, w.paysLink(t, l, 2))
		mine.hears(t, "payment.completed", paid[len(paid)-1].PaymentAttempt)
	}
	// Its last try is half an hour away: it is brought about.
	pool := w.pool(t)
	require.Eventually(t, func() bool {
		_, err := pool.Exec(t.Context(), `UPDATE deliveries SET status = 'failed', reason = 'The last try failed.', next_try_at = NULL,
			lease_until = NULL, ended_at = now() WHERE subscription_id = $1 AND status = 'pending' AND tries > 0`, s.ID)
		require.NoError(t, err)
		var failed int
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM deliveries WHERE subscription_id = $1 AND status = 'failed'`, s.ID).Scan(&failed))
		return failed == 3
	}, hearTimeout, 50*time.Millisecond)
	mine.mu.Lock()
	mine.status, mine.got = http.StatusNoContent, nil
	mine.mu.Unlock()

	out := w.cli(t, 0, "replay", "--failed-since", "2h", "--dry-run")
	require.Contains(t, out, "3 deliveries failed since")
	require.Zero(t, mine.count())
	out = w.cli(t, 0, "replay", "--failed-since", "2h", "--rate", "50")
	require.Contains(t, out, ": 3 of 3 sent again")
	for _, p := range paid {
		mine.hears(t, "payment.completed", p.PaymentAttempt).requireSigned(t, s.Secret)
	}

	var list struct{ Data []struct{ ID string } }
	a := w.get(t, "/api/webhooks/deliveries?limit=1", "Authorization", "Bearer "+w.APIKey)
	require.NoError(t, json.Unmarshal([]byte(a.Body), &list), a.Body)
	before := mine.count()
	out = w.cli(t, 0, "replay", list.Data[0].ID)
	require.Regexp(t, `^dlv_\w+ repeats `+list.Data[0].ID, out)
	require.Eventually(t, func() bool { return mine.count() == before+1 }, hearTimeout, 20*time.Millisecond)
	out = w.cli(t, 1, "replay", "dlv_nobody")
	require.Contains(t, out, "repeat dlv_nobody: ")
}

// cli runs `xsynesis webhooks …`, which must exit with the code, and returns all that it printed.
func (w *world) cli(t *testing.T, code int, args ...string) string {
	t.Helper()
	path, err := binary("xsynesis")
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), path, append([]string{"webhooks"}, args...)...)
	cmd.Env, cmd.Dir = w.cliEnv(), w.Dir
	out, _ := cmd.CombinedOutput()
	require.Equal(t, code, cmd.ProcessState.ExitCode(), string(out))
	return string(out)
}

func TestTheScriptThatTriesWebhooksPasses(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	script, err := filepath.Abs("../scripts/test-webhooks.sh")
	require.NoError(t, err)
	run := func(env ...string) (int, string) {
		cmd := exec.CommandContext(t.Context(), script)
		cmd.Dir, cmd.Env = t.TempDir(), append(cleanEnv(), env...)
		out, _ := cmd.CombinedOutput()
		return cmd.ProcessState.ExitCode(), string(out)
	}
	code, out := run("DATA_DIR=" + w.Dir)
	require.Zero(t, code, out)
	require.NotContains(t, out, "FAIL")
	require.Equal(t, strings.Count(out, "\n"), strings.Count(out, "PASS "), out)
	require.GreaterOrEqual(t, strings.Count(out, "PASS "), 15)

	code, out = run("BASE_URL="+w.BaseURL, "API_KEY=sk_test_wrong")
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "FAIL register")
	code, out = run()
	require.Equal(t, 2, code, out)
}
