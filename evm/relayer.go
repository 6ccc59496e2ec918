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
	Now       func() time.Time
	Logger    *slog.Logger
}

func (o RelayerOptions) withDefaults() RelayerOptions {
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&o.Poll, 200 * time.Millisecond}, {&o.Repair, time.Second}, {&o.Resend, 10 * time.Second},
		{&o.BumpAfter, 20 * time.Second}, {&o.Beat, 15 * time.Second},
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

	slots  chan struct{}
	stores *postgres.Group[storing, *relay]
	fees   fees
	flight flight

	opening sync.Mutex
	opened  bool

	calm int64 // the next nonce when all below it was last known to be mined; Run's own
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
// it joins what was begun. The transaction is stored, and the keeper is told, before anything is sent.
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
	if begun != nil && begun.state != stateOpen {
		// It was mined, or its nonce went elsewhere: the chain says whether there is anything left to do.
		proof, err := r.resolve(ctx, t.Authorization, begun)
		if err == nil || errors.Is(err, ErrVoid) {
			return proof, err
		}
		switch {
		case !errors.Is(err, ErrOpen):
			return Proof{}, fmt.Errorf("%w: %w", ErrUnknown, err)
		case begun.state == stateMined:
			return Proof{}, ErrReverted
		}
	}
	current := begun
	if begun == nil || begun.state != stateOpen {
		var proof *Proof
		proof, current, err = r.begin(ctx, t, k)
		if err != nil {
			return Proof{}, before(begun, err)
		}
		if proof != nil {
			return *proof, nil
		}
		fault.At(fault.RelayStored)
	}
	return r.carry(ctx, t.Authorization, current)
}

// before turns the errors that promise that nothing was sent into an unknown outcome, if something was sent earlier.
func before(begun *relay, err error) error {
	if begun == nil || errors.Is(err, ErrVoid) || errors.Is(err, ErrUnknown) {
		return err
	}
	return fmt.Errorf("%w: sent before; now: %s", ErrUnknown, err.Error()) // its class must not show
}

// begin simulates, stores, and returns what is to be sent; or the proof, if somebody else has sent it already.
func (r *Relayer) begin(ctx context.Context, t Transfer, k Keeper) (*Proof, *relay, error) {
	data, gas, err := r.prepare(ctx, t.Authorization, t.Signature)
	var invalid *x402.Invalid
	if errors.As(err, &invalid) && invalid.Kind == x402.NonceUsed {
		return r.alreadyUsed(ctx, t.Authorization, invalid)
	}
	if err != nil {
		return nil, nil, err
	}
	fault.At(fault.RelaySimulated)
	if err := r.ready(ctx, gas); err != nil {
		return nil, nil, err
	}
	fee, err := r.fee(ctx)
	if err != nil {
		return nil, nil, err
	}
	current, err := r.store(ctx, storing{t, k, fee.transaction(r.chain.network.Token, gas, data)})
	return nil, current, err
}

// alreadyUsed looks for the payment that made the token refuse ours.
func (r *Relayer) alreadyUsed(ctx context.Context, a x402.Authorization, invalid *x402.Invalid) (*Proof, *relay, error) {
	proof, err := r.chain.Resolve(ctx, a)
	switch {
	case err == nil:
		return &proof, nil, nil
	case errors.Is(err, ErrVoid):
		return nil, nil, invalid
	default: // Money may have moved, so nobody may be told that none did.
		return nil, nil, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
}

// carry sends a stored transaction and waits for its outcome. No database connection is held meanwhile.
func (r *Relayer) carry(ctx context.Context, a x402.Authorization, current *relay) (Proof, error) {
	w := r.flight.enter(current)
	defer r.flight.leave(w)
	err := r.send(ctx, current.latest())
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
		mined := false
		select {
		case s := <-w.seen:
			transfer, _, paid := s.receipt.payment(r.chain.network.Token.Address, a)
			if paid {
				return s.receipt.proof(transfer, a, s.block), nil
			}
			mined = true
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
		case mined && errors.Is(err, ErrOpen):
			return Proof{}, fmt.Errorf("%w: %s", ErrReverted, current.latest().hash)
		}
		look.Reset(lookEvery)
	}
}

// resolve is [Chain.Resolve] for a payment that we sent ourselves: the receipts of our own transactions are one question,
// where the logs of all its blocks are many.
func (r *Relayer) resolve(ctx context.Context, a x402.Authorization, sent *relay) (Proof, error) {
	seen, _, err := r.receipts(ctx, []unmined{{relay: *sent}})
	if err != nil {
		return Proof{}, err
	}
	for _, s := range seen {
		if transfer, _, paid := s.receipt.payment(r.chain.network.Token.Address, a); paid {
			return s.receipt.proof(transfer, a, s.block), nil
		}
	}
	return r.chain.Resolve(ctx, a)
}
