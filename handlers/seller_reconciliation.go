package handlers

import (
	"cmp"
	"encoding/csv"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/health"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

func (h *Handlers) reconciliationRoutes(e *echo.Echo) {
	const one = views.ReconciliationPath + "/:exception"
	e.GET(views.ReconciliationPath, h.may(access.SeeMoney, h.reconciliation))
	e.GET(views.ReconciliationCSVPath, h.may(access.SeeMoney, h.reconciliationCSV))
	e.POST(views.ReconciliationRunsPath, h.may(access.ExplainMoney, h.createReconciliation))
	e.GET(one, h.may(access.SeeMoney, h.showException))
	e.POST(one+"/attachment", h.may(access.ExplainMoney, h.attachException))
	e.POST(one+"/dismissal", h.may(access.ExplainMoney, h.ignoreException))
	e.POST(one+"/acceptance", h.may(access.ExplainMoney, h.acceptException))
}

// exceptionsMoved leads on to where what is to be decided stands now.
func (h *Handlers) exceptionsMoved(c echo.Context, _ seller) error {
	return c.Redirect(http.StatusSeeOther, views.ReconciliationPath)
}

func (h *Handlers) reconciliation(c echo.Context, s seller) error {
	ctx, before, after := c.Request().Context(), c.QueryParam("before"), c.QueryParam("after")
	v := views.ReconciliationView{
		DashboardView: h.frame(c, s, "Reconciliation", views.SectionReconciliation, true), Decided: c.QueryParam("decided") == "1",
		MayDecide: s.May(access.ExplainMoney),
	}
	compared, waiting, err := h.Checkout.Reconciled(ctx, s.Merchant, s.livemode)
	if err != nil {
		return err
	}
	h.comparedRows(&v, compared, waiting)
	rows, err := h.Checkout.UnresolvedList(ctx, s.Merchant, s.livemode, v.Decided, shop.Page{Before: before, After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	rows, more := trim(rows, after != "")
	for _, u := range rows {
		v.Rows = append(v.Rows, h.exceptionRow(u))
	}
	if len(rows) > 0 {
		v.Pages = pager(c, more, string(rows[0].ID), string(rows[len(rows)-1].ID), len(rows))
	}
	return h.livePage(c, views.Reconciliation(v))
}

func (h *Handlers) comparedRows(v *views.ReconciliationView, compared []checkout.Compared, waiting []checkout.Waiting) {
	now := h.Now()
	for _, one := range compared {
		row := views.ComparedRow{
			Network: one.Network.Name, Matched: one.Matched, Amount: one.Amount, From: one.From, To: one.To, Failed: one.Failed, Time: timeOr(one.EndedAt),
		}
		if !row.Time.IsZero() {
			row.Ago = health.Span(now.Sub(row.Time))
		}
		v.Compared = append(v.Compared, row)
	}
	for _, w := range waiting {
		v.Waiting = append(v.Waiting, views.WaitingRow{Kind: w.Kind, Count: w.Count, Amount: w.Amount, Age: health.Span(now.Sub(w.Oldest))})
	}
}

func (h *Handlers) exceptionRow(u checkout.Unresolved) views.ExceptionRow {
	at := u.CameAt
	if at.IsZero() {
		at = u.ListedAt
	}
	return views.ExceptionRow{
		Exception: u.ID, Kind: u.Kind, Time: at.UTC(), Age: health.Span(h.Now().Sub(u.ListedAt)), Title: u.Title, Attempt: u.Attempt,
		Payer: checksum(u.Payer), Amount: u.Amount, Resolution: u.Resolution,
	}
}

func whichException(c echo.Context) (id.Exception, error) {
	return id.Parse[id.Exception](c.Param("exception"))
}

func (h *Handlers) showException(c echo.Context, s seller) error {
	v, err := h.exceptionView(c, s)
	if err != nil {
		return err
	}
	return h.livePage(c, views.Exception(v))
}

func (h *Handlers) exceptionView(c echo.Context, s seller) (views.ExceptionView, error) {
	exception, err := whichException(c)
	if err != nil {
		return views.ExceptionView{}, err
	}
	ctx, decides := c.Request().Context(), s.May(access.ExplainMoney)
	u, err := h.Checkout.Unresolved(ctx, s.Merchant, s.livemode, exception)
	if err != nil {
		return views.ExceptionView{}, err
	}
	v := views.ExceptionView{
		DashboardView: h.frame(c, s, "Payment to decide on", views.SectionReconciliation, true), ExceptionRow: h.exceptionRow(u),
		Network: u.Network.Name, Transaction: u.Transaction, TransactionURL: transactionURL(u.Network.Explorer, u.Transaction, false),
		Decided: timeOr(u.ResolvedAt), By: u.ResolvedBy, Because: u.Reason, MayAttach: decides && u.Attachable(), MayAccept: decides && u.Acceptable(),
		MayIgnore: decides && u.Ignorable(), MayRefund: s.May(access.GiveRefunds) && u.Refundable(), Purchase: views.Field{Value: string(u.Attempt)},
	}
	v.Live = views.ExceptionPath(exception) // also where a form was refused
	if u.PayTo != "" {
		v.PayTo = checksum(u.PayTo)
	}
	if !v.MayAttach {
		return v, nil
	}
	meant, err := h.Checkout.MeantFor(ctx, s.Merchant, u)
	for _, m := range meant {
		v.Meant = append(v.Meant, views.MeantRow{Attempt: m.Attempt, Title: m.Title, Amount: m.Amount, State: string(m.Status), Time: m.BegunAt.UTC()})
	}
	return v, err
}

// decided leads back to what was decided, or shows the form again with what is wrong.
func (h *Handlers) decided(c echo.Context, s seller, err error, wrong func(v *views.ExceptionView, problem string)) error {
	exception, malformed := whichException(c)
	if malformed != nil {
		return malformed
	}
	if err == nil {
		return c.Redirect(http.StatusSeeOther, views.ExceptionPath(exception))
	}
	var field *shop.FieldError
	if wrong == nil || !errors.As(err, &field) {
		return err
	}
	v, err := h.exceptionView(c, s)
	if err != nil {
		return err
	}
	wrong(&v, field.Message)
	return h.Page(c, http.StatusUnprocessableEntity, views.Exception(v))
}

func (h *Handlers) attachException(c echo.Context, s seller) error {
	text := strings.TrimSpace(cmp.Or(c.FormValue("other"), c.FormValue("attempt")))
	wrong := func(v *views.ExceptionView, problem string) { v.Purchase = views.Field{Value: text, Problem: problem} }
	exception, err := whichException(c)
	if err != nil {
		return err
	}
	attempt, err := id.Parse[id.Attempt](text)
	if err != nil {
		err = &shop.FieldError{Field: "other", Message: "Give the number of a purchase: it begins with pa_."}
	} else {
		err = h.Checkout.Attach(c.Request().Context(), s.Merchant, s.livemode, exception, attempt, actor(c, s))
	}
	return h.decided(c, s, err, wrong)
}

func (h *Handlers) ignoreException(c echo.Context, s seller) error {
	exception, err := whichException(c)
	if err != nil {
		return err
	}
	reason := c.FormValue("reason")
	err = h.Checkout.Ignore(c.Request().Context(), s.Merchant, s.livemode, exception, reason, actor(c, s))
	return h.decided(c, s, err, func(v *views.ExceptionView, problem string) { v.Reason = views.Field{Value: reason, Problem: problem} })
}

func (h *Handlers) acceptException(c echo.Context, s seller) error {
	exception, err := whichException(c)
	if err != nil {
		return err
	}
	return h.decided(c, s, h.Checkout.Accept(c.Request().Context(), s.Merchant, s.livemode, exception, actor(c, s)), nil)
}

func (h *Handlers) createReconciliation(c echo.Context, s seller) error {
	if err := h.Checkout.AskReconciliation(c.Request().Context(), s.Merchant, actor(c, s)); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.ReconciliationPath)
}

// exceptionColumns keeps its order: programs read these columns by place. New ones come last.
var exceptionColumns = []string{
	"id", "kind", "came_at", "listed_at", "age_seconds", "amount", "payer", "pay_to", "network", "transaction", "payment_attempt_id", "title",
	"settlement_id", "resolution", "resolved_at", "resolved_by", "reason",
}

// reconciliationCSV sends what is to be decided, and then what is decided, as a table (RFC 4180).
func (h *Handlers) reconciliationCSV(c echo.Context, s seller) error {
	header := c.Response().Header()
	header.Set(echo.HeaderContentType, "text/csv; charset=utf-8")
	header.Set(echo.HeaderContentDisposition, `attachment; filename="reconciliation-`+h.Now().UTC().Format(time.DateOnly)+`.csv"`)
	table := csv.NewWriter(c.Response())
	table.UseCRLF = true
	if err := table.Write(exceptionColumns); err != nil {
		return err
	}
	rows, now := 0, h.Now()
	err := h.Checkout.ExportUnresolved(c.Request().Context(), s.Merchant, s.livemode, func(u checkout.Unresolved) error {
		if rows++; rows%flushEvery == 0 {
			table.Flush()
		}
		return table.Write(exceptionRecord(u, now))
	})
	table.Flush()
	if err = errors.Join(err, table.Error()); err != nil && c.Response().Committed {
		panic(http.ErrAbortHandler) // a table that ends early must not look like a whole one
	}
	return err
}

func exceptionRecord(u checkout.Unresolved, now time.Time) []string {
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	until := now
	if u.ResolvedAt != nil {
		until = *u.ResolvedAt
	}
	return []string{
		string(u.ID), u.Kind, stamp(u.CameAt), stamp(u.ListedAt), strconv.FormatInt(int64(until.Sub(u.ListedAt)/time.Second), 10), u.Amount.Units(), u.Payer, u.PayTo, u.Network.ID, u.Transaction,
		string(u.Attempt), inert(u.Title), string(u.Settlement), u.Resolution, stamp(timeOr(u.ResolvedAt)), inert(u.ResolvedBy), inert(u.Reason),
	}
}
