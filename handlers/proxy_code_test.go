package handlers_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// upstream is a seller's server that counts its calls.
type upstream struct {
	*httptest.Server
	calls  atomic.Int64
	status atomic.Int64
	seen   atomic.Pointer[http.Header]
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{}
	u.status.Store(200)
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.calls.Add(1)
		u.seen.Store(&r.Header)
		w.WriteHeader(int(u.status.Load()))
		_, _ = w.Write([]byte("sunny"))
	}))
	t.Cleanup(u.Close)
	return u
}

// endpointAt puts a URL on sale for the café, and returns the endpoint's id.
func (w *apiWorld) endpointAt(url string, more ...any) string {
	w.t.Helper()
	body := map[string]any{"url": url, "title": "Weather", "price": "0.10", "pricing_type": "per_request", "example_input": map[string]any{}, "example_output": map[string]any{}}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	made := w.post("/api/endpoints/create", body, as(w.cafeKey))
	require.Equal(w.t, 201, made.status, "%s", made.body)
	return made.json()["id"].(string)
}

func (w *apiWorld) call(endpoint, code string) reply {
	return w.get("/x/"+endpoint, header("X-Activation-Code", code))
}

func TestACodeLetsACallThroughAsOftenAsItMay(t *testing.T) {
	t.Parallel()
	for _, settle := range []string{"after", "first"} {
		w, u := newWorld(t), newUpstream(t)
		endpoint := w.endpointAt(u.URL+"/weather", "settle", settle)
		word := w.generate(map[string]any{"free": true, "uses": 2, "endpoint_id": endpoint})[0]
		require.Equal(t, 402, w.get("/x/"+endpoint).status)
		require.Zero(t, u.calls.Load())

		answer := w.call(endpoint, word)
		require.Equal(t, 200, answer.status, "%s", answer.body)
		require.Equal(t, "sunny", string(answer.body))
		require.Empty(t, u.seen.Load().Get("X-Activation-Code"), "the code is not the seller's server's business")
		require.Empty(t, u.seen.Load().Get("X-Payment-Payer"))
		require.Contains(t, answer.header.Get("Vary"), "X-Activation-Code")

		u.status.Store(500)
		require.Equal(t, 500, w.call(endpoint, word).status)
		u.status.Store(200)
		require.Equal(t, 200, w.call(endpoint, word).status, "what failed was not counted")
		requireCode(t, 409, "code_used", w.call(endpoint, word))
		require.EqualValues(t, 3, u.calls.Load())
		requireCode(t, 404, "code_unknown", w.call(endpoint, "GUESS-GUESS"))
	}
}

func TestACodeIsUsedUpByAnAnswerThatItsProgramLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	large := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write(make([]byte, 64<<20)) }))
	t.Cleanup(large.Close)
	endpoint := w.endpointAt(large.URL, "settle", "first", "max_answer_bytes", 64<<20)
	word := w.generate(map[string]any{"free": true, "endpoint_id": endpoint})[0]
	over := make(chan struct{})
	gateway := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		defer close(over)
		w.echo.ServeHTTP(out, r)
	}))
	t.Cleanup(gateway.Close)
	ask, err := http.NewRequestWithContext(t.Context(), http.MethodGet, gateway.URL+"/x/"+endpoint, nil)
	require.NoError(t, err)
	ask.Header.Set("X-Activation-Code", word)
	answer, err := http.DefaultClient.Do(ask)
	require.NoError(t, err)
	require.Equal(t, 200, answer.StatusCode)
	_, err = io.CopyN(io.Discard, answer.Body, 8<<20)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	<-over
	requireCode(t, 409, "code_used", w.call(endpoint, word))
}

func TestABypassTokenIsOneCall(t *testing.T) {
	t.Parallel()
	w, u := newWorld(t), newUpstream(t)
	endpoint := w.endpointAt(u.URL)
	word := w.generate(map[string]any{"free": true, "per_wallet": 1, "uses": 5})[0]
	requireField(t, "buyer_address", w.call(endpoint, word), "whose?")
	token := w.redeem(map[string]any{"code": word, "buyer_address": cafe, "endpoint_id": endpoint}).json()["bypass_token"].(string)
	var g errgroup.Group
	var let atomic.Int64
	for range 20 {
		g.Go(func() error {
			if w.call(endpoint, token).status == 200 {
				let.Add(1)
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	require.EqualValues(t, 1, let.Load())
	require.EqualValues(t, 1, u.calls.Load())
	require.Equal(t, "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", u.seen.Load().Get("X-Payment-Payer"))
	other := w.endpointAt(u.URL + "/other")
	elsewhere := w.redeem(map[string]any{"code": word, "buyer_address": books, "endpoint_id": endpoint}).json()["bypass_token"].(string)
	requireCode(t, 400, "code_elsewhere", w.call(other, elsewhere))
}

func TestACodeMakesACallCostLess(t *testing.T) {
	t.Parallel()
	w, u := newWorld(t), newUpstream(t)
	endpoint := w.endpointAt(u.URL)
	word := w.generate(map[string]any{"percent_off": 30})[0]
	asked := w.call(endpoint, word)
	require.Equal(t, 402, asked.status)
	require.Equal(t, "70000", asked.json()["accepts"].([]any)[0].(map[string]any)["maxAmountRequired"])
	text, err := base64.StdEncoding.DecodeString(asked.header.Get("Payment-Required"))
	require.NoError(t, err)
	var required struct{ Accepts []struct{ Amount string } }
	require.NoError(t, json.Unmarshal(text, &required))
	require.Equal(t, "70000", required.Accepts[0].Amount)
	require.Equal(t, "100000", w.get("/x/" + endpoint).json()["accepts"].([]any)[0].(map[string]any)["maxAmountRequired"])
	require.Zero(t, u.calls.Load())
	ofItem := w.generate(map[string]any{"free": true, "item_id": w.item(map[string]any{"title": "Tea", "kind": "physical", "price": "1"})["id"]})[0]
	requireCode(t, 400, "code_elsewhere", w.call(endpoint, ofItem))
	theirs := w.post("/api/activation_codes/generate", map[string]any{"free": true}, as(w.booksKey)).json()
	requireCode(t, 404, "code_unknown", w.call(endpoint, theirs["codes"].([]any)[0].(map[string]any)["code"].(string)))
}
