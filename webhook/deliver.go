package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"xsynesis/id"
	"xsynesis/queries"
)

const (
	// lineTime is how long a job goes on with what else waits for the same server.
	lineTime = 5 * time.Second
	// A delivery that waits for its server asks again after as long as it has waited, within these bounds, and up to as
	// long again: thousands that wait for one server cost next to nothing. The line is what serves them sooner.
	waitLeast = 30 * time.Second
	waitMost  = 10 * time.Minute
	// probeSpread is how soon after the breaker's pause those that just came ask again.
	probeSpread = 2 * time.Second
)

// Deliver makes the next try of a delivery, if that is due and its server may be called now, and goes on for a few
// seconds with what else waits for the same server. It may be run at any time, any number of times, by any number of
// processes. The delivery's row says when it is due again: the answer is a snooze until then.
//
// queue is where the job stands: what goes to a slow server is moved to the queue of those.
func (s *Service) Deliver(ctx context.Context, of id.Delivery, queue string) error {
	began := s.now()
	t, err := s.deliver(ctx, of, turnOptions{queue: queue})
	if err != nil {
		return err
	}
	if t.called {
		if err := s.serveLine(ctx, t.subscription, t.slow, began.Add(lineTime)); err != nil {
			slog.WarnContext(ctx, "serving the line of a webhook", "subscription", t.subscription, "error", err)
		}
	}
	if t.again.IsZero() {
		return nil
	}
	return river.JobSnooze(max(t.again.Sub(s.now()), 0))
}

// turn is what came of looking at a delivery.
type turn struct {
	subscription id.Subscription
	slow         bool
	called       bool      // the server was
	denied       bool      // the server may not be called now
	again        time.Time // when the delivery is to be looked at again; zero: never
}

type turnOptions struct {
	queue  string // of its job
	inLine bool   // it has no job of its own that is due
}

// deliver makes the next try of a delivery, or finds out why not.
func (s *Service) deliver(ctx context.Context, of id.Delivery, o turnOptions) (turn, error) {
	row, err := queries.New().DeliveryDue(ctx, s.pool, of)
	if errors.Is(err, pgx.ErrNoRows) { // no longer kept
		return turn{}, nil
	}
	if err != nil {
		return turn{}, fmt.Errorf("delivery %s: %w", of, err)
	}
	d, to, now := row.Delivery, row.Subscription, s.now()
	t := turn{subscription: to.ID, slow: to.Slow}
	reason, over := endless(d, to)
	switch {
	case d.Status != string(Pending):
		return t, nil
	case d.LeaseUntil != nil && now.Before(*d.LeaseUntil):
		t.again = *d.LeaseUntil // whoever has it may die
		return t, nil
	case over:
		return t, s.cancel(ctx, of, reason)
	case d.NextTryAt.After(now):
		t.again = *d.NextTryAt
		return t, nil
	case to.Slow && o.queue == QueueWebhook:
		_, err := s.jobs.Insert(ctx, DeliverArgs{Delivery: of}, &river.InsertOpts{Queue: QueueWebhookSlow})
		return t, err
	}
	return s.attempt(ctx, row, t, o)
}

// endless tells why a delivery is not to be sent any more. A test goes also where nothing else does.
func endless(d queries.Delivery, to queries.Subscription) (reason string, over bool) {
	switch {
	case to.RemovedAt != nil:
		return "The webhook was unregistered.", true
	case to.Status == string(Disabled) && !isTest(d):
		return "The webhook is disabled.", true
	default:
		return "", false
	}
}

func isTest(d queries.Delivery) bool { return d.EventType == string(WebhookTest) }

func (s *Service) cancel(ctx context.Context, of id.Delivery, reason string) error {
	if err := queries.New().DeliveryCancel(ctx, s.pool, queries.DeliveryCancelParams{ID: of, Reason: reason, Over: sentenceOver, Now: s.now()}); err != nil {
		return fmt.Errorf("cancel %s: %w", of, err)
	}
	return nil
}

// attempt calls the server, if it may be called now.
func (s *Service) attempt(ctx context.Context, row queries.DeliveryDueRow, t turn, o turnOptions) (turn, error) {
	if row.Subscription.Status == string(Paused) && !isTest(row.Delivery) {
		return s.wait(ctx, row, t, nil)
	}
	if ok, until := closed(row.SubscriptionHealth, s.now()); !ok && !isTest(row.Delivery) {
		return s.wait(ctx, row, t, &until)
	}
	c, err := s.claim(ctx, row)
	if errors.Is(err, errNoSlot) {
		if t, err = s.wait(ctx, row, t, nil); err != nil {
			return t, err
		}
		// Whoever freed a slot before this one stood in the line did not see it.
		free, err := queries.New().SlotIsFree(ctx, s.pool, queries.SlotIsFreeParams{SubscriptionID: t.subscription, Now: s.now()})
		if err != nil || !free {
			return t, err
		}
		if c, err = s.claim(ctx, row); errors.Is(err, errNoSlot) {
			return t, nil
		}
		return s.called(ctx, row, c, t, o, err)
	}
	return s.called(ctx, row, c, t, o, err)
}

// called makes the try that was claimed, unless the claim was denied.
func (s *Service) called(ctx context.Context, row queries.DeliveryDueRow, c claim, t turn, o turnOptions, denied error) (turn, error) {
	switch {
	case errors.Is(denied, errOpen): // this moment
		soon := s.now().Add(probeSpread)
		return s.wait(ctx, row, t, &soon)
	case errors.Is(denied, errTaken):
		t.again = s.now().Add(s.o.Timeout)
		return t, nil
	case denied != nil:
		return t, denied
	}
	c.inLine, t.denied, t.called = o.inLine, false, true
	var err error
	t.again, err = s.try(ctx, row, c)
	return t, err
}

// wait puts a delivery that is due into its server's line, and says when it asks again by itself: after until, where
// that is when the breaker lets a probe through.
func (s *Service) wait(ctx context.Context, row queries.DeliveryDueRow, t turn, until *time.Time) (turn, error) {
	now := s.now()
	since, err := queries.New().DeliveryWait(ctx, s.pool, queries.DeliveryWaitParams{ID: row.Delivery.ID, Over: sentenceOver, Now: now})
	if errors.Is(err, pgx.ErrNoRows) { // somebody else has it
		t.again = now.Add(s.o.Timeout)
		return t, nil
	}
	if err != nil {
		return t, fmt.Errorf("let %s wait: %w", row.Delivery.ID, err)
	}
	t.denied = true
	t.again = waitUntil(now, now.Sub(since), until)
	return t, nil
}

func waitUntil(now time.Time, waited time.Duration, until *time.Time) time.Time {
	waited = min(max(waited, 0), waitMost)
	if until != nil {
		return until.Add(spread(max(waited, probeSpread)))
	}
	waited = max(waited, waitLeast)
	return now.Add(waited + spread(waited))
}

// spread draws a part of a time, so that those who wait do not come back together.
func spread(d time.Duration) time.Duration {
	return time.Duration(draw(int(d)))
}

func draw(n int) int { return rand.IntN(n) } //nolint:gosec // it spreads load and guards nothing
