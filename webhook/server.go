package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

// healthTx counts a try for its server, and tells the shop the first time that a delivery is given up.
func (s *Service) healthTx(ctx context.Context, tx pgx.Tx, row queries.DeliveryDueRow, c claim, v verdict) (queries.SubscriptionHealth, error) {
	q := queries.New()
	was, err := q.HealthForUpdate(ctx, tx, row.Subscription.ID)
	if err != nil {
		return was, err
	}
	h := after(was, heard{at: v.at, ok: v.ok, took: v.answer.Took, probe: c.probe})
	tell := v.last && !v.gone && h.ToldAt == nil
	if tell {
		h.ToldAt = &v.at
	}
	if err := q.HealthSet(ctx, tx, queries.HealthSetParams{
		SubscriptionID: h.SubscriptionID, LastDeliveredAt: h.LastDeliveredAt, FailingSince: h.FailingSince, Failures: h.Failures, ToldAt: h.ToldAt,
		LatencyMs: h.LatencyMs, OpenedUntil: h.OpenedUntil, Openings: h.Openings, ProbeUntil: h.ProbeUntil,
		WindowStartedAt: h.WindowStartedAt, WindowTries: h.WindowTries, WindowFailures: h.WindowFailures,
	}); err != nil || !tell {
		return h, err
	}
	return h, s.NoticeTx(ctx, tx, v.at, Notice{
		Merchant: row.Subscription.MerchantID, Livemode: row.Subscription.Livemode, Kind: "webhook_failing", Link: subscriptionPath(row.Subscription.ID),
		Text: fmt.Sprintf("%s was not told of %s: %d tries failed. %s", hostOf(row.Subscription.Url), row.Delivery.EventType, len(waits)+1, v.reason),
	})
}

// followUp does what a try of a server leads to for the server itself.
func (s *Service) followUp(ctx context.Context, row queries.DeliveryDueRow, h queries.SubscriptionHealth) error {
	to, now := row.Subscription, s.now()
	if slow := isSlow(h); slow != to.Slow {
		if err := queries.New().SubscriptionSlowSet(ctx, s.pool, queries.SubscriptionSlowSetParams{ID: to.ID, Slow: slow}); err != nil {
			return fmt.Errorf("mark %s: %w", to.ID, err)
		}
	}
	if !hopeless(h, now) || to.Status != string(Active) {
		return nil
	}
	reason := fmt.Sprintf("Your server has accepted nothing for %d hours; %d tries in a row failed.", int(now.Sub(*h.FailingSince).Hours()), h.Failures)
	if err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.disableTx(ctx, tx, now, to, reason) }); err != nil {
		return fmt.Errorf("disable %s: %w", to.ID, err)
	}
	return nil
}

// disableTx tells a server nothing more, and its shop why. What somebody is sending right now is cancelled by the
// sweeper, if it is not accepted.
func (s *Service) disableTx(ctx context.Context, tx pgx.Tx, now time.Time, to queries.Subscription, reason string) error {
	q := queries.New()
	n, err := q.SubscriptionDisable(ctx, tx, queries.SubscriptionDisableParams{ID: to.ID, Url: to.Url, Reason: reason, Now: now})
	if err != nil || n == 0 { // it is disabled or gone, or points to another server by now
		return err
	}
	if _, err := q.DeliveryCancelOf(ctx, tx, queries.DeliveryCancelOfParams{
		SubscriptionID: to.ID, Reason: "The webhook is disabled.", Now: now, Most: sweepMost,
	}); err != nil {
		return err
	}
	slog.InfoContext(ctx, "webhook disabled", "subscription", to.ID, "merchant", to.MerchantID, "reason", reason)
	return s.NoticeTx(ctx, tx, now, Notice{
		Merchant: to.MerchantID, Livemode: to.Livemode, Kind: "webhook_disabled", Link: subscriptionPath(to.ID),
		Text: hostOf(to.Url) + " is not told anything any more. " + reason,
	})
}

func subscriptionPath(s id.Subscription) string { return "/dashboard/webhooks/" + string(s) }

// hostOf is how a notice names a server.
func hostOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "Your server"
	}
	return u.Host
}
