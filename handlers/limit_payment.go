package handlers

import (
	"bytes"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"xsynesis/money"
	"xsynesis/x402"
)

// payPath is the call that pays a purchase, as routes have it.
const payPath = "/api/payment_attempts/:id/pay"

// isPaying tells whether a request brings a payment that its payer signed, for a token of ours and for now. It asks
// neither the database nor the chain: whether the payment is for what is sold here is seen when it is taken.
func (h *Handlers) isPaying(c echo.Context) bool {
	r := c.Request()
	switch path := c.Path(); {
	case path != "/link/:token" && path != "/pay/:attempt" && path != payPath && !isCall(path):
		return false
	case carriesPayment(r):
		p, err := x402.FromRequest(r.Header)
		return err == nil && h.isSigned(func(x402.Requirement) x402.Payment { return p }, p.Authorization)
	case path != payPath || r.Method != http.MethodPost:
		return false
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), r.Body)) // which goes on with its end, or with its error
	if err != nil {
		return false
	}
	a, signature, err := x402.DecodePayload(body)
	return err == nil && h.isSigned(func(want x402.Requirement) x402.Payment { return want.Payment(2, a, signature) }, a)
}

// isSigned tells whether a payment passes for some token of ours, taking it at its word about payee and amount.
func (h *Handlers) isSigned(paymentFor func(x402.Requirement) x402.Payment, a x402.Authorization) bool {
	if a.Value == nil || !a.Value.IsInt64() {
		return false
	}
	for _, n := range h.Networks.Known() {
		want := x402.Requirement{Token: n.Token, Amount: money.USDC(a.Value.Int64()), PayTo: a.To}
		if paymentFor(want).Verify(want, h.Now()) == nil {
			return true
		}
	}
	return false
}
