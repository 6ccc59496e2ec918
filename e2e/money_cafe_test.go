package e2e

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/playwright-community/playwright-go"
	"github.com/stretchr/testify/require"

	"xsynesis/money"
)

// books are a shop's money as money.mjs reads it, in base units.
type books struct {
	API struct {
		Network        string `json:"network"`
		Collects       bool   `json:"collects"`
		Available      string `json:"available"`
		Pending        string `json:"pending"`
		InPayout       string `json:"in_payout"`
		InRefund       string `json:"in_refund"`
		Unexplained    string `json:"unexplained"`
		Fees           string `json:"fees"`
		DepositAddress string `json:"deposit_address"`
		Drift          string `json:"drift"`
		OnChain        struct {
			Address string `json:"address"`
			Amount  string `json:"amount"`
			Block   int64  `json:"block"`
		} `json:"on_chain"`
	} `json:"api"`
	Accounts map[string]string `json:"accounts"`
	Postings string            `json:"postings"`
	Sales    struct {
		Rows     int    `json:"rows"`
		Amount   string `json:"amount"`
		Fee      string `json:"fee"`
		Net      string `json:"net"`
		Refunded string `json:"refunded"`
	} `json:"sales"`
	Control struct{ Rows, Amount string }   `json:"control"`
	Chain   struct{ Deposit, Owner string } `json:"chain"`
}

// books reads them with a program that knows nothing of ours.
func (w *world) books(t *testing.T, cookie string) (b books) {
	t.Helper()
	runNPM(t, &b, "v2", "money.mjs", []string{"API_KEY=" + w.APIKey, "COOKIE=" + cookie}, w.BaseURL, w.RPCURL, w.USDC, w.OwnerAddress)
	return b
}

// story is what happened in a shop, added up by hand.
type story struct {
	sales                   int
	sold, fees              money.USDC // what buyers paid, and the platform's share of it
	back, feesBack          money.USDC // what went back to buyers, and the platform's share of that
	out, ownedBefore        money.USDC // what was paid out, and what the owner's wallet held before
	available, kept, feeNow money.USDC // what follows from these
}

func (s *story) sell(price, fee money.USDC) {
	s.sales, s.sold, s.fees = s.sales+1, s.sold+price, s.fees+fee
}

// requireToldBy demands that balance, journal, sales and token tell this story, to the unit.
func (s *story) requireToldBy(t testing.TB, b books, when string) {
	t.Helper()
	s.feeNow = s.fees - s.feesBack
	s.available = s.sold - s.fees - (s.back - s.feesBack) - s.out
	s.kept = s.sold - s.back - s.out
	none := "0"
	require.Equal(t, []string{s.available.Units(), none, none, none, none, s.feeNow.Units(), none},
		[]string{b.API.Available, b.API.Pending, b.API.InPayout, b.API.InRefund, b.API.Unexplained, b.API.Fees, b.API.Drift}, "%s: the balance", when)
	require.Equal(t, []string{b.API.DepositAddress, s.kept.Units()}, []string{b.API.OnChain.Address, b.API.OnChain.Amount}, when)
	for account, want := range map[string]money.USDC{
		"deposit": s.kept, "available": -s.available, "fees": -s.feeNow, "payouts": 0, "refunds": 0, "exceptions": 0, "wallet": 0, "sales": 0,
	} {
		got, ok := b.Accounts[account]
		require.True(t, ok || want == 0, "%s: the journal has no %s", when, account)
		require.Equal(t, want.Units(), cmp.Or(got, none), "%s: %s in the journal", when, account)
	}
	require.Equal(t, none, b.Postings, when)
	require.Equal(t, s.sales, b.Sales.Rows, when)
	require.Equal(t, []string{s.sold.Units(), s.fees.Units(), (s.sold - s.fees).Units(), s.back.Units()},
		[]string{b.Sales.Amount, b.Sales.Fee, b.Sales.Net, b.Sales.Refunded}, "%s: the table of sales", when)
	require.Equal(t, []string{fmt.Sprint(s.sales), s.sold.Units()}, []string{b.Control.Rows, b.Control.Amount}, when)
	require.Equal(t, []string{s.kept.Units(), (s.ownedBefore + s.out).Units()}, []string{b.Chain.Deposit, b.Chain.Owner}, "%s: the token", when)
}

// TestBooksOfACafeAgreeToTheUnit sells three times in a shop whose money is kept, gives a part of one sale back and pays
// out, in browsers. After each step balance, journal, table of sales and the token's own figures are one story.
func TestBooksOfACafeAgreeToTheUnit(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "PLATFORM_FEE_BPS=250")
	seller := signedIn(t, w, desktop)
	cookie := seller.cookie()
	seller.keepsMoney()
	s := story{ownedBefore: money.USDC(w.balance(t, w.OwnerAddress))}
	network := w.books(t, cookie).API.Network
	require.Equal(t, 200, seller.open("/dashboard/balance"))
	agree := func(when string) {
		t.Helper()
		s.requireToldBy(t, w.books(t, cookie), when)
		seller.sees(seller.Locator(`[id="available-` + network + `"]`).GetByText(regexp.MustCompile(`^` + regexp.QuoteMeta(s.available.Grouped()) + `\s*USDC$`)))
		whole, err := seller.Locator("#live").InnerText()
		require.NoError(t, err)
		for _, figure := range []money.USDC{s.kept, s.feeNow} {
			require.Contains(t, whole, figure.Grouped(), when)
		}
		require.Empty(t, seller.count(`#live [role="alert"]`), when)
	}
	agree("before the first sale")

	var first string
	for _, sold := range []struct {
		title, price string
		amount, fee  money.USDC
	}{
		{"Beans, 1 kg", "12.50", 12_500_000, 312_500},
		{"A small cup", "0.07", 70_000, 1_750},
		{"A third of ten", "3.333333", 3_333_333, 83_333}, // and a third of a unit, which is the shop's
	} {
		purchase := w.paidInABrowser(t, w.newLink(t, sold.title, sold.price))
		first = cmp.Or(first, purchase)
		s.sell(sold.amount, sold.fee)
		agree("after the sale of " + sold.title)
	}

	s.back, s.feesBack = 5_000_000, 125_000
	clerk := seller.tab()
	sales := w.sales(t, "payment_attempt_id", first)
	require.Len(t, sales, 1)
	clerk.open("/dashboard/sales/" + sales[0]["id"])
	clerk.press(clerk.link("Refund"))
	clerk.press(clerk.GetByText("A part", playwright.PageGetByTextOptions{Exact: playwright.Bool(true)}))
	clerk.fill("Amount", "5.00")
	clerk.fill("Why", "Stale.")
	clerk.press(clerk.button("Give back"))
	clerk.sees(clerk.Locator(".pill").GetByText("Refunded"))
	agree("after a refund")
	clerk.open("/pay/" + first)
	clerk.says("Stale.")

	s.out = 7_499_999
	clerk.open("/dashboard/balance")
	clerk.press(clerk.link("Pay out"))
	clerk.fill("Amount", "7.499999")
	clerk.press(clerk.button("Pay out"))
	clerk.sees(clerk.Locator(".pill").GetByText("Arrived"))
	agree("after a payout")

	clerk.open("/dashboard/ledger?account=available&network=" + network)
	require.Equal(t, 5, clerk.count(".ledger-rows tbody tr"), "three sales, a refund, a payout")
	clerk.open("/dashboard/payouts/new")
	seller.provokes(422)
	clerk.fill("Amount", "3.130752") // a unit more than there is
	clerk.press(clerk.button("Pay out"))
	clerk.says("That is more than is available.")
	agree("after a payout of more than there is")

	s.out += 3_130_751
	clerk.fill("Amount", "3.130751")
	clerk.press(clerk.button("Pay out"))
	clerk.sees(clerk.Locator(".pill").GetByText("Arrived"))
	agree("after all was paid out")
	clerk.open("/dashboard/payouts")
	clerk.press(clerk.link("Pay out"))
	clerk.sees(clerk.button("Pay out"))
}

// keepsMoney makes the shop that the visitor owns one whose money is kept, unless it is.
func (v *visitor) keepsMoney() {
	v.t.Helper()
	v.open("/dashboard/balance/custody")
	kept := v.button("Be paid at my own address")
	if n, err := kept.Count(); err == nil && n == 1 {
		return
	}
	v.press(v.button("Have it kept for me"))
	v.sees(kept)
}

// paidInABrowser buys what a link sells, and returns the purchase.
func (w *world) paidInABrowser(t testing.TB, l link) string {
	t.Helper()
	v := visit(t, w, phone, newWallet(w.buyer(t), w.ChainID).in)
	v.buys(l)
	v.sees(v.heading("Paid"))
	return v.attempt()
}

// cookie is the visitor's session, as a header has it.
func (v *visitor) cookie() string {
	v.t.Helper()
	cookies, err := v.context.Cookies()
	require.NoError(v.t, err)
	var all []string
	for _, c := range cookies {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

// count is how many elements of the page a selector finds.
func (v *visitor) count(selector string) int {
	v.t.Helper()
	n, err := v.Locator(selector).Count()
	require.NoError(v.t, err)
	return n
}
