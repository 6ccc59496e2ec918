package shop_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
)

var beans = shop.ItemForm{Title: "Coffee beans, 250 g", Kind: shop.Physical, Price: 12 * money.One}

func beansWith(change func(*shop.ItemForm)) shop.ItemForm {
	f := beans
	change(&f)
	return f
}

func (c counter) item(t *testing.T, f shop.ItemForm) shop.Item {
	t.Helper()
	item, err := c.CreateItem(t.Context(), c.merchant, false, f, ada)
	require.NoError(t, err)
	return item
}

func n(v int) *int { return &v }

// wrongField wants a form to be refused for this field.
func wrongField(t *testing.T, field string, err error) {
	t.Helper()
	var wrong *shop.FieldError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, field, wrong.Field)
}

func TestAnItemIsWhatItsFormSays(t *testing.T) {
	t.Parallel()
	c := open(t)
	paper := c.item(t, shop.ItemForm{
		Title: "  The Lighthouse Ledger ", Description: "A novel.\nIn two parts.", Price: 1, SKU: "LL-1", Barcode: "9780000000001", Category: "Novels",
		Edition: "Paperback", Stock: n(7), LowStock: n(2),
	})
	require.Equal(t, "The Lighthouse Ledger", paper.Title)
	require.Equal(t, shop.Physical, paper.Kind)
	require.Equal(t, shop.Fixed, paper.Pricing)
	require.Equal(t, money.USDC(1), paper.Price, "less than a cent")
	require.Equal(t, shop.Stock{Limited: true, Put: 7}, paper.Stock)
	require.Equal(t, 7, paper.Stock.Free())
	live, err := c.Item(t.Context(), c.merchant, true, paper.ID)
	require.NoError(t, err)
	require.Equal(t, 7, live.Stock.OnHand(), "test and live begin alike")

	file, err := c.UploadFile(t.Context(), c.merchant, "ledger.pdf", strings.NewReader("%PDF-1.7 a book"), ada)
	require.NoError(t, err)
	pdf := c.item(t, shop.ItemForm{Title: paper.Title, Kind: shop.File, File: file.ID, Price: money.One, EditionOf: paper.ID, Edition: "PDF"})
	require.False(t, pdf.Stock.Limited)
	for _, of := range []shop.Item{paper, pdf} {
		editions, err := c.Editions(t.Context(), false, of)
		require.NoError(t, err)
		require.Len(t, editions, 2)
	}

	free := c.item(t, shop.ItemForm{Title: "Leaflet", Kind: shop.Served, Pricing: shop.Free})
	require.Zero(t, free.Price)
	_, err = c.Item(t.Context(), "sel_another", false, paper.ID)
	require.ErrorIs(t, err, shop.ErrNotFound)
}

func TestWhatAnItemCannotBeIsNamed(t *testing.T) {
	t.Parallel()
	c := open(t)
	stranger := c.found(t, "stranger")
	theirs, err := c.UploadImage(t.Context(), stranger, "x.png", bytes.NewReader(aPicture(t, 4, 4)), ada)
	require.NoError(t, err)
	file, err := c.UploadFile(t.Context(), c.merchant, "a.txt", strings.NewReader("text"), ada)
	require.NoError(t, err)
	c.item(t, beansWith(func(f *shop.ItemForm) { f.SKU, f.Barcode = "B-1", "400" }))
	edition := c.item(t, beansWith(func(f *shop.ItemForm) { f.EditionOf = c.item(t, beans).ID }))
	key := c.item(t, shop.ItemForm{Title: "A game", Kind: shop.LicenceKey, Price: 1})
	for name, wrong := range map[string]struct {
		field  string
		change func(*shop.ItemForm)
	}{
		"no title":                  {"title", func(f *shop.ItemForm) { f.Title = "  " }},
		"a title of 10,000 letters": {"title", func(f *shop.ItemForm) { f.Title = strings.Repeat("a", 10_000) }},
		"a title that turns lines":  {"title", func(f *shop.ItemForm) { f.Title = "free \u202eecirp" }},
		"a title of two lines":      {"title", func(f *shop.ItemForm) { f.Title = "a\nb" }},
		"an unknown kind":           {"kind", func(f *shop.ItemForm) { f.Kind = "subscription" }},
		"an unknown pricing":        {"pricing", func(f *shop.ItemForm) { f.Pricing = "auction" }},
		"no price":                  {"price", func(f *shop.ItemForm) { f.Price = 0 }},
		"a negative price":          {"price", func(f *shop.ItemForm) { f.Price = -1 }},
		"a price for what is free":  {"price", func(f *shop.ItemForm) { f.Pricing = shop.Free }},
		"an absurd price":           {"price", func(f *shop.ItemForm) { f.Price = 10_000_000*money.One + 1 }},
		"a negative stock":          {"stock", func(f *shop.ItemForm) { f.Stock = n(-1) }},
		"an absurd stock":           {"stock", func(f *shop.ItemForm) { f.Stock = n(1_000_000_000) }},
		"a SKU that is another's":   {"sku", func(f *shop.ItemForm) { f.SKU = "B-1" }},
		"another's barcode":         {"barcode", func(f *shop.ItemForm) { f.Barcode = "400" }},
		"another shop's picture":    {"image", func(f *shop.ItemForm) { f.Image = theirs.ID }},
		"a file for a picture":      {"image", func(f *shop.ItemForm) { f.Image = file.ID }},
		"a picture that is not":     {"image", func(f *shop.ItemForm) { f.Image = id.New[id.Upload](c.now()) }},
		"a file without a file":     {"file", func(f *shop.ItemForm) { f.Kind = shop.File }},
		"a file for beans":          {"file", func(f *shop.ItemForm) { f.File = file.ID }},
		"an edition of an edition":  {"edition_of", func(f *shop.ItemForm) { f.EditionOf = edition.ID }},
		"an edition of nothing":     {"edition_of", func(f *shop.ItemForm) { f.EditionOf = id.New[id.Item](c.now()) }},
		"counted keys":              {"stock", func(f *shop.ItemForm) { f.Kind, f.Stock = shop.LicenceKey, n(3) }},
	} {
		_, err := c.CreateItem(t.Context(), c.merchant, false, beansWith(wrong.change), ada)
		var field *shop.FieldError
		require.ErrorAs(t, err, &field, name)
		require.Equal(t, wrong.field, field.Field, name)
	}
	_, err = c.UpdateItem(t.Context(), c.merchant, false, key.ID, func(f *shop.ItemForm) error { f.Kind = shop.Physical; return nil }, ada)
	wrongField(t, "kind", err)
	_, err = c.UpdateItem(t.Context(), stranger, false, key.ID, func(*shop.ItemForm) error { return nil }, ada)
	require.ErrorIs(t, err, shop.ErrNotFound)
	_, err = c.ArchiveItem(t.Context(), stranger, false, key.ID, true, ada)
	require.ErrorIs(t, err, shop.ErrNotFound)
	title := c.item(t, beansWith(func(f *shop.ItemForm) { f.Title = `<b>Bøger & “kaffe”</b> 🍮 ' OR 1=1` }))
	require.Equal(t, `<b>Bøger & “kaffe”</b> 🍮 ' OR 1=1`, title.Title, "a text is a text")
}

func TestOneKeyMakesOneItem(t *testing.T) {
	t.Parallel()
	c := open(t)
	made := make([]shop.Item, 8)
	var g errgroup.Group
	for i := range made {
		g.Go(func() (err error) {
			made[i], err = c.CreateItem(t.Context(), c.merchant, false, beansWith(func(f *shop.ItemForm) { f.Once, f.SKU, f.Stock = []byte("once"), "S", n(5) }), ada)
			return err
		})
	}
	require.NoError(t, g.Wait())
	for _, i := range made {
		require.Equal(t, made[0].ID, i.ID)
		require.Equal(t, 5, i.Stock.Put)
	}
}

func TestStockIsCountedByMode(t *testing.T) {
	t.Parallel()
	c := open(t)
	item := c.item(t, beansWith(func(f *shop.ItemForm) { f.Stock = n(5) }))
	set := func(live bool, stock *int) (shop.Item, error) {
		return c.UpdateItem(t.Context(), c.merchant, live, item.ID, func(f *shop.ItemForm) error { f.Stock = stock; return nil }, ada)
	}
	test, err := set(false, n(9))
	require.NoError(t, err)
	require.Equal(t, 9, test.Stock.Free())
	live, err := c.Item(t.Context(), c.merchant, true, item.ID)
	require.NoError(t, err)
	require.Equal(t, 5, live.Stock.Free())

	more, err := c.AddStock(t.Context(), c.merchant, true, item.ID, 3, ada)
	require.NoError(t, err)
	require.Equal(t, 8, more.Stock.Free())
	_, err = c.AddStock(t.Context(), c.merchant, true, item.ID, -9, ada)
	wrongField(t, "stock", err)
	_, err = c.AddStock(t.Context(), c.merchant, true, item.ID, 1<<40, ada)
	wrongField(t, "stock", err)

	endless, err := set(true, nil)
	require.NoError(t, err)
	require.False(t, endless.Stock.Limited)
	again, err := set(true, n(2))
	require.NoError(t, err)
	require.Equal(t, 2, again.Stock.Free())
	none, err := set(true, n(0))
	require.NoError(t, err)
	require.ErrorIs(t, none.Open(), shop.ErrShort)
}

func TestAnArchivedItemGivesItsNamesBack(t *testing.T) {
	t.Parallel()
	c := open(t)
	named := beansWith(func(f *shop.ItemForm) { f.SKU = "S-1" })
	old := c.item(t, named)
	archived, err := c.ArchiveItem(t.Context(), c.merchant, false, old.ID, true, ada)
	require.NoError(t, err)
	require.ErrorIs(t, archived.Open(), shop.ErrNotFound)
	c.item(t, named)
	_, err = c.ArchiveItem(t.Context(), c.merchant, false, old.ID, false, ada)
	wrongField(t, "sku", err)
	_, err = c.UpdateItem(t.Context(), c.merchant, false, old.ID, func(f *shop.ItemForm) error { f.SKU = "S-2"; return nil }, ada)
	require.NoError(t, err)
	back, err := c.ArchiveItem(t.Context(), c.merchant, false, old.ID, false, ada)
	require.NoError(t, err)
	require.NoError(t, back.Open())
}

func TestItemsAreListedAndFound(t *testing.T) {
	t.Parallel()
	c := open(t)
	var all []shop.Item
	for i := range 7 {
		all = append(all, c.item(t, beansWith(func(f *shop.ItemForm) {
			f.Title, f.SKU, f.Barcode, f.Category = fmt.Sprintf("Bean %c 100%%", 'G'-i), fmt.Sprintf("B-%d", i), fmt.Sprintf("40%d", i), []string{"Dark", "Light"}[i%2]
		})))
	}
	list := func(f shop.ItemFilter, p shop.Page) (titles []string) {
		items, err := c.Items(t.Context(), c.merchant, false, f, p)
		require.NoError(t, err)
		for _, i := range items {
			titles = append(titles, i.Title)
		}
		return titles
	}
	require.Len(t, list(shop.ItemFilter{}, shop.Page{Limit: 3}), 4, "one more shows that there are more")
	// Two that were made in the same millisecond stand in either order, and stay in it.
	slices.SortFunc(all, func(a, b shop.Item) int { return strings.Compare(string(b.ID), string(a.ID)) })
	require.Equal(t, []string{all[3].Title, all[4].Title, all[5].Title}, list(shop.ItemFilter{}, shop.Page{Limit: 2, Before: string(all[2].ID)}))
	require.Equal(t, []string{all[0].Title, all[1].Title}, list(shop.ItemFilter{}, shop.Page{Limit: 2, After: string(all[2].ID)}))
	require.Equal(t, []string{"Bean E 100%"}, list(shop.ItemFilter{SKU: "B-2"}, shop.Page{Limit: 9}))
	require.Equal(t, []string{"Bean E 100%"}, list(shop.ItemFilter{SKU: "402"}, shop.Page{Limit: 9}))
	require.Len(t, list(shop.ItemFilter{Search: "bean"}, shop.Page{Limit: 9}), 7)
	require.Empty(t, list(shop.ItemFilter{Search: "b_an"}, shop.Page{Limit: 9}), "a sign stands for itself")
	require.Len(t, list(shop.ItemFilter{Search: "100%"}, shop.Page{Limit: 9}), 7)
	require.Len(t, list(shop.ItemFilter{Category: "Dark"}, shop.Page{Limit: 9}), 4)

	shelf, err := c.Shelf(t.Context(), c.merchant, false, "", "", 1, 2)
	require.NoError(t, err)
	require.Equal(t, "Bean B 100%", shelf[0].Title)
	require.Len(t, shelf, 3)
	categories, err := c.Categories(t.Context(), c.merchant)
	require.NoError(t, err)
	require.Equal(t, []shop.Category{{Name: "Dark", Items: 4}, {Name: "Light", Items: 3}}, categories)
}

func TestKeysAreTheStockOfTheirItem(t *testing.T) {
	t.Parallel()
	c := open(t)
	game := c.item(t, shop.ItemForm{Title: "A game", Kind: shop.LicenceKey, Price: money.One})
	require.ErrorIs(t, game.Open(), shop.ErrShort)
	filled, added, err := c.ImportKeys(t.Context(), c.merchant, false, game.ID, []string{"AAA", " BBB ", "", "AAA"}, ada)
	require.NoError(t, err)
	require.Equal(t, 2, added)
	require.Equal(t, 2, filled.Stock.Free())
	filled, added, err = c.ImportKeys(t.Context(), c.merchant, false, game.ID, []string{"BBB", "CCC"}, ada)
	require.NoError(t, err)
	require.Equal(t, 1, added)
	require.Equal(t, 3, filled.Stock.Free())
	live, err := c.Item(t.Context(), c.merchant, true, game.ID)
	require.NoError(t, err)
	require.ErrorIs(t, live.Open(), shop.ErrShort, "each mode has its own list")
	_, err = c.AddStock(t.Context(), c.merchant, false, game.ID, 1, ada)
	wrongField(t, "stock", err)
	_, err = c.UpdateItem(t.Context(), c.merchant, false, game.ID, func(f *shop.ItemForm) error { f.Stock = n(50); return nil }, ada)
	wrongField(t, "stock", err)
	for _, keys := range [][]string{nil, {" "}, {"a\x00b"}, {strings.Repeat("k", 501)}, make([]string, 10_001)} {
		_, _, err = c.ImportKeys(t.Context(), c.merchant, false, game.ID, keys, ada)
		wrongField(t, "keys", err)
	}
	_, _, err = c.ImportKeys(t.Context(), c.merchant, false, c.item(t, beans).ID, []string{"A"}, ada)
	wrongField(t, "id", err)
}

func TestALinkOffersItemsAsTheyAre(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.pays(t, c.merchant, sepolia, common.HexToAddress("0x70997970C51812dc3A010C7d01b50e0d17dc79C8"), true)
	bag, cup := c.item(t, beansWith(func(f *shop.ItemForm) { f.Stock = n(3) })), c.item(t, shop.ItemForm{Title: "Cup", Price: 4 * money.One, Edition: "blue"})
	link := c.create(t, shop.LinkForm{Items: []shop.Want{{Item: bag.ID, Qty: 2}, {Item: cup.ID, Qty: 1}}})
	require.Equal(t, "Coffee beans, 250 g and 1 more", link.Title)
	require.Equal(t, 28*money.One, link.Price)
	offer, err := c.Offer(t.Context(), link.Token)
	require.NoError(t, err)
	require.NoError(t, offer.Link.Open(c.now()))
	require.Equal(t, []shop.Line{
		{ItemID: string(bag.ID), Title: bag.Title, Kind: shop.Physical, Qty: 2, UnitAmount: 12 * money.One, Limited: true},
		{ItemID: string(cup.ID), Title: "Cup, blue", Kind: shop.Physical, Qty: 1, UnitAmount: 4 * money.One},
	}, offer.Lines)
	require.True(t, offer.Ships())

	set := func(item id.Item, change func(*shop.ItemForm)) {
		_, err := c.UpdateItem(t.Context(), c.merchant, false, item, func(f *shop.ItemForm) error { change(f); return nil }, ada)
		require.NoError(t, err)
	}
	set(bag.ID, func(f *shop.ItemForm) { f.Price = 10 * money.One })
	c.offset.Add(int64(time.Minute))
	set(cup.ID, func(f *shop.ItemForm) { f.Price = 5 * money.One })
	offer, err = c.Offer(t.Context(), link.Token)
	require.NoError(t, err)
	require.Equal(t, 25*money.One, offer.Amount)
	for amount, honoured := range map[money.USDC]bool{25: true, 24: true, 28: true, 29: false, 20: false} {
		then, ok, err := c.Honours(t.Context(), offer, amount*money.One)
		require.NoError(t, err)
		require.Equal(t, honoured, ok, "%d", amount)
		require.Equal(t, honoured, then.Amount == amount*money.One, "lines and amount go together")
	}
	c.offset.Add(int64(shop.OfferTime))
	_, ok, err := c.Honours(t.Context(), offer, 24*money.One)
	require.NoError(t, err)
	require.False(t, ok)

	set(bag.ID, func(f *shop.ItemForm) { f.Stock = n(1) })
	offer, err = c.Offer(t.Context(), link.Token)
	require.NoError(t, err)
	require.ErrorIs(t, offer.Link.Open(c.now()), shop.ErrSoldOut)
	_, err = c.UpdateLink(t.Context(), c.merchant, link.ID, func(f *shop.LinkForm) error { f.Items = f.Items[1:]; return nil }, ada)
	require.NoError(t, err)
	offer, err = c.Offer(t.Context(), link.Token)
	require.NoError(t, err)
	require.NoError(t, offer.Link.Open(c.now()))
	require.Len(t, offer.Lines, 1)
	_, err = c.ArchiveItem(t.Context(), c.merchant, false, cup.ID, true, ada)
	require.NoError(t, err)
	offer, err = c.Offer(t.Context(), link.Token)
	require.NoError(t, err)
	require.ErrorIs(t, offer.Link.Open(c.now()), shop.ErrSoldOut)
}

func TestWhatABuyerMayChoose(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.pays(t, c.merchant, sepolia, common.HexToAddress("0x70997970C51812dc3A010C7d01b50e0d17dc79C8"), true)
	offer := func(f shop.LinkForm) shop.Offer {
		o, err := c.Offer(t.Context(), c.create(t, f).Token)
		require.NoError(t, err)
		return o
	}
	item := func(p shop.Pricing, price money.USDC) shop.Offer {
		return offer(shop.LinkForm{Items: []shop.Want{{Item: c.item(t, shop.ItemForm{Title: "X", Pricing: p, Price: price}).ID, Qty: 1}}})
	}
	tips := offer(shop.LinkForm{Title: "Tips", Open: &shop.OpenAmount{Min: money.One, Presets: []money.USDC{3 * money.One, 5 * money.One}}})
	require.Equal(t, 3*money.One, tips.Amount)
	require.Equal(t, money.One/100, offer(shop.LinkForm{Title: "Gift", Open: &shop.OpenAmount{}}).Amount)
	for name, want := range map[string]struct {
		offer  shop.Offer
		choice shop.Choice
		amount money.USDC
		field  string
	}{
		"a fixed price":                 {offer(coffee), shop.Choice{}, coffee.Price, ""},
		"the price itself":              {offer(coffee), shop.Choice{Amount: coffee.Price}, coffee.Price, ""},
		"another price":                 {offer(coffee), shop.Choice{Amount: 1}, 0, "amount"},
		"two of a limited place":        {offer(coffee), shop.Choice{Qty: 2}, 0, "qty"},
		"none":                          {offer(coffee), shop.Choice{Qty: -1}, 0, "qty"},
		"a tip":                         {offer(coffee), shop.Choice{Tip: money.One}, coffee.Price + money.One, ""},
		"a negative tip":                {offer(coffee), shop.Choice{Tip: -1}, 0, "tip"},
		"a discount":                    {offer(coffee), shop.Choice{Discount: money.One, DiscountTitle: "Regulars"}, coffee.Price - money.One, ""},
		"a discount to nothing":         {offer(coffee), shop.Choice{Discount: coffee.Price}, 0, ""},
		"a discount beyond the price":   {offer(coffee), shop.Choice{Discount: coffee.Price + 1}, 0, "discount"},
		"an open amount":                {tips, shop.Choice{Amount: 7 * money.One}, 7 * money.One, ""},
		"less than the least":           {tips, shop.Choice{Amount: money.One - 1}, 0, "amount"},
		"beyond all measure":            {tips, shop.Choice{Amount: 1 << 60}, 0, "amount"},
		"two of an item":                {item(shop.Fixed, 2*money.One), shop.Choice{Qty: 2}, 4 * money.One, ""},
		"a thousand million of an item": {item(shop.Fixed, 1), shop.Choice{Qty: 1_000_000_000}, 0, "qty"},
		"more than there can be":        {item(shop.Fixed, 9_000_000*money.One), shop.Choice{Qty: 2}, 0, "qty"},
		"more than the minimum":         {item(shop.Minimum, money.One), shop.Choice{Amount: 2 * money.One, Qty: 3}, 6 * money.One, ""},
		"less than the minimum":         {item(shop.Minimum, money.One), shop.Choice{Amount: money.One / 2}, 0, "amount"},
		"any price":                     {item(shop.Any, 0), shop.Choice{Amount: 5}, 5, ""},
		"what is suggested":             {item(shop.Any, 9), shop.Choice{}, 9, ""},
		"something for a free thing":    {item(shop.Free, 0), shop.Choice{Amount: 5}, 0, "amount"},
	} {
		chosen, err := want.offer.Choose(want.choice)
		if want.field != "" {
			var wrong *shop.FieldError
			require.ErrorAs(t, err, &wrong, name)
			require.Equal(t, want.field, wrong.Field, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, want.amount, chosen.Amount, name)
	}
}

func TestPicturesAreMadeAnew(t *testing.T) {
	t.Parallel()
	c := open(t)
	u, err := c.UploadImage(t.Context(), c.merchant, `..\..\etc/Wide photo.JPG`, bytes.NewReader(withExif(t, aJPEG(t, 2000, 1000), 6)), ada)
	require.NoError(t, err)
	require.Equal(t, "Wide photo.JPG", u.Name)
	require.Equal(t, "image/jpeg", u.ContentType)
	require.Equal(t, []int{600, 1200}, []int{u.Width, u.Height}, "it is turned as it was held, and made smaller")
	for inSmall, want := range map[bool][]int{false: {600, 1200}, true: {160, 320}} {
		_, content, err := c.Picture(t.Context(), u.ID, inSmall)
		require.NoError(t, err)
		config, format, err := image.DecodeConfig(bytes.NewReader(content))
		require.NoError(t, err)
		require.Equal(t, "jpeg", format)
		require.Equal(t, want, []int{config.Width, config.Height})
		require.NotContains(t, string(content), "Exif", "where it was taken stays with who took it")
	}
	again, err := c.UploadImage(t.Context(), c.merchant, `Wide photo.JPG`, bytes.NewReader(withExif(t, aJPEG(t, 2000, 1000), 6)), ada)
	require.NoError(t, err)
	require.Equal(t, u.ID, again.ID)

	glass, err := c.UploadImage(t.Context(), c.merchant, "glass.png", bytes.NewReader(aPicture(t, 10, 10)), ada)
	require.NoError(t, err)
	require.Equal(t, "image/png", glass.ContentType, "what can be seen through stays so")
}

func TestWhatIsNoPictureIsRefused(t *testing.T) {
	t.Parallel()
	c := open(t)
	for name, sent := range map[string][]byte{
		"nothing": nil, "a script": []byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`),
		"a page": []byte("<html>"), "half a picture": aJPEG(t, 100, 100)[:200], "a bomb": bomb(60_000, 60_000), "a long bomb": bomb(1<<31-1, 1),
	} {
		_, err := c.UploadImage(t.Context(), c.merchant, "x.png", bytes.NewReader(sent), ada)
		var wrong *shop.FieldError
		require.ErrorAs(t, err, &wrong, name)
	}
	_, err := c.UploadImage(t.Context(), c.merchant, "x.png", io.LimitReader(endless{}, 40<<20), ada)
	require.ErrorIs(t, err, shop.ErrTooLarge)
}

func TestFilesAreReadFromAnywhere(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := make([]byte, 700_000)
	for i := range content {
		content[i] = byte(i * 7 >> 3)
	}
	u, err := c.UploadFile(t.Context(), c.merchant, "book.pdf", bytes.NewReader(content), ada)
	require.NoError(t, err)
	require.EqualValues(t, len(content), u.Size)
	r := c.FileReader(t.Context(), u)
	whole, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, content, whole)
	_, err = r.Seek(-300_001, io.SeekEnd)
	require.NoError(t, err)
	rest, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, content[len(content)-300_001:], rest)
	again, err := c.UploadFile(t.Context(), c.merchant, "book.pdf", bytes.NewReader(content), ada)
	require.NoError(t, err)
	require.Equal(t, u.ID, again.ID)
	_, _, err = c.Picture(t.Context(), u.ID, false)
	require.ErrorIs(t, err, shop.ErrNotFound, "a file is for who bought it")

	_, err = c.UploadFile(t.Context(), c.merchant, "gone.pdf", io.MultiReader(bytes.NewReader(content), broken{}), ada)
	require.ErrorIs(t, err, errBroken)
	_, err = c.UploadFile(t.Context(), c.merchant, "empty.pdf", strings.NewReader(""), ada)
	wrongField(t, "file", err)
	var left int
	require.NoError(t, c.pool.QueryRow(context.Background(), `SELECT count(*) FROM upload_pieces`).Scan(&left))
	require.Equal(t, 3, left, "what broke off leaves nothing behind")
}

// endless is a stream of zeros.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

var errBroken = errors.New("the line is broken")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func aPicture(t *testing.T, w, h int) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	img.Set(1, 1, color.NRGBA{200, 10, 10, 128})
	var out bytes.Buffer
	require.NoError(t, png.Encode(&out, img))
	return out.Bytes()
}

func aJPEG(t *testing.T, w, h int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = byte(i>>4) | 0x80
		if i%4 == 3 {
			img.Pix[i] = 0xff
		}
	}
	var out bytes.Buffer
	require.NoError(t, jpeg.Encode(&out, img, nil))
	return out.Bytes()
}

// withExif puts the tag for how a camera was held into a JPEG.
func withExif(t *testing.T, file []byte, turn byte) []byte {
	t.Helper()
	exif := append([]byte("Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00"), turn, 0, 0, 0, 0, 0, 0)
	segment := append([]byte{0xff, 0xe1, 0, byte(len(exif) + 2)}, exif...)
	return append(append(append([]byte{}, file[:2]...), segment...), file[2:]...)
}

// bomb is the beginning of a PNG that says how large it is.
func bomb(w, h uint32) []byte {
	var header bytes.Buffer
	header.WriteString("IHDR")
	_ = binary.Write(&header, binary.BigEndian, []uint32{w, h})
	header.Write([]byte{8, 6, 0, 0, 0})
	out := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), header.Bytes()...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(header.Bytes()))
}
