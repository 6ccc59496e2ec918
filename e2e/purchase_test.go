package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"
	"github.com/stretchr/testify/require"
)

// choose picks the injected wallet among those that the page found.
func (v *visitor) choose() {
	v.t.Helper()
	v.press(v.Locator(".wallets").GetByText(walletName))
}

// buys taps Pay on the page of a link, which begins a purchase, and leaves the rest to the wallet.
func (v *visitor) buys(l link) {
	v.t.Helper()
	require.Equal(v.t, http.StatusOK, v.open(l.URL))
	v.choose()
	v.press(v.button("Pay "))
	require.NoError(v.t, v.WaitForURL(regexp.MustCompile("/pay/")))
}

func (w *world) requireOneSale(t testing.TB, l link) sale {
	t.Helper()
	sales := w.sales(t, "item_title", l.Title)
	require.Len(t, sales, 1)
	return sales[0]
}

func TestDeclinedApprovalCanBeGivenAfterAll(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Lemon tart", "4.50")
	pocket := newWallet(w.buyer(t), w.ChainID)
	pocket.onSign(func() *walletError { return rejection })
	v := visit(t, w, phone, pocket.in)
	v.buys(l)
	v.sees(v.heading("Not approved"))
	v.requireNoSidewaysScroll()
	require.Empty(t, w.sales(t, "item_title", l.Title))

	pocket.onSign(nil)
	v.press(v.button("Try again"))
	v.sees(v.heading("Paid"))
	s := w.requireOneSale(t, l)
	require.Equal(t, v.attempt(), s["payment_attempt_id"])
	w.requireTransfer(t, s["transaction"], pocket.address(), w.payTo(t), 4_500_000)
	require.Equal(t, 2, pocket.asked())
}

func TestWalletOnAnotherNetworkIsAskedToSwitch(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Mocha", "0.60")
	pocket := newWallet(w.buyer(t), 1)
	pocket.onSwitch(func() *walletError { return rejection })
	v := visit(t, w, phone, pocket.in)
	v.buys(l)
	v.sees(v.heading("Other network"))
	v.says("Nothing was paid")
	require.Zero(t, pocket.asked(), "nothing may be signed on another network")

	pocket.onSwitch(nil)
	v.press(v.button("Switch network"))
	v.sees(v.heading("Paid"))
	w.requireOneSale(t, l)
}

func TestWalletWithoutFundsIsToldSoAndAnotherOnePays(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Carrot cake", "3.80")
	pocket := newWallet(newKey(t), w.ChainID)
	v := visit(t, w, phone, pocket.in).provokes(http.StatusPaymentRequired)
	v.buys(l)
	v.sees(v.heading("Not enough USDC"))
	require.Empty(t, w.sales(t, "item_title", l.Title))

	v.press(v.button("Choose another wallet"))
	v.press(v.Locator(".wallets").GetByText("Test wallet"))
	v.press(v.button("Pay "))
	v.sees(v.heading("Paid"))
	s := w.requireOneSale(t, l)
	require.True(t, strings.EqualFold(w.BuyerAddress, s["purchaser_address"]))
}

func TestTwoTabsOfOnePurchasePayOnce(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Brunch for two", "9.00")
	mine, hers := newWallet(w.buyer(t), w.ChainID), newWallet(w.neighbour(t), w.ChainID)
	before := w.balance(t, hers.address())
	releaseMine, releaseHers := mine.hold(), hers.hold()
	defer releaseMine()
	defer releaseHers()

	me := visit(t, w, phone, mine.in).provokes(http.StatusConflict, http.StatusServiceUnavailable)
	me.buys(l)
	she := visit(t, w, phone, hers.in).provokes(http.StatusConflict, http.StatusServiceUnavailable)
	she.open(me.URL())
	she.choose()
	she.press(she.button("Pay "))
	me.sees(me.heading("Approve in your wallet"))
	she.sees(she.heading("Approve in your wallet"))
	require.Eventually(t, func() bool { return mine.asked() == 1 && hers.asked() == 1 }, 10*time.Second, 20*time.Millisecond)

	go releaseMine()
	releaseHers()
	me.sees(me.heading("Paid"))
	she.sees(she.heading("Paid"))
	s := w.requireOneSale(t, l)
	w.requireTransfer(t, s["transaction"], s["purchaser_address"], w.payTo(t), 9_000_000)
	moved := before - w.balance(t, hers.address())
	if strings.EqualFold(s["purchaser_address"], hers.address()) {
		require.EqualValues(t, 9_000_000, moved)
	} else {
		require.Zero(t, moved)
	}
}

func TestTwoTabsOfOneBuyerPayOnce(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "One more brunch", "8.00")
	pocket := newWallet(w.buyer(t), w.ChainID)
	release := pocket.hold()
	defer release()
	one := visit(t, w, desktop, pocket.in).provokes(http.StatusConflict)
	one.buys(l)
	two := one.tab()
	two.open(one.URL())
	two.press(two.button("Pay "))
	require.Eventually(t, func() bool { return pocket.asked() == 2 }, 10*time.Second, 20*time.Millisecond)
	release()
	one.sees(one.heading("Paid"))
	two.sees(two.heading("Paid"))
	w.requireOneSale(t, l)
}

func TestDoubleTapAsksOnce(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Ristretto", "2.20")
	pocket := newWallet(w.buyer(t), w.ChainID)
	v := visit(t, w, phone, pocket.in)
	v.open(l.URL)
	v.choose()
	require.NoError(t, v.button("Pay ").Dblclick())
	v.sees(v.heading("Paid"))
	require.Equal(t, 1, pocket.asked())
	w.requireOneSale(t, l)
	var purchases int
	require.NoError(t, w.pool(t).QueryRow(t.Context(), `SELECT count(*) FROM attempts WHERE link_id = $1`, l.ID).Scan(&purchases))
	require.Equal(t, 1, purchases)
}

func TestTabClosedAfterApprovalShowsTheTruthWhenOpenedAgain(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Oat latte", "4.10")
	pocket := newWallet(w.buyer(t), w.ChainID)
	v := visit(t, w, phone, pocket.in)
	sent := make(chan struct{})
	v.OnRequest(func(r playwright.Request) {
		if r.Method() == http.MethodPost && strings.HasSuffix(r.URL(), "/pay") {
			close(sent)
		}
	})
	v.buys(l)
	address := v.URL()
	<-sent
	// The browser has begun to send it; a tab that is closed in this very moment takes it along.
	pool := w.pool(t)
	require.Eventually(t, func() bool {
		var arrived bool
		err := pool.QueryRow(t.Context(), `SELECT status <> 'open' FROM attempts WHERE link_id = $1`, l.ID).Scan(&arrived)
		return err == nil && arrived
	}, 30*time.Second, 5*time.Millisecond, "the payment does not arrive")
	require.NoError(t, v.Close())

	again := v.tab()
	again.open(address)
	again.sees(again.heading("Paid"))
	w.requireOneSale(t, l)
	require.Equal(t, 1, pocket.asked(), "a page that is opened again must not ask by itself")
}

func TestApprovalThatNeverLeftTheWalletPaysNothing(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Long black", "3.90")
	pocket := newWallet(w.buyer(t), w.ChainID)
	release := pocket.hold()
	v := visit(t, w, phone, pocket.in)
	v.buys(l)
	v.sees(v.heading("Approve in your wallet"))
	address := v.URL()
	require.NoError(t, v.Close())
	release() // nobody is there to hear it

	again := v.tab()
	again.open(address)
	again.sees(again.button("Pay "))
	require.Empty(t, w.sales(t, "item_title", l.Title))
	again.press(again.button("Pay "))
	again.sees(again.heading("Paid"))
	w.requireOneSale(t, l)
}

func TestReloadShowsTheSameState(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Chai", "3.30")
	pocket := newWallet(w.buyer(t), w.ChainID)
	pocket.onSign(func() *walletError { return rejection })
	v := visit(t, w, phone, pocket.in).provokes(http.StatusGone)
	v.buys(l)
	v.sees(v.heading("Not approved"))

	v.reload()
	v.sees(v.button("Pay "))
	require.Equal(t, 1, pocket.asked(), "a reload must not ask again")

	release := pocket.hold()
	v.press(v.button("Pay "))
	v.sees(v.heading("Approve in your wallet"))
	v.reload()
	v.sees(v.button("Pay "))
	release()
	pocket.onSign(nil)
	v.press(v.button("Pay "))
	v.sees(v.heading("Paid"))
	for range 2 {
		v.reload()
		v.sees(v.heading("Paid"))
	}
	w.requireOneSale(t, l)
}

func TestPurchasePaidElsewhereTurnsPaidByItself(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Flat bread", "5.20")
	pocket := newWallet(w.buyer(t), w.ChainID)
	pocket.onSign(func() *walletError { return rejection })
	v := visit(t, w, desktop, pocket.in)
	v.buys(l)
	v.sees(v.heading("Not approved"))

	at := w.BaseURL + "/pay/" + v.attempt()
	name, value := w.payment(t, w.buyer(t), 2, w.get(t, at).required(t))
	w.get(t, at, name, value).receipt(t)
	v.sees(v.heading("Paid"))
}

func TestWithoutScriptsTheBuyerSeesWhatHeBuysAndWhetherItIsPaid(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Poppy seed roll", "1.25")
	v := visit(t, w, without(phone))
	require.Equal(t, http.StatusOK, v.open(l.URL))
	v.seesTheOffer(l)
	v.press(v.button("Pay 1.25"))
	require.NoError(t, v.WaitForURL(regexp.MustCompile("/pay/")))
	v.seesTheOffer(l)
	v.sees(v.Locator("noscript p").Filter(playwright.LocatorFilterOptions{HasText: "does not run scripts"}))

	at := w.BaseURL + "/pay/" + v.attempt()
	name, value := w.payment(t, w.buyer(t), 2, w.get(t, at).required(t))
	w.get(t, at, name, value).receipt(t)
	v.sees(v.heading("Paid")) // the page loads itself again
}

func (v *visitor) seesTheOffer(l link) {
	v.t.Helper()
	v.sees(v.heading(l.Title))
	v.says("Kaffe Nord")
	amount, err := v.Locator(".money.l").First().TextContent()
	require.NoError(v.t, err)
	require.Equal(v.t, l.Price+" USDC", strings.Join(strings.Fields(strings.ReplaceAll(amount, "\u00a0", " ")), " "))
	codes, err := v.Locator("figure.qr svg").Count()
	require.NoError(v.t, err)
	require.NotZero(v.t, codes, "the page's address as a code")
}

// cutPayments breaks the connection of the next payments that the page sends: before they arrive, or on the way back.
func (v *visitor) cutPayments(times int32, arrive bool) {
	v.cutOff = true
	var cuts atomic.Int32
	require.NoError(v.t, v.context.Route("**/api/payment_attempts/*/pay", func(r playwright.Route) {
		if cuts.Add(1) > times {
			_ = r.Continue()
			return
		}
		if arrive {
			_, _ = r.Fetch()
		}
		_ = r.Abort()
	}))
}

func TestPaymentThatCouldNotBeSentIsSentAgainAndNotSignedAgain(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Almond croissant", "3.70")
	pocket := newWallet(w.buyer(t), w.ChainID)
	v := visit(t, w, phone, pocket.in)
	v.cutPayments(3, false) // as often as the page tries by itself
	v.buys(l)
	v.sees(v.heading("Do not pay again"))
	require.Empty(t, w.sales(t, "item_title", l.Title))

	v.press(v.button("Check now"))
	v.sees(v.heading("Paid"))
	require.Equal(t, 1, pocket.asked())
	w.requireOneSale(t, l)
}

func TestAnswerThatGotLostIsFoundWithoutPayingAgain(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Rye bread", "6.30")
	pocket := newWallet(w.buyer(t), w.ChainID)
	v := visit(t, w, phone, pocket.in)
	v.cutPayments(1, true)
	v.buys(l)
	v.sees(v.heading("Paid"))
	require.Equal(t, 1, pocket.asked())
	w.requireOneSale(t, l)
}

func TestPhoneWithoutAWalletOpensThePurchaseInAnApp(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Affogato", "4.40")
	opened := make(chan string, 1)
	v := visit(t, w, phone, noTestWallet, func(v *visitor) {
		require.NoError(t, v.context.Route(regexp.MustCompile("metamask"), func(r playwright.Route) {
			opened <- r.Request().URL()
			_ = r.Fulfill(playwright.RouteFulfillOptions{Status: playwright.Int(http.StatusNoContent)})
		}))
	})
	v.mayOpen = "metamask"
	v.open(l.URL)
	v.press(v.Locator(".wallets").GetByText("MetaMask"))
	v.press(v.button("Pay "))
	select {
	case address := <-opened:
		require.Contains(t, address, "/pay/pa_")
	case <-time.After(patience * time.Millisecond):
		require.Fail(t, "the wallet's app was not opened")
	}
	require.Contains(t, v.URL(), "/pay/pa_", "coming back, the buyer is at his purchase")
	v.sees(v.heading("Open this page in your wallet"))
}
