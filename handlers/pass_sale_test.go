package handlers_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// paidSession pays for what a session asks, and returns what its buyer reads afterwards.
func (w *apiWorld) paidSession(session map[string]any) map[string]any {
	w.t.Helper()
	attempt := session["payment_attempt"].(string)
	a, signature := w.sign(session, newKey(w.t))
	answer := w.post("/api/payment_attempts/"+attempt+"/pay", payload(a, signature))
	require.Equal(w.t, 202, answer.status, "%s", answer.body)
	w.work()
	read := w.get(strings.TrimPrefix(session["pay_url"].(string), site))
	require.Equal(w.t, 200, read.status, "%s", read.body)
	return read.json()
}

// endpointLink is a link for the pass of an endpoint.
func (w *apiWorld) endpointLink(endpoint string, more ...any) map[string]any {
	w.t.Helper()
	body := map[string]any{"endpoint_id": endpoint}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	made := w.post("/api/payment_links/create", body, as(w.cafeKey))
	require.Equal(w.t, 201, made.status, "%s", made.body)
	return made.json()
}

func TestALinkSellsOneCallOfAnEndpoint(t *testing.T) {
	t.Parallel()
	w, u := newWorld(t), newUpstream(t)
	endpoint := w.endpointAt(u.URL + "/weather")
	link := w.endpointLink(endpoint)
	require.Equal(t, "endpoint", link["sells"])
	require.Equal(t, endpoint, link["endpoint_id"])
	require.Equal(t, "Weather", link["title"])
	require.Equal(t, "0.10", link["price"])
	public := w.get("/api/link/" + link["token"].(string)).json()
	require.Equal(t, site+"/x/"+endpoint, public["endpoint_url"])

	session := w.session(link)
	require.NotContains(t, string(w.get("/pay/"+session["payment_attempt"].(string)).body), "pss_")
	paid := w.paidSession(session)
	pass := paid["pass"].(map[string]any)
	require.Equal(t, site+"/x/"+endpoint, pass["endpoint_url"])
	require.EqualValues(t, 1, pass["calls_left"])
	token := pass["token"].(string)
	stranger := w.get("/pay/" + session["payment_attempt"].(string))
	require.NotContains(t, string(stranger.body), "pss_", "a pass is its buyer's")
	shown := w.get(strings.TrimPrefix(session["pay_url"].(string), site), page)
	require.Contains(t, string(shown.body), token)
	require.Contains(t, string(shown.body), "It is for one call")

	u.status.Store(500)
	require.Equal(t, 500, w.get("/x/"+endpoint, header("X-Access-Pass", token)).status)
	u.status.Store(200)
	answer := w.get("/x/"+endpoint, header("X-Access-Pass", token))
	require.Equal(t, 200, answer.status, "what failed was not counted: %s", answer.body)
	require.Equal(t, "sunny", string(answer.body))
	again := w.get("/x/"+endpoint, header("Authorization", "Bearer "+token))
	require.Equal(t, 402, again.status)
	require.EqualValues(t, 2, u.calls.Load())
	require.Contains(t, string(w.get(strings.TrimPrefix(session["pay_url"].(string), site), page).body), "used or over")
	listed := w.get("/api/passes/list?endpoint_id="+endpoint, as(w.cafeKey)).json()["data"].([]any)
	require.Len(t, listed, 1)
	require.EqualValues(t, 0, listed[0].(map[string]any)["calls_left"])
	require.False(t, listed[0].(map[string]any)["active"].(bool))
}

func TestThePassOfOneCallIsUsedOnceByManyAtATime(t *testing.T) {
	t.Parallel()
	for _, settle := range []string{"after", "first"} {
		w, u := newWorld(t), newUpstream(t)
		endpoint := w.endpointAt(u.URL+"/weather", "settle", settle)
		token := w.paidSession(w.session(w.endpointLink(endpoint)))["pass"].(map[string]any)["token"].(string)
		var all errgroup.Group
		answers := make([]int, 20)
		for i := range answers {
			all.Go(func() error {
				answers[i] = w.get("/x/"+endpoint, header("X-Access-Pass", token)).status
				return nil
			})
		}
		require.NoError(t, all.Wait())
		good := 0
		for _, status := range answers {
			require.Contains(t, []int{200, 402}, status)
			if status == 200 {
				good++
			}
		}
		require.Equal(t, 1, good)
		require.EqualValues(t, 1, u.calls.Load())
	}
}

func TestThePassOfADeadProcessIsGoodAgain(t *testing.T) {
	t.Parallel()
	w, u := newWorld(t), newUpstream(t)
	endpoint := w.endpointAt(u.URL + "/weather")
	token := w.paidSession(w.session(w.endpointLink(endpoint)))["pass"].(map[string]any)["token"].(string)
	_, err := w.pool.Exec(t.Context(), `UPDATE passes SET call_until = now() + interval '1 minute'`)
	require.NoError(t, err)
	require.Equal(t, 402, w.get("/x/"+endpoint, header("X-Access-Pass", token)).status, "its call is being made")
	_, err = w.pool.Exec(t.Context(), `UPDATE passes SET call_until = now() - interval '1 second'`)
	require.NoError(t, err)
	require.Equal(t, 200, w.get("/x/"+endpoint, header("X-Access-Pass", token)).status)
}

func TestASessionSellsAPassForAWhile(t *testing.T) {
	t.Parallel()
	w, u := newWorld(t), newUpstream(t)
	endpoint := w.endpointAt(u.URL+"/weather", "pricing_type", "subscription", "billing_interval", "day")
	for _, by := range []map[string]any{{"endpoint_id": endpoint}, {"endpoint_url": u.URL + "/weather"}, {"endpoint_url": site + "/x/" + endpoint}} {
		began := w.post("/api/create_payment_session", by)
		require.Equal(t, 201, began.status, "%s", began.body)
		pass := w.paidSession(began.json())["pass"].(map[string]any)
		require.Nil(t, pass["calls_left"])
		ends, err := time.Parse(time.RFC3339, pass["expires_at"].(string))
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().AddDate(0, 0, 1), ends, time.Minute)
		for range 2 {
			require.Equal(t, 200, w.get("/x/"+endpoint, header("X-Access-Pass", pass["token"].(string))).status)
		}
	}
	require.Equal(t, 201, w.post("/api/create_payment_session", map[string]any{"endpoint_id": endpoint}, as(w.cafeKey)).status)
	requireCode(t, 404, "not_found", w.post("/api/create_payment_session", map[string]any{"endpoint_id": endpoint}, as(w.booksKey)))
	requireCode(t, 404, "not_found", w.post("/api/create_payment_session", map[string]any{"endpoint_url": u.URL + "/weather"}, as(w.booksKey)))
	requireCode(t, 404, "not_found", w.post("/api/create_payment_session", map[string]any{"endpoint_url": "https://nobody.example/"}))
	twice := w.post("/api/create_payment_session", map[string]any{"endpoint_id": endpoint, "link_token": "x"})
	require.Equal(t, 400, twice.status)
}

func TestWhatAPassCostsAndBringsIsAsItWasQuoted(t *testing.T) {
	t.Parallel()
	w, u := newWorld(t), newUpstream(t)
	endpoint := w.endpointAt(u.URL + "/weather")
	link := w.endpointLink(endpoint)
	session := w.session(link)
	changed := w.post("/api/endpoints/update", map[string]any{"id": endpoint, "price": "0.20", "pricing_type": "one_time"}, as(w.cafeKey))
	require.Equal(t, 200, changed.status, "%s", changed.body)
	require.Equal(t, "0.20", w.get("/api/link/" + link["token"].(string)).json()["price"], "a link costs what its endpoint does")
	pass := w.paidSession(session)["pass"].(map[string]any)
	require.EqualValues(t, 1, pass["calls_left"], "one call was bought")
	pass = w.paidSession(w.session(link))["pass"].(map[string]any)
	require.Nil(t, pass["calls_left"])
	require.Nil(t, pass["expires_at"])

	open := w.session(link)
	off := w.post("/api/endpoints/disable", map[string]any{"id": endpoint}, as(w.cafeKey))
	require.Equal(t, 200, off.status, "%s", off.body)
	requireCode(t, 409, "endpoint_disabled", w.get("/link/"+link["token"].(string)))
	requireCode(t, 409, "endpoint_disabled", w.post("/api/create_payment_session", map[string]any{"link_token": link["token"]}))
	requireCode(t, 409, "endpoint_disabled", w.post("/api/create_payment_session", map[string]any{"endpoint_id": endpoint}))
	require.Equal(t, 410, w.get("/link/"+link["token"].(string), page).status)
	require.NotNil(t, w.paidSession(open)["pass"], "what was quoted before is still sold")
}

func TestALinkOfAnEndpointIsRefusedForOthers(t *testing.T) {
	t.Parallel()
	w, u := newWorld(t), newUpstream(t)
	endpoint := w.endpointAt(u.URL + "/weather")
	for _, body := range []map[string]any{
		{"endpoint_id": endpoint, "price": "1.00"}, {"endpoint_id": endpoint, "items": []any{}}, {"endpoint_id": "itm_x"},
		{"endpoint_id": endpoint, "leads_to": "https://a.example", "require_payment": false},
		{"endpoint_id": endpoint, "open_amount": map[string]any{"min": "1.00"}},
	} {
		require.Equal(t, 400, w.post("/api/payment_links/create", body, as(w.cafeKey)).status, "%v", body)
	}
	others := w.post("/api/payment_links/create", map[string]any{"endpoint_id": endpoint}, as(w.booksKey))
	require.Equal(t, 400, others.status, "%s", others.body)

	link := w.link(w.cafeKey, "1.00")
	changed := w.post("/api/payment_links/update", map[string]any{"id": link["id"], "endpoint_id": endpoint}, as(w.cafeKey))
	require.Equal(t, 200, changed.status, "%s", changed.body)
	require.Equal(t, "0.10", changed.json()["price"])
	changed = w.post("/api/payment_links/update", map[string]any{"id": link["id"], "title": "Rain"}, as(w.cafeKey))
	require.Equal(t, endpoint, changed.json()["endpoint_id"])
	changed = w.post("/api/payment_links/update", map[string]any{"id": link["id"], "price": "2.00"}, as(w.cafeKey))
	require.Nil(t, changed.json()["endpoint_id"])
	require.Equal(t, "amount", changed.json()["sells"])
}

func TestAFreeCodeBuysAPass(t *testing.T) {
	t.Parallel()
	w, u := newWorld(t), newUpstream(t)
	endpoint := w.endpointAt(u.URL+"/weather", "pricing_type", "one_time")
	word := w.generate(map[string]any{"free": true, "uses": 2, "endpoint_id": endpoint})[0]
	link := w.endpointLink(endpoint)
	var passes []string
	for range 2 {
		began := w.post("/api/create_payment_session", map[string]any{"link_token": link["token"], "code": word})
		require.Equal(t, 201, began.status, "%s", began.body)
		read := w.get(strings.TrimPrefix(began.json()["pay_url"].(string), site))
		require.Equal(t, 200, read.status)
		token := read.json()["pass"].(map[string]any)["token"].(string)
		require.Equal(t, 200, w.get("/x/"+endpoint, header("X-Access-Pass", token)).status)
		passes = append(passes, token)
	}
	require.NotEqual(t, passes[0], passes[1], "nobody is known, so everybody gets his own")
}

func TestAProgramPaysLessForALinkWithACode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.link(w.cafeKey, "2.00")
	at := "/link/" + link["token"].(string)
	word := w.generate(map[string]any{"percent_off": 25, "link_token": link["token"]})[0]
	asked := w.get(at, header("X-Activation-Code", word))
	require.Equal(t, 402, asked.status, "%s", asked.body)
	var body struct {
		Accepts []struct {
			MaxAmountRequired string `json:"maxAmountRequired"`
		} `json:"accepts"`
	}
	require.NoError(t, json.Unmarshal(asked.body, &body))
	require.Equal(t, "1500000", body.Accepts[0].MaxAmountRequired)
	requireCode(t, 404, "code_unknown", w.get(at, header("X-Activation-Code", "GUESS-GUESS")))
	require.Equal(t, 200, w.get(at, page, header("X-Activation-Code", "GUESS-GUESS")).status, "a page has a field of its own")
}

func TestAStorefrontsBuyerTypesACode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mug := w.item(map[string]any{"title": "Mug", "kind": "service", "price": "16.00"})
	s := w.shopper()
	word := w.generate(map[string]any{"percent_off": 50, "name": "Half"})[0]
	s.puts(mug, "1")
	require.Contains(t, string(s.get("/s/cafe/checkout").body), "Have a code?")

	applied := s.post("/s/cafe/checkout", s.order("code", word, "apply", "1")...)
	require.Equal(t, 200, applied.status)
	require.Contains(t, string(applied.body), "Pay 8.00")
	require.Zero(t, w.rowsOf("attempts"), "looking begins nothing")
	wrong := s.post("/s/cafe/checkout", s.order("code", "GUESS-GUESS")...)
	require.Equal(t, 422, wrong.status)
	require.Contains(t, string(wrong.body), "not known")

	to := s.does("/s/cafe/checkout", s.order("code", word)...)
	u, err := url.Parse(to)
	require.NoError(t, err)
	require.Contains(t, string(w.get(u.RequestURI(), page).body), "8.00")
	listed := w.get("/api/activation_codes/list", as(w.cafeKey)).json()["data"].([]any)
	require.EqualValues(t, 1, listed[0].(map[string]any)["used"])
}
