package e2e

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/playwright-community/playwright-go"
	"github.com/stretchr/testify/require"

	"xsynesis/money"
)

// asksToSend opens the way of those who send the money themselves, and returns what they are told: how much, and to whom.
func (v *visitor) asksToSend() (units int64, payee string) {
	v.t.Helper()
	v.press(v.GetByText("Send the money yourself"))
	v.press(v.button("Show amount and address"))
	v.sees(v.Locator("[data-exact]"))
	text, err := v.Locator("[data-exact]").TextContent()
	require.NoError(v.t, err)
	amount, err := money.ParseUSDC(text)
	require.NoError(v.t, err)
	payee, err = v.Locator(".exact .address").First().TextContent()
	require.NoError(v.t, err)
	return int64(amount), payee
}

// declines begins a purchase and says no to the wallet.
func (v *visitor) declines(pocket *wallet, l link) {
	v.t.Helper()
	pocket.onSign(func() *walletError { return rejection })
	v.buys(l)
	v.sees(v.heading("Not approved"))
	pocket.onSign(nil)
}

func TestABuyerSendsTheMoneyHimself(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Poster", "4.50")
	pocket := w.newSender(t, 30_000_000)
	v := visit(t, w, phone, pocket.in, axe)
	v.declines(pocket, l)
	units, payee := v.asksToSend()
	require.Greater(t, units, int64(4_500_000))
	require.LessOrEqual(t, units, int64(4_509_999))
	v.requireNoSidewaysScroll()
	v.requireAccessible("how to send the money oneself")

	short := w.transfers(t, pocket, payee, units-1)
	v.sees(v.heading("0.000001 USDC missing"))
	v.says("send the exact amount once more")
	v.requireAccessible("what came is not what was asked for")
	require.Empty(t, w.sales(t, "item_title", l.Title))

	v.press(v.button("Send it from this browser's wallet"))
	v.sees(v.heading("Paid"))
	v.says("You sent")
	s := w.requireOneSale(t, l)
	require.Equal(t, v.attempt(), s["payment_attempt_id"])
	w.requireTransfer(t, s["transaction"], pocket.address(), payee, units)
	require.NotEqual(t, short.Hex(), s["transaction"])
}

func TestABuyerSignsThatAnotherAmountWasHis(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Etching", "9.00")
	pocket := w.newSender(t, 30_000_000)
	v := visit(t, w, phone, pocket.in, axe).provokes(http.StatusForbidden)
	v.declines(pocket, l)
	units, payee := v.asksToSend()
	hash := w.transfers(t, pocket, payee, 9_000_000)
	v.sees(v.heading(money.USDC(units-9_000_000).String() + " USDC missing"))
	v.requireAccessible("what came may be claimed")

	pocket.onSign(func() *walletError { return rejection })
	v.press(v.button("Confirm that I sent it"))
	v.says("Your wallet did not confirm it. Nothing changed.")
	pocket.onSign(nil)
	own := pocket.swap(newKey(t))
	v.press(v.button("Confirm that I sent it"))
	v.says("Another wallet sent this transfer.")
	require.Empty(t, w.sales(t, "item_title", l.Title))

	pocket.swap(own)
	v.press(v.button("Confirm that I sent it"))
	v.sees(v.heading("Paid"))
	s := w.requireOneSale(t, l)
	require.Equal(t, hash.Hex(), s["transaction"])
	require.Equal(t, v.attempt(), s["payment_attempt_id"])
}

func TestAnotherBuyersTransactionPaysNothing(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	hers, mine := w.newLink(t, "Her print", "3.00"), w.newLink(t, "My print", "3.00")
	pocket := w.newSender(t, 10_000_000)
	she := visit(t, w, desktop, pocket.in)
	she.declines(pocket, hers)
	units, payee := she.asksToSend()
	hash := w.transfers(t, pocket, payee, units)
	she.sees(she.heading("Paid"))

	me := visit(t, w, phone, pocket.in).provokes(http.StatusUnprocessableEntity)
	me.declines(pocket, mine)
	me.asksToSend()
	label := playwright.PageGetByLabelOptions{Exact: playwright.Bool(false)}
	require.NoError(t, me.GetByLabel("You have sent it?", label).Fill("0x12"))
	me.press(me.button("I have sent it"))
	me.says("That is no transaction's number.")
	require.NoError(t, me.GetByLabel("You have sent it?", label).Fill("https://explorer.example/tx/"+hash.Hex()))
	me.press(me.button("I have sent it"))
	me.sees(me.GetByText(regexp.MustCompile("^Looking for your transfer|Send exactly")))
	me.sees(me.Locator("#transfer"))
	require.Empty(t, w.sales(t, "item_title", mine.Title))
	require.Len(t, w.sales(t, "item_title", hers.Title), 1)
}
