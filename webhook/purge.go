package webhook

import (
	"context"
	"fmt"

	"xsynesis/id"
	"xsynesis/queries"
)

// Purge deletes what is older than the log is kept: deliveries that ended, with their tries, and the events that no
// delivery needs. The numbers of resources whose events are gone stay, so that none comes twice.
func (s *Service) Purge(ctx context.Context) error {
	q, oldest := queries.New(), s.now().Add(-logKept)
	if err := s.inParts(func() (int32, error) {
		return q.PurgeDeliveries(ctx, s.pool, queries.PurgeDeliveriesParams{Before: string(id.First[id.Delivery](oldest)), Most: sweepMost})
	}); err != nil {
		return fmt.Errorf("delete old deliveries: %w", err)
	}
	if err := s.inParts(func() (int32, error) {
		return q.PurgeEvents(ctx, s.pool, queries.PurgeEventsParams{Before: string(id.First[id.Event](oldest)), Most: sweepMost})
	}); err != nil {
		return fmt.Errorf("delete old events: %w", err)
	}
	if _, err := q.PurgeReplays(ctx, s.pool, string(id.First[id.Replay](oldest))); err != nil {
		return fmt.Errorf("delete old replays: %w", err)
	}
	return nil
}

// inParts deletes until a part is not full: each part is a transaction of its own, and none holds many locks.
func (s *Service) inParts(part func() (int32, error)) error {
	for {
		n, err := part()
		if err != nil || n < sweepMost {
			return err
		}
	}
}
