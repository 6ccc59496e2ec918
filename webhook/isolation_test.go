package webhook_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/webhook"
)

// crowd counts how many requests are in a server at a time.
type crowd struct {
	now, most atomic.Int32
}

func (c *crowd) enter() {
	n := c.now.Add(1)
	for {
		most := c.most.Load()
		if n <= most || c.most.CompareAndSwap(most, n) {
			return
		}
	}
}

func TestServersThatHangDelayNoOther(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	const servers, hanging, events, timeout = 20, 4, 10, 4 * time.Second
	var mu sync.Mutex
	var firstHang, lastHealthy time.Time
	healthy := 0
	for n := range servers {
		r := receive(t, func(w http.ResponseWriter, r *http.Request, nth int) {
			mu.Lock()
			if n < hanging && firstHang.IsZero() {
				firstHang = time.Now()
			}
			if n >= hanging {
				healthy++
				lastHealthy = time.Now()
			}
			mu.Unlock()
			if n < hanging {
				hang(w, r, nth)
			}
		})
		s.listenAt(t, r)
	}
	s.dispatch(t, withTimeout(timeout), withWorkers(40))
	for n := range events {
		s.publish(t, s.event(webhook.PaymentCompleted, fmt.Sprintf("pa_%d", n)))
	}
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return healthy == (servers-hanging)*events
	}, soon, look)
	mu.Lock()
	defer mu.Unlock()
	require.Less(t, lastHealthy.Sub(firstHang), timeout, "a healthy server waited for one that hangs")
	t.Logf("the last of %d healthy deliveries arrived %s after the first server began to hang", healthy, lastHealthy.Sub(firstHang).Round(time.Millisecond))
}

func TestAServerIsCalledFourTimesAtATimeByAllProcesses(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var inside crowd
	open := make(chan struct{})
	r := receive(t, func(http.ResponseWriter, *http.Request, int) {
		inside.enter()
		defer inside.now.Add(-1)
		<-open
		time.Sleep(5 * time.Millisecond)
	})
	s.listenAt(t, r)
	s.dispatch(t, withTimeout(10*time.Second))
	s.dispatch(t, withTimeout(10*time.Second))
	const events = 200
	for n := range events {
		s.publish(t, s.event(webhook.PaymentCompleted, fmt.Sprintf("pa_%d", n)))
	}
	require.Eventually(t, func() bool {
		return s.count(t, `SELECT count(*) FROM deliveries WHERE waits_since IS NOT NULL`) == events-4
	}, soon, look, "all but four wait in line")
	looked := s.count(t, `SELECT coalesce(sum(attempt), 0) + coalesce(sum((metadata->>'snoozes')::int), 0) FROM river_job WHERE kind = 'deliver'`)
	time.Sleep(2 * time.Second)
	require.Equal(t, looked, s.count(t, `SELECT coalesce(sum(attempt), 0) + coalesce(sum((metadata->>'snoozes')::int), 0) FROM river_job WHERE kind = 'deliver'`),
		"who waits in line does not ask again and again")
	began := time.Now()
	close(open)
	require.Eventually(t, func() bool { return s.count(t, `SELECT count(*) FROM deliveries WHERE status = 'delivered'`) == events }, soon, look)
	t.Logf("%d waited, and were delivered within %s", events-4, time.Since(began).Round(time.Millisecond))
	require.Len(t, r.got(), events)
	require.EqualValues(t, 4, inside.most.Load())
	s.sound(t)
}

func TestTriesOfOneServerBeginAtItsRate(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := receive(t, nil)
	s.listenAt(t, r)
	const events, rate = 31, 20
	for n := range events {
		s.publish(t, s.event(webhook.PaymentCompleted, fmt.Sprintf("pa_%d", n)))
	}
	s.dispatch(t, withRate(rate))
	s.dispatch(t, withRate(rate))
	calls := r.await(t, events)
	lasted := calls[events-1].at.Sub(calls[0].at)
	require.GreaterOrEqual(t, lasted, time.Second*(events-1)/rate-300*time.Millisecond, "the first call may come late")
	t.Logf("%d tries at %d a second took %s", events, rate, lasted.Round(time.Millisecond))
}

func TestTheBreakerOpensProbesAndCloses(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var broken atomic.Bool
	broken.Store(true)
	r := receive(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		if broken.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	of, _ := s.listenAt(t, r, webhook.PaymentCompleted)
	s.dispatch(t)
	opened := func() *time.Time {
		after, err := s.hooks.Subscription(t.Context(), s.merchant, false, of.ID)
		require.NoError(t, err)
		return after.Health.OpenedUntil
	}
	told := 0
	tell := func(n int) {
		for range n {
			told++
			s.publish(t, s.event(webhook.PaymentCompleted, fmt.Sprintf("pa_%d", told)))
		}
	}
	tell(10)
	r.await(t, 10)
	require.Eventually(t, func() bool { return opened() != nil }, soon, look)
	require.WithinDuration(t, s.clock.now().Add(30*time.Second), *opened(), 2*time.Second)
	require.Eventually(t, func() bool { return s.count(t, `SELECT count(*) FROM subscriptions WHERE slow`) == 1 }, soon, look)

	tell(5)
	waiting := func() int {
		return s.count(t, `SELECT count(*) FROM deliveries WHERE waits_since IS NOT NULL AND tries = 0`)
	}
	require.Eventually(t, func() bool { return waiting() == 5 }, soon, look)
	require.Len(t, r.got(), 10, "nothing is sent while it is open")
	require.Equal(t, 5, s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'deliver' AND queue = 'webhook_slow' AND state <> 'completed'`), "those stand on the queue of the slow")

	before := *opened()
	s.pass(t, 33*time.Second)
	require.Eventually(t, func() bool { return opened().After(before) }, soon, look)
	require.Len(t, r.got(), 11, "one probe")
	require.WithinDuration(t, s.clock.now().Add(time.Minute), *opened(), 5*time.Second, "twice as long")

	broken.Store(false)
	s.pass(t, 65*time.Second)
	require.Eventually(t, func() bool { return opened() == nil }, soon, look)
	s.pass(t, 2*time.Minute)
	require.Eventually(t, func() bool { return s.count(t, `SELECT count(*) FROM deliveries WHERE status = 'delivered'`) == told }, soon, look)
	require.Zero(t, s.count(t, `SELECT count(*) FROM deliveries WHERE tries > 2`), "what the breaker held back cost no try")
	s.sound(t)
}
