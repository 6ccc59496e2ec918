package checkout

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/postgres"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/vault"
	"xsynesis/webhook"
	"xsynesis/x402"
)

// Settler moves a verified payment on chain; only worker processes have one.
//
// Settle is idempotent for one settlement. The keeper hears of it in the transaction that makes a broadcast
// possible. Errors: [*x402.Invalid] and [evm.ErrUnavailable] before anything was stored,
// [evm.ErrUnknown] and [evm.ErrVoid] after.
type Settler interface {
	Settle(ctx context.Context, t evm.Transfer, k evm.Keeper) (evm.Proof, error)
}

// Options are what a service needs beside its database and its queue.
type Options struct {
	Networks *evm.Registry
	Chains   map[string]*evm.Chain // by CAIP-2 id
	Settlers map[string]Settler    // by CAIP-2 id; empty in web processes
	// Facilitators are who moves payments, in the order of preference; a nil one stands for the settlers. Without any
	// those alone do. Only worker processes have them.
	Facilitators []x402.Facilitator
	// FacilitatorPolicy is for whom the gateway is a facilitator itself, off if empty, and FacilitatorBudget how many
	// payments it sends for one caller on one day.
	FacilitatorPolicy FacilitatorPolicy
	FacilitatorBudget int
	Shop              *shop.Service
	Hub               *Hub
	Webhooks          *webhook.Service
	// Custody keeps money for shops; FeeBPS is the platform's share of what it keeps, in hundredths of a per cent.
	Custody *ledger.Custody
	FeeBPS  int

	// Vault keeps what buyers' tokens are derived from, so that a payer's answer can be repeated to the letter.
	Vault     *vault.Vault
	PublicURL string
	// Hold is how long an unpaid purchase stays open (RESERVATION_TTL).
	Hold time.Duration
	// Wait is how long a paying request waits for the chain (SETTLE_WAIT).
	Wait time.Duration
	// Lease is how long a worker owns a settlement after it last said so.
	Lease time.Duration
	// Sweep is how often lost work is looked for.
	Sweep time.Duration
	Now   func() time.Time
}

// Service sells: from the tap on Pay to the sale in the books.
type Service struct {
	pool     *pgxpool.Pool
	jobs     *river.Client[pgx.Tx]
	networks *evm.Registry
	chains   map[string]*evm.Chain
	settlers map[string]Settler
	shop     *shop.Service
	hub      *Hub
	buyers   *buyerKeys
	ways     ways
	o        Options

	// What many ask for at the same time is done together.
	beginnings *postgres.Group[*beginning, error]
	leases     *postgres.Group[leasing, leased]
	records    *postgres.Group[confirmation, queries.Attempt]
	purchases  *postgres.Group[id.Attempt, Purchase]
	asks       asks
	owing      owing
	limits     limits
	watching   watching
	now        func() time.Time
}

// New returns a service; jobs only needs to insert.
func New(pool *pgxpool.Pool, jobs *river.Client[pgx.Tx], o Options) *Service {
	s := &Service{
		pool: pool, jobs: jobs, networks: o.Networks, chains: o.Chains, settlers: o.Settlers,
		shop: o.Shop, hub: o.Hub, o: o, now: o.Now,
		buyers: &buyerKeys{pool: pool, vault: o.Vault, now: o.Now}, ways: ways{now: o.Now},
	}
	if s.o.FacilitatorPolicy == "" {
		s.o.FacilitatorPolicy = FacilitateOff
	}
	if o.Custody != nil {
		o.Custody.Own(id.Refund("").Prefix(), refundSendings{s})
	}
	s.beginnings = postgres.NewGroup(beginMost, s.beginAll)
	s.leases = postgres.NewGroup(leaseMost, s.leaseAll)
	s.records = postgres.NewGroup(recordMost, s.recordAll)
	s.purchases = postgres.NewGroup(loadMost, s.load)
	s.watching = newWatching()
	s.asks = asks{postgres.NewGroup(askMost, s.askAll)}
	return s
}

// Requirement is what must be paid for a purchase, built from our own row alone.
func (s *Service) Requirement(a Attempt) x402.Requirement {
	return x402.Requirement{
		Token: a.Network.Token, Amount: a.Amount, PayTo: a.PayTo, MaxTimeout: shop.OfferTime,
		Resource: x402.Resource{URL: s.o.PublicURL + "/pay/" + string(a.ID), Description: a.Title, MimeType: "application/json"},
	}
}

// Quote is what must be paid at a link now; nothing is written.
// Errors: those of [shop.Link.Open], [ErrFree], [ErrUnfunded].
func (s *Service) Quote(ctx context.Context, o shop.Offer) (x402.Requirement, error) {
	if err := o.Link.Open(s.now()); err != nil {
		return x402.Requirement{}, err
	}
	if o.Amount == 0 {
		return x402.Requirement{}, ErrFree
	}
	if err := s.Funded(ctx, o.Link.Network.ID); err != nil {
		return x402.Requirement{}, err
	}
	return s.Offered(o), nil
}

// Offered is what a link asks for now, whether or not it may still be paid.
func (s *Service) Offered(o shop.Offer) x402.Requirement {
	return x402.Requirement{
		Token: o.Link.Network.Token, Amount: o.Amount, PayTo: common.HexToAddress(o.PayTo), MaxTimeout: shop.OfferTime,
		Resource: x402.Resource{URL: s.o.PublicURL + "/link/" + o.Link.Token, Description: o.Title(), MimeType: "application/json"},
	}
}

// Funded tells whether some relayer of the network can pay for gas, or a facilitator settles there, or [ErrUnfunded].
func (s *Service) Funded(ctx context.Context, network string) error {
	ok, err := evm.Funded(ctx, s.pool, network, s.now())
	if err != nil {
		return fmt.Errorf("relayers of %s: %w", network, err)
	}
	if !ok {
		ok, err = s.facilitated(ctx, network)
	}
	if err == nil && !ok {
		err = ErrUnfunded
	}
	return err
}

// IsBuyer tells whether k is the purchase's own buyer token, and not revoked.
func (a Attempt) IsBuyer(k string) bool {
	sum := sha256.Sum256([]byte(k))
	return len(a.tokenHash) > 0 && subtle.ConstantTimeCompare(sum[:], a.tokenHash) == 1
}

// TypedData is what the buyer's wallet signs to pay this purchase; its nonce names the cart.
func (s *Service) TypedData(a Attempt) x402.TypedData {
	return authorizationOf(a).TypedData(a.Network.Token)
}
