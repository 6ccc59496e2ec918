package e2e

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFiguresAreChosenAndReadByKeyboard(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Tea by keyboard", "0.05")
	name, value := w.payment(t, w.buyer(t), 2, w.get(t, l.URL).required(t))
	w.get(t, l.URL, name, value).receipt(t)
	v := visit(t, w, desktop, axe)
	v.open("/login")
	v.press(v.button("Sign in as Mette Lund"))
	v.sees(v.heading("Overview"))
	keys := func(names ...string) {
		for _, name := range names {
			require.NoError(t, v.Keyboard().Press(name))
		}
	}
	period := v.GetByLabel("Period")
	require.NoError(t, period.Focus())
	for _, next := range []string{"30d", "month"} {
		keys("ArrowDown")
		require.NoError(t, v.WaitForURL("**/dashboard?period="+next+"*"))
		v.sees(v.Locator(`select[name="period"]:focus`))
	}
	keys("End")
	v.sees(v.GetByLabel("From"))
	v.requireAccessible("days are chosen")

	table := v.Locator(".received .chart-table table")
	require.NoError(t, v.Locator(".received .chart-table summary").Focus())
	hidden, err := table.IsHidden()
	require.NoError(t, err)
	require.True(t, hidden)
	keys("Enter")
	v.sees(table)
	named, err := v.Locator("svg.chart-plot").First().GetAttribute("aria-labelledby")
	require.NoError(t, err)
	title, err := v.Locator("#" + named).TextContent()
	require.NoError(t, err)
	require.Regexp(t, `^Sales by [a-z ]+: [0-9.,]+ USDC in all$`, title)
}

func TestAComparisonThatEndsIsSeenOnTheOpenPage(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Tea that is compared", "0.05")
	name, value := w.payment(t, w.buyer(t), 2, w.get(t, l.URL).required(t))
	w.get(t, l.URL, name, value).receipt(t)
	v := signedIn(t, w, desktop)
	v.open("/dashboard/reconciliation")
	v.press(v.button("Compare now"))
	v.sees(v.GetByText(regexp.MustCompile(`^[1-9][0-9]* payments?, `)))
	v.sees(v.GetByText(regexp.MustCompile(`^Compared `)))
}
