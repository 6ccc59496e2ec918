package checkout_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/checkout"
	"xsynesis/money"
	"xsynesis/shop"
)

// The sun is never in one place of these and in the other on the same day.
const (
	eastmost = "Pacific/Kiritimati"
	westmost = "Pacific/Pago_Pago"
)

// allDays is every day on which anything was sold.
func (s *testShop) allDays(t *testing.T) []checkout.Figure {
	t.Helper()
	now := s.clock.now()
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	days, err := s.checkout.Days(t.Context(), s.merchant, false, "", checkout.Span{Since: today.AddDate(0, 0, -3), Until: today.AddDate(0, 0, 3)})
	require.NoError(t, err)
	return days
}

// moveTo has the shop's days begin elsewhere, and waits until they do.
func (s *testShop) moveTo(t *testing.T, zone string) {
	t.Helper()
	was, err := s.checkout.Zone(t.Context(), s.merchant)
	require.NoError(t, err)
	require.NoError(t, s.checkout.SetZone(t.Context(), s.merchant, was.String(), zone, ada))
	require.Eventually(t, func() bool {
		now, err := s.checkout.Zone(t.Context(), s.merchant)
		return err == nil && now.String() == zone && now.Next == ""
	}, 20*time.Second, 10*time.Millisecond)
}

func TestDaysAreThoseOfTheShopsOwnTimeZone(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	pay := func() time.Time {
		a := s.begin(t)
		_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, newBuyer(t)))
		require.NoError(t, err)
		sales, err := s.checkout.SalesOf(t.Context(), a.ID)
		require.NoError(t, err)
		return sales[0].CreatedAt
	}
	dayIn := func(zone string, at time.Time) time.Time {
		l, err := time.LoadLocation(zone)
		require.NoError(t, err)
		y, m, d := at.In(l).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	first := pay()
	require.Equal(t, dayIn("UTC", first), s.allDays(t)[0].Start)

	s.moveTo(t, eastmost)
	require.Equal(t, dayIn(eastmost, first), s.allDays(t)[0].Start)
	s.moveTo(t, westmost)
	days := s.allDays(t)
	require.Len(t, days, 1, "nothing is left of the days before")
	require.Equal(t, dayIn(westmost, first), days[0].Start)

	second := pay()
	span := checkout.Span{Since: dayIn(westmost, first), Until: dayIn(westmost, second).AddDate(0, 0, 1)}
	r, err := s.checkout.Report(t.Context(), s.merchant, false, span)
	require.NoError(t, err)
	require.EqualValues(t, 2, r.Total.Payments)
	require.Equal(t, 2*price, r.Total.Amount)
	require.Equal(t, []checkout.Figure{{Key: "link", Payments: 2, Qty: 2, Amount: 2 * price}}, r.Channels)
	require.Equal(t, []checkout.Figure{{Key: string(s.link.ID), Title: "Flat white", Payments: 2, Qty: 2, Amount: 2 * price}}, r.Items)
	require.Equal(t, r.Items, r.Links)
	since, err := s.checkout.FirstDay(t.Context(), s.merchant, false)
	require.NoError(t, err)
	require.Equal(t, span.Since, since)

	var wrong *shop.FieldError
	require.ErrorAs(t, s.checkout.SetZone(t.Context(), s.merchant, westmost, "Mars/Olympus", ada), &wrong)
	require.ErrorIs(t, s.checkout.SetZone(t.Context(), s.merchant, "UTC", eastmost, ada), shop.ErrChanged)
	require.NoError(t, s.checkout.SetZone(t.Context(), s.merchant, westmost, westmost, ada))
	require.Equal(t, 2, s.count(t, `SELECT count(*) FROM audit_rows WHERE action = 'shop.zone_changed'`))
}

// The audit at the end holds the days against the sales.
func TestNoPaymentIsLostToWhoeverCountsTheDaysAnew(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	g, ctx := errgroup.WithContext(t.Context())
	done := make(chan struct{})
	g.Go(func() error {
		zones, was := []string{eastmost, westmost, "UTC"}, "UTC"
		for i := 0; ; i++ {
			select {
			case <-done:
				return nil
			default:
			}
			next := zones[i%len(zones)]
			if err := s.checkout.SetZone(ctx, s.merchant, was, next, ada); err != nil {
				return err
			}
			if err := s.checkout.Recount(ctx, s.merchant); err != nil {
				return err
			}
			was = next
		}
	})
	const payments = 24
	paying, payCtx := errgroup.WithContext(ctx)
	for range payments {
		a := s.begin(t)
		payment := s.sign(t, a, newBuyer(t))
		paying.Go(func() error {
			_, err := s.checkout.Pay(payCtx, a.ID, payment)
			return err
		})
	}
	require.NoError(t, paying.Wait())
	close(done)
	require.NoError(t, g.Wait())

	total := money.USDC(0)
	for _, d := range s.allDays(t) {
		total += d.Amount
	}
	require.Equal(t, payments*price, total)
}

func TestWhatIsTakenBackWhileTheDaysAreCountedAnewIsInNoFigure(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.begin(t)
	_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, newBuyer(t)))
	require.NoError(t, err)
	p := s.awaitStatus(t, a.ID, checkout.Settled)
	s.worker.stop(t)
	s.exec(t, `UPDATE sales SET created_at = created_at - interval '3 hours'`) // those of the last hour are counted at the end
	s.exec(t, `DELETE FROM sales_sums`)
	s.exec(t, `INSERT INTO sales_sums SELECT merchant_id, livemode, zone, by, span, start, key, 0, 1, qty, amount, fee FROM counted_sales`)
	require.NoError(t, s.checkout.SetZone(t.Context(), s.merchant, "UTC", eastmost, ada))

	// Whoever counts has seen the sale, and waits for a row of somebody else.
	theirs, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = theirs.Rollback(context.Background()) }()
	_, err = theirs.Exec(t.Context(), `INSERT INTO sales_sums SELECT merchant_id, livemode, zone, by, span, start, key, 0, 0, 0, 0, 0 FROM counted_sales WHERE next`)
	require.NoError(t, err)
	waiting := func() int {
		return s.count(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
	}
	g, ctx := errgroup.WithContext(t.Context())
	g.Go(func() error { return s.checkout.Recount(ctx, s.merchant) })
	require.Eventually(t, func() bool { return waiting() == 1 }, 10*time.Second, 10*time.Millisecond)
	g.Go(func() error { return s.checkout.Reverse(ctx, p.Settlement.ID) })
	require.Eventually(t, func() bool { return waiting() == 2 || s.status(t, a.ID) == checkout.Reversed }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, theirs.Rollback(t.Context()))
	require.NoError(t, g.Wait())

	require.Equal(t, checkout.Reversed, s.status(t, a.ID))
	zone, err := s.checkout.Zone(t.Context(), s.merchant)
	require.NoError(t, err)
	require.Equal(t, eastmost, zone.String())
	require.Zero(t, s.count(t, `SELECT sum(amount)::bigint FROM sales_sums`))
	require.Zero(t, s.count(t, `SELECT sum(payments)::bigint FROM sales_sums`))
}

func TestEverySpanIsTheSumOfItsDays(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{broke: true, dirty: true})
	random := rand.New(rand.NewPCG(1, 2))
	begin := time.Date(2023, 11, 20, 0, 0, 0, 0, time.UTC)
	s.exec(t, `INSERT INTO sales_sums (merchant_id, livemode, zone, by, span, start, key, slot, payments, qty, amount, fee)
		SELECT $1, false, 'UTC', 'channel', 'day', $2::date + d, k, slot, d % 3 + 1, d, d * 1000 + slot, d
		FROM generate_series(0, 800) d, unnest(ARRAY['link', 'till']) k, generate_series(0, 1) slot WHERE d % 7 <> 3`, string(s.merchant), begin)
	s.exec(t, `INSERT INTO sales_sums (merchant_id, livemode, zone, by, span, start, key, slot, payments, qty, amount, fee)
		SELECT merchant_id, livemode, zone, by, 'month', date_trunc('month', start), key, slot, sum(payments), sum(qty), sum(amount), sum(fee)
		FROM sales_sums GROUP BY 1, 2, 3, 4, 6, 7, 8`)
	for range 200 {
		span := checkout.Span{Since: begin.AddDate(0, 0, random.IntN(820)-10)}
		span.Until = span.Since.AddDate(0, 0, 1+random.IntN(500))
		days, err := s.checkout.Days(t.Context(), s.merchant, false, "", span)
		require.NoError(t, err)
		var want checkout.Figure
		for _, d := range days {
			want.Payments, want.Qty, want.Amount, want.Fee = want.Payments+d.Payments, want.Qty+d.Qty, want.Amount+d.Amount, want.Fee+d.Fee
		}
		r, err := s.checkout.Report(t.Context(), s.merchant, false, span)
		require.NoError(t, err)
		require.Equal(t, want, r.Total, "%s", span)
		var drawn, byChannel money.USDC
		for _, f := range r.Series {
			drawn += f.Amount
		}
		for _, f := range r.Channels {
			byChannel += f.Amount
		}
		require.Equal(t, want.Amount, drawn, "%s", span)
		require.Equal(t, want.Amount, byChannel, "%s", span)
		if span.Daily() {
			require.Equal(t, days, r.Series)
		} else {
			require.LessOrEqual(t, len(r.Series), 18)
		}
	}
}
