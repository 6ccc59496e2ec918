package jobs_test

import (
	"context"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/id"
	"xsynesis/jobs"
	"xsynesis/ledger"
	"xsynesis/postgres/pgtest"
	"xsynesis/shop"
	"xsynesis/vault"
	"xsynesis/webhook"
)

const sepolia = "eip155:84532"

var chain *devchain.Chain

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	var err error
	if chain, err = devchain.Start(context.Background(), devchain.Options{}); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := chain.Stop(); err != nil {
		code = 1
	}
	os.Exit(code)
}

// contract lists every kind of job: what stands in the queue outlives the release that put it there.
var contract = []struct {
	args        river.JobArgs
	kind, queue string
	text        string
}{
	{checkout.SettleArgs{Settlement: settlement}, "settle", "settle", `{"settlement":"stl_1ChHQgZvF7Y4JLiQa34ooR"}`},
	{checkout.ResumeArgs{Settlement: settlement}, "resume", "settle", `{"settlement":"stl_1ChHQgZvF7Y4JLiQa34ooR"}`},
	{checkout.ExpireArgs{Attempt: attempt}, "expire", "maint", `{"attempt":"pa_1ChHQgZvF7Y4JLiQa34ooR"}`},
	{checkout.LookArgs{Claim: claim}, "look", "chain", `{"claim":"clm_1ChHQgZvF7Y4JLiQa34ooR"}`},
	{checkout.ReleaseArgs{Attempt: attempt}, "release", "maint", `{"attempt":"pa_1ChHQgZvF7Y4JLiQa34ooR"}`},
	{checkout.ReconcileArgs{Callback: 7}, "reconcile", "chain", `{"callback":7}`},
	{checkout.SweepArgs{}, "sweep", "maint", `{}`},
	{checkout.FinalizeArgs{}, "finalize", "chain", `{}`},
	{checkout.RecheckArgs{}, "recheck", "chain", `{}`},
	{checkout.FindArgs{Settlement: settlement}, "find", "chain", `{"settlement":"stl_1ChHQgZvF7Y4JLiQa34ooR"}`},
	{checkout.ReconcileChainsArgs{}, "reconcile_chains", "chain", `{}`},
	{checkout.RecountArgs{Merchant: merchant}, "recount", "maint", `{"merchant":"sel_1ChHQgZvF7Y4JLiQa34ooR"}`},
	{checkout.RefundArgs{Refund: refund}, "refund", "money", `{"refund":"rfd_1ChHQgZvF7Y4JLiQa34ooR"}`},
	{checkout.TransferArgs{Attempt: attempt}, "transfer", "chain", `{"attempt":"pa_1ChHQgZvF7Y4JLiQa34ooR"}`},
	{webhook.DeliverArgs{Delivery: delivery}, "deliver", "webhook", `{"delivery":"dlv_1ChHQgZvF7Y4JLiQa34ooR"}`},
	{webhook.ReplayArgs{Replay: again}, "replay", "webhook", `{"replay":"rpl_1ChHQgZvF7Y4JLiQa34ooR"}`},
	{webhook.SweepArgs{}, "webhook_sweep", "webhook", `{}`},
	{webhook.PurgeArgs{}, "webhook_purge", "maint", `{}`},
	{access.PurgeArgs{}, "access_purge", "maint", `{}`},
	{shop.PayeeSweepArgs{}, "payee_sweep", "maint", `{}`},
	{ledger.SendArgs{Sending: "pay_1ChHQgZvF7Y4JLiQa34ooR"}, "send", "money", `{"sending":"pay_1ChHQgZvF7Y4JLiQa34ooR"}`},
	{ledger.KeepArgs{}, "keep", "money", `{}`},
	{ledger.RecomputeArgs{}, "recompute", "money", `{}`},
}

const (
	merchant   id.Merchant   = "sel_1ChHQgZvF7Y4JLiQa34ooR"
	attempt    id.Attempt    = "pa_1ChHQgZvF7Y4JLiQa34ooR"
	claim      id.Claim      = "clm_1ChHQgZvF7Y4JLiQa34ooR"
	settlement id.Settlement = "stl_1ChHQgZvF7Y4JLiQa34ooR"
	refund     id.Refund     = "rfd_1ChHQgZvF7Y4JLiQa34ooR"
	delivery   id.Delivery   = "dlv_1ChHQgZvF7Y4JLiQa34ooR"
	again      id.Replay     = "rpl_1ChHQgZvF7Y4JLiQa34ooR"
)

func TestEveryKindOfJobHasAWorker(t *testing.T) {
	t.Parallel()
	var kinds []string
	for _, c := range contract {
		kinds = append(kinds, c.kind)
	}
	slices.Sort(kinds)
	declared := slices.Concat(kindsInSource(t, "../checkout"), kindsInSource(t, "../webhook"), kindsInSource(t, "../access"), kindsInSource(t, "../shop"), kindsInSource(t, "../ledger"))
	slices.Sort(declared)
	require.Equal(t, declared, kinds, "a kind of job is missing here")

	w := open(t)
	w.refuse(t)
	queue := w.work(t, nil)
	for _, c := range contract {
		require.Equal(t, c.kind, c.args.Kind())
		text, err := json.Marshal(c.args)
		require.NoError(t, err)
		require.JSONEq(t, c.text, string(text))
		inserted, err := queue.Insert(t.Context(), c.args, nil)
		require.NoError(t, err)
		require.Equal(t, c.queue, inserted.Job.Queue)
		w.awaitJob(t, inserted.Job.ID, "completed")
	}
}

// kindsInSource reads what the Kind methods of a package return.
func kindsInSource(t *testing.T, dir string) (kinds []string) {
	t.Helper()
	files, err := fs.Glob(os.DirFS(dir), "*.go")
	require.NoError(t, err)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), dir+"/"+name, nil, 0)
		require.NoError(t, err)
		for _, declared := range file.Decls {
			f, ok := declared.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "Kind" || strings.HasSuffix(name, "_test.go") {
				continue
			}
			returned, ok := f.Body.List[0].(*ast.ReturnStmt)
			require.True(t, ok, "a kind that is computed")
			literal, ok := returned.Results[0].(*ast.BasicLit)
			require.True(t, ok, "a kind that is computed")
			kind, err := strconv.Unquote(literal.Value)
			require.NoError(t, err)
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

func TestWhatComesRoundIsWorkedFromTheStart(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.work(t, jobs.Periodic(w.checkout, w.hooks, w.custody))
	for _, kind := range []string{"sweep", "finalize", "webhook_sweep", "webhook_purge"} {
		require.Eventually(t, func() bool {
			return w.count(t, `SELECT count(*) FROM river_job WHERE kind = $1 AND state = 'completed'`, kind) > 0
		}, 20*time.Second, 50*time.Millisecond, kind)
	}
}

func TestOnlyTheFirstJobOfAPaymentComesBack(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.claimed(t)
	queue := w.work(t, nil)
	// Nobody here can settle, so the outcome stays open.
	resumed, err := queue.Insert(t.Context(), checkout.ResumeArgs{Settlement: settlement}, nil)
	require.NoError(t, err)
	w.awaitJob(t, resumed.Job.ID, "completed")
	settling, err := queue.Insert(t.Context(), checkout.SettleArgs{Settlement: settlement}, nil)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return w.count(t, `SELECT looks FROM settlements`) >= 3
	}, 20*time.Second, 50*time.Millisecond, "nobody looks again")
	require.Zero(t, w.count(t, `SELECT count(*) FROM river_job WHERE id = $1 AND finalized_at IS NOT NULL`, settling.Job.ID))
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM settlements WHERE status = 'queued'`))
}

// world is a shop's database with the services that the workers call.
type world struct {
	pool     *pgxpool.Pool
	checkout *checkout.Service
	hooks    *webhook.Service
	people   *access.Service
	payees   *shop.Payees
	custody  *ledger.Custody
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func open(t *testing.T) world {
	t.Helper()
	pool := pgtest.New(t)
	networks := evm.NewRegistry(map[uint64][]string{devchain.ChainID: {chain.URL()}})
	network, err := networks.Network(sepolia)
	require.NoError(t, err)
	queue, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	sealed, err := vault.New(make([]byte, 32))
	require.NoError(t, err)
	hooks := webhook.New(pool, queue, webhook.Options{Now: now, Lease: time.Minute, Sweep: 15 * time.Second})
	return world{pool, checkout.New(pool, queue, checkout.Options{
		Webhooks: hooks, Networks: networks, Chains: map[string]*evm.Chain{sepolia: evm.Dial(network, evm.Options{})},
		Shop: shop.New(pool, networks, nil, now), Hub: checkout.NewHub(pool), Vault: sealed, PublicURL: "https://pay.example",
		Hold: time.Minute, Wait: time.Second, Lease: time.Minute, Sweep: 15 * time.Second, Now: now,
	}), hooks, access.New(pool, now), shop.NewPayees(pool, evm.NewRegistry(nil), nil, hooks, now),
		ledger.NewCustody(pool, queue, ledger.CustodyOptions{Networks: networks, Webhooks: hooks, Lease: time.Minute, Sweep: 15 * time.Second, Now: now})}
}

func (w world) work(t *testing.T, periodic []*river.PeriodicJob) *river.Client[pgx.Tx] {
	t.Helper()
	queue, err := river.NewClient(riverpgxv5.New(w.pool), &river.Config{
		Queues: map[string]river.QueueConfig{
			checkout.QueueSettle: {MaxWorkers: 4}, checkout.QueueChain: {MaxWorkers: 4}, checkout.QueueMaint: {MaxWorkers: 4}, ledger.QueueMoney: {MaxWorkers: 4},
			webhook.QueueWebhook: {MaxWorkers: 4}, webhook.QueueWebhookSlow: {MaxWorkers: 4},
		},
		Workers: jobs.Workers(w.checkout, w.hooks, w.people, w.payees, w.custody), PeriodicJobs: periodic, FetchCooldown: 10 * time.Millisecond, FetchPollInterval: 100 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	require.NoError(t, queue.Start(context.Background()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, queue.StopAndCancel(ctx))
	})
	return queue
}

func (w world) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, w.pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

func (w world) awaitJob(t *testing.T, job int64, state string) {
	t.Helper()
	require.Eventually(t, func() bool {
		return w.count(t, `SELECT count(*) FROM river_job WHERE id = $1 AND state = $2`, job, state) == 1
	}, 20*time.Second, 20*time.Millisecond, "job %d is not %s", job, state)
}

const insertAttempt = `INSERT INTO attempts (id, merchant_id, channel, livemode, status, network, asset, pay_to, amount, title,
	cart_salt, cart_hash, nonce, expires_at, created_at, updated_at)
	SELECT $2, $1, 'link', false, $3, 'eip155:84532', '0x', '0x', 1, 'Tea', sha256('salt'), sha256('hash'), '0x00', now() + interval '1 hour', now(), now()`

const insertClaim = `INSERT INTO claims (id, attempt_id, network, asset, payer, nonce, pay_to, value, valid_after, valid_before, signature, version, request, created_at)
	VALUES ($1, $2, 'eip155:84532', '0x', '0x01', '0x02', '0x03', 1, 0, 1, '', 1, '', now())`

// refuse writes a payment that was refused and can never be sent any more.
func (w world) refuse(t *testing.T) {
	t.Helper()
	w.insert(t, checkout.Open)
	_, err := w.pool.Exec(t.Context(), `UPDATE claims SET released_at = now()`)
	require.NoError(t, err)
}

// claimed writes a payment that waits to be settled.
func (w world) claimed(t *testing.T) {
	t.Helper()
	w.insert(t, checkout.Settling)
	_, err := w.pool.Exec(t.Context(), `INSERT INTO settlements
		(id, merchant_id, attempt_id, claim_id, livemode, facilitator, status, network, asset, payer, nonce, pay_to, amount, created_at, updated_at)
		SELECT $1, merchant_id, id, $2, false, 'own', 'queued', network, asset, '0x01', '0x02', '0x03', 1, now(), now() FROM attempts`, settlement, claim)
	require.NoError(t, err)
}

func (w world) insert(t *testing.T, status checkout.Status) {
	t.Helper()
	merchant, err := access.New(w.pool, now).Found(t.Context(), access.Founding{Slug: "cafe", Name: "The cafe", Owner: "Ada"})
	require.NoError(t, err)
	_, err = w.pool.Exec(t.Context(), insertAttempt, merchant, attempt, status)
	require.NoError(t, err)
	_, err = w.pool.Exec(t.Context(), insertClaim, claim, attempt)
	require.NoError(t, err)
}
