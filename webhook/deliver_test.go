package webhook_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/egress"
	"xsynesis/id"
	"xsynesis/webhook"
)

func TestAnEventArrivesAndIsLogged(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := receive(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("X-Request-Id", "abc")
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte("<b>thank you</b> \xff\x00"))
	})
	subscription, secret := s.listenAt(t, r)
	s.dispatch(t)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))

	d := s.awaitOnly(t, "delivered", is(webhook.Delivered))
	calls := r.await(t, 1)
	require.Len(t, calls, 1)
	require.Equal(t, s.feed(t, 1)[0].raw, calls[0].body)
	hexed, _ := webhook.Sign(secret, d.Event, time.Time{}, calls[0].body)
	require.Equal(t, hexed, calls[0].header.Get("X-Webhook-Signature"))
	require.Equal(t, string(d.Event), calls[0].header.Get("webhook-id"))
	require.Equal(t, "1", calls[0].header.Get("X-Webhook-Attempt"))

	require.Len(t, d.Log, 1)
	try := d.Log[0]
	require.Equal(t, webhook.TrySucceeded, try.State)
	require.Equal(t, http.StatusAccepted, try.Status)
	require.Equal(t, "abc", try.AnswerHeader.Get("X-Request-Id"))
	require.Equal(t, []byte("<b>thank you</b> \xff\x00"), try.Answer, "the answer's bytes are kept as they came")
	require.Equal(t, "redacted", try.Header.Get("X-Webhook-Signature"))
	require.Equal(t, "redacted", try.Header.Get("webhook-signature"))
	require.Equal(t, "payment.completed", try.Header.Get("X-Webhook-Event"))
	require.Equal(t, calls[0].body, d.Body)
	require.Equal(t, 1, d.Tries)
	require.Nil(t, d.NextTry)
	require.Zero(t, s.count(t, `SELECT count(*) FROM tries WHERE request_headers::text LIKE '%' || $1 || '%'`, hexed), "a signature is in the log")

	after, err := s.hooks.Subscription(t.Context(), s.merchant, false, subscription.ID)
	require.NoError(t, err)
	require.NotNil(t, after.Health.LastDeliveredAt)
	s.sound(t)
}

func TestAServerThatFailsFourTimesIsToldAtTheFifthTry(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := receive(t, status(500, 503, 404, 500, 200))
	s.listenAt(t, r)
	s.dispatch(t)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))

	minutes := []time.Duration{2, 4, 8, 16}
	for n, wait := range minutes {
		d := s.awaitOnly(t, "failed", finished(n+1))
		failed := *d.Log[n].EndedAt
		require.Equal(t, webhook.Pending, d.Status)
		require.WithinRange(t, *d.NextTry, failed.Add(wait*time.Minute), failed.Add(wait*time.Minute+wait*6*time.Second+time.Millisecond))
		require.Equal(t, d.NextTry, d.Log[n].NextTry)
		require.Len(t, d.Plan, 4-n)

		s.pass(t, d.NextTry.Sub(s.clock.now())-2*time.Second)
		time.Sleep(300 * time.Millisecond)
		require.Len(t, r.got(), n+1, "tried too early")
		s.pass(t, 2*time.Second)
		r.await(t, n+2)
	}
	d := s.awaitOnly(t, "delivered", is(webhook.Delivered))
	require.Equal(t, 5, d.Tries)
	require.Len(t, d.Log, 5)
	since := func(n int) time.Duration { return d.Log[n].StartedAt.Sub(d.Log[0].StartedAt) }
	for n, at := range []time.Duration{0, 2, 6, 14, 30} {
		late := at * 6 * time.Second // a tenth
		require.InDelta(t, (at*time.Minute + late/2).Seconds(), since(n).Seconds(), late.Seconds()/2+5, "try %d", n+1)
		require.Equal(t, fmt.Sprint(n+1), r.got()[n].header.Get("X-Webhook-Attempt"))
	}
	sameBytes(t, r.got())
	s.sound(t)
}

func TestAfterTheFifthFailureADeliveryIsGivenUpAndTheShopIsToldOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := receive(t, status(500))
	s.listenAt(t, r, webhook.PaymentCompleted)
	s.dispatch(t)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	for n := range 5 {
		s.awaitOnly(t, "failed", finished(n+1))
		s.pass(t, 20*time.Minute)
	}
	d := s.awaitOnly(t, "given up", is(webhook.Failed))
	require.Equal(t, "Your server answered 500 Internal Server Error.", d.Reason)
	require.Nil(t, d.NextTry)
	require.Empty(t, d.Plan)

	again, err := s.hooks.Redeliver(t.Context(), s.merchant, false, d.ID, ada)
	require.NoError(t, err)
	for range 5 {
		s.pass(t, 20*time.Minute)
		time.Sleep(200 * time.Millisecond)
	}
	require.Eventually(t, func() bool {
		repeated, err := s.hooks.Delivery(t.Context(), s.merchant, false, again)
		s.pass(t, time.Minute)
		return err == nil && repeated.Status == webhook.Failed
	}, soon, 50*time.Millisecond)
	notices, err := s.hooks.Notices(t.Context(), s.merchant, false, true)
	require.NoError(t, err)
	require.Len(t, notices, 1, "one for the first, not one for each")
	require.Equal(t, "webhook_failing", notices[0].Kind)
	s.sound(t)
}

func TestAServerThatIsGoneIsToldNothingMore(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := receive(t, status(410))
	of, _ := s.listenAt(t, r, webhook.PaymentCompleted)
	s.dispatch(t)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	d := s.awaitOnly(t, "given up", is(webhook.Failed))
	require.Equal(t, 1, d.Tries)
	after, err := s.hooks.Subscription(t.Context(), s.merchant, false, of.ID)
	require.NoError(t, err)
	require.Equal(t, webhook.Disabled, after.Status)
	require.Contains(t, after.DisabledReason, "410")
	notices, err := s.hooks.Notices(t.Context(), s.merchant, false, true)
	require.NoError(t, err)
	require.Len(t, notices, 1)
	require.Equal(t, "webhook_disabled", notices[0].Kind)

	s.publish(t, s.event(webhook.PaymentCompleted, "pa_2"))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM deliveries`))
	s.sound(t)
}

func TestRedirectsAreFailuresAndNotFollowed(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	other := receive(t, nil)
	for _, code := range []int{301, 302, 307, 308} {
		r := receive(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.Header().Set("Location", other.URL)
			w.WriteHeader(code)
		})
		s.listenAt(t, r)
	}
	s.dispatch(t)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	require.Eventually(t, func() bool {
		return s.count(t, `SELECT count(*) FROM tries WHERE state = 'failed' AND class = 'redirect' AND status BETWEEN 301 AND 308`) == 4
	}, soon, look)
	require.Empty(t, other.got())
	s.sound(t)
}

func TestRetryAfterMakesTheWaitLongerAndNotShorter(t *testing.T) {
	t.Parallel()
	for asked, least := range map[string]time.Duration{"3600": time.Hour, "900": 15 * time.Minute, "86400": time.Hour, "1": 2 * time.Minute} {
		t.Run(asked, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			r := receive(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
				w.Header().Set("Retry-After", asked)
				w.WriteHeader(http.StatusTooManyRequests)
			})
			s.listenAt(t, r)
			s.dispatch(t)
			s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
			d := s.awaitOnly(t, "failed", finished(1))
			require.WithinDuration(t, d.Log[0].EndedAt.Add(least), *d.NextTry, 13*time.Second)
		})
	}
}

func TestBothSecretsSignWhileARotationLasts(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := receive(t, func(http.ResponseWriter, *http.Request, int) { time.Sleep(5 * time.Millisecond) })
	of, old := s.listenAt(t, r)
	s.dispatch(t)
	const each = 20
	tell := func(from int) {
		for n := range each {
			s.publish(t, s.event(webhook.PaymentCompleted, fmt.Sprintf("pa_%d", from+n)))
		}
	}
	go func() { time.Sleep(50 * time.Millisecond); _, _ = s.pool.Exec(t.Context(), `SELECT 1`) }()
	tell(0)
	_, fresh, err := s.hooks.RotateSecret(t.Context(), s.merchant, false, of.ID, nil, ada) // deliveries are under way
	require.NoError(t, err)
	tell(each)
	calls := r.await(t, 2*each)
	both := 0
	for _, c := range calls {
		hexed, _ := webhook.Sign(old, id.Event(c.header.Get("webhook-id")), time.Time{}, c.body)
		require.Equal(t, hexed, c.header.Get("X-Webhook-Signature"), "the old secret signs all the while")
		if next := c.header.Get("X-Webhook-Signature-Next"); next != "" {
			hexed, _ := webhook.Sign(fresh, id.Event(c.header.Get("webhook-id")), time.Time{}, c.body)
			require.Equal(t, hexed, next)
			both++
		}
	}
	require.GreaterOrEqual(t, both, each)

	s.pass(t, 24*time.Hour+time.Minute)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_after"))
	last := r.await(t, 2*each+1)[2*each]
	hexed, _ := webhook.Sign(fresh, id.Event(last.header.Get("webhook-id")), time.Time{}, last.body)
	require.Equal(t, hexed, last.header.Get("X-Webhook-Signature"), "after the overlap the new secret alone signs")
	require.Empty(t, last.header.Get("X-Webhook-Signature-Next"))
}

func TestATryThatNoProcessFinishedIsShownAndDoesNotCount(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var hangs atomic.Bool
	hangs.Store(true)
	r := receive(t, func(w http.ResponseWriter, r *http.Request, nth int) {
		if hangs.Load() {
			hang(w, r, nth)
		}
	})
	s.listenAt(t, r)
	first := s.dispatch(t)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	r.await(t, 1)
	first.kill(t, s)
	hangs.Store(false)
	s.dispatch(t)

	d := s.awaitOnly(t, "delivered", is(webhook.Delivered))
	require.Equal(t, 1, d.Tries)
	require.Len(t, d.Log, 2)
	require.Equal(t, webhook.TryInterrupted, d.Log[0].State)
	require.Equal(t, egress.ClassInterrupted, d.Log[0].Class)
	require.Equal(t, webhook.TrySucceeded, d.Log[1].State)
	calls := r.got()
	require.Len(t, calls, 2)
	sameBytes(t, calls)
	require.Equal(t, "1", calls[1].header.Get("X-Webhook-Attempt"))
	s.sound(t)
}

func TestAStopCostsNoTry(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var hangs atomic.Bool
	hangs.Store(true)
	r := receive(t, func(w http.ResponseWriter, r *http.Request, nth int) {
		if hangs.Load() {
			hang(w, r, nth)
		}
	})
	s.listenAt(t, r)
	first := s.dispatch(t, withTimeout(30*time.Second))
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	r.await(t, 1)
	began := time.Now()
	first.stop(t)
	require.Less(t, time.Since(began), 10*time.Second)
	hangs.Store(false)

	d := s.only(t)
	require.Equal(t, webhook.Pending, d.Status)
	require.Zero(t, d.Tries)
	require.Equal(t, webhook.TryInterrupted, d.Log[0].State)
	require.False(t, d.Sending)
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'deliver' AND state = 'available'`), "it is due at once")

	s.dispatch(t)
	d = s.awaitOnly(t, "delivered", is(webhook.Delivered))
	require.Equal(t, 1, d.Tries)
	sameBytes(t, r.got())
	s.sound(t)
}

func TestManyDispatchersDeliverOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	const events, dispatchers = 100, 3
	r := receive(t, nil)
	s.listenAt(t, r)
	for n := range events {
		s.publish(t, s.event(webhook.PaymentCompleted, fmt.Sprintf("pa_%d", n)))
	}
	// Every delivery has as many jobs as there are processes.
	for range dispatchers - 1 {
		_, err := s.pool.Exec(t.Context(), `INSERT INTO river_job (args, kind, max_attempts, queue, state, priority)
			SELECT jsonb_build_object('delivery', id), 'deliver', 100, 'webhook', 'available', 1 FROM deliveries`)
		require.NoError(t, err)
	}
	for range dispatchers {
		s.dispatch(t)
	}
	r.await(t, events)
	require.Eventually(t, func() bool {
		return s.count(t, `SELECT count(*) FROM deliveries WHERE status = 'delivered'`) == events
	}, soon, look)
	time.Sleep(300 * time.Millisecond)
	require.Len(t, r.got(), events)
	require.Equal(t, events, s.count(t, `SELECT count(*) FROM tries`))
	s.sound(t)
}

func TestAPausedSubscriptionsDeliveriesWaitForIt(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := receive(t, nil)
	of, _ := s.listenAt(t, r)
	for n := range 10 {
		s.publish(t, s.event(webhook.PaymentCompleted, fmt.Sprintf("pa_%d", n)))
	}
	active := func(on bool) {
		_, err := s.hooks.Update(t.Context(), s.merchant, false, of.ID, webhook.SubscriptionUpdate{Active: &on}, ada)
		require.NoError(t, err)
	}
	active(false)
	s.dispatch(t)
	require.Eventually(t, func() bool {
		return s.count(t, `SELECT count(*) FROM deliveries WHERE waits_since IS NOT NULL`) == 10
	}, soon, look)
	require.Empty(t, r.got())
	s.sound(t)
	active(true)
	r.await(t, 10)
	require.Eventually(t, func() bool { return s.count(t, `SELECT count(*) FROM deliveries WHERE status = 'delivered'`) == 10 }, soon, look)
	s.sound(t)
}

func TestWhatIsOnItsWayToARemovedWebhookIsCancelled(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := receive(t, nil)
	of, _ := s.listenAt(t, r)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	_, err := s.hooks.Unregister(t.Context(), s.merchant, false, of.ID, ada)
	require.NoError(t, err)
	s.dispatch(t)
	d := s.awaitOnly(t, "cancelled", is(webhook.Cancelled))
	require.Equal(t, "The webhook was unregistered.", d.Reason)
	require.Empty(t, r.got())
	s.sound(t)
}

func TestATestGoesAlsoToAPausedWebhook(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := receive(t, nil)
	of, _ := s.listenAt(t, r)
	off := false
	_, err := s.hooks.Update(t.Context(), s.merchant, false, of.ID, webhook.SubscriptionUpdate{Active: &off}, ada)
	require.NoError(t, err)
	s.dispatch(t)
	sent, err := s.hooks.Test(t.Context(), s.merchant, false, of.ID)
	require.NoError(t, err)
	r.await(t, 1)
	d := s.awaitOnly(t, "delivered", is(webhook.Delivered))
	require.Equal(t, sent, d.ID)
}

func TestOnlyAfterThreeDaysAndAHundredFailuresAServerIsToldNoMore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		failures int
		since    time.Duration
		disabled bool
	}{
		"both":                {99, 73 * time.Hour, true},
		"too few":             {98, 73 * time.Hour, false},
		"not for long enough": {200, 71 * time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			r := receive(t, status(500))
			of, _ := s.listenAt(t, r, webhook.PaymentCompleted)
			_, err := s.pool.Exec(t.Context(), `UPDATE subscription_health SET failures = $1, failing_since = $2`, c.failures, s.clock.now().Add(-c.since))
			require.NoError(t, err)
			s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
			s.dispatch(t)
			s.awaitOnly(t, "tried", finished(1))
			time.Sleep(100 * time.Millisecond)
			after, err := s.hooks.Subscription(t.Context(), s.merchant, false, of.ID)
			require.NoError(t, err)
			require.Equal(t, c.disabled, after.Status == webhook.Disabled)
			notices, err := s.hooks.Notices(t.Context(), s.merchant, false, true)
			require.NoError(t, err)
			if !c.disabled {
				require.Empty(t, notices)
				return
			}
			require.Len(t, notices, 1)
			s.awaitOnly(t, "cancelled", is(webhook.Cancelled))
			s.sound(t)
		})
	}
}
