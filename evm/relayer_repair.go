package evm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"xsynesis/queries"
)

const (
	repairRows   = 2048
	maxFillers   = 64 // gaps filled in one go
	sendersLimit = 16
	batchLimit   = 50 // what public nodes take in one request
	fillerGas    = 21_000
)

// unmined is a stored transaction that no block is known to hold.
type unmined struct {
	relay
	begunAt, signedAt time.Time
}

// maintain heals: what was stored and never sent, what a node forgot, what offers too little, what a lost block
// took back, and nonces that nobody has.
func (r *Relayer) maintain(ctx context.Context, reorganised <-chan struct{}) {
	recheckAll, nextRecheck := true, time.Time{}
	for ctx.Err() == nil {
		pass, cancel := context.WithTimeout(ctx, repairTimeout)
		if recheckAll || r.o.Now().After(nextRecheck) {
			r.calm = -1 // a block may be gone that the follower never saw
			if err := r.recheck(pass, recheckAll); err != nil {
				r.complain(ctx, "mined transactions cannot be checked", err)
			} else {
				recheckAll, nextRecheck = false, r.o.Now().Add(r.o.Beat)
			}
		}
		if err := r.repair(pass); err != nil {
			r.complain(ctx, "unmined transactions cannot be looked after", err)
		}
		cancel()
		timer := time.NewTimer(r.o.Repair)
		select {
		case <-ctx.Done():
		case <-reorganised:
			recheckAll = true
		case <-timer.C:
		}
		timer.Stop()
	}
}

// repair is one pass over everything that is not mined.
func (r *Relayer) repair(ctx context.Context) error {
	if err := r.open(ctx); err != nil {
		return err
	}
	network, address := r.row()
	next, err := r.queries.RelayerNextNonce(ctx, r.pool, queries.RelayerNextNonceParams{Network: network, Address: address})
	if err != nil {
		return fmt.Errorf("read the next nonce: %w", err)
	}
	open, err := r.unmined(ctx)
	if err != nil {
		return err
	}
	if len(open) == 0 && r.calm == next {
		return nil
	}
	mined, err := r.chain.nonce(ctx, r.address, "latest")
	if err != nil {
		return err
	}
	if len(open) == 0 && mined == uint64(next) { //nolint:gosec // Never negative, by a check.
		r.calm = next
		return nil
	}
	if mined > uint64(next) { //nolint:gosec // Never negative, by a check.
		// The key was used elsewhere, or the row is of a restored backup: those nonces are gone.
		return r.openAt(ctx, mined, mined)
	}
	r.flight.forgetSent(r.o.Now().Add(-sentRemember))
	cut, _ := slices.BinarySearchFunc(open, mined, func(u unmined, n uint64) int { return compare(u.nonce, n) })
	gaps, err := r.gaps(ctx, mined, uint64(next)) //nolint:gosec // Never negative, by a check.
	if err != nil {
		return err
	}
	if mined < uint64(next) && (cut == len(open) || open[cut].nonce > mined) && !slices.Contains(gaps, mined) { //nolint:gosec // As above.
		// What the chain takes next is held for mined: its block is gone, and nobody saw that. Nothing else is mined before it.
		return r.recheck(ctx, true)
	}
	return errors.Join(r.conclude(ctx, open[:cut]), r.push(ctx, open[cut:], mined), r.fill(ctx, gaps))
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

func (r *Relayer) unmined(ctx context.Context) ([]unmined, error) {
	network, address := r.row()
	rows, err := r.queries.RelayOpenVersions(ctx, r.pool, queries.RelayOpenVersionsParams{
		Network: network, Address: address, MaxRows: repairRows,
	})
	if err != nil {
		return nil, fmt.Errorf("list unmined transactions: %w", err)
	}
	var open []unmined
	for _, row := range rows {
		nonce := uint64(row.Relay.Nonce) //nolint:gosec // Never negative, by a check.
		if len(open) == 0 || open[len(open)-1].nonce != nonce {
			open = append(open, unmined{relay: relay{nonce: nonce, state: stateOpen}, begunAt: row.Relay.CreatedAt})
		}
		u := &open[len(open)-1]
		u.versions = append(u.versions, version{common.HexToHash(row.RelayVersion.Hash), row.RelayVersion.Raw})
		u.signedAt = row.RelayVersion.CreatedAt
	}
	return open, nil
}

// conclude finds the receipts of transactions whose nonce is used. One without any receipt has lost its nonce to
// a stranger; that is believed only once it is final.
func (r *Relayer) conclude(ctx context.Context, used []unmined) error {
	for group := range slices.Chunk(used, batchLimit) {
		seen, missing, err := r.receipts(ctx, group)
		if err != nil {
			return err
		}
		for _, s := range seen {
			r.flight.wake([]receipt{s.receipt}, s.block)
		}
		if err := r.noteSeen(ctx, seen); err != nil {
			return err
		}
		if err := r.drop(ctx, missing); err != nil {
			return err
		}
	}
	return nil
}

func (r *Relayer) drop(ctx context.Context, missing []uint64) error {
	if len(missing) == 0 {
		return nil
	}
	final, err := r.chain.nonce(ctx, r.address, "finalized")
	if err != nil {
		return err
	}
	network, address := r.row()
	for _, nonce := range missing {
		if nonce >= final {
			continue
		}
		r.log.ErrorContext(ctx, "a nonce was used by a transaction that is not ours", "address", r.address, "nonce", nonce)
		err := r.queries.RelayDrop(ctx, r.pool, queries.RelayDropParams{Network: network, Address: address, Nonce: int64(nonce)}) //nolint:gosec // A nonce.
		if err != nil {
			return fmt.Errorf("drop nonce %d: %w", nonce, err)
		}
	}
	return nil
}

// receipts asks for the receipts of all versions at once. Each is believed with its block only.
func (r *Relayer) receipts(ctx context.Context, of []unmined) (seen []sighting, missing []uint64, err error) {
	var elements []rpc.BatchElem
	for _, u := range of {
		for _, v := range u.versions {
			elements = append(elements, rpc.BatchElem{Method: "eth_getTransactionReceipt", Args: []any{v.hash}, Result: new(*receipt)})
		}
	}
	if len(elements) == 0 {
		return nil, nil, nil
	}
	if err := r.chain.nodes.batch(ctx, elements); err != nil {
		return nil, nil, fmt.Errorf("receipts: %w", err)
	}
	i := 0
	for _, u := range of {
		found := false
		for _, v := range u.versions {
			answer := *elements[i].Result.(**receipt) //nolint:forcetypeassert // Made above.
			i++
			if answer == nil || answer.Hash != v.hash {
				continue
			}
			b, err := r.chain.blockAt(ctx, uint64(answer.Block))
			if err != nil {
				return nil, nil, err
			}
			if b.Hash == answer.BlockHash {
				seen, found = append(seen, sighting{*answer, b}), true
			}
		}
		if !found {
			missing = append(missing, u.nonce)
		}
	}
	return seen, missing, nil
}

// push sends what waits to be mined again, and raises the fee of what waits too long.
func (r *Relayer) push(ctx context.Context, open []unmined, mined uint64) error {
	if len(open) == 0 {
		return nil
	}
	today, err := r.fee(ctx)
	if err != nil {
		return err
	}
	now := r.o.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(sendersLimit)
	for _, u := range open {
		if now.Sub(u.begunAt) < r.o.Repair {
			continue // its own Settle is about to send it
		}
		g.Go(func() error {
			if now.Sub(u.signedAt) >= r.o.BumpAfter {
				raised, err := r.raise(ctx, u, today, u.nonce == mined)
				if err != nil {
					return err
				}
				if raised != nil {
					u.versions = append(u.versions, *raised)
				}
			}
			if latest := u.latest(); r.flight.due(latest.hash, now.Add(-r.o.Resend)) {
				if err := r.send(ctx, latest); err != nil && !errors.Is(err, errAnswered) {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// raise signs the same transaction at a higher fee and stores it. Of those that wait behind others only the ones
// that offer less than today's fee are raised.
func (r *Relayer) raise(ctx context.Context, u unmined, today fee, first bool) (*version, error) {
	var tx types.Transaction
	if err := tx.UnmarshalBinary(u.latest().raw); err != nil {
		return nil, fmt.Errorf("decode %s: %w", u.latest().hash, err)
	}
	offered := fee{tip: tx.GasTipCap().Int64(), limit: tx.GasFeeCap().Int64()}
	if !first && offered.limit >= today.limit/2 {
		return nil, nil //nolint:nilnil // Nothing to raise is no error.
	}
	raised, ok := offered.raised(today, r.o.MaxFee)
	if !ok {
		r.log.WarnContext(ctx, "the network asks more than we pay", "tx", u.latest().hash, "wei_per_gas", raised.limit)
		return nil, nil //nolint:nilnil // It waits.
	}
	signed, err := r.sign(types.DynamicFeeTx{
		Nonce: tx.Nonce(), To: tx.To(), Value: tx.Value(), Data: tx.Data(), Gas: tx.Gas(),
		GasTipCap: big.NewInt(raised.tip), GasFeeCap: big.NewInt(raised.limit),
	})
	if err != nil {
		return nil, err
	}
	network, address := r.row()
	rows, err := r.queries.RelayVersionsInsert(ctx, r.pool, queries.RelayVersionsInsertParams{
		Network: network, Address: address, Nonces: []int64{int64(u.nonce)}, Version: int32(len(u.versions) + 1), //nolint:gosec // Small.
		Hashes: []string{signed.hash.Hex()}, Raws: [][]byte{signed.raw}, CreatedAt: r.o.Now().UTC(),
	})
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", signed.hash, err)
	}
	if rows == 0 {
		return nil, nil //nolint:nilnil // Another process was faster.
	}
	r.flight.also(u.nonce, signed.hash)
	r.log.InfoContext(ctx, "raised the fee of an unmined transaction", "tx", signed.hash, "nonce", u.nonce, "wei_per_gas", raised.limit)
	return &signed, nil
}

// gaps are nonces below the next one that no row has: until they are mined, nothing above them is.
func (r *Relayer) gaps(ctx context.Context, mined, next uint64) ([]uint64, error) {
	if mined >= next {
		return nil, nil
	}
	network, address := r.row()
	rows, err := r.queries.RelayNonces(ctx, r.pool, queries.RelayNoncesParams{
		Network: network, Address: address, FromNonce: int64(mined), ToNonce: int64(next), //nolint:gosec // Nonces.
	})
	if err != nil {
		return nil, fmt.Errorf("look for gaps: %w", err)
	}
	var gaps []uint64
	i := 0
	for nonce := mined; nonce < next && len(gaps) < maxFillers; nonce++ {
		if i < len(rows) && uint64(rows[i]) == nonce { //nolint:gosec // A nonce.
			i++
			continue
		}
		gaps = append(gaps, nonce)
	}
	return gaps, nil
}

// fill stores a transfer of nothing to ourselves at each missing nonce; the next pass sends them.
func (r *Relayer) fill(ctx context.Context, gaps []uint64) error {
	if len(gaps) == 0 {
		return nil
	}
	today, err := r.fee(ctx)
	if err != nil {
		return err
	}
	for _, nonce := range gaps {
		signed, err := r.sign(types.DynamicFeeTx{
			Nonce: nonce, To: &r.address, Value: new(big.Int), Gas: fillerGas,
			GasTipCap: big.NewInt(today.tip), GasFeeCap: big.NewInt(today.limit),
		})
		if err != nil {
			return err
		}
		filler := []*relay{{nonce: nonce, state: stateOpen, versions: []version{signed}}}
		err = pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error { return r.insert(ctx, tx, []string{""}, filler) })
		if errors.Is(err, errNonceTaken) {
			continue
		}
		if err != nil {
			return err
		}
		r.log.WarnContext(ctx, "filled a gap", "tx", signed.hash, "nonce", nonce)
	}
	return nil
}

// recheck makes sure that mined transactions are still in the chain: all that may yet be lost, or those that
// have become final only.
func (r *Relayer) recheck(ctx context.Context, all bool) error {
	head, err := r.chain.Head(ctx)
	if err != nil {
		return err
	}
	final, err := r.chain.Finalized(ctx)
	if err != nil {
		return err
	}
	upTo := final.Number
	if all {
		upTo = math.MaxInt64
	}
	blocks := map[uint64]common.Hash{head.Number: head.Hash}
	network, address := r.row()
	for after := int64(-1); ; {
		rows, err := r.queries.RelayUnfinal(ctx, r.pool, queries.RelayUnfinalParams{
			Network: network, Address: address, AfterNonce: after, UpToBlock: int64(upTo), MaxRows: repairRows,
		})
		if err != nil {
			return fmt.Errorf("list mined transactions: %w", err)
		}
		if err := r.recheckRows(ctx, rows, blocks, head.Number, final.Number); err != nil {
			return err
		}
		if len(rows) < repairRows {
			return nil
		}
		after = rows[len(rows)-1].Nonce
	}
}

// recheckRows compares blocks, not receipts: a block that is still there still holds what it held.
func (r *Relayer) recheckRows(ctx context.Context, rows []queries.Relay, blocks map[uint64]common.Hash, head, final uint64) error {
	var lost, kept []int64
	for _, row := range rows {
		number := uint64(*row.Block) //nolint:gosec // A block number, never null in these states.
		if number > head {
			lost = append(lost, row.Nonce)
			continue
		}
		hash, known := blocks[number]
		if !known {
			b, err := r.chain.blockAt(ctx, number)
			if err != nil {
				return err
			}
			hash = b.Hash
			blocks[number] = hash
		}
		switch {
		case hash != common.HexToHash(*row.BlockHash):
			lost = append(lost, row.Nonce)
		case number <= final:
			kept = append(kept, row.Nonce)
		}
	}
	network, address := r.row()
	if len(lost) > 0 {
		r.log.WarnContext(ctx, "blocks with our transactions are gone", "transactions", len(lost))
		err := r.queries.RelayReopen(ctx, r.pool, queries.RelayReopenParams{Network: network, Address: address, Nonces: lost})
		if err != nil {
			return fmt.Errorf("reopen lost transactions: %w", err)
		}
	}
	if len(kept) > 0 {
		err := r.queries.RelayFinal(ctx, r.pool, queries.RelayFinalParams{Network: network, Address: address, Nonces: kept})
		if err != nil {
			return fmt.Errorf("note final transactions: %w", err)
		}
	}
	return nil
}
