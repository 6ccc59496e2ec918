package handlers

import (
	"errors"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/shop"
)

// tryCode does something with a code that somebody hands in, unless he was wrong too often: a code is worth money, and what
// its shop thought up may be short. Whoever has real codes is never kept from them, used ones or others.
func (h *Handlers) tryCode(c echo.Context, code string, do func() error) error {
	if code == "" {
		return do()
	}
	if wait := h.codes.wait(addressOf(c), h.Now()); wait > 0 {
		askToWait(c, wait)
		return errTooOften
	}
	err := do()
	if errors.Is(err, shop.ErrCode) {
		h.codes.failed(addressOf(c), h.Now())
	}
	return err
}

// startCoded begins a purchase, with a code if the buyer has one.
func (h *Handlers) startCoded(c echo.Context, b checkout.Begin) (a checkout.Attempt, err error) {
	err = h.tryCode(c, b.Code, func() (err error) {
		a, err = h.Checkout.Start(c.Request().Context(), b)
		return err
	})
	return a, err
}
