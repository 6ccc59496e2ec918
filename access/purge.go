package access

import (
	"context"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"xsynesis/queries"
)

// keysKept is how long the answer to an idempotency key is kept. What the key made, it makes once for ever.
const keysKept = 7 * 24 * time.Hour

// PurgeArgs asks to delete what nobody can use any more.
type PurgeArgs struct{}

// Kind names the job.
func (PurgeArgs) Kind() string { return "access_purge" }

// InsertOpts puts it on its queue.
func (PurgeArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: "maint", MaxAttempts: 1}
}

// Purge deletes sessions that are over, and old answers to idempotency keys.
func (s *Service) Purge(ctx context.Context) error {
	q, now := queries.New(), s.now()
	if err := q.SessionForget(ctx, s.pool, now); err != nil {
		return fmt.Errorf("forget sessions: %w", err)
	}
	if err := q.OperatorSessionForget(ctx, s.pool, now); err != nil {
		return fmt.Errorf("forget operators' sessions: %w", err)
	}
	if err := q.IdempotencyForget(ctx, s.pool, now.Add(-keysKept)); err != nil {
		return fmt.Errorf("forget idempotency keys: %w", err)
	}
	return nil
}
