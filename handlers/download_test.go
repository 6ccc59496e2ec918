package handlers_test

import (
	"bytes"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGoodsByAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	file := w.upload("größe 1.pdf", "file", content, as(w.cafeKey)).json()
	book := w.item(map[string]any{"title": "Book", "kind": "file", "file": file["id"]})
	game := w.item(map[string]any{"title": "Game", "kind": "key"})
	w.post("/api/items/import_keys", map[string]any{"id": game["id"], "keys": []string{"KEY-1"}}, as(w.cafeKey))
	session := w.post("/api/create_payment_session", map[string]any{"items": of(book, 1, game, 1)}).json()
	attempt := session["payment_attempt"].(string)
	pay, err := url.Parse(session["pay_url"].(string))
	require.NoError(t, err)
	k := pay.Query().Get("k")
	path := "/pay/" + attempt + "/files/0"
	require.Equal(t, 404, w.get(path+"?k="+k).status, "it is not paid")
	settled := w.post("/api/dev/settle", map[string]any{"payment_attempt_id": attempt}, as(w.cafeKey))
	require.Equal(t, 200, settled.status)

	mine := w.get("/api/payment_attempts/" + attempt + "?k=" + k).json()["receipt"].(map[string]any)["goods"].([]any)
	require.Equal(t, []any{"KEY-1"}, mine[1].(map[string]any)["keys"])
	address, err := url.Parse(mine[0].(map[string]any)["url"].(string))
	require.NoError(t, err)
	whole := w.get(address.RequestURI())
	require.Equal(t, 200, whole.status)
	require.Equal(t, content, whole.body)
	require.Contains(t, whole.header.Get("Content-Disposition"), "attachment")
	require.Equal(t, "application/octet-stream", whole.header.Get("Content-Type"))
	part := w.get(address.RequestURI(), header("Range", "bytes=300000-"))
	require.Equal(t, 206, part.status)
	require.Equal(t, content[300_000:], part.body)
	require.Equal(t, 416, w.get(address.RequestURI(), header("Range", "bytes=9999999-")).status)

	theirs := w.get("/api/payment_attempts/"+attempt, as(w.cafeKey)).json()["receipt"].(map[string]any)["goods"].([]any)
	require.NotContains(t, theirs[0], "url", "the address is the buyer's")
	require.NotContains(t, w.get("/api/payment_attempts/"+attempt).json(), "receipt")
	require.NotContains(t, w.get("/api/payment_attempts/"+attempt, as(w.booksKey)).json(), "receipt")
	for _, wrong := range []string{path, path + "?k=", path + "?k=1111111111111111111111", "/pay/" + attempt + "/files/1?k=" + k, "/pay/" + attempt + "/files/x?k=" + k, "/pay/pa_1/files/0?k=" + k} {
		require.Equal(t, 404, w.get(wrong).status, wrong)
	}
}

func TestOrdersByAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	beans := w.item(nil)
	session := w.post("/api/create_payment_session", map[string]any{"items": of(beans, 1)}).json()
	w.post("/api/dev/settle", map[string]any{"payment_attempt_id": session["payment_attempt"]}, as(w.cafeKey))
	sale := w.get("/api/sales/list", as(w.cafeKey)).json()["data"].([]any)[0].(map[string]any)
	require.Equal(t, "unfulfilled", sale["fulfilment"])
	require.Equal(t, 404, w.post("/api/sales/fulfill", map[string]any{"id": sale["id"]}, as(w.booksKey)).status)
	sent := w.post("/api/sales/fulfill", map[string]any{"id": sale["id"], "note": "Parcel 7"}, as(w.cafeKey)).json()
	require.Equal(t, "fulfilled", sent["fulfilment"])
	require.Equal(t, "Parcel 7", sent["fulfilment_note"])
	require.Empty(t, w.get("/api/exceptions/list", as(w.cafeKey)).json()["data"])
}
