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
	items    int // transfers that it moves
	versions []version
}

type version struct {
	hash common.Hash
	raw  []byte
}

func (r *relay) latest() version { return r.versions[len(r.versions)-1] }

// begun returns what is stored for a row, or nil.
func (r *Relayer) begun(ctx context.Context, source string) (*relay, error) {
	row, err := r.queries.RelayBySettlement(ctx, r.pool, source)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // Nothing begun is the common case and no error.
	}
	if err != nil {
		return nil, fmt.Errorf("look up the stored transaction: %w", err)
	}
	versions, err := r.queries.RelayVersions(ctx, r.pool, queries.RelayVersionsParams{
		Network: row.Relay.Network, Address: row.Relay.Address, Nonce: row.Relay.Nonce,
	})
	if err != nil || len(versions) == 0 {
		return nil, fmt.Errorf("look up the stored transaction: %w", errors.Join(err, errNoVersion(versions)))
	}
	found := &relay{nonce: uint64(row.Relay.Nonce), state: row.Relay.State, items: int(row.Items)} //nolint:gosec // Never negative, by a check.
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

// charge is a transfer and who is to hear of it.
type charge struct {
	Transfer
	keeper Keeper
}

// storing is a transaction that waits for its nonce, with all that it moves.
type storing struct {
	charges  []charge
	unsigned types.DynamicFeeTx
}

// storeMost is how many transactions are stored together at most; each is signed while the nonces are locked.
const storeMost = 64

// errTaken says that a transfer has a transaction already.
var errTaken = errors.New("evm: stored before")

// store reserves a nonce, signs, and commits the raw bytes together with what the caller writes.
func (r *Relayer) store(ctx context.Context, s storing) (*relay, error) {
	current, err := r.stores.Do(ctx, s)
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && (pgErr.ConstraintName == "relays_settlement" || pgErr.ConstraintName == "relay_items_settlement") {
		err = errTaken
	}
	switch {
	case err == nil:
		return current, nil
	case errors.Is(err, errTaken) && len(s.charges) == 1:
		return r.joined(ctx, s.charges[0].Source)
	case ctx.Err() != nil && !errors.Is(err, ErrUnknown):
		return nil, fmt.Errorf("%w: wait for a nonce: %w", ErrUnavailable, err)
	default:
		return nil, err
	}
}

// storeAll stores transactions that came at the same time. The nonces' row is locked from the reservation to the commit,
// so that no nonce is ever skipped.
func (r *Relayer) storeAll(ctx context.Context, all []storing) ([]*relay, error) {
	var stored []*relay
	err := postgres.HotTx(ctx, r.pool, func(tx pgx.Tx) (err error) {
		stored, err = r.storeTx(ctx, tx, all)
		return err
	})
	if err != nil && stored != nil { // The commit was asked for, and its answer is lost.
		err = fmt.Errorf("%w: commit: %w", ErrUnknown, err)
	}
	return stored, err
}

func (r *Relayer) storeTx(ctx context.Context, tx pgx.Tx, all []storing) ([]*relay, error) {
	network, address := r.row()
	first, err := r.queries.RelayerNonces(ctx, tx, queries.RelayerNoncesParams{Network: network, Address: address, Count: int64(len(all))})
	if err != nil {
		return nil, fmt.Errorf("reserve %d nonces: %w", len(all), err)
	}
	fault.At(fault.RelayReserved)
	relays := make([]*relay, len(all))
	for i, s := range all {
		s.unsigned.Nonce = uint64(first) + uint64(i) //nolint:gosec // Never negative, by a check.
		signed, err := r.sign(s.unsigned)
		if err != nil {
			return nil, err
		}
		relays[i] = &relay{nonce: s.unsigned.Nonce, state: stateOpen, items: len(s.charges), versions: []version{signed}}
	}
	if err := r.supersede(ctx, tx, all); err != nil {
		return nil, err
	}
	if err := r.insertAll(ctx, tx, all, relays); err != nil {
		return nil, err
	}
	if err := tellKeepers(ctx, tx, all, relays); err != nil {
		return nil, err
	}
	fault.At(fault.RelaySigned)
	return relays, nil
}

// supersede retires the former transactions of transfers that had some. The nonces' row is locked: nobody stores others
// meanwhile.
func (r *Relayer) supersede(ctx context.Context, tx pgx.Tx, all []storing) error {
	var again []string
	for _, s := range all {
		for _, c := range s.charges {
			if !c.New {
				again = append(again, c.Source)
			}
		}
	}
	if len(again) == 0 {
		return nil
	}
	taken, err := r.queries.RelaysSupersede(ctx, tx, again)
	if err != nil {
		return fmt.Errorf("retire former transactions: %w", err)
	}
	if taken {
		return errTaken
	}
	return nil
}

// insertAll writes the transactions and what they move. The row of one that moves a single transfer names it.
func (r *Relayer) insertAll(ctx context.Context, tx pgx.Tx, all []storing, relays []*relay) error {
	network, address := r.row()
	settlements := make([]string, len(all))
	shared := queries.RelayItemsInsertParams{Network: network, Address: address}
	for i, s := range all {
		if len(s.charges) == 1 {
			settlements[i] = s.charges[0].Source
			continue
		}
		for _, c := range s.charges {
			shared.Nonces = append(shared.Nonces, int64(relays[i].nonce)) //nolint:gosec // A nonce.
			shared.Settlements = append(shared.Settlements, c.Source)
		}
	}
	if err := r.insert(ctx, tx, settlements, relays); err != nil || len(shared.Nonces) == 0 {
		return err
	}
	if err := r.queries.RelayItemsInsert(ctx, tx, shared); err != nil {
		return fmt.Errorf("store what nonces from %d move: %w", shared.Nonces[0], err)
	}
	return nil
}

// tellKeepers lets those who wait write down what was stored: the same one once, whoever they are.
func tellKeepers(ctx context.Context, tx pgx.Tx, all []storing, relays []*relay) error {
	var keepers []Keeper
	stored := map[Keeper][]Stored{}
	for i, s := range all {
		for _, c := range s.charges {
			if stored[c.keeper] == nil {
				keepers = append(keepers, c.keeper)
			}
			stored[c.keeper] = append(stored[c.keeper], Stored{Source: c.Source, Lease: c.Lease, Transaction: relays[i].latest().hash})
		}
	}
	for _, k := range keepers {
		if err := k.StoredTx(ctx, tx, stored[k]); err != nil {
			return err
		}
	}
	return nil
}

// joined is for the slower of two who began the same settlement at the same time. What the other stored may be visible
// before it is on the disk, and is sent only after.
func (r *Relayer) joined(ctx context.Context, source string) (*relay, error) {
	if err := postgres.Flush(ctx, r.pool); err != nil {
		return nil, fmt.Errorf("%w: somebody else stored it: %w", ErrUnknown, err)
	}
	current, err := r.begun(ctx, source)
	if err != nil || current == nil {
		return nil, fmt.Errorf("%w: somebody else stored it: %w", ErrUnknown, errors.Join(err, ctx.Err()))
	}
	return current, nil
}

var errNonceTaken = errors.New("evm: nonce is taken")

// insert writes reserved nonces, each for a settlement or for none or several (""), with their first versions.
func (r *Relayer) insert(ctx context.Context, tx pgx.Tx, settlements []string, relays []*relay) error {
	network, address := r.row()
	now := r.o.Now().UTC()
	nonces, hashes, raws := make([]int64, len(relays)), make([]string, len(relays)), make([][]byte, len(relays))
	for i, each := range relays {
		nonces[i] = int64(each.nonce) //nolint:gosec // A nonce.
		hashes[i], raws[i] = each.latest().hash.Hex(), each.latest().raw
	}
	rows, err := r.queries.RelaysInsert(ctx, tx, queries.RelaysInsertParams{
		Network: network, Address: address, Nonces: nonces, Settlements: settlements, CreatedAt: now,
	})
	if err != nil {
		return fmt.Errorf("store nonces from %d: %w", nonces[0], err)
	}
	if rows != int64(len(nonces)) {
		return fmt.Errorf("store nonces from %d: %w", nonces[0], errNonceTaken)
	}
	_, err = r.queries.RelayVersionsInsert(ctx, tx, queries.RelayVersionsInsertParams{
		Network: network, Address: address, Nonces: nonces, Version: 1, Hashes: hashes, Raws: raws, CreatedAt: now,
	})
	if err != nil {
		return fmt.Errorf("store transactions from nonce %d: %w", nonces[0], err)
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
	if err := r.openAt(ctx, pending, mined); err != nil {
		return err
	}
	r.opened = true
	return nil
}

// openAt makes the address's row, or moves its next nonce up; never down. What is mined is gone, whoever had it.
func (r *Relayer) openAt(ctx context.Context, nonce, mined uint64) error {
	network, address := r.row()
	err := r.queries.RelayerOpen(ctx, r.pool, queries.RelayerOpenParams{
		Network: network, Address: address, NextNonce: int64(nonce), Mined: int64(mined), Now: r.o.Now(), //nolint:gosec // Nonces.
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
