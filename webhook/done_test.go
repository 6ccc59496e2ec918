package webhook_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/audit"
	"xsynesis/webhook"
)

// done is what was done in the shop, the oldest first: action and what it was done to.
func (s *testShop) done(t *testing.T) (actions []string, rows []audit.Entry) {
	t.Helper()
	rows, err := audit.List(t.Context(), s.pool, s.merchant, audit.Filter{}, audit.Page{After: "aud_", Limit: 100})
	require.NoError(t, err)
	for i := len(rows) - 1; i >= 0; i-- {
		require.Equal(t, "Ada", rows[i].Actor)
		actions = append(actions, rows[i].Action)
	}
	return actions, rows
}

func TestWhatIsDoneToAWebhookIsRecorded(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	once := []byte("once")
	form := webhook.SubscriptionForm{URL: "https://shop.example/", Active: true, Once: once}
	var made webhook.Subscription
	var secrets []string
	for range 2 { // asked again, nothing is done again
		m, secret, err := s.hooks.Register(t.Context(), s.merchant, false, form, ada)
		require.NoError(t, err)
		made, secrets = m, append(secrets, secret)
	}
	same, elsewhere := "https://shop.example/", "https://shop.example/hooks"
	for _, url := range []string{same, elsewhere} {
		_, err := s.hooks.Update(t.Context(), s.merchant, false, made.ID, webhook.SubscriptionUpdate{URL: &url}, ada)
		require.NoError(t, err)
	}
	for range 2 {
		_, secret, err := s.hooks.RotateSecret(t.Context(), s.merchant, false, made.ID, []byte("again"), ada)
		require.NoError(t, err)
		secrets = append(secrets, secret)
	}
	for range 2 {
		_, err := s.hooks.EndOverlap(t.Context(), s.merchant, false, made.ID, ada)
		require.NoError(t, err)
	}
	sent, err := s.hooks.Test(t.Context(), s.merchant, false, made.ID)
	require.NoError(t, err)
	_, err = s.hooks.Redeliver(t.Context(), s.merchant, false, sent, ada)
	require.NoError(t, err)
	replay := webhook.ReplayForm{Since: s.clock.now().Add(-time.Hour), DryRun: true}
	_, err = s.hooks.ReplayFailed(t.Context(), s.merchant, false, replay, ada)
	require.NoError(t, err)
	replay.DryRun = false
	_, err = s.hooks.ReplayFailed(t.Context(), s.merchant, false, replay, ada)
	require.NoError(t, err)
	_, err = s.hooks.Unregister(t.Context(), s.merchant, false, made.ID, ada)
	require.NoError(t, err)
	_, err = s.hooks.Unregister(t.Context(), s.merchant, false, made.ID, ada)
	require.ErrorIs(t, err, webhook.ErrNotFound)

	actions, rows := s.done(t)
	require.ElementsMatch(t, []string{
		"webhook.registered", "webhook.changed", "webhook.secret_rotated", "webhook.former_secret_ended", "delivery.repeated",
		"deliveries.replayed", "webhook.removed",
	}, actions)
	for _, r := range rows {
		if r.Action == "webhook.changed" {
			require.Contains(t, string(r.Before), `"url": "https://shop.example/"`)
			require.Contains(t, string(r.After), `"url": "https://shop.example/hooks"`)
			require.Equal(t, string(made.ID), r.ResourceID)
		}
		for _, secret := range secrets {
			require.NotContains(t, string(r.Before)+string(r.After), secret)
		}
	}
}

func TestAChangeThatIsRefusedIsNotRecorded(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	of := s.subscribe(t)
	bad := "http://10.0.0.1/"
	_, err := s.hooks.Update(t.Context(), s.merchant, false, of.ID, webhook.SubscriptionUpdate{URL: &bad}, ada)
	require.Error(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.hooks.Unregister(ctx, s.merchant, false, of.ID, ada)
	require.Error(t, err)
	actions, _ := s.done(t)
	require.Equal(t, []string{"webhook.registered"}, actions)
}
