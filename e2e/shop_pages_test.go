package e2e

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// itemOf is what stands on the café's shelf under a SKU.
func (w *world) itemOf(t testing.TB, sku string) (item string) {
	t.Helper()
	var list struct {
		Data []struct{ ID string }
	}
	a := w.get(t, "/api/items/list?sku="+sku, "Authorization", "Bearer "+w.APIKey)
	require.NoError(t, json.Unmarshal([]byte(a.Body), &list), a.Body)
	require.Len(t, list.Data, 1, a.Body)
	return list.Data[0].ID
}

// shelves fills the café's orders, and returns the pages of its shelf, its storefront and its till.
func (p *people) shelves(t *testing.T) []look {
	t.Helper()
	beans, mug := p.itemOf(t, "FJ-250"), p.itemOf(t, "MUG")
	for _, to := range []object{
		{"name": "Sofie Berg", "line1": "Strandgade 12", "postal_code": "1401", "city": "København", "country": "DK"},
		{"name": "Ada Byron", "line1": "12 St James’s Square", "postal_code": "SW1Y 4LB", "city": "London", "country": "GB"},
		{"name": "José Núñez", "line1": "Calle Mayor 8, 2º", "postal_code": "28013", "city": "Madrid", "country": "ES"},
	} {
		var session struct {
			PayURL string `json:"pay_url"`
		}
		p.call(t, "/api/create_payment_session", object{
			"items": []object{{"item_id": beans, "qty": 1}, {"item_id": mug, "qty": 1}}, "shipping_address": to, "note": "No hurry.",
		}, &session)
		name, value := p.payment(t, p.buyer(t), 2, p.get(t, session.PayURL).required(t))
		require.Equal(t, http.StatusOK, p.get(t, session.PayURL, name, value).Status)
	}
	at := func(name, path string, steps func(*visitor), cookies ...string) look {
		return look{name: name, path: path, status: http.StatusOK, cookies: cookies, steps: steps}
	}
	fill := func(v *visitor) {
		for _, item := range []string{mug, beans} {
			v.open("/s/kaffe-nord/items/" + item)
			v.press(v.button("Add to cart"))
			v.sees(v.heading("Cart"))
		}
	}
	order := p.get(t, "/dashboard/orders", "Accept", "text/html", "Cookie", p.owner).found(t, `href="(/dashboard/orders/sal_\w+)"`)
	return []look{
		at("storefront", "/s/kaffe-nord", nil),
		at("storefront, nothing found", "/s/kaffe-nord?q=nothing-like-it", nil),
		at("product", "/s/kaffe-nord/items/"+beans, nil),
		at("cart, empty", "/s/kaffe-nord/cart", nil),
		at("cart", "/s/kaffe-nord", fill),
		at("questions of a cart", "/s/kaffe-nord", func(v *visitor) { fill(v); v.press(v.link("Go to payment")) }),
		at("items", "/dashboard/items", nil, p.owner),
		at("items, none", "/dashboard/items?q=nothing-like-it", nil, p.owner),
		at("item", "/dashboard/items/"+beans, nil, p.owner),
		at("new item", "/dashboard/items/new", nil, p.owner),
		at("item form", "/dashboard/items/"+beans+"/edit", nil, p.owner),
		at("orders", "/dashboard/orders", nil, p.owner),
		at("order", order, nil, p.owner),
		at("late money", "/dashboard/orders/late", nil, p.owner),
		at("packing", "/dashboard/orders/packing", nil, p.owner),
		at("proof", "/verify", nil),
		at("counter", "/pos/"+p.LinkToken, nil),
		at("recent sales of a till", "/pos/sales", nil, p.device, p.till),
	}
}

// sells writes a ticket on the café's till.
func (p *people) sells(v *visitor) {
	for _, sku := range []string{"FW", "FW", "CB"} {
		v.press(v.tile(p.itemOf(v.t, sku)))
	}
	v.sees(v.button("Charge 0.14"))
	_, err := v.Evaluate(`() => { document.querySelector(".tiles").scrollTop = 0 }`)
	require.NoError(v.t, err)
}

// takeShopScreenshots shows what a shop sells with, and where buyers find it.
func (p *people) takeShopScreenshots(t *testing.T, looks []look) {
	pictures := map[string]string{"storefront": "storefront", "product": "product", "cart": "cart", "item form": "item-form", "items": "items", "orders": "orders"}
	for _, l := range looks {
		if picture, ok := pictures[l.name]; ok {
			l.visitor(t, p.gallery, desktop).shot(picture)
			l.visitor(t, p.gallery, portrait).shot(picture + "-phone")
		}
		if l.name == "counter" {
			l.visitor(t, p.gallery, tablet).shot("counter")
		}
	}
	till := look{path: "/pos", status: http.StatusOK, cookies: []string{p.device, p.till}, steps: p.sells}
	v := till.visitor(t, p.gallery, tablet)
	v.shot("till")
	till.steps = func(v *visitor) { v.sees(v.button("Charge 0.14")) }
	till.visitor(t, p.gallery, portrait).shot("till-phone")
	v.press(v.button("Charge 0.14"))
	v.sees(v.heading("Waiting for the customer"))
	v.shot("till-charge")
	v.press(v.button("Cancel sale"))
	v.press(v.Locator(`summary[aria-label="More for this sale"]`))
	v.press(v.button("Empty this sale"))
	v.sees(v.heading("New sale"))
}
