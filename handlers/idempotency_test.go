package handlers_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
)

func keyed(key string) with { return header("Idempotency-Key", key) }

func TestTheSameKeyGivesTheSameAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := `{"title":"Flat white","price":"0.50"}`
	first := w.post("/api/payment_links/create", body, as(w.cafeKey), keyed("a"))
	again := w.post("/api/payment_links/create", body, as(w.cafeKey), keyed("a"))
	require.Equal(t, 201, again.status)
	require.Equal(t, string(first.body), string(again.body))
	require.Empty(t, first.header.Get("Idempotent-Replayed"))
	require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
	require.Len(t, w.get("/api/payment_links/list", as(w.cafeKey)).json()["data"], 1)

	t.Run("another body is a mistake, as is another call", func(t *testing.T) {
		for _, answer := range []reply{
			w.post("/api/payment_links/create", body+" ", as(w.cafeKey), keyed("a")),
			w.post("/api/payment_links/create?x=1", body, as(w.cafeKey), keyed("a")),
			w.post("/api/payment_links/expire", body, as(w.cafeKey), keyed("a")),
		} {
			code, _ := answer.code()
			require.Equal(t, 422, answer.status)
			require.Equal(t, "idempotency_mismatch", code)
		}
	})
	t.Run("another shop has keys of its own", func(t *testing.T) {
		other := w.post("/api/payment_links/create", body, as(w.booksKey), keyed("a"))
		require.Equal(t, 201, other.status)
		require.NotEqual(t, first.json()["id"], other.json()["id"])
	})
	t.Run("a mistake is repeated too", func(t *testing.T) {
		first := w.post("/api/payment_links/create", `{}`, as(w.cafeKey), keyed("b"))
		again := w.post("/api/payment_links/create", `{}`, as(w.cafeKey), keyed("b"))
		require.Equal(t, 400, again.status)
		require.Equal(t, string(first.body), string(again.body))
		require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
	})
}

func TestTheSameKeyRedeemsOneUseAndItsTokenIsStoredNowhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.link(w.cafeKey, "2.00")
	code := w.generate(map[string]any{"percent_off": 50, "uses": 1, "link_token": link["token"]})[0]
	request, key := map[string]any{"code": code, "link_token": link["token"]}, keyed("the-key-of-one-redemption")
	first := w.redeem(request, key)
	require.Equal(t, 200, first.status, "%s", first.body)
	token := first.json()["bypass_token"].(string)
	var stored string
	require.NoError(t, w.pool.QueryRow(t.Context(), "SELECT convert_from(body, 'UTF8') FROM idempotency_keys WHERE body IS NOT NULL AND scope LIKE '%redeem%'").Scan(&stored))
	require.NotContains(t, stored, token)
	again := w.redeem(request, key)
	require.Equal(t, string(first.body), string(again.body))
	require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))

	_, err := w.pool.Exec(t.Context(), "DELETE FROM idempotency_keys WHERE scope LIKE '%redeem%'") // as if the process had died before it kept the answer
	require.NoError(t, err)
	once := w.redeem(request, key)
	require.Equal(t, string(first.body), string(once.body))
	require.Equal(t, "1000000", w.post("/api/create_payment_session", map[string]any{"link_token": link["token"], "code": token}).json()["amount"])
	requireCode(t, 409, "code_used", w.redeem(request, keyed("the-key-of-another-redemption")))
}

func TestAPublicKeyIsLongAndHoldsForOneLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.link(w.cafeKey, "0.50"), w.link(w.cafeKey, "0.50")
	body := map[string]any{"link_token": one["token"]}
	key := strings.Repeat("k", 22)
	for _, bad := range []string{"short", key + " ", key + "é", strings.Repeat("k", 256), ""} {
		answer := w.post("/api/create_payment_session", body, keyed(bad))
		code, _ := answer.code()
		require.Equal(t, 400, answer.status, bad)
		require.Equal(t, "idempotency_key", code)
	}
	first := w.post("/api/create_payment_session", body, keyed(key))
	again := w.post("/api/create_payment_session", body, keyed(key))
	require.Equal(t, 201, first.status, string(first.body))
	require.Equal(t, string(first.body), string(again.body), "the pay_url with the buyer's token included")
	require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))

	var stored []byte
	require.NoError(t, w.pool.QueryRow(t.Context(), "SELECT body FROM idempotency_keys WHERE key = encode(sha256($1::text::bytea), 'hex')", key).Scan(&stored))
	_, k, _ := strings.Cut(first.json()["pay_url"].(string), "k=")
	require.NotContains(t, string(stored), k, "the buyer's token is nowhere stored")

	other := w.post("/api/create_payment_session", map[string]any{"link_token": two["token"]}, keyed(key))
	require.Equal(t, 201, other.status)
	require.NotEqual(t, first.json()["payment_attempt"], other.json()["payment_attempt"])
}

func TestAKeyWhoseRequestStillRunsIsAskedAgainLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := `{"title":"Flat white","price":"0.50"}`
	first := w.post("/api/payment_links/create", body, as(w.cafeKey), keyed("a"))
	require.Equal(t, 201, first.status)
	_, err := w.pool.Exec(t.Context(), "UPDATE idempotency_keys SET status = NULL, locked_until = $1", time.Now().Add(time.Minute))
	require.NoError(t, err)
	running := w.post("/api/payment_links/create", body, as(w.cafeKey), keyed("a"))
	code, _ := running.code()
	require.Equal(t, 409, running.status)
	require.Equal(t, "idempotency_running", code)
	require.NotEmpty(t, running.header.Get("Retry-After"))
}

func TestManyAtOnceWithOneKeyMakeOneLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			answer := w.post("/api/payment_links/create", `{"title":"x","price":"1"}`, as(w.cafeKey), keyed("same"))
			if answer.status != 201 && answer.status != 409 {
				t.Errorf("answered %d: %s", answer.status, answer.body)
			}
		})
	}
	all.Wait()
	require.Len(t, w.get("/api/payment_links/list", as(w.cafeKey)).json()["data"], 1)
}

func TestAnswersThatInviteAnotherTryAreNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	empty, err := w.access.CreateKey(t.Context(), w.cafe, true, "live", access.Scopes)
	require.NoError(t, err)
	for range 2 { // no address to be paid at on a live network
		answer := w.post("/api/payment_links/create", `{"title":"x","price":"1"}`, as(empty), keyed("a"))
		require.Equal(t, 409, answer.status, string(answer.body))
		require.Empty(t, answer.header.Get("Idempotent-Replayed"))
	}
}
