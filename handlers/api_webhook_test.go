package handlers_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/webhook"
)

type object = map[string]any

// register makes a webhook and returns it as the API told of it.
func (w *apiWorld) register(key, address string, more ...with) object {
	w.t.Helper()
	answer := w.post("/api/webhooks/register", object{"url": address}, append(more, as(key))...)
	require.Equal(w.t, 201, answer.status, string(answer.body))
	return answer.json()
}

func TestAWebhookIsMadeOfEverythingThatIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	answer := w.post("/api/webhooks/register", object{
		"url": "https://hooks.example/a?b=c", "description": "Orders", "events": []string{"settlement.confirmed", "payment.completed"}, "active": false,
	}, as(w.cafeKey))
	require.Equal(t, 201, answer.status, string(answer.body))
	made := answer.json()
	require.Regexp(t, `^whsec_[A-Za-z0-9+/]{32}$`, made["secret"])
	require.Regexp(t, `^ws_`, made["webhook_subscription_id"])
	for name, want := range map[string]any{
		"id": made["webhook_subscription_id"], "url": "https://hooks.example/a?b=c", "description": "Orders", "active": false, "status": "paused",
		"events": []any{"payment.completed", "settlement.confirmed"}, "disabled_reason": "", "rotating_until": nil, "last_delivered_at": nil,
		"failing_since": nil, "failures": 0.0, "livemode": false,
	} {
		require.Equal(t, want, made[name], name)
	}
	row := w.get("/api/webhooks/list", as(w.cafeKey)).json()["data"].([]any)
	require.Len(t, row, 1)
	require.NotContains(t, row[0], "secret", "it is shown once")

	t.Run("several may share an address, and no events mean all", func(t *testing.T) {
		again := w.register(w.cafeKey, "https://hooks.example/a?b=c")
		require.NotEqual(t, made["id"], again["id"])
		require.Equal(t, []any{}, again["events"])
		require.Equal(t, true, again["active"])
	})
	t.Run("an update changes what it names, by either name of the row", func(t *testing.T) {
		for i, name := range []string{"id", "webhook_subscription_id"} {
			answer := w.post("/api/webhooks/update", object{name: made["id"], "active": i == 0}, as(w.cafeKey))
			require.Equal(t, 200, answer.status, string(answer.body))
			changed := answer.json()
			require.Equal(t, i == 0, changed["active"])
			require.Equal(t, made["events"], changed["events"])
			require.Equal(t, "Orders", changed["description"])
		}
		all := w.post("/api/webhooks/update", object{"id": made["id"], "events": []string{}, "url": "https://other.example/"}, as(w.cafeKey)).json()
		require.Equal(t, []any{}, all["events"])
		require.Equal(t, "https://other.example/", all["url"])
	})
	t.Run("an ended one is removed, and gone", func(t *testing.T) {
		ended := w.post("/api/webhooks/unregister", object{"id": made["id"]}, as(w.cafeKey))
		require.Equal(t, 200, ended.status, string(ended.body))
		require.Equal(t, "removed", ended.json()["status"])
		require.Equal(t, 404, w.post("/api/webhooks/unregister", object{"id": made["id"]}, as(w.cafeKey)).status)
		require.Len(t, w.get("/api/webhooks/list", as(w.cafeKey)).json()["data"], 1)
	})
}

func TestMistakesInAWebhookAreToldWithTheirField(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, address := range []string{
		``, `hooks.example`, `/hooks`, `ftp://hooks.example/`, `javascript:alert(1)`, `https://user:secret@hooks.example/`, `https://hooks.example/a b`,
		site + `/hooks`, `https://hooks.example/` + strings.Repeat("a", 8<<10), `https://`,
	} {
		requireField(t, "url", w.post("/api/webhooks/register", object{"url": address}, as(w.cafeKey)), address)
	}
	for body, field := range map[string]string{
		`{}`: "url", `{"url":7}`: "url", `{"url":null}`: "url",
		`{"url":"https://hooks.example/","events":["payment.imagined"]}`:                            "events",
		`{"url":"https://hooks.example/","events":"payment.completed"}`:                             "events",
		`{"url":"https://hooks.example/","events":[7]}`:                                             "events",
		`{"url":"https://hooks.example/","active":"yes"}`:                                           "active",
		`{"url":"https://hooks.example/","description":"a\u202eb"}`:                                 "description",
		`{"url":"https://hooks.example/","description":"` + strings.Repeat("d", 201) + `"}`:         "description",
		`{"url":"https://hooks.example/","secret":"whsec_mine"}`:                                    "secret",
		`{"url":"https://hooks.example/","seller_id":"` + string(w.books) + `"}`:                    "seller_id",
		`{"url":"https://hooks.example/","events":["payment.completed","webhook.test","payment "]}`: "events",
	} {
		requireField(t, field, w.post("/api/webhooks/register", body, as(w.cafeKey)), body)
	}
	requireField(t, "id", w.post("/api/webhooks/update", `{}`, as(w.cafeKey)), "no id")
	one, two := w.register(w.cafeKey, "https://one.example/"), w.register(w.cafeKey, "https://two.example/")
	requireField(t, "id", w.post("/api/webhooks/unregister", object{"id": one["id"], "webhook_subscription_id": two["id"]}, as(w.cafeKey)), "two ids")
}

func TestASecretIsChangedWithAnOverlap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.register(w.cafeKey, "https://hooks.example/")
	which := object{"id": made["id"]}
	first := w.post("/api/webhooks/rotate_secret", which, as(w.cafeKey))
	require.Equal(t, 200, first.status, string(first.body))
	require.NotEqual(t, made["secret"], first.json()["secret"])
	require.NotNil(t, first.json()["rotating_until"])
	second := w.post("/api/webhooks/rotate_secret", which, as(w.cafeKey))
	code, _ := second.code()
	require.Equal(t, 409, second.status)
	require.Equal(t, "rotation_under_way", code)
	ended := w.post("/api/webhooks/end_overlap", which, as(w.cafeKey))
	require.Equal(t, 200, ended.status)
	require.Nil(t, ended.json()["rotating_until"])
	require.Equal(t, 200, w.post("/api/webhooks/rotate_secret", which, as(w.cafeKey)).status)
}

// The first answer is given again with its secret, which is stored nowhere in clear.
func TestAnAskedAgainRegistrationTellsItsSecretAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	register := func() reply {
		return w.post("/api/webhooks/register", `{"url":"https://hooks.example/"}`, as(w.cafeKey), keyed("once"))
	}
	first, again := register(), register()
	require.Equal(t, 201, first.status, string(first.body))
	require.Equal(t, string(first.body), string(again.body))
	require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))

	id := first.json()["id"]
	rotate := func(key string) reply {
		return w.post("/api/webhooks/rotate_secret", object{"id": id}, as(w.cafeKey), keyed(key))
	}
	rotated := rotate("turn")
	require.Equal(t, 200, rotated.status, string(rotated.body))
	require.Equal(t, string(rotated.body), string(rotate("turn").body))
	for _, secret := range []any{first.json()["secret"], rotated.json()["secret"]} {
		var stored bool
		require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM idempotency_keys WHERE position($1::bytea in body) > 0)`,
			[]byte(secret.(string))).Scan(&stored))
		require.False(t, stored, "a secret lies in the answers that are kept")
	}

	ended := w.post("/api/webhooks/end_overlap", object{"id": id}, as(w.cafeKey))
	require.Equal(t, 200, ended.status, string(ended.body))
	require.Equal(t, 200, rotate("another-turn").status)
	late := rotate("turn")
	require.Equal(t, 200, late.status)
	require.Empty(t, late.json()["secret"], "what signs no longer is not told, and nothing is changed")
	require.Equal(t, 409, rotate("third-turn").status)

	_, err := w.pool.Exec(t.Context(), `DELETE FROM idempotency_keys`) // the process died before it stored the answer
	require.NoError(t, err)
	require.Equal(t, id, register().json()["id"], "one key makes one webhook")
}

func TestKeysOfWebhooksDoWhatTheirScopesSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	reader := w.key(w.cafe, false, access.WebhooksRead)
	require.Equal(t, 200, w.get("/api/webhooks/list", as(reader)).status)
	require.Equal(t, 200, w.get("/api/webhooks/deliveries", as(reader)).status)
	for _, answer := range []reply{
		w.post("/api/webhooks/register", object{"url": "https://hooks.example/"}, as(reader)), w.get("/api/events/list", as(reader)),
		w.post("/api/webhooks/redeliver", `{}`, as(reader)), w.post("/api/webhooks/rotate_secret", `{}`, as(reader)),
	} {
		require.Equal(t, 403, answer.status)
	}
	require.Equal(t, 200, w.get("/api/events/list", as(w.key(w.cafe, false, access.EventsRead))).status)
}

// publish writes events of the café's as a payment would.
func (w *apiWorld) publish(events ...webhook.Event) {
	w.t.Helper()
	require.NoError(w.t, pgx.BeginFunc(w.t.Context(), w.pool, func(tx pgx.Tx) error {
		return w.hooks.PublishTx(w.t.Context(), tx, w.now(), events...)
	}))
}

// tested is an event that has no other meaning.
func (w *apiWorld) tested(text string) webhook.Event {
	return webhook.Event{
		Merchant: w.cafe, Type: webhook.WebhookTest, ResourceType: webhook.ResourceSubscription, ResourceID: "ws_1111111111111111111111",
		Payload: webhook.TestPayload{SubscriptionID: "ws_1111111111111111111111", Message: text},
	}
}

func TestTheFeedHoldsEveryEventToTheLetter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, text := range []string{"one <b>", "two & three", "four\u2028"} {
		w.publish(w.tested(text))
	}
	// Other tests write on the same server, and what they have under way could still come before.
	require.Eventually(t, func() bool { return len(w.get("/api/events/list", as(w.cafeKey)).json()["data"].([]any)) == 3 }, 20*time.Second, 20*time.Millisecond)
	rows, err := w.pool.Query(t.Context(), `SELECT convert_from(body, 'UTF8') FROM events ORDER BY written_by, id`)
	require.NoError(t, err)
	bodies, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Len(t, bodies, 3)

	var seen []string
	for target := "/api/events/list?limit=2"; target != ""; {
		answer := w.get(target, as(w.cafeKey))
		require.Equal(t, 200, answer.status, string(answer.body))
		var page struct {
			Data []json.RawMessage
			Next *string `json:"next_cursor"`
		}
		require.NoError(t, json.Unmarshal(answer.body, &page))
		for _, event := range page.Data {
			seen = append(seen, string(event))
		}
		if target = ""; page.Next != nil {
			target = "/api/events/list?limit=2&after=" + *page.Next
		}
	}
	require.Equal(t, bodies, seen)
	require.Empty(t, w.get("/api/events/list", as(w.booksKey)).json()["data"])
	requireField(t, "after", w.get("/api/events/list?after=evt_1", as(w.cafeKey)), "malformed")
	requireField(t, "limit", w.get("/api/events/list?limit=0", as(w.cafeKey)), "no limit")
	var event struct{ ID string }
	require.NoError(t, json.Unmarshal([]byte(bodies[0]), &event))
	requireField(t, "after", w.get("/api/events/list?after="+event.ID, as(w.booksKey)), "another shop's event")
}

func TestEveryEventHasItsSchema(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	types := w.get("/api/events/types").json()["data"].([]any)
	require.Len(t, types, len(webhook.Types))
	for _, row := range types {
		about := row.(object)
		path := strings.TrimPrefix(about["schema_url"].(string), site)
		answer := w.get(path)
		require.Equal(t, 200, answer.status, path)
		require.Equal(t, "application/schema+json", answer.header.Get("Content-Type"))
		require.NotEmpty(t, answer.json()["properties"])
		require.NotEmpty(t, about["summary"])
	}
	require.Equal(t, 404, w.get("/api/events/types/payment.imagined").status)
}

func TestWhatProgramsDoIsRecordedWithTheirKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.register(w.cafeKey, "https://hooks.example/")
	link := w.post("/api/payment_links/create", object{"title": "Bun", "price": "1"}, as(w.cafeKey))
	require.Equal(t, 201, link.status, string(link.body))
	var rows int
	require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT count(*) FROM audit_rows WHERE merchant_id = $1 AND actor = 'API key …' || $2 AND person_id IS NULL
		AND address <> '' AND (action, resource_id) IN (('webhook.registered', $3), ('link.created', $4))`,
		w.cafe, w.cafeKey[len(w.cafeKey)-4:], made["id"], link.json()["id"]).Scan(&rows))
	require.Equal(t, 2, rows)
}
