package views

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func chartOf(t *testing.T, amounts ...string) ChartView {
	t.Helper()
	var v ChartView
	for i, a := range amounts {
		v.Bars = append(v.Bars, ChartBar{Amount: usdc(t, a), Now: i == len(amounts)-1})
	}
	return v
}

func TestChartAxisEndsAtTheNextRoundAmountAndHalvesIntoOne(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ highest, top, half string }{
		{"0", "0.02", "0.01"},
		{"0.05", "0.10", "0.05"},
		{"1.99", "2", "1.00"},
		{"4", "4", "2"},
		{"4.01", "10", "5"},
		{"186.20", "200", "100"},
		{"40001", "100,000", "50,000"},
	} {
		t.Run(tt.highest, func(t *testing.T) {
			t.Parallel()
			lines := chartOf(t, "0", tt.highest).gridLines()
			require.Equal(t, []string{tt.top, tt.half, "0"}, []string{lines[0].label, lines[1].label, lines[2].label})
		})
	}
}

func TestChartBarsStandOnZeroAndNoneReachesAboveTheAxis(t *testing.T) {
	t.Parallel()
	bars := chartOf(t, "0", "0.0025", "200").bars()

	require.Equal(t, "0", bars[0].height, "a day without a sale has no bar")
	require.Equal(t, "5", bars[1].height, "a tiny day still shows: two pixels and the corners cut off below zero")
	require.Equal(t, "175", bars[2].height)
	require.Equal(t, "24", bars[2].y)
	require.True(t, bars[2].now)
	require.False(t, bars[1].now)
}

func TestAChartNamesAsManyBarsAsAPhoneHasRoomForAndAlwaysTheLast(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 7, 14, 24, 31, 92} {
		var v ChartView
		for i := range n {
			v.Bars = append(v.Bars, ChartBar{Name: strconv.Itoa(i + 1)})
		}
		bars, named := v.bars(), 0
		for _, b := range bars {
			if b.name != "" {
				named++
			}
		}
		require.LessOrEqual(t, named, 14, n)
		require.Equal(t, strconv.Itoa(n), bars[n-1].name)
	}
}

func TestARankingsBarsAreSharesOfTheBest(t *testing.T) {
	t.Parallel()
	rows := RankingView{Rows: []RankingRow{{Amount: usdc(t, "200")}, {Amount: usdc(t, "50")}, {Amount: 1}, {}}}.rows()

	require.Equal(t, []string{"100.000%", "25.000%", "1.000%", "0.000%"}, []string{rows[0].share, rows[1].share, rows[2].share, rows[3].share})
}

func TestWordsOfTheDashboard(t *testing.T) {
	t.Parallel()
	require.Equal(t, "KN", initials("Kaffe Nord"))
	require.Equal(t, "ØB", initials("  øst & brød i byen"))
	require.Equal(t, "M", initials("Menu"))
	require.Empty(t, initials("…"))
	require.Equal(t, "1 sale", count(1, "sale", "sales"))
	require.Equal(t, "1,204 sales", count(1204, "sale", "sales"))
	require.Equal(t, "0x12c4…9aB0", short("0x12c4A91f0b3D52e6c8B7a1E0F4d39C2b71A69aB0"))
	require.Equal(t, "pa_…NcTfWy", shortID("pa_3vQB7u9dXkZpR2mNcTfWy"))
	require.Equal(t, "coffee-beans-fjord-250-g", LinkView{Title: "Coffee beans “Fjord”, 250 g"}.fileName())
}
