package ledger_test

import (
	"context"
	"log/slog"
	"math/big"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"xsynesis/audit"
	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/postgres/pgtest"
	"xsynesis/shop"
	"xsynesis/vault"
	"xsynesis/webhook"
)

var chain *devchain.Chain // that all tests share

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

var by = audit.By{Actor: "Ada", Address: "192.0.2.7", UserAgent: "test"}

// till is a shop whose money is kept for it, and the processes that keep it.
type till struct {
	*ledger.Custody // of a worker
	web             *ledger.Custody
	pool            *pgxpool.Pool
	merchant        id.Merchant
	dial            *evm.Chain
	own, deposit    common.Address
	dev             *devchain.Chain
	relayer         common.Address
	worker          func(custodyKey []byte) *ledger.Custody
	ahead           *atomic.Int64 // of the wall clock
}

func (x till) now() time.Time { return now().Add(time.Duration(x.ahead.Load())) }

// keep founds a shop and keeps so much for it.
func keep(t *testing.T, amount money.USDC) till {
	t.Helper()
	return keepOn(t, chain, amount, 10)
}

// keepOn does so on a chain of the test's own, with that much ETH for the relayer.
func keepOn(t *testing.T, dev *devchain.Chain, amount money.USDC, gas int64) till {
	t.Helper()
	x := till{pool: pgtest.New(t), own: address(t), dev: dev, ahead: new(atomic.Int64)}
	x.merchant = found(t, x.pool, "cafe")
	networks := evm.NewRegistry(map[uint64][]string{devchain.ChainID: {dev.URL()}})
	n, err := networks.Network(sepolia)
	require.NoError(t, err)
	x.dial = evm.Dial(n, evm.Options{})
	queue, err := river.NewClient(riverpgxv5.New(x.pool), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	hooks := webhook.New(x.pool, queue, webhook.Options{PublicURL: "https://pay.example", Now: x.now, Lease: time.Minute, Sweep: time.Minute})
	proven := x.now().Add(-48 * time.Hour)
	require.NoError(t, shop.New(x.pool, networks, hooks, x.now).SetPayee(t.Context(), x.merchant, sepolia, x.own, &proven))

	key, err := crypto.GenerateKey()
	require.NoError(t, err)
	x.relayer = crypto.PubkeyToAddress(key.PublicKey)
	x.fuel(t, gas)
	relayer := evm.NewRelayer(x.pool, x.dial, key, evm.RelayerOptions{Poll: 50 * time.Millisecond, Beat: 200 * time.Millisecond})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = relayer.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })

	o := ledger.CustodyOptions{
		Networks: networks, Chains: map[string]*evm.Chain{sepolia: x.dial}, Webhooks: hooks, Lease: 20 * time.Second, Sweep: time.Second, Now: x.now,
	}
	x.web = ledger.NewCustody(x.pool, queue, o)
	o.Settlers = map[string]ledger.Settler{sepolia: relayer}
	x.worker = func(custodyKey []byte) *ledger.Custody {
		var err error
		o.Vault, err = vault.New(custodyKey)
		require.NoError(t, err)
		return ledger.NewCustody(x.pool, queue, o)
	}
	x.Custody = x.worker(make([]byte, 32))
	require.NoError(t, x.Fill(t.Context()))
	require.NoError(t, x.SetMode(t.Context(), x.merchant, sepolia, true, by))
	modes, err := x.Modes(t.Context(), x.merchant, false)
	require.NoError(t, err)
	x.deposit = modes[0].Deposit
	x.collect(t, amount)
	t.Cleanup(func() {
		findings, err := x.Audit(context.Background())
		require.NoError(t, err)
		require.Empty(t, findings)
	})
	return x
}

// collect is what a sale leaves behind, without its fee.
func (x till) collect(t *testing.T, amount money.USDC) {
	t.Helper()
	if amount == 0 {
		return
	}
	require.NoError(t, x.dev.Mint(t.Context(), x.deposit, amount))
	x.post(t, ledger.Posting{Merchant: x.merchant, Kind: ledger.Sale, Source: string(id.New[id.Settlement](now())), Entries: []ledger.Entry{
		{Account: ledger.Deposit, Network: sepolia, Asset: usdc, Amount: amount}, {Account: ledger.Available, Network: sepolia, Asset: usdc, Amount: -amount},
	}})
}

// fuel gives the relayer so much ETH.
func (x till) fuel(t *testing.T, ether int64) {
	t.Helper()
	if ether > 0 {
		require.NoError(t, x.dev.FundGas(t.Context(), x.relayer, new(big.Int).Mul(big.NewInt(ether), big.NewInt(1e18))))
	}
}

func (x till) post(t *testing.T, p ledger.Posting) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), x.pool, func(tx pgx.Tx) error { return ledger.PostTx(t.Context(), tx, now(), p) }))
}

func address(t *testing.T) common.Address {
	t.Helper()
	key, err := crypto.GenerateKey()
	require.NoError(t, err)
	return crypto.PubkeyToAddress(key.PublicKey)
}

func (x till) ask(t *testing.T, amount money.USDC) ledger.Payout {
	t.Helper()
	p, err := x.web.CreatePayout(t.Context(), x.merchant, false, ledger.PayoutForm{Amount: amount, Destination: x.own.Hex(), By: by})
	require.NoError(t, err)
	return p
}

// send works a payout until it has ended.
func (x till) send(t *testing.T, p id.Payout) ledger.Payout {
	t.Helper()
	var last ledger.Payout
	require.Eventually(t, func() bool {
		_ = x.Send(t.Context(), string(p)) // a snooze asks for another look
		var err error
		last, err = x.Payout(t.Context(), x.merchant, false, p)
		return err == nil && (last.Status == ledger.PayoutArrived || last.Status == ledger.PayoutReturned)
	}, 30*time.Second, 50*time.Millisecond)
	return last
}

func (x till) holding(t *testing.T) ledger.Holding {
	t.Helper()
	all, err := x.web.Holdings(t.Context(), x.merchant, false)
	require.NoError(t, err)
	require.Len(t, all, 1)
	return all[0]
}

func (x till) holds(t *testing.T, at common.Address) money.USDC {
	t.Helper()
	amount, err := x.dial.Balance(t.Context(), at)
	require.NoError(t, err)
	return amount
}

func TestAPayoutArrivesOnceAndTheBooksFollow(t *testing.T) {
	t.Parallel()
	x := keep(t, 10*money.One)
	h := x.holding(t)
	require.Equal(t, 10*money.One, h.Available)
	require.Equal(t, 10*money.One, h.OnChain.Amount)
	require.Equal(t, x.deposit, h.OnChain.Address)

	p := x.ask(t, 4*money.One)
	require.Equal(t, ledger.PayoutQueued, p.Status)
	require.Equal(t, "192.0.2.7", p.Address)
	h = x.holding(t)
	require.Equal(t, 6*money.One, h.Available)
	require.Equal(t, 4*money.One, h.InPayout)

	p = x.send(t, p.ID)
	require.Equal(t, ledger.PayoutArrived, p.Status)
	require.NotEmpty(t, p.Transaction)
	require.Equal(t, 4*money.One, x.holds(t, x.own))
	require.Equal(t, 6*money.One, x.holds(t, x.deposit))
	h = x.holding(t)
	require.Equal(t, 6*money.One, h.Available)
	require.Zero(t, h.InPayout)
	require.Zero(t, h.Drift)
	require.NoError(t, x.Send(t.Context(), string(p.ID)), "an ended one is left alone")
	require.Equal(t, 4*money.One, x.holds(t, x.own))

	entries, err := x.Entries(t.Context(), x.merchant, h.Network, ledger.Available, ledger.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, entries, 2)
	require.Equal(t, 4*money.One, entries[0].Amount)
	require.Equal(t, p.Transaction, entries[0].Transaction)
	var rows int
	require.NoError(t, x.Journal(t.Context(), x.merchant, false, func(page []ledger.JournalEntry) error { rows += len(page); return nil }))
	require.Equal(t, 6, rows)
}

func TestWhereMoneyMayNotGo(t *testing.T) {
	t.Parallel()
	x := keep(t, 10*money.One)
	ask := func(f ledger.PayoutForm) error {
		f.By = by
		_, err := x.web.CreatePayout(t.Context(), x.merchant, false, f)
		return err
	}
	for name, to := range map[string]string{
		"nothing": "", "no address": "0x12", "zero": common.Address{}.Hex(), "the token": x.dial.Network().Token.Address.Hex(),
		"the deposit address": x.deposit.Hex(), "a wrong checksum": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", "without 0x": x.own.Hex()[2:],
	} {
		t.Run(name, func(t *testing.T) {
			var wrong *ledger.FieldError
			require.ErrorAs(t, ask(ledger.PayoutForm{Amount: money.One, Destination: to}), &wrong)
			require.Equal(t, "destination_wallet", wrong.Field)
		})
	}
	var wrong *ledger.FieldError
	require.ErrorAs(t, ask(ledger.PayoutForm{Destination: x.own.Hex()}), &wrong)
	require.ErrorAs(t, ask(ledger.PayoutForm{Amount: -money.One, Destination: x.own.Hex()}), &wrong)
	require.ErrorIs(t, ask(ledger.PayoutForm{Amount: 10*money.One + 1, Destination: x.own.Hex()}), ledger.ErrInsufficient)
	require.ErrorIs(t, ask(ledger.PayoutForm{Amount: money.One, Destination: x.own.Hex(), Network: base}), ledger.ErrNothingCollected)
	_, err := x.web.CreatePayout(t.Context(), found(t, x.pool, "bookshop"), false, ledger.PayoutForm{Amount: money.One, Destination: x.own.Hex()})
	require.ErrorIs(t, err, ledger.ErrNothingCollected)
	require.Equal(t, 10*money.One, x.holding(t).Available)
}

func TestANewDestinationWaitsForADay(t *testing.T) {
	t.Parallel()
	x := keep(t, 10*money.One)
	to := address(t)
	ask := func() error {
		_, err := x.web.CreatePayout(t.Context(), x.merchant, false, ledger.PayoutForm{Amount: money.One, Destination: to.Hex(), By: by, Program: true})
		return err
	}
	var unknown *ledger.NewDestinationError
	require.ErrorAs(t, ask(), &unknown)
	require.Zero(t, unknown.From)
	require.NoError(t, x.web.AddDestination(t.Context(), x.merchant, sepolia, to.Hex(), by))
	require.ErrorAs(t, ask(), &unknown)
	require.WithinDuration(t, x.now().Add(24*time.Hour), unknown.From, time.Minute)
	var notices int
	require.NoError(t, x.pool.QueryRow(t.Context(), `SELECT count(*) FROM notices WHERE kind = 'payout_address_added'`).Scan(&notices))
	require.Equal(t, 1, notices)
	all, err := x.web.Destinations(t.Context(), x.merchant, false)
	require.NoError(t, err)
	require.Len(t, all, 2)

	x.ahead.Store(int64(24*time.Hour + time.Second))
	require.NoError(t, ask())
	require.NoError(t, x.web.RemoveDestination(t.Context(), x.merchant, sepolia, to, by))
	require.ErrorAs(t, ask(), &unknown)
	require.ErrorIs(t, x.web.RemoveDestination(t.Context(), x.merchant, sepolia, to, by), ledger.ErrNotFound)
	x.ahead.Store(0)
}

func TestProgramsPayOutSoMuchInADay(t *testing.T) {
	t.Parallel()
	x := keep(t, 10*money.One)
	_, err := x.pool.Exec(t.Context(), `UPDATE merchants SET payout_limit = 3000000`)
	require.NoError(t, err)
	ask := func(program bool) error {
		_, err := x.web.CreatePayout(t.Context(), x.merchant, false, ledger.PayoutForm{Amount: 2 * money.One, Destination: x.own.Hex(), By: by, Program: program})
		return err
	}
	require.NoError(t, ask(true))
	require.ErrorIs(t, ask(true), ledger.ErrDailyLimit)
	require.NoError(t, ask(false), "people confirm that it is them")
}

func TestTwoDevicesAndADoubleClickPayOutWhatThereIs(t *testing.T) {
	t.Parallel()
	x := keep(t, 10*money.One)
	const many = 12
	made := make(chan id.Payout, 2*many)
	refusals := make(chan error, 2*many)
	ask := func(amount money.USDC, once []byte) {
		p, err := x.web.CreatePayout(context.Background(), x.merchant, false, ledger.PayoutForm{Amount: amount, Destination: x.own.Hex(), Once: once, By: by})
		made <- p.ID
		refusals <- err
	}
	for range many { // one form, sent many times
		go ask(3*money.One, []byte("the form"))
	}
	first := map[id.Payout]bool{}
	for range many {
		require.NoError(t, <-refusals)
		first[<-made] = true
	}
	require.Len(t, first, 1)
	for range many { // as many forms
		go ask(3*money.One, nil)
	}
	var paid int
	for range many {
		if err := <-refusals; err == nil {
			paid++
		} else {
			require.ErrorIs(t, err, ledger.ErrInsufficient)
		}
		<-made
	}
	require.Equal(t, 2, paid)
	require.Equal(t, money.One, x.holding(t).Available)
}

func TestARefusedPayoutComesBack(t *testing.T) {
	t.Parallel()
	x := keep(t, 10*money.One)
	p := x.ask(t, 4*money.One)
	// The address holds less than the books say, so the token refuses.
	_, err := x.pool.Exec(t.Context(), `UPDATE sendings SET amount = 40000000 WHERE id = $1`, p.ID)
	require.NoError(t, err)
	_, err = x.pool.Exec(t.Context(), `UPDATE payouts SET amount = 40000000 WHERE id = $1`, p.ID)
	require.NoError(t, err)
	x.post(t, ledger.Posting{Merchant: x.merchant, Kind: ledger.PayoutCreated, Source: "the test's own", Entries: []ledger.Entry{
		{Account: ledger.Available, Network: sepolia, Asset: usdc, Amount: 36 * money.One}, {Account: ledger.Payouts, Network: sepolia, Asset: usdc, Amount: -36 * money.One},
	}})
	p = x.send(t, p.ID)
	require.Equal(t, ledger.PayoutReturned, p.Status)
	require.NotEmpty(t, p.LastError)
	require.Empty(t, p.Transaction)
	require.Zero(t, x.holds(t, x.own))
	require.Equal(t, 10*money.One, x.holding(t).Available)
}

func TestARestoredDatabasePaysNothingTwice(t *testing.T) {
	t.Parallel()
	x := keep(t, 10*money.One)
	p := x.ask(t, 4*money.One)
	require.Equal(t, ledger.PayoutArrived, x.send(t, p.ID).Status)
	// The database is as it was before the payout was sent.
	forget := func(sql ...string) {
		for _, each := range sql {
			_, err := x.pool.Exec(t.Context(), each)
			require.NoError(t, err)
		}
	}
	forget(`UPDATE sendings SET status = 'queued', transaction = '', block_number = NULL, block_hash = NULL, completed_at = NULL, valid_before = NULL`,
		`DELETE FROM relay_versions`, `DELETE FROM relays`)
	x.post(t, ledger.Posting{Merchant: x.merchant, Kind: ledger.Reversal, Source: string(p.ID), Entries: []ledger.Entry{
		{Account: ledger.Payouts, Network: sepolia, Asset: usdc, Amount: -4 * money.One}, {Account: ledger.Deposit, Network: sepolia, Asset: usdc, Amount: 4 * money.One},
	}})
	forget(`ALTER TABLE postings DISABLE TRIGGER ALL`, `UPDATE postings SET source = 'before' WHERE kind = 'payout_completed'`, `ALTER TABLE postings ENABLE TRIGGER ALL`)
	p = x.send(t, p.ID)
	require.Equal(t, ledger.PayoutArrived, p.Status)
	require.Equal(t, 4*money.One, x.holds(t, x.own), "it was paid once")
	require.Equal(t, 6*money.One, x.holding(t).Available)
}

func TestNothingLeavesWhileTheChainIsAheadOfTheBooks(t *testing.T) {
	t.Parallel()
	x := keep(t, 10*money.One)
	require.NoError(t, x.Watch(t.Context(), sepolia))
	p := x.ask(t, 4*money.One)
	require.Equal(t, ledger.PayoutArrived, x.send(t, p.ID).Status)
	// The database is as it was before the payout was asked for.
	for _, sql := range []string{
		`DELETE FROM payouts`, `DELETE FROM sendings`, `DELETE FROM relay_versions`, `DELETE FROM relays`,
		`ALTER TABLE postings DISABLE TRIGGER ALL`, `ALTER TABLE entries DISABLE TRIGGER ALL`,
		`DELETE FROM entries e USING postings p WHERE p.id = e.posting_id AND p.kind LIKE 'payout%'`, `DELETE FROM postings WHERE kind LIKE 'payout%'`,
		`ALTER TABLE postings ENABLE TRIGGER ALL`, `ALTER TABLE entries ENABLE TRIGGER ALL`,
	} {
		_, err := x.pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	require.NoError(t, x.Recompute(t.Context()))
	h := x.holding(t)
	require.Equal(t, 10*money.One, h.Available)
	require.Equal(t, -4*money.One, h.Drift)

	require.NoError(t, x.Watch(t.Context(), sepolia))
	_, err := x.web.CreatePayout(t.Context(), x.merchant, false, ledger.PayoutForm{Amount: money.One, Destination: x.own.Hex(), By: by})
	require.ErrorIs(t, err, ledger.ErrReadOnly)
	strays, err := x.web.Strays(t.Context(), x.merchant)
	require.NoError(t, err)
	require.Len(t, strays, 1)
	require.Equal(t, 4*money.One, strays[0].Amount)
	require.Equal(t, x.own, strays[0].To)
	findings, err := x.Audit(t.Context())
	require.NoError(t, err)
	require.Len(t, findings, 2)

	require.NoError(t, x.web.EnterStray(t.Context(), x.merchant, sepolia, strays[0].Nonce, by))
	require.ErrorIs(t, x.web.EnterStray(t.Context(), x.merchant, sepolia, strays[0].Nonce, by), ledger.ErrNotFound)
	require.Equal(t, 6*money.One, x.holding(t).Available)
	require.Equal(t, ledger.PayoutArrived, x.send(t, x.ask(t, money.One).ID).Status)
}

func TestOneUnitBeyondTheBooksIsNoted(t *testing.T) {
	t.Parallel()
	x := keep(t, 10*money.One)
	drifts := func() []ledger.Drift {
		require.NoError(t, x.NoteDrifts(t.Context(), sepolia))
		all, err := x.web.Drifts(t.Context(), x.merchant, false)
		require.NoError(t, err)
		return all
	}
	notices := func() (n int) {
		require.NoError(t, x.pool.QueryRow(t.Context(), `SELECT count(*) FROM notices WHERE kind = 'books_differ'`).Scan(&n))
		return n
	}
	require.Empty(t, drifts())
	require.NoError(t, x.dev.Mint(t.Context(), x.deposit, 1))
	for range 2 {
		all := drifts()
		require.Len(t, all, 1)
		require.EqualValues(t, 1, all[0].Amount)
		require.Equal(t, 1, notices(), "it is told once")
	}
	live, err := x.web.Drifts(t.Context(), x.merchant, true)
	require.NoError(t, err)
	require.Empty(t, live, "networks of the other mode")
	x.post(t, ledger.Posting{Merchant: x.merchant, Kind: ledger.Exceptional, Source: "a unit", Entries: []ledger.Entry{
		{Account: ledger.Deposit, Network: sepolia, Asset: usdc, Amount: 1}, {Account: ledger.Exceptions, Network: sepolia, Asset: usdc, Amount: -1},
	}})
	require.Empty(t, drifts(), "it is in the books")
}

func TestALostJobIsGivenAgain(t *testing.T) {
	t.Parallel()
	x := keep(t, 10*money.One)
	p := x.ask(t, money.One)
	_, err := x.pool.Exec(t.Context(), `DELETE FROM river_job`)
	require.NoError(t, err)
	x.ahead.Store(int64(5 * time.Second))
	require.NoError(t, x.Keep(t.Context()))
	var jobs int
	require.NoError(t, x.pool.QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE kind = 'send' AND args->>'sending' = $1`, p.ID).Scan(&jobs))
	require.Equal(t, 1, jobs)
	require.Equal(t, ledger.PayoutArrived, x.send(t, p.ID).Status)
}

func TestAWebProcessOpensNoDepositKey(t *testing.T) {
	t.Parallel()
	x := keep(t, 10*money.One)
	p := x.ask(t, money.One)
	require.Error(t, x.web.Send(t.Context(), string(p.ID)))
	p, err := x.Payout(t.Context(), x.merchant, false, p.ID)
	require.NoError(t, err)
	require.Equal(t, ledger.PayoutQueued, p.Status)
	other, err := vault.New([]byte(strings.Repeat("x", 32)))
	require.NoError(t, err)
	var sealed []byte
	require.NoError(t, x.pool.QueryRow(t.Context(), `SELECT sealed FROM deposit_addresses WHERE merchant_id IS NOT NULL`).Scan(&sealed))
	_, err = other.Open("deposit_addresses/"+sepolia+" "+strings.ToLower(x.deposit.Hex())+"/sealed", sealed)
	require.ErrorIs(t, err, vault.ErrSealed)
}

func TestSwitchingModesKeepsTheAddress(t *testing.T) {
	t.Parallel()
	x := keep(t, 0)
	require.NoError(t, x.web.SetMode(t.Context(), x.merchant, sepolia, false, by))
	require.NoError(t, x.web.SetMode(t.Context(), x.merchant, sepolia, true, by))
	modes, err := x.Modes(t.Context(), x.merchant, false)
	require.NoError(t, err)
	require.Equal(t, x.deposit, modes[0].Deposit)
	require.ErrorIs(t, x.web.SetMode(t.Context(), x.merchant, base, true, by), ledger.ErrNotFound)
}

func TestAWrongCachedBalanceIsRecomputed(t *testing.T) {
	t.Parallel()
	x := keep(t, 10*money.One)
	_, err := x.pool.Exec(t.Context(), `UPDATE balances SET amount = amount - 1 WHERE account = 'available'`)
	require.NoError(t, err)
	require.Equal(t, 10*money.One+1, x.holding(t).Available)
	require.NoError(t, x.Recompute(t.Context()))
	require.Equal(t, 10*money.One, x.holding(t).Available)
}

func TestFeesRoundDownAndTheirSharesSumToThem(t *testing.T) {
	t.Parallel()
	require.Equal(t, money.USDC(0), ledger.Fee(99, 100))
	require.Equal(t, money.USDC(1), ledger.Fee(199, 100))
	require.Equal(t, money.USDC(125_000), ledger.Fee(5*money.One, 250))
	for _, lines := range [][]money.USDC{{1, 1, 1}, {10, -3, 5}, {7}, {100, 1, 0, 33, -20}} {
		var sum money.USDC
		for i, share := range ledger.Spread(7, lines) {
			require.GreaterOrEqual(t, share, money.USDC(0))
			require.True(t, lines[i] > 0 || share == 0)
			sum += share
		}
		require.Equal(t, money.USDC(7), sum)
	}
}
