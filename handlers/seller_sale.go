package handlers

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

// What the overview shows.
const (
	chartDays  = 14
	latestRows = 8
)

func (h *Handlers) overview(c echo.Context, s seller) error {
	ctx, today := c.Request().Context(), day(h.Now())
	days, err := h.Checkout.Days(ctx, s.Merchant, s.livemode, "", time.Unix(0, 0), today.AddDate(0, 0, 1))
	if err != nil {
		return err
	}
	received, err := h.Books.Received(ctx, s.Merchant)
	if err != nil {
		return err
	}
	rows, under, err := h.newestRows(c, s, checkout.Filter{}, latestRows)
	if err != nil {
		return err
	}
	left, err := h.checklist(c, s)
	if err != nil {
		return err
	}
	v := views.OverviewView{
		DashboardView: h.frame(c, s, "Overview", views.SectionOverview, true), Chart: chart(days, today), Checklist: left,
		Today: sumDays(days, today), Week: sumDays(days, today.AddDate(0, 0, -6)), Latest: rows, Attention: under,
		Sales: sumDays(days, time.Time{}).Sales,
	}
	for _, b := range received {
		if n, err := h.Networks.Network(b.Network); err == nil && n.Test != s.livemode {
			v.Received += b.Amount
		}
	}
	return h.livePage(c, views.Overview(v))
}

func chart(days []checkout.Day, today time.Time) views.ChartView {
	sold := map[string]checkout.Day{}
	for _, d := range days {
		sold[d.Date.Format(time.DateOnly)] = d
	}
	var v views.ChartView
	for back := chartDays - 1; back >= 0; back-- {
		at := today.AddDate(0, 0, -back)
		d := sold[at.Format(time.DateOnly)]
		v.Days = append(v.Days, views.DayTotal{Day: at, Amount: d.Amount, Sales: int(d.Sales)})
	}
	return v
}

func sumDays(days []checkout.Day, since time.Time) (sum views.SumView) {
	for _, d := range days {
		if !d.Date.Before(since) {
			sum.Amount += d.Amount
			sum.Sales += int(d.Sales)
		}
	}
	return sum
}

// newestRows lists payments under way, then the newest sales. unknown counts outcomes being checked.
func (h *Handlers) newestRows(c echo.Context, s seller, f checkout.Filter, limit int) (rows []views.SaleRow, unknown int, err error) {
	ctx := c.Request().Context()
	rows, unknown, err = h.underWayRows(c, s)
	if err != nil {
		return nil, 0, err
	}
	sales, err := h.Checkout.Sales(ctx, s.Merchant, s.livemode, f, nil, nil, limit)
	if err != nil {
		return nil, 0, err
	}
	for _, sale := range sales[:min(limit, len(sales))] {
		rows = append(rows, saleRow(sale))
	}
	return rows[:min(limit, len(rows))], unknown, nil
}

// underWayMost bounds what is shown above the sales.
const underWayMost = 20

func (h *Handlers) underWayRows(c echo.Context, s seller) (rows []views.SaleRow, unknown int, err error) {
	under, err := h.Checkout.UnderWay(c.Request().Context(), s.Merchant, s.livemode, underWayMost)
	if err != nil {
		return nil, 0, err
	}
	for _, a := range under {
		if a.Status == checkout.Unknown {
			unknown++
		}
		rows = append(rows, views.SaleRow{
			Attempt: a.ID, Time: a.UpdatedAt.UTC(), Title: a.Title, Channel: channelName(a.Channel), State: string(a.Status),
			Payer: payer(a.Payer), Amount: a.Amount, Pending: true, Simulated: a.Simulated,
		})
	}
	return rows, unknown, nil
}

// payer writes who pays as wallets do, or nothing as long as nobody does.
func payer(address string) string {
	if address == "" {
		return ""
	}
	return checksum(address)
}

func saleRow(s checkout.Sale) views.SaleRow {
	row := views.SaleRow{
		Sale: s.ID, Attempt: s.AttemptID, Time: s.CreatedAt.UTC(), Title: s.ItemTitle, Channel: channelName(s.Channel),
		Payer: checksum(s.PurchaserAddress), State: string(checkout.Settled), Amount: s.Amount, Simulated: s.Simulated, Detail: s.Reference,
	}
	if s.Late {
		row.State = string(checkout.SettledLate)
	}
	if s.Qty > 1 {
		row.Detail = strings.TrimSpace(fmt.Sprintf("%d × %s", s.Qty, s.Reference))
	}
	return row
}

var channels = []views.Option{{Value: "", Word: "All channels"}, {Value: "link", Word: "Link"}, {Value: "till", Word: "Till"}, {Value: "api", Word: "API"}, {Value: "storefront", Word: "Storefront"}}

func channelName(channel string) string {
	for _, o := range channels {
		if o.Value == channel {
			return o.Word
		}
	}
	return channel
}

func (h *Handlers) sales(c echo.Context, s seller) error {
	filter, f, period := h.salesFilter(c)
	before, after := saleCursor(c.QueryParam("before")), saleCursor(c.QueryParam("after"))
	rows, err := h.Checkout.Sales(c.Request().Context(), s.Merchant, s.livemode, f, before, after, pageSize)
	if err != nil {
		return err
	}
	rows, more := trim(rows, after != nil)
	v := views.SalesView{DashboardView: h.frame(c, s, "Sales", views.SectionSales, true), Filter: filter, Period: period}
	if v.Total, err = h.salesTotal(c, s, f); err != nil {
		return err
	}
	list := make([]views.SaleRow, 0, len(rows))
	if before == nil && after == nil && f.Search == "" {
		under, _, err := h.underWayRows(c, s)
		if err != nil {
			return err
		}
		list = append(list, under...)
	}
	for _, r := range rows {
		list = append(list, saleRow(r))
	}
	v.Days = byDay(list)
	if len(rows) > 0 {
		first, last := rows[0], rows[len(rows)-1]
		v.Pages = pager(c, more, cursorOf(first), cursorOf(last), len(rows))
	}
	query := c.Request().URL.Query()
	query.Del("before")
	query.Del("after")
	v.CSV = views.SalesCSVPath + "?" + query.Encode()
	return h.livePage(c, views.Sales(v))
}

// salesTotal sums the days of the filter; a search has no total, since only rows can tell it.
func (h *Handlers) salesTotal(c echo.Context, s seller, f checkout.Filter) (views.SumView, error) {
	until := f.Until
	if until.IsZero() {
		until = day(h.Now()).AddDate(0, 0, 1)
	}
	days, err := h.Checkout.Days(c.Request().Context(), s.Merchant, s.livemode, f.Channel, f.Since, until)
	if err != nil {
		return views.SumView{}, err
	}
	return sumDays(days, time.Time{}), nil
}

// salesFilter reads the form above the sales; days are UTC.
func (h *Handlers) salesFilter(c echo.Context) (views.SalesFilter, checkout.Filter, string) {
	v := views.SalesFilter{
		Period: cmp.Or(c.QueryParam("period"), "7d"), Channel: c.QueryParam("channel"), Channels: channels, Search: strings.TrimSpace(c.QueryParam("q")),
		From: views.Field{Value: c.QueryParam("from")}, To: views.Field{Value: c.QueryParam("to")},
	}
	f, today := checkout.Filter{Channel: v.Channel, Search: v.Search}, day(h.Now())
	switch v.Period {
	case "today":
		f.Since = today
	case "month":
		f.Since = today.AddDate(0, 0, 1-today.Day())
	case "all":
	case "custom":
		f.Since, v.From.Problem = formDay(v.From.Value, f.Since)
		var to time.Time
		if to, v.To.Problem = formDay(v.To.Value, today); v.To.Problem == "" {
			f.Until = to.AddDate(0, 0, 1)
		}
	default:
		v.Period, f.Since = "7d", today.AddDate(0, 0, -6)
	}
	for _, p := range views.SalesPeriods {
		if p.Value == v.Period {
			return v, f, p.Word
		}
	}
	return v, f, ""
}

func formDay(text string, otherwise time.Time) (time.Time, string) {
	if text == "" {
		return otherwise, ""
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return otherwise, "Give a day such as 2026-11-21."
	}
	return t, ""
}

// A sale's cursor is its moment and its id.
func cursorOf(s checkout.Sale) string {
	return strconv.FormatInt(s.CreatedAt.UnixMicro(), 36) + "." + string(s.ID)
}

func saleCursor(text string) *checkout.Cursor {
	at, rest, ok := strings.Cut(text, ".")
	micros, err := strconv.ParseInt(at, 36, 64)
	sale, idErr := id.Parse[id.Sale](rest)
	if !ok || err != nil || idErr != nil {
		return nil
	}
	return &checkout.Cursor{At: time.UnixMicro(micros).UTC(), ID: sale}
}

func byDay(rows []views.SaleRow) []views.SalesDay {
	var days []views.SalesDay
	for _, r := range rows {
		at := day(r.Time)
		if len(days) == 0 || !days[len(days)-1].Day.Equal(at) {
			days = append(days, views.SalesDay{Day: at})
		}
		last := &days[len(days)-1]
		last.Rows = append(last.Rows, r)
	}
	return days
}

func (h *Handlers) salesCSV(c echo.Context, s seller) error {
	_, f, _ := h.salesFilter(c)
	f.Search = ""
	return h.writeCSV(c, s.Merchant, s.livemode, f)
}

func (h *Handlers) settlements(c echo.Context, s seller) error {
	before, after := c.QueryParam("before"), c.QueryParam("after")
	rows, err := h.Checkout.Settlements(c.Request().Context(), s.Merchant, s.livemode, shop.Page{Before: before, After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	rows, more := trim(rows, after != "")
	v := views.SettlementsView{DashboardView: h.frame(c, s, "Settlements", views.SectionSettlements, true)}
	for _, r := range rows {
		v.Settlements = append(v.Settlements, h.settlementRow(r))
	}
	if len(rows) > 0 {
		v.Pages = pager(c, more, string(rows[0].ID), string(rows[len(rows)-1].ID), len(rows))
	}
	return h.livePage(c, views.Settlements(v))
}

func (h *Handlers) settlementRow(s checkout.Settlement) views.SettlementRow {
	return views.SettlementRow{
		Settlement: s.ID, Attempt: s.Attempt, State: s.Status, Facilitator: cmp.Or(facilitators[s.Facilitator], s.Facilitator), Transaction: s.Transaction,
		Explorer: transactionURL(s.Network.Explorer, s.Transaction, s.Simulated), Age: age(h.Now().Sub(s.CreatedAt)), Time: s.CreatedAt.UTC(),
		LastError: s.LastError, Amount: s.Amount, Pending: s.ConfirmedAt == nil, Simulated: s.Simulated,
	}
}

var facilitators = map[string]string{"own": "Own relayer", "simulated": "Simulated", "transfer": "Transfer"}

func age(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		one  string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		switch n := int(d / unit.size); {
		case n == 1:
			return "1 " + unit.one
		case n > 1:
			return strconv.Itoa(n) + " " + unit.one + "s"
		}
	}
	return strconv.Itoa(max(0, int(d/time.Second))) + " seconds"
}
