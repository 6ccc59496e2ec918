package handlers_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/views"
)

// counterTill is a tablet that somebody unlocked.
type counterTill struct {
	w      *accessWorld
	device id.Device
	sends  with
}

func (w *accessWorld) counterTill(role access.Role) counterTill {
	w.t.Helper()
	device, secret := w.device(w.shop)
	session := w.begin(access.Entrance{Person: w.somebody(w.shop, role).id, Merchant: w.shop, Method: access.ByPIN, Device: device})
	sent := cookies("device", secret, "till", session)
	return counterTill{w, device, func(r *http.Request) {
		sent(r)
		r.Header.Set("Accept", "text/html")
		if r.Method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	}}
}

func (c counterTill) get(path string, more ...with) reply {
	c.w.t.Helper()
	return c.w.do(http.MethodGet, path, nil, append([]with{c.sends}, more...)...)
}

func (c counterTill) post(path string, pairs ...string) reply {
	c.w.t.Helper()
	return c.w.do(http.MethodPost, path, strings.NewReader(fields(pairs...).form.Encode()), c.sends)
}

// does posts a form that is agreed to, and returns where it leads.
func (c counterTill) does(path string, pairs ...string) string {
	c.w.t.Helper()
	answer := c.post(path, pairs...)
	require.Equal(c.w.t, http.StatusSeeOther, answer.status, string(answer.body))
	return answer.header.Get("Location")
}

func (c counterTill) screen(path string) *goquery.Document {
	c.w.t.Helper()
	answer := c.get(path)
	require.Equal(c.w.t, http.StatusOK, answer.status, string(answer.body))
	return answer.document()
}

func (r reply) document() *goquery.Document {
	r.t.Helper()
	doc, err := goquery.NewDocumentFromReader(bytes.NewReader(r.body))
	require.NoError(r.t, err)
	return doc
}

// chargeForm is what Charge sends.
func (c counterTill) chargeForm() []string {
	c.w.t.Helper()
	form := c.screen("/pos").Find(`form[action="/pos/charges"]`)
	return []string{"once", form.Find(`[name=once]`).AttrOr("value", ""), "total", form.Find(`[name=total]`).AttrOr("value", "")}
}

// charges taps Charge, and returns the purchase.
func (c counterTill) charges() id.Attempt {
	c.w.t.Helper()
	return attemptOf(c.does("/pos/charges", c.chargeForm()...))
}

// attemptOf is the purchase whose page an address leads to.
func attemptOf(address string) id.Attempt {
	address, _, _ = strings.Cut(address, "?")
	return id.Attempt(path.Base(address))
}

func (w *accessWorld) shelved(form shop.ItemForm) id.Item {
	w.t.Helper()
	if form.Kind == "" {
		form.Kind = shop.Physical
	}
	item, err := w.shops.CreateItem(w.t.Context(), w.shop, false, form, actorOfTests)
	require.NoError(w.t, err)
	return item.ID
}

func (w *accessWorld) pays(attempt id.Attempt) {
	w.t.Helper()
	_, err := w.checkout.Simulate(w.t.Context(), w.shop, attempt, checkout.Direct)
	require.NoError(w.t, err)
}

func TestATicketIsWrittenChargedAndPaid(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	bun := w.shelved(shop.ItemForm{Title: "Cardamom bun", Price: 3_400_000, Barcode: "4006381333931", Category: "Food"})
	club := w.shelved(shop.ItemForm{Title: "Coffee club", Pricing: shop.Minimum, Price: 5_000_000})
	till := w.counterTill(access.Manager)

	require.Equal(t, "/pos", till.does("/pos/ticket/lines", "item", string(bun)))
	till.does("/pos/ticket/lines", "code", "4006381333931")
	till.does("/pos/ticket/lines", "amount", "5.00")
	till.does("/pos/ticket/lines/2", "title", "Gift wrap")
	till.does("/pos/ticket/lines", "item", string(club), "amount", "6.00")
	till.does("/pos/ticket/lines/3", "step", "1")
	till.does("/pos/ticket/lines/3/removal")
	till.does("/pos/ticket/reference", "reference", "Table 4")
	till.does("/pos/ticket/discount", "percent", "10", "title", "Regulars")
	doc := till.screen("/pos")
	require.Equal(t, "Table 4", doc.Find("h1").Text())
	require.Equal(t, 2, doc.Find(".ticket-lines > li").Length())
	require.Contains(t, doc.Find(".ticket-foot").Text(), "Regulars, 10 % off")
	require.Equal(t, "10620000", till.chargeForm()[3], "11.80 less 1.18")

	form := till.chargeForm()
	first := till.does("/pos/charges", form...)
	require.Equal(t, first, till.does("/pos/charges", form...), "two taps charge once")
	attempt := attemptOf(first)
	require.Equal(t, first, till.get("/pos").header.Get("Location"), "the register waits for its customer")
	require.Equal(t, "/pos", till.does("/pos/ticket/removal"), "and cannot be changed meanwhile")
	require.Equal(t, "Waiting for the customer", till.screen(first).Find("h1").Text())

	require.Equal(t, http.StatusNoContent, w.do(http.MethodPost, "/pay/"+string(attempt)+"/openings", nil).status)
	require.Equal(t, "Customer opened it", till.screen(first).Find("h1").Text())
	w.pays(attempt)
	doc = till.screen(first)
	require.Equal(t, "Paid", doc.Find("h1").Text())
	require.Contains(t, doc.Find(".slip").Text(), "Gift wrap")
	require.Equal(t, "/pos", till.does(first+"/completion"))
	require.Equal(t, "New sale", till.screen("/pos").Find("h1").Text())
	require.Contains(t, till.screen("/pos/sales").Find(".sales-rows").Text(), "Cardamom bun and 1 more")
	require.Equal(t, 1, w.count(`SELECT count(*) FROM audit_rows WHERE action = 'discount.given'`))
}

func TestTwoTillsChargeTheLastMuffin(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	one := 1
	muffin := w.shelved(shop.ItemForm{Title: "Muffin", Price: 2_800_000, Stock: &one})
	tills := []counterTill{w.counterTill(access.Cashier), w.counterTill(access.Cashier)}
	for round := range 100 {
		forms := make([][]string, len(tills))
		for i, till := range tills {
			till.does("/pos/ticket/lines", "item", string(muffin))
			forms[i] = till.chargeForm()
		}
		answers := make([]reply, len(tills))
		var ready, done sync.WaitGroup
		ready.Add(len(tills))
		for i, till := range tills {
			done.Go(func() {
				ready.Done()
				ready.Wait()
				answers[i] = till.post("/pos/charges", forms[i]...)
			})
		}
		done.Wait()
		winner := 0
		if answers[0].status != http.StatusSeeOther {
			winner = 1
		}
		require.Equal(t, http.StatusSeeOther, answers[winner].status, string(answers[winner].body))
		charge := answers[winner].header.Get("Location")
		require.Equal(t, 1, tills[winner].screen(charge).Find(".charge-code .qr svg").Length())
		lost := answers[1-winner]
		require.Equal(t, http.StatusConflict, lost.status, "round %d", round)
		require.Contains(t, lost.document().Find(".till-problem").Text(), "Muffin: Sold out. Nothing was charged.")
		require.Zero(t, lost.document().Find(".charge-code").Length())

		tills[1-winner].does("/pos/ticket/removal")
		tills[winner].does(charge + "/cancellation")
		tills[winner].does("/pos/ticket/removal")
	}
	require.Equal(t, 100, w.rowsOf("till_charges"))
}

func TestATipMakesAnotherPurchaseAndTheTillFollows(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	one := 1
	muffin := w.shelved(shop.ItemForm{Title: "Muffin", Price: 2_800_000, Stock: &one})
	till := w.counterTill(access.Cashier)
	till.does("/pos/ticket/lines", "item", string(muffin))
	first := till.charges()

	require.Equal(t, 4, w.get("/pay/"+string(first), page).document().Find(".tip-shares button").Length())
	tip := func(of id.Attempt, amount string) reply {
		return w.sends("/pay/"+string(of)+"/tip", url.Values{"tip": {amount}})
	}
	second := attemptOf(tip(first, "0.28").header.Get("Location"))
	require.NotEqual(t, first, second)
	third := attemptOf(tip(second, "1.00").header.Get("Location"))
	p, err := w.checkout.Purchase(t.Context(), third)
	require.NoError(t, err)
	require.Equal(t, money.USDC(3_800_000), p.Amount, "a tip takes the place of the one before")
	require.True(t, p.HoldsStock)
	require.Equal(t, views.PurchasePath(string(first), ""), tip(first, "2.00").header.Get("Location"), "what gave way cannot be tipped")
	require.Equal(t, http.StatusUnprocessableEntity, tip(third, "much").status)
	require.Equal(t, http.StatusUnprocessableEntity, tip(third, "-1").status)

	require.Equal(t, views.TillChargePath(second), till.get(views.TillChargePath(first)).header.Get("Location"))
	require.Equal(t, views.TillChargePath(third), till.get("/pos").header.Get("Location"))
	require.Equal(t, "Customer opened it", till.screen(views.TillChargePath(third)).Find("h1").Text())
	w.pays(third)
	require.Equal(t, "Paid", till.screen(views.TillChargePath(third)).Find("h1").Text())
	require.Equal(t, 1, till.screen("/pos/sales").Find(".sales-rows > li").Length(), "one sale")
}

func TestWhatIsChargedIsWhatTheCashierSaw(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	tea := w.shelved(shop.ItemForm{Title: "Tea", Price: 1_000_000})
	till := w.counterTill(access.Cashier)
	till.does("/pos/ticket/lines", "item", string(tea))
	form := till.chargeForm()
	_, err := w.shops.UpdateItem(t.Context(), w.shop, false, tea, func(f *shop.ItemForm) error { f.Price = 2_000_000; return nil }, actorOfTests)
	require.NoError(t, err)
	refused := till.post("/pos/charges", form...)
	require.Equal(t, http.StatusConflict, refused.status)
	require.Contains(t, refused.document().Find(".till-problem").Text(), "A price has changed.")

	form = till.chargeForm()
	till.does("/pos/ticket/lines/1", "qty", "2")
	refused = till.post("/pos/charges", form...)
	require.Equal(t, http.StatusConflict, refused.status)
	require.Contains(t, string(refused.body), "This sale was changed meanwhile.")
	_, err = w.shops.ArchiveItem(t.Context(), w.shop, false, tea, true, actorOfTests)
	require.NoError(t, err)
	require.Equal(t, "Look at Tea first.", till.screen("/pos").Find("#charge-why").Text())
	require.Equal(t, http.StatusConflict, till.post("/pos/charges", till.chargeForm()...).status)
}

func TestATicketRefusesWhatCannotBeSold(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	tea := w.shelved(shop.ItemForm{Title: "Tea", Price: 1_000_000})
	till := w.counterTill(access.Cashier)
	till.does("/pos/ticket/lines", "item", string(tea))
	for _, qty := range []string{"0", "-1", "1.5", "1000000000", "x", ""} {
		require.Equal(t, http.StatusUnprocessableEntity, till.post("/pos/ticket/lines/1", "qty", qty).status, qty)
	}
	for _, amount := range []string{"0", "-1", "1.2345678", "99999999999", "abc", ""} {
		require.Equal(t, http.StatusUnprocessableEntity, till.post("/pos/ticket/lines", "amount", amount).status, amount)
	}
	require.Equal(t, http.StatusUnprocessableEntity, till.post("/pos/ticket/lines", "code", "nobody's").status)
	require.Equal(t, http.StatusConflict, till.post("/pos/ticket/lines", "item", unknown()("item")).status)
	require.Equal(t, http.StatusUnprocessableEntity, till.post("/pos/ticket/reference", "reference", "a\u202eb").status)
	require.Equal(t, http.StatusForbidden, till.post("/pos/ticket/discount", "percent", "5").status, "a cashier gives none")
	require.Equal(t, "1000000", till.chargeForm()[3], "nothing of it happened")
	require.Equal(t, http.StatusUnprocessableEntity, w.counterTill(access.Owner).post("/pos/ticket/discount", "percent", "101").status)
}

func TestTicketsAreParkedAndTakenUpAgain(t *testing.T) {
	t.Parallel()
	till := newAccessWorld(t).counterTill(access.Cashier)
	till.does("/pos/ticket/lines", "amount", "1.00")
	till.does("/pos/parked")
	require.Equal(t, "New sale", till.screen("/pos").Find("h1").Text())
	till.does("/pos/ticket/lines", "amount", "2.00")
	till.does("/pos/parked/1")
	require.Equal(t, "1000000", till.chargeForm()[3])
	require.Equal(t, 1, till.screen("/pos").Find(`form[action^="/pos/parked/"]`).Length(), "the other one waits now")
	require.Equal(t, http.StatusConflict, till.post("/pos/parked/7").status)
}

func TestACancelledSaleIsTheTicketAgain(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	till := w.counterTill(access.Cashier)
	till.does("/pos/ticket/lines", "amount", "1.00")
	charge := views.TillChargePath(till.charges())
	require.Equal(t, "/pos", till.does(charge+"/cancellation"))
	require.Equal(t, "1000000", till.chargeForm()[3])
	require.Equal(t, "The sale was cancelled", till.screen(charge).Find("h1").Text())
	again := till.screen(charge).Find(`form[action="/pos/charges"]`)
	second := till.does("/pos/charges", "once", again.Find("[name=once]").AttrOr("value", ""), "total", again.Find("[name=total]").AttrOr("value", ""))
	require.NotEqual(t, charge, second)
	w.pays(attemptOf(second))
	require.Equal(t, second, till.does(second+"/cancellation"), "paid by then")
	require.Equal(t, http.StatusNotFound, w.counterTill(access.Owner).get(charge).status, "of another till")
	require.Equal(t, http.StatusConflict, till.post(second+"/acceptance").status, "nothing is to be decided")
}

func TestAScriptIsGivenItsPartOfTheTill(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	w.shelved(shop.ItemForm{Title: "Tea", Price: 1_000_000})
	till := w.counterTill(access.Cashier)
	script := func(part string) with {
		return func(r *http.Request) {
			r.Header.Set("HX-Request", "true")
			r.Header.Set("HX-Target", part)
		}
	}
	for part, begins := range map[string]string{"till": `<main id="till"`, "shelf": `<div id="shelf"`, "entry": `<form id="entry"`, "ticket": `<section id="ticket"`} {
		require.True(t, strings.HasPrefix(string(till.get("/pos", script(part)).body), begins), part)
	}
	till.does("/pos/ticket/lines", "amount", "1.00")
	charge := views.TillChargePath(till.charges())
	require.Contains(t, string(till.get(charge, script("ticket")).body), `<main id="till"`, "a screen without the part is given whole")
	till.does("/pos/lock")
	for _, part := range []string{"till", "ticket"} {
		locked := till.get(charge, script(part))
		require.Equal(t, http.StatusNoContent, locked.status)
		require.Equal(t, "/pos", locked.header.Get("HX-Redirect"))
		require.Equal(t, "/pos", till.get("/pos", script(part)).header.Get("HX-Redirect"))
	}
	require.Equal(t, "/pos", till.get(charge).header.Get("Location"))
}

func TestATillLocksAfterEachSaleWhereTheShopWantsThat(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	till := w.counterTill(access.Cashier)
	require.NoError(t, w.access.SetLocksEach(t.Context(), w.boss.session, access.Browser{}, till.device, true))
	till.does("/pos/ticket/lines", "amount", "1.00")
	attempt := till.charges()
	w.pays(attempt)
	require.Equal(t, "/pos", till.does(views.TillChargePath(attempt)+"/completion"))
	require.Equal(t, "Who is at the till?", till.screen("/pos").Find("h1").Text())
}

func TestATillLocksByItselfWhereNobodyTouchesIt(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	till := w.counterTill(access.Cashier)
	till.does("/pos/ticket/lines", "amount", "1.00")
	looks := func() reply { return till.get("/pos", header("HX-Request", "true"), header("HX-Target", "ticket")) }
	w.alone(till, access.TillIdle-time.Minute)
	require.Equal(t, http.StatusOK, looks().status)
	require.Contains(t, string(till.get("/pos").body), `<noscript><meta http-equiv="refresh" content="301">`)
	w.alone(till, access.TillIdle+time.Second)
	require.Equal(t, "/pos", looks().header.Get("HX-Redirect"))
	require.Equal(t, "Who is at the till?", till.screen("/pos").Find("h1").Text())
}

// alone leaves a till untouched for so long.
func (w *accessWorld) alone(till counterTill, since time.Duration) {
	w.t.Helper()
	_, err := w.pool.Exec(w.t.Context(), `UPDATE sessions SET seen_at = now() - $2::interval WHERE device_id = $1`, till.device, since)
	require.NoError(w.t, err)
}

func TestTheTillsShellIsForEverybody(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	manifest := w.get("/pos/manifest.webmanifest")
	require.Equal(t, "application/manifest+json", manifest.header.Get("Content-Type"))
	worker := w.get("/pos/worker.js")
	require.Equal(t, "/pos", worker.header.Get("Service-Worker-Allowed"))
	require.Equal(t, "no-cache", worker.header.Get("Cache-Control"))
	require.Equal(t, http.StatusOK, w.do(http.MethodHead, "/pos/offline", nil).status)
}

func TestACounterDisplayShowsWhoHasJustPaid(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	token := w.make("link token", w.boss)
	doc := w.get("/pos/"+token, page).document()
	require.Equal(t, "Flat white", doc.Find("h1").Text())
	require.Contains(t, doc.Find(".counter-paid").Text(), "Nobody yet.")
	a, err := w.checkout.Start(t.Context(), checkout.Begin{Token: token})
	require.NoError(t, err)
	w.pays(a.ID)
	require.Contains(t, w.get("/pos/"+token, page).document().Find(".counter-paid").Text(), fmt.Sprintf("1.00%sUSDC", "\u00a0"))
	require.Equal(t, http.StatusNotFound, w.get("/pos/"+id.NewToken(), page).status)
}
