package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/bench/buyer"
	"xsynesis/postgres"
)

// The storms are short in `make test` and long in `make soak`.
var (
	stormKills  = flag.Int("storm", 10, "how often TestStorm kills one of the shop's processes")
	workerKills = flag.Int("worker-kills", 25, "how often TestStormOfWorkers kills a worker or a dispatcher")
)

const (
	stormRate  = 20              // payments a second
	stormRest  = 4 * time.Minute // leases of killed processes end within
	stormStill = time.Minute     // the longest in which no delivery comes to its end
	stormSpare = 512             // connections of the buyers
	stormMost  = 1000            // payments that wait for their answer; a machine too slow for this storm gets fewer of them
)

// storm is a shop whose processes are killed at random and started again while it is paid.
type storm struct {
	*fleet
	cluster *postgres.Cluster
	random  *rand.Rand
	roles   []*role
	inbox   *inbox
	killed  map[string]int
	late    int // payments that were not sent because too many waited
	buyers  errgroup.Group
	mu      sync.Mutex
	paid    map[string]bool // purchases that were answered
}

// role is one process of the shop, started again as often as it dies.
type role struct {
	name    string
	args    []string
	env     []string
	process *child
}

// TestStorm kills any process of a larger shop, web processes, the leader of the queues and, once, the database among
// them, while 20 payments arrive each second.
func TestStorm(t *testing.T) {
	t.Parallel()
	s := startStorm(t)
	s.rage(t, *stormKills, 2*time.Second, func(n int) {
		switch n {
		case *stormKills / 3:
			s.killLeader(t)
		case *stormKills / 2:
			s.killDatabase(t)
		default:
			s.kill(t, s.roles[s.random.IntN(len(s.roles))])
		}
	})
	s.settle(t)
}

// TestStormOfWorkers kills workers and dispatchers faster than they can do much.
func TestStormOfWorkers(t *testing.T) {
	t.Parallel()
	s := startStorm(t)
	s.rage(t, *workerKills, 700*time.Millisecond, func(int) { s.kill(t, s.roles[2+s.random.IntN(len(s.roles)-2)]) })
	s.settle(t)
}

// startStorm starts two web processes, two workers and two dispatchers on a database that writes to the disk.
func startStorm(t *testing.T) *storm {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	report(t, "seed %d", seed)
	w, err := newWorld()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(w.Dir)) })
	cluster, err := postgres.Start(t.Context(), postgres.Options{Dir: w.Dir})
	require.NoError(t, err)
	s := &storm{
		cluster: cluster, random: rand.New(rand.NewPCG(seed, seed)),
		inbox: startInbox(t), killed: map[string]int{}, paid: map[string]bool{},
	}
	t.Cleanup(func() { require.NoError(t, s.cluster.Stop()) })
	s.fleet = &fleet{world: w}
	sites := []int{freePort(), freePort()}
	w.Env = append(w.Env, "DATABASE_URL="+cluster.URL(), fmt.Sprintf("PUBLIC_URL=http://localhost:%d", sites[0]), "ALLOW_PRIVATE_TARGETS=true", "LOG_LEVEL=warn")
	out, err := w.run("xsynesis", "migrate")
	require.NoError(t, err, out)
	s.startChain(t)
	for _, port := range sites {
		s.add("serve", fmt.Sprintf("PORT=%d", port))
		s.sites = append(s.sites, fmt.Sprintf("http://127.0.0.1:%d", port))
	}
	for range 2 {
		s.add("worker", "RELAYER_KEY="+w.RelayerKey)
	}
	for range 2 {
		s.add("webhook-dispatcher")
	}
	for _, r := range s.roles {
		s.startRole(t, r)
	}
	for _, site := range s.sites {
		require.Eventually(t, func() bool { return answers(t.Context(), site+"/readyz") }, readyTimeout, 100*time.Millisecond, "%s is not ready", site)
	}
	s.inbox.secret = s.register(t, s.inbox.URL)
	return s
}

func (s *storm) add(name string, env ...string) {
	s.roles = append(s.roles, &role{name: name, args: []string{name}, env: append(s.Env[:len(s.Env):len(s.Env)], env...)})
}

func (s *storm) startRole(t *testing.T, r *role) {
	t.Helper()
	var err error
	r.process, err = startChild(r.env, s.Dir, "xsynesis", r.args...)
	require.NoError(t, err)
	last := r.process
	t.Cleanup(func() {
		if last.running() {
			if t.Failed() {
				t.Logf("the end of the log of %s:\n%s", r.name, last.log())
			}
			require.NoError(t, last.stop())
		}
	})
}

// register subscribes the inbox to everything that happens in the demo shop, and returns the secret.
func (s *storm) register(t *testing.T, target string) string {
	t.Helper()
	var made struct {
		Secret string `json:"secret"`
	}
	s.call(t, "/api/webhooks/register", map[string]any{"url": target, "events": []string{}, "active": true}, &made)
	return made.Secret
}

// rage lets payments in and kills something in every period.
func (s *storm) rage(t *testing.T, kills int, period time.Duration, kill func(n int)) {
	t.Helper()
	key, err := crypto.HexToECDSA(strings.TrimPrefix(s.BuyerKey, "0x"))
	require.NoError(t, err)
	b := buyer.New(key, stormSpare)
	b.Host = strings.TrimPrefix(s.BaseURL, "http://")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.buyers.SetLimit(1 + stormMost)
	s.buyers.Go(func() error { return s.arrive(ctx, t, b) })
	for n := 1; n <= kills; n++ {
		time.Sleep(period/2 + time.Duration(s.random.Int64N(int64(period))))
		kill(n)
	}
}

// arrive sends a payment to the shop 20 times a second, and does not wait for the answer before the next one.
func (s *storm) arrive(ctx context.Context, t *testing.T, b *buyer.Buyer) error {
	urls := make([]string, len(s.sites))
	for i, site := range s.sites {
		urls[i] = site + "/link/" + s.LinkToken
	}
	want, err := b.Ask(ctx, urls[0])
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Second / stormRate)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		sent := s.buyers.TryGo(func() error {
			answer, err := payOnce(t.Context(), b, want, urls[i%2], urls[1-i%2])
			if err != nil {
				return err
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.paid[answer.Purchase] {
				return fmt.Errorf("two payments were answered with %s", answer.Purchase)
			}
			s.paid[answer.Purchase] = true
			return nil
		})
		if !sent {
			s.late++
		}
	}
}

// kill ends a process without warning and starts it again.
func (s *storm) kill(t *testing.T, r *role) {
	t.Helper()
	require.True(t, r.process.running(), "%s ended by itself:\n%s", r.name, r.process.log())
	r.process.kill()
	s.killed[r.name]++
	s.startRole(t, r)
}

// killLeader kills the process that looks after the queues.
func (s *storm) killLeader(t *testing.T) {
	t.Helper()
	var leader string
	pool := s.pool(t)
	require.Eventually(t, func() bool {
		return pool.QueryRow(t.Context(), `SELECT leader_id FROM river_leader`).Scan(&leader) == nil
	}, time.Minute, 200*time.Millisecond, "nobody leads")
	for _, r := range s.roles {
		if strings.HasSuffix(leader, "-"+strconv.Itoa(r.process.cmd.Process.Pid)) {
			s.kill(t, r)
			s.killed["leader"]++
			return
		}
	}
	// The leader died a moment ago, and nobody has taken over yet.
	s.killed["former leader"]++
}

// killDatabase kills the server and starts it again.
func (s *storm) killDatabase(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.cluster.Dir(), "data", "postmaster.pid"))
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(string(text), "\n", 2)[0]))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	<-s.cluster.Ended()
	_ = s.cluster.Stop() // it says that the server ended by itself
	s.cluster, err = postgres.Start(t.Context(), postgres.Options{Dir: s.Dir})
	require.NoError(t, err)
	s.killed["database"]++
}

// settle waits until every buyer has his answer and the inbox has every event, and looks at the books.
func (s *storm) settle(t *testing.T) {
	t.Helper()
	began := time.Now()
	all := make(chan error, 1)
	go func() { all <- s.buyers.Wait() }()
	select {
	case err := <-all:
		require.NoError(t, err)
	case <-time.After(stormRest):
		require.Fail(t, "payments are left unanswered")
	}
	answered := time.Since(began)
	pool := s.pool(t)
	awaitDeliveries(t, pool)
	var sales, purchases, settlements, completed, confirmed, failed int
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*), count(DISTINCT attempt_id), count(DISTINCT settlement_id) FROM sales`).
		Scan(&sales, &purchases, &settlements))
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE event_type = 'payment.completed'),
		count(*) FILTER (WHERE event_type = 'settlement.confirmed') FROM events`).Scan(&completed, &confirmed))
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM deliveries WHERE status <> 'delivered'`).Scan(&failed))
	paid := len(s.paid)
	require.NotZero(t, paid)
	require.Equal(t, []int{paid, paid, paid, paid, paid, 0}, []int{sales, purchases, settlements, completed, confirmed, failed},
		"sales, their purchases, their settlements, their events, and deliveries that failed, for %d answers", paid)
	require.Equal(t, paid, s.count(t).Transfers, "transfers on the chain")
	repeated := s.inbox.check(t, s.world)
	out, err := s.run("xsynesis", "audit")
	require.NoError(t, err, out)
	report(t, "killed %v: %d payments (%d more were not sent, since %d waited), as many transfers, sales and both of their events; %d events at the receiver, %d of them more than once with the same bytes; 0 lost; last answer %.0f s and last delivery %.0f s after the storm; audit: %s",
		s.killed, paid, s.late, stormMost, len(s.inbox.bodies), repeated, answered.Seconds(), time.Since(began).Seconds(), strings.TrimSpace(out))
}

// awaitDeliveries waits while there are fewer and fewer of them: a server is told only so many a second.
func awaitDeliveries(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	least, since := math.MaxInt, time.Now()
	for least > 0 {
		require.Less(t, time.Since(since), stormStill, "%d deliveries, or payments that are not final and will tell of it, are left", least)
		var pending int
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM deliveries WHERE status = 'pending')
			+ (SELECT count(*) FROM settlements WHERE status NOT IN ('final', 'failed'))`).Scan(&pending))
		if pending < least {
			least, since = pending, time.Now()
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// inbox is a seller's server that keeps what it was told.
type inbox struct {
	*httptest.Server
	secret string

	mu     sync.Mutex
	bodies map[string]string // by webhook-id
	times  map[string]int
	wrong  []string
}

func startInbox(t *testing.T) *inbox {
	t.Helper()
	in := &inbox{bodies: map[string]string{}, times: map[string]int{}}
	in.Server = httptest.NewServer(in)
	t.Cleanup(in.Close)
	return in
}

func (in *inbox) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender was killed
	}
	event := r.Header.Get("webhook-id")
	mac := hmac.New(sha256.New, []byte(in.secret))
	mac.Write(body)
	in.mu.Lock()
	defer in.mu.Unlock()
	if r.Header.Get("X-Webhook-Signature") != hex.EncodeToString(mac.Sum(nil)) {
		in.wrong = append(in.wrong, event+" has a wrong signature")
	}
	if before, again := in.bodies[event]; again && before != string(body) {
		in.wrong = append(in.wrong, event+" came with other bytes")
	}
	in.bodies[event] = string(body)
	in.times[event]++
}

// check holds what came against what happened, and returns how many events came more than once.
func (in *inbox) check(t *testing.T, w *world) (repeated int) {
	t.Helper()
	in.mu.Lock()
	defer in.mu.Unlock()
	require.Empty(t, in.wrong)
	rows, err := w.pool(t).Query(t.Context(), `SELECT e.id, e.body FROM events e JOIN deliveries d ON d.event_id = e.id`)
	require.NoError(t, err)
	defer rows.Close()
	told := 0
	for rows.Next() {
		var event string
		var body []byte
		require.NoError(t, rows.Scan(&event, &body))
		require.Equal(t, string(body), in.bodies[event], "the receiver has %s", event)
		told++
	}
	require.NoError(t, rows.Err())
	require.Len(t, in.bodies, told, "nothing came that did not happen")
	for _, n := range in.times {
		if n > 1 {
			repeated++
		}
	}
	return repeated
}
