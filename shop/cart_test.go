package shop_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
)

// front is the storefront of the counter's shop.
func (c counter) front(t *testing.T) shop.Front {
	t.Helper()
	p, err := c.Profile(t.Context(), c.merchant)
	require.NoError(t, err)
	f, err := c.Front(t.Context(), p.Slug)
	require.NoError(t, err)
	require.Equal(t, c.merchant, f.Merchant)
	return f
}

func (c counter) put(t *testing.T, visitor string, item shop.Item, qty int) error {
	t.Helper()
	return c.PutIntoCart(t.Context(), c.front(t), visitor, shop.Want{Item: item.ID, Qty: qty})
}

func (c counter) cart(t *testing.T, visitor string) shop.Cart {
	t.Helper()
	cart, err := c.Cart(t.Context(), c.merchant, visitor)
	require.NoError(t, err)
	return cart
}

func (c counter) priced(t *testing.T, visitor string) shop.PricedCart {
	t.Helper()
	p, err := c.PriceCart(t.Context(), c.front(t), c.cart(t, visitor))
	require.NoError(t, err)
	return p
}

func TestLinesOfACartKeepTheirNumbers(t *testing.T) {
	t.Parallel()
	c, visitor := open(t), shop.NewVisitor()
	beans := c.item(t, beansWith(func(f *shop.ItemForm) { f.Stock = n(5) }))
	gift := c.item(t, shop.ItemForm{Title: "Gift", Kind: shop.Served, Pricing: shop.Any, Price: 10 * money.One})
	require.NoError(t, c.put(t, visitor, beans, 2))
	require.NoError(t, c.put(t, visitor, gift, 1))
	require.NoError(t, c.PutIntoCart(t.Context(), c.front(t), visitor, shop.Want{Item: gift.ID, Qty: 1, Amount: 20 * money.One}))
	require.NoError(t, c.put(t, visitor, beans, 3))
	cart := c.cart(t, visitor)
	require.Len(t, cart.Lines, 3, "the same item at another amount is another line")
	require.Equal(t, 7, cart.Items())
	require.Equal(t, 90*money.One, c.priced(t, visitor).Total)
	once := cart.Once()

	change := func(do func(*shop.Cart) error) error { return c.ChangeCart(t.Context(), c.merchant, visitor, do) }
	require.NoError(t, change(func(c *shop.Cart) error { c.Remove(2); return nil }))
	require.NoError(t, change(func(c *shop.Cart) error { return c.SetQty(3, 4) }))
	require.NoError(t, change(func(c *shop.Cart) error { return c.Step(1, -1) }))
	require.ErrorIs(t, change(func(c *shop.Cart) error { return c.Step(2, 1) }), shop.ErrNotFound)
	wrongField(t, "qty", change(func(c *shop.Cart) error { return c.SetQty(1, -1) }))
	wrongField(t, "qty", change(func(c *shop.Cart) error { return c.SetQty(1, shop.MaxQty+1) }))
	cart = c.cart(t, visitor)
	require.Equal(t, []int{1, 3}, []int{cart.Lines[0].Number, cart.Lines[1].Number})
	require.NotEqual(t, once, cart.Once())
	require.NoError(t, change(func(c *shop.Cart) error { c.Lines = nil; return nil }))
	require.Empty(t, c.cart(t, visitor).Lines)
	require.NoError(t, c.put(t, visitor, beans, 1))
	require.NotEqual(t, once, c.cart(t, visitor).Once(), "no cart is ever another one")
}

func TestACartIsTheVisitorsAndTheShops(t *testing.T) {
	t.Parallel()
	c, visitor := open(t), shop.NewVisitor()
	bag := c.item(t, beans)
	require.NoError(t, c.put(t, visitor, bag, 1))
	other := c.found(t, "another")
	elsewhere, err := c.Cart(t.Context(), other, visitor)
	require.NoError(t, err)
	require.Empty(t, elsewhere.Lines)
	require.Empty(t, c.cart(t, shop.NewVisitor()).Lines)
	for _, nobody := range []string{"", "x", visitor + "x"} {
		require.Empty(t, c.cart(t, nobody).Lines)
		require.ErrorIs(t, c.put(t, nobody, bag, 1), shop.ErrNotFound)
	}
	theirs, err := c.Front(t.Context(), "another")
	require.NoError(t, err)
	require.ErrorIs(t, c.PutIntoCart(t.Context(), theirs, visitor, shop.Want{Item: bag.ID, Qty: 1}), shop.ErrNotFound)
	for _, slug := range []string{"", "nobody", "Another", "an other", "another'--"} {
		_, err := c.Front(t.Context(), slug)
		require.ErrorIs(t, err, shop.ErrNotFound, slug)
	}
}

func TestACartCostsWhatItsItemsCostNow(t *testing.T) {
	t.Parallel()
	c, visitor := open(t), shop.NewVisitor()
	bag := c.item(t, beansWith(func(f *shop.ItemForm) { f.Stock = n(3) }))
	course := c.item(t, shop.ItemForm{Title: "Course", Kind: shop.Served, Pricing: shop.Minimum, Price: 5 * money.One})
	tea := c.item(t, shop.ItemForm{Title: "Tea", Kind: shop.Served, Price: money.One})
	update := func(item id.Item, change func(*shop.ItemForm)) {
		t.Helper()
		_, err := c.UpdateItem(t.Context(), c.merchant, false, item, func(f *shop.ItemForm) error { change(f); return nil }, ada)
		require.NoError(t, err)
	}
	for _, item := range []shop.Item{bag, course, tea} {
		require.NoError(t, c.put(t, visitor, item, 1))
	}
	require.False(t, c.priced(t, visitor).Stuck())
	require.ErrorIs(t, c.put(t, visitor, bag, 3), shop.ErrShort)
	left, known := shop.Left(c.put(t, visitor, bag, 3))
	require.True(t, known)
	require.Equal(t, 3, left)

	update(bag.ID, func(f *shop.ItemForm) { f.Price = 13 * money.One })
	update(course.ID, func(f *shop.ItemForm) { f.Price = 6 * money.One })
	_, err := c.ArchiveItem(t.Context(), c.merchant, false, tea.ID, true, ada)
	require.NoError(t, err)
	require.NoError(t, c.ChangeCart(t.Context(), c.merchant, visitor, func(c *shop.Cart) error { return c.SetQty(1, 4) }))
	p := c.priced(t, visitor)
	require.True(t, p.Stuck())
	require.Zero(t, p.Total, "nothing of it can be bought")
	require.True(t, p.Lines[0].Short)
	require.Equal(t, 3, p.Lines[0].Left)
	require.Equal(t, 12*money.One, p.Lines[0].Was)
	require.True(t, p.Lines[1].Below)
	require.Equal(t, 5*money.One, p.Lines[1].Unit, "what he gives is his to say")
	require.True(t, p.Lines[2].Gone)
	require.Equal(t, "Tea", p.Lines[2].Title)
}

func TestTapsInManyTabsAreAllCounted(t *testing.T) {
	t.Parallel()
	c, visitor := open(t), shop.NewVisitor()
	tea := c.item(t, shop.ItemForm{Title: "Tea", Kind: shop.Served, Price: money.One})
	front := c.front(t)
	var g errgroup.Group
	for range 20 {
		g.Go(func() error { return c.PutIntoCart(t.Context(), front, visitor, shop.Want{Item: tea.ID, Qty: 1}) })
	}
	require.NoError(t, g.Wait())
	require.Equal(t, 20, c.cart(t, visitor).Items())
}

func TestACartWaitsForTwoWeeks(t *testing.T) {
	t.Parallel()
	c, visitor := open(t), shop.NewVisitor()
	require.NoError(t, c.put(t, visitor, c.item(t, beans), 1))
	c.offset.Add(int64(shop.CartKept - time.Minute))
	require.NoError(t, c.PurgeCarts(t.Context()))
	require.NoError(t, c.ChangeCart(t.Context(), c.merchant, visitor, func(c *shop.Cart) error { return c.Step(1, 1) }))
	c.offset.Add(int64(shop.CartKept - time.Minute))
	require.NoError(t, c.PurgeCarts(t.Context()))
	require.Equal(t, 2, c.cart(t, visitor).Items(), "from when it was touched last")
	c.offset.Add(int64(2 * time.Minute))
	require.Empty(t, c.cart(t, visitor).Lines)
}

func TestNamesThatAreKeptForTheSiteItself(t *testing.T) {
	t.Parallel()
	c := open(t)
	p, err := c.Profile(t.Context(), c.merchant)
	require.NoError(t, err)
	for _, slug := range []string{"admin", "API", "checkout", "xsynesis", "www", " support "} {
		wrongField(t, "slug", c.SetSlug(t.Context(), c.merchant, p.Slug, slug, ada))
	}
	c.found(t, "taken")
	wrongField(t, "slug", c.SetSlug(t.Context(), c.merchant, p.Slug, "taken", ada))
	require.NoError(t, c.SetSlug(t.Context(), c.merchant, p.Slug, "pay-here", ada))
	_, err = c.Front(t.Context(), "pay-here")
	require.NoError(t, err)
}
