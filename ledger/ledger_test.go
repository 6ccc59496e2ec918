package ledger_test

import (
	"context"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/postgres/pgtest"
)

const (
	base    = "eip155:8453"
	sepolia = "eip155:84532"
	usdc    = "0x036cbd53842c5426634e7929541ec2318f3dcf7e"
)

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// books is one shop with empty books.
type books struct {
	pool     *pgxpool.Pool
	merchant id.Merchant
}

func open(t *testing.T) books {
	t.Helper()
	pool := pgtest.New(t)
	return books{pool, found(t, pool, "cafe")}
}

func found(t *testing.T, pool *pgxpool.Pool, slug string) id.Merchant {
	t.Helper()
	merchant, err := access.New(pool, now).Found(t.Context(), access.Founding{Slug: slug, Name: slug, Owner: "Ada"})
	require.NoError(t, err)
	return merchant
}

func (b books) post(ctx context.Context, p ledger.Posting) error {
	return pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error { return ledger.PostTx(ctx, tx, now(), p) })
}

// sale is an honest posting.
func (b books) sale(source string, amount money.USDC) ledger.Posting {
	return ledger.Posting{Merchant: b.merchant, Kind: ledger.Sale, Source: source, Entries: []ledger.Entry{
		{Account: ledger.Wallet, Network: sepolia, Asset: usdc, Amount: amount},
		{Account: ledger.Sales, Network: sepolia, Asset: usdc, Amount: -amount},
	}}
}

// held is what a shop has received on one network.
type held struct {
	Network, Asset string
	Amount         money.USDC
}

func (b books) received(t *testing.T, merchant id.Merchant) []held {
	t.Helper()
	rows, err := b.pool.Query(t.Context(), `SELECT network, asset, sum(amount)::bigint FROM balances
		WHERE merchant_id = $1 AND account = 'wallet' GROUP BY 1, 2 ORDER BY 1, 2`, merchant)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[held])
	require.NoError(t, err)
	return all
}

func (b books) count(t *testing.T, table string) (n int) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n))
	return n
}

func TestABalanceIsTheSumOfItsEntries(t *testing.T) {
	t.Parallel()
	b := open(t)
	balances := b.received(t, b.merchant)
	require.Empty(t, balances)

	for n := range 40 {
		require.NoError(t, b.post(t.Context(), b.sale("stl_"+strconv.Itoa(n), money.USDC(n+1))))
	}
	mainnet := b.sale("stl_main", 7)
	mainnet.Entries[0].Network, mainnet.Entries[1].Network = base, base
	require.NoError(t, b.post(t.Context(), mainnet))
	simulated := b.sale("stl_sim", 1_000)
	simulated.Kind = ledger.SimulatedSale
	simulated.Entries[0].Account, simulated.Entries[1].Account = ledger.SimulatedWallet, ledger.SimulatedSales
	require.NoError(t, b.post(t.Context(), simulated))

	balances = b.received(t, b.merchant)
	require.Equal(t, []held{{Network: base, Asset: usdc, Amount: 7}, {Network: sepolia, Asset: usdc, Amount: 820}}, balances)
	var wrong int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM (
		SELECT merchant_id, account, network, asset, slot, sum(amount) AS amount FROM entries GROUP BY 1, 2, 3, 4, 5
		EXCEPT SELECT merchant_id, account, network, asset, slot, amount FROM balances) d`).Scan(&wrong))
	require.Zero(t, wrong)

	balances = b.received(t, found(t, b.pool, "bookshop"))
	require.Empty(t, balances, "another shop's money")
}

func TestUnbalancedPostingsWriteNothing(t *testing.T) {
	t.Parallel()
	b := open(t)
	good := b.sale("stl_x", 5).Entries
	entry := func(change func(*ledger.Entry)) []ledger.Entry {
		changed := []ledger.Entry{good[0], good[1]}
		change(&changed[0])
		return changed
	}
	for name, entries := range map[string][]ledger.Entry{
		"none":                 {},
		"one side":             good[:1],
		"one unit too much":    entry(func(e *ledger.Entry) { e.Amount++ }),
		"the same sign":        entry(func(e *ledger.Entry) { e.Amount = -5 }),
		"across networks":      entry(func(e *ledger.Entry) { e.Network = base }),
		"across assets":        entry(func(e *ledger.Entry) { e.Asset = "SIM" }),
		"nothing":              entry(func(e *ledger.Entry) { e.Amount = 0 }),
		"a line about nothing": append(entry(func(*ledger.Entry) {}), ledger.Entry{Account: ledger.Wallet, Network: sepolia, Asset: usdc}),
	} {
		t.Run(name, func(t *testing.T) {
			err := b.post(t.Context(), ledger.Posting{Merchant: b.merchant, Kind: ledger.Sale, Source: "stl_" + name, Entries: entries})
			require.ErrorIs(t, err, ledger.ErrUnbalanced)
		})
	}
	require.Zero(t, b.count(t, "postings"))
	require.Zero(t, b.count(t, "entries"))
	require.Zero(t, b.count(t, "balances"))
}

func TestTheDatabaseRefusesWhatSumsToZeroOnlyByOverflow(t *testing.T) {
	t.Parallel()
	b := open(t)
	wallet := func(n money.USDC) ledger.Entry {
		return ledger.Entry{Account: ledger.Wallet, Network: sepolia, Asset: usdc, Amount: n}
	}
	require.Error(t, b.post(t.Context(), ledger.Posting{Merchant: b.merchant, Kind: ledger.Sale, Source: "stl_x",
		Entries: []ledger.Entry{wallet(math.MaxInt64), wallet(math.MaxInt64), wallet(2)}}))
	require.Zero(t, b.count(t, "entries"))
	require.Zero(t, b.count(t, "balances"))
}

func TestTheDatabaseRefusesUnbalancedEntries(t *testing.T) {
	t.Parallel()
	b := open(t)
	require.NoError(t, b.post(t.Context(), b.sale("stl_good", 5)))
	const insert = `INSERT INTO entries (posting_id, line, merchant_id, account, network, asset, amount, slot, created_at)
		SELECT posting_id, 7 + line, merchant_id, account, $1, asset, $2, slot, created_at FROM entries WHERE line = $3`
	const both = `INSERT INTO entries (posting_id, line, merchant_id, account, network, asset, amount, slot, created_at)
		SELECT posting_id, 7 + line, merchant_id, account, CASE line WHEN 0 THEN $1 ELSE $2 END, asset, 3 - 6 * line, slot, created_at FROM entries`
	_, err := b.pool.Exec(t.Context(), both, sepolia, base)
	requireCode(t, "23514", err)
	_, err = b.pool.Exec(t.Context(), insert, sepolia, 1, 0)
	requireCode(t, "23514", err)
	_, err = b.pool.Exec(t.Context(), insert, sepolia, 0, 0)
	requireCode(t, "23514", err)
	require.Equal(t, 2, b.count(t, "entries"))
}

func TestTheBooksAreAppendOnly(t *testing.T) {
	t.Parallel()
	b := open(t)
	require.NoError(t, b.post(t.Context(), b.sale("stl_good", 5)))
	for _, sql := range []string{
		`UPDATE entries SET amount = -amount`, `UPDATE entries SET created_at = now()`, `DELETE FROM entries`, `TRUNCATE entries`,
		`UPDATE postings SET kind = 'simulated_sale'`, `DELETE FROM postings`, `TRUNCATE postings CASCADE`,
	} {
		_, err := b.pool.Exec(t.Context(), sql)
		requireCode(t, "23001", err)
	}
	require.Equal(t, 2, b.count(t, "entries"))
	require.Equal(t, 1, b.count(t, "postings"))
}

func TestOneCauseIsPostedOnce(t *testing.T) {
	t.Parallel()
	b := open(t)
	require.NoError(t, b.post(t.Context(), b.sale("stl_once", 5)))
	requireCode(t, "23505", b.post(t.Context(), b.sale("stl_once", 5)))
	balances := b.received(t, b.merchant)
	require.Equal(t, money.USDC(5), balances[0].Amount)
}

func TestManyPostingsAtOnce(t *testing.T) {
	t.Parallel()
	b := open(t)
	const n = 200
	var g errgroup.Group
	g.SetLimit(20)
	for i := range n {
		g.Go(func() error { return b.post(t.Context(), b.sale("stl_"+strconv.Itoa(i), money.One)) })
	}
	require.NoError(t, g.Wait())
	balances := b.received(t, b.merchant)
	require.Equal(t, n*money.One, balances[0].Amount)
}

func requireCode(t *testing.T, code string, err error) {
	t.Helper()
	var refused *pgconn.PgError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, code, refused.Code)
}
