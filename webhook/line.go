package webhook

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

// serveLine goes on with what waits for the same server, after a try of it has ended: its slot is free. It stops at
// the given time, so that no job lasts, and then gives the rest a job.
func (s *Service) serveLine(ctx context.Context, of id.Subscription, slow bool, until time.Time) error {
	for ctx.Err() == nil && s.now().Before(until) {
		next, err := queries.New().DeliveryLine(ctx, s.pool, queries.DeliveryLineParams{SubscriptionID: of, Most: 2 * inFlight})
		if err != nil {
			return fmt.Errorf("line of %s: %w", of, err)
		}
		if len(next) == 0 {
			return nil
		}
		// Not always the first: others serve the same line.
		turn, err := s.deliver(ctx, next[draw(len(next))], turnOptions{inLine: true})
		if err != nil {
			return err
		}
		if turn.denied {
			return nil
		}
	}
	return s.wake(context.WithoutCancel(ctx), of, slow, 1)
}

// wake gives the first of a line jobs that are due at once.
func (s *Service) wake(ctx context.Context, of id.Subscription, slow bool, most int) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.wakeTx(ctx, tx, of, slow, most) })
	if err != nil {
		return fmt.Errorf("wake the line of %s: %w", of, err)
	}
	return nil
}

func (s *Service) wakeTx(ctx context.Context, tx pgx.Tx, of id.Subscription, slow bool, most int) error {
	woken, err := queries.New().DeliveryWake(ctx, tx, queries.DeliveryWakeParams{SubscriptionID: of, Most: int32(most)})
	if err != nil || len(woken) == 0 {
		return err
	}
	jobs := make([]queued, len(woken))
	for i, d := range woken {
		jobs[i] = queued{d, slow}
	}
	return s.enqueueTx(ctx, tx, time.Time{}, jobs...)
}
