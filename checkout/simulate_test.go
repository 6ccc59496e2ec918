package checkout_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/shop"
)

func TestSimulatedMoneyIsInNoTotal(t *testing.T) {
	t.Parallel()
	for _, mode := range []checkout.Mode{checkout.Direct, checkout.Worker} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			s := newShopWith(t, plan{limit: 2})
			a := s.begin(t)
			p, err := s.checkout.Simulate(t.Context(), s.merchant, a.ID, mode)
			require.NoError(t, err)
			if mode == checkout.Worker {
				p = s.awaitStatus(t, a.ID, checkout.Settled)
			}
			require.Equal(t, checkout.Settled, p.Status)
			require.True(t, p.Simulated)
			require.True(t, p.Settlement.Simulated)
			require.Equal(t, "simulated", p.Settlement.Facilitator)

			sales, err := s.checkout.Sales(t.Context(), s.merchant, false, checkout.Filter{}, nil, nil, 10)
			require.NoError(t, err)
			require.Len(t, sales, 1)
			require.Equal(t, checkout.Simulated, sales[0].Currency)
			require.True(t, sales[0].Simulated)
			require.Zero(t, s.received(t))
			require.Zero(t, balanceOf(t, s.payee))
			totals, err := s.shop.Totals(t.Context(), s.link.ID)
			require.NoError(t, err)
			require.Zero(t, totals)
			require.Zero(t, s.count(t, `SELECT count(*) FROM sales_sums`))
			require.Zero(t, s.count(t, `SELECT count(*) FROM entries WHERE account IN ('wallet', 'sales') OR asset <> 'SIM'`))
			require.Equal(t, 1, s.offer(t).Link.PaymentsTaken)

			_, err = s.checkout.Simulate(t.Context(), s.merchant, a.ID, mode)
			require.ErrorIs(t, err, checkout.ErrNotOpen)
			_, err = s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
			require.ErrorIs(t, err, checkout.ErrPaid)
		})
	}
}

func TestOnlyOpenPurchasesOfTheShopAreSimulated(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	_, err := s.checkout.Simulate(t.Context(), s.merchant, "pa_1ChHQgZvF7Y4JLiQa34ooR", checkout.Direct)
	require.ErrorIs(t, err, checkout.ErrNotFound)
	late := s.begin(t)
	paying, _ := s.claimed(t)
	_, err = s.checkout.Simulate(t.Context(), s.merchant, paying.ID, checkout.Direct)
	require.ErrorIs(t, err, checkout.ErrNotOpen)
	s.clock.advance(s.hold)
	for range 2 {
		for _, mode := range []checkout.Mode{checkout.Direct, checkout.Worker} {
			_, err = s.checkout.Simulate(t.Context(), s.merchant, late.ID, mode)
			require.ErrorIs(t, err, checkout.ErrNotOpen)
		}
		require.NoError(t, s.checkout.Expire(t.Context(), late.ID))
	}
	s.clock.advance(-s.hold - time.Second)
	require.Zero(t, s.count(t, `SELECT count(*) FROM sales`))
	listed, err := s.checkout.UnderWay(t.Context(), s.merchant, false, 10)
	require.NoError(t, err)
	require.Len(t, listed, 1)
	require.Equal(t, paying.ID, listed[0].ID)
	settlements, err := s.checkout.Settlements(t.Context(), s.merchant, false, shop.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, settlements, 1)
	require.Equal(t, "queued", settlements[0].Status)
}
