package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/views"
)

// putIntoCart puts an item into the visitor's cart.
func (h *Handlers) putIntoCart(c echo.Context, v visit) error {
	err := h.put(c, &v)
	if err == nil {
		return h.toCart(c, v)
	}
	if status := formStatus(err); status == http.StatusUnprocessableEntity || errors.Is(err, shop.ErrShort) {
		return h.productPage(c, v, c.FormValue("item"), status, err)
	}
	return err
}

func (h *Handlers) put(c echo.Context, v *visit) error {
	item, err := id.Parse[id.Item](c.FormValue("item"))
	if err != nil {
		return shop.ErrNotFound
	}
	choice, err := asked(c.FormValue).choice()
	if err != nil {
		return err
	}
	if err := h.newCart(c, v); err != nil {
		return err
	}
	return h.Shop.PutIntoCart(c.Request().Context(), v.Front, v.visitor, shop.Want{Item: item, Qty: max(choice.Qty, 1), Amount: choice.Amount})
}

// newCart names a visitor who has no cart here yet. One address begins only so many.
func (h *Handlers) newCart(c echo.Context, v *visit) error {
	if v.visitor == "" {
		v.visitor = shop.NewVisitor()
	}
	if len(v.cart.Lines) > 0 || !h.Limited {
		return nil
	}
	if wait := h.limits.carts.take(addressOf(c), h.Now()); wait > 0 {
		askToWait(c, wait)
		return errTooMany
	}
	return nil
}

// toCart leads to the cart, which the visitor's browser keeps from now on as long as it is kept here.
func (h *Handlers) toCart(c echo.Context, v visit) error {
	h.keep(c, cartCookie, v.visitor, int(shop.CartKept.Seconds()))
	return c.Redirect(http.StatusSeeOther, views.CartPath(v.Slug))
}

func (h *Handlers) changeCartLine(c echo.Context, v visit) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	return h.changeCart(c, v, func(cart *shop.Cart, number int) error {
		switch form.Get("step") {
		case "1":
			return cart.Step(number, 1)
		case "-1":
			return cart.Step(number, -1)
		}
		qty, err := strconv.Atoi(strings.TrimSpace(form.Get("qty")))
		if err != nil {
			qty = -1 // which no line has
		}
		return cart.SetQty(number, qty)
	})
}

func (h *Handlers) removeCartLine(c echo.Context, v visit) error {
	return h.changeCart(c, v, func(cart *shop.Cart, number int) error {
		cart.Remove(number)
		return nil
	})
}

// changeCart changes a line of the cart, and shows it. A line that is not there any more is no failure: the cart says so.
func (h *Handlers) changeCart(c echo.Context, v visit, change func(cart *shop.Cart, number int) error) error {
	number, err := strconv.Atoi(c.Param("number"))
	if err != nil {
		return shop.ErrNotFound
	}
	err = h.Shop.ChangeCart(c.Request().Context(), v.Merchant, v.visitor, func(cart *shop.Cart) error { return change(cart, number) })
	switch {
	case errors.Is(err, shop.ErrNotFound):
		return c.Redirect(http.StatusSeeOther, views.CartPath(v.Slug))
	case err == nil:
		return h.toCart(c, v)
	case formStatus(err) == http.StatusUnprocessableEntity:
		return h.basketPage(c, v, http.StatusUnprocessableEntity, cartSentence(err))
	}
	return err
}

// basket is what a visitor has put into his cart.
func (h *Handlers) basket(c echo.Context, v visit) error {
	return h.basketPage(c, v, http.StatusOK, "")
}

func (h *Handlers) basketPage(c echo.Context, v visit, status int, problem string) error {
	priced, err := h.Shop.PriceCart(c.Request().Context(), v.Front, v.cart)
	if err != nil {
		return err
	}
	view := views.BasketView{ShopFrame: v.frame(), Total: priced.Total, Problem: problem}
	if priced.TooMuch {
		view.TooMuch = "A purchase can come to at most " + views.AmountUSDC(shop.MaxAmount) + "."
	}
	for _, l := range priced.Lines {
		view.Lines = append(view.Lines, views.BasketLine{
			Line: l.Number, Item: l.Item, Title: l.Title, Image: smallImage(l.Image), Qty: l.Qty, Unit: l.Unit, Was: l.Was, Gone: l.Gone,
			Problem: cartLineProblem(l),
		})
	}
	return h.Page(c, status, views.BasketPage(view))
}

// cartLineProblem says why a line cannot be bought as it stands.
func cartLineProblem(l shop.PricedCartLine) string {
	switch {
	case l.Gone:
		return "This is not on sale any more."
	case l.Short:
		return leftSentence(l.Left)
	case l.Below:
		return "This costs at least " + views.AmountUSDC(l.Least) + " now. Remove it, and choose it again."
	}
	return ""
}

func leftSentence(left int) string {
	switch left {
	case 0:
		return "This is sold out."
	case 1:
		return "Only one is left."
	default:
		return fmt.Sprintf("Only %d are left.", left)
	}
}

// cartSentence says why something could not be done about a cart.
func cartSentence(err error) string {
	if left, known := shop.Left(err); known {
		return leftSentence(left)
	}
	switch {
	case errors.Is(err, checkout.ErrTotal):
		return "A price is another one now. Nothing was charged: look at the total, then go on."
	case errors.Is(err, checkout.ErrCartChanged), errors.Is(err, shop.ErrShort), errors.Is(err, shop.ErrNotFound):
		return "Something has changed since you opened it. Nothing was charged: look at it again, then go on."
	}
	return askProblem(err)
}

// shopCheckout asks what the shop has to know before a cart is paid.
func (h *Handlers) shopCheckout(c echo.Context, v visit) error {
	return h.checkoutPage(c, v, http.StatusOK, nil)
}

// checkoutPage asks it, again where problem says why it was refused.
func (h *Handlers) checkoutPage(c echo.Context, v visit, status int, problem error) error {
	ctx := c.Request().Context()
	priced, err := h.Shop.PriceCart(ctx, v.Front, v.cart)
	if err != nil {
		return err
	}
	if len(v.cart.Lines) == 0 || priced.Stuck() {
		return c.Redirect(http.StatusSeeOther, views.CartPath(v.Slug))
	}
	offer, err := h.Shop.CartOffer(ctx, v.Front, v.cart)
	if err != nil {
		if status = formStatus(err); status == http.StatusInternalServerError {
			return err
		}
		return h.basketPage(c, v, status, cartSentence(err))
	}
	before, code := offer.Amount, views.CodeField{}
	if problem == nil {
		if offer, code = h.codeOn(c, offer, c.FormValue); code.Problem != "" {
			status = http.StatusUnprocessableEntity
		}
	} else if code = refusedCode(c, offer, problem); code.Problem != "" && status < http.StatusTooManyRequests {
		status = http.StatusUnprocessableEntity
	}
	view := views.ShopCheckoutView{
		ShopFrame: v.frame(), Once: v.cart.Once(), Ask: askView(offer, c.FormValue, problem), Code: code, Before: before,
		Cart: views.Cart{Title: offer.Title(), Amount: offer.Amount, Lines: cartLines(offer.Lines, offer.Title())},
	}
	if problem != nil && code.Problem == "" && code.Wallet.Problem == "" { // those stand beside their fields
		view.Problem = askProblem(problem)
	}
	askForPatience(c, status)
	return h.Page(c, status, views.ShopCheckoutPage(view))
}

// buyCart begins the purchase of a cart.
func (h *Handlers) buyCart(c echo.Context, v visit) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	if err := h.crowded(c, views.ShopPath(v.Slug)); err != nil {
		return h.checkoutPage(c, v, formStatus(err), err)
	}
	if c.FormValue("apply") != "" {
		return h.checkoutPage(c, v, http.StatusOK, nil)
	}
	ctx := c.Request().Context()
	total, err := money.ParseUnits(c.FormValue("total"))
	if err != nil {
		return h.notBought(c, v, checkout.ErrTotal)
	}
	order := checkout.CartOrder{
		Visitor: v.visitor, Once: c.FormValue("once"), Total: total, Buyer: asked(c.FormValue).buyer(), From: c.RealIP(),
		Code: strings.TrimSpace(c.FormValue("code")), Wallet: c.FormValue("buyer_address"), BackURL: h.PublicURL + views.ShopPath(v.Slug),
	}
	var a checkout.Attempt
	err = h.tryCode(c, order.Code, func() (err error) {
		a, err = h.Checkout.BuyCart(ctx, v.Front, order)
		return err
	})
	if err != nil {
		return h.notBought(c, v, err)
	}
	return c.Redirect(http.StatusSeeOther, views.PurchasePath(string(a.ID), h.Checkout.BuyerToken(ctx, a)))
}

// notBought shows the cart where it is another one than was on the screen, and else the questions, with the sentence that
// refuses them.
func (h *Handlers) notBought(c echo.Context, v visit, problem error) error {
	status := formStatus(problem)
	for _, changed := range []error{checkout.ErrTotal, checkout.ErrCartChanged, shop.ErrShort, shop.ErrNotFound} {
		if errors.Is(problem, changed) {
			return h.basketPage(c, v, http.StatusConflict, cartSentence(problem))
		}
	}
	if status == http.StatusInternalServerError {
		return problem
	}
	return h.checkoutPage(c, v, status, problem)
}
