package checkout_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/evm"
)

// chains are what whoever checks a receipt has: a node.
func (s *testShop) chains() map[string]*evm.Chain {
	n := s.network
	n.RPC = []string{world.dev().URL()}
	return map[string]*evm.Chain{n.ID: evm.Dial(n, evm.Options{})}
}

// receipts are those of a person, who signed for the cart, and of a program, which drew a nonce of its own.
func (s *testShop) receipts(t *testing.T) (bound, unbound checkout.Receipt) {
	t.Helper()
	a := s.begin(t)
	person, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)
	bound, ok := checkout.ReceiptOf(person)
	require.True(t, ok)
	offer := s.offer(t)
	program, err := s.checkout.PayLink(t.Context(), offer, s.answer(t, offer, s.buyer), checkout.Request{1})
	require.NoError(t, err)
	unbound, ok = checkout.ReceiptOf(program)
	require.True(t, ok)
	return bound, unbound
}

func TestAReceiptIsProvenByTheChain(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	bound, unbound := s.receipts(t)
	for _, r := range []checkout.Receipt{bound, unbound} {
		proven, err := checkout.VerifyReceipt(t.Context(), s.chains(), r)
		require.NoError(t, err)
		require.Equal(t, addressOf(s.buyer), proven.Payer)
		require.Equal(t, s.payee, proven.Payee)
		require.Equal(t, price, proven.Value)
		require.Equal(t, r.CartBound, proven.CartBound)
		require.Equal(t, "Flat white", proven.Lines[0].Title)
	}
	require.True(t, bound.CartBound)
	require.False(t, unbound.CartBound)
	require.Empty(t, unbound.CartSalt)

	text, err := json.Marshal(map[string]any{"status": "settled", "receipt": bound})
	require.NoError(t, err)
	within, err := checkout.ReadReceipt(text)
	require.NoError(t, err)
	require.Equal(t, bound, within)
}

// digits changes one digit after the other: of a receipt in JSON, at every place where one stands.
func digits(text string) (changed []string) {
	for i, c := range text {
		if c < '0' || c > '9' {
			continue
		}
		changed = append(changed, text[:i]+string('0'+(c-'0'+1)%10)+text[i+1:])
	}
	return changed
}

func TestAReceiptWithOneChangedDigitIsNotProven(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	bound, unbound := s.receipts(t)
	for name, r := range map[string]checkout.Receipt{"cart bound": bound, "cart not bound": unbound} {
		text, err := json.Marshal(r)
		require.NoError(t, err)
		tried := 0
		for _, other := range digits(string(text)) {
			r, err := checkout.ReadReceipt([]byte(other))
			if err == nil {
				_, err = checkout.VerifyReceipt(t.Context(), s.chains(), r)
			}
			require.Error(t, err, "%s: %s", name, other)
			tried++
		}
		require.Greater(t, tried, 200)
	}
}

func TestAReceiptThatContradictsItselfIsNotProven(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	bound, unbound := s.receipts(t)
	for name, change := range map[string]func(*checkout.Receipt){
		"bound, and said not to be": func(r *checkout.Receipt) { r.CartBound = false },
		"without its salt":          func(r *checkout.Receipt) { r.CartSalt = "" },
		"the other's transaction":   func(r *checkout.Receipt) { r.Transaction = unbound.Transaction },
		"the other's nonce":         func(r *checkout.Receipt) { r.Nonce = unbound.Nonce },
		"another token":             func(r *checkout.Receipt) { r.Asset = r.PayTo },
		"another payee":             func(r *checkout.Receipt) { r.PayTo = r.Payer },
		"another title": func(r *checkout.Receipt) {
			r.Cart = json.RawMessage(strings.Replace(string(r.Cart), "Flat white", "Flat black", 1))
		},
		"no cart":                  func(r *checkout.Receipt) { r.Cart = nil },
		"no such transaction":      func(r *checkout.Receipt) { r.Transaction = "0x" + strings.Repeat("ab", 32) },
		"an amount beyond measure": func(r *checkout.Receipt) { r.Amount = strings.Repeat("9", 40) },
		"a negative amount":        func(r *checkout.Receipt) { r.Amount = "-2000000" },
	} {
		r := bound
		change(&r)
		require.False(t, reflect.DeepEqual(r, bound), name)
		_, err := checkout.VerifyReceipt(t.Context(), s.chains(), r)
		require.ErrorIs(t, err, checkout.ErrReceipt, name)
	}
	_, err := checkout.VerifyReceipt(t.Context(), nil, bound)
	require.ErrorIs(t, err, evm.ErrNetwork)
	for _, text := range []string{"", "{", "[]", "7", `{"amount": 5}`} {
		_, err := checkout.ReadReceipt([]byte(text))
		require.ErrorIs(t, err, checkout.ErrReceipt, text)
	}
}

func TestSimulatedMoneyHasNoReceiptOfTheChain(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.begin(t)
	p, err := s.checkout.Simulate(t.Context(), s.merchant, a.ID, checkout.Direct)
	require.NoError(t, err)
	_, ok := checkout.ReceiptOf(p)
	require.False(t, ok)
}
