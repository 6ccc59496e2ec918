package checkout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"xsynesis/id"
	"xsynesis/queries"
)

// Expire ends an open purchase whose time is over, and gives back what it held.
func (s *Service) Expire(ctx context.Context, attempt id.Attempt) error {
	var row queries.Attempt
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var err error
		if row, err = queries.New().AttemptExpire(ctx, tx, queries.AttemptExpireParams{ID: attempt, Now: s.now()}); err != nil {
			return err
		}
		return giveTx(ctx, tx, row)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // paid, under way, or ended
	}
	if err != nil {
		return fmt.Errorf("expire %s: %w", attempt, err)
	}
	s.hub.Changed(row.ID, row.MerchantID)
	return nil
}

// sweepMost bounds one sweep; the next one takes the rest.
const sweepMost = 500

// Sweep gives a job to every row that should have one and lost it.
func (s *Service) Sweep(ctx context.Context) error {
	q, now := queries.New(), s.now()
	idle, err := q.SettlementIdle(ctx, s.pool, queries.SettlementIdleParams{Before: now.Add(-s.o.Sweep), Now: now, Most: sweepMost})
	if err != nil {
		return fmt.Errorf("idle settlements: %w", err)
	}
	overdue, err := q.AttemptOverdue(ctx, s.pool, queries.AttemptOverdueParams{Before: now.Add(-s.o.Sweep), Most: sweepMost})
	if err != nil {
		return fmt.Errorf("overdue purchases: %w", err)
	}
	unlooked, err := q.ClaimUnlooked(ctx, s.pool, queries.ClaimUnlookedParams{
		Before: now.Add(-2 * worthlessAfter).Unix(), Most: sweepMost,
	})
	if err != nil {
		return fmt.Errorf("released payments: %w", err)
	}
	jobs := make([]river.InsertManyParams, 0, len(idle)+len(overdue)+len(unlooked))
	for _, claim := range unlooked {
		jobs = append(jobs, river.InsertManyParams{Args: LookArgs{Claim: claim}, InsertOpts: sweptOnce(s.o.Sweep)})
	}
	for _, settlement := range idle {
		jobs = append(jobs, river.InsertManyParams{Args: ResumeArgs{Settlement: settlement}, InsertOpts: sweptOnce(s.o.Sweep)})
	}
	for _, attempt := range overdue {
		jobs = append(jobs, river.InsertManyParams{Args: ExpireArgs{Attempt: attempt}, InsertOpts: sweptOnce(s.o.Sweep)})
	}
	if len(jobs) == 0 {
		return nil
	}
	if _, err := s.jobs.InsertMany(ctx, jobs); err != nil {
		return fmt.Errorf("give %d rows a job: %w", len(jobs), err)
	}
	return nil
}

// Finalize turns confirmed settlements final in blocks that the chain has sealed for good.
func (s *Service) Finalize(ctx context.Context) error {
	var problems []error
	for network, chain := range s.chains {
		sealed, err := chain.Finalized(ctx)
		if err != nil {
			problems = append(problems, fmt.Errorf("finalized block of %s: %w", network, err))
			continue
		}
		if _, err := queries.New().SettlementFinal(ctx, s.pool, queries.SettlementFinalParams{
			Network: network, Finalized: int64(sealed.Number), Most: sweepMost, Now: s.now(),
		}); err != nil {
			problems = append(problems, fmt.Errorf("final settlements of %s: %w", network, err))
		}
	}
	return errors.Join(problems...)
}

// SweepEvery is how often [Service.Sweep] should run.
func (s *Service) SweepEvery() time.Duration { return s.o.Sweep }
