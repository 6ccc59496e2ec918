package webhook_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"xsynesis/id"
	"xsynesis/webhook"
)

func TestWhatIsRolledBackWasNeverTold(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.subscribe(t)
	undone := errors.New("undone")
	err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
		require.NoError(t, s.hooks.PublishTx(t.Context(), tx, s.clock.now(), s.event(webhook.PaymentCompleted, "pa_1")))
		return undone
	})
	require.ErrorIs(t, err, undone)
	require.Zero(t, s.count(t, `SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM deliveries) + (SELECT count(*) FROM river_job)`))
}

func TestAnEventReachesEachSubscriptionThatAskedForItOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	all, payments := s.subscribe(t), s.subscribe(t, webhook.PaymentCompleted, webhook.PaymentFailed)
	twin := s.subscribe(t, webhook.PaymentCompleted) // of the same URL
	s.subscribe(t, webhook.LinkExpired)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"), s.event(webhook.SettlementConfirmed, "stl_1"))

	told := func(typ webhook.Type) (to []id.Subscription) {
		rows, err := s.pool.Query(t.Context(), `SELECT subscription_id FROM deliveries WHERE event_type = $1 AND status = 'pending' ORDER BY id`, typ)
		require.NoError(t, err)
		to, err = pgx.CollectRows(rows, pgx.RowTo[id.Subscription])
		require.NoError(t, err)
		return to
	}
	require.ElementsMatch(t, []id.Subscription{all.ID, payments.ID, twin.ID}, told(webhook.PaymentCompleted))
	require.Equal(t, []id.Subscription{all.ID}, told(webhook.SettlementConfirmed))
	require.Equal(t, 4, s.count(t, `SELECT count(*) FROM river_job JOIN deliveries ON deliveries.id = river_job.args->>'delivery'
		WHERE river_job.kind = 'deliver' AND river_job.queue = 'webhook' AND river_job.state = 'available'`), "a job each")
	require.Equal(t, 4, s.count(t, `SELECT sum(subscribers) FROM events`))
}

func TestWhoIsNotToHearGetsNoDelivery(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	form := webhook.SubscriptionForm{URL: "https://shop.example/hooks", Active: true}
	off := false
	paused, disabled, removed := s.subscribe(t), s.subscribe(t), s.subscribe(t)
	_, err := s.hooks.Update(t.Context(), s.merchant, false, paused.ID, webhook.SubscriptionUpdate{Active: &off}, ada)
	require.NoError(t, err)
	_, err = s.pool.Exec(t.Context(), `UPDATE subscriptions SET status = 'disabled', disabled_at = now() WHERE id = $1`, disabled.ID)
	require.NoError(t, err)
	_, err = s.hooks.Unregister(t.Context(), s.merchant, false, removed.ID, ada)
	require.NoError(t, err)
	_, _, err = s.hooks.Register(t.Context(), s.merchant, true, form, ada) // of live mode
	require.NoError(t, err)
	_, _, err = s.hooks.Register(t.Context(), s.found(t, "bakery"), false, form, ada)
	require.NoError(t, err)

	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM events WHERE subscribers = 0`))
	require.Zero(t, s.count(t, `SELECT (SELECT count(*) FROM deliveries) + (SELECT count(*) FROM river_job)`))
}

func TestDeliveriesOfASlowServerWaitApart(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	slow, quick := s.subscribe(t), s.subscribe(t)
	_, err := s.pool.Exec(t.Context(), `UPDATE subscriptions SET slow = true WHERE id = $1`, slow.ID)
	require.NoError(t, err)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	queue := `SELECT count(*) FROM river_job JOIN deliveries ON deliveries.id = river_job.args->>'delivery' WHERE subscription_id = $1 AND queue = $2`
	require.Equal(t, 1, s.count(t, queue, slow.ID, webhook.QueueWebhookSlow))
	require.Equal(t, 1, s.count(t, queue, quick.ID, webhook.QueueWebhook))
}

func TestTheBodyIsWrittenAsPromisedToTheLetter(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	event := s.event(webhook.PaymentCompleted, "pa_1")
	event.Payload = json.RawMessage(`{"item_title": "Fish & <Chips> \u2028 ü", "b": 1, "a": null}`)
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	require.NoError(t, pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
		return s.hooks.PublishTx(t.Context(), tx, at, event, event)
	}))
	for i, e := range s.feed(t, 2) {
		want := fmt.Sprintf(`{"id":"%s","event_type":"payment.completed","seller_id":"%s","livemode":false,"resource_type":"payment_attempt",`+
			`"resource_id":"pa_1","sequence":%d,"payload":{"item_title":"Fish & <Chips> \u2028 ü","b":1,"a":null},"timestamp":"2026-01-02T03:04:05Z"}`,
			e.ID, s.merchant, i+1)
		require.True(t, want == string(e.raw), "%s\n%s", want, e.raw) //nolint:testifylint // the bytes are signed, so their order counts
	}
}

func TestWhatCannotBeWrittenIsRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for name, c := range map[string]struct {
		event webhook.Event
		want  error
	}{
		"an unknown type": {webhook.Event{Type: "payment.imagined", Payload: struct{}{}}, webhook.ErrUnknownType},
		"no UTF-8":        {webhook.Event{Type: webhook.WebhookTest, Payload: webhook.TestPayload{Message: "caf\xe9"}}, webhook.ErrBody},
		"a NUL":           {webhook.Event{Type: webhook.WebhookTest, Payload: webhook.TestPayload{Message: "a\x00b"}}, webhook.ErrBody},
		"a NUL after an escape": {webhook.Event{Type: webhook.WebhookTest, Payload: webhook.TestPayload{Message: "\\\"\x00"}},
			webhook.ErrBody},
		"too long": {webhook.Event{Type: webhook.WebhookTest, Payload: webhook.TestPayload{Message: strings.Repeat("a", 64<<10)}}, webhook.ErrBody},
		"a resource without UTF-8": {webhook.Event{Type: webhook.WebhookTest, ResourceID: "pa_\xff", Payload: webhook.TestPayload{}},
			webhook.ErrBody},
		"no JSON": {webhook.Event{Type: webhook.WebhookTest, Payload: json.RawMessage(`{`)}, webhook.ErrBody},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.event.Merchant = s.merchant
			err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
				return s.hooks.PublishTx(t.Context(), tx, s.clock.now(), c.event)
			})
			require.ErrorIs(t, err, c.want)
		})
	}
	t.Run("what only looks like it is written", func(t *testing.T) {
		t.Parallel()
		event := s.event(webhook.WebhookTest, "ws_odd")
		event.Payload = webhook.TestPayload{Message: `\u0000 \ufffd � "` + "\u2028\\"}
		s.publish(t, event)
	})
}

// publishers of one resource at a time, which they lock as every caller does.
const publishers = 50

func TestEventsOfAResourceAreNumberedWithoutGapsWhoeverPublishes(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	_, err := s.pool.Exec(t.Context(), `CREATE TABLE resources (id text PRIMARY KEY); INSERT INTO resources VALUES ('pa_1'), ('pa_2')`)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for n := range publishers {
		wg.Go(func() {
			resource := []string{"pa_1", "pa_2"}[n%2]
			err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
				if _, err := tx.Exec(t.Context(), `SELECT FROM resources WHERE id = $1 FOR UPDATE`, resource); err != nil {
					return err
				}
				return s.hooks.PublishTx(t.Context(), tx, s.clock.now(),
					s.event(webhook.PaymentAttemptCreated, resource), s.event(webhook.PaymentCompleted, resource))
			})
			if err != nil {
				t.Errorf("publish: %v", err)
			}
		})
	}
	wg.Wait()
	numbers := map[string][]int64{}
	for _, e := range s.feed(t, 2*publishers) {
		numbers[e.ResourceID] = append(numbers[e.ResourceID], e.Sequence)
	}
	for resource, got := range numbers {
		slices.Sort(got)
		for i, n := range got {
			require.Equal(t, int64(i+1), n, resource)
		}
		require.Len(t, got, publishers)
	}
}

func TestNumbersGoOnAfterTheEventsAreNoLongerKept(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.publish(t, s.event(webhook.PaymentAttemptCreated, "pa_1"), s.event(webhook.PaymentCompleted, "pa_1"))
	_, err := s.pool.Exec(t.Context(), `INSERT INTO event_sequences SELECT resource_id, max(sequence) FROM events GROUP BY resource_id; DELETE FROM events`)
	require.NoError(t, err)
	s.publish(t, s.event(webhook.PaymentLate, "pa_1"))
	require.Equal(t, int64(3), s.feed(t, 1)[0].Sequence)
}

func TestAnEventIsNeverChanged(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	_, err := s.pool.Exec(t.Context(), `UPDATE events SET body = 'x'`)
	require.ErrorContains(t, err, "append-only")
}
