package handlers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/views"
	"xsynesis/x402"
)

// chargeTicket is the tap on Charge: it makes the code.
func (h *Handlers) chargeTicket(c echo.Context, who cashier) error {
	total, err := money.ParseUnits(c.FormValue("total"))
	if err != nil {
		err = checkout.ErrTotal
	}
	var a checkout.Attempt
	if err == nil {
		a, err = h.Checkout.Charge(c.Request().Context(), who.at, c.FormValue("once"), total)
	}
	if err != nil {
		return h.registerAgain(c, who, err, views.EntryAmount)
	}
	return c.Redirect(http.StatusSeeOther, views.TillChargePath(a.ID))
}

// charge is a purchase of this till, and what the till knows of it.
func (h *Handlers) charge(c echo.Context, who cashier) (checkout.Purchase, checkout.TillCharge, error) {
	attempt, err := id.Parse[id.Attempt](c.Param("attempt"))
	if err != nil {
		return checkout.Purchase{}, checkout.TillCharge{}, checkout.ErrNotFound
	}
	known, err := h.Checkout.ChargeOf(c.Request().Context(), attempt)
	if err == nil && known.Device != who.at.Device {
		err = checkout.ErrNotFound
	}
	if err != nil {
		return checkout.Purchase{}, known, err
	}
	p, err := h.Checkout.Purchase(c.Request().Context(), attempt)
	return p, known, err
}

func (h *Handlers) showCharge(c echo.Context, who cashier) error {
	p, known, err := h.charge(c, who)
	if err != nil {
		return err
	}
	if known.Next != "" {
		return c.Redirect(http.StatusSeeOther, views.TillChargePath(known.Next))
	}
	v, err := h.chargeView(c, who, p, known)
	if err != nil {
		return err
	}
	v.Cancelling = c.QueryParam("cancel") != "" && p.Status == checkout.Open
	return h.tillPage(c, http.StatusOK, views.Charge(v))
}

func (h *Handlers) chargeView(c echo.Context, who cashier, p checkout.Purchase, known checkout.TillCharge) (views.ChargeView, error) {
	qr, err := views.NewQR(h.PublicURL + views.PurchasePath(string(p.ID), ""))
	if err != nil {
		return views.ChargeView{}, err
	}
	v := views.ChargeView{
		TillFrame: h.tillFrame(who), Attempt: p.ID, Status: string(p.Status), Reference: p.Reference, QR: qr, ReceiptQR: qr, Number: number(p),
		Cart:    views.Cart{Title: p.Title, Amount: p.Amount, Lines: cartLines(p.Lines, p.Title)},
		ShownAt: p.CreatedAt.UTC(), OpenedAt: timeOr(known.OpenedAt), SettledAt: timeOr(p.SettledAt), EndedAt: p.ExpiresAt.UTC(),
		AfterCancel: known.CancelledAt != nil, Decided: known.Decision, Simulated: p.Simulated,
	}
	v.Cashier = known.Cashier
	if v.Decided == "" && p.Refunded > 0 { // somebody gives it back already
		v.Decided = views.LateRefund
	}
	if known.CancelledAt != nil {
		v.EndedAt = known.CancelledAt.UTC()
	}
	if known.Short {
		v.Short = "What was sold is sold out by now."
	}
	switch p.Refusal {
	case "":
	case string(x402.Funds):
		v.Note = "Their wallet holds less than the price"
	default:
		v.Note = "Their payment was refused. They can try again"
	}
	if p.Claim != nil {
		v.Payer, v.ApprovedAt, v.CertainBy = p.Claim.Payer.Hex(), p.Claim.At.UTC(), p.Claim.ValidBefore.Add(certainAfter).UTC()
	}
	if p.Settlement != nil && v.Payer == "" {
		v.Payer = checksum(p.Settlement.Payer)
	}
	return v, h.viewAnotherCode(c, who, p, &v)
}

// viewAnotherCode offers one more code for a ticket that was not paid, and costs the same still.
func (h *Handlers) viewAnotherCode(c echo.Context, who cashier, p checkout.Purchase, v *views.ChargeView) error {
	if p.Status != checkout.Expired && p.Status != checkout.Cancelled && p.Status != checkout.Failed {
		return nil
	}
	t, err := h.Checkout.Till(c.Request().Context(), who.at.Device)
	if err != nil || t.Charge != p.ID {
		return err
	}
	priced, err := h.Checkout.PriceTicket(c.Request().Context(), who.at, t.Ticket)
	if err == nil && priced.Total == p.Amount {
		v.Once = t.Once()
	}
	return err
}

// chargeAgain is the charge after something was asked for: it, or why it is refused.
func (h *Handlers) chargeAgain(c echo.Context, who cashier, problem error) error {
	if problem == nil {
		return c.Redirect(http.StatusSeeOther, views.TillChargePath(id.Attempt(c.Param("attempt"))))
	}
	sentence, status := tillRefusal(problem)
	if sentence == "" || errors.Is(problem, checkout.ErrNotFound) {
		return problem
	}
	p, known, err := h.charge(c, who)
	if err != nil {
		return err
	}
	v, err := h.chargeView(c, who, p, known)
	if err != nil {
		return err
	}
	v.Problem = sentence
	return h.tillPage(c, status, views.Charge(v))
}

func (h *Handlers) cancelCharge(c echo.Context, who cashier) error {
	p, _, err := h.charge(c, who)
	if err != nil {
		return err
	}
	err = h.Checkout.CancelCharge(c.Request().Context(), who.at, p.ID)
	if errors.Is(err, checkout.ErrNotOpen) { // paid, most likely: the charge says what it is
		return h.chargeAgain(c, who, nil)
	}
	if err != nil {
		return h.chargeAgain(c, who, err)
	}
	return c.Redirect(http.StatusSeeOther, views.TillPath)
}

// completeCharge is the tap on Next customer.
func (h *Handlers) completeCharge(c echo.Context, who cashier) error {
	p, _, err := h.charge(c, who)
	if err != nil {
		return err
	}
	if err := h.Checkout.NextCustomer(c.Request().Context(), who.at, p.ID); err != nil {
		return err
	}
	if who.device.LocksEach {
		return h.lockTill(c, who.device)
	}
	return c.Redirect(http.StatusSeeOther, views.TillPath)
}

func (h *Handlers) acceptLate(c echo.Context, who cashier) error {
	return h.decideLate(c, who, checkout.LateAccepted)
}

func (h *Handlers) refundLate(c echo.Context, who cashier) error {
	return h.decideLate(c, who, checkout.LateRefund)
}

func (h *Handlers) decideLate(c echo.Context, who cashier, decision string) error {
	p, _, err := h.charge(c, who)
	if err != nil {
		return err
	}
	return h.chargeAgain(c, who, h.Checkout.DecideLate(c.Request().Context(), who.at, p.ID, decision))
}
