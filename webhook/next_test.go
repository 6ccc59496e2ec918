package webhook_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/webhook"
)

func TestNextTry(t *testing.T) {
	t.Parallel()
	failed := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		tries      int
		retryAfter time.Duration
		jitter     int
		wait       time.Duration // 0: never
	}{
		{1, 0, 0, 2 * time.Minute}, {2, 0, 0, 4 * time.Minute}, {3, 0, 0, 8 * time.Minute}, {4, 0, 0, 16 * time.Minute},
		{5, 0, 0, 0}, {6, 0, 0, 0}, {0, 0, 0, 0}, {5, time.Hour, 0, 0},
		{1, 0, 100, 132 * time.Second}, {4, 0, 50, 16*time.Minute + 48*time.Second}, {1, 0, 1000, 132 * time.Second}, {1, 0, -5, 2 * time.Minute},
		{1, time.Minute, 0, 2 * time.Minute}, {1, 5 * time.Minute, 100, 5 * time.Minute}, {1, 48 * time.Hour, 0, time.Hour},
	} {
		next, ok := webhook.NextTry(c.tries, failed, c.retryAfter, c.jitter)
		require.Equal(t, c.wait != 0, ok, "%+v", c)
		if ok {
			require.Equal(t, c.wait, next.Sub(failed), "%+v", c)
		}
	}
}
