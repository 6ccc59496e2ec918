package handlers

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/shop"
	"xsynesis/views"
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

// codeOn is an offer with what the code of a request takes off, and the field that the code stands in. Nothing is taken of
// the code.
func (h *Handlers) codeOn(c echo.Context, o shop.Offer, value func(string) string) (shop.Offer, views.CodeField) {
	f := views.CodeField{Asked: o.Amount > 0, Field: views.Field{Value: strings.TrimSpace(value("code"))}, Wallet: views.Field{Value: value("buyer_address")}}
	if !f.Asked || f.Value == "" {
		return o, f
	}
	coded := o
	err := h.tryCode(c, f.Value, func() error {
		handed, err := h.Shop.HandIn(c.Request().Context(), o.Merchant, o.Link.Livemode, f.Value)
		if err == nil {
			coded, err = o.Coded(handed)
		}
		f.AsksFor = err == nil && coded.Amount == 0 && handed.AsksWallet()
		return err
	})
	if err != nil {
		f.Problem = codeProblem(err)
		return o, f
	}
	f.Applied = views.AmountUSDC(o.Amount - coded.Amount)
	return coded, f
}

// codeProblem is the sentence that refuses a code.
func codeProblem(err error) string {
	r, _ := replyTo(err)
	return r.message
}

// applyCode shows the offer with what a code takes off, or why it takes nothing off. Nothing has begun.
func (h *Handlers) applyCode(c echo.Context, choice shop.Choice) error {
	offer, err := h.Shop.Offer(c.Request().Context(), c.Param("token"))
	if err != nil {
		return h.notBegun(c, err)
	}
	if offer, err = offer.Choose(choice); err != nil {
		return h.notBegun(c, err)
	}
	problem := offer.Link.Open(h.Now())
	offer, code := h.codeOn(c, offer, c.FormValue)
	v, err := h.offerView(offer, problem)
	if err != nil {
		return err
	}
	v.Ask, v.Code = askView(offer, c.FormValue, nil), code
	c.Response().Header().Set("Cache-Control", "no-store")
	if code.Problem != "" {
		return h.Page(c, http.StatusUnprocessableEntity, views.LinkPage(v))
	}
	return h.Page(c, http.StatusOK, views.LinkPage(v))
}

// codeErrors are the refusals that are about a code, and stand beside its field.
var codeErrors = []error{shop.ErrCode, shop.ErrCodeUsed, shop.ErrCodeEarly, shop.ErrCodeOver, shop.ErrCodeElsewhere, shop.ErrCodeWallet, shop.ErrCodeHeld, errTooOften}

// refusedCode is the field of the code of a form that was refused, perhaps because of it.
func refusedCode(c echo.Context, o shop.Offer, problem error) views.CodeField {
	f := views.CodeField{
		Asked: o.Amount > 0, Field: views.Field{Value: c.FormValue("code")}, Wallet: views.Field{Value: c.FormValue("buyer_address")},
	}
	f.AsksFor = f.Wallet.Value != ""
	if slices.ContainsFunc(codeErrors, func(e error) bool { return errors.Is(problem, e) }) {
		f.Problem = codeProblem(problem)
	}
	var wrong *shop.FieldError
	if errors.As(problem, &wrong) {
		switch wrong.Field {
		case "code":
			f.Problem = wrong.Message
		case "buyer_address":
			f.Wallet.Problem, f.AsksFor = wrong.Message, true
		}
	}
	return f
}
