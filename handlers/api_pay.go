package handlers

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
	"xsynesis/x402"
)

// paymentRequest is what a wallet made, without the headers of the protocol.
type paymentRequest struct {
	Signature     string       `json:"signature"`
	Authorization x402.Message `json:"authorization"`
}

// refusalJSON is the 402 of a payment that cannot be taken. Error is the protocol's reason where the payment came
// by the protocol's header, and the API's own form where it came as JSON.
type refusalJSON struct {
	X402Version int                  `json:"x402Version"`
	Error       any                  `json:"error"`
	Reason      string               `json:"reason,omitempty"`
	Message     string               `json:"message,omitempty"`
	Accepts     []x402.RequirementV1 `json:"accepts"`
}

// pendingJSON answers a payment whose outcome is not known yet.
type pendingJSON struct {
	PaymentAttempt id.Attempt      `json:"payment_attempt"`
	Status         checkout.Status `json:"status"`
	PayURL         string          `json:"pay_url"`
	Error          errorDetail     `json:"error"`
}

func (a api) pay(c echo.Context, _ access.Caller) error {
	attempt, err := id.Parse[id.Attempt](c.Param("id"))
	if err != nil {
		return checkout.ErrNotFound
	}
	p, err := a.Checkout.Purchase(c.Request().Context(), attempt)
	if err != nil {
		return err
	}
	want := a.Checkout.Requirement(p.Attempt)
	payment, err := sentPayment(c.Request(), want)
	if errors.Is(err, x402.ErrNoPayment) {
		return a.purchaseState(c, p)
	}
	if err == nil {
		p, err = a.Checkout.Pay(c.Request().Context(), attempt, payment)
	}
	var invalid *x402.Invalid
	switch {
	case errors.Is(err, checkout.ErrPending):
		return a.pending(c, p, err)
	case errors.As(err, &invalid):
		return a.refusePayment(c, want, max(payment.Version, 1), invalid)
	case err != nil:
		return err
	}
	name, value := a.paymentReceipt(p, payment).Header(payment.Version)
	c.Response().Header().Set(name, value)
	return a.sendReceipt(c, p, true)
}

// sentPayment reads the payment of a request: from a header of the protocol, or from its body.
func sentPayment(r *http.Request, want x402.Requirement) (x402.Payment, error) {
	if carriesPayment(r) {
		return x402.FromRequest(r.Header)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return x402.Payment{}, err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return x402.Payment{}, x402.ErrNoPayment
	}
	authorization, signature, err := x402.DecodePayload(body)
	var invalid *x402.Invalid
	if errors.As(err, &invalid) {
		name := "authorization"
		if strings.HasPrefix(invalid.Detail, "signature") {
			name = "signature"
		}
		return x402.Payment{}, &shop.FieldError{Field: name, Message: "The payment could not be read: " + invalid.Detail + "."}
	}
	return want.Payment(2, authorization, signature), err
}

// pending answers 202: the money may be on its way, and nobody is asked to pay again.
func (a api) pending(c echo.Context, p checkout.Purchase, problem error) error {
	header, address := c.Response().Header(), a.PublicURL+views.PurchasePath(string(p.ID), "")
	header.Set("Location", address)
	header.Set("Retry-After", retryAfter[http.StatusServiceUnavailable])
	r, _ := replyTo(problem)
	return c.JSON(http.StatusAccepted, pendingJSON{
		PaymentAttempt: p.ID, Status: p.Status, PayURL: address,
		Error: errorDetail{Code: r.code, Message: r.message, RequestID: requestID(c)},
	})
}

// refusePayment answers 402, in both versions of the protocol and in the form of the API.
func (a api) refusePayment(c echo.Context, want x402.Requirement, version int, invalid *x402.Invalid) error {
	r, _ := replyTo(invalid)
	reason := invalid.Reason(version)
	body := refusalJSON{X402Version: 1, Error: reason, Reason: reason, Message: r.message, Accepts: acceptsV1(want)}
	if !carriesPayment(c.Request()) {
		if invalid.Kind == x402.Funds {
			r.code = string(x402.Funds)
		}
		body.Error = errorBody(c, r, "").Error
	}
	c.Response().Header().Set(x402.HeaderRequired, x402.Header(reason, want))
	return c.JSON(http.StatusPaymentRequired, body)
}
