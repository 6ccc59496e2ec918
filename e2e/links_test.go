package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"
	"github.com/stretchr/testify/require"
)

// offers chooses what a link is to be about.
func (v *visitor) offers(kind string) {
	v.t.Helper()
	v.press(v.Locator(".choices label").GetByText(kind, playwright.LocatorGetByTextOptions{Exact: playwright.Bool(true)}))
}

func TestSellerBuildsALinkOfItemsAndPausesIt(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	w.newItem(t, "Basket of the weaver", "0.04", 5)
	w.newItem(t, "Lid of the weaver", "0.01", 0)
	seller := visit(t, w, desktop, axe)
	seller.signsIn()
	seller.provokes(http.StatusUnprocessableEntity)
	seller.press(seller.link("New link").First())
	seller.cleanEverywhere("a new link")
	seller.offers("Items")
	for _, item := range []string{"Basket of the weaver", "Lid of the weaver"} {
		seller.fill("Add an item", item)
		seller.press(seller.button("Find"))
		seller.press(seller.button(item))
		seller.says(item)
	}
	seller.fill("Quantity of Basket of the weaver", "1.5")
	seller.press(seller.button("Create link"))
	seller.says("Give a whole number from 1 on.")
	seller.cleanEverywhere("a refused link of items")
	seller.fill("Quantity of Basket of the weaver", "2")
	seller.press(seller.Locator("summary").GetByText("Ask the buyer"))
	seller.press(seller.GetByLabel("E-mail"))
	seller.press(seller.button("Create link"))
	seller.sees(seller.heading("Basket of the weaver and 1 more"))
	seller.says("2 × Basket of the weaver")
	seller.says("Scan to pay 0.09")
	seller.cleanEverywhere("a link of items")

	seller.press(seller.link("Print on A4"))
	seller.says("Scan with the camera of your phone, and pay from your wallet.")
	seller.clean("a poster")
	seller.press(seller.link("A6"))
	seller.clean("a small poster")
	seller.press(seller.link("Back"))

	address, err := seller.Locator("#link-url").GetAttribute("href")
	require.NoError(t, err)
	seller.press(seller.link("Pause"))
	seller.cleanEverywhere("a pause")
	seller.fill("What buyers read meanwhile, optional", "The weaver is on holiday until Monday.")
	seller.press(seller.button("Pause link"))
	seller.says("The weaver is on holiday until Monday.")
	buyer := visit(t, w, phone, axe).provokes(http.StatusGone)
	require.Equal(t, http.StatusGone, buyer.open(address))
	buyer.sees(buyer.heading("This offer is paused"))
	buyer.says("The weaver is on holiday until Monday.")
	buyer.clean("a paused link")
	seller.press(seller.button("Open again"))
	require.Equal(t, http.StatusOK, buyer.open(address))
	buyer.sees(buyer.button("Pay 0.09"))
}

func TestALinkIsBuiltWithoutScripts(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	w.newItem(t, "Spoon of the carver", "0.02", 9)
	seller := signedIn(t, w, without(desktop))
	seller.open("/dashboard/links/new")
	seller.offers("Items")
	seller.fill("Add an item", "spoon")
	seller.press(seller.button("Find"))
	seller.press(seller.button("Spoon of the carver"))
	seller.fill("Quantity of Spoon of the carver", "3")
	require.NoError(t, seller.GetByLabel("Quantity of Spoon of the carver").Press("Enter"))
	seller.sees(seller.heading("3 × Spoon of the carver")) // Enter saves
	seller.press(seller.link("Edit"))
	seller.offers("Buyer decides")
	seller.fill(labelTitle, "For the carver")
	seller.fill("Amounts to choose from, optional", "1 2 5")
	seller.press(seller.button("Save link"))
	seller.sees(seller.heading("For the carver"))
	seller.says("1.00, 2.00, 5.00")
}

func TestAShortLinkNamesItsHostAndCountsItsClicks(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	seller := signedIn(t, w, desktop).provokes(http.StatusUnprocessableEntity)
	seller.open("/dashboard/links/new")
	seller.offers("A page")
	seller.fill(labelTitle, "Map of the stalls")
	seller.fill("Address of the page", "javascript:alert(1)")
	require.NoError(t, seller.GetByLabel("Require payment").Uncheck())
	seller.press(seller.button("Create link"))
	seller.says("Give a full address that begins with https://.")
	seller.fill("Address of the page", "https://maps.example/stalls?day=6")
	seller.press(seller.button("Create link"))
	seller.sees(seller.heading("Map of the stalls"))
	seller.says("Scan to open maps.example")
	address, err := seller.Locator("#link-url").GetAttribute("href")
	require.NoError(t, err)

	buyer := visit(t, w, phone, axe)
	require.Equal(t, http.StatusOK, buyer.open(address))
	buyer.says("Leads to maps.example")
	buyer.clean("a short link")
	page, err := buyer.Content()
	require.NoError(t, err)
	require.NotContains(t, page, "day=6")
	onward, err := buyer.link("Open maps.example").GetAttribute("href")
	require.NoError(t, err)
	requests := make([][3]string, 100)
	for i := range requests {
		requests[i] = [3]string{onward, "Accept", "text/html"}
	}
	for _, led := range w.together(t, requests...) {
		require.Equal(t, http.StatusSeeOther, led.Status, led.Body)
		require.Equal(t, "https://maps.example/stalls?day=6", led.Header.Get("Location"))
	}
	seller.reload()
	seller.says("100 times") // led on
	seller.says("1 time")    // opened
	w.expire(t, link{ID: seller.URL()[strings.LastIndex(seller.URL(), "/")+1:]})
	buyer.provokes(http.StatusGone)
	require.Equal(t, http.StatusGone, buyer.open(address))
	buyer.sees(buyer.heading("This link has ended"))
	buyer.clean("a short link that has ended")
}

// TestAPaidShortLinkCountsACrowd pays once, and then a hundred come at once: half of them look, half of them hold what was paid for.
func TestAPaidShortLinkCountsACrowd(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	var l link
	w.call(t, "/api/payment_links/create", object{"title": "Chapter two", "price": "0.05", "leads_to": "https://book.example/two"}, &l)
	pocket := newWallet(w.buyer(t), w.ChainID)
	v := visit(t, w, phone, pocket.in, axe)
	v.buys(l)
	v.sees(v.heading("Paid"))
	v.clean("a paid short link")
	onward, err := v.link("Open book.example").GetAttribute("href")
	require.NoError(t, err)
	counted := func() (clicks, led int) {
		require.NoError(t, w.pool(t).QueryRow(t.Context(), `SELECT coalesce(sum(clicks), 0), coalesce(sum(led), 0) FROM link_clicks WHERE link_id = $1`, l.ID).Scan(&clicks, &led))
		return clicks, led
	}
	before, none := counted()
	require.Zero(t, none, "who pays is not led on before he wants to")
	requests := make([][3]string, 100)
	for i := range requests {
		requests[i] = [3]string{l.URL, "Accept", "text/html"}
		if i%2 == 1 {
			requests[i][0] = onward
		}
	}
	shown, led := 0, 0
	for _, a := range w.together(t, requests...) {
		switch a.Status {
		case http.StatusOK:
			require.NotContains(t, a.Body, "book.example/two")
			shown++
		case http.StatusSeeOther:
			require.Equal(t, "https://book.example/two", a.Header.Get("Location"))
			led++
		}
	}
	require.Equal(t, 50, led)
	require.Equal(t, 50, shown)
	clicks, ledOn := counted()
	require.Equal(t, 50, ledOn)
	require.Equal(t, before+50, clicks)
}

func TestALinkThatHasNotBegunSaysWhen(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	var l link
	at := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Minute)
	w.call(t, "/api/payment_links/create", object{"title": "Early bird", "price": "5", "starts_at": at.Format(time.RFC3339)}, &l)
	v := visit(t, w, phone, axe).provokes(http.StatusGone)
	require.Equal(t, http.StatusGone, v.open(l.URL))
	v.sees(v.heading("This offer has not begun"))
	v.says("It begins on " + at.Format("2 Jan 2006, 15:04"))
	v.clean("a link that has not begun")
	v.open("/verify")
	v.clean("the page that checks receipts")
}
