package webhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/postgres"
	"xsynesis/queries"
)

// EventRow is an event as it was sent, or would have been.
type EventRow struct {
	ID        id.Event
	Type      Type
	Body      []byte // to the letter
	CreatedAt time.Time
}

// settledAfter is when a committed event is surely on the disk.
const settledAfter = 10 * time.Second

// Feed lists a shop's events after one of them, or from the oldest that is kept, and where to go on. Events come in
// the order in which their transactions began to write; none is ever inserted before one that was shown. An event
// that is no longer kept stands for the beginning. Errors: [ErrNotFound] when the shop never had such an event.
func (s *Service) Feed(ctx context.Context, merchant id.Merchant, livemode bool, after id.Event, limit int) (rows []EventRow, next id.Event, err error) {
	q, now := queries.New(), s.now()
	p := queries.EventFeedParams{MerchantID: merchant, Livemode: livemode, Epoch: -1, Most: int32(limit)}
	if after != "" {
		at, err := q.EventPosition(ctx, s.pool, queries.EventPositionParams{ID: after, MerchantID: merchant, Livemode: livemode})
		switch {
		case err == nil:
			p.Epoch, p.WrittenBy, p.After = at.Epoch, at.WrittenBy, string(after)
		case !errors.Is(err, pgx.ErrNoRows):
			return nil, "", fmt.Errorf("event %s: %w", after, err)
		case after >= id.First[id.Event](now.Add(-logKept)):
			return nil, "", fmt.Errorf("event %s: %w", after, ErrNotFound)
		}
	}
	found, err := q.EventFeed(ctx, s.pool, p)
	if err != nil {
		return nil, "", fmt.Errorf("events of %s: %w", merchant, err)
	}
	next = after
	rows = make([]EventRow, len(found))
	for i, r := range found {
		rows[i] = EventRow{ID: r.ID, Type: Type(r.EventType), Body: r.Body, CreatedAt: r.CreatedAt}
		next = r.ID
	}
	// What a payment commits can be read before it is on the disk. Nobody is told what a crash could still undo.
	if n := len(rows); n > 0 && now.Sub(rows[n-1].CreatedAt) < settledAfter {
		if err := postgres.Flush(ctx, s.pool); err != nil {
			return nil, "", err
		}
	}
	return rows, next, nil
}

// Newest is the last event of a shop's feed: who begins after it hears of what happens from now on. Errors:
// [ErrNotFound] when the feed is empty.
func (s *Service) Newest(ctx context.Context, merchant id.Merchant, livemode bool) (EventRow, error) {
	r, err := queries.New().EventNewest(ctx, s.pool, queries.EventNewestParams{MerchantID: merchant, Livemode: livemode})
	if err != nil {
		return EventRow{}, fmt.Errorf("newest event of %s: %w", merchant, notFound(err))
	}
	if err := postgres.Flush(ctx, s.pool); err != nil { // see [Service.Feed]
		return EventRow{}, err
	}
	return EventRow{ID: r.ID, Type: Type(r.EventType), Body: r.Body, CreatedAt: r.CreatedAt}, nil
}
