package handlers_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/id"
)

func of(items ...any) []map[string]any {
	var out []map[string]any
	for i := 0; i < len(items); i += 2 {
		out = append(out, map[string]any{"item_id": items[i].(map[string]any)["id"], "qty": items[i+1]})
	}
	return out
}

func TestASessionOfItems(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	beans, cup := w.item(map[string]any{"stock": 5}), w.item(map[string]any{"title": "Cup", "price": "4"})
	game := w.item(map[string]any{"title": "A game", "kind": "key", "price": "20"})
	w.post("/api/items/import_keys", map[string]any{"id": game["id"], "keys": []string{"KEY-1"}}, as(w.cafeKey))
	answer := w.post("/api/create_payment_session", map[string]any{
		"items": of(beans, 2, cup, 1, game, 1), "email": "ada@example.org", "name": "Ada", "note": "Ring twice.", "tip": "1",
		"shipping_address": map[string]any{"name": "Ada", "line1": "Street 1", "postal_code": "1000", "city": "Oslo", "country": "no"},
		"reference":        "order-7", "metadata": map[string]any{"table": 7},
	})
	require.Equal(t, 201, answer.status, string(answer.body))
	session := answer.json()
	require.Equal(t, "50000000", session["amount"])
	require.Len(t, session["reservations"], 2)
	free := func(i map[string]any) any {
		rows := w.get("/api/items/list?search="+i["title"].(string)[:3], as(w.cafeKey)).json()["data"].([]any)
		return rows[0].(map[string]any)["free"]
	}
	require.EqualValues(t, 3, free(beans))

	buyer := newKey(t)
	a, signature := w.sign(session, buyer)
	require.Equal(t, 202, w.post("/api/payment_attempts/"+session["payment_attempt"].(string)+"/pay", payload(a, signature)).status)
	w.post("/api/items/update", map[string]any{"id": beans["id"], "title": "Tea", "price": "99"}, as(w.cafeKey))
	w.work()
	paid := w.get("/api/payment_attempts/"+session["payment_attempt"].(string), as(w.cafeKey)).json()
	require.Equal(t, "settled", paid["status"])
	var lines []struct {
		Title      string
		Qty        int
		UnitAmount string `json:"unit_amount"`
	}
	text, err := json.Marshal(paid["lines"])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &lines))
	sum := 0
	for _, l := range lines {
		unit, err := strconv.Atoi(l.UnitAmount)
		require.NoError(t, err)
		sum += l.Qty * unit
	}
	require.Equal(t, 50_000_000, sum)
	require.Equal(t, "Coffee beans", lines[0].Title, "as it was called when it was bought")
	sales := w.get("/api/sales/list", as(w.cafeKey)).json()["data"].([]any)
	require.Len(t, sales, 4)
}

func TestBadSessionsOfItems(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	beans, cup := w.item(map[string]any{"stock": 5}), w.item(map[string]any{"title": "Cup", "price": "4", "stock": 1})
	gone := w.item(map[string]any{"title": "Gone"})
	w.post("/api/items/archive", map[string]any{"id": gone["id"]}, as(w.cafeKey))
	book := w.post("/api/items/create", map[string]any{"title": "Book", "kind": "physical", "price": "1"}, as(w.booksKey)).json()
	link := w.link(w.cafeKey, "1")
	for name, wrong := range map[string]struct {
		body   map[string]any
		status int
		code   string
	}{
		"none of it":                  {map[string]any{"items": of(beans, 0)}, 400, "invalid_field"},
		"less than none":              {map[string]any{"items": of(beans, -1)}, 400, "invalid_field"},
		"one and a half":              {map[string]any{"items": of(beans, 1.5)}, 400, "invalid_field"},
		"a thousand million":          {map[string]any{"items": of(beans, 1_000_000_000)}, 400, "invalid_field"},
		"no items":                    {map[string]any{"items": []any{}}, 400, "invalid_field"},
		"a malformed item":            {map[string]any{"items": []any{map[string]any{"item_id": "itm_1"}}}, 400, "invalid_field"},
		"an item that is not":         {map[string]any{"items": []any{map[string]any{"item_id": id.Item("itm_1111111111111111111111")}}}, 404, "not_found"},
		"what is off the shelf":       {map[string]any{"items": of(gone, 1)}, 404, "not_found"},
		"of two shops":                {map[string]any{"items": of(beans, 1, book, 1)}, 404, "not_found"},
		"more than there is":          {map[string]any{"items": of(beans, 1, cup, 2)}, 409, "insufficient_stock"},
		"more than there is, in two":  {map[string]any{"items": of(cup, 1, cup, 1)}, 409, "insufficient_stock"},
		"items and a link":            {map[string]any{"items": of(beans, 1), "link_token": link["token"]}, 400, "invalid_field"},
		"a discount for oneself":      {map[string]any{"items": of(beans, 1), "discount": "1"}, 401, "unauthorized"},
		"a wrong e-mail":              {map[string]any{"items": of(beans, 1), "email": "ada"}, 400, "invalid_field"},
		"a note that turns lines":     {map[string]any{"items": of(beans, 1), "note": "a\u202eb"}, 400, "invalid_field"},
		"an address without a place":  {map[string]any{"items": of(beans, 1), "shipping_address": map[string]any{"name": "A", "line1": "B", "country": "NO"}}, 400, "invalid_field"},
		"an address in no country":    {map[string]any{"items": of(beans, 1), "shipping_address": map[string]any{"name": "A", "line1": "B", "city": "C", "country": "Norway"}}, 400, "invalid_field"},
		"another price than the shop": {map[string]any{"link_token": link["token"], "amount": "0.5"}, 400, "invalid_field"},
		"two of a link":               {map[string]any{"link_token": link["token"], "qty": 2}, 400, "invalid_field"},
	} {
		answer := w.post("/api/create_payment_session", wrong.body)
		code, _ := answer.code()
		require.Equal(t, wrong.status, answer.status, "%s: %s", name, answer.body)
		require.Equal(t, wrong.code, code, name)
	}
	for name, key := range map[string]string{"another shop's key": w.booksKey, "a live key": w.key(w.cafe, true, "links:write")} {
		answer := w.post("/api/create_payment_session", map[string]any{"items": of(beans, 1)}, as(key))
		require.GreaterOrEqual(t, answer.status, 404, name)
		require.Less(t, answer.status, 410, name)
	}
	for _, i := range w.get("/api/items/list", as(w.cafeKey)).json()["data"].([]any) {
		require.EqualValues(t, 0, i.(map[string]any)["held"], "nothing is held by what was refused")
	}
	with := w.post("/api/create_payment_session", map[string]any{"items": of(beans, 1), "discount": "2.50", "discount_title": "Regulars"}, as(w.cafeKey))
	require.Equal(t, 201, with.status, string(with.body))
	require.Equal(t, "10000000", with.json()["amount"])
}

func TestLinksToItemsAndOpenAmounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	beans, cup := w.item(map[string]any{"stock": 5}), w.item(map[string]any{"title": "Cup", "price": "4"})
	create := func(body map[string]any) reply { return w.post("/api/payment_links/create", body, as(w.cafeKey)) }
	one := create(map[string]any{"item_id": beans["id"]}).json()
	require.Equal(t, "Coffee beans", one["title"])
	require.Equal(t, "12.50", one["price"])
	require.Equal(t, "items", one["sells"])
	cart := create(map[string]any{"title": "Set", "items": of(beans, 1, cup, 2)}).json()
	require.Equal(t, "20.50", cart["price"])
	tips := create(map[string]any{"title": "Tips", "open_amount": map[string]any{"min": "1", "presets": []string{"2", "5"}}}).json()
	require.Equal(t, "1.00", tips["price"])

	asked := func(l map[string]any, query string) (int, string) {
		answer := w.get("/link/" + l["token"].(string) + query)
		if answer.status != 402 {
			return answer.status, ""
		}
		return answer.status, answer.json()["accepts"].([]any)[0].(map[string]any)["maxAmountRequired"].(string)
	}
	for _, want := range []struct {
		link   map[string]any
		query  string
		status int
		amount string
	}{
		{one, "", 402, "12500000"}, {one, "?qty=2", 402, "25000000"}, {one, "?qty=0", 400, ""}, {one, "?qty=1.5", 400, ""}, {one, "?amount=1", 400, ""},
		{cart, "", 402, "20500000"}, {cart, "?qty=2", 400, ""},
		{tips, "", 402, "2000000"}, {tips, "?amount=7.5", 402, "7500000"}, {tips, "?amount=0.5", 400, ""}, {tips, "?amount=x", 400, ""},
	} {
		status, amount := asked(want.link, want.query)
		require.Equal(t, want.status, status, "%s%s", want.link["title"], want.query)
		require.Equal(t, want.amount, amount, "%s%s", want.link["title"], want.query)
	}
	for name, wrong := range map[string]map[string]any{
		"a price for items":       {"item_id": beans["id"], "price": "1"},
		"item and items":          {"item_id": beans["id"], "items": of(cup, 1)},
		"items and an amount":     {"items": of(cup, 1), "open_amount": map[string]any{}, "title": "x"},
		"a preset below the rest": {"title": "x", "open_amount": map[string]any{"min": "2", "presets": []string{"1"}}},
		"nothing to sell":         {"title": "x"},
	} {
		require.Equal(t, 400, create(wrong).status, name)
	}
	opened := w.post("/api/create_payment_session", map[string]any{"link_token": tips["token"], "amount": "9"})
	require.Equal(t, "9000000", opened.json()["amount"])
	changed := w.post("/api/payment_links/update", map[string]any{"id": cart["id"], "reference": "set-1"}, as(w.cafeKey)).json()
	require.Len(t, changed["items"], 2)
	require.Equal(t, "set-1", changed["reference"])
	public := w.get("/api/link/" + one["token"].(string)).json()
	require.EqualValues(t, 5, public["items"].([]any)[0].(map[string]any)["free"])
}

func TestWhatIsFreeIsSettledAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	leaflet := w.item(map[string]any{"title": "Leaflet", "kind": "service", "price": "0", "stock": 2})
	link := w.post("/api/payment_links/create", map[string]any{"item_id": leaflet["id"]}, as(w.cafeKey)).json()
	asked := w.get("/link/" + link["token"].(string))
	code, _ := asked.code()
	require.Equal(t, 409, asked.status)
	require.Equal(t, "free", code)
	for range 2 {
		session := w.post("/api/create_payment_session", map[string]any{"link_token": link["token"]})
		require.Equal(t, 201, session.status, string(session.body))
		require.Equal(t, "settled", session.json()["status"])
	}
	sold := w.post("/api/create_payment_session", map[string]any{"link_token": link["token"]})
	require.Equal(t, 409, sold.status)
	require.Len(t, w.get("/api/sales/list", as(w.cafeKey)).json()["data"], 2)
	require.Empty(t, w.broken())
}
