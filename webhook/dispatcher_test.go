package webhook_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"xsynesis/egress"
	"xsynesis/id"
	"xsynesis/jobs" //nolint:depguard // these tests run the workers that production runs
	"xsynesis/postgres/pgtest"
	"xsynesis/webhook"
)

const (
	tryLasts = time.Second // the timeout of the tests' tries
	soon     = 40 * time.Second
	look     = 5 * time.Millisecond
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// call is one request that a merchant's server took.
type call struct {
	at     time.Time
	header http.Header
	body   []byte
}

// receiver is a merchant's server.
type receiver struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request, nth int) // nil: 200

	mu    sync.Mutex
	calls []call
}

func receive(t testing.TB, answer func(w http.ResponseWriter, r *http.Request, nth int)) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(r)
	t.Cleanup(func() { r.CloseClientConnections(); r.Close() })
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	r.calls = append(r.calls, call{time.Now(), request.Header, body})
	nth := len(r.calls)
	r.mu.Unlock()
	if r.answer != nil {
		r.answer(w, request, nth)
	}
}

func (r *receiver) got() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]call(nil), r.calls...)
}

// await waits for so many calls and returns them.
func (r *receiver) await(t testing.TB, n int) []call {
	t.Helper()
	require.Eventually(t, func() bool { return len(r.got()) >= n }, soon, look, "the server was not called %d times", n)
	return r.got()
}

// status answers with these, one after the other, and then with the last.
func status(statuses ...int) func(http.ResponseWriter, *http.Request, int) {
	return func(w http.ResponseWriter, _ *http.Request, nth int) {
		w.WriteHeader(statuses[min(nth, len(statuses))-1])
	}
}

// hang answers when the caller has gone.
func hang(_ http.ResponseWriter, r *http.Request, _ int) { <-r.Context().Done() }

// dispatcher is one process that delivers.
type dispatcher struct {
	pool  *pgxpool.Pool
	hooks *webhook.Service
	queue *river.Client[pgx.Tx]
	dead  atomic.Bool
	name  string
	ended sync.Once
}

type dispatching func(*webhook.Options, *river.Config)

func withTimeout(d time.Duration) dispatching {
	return func(o *webhook.Options, _ *river.Config) { o.Timeout = d }
}

func withRate(n int) dispatching { return func(o *webhook.Options, _ *river.Config) { o.Rate = n } }

func withWorkers(n int) dispatching {
	return func(_ *webhook.Options, c *river.Config) {
		c.Queues = map[string]river.QueueConfig{webhook.QueueWebhook: {MaxWorkers: n}, webhook.QueueWebhookSlow: {MaxWorkers: n}, "maint": {MaxWorkers: 2}}
	}
}

// dispatch starts a process on a shop's database.
func (s *testShop) dispatch(t testing.TB, options ...dispatching) *dispatcher {
	t.Helper()
	d := &dispatcher{name: "dispatcher_" + id.NewToken()}
	config := s.pool.Config().Copy()
	config.MaxConns = 30
	config.ConnConfig.RuntimeParams["application_name"] = d.name
	pgtest.Mortal(config, &d.dead)
	var err error
	d.pool, err = pgxpool.NewWithConfig(context.Background(), config)
	require.NoError(t, err)
	insert, err := river.NewClient(riverpgxv5.New(d.pool), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	o := webhook.Options{
		Egress: egress.New(egress.Options{AllowPrivate: true, Own: ownURL}), Vault: newVault(t), PublicURL: ownURL,
		Now: s.clock.now, Lease: 2 * time.Second, Sweep: time.Second, Timeout: tryLasts,
	}
	c := &river.Config{
		Queues:        map[string]river.QueueConfig{webhook.QueueWebhook: {MaxWorkers: 224}, webhook.QueueWebhookSlow: {MaxWorkers: 32}, "maint": {MaxWorkers: 2}},
		FetchCooldown: 10 * time.Millisecond, FetchPollInterval: 100 * time.Millisecond, RescueStuckJobsAfter: 90 * time.Second,
		SoftStopTimeout: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler), TestOnly: true,
	}
	for _, option := range options {
		option(&o, c)
	}
	d.hooks = webhook.New(d.pool, insert, o)
	c.Workers, c.PeriodicJobs = jobs.Workers(nil, d.hooks, nil, nil, nil), d.periodic()
	d.queue, err = river.NewClient(riverpgxv5.New(d.pool), c)
	require.NoError(t, err)
	require.NoError(t, d.queue.Start(context.Background()))
	t.Cleanup(func() { d.stop(t) })
	return d
}

// periodic is what comes round in a dispatcher: nothing here sells.
func (d *dispatcher) periodic() []*river.PeriodicJob {
	return []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(d.hooks.SweepEvery()),
		func() (river.JobArgs, *river.InsertOpts) { return webhook.SweepArgs{}, nil }, &river.PeriodicJobOpts{RunOnStart: true})}
}

// stop ends the process in an orderly way.
func (d *dispatcher) stop(t testing.TB) {
	t.Helper()
	d.ended.Do(func() {
		stop, limit := d.queue.Stop, 20*time.Second
		if d.dead.Load() { // nobody waits for it
			stop, limit = d.queue.StopAndCancel, time.Second
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := stop(ctx); err != nil && !d.dead.Load() {
			t.Errorf("stop a dispatcher: %v", err)
		}
		d.pool.Close()
	})
}

// kill cuts the process off its database for ever, as a lost machine is; what it has sent is out.
func (d *dispatcher) kill(t testing.TB, s *testShop) {
	t.Helper()
	d.dead.Store(true)
	_, err := s.pool.Exec(context.WithoutCancel(t.Context()), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1`, d.name)
	require.NoError(t, err)
	s.lead(t)
}

// lead lets the next process look after what comes round at once: the dead one's time is over.
func (s *testShop) lead(t testing.TB) {
	t.Helper()
	_, err := s.pool.Exec(context.WithoutCancel(t.Context()), `DELETE FROM river_leader`)
	require.NoError(t, err)
}

// sender is the shop's service as a dispatcher has it, for tests that call it themselves.
func (s *testShop) sender(t testing.TB, o webhook.Options) *webhook.Service {
	t.Helper()
	o.Egress, o.Vault = egress.New(egress.Options{AllowPrivate: true, Own: ownURL}), newVault(t)
	o.PublicURL, o.Now, o.Lease = ownURL, s.clock.now, 2*time.Second
	return webhook.New(s.pool, s.queue, o)
}

// listenAt registers a receiver for these events, or all.
func (s *testShop) listenAt(t testing.TB, r *receiver, events ...webhook.Type) (webhook.Subscription, string) {
	t.Helper()
	return s.registerAt(t, r.URL+"/hooks", events...)
}

func (s *testShop) registerAt(t testing.TB, url string, events ...webhook.Type) (webhook.Subscription, string) {
	t.Helper()
	made, secret, err := s.sender(t, webhook.Options{}).Register(t.Context(), s.merchant, false, webhook.SubscriptionForm{URL: url, Events: events, Active: true}, ada)
	require.NoError(t, err)
	return made, secret
}

// pass lets time pass for the shop, its dispatchers and their queue.
func (s *testShop) pass(t testing.TB, d time.Duration) {
	t.Helper()
	s.clock.forward(d)
	_, err := s.pool.Exec(t.Context(), `UPDATE river_job SET scheduled_at = scheduled_at - $1::interval WHERE state IN ('scheduled', 'retryable', 'available')`, d)
	require.NoError(t, err)
	_, err = s.pool.Exec(t.Context(), `UPDATE river_job SET state = 'available' WHERE state IN ('scheduled', 'retryable') AND scheduled_at <= now()`)
	require.NoError(t, err)
}

// only returns the shop's one delivery that is not of a notice.
func (s *testShop) only(t testing.TB) webhook.DeliveryDetail {
	t.Helper()
	rows, err := s.hooks.Deliveries(t.Context(), s.merchant, false, webhook.DeliveryFilter{}, webhook.Page{Limit: 100})
	require.NoError(t, err)
	for _, r := range rows {
		if r.Type != webhook.NoticeCreated {
			d, err := s.hooks.Delivery(t.Context(), s.merchant, false, r.ID)
			require.NoError(t, err)
			return d
		}
	}
	require.Fail(t, "there is no delivery")
	return webhook.DeliveryDetail{}
}

// awaitOnly waits until that delivery is as it should be.
func (s *testShop) awaitOnly(t testing.TB, what string, is func(webhook.DeliveryDetail) bool) webhook.DeliveryDetail {
	t.Helper()
	require.Eventually(t, func() bool { return is(s.only(t)) }, soon, look, what)
	return s.only(t)
}

func finished(n int) func(webhook.DeliveryDetail) bool {
	return func(d webhook.DeliveryDetail) bool { return d.Tries == n && !d.Sending }
}

func is(status webhook.DeliveryStatus) func(webhook.DeliveryDetail) bool {
	return func(d webhook.DeliveryDetail) bool { return d.Status == status }
}

// sound holds the books of webhooks against themselves.
func (s *testShop) sound(t testing.TB) {
	t.Helper()
	findings, err := s.hooks.Audit(context.WithoutCancel(t.Context()))
	require.NoError(t, err)
	require.Empty(t, findings)
}

// sameBytes asserts that all tries carried the same event, to the letter.
func sameBytes(t testing.TB, calls []call) {
	t.Helper()
	for _, c := range calls {
		require.Equal(t, calls[0].header.Get("webhook-id"), c.header.Get("webhook-id"))
		require.True(t, bytes.Equal(calls[0].body, c.body), "another body")
	}
}
