package handlers

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

func (h *Handlers) orderRoutes(e *echo.Echo) {
	const one = views.OrdersPath + "/:sale"
	e.GET(views.OrdersPath, h.may(access.SeeSales, h.orders))
	e.GET(views.ExceptionsPath, h.may(access.SeeSales, h.exceptionsMoved))
	e.GET(views.OrdersPrintPath, h.may(access.SendOrders, h.packing))
	e.GET(one, h.may(access.SeeSales, h.showOrder))
	e.POST(one+"/fulfilment", h.may(access.SendOrders, h.fulfilOrder))
	e.POST(one+"/return", h.may(access.SendOrders, h.unfulfilOrder))
}

func (h *Handlers) orders(c echo.Context, s seller) error {
	ctx, before, after := c.Request().Context(), c.QueryParam("before"), c.QueryParam("after")
	v := views.OrdersView{
		DashboardView: h.frame(c, s, "Orders", views.SectionOrders, true), Sent: c.QueryParam("sent") == "1", MayFulfil: s.May(access.SendOrders),
	}
	rows, err := h.Checkout.Orders(ctx, s.Merchant, s.livemode, v.Sent, shop.Page{Before: before, After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	rows, more := trim(rows, after != "")
	for _, o := range rows {
		v.Orders = append(v.Orders, orderRow(s, o))
	}
	if len(rows) > 0 {
		v.Pages = pager(c, more, string(rows[0].ID), string(rows[len(rows)-1].ID), len(rows))
	}
	undecided, err := h.Checkout.UnresolvedList(ctx, s.Merchant, s.livemode, false, shop.Page{})
	if err != nil {
		return err
	}
	v.Undecided = len(undecided) > 0 && s.May(access.SeeMoney)
	return h.livePage(c, views.Orders(v))
}

func orderRow(s seller, o checkout.Order) views.OrderRow {
	row := views.OrderRow{
		Sale: o.ID, Time: o.CreatedAt.UTC(), Title: o.ItemTitle, Qty: int(o.Qty), To: goesTo(s, o.Buyer), Amount: o.Amount, Sent: timeOr(o.FulfilledAt),
	}
	switch {
	case o.Reversed:
		row.Problem = "Payment undone"
	case o.Undecided:
		row.Problem = "Paid late"
	}
	return row
}

// goesTo says to whom and where in a few words; to whom is for those who send it.
func goesTo(s seller, b checkout.Buyer) string {
	name, place := b.Name, ""
	if a := b.Shipping; a != nil {
		name, place = a.Name, views.Place(a.City, a.Country)
	}
	switch {
	case name == "" || !s.May(access.SendOrders):
		return place
	case place == "":
		return name
	default:
		return name + ", " + place
	}
}

// orderProblem says why an order should not be sent; nothing where it should.
func orderProblem(o checkout.Order) string {
	switch {
	case o.Reversed:
		return "The payment was undone: you do not have the money. Do not send this."
	case o.Undecided:
		return "The money came late, when it was sold out. Find the goods, or give the money back."
	default:
		return ""
	}
}

// whichSale is the sale that the address names.
func whichSale(c echo.Context) (id.Sale, error) { return id.Parse[id.Sale](c.Param("sale")) }

func (h *Handlers) showOrder(c echo.Context, s seller) error {
	v, err := h.orderView(c, s)
	if err != nil {
		return err
	}
	return h.livePage(c, views.Order(v))
}

// orderView shows an order as it is now. Where it goes is for those who send it.
func (h *Handlers) orderView(c echo.Context, s seller) (views.OrderView, error) {
	sale, err := whichSale(c)
	if err != nil {
		return views.OrderView{}, err
	}
	o, others, err := h.Checkout.Order(c.Request().Context(), s.Merchant, s.livemode, sale)
	if err != nil {
		return views.OrderView{}, err
	}
	v := views.OrderView{
		DashboardView: h.frame(c, s, o.ItemTitle, views.SectionOrders, true), OrderRow: orderRow(s, o), Attempt: o.AttemptID,
		Receipt: receiptNumber(o.AttemptID), Payer: payer(o.PurchaserAddress), SentBy: o.FulfilledBy, SentNote: o.FulfilmentNote,
		MayFulfil: s.May(access.SendOrders),
	}
	v.Live, v.Problem = views.OrderPath(sale), orderProblem(o) // also where a form was refused
	for _, other := range others {
		v.Others = append(v.Others, orderRow(s, other))
	}
	if v.MayFulfil {
		v.Email, v.BuyerNote, v.Address = o.Buyer.Email, o.Buyer.Note, addressLines(o.Buyer)
	}
	return v, nil
}

// addressLines is where something goes, as an envelope has it; of who gave no address, the name.
func addressLines(b checkout.Buyer) []string {
	lines := []string{b.Name}
	if a := b.Shipping; a != nil {
		lines = []string{
			a.Name, a.Line1, a.Line2, strings.TrimSpace(a.PostalCode + " " + a.City), a.State, views.Country(a.Country),
		}
	}
	return slices.DeleteFunc(lines, func(line string) bool { return line == "" })
}

// viewShipment tells a buyer where his goods go, and when they went.
func (h *Handlers) viewShipment(c echo.Context, v *views.PurchaseView, p checkout.Purchase) error {
	sent, ok, err := h.Checkout.Shipment(c.Request().Context(), p)
	if err != nil || !ok {
		return err
	}
	v.Handover.To, v.Handover.SentNotes = addressLines(sent.Buyer), sent.Notes
	if !sent.SentAt.IsZero() {
		v.Handover.Sent = sent.SentAt.UTC()
	}
	return nil
}

func (h *Handlers) fulfilOrder(c echo.Context, s seller) error {
	sale, err := whichSale(c)
	if err != nil {
		return err
	}
	note := strings.TrimSpace(c.FormValue("note"))
	_, err = h.Checkout.Fulfil(c.Request().Context(), s.Merchant, s.livemode, sale, note, actor(c, s))
	r, field := replyTo(err)
	switch {
	case err == nil:
		return c.Redirect(http.StatusSeeOther, views.OrderPath(sale))
	case field != "note":
		return err
	}
	v, err := h.orderView(c, s)
	if err != nil {
		return err
	}
	v.Note = views.Field{Value: note, Problem: r.message}
	return h.Page(c, http.StatusUnprocessableEntity, views.Order(v))
}

func (h *Handlers) unfulfilOrder(c echo.Context, s seller) error {
	sale, err := whichSale(c)
	if err != nil {
		return err
	}
	if _, err := h.Checkout.Unfulfil(c.Request().Context(), s.Merchant, s.livemode, sale, actor(c, s)); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.OrderPath(sale))
}

// packing prints what goes into each parcel: of the sales that are named, or of all that wait.
func (h *Handlers) packing(c echo.Context, s seller) error {
	var named []id.Sale
	for _, text := range c.QueryParams()["id"] {
		sale, err := id.Parse[id.Sale](text)
		if err != nil {
			return err
		}
		named = append(named, sale)
	}
	orders, err := h.Checkout.ToPack(c.Request().Context(), s.Merchant, s.livemode, named)
	if err != nil {
		return err
	}
	v := views.PackingView{Shop: s.Shop, Slips: slips(orders), Back: views.OrdersPath, Test: !s.livemode}
	if len(named) == 1 {
		v.Back = views.OrderPath(named[0])
	}
	return h.Page(c, http.StatusOK, views.Packing(v))
}

// slips puts what was bought in one purchase into one parcel.
func slips(orders []checkout.Order) (out []views.PackingSlip) {
	at := map[id.Attempt]int{}
	for _, o := range orders {
		i, ok := at[o.AttemptID]
		if !ok {
			i = len(out)
			at[o.AttemptID] = i
			out = append(out, views.PackingSlip{
				Receipt: receiptNumber(o.AttemptID), Paid: o.CreatedAt.UTC(), Address: addressLines(o.Buyer), BuyerNote: o.Buyer.Note,
			})
		}
		out[i].Lines = append(out[i].Lines, views.PackingLine{Qty: int(o.Qty), Title: o.ItemTitle, SKU: o.SKU})
	}
	return out
}
