package handlers_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestALinkIsMadeOfEverythingThatIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	answer := w.post("/api/payment_links/create", map[string]any{
		"title": "Flat white", "description": "Twelve grams.", "price": "0.5", "amount_cents": 50, "currency": "USDC", "network": sepolia,
		"expires_at": end.Format(time.RFC3339), "max_payments": 3, "success_url": "https://cafe.example/thanks", "reference": "A-1",
		"metadata": map[string]any{"table": 4},
	}, as(w.cafeKey))
	require.Equal(t, 201, answer.status, string(answer.body))
	link := answer.json()
	token := link["token"].(string)
	for name, want := range map[string]any{
		"url": site + "/link/" + token, "qr_url": site + "/api/qr?token=" + token, "title": "Flat white", "description": "Twelve grams.",
		"price": "0.50", "amount": "500000", "amount_cents": 50.0, "currency": "USDC", "network": sepolia, "livemode": false, "status": "active",
		"expires_at": end.Format(time.RFC3339), "max_payments": 3.0, "payments": 0.0, "last_paid_at": nil,
		"success_url": "https://cafe.example/thanks", "reference": "A-1", "metadata": map[string]any{"table": 4.0},
	} {
		require.Equal(t, want, link[name], name)
	}

	t.Run("an update changes what it names and nothing else", func(t *testing.T) {
		answer := w.post("/api/payment_links/update", map[string]any{"id": link["id"], "amount_cents": 75}, as(w.cafeKey))
		require.Equal(t, 200, answer.status, string(answer.body))
		changed := answer.json()
		link["price"], link["amount"], link["amount_cents"] = "0.75", "750000", 75.0
		require.Equal(t, link, changed)
	})
	t.Run("null takes what is optional away", func(t *testing.T) {
		changed := w.post("/api/payment_links/update", map[string]any{
			"id": link["id"], "expires_at": nil, "max_payments": nil, "description": nil, "metadata": nil,
		}, as(w.cafeKey)).json()
		require.Nil(t, changed["expires_at"])
		require.Nil(t, changed["max_payments"])
		require.Empty(t, changed["description"])
		require.Empty(t, changed["metadata"])
		require.Equal(t, "A-1", changed["reference"])
	})
	t.Run("an ended link is gone for buyers", func(t *testing.T) {
		require.Equal(t, 200, w.get("/api/link/"+token).status)
		require.Equal(t, "expired", w.post("/api/payment_links/expire", map[string]any{"id": link["id"]}, as(w.cafeKey)).json()["status"])
		for _, answer := range []reply{w.get("/api/link/" + token), w.post("/api/create_payment_session", map[string]any{"link_token": token})} {
			code, _ := answer.code()
			require.Equal(t, 410, answer.status)
			require.Equal(t, "link_expired", code)
		}
	})
}

func TestAmountsBelowACentAreExact(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.link(w.cafeKey, "0.000001")
	require.Equal(t, "0.000001", link["price"])
	require.Equal(t, "1", link["amount"])
	require.Equal(t, 0.0, link["amount_cents"]) //nolint:testifylint // JSON's numbers are floats, and this one is exact
}

func TestMistakesInALinkAreToldWithTheirField(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, price := range []string{
		`"0"`, `"0.0"`, `"-1"`, `"+1"`, `"1e4"`, `"0x10"`, `"` + strings.Repeat("9", 78) + `"`, `"0.0000001"`, `"1,5"`, `" 1"`, `"1."`, `".5"`, `""`,
		`"NaN"`, `"Infinity"`, `"١"`, `"10000000.000001"`, `0.5`, `1`, `true`, `null`, `{}`, `[]`,
	} {
		requireField(t, "price", w.post("/api/payment_links/create", `{"title":"x","price":`+price+`}`, as(w.cafeKey)), price)
	}
	for _, cents := range []string{`0`, `-1`, `1.5`, `1e2`, `"50"`, strings.Repeat("9", 78), `922337203685478`, `null`, `true`} {
		requireField(t, "amount_cents", w.post("/api/payment_links/create", `{"title":"x","amount_cents":`+cents+`}`, as(w.cafeKey)), cents)
	}
	for body, field := range map[string]string{
		`{"title":"x","price":"0.51","amount_cents":50}`:  "price",
		`{"title":"x","price":"0.505","amount_cents":50}`: "price",
		`{"title":"x"}`:                                                                  "price",
		`{"price":"1"}`:                                                                  "title",
		`{"title":"  ","price":"1"}`:                                                     "title",
		`{"title":7,"price":"1"}`:                                                        "title",
		`{"title":"a\u202eb","price":"1"}`:                                               "title",
		`{"title":"x","price":"1","currency":"EUR"}`:                                     "currency",
		`{"title":"x","price":"1","network":"eip155:1"}`:                                 "network",
		`{"title":"x","price":"1","network":"eip155:8453"}`:                              "network",
		`{"title":"x","price":"1","expires_at":"tomorrow"}`:                              "expires_at",
		`{"title":"x","price":"1","expires_at":"2020-01-01T00:00:00Z"}`:                  "expires_at",
		`{"title":"x","price":"1","expires_at":1767312000}`:                              "expires_at",
		`{"title":"x","price":"1","max_payments":0}`:                                     "max_payments",
		`{"title":"x","price":"1","max_payments":-1}`:                                    "max_payments",
		`{"title":"x","price":"1","max_payments":1.5}`:                                   "max_payments",
		`{"title":"x","price":"1","success_url":"javascript:alert(1)"}`:                  "success_url",
		`{"title":"x","price":"1","success_url":"/thanks"}`:                              "success_url",
		`{"title":"x","price":"1","reference":"` + strings.Repeat("r", 201) + `"}`:       "reference",
		`{"title":"x","price":"1","metadata":[]}`:                                        "metadata",
		`{"title":"x","price":"1","metadata":"m"}`:                                       "metadata",
		`{"title":"x","price":"1","metadata":{"m":"` + strings.Repeat("m", 4096) + `"}}`: "metadata",
		`{"title":"x","price":"1","item_id":"itm_1"}`:                                    "item_id",
		`{"title":"x","price":"1","items":[]}`:                                           "items",
		`{"title":"x","price":"1","endpoint_id":"end_1"}`:                                "endpoint_id",
		`{"title":"x","price":"1","open_amount":{}}`:                                     "open_amount",
		`{"title":"x","price":"1","Title":"y"}`:                                          "Title",
		`{"title":"x","price":"1","seller_id":"sel_1"}`:                                  "seller_id",
	} {
		requireField(t, field, w.post("/api/payment_links/create", body, as(w.cafeKey)), body)
	}
}

func requireField(t *testing.T, field string, answer reply, what string) {
	t.Helper()
	code, got := answer.code()
	require.Equal(t, 400, answer.status, what)
	require.Equal(t, "invalid_field", code, what)
	require.Equal(t, field, got, what)
}

func TestABodyIsOneJSONObjectAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, body := range []string{
		``, ` `, `null`, `[]`, `"x"`, `{`, `{"title":"x","price":"1"} {}`, `{"title":"x","price":"1"}x`, `{"title":"x","title":"y","price":"1"}`,
		`{"title":"x","price":"1","metadata":{"a":1,"a":2}}`, `{"title":"x","price":"1","metadata":{"a":"\u0000"}}`,
		`{"title":"x","price":"1","metadata":{"a":1e99999}}`, `{"title":"x","price":"1","metadata":{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}`,
		"{\"title\":\"\xff\",\"price\":\"1\"}", `title=x&price=1`,
	} {
		answer := w.post("/api/payment_links/create", body, as(w.cafeKey))
		code, _ := answer.code()
		require.Equal(t, 400, answer.status, body)
		require.Equal(t, "invalid_json", code, body)
	}
	large := `{"title":"` + strings.Repeat("x", 256<<10) + `"}`
	require.Equal(t, 413, w.post("/api/payment_links/create", large, as(w.cafeKey)).status)

	half := w.post("/api/payment_links/create", `{"title":"x","price":"1","metadata":{"a":"\ud800","n":12345678901234567890}}`, as(w.cafeKey))
	require.Equal(t, 201, half.status, string(half.body))
	require.Contains(t, string(half.body), "12345678901234567890")
}

func TestListsGoPageByPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var made []string
	for i := range 5 {
		made = append(made, w.link(w.cafeKey, strconv.Itoa(i+1))["id"].(string))
	}
	var seen []string
	target := "/api/payment_links/list?limit=2"
	for cursor := ""; ; {
		page := w.get(target+cursor, as(w.cafeKey)).json()
		for _, row := range page["data"].([]any) {
			seen = append(seen, row.(map[string]any)["id"].(string))
		}
		next, ok := page["next_cursor"].(string)
		if !ok {
			break
		}
		cursor = "&cursor=" + next
	}
	require.ElementsMatch(t, made, seen)
	require.Len(t, seen, 5)

	for _, list := range []string{"/api/payment_links/list", "/api/sales/list", "/api/settlements/list"} {
		for _, limit := range []string{"0", "101", "-1", "x", "1.5"} {
			requireField(t, "limit", w.get(list+"?limit="+limit, as(w.cafeKey)), list+limit)
		}
		requireField(t, "cursor", w.get(list+"?cursor=x", as(w.cafeKey)), list)
		require.Equal(t, 200, w.get(list+"?limit=100", as(w.cafeKey)).status)
	}
}

func TestALinkSaysWhatItAsksAndWhyItRests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.post("/api/payment_links/create", object{"title": "Tea", "price": "1", "asks": []string{"tip", "email", "email"}}, as(w.cafeKey))
	require.Equal(t, 201, made.status, string(made.body))
	link := made.json()
	require.Equal(t, []any{"email", "tip"}, link["asks"], "in one order, and once")
	change := func(fields object) object {
		fields["id"] = link["id"]
		changed := w.post("/api/payment_links/update", fields, as(w.cafeKey))
		require.Equal(t, 200, changed.status, string(changed.body))
		return changed.json()
	}
	require.Equal(t, []any{"email", "tip"}, change(object{"price": "2"})["asks"])
	paused := change(object{"paused": true, "pause_text": "Back on Monday.", "asks": nil})
	require.Empty(t, paused["asks"])
	require.Equal(t, "Back on Monday.", paused["pause_text"])
	offer := w.get("/api/link/" + link["token"].(string)).json()
	require.Equal(t, "paused", offer["status"])
	require.Equal(t, "Back on Monday.", offer["pause_text"])
	require.Empty(t, offer["asks"])
	require.Empty(t, change(object{"paused": false})["pause_text"], "it goes with the pause")

	for field, value := range map[string]any{"asks": []string{"password"}, "pause_text": strings.Repeat("x", 301)} {
		got := w.post("/api/payment_links/update", object{"id": link["id"], "paused": true, field: value}, as(w.cafeKey))
		require.Equal(t, 400, got.status, field)
		_, wrong := got.code()
		require.Equal(t, field, wrong)
	}
}
