package checkout_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/egress"
	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/id"
	"xsynesis/migrations"
	"xsynesis/postgres"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/vault"
	"xsynesis/webhook"
)

const (
	recordWarmUp   = 2000
	recordMeasured = 10000
	recordInFlight = 256
	recordBound    = 0.5
)

// recorder is a shop with payments that the chain has just proven, on a database that writes to the disk.
type recorder struct {
	url      string
	pool     *pgxpool.Pool
	checkout *checkout.Service
	merchant id.Merchant
	link     shop.Link
}

// BenchmarkRecordSettlement holds the settlements that a shop records in a second against a loop of pgbench that writes as
// many rows in each of its transactions, on the same server.
func BenchmarkRecordSettlement(b *testing.B) {
	r := newRecorder(b)
	rows := r.pending(b, recordWarmUp+recordMeasured)
	r.record(b, rows[:recordWarmUp])
	before := r.written(b)
	took := r.record(b, rows[recordWarmUp:])
	after := r.written(b)
	inserts := (after.inserted - before.inserted + recordMeasured/2) / recordMeasured
	updates := (after.updated - before.updated + recordMeasured/2) / recordMeasured
	ours := recordMeasured / took.Seconds()
	bare := r.pgbench(b, inserts, updates)
	b.ReportMetric(ours, "settlements/s")
	b.ReportMetric(bare, "pgbench/s")
	b.ReportMetric(ours/bare, "ratio")
	b.Logf("settlements recorded/s: %.0f; pgbench with %d inserts and %d updates each: %.0f/s; ratio %.2f, bound ≥ %.1f", ours, inserts, updates, bare, ours/bare, recordBound)
	require.GreaterOrEqual(b, ours/bare, recordBound)
}

func newRecorder(b *testing.B) *recorder {
	b.Helper()
	ctx, dir := b.Context(), b.TempDir()
	require.NoError(b, os.Chmod(dir, 0o755)) // started by root, the database runs as another user
	require.NoError(b, os.Chmod(filepath.Dir(dir), 0o755))
	cluster, err := postgres.Start(ctx, postgres.Options{Dir: dir})
	require.NoError(b, err)
	b.Cleanup(func() { _ = cluster.Stop() })
	pool, err := pgxpool.New(ctx, cluster.URL())
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	require.NoError(b, migrations.Up(ctx, pool))
	queue, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	networks := evm.NewRegistry(map[uint64][]string{devchain.ChainID: {"http://127.0.0.1:1"}})
	sealed, err := vault.New(masterKey)
	require.NoError(b, err)
	hooks := webhook.New(pool, queue, webhook.Options{Egress: egress.New(egress.Options{Own: publicURL}), Vault: sealed, PublicURL: publicURL, Now: time.Now})
	r := &recorder{url: cluster.URL(), pool: pool}
	shops := shop.New(pool, networks, hooks, time.Now)
	r.checkout = checkout.New(pool, queue, checkout.Options{
		Networks: networks, Shop: shops, Hub: checkout.NewHub(pool), Webhooks: hooks, Vault: sealed, PublicURL: publicURL, Hold: time.Hour, Now: time.Now,
	})
	r.merchant, err = access.New(pool, time.Now).Found(ctx, access.Founding{Slug: "cafe", Name: "The café", Owner: "Ada"})
	require.NoError(b, err)
	proven := time.Now()
	require.NoError(b, shops.SetPayee(ctx, r.merchant, sepolia, common.HexToAddress("0x01"), &proven))
	r.link, err = shops.CreateLink(ctx, r.merchant, false, shop.LinkForm{Title: "Flat white", Price: price}, ada)
	require.NoError(b, err)
	return r
}

// pending are settlements on their way, each of a purchase of its own.
func (r *recorder) pending(b *testing.B, count int) []queries.Settlement {
	b.Helper()
	now, attempts, settlements := time.Now(), make([]string, count), make([]string, count)
	for i := range count {
		attempts[i], settlements[i] = string(id.New[id.Attempt](now)), string(id.New[id.Settlement](now))
	}
	for _, statement := range []struct {
		sql  string
		args []any
	}{
		{
			`INSERT INTO attempts (id, merchant_id, link_id, channel, livemode, status, network, asset, pay_to, amount, title, cart_salt, cart_hash, nonce, expires_at, created_at, updated_at)
			SELECT a, $2, $3, 'link', false, 'settling', $4, '0xasset', '0xpayee', 2000000, 'Flat white', $5, $5, a, now() + interval '1 hour', now(), now() FROM unnest($1::text[]) a`,
			[]any{attempts, r.merchant, r.link.ID, sepolia, make([]byte, 32)},
		},
		{
			`INSERT INTO attempt_lines (attempt_id, line, item_id, title, qty, unit_amount) SELECT a, 0, $2, 'Flat white', 1, 2000000 FROM unnest($1::text[]) a`,
			[]any{attempts, r.link.ID},
		},
		{
			`INSERT INTO settlements (id, merchant_id, attempt_id, livemode, facilitator, status, network, asset, payer, nonce, pay_to, amount, created_at, updated_at)
			SELECT s, $3, a, false, 'own', 'broadcast', $4, '0xasset', '0xpayer', s, '0xpayee', 2000000, now(), now() FROM unnest($1::text[], $2::text[]) u (a, s)`,
			[]any{attempts, settlements, r.merchant, sepolia},
		},
		{`ANALYZE`, nil},
	} {
		_, err := r.pool.Exec(b.Context(), statement.sql, statement.args...)
		require.NoError(b, err)
	}
	rows, err := r.pool.Query(b.Context(), `SELECT id, attempt_id, merchant_id FROM settlements ORDER BY id`)
	require.NoError(b, err)
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s queries.Settlement, err error) {
		return s, row.Scan(&s.ID, &s.AttemptID, &s.MerchantID)
	})
	require.NoError(b, err)
	return out
}

// record writes all of them down, as many at a time as payments are in flight.
func (r *recorder) record(b *testing.B, rows []queries.Settlement) time.Duration {
	b.Helper()
	g, ctx := errgroup.WithContext(b.Context())
	g.SetLimit(recordInFlight)
	began := time.Now()
	for i, row := range rows {
		proof := evm.Proof{Transaction: sha256.Sum256([]byte(row.ID)), Block: uint64(i), BlockHash: common.HexToHash("0x01"), Time: began}
		g.Go(func() error { return r.checkout.Record(ctx, row, proof) })
	}
	require.NoError(b, g.Wait())
	return time.Since(began)
}

type writes struct{ inserted, updated int64 }

// written counts the rows that this database has written. A connection tells the server of its last ones when it ends.
func (r *recorder) written(b *testing.B) (w writes) {
	b.Helper()
	r.pool.Reset()
	require.Eventually(b, func() (alone bool) {
		err := r.pool.QueryRow(b.Context(), `SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database()`).Scan(&alone)
		return err == nil && alone
	}, 10*time.Second, 50*time.Millisecond)
	require.NoError(b, r.pool.QueryRow(b.Context(), `SELECT sum(n_tup_ins), sum(n_tup_upd) + sum(n_tup_del) FROM pg_stat_user_tables`).Scan(&w.inserted, &w.updated))
	return w
}

var tps = regexp.MustCompile(`tps = ([0-9.]+)`)

// pgbench is how many transactions a second the server's own benchmark does that write so many rows.
func (r *recorder) pgbench(b *testing.B, inserts, updates int64) float64 {
	b.Helper()
	_, err := r.pool.Exec(b.Context(), `CREATE TABLE bench_counts (id int PRIMARY KEY, n bigint NOT NULL);
		INSERT INTO bench_counts SELECT i, 0 FROM generate_series(1, 10000) i;
		CREATE TABLE bench_rows (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, amount bigint NOT NULL)`)
	require.NoError(b, err)
	var script strings.Builder
	script.WriteString("BEGIN;\n")
	for i := range updates {
		fmt.Fprintf(&script, "\\set n%d random(1, 10000)\nUPDATE bench_counts SET n = n + 1 WHERE id = :n%d;\n", i, i)
	}
	for range inserts {
		script.WriteString("INSERT INTO bench_rows (name, amount) VALUES ('0x9965507d1a55bcc2695c58ba16fb37d819b0a4dc', 2000000);\n")
	}
	script.WriteString("COMMIT;\n")
	file := filepath.Join(b.TempDir(), "script.sql")
	require.NoError(b, os.WriteFile(file, []byte(script.String()), 0o600))
	out := r.run(b, "-n", "-c", "20", "-j", "2", "-T", "10", "-M", "prepared", "-f", file)
	found := tps.FindStringSubmatch(out)
	require.NotNil(b, found, out)
	rate, err := strconv.ParseFloat(found[1], 64)
	require.NoError(b, err)
	return rate
}

func (r *recorder) run(b *testing.B, args ...string) string {
	b.Helper()
	dir, err := postgres.Installed(b.Context())
	require.NoError(b, err)
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "pgbench"), append(args, r.url)...).CombinedOutput()
	require.NoError(b, err, string(out))
	return string(out)
}
