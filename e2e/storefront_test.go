package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/playwright-community/playwright-go"
	"github.com/stretchr/testify/require"
)

// kaffeNord is the storefront of the demo's café.
const kaffeNord = "/s/kaffe-nord"

// unscripted is a phone whose browser runs no scripts.
func unscripted() playwright.BrowserNewContextOptions {
	o := phone()
	o.JavaScriptEnabled = playwright.Bool(false)
	return o
}

// putsIntoCart puts an item into the cart, by its page.
func (v *visitor) putsIntoCart(item string, qty int) {
	v.t.Helper()
	v.open(kaffeNord + "/items/" + item)
	v.fill("Quantity", fmt.Sprint(qty))
	v.press(v.button("Add to cart"))
	v.sees(v.heading("Cart"))
}

// receives says where goods are sent.
func (v *visitor) receives() {
	v.t.Helper()
	v.fill("Name", "Ada Byron")
	v.fill("Street and number", "12 St James’s Square")
	v.fill("Town", "London")
	_, err := v.GetByLabel("Country").SelectOption(playwright.SelectOptionValues{Values: playwright.StringSlice("GB")})
	require.NoError(v.t, err)
}

// soldAs is what a sale says of itself, by item.
func soldAs(sales []sale) map[string]string {
	out := map[string]string{}
	for _, s := range sales {
		out[s["item_id"]] = fmt.Sprintf("%s × %s, %s", s["qty"], s["item_title"], s["amount"])
	}
	return out
}

// TestACartIsBoughtByAPersonAndByAProgram sells the same three items twice; what becomes of the items afterwards changes
// neither sale.
func TestACartIsBoughtByAPersonAndByAProgram(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	beans, cup, filter := w.newItem(t, "Beans “Fjord”", "0.012", 10), w.newItem(t, "Cup", "0.0155", 0), w.newItem(t, "Filter", "0.02", 4)

	v := visit(t, w, phone, newWallet(w.buyer(t), w.ChainID).in, axe).provokes(422)
	v.open(kaffeNord)
	v.clean("a storefront")
	v.press(v.link("Beans “Fjord”"))
	v.clean("a product")
	v.press(v.GetByLabel("One more"))
	v.press(v.button("Add to cart"))
	v.sees(v.heading("Cart"))
	v.putsIntoCart(cup, 1)
	v.putsIntoCart(filter, 2)
	v.press(v.GetByLabel("One less of Filter"))
	v.says("Total")
	v.clean("a cart")
	v.sees(v.Locator(".basket-sum").GetByText("0.0595"))
	v.press(v.link("Go to payment"))
	v.clean("the questions before the payment")
	v.press(v.button("Pay 0.0595"))
	v.says("Say who receives it.")
	v.clean("the questions, refused")
	v.receives()
	v.press(v.button("Pay 0.0595"))
	v.sees(v.heading("Cart").Or(v.button("Pay 0.0595")))
	person := v.attempt()
	v.press(v.button("Pay 0.0595"))
	v.sees(v.heading("Paid"))
	v.clean("the paid page")
	back, err := v.link("Back to shop").GetAttribute("href")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(back, w.BaseURL+kaffeNord+"?"), back)
	v.open(kaffeNord + "/cart")
	v.says("Nothing is in your cart.")

	var session struct {
		PaymentAttempt string `json:"payment_attempt"`
		PayURL         string `json:"pay_url"`
	}
	w.call(t, "/api/create_payment_session", object{
		"items": []object{{"item_id": beans, "qty": 2}, {"item_id": cup, "qty": 1}, {"item_id": filter, "qty": 1}},
	}, &session)
	paid := w.runClient(t, 2, session.PayURL)
	require.Equal(t, 200, paid.Status, paid.Body)

	want := map[string]string{
		beans: "2 × Beans “Fjord”, 24000", cup: "1 × Cup, 15500", filter: "1 × Filter, 20000",
	}
	for attempt, channel := range map[string]string{person: "storefront", session.PaymentAttempt: "api"} {
		sales := w.sales(t, "payment_attempt_id", attempt)
		require.Len(t, sales, 3)
		require.Equal(t, want, soldAs(sales))
		require.Equal(t, channel, sales[0]["channel"])
	}
	for _, item := range []string{beans, cup, filter} {
		w.call(t, "/api/items/update", object{"id": item, "title": "Another thing", "price": "9.99"}, &object{})
	}
	w.call(t, "/api/items/archive", object{"id": cup}, &object{})
	for _, attempt := range []string{person, session.PaymentAttempt} {
		require.Equal(t, want, soldAs(w.sales(t, "payment_attempt_id", attempt)))
	}
	require.Equal(t, 404, v.provokes(404).open(kaffeNord+"/items/"+cup))
}

func TestACartWorksWithoutScripts(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	tea, last := w.newItem(t, "Tea", "1.20", 0), w.newItem(t, "The last cake", "3.00", 1)
	v := visit(t, w, unscripted).provokes(409)
	v.putsIntoCart(tea, 3)
	v.putsIntoCart(last, 1)
	v.press(v.GetByLabel("One less of Tea"))
	v.fill("Quantity of Tea", "5")
	v.press(v.button("Change").First())
	v.sees(v.Locator(".basket-sum").GetByText("9.00"))
	v.press(v.link("Go to payment"))
	v.receives()

	var other struct {
		ID string `json:"payment_attempt"`
	}
	w.call(t, "/api/create_payment_session", object{"items": []object{{"item_id": last, "qty": 1}}}, &other)
	v.press(v.button("Pay 9.00"))
	v.says("This is sold out.")
	v.press(v.button("Remove The last cake"))
	v.sees(v.Locator(".basket-sum").GetByText("6.00"))
	v.press(v.link("Go to payment"))
	v.receives()
	v.press(v.button("Pay 6.00"))
	require.True(t, strings.HasPrefix(v.attempt(), "pa_"))
	v.says("6.00")
}

func TestALinkAsksItsBuyer(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	var l link
	w.call(t, "/api/payment_links/create", object{"title": "Evening with a tip", "price": "0.40", "asks": []string{"name", "email", "note", "tip"}}, &l)
	v := visit(t, w, phone, newWallet(w.buyer(t), w.ChainID).in, axe)
	v.open(l.URL)
	v.choose()
	v.press(v.Locator(`.chip-choice:has([value="0.04"])`))
	v.sees(v.button("Pay 0.44"))
	v.fill("Your name", "Ada Byron")
	v.clean("a link that asks")
	v.press(v.button("Pay 0.44"))
	v.sees(v.heading("Paid"))
	sales := w.sales(t, "payment_attempt_id", v.attempt())
	require.Len(t, sales, 2, "what it costs, and a tip")

	var donation link
	w.call(t, "/api/payment_links/create", object{"title": "Keep us open", "open_amount": object{"min": "0.10", "presets": []string{"0.25", "0.50"}}}, &donation)
	d := visit(t, w, phone, newWallet(w.buyer(t), w.ChainID).in, axe).provokes(422)
	d.open(donation.URL)
	d.choose()
	d.press(d.Locator(`.chip-choice:has([value="other"])`))
	d.fill("Your own amount", "0.05")
	d.clean("a donation")
	d.press(d.button("Pay "))
	d.says("Give at least 0.10 USDC.")
	d.fill("Your own amount", "0.33")
	d.press(d.button("Pay 0.33"))
	d.sees(d.heading("Paid"))
	require.Equal(t, "330000", w.sales(t, "payment_attempt_id", d.attempt())[0]["amount"])
}
