package checkout_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/checkout"
	"xsynesis/money"
	"xsynesis/shop"
)

// front is the shop's storefront.
func (s *testShop) front(t *testing.T) shop.Front {
	t.Helper()
	p, err := s.shop.Profile(t.Context(), s.merchant)
	require.NoError(t, err)
	f, err := s.shop.Front(t.Context(), p.Slug)
	require.NoError(t, err)
	return f
}

// visitor is somebody who put items into his cart, one of each.
func (s *testShop) visitor(t *testing.T, items ...shop.Item) string {
	t.Helper()
	visitor := shop.NewVisitor()
	for _, i := range items {
		require.NoError(t, s.shop.PutIntoCart(t.Context(), s.front(t), visitor, shop.Want{Item: i.ID, Qty: 1}))
	}
	return visitor
}

// order is what a visitor sends who pays what his cart costs now.
func (s *testShop) order(t *testing.T, visitor, from string) checkout.CartOrder {
	t.Helper()
	cart, err := s.shop.Cart(t.Context(), s.merchant, visitor)
	require.NoError(t, err)
	priced, err := s.shop.PriceCart(t.Context(), s.front(t), cart)
	require.NoError(t, err)
	return checkout.CartOrder{
		Visitor: visitor, Once: cart.Once(), Total: priced.Total, From: from,
		Buyer: checkout.Buyer{Shipping: &checkout.Address{Name: "Ada", Line1: "Street 1", City: "Oslo", Country: "no"}},
	}
}

func (s *testShop) inCart(t *testing.T, visitor string) int {
	t.Helper()
	cart, err := s.shop.Cart(t.Context(), s.merchant, visitor)
	require.NoError(t, err)
	return cart.Items()
}

func TestACartBecomesOnePurchase(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	beans, cup := s.stocked(t, "Beans", 3), s.item(t, shop.ItemForm{Title: "Cup", Price: 3 * money.One})
	visitor := s.visitor(t, beans, cup)
	o := s.order(t, visitor, "192.0.2.1")

	bare := o
	bare.Buyer = checkout.Buyer{}
	_, err := s.checkout.BuyCart(t.Context(), s.front(t), bare)
	require.Len(t, shop.FieldErrors(err), 4, "what is sent needs an address: name, street, town, country")
	wrong := o
	wrong.Total++
	_, err = s.checkout.BuyCart(t.Context(), s.front(t), wrong)
	require.ErrorIs(t, err, checkout.ErrTotal)
	stranger := o
	stranger.Visitor = shop.NewVisitor()
	_, err = s.checkout.BuyCart(t.Context(), s.front(t), stranger)
	require.ErrorIs(t, err, checkout.ErrCartChanged)
	require.Equal(t, 2, s.inCart(t, visitor), "what is refused leaves the cart")
	require.Zero(t, s.stock(t, beans).Held)

	a, err := s.checkout.BuyCart(t.Context(), s.front(t), o)
	require.NoError(t, err)
	require.Equal(t, "storefront", a.Channel)
	require.Equal(t, 1, s.stock(t, beans).Held)
	require.Zero(t, s.inCart(t, visitor))
	again, err := s.checkout.BuyCart(t.Context(), s.front(t), o)
	require.NoError(t, err)
	require.Equal(t, a.ID, again.ID)
	require.Equal(t, 1, s.stock(t, beans).Held)
}

// Of two tabs one pays what the other changes: the purchase is what was on the screen, or there is none.
func TestACartThatChangesWhileItIsBought(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	cup := s.item(t, shop.ItemForm{Title: "Cup", Kind: shop.Served, Price: 3 * money.One})
	front := s.front(t)
	var bought, refused atomic.Int64
	for range 20 {
		visitor := s.visitor(t, cup)
		o := s.order(t, visitor, "192.0.2.1")
		var g errgroup.Group
		g.Go(func() error {
			err := s.shop.ChangeCart(t.Context(), s.merchant, visitor, func(c *shop.Cart) error { return c.Step(1, 1) })
			if errors.Is(err, shop.ErrNotFound) {
				return nil // it was bought already
			}
			return err
		})
		for range 2 {
			g.Go(func() error {
				a, err := s.checkout.BuyCart(t.Context(), front, o)
				switch {
				case errors.Is(err, checkout.ErrCartChanged):
					refused.Add(1)
					return nil
				case err == nil && (a.Amount != 3*money.One || len(a.Lines) != 1):
					return errors.New("another cart than was on the screen")
				}
				bought.Add(1)
				return err
			})
		}
		require.NoError(t, g.Wait())
	}
	require.EqualValues(t, 40, bought.Load()+refused.Load())
}

func TestTheLastOneInManyCartsIsSoldOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	last, tea := s.stocked(t, "The last", 1), s.item(t, shop.ItemForm{Title: "Tea"})
	front := s.front(t)
	orders := make([]checkout.CartOrder, 20)
	for i := range orders {
		orders[i] = s.order(t, s.visitor(t, tea, last), "") // whose address is not counted
	}
	var g errgroup.Group
	var bought atomic.Int64
	for _, o := range orders {
		g.Go(func() error {
			_, err := s.checkout.BuyCart(t.Context(), front, o)
			if err == nil {
				bought.Add(1)
			} else if !errors.Is(err, shop.ErrShort) && !errors.Is(err, checkout.ErrCartChanged) {
				return err
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	require.EqualValues(t, 1, bought.Load())
	left := 0
	for _, o := range orders {
		if s.inCart(t, o.Visitor) == 2 {
			left++
		}
	}
	require.Equal(t, 19, left, "who came too late has his cart still")
	require.Equal(t, shop.Stock{Limited: true, Put: 1, Taken: 1, Held: 1}, s.stock(t, last))
}
