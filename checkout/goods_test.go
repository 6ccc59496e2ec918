package checkout_test

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/audit"
	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
)

// book is a file on sale, and what stands in it.
func (s *testShop) book(t *testing.T, content string) shop.Item {
	t.Helper()
	u, err := s.shop.UploadFile(t.Context(), s.merchant, "book.pdf", strings.NewReader(content), ada)
	require.NoError(t, err)
	return s.item(t, shop.ItemForm{Title: "Book", Kind: shop.File, File: u.ID})
}

// game is an item with these keys.
func (s *testShop) game(t *testing.T, keys ...string) shop.Item {
	t.Helper()
	i := s.item(t, shop.ItemForm{Title: "Game", Kind: shop.LicenceKey, Price: money.One})
	i, _, err := s.shop.ImportKeys(t.Context(), s.merchant, false, i.ID, keys, ada)
	require.NoError(t, err)
	return i
}

func (s *testShop) goods(t *testing.T, a id.Attempt) []checkout.Goods {
	t.Helper()
	goods, err := s.checkout.Goods(t.Context(), s.purchase(t, a))
	require.NoError(t, err)
	return goods
}

func TestGoodsReachTheirBuyerAndNobodyElse(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	const content = "%PDF-1.7 a whole book"
	book, game := s.book(t, content), s.game(t, "KEY-1", "KEY-2", "KEY-3")
	a := s.bought(t, "192.0.2.1", book, 1, game, 2)
	k := s.checkout.BuyerToken(t.Context(), a)
	require.Empty(t, s.goods(t, a.ID), "before it is paid")
	_, _, err := s.checkout.Download(t.Context(), a.ID, 0, k, false)
	require.ErrorIs(t, err, checkout.ErrNotFound)
	_, err = s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)

	goods := s.goods(t, a.ID)
	require.Len(t, goods, 2)
	require.Equal(t, "book.pdf", goods[0].File.Name)
	require.Equal(t, []string{"KEY-1", "KEY-2"}, goods[1].Keys)
	for range 2 {
		_, r, err := s.checkout.Download(t.Context(), a.ID, 0, k, false)
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, content, string(got))
	}
	_, _, err = s.checkout.Download(t.Context(), a.ID, 0, k, true)
	require.NoError(t, err)
	require.Equal(t, 2, s.goods(t, a.ID)[0].Times, "one that goes on is the same one")

	other := s.bought(t, "192.0.2.1", game, 1)
	for _, wrong := range []string{"", "x", s.checkout.BuyerToken(t.Context(), other), k + "x"} {
		_, _, err = s.checkout.Download(t.Context(), a.ID, 0, wrong, false)
		require.ErrorIs(t, err, checkout.ErrNotFound)
	}
	for _, line := range []int{-1, 1, 2, 1 << 20} {
		_, _, err = s.checkout.Download(t.Context(), a.ID, line, k, false)
		require.ErrorIs(t, err, checkout.ErrNotFound)
	}

	// What was bought is what is fetched, whatever becomes of the item.
	newer, err := s.shop.UploadFile(t.Context(), s.merchant, "newer.pdf", strings.NewReader("another"), ada)
	require.NoError(t, err)
	_, err = s.shop.UpdateItem(t.Context(), s.merchant, false, book.ID, func(f *shop.ItemForm) error { f.File = newer.ID; return nil }, ada)
	require.NoError(t, err)
	require.Equal(t, "book.pdf", s.goods(t, a.ID)[0].File.Name)

	s.exec(t, `UPDATE attempts SET buyer_token_hash = NULL WHERE id = $1`, a.ID) // revoked
	_, _, err = s.checkout.Download(t.Context(), a.ID, 0, k, false)
	require.ErrorIs(t, err, checkout.ErrNotFound)
}

func TestAKeyIsGivenToOneBuyer(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	game := s.game(t, "A", "B", "C", "D", "E", "F")
	given := make([][]string, 12)
	var g errgroup.Group
	for i := range given {
		g.Go(func() error {
			a, err := s.buy(t, "", game, 1)
			if err != nil {
				require.ErrorIs(t, err, shop.ErrShort, "no key is offered that nobody can have")
				return nil
			}
			if _, err := s.checkout.Simulate(t.Context(), s.merchant, a.ID, checkout.Direct); err != nil {
				return err
			}
			given[i] = s.goods(t, a.ID)[0].Keys
			return nil
		})
	}
	require.NoError(t, g.Wait())
	var all []string
	for _, keys := range given {
		all = append(all, keys...)
	}
	require.ElementsMatch(t, []string{"A", "B", "C", "D", "E", "F"}, all)
}

func TestTheListIsEmptyBetweenOfferAndPayment(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	game := s.game(t, "ONLY")
	s.link = s.newLink(t, s.merchant, shop.LinkForm{Items: []shop.Want{{Item: game.ID, Qty: 1}}})
	offer := s.offer(t)
	payment := s.answer(t, offer, s.buyer)
	s.bought(t, "", game, 1)
	_, err := s.checkout.PayLink(t.Context(), offer, payment, checkout.Request{})
	require.ErrorIs(t, err, shop.ErrShort)
	require.Equal(t, pocket, balanceOf(t, addressOf(s.buyer)), "nobody pays for a key that he does not get")
}

func TestOrdersAreSent(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	beans, service := s.stocked(t, "Beans", 9), s.item(t, shop.ItemForm{Title: "Repair", Kind: shop.Served})
	address := &checkout.Address{Name: "Ada", Line1: "Street 1", PostalCode: "1000", City: "Oslo", Country: "no"}
	a, err := s.checkout.Start(t.Context(), checkout.Begin{
		Items: []shop.Want{{Item: beans.ID, Qty: 2}, {Item: service.ID, Qty: 1}}, Channel: "storefront", From: "192.0.2.1",
		Buyer: checkout.Buyer{Name: "Ada", Shipping: address},
	})
	require.NoError(t, err)
	for _, attempt := range []id.Attempt{a.ID, s.bought(t, "", beans, 1).ID} {
		_, err = s.checkout.Simulate(t.Context(), s.merchant, attempt, checkout.Direct)
		require.NoError(t, err)
	}
	list := func(sent bool) []checkout.Order {
		orders, err := s.checkout.Orders(t.Context(), s.merchant, false, sent, shop.Page{Limit: 10})
		require.NoError(t, err)
		return orders
	}
	waiting := list(false)
	require.Len(t, waiting, 1, "what is bought at the counter is handed over, and a service is not sent")
	require.Equal(t, "NO", waiting[0].Buyer.Shipping.Country)
	sale := waiting[0].ID

	_, err = s.checkout.Fulfil(t.Context(), "sel_another", false, sale, "", ada)
	require.ErrorIs(t, err, checkout.ErrNotFound)
	_, err = s.checkout.Fulfil(t.Context(), s.merchant, true, sale, "", ada)
	require.ErrorIs(t, err, checkout.ErrNotFound)
	sent, err := s.checkout.Fulfil(t.Context(), s.merchant, false, sale, "Parcel 7", ada)
	require.NoError(t, err)
	require.Equal(t, "fulfilled", sent.Fulfilment)
	told, ok, err := s.checkout.Shipment(t.Context(), s.purchase(t, a.ID))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, []string{"Parcel 7"}, told.Notes)
	require.False(t, told.SentAt.IsZero())
	require.Equal(t, "Street 1", told.Buyer.Shipping.Line1)
	again, err := s.checkout.Fulfil(t.Context(), s.merchant, false, sale, "Parcel 8", audit.By{Actor: "Bob"})
	require.NoError(t, err)
	require.Equal(t, "Parcel 7", again.FulfilmentNote, "what was sent stays sent as it was")
	require.Empty(t, list(false))
	require.Equal(t, "Ada", list(true)[0].FulfilledBy)
	_, err = s.checkout.Unfulfil(t.Context(), s.merchant, false, sale, ada)
	require.NoError(t, err)
	require.Len(t, list(false), 1)
	told, _, err = s.checkout.Shipment(t.Context(), s.purchase(t, a.ID))
	require.NoError(t, err)
	require.True(t, told.SentAt.IsZero())
	_, err = s.checkout.Fulfil(t.Context(), s.merchant, false, sale, "a\nb", ada)
	var wrong *shop.FieldError
	require.ErrorAs(t, err, &wrong)

	rows, err := audit.List(t.Context(), s.pool, s.merchant, audit.Filter{Resource: string(sale)}, audit.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, rows, 2, "what changes nothing is not recorded")
	slices.SortFunc(rows, func(a, b audit.Entry) int { return a.At.Compare(b.At) }) // ids of one millisecond have no order
	require.Equal(t, []string{"order.sent", "order.reopened"}, []string{rows[0].Action, rows[1].Action})
	require.Equal(t, ada, rows[0].By)
	require.JSONEq(t, `{"fulfilment": "fulfilled", "note": "Parcel 7"}`, string(rows[0].After))
}

func (s *testShop) purchase(t *testing.T, attempt id.Attempt) checkout.Purchase {
	t.Helper()
	p, err := s.checkout.Purchase(t.Context(), attempt)
	require.NoError(t, err)
	return p
}
