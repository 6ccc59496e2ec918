package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"xsynesis/audit"
	"xsynesis/cmd/wire"
	"xsynesis/id"
	"xsynesis/shop"
)

// demoItem is something on the shelf of a demo shop.
type demoItem struct {
	shop.ItemForm
	picture   drawing
	file      string // what buyers of a file read in it
	keys      int    // how many licence keys there are of it
	editionOf string // the SKU of another form of the same title, which stands before it
}

var cafeShelf = []demoItem{
	{ItemForm: shop.ItemForm{Title: "Flat white", Description: "A double shot and warm milk.", Kind: shop.Served, Price: 5 * cent, Category: "Coffee", SKU: "FW"},
		picture: cup(0xc8d8d2, 0xb98a5e, disc(0xf0dcc2, 50, 54, 24), disc(0xb98a5e, 50, 46, 12))},
	{ItemForm: shop.ItemForm{Title: "Espresso", Description: "Dark, short, with a glass of water.", Kind: shop.Served, Price: 3 * cent, Category: "Coffee", SKU: "ES"},
		picture: cup(0xe6cfb8, 0x4a2b1a, disc(0x6b4026, 50, 50, 38))},
	{ItemForm: shop.ItemForm{Title: "Filter coffee", Description: "A pot for one, of this week's roast.", Kind: shop.Served, Price: 4 * cent, Category: "Coffee", SKU: "FC"},
		picture: cup(0xd7d2e4, 0x5b3421)},
	{ItemForm: shop.ItemForm{Title: "Blueberry muffin", Kind: shop.Served, Price: 4 * cent, Category: "Bakery", SKU: "BM", Stock: some(24), LowStock: some(4)},
		picture: on(0xdfe7f3, box(0x3f6f8f, 50, 68, 44, 34, .2), disc(0xd9a566, 50, 45, 58), disc(0x34456e, 38, 38, 9), disc(0x34456e, 56, 33, 8), disc(0x34456e, 62, 48, 9), disc(0x34456e, 46, 52, 7))},
	{ItemForm: shop.ItemForm{Title: "Cinnamon bun", Kind: shop.Served, Price: 4 * cent, Category: "Bakery", SKU: "CB", Stock: some(30), LowStock: some(5)},
		picture: on(0xf3e4d3, disc(0xc98a4b, 50, 50, 70), disc(0xe6b77c, 50, 50, 58), disc(0xa9652c, 51, 49, 44), disc(0xe6b77c, 50, 50, 32), disc(0xa9652c, 49, 51, 18), disc(0xe6b77c, 50, 50, 8))},
	{
		ItemForm: shop.ItemForm{Title: "Coffee beans “Fjord”, 250 g", Description: "Hazelnut and dried cherry. Roasted on Tuesday, sent on Wednesday.", Kind: shop.Physical,
			Price: 1250 * cent, Category: "Beans", SKU: "FJ-250", Barcode: "4006381333931", Stock: some(40), LowStock: some(6)},
		picture: bag(0xdbe6e8, 0x24424a, 0xf0c05a),
	},
	{
		ItemForm: shop.ItemForm{Title: "Coffee beans “Skagen”, 250 g", Description: "Light: apricot and black tea. For filter.", Kind: shop.Physical,
			Price: 1390 * cent, Category: "Beans", SKU: "SK-250", Stock: some(3), LowStock: some(6)},
		picture: bag(0xf4dfd2, 0xb5563a, 0xf7efe4),
	},
	{
		ItemForm: shop.ItemForm{Title: "Enamel mug", Description: "White, with our lighthouse. Survives a fall.", Kind: shop.Physical, Price: 1600 * cent, Category: "For home", SKU: "MUG", Stock: some(18)},
		picture:  on(0xd5e0d2, box(0xffffff, 73, 50, 26, 30, 1), box(0xd5e0d2, 73, 50, 15, 19, 1), box(0xffffff, 48, 52, 46, 50, .12), box(0x2a4b8d, 48, 28, 46, 4, .5), box(0xc23b2e, 48, 54, 9, 24, .2), box(0xffffff, 48, 52, 9, 4, 0), disc(0xf0c05a, 48, 40, 9)),
	},
	{
		ItemForm: shop.ItemForm{Title: "Brewing at home", Description: "Twelve pages: water, grind, time. A file to keep.", Kind: shop.File, Price: 9 * cent, Category: "For home", SKU: "GUIDE"},
		picture:  book(0xe8e2f0, 0x6a4c93, 0xf2e9ff, disc(0xf2e9ff, 50, 60, 22), disc(0x6a4c93, 50, 60, 13)), file: "Brewing at home. Sixty grams to the litre, water just off the boil, four minutes.",
	},
	{ItemForm: shop.ItemForm{Title: "A coffee for the next one", Description: "Pay what you like; somebody drinks it who cannot.", Kind: shop.Served, Pricing: shop.Any, Price: 5 * cent, Category: "Coffee", SKU: "NEXT"},
		picture: cup(0xf6d7d7, 0xb98a5e, disc(0xd9545f, 45, 47, 12), disc(0xd9545f, 55, 47, 12), turned(box(0xd9545f, 50, 53, 14, 14, .1), 45))},
}

var bookShelf = []demoItem{
	{
		ItemForm: shop.ItemForm{Title: "The Lighthouse Ledger", Description: "A keeper counts ships, and one too many.", Kind: shop.Physical, Price: 1850 * cent, Category: "Novels", SKU: "LL-P",
			Edition: "Paperback", Stock: some(12), LowStock: some(2)},
		picture: book(0xd8e3ea, 0x1f3a5f, 0xf3d27a, turned(box(0xf3f0e8, 50, 62, 10, 30, .1), 4), disc(0xf3d27a, 51, 46, 9)),
	},
	{
		ItemForm: shop.ItemForm{Title: "The Lighthouse Ledger", Description: "A keeper counts ships, and one too many.", Kind: shop.File, Price: 9 * cent, Category: "Novels", SKU: "LL-E", Edition: "E-book"},
		picture:  on(0xd8e3ea, box(0x22262c, 50, 50, 54, 76, .12), box(0x1f3a5f, 50, 48, 46, 62, .02), box(0xf3f0e8, 50, 60, 9, 28, .1), disc(0xf3d27a, 50, 44, 9), box(0xf3d27a, 50, 26, 30, 3, .5)),
		file:     "The Lighthouse Ledger. Chapter one: the first ship came at dawn.", editionOf: "LL-P",
	},
	{
		ItemForm: shop.ItemForm{Title: "Salt and Type", Description: "How a harbour town learned to print.", Kind: shop.Physical, Price: 2400 * cent, Category: "History", SKU: "ST-H", Edition: "Hardcover", Stock: some(6), LowStock: some(2)},
		picture:  book(0xeadfce, 0x8c3b2a, 0xf6e7c8, turned(box(0xf6e7c8, 42, 62, 12, 18, .1), 4), turned(box(0xf6e7c8, 57, 63, 12, 18, .1), 4)),
	},
	{
		ItemForm: shop.ItemForm{Title: "Audio library, one year", Description: "A key for the app, shown as soon as it is paid.", Kind: shop.LicenceKey, Price: 9 * cent, Category: "Listening", SKU: "AUDIO", LowStock: some(3)},
		picture:  on(0xe3ddf1, disc(0x3d2c63, 50, 50, 62), disc(0xe3ddf1, 50, 54, 48), box(0xe3ddf1, 50, 72, 64, 24, 0), box(0x3d2c63, 22, 62, 14, 26, .3), box(0x3d2c63, 78, 62, 14, 26, .3)), keys: 20,
	},
	{
		ItemForm: shop.ItemForm{Title: "Bookmark, letterpress", Kind: shop.Physical, Pricing: shop.Minimum, Price: 50 * cent, Category: "Small things", SKU: "BK"},
		picture:  on(0xf1e6d6, turned(box(0x2f5d50, 50, 50, 22, 78, .08), 12), turned(disc(0xf1e6d6, 57, 19, 6), 12), turned(box(0xe9c46a, 49, 54, 12, 3, .5), 12), turned(box(0xe9c46a, 48, 62, 12, 3, .5), 12)),
	},
}

// byDemo is who makes the demo world.
var byDemo = audit.By{Actor: "demo"}

// fill puts on the shelf what is missing there; items come back in the order above.
func (d demoShop) fill(ctx context.Context, p *wire.Parts, merchant id.Merchant) ([]shop.Item, error) {
	var out []shop.Item
	for _, i := range d.items {
		there, err := p.Shop.Items(ctx, merchant, false, shop.ItemFilter{SKU: i.SKU}, shop.Page{Limit: 1})
		if err == nil && len(there) == 0 {
			there, err = i.make(ctx, p, merchant, out)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", i.SKU, err)
		}
		out = append(out, there[0])
	}
	return out, nil
}

// make puts one thing on the shelf, with all that belongs to it.
func (i demoItem) make(ctx context.Context, p *wire.Parts, merchant id.Merchant, before []shop.Item) ([]shop.Item, error) {
	form, name := i.ItemForm, strings.ToLower(i.SKU)
	picture, err := i.picture.png()
	if err != nil {
		return nil, err
	}
	image, err := p.Shop.UploadImage(ctx, merchant, name+".png", bytes.NewReader(picture), byDemo)
	if err != nil {
		return nil, err
	}
	form.Image = image.ID
	if i.file != "" {
		file, err := p.Shop.UploadFile(ctx, merchant, name+".txt", strings.NewReader(i.file+"\n"), byDemo)
		if err != nil {
			return nil, err
		}
		form.File = file.ID
	}
	for _, b := range before {
		if i.editionOf != "" && b.SKU == i.editionOf {
			form.EditionOf = b.ID
		}
	}
	item, err := p.Shop.CreateItem(ctx, merchant, false, form, byDemo)
	if err == nil && i.keys > 0 {
		item, _, err = p.Shop.ImportKeys(ctx, merchant, false, item.ID, i.licences(), byDemo)
	}
	return []shop.Item{item}, err
}

// licences are keys that open nothing.
func (i demoItem) licences() []string {
	out := make([]string, i.keys)
	for n := range out {
		out[n] = fmt.Sprintf("%s-DEMO-%04d", i.SKU, n+1)
	}
	return out
}
