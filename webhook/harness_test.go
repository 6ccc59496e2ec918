package webhook_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"xsynesis/audit"
	"xsynesis/egress"
	"xsynesis/id"
	"xsynesis/postgres/pgtest"
	"xsynesis/queries"
	"xsynesis/vault"
	"xsynesis/webhook"
)

// clock tells the time of one test, which may be moved.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().UTC().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// ownURL is where the tests' gateway says that it is reached.
const ownURL = "https://pay.example"

// testShop is a shop whose servers are told, on a database of its own; nothing works its queue.
type testShop struct {
	pool     *pgxpool.Pool
	queue    *river.Client[pgx.Tx]
	clock    *clock
	hooks    *webhook.Service
	merchant id.Merchant
}

func newShop(t testing.TB) *testShop {
	t.Helper()
	s := &testShop{pool: pgtest.New(t), clock: &clock{}}
	var err error
	s.queue, err = river.NewClient(riverpgxv5.New(s.pool), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	s.hooks = webhook.New(s.pool, s.queue, webhook.Options{
		Egress: egress.New(egress.Options{Own: ownURL}), Vault: newVault(t), PublicURL: ownURL,
		Now: s.clock.now, Lease: 2 * time.Second, Sweep: time.Second,
	})
	s.merchant = s.found(t, "cafe")
	return s
}

// ada keeps the shop.
var ada = audit.By{Actor: "Ada"}

var masterKey = []byte("the tests' master key: 32 bytes.")

func newVault(t testing.TB) *vault.Vault {
	t.Helper()
	v, err := vault.New(masterKey)
	require.NoError(t, err)
	return v
}

// found opens another shop.
func (s *testShop) found(t testing.TB, slug string) id.Merchant {
	t.Helper()
	merchant := id.New[id.Merchant](s.clock.now())
	require.NoError(t, queries.New().MerchantInsert(t.Context(), s.pool, queries.MerchantInsertParams{
		ID: merchant, Slug: slug, Name: "The " + slug, CreatedAt: s.clock.now(),
	}))
	return merchant
}

// subscribe registers a server in test mode for these events, or for all.
func (s *testShop) subscribe(t testing.TB, events ...webhook.Type) webhook.Subscription {
	t.Helper()
	made, _, err := s.hooks.Register(t.Context(), s.merchant, false, webhook.SubscriptionForm{
		URL: "https://shop.example/hooks", Events: events, Active: true,
	}, ada)
	require.NoError(t, err)
	return made
}

// publish tells of events in a transaction of their own.
func (s *testShop) publish(t testing.TB, events ...webhook.Event) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
		return s.hooks.PublishTx(t.Context(), tx, s.clock.now(), events...)
	}))
}

// event tells something of a resource of the shop's test mode, with the payload of the type's example.
func (s *testShop) event(typ webhook.Type, resource string) webhook.Event {
	return webhook.Event{
		Merchant: s.merchant, Type: typ, ResourceType: typ.ResourceType(), ResourceID: resource, Payload: typ.Example(),
	}
}

// sent is the body of an event.
type sent struct {
	ID           id.Event        `json:"id"`
	Type         webhook.Type    `json:"event_type"`
	Merchant     id.Merchant     `json:"seller_id"`
	Livemode     bool            `json:"livemode"`
	ResourceType string          `json:"resource_type"`
	ResourceID   string          `json:"resource_id"`
	Sequence     int64           `json:"sequence"`
	Payload      json.RawMessage `json:"payload"`
	Timestamp    string          `json:"timestamp"`

	raw []byte
}

// feed reads all events of the shop's test mode, which are so many: it waits for transactions of the whole server.
func (s *testShop) feed(t testing.TB, events int) []sent {
	t.Helper()
	var rows []webhook.EventRow
	require.Eventually(t, func() bool {
		var err error
		rows, _, err = s.hooks.Feed(t.Context(), s.merchant, false, "", 1000)
		return err == nil && len(rows) >= events
	}, 10*time.Second, 5*time.Millisecond, "events that were published are not in the feed")
	require.Len(t, rows, events)
	out := make([]sent, len(rows))
	for i, r := range rows {
		require.NoError(t, json.Unmarshal(r.Body, &out[i]))
		require.Equal(t, r.ID, out[i].ID)
		out[i].raw = r.Body
	}
	return out
}

// count counts rows.
func (s *testShop) count(t testing.TB, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, s.pool.QueryRow(context.WithoutCancel(t.Context()), sql, args...).Scan(&n))
	return n
}
