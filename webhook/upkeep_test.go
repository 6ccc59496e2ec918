package webhook_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"xsynesis/id"
	"xsynesis/webhook"
)

func TestDeletingAnyJobLosesNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := receive(t, nil)
	s.listenAt(t, r)
	const events = 30
	for n := range events {
		s.publish(t, s.event(webhook.PaymentCompleted, fmt.Sprintf("pa_%d", n)))
	}
	_, err := s.pool.Exec(t.Context(), `DELETE FROM river_job`)
	require.NoError(t, err)
	s.dispatch(t)
	require.Eventually(t, func() bool { return s.count(t, `SELECT count(*) FROM deliveries WHERE status = 'delivered'`) == events }, soon, look)
	require.Len(t, r.got(), events)
	s.sound(t)
}

func TestAJobThatIsLostBetweenTwoTriesComesBack(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := receive(t, status(500, 200))
	s.listenAt(t, r, webhook.PaymentCompleted)
	s.dispatch(t)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	s.awaitOnly(t, "failed", finished(1))
	require.Eventually(t, func() bool {
		return s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'deliver' AND state = 'scheduled'`) == 1
	}, soon, look)
	_, err := s.pool.Exec(t.Context(), `DELETE FROM river_job WHERE kind = 'deliver'`)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'deliver' AND state = 'scheduled'`) == 1
	}, soon, look, "the sweeper gives it another one, long before it is due")
	require.Len(t, r.got(), 1)
	s.pass(t, 3*time.Minute)
	s.awaitOnly(t, "delivered", is(webhook.Delivered))
	s.sound(t)
}

func TestALineGoesOnWhenTheProcessDiedThatServedIt(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	open := make(chan struct{})
	r := receive(t, func(w http.ResponseWriter, r *http.Request, nth int) {
		select {
		case <-open:
		case <-r.Context().Done():
		}
	})
	s.listenAt(t, r)
	first := s.dispatch(t)
	const events = 50
	for n := range events {
		s.publish(t, s.event(webhook.PaymentCompleted, fmt.Sprintf("pa_%d", n)))
	}
	require.Eventually(t, func() bool {
		return s.count(t, `SELECT count(*) FROM deliveries WHERE waits_since IS NOT NULL`) > events/2
	}, soon, look)
	first.kill(t, s)
	close(open)
	s.dispatch(t)
	require.Eventually(t, func() bool {
		return s.count(t, `SELECT count(*) FROM deliveries WHERE status = 'delivered'`) >= events-8
	}, soon, look)
	s.sound(t)
}

func TestATryThatNobodyFinishedEndsWithItsCancelledDelivery(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := receive(t, hang)
	of, _ := s.listenAt(t, r)
	first := s.dispatch(t)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	r.await(t, 1)
	first.kill(t, s)
	_, err := s.hooks.Unregister(t.Context(), s.merchant, false, of.ID, ada)
	require.NoError(t, err)
	s.dispatch(t)
	d := s.awaitOnly(t, "cancelled", is(webhook.Cancelled))
	require.Equal(t, webhook.TryInterrupted, d.Log[0].State)
	s.sound(t)
}

func TestAProcessThatIsSlowerThanItsLeaseHasNoSay(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	sender, of, end := s.slowTry(t, http.StatusOK)
	s.clock.forward(time.Minute)
	require.NoError(t, s.hooks.Sweep(t.Context()))
	end()
	d := s.only(t)
	require.Equal(t, webhook.Pending, d.Status)
	require.Equal(t, webhook.TryInterrupted, d.Log[0].State)

	require.NoError(t, sender.Deliver(t.Context(), of, webhook.QueueWebhook))
	d = s.only(t)
	require.Equal(t, webhook.Delivered, d.Status)
	require.Equal(t, webhook.TrySucceeded, d.Log[1].State)
	s.sound(t)
}

func TestATryThatNobodyFinishedEndsWhenItsDeliveryWaits(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	sender, of, end := s.slowTry(t, http.StatusGone)
	s.clock.forward(time.Minute)
	off, to := false, s.only(t).Subscription
	_, err := s.hooks.Update(t.Context(), s.merchant, false, to, webhook.SubscriptionUpdate{Active: &off}, ada)
	require.NoError(t, err)
	var again *river.JobSnoozeError
	require.ErrorAs(t, sender.Deliver(t.Context(), of, webhook.QueueWebhook), &again)
	require.Equal(t, webhook.TryInterrupted, s.only(t).Log[0].State)

	asked, err := s.hooks.Test(t.Context(), s.merchant, false, to)
	require.NoError(t, err)
	require.NoError(t, sender.Deliver(t.Context(), asked, webhook.QueueWebhook))
	d, err := s.hooks.Delivery(t.Context(), s.merchant, false, of)
	require.NoError(t, err)
	require.Equal(t, webhook.Cancelled, d.Status, "the server wants to hear nothing more")
	end()
	s.sound(t)
}

// slowTry begins a try of a new event, which the server answers with end; that returns when the try is over. What comes
// to the server after it has this status.
func (s *testShop) slowTry(t *testing.T, then int) (sender *webhook.Service, of id.Delivery, end func()) {
	t.Helper()
	sender = s.sender(t, webhook.Options{})
	answer, over := make(chan struct{}), make(chan error, 1)
	r := receive(t, func(w http.ResponseWriter, r *http.Request, nth int) {
		if nth > 1 {
			w.WriteHeader(then)
			return
		}
		select {
		case <-answer:
		case <-r.Context().Done():
		}
	})
	s.listenAt(t, r, webhook.PaymentCompleted)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	of = s.only(t).ID
	go func() { over <- sender.Deliver(t.Context(), of, webhook.QueueWebhook) }()
	r.await(t, 1)
	return sender, of, func() {
		close(answer)
		var again *river.JobSnoozeError
		require.ErrorAs(t, <-over, &again)
	}
}

func TestASweepMayBeAskedForMoreOftenThanTheQueueTakesIt(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.subscribe(t)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	_, err := s.pool.Exec(t.Context(), `DELETE FROM river_job`)
	require.NoError(t, err)
	s.clock.forward(time.Minute)
	often := s.sender(t, webhook.Options{Sweep: 250 * time.Millisecond})
	require.Equal(t, time.Second, often.SweepEvery())
	require.NoError(t, often.Sweep(t.Context()))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'deliver'`))
}

func TestASweepTakesWhatIsDuePartByPart(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.subscribe(t)
	const events = 5
	for n := range events {
		s.publish(t, s.event(webhook.PaymentCompleted, fmt.Sprintf("pa_%d", n)))
	}
	_, err := s.pool.Exec(t.Context(), `UPDATE deliveries SET next_try_at = (SELECT min(created_at) FROM deliveries) WHERE resource_id <> 'pa_0'`)
	require.NoError(t, err)
	s.clock.forward(time.Minute)
	require.NoError(t, s.sender(t, webhook.Options{SweepMost: 2}).Sweep(t.Context()))
	require.Equal(t, 2*events, s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'deliver'`), "each has another job")
}

func TestANumberComesOnceAlsoWhenAnEarlierEventIsKept(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.subscribe(t, webhook.PaymentCompleted)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"), s.event(webhook.PaymentFailed, "pa_1"))
	s.clock.forward(40 * 24 * time.Hour)
	require.NoError(t, s.hooks.Purge(t.Context()))
	require.Equal(t, 1, s.count(t, `SELECT max(sequence) FROM events`), "the later one is gone")
	s.publish(t, s.event(webhook.PaymentFailed, "pa_1"))
	require.Equal(t, 3, s.count(t, `SELECT max(sequence) FROM events`))
}

func TestTheLogIsKeptForThirtyDays(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := receive(t, nil)
	of, _ := s.listenAt(t, r)
	s.dispatch(t)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"), s.event(webhook.PaymentCompleted, "pa_1"))
	require.Eventually(t, func() bool { return s.count(t, `SELECT count(*) FROM deliveries WHERE status = 'delivered'`) == 2 }, soon, look)
	s.clock.forward(29 * 24 * time.Hour)
	off := false
	_, err := s.hooks.Update(t.Context(), s.merchant, false, of.ID, webhook.SubscriptionUpdate{Active: &off}, ada)
	require.NoError(t, err)
	require.NoError(t, s.hooks.Purge(t.Context()))
	require.Equal(t, 2, s.count(t, `SELECT count(*) FROM tries`))

	s.clock.forward(2 * 24 * time.Hour)
	require.NoError(t, s.hooks.Purge(t.Context()))
	for _, table := range []string{"events", "deliveries", "tries"} {
		require.Zero(t, s.count(t, `SELECT count(*) FROM `+table), table)
	}
	on := true
	_, err = s.hooks.Update(t.Context(), s.merchant, false, of.ID, webhook.SubscriptionUpdate{Active: &on}, ada)
	require.NoError(t, err)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	require.Equal(t, 3, s.count(t, `SELECT sequence FROM events`), "a number comes once, also when the events before are gone")
	s.awaitOnly(t, "delivered", is(webhook.Delivered))
	s.sound(t)
}

func TestWhatIsStillOnItsWayIsKept(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.listenAt(t, receive(t, nil))
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	s.clock.forward(40 * 24 * time.Hour)
	require.NoError(t, s.hooks.Purge(t.Context()))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM events JOIN deliveries ON event_id = events.id`))
}

func TestTheAuditFindsWhatMustNotBe(t *testing.T) {
	t.Parallel()
	for rule, sql := range map[string]string{
		"every event has one original delivery for each who asked": `DELETE FROM deliveries`,
		"a delivery fits its event and its subscription":           `UPDATE deliveries SET event_type = 'payment.failed'`,
		"a delivery agrees with its tries":                         `UPDATE deliveries SET tries = 3`,
		"a delivery on its way has a job":                          `DELETE FROM river_job`,
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			s.subscribe(t)
			s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
			s.clock.forward(2 * time.Minute)
			s.sound(t)
			_, err := s.pool.Exec(t.Context(), sql)
			require.NoError(t, err)
			findings, err := s.hooks.Audit(t.Context())
			require.NoError(t, err)
			require.Len(t, findings, 1)
			require.Contains(t, findings[0], rule)
		})
	}
}

func TestDeliveriesAreListedFilteredAndFound(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	first, second := s.subscribe(t), s.subscribe(t, webhook.PaymentFailed)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	s.clock.forward(time.Hour)
	middle := s.clock.now()
	s.publish(t, s.event(webhook.PaymentFailed, "pa_2"))
	list := func(f webhook.DeliveryFilter, p webhook.Page) []webhook.Delivery {
		if p.Limit == 0 {
			p.Limit = 10
		}
		rows, err := s.hooks.Deliveries(t.Context(), s.merchant, false, f, p)
		require.NoError(t, err)
		return rows
	}
	all := list(webhook.DeliveryFilter{}, webhook.Page{})
	require.Len(t, all, 3)
	for name, c := range map[string]struct {
		filter webhook.DeliveryFilter
		want   int
	}{
		"subscription":      {webhook.DeliveryFilter{Subscription: second.ID}, 1},
		"other":             {webhook.DeliveryFilter{Subscription: first.ID}, 2},
		"status":            {webhook.DeliveryFilter{Status: webhook.Pending}, 3},
		"none":              {webhook.DeliveryFilter{Status: webhook.Failed}, 0},
		"event":             {webhook.DeliveryFilter{EventType: webhook.PaymentFailed}, 2},
		"resource":          {webhook.DeliveryFilter{Resource: "pa_1"}, 1},
		"from":              {webhook.DeliveryFilter{From: middle}, 2},
		"to":                {webhook.DeliveryFilter{To: middle}, 1},
		"id of delivery":    {webhook.DeliveryFilter{Search: string(all[0].ID)}, 1},
		"id of event":       {webhook.DeliveryFilter{Search: string(all[0].Event)}, 2},
		"text in the body":  {webhook.DeliveryFilter{Search: `"RESOURCE_ID":"pa_1"`}, 1},
		"text that is none": {webhook.DeliveryFilter{Search: "100%_'"}, 0},
	} {
		require.Len(t, list(c.filter, webhook.Page{}), c.want, name)
	}
	two := list(webhook.DeliveryFilter{}, webhook.Page{Limit: 1})
	require.Equal(t, all[:2], two, "one more than asked for")
	require.Equal(t, all[1:], list(webhook.DeliveryFilter{}, webhook.Page{Before: string(all[0].ID)}))
	require.Equal(t, all[:1], list(webhook.DeliveryFilter{}, webhook.Page{After: string(all[1].ID)}))
	require.Empty(t, func() []webhook.Delivery {
		rows, err := s.hooks.Deliveries(t.Context(), s.merchant, true, webhook.DeliveryFilter{}, webhook.Page{Limit: 10})
		require.NoError(t, err)
		return rows
	}())
}
