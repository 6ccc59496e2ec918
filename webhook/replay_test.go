package webhook_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/id"
	"xsynesis/webhook"
)

// giveUp ends the shop's pending deliveries as if their tries had failed.
func (s *testShop) giveUp(t *testing.T) {
	t.Helper()
	for _, sql := range []string{
		`DELETE FROM river_job WHERE kind = 'deliver'`,
		`INSERT INTO tries (delivery_id, number, attempt, state, lease, url, request_headers, started_at, ended_at)
			SELECT id, 1, 1, 'failed', '', '', '{}', created_at, created_at FROM deliveries WHERE status = 'pending'`,
		`UPDATE deliveries SET status = 'failed', reason = 'away', tries = 1, next_try_at = NULL, ended_at = created_at WHERE status = 'pending'`,
	} {
		_, err := s.pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
}

func (s *testShop) awaitReplay(t *testing.T, of id.Replay, is func(webhook.Replay) bool) webhook.Replay {
	t.Helper()
	var r webhook.Replay
	require.Eventually(t, func() bool {
		var err error
		r, err = s.hooks.Replay(t.Context(), s.merchant, false, of)
		require.NoError(t, err)
		return is(r)
	}, soon, 20*time.Millisecond)
	return r
}

func TestADeliveryIsSentAgainWithTheSameIDAndBytes(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := receive(t, nil)
	s.listenAt(t, r)
	s.dispatch(t)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	first := s.awaitOnly(t, "delivered", is(webhook.Delivered))
	again, err := s.hooks.Redeliver(t.Context(), s.merchant, false, first.ID, ada)
	require.NoError(t, err)
	calls := r.await(t, 2)
	sameBytes(t, calls)
	second := s.awaitOnly(t, "delivered", is(webhook.Delivered))
	require.Equal(t, again, second.ID)
	require.Equal(t, &first.ID, second.ReplayOf)
	s.sound(t)

	other := s.found(t, "bakery")
	_, err = s.hooks.Redeliver(t.Context(), other, false, first.ID, ada)
	require.ErrorIs(t, err, webhook.ErrNotFound)
	_, err = s.hooks.Delivery(t.Context(), other, false, first.ID)
	require.ErrorIs(t, err, webhook.ErrNotFound)
	_, err = s.hooks.Delivery(t.Context(), s.merchant, true, first.ID)
	require.ErrorIs(t, err, webhook.ErrNotFound)
}

func TestAllThatFailedIsSentAgainAtItsRate(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r, aside := receive(t, nil), receive(t, nil)
	of, _ := s.listenAt(t, r, webhook.PaymentCompleted)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_before"))
	s.giveUp(t)
	s.pass(t, time.Hour)
	since := s.clock.now()
	s.listenAt(t, aside, webhook.PaymentCompleted)
	const events, rate = 30, 10
	for n := range events {
		s.publish(t, s.event(webhook.PaymentCompleted, fmt.Sprintf("pa_%d", n)))
	}
	s.giveUp(t)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_pending"))

	form := webhook.ReplayForm{Subscription: of.ID, Since: since, Rate: rate, DryRun: true}
	dry, err := s.hooks.ReplayFailed(t.Context(), s.merchant, false, form, ada)
	require.NoError(t, err)
	require.Equal(t, events, dry.Count)
	require.Empty(t, dry.ID)
	require.Zero(t, s.count(t, `SELECT count(*) FROM replays`))
	form.Subscription = ""
	all, err := s.hooks.ReplayFailed(t.Context(), s.merchant, false, form, ada)
	require.NoError(t, err)
	require.Equal(t, 2*events, all.Count)

	s.dispatch(t)
	r.await(t, 1) // what was pending
	form.Subscription, form.DryRun = of.ID, false
	began := time.Now()
	replay, err := s.hooks.ReplayFailed(t.Context(), s.merchant, false, form, ada)
	require.NoError(t, err)
	half := s.awaitReplay(t, replay.ID, func(r webhook.Replay) bool { return r.Done > 0 })
	require.Less(t, half.Done, events, "not all at once")
	done := s.awaitReplay(t, replay.ID, func(r webhook.Replay) bool { return r.Delivered == events })
	require.Equal(t, "done", done.Status)
	require.Equal(t, events, done.Done)
	lasted := time.Since(began)
	require.Greater(t, lasted, time.Second*(events-2*rate)/rate)
	t.Logf("%d at %d a second took %s", events, rate, lasted.Round(time.Millisecond))
	require.Len(t, r.got(), events+1)
	require.Len(t, aside.got(), 1)
	s.sound(t)

	dry, err = s.hooks.ReplayFailed(t.Context(), s.merchant, false, webhook.ReplayForm{Subscription: of.ID, Since: since, DryRun: true}, ada)
	require.NoError(t, err)
	require.Zero(t, dry.Count, "what was sent again is not sent a third time")
	earlier, err := s.hooks.ReplayFailed(t.Context(), s.merchant, false, webhook.ReplayForm{Subscription: of.ID, Since: since.Add(-2 * time.Hour), DryRun: true}, ada)
	require.NoError(t, err)
	require.Equal(t, 1, earlier.Count)
}

func TestAReplayGoesOnWhenItsProcessDied(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := receive(t, nil)
	s.listenAt(t, r)
	const events = 20
	for n := range events {
		s.publish(t, s.event(webhook.PaymentCompleted, fmt.Sprintf("pa_%d", n)))
	}
	s.giveUp(t)
	first := s.dispatch(t)
	replay, err := s.hooks.ReplayFailed(t.Context(), s.merchant, false, webhook.ReplayForm{Since: s.clock.now().Add(-time.Hour), Rate: 5}, ada)
	require.NoError(t, err)
	s.awaitReplay(t, replay.ID, func(r webhook.Replay) bool { return r.Done > 0 })
	first.kill(t, s)
	_, err = s.pool.Exec(t.Context(), `DELETE FROM river_job`)
	require.NoError(t, err)
	s.dispatch(t)
	s.awaitReplay(t, replay.ID, func(r webhook.Replay) bool { return r.Delivered == events })
	require.Equal(t, events, s.count(t, `SELECT count(*) FROM deliveries WHERE replay_id IS NOT NULL`))
	s.sound(t)
}

func TestWhatAReplayCannotBeAskedIsRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	now := s.clock.now()
	for name, form := range map[string]webhook.ReplayForm{
		"since": {}, "future": {Since: now.Add(time.Hour)}, "negative": {Since: now, Rate: -1}, "too fast": {Since: now, Rate: 10_001},
	} {
		_, err := s.hooks.ReplayFailed(t.Context(), s.merchant, false, form, ada)
		var field *webhook.FieldError
		require.ErrorAs(t, err, &field, name)
	}
	_, err := s.hooks.ReplayFailed(t.Context(), s.merchant, false, webhook.ReplayForm{Since: now, Subscription: id.New[id.Subscription](now)}, ada)
	require.ErrorIs(t, err, webhook.ErrNotFound)
	_, err = s.hooks.Replay(t.Context(), s.merchant, false, id.New[id.Replay](now))
	require.ErrorIs(t, err, webhook.ErrNotFound)
}
