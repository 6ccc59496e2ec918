// Package money holds exact amounts: what a buyer pays is what a seller is paid.
package money

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// USDC is an amount of USD Coin in base units of 10⁻⁶ (the token's 6 decimals).
type USDC int64

// One is 1 USDC.
const One USDC = 1_000_000

var (
	// ErrSyntax is returned for text that is no plain decimal number.
	ErrSyntax = errors.New("money: not an amount")
	// ErrPrecision is returned for amounts with more than six decimals.
	ErrPrecision = errors.New("money: more than six decimals")
	// ErrRange is returned for amounts that do not fit in 63 bits of base units.
	ErrRange = errors.New("money: amount out of range")
)

// ParseUSDC reads a decimal such as "12.5" or "0.0025": ASCII digits with at most one point,
// no sign, exponent, separators or spaces. Errors: [ErrSyntax], [ErrPrecision], [ErrRange].
func ParseUSDC(s string) (USDC, error) {
	whole, fraction, point := strings.Cut(s, ".")
	if whole == "" || point && fraction == "" || !isDigits(whole) || !isDigits(fraction) {
		return 0, fmt.Errorf("%w: %.40q", ErrSyntax, s)
	}
	if len(fraction) > 6 {
		return 0, fmt.Errorf("%w: %.40q", ErrPrecision, s)
	}
	return ParseUnits(whole + fraction + strings.Repeat("0", 6-len(fraction)))
}

// ParseUnits reads base units as JSON carries them: ASCII digits only. Errors: [ErrSyntax], [ErrRange].
func ParseUnits(s string) (USDC, error) {
	if s == "" || !isDigits(s) {
		return 0, fmt.Errorf("%w: %.40q", ErrSyntax, s)
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %.40q", ErrRange, s)
	}
	return USDC(n), nil
}

// FromCents gives the amount of n hundredths, or [ErrRange].
func FromCents(n int64) (USDC, error) {
	if n < 0 || n > math.MaxInt64/10_000 {
		return 0, fmt.Errorf("%w: %d cents", ErrRange, n)
	}
	return USDC(n * 10_000), nil
}

// Times multiplies by a quantity, or returns [ErrRange].
func (a USDC) Times(n int64) (USDC, error) {
	if n < 0 || a < 0 || n != 0 && int64(a) > math.MaxInt64/n {
		return 0, fmt.Errorf("%w: %s × %d", ErrRange, a, n)
	}
	return a * USDC(n), nil
}

// String writes at least two decimals and more only where the amount has them: "12.50", "0.0025", "-3.00".
func (a USDC) String() string {
	sign, n := "", uint64(a)
	if a < 0 {
		sign, n = "-", uint64(-a)
	}
	fraction := strings.TrimRight(fmt.Sprintf("%06d", n%1_000_000), "0")
	return fmt.Sprintf("%s%d.%s", sign, n/1_000_000, fraction+strings.Repeat("0", max(0, 2-len(fraction))))
}

// Grouped is String with a comma between thousands, for people: "1,842.35".
func (a USDC) Grouped() string {
	whole, fraction, _ := strings.Cut(a.String(), ".")
	first := 0
	if a < 0 {
		first = 1
	}
	for i := len(whole) - 3; i > first; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return whole + "." + fraction
}

// Units writes base units, as the protocol and our JSON carry amounts.
func (a USDC) Units() string { return strconv.FormatInt(int64(a), 10) }

// Cents rounds toward zero to hundredths; amounts below a cent give 0.
func (a USDC) Cents() int64 { return int64(a) / 10_000 }

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
