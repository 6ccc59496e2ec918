package handlers_test

import (
	"bytes"
	"image"
	"image/png"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/handlers"
	"xsynesis/id"
)

// item puts something on the shelf and returns it.
func (w *apiWorld) item(fields map[string]any) map[string]any {
	body := map[string]any{"title": "Coffee beans", "kind": "physical", "price": "12.50"}
	for name, value := range fields {
		body[name] = value
	}
	answer := w.post("/api/items/create", body, as(w.cafeKey))
	require.Equal(w.t, 201, answer.status, string(answer.body))
	return answer.json()
}

// upload sends a file as a form does.
func (w *apiWorld) upload(name, purpose string, content []byte, more ...with) reply {
	var form bytes.Buffer
	m := multipart.NewWriter(&form)
	if purpose != "" {
		require.NoError(w.t, m.WriteField("purpose", purpose))
	}
	part, err := m.CreateFormFile("file", name)
	require.NoError(w.t, err)
	_, err = part.Write(content)
	require.NoError(w.t, err)
	require.NoError(w.t, m.Close())
	return w.do(http.MethodPost, "/api/uploads/create", &form, append(more, header("Content-Type", m.FormDataContentType()))...)
}

// pictureOf is a PNG of that many pixels.
func pictureOf(t *testing.T, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))))
	return b.Bytes()
}

func TestItemsByAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.item(map[string]any{"stock": 10, "sku": "B-1", "category": "Beans", "low_stock": 2})
	require.Equal(t, "12500000", item["amount"])
	require.EqualValues(t, 10, item["free"])
	require.Equal(t, "active", item["status"])

	changed := w.post("/api/items/update", map[string]any{"id": item["id"], "price": "0.0025", "add_stock": 5}, as(w.cafeKey)).json()
	require.Equal(t, "0.0025", changed["price"])
	require.EqualValues(t, 0, changed["amount_cents"])
	require.EqualValues(t, 15, changed["stock"])
	require.Equal(t, "B-1", changed["sku"])
	endless := w.post("/api/items/update", `{"id":"`+item["id"].(string)+`","stock":null,"low_stock":null}`, as(w.cafeKey)).json()
	require.Nil(t, endless["stock"])
	require.Nil(t, endless["free"])

	free := w.item(map[string]any{"title": "Leaflet", "price": "0"})
	require.Equal(t, "free", free["pricing"])
	w.item(map[string]any{"title": "Donation", "kind": "service", "pricing": "minimum", "price": "1"})
	list := w.get("/api/items/list?limit=2", as(w.cafeKey)).json()
	require.Len(t, list["data"], 2)
	require.NotNil(t, list["next_cursor"])
	require.Len(t, w.get("/api/items/list?limit=2&cursor="+list["next_cursor"].(string), as(w.cafeKey)).json()["data"], 1)
	require.Len(t, w.get("/api/items/list?sku=B-1", as(w.cafeKey)).json()["data"], 1)
	require.Empty(t, w.get("/api/items/list", as(w.booksKey)).json()["data"])

	require.Equal(t, "archived", w.post("/api/items/archive", map[string]any{"id": item["id"]}, as(w.cafeKey)).json()["status"])
	require.Len(t, w.get("/api/items/list?archived=true", as(w.cafeKey)).json()["data"], 1)
	require.Equal(t, "active", w.post("/api/items/archive", map[string]any{"id": item["id"], "archived": false}, as(w.cafeKey)).json()["status"])

	game := w.item(map[string]any{"title": "A game", "kind": "key"})
	keys := w.post("/api/items/import_keys", map[string]any{"id": game["id"], "keys": []string{"A", "B", "A"}}, as(w.cafeKey)).json()
	require.EqualValues(t, 2, keys["added"])
	require.EqualValues(t, 2, keys["item"].(map[string]any)["free"])
}

func TestBadItemsByAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.item(map[string]any{"sku": "B-1"})
	theirs := w.post("/api/items/create", map[string]any{"title": "Book", "kind": "physical", "price": "1"}, as(w.booksKey)).json()
	for name, wrong := range map[string]struct {
		body  any
		field string
	}{
		"a fraction of stock": {map[string]any{"stock": 1.5}, "stock"},
		"a negative stock":    {map[string]any{"stock": -1}, "stock"},
		"a text for stock":    {map[string]any{"stock": "5"}, "stock"},
		"no price at all":     {map[string]any{"price": nil}, "price"},
		"two prices":          {map[string]any{"price": "1", "amount_cents": 200}, "price"},
		"seven decimals":      {map[string]any{"price": "0.0000001"}, "price"},
		"a SKU twice":         {map[string]any{"sku": "B-1"}, "sku"},
		"an address as image": {map[string]any{"image": "https://evil.example/x.png"}, "image"},
		"another currency":    {map[string]any{"currency": "EUR"}, "currency"},
		"an unknown field":    {map[string]any{"colour": "red"}, "colour"},
		"another's edition":   {map[string]any{"edition_of": theirs["id"]}, "edition_of"},
		"a title turned":      {map[string]any{"title": "a\u202eb"}, "title"},
	} {
		body := map[string]any{"title": "Beans", "kind": "physical", "price": "1"}
		for k, v := range wrong.body.(map[string]any) {
			body[k] = v
		}
		answer := w.post("/api/items/create", body, as(w.cafeKey))
		code, field := answer.code()
		require.Equal(t, 400, answer.status, name)
		require.Equal(t, "invalid_field", code, name)
		require.Equal(t, wrong.field, field, name)
	}
	for path, body := range map[string]map[string]any{
		"update": {"id": theirs["id"], "title": "Mine"}, "archive": {"id": theirs["id"]}, "import_keys": {"id": theirs["id"], "keys": []string{"A"}},
	} {
		require.Equal(t, 404, w.post("/api/items/"+path, body, as(w.cafeKey)).status, path)
	}
	reader := w.key(w.cafe, false, access.ItemsRead)
	require.Equal(t, 200, w.get("/api/items/list", as(reader)).status)
	require.Equal(t, 403, w.post("/api/items/create", "{}", as(reader)).status)
	require.Equal(t, 403, w.upload("x.png", "", []byte("x"), as(reader)).status)
	require.Equal(t, 401, w.get("/api/items/list").status)
	require.Equal(t, 400, w.get("/api/items/list?archived=perhaps", as(w.cafeKey)).status)
}

func TestUploadsByAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	picture := pictureOf(t, 40, 20)
	answer := w.upload("tile.png", "", picture, as(w.cafeKey))
	require.Equal(t, 201, answer.status, string(answer.body))
	sent := answer.json()
	require.EqualValues(t, 40, sent["width"])
	require.Equal(t, sent["id"], w.upload("tile.png", "image", picture, as(w.cafeKey)).json()["id"])
	item := w.item(map[string]any{"image": sent["id"]})
	require.Equal(t, sent["url"], item["image_url"])

	path := handlers.ImagePath(id.Upload(sent["id"].(string)))
	for _, target := range []string{path, path + "-small"} {
		shown := w.get(target)
		require.Equal(t, 200, shown.status)
		require.Equal(t, "image/jpeg", shown.header.Get("Content-Type"))
		require.Contains(t, shown.header.Get("Cache-Control"), "immutable")
		require.Equal(t, 304, w.get(target, header("If-None-Match", shown.header.Get("ETag"))).status)
	}
	file := w.upload("book.pdf", "file", []byte("%PDF-1.7"), as(w.cafeKey))
	require.Equal(t, 201, file.status)
	require.Equal(t, 404, w.get(handlers.ImagePath(id.Upload(file.json()["id"].(string)))).status, "a file is for who bought it")
	require.Equal(t, 404, w.get("/images/upl_1").status)

	for name, wrong := range map[string]reply{
		"a script":      w.upload("x.svg", "", []byte("<svg><script>alert(1)</script></svg>"), as(w.cafeKey)),
		"no form":       w.post("/api/uploads/create", "{}", as(w.cafeKey)),
		"another thing": w.upload("x", "virus", []byte("x"), as(w.cafeKey)),
		"half a form":   w.do(http.MethodPost, "/api/uploads/create", strings.NewReader("--x\r\n"), as(w.cafeKey), header("Content-Type", "multipart/form-data; boundary=x")),
	} {
		require.Equal(t, 400, wrong.status, "%s: %s", name, wrong.body)
	}
	large := w.upload("large.png", "", make([]byte, 40<<20), as(w.cafeKey))
	require.Equal(t, 413, large.status)
	code, _ := large.code()
	require.Equal(t, "too_large", code)
}
