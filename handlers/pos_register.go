package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

const tilesShown = 60

// register is what an unlocked till shows: the sale, or the code of the one that is being paid.
func (h *Handlers) register(c echo.Context, who cashier) error {
	t, err := h.Checkout.Till(c.Request().Context(), who.at.Device)
	if err != nil {
		return err
	}
	if t.Charged() {
		return c.Redirect(http.StatusSeeOther, views.TillChargePath(t.Charge))
	}
	v, err := h.registerView(c, who, t)
	if err != nil {
		return err
	}
	return h.tillPage(c, http.StatusOK, views.Register(v))
}

// registerAgain is the register after something was asked for: it, or why it is refused.
func (h *Handlers) registerAgain(c echo.Context, who cashier, problem error, mode string) error {
	switch {
	case problem == nil:
		return c.Redirect(http.StatusSeeOther, views.TillPath)
	case errors.Is(problem, checkout.ErrCharged):
		return c.Redirect(http.StatusSeeOther, views.TillPath) // which leads to the charge
	}
	sentence, status := tillRefusal(problem)
	if sentence == "" {
		return problem
	}
	t, err := h.Checkout.Till(c.Request().Context(), who.at.Device)
	if err != nil {
		return err
	}
	v, err := h.registerView(c, who, t)
	if err != nil {
		return err
	}
	v.Ticket.Problem = sentence
	if errors.Is(problem, shop.ErrShort) {
		v.Ticket.Problem = shortSentence(v.Ticket.Lines)
	}
	if typed := c.FormValue("amount") + c.FormValue("percent") + c.FormValue("reference"); status == http.StatusUnprocessableEntity && typed != "" && !isScript(c.Request()) {
		v.Entry.Mode, v.Entry.Field, v.Ticket.Problem = mode, views.Field{Value: typed, Problem: sentence}, ""
	}
	return h.tillPage(c, status, views.Register(v))
}

// shortSentence names what is sold out.
func shortSentence(lines []views.TicketLine) string {
	for _, l := range lines {
		if l.Problem != "" {
			return fmt.Sprintf("%s: %s. Nothing was charged.", l.Title, l.Problem)
		}
	}
	return "Sold out: somebody else was faster. Nothing was charged."
}

func (h *Handlers) registerView(c echo.Context, who cashier, t checkout.Till) (views.RegisterView, error) {
	v := views.RegisterView{
		TillFrame: h.tillFrame(who), Category: c.QueryParam("category"), Search: strings.TrimSpace(c.QueryParam("q")),
		Entry: views.TillEntry{Mode: c.QueryParam("entry"), MayDiscount: who.May(access.GiveDiscounts)},
	}
	if v.Entry.Mode != views.EntryPercent && v.Entry.Mode != views.EntryReference || v.Entry.Mode == views.EntryPercent && !v.Entry.MayDiscount {
		v.Entry.Mode = views.EntryAmount
	}
	part := ""
	if isScript(c.Request()) {
		part = partNamed(c)
	}
	if part != views.EntryFragment && part != views.ShelfFragment {
		if err := h.viewTicket(c, who, t, &v); err != nil {
			return v, err
		}
	}
	if part != views.TicketFragment && part != views.EntryFragment {
		if err := h.viewShelf(c, who, t.Ticket, &v); err != nil {
			return v, err
		}
	}
	return v, h.viewAsked(c, who, &v)
}

// viewAsked lets the keys type what an item costs.
func (h *Handlers) viewAsked(c echo.Context, who cashier, v *views.RegisterView) error {
	item, err := id.Parse[id.Item](c.QueryParam("item"))
	if c.Request().Method == http.MethodPost {
		item, err = id.Parse[id.Item](c.FormValue("item"))
	}
	if err != nil {
		return nil //nolint:nilerr // nothing is asked for, or what was never there
	}
	i, err := h.Shop.Item(c.Request().Context(), who.at.Merchant, who.at.Livemode, item)
	if errors.Is(err, shop.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	v.Entry.Item, v.Entry.Title, v.Entry.Mode = i.ID, i.Title, views.EntryAmount
	if i.Pricing == shop.Minimum {
		v.Entry.Least = i.Price
	} else if i.Price > 0 {
		v.Entry.Field.Value = i.Price.String() // what is suggested
	}
	return nil
}

func (h *Handlers) viewShelf(c echo.Context, who cashier, t checkout.Ticket, v *views.RegisterView) error {
	ctx := c.Request().Context()
	categories, err := h.Shop.Categories(ctx, who.at.Merchant)
	if err != nil {
		return err
	}
	for _, k := range categories {
		if k.Name != "" {
			v.Categories = append(v.Categories, k.Name)
		}
	}
	skip, _ := strconv.Atoi(c.QueryParam("after"))
	skip = min(max(skip, 0), 100_000)
	items, err := h.Shop.Shelf(ctx, who.at.Merchant, who.at.Livemode, v.Category, v.Search, skip, tilesShown)
	if err != nil {
		return err
	}
	if len(items) > tilesShown {
		items = items[:tilesShown]
		q := url.Values{"after": {strconv.Itoa(skip + tilesShown)}}
		if v.Category != "" {
			q.Set("category", v.Category)
		}
		if v.Search != "" {
			q.Set("q", v.Search)
		}
		v.More = views.TillPath + "?" + q.Encode()
	}
	for _, i := range items {
		v.Tiles = append(v.Tiles, itemTile(i, t))
	}
	return nil
}

func itemTile(i shop.Item, t checkout.Ticket) views.ItemTile {
	tile := views.ItemTile{
		Item: i.ID, Title: i.FullTitle(), Image: smallImage(i.Image), Pricing: string(i.Pricing), Price: i.Price, Limited: i.Stock.Limited,
		Free: i.Stock.Free(), Held: i.Stock.Held, Low: i.Low(),
	}
	for _, l := range t.Lines {
		if l.Item == i.ID {
			tile.Count += l.Qty
		}
	}
	return tile
}

// viewTicket adds the sale at the prices of now, what waits, and late money that nobody has decided about.
func (h *Handlers) viewTicket(c echo.Context, who cashier, t checkout.Till, v *views.RegisterView) error {
	ctx := c.Request().Context()
	priced, err := h.Checkout.PriceTicket(ctx, who.at, t.Ticket)
	if err != nil {
		return err
	}
	v.Ticket = views.Ticket{
		Reference: t.Ticket.Reference, Discount: priced.Discount, DiscountTitle: priced.DiscountTitle, Subtotal: priced.Subtotal, Total: priced.Total,
		Once: t.Once(), MayPark: true,
	}
	if priced.TooMuch {
		v.Ticket.Closed = "A sale can come to at most " + views.AmountUSDC(shop.MaxAmount) + "."
	}
	for _, l := range priced.Lines {
		v.Ticket.Lines = append(v.Ticket.Lines, views.TicketLine{
			Number: l.Number, Item: l.Item, Title: l.Title, Quantity: l.Qty, Unit: l.Unit, Amount: l.Amount, Problem: lineProblem(l),
			Open: l.Number == t.Ticket.Touched,
		})
	}
	for _, p := range t.Parked {
		price, err := h.Checkout.PriceTicket(ctx, who.at, p.Ticket)
		if err != nil {
			return err
		}
		v.Ticket.Parked = append(v.Ticket.Parked, views.ParkedTicket{
			Number: p.Number, Reference: p.Ticket.Reference, Items: p.Ticket.Items(), Total: price.Total, At: p.At.UTC(),
		})
	}
	late, err := h.Checkout.LateAtTill(ctx, who.at.Device)
	for _, s := range late {
		v.Late = append(v.Late, tillSale(s))
	}
	return err
}

// lineProblem says why a line cannot be sold as it stands.
func lineProblem(l checkout.PricedLine) string {
	switch {
	case l.Gone:
		return "Not sold any more"
	case l.Short && l.Left == 0:
		return "Sold out"
	case l.Short:
		return fmt.Sprintf("Only %d left", l.Left)
	case l.Below:
		return "At least " + views.AmountUSDC(l.Least)
	}
	return ""
}

func tillSale(s checkout.TillSale) views.TillSale {
	return views.TillSale{
		Attempt: s.Attempt, At: s.At.UTC(), Title: s.Title, Reference: s.Reference, Cashier: s.Cashier, Amount: s.Amount, Status: string(s.Status),
		AfterCancel: s.AfterCancel,
	}
}

func (h *Handlers) tillSales(c echo.Context, who cashier) error {
	ctx, before, after := c.Request().Context(), c.QueryParam("before"), c.QueryParam("after")
	rows, err := h.Checkout.TillSales(ctx, who.at.Device, before, after, pageSize)
	if err != nil {
		return err
	}
	rows, more := trim(rows, after != "")
	v := views.TillSalesView{TillFrame: h.tillFrame(who), Live: c.Request().URL.RequestURI()}
	v.Since = h.Now().UTC().Truncate(24 * time.Hour)
	if v.Sold, v.Today, err = h.Checkout.TillTotal(ctx, who.at.Device, v.Since); err != nil {
		return err
	}
	for _, s := range rows {
		v.Rows = append(v.Rows, tillSale(s))
	}
	if len(rows) > 0 {
		v.Pages = pager(c, more, string(rows[0].Attempt), string(rows[len(rows)-1].Attempt), len(rows))
	}
	return h.tillPage(c, http.StatusOK, views.TillSales(v))
}
