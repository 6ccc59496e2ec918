package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"golang.org/x/sync/errgroup"

	"xsynesis/access"
	"xsynesis/audit"
	"xsynesis/egress"
	"xsynesis/id"
	"xsynesis/vault"
	"xsynesis/webhook"
)

const (
	eventRate     = 50 // a second
	eventTime     = 20 * time.Second
	toldBound     = time.Second
	fastServers   = 20
	fastEvents    = 4_000
	allServers    = 200
	hangingOnes   = 40
	replayed      = 10_000
	arrivalsLimit = 5 * time.Minute
	batch         = 50 // events that one transaction publishes where they need not be timed
)

// tellers is what events are published with: the shop's own service, on its database, and sellers' servers to tell.
type tellers struct {
	pool     *pgxpool.Pool
	webhooks *webhook.Service
	access   *access.Service
	servers  *servers
	made     int // events, so that each tells of a resource of its own
}

// webhooks measures how soon and how fast merchants' servers are told, and that dead ones do not delay the others.
func webhooks(ctx context.Context, s *openedShop) ([]result, error) {
	t, err := openTellers(ctx, s)
	if err != nil {
		return nil, err
	}
	defer t.close()
	fast, err := t.shops(ctx, "fast", fastServers)
	if err != nil {
		return nil, err
	}
	all, err := t.shops(ctx, "all", allServers)
	if err != nil {
		return nil, err
	}
	again, err := t.failedDeliveries(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.start("xsynesis", nil, "webhook-dispatcher"); err != nil {
		return nil, err
	}
	var results []result
	for _, measure := range []func() ([]result, error){
		func() ([]result, error) { return t.soon(ctx, fast) },
		func() ([]result, error) { return t.rate(ctx, fast) },
		func() ([]result, error) { return t.isolation(ctx, all) },
		func() ([]result, error) { return t.replay(ctx, again) },
	} {
		more, err := measure()
		if err != nil {
			return nil, err
		}
		results = append(results, more...)
	}
	return results, nil
}

func openTellers(ctx context.Context, s *openedShop) (*tellers, error) {
	database, err := pgxpool.ParseConfig(s.cluster.URL())
	if err != nil {
		return nil, err
	}
	database.MaxConns = 4 * fastServers
	pool, err := pgxpool.NewWithConfig(ctx, database)
	if err != nil {
		return nil, err
	}
	jobs, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	if err != nil {
		return nil, err
	}
	master, err := base64.StdEncoding.DecodeString(s.master)
	if err != nil {
		return nil, err
	}
	secrets, err := vault.New(master)
	if err != nil {
		return nil, err
	}
	now := func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	listening, err := listen()
	return &tellers{
		pool: pool, access: access.New(pool, now), servers: listening,
		webhooks: webhook.New(pool, jobs, webhook.Options{
			Egress: egress.New(egress.Options{AllowPrivate: true}), Vault: secrets, PublicURL: s.site, Now: now,
			Lease: time.Minute, Sweep: time.Minute,
		}),
	}, err
}

func (t *tellers) close() {
	t.servers.close()
	t.pool.Close()
}

// shops opens shops with one subscription each, whose servers are paths of ours.
func (t *tellers) shops(ctx context.Context, name string, count int) ([]id.Merchant, error) {
	merchants := make([]id.Merchant, count)
	for i := range merchants {
		slug := fmt.Sprintf("%s-%d", name, i)
		merchant, err := t.access.Found(ctx, access.Founding{Slug: slug, Name: slug, Owner: slug})
		if err != nil {
			return nil, err
		}
		if err := t.subscribe(ctx, merchant, slug); err != nil {
			return nil, err
		}
		merchants[i] = merchant
	}
	return merchants, nil
}

func (t *tellers) subscribe(ctx context.Context, merchant id.Merchant, path string) error {
	_, _, err := t.webhooks.Register(ctx, merchant, false, webhook.SubscriptionForm{URL: t.servers.base + path, Active: true}, audit.By{Actor: "bench"})
	return err
}

// publish tells of one event for each merchant, in one transaction, and returns what they tell of.
func (t *tellers) publish(ctx context.Context, merchants ...id.Merchant) ([]string, error) {
	events, resources := make([]webhook.Event, len(merchants)), make([]string, len(merchants))
	for i, merchant := range merchants {
		t.made++
		resources[i] = fmt.Sprintf("pa_%022d", t.made)
		events[i] = webhook.Event{
			Merchant: merchant, Type: webhook.PaymentCompleted, ResourceType: webhook.ResourceAttempt, ResourceID: resources[i],
			Payload: map[string]any{"payment_attempt_id": resources[i], "amount": "50000", "amount_cents": 5, "currency": "USDC", "status": "completed"},
		}
	}
	return resources, pgx.BeginFunc(ctx, t.pool, func(tx pgx.Tx) error {
		return t.webhooks.PublishTx(ctx, tx, time.Now().UTC().Truncate(time.Microsecond), events...)
	})
}

// steadily publishes 50 events a second for a while, to one merchant after the other, and returns how long each took
// from its commit to the first byte at the servers that are asked about.
func (t *tellers) steadily(ctx context.Context, merchants []id.Merchant, asked func(i int) bool) ([]time.Duration, error) {
	committed := map[string]time.Time{}
	tick := time.NewTicker(time.Second / eventRate)
	defer tick.Stop()
	for i := range int(eventTime.Seconds() * eventRate) {
		<-tick.C
		resources, err := t.publish(ctx, merchants[i%len(merchants)])
		if err != nil {
			return nil, err
		}
		if asked(i % len(merchants)) {
			committed[resources[0]] = time.Now()
		}
	}
	if err := t.servers.await(ctx, len(committed), func(resource string) bool { _, ok := committed[resource]; return ok }); err != nil {
		return nil, err
	}
	took := make([]time.Duration, 0, len(committed))
	for resource, at := range committed {
		took = append(took, max(t.servers.first(resource).Sub(at), 0))
	}
	slices.Sort(took)
	return took, nil
}

func (t *tellers) soon(ctx context.Context, merchants []id.Merchant) ([]result, error) {
	took, err := t.steadily(ctx, merchants, func(int) bool { return true })
	if err != nil {
		return nil, err
	}
	p99 := percentile(took, 99)
	return []result{atMost(fmt.Sprintf("commit to first byte, %d events/s, p99", eventRate),
		fmt.Sprintf("%.3f s (p50 %.3f s)", p99.Seconds(), percentile(took, 50).Seconds()), fmt.Sprintf("%.0f s", toldBound.Seconds()),
		p99.Seconds()/toldBound.Seconds(), 1)}, nil
}

// rate publishes faster than can be told, and holds the rate against a loop that posts the same, as many at a time, and
// writes down before and after each post that it does.
func (t *tellers) rate(ctx context.Context, merchants []id.Merchant) ([]result, error) {
	began := time.Now()
	var resources []string
	for len(resources) < fastEvents {
		some := make([]id.Merchant, batch)
		for i := range some {
			some[i] = merchants[(len(resources)+i)%len(merchants)]
		}
		more, err := t.publish(ctx, some...)
		if err != nil {
			return nil, err
		}
		resources = append(resources, more...)
	}
	if err := t.servers.awaitAll(ctx, resources); err != nil {
		return nil, err
	}
	ours := fastEvents / time.Since(began).Seconds()
	bare, err := t.postBare(ctx)
	if err != nil {
		return nil, err
	}
	return []result{atLeast(fmt.Sprintf("deliveries/s to %d servers", fastServers), fmt.Sprintf("%.0f/s", ours),
		fmt.Sprintf("bare loop %.0f/s", bare), ours/bare, deliveriesBound)}, nil
}

// deliveriesBound leaves room for what the loop does not do: slots, rate and breaker, jobs, signatures and the log.
const deliveriesBound = 0.05

// postBare posts with 4 connections to each server, between two transactions.
func (t *tellers) postBare(ctx context.Context) (float64, error) {
	if _, err := t.pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS bench_posts (id bigserial PRIMARY KEY, body text NOT NULL, done boolean NOT NULL)`); err != nil {
		return 0, err
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4 * fastServers}}
	began := time.Now()
	var g errgroup.Group
	g.SetLimit(4 * fastServers)
	for i := range fastEvents {
		g.Go(func() error { return t.postOne(ctx, client, fmt.Sprintf("%sbare-%d", t.servers.base, i%fastServers)) })
	}
	err := g.Wait()
	return fastEvents / time.Since(began).Seconds(), err
}

func (t *tellers) postOne(ctx context.Context, client *http.Client, url string) error {
	body := fmt.Sprintf(`{"resource_id":"bare","payload":%q}`, strings.Repeat("x", 500))
	var row int64
	if err := t.pool.QueryRow(ctx, `INSERT INTO bench_posts (body, done) VALUES ($1, false) RETURNING id`, body).Scan(&row); err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, answer.Body) // its status is all that counts
	if err := answer.Body.Close(); err != nil {
		return err
	}
	_, err = t.pool.Exec(ctx, `UPDATE bench_posts SET done = true WHERE id = $1`, row)
	return err
}

// isolation compares the healthy servers' p99 when all are healthy with the same when one in five never answers.
func (t *tellers) isolation(ctx context.Context, merchants []id.Merchant) ([]result, error) {
	healthy := func(i int) bool { return i%(allServers/hangingOnes) != 0 }
	before, err := t.steadily(ctx, merchants, healthy)
	if err != nil {
		return nil, err
	}
	for i := range merchants {
		if !healthy(i) {
			t.servers.hang(fmt.Sprintf("all-%d", i))
		}
	}
	beside, err := t.steadily(ctx, merchants, healthy)
	if err != nil {
		return nil, err
	}
	was, is := percentile(before, 99), percentile(beside, 99)
	return []result{atMost(fmt.Sprintf("p99 of healthy servers, %d of %d hang", hangingOnes, allServers), fmt.Sprintf("%.3f s", is.Seconds()),
		fmt.Sprintf("all healthy %.3f s", was.Seconds()), is.Seconds()/was.Seconds(), 2)}, nil
}

// failedDeliveries are 10,000 of one shop; no dispatcher runs yet.
func (t *tellers) failedDeliveries(ctx context.Context) (id.Merchant, error) {
	merchant, err := t.access.Found(ctx, access.Founding{Slug: "again", Name: "again", Owner: "again"})
	if err != nil {
		return "", err
	}
	for i := range fastServers {
		if err := t.subscribe(ctx, merchant, fmt.Sprintf("again-%d", i)); err != nil {
			return "", err
		}
	}
	for range replayed / fastServers / batch {
		if _, err := t.publish(ctx, slices.Repeat([]id.Merchant{merchant}, batch)...); err != nil {
			return "", err
		}
	}
	for _, statement := range []string{
		`DELETE FROM river_job WHERE kind = 'deliver'`,
		`INSERT INTO tries (delivery_id, number, attempt, state, lease, url, request_headers, started_at, ended_at, class, error)
		SELECT id, n, n, 'failed', '', 'http://away.example', '{}', created_at, created_at, 'connect', 'the server was away'
		FROM deliveries, generate_series(1, 5) n WHERE merchant_id = '` + string(merchant) + `'`,
		`UPDATE deliveries SET status = 'failed', tries = 5, reason = 'the server was away', next_try_at = NULL, ended_at = created_at,
			last_class = 'connect', last_try_at = created_at WHERE merchant_id = '` + string(merchant) + `'`,
	} {
		if _, err := t.pool.Exec(ctx, statement); err != nil {
			return "", err
		}
	}
	return merchant, nil
}

// replay sends all of them again.
func (t *tellers) replay(ctx context.Context, merchant id.Merchant) ([]result, error) {
	before := t.servers.count()
	began := time.Now()
	if _, err := t.webhooks.ReplayFailed(ctx, merchant, false, webhook.ReplayForm{Since: began.Add(-time.Hour), Rate: replayed}, audit.By{Actor: "bench"}); err != nil {
		return nil, err
	}
	for t.servers.count() < before+replayed {
		if time.Since(began) > arrivalsLimit {
			return nil, fmt.Errorf("replay: %d of %d came", t.servers.count()-before, replayed)
		}
		time.Sleep(20 * time.Millisecond)
	}
	ours := replayed / time.Since(began).Seconds()
	bare, err := t.postBare(ctx)
	if err != nil {
		return nil, err
	}
	return []result{atLeast(fmt.Sprintf("replay of %d", replayed), fmt.Sprintf("%.0f/s, %.0f s", ours, replayed/ours),
		fmt.Sprintf("bare loop %.0f/s", bare), ours/bare, deliveriesBound)}, nil
}

func percentile(sorted []time.Duration, p int) time.Duration { return sorted[len(sorted)*p/100] }

// servers are the sellers': one for each path, in this process.
type servers struct {
	base string
	http http.Server

	mu      sync.Mutex
	arrived map[string]time.Time // first byte, by resource
	calls   int
	hanging map[string]bool
}

func listen() (*servers, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed with the measurement
	if err != nil {
		return nil, err
	}
	s := &servers{base: "http://" + l.Addr().String() + "/", arrived: map[string]time.Time{}, hanging: map[string]bool{}}
	s.http.Handler = s
	s.http.ReadHeaderTimeout = time.Minute
	go s.http.Serve(l) //nolint:errcheck // ends when it is closed
	return s, nil
}

func (s *servers) close() { _ = s.http.Close() }

func (s *servers) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	at := time.Now()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	hangs := s.hanging[strings.TrimPrefix(r.URL.Path, "/")]
	s.mu.Unlock()
	if hangs {
		<-r.Context().Done()
		return
	}
	var event struct {
		Resource string `json:"resource_id"`
	}
	if json.NewDecoder(bytes.NewReader(body)).Decode(&event) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if _, again := s.arrived[event.Resource]; !again {
		s.arrived[event.Resource] = at
	}
}

func (s *servers) hang(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hanging[path] = true
}

func (s *servers) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *servers) first(resource string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arrived[resource]
}

func (s *servers) awaitAll(ctx context.Context, resources []string) error {
	wanted := make(map[string]bool, len(resources))
	for _, r := range resources {
		wanted[r] = true
	}
	return s.await(ctx, len(wanted), func(resource string) bool { return wanted[resource] })
}

// await waits until so many of the resources that are wanted have been told of.
func (s *servers) await(ctx context.Context, count int, wanted func(resource string) bool) error {
	deadline := time.Now().Add(arrivalsLimit)
	for {
		came := 0
		s.mu.Lock()
		for resource := range s.arrived {
			if wanted(resource) {
				came++
			}
		}
		s.mu.Unlock()
		switch {
		case came == count:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(deadline):
			return fmt.Errorf("%d of %d events came: %w", came, count, os.ErrDeadlineExceeded)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
