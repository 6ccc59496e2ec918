package webhook_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/webhook"
)

func TestTmpBacklog(t *testing.T) {
	s := newShop(t)
	dead := receive(t, hang)
	s.listenAt(t, dead, webhook.PaymentCompleted)
	ok := receive(t, nil)
	s.listenAt(t, ok, webhook.PaymentFailed)
	d := s.dispatch(t, withTimeout(10*time.Second))
	_ = d
	for n := range 60 {
		var es []webhook.Event
		for m := range 50 {
			es = append(es, s.event(webhook.PaymentCompleted, fmt.Sprintf("pa_%d_%d", n, m)))
		}
		s.publish(t, es...)
	}
	var lat []time.Duration
	for n := range 200 {
		before := len(ok.got())
		s.publish(t, s.event(webhook.PaymentFailed, fmt.Sprintf("pb_%d", n)))
		committed := time.Now()
		ok.await(t, before+1)
		lat = append(lat, ok.got()[before].at.Sub(committed))
		time.Sleep(20 * time.Millisecond)
	}
	slices.Sort(lat)
	t.Logf("commit to call p50 %s p99 %s max %s", lat[100], lat[197], lat[199])
	began := time.Now()
	require.Eventually(t, func() bool { return s.count(t, `SELECT count(*) FROM deliveries WHERE waits_since IS NOT NULL`) > 2900 }, 2*time.Minute, 50*time.Millisecond)
	t.Logf("all in line after %s; snoozes %d", time.Since(began), s.count(t, `SELECT coalesce(sum((metadata->>'snoozes')::int), 0) FROM river_job WHERE kind = 'deliver'`))
	time.Sleep(40 * time.Second)
	t.Logf("snoozes %d after 40 s", s.count(t, `SELECT coalesce(sum((metadata->>'snoozes')::int), 0) FROM river_job WHERE kind = 'deliver'`))
	t.Logf("calls %d", len(dead.got()))
	began = time.Now()
	require.NoError(t, s.hooks.Sweep(t.Context()))
	t.Logf("sweep %s", time.Since(began))
}
