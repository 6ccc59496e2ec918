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
		return s.giveTx(ctx, tx, row)
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

// sweepMost bounds one sweep; the next one takes the rest. It is more than a worker settles between two sweeps, so that a
// shop whose workers keep dying falls back no further than it would without them.
const sweepMost = 5000

// Sweep gives a job to every row that should have one and lost it, and tells of links whose time is over.
func (s *Service) Sweep(ctx context.Context) error {
	return errors.Join(s.shop.EndLinks(ctx), s.shop.PurgeUploads(ctx), s.shop.PurgeCarts(ctx), s.shop.SweepCodes(ctx), s.sweepCallbacks(ctx), s.sweepRefunds(ctx), s.releaseAmounts(ctx), s.sweepZones(ctx), s.sweep(ctx))
}

func (s *Service) sweep(ctx context.Context) error {
	now := s.now()
	idle, err := s.idle(ctx, now, now.Add(-s.o.Sweep))
	if err != nil {
		return fmt.Errorf("idle settlements: %w", err)
	}
	unlooked, err := s.unlooked(ctx, now.Add(-2*worthlessAfter))
	if err != nil {
		return fmt.Errorf("released payments: %w", err)
	}
	endless, err := s.endless(ctx, now.Add(-s.o.Sweep))
	if err != nil {
		return fmt.Errorf("open purchases: %w", err)
	}
	stranded, err := s.stranded(ctx, now.Add(-s.o.Sweep))
	if err != nil {
		return fmt.Errorf("calls: %w", err)
	}
	if err := queries.New().CallsForget(ctx, s.pool, queries.CallsForgetParams{Now: now, Most: sweepMost}); err != nil {
		return fmt.Errorf("answers of calls: %w", err)
	}
	jobs := make([]river.InsertManyParams, 0, len(idle)+len(unlooked)+len(endless)+len(stranded))
	for _, attempt := range stranded {
		jobs = append(jobs, river.InsertManyParams{Args: ReleaseArgs{Attempt: attempt}, InsertOpts: sweptOnce(s.o.Sweep)})
	}
	for _, claim := range unlooked {
		jobs = append(jobs, river.InsertManyParams{Args: LookArgs{Claim: claim}, InsertOpts: sweptOnce(s.o.Sweep)})
	}
	for _, settlement := range idle {
		jobs = append(jobs, river.InsertManyParams{Args: ResumeArgs{Settlement: settlement}, InsertOpts: sweptOnce(s.o.Sweep)})
	}
	for _, a := range endless {
		opts := sweptOnce(s.o.Sweep)
		if a.ends.After(now) {
			opts = &river.InsertOpts{ScheduledAt: a.ends}
		}
		jobs = append(jobs, river.InsertManyParams{Args: ExpireArgs{Attempt: a.attempt}, InsertOpts: opts})
	}
	if len(jobs) == 0 {
		return nil
	}
	if _, err := s.jobs.InsertMany(ctx, jobs); err != nil {
		return fmt.Errorf("give %d rows a job: %w", len(jobs), err)
	}
	return nil
}

// idle finds payments under way that nobody works on and that no job waits for. A job that began before the last sweep and
// has no lease died. Those that were looked at longest ago come first, so that many that wait for their network do not
// stand in the way of the others. The jobs' table is not in our schema, so the statement stands here.
const idle = `
SELECT s.id FROM settlements s
WHERE s.status IN ('queued', 'signed', 'broadcast', 'requested')
  AND s.created_at < $2 AND (s.lease_until IS NULL OR s.lease_until <= $1) AND NOT EXISTS (
    SELECT FROM river_job j
    WHERE j.queue = '` + QueueSettle + `' AND j.args->>'settlement' = s.id AND (j.state IN ('available', 'retryable', 'scheduled')
        OR j.state = 'running' AND j.attempted_at > $2))
ORDER BY s.updated_at LIMIT $3`

func (s *Service) idle(ctx context.Context, now, before time.Time) ([]id.Settlement, error) {
	rows, err := s.pool.Query(ctx, idle, now, before, sweepMost)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[id.Settlement])
}

// unlooked finds released payments that are worthless by now, that nobody asked the chain about and that no job will.
const unlooked = `
SELECT c.id FROM claims c
WHERE c.released_at IS NOT NULL AND c.looked_at IS NULL AND c.valid_before < $1 AND NOT EXISTS (
    SELECT FROM river_job j WHERE j.kind = 'look' AND j.args->>'claim' = c.id AND j.finalized_at IS NULL)
ORDER BY c.valid_before LIMIT $2`

func (s *Service) unlooked(ctx context.Context, before time.Time) ([]id.Claim, error) {
	rows, err := s.pool.Query(ctx, unlooked, before.Unix(), sweepMost)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[id.Claim])
}

// stranded finds calls that nothing came of in time, and whose payment nobody let go.
func (s *Service) stranded(ctx context.Context, before time.Time) ([]id.Attempt, error) {
	return queries.New().CallsStranded(ctx, s.pool, queries.CallsStrandedParams{Before: before, Most: sweepMost})
}

// endless finds open purchases that should have ended, and those that no job will end when their time comes.
const endless = `
SELECT a.id, a.expires_at FROM attempts a
WHERE a.status = 'open' AND a.created_at < $1 AND (a.expires_at < $1 OR NOT EXISTS (
    SELECT FROM river_job j WHERE j.kind = 'expire' AND j.args->>'attempt' = a.id AND j.finalized_at IS NULL))
ORDER BY a.expires_at LIMIT $2`

type ending struct {
	attempt id.Attempt
	ends    time.Time
}

func (s *Service) endless(ctx context.Context, before time.Time) ([]ending, error) {
	rows, err := s.pool.Query(ctx, endless, before, sweepMost)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (ending, error) {
		var e ending
		err := row.Scan(&e.attempt, &e.ends)
		return e, err
	})
}

// SweepEvery is how often [Service.Sweep] should run.
func (s *Service) SweepEvery() time.Duration { return s.o.Sweep }
