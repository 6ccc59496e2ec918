package evm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"golang.org/x/sync/errgroup"

	"xsynesis/queries"
)

const (
	idlePolls     = 10 // how many times slower the head is followed while nobody waits
	maxCatchUp    = 64 // blocks read one by one; beyond that the waiters look for themselves
	fundedMin     = 20 // settlements that the gas balance must pay for
	fundedFresh   = 2 * time.Minute
	sentRemember  = 10 * time.Minute
	repairTimeout = 30 * time.Second
)

// Run follows the head of the chain, looks after what is not mined, and notes the gas balance, until ctx ends.
// Several processes may run the same relayer.
func (r *Relayer) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	reorganised := make(chan struct{}, 1)
	g.Go(func() error { r.follow(ctx, reorganised); return nil })
	g.Go(func() error { r.maintain(ctx, reorganised); return nil })
	g.Go(func() error { r.beat(ctx); return nil })
	return g.Wait()
}

// Funded reports whether a worker has lately seen enough gas money on a network. It needs no key and no chain.
func Funded(ctx context.Context, db queries.DBTX, network string, now time.Time) (bool, error) {
	funded, err := queries.New().RelayerFunded(ctx, db, queries.RelayerFundedParams{
		Network: network, SeenSince: now.Add(-fundedFresh), SettlementsMin: fundedMin,
	})
	if err != nil {
		return false, fmt.Errorf("look at the relayers of %s: %w", network, err)
	}
	return funded, nil
}

// follow reads each new block once, for all who wait.
func (r *Relayer) follow(ctx context.Context, reorganised chan<- struct{}) {
	var last Block
	for r.awaitPoll(ctx) {
		head, err := r.chain.Head(ctx)
		if err == nil && head.Hash != last.Hash {
			r.fees.note(min(head.BaseFee, r.o.MaxFee))
			if r.torn(ctx, last, head) {
				select {
				case reorganised <- struct{}{}:
				default:
				}
			}
			err = r.read(ctx, last, head)
			if err == nil {
				last = head
			}
		}
		if err != nil {
			r.complain(ctx, "the chain cannot be followed", err)
		}
		// However many begin to wait, the node is not asked more often than this.
		r.sleep(ctx, r.o.Poll/2)
	}
}

// awaitPoll returns when the head is due for a look: soon while somebody waits, at once when somebody begins to.
func (r *Relayer) awaitPoll(ctx context.Context) bool {
	pause := r.o.Poll / 2
	if r.flight.empty() {
		pause = r.o.Poll * idlePolls
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-r.flight.begun:
	case <-timer.C:
	}
	return ctx.Err() == nil
}

// torn reports whether the new head surely does not stand on the last one.
func (r *Relayer) torn(ctx context.Context, last, head Block) bool {
	switch {
	case last.Number == 0:
		return false
	case head.Number <= last.Number:
		return true
	case head.Number == last.Number+1:
		return head.Parent != last.Hash
	default:
		b, err := r.chain.blockAt(ctx, last.Number)
		return err == nil && b.Hash != last.Hash
	}
}

// read looks for what is awaited in the blocks after last, up to head.
func (r *Relayer) read(ctx context.Context, last, head Block) error {
	from := last.Number + 1
	if last.Number == 0 || from > head.Number || head.Number-from > maxCatchUp {
		from = head.Number
	}
	for number := from; number <= head.Number; number++ {
		if r.flight.empty() {
			return nil
		}
		b := head
		if number < head.Number {
			var err error
			if b, err = r.chain.blockAt(ctx, number); err != nil {
				return err
			}
		}
		var receipts []receipt
		if err := r.chain.nodes.call(ctx, &receipts, "eth_getBlockReceipts", b.Hash); err != nil {
			return fmt.Errorf("receipts of block %d: %w", number, err)
		}
		believed := receipts[:0]
		for _, each := range receipts {
			if each.BlockHash == b.Hash && uint64(each.Block) == b.Number {
				believed = append(believed, each)
			}
		}
		if err := r.noteSeen(ctx, r.flight.wake(believed, b)); err != nil {
			return err
		}
	}
	return nil
}

// noteSeen writes down, for all of a block at once, where transactions were mined.
func (r *Relayer) noteSeen(ctx context.Context, seen []sighting) error {
	if len(seen) == 0 {
		return nil
	}
	var p queries.RelaySeenParams
	for _, s := range seen {
		state := stateReverted
		if s.receipt.succeeded() {
			state = stateMined
		}
		p.Hashes = append(p.Hashes, s.receipt.Hash.Hex())
		p.States = append(p.States, state)
		p.Blocks = append(p.Blocks, int64(s.block.Number)) //nolint:gosec // A block number.
		p.BlockHashes = append(p.BlockHashes, s.block.Hash.Hex())
	}
	if err := r.queries.RelaySeen(ctx, r.pool, p); err != nil {
		return fmt.Errorf("note mined transactions: %w", err)
	}
	return nil
}

// beat notes the gas balance, from which web processes know that payments can be taken.
func (r *Relayer) beat(ctx context.Context) {
	for ctx.Err() == nil {
		pause := r.o.Beat
		if err := r.beatOnce(ctx); err != nil {
			r.complain(ctx, "the gas balance cannot be noted", err)
			pause = min(pause, time.Second)
		}
		r.sleep(ctx, pause)
	}
}

func (r *Relayer) beatOnce(ctx context.Context) error {
	if err := r.open(ctx); err != nil {
		return err
	}
	if err := r.refreshFees(ctx); err != nil {
		return err
	}
	balance, err := r.refreshBalance(ctx)
	if err != nil {
		return err
	}
	today, err := r.fee(ctx)
	if err != nil {
		return err
	}
	left := new(big.Int).Div(balance, big.NewInt(max(1, today.limit)*typicalGas))
	if !left.IsInt64() {
		left.SetInt64(math.MaxInt64)
	}
	if left.Int64() < fundedMin {
		r.log.WarnContext(ctx, "the relayer is short of gas money", "address", r.address, "wei", balance)
	}
	network, address := r.row()
	err = r.queries.RelayerBeat(ctx, r.pool, queries.RelayerBeatParams{
		Network: network, Address: address, SettlementsLeft: left.Int64(), SeenAt: r.o.Now().UTC(),
		GasBalance: pgtype.Numeric{Int: balance, Valid: true},
	})
	if err != nil {
		return fmt.Errorf("note the gas balance: %w", err)
	}
	return nil
}

func (r *Relayer) complain(ctx context.Context, what string, err error) {
	if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		r.log.WarnContext(ctx, what, "error", err)
	}
}

func (r *Relayer) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
