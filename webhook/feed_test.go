package webhook_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"xsynesis/id"
	"xsynesis/migrations"
	"xsynesis/webhook"
)

func TestTheFeedWaitsForTransactionsThatBeganBefore(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	early, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.hooks.PublishTx(t.Context(), early, s.clock.now(), s.event(webhook.PaymentCompleted, "pa_early")))
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_late"))

	s.feed(t, 0) // what committed first would hide what commits second
	require.NoError(t, early.Commit(t.Context()))
	got := s.feed(t, 2)
	require.Equal(t, "pa_early", got[0].ResourceID)
	require.Equal(t, "pa_late", got[1].ResourceID)
}

func TestWhoeverReadsTheFeedOnwardMissesNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	const writers, each = 8, 25
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
					err := s.hooks.PublishTx(t.Context(), tx, s.clock.now(), s.event(webhook.PaymentCompleted, fmt.Sprintf("pa_%d_%d", w, n)))
					time.Sleep(time.Duration(rand.IntN(4)) * time.Millisecond)
					return err
				})
				if err != nil {
					t.Errorf("publish: %v", err)
				}
			}
		})
	}
	t.Cleanup(wg.Wait)

	seen, after := map[id.Event]bool{}, id.Event("")
	for end := time.Now().Add(time.Minute); len(seen) < writers*each && time.Now().Before(end); {
		rows, next, err := s.hooks.Feed(t.Context(), s.merchant, false, after, 7)
		require.NoError(t, err)
		for _, r := range rows {
			require.False(t, seen[r.ID], "twice")
			seen[r.ID] = true
		}
		after = next
	}
	require.Len(t, seen, writers*each)
}

func TestTheFeedShowsAShopItsOwnEventsOfOneMode(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	other := s.found(t, "bakery")
	of := func(merchant id.Merchant, live bool) webhook.Event {
		e := s.event(webhook.PaymentCompleted, string(merchant)+fmt.Sprint(live))
		e.Merchant, e.Livemode = merchant, live
		return e
	}
	s.publish(t, of(s.merchant, false), of(s.merchant, true), of(other, false))
	s.feed(t, 1)
	for _, merchant := range []id.Merchant{s.merchant, other} {
		rows, next, err := s.hooks.Feed(t.Context(), merchant, false, "", 10)
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.Equal(t, rows[0].ID, next)
		require.Contains(t, string(rows[0].Body), string(merchant))
	}
	theirs, _, err := s.hooks.Feed(t.Context(), other, false, "", 10)
	require.NoError(t, err)
	_, _, err = s.hooks.Feed(t.Context(), s.merchant, false, theirs[0].ID, 10)
	require.ErrorIs(t, err, webhook.ErrNotFound)
	_, _, err = s.hooks.Feed(t.Context(), other, true, theirs[0].ID, 10)
	require.ErrorIs(t, err, webhook.ErrNotFound)
}

func TestAnEventThatIsNoLongerKeptStandsForTheBeginning(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	s.feed(t, 1)
	gone := id.New[id.Event](s.clock.now().Add(-31 * 24 * time.Hour))
	rows, _, err := s.hooks.Feed(t.Context(), s.merchant, false, gone, 10)
	require.NoError(t, err)
	require.Len(t, rows, 1)
}

func TestTheFeedGoesOnAfterARestoreToAServerWithLowerTransactions(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_2"))
	before := s.feed(t, 2)
	_, err := s.pool.Exec(t.Context(), `UPDATE events SET written_by = (written_by::text::bigint + 1000000000)::text::xid8`)
	require.NoError(t, err)
	s.feed(t, 0) // as after a restore

	require.NoError(t, migrations.Up(t.Context(), s.pool))
	s.publish(t, s.event(webhook.PaymentCompleted, "pa_3"))
	after := s.feed(t, 3)
	require.Equal(t, before, after[:2])
	require.Equal(t, "pa_3", after[2].ResourceID)
	rows, _, err := s.hooks.Feed(t.Context(), s.merchant, false, before[1].ID, 10)
	require.NoError(t, err)
	require.Equal(t, after[2].ID, rows[0].ID, "whoever read before goes on")

	require.NoError(t, migrations.Up(t.Context(), s.pool))
	require.Equal(t, 1, s.count(t, `SELECT epoch FROM event_epoch`), "a start without a restore changes nothing")
}
