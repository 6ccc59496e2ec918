package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"xsynesis/egress"
	"xsynesis/queries"
)

// record writes down what a try came to, in one transaction with what follows from it, and returns when the delivery is
// due again. Rows are locked in the order of [Service.claim], after the subscription where that changes.
func (s *Service) record(ctx context.Context, row queries.DeliveryDueRow, c claim, v verdict) (time.Time, error) {
	var health queries.SubscriptionHealth
	var lost bool
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if v.gone {
			if err := s.disableTx(ctx, tx, v.at, row.Subscription, "Your server answered 410 Gone, which asks us to stop."); err != nil {
				return err
			}
		}
		if lost, err = s.recordTx(ctx, tx, row, c, v); err != nil || lost {
			return err
		}
		if health, err = s.healthTx(ctx, tx, row, c, v); err != nil || !c.inLine || v.ok || v.last {
			return err
		}
		return s.enqueueTx(ctx, tx, v.next, queued{row.Delivery.ID, row.Subscription.Slow})
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("record a try of %s: %w", row.Delivery.ID, err)
	}
	if lost { // this process took longer than its lease; whoever has it now says when
		return s.now().Add(s.o.Timeout), nil
	}
	if !v.ok {
		slog.InfoContext(ctx, "webhook failed", "delivery", row.Delivery.ID, "event", row.Delivery.EventID, "subscription", row.Subscription.ID,
			"merchant", row.Delivery.MerchantID, "attempt", c.attempt, "class", v.class, "status", v.answer.Status)
	}
	return v.next, s.followUp(ctx, row, health)
}

// recordTx ends the try and moves its delivery, unless the lease was lost.
func (s *Service) recordTx(ctx context.Context, tx pgx.Tx, row queries.DeliveryDueRow, c claim, v verdict) (lost bool, err error) {
	q, d := queries.New(), row.Delivery
	if _, err := q.SlotFree(ctx, tx, queries.SlotFreeParams{SubscriptionID: d.SubscriptionID, Slot: c.slot, Lease: c.lease}); err != nil {
		return false, err
	}
	p := queries.DeliveryRecordParams{
		ID: d.ID, Lease: c.lease, LastStatus: int32(v.answer.Status), LastClass: v.class, LastMs: toMillis(v.answer.Took), LastTryAt: &c.beginsAt,
	}
	switch {
	case v.ok:
		p.Status, p.EndedAt = string(Delivered), &v.at
	case v.last:
		p.Status, p.EndedAt, p.Reason = string(Failed), &v.at, v.reason
	default:
		p.Status, p.NextTryAt = string(Pending), &v.next
	}
	if n, err := q.DeliveryRecord(ctx, tx, p); err != nil || n == 0 {
		return true, err
	}
	state := TryFailed
	if v.ok {
		state = TrySucceeded
	}
	headers, err := json.Marshal(headersKept(v.answer.Header))
	if err != nil {
		return false, err
	}
	_, err = q.TryEnd(ctx, tx, queries.TryEndParams{
		DeliveryID: d.ID, Number: c.number, Lease: c.lease, State: state, EndedAt: &v.at, Status: int32(v.answer.Status), Class: v.class, Error: v.reason,
		ConnectedMs: toMillis(v.answer.Connected), LatencyMs: toMillis(v.answer.Took), Tls: v.answer.TLS,
		AnswerHeaders: headers, Answer: nonNil(v.answer.Body), AnswerBytes: v.answer.Bytes, NextTryAt: p.NextTryAt,
	})
	return false, err
}

// abandon gives a try up that this process was stopped in: it costs nothing, and is made again at once.
func (s *Service) abandon(ctx context.Context, row queries.DeliveryDueRow, c claim) (time.Time, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	q, d, now := queries.New(), row.Delivery, s.now()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := q.SlotFree(ctx, tx, queries.SlotFreeParams{SubscriptionID: d.SubscriptionID, Slot: c.slot, Lease: c.lease}); err != nil {
			return err
		}
		if n, err := q.DeliveryRelease(ctx, tx, queries.DeliveryReleaseParams{ID: d.ID, Lease: c.lease}); err != nil || n == 0 {
			return err
		}
		if _, err := q.TryEnd(ctx, tx, queries.TryEndParams{
			DeliveryID: d.ID, Number: c.number, Lease: c.lease, State: TryInterrupted, EndedAt: &now, Class: egress.ClassInterrupted, Error: sentenceOver,
			AnswerHeaders: []byte("{}"), Answer: []byte{},
		}); err != nil {
			return err
		}
		if c.probe {
			if err := q.HealthUnprobe(ctx, tx, d.SubscriptionID); err != nil {
				return err
			}
		}
		if !c.inLine {
			return nil
		}
		return s.enqueueTx(ctx, tx, time.Time{}, queued{d.ID, row.Subscription.Slow})
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("give up a try of %s: %w", d.ID, err)
	}
	return now, nil
}

// headersKept is what is kept of an answer's headers: as text, and not more than a few kilobytes.
func headersKept(h http.Header) http.Header {
	kept, size := http.Header{}, 0
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			if size += len(name) + len(value); size > maxAnswerHeaders {
				return kept
			}
			kept.Add(storable(name), storable(value))
		}
	}
	return kept
}

// storable leaves out what the database cannot hold in a text.
func storable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsRune(s, 0) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "")
}

func toMillis(d time.Duration) int32 { return int32(min(d, time.Hour).Milliseconds()) }

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
