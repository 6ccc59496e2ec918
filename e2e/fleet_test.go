package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/bench/buyer"
	"xsynesis/postgres/pgtest"
	"xsynesis/x402"
)

const (
	fleetPayments = 500
	fleetAtOnce   = 32
	fleetKillAt   = 100
	fleetLimit    = 5 * time.Minute
)

// fleet is a shop as a larger one runs it: web processes behind one name, workers, one database, one chain.
type fleet struct {
	*world
	sites   []string // the addresses of the web processes
	workers []*child
}

// startFleet starts two web processes, which hold no key that moves money, and two workers.
func startFleet(t *testing.T) *fleet {
	t.Helper()
	w, err := newWorld("DATABASE_URL=" + pgtest.URL(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(w.Dir)) })
	f := &fleet{world: w}
	ports := []int{freePort(), freePort()}
	w.Env = append(w.Env, fmt.Sprintf("PUBLIC_URL=http://localhost:%d", ports[0]))
	f.startChain(t)
	for _, port := range ports {
		f.startOne(t, append(w.Env[:len(w.Env):len(w.Env)], fmt.Sprintf("PORT=%d", port)), "xsynesis", "serve")
		f.sites = append(f.sites, fmt.Sprintf("http://127.0.0.1:%d", port))
	}
	for range 2 {
		f.workers = append(f.workers, f.startOne(t, append(w.Env[:len(w.Env):len(w.Env)], "RELAYER_KEY="+w.RelayerKey), "xsynesis", "worker"))
	}
	for _, site := range f.sites {
		require.Eventually(t, func() bool { return answers(t.Context(), site+"/readyz") }, readyTimeout, 100*time.Millisecond, "%s is not ready", site)
	}
	return f
}

// startChain starts a chain of the shop's own, with the demo shop on it.
func (f *fleet) startChain(t *testing.T) {
	t.Helper()
	f.process = f.startOne(t, f.Env, "xsynesis-dev", "chain")
	_, err := f.process.await("chain ", readyTimeout)
	require.NoError(t, err)
	f.seed(t)
}

// startOne starts a process that is stopped with the test.
func (f *fleet) startOne(t *testing.T, env []string, name string, args ...string) *child {
	t.Helper()
	c, err := startChild(env, f.Dir, name, args...)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the log of %s %s:\n%s", name, strings.Join(args, " "), c.log())
		}
		if c.running() {
			require.NoError(t, c.stop())
		}
	})
	return c
}

func answers(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
}

// TestFleet pays 500 times, 32 at a time, at two web processes with two workers, of which one dies of SIGKILL after
// the hundredth payment. Nothing is lost and nothing is done twice.
func TestFleet(t *testing.T) {
	t.Parallel()
	began := time.Now()
	f := startFleet(t)
	before := f.count(t)

	ctx, cancel := context.WithTimeout(t.Context(), fleetLimit)
	defer cancel()
	paid, tries := f.payMany(ctx, t)

	after := f.count(t)
	pool := f.pool(t)
	var sales, purchases, transactions int
	require.NoError(t, pool.QueryRow(ctx, `SELECT count(*), count(DISTINCT attempt_id), count(DISTINCT transaction) FROM sales`).
		Scan(&sales, &purchases, &transactions))
	require.Equal(t, fleetPayments, after.Transfers-before.Transfers, "transfers to the payee on the chain")
	require.Equal(t, transactions, after.Transactions-before.Transactions, "some move many")
	require.Equal(t, int64(fleetPayments)*paid.price, after.balance(t)-before.balance(t), "the payee's balance")
	require.Len(t, paid.purchases, fleetPayments, "distinct purchases answered")
	require.Equal(t, []int{fleetPayments, fleetPayments}, []int{sales, purchases}, "sales, their purchases")
	out, err := f.run("xsynesis", "audit")
	require.NoError(t, err, out)
	report(t, "%d payments, %d at a time, 1 of 2 workers killed: %d transfers counted by eth_getLogs, %d sales, balance + %d base units, 0 failures, sent %d times, %.0f s; audit: %s",
		fleetPayments, fleetAtOnce, after.Transfers-before.Transfers, sales, after.balance(t)-before.balance(t), tries, time.Since(began).Seconds(), strings.TrimSpace(out))
}

// paidMany is what the buyers have in the end.
type paidMany struct {
	price     int64
	purchases map[string]bool
}

// payMany pays with one wallet, through whatever happens to the workers.
func (f *fleet) payMany(ctx context.Context, t *testing.T) (paidMany, int64) {
	t.Helper()
	key, err := crypto.HexToECDSA(strings.TrimPrefix(f.BuyerKey, "0x"))
	require.NoError(t, err)
	b := buyer.New(key, fleetAtOnce)
	b.Host = strings.TrimPrefix(f.BaseURL, "http://")
	urls := make([]string, len(f.sites))
	for i, site := range f.sites {
		urls[i] = site + "/link/" + f.LinkToken
	}
	want, err := b.Ask(ctx, urls[0])
	require.NoError(t, err)

	answered := make(chan string, fleetPayments)
	var done, tries atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(fleetAtOnce)
	for i := range fleetPayments {
		g.Go(func() error {
			answer, err := payOnce(ctx, b, want, urls[i%2], urls[1-i%2])
			if err != nil {
				return fmt.Errorf("payment %d: %w", i, err)
			}
			answered <- answer.Purchase
			tries.Add(int64(answer.Tries))
			if done.Add(1) == fleetKillAt {
				f.workers[0].kill()
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	require.False(t, f.workers[0].running())
	close(answered)
	paid := paidMany{price: int64(want.Amount), purchases: map[string]bool{}}
	for purchase := range answered {
		paid.purchases[purchase] = true
	}
	return paid, tries.Load()
}

func payOnce(ctx context.Context, b *buyer.Buyer, want x402.Requirement, urls ...string) (buyer.Answer, error) {
	payment, err := b.Sign(want, 2)
	if err != nil {
		return buyer.Answer{}, err
	}
	return b.Pay(ctx, payment, urls...)
}

// counted is what count_transfers.mjs prints.
type counted struct {
	Transfers    int    `json:"transfers"`
	Transactions int    `json:"transactions"`
	Value        string `json:"value"`
	Balance      string `json:"balance"`
}

func (c counted) balance(t testing.TB) int64 {
	t.Helper()
	n, err := strconv.ParseInt(c.Balance, 10, 64)
	require.NoError(t, err)
	return n
}

// count asks the chain, with somebody else's program, what came to the demo shop.
func (w *world) count(t testing.TB) counted {
	t.Helper()
	var c counted
	runNPM(t, &c, "v2", "count_transfers.mjs", nil, w.RPCURL, w.USDC, w.payTo(t))
	return c
}
