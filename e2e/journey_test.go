package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// stopwatch notes in the browser when Pay was tapped and when the page first said that it is paid.
const stopwatch = `(() => {
	addEventListener("click", (e) => { if (e.target.closest("button.primary")) sessionStorage.tappedAt ??= Date.now(); }, true);
	new MutationObserver(() => {
		if (document.querySelector("#purchase[data-status=settled]")) sessionStorage.paidAt ??= Date.now();
	}).observe(document, { childList: true, subtree: true, attributes: true });
})()`

// newcomers notes when the dashboard first shows a purchase that it did not show before.
const newcomers = `() => {
	const shown = () => [...document.querySelectorAll("#live a[href^='/dashboard/sales/']")].map((a) => a.getAttribute("href"));
	const before = new Set(shown());
	window.stayed = true;
	window.arrivals = {};
	new MutationObserver(() => {
		for (const href of shown()) if (!before.has(href)) window.arrivals[href] ??= Date.now();
	}).observe(document.body, { childList: true, subtree: true });
}`

func TestTapOnPayEndsInThePaidPageTheDashboardAndTheFile(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	seller := signedIn(t, w, desktop)
	require.Equal(t, 200, seller.open("/dashboard/sales"))
	_, err := seller.Evaluate(newcomers)
	require.NoError(t, err)

	buyer := visit(t, w, phone, func(v *visitor) { require.NoError(t, v.context.AddInitScript(scriptOf(stopwatch))) })
	require.Equal(t, 200, buyer.open(w.PayURL))
	buyer.sees(buyer.heading(demoTitle))
	require.NoError(t, buyer.button("Pay 0.05").Tap())
	buyer.sees(buyer.heading("Paid"))
	buyer.requireNoSidewaysScroll()
	attempt := buyer.attempt()

	sales := w.sales(t, "payment_attempt_id", attempt)
	require.Len(t, sales, 1)
	sale := "/dashboard/sales/" + sales[0]["id"]
	seller.sees(seller.Locator("#live a[href='" + sale + "']").First())
	stayed, err := seller.Evaluate(`() => window.stayed === true`)
	require.NoError(t, err)
	require.Equal(t, true, stayed, "the dashboard must not have been loaded again")

	tapped, paid := buyer.moment("sessionStorage.tappedAt"), buyer.moment("sessionStorage.paidAt")
	arrived := seller.moment("window.arrivals['" + sale + "']")
	report(t, "tap to paid %.2f s, tap to the sale on the dashboard %.2f s", float64(paid-tapped)/1000, float64(arrived-tapped)/1000)
	require.Less(t, arrived-paid, 3000, "milliseconds from the buyer's page to the dashboard")

	require.Equal(t, demoTitle, sales[0]["item_title"])
	w.requireTransfer(t, sales[0]["transaction"], w.BuyerAddress, w.payTo(t), demoUnits)
}

// moment evaluates to milliseconds since 1970.
func (v *visitor) moment(expression string) int {
	v.t.Helper()
	at, err := v.Evaluate("() => Number(" + expression + ")")
	require.NoError(v.t, err)
	switch n := at.(type) {
	case int:
		return n
	case float64:
		return int(n)
	}
	require.Failf(v.t, "not a moment", "%s is %v", expression, at)
	return 0
}
