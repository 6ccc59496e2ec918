package handlers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

// newestRows lists payments under way, then the newest sales. unknown counts outcomes being checked.
func (h *Handlers) newestRows(c echo.Context, s seller, zone *time.Location, limit int) (rows []views.SaleRow, unknown int, err error) {
	ctx := c.Request().Context()
	rows, unknown, err = h.underWayRows(c, s, zone)
	if err != nil {
		return nil, 0, err
	}
	sales, err := h.Checkout.Sales(ctx, s.Merchant, s.livemode, checkout.Filter{}, nil, nil, limit)
	if err != nil {
		return nil, 0, err
	}
	if rows, err = h.addSales(ctx, rows, sales[:min(limit, len(sales))], zone); err != nil {
		return nil, 0, err
	}
	return rows[:min(limit, len(rows))], unknown, nil
}

// underWayMost bounds what is shown above the sales.
const underWayMost = 20

func (h *Handlers) underWayRows(c echo.Context, s seller, zone *time.Location) (rows []views.SaleRow, unknown int, err error) {
	under, err := h.Checkout.UnderWay(c.Request().Context(), s.Merchant, s.livemode, underWayMost)
	if err != nil {
		return nil, 0, err
	}
	for _, a := range under {
		if a.Status == checkout.Unknown {
			unknown++
		}
		rows = append(rows, views.SaleRow{
			Attempt: a.ID, Time: a.UpdatedAt.In(zone), Title: a.Title, Channel: channelName(a.Channel), State: string(a.Status),
			Payer: payer(a.Payer), Amount: a.Amount, Pending: true, Simulated: a.Simulated,
		})
	}
	return rows, unknown, nil
}

// underWayNow lists payments under way of one channel or, if it is empty, of all, where today is among the days.
func (h *Handlers) underWayNow(c echo.Context, s seller, channel string, p period) ([]views.SaleRow, error) {
	if !p.span.Until.After(p.today) {
		return nil, nil
	}
	rows, _, err := h.underWayRows(c, s, p.zone)
	return slices.DeleteFunc(rows, func(r views.SaleRow) bool { return channel != "" && r.Channel != channelName(channel) }), err
}

// payer writes who pays as wallets do, or nothing as long as nobody does.
func payer(address string) string {
	if address == "" {
		return ""
	}
	return checksum(address)
}

func (h *Handlers) addSales(ctx context.Context, list []views.SaleRow, sales []checkout.Sale, zone *time.Location) ([]views.SaleRow, error) {
	refunding, err := h.Checkout.Refunding(ctx, sales)
	if err != nil {
		return nil, err
	}
	for _, sale := range sales {
		row := saleRow(sale, zone)
		if refunding[sale.ID] && !sale.Reversed {
			row.State, row.Pending = "refunding", false
		}
		list = append(list, row)
	}
	return list, nil
}

func saleRow(s checkout.Sale, zone *time.Location) views.SaleRow {
	row := views.SaleRow{
		Sale: s.ID, Attempt: s.AttemptID, Time: s.CreatedAt.In(zone), Title: s.ItemTitle, Channel: channelName(s.Channel),
		Payer: checksum(s.PurchaserAddress), State: string(checkout.Settled), Amount: s.Amount, Simulated: s.Simulated, Detail: s.Reference,
	}
	switch {
	case s.Reversed:
		row.State, row.Pending = string(checkout.Reversed), true
	case s.Amount > 0 && s.Refunded == s.Amount:
		row.State, row.Pending = "refunded", true
	case s.Refunded > 0:
		row.State = "part_refunded"
	case s.Late:
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
	filter, f, p, err := h.salesFilter(c, s)
	if err != nil {
		return err
	}
	before, after := saleCursor(c.QueryParam("before")), saleCursor(c.QueryParam("after"))
	rows, err := h.Checkout.Sales(c.Request().Context(), s.Merchant, s.livemode, f, before, after, pageSize)
	if err != nil {
		return err
	}
	rows, more := trim(rows, after != nil)
	v := views.SalesView{DashboardView: h.frame(c, s, "Sales", views.SectionSales, true), Filter: filter, Period: salesWord(p)}
	if v.Total, err = h.salesTotal(c, s, f.Channel, p); err != nil {
		return err
	}
	var list []views.SaleRow
	if before == nil && after == nil && f.Search == "" {
		if list, err = h.underWayNow(c, s, f.Channel, p); err != nil {
			return err
		}
	}
	if list, err = h.addSales(c.Request().Context(), list, rows, p.zone); err != nil {
		return err
	}
	v.Days = byDay(list)
	if f.Search == "" {
		if err := h.noteDays(c, s, f.Channel, v.Days); err != nil {
			return err
		}
	}
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
func (h *Handlers) salesTotal(c echo.Context, s seller, channel string, p period) (views.SumView, error) {
	sum, err := h.Checkout.Sold(c.Request().Context(), s.Merchant, s.livemode, channel, p.span)
	return sumOf(sum), err
}

// salesFilter reads the form above the sales; days are the shop's.
func (h *Handlers) salesFilter(c echo.Context, s seller) (views.SalesFilter, checkout.Filter, period, error) {
	p, err := h.period(c, s, "7d")
	v := views.SalesFilter{
		Period: p.Value, Channel: c.QueryParam("channel"), Channels: channels, Search: strings.TrimSpace(c.QueryParam("q")), From: p.From, To: p.To,
	}
	if err != nil {
		return v, checkout.Filter{}, p, err
	}
	return v, p.filter(checkout.Filter{Channel: v.Channel, Search: v.Search}), p, nil
}

// salesWord names the days of the list as its buttons do.
func salesWord(p period) string {
	for _, o := range views.SalesPeriods {
		if o.Value == p.Value && p.Value != "custom" {
			return o.Word
		}
	}
	return p.Word
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
	if !ok || err != nil || idErr != nil || micros < 0 {
		return nil
	}
	return &checkout.Cursor{At: time.UnixMicro(micros).UTC(), ID: sale}
}

func byDay(rows []views.SaleRow) []views.SalesDay {
	var days []views.SalesDay
	for _, r := range rows {
		at := dayOf(r.Time, r.Time.Location())
		if len(days) == 0 || !days[len(days)-1].Day.Equal(at) {
			days = append(days, views.SalesDay{Day: at})
		}
		last := &days[len(days)-1]
		last.Rows = append(last.Rows, r)
	}
	return days
}

// noteDays says beside each day what came in on it, also where the page holds only a part of the day.
func (h *Handlers) noteDays(c echo.Context, s seller, channel string, days []views.SalesDay) error {
	if len(days) == 0 {
		return nil
	}
	span := checkout.Span{Since: days[0].Day, Until: days[0].Day}
	for _, d := range days {
		if d.Day.Before(span.Since) {
			span.Since = d.Day
		}
		if !d.Day.Before(span.Until) {
			span.Until = d.Day.AddDate(0, 0, 1)
		}
	}
	sums, err := h.Checkout.Days(c.Request().Context(), s.Merchant, s.livemode, channel, span)
	if err != nil {
		return err
	}
	found := byStart(sums)
	for i := range days {
		for _, r := range days[i].Rows {
			if r.Sale == "" {
				days[i].UnderWay++
			} else {
				days[i].Paid = int(found[days[i].Day.Format(time.DateOnly)].Payments)
			}
		}
	}
	return nil
}

// salesCSV is the table of all sales of the chosen days and channel; a search does not narrow it.
func (h *Handlers) salesCSV(c echo.Context, s seller) error {
	_, f, _, err := h.salesFilter(c, s)
	if err != nil {
		return err
	}
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
