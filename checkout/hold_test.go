package checkout_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/checkout"
	"xsynesis/shop"
	"xsynesis/x402"
)

func (s *testShop) tryFrom(t *testing.T, address string) error {
	t.Helper()
	_, err := s.checkout.Start(t.Context(), checkout.Begin{Token: s.link.Token, From: address})
	return err
}

func TestTheEndOfAPurchaseGivesBackWhatItHeld(t *testing.T) {
	t.Parallel()

	t.Run("looked at by hand", func(t *testing.T) {
		t.Parallel()
		s := newShopWith(t, plan{limit: 1, quiet: true})
		a := s.begin(t)
		require.ErrorIs(t, s.tryFrom(t, "192.0.2.2"), shop.ErrSoldOut)
		require.NoError(t, s.checkout.Expire(t.Context(), a.ID))
		require.Equal(t, checkout.Open, s.status(t, a.ID), "before its time")

		s.clock.advance(s.hold)
		s.awaitFunded(t)
		_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
		require.ErrorIs(t, err, checkout.ErrExpired)
		for range 2 {
			require.NoError(t, s.checkout.Expire(t.Context(), a.ID))
		}
		require.Equal(t, checkout.Expired, s.status(t, a.ID))
		require.Zero(t, s.offer(t).Link.PaymentsTaken)
		require.NoError(t, s.tryFrom(t, "192.0.2.2"))
	})

	t.Run("by its own job", func(t *testing.T) {
		t.Parallel()
		s := newShopWith(t, plan{limit: 1, hold: 2 * time.Second})
		a := s.begin(t)
		s.awaitStatus(t, a.ID, checkout.Expired)
		require.Zero(t, s.offer(t).Link.PaymentsTaken)
		require.NoError(t, s.tryFrom(t, "192.0.2.2"))
	})
}

func TestWhatIsBeingPaidDoesNotExpire(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{limit: 1, quiet: true, wait: time.Second})
	a := s.begin(t)
	_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.ErrorIs(t, err, checkout.ErrPending)
	s.clock.advance(s.hold + time.Minute)
	require.NoError(t, s.checkout.Expire(t.Context(), a.ID))
	require.NoError(t, s.checkout.Sweep(t.Context()))
	require.Equal(t, checkout.Settling, s.status(t, a.ID))
	require.Equal(t, 1, s.offer(t).Link.PaymentsTaken)
	s.clock.advance(-s.hold - time.Minute)
	s.start(t, role{settles: true, works: true})
	s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
}

func TestUnpaidPurchasesCannotEmptyAShop(t *testing.T) {
	t.Parallel()

	t.Run("three at most for one buyer", func(t *testing.T) {
		t.Parallel()
		s := newShopWith(t, plan{limit: 100, quiet: true})
		for range 3 {
			require.NoError(t, s.tryFrom(t, "192.0.2.1"))
		}
		require.ErrorIs(t, s.tryFrom(t, "192.0.2.1"), checkout.ErrTooManyUnpaid)
		require.NoError(t, s.tryFrom(t, "192.0.2.2"))
		require.Equal(t, 4, s.offer(t).Link.PaymentsTaken)
	})

	t.Run("half at most for all buyers, but the first may take any", func(t *testing.T) {
		t.Parallel()
		for limit, most := range map[int]int{1: 1, 2: 1, 3: 2, 4: 2, 5: 3, 6: 3} {
			s := newShopWith(t, plan{limit: limit, quiet: true})
			for n := range most {
				require.NoError(t, s.tryFrom(t, string(rune('a'+n))), "%d of %d", n+1, limit)
			}
			err := s.tryFrom(t, "z")
			if most == limit {
				require.ErrorIs(t, err, shop.ErrSoldOut, "limit %d", limit)
				continue
			}
			require.ErrorIs(t, err, checkout.ErrTooManyUnpaid, "limit %d", limit)
			require.Equal(t, most, s.offer(t).Link.PaymentsTaken)
		}
	})

	t.Run("tills and sellers' keys are exempt", func(t *testing.T) {
		t.Parallel()
		s := newShopWith(t, plan{limit: 6, quiet: true})
		for range 6 {
			require.NoError(t, s.tryFrom(t, ""))
		}
		require.ErrorIs(t, s.tryFrom(t, ""), shop.ErrSoldOut)
	})

	t.Run("where nothing is limited there is no limit", func(t *testing.T) {
		t.Parallel()
		s := newShopWith(t, plan{quiet: true})
		for range 6 {
			require.NoError(t, s.tryFrom(t, "192.0.2.1"))
		}
	})
}

func TestWhoPaysTakesOverTheOldestUnpaidPurchase(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{limit: 3})
	oldest := s.beginFrom(t, "192.0.2.1")
	newer := s.beginFrom(t, "192.0.2.2")
	till := s.beginFrom(t, "")
	require.ErrorIs(t, s.tryFrom(t, "192.0.2.3"), shop.ErrSoldOut)

	p, err := s.checkout.PayLink(t.Context(), s.offer(t), s.answer(t, s.offer(t), s.buyer), checkout.Request{})
	require.NoError(t, err)
	s.soldOnce(t, p)
	require.Equal(t, checkout.Cancelled, s.status(t, oldest.ID))
	require.Equal(t, checkout.Open, s.status(t, newer.ID))
	require.Equal(t, 3, s.offer(t).Link.PaymentsTaken)
	_, err = s.checkout.Pay(t.Context(), oldest.ID, s.sign(t, oldest, newBuyer(t)))
	require.ErrorIs(t, err, checkout.ErrExpired)

	_, err = s.checkout.PayLink(t.Context(), s.offer(t), s.answer(t, s.offer(t), newBuyer(t)), checkout.Request{})
	require.NoError(t, err)
	require.Equal(t, checkout.Cancelled, s.status(t, newer.ID))
	_, err = s.checkout.PayLink(t.Context(), s.offer(t), s.answer(t, s.offer(t), newBuyer(t)), checkout.Request{})
	require.ErrorIs(t, err, shop.ErrSoldOut, "the till's customer stands at the counter")
	require.Equal(t, checkout.Open, s.status(t, till.ID))
}

func TestAPriceIsHonouredWhileItsOfferIsOut(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	before, quoted := s.offer(t), s.begin(t)
	dearer := shop.LinkForm{Title: "Flat white, large", Price: 2 * price}
	_, err := s.shop.UpdateLink(t.Context(), s.merchant, s.link.ID, anew(dearer), ada)
	require.NoError(t, err)

	s.clock.advance(shop.OfferTime - 10*time.Second)
	s.awaitFunded(t)
	p, err := s.checkout.PayLink(t.Context(), s.offer(t), s.answer(t, before, s.buyer), checkout.Request{})
	require.NoError(t, err)
	require.Equal(t, price, p.Amount)

	s.clock.advance(10 * time.Second)
	_, err = s.checkout.PayLink(t.Context(), s.offer(t), s.answer(t, before, s.buyer), checkout.Request{})
	requireInvalid(t, x402.NoMatch, err)
	_, err = s.checkout.PayLink(t.Context(), s.offer(t), s.authorized(t, 1, s.checkout.Offered(before), unchanged), checkout.Request{})
	requireInvalid(t, x402.Amount, err)
	p, err = s.checkout.PayLink(t.Context(), s.offer(t), s.answer(t, s.offer(t), s.buyer), checkout.Request{})
	require.NoError(t, err)
	require.Equal(t, 2*price, p.Amount)
	require.Equal(t, "Flat white, large", p.Title)

	// Whoever had begun pays what he was quoted.
	p, err = s.checkout.Pay(t.Context(), quoted.ID, s.sign(t, quoted, s.buyer))
	require.NoError(t, err)
	require.Equal(t, price, p.Amount)
	require.Equal(t, "Flat white", p.Title)
	require.Equal(t, 4*price, s.received(t))
}

func TestAQuoteNeverChanges(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	a, err := s.checkout.Start(t.Context(), checkout.Begin{
		Token: s.link.Token, SuccessURL: "https://buyer.example/thanks", Reference: "order-7", Metadata: json.RawMessage(`{"a": 1}`),
	})
	require.NoError(t, err)
	before, err := s.checkout.Purchase(t.Context(), a.ID)
	require.NoError(t, err)
	_, err = s.shop.UpdateLink(t.Context(), s.merchant, s.link.ID, anew(shop.LinkForm{
		Title: "Tea", Price: 3 * price, SuccessURL: "https://shop.example/", Reference: "other", Metadata: json.RawMessage(`{"b": 2}`), MaxPayments: 9,
	}), ada)
	require.NoError(t, err)
	_, err = s.shop.ExpireLink(t.Context(), s.merchant, s.link.ID, ada)
	require.NoError(t, err)
	after, err := s.checkout.Purchase(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, "order-7", after.Reference)
	require.Equal(t, 1, s.offer(t).Link.PaymentsTaken, "a new limit counts what is under way")
}

func TestALinkThatIsOverSellsNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.begin(t)
	_, err := s.shop.ExpireLink(t.Context(), s.merchant, s.link.ID, ada)
	require.NoError(t, err)
	o := s.offer(t)
	_, err = s.checkout.Quote(t.Context(), o)
	require.ErrorIs(t, err, shop.ErrLinkExpired)
	require.ErrorIs(t, s.tryFrom(t, "192.0.2.1"), shop.ErrLinkExpired)
	_, err = s.checkout.PayLink(t.Context(), o, s.answer(t, o, s.buyer), checkout.Request{})
	require.ErrorIs(t, err, shop.ErrLinkExpired)
	require.Zero(t, s.count(t, `SELECT count(*) FROM claims`))

	p, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err, "who had begun may still pay")
	s.soldOnce(t, p)
}

func TestOneKeyBeginsOnePurchase(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true, limit: 1})
	begun := make([]checkout.Attempt, 20)
	var g errgroup.Group
	for i := range begun {
		g.Go(func() (err error) {
			begun[i], err = s.checkout.Start(t.Context(), checkout.Begin{Token: s.link.Token, Once: []byte("a key of this call")})
			return err
		})
	}
	require.NoError(t, g.Wait())
	for _, a := range begun {
		require.Equal(t, begun[0].ID, a.ID)
	}
	require.Equal(t, 1, s.offer(t).Link.PaymentsTaken)
	_, err := s.checkout.Start(t.Context(), checkout.Begin{Token: s.link.Token, Once: []byte("another")})
	require.ErrorIs(t, err, shop.ErrSoldOut)
}

func TestReturnAddressesAreChecked(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	for _, address := range []string{"//evil.example", `https://good\evil.example`, "javascript:alert(1)", "https://good@evil.example", "https:evil", "/thanks"} {
		for _, b := range []checkout.Begin{{SuccessURL: address}, {CancelURL: address}} {
			b.Token = s.link.Token
			_, err := s.checkout.Start(t.Context(), b)
			var wrong *shop.FieldError
			require.ErrorAs(t, err, &wrong, address)
		}
	}
	require.Zero(t, s.count(t, `SELECT count(*) FROM attempts`))
}
