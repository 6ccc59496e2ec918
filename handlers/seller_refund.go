package handlers

import (
	"cmp"
	"net/http"
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

func (h *Handlers) refundRoutes(e *echo.Echo) {
	const one = views.RefundsPath + "/:refund"
	e.GET(views.SalesPath+"/:sale", h.may(access.SeeSales, h.showSale))
	e.GET(views.RefundsPath, h.may(access.SeeMoney, h.refunds))
	for _, of := range []string{views.SalesPath + "/:sale", views.ReconciliationPath + "/:exception"} {
		e.GET(of+"/refund", h.may(access.GiveRefunds, h.newRefund))
		e.POST(of+"/refund", h.may(access.GiveRefunds, h.createRefund))
	}
	e.GET(one, h.may(access.SeeMoney, h.showRefund))
	e.POST(one+"/transaction", h.may(access.GiveRefunds, h.reportRefund))
	e.POST(one+"/cancellation", h.may(access.GiveRefunds, h.cancelRefund))
}

func (h *Handlers) showSale(c echo.Context, s seller) error {
	ctx := c.Request().Context()
	sale, err := whichSale(c)
	if err != nil {
		return err
	}
	r, err := h.Checkout.Refundable(ctx, s.Merchant, s.livemode, sale)
	if err != nil {
		return err
	}
	p, err := h.Checkout.Purchase(ctx, r.Attempt.ID)
	if err != nil {
		return err
	}
	sales, err := h.Checkout.SalesOf(ctx, p.ID)
	if err != nil {
		return err
	}
	refunds, err := h.Checkout.RefundsOf(ctx, p.ID)
	if err != nil {
		return err
	}
	v := views.SaleView{
		DashboardView: h.frame(c, s, p.Title, views.SectionSales, true), Sale: sale, Attempt: p.ID, State: saleState(p, refunds), Receipt: number(p),
		Amount: p.AmountReceived, Back: returned(refunds), Channel: channelName(p.Channel), Reference: p.Reference, Network: p.Network.Name,
		Simulated: p.Simulated, MayRefund: r.Left > 0 && s.May(access.GiveRefunds),
	}
	if p.SettledAt != nil {
		v.Time = p.SettledAt.UTC()
	}
	if settlement := p.Settlement; settlement != nil {
		v.Payer, v.Transaction = payer(settlement.Payer), settlement.Transaction
		v.TransactionURL = transactionURL(p.Network.Explorer, settlement.Transaction, settlement.Simulated)
	}
	for i, sold := range sales {
		v.Fee += sold.Fee
		v.Lines = append(v.Lines, views.SaleLine{Title: sold.ItemTitle, Qty: int(sold.Qty), Amount: sold.Amount, Back: sold.Refunded, Revoked: i < len(r.Lines) && r.Lines[i].Revoked})
	}
	for _, refund := range refunds {
		v.Refunds = append(v.Refunds, refundRow(refund))
	}
	return h.livePage(c, views.Sale(v))
}

// returned is what went back: what is under way may never be sent.
func returned(refunds []checkout.Refund) (back money.USDC) {
	for _, r := range refunds {
		if r.Status == checkout.RefundCompleted {
			back += r.Amount
		}
	}
	return back
}

// saleState is what the pill says of a sale: what goes back, or went, comes before that it was paid.
func saleState(p checkout.Purchase, refunds []checkout.Refund) string {
	switch {
	case !p.Status.Paid() || p.Refunded == 0:
		return string(p.Status)
	case returned(refunds) < p.Refunded:
		return "refunding"
	case p.Refunded < p.AmountReceived:
		return "part_refunded"
	default:
		return "refunded"
	}
}

func refundRow(r checkout.Refund) views.RefundRow {
	return views.RefundRow{
		Refund: r.ID, Time: r.CreatedAt.UTC(), Title: r.Title, To: checksum(r.To), Status: string(r.Status), Waits: r.AwaitsSignature(), Amount: r.Amount,
	}
}

func (h *Handlers) refunds(c echo.Context, s seller) error {
	before, after := c.QueryParam("before"), c.QueryParam("after")
	rows, err := h.Checkout.Refunds(c.Request().Context(), s.Merchant, s.livemode, shop.Page{Before: before, After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	rows, more := trim(rows, after != "")
	v := views.RefundsView{DashboardView: h.frame(c, s, "Refunds", views.SectionSales, true)}
	for _, r := range rows {
		v.Rows = append(v.Rows, refundRow(r))
	}
	if len(rows) > 0 {
		v.Pages = pager(c, more, string(rows[0].ID), string(rows[len(rows)-1].ID), len(rows))
	}
	return h.livePage(c, views.Refunds(v))
}

// refundFormOf is the empty form of what the request names: a sale, or a payment that somebody has to decide on.
func (h *Handlers) refundFormOf(c echo.Context, s seller) (v views.RefundFormView, f checkout.RefundForm, err error) {
	ctx := c.Request().Context()
	v = views.RefundFormView{DashboardView: h.frame(c, s, "Refund", views.SectionSales, false), What: "whole", Once: id.NewToken()}
	if text := c.Param("exception"); text != "" {
		exception, err := id.Parse[id.Exception](text)
		if err != nil {
			return v, f, err
		}
		e, err := h.Checkout.Returnable(ctx, s.Merchant, s.livemode, exception)
		if err != nil {
			return v, f, err
		}
		v.Exception, v.Title, v.Payer, v.Left, v.Collected = exception, cmp.Or(e.Title, "Money that bought nothing"), checksum(e.Payer), e.Amount, e.Collected
		f.Exception = exception
		if e.Amount <= 0 {
			v.Over = "This went back already, or is on its way."
		}
		return v, f, nil
	}
	sale, err := whichSale(c)
	if err != nil {
		return v, f, err
	}
	r, err := h.Checkout.Refundable(ctx, s.Merchant, s.livemode, sale)
	if err != nil {
		return v, f, err
	}
	f.Attempt, v.Over = r.Attempt.ID, nothingLeft(r)
	v.Sale, v.Title, v.Payer, v.Left, v.Collected = sale, r.Attempt.Title, payer(r.Payer), r.Left, r.Attempt.Collected
	v.Stock, v.Goods, v.Code = r.Stock, r.Goods, r.Code
	v.Restock, v.Revoke, v.FreeCode = r.Stock, r.Goods, false
	v.Amount.Value = r.Left.String()
	for _, l := range r.Lines {
		if l.Amount > 0 {
			v.Lines = append(v.Lines, views.RefundFormLine{Sale: l.Sale, Title: l.Title, Left: l.Left, Most: l.Qty, Qty: strconv.Itoa(l.Qty)})
		}
	}
	return v, f, nil
}

// nothingLeft says why nothing of a purchase can go back; empty where something can.
func nothingLeft(r checkout.Refundable) string {
	switch {
	case r.Left > 0:
		return ""
	case r.Reversed:
		return "The network took this payment back, so there is nothing to give back."
	case r.Attempt.Refunded > 0:
		return "All of it went back already, or is on its way."
	default:
		return "No money came for this, so there is nothing to give back."
	}
}

func (h *Handlers) newRefund(c echo.Context, s seller) error {
	v, _, err := h.refundFormOf(c, s)
	if err != nil {
		return err
	}
	return h.Page(c, http.StatusOK, views.RefundForm(v))
}

func (h *Handlers) createRefund(c echo.Context, s seller) error {
	v, f, err := h.refundFormOf(c, s)
	if err != nil {
		return err
	}
	err = readRefund(c, s, &v, &f)
	var r checkout.Refund
	if err == nil {
		r, err = h.Checkout.Refund(c.Request().Context(), s.Merchant, s.livemode, f, checkout.Giver{By: actor(c, s), Role: s.Role})
	}
	if err == nil {
		return c.Redirect(http.StatusSeeOther, views.RefundPath(r.ID))
	}
	told, field := replyTo(err)
	status := http.StatusUnprocessableEntity
	switch {
	case v.Over != "" && (field != "" || told.status == http.StatusConflict): // there is no form to mend it in
		status = http.StatusConflict
	case field == "amount":
		v.Amount.Problem = told.message
	case field == "reason":
		v.Reason.Problem = told.message
	case field != "":
		v.Problem = told.message
	case told.status == http.StatusConflict || told.status == http.StatusForbidden: // it is the refund that cannot be, and not the form
		status, v.Problem = told.status, told.message
	default:
		return err
	}
	return h.Page(c, status, views.RefundForm(v))
}

// readRefund reads what goes back, and keeps in the form what was typed.
func readRefund(c echo.Context, s seller, v *views.RefundFormView, f *checkout.RefundForm) error {
	v.Once = c.FormValue("once")
	v.Restock, v.Revoke, v.FreeCode = c.FormValue("restock") != "", c.FormValue("revoke") != "", c.FormValue("free_code") != ""
	v.Reason.Value = strings.TrimSpace(c.FormValue("reason"))
	f.Reason, f.Once = v.Reason.Value, onceOf(c, s, v.Once)
	if v.Exception != "" {
		return nil
	}
	f.Effects = checkout.RefundEffects{Restock: v.Restock, Revoke: v.Revoke, FreeCode: v.FreeCode}
	v.What, v.Amount.Value = cmp.Or(c.FormValue("what"), v.What), strings.TrimSpace(c.FormValue("amount"))
	for i := range v.Lines {
		v.Lines[i].Qty = strings.TrimSpace(c.FormValue("qty-" + string(v.Lines[i].Sale)))
	}
	switch v.What {
	case "lines":
		return readPieces(v.Lines, f)
	case "part":
		amount, err := money.ParseUSDC(v.Amount.Value)
		if err != nil {
			return &shop.FieldError{Field: "amount", Message: amountProblem}
		}
		f.Amount = &amount
	}
	return nil
}

func readPieces(lines []views.RefundFormLine, f *checkout.RefundForm) error {
	for _, l := range lines {
		n, err := strconv.Atoi(cmp.Or(l.Qty, "0"))
		if err != nil {
			return &shop.FieldError{Field: "lines", Message: "Give whole numbers of pieces."}
		}
		if n != 0 {
			f.Lines = append(f.Lines, checkout.RefundPiece{Sale: l.Sale, Qty: n})
		}
	}
	if len(f.Lines) == 0 {
		return &shop.FieldError{Field: "lines", Message: "Choose the pieces that go back."}
	}
	return nil
}

func (h *Handlers) showRefund(c echo.Context, s seller) error {
	v, err := h.refundView(c, s)
	if err != nil {
		return err
	}
	return h.livePage(c, views.RefundPage(v))
}

func (h *Handlers) refundView(c echo.Context, s seller) (views.RefundView, error) {
	refund, err := id.Parse[id.Refund](c.Param("refund"))
	if err != nil {
		return views.RefundView{}, err
	}
	r, err := h.Checkout.RefundByID(c.Request().Context(), s.Merchant, s.livemode, refund)
	if err != nil {
		return views.RefundView{}, err
	}
	n, err := h.Networks.Network(r.Network)
	if err != nil {
		return views.RefundView{}, err
	}
	v := views.RefundView{
		DashboardView: h.frame(c, s, "Refund of "+r.Title, views.SectionSales, true), RefundRow: refundRow(r), Attempt: r.Attempt, Network: n.Name,
		Reason: r.Reason, By: r.Actor, Fee: r.Fee, Collected: r.Collected, Effects: refundEffects(r), Transaction: r.Transaction,
		TransactionURL: transactionURL(n.Explorer, r.Transaction, false), EndedAt: timeOr(r.EndedAt), LastError: r.LastError, MayRefund: s.May(access.GiveRefunds), OnItsWay: h.Checkout.OnItsWay(r),
	}
	v.Live = views.RefundPath(refund) // also where a form was refused
	for _, l := range r.Lines {
		v.Sale = l.Sale
		v.Lines = append(v.Lines, views.SaleLine{Title: l.Title, Qty: l.Qty, Amount: l.Amount})
	}
	if p, ok := h.Checkout.Prepared(r); ok {
		v.Transfer = &views.RefundTransfer{ChainID: p.ChainID, From: p.From.Hex(), Token: p.Token.Hex(), Data: p.Data}
	}
	return v, nil
}

// refundEffects says what happens beside the money.
func refundEffects(r checkout.Refund) (out []string) {
	for _, e := range []struct {
		ticked bool
		text   string
	}{
		{r.Effects.Restock, "The pieces go back on the shelf."}, {r.Effects.Revoke, "Files, keys and passes are taken back."},
		{r.Effects.FreeCode, "The code may be used again."},
	} {
		if e.ticked {
			out = append(out, e.text)
		}
	}
	return out
}

func (h *Handlers) reportRefund(c echo.Context, s seller) error {
	refund, err := id.Parse[id.Refund](c.Param("refund"))
	if err != nil {
		return err
	}
	named := strings.TrimSpace(c.FormValue("transaction"))
	_, err = h.Checkout.ReportRefund(c.Request().Context(), s.Merchant, s.livemode, refund, named, actor(c, s))
	r, field := replyTo(err)
	switch {
	case err == nil:
		return c.Redirect(http.StatusSeeOther, views.RefundPath(refund))
	case field != "transaction":
		return err
	}
	v, err := h.refundView(c, s)
	if err != nil {
		return err
	}
	v.Named = views.Field{Value: named, Problem: r.message}
	return h.Page(c, http.StatusUnprocessableEntity, views.RefundPage(v))
}

func (h *Handlers) cancelRefund(c echo.Context, s seller) error {
	refund, err := id.Parse[id.Refund](c.Param("refund"))
	if err != nil {
		return err
	}
	if _, err := h.Checkout.CancelRefund(c.Request().Context(), s.Merchant, s.livemode, refund, actor(c, s)); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.RefundPath(refund))
}

// viewRefunds tells a buyer what went back to his wallet.
func (h *Handlers) viewRefunds(c echo.Context, v *views.PurchaseView, p checkout.Purchase) error {
	if p.Refunded == 0 {
		return nil
	}
	refunds, err := h.Checkout.RefundsOf(c.Request().Context(), p.ID)
	if err != nil {
		return err
	}
	for _, r := range refunds {
		if r.Status == checkout.RefundFailed || r.AwaitsSignature() { // it may never be sent
			continue
		}
		row := views.PurchaseRefund{Amount: r.Amount, State: "refunding", Time: r.CreatedAt.UTC(), Reason: r.Reason}
		if r.Status == checkout.RefundCompleted {
			row.State = "refunded"
			row.Transaction, row.TransactionURL = r.Transaction, transactionURL(p.Network.Explorer, r.Transaction, false)
		}
		v.Refunds = append(v.Refunds, row)
	}
	return nil
}
