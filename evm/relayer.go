package evm

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"xsynesis/fault"
	"xsynesis/postgres"
	"xsynesis/queries"
	"xsynesis/x402"
)

// lookEvery is how long [Relayer.Settle] relies on the block follower before it asks the chain itself.
const lookEvery = 4 * time.Second

// RelayerOptions are the habits of a [Relayer]; the zero value is fit for production.
type RelayerOptions struct {
	Poll      time.Duration // how often the head is looked at while transfers are under way; 200 ms
	Repair    time.Duration // how often what is not mined is looked after; 1 s
	Resend    time.Duration // when an unmined transaction is sent again; 10 s
	BumpAfter time.Duration // when its fee rises; 20 s
	Beat      time.Duration // how often the gas balance is noted; 15 s
	MaxFee    int64         // wei per gas that is never exceeded; 50 gwei
	InFlight  int           // transfers at a time; 256
	Batch     int           // transfers that one transaction moves at most; 50, and 1 lets each go alone
	Window    time.Duration // how long transfers wait for others once one has gone; 200 ms
	Now       func() time.Time
	Logger    *slog.Logger
}

func (o RelayerOptions) withDefaults() RelayerOptions {
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&o.Poll, 200 * time.Millisecond}, {&o.Repair, time.Second}, {&o.Resend, 10 * time.Second},
		{&o.BumpAfter, 20 * time.Second}, {&o.Beat, 15 * time.Second}, {&o.Window, 200 * time.Millisecond},
	} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	if o.MaxFee == 0 {
		o.MaxFee = 50_000_000_000
	}
	if o.InFlight == 0 {
		o.InFlight = 256
	}
	if o.Batch == 0 {
		o.Batch = 50
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Relayer sends buyers' signed transfers from one address, which pays the gas. The nonces of that address belong
// to a database row, so any number of processes may relay with the same key; nobody else may use it.
type Relayer struct {
	pool    *pgxpool.Pool
	queries *queries.Queries
	chain   *Chain
	key     *ecdsa.PrivateKey
	signer  types.Signer
	address common.Address
	o       RelayerOptions
	log     *slog.Logger

	slots     chan struct{}
	gathering []*gathering // by how many may share a transaction, the most first
	multicall atomic.Bool  // the contract that moves many was seen on this chain
	stores    *postgres.Group[storing, *relay]
	fees      fees
	flight    flight

	opening sync.Mutex
	opened  bool

	calm int64 // the next nonce when all below it was known to be mined, for a beat; Run's own
}

// NewRelayer makes a relayer; [Relayer.Run] has to run beside it.
func NewRelayer(pool *pgxpool.Pool, c *Chain, key *ecdsa.PrivateKey, o RelayerOptions) *Relayer {
	o = o.withDefaults()
	r := &Relayer{
		pool:    pool,
		queries: queries.New(),
		chain:   c,
		key:     key,
		signer:  types.LatestSignerForChainID(new(big.Int).SetUint64(c.network.Token.ChainID)),
		address: crypto.PubkeyToAddress(key.PublicKey),
		o:       o,
		log:     o.Logger.With("network", c.network.ID),
		slots:   make(chan struct{}, o.InFlight),
		flight:  newFlight(),
		calm:    -1,
	}
	r.stores = postgres.NewGroup(storeMost, r.storeAll)
	c.relayers.Store(r.address, true)
	for most := o.Batch; most > 1 && c.network.Multicall != (common.Address{}); most /= 2 {
		r.gathering = append(r.gathering, &gathering{most: most, window: o.Window, leave: r.together})
	}
	return r
}

// Address is the account that pays the gas.
func (r *Relayer) Address() common.Address { return r.address }

// row is how the address is written in the database.
func (r *Relayer) row() (network, address string) {
	return r.chain.network.ID, strings.ToLower(r.address.Hex())
}

// Transfer is one authorization that is to be moved.
type Transfer struct {
	Source        string // the row whose money it is: a settlement, a payout or a refund
	Authorization x402.Authorization
	Signature     []byte
	Lease         []byte // comes back in [Stored]
	New           bool   // nothing was ever stored for it: there is nothing to look up
}

// Stored is a transaction that is written down and may be sent as soon as that is committed.
type Stored struct {
	Source      string
	Lease       []byte
	Transaction common.Hash
}

// Keeper hears of transfers in the database transaction that makes their broadcast possible, of many at once where
// they come at once. Its error, which should be about one of them, undoes that. It is a pointer.
type Keeper interface {
	StoredTx(ctx context.Context, tx pgx.Tx, stored []Stored) error
}

// Settle moves the money of one authorization and returns where it moved. Called again with the same settlement,
// it joins what was begun. The transaction is stored, and the keeper is told, before anything is sent. Of transfers that
// come together, many are moved by one transaction.
//
// Where the authorization was mined by somebody else before we began, the proof is theirs and the keeper hears nothing.
// The error is an *[x402.Invalid] or [ErrUnavailable] only when nothing was ever stored or sent; [ErrVoid] when
// the money can never move; [ErrUnknown] when it may have, or may yet. Any other error is the database's or the
// keeper's, and nothing was stored.
func (r *Relayer) Settle(ctx context.Context, t Transfer, k Keeper) (Proof, error) {
	proof, err := r.settle(ctx, t, k)
	if err != nil {
		return Proof{}, fmt.Errorf("relay %s: %w", t.Source, err)
	}
	fault.At(fault.RelayMined)
	return proof, nil
}

func (r *Relayer) settle(ctx context.Context, t Transfer, k Keeper) (Proof, error) {
	var begun *relay
	var err error
	if !t.New {
		if begun, err = r.begun(ctx, t.Source); err != nil {
			return Proof{}, fmt.Errorf("%w: %w", ErrUnknown, err)
		}
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return Proof{}, before(begun, fmt.Errorf("%w: too much in flight: %w", ErrUnavailable, ctx.Err()))
	}
	if begun == nil || begun.state == stateOpen {
		return r.advance(ctx, t, k, begun, r.o.Batch)
	}
	// It was mined, or its nonce went elsewhere: the chain says whether there is anything left to do.
	proof, err := r.resolve(ctx, t.Authorization, begun)
	switch {
	case err == nil || errors.Is(err, ErrVoid):
		return proof, err
	case !errors.Is(err, ErrOpen):
		return Proof{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	case begun.state == stateMined && begun.items == 1:
		return Proof{}, ErrReverted
	case begun.state == stateMined && !errors.Is(err, errUnmoved): // it may be there, and the node behind
		return Proof{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	proof, err = r.advance(ctx, t, k, nil, begun.items/2)
	return proof, before(begun, err)
}

// advance carries a transfer to its end, with at most so many in one transaction. One that was left behind by a transaction
// of many tries again with half as many, until it is alone.
func (r *Relayer) advance(ctx context.Context, t Transfer, k Keeper, current *relay, most int) (Proof, error) {
	var left error
	for {
		var w *waiter
		if current == nil {
			b, err := r.begin(ctx, charge{t, k}, most)
			switch {
			case err != nil && left != nil && !errors.Is(err, ErrVoid) && !errors.Is(err, ErrUnknown):
				return Proof{}, fmt.Errorf("%w; now: %s", left, err.Error()) // its class must not show: it was sent before
			case err != nil:
				return Proof{}, err
			case b.proof != nil:
				return *b.proof, nil
			}
			fault.At(fault.RelayStored)
			current, w = b.current, b.waiter
		}
		proof, err := r.carry(ctx, t.Authorization, current, w)
		if !errors.Is(err, ErrReverted) || current.items == 1 {
			return proof, err
		}
		left, most, current, t.New = err, current.items/2, nil, false
	}
}

// before turns the errors that promise that nothing was sent into an unknown outcome, if something was sent earlier.
func before(begun *relay, err error) error {
	if begun == nil || err == nil || errors.Is(err, ErrVoid) || errors.Is(err, ErrUnknown) {
		return err
	}
	return fmt.Errorf("%w: sent before; now: %s", ErrUnknown, err.Error()) // its class must not show
}

// beginning is what [Relayer.begin] came to.
type beginning struct {
	proof   *Proof  // where somebody else has sent it already
	current *relay  // else what is to be sent
	waiter  *waiter // who waits for it; nil where nobody does yet
}

// begin stores what is to be sent, for this transfer or for several.
func (r *Relayer) begin(ctx context.Context, c charge, most int) (b beginning, err error) {
	if g := r.company(c.Transfer, most); g != nil {
		o := g.join(ctx, c)
		b.current, b.waiter, err = o.current, o.waiter, o.err
	}
	if b.current == nil && err == nil {
		b.current, err = r.beginAlone(ctx, c)
	}
	var invalid *x402.Invalid
	if errors.As(err, &invalid) && invalid.Kind == x402.NonceUsed {
		b.proof, err = r.alreadyUsed(ctx, c.Authorization, invalid)
	}
	return b, err
}

// beginAlone simulates one transfer and stores a transaction of its own.
func (r *Relayer) beginAlone(ctx context.Context, c charge) (*relay, error) {
	data, gas, err := r.prepare(ctx, c.Authorization, c.Signature)
	if err != nil {
		return nil, err
	}
	fault.At(fault.RelaySimulated)
	if err := r.ready(ctx, gas); err != nil {
		return nil, err
	}
	fee, err := r.fee(ctx)
	if err != nil {
		return nil, err
	}
	return r.store(ctx, storing{[]charge{c}, fee.transaction(r.chain.network.Token.Address, gas, data)})
}

// alreadyUsed looks for the payment that made the token refuse ours.
func (r *Relayer) alreadyUsed(ctx context.Context, a x402.Authorization, invalid *x402.Invalid) (*Proof, error) {
	proof, err := r.chain.Resolve(ctx, a)
	switch {
	case err == nil:
		return &proof, nil
	case errors.Is(err, ErrVoid):
		return nil, invalid
	default: // Money may have moved, so nobody may be told that none did.
		return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
}

// carry sends a stored transaction and waits for its outcome. No database connection is held meanwhile.
func (r *Relayer) carry(ctx context.Context, a x402.Authorization, current *relay, w *waiter) (Proof, error) {
	if w == nil {
		w = r.flight.enter(current)
	}
	defer r.flight.leave(w)
	send := r.send
	if current.items > 1 {
		send = r.sendShared
	}
	err := send(ctx, current.latest())
	if err != nil {
		// It may be known already, or mined long ago, or refused for the moment: the chain is asked, not the text.
		r.log.InfoContext(ctx, "a stored transaction was not taken", "tx", current.latest().hash, "error", err)
	}
	fault.At(fault.RelaySent)
	look := time.NewTimer(lookEvery)
	defer look.Stop()
	if err != nil {
		look.Reset(0)
	}
	for {
		var mined []sighting
		select {
		case s := <-w.seen:
			transfer, _, paid := s.receipt.payment(r.chain.network.Token.Address, a)
			if paid {
				return r.chain.proof(s.receipt, transfer, a, s.block), nil
			}
			mined = []sighting{s}
		case <-look.C:
		case <-ctx.Done():
			return Proof{}, fmt.Errorf("%w: wait for %s: %w", ErrUnknown, current.latest().hash, ctx.Err())
		}
		proof, err := r.resolve(ctx, a, current)
		switch {
		case err == nil:
			return proof, nil
		case errors.Is(err, ErrVoid):
			return Proof{}, err
		case errors.Is(err, errUnmoved) || mined != nil && errors.Is(err, ErrOpen):
			// What comes next relies on what is written of this one.
			if err := r.noteSeen(ctx, mined); err != nil {
				return Proof{}, fmt.Errorf("%w: %w", ErrUnknown, err)
			}
			return Proof{}, fmt.Errorf("%w: %s", ErrReverted, current.latest().hash)
		}
		look.Reset(lookEvery)
	}
}

// errUnmoved is an [ErrOpen] of [Relayer.resolve]: the receipt of our own transaction is there, and the payment is not in it.
var errUnmoved = fmt.Errorf("%w: our own transaction did not move it", ErrOpen)

// resolve is [Chain.Resolve] for a payment that we sent ourselves: the receipts of our own transactions are one question,
// where the logs of all its blocks are many.
func (r *Relayer) resolve(ctx context.Context, a x402.Authorization, sent *relay) (Proof, error) {
	seen, _, err := r.receipts(ctx, []unmined{{relay: *sent}})
	if err != nil {
		return Proof{}, err
	}
	for _, s := range seen {
		if transfer, _, paid := s.receipt.payment(r.chain.network.Token.Address, a); paid {
			return r.chain.proof(s.receipt, transfer, a, s.block), nil
		}
	}
	proof, err := r.chain.Resolve(ctx, a)
	if len(seen) == 0 || !errors.Is(err, ErrOpen) {
		return proof, err
	}
	if err := r.noteSeen(ctx, seen); err != nil {
		return Proof{}, err
	}
	return Proof{}, errUnmoved
}
