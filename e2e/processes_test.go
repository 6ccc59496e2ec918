package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// How long a process may take that was asked to do what is due, and one that was asked to stop.
const (
	runOnceLimit = 30 * time.Second
	stopLimit    = 20 * time.Second
)

// startSite is a chain, a database and a web process, and nobody who works.
func startSite(t *testing.T, env ...string) *world {
	t.Helper()
	w := startChainAndDatabase(t, append([]string{"MASTER_KEY=" + crashMaster, "SETTLE_WAIT=1"}, env...)...)
	w.seed(t)
	w.startProcess(t, w.Env, "xsynesis", "serve")
	require.Eventually(t, func() bool { return answers(t.Context(), w.BaseURL+"/healthz") }, readyTimeout, 100*time.Millisecond)
	return w
}

func (w *world) startWorker(t *testing.T, env ...string) *child {
	t.Helper()
	return w.startProcess(t, w.with(append(env, "RELAYER_KEY="+w.RelayerKey)...), "xsynesis", "worker")
}

// payLater approves a payment that nobody settles yet.
func (w *world) payLater(t *testing.T) {
	t.Helper()
	url := w.BaseURL + "/link/" + w.LinkToken
	name, value := w.payment(t, w.buyer(t), 2, w.get(t, url).required(t))
	require.Equal(t, http.StatusServiceUnavailable, w.get(t, url, name, value).Status)
}

// ear is a merchant's server that remembers what it was told.
type ear struct {
	url   string
	delay time.Duration

	mu    sync.Mutex
	heard map[string]int // events, by id
}

func listen(t *testing.T, delay time.Duration) *ear {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	e := &ear{url: "http://" + l.Addr().String() + "/hooks", delay: delay, heard: map[string]int{}}
	server := &http.Server{Handler: e}
	go server.Serve(l) //nolint:errcheck // it ends with the test
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return e
}

func (e *ear) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	select {
	case <-time.After(e.delay):
	case <-r.Context().Done(): // whoever told us left
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard[r.Header.Get("X-Webhook-Event")+" "+r.Header.Get("webhook-id")]++
}

// times is how often each event of a type was heard.
func (e *ear) times(event string) (times []int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, n := range e.heard {
		if strings.HasPrefix(name, event+" ") {
			times = append(times, n)
		}
	}
	return times
}

func (e *ear) awaits(t *testing.T, event string, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return len(e.times(event)) == n }, time.Minute, 50*time.Millisecond, "%d × %s", n, event)
}

// tellAt registers a server.
func (w *world) tellAt(t *testing.T, e *ear, events ...string) subscription {
	t.Helper()
	var s subscription
	w.call(t, "/api/webhooks/register", object{"url": e.url, "events": events, "active": true}, &s)
	return s
}

// runOnce runs a worker that does what is due with what moves money, a key or a facilitator, and returns how long it took.
func (w *world) runOnce(t *testing.T, mover string) time.Duration {
	t.Helper()
	path, err := binary("xsynesis")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*runOnceLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "worker")
	cmd.Env, cmd.Dir = w.with(mover, "RUN_ONCE=true"), w.Dir
	began := time.Now()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return time.Since(began)
}

func (w *world) one(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, w.pool(t).QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

// TestRunOnce leaves a payment queued, without anybody who works, and calls a worker for what is due.
func TestRunOnce(t *testing.T) {
	t.Parallel()
	w := startSite(t)
	require.Eventually(t, func() bool { // until one of them has looked at the gas money
		require.Less(t, w.runOnce(t, "RELAYER_KEY="+w.RelayerKey), runOnceLimit, "with nothing due")
		return answers(t.Context(), w.BaseURL+"/readyz")
	}, readyTimeout, time.Millisecond)
	server := listen(t, 0)
	w.tellAt(t, server, "payment.completed", "settlement.confirmed")
	w.payLater(t)
	require.Equal(t, 1, w.one(t, `SELECT count(*) FROM settlements WHERE status = 'queued'`))

	took := w.runOnce(t, "RELAYER_KEY="+w.RelayerKey)
	require.Less(t, took, runOnceLimit)
	require.Equal(t, 1, w.one(t, `SELECT count(*) FROM settlements WHERE status IN ('confirmed', 'final')`))
	require.Equal(t, 1, w.one(t, `SELECT count(*) FROM sales`))
	require.Len(t, server.times("payment.completed"), 1, "what follows from it is due as well")
	require.Len(t, server.times("settlement.confirmed"), 1)
	require.Zero(t, w.one(t, `SELECT count(*) FROM processes WHERE role = 'worker'`))
	require.NoError(t, w.audit())
	report(t, "RUN_ONCE settled one payment and told of it in %.1f s", took.Seconds())
}

// TestWhoDelivers: the worker leaves deliveries to the dispatcher, unless there is none.
func TestWhoDelivers(t *testing.T) {
	t.Parallel()
	w := startSite(t)
	server := listen(t, 0)
	s := w.tellAt(t, server)
	test := func() { w.call(t, "/api/webhooks/test", object{"id": s.ID}, &struct{}{}) }
	test()
	worker := w.startWorker(t)
	require.Eventually(t, func() bool { return w.one(t, `SELECT count(*) FROM processes WHERE role = 'worker'`) == 1 },
		readyTimeout, 50*time.Millisecond)
	w.awaitReady(t)
	time.Sleep(2 * time.Second)
	require.Empty(t, server.times("webhook.test"), "a worker delivers nothing while a dispatcher is there to do it")

	health := freePort()
	env := w.with(fmt.Sprintf("HEALTH_PORT=%d", health), "RELAYER_KEY="+w.RelayerKey)
	dispatcher := w.startProcess(t, env, "xsynesis", "webhook-dispatcher")
	server.awaits(t, "webhook.test", 1)
	require.NotContains(t, dispatcher.log(), "relayer=0x", "it drops the key that moves money")
	require.True(t, answers(t.Context(), fmt.Sprintf("http://127.0.0.1:%d/readyz", health)))
	w.requireHealth(t, env, true)
	require.NoError(t, dispatcher.stop())
	w.requireHealth(t, env, false)
	require.NoError(t, worker.stop())

	test()
	w.startWorker(t, "WEBHOOK_DISPATCHER_ENABLED=false")
	server.awaits(t, "webhook.test", 2)
}

// requireHealth asks as a supervisor does.
func (w *world) requireHealth(t *testing.T, env []string, lives bool) {
	t.Helper()
	path, err := binary("xsynesis")
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), path, "health")
	cmd.Env, cmd.Dir = env, w.Dir
	out, err := cmd.CombinedOutput()
	require.Equal(t, lives, err == nil, string(out))
}

func TestADispatcherThatIsNotWantedSaysSo(t *testing.T) {
	t.Parallel()
	path, err := binary("xsynesis")
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), path, "webhook-dispatcher")
	cmd.Env, cmd.Dir = append(cleanEnv(), "WEBHOOK_DISPATCHER_ENABLED=false"), t.TempDir()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, 1, strings.Count(string(out), "\n"), string(out))
	require.Contains(t, string(out), "WEBHOOK_DISPATCHER_ENABLED is false")
}

// TestStopCostsNoTry asks a worker and a dispatcher to stop in the middle of their work. Both end in time, and what they
// leave is done by the next ones as if nobody had begun.
func TestStopCostsNoTry(t *testing.T) {
	t.Parallel()
	const payments, tests = 24, 12
	w := startSite(t)
	worker := w.startWorker(t)
	w.awaitReady(t)
	dispatcher := w.startProcess(t, w.Env, "xsynesis", "webhook-dispatcher")
	server := listen(t, time.Second)
	s := w.tellAt(t, server, "webhook.test", "payment.completed")
	for range tests {
		w.call(t, "/api/webhooks/test", object{"id": s.ID}, &struct{}{})
	}
	url := w.BaseURL + "/link/" + w.LinkToken
	var approved [payments][2]string
	for i := range approved {
		approved[i][0], approved[i][1] = w.payment(t, w.buyer(t), 2, w.get(t, url).required(t))
	}
	var sending errgroup.Group
	for _, header := range approved {
		sending.Go(func() error {
			_, err := w.send(t.Context(), http.MethodGet, url, "", header[0], header[1])
			return err
		})
	}
	require.Eventually(t, func() bool { return w.one(t, `SELECT count(*) FROM settlements`) >= payments/2 }, time.Minute, 5*time.Millisecond)
	require.Eventually(t, func() bool { return w.one(t, `SELECT count(*) FROM tries WHERE state = 'started'`) > 0 }, time.Minute, 5*time.Millisecond)

	var stopping sync.WaitGroup
	for name, c := range map[string]*child{"worker": worker, "dispatcher": dispatcher} {
		stopping.Go(func() {
			began := time.Now()
			if err := c.stop(); err != nil {
				t.Error(err)
			}
			took := time.Since(began)
			report(t, "%s stopped under load in %.1f s", name, took.Seconds())
			if took > stopLimit {
				t.Errorf("%s took %s to stop", name, took)
			}
		})
	}
	stopping.Wait()
	require.NoError(t, sending.Wait())
	w.startWorker(t)
	w.startProcess(t, w.Env, "xsynesis", "webhook-dispatcher")
	require.Eventually(t, func() bool {
		return w.one(t, `SELECT count(*) FROM settlements WHERE status IN ('confirmed', 'final')`) == payments
	}, 2*time.Minute, 100*time.Millisecond)
	server.awaits(t, "webhook.test", tests)
	server.awaits(t, "payment.completed", payments)

	require.Zero(t, w.one(t, `SELECT count(*) FROM river_job WHERE kind IN ('settle', 'deliver') AND (attempt > 1 OR cardinality(errors) > 0)`), "tries of the queue")
	require.Zero(t, w.one(t, `SELECT count(*) FROM deliveries WHERE tries > 1 OR status = 'failed'`), "tries of deliveries")
	for _, n := range append(server.times("webhook.test"), server.times("payment.completed")...) {
		require.Equal(t, 1, n, "an orderly stop lets what is under way finish")
	}
	require.NoError(t, w.audit())
}

// TestFormerProcessesServeDuringAnUpgrade: a newer schema only adds, so whoever runs goes on; whoever starts must fit it.
func TestFormerProcessesServeDuringAnUpgrade(t *testing.T) {
	t.Parallel()
	w := startSite(t)
	w.startWorker(t)
	w.awaitReady(t)
	_, err := w.pool(t).Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`)
	require.NoError(t, err)
	require.True(t, answers(t.Context(), w.BaseURL+"/readyz"))
	w.payOnce(t)
	out, err := w.run("xsynesis", "webhook-dispatcher")
	require.Error(t, err)
	require.Contains(t, out, "the database is newer than this program")
}

// TestFiguresOfAFleet reads them as monitoring does, from any process.
func TestFiguresOfAFleet(t *testing.T) {
	t.Parallel()
	health := freePort()
	w := startSite(t, fmt.Sprintf("HEALTH_PORT=%d", health))
	w.startWorker(t, "HEALTH_PORT=")
	w.startProcess(t, w.with("HEALTH_PORT="), "xsynesis", "webhook-dispatcher")
	w.awaitReady(t)
	w.payOnce(t)
	read := func(url string) string { return w.get(t, url+"/metrics").Body }
	for _, url := range []string{w.BaseURL, fmt.Sprintf("http://127.0.0.1:%d", health)} {
		require.Eventually(t, func() bool {
			text := read(url)
			return strings.Contains(text, `xsynesis_processes{role="worker"} 1`) && strings.Contains(text, `xsynesis_settlement_seconds_count 1`) &&
				strings.Contains(text, `xsynesis_payments_recent{state="settled"} 1`)
		}, time.Minute, time.Second, url)
		text := read(url)
		for _, line := range []string{
			`xsynesis_processes{role="web"} 1`, `xsynesis_processes{role="webhook-dispatcher"} 1`, `xsynesis_chain_up{network="eip155:84532"} 1`,
			`xsynesis_finding{subject="processes"} 0`, `xsynesis_finding{subject="gas"} 0`,
		} {
			require.True(t, strings.Contains(text, line), "%s: %s", url, line) //nolint:testifylint // the whole text is pages long
		}
	}
	public := w.get(t, "/metrics", "X-Forwarded-For", "192.0.2.1")
	require.Equal(t, http.StatusUnauthorized, public.Status)
}

// payOnce pays, however long it takes.
func (w *world) payOnce(t *testing.T) {
	t.Helper()
	url := w.BaseURL + "/link/" + w.LinkToken
	name, value := w.payment(t, w.buyer(t), 2, w.get(t, url).required(t))
	require.Eventually(t, func() bool { return w.get(t, url, name, value).Status == http.StatusOK }, time.Minute, 200*time.Millisecond)
}
