package webhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"xsynesis/id"
	"xsynesis/queries"
)

// sweepTotal bounds one sweep; the next one takes the rest.
const sweepTotal = 10_000

// Sweep finds what lost its job, or its process, and gives it a job again: deliveries, the lines of servers that may be
// called, and replays. What is on its way to servers that are not to be told any more, it cancels.
func (s *Service) Sweep(ctx context.Context) error {
	now := s.now()
	if _, err := queries.New().TryOver(ctx, s.pool, queries.TryOverParams{Over: sentenceOver, Now: now}); err != nil {
		return fmt.Errorf("tries of dead processes: %w", err)
	}
	return errors.Join(s.sweepIdle(ctx, now), s.sweepForgotten(ctx, now), s.sweepLines(ctx, now), s.sweepEndless(ctx, now), s.sweepReplays(ctx, now))
}

// sweepIdle looks at a few due deliveries at a time, so that a process that starts after a long pause does not take
// more than it can send.
func (s *Service) sweepIdle(ctx context.Context, now time.Time) error {
	var after queries.DeliveryIdleRow
	for taken := 0; taken < sweepTotal; taken += s.o.SweepMost {
		idle, err := queries.New().DeliveryIdle(ctx, s.pool, queries.DeliveryIdleParams{
			Before: now.Add(-s.o.Sweep), Now: now, AfterDue: after.Due, After: string(after.ID), Most: int32(s.o.SweepMost),
		})
		if err != nil {
			return fmt.Errorf("idle deliveries: %w", err)
		}
		jobs := make([]queued, len(idle))
		for i, d := range idle {
			jobs[i], after = queued{d.ID, d.Slow}, d
		}
		if err := s.sweepIn(ctx, jobs); err != nil || len(idle) < s.o.SweepMost {
			return err
		}
	}
	return nil
}

// forgotten finds deliveries on their way that no job would come back to, whether they are due or wait. River's own
// table is not in our schema, so the statement stands here. EXCEPT reads each side once, however many there are; NOT IN
// compares each with each as soon as the jobs do not fit into the memory of a query.
const forgotten = `
SELECT lost.id, (SELECT s.slow FROM deliveries d JOIN subscriptions s ON s.id = d.subscription_id WHERE d.id = lost.id)
FROM (
    SELECT d.id FROM deliveries d WHERE d.status = 'pending' AND d.created_at < $1
    EXCEPT
    SELECT j.args->>'delivery' FROM river_job j WHERE j.kind = 'deliver' AND j.finalized_at IS NULL
    LIMIT $2
) lost`

func (s *Service) sweepForgotten(ctx context.Context, now time.Time) error {
	rows, err := s.pool.Query(ctx, forgotten, now.Add(-s.o.Sweep), sweepTotal)
	if err != nil {
		return fmt.Errorf("forgotten deliveries: %w", err)
	}
	defer rows.Close()
	var jobs []queued
	for rows.Next() {
		var d queued
		if err := rows.Scan(&d.delivery, &d.slow); err != nil {
			return fmt.Errorf("forgotten deliveries: %w", err)
		}
		jobs = append(jobs, d)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("forgotten deliveries: %w", err)
	}
	return s.sweepIn(ctx, jobs)
}

// sweepIn gives deliveries a job, one in each sweep.
func (s *Service) sweepIn(ctx context.Context, deliveries []queued) error {
	if len(deliveries) == 0 {
		return nil
	}
	jobs := make([]river.InsertManyParams, len(deliveries))
	for i, d := range deliveries {
		o := s.sweptOnce()
		o.Queue = queue(d.slow)
		jobs[i] = river.InsertManyParams{Args: DeliverArgs{Delivery: d.delivery}, InsertOpts: o}
	}
	if _, err := s.jobs.InsertMany(ctx, jobs); err != nil {
		return fmt.Errorf("give %d deliveries a job: %w", len(jobs), err)
	}
	return nil
}

func (s *Service) sweptOnce() *river.InsertOpts {
	return &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: s.o.Sweep}}
}

// sweepLines goes on with lines that nobody serves: a process may have died that did.
func (s *Service) sweepLines(ctx context.Context, now time.Time) error {
	lines, err := queries.New().DeliveryLines(ctx, s.pool, queries.DeliveryLinesParams{Now: now, Before: now})
	if err != nil {
		return fmt.Errorf("lines of webhooks: %w", err)
	}
	var problems []error
	for _, l := range lines {
		problems = append(problems, s.wake(ctx, l.ID, l.Slow, int(l.Free)))
	}
	return errors.Join(problems...)
}

func (s *Service) sweepEndless(ctx context.Context, now time.Time) error {
	rows, err := queries.New().DeliveryEndless(ctx, s.pool, queries.DeliveryEndlessParams{Now: now, Most: sweepMost})
	if err != nil {
		return fmt.Errorf("deliveries without a server: %w", err)
	}
	for _, d := range rows {
		if err := s.cancel(ctx, d.ID, d.Reason); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) sweepReplays(ctx context.Context, now time.Time) error {
	idle, err := queries.New().ReplayIdle(ctx, s.pool, queries.ReplayIdleParams{Before: now.Add(-s.o.Sweep), Most: sweepMost})
	if err != nil {
		return fmt.Errorf("idle replays: %w", err)
	}
	return s.enqueueReplays(ctx, idle)
}

func (s *Service) enqueueReplays(ctx context.Context, replays []id.Replay) error {
	for _, r := range replays {
		if _, err := s.jobs.Insert(ctx, ReplayArgs{Replay: r}, s.sweptOnce()); err != nil {
			return fmt.Errorf("give %s a job: %w", r, err)
		}
	}
	return nil
}
