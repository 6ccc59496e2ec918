package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/postgres"
	"xsynesis/queries"
)

// The states of a stored transaction.
const (
	stateOpen     = "open"     // may be mined
	stateMined    = "mined"    // seen in a block, with success
	stateReverted = "reverted" // seen in a block, without
)

// maxPending is how far a node's pending nonce may be ahead of its mined one before the node is not believed:
// a nonce too high would leave a gap that takes as many transactions to fill.
const maxPending = 4096

// relay is one reserved nonce and the transaction that has it, at all the fees it was signed for.
type relay struct {
	nonce    uint64
	state    string
	versions []version
}

type version struct {
	hash common.Hash
	raw  []byte
}

func (r *relay) latest() version { return r.versions[len(r.versions)-1] }

// begun returns what is stored for a settlement, or nil.
func (r *Relayer) begun(ctx context.Context, ref id.Settlement) (*relay, error) {
	row, err := r.queries.RelayBySettlement(ctx, r.pool, string(ref))
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // Nothing begun is the common case and no error.
	}
	if err != nil {
		return nil, fmt.Errorf("look up the stored transaction: %w", err)
	}
	versions, err := r.queries.RelayVersions(ctx, r.pool, queries.RelayVersionsParams{
		Network: row.Network, Address: row.Address, Nonce: row.Nonce,
	})
	if err != nil || len(versions) == 0 {
		return nil, fmt.Errorf("look up the stored transaction: %w", errors.Join(err, errNoVersion(versions)))
	}
	found := &relay{nonce: uint64(row.Nonce), state: row.State} //nolint:gosec // Never negative, by a check.
	for _, v := range versions {
		found.versions = append(found.versions, version{common.HexToHash(v.Hash), v.Raw})
	}
	return found, nil
}

func errNoVersion(versions []queries.RelayVersion) error {
	if len(versions) == 0 {
		return errors.New("it has no bytes")
	}
	return nil
}

// store reserves a nonce, signs, and commits the raw bytes together with what the caller writes. The nonce's row
// is locked from the reservation to the commit, so that no nonce is ever skipped.
func (r *Relayer) store(ctx context.Context, ref id.Settlement, unsigned types.DynamicFeeTx,
	stored func(ctx context.Context, tx pgx.Tx, hash common.Hash) error,
) (*relay, error) {
	select {
	case r.storing <- struct{}{}:
		defer func() { <-r.storing }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: wait for a nonce: %w", ErrUnavailable, ctx.Err())
	}
	var current *relay
	network, address := r.row()
	err := postgres.HotTx(ctx, r.pool, func(tx pgx.Tx) error {
		nonce, err := r.queries.RelayerNonce(ctx, tx, queries.RelayerNonceParams{Network: network, Address: address})
		if err != nil {
			return fmt.Errorf("reserve a nonce: %w", err)
		}
		fault.At(fault.RelayReserved)
		unsigned.Nonce = uint64(nonce) //nolint:gosec // Never negative, by a check.
		signed, err := r.sign(unsigned)
		if err != nil {
			return err
		}
		if err := r.queries.RelaySupersede(ctx, tx, string(ref)); err != nil {
			return fmt.Errorf("retire the settlement's last transaction: %w", err)
		}
		settlement := string(ref)
		if err := r.insert(ctx, tx, unsigned.Nonce, &settlement, signed); err != nil {
			return err
		}
		if err := stored(ctx, tx, signed.hash); err != nil {
			return err
		}
		fault.At(fault.RelaySigned)
		current = &relay{nonce: unsigned.Nonce, state: stateOpen, versions: []version{signed}}
		return nil
	})
	var pgErr *pgconn.PgError
	switch {
	case err == nil:
		return current, nil
	case errors.As(err, &pgErr) && pgErr.ConstraintName == "relays_settlement":
		return r.joined(ctx, ref)
	case current != nil: // The commit was asked for, and its answer is lost.
		return nil, fmt.Errorf("%w: commit: %w", ErrUnknown, err)
	default:
		return nil, err
	}
}

// joined is for the slower of two who began the same settlement at the same time.
func (r *Relayer) joined(ctx context.Context, ref id.Settlement) (*relay, error) {
	current, err := r.begun(ctx, ref)
	if err != nil || current == nil {
		return nil, fmt.Errorf("%w: somebody else stored it: %w", ErrUnknown, errors.Join(err, ctx.Err()))
	}
	return current, nil
}

var errNonceTaken = errors.New("evm: nonce is taken")

// insert writes a reserved nonce and its first version.
func (r *Relayer) insert(ctx context.Context, tx pgx.Tx, nonce uint64, settlement *string, signed version) error {
	network, address := r.row()
	now := r.o.Now().UTC()
	rows, err := r.queries.RelayInsert(ctx, tx, queries.RelayInsertParams{
		Network: network, Address: address, Nonce: int64(nonce), Settlement: settlement, CreatedAt: now, //nolint:gosec // A nonce.
	})
	if err != nil {
		return fmt.Errorf("store nonce %d: %w", nonce, err)
	}
	if rows == 0 {
		return fmt.Errorf("store nonce %d: %w", nonce, errNonceTaken)
	}
	_, err = r.queries.RelayVersionInsert(ctx, tx, queries.RelayVersionInsertParams{
		Network: network, Address: address, Nonce: int64(nonce), Version: 1, //nolint:gosec // A nonce.
		Hash: signed.hash.Hex(), Raw: signed.raw, CreatedAt: now,
	})
	if err != nil {
		return fmt.Errorf("store %s: %w", signed.hash, err)
	}
	return nil
}

func (r *Relayer) sign(unsigned types.DynamicFeeTx) (version, error) {
	unsigned.ChainID = new(big.Int).SetUint64(r.chain.network.Token.ChainID)
	tx, err := types.SignNewTx(r.key, r.signer, &unsigned)
	if err != nil {
		return version{}, fmt.Errorf("sign: %w", err)
	}
	raw, err := tx.MarshalBinary()
	if err != nil {
		return version{}, fmt.Errorf("encode: %w", err)
	}
	return version{tx.Hash(), raw}, nil
}

// open makes sure that the address has its row. The first nonce is the chain's; a row that fell behind the chain,
// as after a restored backup, is moved up.
func (r *Relayer) open(ctx context.Context) error {
	r.opening.Lock()
	defer r.opening.Unlock()
	if r.opened {
		return nil
	}
	mined, err := r.chain.nonce(ctx, r.address, "latest")
	if err != nil {
		return err
	}
	pending, err := r.chain.nonce(ctx, r.address, "pending")
	if err != nil {
		return err
	}
	if pending < mined || pending-mined > maxPending {
		return fmt.Errorf("%w: nonces %d mined and %d pending", ErrUnavailable, mined, pending)
	}
	if err := r.openAt(ctx, pending); err != nil {
		return err
	}
	r.opened = true
	return nil
}

// openAt makes the address's row, or moves its next nonce up; never down.
func (r *Relayer) openAt(ctx context.Context, nonce uint64) error {
	network, address := r.row()
	err := r.queries.RelayerOpen(ctx, r.pool, queries.RelayerOpenParams{
		Network: network, Address: address, NextNonce: int64(nonce), //nolint:gosec // A nonce.
	})
	if err != nil {
		return fmt.Errorf("open the relayer's row: %w", err)
	}
	return nil
}

// nonce is how many transactions of an address are mined, or are pending as well.
func (c *Chain) nonce(ctx context.Context, address common.Address, at string) (uint64, error) {
	var n *hexutil.Uint64
	if err := c.nodes.call(ctx, &n, "eth_getTransactionCount", address, at); err != nil {
		return 0, fmt.Errorf("nonce of %s: %w", address, err)
	}
	if n == nil || *n > 1<<40 {
		return 0, fmt.Errorf("nonce of %s: %w: no answer", address, ErrUnavailable)
	}
	return uint64(*n), nil
}
