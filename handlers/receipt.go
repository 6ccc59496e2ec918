package handlers

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/views"
)

func (h *Handlers) receiptRoutes(e *echo.Echo) {
	e.GET("/pay/:attempt/receipt", h.ownReceipt)
	e.GET(views.VerifyPath, h.verifyForm)
	e.POST(views.VerifyPath, h.verify)
}

// ownReceipt hands its buyer what proves his payment. What he bought is not in it: it is made to be shown around.
func (h *Handlers) ownReceipt(c echo.Context) error {
	attempt, err := id.Parse[id.Attempt](c.Param("attempt"))
	if err != nil {
		return checkout.ErrNotFound
	}
	p, err := h.Checkout.Purchase(c.Request().Context(), attempt)
	if err != nil {
		return err
	}
	r, ok := checkout.ReceiptOf(p)
	if !ok || !p.IsBuyer(c.QueryParam("k")) {
		return checkout.ErrNotFound
	}
	header := c.Response().Header()
	header.Set("Cache-Control", "private, no-store")
	header.Set("Content-Disposition", `attachment; filename="receipt-`+number(p)+`.json"`)
	return c.JSONPretty(http.StatusOK, r, "  ")
}

func (h *Handlers) verifyForm(c echo.Context) error {
	return h.Page(c, http.StatusOK, views.Verify(views.VerifyView{Test: h.Development}))
}

// verify proves a receipt that somebody sends, whoever's it is; nothing of it is kept.
func (h *Handlers) verify(c echo.Context) error {
	v := views.VerifyView{Receipt: views.Field{Value: strings.TrimSpace(c.FormValue("receipt"))}, Test: h.Development}
	c.Response().Header().Set("Cache-Control", "no-store")
	r, err := checkout.ReadReceipt([]byte(v.Receipt.Value))
	var proven checkout.Proven
	if err == nil {
		proven, err = h.Checkout.VerifyReceipt(c.Request().Context(), r)
	}
	switch {
	case err == nil:
		v.Result = &views.Proof{Verdict: views.ProofWhole}
		for _, sentence := range proven.Sentences() {
			v.Result.Checks = append(v.Result.Checks, views.ProofCheck{Text: sentence, State: "settled"})
		}
		return h.Page(c, http.StatusOK, views.Verify(v))
	case errors.Is(err, evm.ErrNetwork):
		v.Receipt.Problem = "Its network is not known here."
	case errors.Is(err, checkout.ErrReceipt):
		v.Receipt.Problem = "The network does not confirm what it says."
	default:
		return err
	}
	return h.Page(c, http.StatusUnprocessableEntity, views.Verify(v))
}
