package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
WHERE (s.status IN ('queued', 'processing', 'sent') OR s.lost_at IS NOT NULL) AND s.created_at < $2 AND (s.lease_until IS NULL OR s.lease_until <= $1) AND NOT EXISTS (
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

// followMost is how many sendings are looked at at a time.
const followMost = 500

// follow looks whether what arrived is still where it was seen, until the chain has sealed it for good. What is not there is
// looked for, and sent again, by [Custody.Send].
func (c *Custody) follow(ctx context.Context, network string, chain *evm.Chain) error {
	q := queries.New()
	page := queries.SendingsSealingParams{Network: network, AfterBlock: -1, Most: followMost}
	for {
		rows, err := q.SendingsSealing(ctx, c.pool, page)
		if err != nil || len(rows) == 0 {
			return err
		}
		if err := c.followAll(ctx, chain, rows); err != nil {
			return fmt.Errorf("follow what arrived on %s: %w", network, err)
		}
		last := rows[len(rows)-1]
		page.AfterBlock, page.AfterID = *last.BlockNumber, last.ID
	}
}

func (c *Custody) followAll(ctx context.Context, chain *evm.Chain, rows []queries.Sending) error {
	// The order matters: what is sealed is read before what is there.
	sealed, err := chain.Finalized(ctx)
	if err != nil {
		return err
	}
	blocks := make([]evm.BlockRef, len(rows))
	for i, r := range rows {
		blocks[i] = evm.BlockRef{Number: uint64(*r.BlockNumber), Hash: common.HexToHash(*r.BlockHash)}
	}
	gone, err := chain.Gone(ctx, slices.Compact(slices.Clone(blocks)))
	if err != nil {
		return err
	}
	for i, r := range rows {
		switch {
		case slices.Contains(gone, blocks[i]):
			err = c.lose(ctx, r)
		case blocks[i].Number <= sealed.Number:
			err = queries.New().SendingFinal(ctx, c.pool, queries.SendingFinalParams{ID: r.ID, BlockHash: *r.BlockHash})
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.ID, err)
		}
	}
	return nil
}

// lose notes that the block of a sending is gone, and has it looked for. Its entries stay until it surely never comes back.
func (c *Custody) lose(ctx context.Context, r queries.Sending) error {
	return pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		n, err := queries.New().SendingLost(ctx, tx, queries.SendingLostParams{ID: r.ID, Was: *r.BlockHash, LastError: lostText, Now: c.now()})
		if err != nil || n == 0 {
			return err
		}
		slog.WarnContext(ctx, "the block of money that was sent is gone", "sending", r.ID, "merchant", r.MerchantID, "tx", r.Transaction)
		_, err = c.jobs.InsertTx(ctx, tx, SendArgs{r.ID}, nil)
		return err
	})
}

// lostText is what a sending says of itself meanwhile.
const lostText = "The network dropped the block with it. It is sent again, and moves once."
