package handlers

import (
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/views"
)

// ticketChanged changes the till's ticket, and shows it.
func (h *Handlers) ticketChanged(c echo.Context, who cashier, change func(*checkout.Till) error) error {
	return h.registerAgain(c, who, h.Checkout.ChangeTill(c.Request().Context(), who.at.Device, change), views.EntryAmount)
}

func (h *Handlers) addTicketLine(c echo.Context, who cashier) error {
	return h.registerAgain(c, who, h.addLine(c, who), views.EntryAmount)
}

func (h *Handlers) addLine(c echo.Context, who cashier) error {
	ctx, code, text := c.Request().Context(), strings.TrimSpace(c.FormValue("code")), strings.TrimSpace(c.FormValue("amount"))
	if code != "" {
		return h.Checkout.AddCode(ctx, who.at, code)
	}
	var amount money.USDC
	if text != "" {
		var err error
		if amount, err = money.ParseUSDC(text); err != nil {
			return &shop.FieldError{Field: "amount", Message: "Type an amount such as 4.20."}
		}
	}
	if named := c.FormValue("item"); named != "" {
		item, err := id.Parse[id.Item](named)
		if err != nil {
			return shop.ErrNotFound
		}
		return h.Checkout.AddItem(ctx, who.at, item, amount)
	}
	return h.Checkout.ChangeTill(ctx, who.at.Device, func(t *checkout.Till) error { return t.Ticket.AddAmount(amount) })
}

func (h *Handlers) changeTicketLine(c echo.Context, who cashier) error {
	number, err := strconv.Atoi(c.Param("number"))
	if err != nil {
		return checkout.ErrNotFound
	}
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	return h.ticketChanged(c, who, func(t *checkout.Till) error {
		switch {
		case form.Has("step"):
			step := 1
			if form.Get("step") == "-1" {
				step = -1
			}
			return t.Ticket.Step(number, step)
		case form.Has("title"):
			return t.Ticket.Rename(number, form.Get("title"))
		}
		qty, err := strconv.Atoi(strings.TrimSpace(form.Get("qty")))
		if err != nil {
			qty = 0 // which no line has
		}
		return t.Ticket.SetQty(number, qty)
	})
}

func (h *Handlers) removeTicketLine(c echo.Context, who cashier) error {
	number, err := strconv.Atoi(c.Param("number"))
	if err != nil {
		return checkout.ErrNotFound
	}
	return h.ticketChanged(c, who, func(t *checkout.Till) error {
		t.Ticket.Remove(number)
		return nil
	})
}

// discountTicket takes something off, for whoever may; to take a discount back nobody needs to be asked.
func (h *Handlers) discountTicket(c echo.Context, who cashier) error {
	text, percent := strings.TrimSpace(c.FormValue("percent")), 0
	if text != "" {
		if !who.May(access.GiveDiscounts) {
			return h.lacks(c, seller{Session: who.Session}, access.GiveDiscounts)
		}
		var err error
		if percent, err = strconv.Atoi(text); err != nil {
			percent = -1
		}
	}
	err := h.Checkout.ChangeTill(c.Request().Context(), who.at.Device, func(t *checkout.Till) error {
		return t.Ticket.TakeOff(percent, c.FormValue("title"))
	})
	return h.registerAgain(c, who, err, views.EntryPercent)
}

func (h *Handlers) referTicket(c echo.Context, who cashier) error {
	err := h.Checkout.ChangeTill(c.Request().Context(), who.at.Device, func(t *checkout.Till) error { return t.Ticket.Refer(c.FormValue("reference")) })
	return h.registerAgain(c, who, err, views.EntryReference)
}

func (h *Handlers) clearTicket(c echo.Context, who cashier) error {
	return h.ticketChanged(c, who, func(t *checkout.Till) error {
		t.Ticket = checkout.Ticket{}
		return nil
	})
}

func (h *Handlers) parkTicket(c echo.Context, who cashier) error {
	return h.ticketChanged(c, who, func(t *checkout.Till) error { return t.Park(h.Now()) })
}

func (h *Handlers) recallTicket(c echo.Context, who cashier) error {
	number, err := strconv.Atoi(c.Param("number"))
	if err != nil {
		return checkout.ErrNotFound
	}
	return h.ticketChanged(c, who, func(t *checkout.Till) error { return t.Recall(number, h.Now()) })
}
