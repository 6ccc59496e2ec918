// Package wire puts a process together: each role is one function that reads from top to bottom.
package wire

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/cmd/config"
	"xsynesis/egress"
	"xsynesis/evm"
	"xsynesis/health"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/migrations"
	"xsynesis/shop"
	"xsynesis/vault"
	"xsynesis/webhook"
	"xsynesis/x402"
)

// settleLease is how long a settlement waits for a worker that died; one that lives renews it.
const settleLease = 20 * time.Second

// Timing is what tests make shorter.
type Timing struct {
	Lease time.Duration // how long a process owns a settlement or a delivery that it does not finish
	Sweep time.Duration // how often lost work is looked for; for webhooks the configuration says it
}

// Parts are the services of one process.
type Parts struct {
	Pool     *pgxpool.Pool
	Networks *evm.Registry
	Chains   map[string]*evm.Chain
	Relayers []*evm.Relayer // only where this process may settle
	Access   *access.Service
	Shop     *shop.Service
	Payees   *shop.Payees
	// Endpoints are what programs pay for by the call; Egress calls strangers' servers.
	Endpoints *shop.Endpoints
	Egress    *egress.Client
	Custody   *ledger.Custody
	Hub       *checkout.Hub
	Checkout  *checkout.Service
	Webhooks  *webhook.Service
	Health    *health.Service
	Operator  *access.Operator
	Gate      *access.Gate
	Jobs      *river.Client[pgx.Tx] // inserts and shows jobs; it works none
}

// The sizes of the connection pools; River has its own, so that its work never waits behind a page.
const (
	poolSize      = 40
	riverPoolSize = 20
)

// Build makes the services of a process that serves, or of one that also settles.
func Build(ctx context.Context, c *config.Config, settles bool, t Timing) (*Parts, error) {
	pool, err := openPool(ctx, c, poolSize)
	if err != nil {
		return nil, err
	}
	p := &Parts{Pool: pool, Networks: evm.NewRegistry(c.RPC), Chains: map[string]*evm.Chain{}, Hub: checkout.NewHub(pool)}
	if err := p.build(ctx, c, settles, t.orDefault()); err != nil {
		pool.Close()
		return nil, err
	}
	return p, nil
}

func (p *Parts) build(ctx context.Context, c *config.Config, settles bool, t Timing) error {
	if err := migrations.Check(ctx, p.Pool); err != nil {
		return err
	}
	master, err := masterKeys(c)
	if err != nil {
		return err
	}
	token, err := OperatorToken(c)
	if err != nil {
		return err
	}
	secrets, err := vault.New(master...)
	if err != nil {
		return err
	}
	if p.Jobs, err = river.NewClient(riverpgxv5.New(p.Pool), &river.Config{}); err != nil {
		return fmt.Errorf("open the queue: %w", err)
	}
	p.Egress = egress.New(egress.Options{AllowPrivate: c.AllowPrivateTargets, Own: string(c.PublicURL)})
	p.Webhooks = webhook.New(p.Pool, p.Jobs, webhook.Options{
		Egress: p.Egress, Vault: secrets,
		PublicURL: string(c.PublicURL), Now: now, Lease: t.Lease, Sweep: c.WebhookPoll.Duration(), SweepMost: int(c.WebhookBatch),
	})
	settlers := p.dial(c, settles)
	var ways []x402.Facilitator
	if settles {
		if ways, err = c.Ways(now); err != nil {
			return err
		}
	}
	p.Access, p.Shop = access.New(p.Pool, now), shop.New(p.Pool, p.Networks, p.Webhooks, now)
	p.Payees = shop.NewPayees(p.Pool, p.Networks, p.Chains, p.Webhooks, now)
	p.Endpoints = shop.NewEndpoints(p.Shop, p.Egress, secrets)
	p.Operator = access.NewOperator(p.Pool, token, now)
	if p.Gate, err = newGate(c, p, master[0]); err != nil {
		return err
	}
	p.Health = health.New(p.Pool, health.Options{
		Networks: p.Networks, Chains: p.Chains, Queues: allQueues(), Dispatcher: c.WebhookDispatcher, Now: now,
	})
	if p.Custody, err = p.custody(c, settles, settlers, t); err != nil {
		return err
	}
	p.Checkout = checkout.New(p.Pool, p.Jobs, checkout.Options{
		Networks: p.Networks, Chains: p.Chains, Settlers: settlers, Facilitators: ways,
		FacilitatorPolicy: checkout.FacilitatorPolicy(c.FacilitatorPolicy), FacilitatorBudget: int(c.FacilitatorBudget), Shop: p.Shop, Hub: p.Hub, Webhooks: p.Webhooks, Vault: secrets,
		Custody: p.Custody, FeeBPS: int(c.PlatformFeeBPS),
		PublicURL: string(c.PublicURL), Hold: c.ReservationTTL.Duration(), Wait: c.SettleWait.Duration(),
		Lease: min(t.Lease, settleLease), Sweep: t.Sweep, Now: now,
	})
	return nil
}

// custody keeps money for shops; only a process that settles can open what its addresses are signed for with.
func (p *Parts) custody(c *config.Config, settles bool, settlers map[string]checkout.Settler, t Timing) (*ledger.Custody, error) {
	o := ledger.CustodyOptions{
		Networks: p.Networks, Chains: p.Chains, Webhooks: p.Webhooks, Settlers: map[string]ledger.Settler{},
		Changed: func(ctx context.Context, tx pgx.Tx, m id.Merchant) error { return checkout.ChangedTx(ctx, tx, "", m) },
		Lease:   min(t.Lease, settleLease), Sweep: t.Sweep, Now: now,
	}
	for network, s := range settlers {
		o.Settlers[network] = s
	}
	keys, err := custodyKeys(c, settles)
	if err != nil {
		return nil, err
	}
	if len(keys) > 0 {
		if o.Vault, err = vault.New(keys...); err != nil {
			return nil, fmt.Errorf("CUSTODY_KEY: %w", err)
		}
	}
	return ledger.NewCustody(p.Pool, p.Jobs, o), nil
}

// orDefault is what counts where a test has not said otherwise.
func (t Timing) orDefault() Timing {
	t.Lease = cmp.Or(t.Lease, 75*time.Second)
	t.Sweep = cmp.Or(t.Sweep, 15*time.Second)
	return t
}

// Close lets the database go.
func (p *Parts) Close() { p.Pool.Close() }

// dial makes a client for each network with an RPC, and a relayer where this process has the key and may use it.
func (p *Parts) dial(c *config.Config, settles bool) map[string]checkout.Settler {
	settlers := map[string]checkout.Settler{}
	for _, n := range p.Networks.All() {
		if len(n.RPC) == 0 {
			continue
		}
		chain := evm.Dial(n, evm.Options{})
		p.Chains[n.ID] = chain
		if settles && !c.RelayerKey.Empty() {
			relayer := evm.NewRelayer(p.Pool, chain, c.RelayerKey.Private(), evm.RelayerOptions{Now: now})
			p.Relayers = append(p.Relayers, relayer)
			settlers[n.ID] = relayer
		}
	}
	return settlers
}

// now is the one clock: UTC, in the microseconds that Postgres keeps.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func openPool(ctx context.Context, c *config.Config, size int32) (*pgxpool.Pool, error) {
	o, err := pgxpool.ParseConfig(c.DatabaseURL.Reveal())
	if err != nil {
		return nil, fmt.Errorf("read the database's address: %w", err)
	}
	o.MaxConns = size
	o.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "30000"
	pool, err := pgxpool.NewWithConfig(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return pool, nil
}
