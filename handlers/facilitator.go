package handlers

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/x402"
)

const (
	facilitatorSupported = "/facilitator/supported"
	facilitatorVerify    = "/facilitator/verify"
	facilitatorSettle    = "/facilitator/settle"
)

// facilitatorRoutes are the gateway as a facilitator, for other x402 servers.
func (h *Handlers) facilitatorRoutes(e *echo.Echo) {
	a := api{h}
	e.GET(facilitatorSupported, a.facilitatorSupported)
	e.POST(facilitatorVerify, a.facilitatorVerify)
	e.POST(facilitatorSettle, a.facilitatorSettle)
}

// verdictJSON and settledJSON are the protocol's, the same in both versions.
type verdictJSON struct {
	IsValid        bool   `json:"isValid"`
	InvalidReason  string `json:"invalidReason,omitempty"`
	InvalidMessage string `json:"invalidMessage,omitempty"`
	Payer          string `json:"payer,omitempty"`
}

type settledJSON struct {
	Success      bool   `json:"success"`
	ErrorReason  string `json:"errorReason,omitempty"`
	ErrorMessage string `json:"errorMessage,omitempty"`
	Transaction  string `json:"transaction"`
	Network      string `json:"network"`
	Payer        string `json:"payer,omitempty"`
}

func (a api) facilitatorSupported(c echo.Context) error {
	supported, ok := a.Checkout.Facilitates()
	if !ok {
		return echo.ErrNotFound
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, supported)
}

func (a api) facilitatorVerify(c echo.Context) error {
	asked, who, err := a.asked(c)
	if err == nil {
		err = a.Checkout.VerifyFor(c.Request().Context(), asked, who)
	}
	r, known := a.facilitatorReply(err, asked.Version)
	if !known {
		return err
	}
	payer := payerOf(asked)
	if err == nil {
		return c.JSON(http.StatusOK, verdictJSON{IsValid: true, Payer: payer})
	}
	askForPatience(c, r.status)
	return c.JSON(r.status, verdictJSON{InvalidReason: r.code, InvalidMessage: r.message, Payer: payer})
}

func (a api) facilitatorSettle(c echo.Context) error {
	asked, who, err := a.asked(c)
	var done checkout.Settlement
	if err == nil {
		done, err = a.Checkout.SettleFor(c.Request().Context(), asked, who)
	}
	r, known := a.facilitatorReply(err, asked.Version)
	if !known {
		return err
	}
	answer := settledJSON{Success: err == nil, Transaction: done.Transaction, Network: asked.Payment.Network, Payer: payerOf(asked)}
	if err == nil {
		return c.JSON(http.StatusOK, answer)
	}
	askForPatience(c, r.status)
	answer.ErrorReason, answer.ErrorMessage = r.code, r.message
	return c.JSON(r.status, answer)
}

func payerOf(asked x402.Asked) string {
	if asked.Payment.Signature == nil {
		return ""
	}
	return asked.Payment.Authorization.From.Hex()
}

// asked reads what a server asks, and who it is.
func (a api) asked(c echo.Context) (asked x402.Asked, who checkout.Caller, err error) {
	c.Response().Header().Set("Cache-Control", "no-store")
	if _, ok := a.Checkout.Facilitates(); !ok {
		return asked, who, echo.ErrNotFound
	}
	caller, err := a.caller(c)
	if err != nil {
		return asked, who, err
	}
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return asked, who, err
	}
	asked, err = x402.DecodeAsked(body)
	return asked, checkout.Caller{Merchant: caller.Merchant, Address: addressOf(c)}, err
}

// facilitatorReply is an error in the protocol's words, with a status that its clients understand: a payment that is refused
// is an answer, as good as any. An error that is not about the payment is known to nobody here.
func (a api) facilitatorReply(err error, version int) (r reply, known bool) {
	var invalid *x402.Invalid
	switch {
	case err == nil:
		return reply{}, true
	case errors.As(err, &invalid):
		r = reply{err, http.StatusOK, invalid.Reason(version), refusalSentence(invalid.Kind)}
		if invalid.Kind == x402.Malformed || invalid.Kind == x402.TooLarge {
			r.status = http.StatusBadRequest
		}
		return r, true
	case errors.Is(err, checkout.ErrNotFacilitated):
		return reply{err, http.StatusOK, "payee_not_served", "This facilitator settles payments to its own shops only."}, true
	case errors.Is(err, checkout.ErrPending):
		// Clients of the second version send the same payment again; those of the first know no such thing.
		r = reply{err, http.StatusOK, x402.Pending, "The network has not answered yet. Send the same payment again, and no other."}
		if version == 1 {
			r.status = http.StatusServiceUnavailable
		}
		return r, true
	case errors.Is(err, checkout.ErrBudget):
		return reply{err, http.StatusTooManyRequests, "gas_budget_exhausted", "This caller had all the settlements of a day. Nothing was sent."}, true
	default:
		return reply{}, false
	}
}

// callbackRequest is what facilitators call back with; further fields are kept.
type callbackRequest struct {
	PaymentAttemptID string `json:"payment_attempt_id,omitempty"`
	Transaction      string `json:"transaction,omitempty"`
	Network          string `json:"network,omitempty"`
	Payer            string `json:"payer,omitempty"`
	Nonce            string `json:"nonce,omitempty"`
	Success          *bool  `json:"success,omitempty"`
	Status           string `json:"status,omitempty"`
}

type callbackJSON struct {
	Kept bool `json:"kept"`
}

func noCallbacks(h *Handlers) bool { return h.FacilitatorSecret == "" }

func facilitatorCalls() []apiCall {
	return []apiCall{{
		method: http.MethodPost, path: "/api/facilitator/webhook", off: noCallbacks,
		summary: "What a facilitator calls back with, signed with HMAC-SHA256 under FACILITATOR_WEBHOOK_SECRET in x-facilitator-signature, x-signature or x-hub-signature-256. It starts a look at the chain, and proves nothing.",
		request: callbackRequest{}, status: 200, answer: callbackJSON{}, refusals: []int{401, 422}, run: api.facilitatorCallback,
	}}
}

// callbackHeaders may carry the signature, in hex, with or without the name of its algorithm before it.
var callbackHeaders = []string{"X-Facilitator-Signature", "X-Signature", "X-Hub-Signature-256"}

func (a api) facilitatorCallback(c echo.Context, _ access.Caller) error {
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	if !signedBy(a.FacilitatorSecret, c.Request().Header, body) {
		return errCallback
	}
	if err := a.Checkout.Receive(c.Request().Context(), body); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, callbackJSON{Kept: true})
}

// signedBy compares every signature that is there, in constant time: one that is right will do.
func signedBy(secret string, h http.Header, body []byte) (good bool) {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write(body)
	want := mac.Sum(nil)
	for _, name := range callbackHeaders {
		text := strings.TrimPrefix(strings.ToLower(strings.TrimSpace(h.Get(name))), "sha256=")
		if given, err := hex.DecodeString(text); err == nil && hmac.Equal(given, want) {
			good = true
		}
	}
	return good
}
