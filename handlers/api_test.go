package handlers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/handlers"
	"xsynesis/id"
)

func TestEveryRouteIsDescribedAndEveryDescriptionIsARoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	described := map[string]bool{}
	paths := w.get("/openapi.json").json()["paths"].(map[string]any)
	for path, methods := range paths {
		for method := range methods.(map[string]any) {
			described[strings.ToUpper(method)+" "+path] = true
		}
	}
	served := map[string]bool{}
	for _, r := range w.echo.Routes() {
		if !strings.HasPrefix(r.Path, "/api/") || r.Method == http.MethodOptions || strings.HasPrefix(r.Method, "echo_") {
			continue
		}
		parts := strings.Split(r.Path, "/")
		for i, p := range parts {
			if name, ok := strings.CutPrefix(p, ":"); ok {
				parts[i] = "{" + name + "}"
			}
		}
		served[r.Method+" "+strings.Join(parts, "/")] = true
	}
	require.Equal(t, served, described)
	require.Len(t, served, 59)
}

func TestKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)

	t.Run("no key, a wrong one, and a cookie open nothing", func(t *testing.T) {
		for _, more := range [][]with{
			nil, {as("sk_test_wrong")}, {header("Authorization", "Basic "+w.cafeKey)}, {header("Cookie", "sid="+w.cafeKey)},
		} {
			answer := w.get("/api/payment_links/list", more...)
			code, _ := answer.code()
			require.Equal(t, 401, answer.status)
			require.Equal(t, "unauthorized", code)
		}
	})
	t.Run("a key does what its scopes say and no more", func(t *testing.T) {
		reader := w.key(w.cafe, false, access.LinksRead)
		require.Equal(t, 200, w.get("/api/payment_links/list", as(reader)).status)
		for _, answer := range []reply{
			w.post("/api/payment_links/create", map[string]any{"title": "x", "price": "1"}, as(reader)), w.get("/api/sales/list", as(reader)),
			w.get("/api/sales.csv", as(reader)), w.get("/api/balance", as(reader)), w.post("/api/dev/settle", "{}", as(reader)),
		} {
			code, _ := answer.code()
			require.Equal(t, 403, answer.status)
			require.Equal(t, "forbidden", code)
		}
	})
	t.Run("errors carry the request's id", func(t *testing.T) {
		answer := w.get("/api/balance")
		require.Equal(t, answer.header.Get("X-Request-Id"), answer.json()["error"].(map[string]any)["request_id"])
	})
}

func TestAShopSeesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.link(w.cafeKey, "0.50")
	session := w.session(link)

	for name, answer := range map[string]reply{
		"update":                 w.post("/api/payment_links/update", map[string]any{"id": link["id"], "title": "Mine now"}, as(w.booksKey)),
		"expire":                 w.post("/api/payment_links/expire", map[string]any{"id": link["id"]}, as(w.booksKey)),
		"sell for another":       w.post("/api/create_payment_session", map[string]any{"link_token": link["token"]}, as(w.booksKey)),
		"simulate for another":   w.post("/api/dev/settle", map[string]any{"payment_attempt_id": session["payment_attempt"]}, as(w.booksKey)),
		"test link by live key":  w.post("/api/payment_links/expire", map[string]any{"id": link["id"]}, as(w.key(w.cafe, true, access.Scopes...))),
		"a link that is not":     w.post("/api/payment_links/update", map[string]any{"id": "lnk_1111111111111111111111"}, as(w.cafeKey)),
		"a malformed id":         w.post("/api/payment_links/update", map[string]any{"id": "lnk_1"}, as(w.cafeKey)),
		"an id of another kind":  w.post("/api/payment_links/update", map[string]any{"id": w.cafe}, as(w.cafeKey)),
		"a malformed token":      w.get("/api/link/..%2f..%2fetc"),
		"a token that is not":    w.get("/api/link/" + id.NewToken()),
		"a session for nothing":  w.post("/api/create_payment_session", map[string]any{"link_token": "nonsense"}),
		"a malformed purchase":   w.get("/api/payment_attempts/pa_1"),
		"a purchase that is not": w.get("/api/payment_attempts/pa_1111111111111111111111"),
		"a code for nothing":     w.get("/api/qr?token=" + id.NewToken()),
	} {
		code, _ := answer.code()
		require.Equal(t, 404, answer.status, name)
		require.Equal(t, "not_found", code, name)
	}
	require.Empty(t, w.get("/api/payment_links/list", as(w.booksKey)).json()["data"])
	require.Empty(t, w.get("/api/payment_links/list", as(w.key(w.cafe, true, access.LinksRead))).json()["data"])
	require.Len(t, w.get("/api/payment_links/list", as(w.cafeKey)).json()["data"], 1)

	stranger := w.get("/api/payment_attempts/"+session["payment_attempt"].(string), as(w.booksKey)).json()
	require.NotContains(t, stranger, "metadata")
	require.NotContains(t, stranger, "receipt")
}

func TestDevSettleIsNotThereUnlessItIsOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *handlers.Options) { o.DevSettle = false })
	require.Equal(t, 404, w.post("/api/dev/settle", "{}", as(w.cafeKey)).status)
	require.Equal(t, 404, w.post("/api/dev/settle", "{}").status)
}

func TestPagesOfOtherSitesMayCallWhatIsPublic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.link(w.cafeKey, "0.50")
	answer := w.get("/api/link/"+link["token"].(string), header("Origin", "https://elsewhere.example"))
	require.Equal(t, "*", answer.header.Get("Access-Control-Allow-Origin"))
	for _, name := range []string{"PAYMENT-REQUIRED", "PAYMENT-RESPONSE", "X-PAYMENT-RESPONSE", "Location", "Retry-After"} {
		require.Contains(t, answer.header.Get("Access-Control-Expose-Headers"), name)
	}
	preflight := w.do(http.MethodOptions, "/api/payment_attempts/pa_1/pay", nil, header("Origin", "https://elsewhere.example"))
	require.Equal(t, 204, preflight.status)
	for _, name := range []string{"PAYMENT-SIGNATURE", "X-PAYMENT", "Access-Control-Expose-Headers", "Content-Type", "Idempotency-Key", "Authorization"} {
		require.Contains(t, preflight.header.Get("Access-Control-Allow-Headers"), name)
	}
	require.Empty(t, w.get("/api/balance", as(w.cafeKey)).header.Get("Access-Control-Allow-Origin"))
}
