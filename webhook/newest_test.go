package webhook_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/webhook"
)

func TestWhoBeginsAfterTheNewestHearsOnlyOfWhatComes(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	_, err := s.hooks.Newest(t.Context(), s.merchant, false)
	require.ErrorIs(t, err, webhook.ErrNotFound)

	s.publish(t, s.event(webhook.PaymentCompleted, "pa_first"))
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_second"))
	s.feed(t, 2)
	newest, err := s.hooks.Newest(t.Context(), s.merchant, false)
	require.NoError(t, err)
	require.Contains(t, string(newest.Body), "pa_second")
	_, err = s.hooks.Newest(t.Context(), s.merchant, true)
	require.ErrorIs(t, err, webhook.ErrNotFound, "test events are not live ones")

	s.publish(t, s.event(webhook.PaymentCompleted, "pa_third"))
	s.feed(t, 3)
	rows, _, err := s.hooks.Feed(t.Context(), s.merchant, false, newest.ID, 10)
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.Contains(t, string(rows[0].Body), "pa_third")
}
