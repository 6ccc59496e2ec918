package checkout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// Span is a shop's days from one up to but without another. A day is written as its midnight in UTC, whatever the shop's zone.
type Span struct{ Since, Until time.Time }

// months are the whole months within the span: from the first up to but without the last. Without any, both are its end.
func (s Span) months() (first, last time.Time) {
	first = monthOf(s.Since)
	if first.Before(s.Since) {
		first = first.AddDate(0, 1, 0)
	}
	last = monthOf(s.Until)
	if !first.Before(last) {
		return s.Until, s.Until
	}
	return first, last
}

func monthOf(day time.Time) time.Time { return day.AddDate(0, 0, 1-day.Day()) }

// mostDays is how many days are told one by one; a longer span is told by months.
const mostDays = 92

// Daily tells whether the span is told by days rather than by months.
func (s Span) Daily() bool { return !s.Since.AddDate(0, 0, mostDays).Before(s.Until) }

// Figure is what was sold on a day, in a month, or of something.
type Figure struct {
	Start    time.Time // of the day or month; zero where that is not asked
	Key      string    // a channel, an hour from 00 to 23, an item or a link; empty where that is not asked
	Title    string    // of the item or link
	Payments int64     // a cart of three things is one
	Qty      int64
	Amount   money.USDC
	Fee      money.USDC // what the platform kept of it
}

// Report is what a shop sold over a span, without what was simulated and what the chain took back.
type Report struct {
	Span     Span
	Total    Figure
	Refunded Figure   // what went back to buyers on these days, whenever they had paid
	Series   []Figure // by day or by month, as [Span.Daily] says; those without a sale are missing
	Hours    []Figure // of the day
	Channels []Figure
	Items    []Figure // those that brought most
	Links    []Figure
}

// bestMost is how many items and links a report names.
const bestMost = 8

// Report sums a shop's sales over a span. It reads sums of days and months, however long the history.
func (s *Service) Report(ctx context.Context, merchant id.Merchant, livemode bool, span Span) (Report, error) {
	r := Report{Span: span}
	zone, err := s.zoneOf(ctx, merchant)
	if err != nil {
		return r, err
	}
	ask := counted{merchant, livemode, zone, span}
	if r.Total, err = ask.total(ctx, s, "channel", ""); err != nil {
		return r, err
	}
	if r.Refunded, err = ask.total(ctx, s, "refund", ""); err != nil {
		return r, err
	}
	if r.Series, err = ask.series(ctx, s, ""); err != nil {
		return r, err
	}
	for by, to := range map[string]*[]Figure{"hour": &r.Hours, "channel": &r.Channels, "item": &r.Items, "link": &r.Links} {
		if *to, err = ask.best(ctx, s, by); err != nil {
			return r, err
		}
	}
	if err := s.nameItems(ctx, ask, r.Items); err != nil {
		return r, err
	}
	return r, s.nameLinks(ctx, ask, r.Links)
}

// Sold sums a shop's sales over a span, of one channel or, if it is empty, of all.
func (s *Service) Sold(ctx context.Context, merchant id.Merchant, livemode bool, channel string, span Span) (Figure, error) {
	zone, err := s.zoneOf(ctx, merchant)
	if err != nil {
		return Figure{}, err
	}
	return counted{merchant, livemode, zone, span}.total(ctx, s, "channel", channel)
}

// Days sums a shop's sales by day, of one channel or, if it is empty, of all; days without sales are missing.
func (s *Service) Days(ctx context.Context, merchant id.Merchant, livemode bool, channel string, span Span) ([]Figure, error) {
	zone, err := s.zoneOf(ctx, merchant)
	if err != nil {
		return nil, err
	}
	return counted{merchant, livemode, zone, span}.days(ctx, s, channel)
}

// FirstDay is the first day on which a shop sold anything; zero where it never did.
func (s *Service) FirstDay(ctx context.Context, merchant id.Merchant, livemode bool) (time.Time, error) {
	zone, err := s.zoneOf(ctx, merchant)
	if err != nil {
		return time.Time{}, err
	}
	day, err := queries.New().SumsFirst(ctx, s.pool, queries.SumsFirstParams{MerchantID: merchant, Livemode: livemode, Zone: zone})
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, fmt.Errorf("first sale of %s: %w", merchant, err)
	}
	return day, nil
}

// counted names whose figures are asked for.
type counted struct {
	merchant id.Merchant
	livemode bool
	zone     string
	span     Span
}

func (a counted) total(ctx context.Context, s *Service, by, key string) (Figure, error) {
	first, last := a.span.months()
	r, err := queries.New().SumsTotal(ctx, s.pool, queries.SumsTotalParams{
		MerchantID: a.merchant, Livemode: a.livemode, Zone: a.zone, By: by, Key: key,
		Since: a.span.Since, Until: a.span.Until, FirstMonth: first, LastMonth: last,
	})
	if err != nil {
		return Figure{}, fmt.Errorf("total of %s: %w", a.merchant, err)
	}
	return Figure{Payments: r.Payments, Qty: r.Qty, Amount: money.USDC(r.Amount), Fee: money.USDC(r.Fee)}, nil
}

func (a counted) best(ctx context.Context, s *Service, by string) ([]Figure, error) {
	most := bestMost
	if by == "hour" {
		most = 24
	}
	first, last := a.span.months()
	rows, err := queries.New().SumsByKey(ctx, s.pool, queries.SumsByKeyParams{
		MerchantID: a.merchant, Livemode: a.livemode, Zone: a.zone, By: by,
		Since: a.span.Since, Until: a.span.Until, FirstMonth: first, LastMonth: last, Most: int32(most),
	})
	if err != nil {
		return nil, fmt.Errorf("figures of %s by %s: %w", a.merchant, by, err)
	}
	out := make([]Figure, len(rows))
	for i, r := range rows {
		out[i] = Figure{Key: r.Key, Payments: r.Payments, Qty: r.Qty, Amount: money.USDC(r.Amount), Fee: money.USDC(r.Fee)}
	}
	return out, nil
}

// series is what was sold day by day, or month by month where the span is long. A month that the span cuts is told by its days.
func (a counted) series(ctx context.Context, s *Service, channel string) ([]Figure, error) {
	if a.span.Daily() {
		return a.days(ctx, s, channel)
	}
	first, last := a.span.months()
	head, middle, tail := a, a, a
	head.span.Until, middle.span, tail.span.Since = first, Span{first, last}, last
	whole, err := middle.by(ctx, s, "month", channel)
	if err != nil {
		return nil, err
	}
	before, err := head.days(ctx, s, channel)
	if err != nil {
		return nil, err
	}
	after, err := tail.days(ctx, s, channel)
	if err != nil {
		return nil, err
	}
	return append(append(inMonth(before), whole...), inMonth(after)...), nil
}

func (a counted) days(ctx context.Context, s *Service, channel string) ([]Figure, error) {
	return a.by(ctx, s, "day", channel)
}

func (a counted) by(ctx context.Context, s *Service, span, channel string) ([]Figure, error) {
	rows, err := queries.New().SumsByStart(ctx, s.pool, queries.SumsByStartParams{
		MerchantID: a.merchant, Livemode: a.livemode, Zone: a.zone, Channel: channel, Span: span, Since: a.span.Since, Until: a.span.Until,
	})
	if err != nil {
		return nil, fmt.Errorf("%ss of %s: %w", span, a.merchant, err)
	}
	out := make([]Figure, len(rows))
	for i, r := range rows {
		out[i] = Figure{Start: r.Start, Payments: r.Payments, Qty: r.Qty, Amount: money.USDC(r.Amount), Fee: money.USDC(r.Fee)}
	}
	return out, nil
}

// inMonth adds up the days of one month.
func inMonth(days []Figure) []Figure {
	if len(days) == 0 {
		return nil
	}
	sum := Figure{Start: monthOf(days[0].Start)}
	for _, d := range days {
		sum.Payments, sum.Qty, sum.Amount, sum.Fee = sum.Payments+d.Payments, sum.Qty+d.Qty, sum.Amount+d.Amount, sum.Fee+d.Fee
	}
	return []Figure{sum}
}

// nameItems gives items the names under which they were sold last.
func (s *Service) nameItems(ctx context.Context, a counted, items []Figure) error {
	rows, err := queries.New().SoldTitles(ctx, s.pool, queries.SoldTitlesParams{MerchantID: a.merchant, Livemode: a.livemode, Items: keysOf(items)})
	if err != nil {
		return fmt.Errorf("names of items of %s: %w", a.merchant, err)
	}
	titles := make(map[string]string, len(rows))
	for _, r := range rows {
		titles[r.ItemID] = r.Title
	}
	name(items, titles)
	return nil
}

func (s *Service) nameLinks(ctx context.Context, a counted, links []Figure) error {
	rows, err := queries.New().LinkTitles(ctx, s.pool, queries.LinkTitlesParams{MerchantID: a.merchant, Links: keysOf(links)})
	if err != nil {
		return fmt.Errorf("names of links of %s: %w", a.merchant, err)
	}
	titles := make(map[string]string, len(rows))
	for _, r := range rows {
		titles[string(r.ID)] = r.Title
	}
	name(links, titles)
	return nil
}

func keysOf(figures []Figure) []string {
	keys := make([]string, len(figures))
	for i, f := range figures {
		keys[i] = f.Key
	}
	return keys
}

// name puts in titles; what has none keeps its key.
func name(figures []Figure, titles map[string]string) {
	for i, f := range figures {
		if figures[i].Title = titles[f.Key]; figures[i].Title == "" {
			figures[i].Title = f.Key
		}
	}
}
