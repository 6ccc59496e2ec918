package handlers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/access"
	"xsynesis/handlers"
)

// generate makes codes of the café's, and returns the words.
func (w *apiWorld) generate(request map[string]any) []string {
	w.t.Helper()
	made := w.post("/api/activation_codes/generate", request, as(w.cafeKey))
	require.Equal(w.t, 201, made.status, "%s", made.body)
	words := []string{}
	for _, c := range made.json()["codes"].([]any) {
		words = append(words, c.(map[string]any)["code"].(string))
	}
	return words
}

func (w *apiWorld) redeem(request map[string]any, more ...with) reply {
	w.t.Helper()
	return w.post("/api/activation_codes/redeem", request, more...)
}

func TestCodesAreMadeListedRedeemedAndRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.link(w.cafeKey, "2.00")
	made := w.post("/api/activation_codes/generate", map[string]any{
		"count": 3, "prefix": "SPRING", "uses": 2, "percent_off": 25, "valid_until": time.Now().Add(time.Hour), "link_token": link["token"], "name": "Flyer",
	}, as(w.cafeKey)).json()
	require.EqualValues(t, 3, made["count"])
	code := made["codes"].([]any)[0].(map[string]any)
	require.Equal(t, "active", code["status"])
	require.EqualValues(t, 25, code["percent_off"])
	require.Nil(t, code["amount_off"])
	require.Equal(t, link["token"], code["link_token"])
	require.Equal(t, link["url"].(string)+"?code="+code["code"].(string), code["url"])
	listed := w.get("/api/activation_codes/list?limit=2&batch_id="+made["id"].(string), as(w.cafeKey)).json()
	require.Len(t, listed["data"], 2)
	require.NotNil(t, listed["next_cursor"])
	found := w.get("/api/activation_codes/list?code="+strings.ToLower(strings.ReplaceAll(code["code"].(string), "-", "")), as(w.cafeKey)).json()
	require.Len(t, found["data"], 1)

	redeemed := w.redeem(map[string]any{"code": code["code"], "link_token": link["token"]})
	require.Equal(t, 200, redeemed.status, "%s", redeemed.body)
	token := redeemed.json()["bypass_token"].(string)
	session := w.post("/api/create_payment_session", map[string]any{"link_token": link["token"], "code": token}).json()
	require.Equal(t, "1500000", session["amount"])
	again := w.post("/api/create_payment_session", map[string]any{"link_token": link["token"], "code": token})
	requireCode(t, 409, "code_used", again)
	withCode := w.post("/api/create_payment_session", map[string]any{"link_token": link["token"], "code": code["code"]}).json()
	require.Equal(t, "1500000", withCode["amount"])
	requireCode(t, 409, "code_used", w.redeem(map[string]any{"code": code["code"]}))

	other := made["codes"].([]any)[1].(map[string]any)
	revoked := w.post("/api/activation_codes/revoke", map[string]any{"id": other["id"]}, as(w.cafeKey)).json()
	require.Equal(t, "revoked", revoked["status"])
	requireCode(t, 400, "code_expired", w.redeem(map[string]any{"code": other["code"]}))
	all := w.post("/api/activation_codes/revoke_batch", map[string]any{"id": made["id"]}, as(w.cafeKey)).json()
	for _, c := range all["codes"].([]any) {
		require.Equal(t, "revoked", c.(map[string]any)["status"])
	}
	requireCode(t, 404, "not_found", w.post("/api/activation_codes/revoke", map[string]any{"id": other["id"]}, as(w.booksKey)))
	require.Empty(t, w.get("/api/activation_codes/list", as(w.booksKey)).json()["data"])
	require.Empty(t, w.get("/api/activation_codes/list", as(w.key(w.cafe, true, access.CodesRead))).json()["data"], "of the other mode")
}

// requireCode wants an answer to be an error of this code.
func requireCode(t *testing.T, status int, code string, r reply) {
	t.Helper()
	got, _ := r.code()
	require.Equal(t, status, r.status, "%s", r.body)
	require.Equal(t, code, got)
}

func TestAFreeCodeSettlesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.link(w.cafeKey, "2.00")
	word := w.generate(map[string]any{"free": true})[0]
	session := w.post("/api/create_payment_session", map[string]any{"link_token": link["token"], "code": word}).json()
	require.Equal(t, "settled", session["status"])
	require.Equal(t, "0", session["amount"])
	requireCode(t, 409, "code_used", w.post("/api/create_payment_session", map[string]any{"link_token": link["token"], "code": word}))
	requireField(t, "discount", w.post("/api/create_payment_session", map[string]any{
		"link_token": link["token"], "discount": "3.00",
	}, as(w.cafeKey)), "more than the price")
	requireField(t, "code", w.post("/api/create_payment_session", map[string]any{
		"link_token": link["token"], "discount": "1.00", "code": w.generate(map[string]any{"percent_off": 5})[0],
	}, as(w.cafeKey)), "both")
}

func TestWrongRequestsForCodesSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for body, field := range map[string]string{
		`{}`:                                                 "free",
		`{"free":true,"percent_off":5}`:                      "free",
		`{"free":false}`:                                     "free",
		`{"percent_off":0}`:                                  "percent_off",
		`{"percent_off":100}`:                                "percent_off",
		`{"percent_off":1.5}`:                                "percent_off",
		`{"amount_off":"0"}`:                                 "amount_off",
		`{"amount_off":"x"}`:                                 "amount_off",
		`{"amount_off":5}`:                                   "amount_off",
		`{"free":true,"count":1001}`:                         "count",
		`{"free":true,"count":-1}`:                           "count",
		`{"free":true,"uses":-1}`:                            "uses",
		`{"free":true,"per_wallet":2}`:                       "per_wallet",
		`{"free":true,"codes":["ABCD"],"count":2}`:           "codes",
		`{"free":true,"codes":["<b>"]}`:                      "codes",
		`{"free":true,"codes":[]}`:                           "codes",
		`{"free":true,"prefix":"<"}`:                         "prefix",
		`{"free":true,"item_id":"x"}`:                        "item_id",
		`{"free":true,"endpoint_id":"x"}`:                    "endpoint_id",
		`{"free":true,"address":"x"}`:                        "address",
		`{"free":true,"valid_until":"2001-01-01T00:00:00Z"}`: "valid_until",
		`{"free":true,"valid_until":"tomorrow"}`:             "valid_until",
		`{"free":true,"colour":"red"}`:                       "colour",
	} {
		requireField(t, field, w.post("/api/activation_codes/generate", body, as(w.cafeKey)), body)
	}
	requireCode(t, 404, "not_found", w.post("/api/activation_codes/generate", map[string]any{"free": true, "link_token": "x"}, as(w.cafeKey)))
	theirs := w.link(w.booksKey, "1.00")
	requireCode(t, 404, "not_found", w.post("/api/activation_codes/generate", map[string]any{"free": true, "link_token": theirs["token"]}, as(w.cafeKey)))
	require.Equal(t, 403, w.post("/api/activation_codes/generate", `{"free":true}`, as(w.key(w.cafe, false, access.CodesRead))).status)
	requireField(t, "code", w.redeem(map[string]any{}), "no code")
	requireField(t, "buyer_address", w.redeem(map[string]any{"code": "ABCD-EFGH", "buyer_address": "0x12"}), "no address")
	asks := w.generate(map[string]any{"free": true, "per_wallet": 1, "uses": 9})[0]
	requireField(t, "buyer_address", w.redeem(map[string]any{"code": asks}), "whose?")
	one := map[string]any{"code": asks, "buyer_address": cafe}
	require.Equal(t, 200, w.redeem(one).status)
	requireCode(t, 409, "code_not_yours", w.redeem(one))
	early := w.generate(map[string]any{"free": true, "valid_from": time.Now().Add(time.Hour)})[0]
	requireCode(t, 400, "code_not_valid_yet", w.redeem(map[string]any{"code": early}))
}

func TestTheSameWordInTwoShopsNeedsToSayWhichIsMeant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mine, theirs := w.link(w.cafeKey, "1.00"), w.link(w.booksKey, "1.00")
	for _, key := range []string{w.cafeKey, w.booksKey} {
		require.Equal(t, 201, w.post("/api/activation_codes/generate", map[string]any{"codes": []string{"SUMMER"}, "free": true}, as(key)).status)
	}
	requireField(t, "link_token", w.redeem(map[string]any{"code": "summer"}), "whose?")
	require.Equal(t, 200, w.redeem(map[string]any{"code": "summer", "link_token": mine["token"]}).status)
	requireCode(t, 409, "code_used", w.redeem(map[string]any{"code": "summer", "link_token": mine["token"]}))
	require.Equal(t, 200, w.redeem(map[string]any{"code": "summer", "link_token": theirs["token"]}).status)
}

func TestAHundredRedeemTheLastUseOfACode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *handlers.Options) { o.Limited = true })
	word := w.generate(map[string]any{"free": true})[0]
	statuses := make([]int, 100)
	var g errgroup.Group
	for i := range statuses {
		g.Go(func() error {
			statuses[i] = w.redeem(map[string]any{"code": word}).status
			return nil
		})
	}
	require.NoError(t, g.Wait())
	counted := map[int]int{}
	for _, s := range statuses {
		counted[s]++
	}
	require.Equal(t, map[int]int{200: 1, 409: 99}, counted)
	require.Empty(t, w.broken())
}

func TestNobodyEmptiesACodeForFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.link(w.cafeKey, "1.00")
	word := w.generate(map[string]any{"percent_off": 10, "uses": 9})[0]
	session := map[string]any{"link_token": link["token"], "code": word}
	require.Equal(t, 200, w.redeem(map[string]any{"code": word}).status)
	require.Equal(t, 201, w.post("/api/create_payment_session", session).status)
	require.Equal(t, 200, w.redeem(map[string]any{"code": word}).status)
	for _, r := range []reply{w.redeem(map[string]any{"code": word}), w.post("/api/create_payment_session", session)} {
		requireCode(t, http.StatusTooManyRequests, "too_many_held", r)
		require.NotEmpty(t, r.header.Get("Retry-After"))
	}
	require.Equal(t, 200, w.redeem(map[string]any{"code": word}, at("203.0.113.10")).status, "somebody else")
	require.Equal(t, 201, w.post("/api/create_payment_session", session, as(w.cafeKey)).status, "the shop itself")
}

func TestCodesCannotBeGuessedAtForLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.link(w.cafeKey, "1.00")
	word := w.generate(map[string]any{"percent_off": 10, "uses": 9})[0]
	guesser := at("203.0.113.9")
	for i := range 10 {
		guess := fmt.Sprintf("GUESS-%04d", i)
		if i%2 == 0 {
			requireCode(t, 404, "code_unknown", w.redeem(map[string]any{"code": guess}, guesser))
		} else {
			requireCode(t, 404, "code_unknown", w.post("/api/create_payment_session", map[string]any{"link_token": link["token"], "code": guess}, guesser))
		}
	}
	for _, r := range []reply{
		w.redeem(map[string]any{"code": word}, guesser),
		w.post("/api/create_payment_session", map[string]any{"link_token": link["token"], "code": word}, guesser),
	} {
		requireCode(t, http.StatusTooManyRequests, "too_many_tries", r)
		require.NotEmpty(t, r.header.Get("Retry-After"))
	}
	require.Equal(t, 201, w.post("/api/create_payment_session", map[string]any{"link_token": link["token"]}, guesser).status, "who has no code may pay")
	require.Equal(t, 200, w.redeem(map[string]any{"code": word}, at("203.0.113.10")).status)
}
