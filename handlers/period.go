package handlers

import (
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/views"
)

// quarter of an hour is what all time zones begin at.
const quarter = 15 * time.Minute

// dayOf is the day of a moment somewhere, written as its midnight in UTC.
func dayOf(t time.Time, zone *time.Location) time.Time {
	year, month, day := t.In(zone).Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// beginOf is when a day begins somewhere: its first moment, which is not midnight where clocks are moved then.
func beginOf(day time.Time, zone *time.Location) time.Time {
	t := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, zone)
	for dayOf(t, zone).Before(day) {
		t = t.Add(quarter)
	}
	for !dayOf(t.Add(-quarter), zone).Before(day) {
		t = t.Add(-quarter)
	}
	return t
}

// period is a choice of days as somebody made it.
type period struct {
	views.PeriodField
	span  checkout.Span
	today time.Time
	zone  *time.Location
}

// filter chooses the sales of these days.
func (p period) filter(f checkout.Filter) checkout.Filter {
	f.Since, f.Until = beginOf(p.span.Since, p.zone), beginOf(p.span.Until, p.zone)
	return f
}

// period reads the choice of days from the query. Days are those of the shop.
func (h *Handlers) period(c echo.Context, s seller, otherwise string) (period, error) {
	zone, err := h.Checkout.Zone(c.Request().Context(), s.Merchant)
	if err != nil {
		return period{}, err
	}
	p := period{zone: zone.Location, today: dayOf(h.Now(), zone.Location)}
	p.Zone, p.NextZone = zone.String(), zone.Next
	p.From, p.To = views.Field{Value: c.QueryParam("from")}, views.Field{Value: c.QueryParam("to")}
	p.span.Until = p.today.AddDate(0, 0, 1)
	if p.Value = c.QueryParam("period"); !p.preset(p.Value) {
		switch p.Value {
		case "all":
			if p.span.Since, err = h.Checkout.FirstDay(c.Request().Context(), s.Merchant, s.livemode); err != nil {
				return p, err
			}
			if p.span.Since.IsZero() {
				p.span.Since = p.today
			}
		case "custom":
			p.custom()
		default:
			p.Value = otherwise
			p.preset(otherwise)
		}
	}
	p.name()
	return p, nil
}

// preset takes days that count from today, and tells whether there are such.
func (p *period) preset(name string) bool {
	tomorrow, month := p.today.AddDate(0, 0, 1), p.today.AddDate(0, 0, 1-p.today.Day())
	spans := map[string]checkout.Span{
		"today": {Since: p.today, Until: tomorrow}, "yesterday": {Since: p.today.AddDate(0, 0, -1), Until: p.today},
		"7d": {Since: p.today.AddDate(0, 0, -6), Until: tomorrow}, "14d": {Since: p.today.AddDate(0, 0, -13), Until: tomorrow},
		"30d": {Since: p.today.AddDate(0, 0, -29), Until: tomorrow}, "month": {Since: month, Until: tomorrow},
		"last_month": {Since: month.AddDate(0, -1, 0), Until: month},
		"year":       {Since: time.Date(p.today.Year(), 1, 1, 0, 0, 0, 0, time.UTC), Until: tomorrow},
	}
	span, ok := spans[name]
	if ok {
		p.span = span
	}
	return ok
}

// longest is how many years of days can be chosen.
const longest = 20

// custom takes the days that were written, and says what is wrong with them.
func (p *period) custom() {
	from, to := p.today.AddDate(0, 0, -6), p.today
	from, p.From.Problem = formDay(p.From.Value, from)
	to, p.To.Problem = formDay(p.To.Value, to)
	switch {
	case p.From.Problem != "" || p.To.Problem != "":
	case to.Before(from):
		p.From.Problem = "The first day is after the last. Change one of them."
	case from.AddDate(longest, 0, 0).Before(to):
		p.From.Problem = "Choose at most 20 years."
	}
	if p.From.Problem != "" || p.To.Problem != "" {
		from, to = p.today, p.today
	}
	p.span = checkout.Span{Since: from, Until: to.AddDate(0, 0, 1)}
	p.From.Value, p.To.Value = or(p.From.Value, from.Format(time.DateOnly)), or(p.To.Value, to.Format(time.DateOnly))
}

func (p *period) name() {
	if p.Value == "custom" {
		p.Word = p.span.Since.Format("2 Jan 2006")
		if last := p.span.Until.AddDate(0, 0, -1); !last.Equal(p.span.Since) {
			p.Word += " to " + last.Format("2 Jan 2006")
		}
		return
	}
	for _, o := range views.Periods {
		if o.Value == p.Value {
			p.Word = o.Word
		}
	}
}
