package handlers

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/shop"
)

// headerCode carries an activation code, or a bypass token.
const headerCode = "X-Activation-Code"

// callByCode is a call that comes with a code. One for the whole price lets it through, for one of its uses; any other
// makes the call cost less, with the payment to come or in hand.
func (h *Handlers) callByCode(c echo.Context, a *paidCall, text string) (sent bool, err error) {
	var code shop.HandedIn
	err = h.tryCode(c, text, func() (err error) {
		code, err = h.Shop.HandIn(c.Request().Context(), a.endpoint.Merchant, a.endpoint.Livemode, text)
		return err
	})
	// A payment in hand may be one that was taken with the last use: then its answer is given again. If not, the use is
	// not to be had either when it is taken.
	if err != nil && (!errors.Is(err, shop.ErrCodeUsed) || !carriesPayment(c.Request())) {
		return false, err
	}
	offer, err := a.offer.Coded(code)
	switch {
	case err != nil:
		return false, err
	case offer.Amount > 0:
		a.offer, a.code = offer, &code
		return false, nil
	case carriesPayment(c.Request()): // and needs no code
		return false, nil
	}
	return true, h.callFree(c, *a, code)
}

// callFree makes a call for one use of a code. The use is gone once the seller's server has answered well, and comes back
// where it has not, also where this process does not live to see it.
func (h *Handlers) callFree(c echo.Context, a paidCall, code shop.HandedIn) error {
	if err := a.endpoint.Open(); err != nil {
		return err
	}
	ctx := context.WithoutCancel(c.Request().Context()) // whoever leaves has used his code
	hold, err := h.Shop.HoldCode(ctx, code, a.endpoint.ID, "", h.Now().Add(a.endpoint.Timeout+holdMargin))
	if err != nil {
		return err
	}
	calling, cancel := context.WithTimeout(ctx, a.endpoint.Timeout)
	defer cancel()
	answer, err := h.askOrPassOn(calling, c, a, common.HexToAddress(code.Wallet()))
	ending, end := context.WithTimeout(ctx, endTimeout)
	defer end()
	noted := h.endHold(ending, hold, err == nil && answer.Status < http.StatusBadRequest)
	if noted != nil {
		slog.ErrorContext(ctx, "a call with a code", "endpoint", a.endpoint.ID, "code", hold.Code.ID, "error", noted)
	}
	if err != nil || c.Response().Committed {
		return breakOff(c, err)
	}
	return sendAnswer(c, answer)
}

// holdMargin is how much longer a use is held than its call may take.
const holdMargin = time.Minute

func (h *Handlers) endHold(ctx context.Context, hold shop.CodeHold, answered bool) error {
	if answered {
		return h.Shop.SpendCode(ctx, hold)
	}
	return h.Shop.ReturnCode(ctx, hold)
}

// askOrPassOn asks the seller's server. What may be large or never end is handed on as it comes.
func (h *Handlers) askOrPassOn(ctx context.Context, c echo.Context, a paidCall, wallet common.Address) (checkout.Answer, error) {
	of := checkout.Paying{Payer: wallet}
	if a.endpoint.Settles == shop.SettlesFirst {
		return h.passOn(ctx, c, a, of)
	}
	return h.askUpstream(ctx, c.Request(), a, of)
}
