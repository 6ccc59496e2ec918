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
	code, err := h.handedIn(c, a.offer, text)
	if err != nil {
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

// handedIn reads the code of a program's request.
func (h *Handlers) handedIn(c echo.Context, o shop.Offer, text string) (code shop.HandedIn, err error) {
	err = h.tryCode(c, text, func() (err error) {
		code, err = h.Shop.HandIn(c.Request().Context(), o.Merchant, o.Link.Livemode, text)
		return err
	})
	// A payment in hand may be one that was taken with the last use: then its answer is given again. If not, the use is
	// not to be had either when it is taken.
	if errors.Is(err, shop.ErrCodeUsed) && carriesPayment(c.Request()) {
		err = nil
	}
	return code, err
}

// codedOffer is what a link offers to a program, with what its code takes off.
func (h *Handlers) codedOffer(c echo.Context, o shop.Offer) (shop.Offer, error) {
	text := c.Request().Header.Get(headerCode)
	if text == "" {
		return o, nil
	}
	code, err := h.handedIn(c, o, text)
	if err != nil {
		return o, err
	}
	return o.Coded(code)
}

// callFree makes a call for one use of a code. The use is gone once the seller's server has begun to answer well, before
// any of that is handed out, and comes back where it has not, also where this process does not live to see it.
func (h *Handlers) callFree(c echo.Context, a paidCall, code shop.HandedIn) error {
	if err := a.endpoint.Open(); err != nil {
		return err
	}
	ctx := context.WithoutCancel(c.Request().Context()) // whoever leaves has used his code
	hold, err := h.Shop.HoldCode(ctx, code, a.endpoint.ID, "", h.Now().Add(a.endpoint.Timeout+holdMargin))
	if err != nil {
		return err
	}
	spent := false
	a.spend = func() error {
		spending, end := context.WithTimeout(ctx, endTimeout)
		defer end()
		err := h.Shop.SpendCode(spending, hold)
		spent = err == nil
		return err
	}
	calling, cancel := context.WithTimeout(ctx, a.endpoint.Timeout)
	defer cancel()
	answer, err := h.askOrPassOn(calling, c, a, common.HexToAddress(code.Wallet()))
	if !spent {
		h.returnCode(ctx, hold)
	}
	if err != nil || c.Response().Committed {
		return breakOff(c, err)
	}
	return sendAnswer(c, answer)
}

// holdMargin is how much longer a use is held than its call may take.
const holdMargin = time.Minute

// returnCode gives the use of a call back that was not answered well.
func (h *Handlers) returnCode(ctx context.Context, hold shop.CodeHold) {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	if err := h.Shop.ReturnCode(ctx, hold); err != nil { // it goes back in time
		slog.ErrorContext(ctx, "a call with a code", "code", hold.Code.ID, "error", err)
	}
}

// use uses up what the call is made with, if the answer is good.
func (a paidCall) use(answer checkout.Answer) error {
	if a.spend == nil || answer.Status >= http.StatusBadRequest {
		return nil
	}
	return a.spend()
}

// askOrPassOn asks the seller's server. What may be large or never end is handed on as it comes.
func (h *Handlers) askOrPassOn(ctx context.Context, c echo.Context, a paidCall, wallet common.Address) (checkout.Answer, error) {
	of := checkout.Paying{Payer: wallet}
	if a.endpoint.Settles == shop.SettlesFirst {
		return h.passOn(ctx, c, a, of)
	}
	answer, err := h.askUpstream(ctx, c.Request(), a, of)
	if err == nil {
		err = a.use(answer)
	}
	return answer, err
}
