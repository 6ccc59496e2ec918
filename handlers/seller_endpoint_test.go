package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/handlers"
	"xsynesis/id"
	"xsynesis/x402/buyer"
)

// endpointSent is the form of a paid API as somebody fills it in.
func endpointSent(address string, more ...string) url.Values {
	v := url.Values{
		"url": {address}, "title": {"Weather"}, "description": {"Of any city."}, "price": {"0.05"}, "pricing_type": {"per_request"}, "settle": {"after"},
		"billing_interval": {"month"}, "mime_type": {"application/json"}, "example_input": {`{ "city": "Oslo" }`}, "example_output": {""},
		"secret_header": {"x-api-key"}, "secret": {"only-the-gateway-knows"}, "timeout_seconds": {"5"}, "max_answer_bytes": {""},
	}
	for i := 0; i < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return v
}

func TestASellerPutsAnAPIOnSaleAndChangesIt(t *testing.T) {
	t.Parallel()
	w, u := newWorld(t), newUpstream(t)
	ada, shop := w.signIn("ada")
	w.isPaidAt(shop, strings.ToLower(payTo))
	require.Contains(t, string(w.get("/dashboard/endpoints", ada).body), "No paid APIs yet")
	once := id.NewToken()
	page := w.form("/dashboard/endpoints", endpointSent(u.URL, "once", once), ada).goesTo(t)
	require.Equal(t, page, w.form("/dashboard/endpoints", endpointSent(u.URL, "once", once), ada).goesTo(t), "a form that is sent twice")
	shown := string(w.get(page, ada).body)
	for _, text := range []string{site + "/x/" + page[strings.LastIndex(page, "/")+1:], "0.05", "per call", "X-Api-Key", "5 seconds", "4 MiB", "{&#34;city&#34;:&#34;Oslo&#34;}", "Nobody has paid yet"} {
		require.Contains(t, shown, text)
	}
	require.Contains(t, string(w.get("/dashboard/endpoints", ada).body), "Weather")

	form := string(w.get(page+"/edit", ada).body)
	require.Contains(t, form, "One is kept, and nobody can read it again")
	require.NotContains(t, form+shown, "only-the-gateway-knows")
	require.Equal(t, page, w.form(page+"/edit", endpointSent(u.URL, "secret", "", "title", "Tides", "pricing_type", "subscription", "billing_interval", "week"), ada).goesTo(t))
	require.Contains(t, string(w.get(page, ada).body), "per week")

	require.Equal(t, 402, w.get("/x/"+page[strings.LastIndex(page, "/")+1:]).status)
	require.Equal(t, page, w.form(page+"/status", url.Values{"status": {"disabled"}}, ada).goesTo(t))
	require.Contains(t, string(w.get(page, ada).body), "Turn on")
	require.Equal(t, 400, w.form(page+"/status", url.Values{"status": {"gone"}}, ada).status)
	require.NotEqual(t, 402, w.get("/x/"+page[strings.LastIndex(page, "/")+1:]).status)
	w.form(page+"/status", url.Values{"status": {"active"}}, ada)
	require.Equal(t, 402, w.get("/x/"+page[strings.LastIndex(page, "/")+1:]).status)

	eve, _ := w.signIn("eve")
	for _, path := range []string{"", "/edit", "/trial"} {
		require.Equal(t, 404, w.get(page+path, eve).status, path)
	}
}

func TestARefusedFormOfAPaidAPIComesBackWithoutItsSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, shop := w.signIn("ada")
	w.isPaidAt(shop, strings.ToLower(payTo))
	for name, sent := range map[string]url.Values{
		"url":              endpointSent("ftp://shop.example"),
		"price":            endpointSent("http://127.0.0.1:1", "price", "much"),
		"timeout_seconds":  endpointSent("http://127.0.0.1:1", "timeout_seconds", "900"),
		"max_answer_bytes": endpointSent("http://127.0.0.1:1", "max_answer_bytes", "-1"),
		"example_output":   endpointSent("http://127.0.0.1:1", "example_output", "{"),
		"secret_header":    endpointSent("http://127.0.0.1:1", "secret_header", "Host"),
		"secret":           endpointSent("http://127.0.0.1:1", "secret", "a\nb"),
	} {
		page := w.form("/dashboard/endpoints", sent, ada)
		require.NotEmpty(t, page.problem(name), name)
		require.Contains(t, string(page.body), `value="Weather"`, name)
		require.NotContains(t, string(page.body), "only-the-gateway-knows", name)
	}
	require.Zero(t, w.count(`SELECT count(*) FROM endpoints`))
}

func TestATrialPaysWithTheTestWalletAndShowsEveryHeader(t *testing.T) {
	t.Parallel()
	wallet, err := buyer.Key(strings.Repeat("42", 32))
	require.NoError(t, err)
	w, u := newWorld(t, func(o *handlers.Options) { o.TestPayer = wallet }), newUpstream(t)
	ada, shop := w.signIn("ada")
	w.isPaidAt(shop, strings.ToLower(payTo))
	page := w.form("/dashboard/endpoints", endpointSent(u.URL, "settle", "first"), ada).goesTo(t)
	require.Contains(t, string(w.get(page+"/trial", ada).body), "Call and pay 0.05")

	done := make(chan string)
	go func() {
		done <- string(w.form(page+"/trial", url.Values{"method": {"GET"}, "path": {"/oslo?days=2"}}, ada).body)
	}()
	shown := ""
	for shown == "" {
		select {
		case shown = <-done:
		case <-time.After(20 * time.Millisecond):
			w.work()
		}
	}
	for _, text := range []string{
		"Paid 0.05 USDC, and answered: 200 OK.", "1. Asked without a payment", "402 Payment Required", "Payment-Required: ", "2. Asked with the payment",
		"Payment-Signature: ", "Payment-Response: ", "&#34;success&#34;: true", "sunny", "/oslo?days=2",
	} {
		require.Contains(t, shown, text)
	}
	require.NotContains(t, shown, "only-the-gateway-knows")
	require.Equal(t, "only-the-gateway-knows", u.seen.Load().Get("X-Api-Key"))
	require.EqualValues(t, 1, u.calls.Load())
	require.Contains(t, string(w.get(page, ada).body), "Paid from")
}

func TestATrialWithoutATestWalletAsksForThePriceAlone(t *testing.T) {
	t.Parallel()
	w, u := newWorld(t), newUpstream(t)
	ada, shop := w.signIn("ada")
	w.isPaidAt(shop, strings.ToLower(payTo))
	page := w.form("/dashboard/endpoints", endpointSent(u.URL), ada).goesTo(t)
	shown := w.form(page+"/trial", url.Values{"method": {"POST"}, "body": {`{"a":1}`}}, ada)
	require.Equal(t, 200, shown.status)
	require.Contains(t, string(shown.body), "It costs 0.05 USDC. Nothing was paid.")
	require.Contains(t, string(shown.body), "Content-Type: application/json")
	require.Zero(t, u.calls.Load())
	refused := w.form(page+"/trial", url.Values{"method": {"GET"}, "path": {"//%2e%2e/admin"}}, ada)
	require.Contains(t, string(refused.body), "400 Bad Request", "what programs may not ask, a trial may not")
	for _, path := range []string{"oslo", "@elsewhere.example", "/a b", "/%zz"} {
		require.Equal(t, http.StatusUnprocessableEntity, w.form(page+"/trial", url.Values{"method": {"GET"}, "path": {path}}, ada).status, path)
	}
	require.Equal(t, http.StatusBadRequest, w.form(page+"/trial", url.Values{"method": {"TRACE"}}, ada).status)
}

func TestASellerRevokesAPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, shop := w.signIn("ada")
	w.isPaidAt(shop, strings.ToLower(payTo))
	require.Contains(t, string(w.get("/dashboard/endpoints/passes", ada).body), "No passes")
	page := w.form("/dashboard/endpoints", endpointSent("http://127.0.0.1:1", "pricing_type", "one_time"), ada).goesTo(t)
	endpoint := page[strings.LastIndex(page, "/")+1:]
	pass := string(id.New[id.Pass](time.Now()))
	_, err := w.pool.Exec(t.Context(), `INSERT INTO passes (id, merchant_id, livemode, endpoint_id, payer, token_hash, paid_at, payments, created_at)
		VALUES ($1, $2, false, $3, $4, '', now(), 2, now())`, pass, shop, endpoint, strings.ToLower(cafe))
	require.NoError(t, err)
	for _, path := range []string{"/dashboard/endpoints/passes", "/dashboard/endpoints/passes?endpoint=" + endpoint} {
		list := string(w.get(path, ada).body)
		require.Contains(t, list, "2 times")
		require.Contains(t, list, "Active")
	}
	end := "/dashboard/endpoints/passes/" + pass + "/revocation"
	require.Contains(t, string(w.get(end, ada).body), "Who pays again gets another")
	eve, _ := w.signIn("eve")
	require.Equal(t, 404, w.form(end, nil, eve).status)
	require.Equal(t, "/dashboard/endpoints/passes", w.form(end, nil, ada).goesTo(t))
	require.Contains(t, string(w.get("/dashboard/endpoints/passes", ada).body), "Revoked")
	require.Equal(t, 1, w.count(`SELECT count(*) FROM audit_rows WHERE action = 'pass.revoked' AND resource_id = $1`, pass))
}
