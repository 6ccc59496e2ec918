package webhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
)

const (
	// ReplayMost is how many deliveries one replay makes again; what is left, another one does.
	ReplayMost = 10_000
	// replayRates bounds what may be asked for, in a second.
	replayRates = 10_000
	replayPart  = 500 // deliveries that are made in one transaction
	replayEvery = time.Second
)

// ReplayForm is what a seller wants to be sent again: what was given up since a time, and not sent again after that.
type ReplayForm struct {
	Subscription id.Subscription // empty: all of the shop's active ones
	Since        time.Time       // when the deliveries were given up, or later
	Rate         int             // deliveries in a second; 0: as many as a subscription is sent
	// DryRun only counts.
	DryRun bool
}

// Replay is a group of deliveries that are made again.
type Replay struct {
	ID           id.Replay       // empty: a dry run
	Subscription id.Subscription // empty: all of the shop's
	Since, Until time.Time       // what was given up in this time
	Rate         int
	Count        int    // deliveries to make again
	Done         int    // made so far
	Delivered    int    // of those, accepted by now
	Failed       int    // of those, given up again
	Status       string // running, done or cancelled
	CreatedAt    time.Time
	EndedAt      *time.Time // nil: it is under way
}

// Redeliver sends the event of a delivery to the same subscription once more, in a delivery of its own: the same id
// and the same bytes. Errors: [ErrNotFound], also when the subscription is unregistered.
func (s *Service) Redeliver(ctx context.Context, merchant id.Merchant, livemode bool, of id.Delivery, by audit.By) (id.Delivery, error) {
	now := s.now()
	made := id.New[id.Delivery](now)
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		to, err := queries.New().DeliveryRepeat(ctx, tx, queries.DeliveryRepeatParams{
			ID: made, Now: now, ReplayOf: of, MerchantID: merchant, Livemode: livemode,
		})
		if err != nil {
			return notFound(err)
		}
		if err := audit.RecordTx(ctx, tx, now, audit.Row{
			By: by, Merchant: merchant, Action: "delivery.repeated", ResourceType: "delivery", ResourceID: string(of),
			After: replaySeen{Livemode: livemode, Subscription: to, Count: 1},
		}); err != nil {
			return err
		}
		return s.enqueueTx(ctx, tx, time.Time{}, queued{delivery: made})
	})
	if err != nil {
		return "", fmt.Errorf("send %s again: %w", of, err)
	}
	return made, nil
}

// ReplayFailed sends again what was given up since a time, oldest first and [ReplayMost] at most, at a rate of its own:
// in the background, where [Service.Replay] tells how far it is. A dry run writes nothing.
// Errors: [*FieldError]; [ErrNotFound] for a subscription that is not the shop's.
func (s *Service) ReplayFailed(ctx context.Context, merchant id.Merchant, livemode bool, f ReplayForm, by audit.By) (Replay, error) {
	now := s.now()
	if err := s.checkReplay(&f, now); err != nil {
		return Replay{}, err
	}
	if f.Subscription != "" {
		if _, err := s.Subscription(ctx, merchant, livemode, f.Subscription); err != nil {
			return Replay{}, err
		}
	}
	q := queries.New()
	count, err := q.ReplayCount(ctx, s.pool, queries.ReplayCountParams{
		MerchantID: merchant, Livemode: livemode, Since: f.Since, Until: now, SubscriptionID: (*string)(optional(f.Subscription)), Most: ReplayMost,
	})
	if err != nil {
		return Replay{}, fmt.Errorf("count failed deliveries of %s: %w", merchant, err)
	}
	if f.DryRun {
		return Replay{
			Subscription: f.Subscription, Since: f.Since, Until: now, Rate: f.Rate, Count: int(count), Status: "done", CreatedAt: now, EndedAt: &now,
		}, nil
	}
	var row queries.Replay
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if row, err = q.ReplayInsert(ctx, tx, queries.ReplayInsertParams{
			ID: id.New[id.Replay](now), MerchantID: merchant, Livemode: livemode, SubscriptionID: optional(f.Subscription),
			Since: f.Since, Until: now, Rate: int32(f.Rate), Count: count, CreatedAt: now,
		}); err != nil {
			return err
		}
		if err := audit.RecordTx(ctx, tx, now, audit.Row{
			By: by, Merchant: merchant, Action: "deliveries.replayed", ResourceType: "replay", ResourceID: string(row.ID),
			After: replaySeen{Livemode: livemode, Subscription: f.Subscription, Since: &f.Since, Count: int(count)},
		}); err != nil {
			return err
		}
		_, err = s.jobs.InsertTx(ctx, tx, ReplayArgs{Replay: row.ID}, nil)
		return err
	})
	if err != nil {
		return Replay{}, fmt.Errorf("replay for %s: %w", merchant, err)
	}
	return replay(row), nil
}

// checkReplay brings a form into order, or returns a [*FieldError].
func (s *Service) checkReplay(f *ReplayForm, now time.Time) error {
	if f.Since.IsZero() || f.Since.After(now) {
		return &FieldError{"since", "Give a time in the past."}
	}
	if f.Rate == 0 {
		f.Rate = s.o.Rate
	}
	if f.Rate < 1 || f.Rate > replayRates {
		return &FieldError{"rate", fmt.Sprintf("Give a number from 1 to %d.", replayRates)}
	}
	return nil
}

// Replay tells how far a merchant's own replay is, or returns [ErrNotFound].
func (s *Service) Replay(ctx context.Context, merchant id.Merchant, livemode bool, of id.Replay) (Replay, error) {
	q := queries.New()
	row, err := q.ReplayByID(ctx, s.pool, queries.ReplayByIDParams{ID: of, MerchantID: merchant, Livemode: livemode})
	if err != nil {
		return Replay{}, fmt.Errorf("replay %s: %w", of, notFound(err))
	}
	became, err := q.ReplayOutcome(ctx, s.pool, &of)
	if err != nil {
		return Replay{}, fmt.Errorf("deliveries of %s: %w", of, err)
	}
	out := replay(row)
	out.Delivered, out.Failed = int(became.Delivered), int(became.Failed)
	return out, nil
}

// ReplayNext makes the part of a replay that is due, and says by a snooze when the next one is.
func (s *Service) ReplayNext(ctx context.Context, of id.Replay) error {
	for {
		made, over, err := s.replayPart(ctx, of)
		switch {
		case err != nil:
			return fmt.Errorf("replay %s: %w", of, err)
		case over:
			return nil
		case made < replayPart:
			return river.JobSnooze(replayEvery)
		}
	}
}

// replayPart makes as many deliveries as are due by now, and not more than one transaction should hold.
func (s *Service) replayPart(ctx context.Context, of id.Replay) (made int, over bool, err error) {
	q, now := queries.New(), s.now()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		row, err := q.ReplayForUpdate(ctx, tx, of)
		if errors.Is(err, pgx.ErrNoRows) { // over, or another process is at it
			running, err := q.ReplayExists(ctx, tx, of)
			over = !running
			return err
		}
		if err != nil {
			return err
		}
		due := int(min(replayDue(row, now), replayPart))
		found, err := s.replayTx(ctx, tx, now, row, due)
		if err != nil {
			return err
		}
		made = len(found)
		p := queries.ReplayProgressParams{ID: of, Made: int32(made), Cursor: row.Cursor, Status: row.Status, Now: now}
		if made > 0 {
			p.Cursor = string(found[made-1].ID)
		}
		if made < due || int(row.Done)+made >= int(row.Count) {
			p.Status, p.EndedAt, over = "done", &now, true
		}
		return q.ReplayProgress(ctx, tx, p)
	})
	return made, over, err
}

// replayDue is how many deliveries a replay should have made by now and has not: its rate holds from its beginning,
// however often it is looked at.
func replayDue(row queries.Replay, now time.Time) int64 {
	lasted := now.Sub(row.CreatedAt).Milliseconds()
	due := int64(row.Rate) + lasted*int64(row.Rate)/1000 - int64(row.Done)
	return max(min(due, int64(row.Count-row.Done)), 0)
}

func (s *Service) replayTx(ctx context.Context, tx pgx.Tx, now time.Time, row queries.Replay, most int) ([]queries.ReplayNextRow, error) {
	if most == 0 {
		return nil, nil
	}
	q := queries.New()
	found, err := q.ReplayNext(ctx, tx, queries.ReplayNextParams{
		MerchantID: row.MerchantID, Livemode: row.Livemode, Since: row.Since, Until: row.Until, After: row.Cursor,
		SubscriptionID: (*string)(row.SubscriptionID), Most: int32(most),
	})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	jobs := make([]queued, len(found))
	p := queries.ReplayDeliveriesInsertParams{MerchantID: string(row.MerchantID), Livemode: row.Livemode, Now: now, ReplayID: string(row.ID)}
	for i, d := range found {
		jobs[i] = queued{id.New[id.Delivery](now), d.Slow}
		p.Ids, p.Events, p.Subscriptions = append(p.Ids, string(jobs[i].delivery)), append(p.Events, string(d.EventID)), append(p.Subscriptions, string(d.SubscriptionID))
		p.Types, p.Resources, p.ReplaysOf = append(p.Types, d.EventType), append(p.Resources, d.ResourceID), append(p.ReplaysOf, string(d.ID))
	}
	if err := q.ReplayDeliveriesInsert(ctx, tx, p); err != nil {
		return nil, err
	}
	return found, s.enqueueTx(ctx, tx, time.Time{}, jobs...)
}

func replay(row queries.Replay) Replay {
	out := Replay{
		ID: row.ID, Since: row.Since, Until: row.Until, Rate: int(row.Rate), Count: int(row.Count), Done: int(row.Done),
		Status: row.Status, CreatedAt: row.CreatedAt, EndedAt: row.EndedAt,
	}
	if row.SubscriptionID != nil {
		out.Subscription = *row.SubscriptionID
	}
	return out
}

func optional(s id.Subscription) *id.Subscription {
	if s == "" {
		return nil
	}
	return &s
}
