package checkout_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/x402"
)

// atTill is a cashier of the shop at a tablet of its own.
func (s *testShop) atTill(t *testing.T) checkout.AtTill {
	t.Helper()
	now := time.Now()
	at := checkout.AtTill{Device: id.New[id.Device](now), Merchant: s.merchant, Person: id.New[id.Person](now), Cashier: "Kim", By: ada}
	s.exec(t, `INSERT INTO persons (id, name, created_at) VALUES ($1, 'Kim', now())`, at.Person)
	s.exec(t, `INSERT INTO devices (id, merchant_id, name, hash, paired_by, created_at, seen_at) VALUES ($1, $2, 'Counter', $3, $4, now(), now())`,
		at.Device, s.merchant, []byte(at.Device), at.Person)
	return at
}

// charge makes a purchase of what a till's ticket comes to.
func (s *testShop) charge(t *testing.T, at checkout.AtTill) checkout.Attempt {
	t.Helper()
	till, err := s.checkout.Till(t.Context(), at.Device)
	require.NoError(t, err)
	priced, err := s.checkout.PriceTicket(t.Context(), at, till.Ticket)
	require.NoError(t, err)
	a, err := s.checkout.Charge(t.Context(), at, till.Once(), priced.Total)
	require.NoError(t, err)
	return a
}

func (s *testShop) adds(t *testing.T, at checkout.AtTill, item shop.Item) {
	t.Helper()
	require.NoError(t, s.checkout.AddItem(t.Context(), at, item.ID, 0))
}

func TestMoneyAfterACancellationIsDecidedOnAtTheTill(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	at, muffin := s.atTill(t), s.stocked(t, "Muffin", 6)
	// late is a charge whose payment was refused, which somebody cancels, and whose money comes afterwards.
	late := func() checkout.Attempt {
		s.adds(t, at, muffin)
		a := s.charge(t, at)
		payer := newKey()
		payment := s.sign(t, a, payer)
		_, err := s.checkout.Pay(t.Context(), a.ID, payment)
		requireInvalid(t, x402.Funds, err)
		require.NoError(t, world.dev().Mint(t.Context(), addressOf(payer), pocket))
		var claim id.Claim
		require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT id FROM claims WHERE attempt_id = $1`, a.ID).Scan(&claim))
		require.NoError(t, s.checkout.CancelCharge(t.Context(), at, a.ID))
		require.ErrorIs(t, s.checkout.DecideLate(t.Context(), at, a.ID, checkout.LateAccepted), checkout.ErrDecided, "nothing has come")
		sendByStranger(t, transferCall(payment))
		require.NoError(t, s.checkout.Look(t.Context(), claim))
		require.Equal(t, checkout.SettledLate, s.status(t, a.ID))
		return a
	}
	undecided := func() int {
		rows, err := s.checkout.LateAtTill(t.Context(), at.Device)
		require.NoError(t, err)
		return len(rows)
	}
	listed := func() int {
		rows, err := s.checkout.UnresolvedList(t.Context(), s.merchant, false, false, shop.Page{Limit: 10})
		require.NoError(t, err)
		return len(rows)
	}
	a := late()
	require.Equal(t, 1, undecided())
	require.NoError(t, s.checkout.DecideLate(t.Context(), at, a.ID, checkout.LateAccepted))
	require.ErrorIs(t, s.checkout.DecideLate(t.Context(), at, a.ID, checkout.LateRefund), checkout.ErrDecided)
	require.Zero(t, undecided())
	require.Zero(t, listed())
	till, err := s.checkout.Till(t.Context(), at.Device)
	require.NoError(t, err)
	require.True(t, till.Ticket.Empty(), "what was paid is not charged again")

	b := late()
	require.ErrorIs(t, s.checkout.DecideLate(t.Context(), s.atTill(t), b.ID, checkout.LateRefund), checkout.ErrDecided, "another till's")
	require.NoError(t, s.checkout.DecideLate(t.Context(), at, b.ID, checkout.LateRefund))
	require.Equal(t, 1, listed(), "somebody gives it back")
	sold, received, err := s.checkout.TillTotal(t.Context(), at.Device, time.Now().Add(-time.Hour))
	require.NoError(t, err)
	require.Equal(t, 1, sold)
	require.Equal(t, a.Amount, received)

	c := late()
	require.Equal(t, 1, undecided())
	_, err = s.refund(t, checkout.RefundForm{Attempt: c.ID})
	require.NoError(t, err)
	require.Zero(t, undecided(), "it goes back")
	for _, decision := range []string{checkout.LateAccepted, checkout.LateRefund} {
		require.ErrorIs(t, s.checkout.DecideLate(t.Context(), at, c.ID, decision), checkout.ErrDecided)
	}
}

func TestADiscountTakesWholeCents(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	at := s.atTill(t)
	for _, c := range []struct {
		price   money.USDC
		percent int
		want    money.USDC
	}{{3_330_000, 15, 2_840_000}, {1_000, 50, 500}, {money.One, 100, 0}, {money.One, 0, money.One}} {
		require.NoError(t, s.checkout.ChangeTill(t.Context(), at.Device, func(till *checkout.Till) error {
			till.Ticket = checkout.Ticket{}
			if err := till.Ticket.AddAmount(c.price); err != nil {
				return err
			}
			return till.Ticket.TakeOff(c.percent, "")
		}))
		a := s.charge(t, at)
		require.Equal(t, c.want, a.Amount)
		if a.Status == checkout.Settled { // for nothing
			require.NoError(t, s.checkout.NextCustomer(t.Context(), at, a.ID))
			continue
		}
		require.NoError(t, s.checkout.CancelCharge(t.Context(), at, a.ID))
	}
}

func TestATicketIsEitherChargedOrChanged(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	at, muffin := s.atTill(t), s.stocked(t, "Muffin", 1_000)
	s.adds(t, at, muffin)
	for range 50 {
		till, err := s.checkout.Till(t.Context(), at.Device)
		require.NoError(t, err)
		priced, err := s.checkout.PriceTicket(t.Context(), at, till.Ticket)
		require.NoError(t, err)
		var both sync.WaitGroup
		var charged checkout.Attempt
		var chargeErr error
		both.Go(func() { charged, chargeErr = s.checkout.Charge(t.Context(), at, till.Once(), priced.Total) })
		changeErr := s.checkout.ChangeTill(t.Context(), at.Device, func(t *checkout.Till) error {
			t.Ticket.Reference += "."
			return nil
		})
		both.Wait()
		after, err := s.checkout.Till(t.Context(), at.Device)
		require.NoError(t, err)
		if chargeErr != nil {
			require.ErrorIs(t, chargeErr, checkout.ErrTicketChanged)
			require.NoError(t, changeErr)
			require.False(t, after.Charged())
			continue
		}
		require.Equal(t, charged.ID, after.Charge, "a code that is shown stays the till's")
		if changeErr != nil {
			require.ErrorIs(t, changeErr, checkout.ErrCharged)
		}
		require.NoError(t, s.checkout.CancelCharge(t.Context(), at, charged.ID))
	}
}
