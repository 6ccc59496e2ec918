package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFiguresAreChosenAndReadByKeyboard(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	v := visit(t, w, desktop, axe)
	v.open("/login")
	v.press(v.button("Sign in as Ines Halden"))
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
	name, err := v.Locator("svg.chart-plot").First().GetAttribute("aria-labelledby")
	require.NoError(t, err)
	title, err := v.Locator("#" + name).TextContent()
	require.NoError(t, err)
	require.Regexp(t, `^Sales by [a-z ]+: [0-9.,]+ USDC in all$`, title)
}
