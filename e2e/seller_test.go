package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"
	"github.com/stretchr/testify/require"
)

func (v *visitor) fill(label, text string) {
	v.t.Helper()
	require.NoError(v.t, v.labelled(label).Fill(text))
}

// labelled is the control with this label; words in it will do, but for those that several labels share.
func (v *visitor) labelled(label string) playwright.Locator {
	return v.GetByLabel(label, playwright.PageGetByLabelOptions{Exact: playwright.Bool(label == labelPrice)})
}

func (v *visitor) value(label string) string {
	v.t.Helper()
	text, err := v.labelled(label).InputValue()
	require.NoError(v.t, err)
	return text
}

// The labels of the form that makes a link.
const (
	labelTitle = "What are you selling?"
	labelPrice = "Amount"
	labelLimit = "Most payments, optional"
)

func TestSellerMakesChangesAndEndsALink(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	seller := signedIn(t, w, desktop)
	seller.press(seller.link("New link").First())
	seller.fill(labelTitle, "Saturday workshop")
	seller.fill(labelPrice, "40")
	seller.press(seller.button("Create"))
	seller.sees(seller.heading("Saturday workshop"))
	page := seller.URL()

	opened, err := seller.ExpectPopup(func() error { return seller.link("Open as buyer").Click() })
	require.NoError(t, err)
	buyer := seller.with(opened)
	buyer.sees(buyer.heading("Saturday workshop"))
	buyer.sees(buyer.button("Pay 40.00"))
	offer := buyer.URL()

	seller.press(seller.link("Edit"))
	require.Equal(t, "Saturday workshop", seller.value(labelTitle))
	seller.fill(labelTitle, "Sunday workshop")
	seller.fill(labelPrice, "45.50")
	seller.press(seller.button("Save"))
	seller.sees(seller.heading("Sunday workshop"))
	require.Equal(t, page, seller.URL())
	buyer.reload()
	buyer.sees(buyer.heading("Sunday workshop"))
	buyer.sees(buyer.button("Pay 45.50"))

	seller.press(seller.link("Expire"))
	seller.sees(seller.heading("Expire link"))
	seller.press(seller.button("Expire link"))
	seller.sees(seller.heading("Sunday workshop"))
	stranger := visit(t, w, phone).provokes(http.StatusGone)
	require.Equal(t, http.StatusGone, stranger.open(offer))
	stranger.sees(stranger.heading("This offer has ended"))
}

func TestFormThatIsRefusedKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	seller := signedIn(t, w, desktop).provokes(http.StatusUnprocessableEntity)
	seller.open("/dashboard/links/new")
	seller.fill(labelTitle, "Gift basket")
	seller.fill(labelPrice, "twelve")
	seller.press(seller.Locator("summary").GetByText("Limits"))
	seller.fill(labelLimit, "7")
	answer, err := seller.ExpectResponse("**/dashboard/links", func() error { return seller.button("Create").Click() })
	require.NoError(t, err)
	require.Equal(t, http.StatusUnprocessableEntity, answer.Status())
	seller.says("Give an amount such as 12.50")
	require.Equal(t, "Gift basket", seller.value(labelTitle))
	require.Equal(t, "twelve", seller.value(labelPrice))
	require.Equal(t, "7", seller.value(labelLimit))

	seller.fill(labelPrice, "12")
	seller.press(seller.button("Create"))
	seller.sees(seller.heading("Gift basket"))
}

func TestSellerWithoutScriptsCanWork(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	seller := signedIn(t, w, without(desktop))
	seller.open("/dashboard/links/new")
	seller.fill(labelTitle, "Plain ticket")
	seller.fill(labelPrice, "3")
	seller.press(seller.button("Create"))
	seller.sees(seller.heading("Plain ticket"))
	seller.press(seller.button("Sign out"))
	seller.sees(seller.heading("Sign in"))
}

func TestDashboardOfNobodyAsksToSignIn(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for _, path := range []string{"/dashboard", "/dashboard/sales", "/dashboard/sales.csv", "/dashboard/links", "/dashboard/settlements"} {
		a := w.get(t, path, "Accept", "text/html")
		require.NotEqual(t, http.StatusOK, a.Status, path)
		require.NotContains(t, a.Body, "USDC", path)
	}
}

// Phones end the streams of hidden pages in any case; a page that comes back must catch up by itself.
func TestHiddenDashboardListensToNothingAndCatchesUp(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Hidden cookie", "0.03")
	seller := signedIn(t, w, desktop)
	seller.open("/dashboard/sales")
	seller.turns("hidden")
	require.Eventually(t, func() bool {
		n, err := seller.Locator("#live-updates").Count()
		return err == nil && n == 0
	}, 5*time.Second, 50*time.Millisecond)
	name, value := w.payment(t, w.buyer(t), 1, w.get(t, l.URL).required(t))
	paid := w.get(t, l.URL, name, value).receipt(t)
	sales := w.sales(t, "payment_attempt_id", paid.PaymentAttempt)
	require.Len(t, sales, 1)
	row := seller.Locator("#live a[href='/dashboard/sales/" + sales[0]["id"] + "']").First()
	time.Sleep(time.Second)
	n, err := row.Count()
	require.NoError(t, err)
	require.Zero(t, n, "a hidden page has asked for news")

	seller.turns("visible")
	seller.sees(row)
}

// turns pretends that the page went into the background, or came back.
func (v *visitor) turns(state string) {
	v.t.Helper()
	_, err := v.Evaluate(`(state) => {
		Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
		Object.defineProperty(document, "hidden", { configurable: true, get: () => state === "hidden" });
		document.dispatchEvent(new Event("visibilitychange"));
	}`, state)
	require.NoError(v.t, err)
}

func TestSimulatedPaymentsTakeBothWays(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "DEV_SETTLE_ENABLED=true")
	l := w.newLink(t, "Pretend cake", "6.00")
	seller := signedIn(t, w, desktop)
	seller.open("/dashboard/links/" + l.ID)
	for _, way := range []string{"Simulate payment", "Simulate through the worker"} {
		buyer := visit(t, w, phone, noTestWallet)
		buyer.open("/pay/" + w.begin(t, l))
		attempt := buyer.attempt()
		simulate := seller.Locator("form[action='/dashboard/attempts/" + attempt + "/simulations']")
		seller.press(simulate.GetByText(way))
		buyer.sees(buyer.heading("Paid"))
		buyer.says("SIMULATED")
		seller.sees(seller.Locator("#" + attempt).GetByText("Paid"))
		s := w.sales(t, "payment_attempt_id", attempt)
		require.Len(t, s, 1)
		require.Equal(t, "true", s[0]["simulated"])
	}
	require.Zero(t, w.balance(t, w.payTo(t)), "simulated money is in no balance")
}

// begin starts a purchase as a tap on Pay does, and returns its id.
func (w *world) begin(t testing.TB, l link) string {
	t.Helper()
	began := w.do(t, http.MethodPost, l.URL, "", "Accept", "text/html", "Content-Type", formType)
	require.Equal(t, http.StatusSeeOther, began.Status, began.Body)
	return attemptIn(t, began.Header.Get("Location"))
}
