package handlers

import (
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/views"
)

// What the overview shows.
const (
	overviewDays = "14d"
	latestRows   = 8
)

func (h *Handlers) overview(c echo.Context, s seller) error {
	p, err := h.period(c, s, overviewDays)
	if err != nil {
		return err
	}
	rows, under, err := h.newestRows(c, s, p.zone, latestRows)
	if err != nil {
		return err
	}
	left, err := h.checklist(c, s)
	if err != nil {
		return err
	}
	v := views.OverviewView{
		DashboardView: h.frame(c, s, "Overview", views.SectionOverview, true), Checklist: left, Latest: rows, Attention: under,
		Period: p.PeriodField, Midnight: beginOf(p.today, p.zone),
	}
	if err := h.sold(c, s, p, &v); err != nil {
		return err
	}
	if v.Drifts, err = h.drifts(c, s); err != nil {
		return err
	}
	return h.livePage(c, views.Overview(v))
}

// drifts is where the books and the networks differed when they were last compared.
func (h *Handlers) drifts(c echo.Context, s seller) (rows []views.DriftRow, err error) {
	if !s.May(access.SeeMoney) {
		return nil, nil
	}
	all, err := h.Custody.Drifts(c.Request().Context(), s.Merchant, s.livemode)
	for _, one := range all {
		rows = append(rows, views.DriftRow{Network: one.Network.Name, Amount: one.Amount})
	}
	return rows, err
}

// sold puts a shop's figures into its overview: those that are always there, and those of the chosen days.
func (h *Handlers) sold(c echo.Context, s seller, p period, v *views.OverviewView) error {
	ctx, tomorrow := c.Request().Context(), p.today.AddDate(0, 0, 1)
	for _, sum := range []struct {
		since time.Time
		into  *views.SumView
	}{{time.Unix(0, 0).UTC(), &v.All}, {p.today.AddDate(0, 0, -6), &v.Week}, {p.today, &v.Today}} {
		f, err := h.Checkout.Sold(ctx, s.Merchant, s.livemode, "", checkout.Span{Since: sum.since, Until: tomorrow})
		if err != nil {
			return err
		}
		*sum.into = sumOf(f)
	}
	r, err := h.Checkout.Report(ctx, s.Merchant, s.livemode, p.span)
	if err != nil {
		return err
	}
	v.Sold, v.Refunded, v.Fee = sumOf(r.Total), sumOf(r.Refunded), r.Total.Fee-r.Refunded.Fee
	switch hours := hoursChart(r.Hours); {
	case p.span.Since.AddDate(0, 0, 1).Equal(p.span.Until):
		v.Chart = hours
	case p.span.Daily():
		v.Chart, v.Hours = daysChart(r, p.today), hours
	default:
		v.Chart, v.Hours = monthsChart(r, p.today), hours
	}
	for i := range r.Channels {
		r.Channels[i].Title = channelName(r.Channels[i].Key)
	}
	v.Rankings = []views.RankingView{
		{ID: "channels", Title: "By channel", Column: "Channel", Counted: "Sales", Rows: ranked(s, r.Channels)},
		{ID: "items", Title: "Best sellers", Column: "Item", Counted: "Sold", Rows: ranked(s, r.Items)},
		{ID: "links", Title: "Best links", Column: "Link", Counted: "Sales", Rows: ranked(s, r.Links)},
	}
	return nil
}

func sumOf(f checkout.Figure) views.SumView {
	return views.SumView{Amount: f.Amount, Sales: int(f.Payments)}
}

// ranked lists figures with the pages that somebody's role opens. Of items, pieces are counted.
func ranked(s seller, figures []checkout.Figure) []views.RankingRow {
	rows := make([]views.RankingRow, len(figures))
	for i, f := range figures {
		rows[i] = views.RankingRow{Key: f.Key, Name: f.Title, Sales: int(f.Payments), Amount: f.Amount}
		if item, err := id.Parse[id.Item](f.Key); err == nil {
			rows[i].Path, rows[i].Sales = leadsTo(s, views.ItemPath(item)), int(f.Qty)
		} else if link, err := id.Parse[id.Link](f.Key); err == nil {
			rows[i].Path = leadsTo(s, views.LinkDetailPath(link))
		}
	}
	return rows
}

// byStart finds what was sold on a day or in a month; nothing where there is no such figure.
func byStart(figures []checkout.Figure) map[string]checkout.Figure {
	found := make(map[string]checkout.Figure, len(figures))
	for _, f := range figures {
		found[f.Start.Format(time.DateOnly)] = f
	}
	return found
}

func daysChart(r checkout.Report, today time.Time) views.ChartView {
	v, found := views.ChartView{ID: "days", Title: "Sales by day", Column: "Day"}, byStart(r.Series)
	for day := r.Span.Since; day.Before(r.Span.Until); day = day.AddDate(0, 0, 1) {
		f := found[day.Format(time.DateOnly)]
		bar := views.ChartBar{
			Name: strconv.Itoa(day.Day()), Full: day.Format("Mon 2 Jan"), Time: day.Format(time.DateOnly), Amount: f.Amount, Sales: int(f.Payments), Now: day.Equal(today),
		}
		if bar.Now {
			bar.Name = "Today"
		}
		v.Bars = append(v.Bars, bar)
	}
	return v
}

func monthsChart(r checkout.Report, today time.Time) views.ChartView {
	v, found := views.ChartView{ID: "months", Title: "Sales by month", Column: "Month"}, byStart(r.Series)
	first := r.Span.Since.AddDate(0, 0, 1-r.Span.Since.Day())
	for month := first; month.Before(r.Span.Until); month = month.AddDate(0, 1, 0) {
		f := found[month.Format(time.DateOnly)]
		v.Bars = append(v.Bars, views.ChartBar{
			Name: month.Format("Jan"), Full: month.Format("January 2006"), Time: month.Format("2006-01"), Amount: f.Amount, Sales: int(f.Payments),
			Now: today.Format("2006-01") == month.Format("2006-01"),
		})
	}
	return v
}

func hoursChart(hours []checkout.Figure) views.ChartView {
	v := views.ChartView{ID: "hours", Title: "Sales by hour of the day", Column: "Hour"}
	var amounts [24]money.USDC
	var sales [24]int
	for _, f := range hours {
		if n, err := strconv.Atoi(strings.TrimSpace(f.Key)); err == nil && n >= 0 && n < len(amounts) {
			amounts[n], sales[n] = f.Amount, int(f.Payments)
		}
	}
	for n := range amounts {
		name := strconv.Itoa(n)
		v.Bars = append(v.Bars, views.ChartBar{Name: name, Full: name + ":00 to " + strconv.Itoa(n+1) + ":00", Amount: amounts[n], Sales: sales[n]})
	}
	return v
}
