package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"xsynesis/evm"
	"xsynesis/queries"
)

// SweepEvery is how often [Custody.Keep] should run.
func (c *Custody) SweepEvery() time.Duration { return c.o.Sweep }

// Keep looks after what is kept for shops: it makes addresses, gives a job to every sending that lost its own, compares
// chains with the books, and follows what arrived until the chain has sealed it.
func (c *Custody) Keep(ctx context.Context) error {
	errs := []error{c.Fill(ctx), c.Sweep(ctx)}
	for network, chain := range c.o.Chains {
		errs = append(errs, c.Watch(ctx, network), c.follow(ctx, network, chain))
	}
	return errors.Join(errs...)
}

// sweepMost bounds one sweep; the next one takes the rest.
const sweepMost = 1000

// idle finds sendings under way that nobody works on and that no job waits for. The jobs' table is not in our schema, so
// the statement stands here.
const idle = `
SELECT s.id FROM sendings s
WHERE s.status IN ('queued', 'processing', 'sent') AND s.created_at < $2 AND (s.lease_until IS NULL OR s.lease_until <= $1) AND NOT EXISTS (
    SELECT FROM river_job j
    WHERE j.kind = 'send' AND j.args->>'sending' = s.id AND (j.state IN ('available', 'retryable', 'scheduled')
        OR j.state = 'running' AND j.attempted_at > $2))
ORDER BY s.updated_at LIMIT $3`

// Sweep gives a job to every sending that should have one and lost it.
func (c *Custody) Sweep(ctx context.Context) error {
	now := c.now()
	rows, err := c.pool.Query(ctx, idle, now, now.Add(-c.o.Sweep), sweepMost)
	if err != nil {
		return fmt.Errorf("idle sendings: %w", err)
	}
	lost, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(lost) == 0 {
		return err
	}
	jobs := make([]river.InsertManyParams, len(lost))
	for i, sending := range lost {
		jobs[i] = river.InsertManyParams{Args: SendArgs{sending}, InsertOpts: sweptOnce(c.o.Sweep)}
	}
	if _, err := c.jobs.InsertMany(ctx, jobs); err != nil {
		return fmt.Errorf("give %d sendings a job: %w", len(jobs), err)
	}
	return nil
}

// followMost is how many sendings one look follows.
const followMost = 500

// follow looks whether what arrived is still where it was seen, until the chain has sealed it for good. What a chain took
// back the relayer sends again: here is only noted where it stands.
func (c *Custody) follow(ctx context.Context, network string, chain *evm.Chain) error {
	q := queries.New()
	rows, err := q.SendingsSealing(ctx, c.pool, queries.SendingsSealingParams{Network: network, Most: followMost})
	if err != nil || len(rows) == 0 {
		return err
	}
	sealed, err := chain.Finalized(ctx)
	if err != nil {
		return err
	}
	numbers := make([]uint64, len(rows))
	for i, r := range rows {
		numbers[i] = uint64(*r.BlockNumber)
	}
	hashes, err := chain.BlockHashes(ctx, numbers)
	if err != nil {
		return err
	}
	for i, r := range rows {
		there := hashes[numbers[i]] == common.HexToHash(*r.BlockHash)
		switch {
		case there && numbers[i] <= sealed.Number:
			err = q.SendingFinal(ctx, c.pool, queries.SendingFinalParams{ID: r.ID, BlockHash: *r.BlockHash})
		case !there:
			err = c.find(ctx, chain, r)
		}
		if err != nil {
			return fmt.Errorf("follow %s: %w", r.ID, err)
		}
	}
	return nil
}

// find notes where a sending is whose block is gone.
func (c *Custody) find(ctx context.Context, chain *evm.Chain, r queries.Sending) error {
	proof, err := evm.Proof{}, evm.ErrOpen
	if r.ValidBefore != nil {
		proof, err = chain.Resolve(ctx, authorizationOf(r))
	}
	if errors.Is(err, evm.ErrOpen) || errors.Is(err, evm.ErrVoid) {
		slog.ErrorContext(ctx, "money that was sent left the chain", "sending", r.ID, "merchant", r.MerchantID, "tx", r.Transaction, "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	_, err = queries.New().SendingMove(ctx, c.pool, queries.SendingMoveParams{
		ID: r.ID, Was: *r.BlockHash, Transaction: proof.Transaction.Hex(), BlockNumber: int64(proof.Block), BlockHash: proof.BlockHash.Hex(), Now: c.now(),
	})
	return err
}
