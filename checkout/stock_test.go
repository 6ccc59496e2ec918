package checkout_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/webhook"
	"xsynesis/x402"
)

func (s *testShop) item(t *testing.T, f shop.ItemForm) shop.Item {
	t.Helper()
	if f.Pricing == "" && f.Price == 0 {
		f.Price = price
	}
	item, err := s.shop.CreateItem(t.Context(), s.merchant, false, f, ada)
	require.NoError(t, err)
	return item
}

// stocked is an item of which there are this many.
func (s *testShop) stocked(t *testing.T, title string, stock int) shop.Item {
	t.Helper()
	return s.item(t, shop.ItemForm{Title: title, Stock: &stock})
}

// stock is what there is of an item now.
func (s *testShop) stock(t *testing.T, item shop.Item) shop.Stock {
	t.Helper()
	i, err := s.shop.Item(t.Context(), s.merchant, false, item.ID)
	require.NoError(t, err)
	return i.Stock
}

// buy begins a purchase of items: the item, how many of it, the next.
func (s *testShop) buy(t *testing.T, from string, items ...any) (checkout.Attempt, error) {
	t.Helper()
	b := checkout.Begin{From: from, Channel: "storefront"}
	if from == "" {
		b.Merchant, b.Channel = s.merchant, "till"
	}
	for i := 0; i < len(items); i += 2 {
		b.Items = append(b.Items, shop.Want{Item: items[i].(shop.Item).ID, Qty: items[i+1].(int)})
	}
	return s.checkout.Start(t.Context(), b)
}

func (s *testShop) bought(t *testing.T, from string, items ...any) checkout.Attempt {
	t.Helper()
	a, err := s.buy(t, from, items...)
	require.NoError(t, err)
	return a
}

func TestACartIsSoldLineByLine(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	beans, cup := s.stocked(t, "Beans", 5), s.item(t, shop.ItemForm{Title: "Cup", Edition: "blue", Price: 3 * money.One})
	a, err := s.checkout.Start(t.Context(), checkout.Begin{
		Items: []shop.Want{{Item: beans.ID, Qty: 2}, {Item: cup.ID, Qty: 1}}, Merchant: s.merchant, Channel: "till",
		Choice: shop.Choice{Tip: money.One / 2, Discount: money.One, DiscountTitle: "Regulars"}, Reference: "table 7",
		Buyer: checkout.Buyer{Email: "ada@example.org", Note: "Ring twice."},
	})
	require.NoError(t, err)
	require.Equal(t, 2*price+3*money.One+money.One/2-money.One, a.Amount)
	require.Equal(t, "Beans and 1 more", a.Title)
	require.Equal(t, shop.Stock{Limited: true, Put: 5, Taken: 2, Held: 2}, s.stock(t, beans))
	_, err = s.shop.UpdateItem(t.Context(), s.merchant, false, beans.ID, func(f *shop.ItemForm) error { f.Title, f.Price = "Tea", 9*price; return nil }, ada)
	require.NoError(t, err)

	p, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)
	hash, err := checkout.Cart{Seller: s.merchant, Lines: p.Lines, Network: sepolia, Asset: s.network.Token.Address, PayTo: s.payee, Amount: p.Amount}.Hash()
	require.NoError(t, err)
	require.Equal(t, p.CartHash, hash, "what is signed is the whole cart")
	require.Equal(t, checkout.Nonce(p.Salt, hash), p.Claim.Nonce)
	sales, err := s.checkout.SalesOf(t.Context(), a.ID)
	require.NoError(t, err)
	var titles []string
	var sum money.USDC
	for _, sale := range sales {
		titles = append(titles, sale.ItemTitle)
		sum += sale.Amount
	}
	require.Equal(t, []string{"Beans", "Cup, blue", "Tip", "Regulars"}, titles)
	require.Equal(t, p.Amount, sum)
	held, err := s.checkout.Reservations(t.Context(), a.ID)
	require.NoError(t, err)
	require.Len(t, held, 1)
	require.Equal(t, "claimed", held[0].Status)
	require.Equal(t, string(held[0].ID), sales[0].ReservationID)
	require.Empty(t, sales[1].ReservationID, "there is always another cup")
	require.Equal(t, shop.Stock{Limited: true, Put: 5, Taken: 2}, s.stock(t, beans))
	require.Equal(t, 3, s.stock(t, beans).Free())
	buyer, err := s.checkout.BuyerOf(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, "ada@example.org", buyer.Email)

	all := s.events(t)
	require.Equal(t, []webhook.Type{webhook.ReservationCreated, webhook.ReservationClaimed}, typesOf(all, string(held[0].ID)))
	require.Equal(t, []webhook.Type{webhook.PaymentAttemptCreated, webhook.PaymentCompleted}, typesOf(all, string(a.ID)))
}

func TestAProgramPaysForAnItem(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	beans := s.stocked(t, "Beans", 3)
	s.link = s.newLink(t, s.merchant, shop.LinkForm{Items: []shop.Want{{Item: beans.ID, Qty: 1}}})
	two, err := s.offer(t).Choose(shop.Choice{Qty: 2})
	require.NoError(t, err)
	p, err := s.checkout.PayLink(t.Context(), two, s.answer(t, two, s.buyer), checkout.Request{})
	require.NoError(t, err)
	require.Equal(t, 2*price, p.Amount)
	require.Equal(t, 2, s.stock(t, beans).Sold())
	_, err = s.checkout.PayLink(t.Context(), two, s.answer(t, two, newBuyer(t)), checkout.Request{1})
	require.ErrorIs(t, err, shop.ErrShort)
	_, err = s.checkout.PayLink(t.Context(), s.offer(t), s.answer(t, s.offer(t), newBuyer(t)), checkout.Request{2})
	require.NoError(t, err)
	require.Zero(t, s.stock(t, beans).Free())
	require.Equal(t, 2, s.count(t, `SELECT count(*) FROM claims`), "who was refused was not charged")
}

func TestAFormerPriceOfAnItemIsHonoured(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	beans := s.stocked(t, "Beans", 3)
	s.link = s.newLink(t, s.merchant, shop.LinkForm{Items: []shop.Want{{Item: beans.ID, Qty: 1}}})
	before := s.offer(t)
	_, err := s.shop.UpdateItem(t.Context(), s.merchant, false, beans.ID, func(f *shop.ItemForm) error { f.Price = 2 * price; return nil }, ada)
	require.NoError(t, err)
	p, err := s.checkout.PayLink(t.Context(), s.offer(t), s.answer(t, before, s.buyer), checkout.Request{})
	require.NoError(t, err)
	require.Equal(t, price, p.Amount)
	require.Equal(t, price, p.Lines[0].UnitAmount, "the lines sum to what was paid")
}

func TestAllLinesAreHeldOrNone(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	a, b, c := s.stocked(t, "A", 5), s.stocked(t, "B", 1), s.stocked(t, "C", 5)
	for _, from := range []string{"", "192.0.2.1"} {
		_, err := s.buy(t, from, a, 2, b, 2, c, 2)
		require.ErrorIs(t, err, shop.ErrShort)
		_, err = s.buy(t, from, b, 1, a, 1, b, 1)
		require.ErrorIs(t, err, shop.ErrShort, "two lines of one item want two")
	}
	for _, item := range []shop.Item{a, b, c} {
		require.Zero(t, s.stock(t, item).Taken)
	}
	require.Zero(t, s.count(t, `SELECT count(*) FROM attempts`))
	_, err := s.buy(t, "", a, 2, b, 1, c, 5)
	require.NoError(t, err)
	require.Equal(t, 3, s.count(t, `SELECT count(*) FROM reservations WHERE status = 'held'`))
}

func TestTheLastOneIsHeldByOneBuyer(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	for round := range 5 {
		muffin, other := s.stocked(t, "Muffin", 1), s.stocked(t, "Scone", 100)
		won := make([]bool, 50)
		var g errgroup.Group
		for i := range won {
			g.Go(func() error {
				var err error
				if i%2 == 0 { // carts in both orders wait for each other in one
					_, err = s.buy(t, "", muffin, 1, other, 1)
				} else {
					_, err = s.buy(t, "", other, 1, muffin, 1)
				}
				won[i] = err == nil
				if err != nil {
					require.ErrorIs(t, err, shop.ErrShort, "%d", round)
				}
				return nil
			})
		}
		require.NoError(t, g.Wait())
		winners := 0
		for _, w := range won {
			if w {
				winners++
			}
		}
		require.Equal(t, 1, winners)
		require.Equal(t, 1, s.stock(t, muffin).Held)
		require.Equal(t, 99, s.stock(t, other).Free())
	}
}

func TestStockComesBack(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	beans := s.stocked(t, "Beans", 2)
	back := func(why string) {
		require.Equal(t, 2, s.stock(t, beans).Free(), why)
		require.Zero(t, s.stock(t, beans).Taken, why)
	}

	a := s.bought(t, "", beans, 2)
	require.ErrorIs(t, s.checkout.Cancel(t.Context(), "sel_another", a.ID), checkout.ErrNotFound)
	require.NoError(t, s.checkout.Cancel(t.Context(), s.merchant, a.ID))
	back("the shop cancelled it")
	require.ErrorIs(t, s.checkout.Cancel(t.Context(), s.merchant, a.ID), checkout.ErrNotOpen)

	a = s.bought(t, "192.0.2.1", beans, 2)
	s.exec(t, `UPDATE attempts SET expires_at = created_at WHERE id = $1`, a.ID)
	for range 2 {
		require.NoError(t, s.checkout.Expire(t.Context(), a.ID))
	}
	back("its time was over")

	// A payment that is refused leaves the stock held: the purchase may be paid again.
	a = s.bought(t, "192.0.2.1", beans, 2)
	_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, newKey()))
	require.Error(t, err)
	require.Equal(t, checkout.Open, s.status(t, a.ID))
	require.Equal(t, 2, s.stock(t, beans).Held)
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM reservations WHERE unpaid_from = '192.0.2.1'`))
	require.NoError(t, s.checkout.Cancel(t.Context(), s.merchant, a.ID))
	all := s.events(t)
	released := 0
	for _, e := range all {
		if e.Type == webhook.ReservationReleased {
			released++
		}
	}
	require.Equal(t, 3, released)

	// A program's payment that is refused ends its purchase.
	s.link = s.newLink(t, s.merchant, shop.LinkForm{Items: []shop.Want{{Item: beans.ID, Qty: 1}}})
	_, err = s.checkout.PayLink(t.Context(), s.offer(t), s.answer(t, s.offer(t), newKey()), checkout.Request{})
	require.Error(t, err)
	back("it was not paid")
}

func TestUnpaidPurchasesCannotEmptyTheShelf(t *testing.T) {
	t.Parallel()

	t.Run("three at most for one buyer", func(t *testing.T) {
		t.Parallel()
		s := newShopWith(t, plan{quiet: true})
		beans := s.stocked(t, "Beans", 100)
		for range 3 {
			s.bought(t, "192.0.2.1", beans, 1)
		}
		_, err := s.buy(t, "192.0.2.1", beans, 1)
		require.ErrorIs(t, err, checkout.ErrTooManyUnpaid)
		s.bought(t, "192.0.2.2", beans, 1)
	})

	t.Run("half at most for all, but the first may take what it asks for", func(t *testing.T) {
		t.Parallel()
		s := newShopWith(t, plan{quiet: true})
		beans := s.stocked(t, "Beans", 10)
		all := s.bought(t, "a", beans, 10)
		_, err := s.buy(t, "b", beans, 1)
		require.ErrorIs(t, err, shop.ErrShort)
		require.NoError(t, s.checkout.Cancel(t.Context(), s.merchant, all.ID))
		s.bought(t, "a", beans, 2)
		s.bought(t, "b", beans, 3)
		_, err = s.buy(t, "c", beans, 1)
		require.ErrorIs(t, err, checkout.ErrTooManyUnpaid)
		s.bought(t, "", beans, 5)
		require.Zero(t, s.stock(t, beans).Free(), "tills and sellers' keys are exempt")
	})

	t.Run("a thousand strangers hold half", func(t *testing.T) {
		t.Parallel()
		s := newShopWith(t, plan{quiet: true})
		beans := s.stocked(t, "Beans", 40)
		var g errgroup.Group
		g.SetLimit(50)
		for i := range 1000 {
			g.Go(func() error {
				if _, err := s.buy(t, fmt.Sprintf("192.0.2.%d", i/4), beans, 1); err != nil {
					require.ErrorIs(t, err, checkout.ErrTooManyUnpaid)
				}
				return nil
			})
		}
		require.NoError(t, g.Wait())
		require.Equal(t, 20, s.stock(t, beans).Held)
		s.bought(t, "", beans, 20)
	})
}

func TestWhoPaysTakesWhatUnpaidPurchasesHold(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	beans, cup := s.stocked(t, "Beans", 4), s.stocked(t, "Cup", 1)
	s.link = s.newLink(t, s.merchant, shop.LinkForm{Items: []shop.Want{{Item: beans.ID, Qty: 1}}})
	offer := s.offer(t)
	oldest := s.bought(t, "192.0.2.1", beans, 1, cup, 1)
	s.clock.advance(time.Millisecond)
	newer := s.bought(t, "192.0.2.2", beans, 1)
	till := s.bought(t, "", beans, 2)
	require.Zero(t, s.stock(t, beans).Free())

	pay := func() error {
		_, err := s.checkout.PayLink(t.Context(), offer, s.answer(t, offer, newBuyer(t)), checkout.Request(randomHash()))
		return err
	}
	require.NoError(t, pay())
	require.Equal(t, checkout.Cancelled, s.status(t, oldest.ID))
	require.Equal(t, 1, s.stock(t, cup).Free(), "all that it held is free")
	require.Equal(t, checkout.Open, s.status(t, newer.ID))
	require.NoError(t, pay())
	require.Equal(t, checkout.Cancelled, s.status(t, newer.ID))
	require.ErrorIs(t, pay(), shop.ErrShort, "the till's customer stands at the counter")
	require.Equal(t, checkout.Open, s.status(t, till.ID))
	require.Equal(t, 2, s.stock(t, beans).Sold())
}

func TestLateMoneyTakesStockAnewOrIsListed(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	beans := s.stocked(t, "Beans", 2)
	// refused is a purchase of both whose payment is refused, and sent by somebody else after its end.
	refused := func() (checkout.Attempt, x402.Payment, id.Claim) {
		a := s.bought(t, "", beans, 2)
		payer := newKey()
		payment := s.sign(t, a, payer)
		_, err := s.checkout.Pay(t.Context(), a.ID, payment)
		requireInvalid(t, x402.Funds, err)
		require.NoError(t, world.dev().Mint(t.Context(), addressOf(payer), pocket))
		var claim id.Claim
		require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT id FROM claims WHERE attempt_id = $1`, a.ID).Scan(&claim))
		return a, payment, claim
	}
	first, payment, claim := refused()
	s.exec(t, `UPDATE attempts SET expires_at = created_at WHERE id = $1`, first.ID)
	require.NoError(t, s.checkout.Expire(t.Context(), first.ID))
	require.Equal(t, 2, s.stock(t, beans).Free())
	sendByStranger(t, transferCall(payment))
	require.NoError(t, s.checkout.Look(t.Context(), claim))
	require.Equal(t, checkout.SettledLate, s.status(t, first.ID))
	require.Equal(t, 2, s.stock(t, beans).Sold())
	sales, err := s.checkout.SalesOf(t.Context(), first.ID)
	require.NoError(t, err)
	require.NotEmpty(t, sales[0].ReservationID)
	listed, err := s.checkout.UnresolvedList(t.Context(), s.merchant, false, false, shop.Page{Limit: 10})
	require.NoError(t, err)
	require.Empty(t, listed)

	_, err = s.shop.AddStock(t.Context(), s.merchant, false, beans.ID, 2, ada)
	require.NoError(t, err)
	a, payment, claim := refused()
	require.NoError(t, s.checkout.Cancel(t.Context(), s.merchant, a.ID))
	s.bought(t, "", beans, 1)
	sendByStranger(t, transferCall(payment))
	require.NoError(t, s.checkout.Look(t.Context(), claim))
	require.Equal(t, checkout.SettledLate, s.status(t, a.ID))
	require.Equal(t, 1, s.stock(t, beans).Free(), "all of it, or nothing")
	listed, err = s.checkout.UnresolvedList(t.Context(), s.merchant, false, false, shop.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, listed, 1)
	require.Equal(t, a.ID, listed[0].Attempt)
	require.Equal(t, a.Amount, listed[0].Amount)
	require.Equal(t, "2 × Beans", listed[0].Title)
}

func TestAnotherPurchaseTakesThePlaceOfOne(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	muffin := s.stocked(t, "Muffin", 1)
	a := s.bought(t, "", muffin, 1)
	tipped := checkout.Begin{
		Items: []shop.Want{{Item: muffin.ID, Qty: 1}}, Merchant: s.merchant, Channel: "till", Choice: shop.Choice{Tip: money.One}, Replaces: a.ID,
	}
	b, err := s.checkout.Start(t.Context(), tipped)
	require.NoError(t, err)
	require.Equal(t, a.Amount+money.One, b.Amount)
	require.Equal(t, checkout.Cancelled, s.status(t, a.ID))
	require.Equal(t, 1, s.stock(t, muffin).Held)
	_, err = s.checkout.Start(t.Context(), tipped)
	require.ErrorIs(t, err, checkout.ErrNotOpen)
	tipped.Replaces, tipped.Items[0].Qty = b.ID, 2
	_, err = s.checkout.Start(t.Context(), tipped)
	require.ErrorIs(t, err, shop.ErrShort)
	require.Equal(t, checkout.Open, s.status(t, b.ID), "who is refused keeps what he has")
}

func TestStockIsNotSetBelowWhatIsHeld(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	beans := s.stocked(t, "Beans", 5)
	a := s.bought(t, "", beans, 3)
	set := func(stock int) error {
		_, err := s.shop.UpdateItem(t.Context(), s.merchant, false, beans.ID, func(f *shop.ItemForm) error { f.Stock = &stock; return nil }, ada)
		return err
	}
	var wrong *shop.FieldError
	require.ErrorAs(t, set(2), &wrong)
	require.Equal(t, "stock", wrong.Field)
	require.NoError(t, set(3))
	require.Zero(t, s.stock(t, beans).Free())
	_, err := s.checkout.Simulate(t.Context(), s.merchant, a.ID, checkout.Direct)
	require.NoError(t, err)
	require.Equal(t, 3, s.stock(t, beans).Sold())
	require.NoError(t, set(7))
	require.Equal(t, shop.Stock{Limited: true, Put: 10, Taken: 3}, s.stock(t, beans))
}

func TestOfLittleStockTheShopIsToldOnce(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	stock, low := 5, 3
	beans := s.item(t, shop.ItemForm{Title: "Beans", Stock: &stock, LowStock: &low})
	for range 4 {
		s.bought(t, "", beans, 1)
	}
	require.Equal(t, []webhook.Type{webhook.ItemLowStock}, typesOf(s.events(t), string(beans.ID)))
	_, err := s.shop.AddStock(t.Context(), s.merchant, false, beans.ID, 3, ada)
	require.NoError(t, err)
	s.bought(t, "", beans, 1)
	require.Len(t, typesOf(s.events(t), string(beans.ID)), 2)
	require.Equal(t, 2, s.count(t, `SELECT count(*) FROM notices WHERE kind = 'low_stock' AND link = '/dashboard/items/`+string(beans.ID)+`'`), "so does the bell")
}

func TestWhatIsFreeIsGivenAway(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{broke: true})
	stock := 1
	leaflet := s.item(t, shop.ItemForm{Title: "Leaflet", Pricing: shop.Free, Stock: &stock})
	a := s.bought(t, "192.0.2.1", leaflet, 1)
	require.Equal(t, checkout.Settled, a.Status)
	require.Equal(t, checkout.Settled, s.status(t, a.ID))
	require.Equal(t, 1, s.stock(t, leaflet).Sold())
	_, err := s.buy(t, "192.0.2.1", leaflet, 1)
	require.ErrorIs(t, err, shop.ErrShort)
	require.Equal(t, []webhook.Type{webhook.PaymentAttemptCreated, webhook.PaymentCompleted}, typesOf(s.events(t), string(a.ID)))
	require.Zero(t, s.count(t, `SELECT count(*) FROM settlements`)+s.count(t, `SELECT count(*) FROM entries`))
}

func TestOneKeyHoldsStockOnce(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	beans := s.stocked(t, "Beans", 3)
	begun := make([]checkout.Attempt, 20)
	var g errgroup.Group
	for i := range begun {
		g.Go(func() (err error) {
			begun[i], err = s.checkout.Start(t.Context(), checkout.Begin{Items: []shop.Want{{Item: beans.ID, Qty: 2}}, Merchant: s.merchant, Once: []byte("a key")})
			return err
		})
	}
	require.NoError(t, g.Wait())
	for _, a := range begun {
		require.Equal(t, begun[0].ID, a.ID)
	}
	require.Equal(t, 2, s.stock(t, beans).Held)
}
