package webhook_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/id"
	"xsynesis/webhook"
)

func TestASubscriptionIsRegisteredWithASecretOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	form := webhook.SubscriptionForm{
		URL: " https://shop.example/hooks?a=1 ", Description: " The till ", Active: true,
		Events: []webhook.Type{webhook.PaymentLate, webhook.PaymentCompleted, webhook.PaymentLate},
	}
	made, secret, err := s.hooks.Register(t.Context(), s.merchant, false, form, ada)
	require.NoError(t, err)
	require.Equal(t, "https://shop.example/hooks?a=1", made.URL)
	require.Equal(t, "The till", made.Description)
	require.Equal(t, []webhook.Type{webhook.PaymentCompleted, webhook.PaymentLate}, made.Events)
	require.Equal(t, webhook.Active, made.Status)
	_, err = id.Parse[id.Subscription](string(made.ID))
	require.NoError(t, err)
	random, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	require.NoError(t, err)
	require.Len(t, random, 24)
	require.NotContains(t, secret, "=")

	form.Active = false
	twin, other, err := s.hooks.Register(t.Context(), s.merchant, false, form, ada) // several may share a URL
	require.NoError(t, err)
	require.NotEqual(t, made.ID, twin.ID)
	require.NotEqual(t, secret, other)
	require.Equal(t, webhook.Paused, twin.Status)
	back, err := s.hooks.Subscription(t.Context(), s.merchant, false, made.ID)
	require.NoError(t, err)
	made.CreatedAt, made.UpdatedAt = back.CreatedAt, back.UpdatedAt // of less precision
	require.Equal(t, made, back)
	require.Equal(t, 4, s.count(t, `SELECT count(*) FROM subscription_slots WHERE subscription_id = $1`, made.ID))
}

func TestAFormThatCannotBeMeantIsRefusedByItsField(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	good := func() webhook.SubscriptionForm { return webhook.SubscriptionForm{URL: "https://shop.example/hooks"} }
	for name, c := range map[string]struct {
		field  string
		change func(*webhook.SubscriptionForm)
	}{
		"no URL":             {"url", func(f *webhook.SubscriptionForm) { f.URL = "" }},
		"plain http":         {"url", func(f *webhook.SubscriptionForm) { f.URL = "http://shop.example/" }},
		"a private address":  {"url", func(f *webhook.SubscriptionForm) { f.URL = "https://10.0.0.1/" }},
		"our own host":       {"url", func(f *webhook.SubscriptionForm) { f.URL = ownURL + "/api" }},
		"credentials":        {"url", func(f *webhook.SubscriptionForm) { f.URL = "https://a:b@shop.example/" }},
		"8 KB":               {"url", func(f *webhook.SubscriptionForm) { f.URL = "https://shop.example/" + strings.Repeat("a", 8<<10) }},
		"a URL of no text":   {"url", func(f *webhook.SubscriptionForm) { f.URL = "https://shop.example/\xff" }},
		"a NUL in the URL":   {"url", func(f *webhook.SubscriptionForm) { f.URL = "https://shop.example/\x00" }},
		"a long description": {"description", func(f *webhook.SubscriptionForm) { f.Description = strings.Repeat("ü", 201) }},
		"a NUL":              {"description", func(f *webhook.SubscriptionForm) { f.Description = "a\x00b" }},
		"no UTF-8":           {"description", func(f *webhook.SubscriptionForm) { f.Description = "caf\xe9" }},
		"two lines":          {"description", func(f *webhook.SubscriptionForm) { f.Description = "a\nb" }},
		"an unknown event":   {"events", func(f *webhook.SubscriptionForm) { f.Events = []webhook.Type{"payment.imagined"} }},
		"an odd event":       {"events", func(f *webhook.SubscriptionForm) { f.Events = []webhook.Type{"\x00\xff payment.completed"} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := good()
			c.change(&f)
			_, _, err := s.hooks.Register(t.Context(), s.merchant, false, f, ada)
			var field *webhook.FieldError
			require.ErrorAs(t, err, &field)
			require.Equal(t, c.field, field.Field)
			require.NotEmpty(t, field.Message)
		})
	}
}

func TestAShopHasAtMostFiftySubscriptionsInEachMode(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for range 45 {
		s.subscribe(t)
	}
	form := webhook.SubscriptionForm{URL: "https://shop.example/hooks", Active: true}
	var wg sync.WaitGroup
	errs := make([]error, 10)
	for i := range errs {
		wg.Go(func() { _, _, errs[i] = s.hooks.Register(t.Context(), s.merchant, false, form, ada) })
	}
	wg.Wait()
	refused := 0
	for _, err := range errs {
		if err != nil {
			require.ErrorIs(t, err, webhook.ErrTooMany)
			refused++
		}
	}
	require.Equal(t, 5, refused)
	_, _, err := s.hooks.Register(t.Context(), s.merchant, true, form, ada)
	require.NoError(t, err, "the other mode counts for itself")
	all, err := s.hooks.Subscriptions(t.Context(), s.merchant, false, webhook.Page{Limit: 100})
	require.NoError(t, err)
	require.Len(t, all, 50)
	_, err = s.hooks.Unregister(t.Context(), s.merchant, false, all[7].ID, ada)
	require.NoError(t, err)
	s.subscribe(t)
}

func TestAnIdempotencyKeyRegistersOneSubscription(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	form := webhook.SubscriptionForm{URL: "https://shop.example/hooks", Active: true, Once: []byte("key of the café")}
	var wg sync.WaitGroup
	ids, secrets := make([]id.Subscription, 8), make([]string, 8)
	for i := range ids {
		wg.Go(func() {
			made, secret, err := s.hooks.Register(t.Context(), s.merchant, false, form, ada)
			if err != nil {
				t.Errorf("register: %v", err)
			}
			ids[i], secrets[i] = made.ID, secret
		})
	}
	wg.Wait()
	for i := range ids {
		require.Equal(t, ids[0], ids[i])
		require.Equal(t, secrets[0], secrets[i])
	}
	_, err := s.hooks.Unregister(t.Context(), s.merchant, false, ids[0], ada)
	require.NoError(t, err)
	_, _, err = s.hooks.Register(t.Context(), s.merchant, false, form, ada)
	require.ErrorIs(t, err, webhook.ErrNotFound, "a key has one effect, for ever")
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM subscriptions`))
}

func TestASubscriptionIsChangedPausedAndTakenUpAgain(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	made := s.subscribe(t, webhook.PaymentCompleted)
	change := func(u webhook.SubscriptionUpdate) webhook.Subscription {
		t.Helper()
		after, err := s.hooks.Update(t.Context(), s.merchant, false, made.ID, u, ada)
		require.NoError(t, err)
		return after
	}
	url, text, none, on, off := "https://other.example/", "Bookkeeping", []webhook.Type{}, true, false
	after := change(webhook.SubscriptionUpdate{Description: &text})
	require.Equal(t, made.URL, after.URL)
	require.Equal(t, text, after.Description)
	require.Equal(t, []webhook.Type{webhook.PaymentCompleted}, after.Events)
	require.Empty(t, change(webhook.SubscriptionUpdate{Events: &none}).Events)
	require.Equal(t, webhook.Paused, change(webhook.SubscriptionUpdate{Active: &off}).Status)
	require.Equal(t, webhook.Active, change(webhook.SubscriptionUpdate{Active: &on}).Status)

	fail := func() {
		_, err := s.pool.Exec(t.Context(), `WITH health AS (
			UPDATE subscription_health SET failures = 100, failing_since = now(), opened_until = now(), openings = 3 WHERE subscription_id = $1
		) UPDATE subscriptions SET status = 'disabled', disabled_at = now(), disabled_reason = 'Gone.', slow = true WHERE id = $1`, made.ID)
		require.NoError(t, err)
	}
	fail()
	after = change(webhook.SubscriptionUpdate{Active: &off})
	require.Equal(t, webhook.Disabled, after.Status, "there is nothing to pause")
	require.Equal(t, 100, after.Health.Failures)
	after = change(webhook.SubscriptionUpdate{Active: &on})
	require.Equal(t, webhook.Active, after.Status)
	require.Empty(t, after.DisabledReason)
	require.Nil(t, after.DisabledAt)
	require.False(t, after.Slow)
	require.Zero(t, after.Health, "it begins without a history")
	fail()
	after = change(webhook.SubscriptionUpdate{URL: &url})
	require.Equal(t, webhook.Disabled, after.Status)
	require.Zero(t, after.Health)

	bad := "https://127.0.0.1/"
	_, err := s.hooks.Update(t.Context(), s.merchant, false, made.ID, webhook.SubscriptionUpdate{URL: &bad}, ada)
	var field *webhook.FieldError
	require.ErrorAs(t, err, &field)
}

func TestSubscriptionsArePagedBothWays(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var made []id.Subscription // newest first
	for range 5 {
		made = append([]id.Subscription{s.subscribe(t).ID}, made...)
		s.clock.forward(time.Second)
	}
	ids := func(p webhook.Page) (out []id.Subscription) {
		rows, err := s.hooks.Subscriptions(t.Context(), s.merchant, false, p)
		require.NoError(t, err)
		for _, r := range rows {
			out = append(out, r.ID)
		}
		return out
	}
	require.Equal(t, made[:3], ids(webhook.Page{Limit: 2}), "with one more")
	require.Equal(t, made[2:], ids(webhook.Page{Limit: 3, Before: string(made[1])}))
	require.Equal(t, made[1:4], ids(webhook.Page{Limit: 2, After: string(made[4])}))
	require.Equal(t, made[:1], ids(webhook.Page{Limit: 2, After: string(made[1])}))
}

func TestASubscriptionIsItsMerchantsAloneAndOfOneMode(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	made, other, on := s.subscribe(t), s.found(t, "bakery"), true
	for name, who := range map[string]struct {
		merchant id.Merchant
		livemode bool
	}{"another merchant": {other, false}, "the other mode": {s.merchant, true}, "nobody": {"sel_nobody", false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for call, err := range map[string]error{
				"read":       second(s.hooks.Subscription(t.Context(), who.merchant, who.livemode, made.ID)),
				"update":     second(s.hooks.Update(t.Context(), who.merchant, who.livemode, made.ID, webhook.SubscriptionUpdate{Active: &on}, ada)),
				"unregister": second(s.hooks.Unregister(t.Context(), who.merchant, who.livemode, made.ID, ada)),
				"rotate":     third(s.hooks.RotateSecret(t.Context(), who.merchant, who.livemode, made.ID, nil, ada)),
				"end":        second(s.hooks.EndOverlap(t.Context(), who.merchant, who.livemode, made.ID, ada)),
				"test":       second(s.hooks.Test(t.Context(), who.merchant, who.livemode, made.ID)),
			} {
				require.ErrorIs(t, err, webhook.ErrNotFound, call)
			}
			rows, err := s.hooks.Subscriptions(t.Context(), who.merchant, who.livemode, webhook.Page{Limit: 10})
			require.NoError(t, err)
			require.Empty(t, rows)
		})
	}
}

func second[A any](_ A, err error) error        { return err }
func third[A, B any](_ A, _ B, err error) error { return err }

func TestWhatIsUnregisteredIsGoneButForItsLog(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	made := s.subscribe(t)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	gone, err := s.hooks.Unregister(t.Context(), s.merchant, false, made.ID, ada)
	require.NoError(t, err)
	require.NotNil(t, gone.RemovedAt)
	_, err = s.hooks.Unregister(t.Context(), s.merchant, false, made.ID, ada)
	require.ErrorIs(t, err, webhook.ErrNotFound)
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM deliveries`))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM subscriptions WHERE secret = '' AND next_secret IS NULL`), "nothing is signed for it again")
}

func TestATestGoesToTheOneSubscriptionWhateverItAskedFor(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	made, off := s.subscribe(t, webhook.LinkExpired), false
	s.subscribe(t)
	_, err := s.hooks.Update(t.Context(), s.merchant, false, made.ID, webhook.SubscriptionUpdate{Active: &off}, ada)
	require.NoError(t, err)
	for n := range 2 {
		delivery, err := s.hooks.Test(t.Context(), s.merchant, false, made.ID)
		require.NoError(t, err)
		require.Equal(t, 1, s.count(t, `SELECT count(*) FROM deliveries WHERE id = $1 AND subscription_id = $2 AND event_type = 'webhook.test'`, delivery, made.ID))
		require.Equal(t, int64(n+1), s.feed(t, n+1)[n].Sequence)
	}
	require.Equal(t, 2, s.count(t, `SELECT count(*) FROM deliveries`))
}

func TestSimultaneousTestsOfOneSubscriptionAreNumbered(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	made := s.subscribe(t)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := s.hooks.Test(t.Context(), s.merchant, false, made.ID); err != nil {
				t.Errorf("test: %v", err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 10, s.count(t, `SELECT max(sequence) FROM events WHERE resource_id = $1`, made.ID))
}

func TestNoticesRingUntilTheyAreRead(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.subscribe(t, webhook.NoticeCreated)
	for n := range 3 {
		s.notice(t, fmt.Sprintf("Notice %d.", n))
		s.clock.forward(time.Second)
	}
	unread, err := s.hooks.Notices(t.Context(), s.merchant, false, true)
	require.NoError(t, err)
	require.Len(t, unread, 3)
	require.Equal(t, "Notice 2.", unread[0].Text)
	require.NoError(t, s.hooks.ReadNotices(t.Context(), s.merchant, false, unread[1].ID))
	n, err := s.hooks.UnreadNotices(t.Context(), s.merchant, false)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	all, err := s.hooks.Notices(t.Context(), s.merchant, false, false)
	require.NoError(t, err)
	require.Len(t, all, 3)
	require.Nil(t, all[0].ReadAt)
	require.NotNil(t, all[1].ReadAt)

	for _, none := range []struct {
		merchant id.Merchant
		livemode bool
	}{{s.found(t, "bakery"), false}, {s.merchant, true}} {
		require.NoError(t, s.hooks.ReadNotices(t.Context(), none.merchant, none.livemode, ""))
		rows, err := s.hooks.Notices(t.Context(), none.merchant, none.livemode, false)
		require.NoError(t, err)
		require.Empty(t, rows)
	}
	require.Equal(t, 3, s.count(t, `SELECT count(*) FROM deliveries WHERE event_type = 'notice.created'`))
	require.Contains(t, string(s.feed(t, 3)[0].Payload), `"url":"https://pay.example/dashboard/webhooks"`)
	require.NoError(t, s.hooks.ReadNotices(t.Context(), s.merchant, false, ""))
	n, err = s.hooks.UnreadNotices(t.Context(), s.merchant, false)
	require.NoError(t, err)
	require.Zero(t, n)
}
