package handlers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/shop"
	"xsynesis/views"
)

// justPaid is how many of the latest payments a counter display shows.
const justPaid = 5

// counter is a payment link as a display on the counter.
func (h *Handlers) counter(c echo.Context) error {
	ctx := c.Request().Context()
	o, err := h.Shop.Offer(ctx, c.Param("token"))
	if err != nil {
		return err
	}
	address := h.PublicURL + views.LinkPath(o.Link.Token)
	v := views.CounterView{
		Token: o.Link.Token, Payee: views.Payee{Name: o.Shop, Domain: o.Domain, Address: checksum(o.PayTo)}, Test: !o.Link.Livemode,
		Cart: views.Cart{Title: o.Title(), Note: o.Link.Description, Amount: o.Amount},
	}
	if _, v.Asks = o.Asks(); v.Asks {
		v.Least = o.Link.Price
	}
	if v.QR, err = views.NewQR(address); err != nil {
		return err
	}
	switch err := o.Link.Open(h.Now()); {
	case errors.Is(err, shop.ErrLinkExpired):
		v.Closed = views.ClosedExpired
	case errors.Is(err, shop.ErrSoldOut):
		v.Closed = views.ClosedSoldOut
	case err != nil: // its seller pauses it, or has not begun
		v.Closed = views.ClosedPaused
	}
	paid, err := h.Checkout.PaidAtLink(ctx, o.Merchant, o.Link.ID, justPaid)
	if err != nil {
		return err
	}
	for _, p := range paid {
		v.Paid = append(v.Paid, counterPayment(p))
	}
	c.Response().Header().Set("Cache-Control", "private, no-store")
	return h.pageOr(c, http.StatusOK, views.LiveFragment, views.Counter(v))
}

// counterPayment tells no more of a payer than the end of his address.
func counterPayment(p checkout.Listed) views.CounterPayment {
	out := views.CounterPayment{At: p.UpdatedAt.UTC(), Amount: p.Amount, Payer: payer(p.Payer)}
	if p.SettledAt != nil {
		out.At = p.SettledAt.UTC()
	}
	return out
}

func (h *Handlers) counterEvents(c echo.Context) error {
	o, err := h.Shop.Offer(c.Request().Context(), c.Param("token"))
	if err != nil {
		return err
	}
	return h.stream(c, string(o.Merchant), nil)
}
