package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"xsynesis/egress"
	"xsynesis/vault"
	"xsynesis/webhook"
)

// notice writes a line for the bell.
func (s *testShop) notice(t *testing.T, text string) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
		return s.hooks.NoticeTx(t.Context(), tx, s.clock.now(), webhook.Notice{
			Merchant: s.merchant, Kind: "webhook_disabled", Text: text, Link: "/dashboard/webhooks",
		})
	}))
}

func TestSignaturesAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // the example of the Standard Webhooks specification
	hexed, standard := webhook.Sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", standard)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(`{"test": 2432232314}`))
	require.Equal(t, hex.EncodeToString(mac.Sum(nil)), hexed)
}

func TestATryCarriesBothSignaturesWhileASecretIsReplaced(t *testing.T) {
	t.Parallel()
	old, fresh, body, now := webhook.NewSecret(), webhook.NewSecret(), []byte(`{"id":"evt_1"}`), time.Unix(1_700_000_000, 0)
	h := webhook.Headers(webhook.Secrets{Current: old}, "evt_1", webhook.PaymentCompleted, body, now, 3)
	oldHex, oldStandard := webhook.Sign(old, "evt_1", now, body)
	require.Equal(t, map[string][]string{
		"Content-Type": {"application/json"}, "User-Agent": {"xSynesis-Webhooks/1.0"},
		"X-Webhook-Event": {"payment.completed"}, "X-Webhook-Attempt": {"3"}, "X-Webhook-Signature": {oldHex},
		"Webhook-Id": {"evt_1"}, "Webhook-Timestamp": {"1700000000"}, "Webhook-Signature": {oldStandard},
	}, map[string][]string(h))

	h = webhook.Headers(webhook.Secrets{Current: old, Next: fresh}, "evt_1", webhook.PaymentCompleted, body, now, 1)
	freshHex, freshStandard := webhook.Sign(fresh, "evt_1", now, body)
	require.Equal(t, oldHex, h.Get("X-Webhook-Signature"))
	require.Equal(t, freshHex, h.Get("X-Webhook-Signature-Next"))
	require.Equal(t, oldStandard+" "+freshStandard, h.Get("webhook-signature"))
}

func TestSecretsWeDidNotMakeAreSignedWithAllTheSame(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"", "whsec_", "no prefix", "whsec_MfKQ9r8GKYqrTwjU_D8ILPZIo2LaLaSw", "whsec_YWI", "whsec_\xff\x00"} {
		hexed, standard := webhook.Sign(secret, "evt_1", time.Unix(1, 0), nil)
		require.Len(t, hexed, 64)
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(standard, "v1,"))
		require.NoError(t, err)
		require.Len(t, raw, 32)
	}
}

func TestASecretIsReplacedWithAnOverlap(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	made, first, err := s.hooks.Register(t.Context(), s.merchant, false, webhook.SubscriptionForm{URL: "https://shop.example/", Active: true}, ada)
	require.NoError(t, err)
	after, second, err := s.hooks.RotateSecret(t.Context(), s.merchant, false, made.ID, []byte("once"), ada)
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	require.WithinDuration(t, s.clock.now().Add(24*time.Hour), *after.RotatingUntil, time.Minute)

	_, again, err := s.hooks.RotateSecret(t.Context(), s.merchant, false, made.ID, []byte("once"), ada)
	require.NoError(t, err)
	require.Equal(t, second, again, "the same key, the same secret")
	for _, key := range [][]byte{nil, []byte("another")} {
		_, _, err = s.hooks.RotateSecret(t.Context(), s.merchant, false, made.ID, key, ada)
		require.ErrorIs(t, err, webhook.ErrRotating)
	}

	s.clock.forward(24*time.Hour + time.Minute)
	after, err = s.hooks.Subscription(t.Context(), s.merchant, false, made.ID)
	require.NoError(t, err)
	require.Nil(t, after.RotatingUntil)
	_, again, err = s.hooks.RotateSecret(t.Context(), s.merchant, false, made.ID, []byte("once"), ada)
	require.NoError(t, err)
	require.Equal(t, second, again)
	_, third, err := s.hooks.RotateSecret(t.Context(), s.merchant, false, made.ID, nil, ada)
	require.NoError(t, err)
	require.NotEqual(t, second, third)
	for range 2 { // the second time there is nothing to end
		after, err = s.hooks.EndOverlap(t.Context(), s.merchant, false, made.ID, ada)
		require.NoError(t, err)
		require.Nil(t, after.RotatingUntil)
	}
	_, _, err = s.hooks.RotateSecret(t.Context(), s.merchant, false, made.ID, nil, ada)
	require.NoError(t, err)
}

func TestSecretsStandInNoRow(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	made, first, err := s.hooks.Register(t.Context(), s.merchant, false, webhook.SubscriptionForm{URL: "https://shop.example/", Active: true}, ada)
	require.NoError(t, err)
	_, second, err := s.hooks.RotateSecret(t.Context(), s.merchant, false, made.ID, nil, ada)
	require.NoError(t, err)
	_, err = s.hooks.Test(t.Context(), s.merchant, false, made.ID)
	require.NoError(t, err)
	for _, secret := range []string{first, second} {
		for _, form := range []string{secret, strings.TrimPrefix(secret, "whsec_"), hex.EncodeToString([]byte(secret)), hex.EncodeToString(decoded(t, secret)),
			base64.StdEncoding.EncodeToString([]byte(secret))} {
			require.NotContains(t, s.dump(t), form)
		}
	}
}

func decoded(t *testing.T, secret string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	require.NoError(t, err)
	return b
}

// dump is every row of every table as text, bytes in hex.
func (s *testShop) dump(t *testing.T) string {
	t.Helper()
	var out string
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT string_agg(query_to_xml(format('SELECT * FROM %I', table_name), true, false, '')::text, '')
		FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`).Scan(&out))
	require.Contains(t, out, "https://shop.example/")
	return out
}

func TestSecretsAreSealedAgainWithANewMasterKey(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	once := []byte("once")
	made, _, err := s.hooks.Register(t.Context(), s.merchant, false, webhook.SubscriptionForm{URL: "https://shop.example/", Active: true}, ada)
	require.NoError(t, err)
	_, secret, err := s.hooks.RotateSecret(t.Context(), s.merchant, false, made.ID, once, ada)
	require.NoError(t, err)
	s.subscribe(t)

	fresh := []byte("this master key is another one..")
	with := func(keys ...[]byte) *webhook.Service {
		v, err := vault.New(keys...)
		require.NoError(t, err)
		return webhook.New(s.pool, s.queue, webhook.Options{Egress: egress.New(egress.Options{}), Vault: v, Now: s.clock.now})
	}
	both := with(fresh, masterKey)
	n, err := both.Reseal(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)
	n, err = both.Reseal(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	_, again, err := with(fresh).RotateSecret(t.Context(), s.merchant, false, made.ID, once, ada)
	require.NoError(t, err)
	require.Equal(t, secret, again)
	_, _, err = with(masterKey).RotateSecret(t.Context(), s.merchant, false, made.ID, once, ada)
	require.ErrorIs(t, err, vault.ErrSealed)
}

func TestASecretMovedToAnotherRowDoesNotOpen(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	one, other := s.subscribe(t), s.subscribe(t)
	_, err := s.pool.Exec(context.WithoutCancel(t.Context()), `UPDATE subscriptions SET secret = (SELECT secret FROM subscriptions WHERE id = $1) WHERE id = $2`, one.ID, other.ID)
	require.NoError(t, err)
	_, _, err = s.hooks.RotateSecret(t.Context(), s.merchant, false, other.ID, nil, ada)
	require.ErrorIs(t, err, vault.ErrSealed)
	require.NotErrorIs(t, err, webhook.ErrNotFound)
	_, _, err = s.hooks.RotateSecret(t.Context(), s.merchant, false, one.ID, nil, ada)
	require.NoError(t, err)
}
