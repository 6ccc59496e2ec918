package money_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"xsynesis/money"
)

func TestParseUSDC(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   string
		want money.USDC
		err  error
	}{
		{in: "12.5", want: 12_500_000},
		{in: "0.05", want: 50_000},
		{in: "0.000001", want: 1},
		{in: "0", want: 0},
		{in: "9223372036854.775807", want: 9_223_372_036_854_775_807},
		{in: "9223372036854.775808", err: money.ErrRange},
		{in: "0.0000001", err: money.ErrPrecision},
		{in: "", err: money.ErrSyntax},
		{in: ".5", err: money.ErrSyntax},
		{in: "5.", err: money.ErrSyntax},
		{in: "-1", err: money.ErrSyntax},
		{in: "+1", err: money.ErrSyntax},
		{in: "1e4", err: money.ErrSyntax},
		{in: "0x10", err: money.ErrSyntax},
		{in: "1,000", err: money.ErrSyntax},
		{in: " 1", err: money.ErrSyntax},
		{in: "１", err: money.ErrSyntax},
		{in: "NaN", err: money.ErrSyntax},
		{in: "1.2.3", err: money.ErrSyntax},
	} {
		t.Run(tt.in, func(t *testing.T) {
			t.Parallel()
			got, err := money.ParseUSDC(tt.in)
			require.ErrorIs(t, err, tt.err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestWriting(t *testing.T) {
	t.Parallel()
	for units, want := range map[money.USDC]string{0: "0.00", 1: "0.000001", 2_500: "0.0025", 12_500_000: "12.50", -3_000_000: "-3.00"} {
		require.Equal(t, want, units.String())
	}
	require.Equal(t, "1,842.35", money.USDC(1_842_350_000).Grouped())
	require.Equal(t, "-1,234,567.00", money.USDC(-1_234_567_000_000).Grouped())
	require.Equal(t, "-123.00", money.USDC(-123_000_000).Grouped())
	require.EqualValues(t, 0, money.USDC(9_999).Cents())
	require.EqualValues(t, 5, money.USDC(50_000).Cents())
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amount := money.USDC(rapid.Int64Min(0).Draw(t, "amount"))
		back, err := money.ParseUSDC(amount.String())
		require.NoError(t, err)
		require.Equal(t, amount, back)
	})
}

func TestTimes(t *testing.T) {
	t.Parallel()
	got, err := money.USDC(12_500_000).Times(3)
	require.NoError(t, err)
	require.Equal(t, money.USDC(37_500_000), got)
	_, err = money.USDC(9e18).Times(2)
	require.ErrorIs(t, err, money.ErrRange)
}
