package checkout_test

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/audit"
	"xsynesis/checkout"
	"xsynesis/egress"
	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/id"
	"xsynesis/jobs" //nolint:depguard // these tests run the workers that production runs
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/postgres/pgtest"
	"xsynesis/shop"
	"xsynesis/vault"
	"xsynesis/webhook"
	"xsynesis/x402"
)

// What the programs of a test shop are told at their start.
const publicURL = "https://pay.example"

var masterKey = []byte("0123456789abcdef0123456789abcdef")

// ada keeps the shop.
var ada = audit.By{Actor: "Ada"}

// price is what the shop's first link costs.
const price = 2 * money.One

// plan is how a test's shop differs from the ordinary one.
type plan struct {
	database string // URL; empty is a fresh clone
	rpc      string // URL; empty is the chain itself
	limit    int    // of the link's payments; 0 is none
	hold     time.Duration
	wait     time.Duration
	quiet    bool            // no worker settles anything until the test starts one
	broke    bool            // nobody has gas money
	dirty    bool            // the audit must find something at the end
	chain    *devchain.Chain // the shop's own; nil is the one that all tests share

	policy checkout.FacilitatorPolicy // for whom it settles as a facilitator; nobody if empty
	budget int
	fee    int // of the platform, in hundredths of a per cent
}

// testShop is a shop with one link, a process that serves it and one that settles its payments.
type testShop struct {
	plan
	pool     *pgxpool.Pool
	clock    *clock
	network  evm.Network
	merchant id.Merchant
	payee    common.Address
	link     shop.Link
	buyer    *ecdsa.PrivateKey
	relayer  *ecdsa.PrivateKey

	access   *access.Service
	shop     *shop.Service
	checkout *checkout.Service // of the serving process, which cannot settle
	web      *process
	worker   *process
}

func newShop(t *testing.T) *testShop {
	t.Helper()
	return newShopWith(t, plan{})
}

func newShopWith(t *testing.T, p plan) *testShop {
	t.Helper()
	if p.chain == nil {
		p.chain = world.dev()
	}
	if p.rpc == "" {
		p.rpc = p.chain.URL()
	}
	if p.hold == 0 {
		p.hold = 15 * time.Minute
	}
	if p.wait == 0 {
		p.wait = 25 * time.Second
	}
	if p.database == "" {
		p.database = pgtest.URL(t)
	}
	s := &testShop{plan: p, clock: &clock{}, payee: addressOf(newKey()), buyer: newBuyer(t), relayer: newGas(t)}
	t.Cleanup(func() { s.audit(t) })
	s.web = s.start(t, role{})
	s.pool, s.checkout, s.shop = s.web.pool, s.web.checkout, s.web.shop
	s.access = access.New(s.pool, s.clock.now)
	s.network = s.web.network(t)
	s.merchant = s.found(t, "cafe", s.payee)
	s.link = s.newLink(t, s.merchant, shop.LinkForm{Title: "Flat white", Price: price, MaxPayments: p.limit, Reference: "till-1"})
	if !p.broke {
		s.worker = s.start(t, role{settles: true, works: !p.quiet})
		s.awaitFunded(t)
	}
	return s
}

// found opens a shop that is paid at this address.
func (s *testShop) found(t *testing.T, slug string, payee common.Address) id.Merchant {
	t.Helper()
	merchant, err := s.access.Found(t.Context(), access.Founding{Slug: slug, Name: "The " + slug, Domain: slug + ".example", Owner: "Ada"})
	require.NoError(t, err)
	proven := s.clock.now()
	require.NoError(t, s.shop.SetPayee(t.Context(), merchant, sepolia, payee, &proven))
	return merchant
}

func (s *testShop) newLink(t *testing.T, merchant id.Merchant, f shop.LinkForm) shop.Link {
	t.Helper()
	link, err := s.shop.CreateLink(t.Context(), merchant, false, f, ada)
	require.NoError(t, err)
	return link
}

// anew is what a seller does who writes all of a form.
func anew(f shop.LinkForm) func(*shop.LinkForm) error {
	return func(into *shop.LinkForm) error {
		*into = f
		return nil
	}
}

func (s *testShop) awaitFunded(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return s.checkout.Funded(t.Context(), sepolia) == nil },
		20*time.Second, 10*time.Millisecond, "no relayer tells of gas money")
}

// audit holds the shop's books against themselves and against the chain, as every test ends.
func (s *testShop) audit(t *testing.T) {
	t.Helper()
	if s.pool == nil {
		return
	}
	findings := s.findings(t)
	if s.dirty {
		require.NotEmpty(t, findings, "the audit sees nothing wrong")
		return
	}
	require.Empty(t, findings)
}

func (s *testShop) findings(t *testing.T) []checkout.Finding {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	pool, err := pgxpool.New(ctx, s.database)
	require.NoError(t, err)
	defer pool.Close()
	queue, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	networks := evm.NewRegistry(map[uint64][]string{devchain.ChainID: {s.chain.URL()}})
	auditor := checkout.New(pool, queue, checkout.Options{
		Networks: networks, Chains: map[string]*evm.Chain{sepolia: dial(t, s.chain.URL())},
		Hub: checkout.NewHub(pool), Sweep: 15 * time.Second, Now: s.clock.now,
	})
	findings, err := auditor.Audit(ctx)
	require.NoError(t, err)
	return findings
}

// clock is the wall clock, as far off as a test wants it.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Now().Add(time.Duration(c.offset.Load())).UTC().Truncate(time.Microsecond)
}

func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// role is what one process does.
type role struct {
	settles bool          // it has a relayer
	works   bool          // it takes jobs
	clock   *clock        // its own; nil is the shop's
	lease   time.Duration // 75 s if zero
	sweep   time.Duration // 15 s if zero
	rpc     string        // one node or more; the shop's if empty
	relayer *ecdsa.PrivateKey
	masters [][]byte // master keys; the shop's if none

	facilitators []x402.Facilitator // who moves payments; the relayer if none
	settler      checkout.Settler   // in the relayer's place
	habits       evm.RelayerOptions // of the relayer
}

// process is one running program: it shares the database and the chain with the others, and nothing else.
type process struct {
	pool     *pgxpool.Pool
	hub      *checkout.Hub
	shop     *shop.Service
	checkout *checkout.Service
	custody  *ledger.Custody
	hooks    *webhook.Service
	networks *evm.Registry
	queue    *river.Client[pgx.Tx] // takes jobs, where the role says so
	cut      *atomic.Bool          // no connection to the database can be opened any more
	cancel   context.CancelFunc
	name     string // of its connections
	running  sync.WaitGroup
	ended    sync.Once
	buried   sync.WaitGroup // after a kill
}

func (s *testShop) start(t *testing.T, r role) *process {
	t.Helper()
	if r.clock == nil {
		r.clock = s.clock
	}
	if r.rpc == "" {
		r.rpc = s.rpc
	}
	if r.lease == 0 {
		r.lease = 75 * time.Second
	}
	if r.sweep == 0 {
		r.sweep = 15 * time.Second
	}
	if r.relayer == nil {
		r.relayer = s.relayer
	}
	p := &process{cut: &atomic.Bool{}, name: "process " + id.NewToken(), networks: evm.NewRegistry(map[uint64][]string{devchain.ChainID: strings.Fields(r.rpc)})}
	p.pool = openPool(t, s.database, p.name, p.cut)
	p.hub = checkout.NewHub(p.pool)
	chain := evm.Dial(p.network(t), evm.Options{CallTimeout: 3 * time.Second})
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	t.Cleanup(func() { p.stop(t) })
	settlers := map[string]checkout.Settler{}
	if r.settles {
		r.habits.Now, r.habits.Beat = r.clock.now, cmp.Or(r.habits.Beat, time.Second)
		relayer := evm.NewRelayer(p.pool, chain, r.relayer, r.habits)
		settlers[sepolia] = relayer
		if r.settler != nil {
			settlers[sepolia] = r.settler
		}
		p.running.Go(func() { _ = relayer.Run(ctx) })
	}
	insert, err := river.NewClient(riverpgxv5.New(p.pool), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	if len(r.masters) == 0 {
		r.masters = [][]byte{masterKey}
	}
	sealed, err := vault.New(r.masters...)
	require.NoError(t, err)
	p.hooks = webhook.New(p.pool, insert, webhook.Options{
		Egress: egress.New(egress.Options{Own: publicURL}), Vault: sealed, PublicURL: publicURL, Now: r.clock.now, Lease: r.lease, Sweep: r.sweep,
	})
	p.shop = shop.New(p.pool, p.networks, p.hooks, r.clock.now)
	sending := map[string]ledger.Settler{}
	for network, s := range settlers {
		sending[network] = s
	}
	p.custody = ledger.NewCustody(p.pool, insert, ledger.CustodyOptions{
		Networks: p.networks, Chains: map[string]*evm.Chain{sepolia: chain}, Settlers: sending, Vault: sealed, Webhooks: p.hooks,
		Lease: r.lease, Sweep: r.sweep, Now: r.clock.now,
	})
	p.checkout = checkout.New(p.pool, insert, checkout.Options{
		Networks: p.networks, Chains: map[string]*evm.Chain{sepolia: chain}, Settlers: settlers, Facilitators: r.facilitators,
		FacilitatorPolicy: s.policy, FacilitatorBudget: s.budget, Shop: p.shop, Hub: p.hub, Webhooks: p.hooks,
		Vault: sealed, PublicURL: publicURL, Custody: p.custody, FeeBPS: s.fee,
		Hold: s.hold, Wait: s.wait, Lease: r.lease, Sweep: r.sweep, Now: r.clock.now,
	})
	p.running.Go(func() { _ = p.hub.Run(ctx) })
	if r.works {
		p.work(t)
	}
	return p
}

func openPool(t *testing.T, url, name string, cut *atomic.Bool) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	config.MaxConns = 20
	config.ConnConfig.RuntimeParams["application_name"] = name
	pgtest.Mortal(config, cut)
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	require.NoError(t, err)
	return pool
}

// work takes jobs as the worker of production does.
func (p *process) work(t *testing.T) {
	t.Helper()
	queue, err := river.NewClient(riverpgxv5.New(p.pool), &river.Config{
		Queues: map[string]river.QueueConfig{
			checkout.QueueSettle: {MaxWorkers: 64}, checkout.QueueChain: {MaxWorkers: 4}, checkout.QueueMaint: {MaxWorkers: 4},
			ledger.QueueMoney: {MaxWorkers: 4},
		},
		Workers: jobs.Workers(p.checkout, p.hooks, access.New(p.pool, time.Now), shop.NewPayees(p.pool, evm.NewRegistry(nil), nil, p.hooks, time.Now), p.custody), PeriodicJobs: jobs.Periodic(p.checkout, p.hooks, p.custody),
		FetchCooldown: 10 * time.Millisecond, FetchPollInterval: 200 * time.Millisecond,
		JobTimeout: time.Minute, RescueStuckJobsAfter: 90 * time.Second,
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	require.NoError(t, queue.Start(context.Background()))
	p.queue = queue
}

// stop lets the process end in an orderly way, without waiting for payments.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.ended.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		if p.queue != nil {
			if err := p.queue.StopAndCancel(ctx); err != nil {
				t.Errorf("stop the queue: %v", err)
			}
		}
		p.cancel()
		p.running.Wait()
		p.pool.Close()
	})
	p.buried.Wait()
}

// kill ends the process as a power cut does: from this moment on it writes nothing more.
func (s *testShop) kill(t *testing.T, p *process) {
	t.Helper()
	p.ended.Do(func() {
		p.cut.Store(true)
		s.exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1`, p.name)
		p.cancel()
		// Its goroutines may still run, but they reach nobody.
		p.buried.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if p.queue != nil {
				_ = p.queue.StopAndCancel(ctx)
			}
			p.running.Wait()
			p.pool.Close()
		})
	})
}

func (p *process) network(t *testing.T) evm.Network {
	t.Helper()
	n, err := p.networks.Network(sepolia)
	require.NoError(t, err)
	return n
}

func dial(t *testing.T, url string) *evm.Chain {
	t.Helper()
	network, err := evm.NewRegistry(map[uint64][]string{devchain.ChainID: {url}}).Network(sepolia)
	require.NoError(t, err)
	return evm.Dial(network, evm.Options{})
}

// begin is a buyer's tap on Pay.
func (s *testShop) begin(t *testing.T) checkout.Attempt {
	t.Helper()
	return s.beginFrom(t, "192.0.2.1")
}

func (s *testShop) beginFrom(t *testing.T, address string) checkout.Attempt {
	t.Helper()
	a, err := s.checkout.Start(t.Context(), checkout.Begin{Token: s.link.Token, From: address})
	require.NoError(t, err)
	return a
}

// offer is the link as buyers see it now.
func (s *testShop) offer(t *testing.T) shop.Offer {
	t.Helper()
	o, err := s.shop.Offer(t.Context(), s.link.Token)
	require.NoError(t, err)
	return o
}

// sign is what a wallet makes of the purchase's page.
func (s *testShop) sign(t *testing.T, a checkout.Attempt, payer *ecdsa.PrivateKey) x402.Payment {
	t.Helper()
	return signed(t, 1, s.checkout.Requirement(a), x402.Authorization{
		From: addressOf(payer), To: a.PayTo, Value: big.NewInt(int64(a.Amount)), ValidAfter: new(big.Int),
		ValidBefore: big.NewInt(a.ExpiresAt.Unix()), Nonce: a.Nonce,
	}, payer)
}

// answer is what a program makes of the link's 402, with a nonce of its own.
func (s *testShop) answer(t *testing.T, o shop.Offer, payer *ecdsa.PrivateKey) x402.Payment {
	t.Helper()
	want := s.checkout.Offered(o)
	return signed(t, 2, want, x402.Authorization{
		From: addressOf(payer), To: want.PayTo, Value: big.NewInt(int64(want.Amount)), ValidAfter: new(big.Int),
		ValidBefore: big.NewInt(s.clock.now().Add(shop.OfferTime).Unix()), Nonce: randomHash(),
	}, payer)
}

func signed(t *testing.T, version int, want x402.Requirement, a x402.Authorization, payer *ecdsa.PrivateKey) x402.Payment {
	t.Helper()
	signature, err := x402.Sign(a, want.Token, payer)
	require.NoError(t, err)
	return want.Payment(version, a, signature)
}

// status is where a purchase stands in the database.
func (s *testShop) status(t *testing.T, a id.Attempt) checkout.Status {
	t.Helper()
	p, err := s.checkout.Purchase(t.Context(), a)
	require.NoError(t, err)
	return p.Status
}

func (s *testShop) awaitStatus(t *testing.T, a id.Attempt, want checkout.Status) checkout.Purchase {
	t.Helper()
	var p checkout.Purchase
	require.Eventually(t, func() bool {
		var err error
		p, err = s.checkout.Purchase(t.Context(), a)
		return err == nil && p.Status == want
	}, 40*time.Second, 20*time.Millisecond, "it does not become %s", want)
	return p
}

// count runs a SELECT of one number.
func (s *testShop) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, s.pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

func (s *testShop) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := s.pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// requireInvalid wants a refusal of this kind.
func requireInvalid(t *testing.T, kind x402.Kind, err error) {
	t.Helper()
	var invalid *x402.Invalid
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, kind, invalid.Kind, invalid.Detail)
}

// received is what the shop's books say that it was paid.
func (s *testShop) received(t *testing.T) money.USDC {
	t.Helper()
	return s.holds(t, ledger.Wallet)
}

// soldOnce wants exactly one sale of a purchase, the money for it once, and nothing else.
func (s *testShop) soldOnce(t *testing.T, p checkout.Purchase) {
	t.Helper()
	require.True(t, p.Status.Paid(), p.Status)
	sales, err := s.checkout.SalesOf(t.Context(), p.ID)
	require.NoError(t, err)
	require.Len(t, sales, 1)
	require.Equal(t, p.Amount, sales[0].Amount)
	require.Equal(t, p.Amount, s.received(t), "the books")
	require.Equal(t, p.Amount, balanceOf(t, s.payee), "the chain")
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM settlements WHERE status IN ('confirmed', 'final')`))
	require.Equal(t, 2, s.count(t, `SELECT count(*) FROM entries WHERE account NOT IN ('gas', 'relayer')`))
}
