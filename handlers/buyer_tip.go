package handlers

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/views"
)

// tipShares are what a customer is offered to add at a till, in percent.
var tipShares = []int{5, 10, 15}

// tipView is what may be added to a purchase, in whole cents.
func tipView(p checkout.Purchase) views.TipView {
	v := views.TipView{}
	if last := p.Lines[len(p.Lines)-1]; last.ItemID == "" && last.Title == "Tip" {
		v.Chosen = last.UnitAmount
	}
	for _, tip := range tipsOf(p.Amount - v.Chosen) {
		v.Choices = append(v.Choices, views.TipChoice(tip))
	}
	return v
}

// shareOf is a share of a price in percent, in whole cents.
func shareOf(price money.USDC, percent int) money.USDC {
	const cent = 10_000
	share := price / 100 * money.USDC(percent)
	return share - share%cent
}

// tip adds a tip to what is paid at a till: another purchase takes this one's place.
func (h *Handlers) tip(c echo.Context) error {
	attempt, err := id.Parse[id.Attempt](c.Param("attempt"))
	if err != nil {
		return checkout.ErrNotFound
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	text := strings.TrimSpace(c.FormValue("tip"))
	amount, err := money.ParseUSDC(text)
	if err != nil {
		err = &shop.FieldError{Field: "tip", Message: "Give an amount such as 1.50."}
	}
	var a checkout.Attempt
	if err == nil {
		a, err = h.Checkout.Tip(c.Request().Context(), attempt, amount)
	}
	var wrong *shop.FieldError
	switch {
	case err == nil:
		return c.Redirect(http.StatusSeeOther, views.PurchasePath(string(a.ID), ""))
	case errors.Is(err, checkout.ErrNotOpen): // its page says what it is by now
		return c.Redirect(http.StatusSeeOther, views.PurchasePath(string(attempt), ""))
	case !errors.As(err, &wrong) || !wantsPage(c.Request()):
		return err
	}
	p, err := h.Checkout.Purchase(c.Request().Context(), attempt)
	if err != nil {
		return err
	}
	return h.purchasePageOf(c, http.StatusUnprocessableEntity, p, c.QueryParam("k"), refusedFields{tip: views.Field{Value: text, Problem: wrong.Message}})
}

// tipped is what took the place of a purchase because of a tip, or empty.
func (h *Handlers) tipped(c echo.Context, p checkout.Purchase) (id.Attempt, error) {
	if p.Channel != "till" || p.Status != checkout.Cancelled {
		return "", nil
	}
	known, err := h.Checkout.ChargeOf(c.Request().Context(), p.ID)
	if errors.Is(err, checkout.ErrNotFound) {
		return "", nil
	}
	return known.Next, err
}

// openPurchase tells a till that its customer looks at the purchase.
func (h *Handlers) openPurchase(c echo.Context) error {
	attempt, err := id.Parse[id.Attempt](c.Param("attempt"))
	if err != nil {
		return checkout.ErrNotFound
	}
	if err := h.Checkout.Opened(c.Request().Context(), attempt); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
