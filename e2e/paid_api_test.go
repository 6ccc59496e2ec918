package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"xsynesis/x402"
)

// seller is a seller's own server, which an endpoint stands for.
type seller struct{ URL string }

// startSeller starts an Express server that knows nothing of payments.
func startSeller(t testing.TB) seller {
	t.Helper()
	return seller{serveNPM(t, "express", "upstream.mjs").url}
}

// askedOf is what a seller's server says that it was asked for.
type askedOf struct {
	Asked map[string]int `json:"asked"`
	Last  struct {
		Method  string            `json:"method"`
		URL     string            `json:"url"`
		Headers map[string]string `json:"headers"`
		Body    any               `json:"body"`
	} `json:"last"`
}

func (s seller) asked(t testing.TB, w *world) (a askedOf) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(w.get(t, s.URL+"/asked").Body), &a))
	return a
}

// paidEndpoint is an endpoint as the API tells of it.
type paidEndpoint struct {
	ID          string `json:"id"`
	EndpointURL string `json:"endpoint_url"`
}

func (w *world) newEndpoint(t testing.TB, url string, more map[string]any) (e paidEndpoint) {
	t.Helper()
	form := map[string]any{"url": url, "price": "0.05", "title": "Weather"}
	for name, value := range more {
		form[name] = value
	}
	w.call(t, "/api/endpoints/create", form, &e)
	return e
}

func TestUnmodifiedClientsPayAnExpressUpstream(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for _, client := range []struct{ name, packages, script string }{
		{"x402-fetch", "v1", "pay_v1.mjs"},
		{"@x402-fetch", "v2", "pay_v2.mjs"},
		{"x402-axios", "axios", "pay_axios_v1.mjs"},
		{"@x402-axios", "axios", "pay_axios_v2.mjs"},
	} {
		t.Run(client.name, func(t *testing.T) {
			t.Parallel()
			s := startSeller(t)
			path := "/weather/" + client.name
			e := w.newEndpoint(t, s.URL+"/v1", map[string]any{"secret_header": "X-Api-Key", "secret": "only the gateway knows"})
			began := time.Now()
			paid := w.runPayer(t, client.packages, client.script, e.EndpointURL+path+"?days=2")
			report(t, "%.1f s from start of node to answer", time.Since(began).Seconds())
			require.Equal(t, 200, paid.Status, paid.Body)
			require.Contains(t, paid.Body, `"rain":false`)
			require.Nil(t, paid.OtherReceipt, "a receipt of the other version")
			require.Len(t, paid.Sent, 2)
			var header receiptHeader
			decodeHeader(t, paid.Receipt, &header)
			require.True(t, header.Success)
			w.requireTransfer(t, header.Transaction, w.BuyerAddress, w.payTo(t), 50_000)
			sales := w.sales(t, "item_id", e.ID)
			require.Len(t, sales, 1)
			require.Equal(t, header.Transaction, sales[0]["transaction"])
			require.Equal(t, 1, s.asked(t, w).Asked["/v1"+path])
		})
	}
}

// paymentFor is what a program of our own answers to a 402.
func (w *world) paymentFor(t testing.TB, url string) (name, value string) {
	t.Helper()
	ask := w.get(t, url)
	require.Equal(t, 402, ask.Status, ask.Body)
	return w.answerTo(t, ask)
}

func (w *world) answerTo(t testing.TB, ask answer) (name, value string) {
	t.Helper()
	offer, err := x402.ReadOffer(ask.Header, []byte(ask.Body), x402.BaseSepolia)
	require.NoError(t, err)
	require.Len(t, offer.Choices, 1)
	choice := offer.Choices[0]
	var nonce common.Hash
	_, _ = rand.Read(nonce[:])
	a := x402.Authorization{
		From: common.HexToAddress(w.BuyerAddress), To: choice.PayTo, Value: big.NewInt(int64(choice.Amount)), ValidAfter: new(big.Int),
		ValidBefore: big.NewInt(time.Now().Add(4 * time.Minute).Unix()), Nonce: nonce,
	}
	signature, err := x402.Sign(a, x402.BaseSepolia, w.buyer(t))
	require.NoError(t, err)
	want := x402.Requirement{Token: x402.BaseSepolia, Amount: choice.Amount, PayTo: choice.PayTo, MaxTimeout: choice.MaxTimeout}
	return want.Payment(2, a, signature).Encode()
}

func TestAnUpstreamThatFailsCostsNothing(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	s := startSeller(t)
	e := w.newEndpoint(t, s.URL+"/v1", map[string]any{"timeout_seconds": 2})
	for path, want := range map[string]struct {
		status int
		code   string
	}{
		"/broken":     {500, ""},
		"/moved":      {502, "upstream_failed"},
		"/large":      {502, "upstream_too_large"},
		"/stalled":    {504, "upstream_timeout"},
		"/broken-off": {502, "upstream_failed"},
		"/not-there":  {404, ""},
	} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			name, value := w.paymentFor(t, e.EndpointURL+path)
			a := w.get(t, e.EndpointURL+path, name, value)
			require.Equal(t, want.status, a.Status, a.Body)
			if want.code != "" {
				require.Equal(t, want.code, a.errorCode(t))
			}
			require.Empty(t, a.Header.Get("PAYMENT-RESPONSE"))
			require.Equal(t, 1, s.asked(t, w).Asked["/v1"+path])

			well := e.EndpointURL + "/weather/after" + path[1:]
			again := w.get(t, well, name, value)
			require.Equal(t, 200, again.Status, "the same payment pays another call: %s", again.Body)
			require.NotEmpty(t, again.Header.Get("PAYMENT-RESPONSE"))
		})
	}
}

func TestWhatPassesBetweenAProgramAndTheSellersServer(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	s := startSeller(t)
	e := w.newEndpoint(t, s.URL+"/v1?key=1", map[string]any{"secret_header": "Authorization", "secret": "Bearer s3cret"})
	url := e.EndpointURL + "/weather/R%C3%B8nne%20by?days=2"
	name, value := w.paymentFor(t, url)
	a := w.do(t, http.MethodPost, url, `{"when":"now"}`, name, value, "Content-Type", "application/json", "Cookie", "sid=mine",
		"Authorization", "Bearer mine", "X-Forwarded-For", "10.0.0.1", "Connection", "X-Private", "X-Private", "mine", "X_Api_Key", "mine", "X-Trace", "kept",
		"X-Access-Pass", "pss_1")
	require.Equal(t, 200, a.Status, a.Body)
	require.JSONEq(t, `{"place":"Rønne by","rain":false,"body":{"when":"now"}}`, a.Body)
	require.Equal(t, "dry", a.Header.Get("X-Weather"))
	require.Equal(t, "private, no-store", a.Header.Get("Cache-Control"))
	require.Contains(t, a.Header.Get("Content-Security-Policy"), "sandbox")
	require.Contains(t, strings.Join(a.Header.Values("Vary"), ","), "PAYMENT-SIGNATURE")
	for _, gone := range []string{"Set-Cookie", "X-Accel-Redirect"} {
		require.Empty(t, a.Header.Get(gone), gone)
	}
	last := s.asked(t, w).Last
	require.Equal(t, "/v1/weather/R%C3%B8nne%20by?key=1&days=2", last.URL)
	require.Equal(t, "Bearer s3cret", last.Headers["authorization"])
	require.Equal(t, "kept", last.Headers["x-trace"])
	require.Equal(t, a.Header.Get("X-Payment-Attempt"), last.Headers["x-payment-attempt"])
	require.True(t, strings.EqualFold(w.BuyerAddress, last.Headers["x-payment-payer"]))
	for _, gone := range []string{"cookie", "x-forwarded-for", "x-private", "x_api_key", "payment-signature", "x-access-pass"} {
		require.NotContains(t, last.Headers, gone)
	}
}

func TestPreflightsAreFreeAndAHeadCostsWhatAGetDoes(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	s := startSeller(t)
	e := w.newEndpoint(t, s.URL+"/v1", nil)
	url := e.EndpointURL + "/weather/here"
	a := w.do(t, http.MethodOptions, url, "", "Origin", "https://page.example", "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "x-mine, payment-signature")
	require.Equal(t, 204, a.Status)
	require.Equal(t, "*", a.Header.Get("Access-Control-Allow-Origin"))
	require.Contains(t, a.Header.Get("Access-Control-Allow-Methods"), "PUT")
	require.Contains(t, a.Header.Get("Access-Control-Allow-Headers"), "x-mine")
	require.Contains(t, a.Header.Get("Access-Control-Allow-Headers"), "PAYMENT-SIGNATURE")
	head := w.do(t, http.MethodHead, url, "")
	require.Equal(t, 402, head.Status)
	require.Equal(t, "no-store", head.Header.Get("Cache-Control"))
	require.Empty(t, s.asked(t, w).Asked, "nothing is asked for that is not paid")
	name, value := w.answerTo(t, head)
	require.Equal(t, 200, w.do(t, http.MethodHead, url, "", name, value).Status)
	require.Equal(t, "HEAD", s.asked(t, w).Last.Method)
}

// The rest of the figures is printed: 64 programs, 20 calls each.
func TestManyProgramsPayAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	s := startSeller(t)
	e := w.newEndpoint(t, s.URL+"/v1", nil)
	const programs, calls = 64, 20
	var mu sync.Mutex
	var took []time.Duration
	var failures []string
	var all sync.WaitGroup
	began := time.Now()
	for program := range programs {
		all.Go(func() {
			for call := range calls {
				url := fmt.Sprintf("%s/weather/%d-%d", e.EndpointURL, program, call)
				ask, err := w.send(context.Background(), http.MethodGet, url, "")
				if err != nil || ask.Status != 402 {
					mu.Lock()
					failures = append(failures, fmt.Sprint("offer: ", err, ask.Status, ask.Body))
					mu.Unlock()
					continue
				}
				name, value := w.answerTo(t, ask)
				start := time.Now()
				a, err := w.send(context.Background(), http.MethodGet, url, "", name, value)
				mu.Lock()
				took = append(took, time.Since(start))
				if err != nil || a.Status != 200 || a.Header.Get("PAYMENT-RESPONSE") == "" {
					failures = append(failures, fmt.Sprint(err, a.Status, a.Body))
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	whole := time.Since(began)
	require.Empty(t, failures)
	slices.Sort(took)
	report(t, "%d paid calls by %d programs in %.1f s: %.1f/s, p50 %d ms, p99 %d ms, failures 0", len(took), programs, whole.Seconds(),
		float64(len(took))/whole.Seconds(), took[len(took)/2].Milliseconds(), took[len(took)*99/100].Milliseconds())
	asked := s.asked(t, w).Asked
	require.Len(t, asked, programs*calls)
	for path, n := range asked {
		require.Equal(t, 1, n, path)
	}
}
