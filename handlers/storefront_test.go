package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"xsynesis/handlers"
	"xsynesis/id"
	"xsynesis/shop"
)

// shopper is a visitor of the café's storefront: a browser without scripts.
type shopper struct {
	w      *apiWorld
	cookie string
	from   string
}

func (w *apiWorld) shopper() *shopper { return &shopper{w: w, from: "192.0.2.1:1"} }

func (s *shopper) do(method, path string, form url.Values) reply {
	s.w.t.Helper()
	answer := s.w.do(method, path, strings.NewReader(form.Encode()), func(r *http.Request) {
		r.RemoteAddr = s.from
		r.Header.Set("Accept", "text/html")
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if s.cookie != "" {
			r.AddCookie(&http.Cookie{Name: "__Host-cart", Value: s.cookie})
		}
	})
	for _, line := range answer.header.Values("Set-Cookie") {
		c, err := http.ParseSetCookie(line)
		require.NoError(s.w.t, err)
		if c.Name == "__Host-cart" {
			require.True(s.w.t, c.Secure && c.HttpOnly && c.Path == "/", line)
			s.cookie = c.Value
		}
	}
	return answer
}

func (s *shopper) get(path string) reply { return s.do(http.MethodGet, path, nil) }

func (s *shopper) post(path string, pairs ...string) reply {
	return s.do(http.MethodPost, path, fields(pairs...).form)
}

// does posts a form that is agreed to, and returns where it leads.
func (s *shopper) does(path string, pairs ...string) string {
	s.w.t.Helper()
	answer := s.post(path, pairs...)
	require.Equal(s.w.t, http.StatusSeeOther, answer.status, string(answer.body))
	return answer.header.Get("Location")
}

// page is one that is there.
func (s *shopper) page(path string) *goquery.Document {
	s.w.t.Helper()
	answer := s.get(path)
	require.Equal(s.w.t, http.StatusOK, answer.status, string(answer.body))
	return answer.document()
}

// puts puts so many of an item into the cart.
func (s *shopper) puts(item map[string]any, qty string) {
	s.w.t.Helper()
	require.Equal(s.w.t, "/s/cafe/cart", s.does("/s/cafe/cart/lines", "item", item["id"].(string), "qty", qty))
}

var anAddress = []string{
	"shipping_address.name", "Ada Byron", "shipping_address.line1", "12 St James’s Square", "shipping_address.city", "London", "shipping_address.country", "GB",
}

// order is what the page before the payment sends, with what is typed.
func (s *shopper) order(typed ...string) []string {
	s.w.t.Helper()
	form := s.page("/s/cafe/checkout").Find(`form[action="/s/cafe/checkout"]`)
	require.Equal(s.w.t, 1, form.Length())
	return append([]string{"once", form.Find(`[name=once]`).AttrOr("value", ""), "total", form.Find(`[name=total]`).AttrOr("value", "")}, typed...)
}

func (w *apiWorld) rowsOf(table string) int {
	w.t.Helper()
	return w.count("SELECT count(*) FROM " + table)
}

func text(s *goquery.Selection) string { return strings.Join(strings.Fields(s.Text()), " ") }

func TestAVisitorBuysACart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	beans := w.item(map[string]any{"title": "Beans", "stock": 5, "category": "Coffee"})
	course := w.item(map[string]any{"title": "Course", "kind": "service", "pricing": "minimum", "price": "5"})
	leaflet := w.item(map[string]any{"title": "Leaflet", "kind": "service", "pricing": "free", "price": "0", "category": "Paper"})
	s := w.shopper()

	front := s.page("/s/cafe")
	require.Equal(t, 3, front.Find(".product-tile").Length())
	require.Equal(t, "AllCoffeePaper", text(front.Find(".shop-categories")))
	require.Equal(t, 1, s.page("/s/cafe?category=Coffee").Find(".product-tile").Length())
	require.Equal(t, "Leaflet", text(s.page("/s/cafe?q=LEAF").Find(".product-tile a")))
	require.Contains(t, text(s.page("/s/cafe?q=%3Cb%3Enothing").Find(".shop-none")), "<b>nothing")
	product := s.page("/s/cafe/items/" + course["id"].(string))
	require.Equal(t, "From 5.00 USDC", text(product.Find(".product-costs")))
	require.Contains(t, text(s.page("/s/cafe/cart").Find(".shop-none")), "Nothing is in your cart.")
	require.Empty(t, s.cookie)
	require.Zero(t, w.rowsOf("carts"), "looking writes nothing")

	s.puts(beans, "2")
	s.puts(beans, "1")
	require.Equal(t, "/s/cafe/cart", s.does("/s/cafe/cart/lines", "item", course["id"].(string), "amount", "7.50", "qty", "1"))
	s.puts(leaflet, "")
	cart := s.page("/s/cafe/cart")
	require.Equal(t, 3, cart.Find(".basket-lines > li").Length())
	require.Equal(t, "45.00 USDC", text(cart.Find(".total dd")))
	require.Contains(t, text(cart.Find(".shop-cart")), "Cart, 5")
	require.Equal(t, "/s/cafe/cart", s.does("/s/cafe/cart/lines/1", "step", "-1", "qty", "3"))
	require.Equal(t, "/s/cafe/cart", s.does("/s/cafe/cart/lines/3/removal"))
	require.Equal(t, "/s/cafe/cart", s.does("/s/cafe/cart/lines/3/removal"), "two taps mean one")
	require.Equal(t, "32.50 USDC", text(s.page("/s/cafe/cart").Find(".total dd")))

	refused := s.post("/s/cafe/checkout", s.order("email", "ada", "note", "Ring twice.")...)
	require.Equal(t, http.StatusUnprocessableEntity, refused.status)
	again := refused.document()
	require.Equal(t, "ada", again.Find("[name=email]").AttrOr("value", ""))
	require.Equal(t, "Ring twice.", again.Find("[name=note]").Text())
	require.Contains(t, text(again.Find("#email-problem, [id*=email]")), "e-mail")
	refused = s.post("/s/cafe/checkout", s.order("email", "ada@example.org")...)
	require.Equal(t, http.StatusUnprocessableEntity, refused.status)
	for _, sentence := range []string{"Say who receives it.", "Give the street and the number.", "Give the town.", "4 fields need a change."} {
		require.Contains(t, string(refused.body), sentence)
	}
	require.Zero(t, w.rowsOf("attempts"))

	order := s.order(append([]string{"email", "ada@example.org", "note", "Ring twice."}, anAddress...)...)
	to := s.does("/s/cafe/checkout", order...)
	require.Regexp(t, `^/pay/pa_\w+\?k=\w+$`, to)
	require.Equal(t, to, s.does("/s/cafe/checkout", order...), "sent twice it is one purchase")
	require.Equal(t, 1, w.rowsOf("attempts"))
	require.Contains(t, text(s.page("/s/cafe/cart").Find(".shop-none")), "Nothing is in your cart.")
	require.Zero(t, w.rowsOf("carts"))
	p, err := w.checkout.Purchase(t.Context(), attemptOf(to))
	require.NoError(t, err)
	require.Equal(t, "storefront", p.Channel)
	require.Equal(t, "Beans and 1 more", p.Title)
	require.Equal(t, site+"/s/cafe", p.SuccessURL)
	buyer, err := w.checkout.BuyerOf(t.Context(), p.ID)
	require.NoError(t, err)
	require.Equal(t, "London", buyer.Shipping.City)
	require.Contains(t, string(s.get(to).body), "Pay")
}

func TestAStorefrontIsOneShops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	beans := w.item(map[string]any{"title": "Beans"})
	gone := w.item(map[string]any{"title": "Old beans"})
	require.Equal(t, 200, w.post("/api/items/archive", map[string]any{"id": gone["id"]}, as(w.cafeKey)).status)
	s := w.shopper()
	for _, path := range []string{
		"/s/nobody", "/s/CAFE!", "/s/books/items/" + beans["id"].(string), "/s/cafe/items/" + gone["id"].(string), "/s/cafe/items/itm_x", "/s/nobody/cart", "/s/nobody/checkout",
	} {
		require.Equal(t, http.StatusNotFound, s.get(path).status, path)
	}
	for _, item := range []string{gone["id"].(string), "itm_x", "", string(id.New[id.Item](w.now()))} {
		require.Equal(t, http.StatusNotFound, s.post("/s/cafe/cart/lines", "item", item).status, item)
	}
	require.Equal(t, http.StatusNotFound, s.post("/s/books/cart/lines", "item", beans["id"].(string)).status, "of another shop")
	s.puts(beans, "1")
	require.Contains(t, text(s.page("/s/books/cart").Find(".shop-none")), "Nothing", "one cart in each shop")
	other := w.shopper()
	require.Contains(t, text(other.page("/s/cafe/cart").Find(".shop-none")), "Nothing", "nobody else's")
	other.cookie = "a guess"
	require.Contains(t, text(other.page("/s/cafe/cart").Find(".shop-none")), "Nothing")
	require.Equal(t, "/s/cafe/cart", other.does("/s/cafe/cart/lines/1", "qty", "9"))
	require.Equal(t, 1, w.rowsOf("carts"))
}

func TestQuantitiesAndAmountsOfACart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	beans := w.item(map[string]any{"title": "Beans", "stock": 3})["id"].(string)
	gift := w.item(map[string]any{"title": "Gift", "kind": "service", "pricing": "any", "price": "10"})["id"].(string)
	course := w.item(map[string]any{"title": "Course", "kind": "service", "pricing": "minimum", "price": "5"})["id"].(string)
	s := w.shopper()
	for name, c := range map[string]struct {
		form   []string
		status int
		says   string
	}{
		"none":                 {[]string{"item", beans, "qty", "0"}, 422, "whole number"},
		"less than none":       {[]string{"item", beans, "qty", "-1"}, 422, "whole number"},
		"one and a half":       {[]string{"item", beans, "qty", "1.5"}, 422, "whole number"},
		"a thousand million":   {[]string{"item", beans, "qty", "1000000000"}, 422, "whole number"},
		"more than there are":  {[]string{"item", beans, "qty", "4"}, 409, "Only 3 are left."},
		"less than the least":  {[]string{"item", course, "amount", "4.99"}, 422, "at least 5.00"},
		"no amount":            {[]string{"item", course, "amount", "five"}, 422, "amount such as"},
		"too fine an amount":   {[]string{"item", gift, "amount", "0.0000001"}, 422, "amount such as"},
		"below zero":           {[]string{"item", gift, "amount", "-1"}, 422, "amount such as"},
		"the seller's to say":  {[]string{"item", beans, "amount", "1"}, 422, "The shop decides"},
		"more than anything":   {[]string{"item", gift, "amount", "10000001"}, 422, "up to 10,000,000"},
		"a sum beyond measure": {[]string{"item", gift, "amount", "9000000", "qty", "2"}, 422, "at most 10,000,000"},
	} {
		answer := s.post("/s/cafe/cart/lines", c.form...)
		require.Equal(t, c.status, answer.status, name)
		require.Contains(t, string(answer.body), c.says, name)
	}
	require.Zero(t, w.rowsOf("carts"))

	s.does("/s/cafe/cart/lines", "item", beans, "qty", "3")
	more := s.post("/s/cafe/cart/lines", "item", beans, "qty", "1")
	require.Equal(t, http.StatusConflict, more.status, "with what is in the cart it is more than there are")
	for _, qty := range []string{"-1", "1.5", "1000000000", "", "x"} {
		answer := s.post("/s/cafe/cart/lines/1", "qty", qty)
		require.Equal(t, http.StatusUnprocessableEntity, answer.status, qty)
		require.Contains(t, string(answer.body), "whole number", qty)
	}
	s.does("/s/cafe/cart/lines/1", "qty", "4")
	require.Equal(t, "Only 3 are left.", text(s.page("/s/cafe/cart").Find(".basket-lines .problem")))
	require.Equal(t, "/s/cafe/cart", s.get("/s/cafe/checkout").header.Get("Location"), "what cannot be had stands in the way")
	s.does("/s/cafe/cart/lines/1", "qty", "0")
	require.Zero(t, w.rowsOf("carts"), "an empty cart is none")
	require.Equal(t, "/s/cafe/cart", s.get("/s/cafe/checkout").header.Get("Location"))

	for n := range 48 {
		s.does("/s/cafe/cart/lines", "item", gift, "amount", fmt.Sprintf("%d", n+11))
	}
	full := s.post("/s/cafe/cart/lines", "item", gift, "amount", "99")
	require.Equal(t, http.StatusUnprocessableEntity, full.status)
	require.Contains(t, string(full.body), "at most 48 lines")
}

func TestWhatChangesWhileItIsInACart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	beans := w.item(map[string]any{"title": "Beans", "kind": "service", "stock": 3})
	cup := w.item(map[string]any{"title": "Cup", "kind": "service", "price": "4"})
	tea := w.item(map[string]any{"title": "Tea", "kind": "service", "price": "3"})
	update := func(item map[string]any, name string, value any) {
		t.Helper()
		require.Equal(t, 200, w.post("/api/items/update", map[string]any{"id": item["id"], name: value}, as(w.cafeKey)).status)
	}
	s := w.shopper()
	s.puts(beans, "2")
	s.puts(cup, "1")
	s.puts(tea, "1")
	order := s.order()

	update(cup, "price", "4.50")
	dearer := s.post("/s/cafe/checkout", order...)
	require.Equal(t, http.StatusConflict, dearer.status)
	require.Contains(t, string(dearer.body), "A price is another one now.")
	require.Contains(t, text(dearer.document().Find(".basket-lines")), "4.50 each, was 4.00")

	order = s.order()
	update(beans, "stock", 1)
	short := s.post("/s/cafe/checkout", order...)
	require.Equal(t, http.StatusConflict, short.status)
	require.Contains(t, string(short.body), "Only one is left.")
	require.Zero(t, w.rowsOf("attempts"), "nothing is held where one of three is short")
	require.Zero(t, w.rowsOf("reservations"))
	s.does("/s/cafe/cart/lines/1", "qty", "1")

	order = s.order()
	require.Equal(t, 200, w.post("/api/items/archive", map[string]any{"id": tea["id"]}, as(w.cafeKey)).status)
	gone := s.post("/s/cafe/checkout", order...)
	require.Equal(t, http.StatusConflict, gone.status)
	require.Contains(t, string(gone.body), "This is not on sale any more.")
	s.does("/s/cafe/cart/lines/3/removal")

	order = s.order()
	s.does("/s/cafe/cart/lines/2", "qty", "2") // in another tab
	other := s.post("/s/cafe/checkout", order...)
	require.Equal(t, http.StatusConflict, other.status, "not what was on the screen")
	require.Regexp(t, `^/pay/`, s.does("/s/cafe/checkout", s.order()...))
}

func TestTheSameCartSentManyTimesIsOnePurchase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	beans := w.item(map[string]any{"title": "Beans", "kind": "service", "stock": 9})
	s := w.shopper()
	s.puts(beans, "2")
	order := s.order()
	places := make([]string, 10)
	var done sync.WaitGroup
	for i := range places {
		done.Go(func() {
			copied := *s
			places[i] = copied.post("/s/cafe/checkout", order...).header.Get("Location")
		})
	}
	done.Wait()
	for _, place := range places {
		require.Regexp(t, `^/pay/pa_`, place)
		require.Equal(t, places[0], place)
	}
	require.Equal(t, 1, w.rowsOf("attempts"))
}

// A thousand visitors who never pay can hold half of an item, and a program with its payment in hand buys all the same.
func TestAThousandVisitorsCannotEmptyAShop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *handlers.Options) { o.Limited = true })
	beans := w.item(map[string]any{"title": "Beans", "kind": "service", "stock": 100})
	var held, refused int
	for n := range 1000 {
		s := w.shopper()
		s.from = fmt.Sprintf("198.51.%d.%d:1", n/250, n%250)
		s.puts(beans, "1")
		answer := s.post("/s/cafe/checkout", s.order()...)
		switch answer.status {
		case http.StatusSeeOther:
			held++
		case http.StatusTooManyRequests:
			refused++
			require.NotEmpty(t, answer.header.Get("Retry-After"))
			require.Contains(t, string(answer.body), "This cannot be paid now")
		default:
			require.Fail(t, "neither held nor refused", "%d: %s", answer.status, answer.body)
		}
	}
	require.Equal(t, 50, held)
	require.Equal(t, 950, refused)
	require.Equal(t, 950, w.rowsOf("carts"), "who was refused has his cart still")
	require.Equal(t, 201, w.post("/api/create_payment_session", map[string]any{"items": []map[string]any{{"item_id": beans["id"], "qty": 50}}}, as(w.cafeKey)).status,
		"the shop's own are not limited")

	one := w.shopper()
	one.from = "203.0.113.9:1"
	many := 0
	for range 100 {
		one.cookie = "" // another visitor behind the same address
		if answer := one.post("/s/cafe/cart/lines", "item", beans["id"].(string)); answer.status == http.StatusTooManyRequests {
			many++
		}
	}
	require.Positive(t, many, "one address begins only so many carts")
}

func TestAShopThatCannotBePaidSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	beans := w.item(map[string]any{"title": "Beans", "kind": "service"})
	s := w.shopper()
	s.puts(beans, "1")
	order := s.order()
	_, err := w.pool.Exec(t.Context(), `DELETE FROM payees WHERE merchant_id = $1`, w.cafe)
	require.NoError(t, err)
	for _, answer := range []reply{s.get("/s/cafe/checkout"), s.post("/s/cafe/checkout", order...)} {
		require.Equal(t, http.StatusConflict, answer.status)
		require.Contains(t, string(answer.body), "no address to be paid at")
	}
}

func TestTitlesOfAStorefrontAreOnlyText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.item(map[string]any{"title": `<script>alert(1)</script> 🍞 & "bread"`, "description": "</p><img src=x onerror=alert(1)>"})
	s := w.shopper()
	body := string(s.get("/s/cafe").body)
	require.NotContains(t, body, "<script>alert")
	require.Contains(t, body, "🍞")
	for name, title := range map[string]string{"turned round": "abc\u202Edef", "ten thousand characters": strings.Repeat("a", 10_000)} {
		require.Equal(t, 400, w.post("/api/items/create", map[string]any{"title": title, "kind": "service", "price": "1"}, as(w.cafeKey)).status, name)
	}
	require.Equal(t, 200, s.get("/s/cafe?q="+strings.Repeat("%25", 3000)).status)
	require.Equal(t, 200, s.get("/s/cafe?page=999999999999").status)
	require.Equal(t, 200, s.get("/s/cafe?page=-3&category=%27%3B--").status)
}

func TestWhatALinkAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	post := func(link map[string]any, pairs ...string) reply {
		return w.sends("/link/"+link["token"].(string), fields(pairs...).form)
	}
	create := func(body map[string]any) map[string]any {
		answer := w.post("/api/payment_links/create", body, as(w.cafeKey))
		require.Equal(t, 201, answer.status, string(answer.body))
		return answer.json()
	}
	asked := func(link map[string]any) *goquery.Document {
		answer := w.get("/link/"+link["token"].(string), page)
		require.Equal(t, 200, answer.status)
		return answer.document()
	}

	t.Run("an open amount", func(t *testing.T) {
		link := create(map[string]any{"title": "Keep us open", "open_amount": map[string]any{"min": "2", "presets": []string{"5", "10"}}})
		require.Equal(t, 3, asked(link).Find(`[name=amount]`).Length(), "two presets and another amount")
		low := post(link, "amount", "other", "amount_other", "1.99")
		require.Equal(t, 422, low.status)
		require.Equal(t, "1.99", low.document().Find("[name=amount_other]").AttrOr("value", ""))
		require.Contains(t, string(low.body), "Give at least 2.00 USDC.")
		require.Equal(t, 422, post(link, "amount", "other", "amount_other", "").status)
		require.Equal(t, 422, post(link, "amount", "x").status)
		for amount, units := range map[string]string{"10": "10000000", "other": "2500000"} {
			began := post(link, "amount", amount, "amount_other", "2.50")
			require.Equal(t, 303, began.status, string(began.body))
			a := w.get("/api/payment_attempts/" + string(attemptOf(began.header.Get("Location"))))
			require.Equal(t, units, a.json()["amount"])
		}
	})

	t.Run("an item that is sent", func(t *testing.T) {
		beans := w.item(map[string]any{"title": "Beans", "stock": 5})
		link := create(map[string]any{"title": "Beans", "item_id": beans["id"]})
		require.Equal(t, 1, asked(link).Find(`[name="shipping_address.line1"]`).Length())
		require.Equal(t, 1, asked(link).Find(`[name=qty]`).Length())
		bare := post(link, "qty", "2")
		require.Equal(t, 422, bare.status)
		require.Equal(t, "2", bare.document().Find("[name=qty]").AttrOr("value", ""))
		require.Contains(t, string(bare.body), "Say who receives it.")
		require.Equal(t, 422, post(link, append([]string{"qty", "1.5"}, anAddress...)...).status)
		require.Equal(t, 409, post(link, append([]string{"qty", "6"}, anAddress...)...).status)
		require.Equal(t, 303, post(link, append([]string{"qty", "2"}, anAddress...)...).status)
	})

	t.Run("a buyer of himself", func(t *testing.T) {
		link := create(map[string]any{"title": "Evening", "price": "20", "asks": []string{"name", "email", "note", "tip"}})
		questions := asked(link)
		require.Equal(t, 5, questions.Find(`[name=tip]`).Length(), "none, three shares, another")
		require.Equal(t, 3, questions.Find(`[name=name], [name=email], [name=note]`).Length())
		began := post(link, "tip", "other", "tip_other", "0.50", "name", "Ada", "note", "By the window.")
		require.Equal(t, 303, began.status, string(began.body))
		a := attemptOf(began.header.Get("Location"))
		p, err := w.checkout.Purchase(t.Context(), a)
		require.NoError(t, err)
		require.EqualValues(t, 20_500_000, p.Amount)
		buyer, err := w.checkout.BuyerOf(t.Context(), a)
		require.NoError(t, err)
		require.Equal(t, "Ada", buyer.Name)
		require.Equal(t, 422, post(link, "tip", "other", "tip_other", "much").status)
	})
}

func TestACartIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.shopper()
	s.puts(w.item(nil), "1")
	_, err := w.pool.Exec(t.Context(), `UPDATE carts SET touched_at = touched_at - $1::interval`, fmt.Sprintf("%d seconds", int(shop.CartKept.Seconds())+1))
	require.NoError(t, err)
	require.Contains(t, text(s.page("/s/cafe/cart").Find(".shop-none")), "Nothing")
	require.NoError(t, w.checkout.Sweep(t.Context()))
	require.Zero(t, w.rowsOf("carts"))
}
