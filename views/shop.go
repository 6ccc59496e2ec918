package views

import (
	"net/url"
	"strconv"

	"xsynesis/id"
	"xsynesis/money"
)

// A storefront shows what a shop has on its shelf, and keeps a cart for each visitor at the server: a cookie names the
// cart, so every step is a link or a small form that works without scripts. A form is answered 303 to the page that shows
// what it did; a refused one with the same page, the sentence in it, and 409 or 422.

// ShopPath is a shop's page, by its name in addresses.
func ShopPath(slug string) string { return "/s/" + url.PathEscape(slug) }

// ShopShelfPath is a shop's page with one category, or with what a search finds. Pages count from 1.
func ShopShelfPath(slug, category, search string, page int) string {
	q := url.Values{}
	if category != "" {
		q.Set("category", category)
	}
	if search != "" {
		q.Set("q", search)
	}
	if page > 1 {
		q.Set("page", strconv.Itoa(page))
	}
	if len(q) == 0 {
		return ShopPath(slug)
	}
	return ShopPath(slug) + "?" + q.Encode()
}

// ProductPath is the page of one item in a shop.
func ProductPath(slug string, item id.Item) string {
	return ShopPath(slug) + "/items/" + url.PathEscape(string(item))
}

// CartPath is what a visitor has put into his cart.
func CartPath(slug string) string { return ShopPath(slug) + "/cart" }

// CartLinesPath is where something is put into the cart.
func CartLinesPath(slug string) string { return CartPath(slug) + "/lines" }

// CartLinePath is where a line of the cart is changed. Its number stays the line's own when others are removed.
func CartLinePath(slug string, line int) string {
	return CartLinesPath(slug) + "/" + strconv.Itoa(line)
}

// CartLineRemovalPath is where a line of the cart is taken away.
func CartLineRemovalPath(slug string, line int) string { return CartLinePath(slug, line) + "/removal" }

// ShopCheckoutPath asks what the shop has to know before a cart is paid; posting to it begins the purchase.
func ShopCheckoutPath(slug string) string { return ShopPath(slug) + "/checkout" }

// ShopFrame is what every page of a storefront shows.
type ShopFrame struct {
	Slug   string
	Payee  Payee
	InCart int // how many things are in the visitor's cart
	Test   bool
}

// ShopView is a shop's page.
//
// Shown by GET /s/{slug} to everybody, with the queries of [ShopShelfPath]. It holds no form but the search (GET), and
// nothing of it is live: what has changed meanwhile is told where it is put into the cart.
type ShopView struct {
	ShopFrame
	URL        string // absolute, for messengers
	Categories []ShopCategory
	Category   string // the chosen one; empty for all
	Search     string
	Products   []Product
	Pages      Pages // Newer is the page before
}

// ShopCategory is a part of the shelf.
type ShopCategory struct {
	Name  string
	Items int
}

// Product is an item as buyers see it.
type Product struct {
	Item    id.Item
	Title   string // with its edition
	Image   string // address of a small picture; empty for none
	Pricing string // "fixed", "minimum", "any" or "free", as the item has it
	Price   money.USDC
	Limited bool // stock is counted
	Free    int
	Low     bool // so few are left that it is said
}

// ProductView is the page of one item.
//
// Shown by GET /s/{slug}/items/{item}; an item that is put away is [ErrorPage] with 404. It posts item, qty and, where
// the buyer decides, amount to /s/{slug}/cart/lines → 303 to the cart.
type ProductView struct {
	ShopFrame
	Product
	URL         string // absolute, for messengers
	Large       string // address of the picture in full; empty for none
	LargeURL    string // the same, absolute
	Description string
	Kind        string // "physical", "service", "file" or "key"
	Editions    []EditionLink
	Qty, Amount Field
	Problem     string // why it was not put into the cart
}

// EditionLink is a form that a title comes in: a paperback, a PDF.
type EditionLink struct {
	Item    id.Item
	Name    string
	Pricing string
	Price   money.USDC
	SoldOut bool
	Here    bool // the one that the page shows
}

// BasketView is what a visitor has put into his cart.
//
// Shown by GET /s/{slug}/cart. It posts qty, or step (1 or -1, before qty), to /s/{slug}/cart/lines/{n}, and nothing to
// …/removal; both → 303 to the cart. A quantity of 0 removes the line.
type BasketView struct {
	ShopFrame
	Lines   []BasketLine
	Total   money.USDC // of the lines that can be bought
	TooMuch string     // the sentence that no purchase may cost so much; empty where it may
	Problem string
}

// BasketLine is a line of a cart, as it would be bought now.
type BasketLine struct {
	Line    int
	Item    id.Item
	Title   string
	Image   string
	Qty     int
	Unit    money.USDC
	Was     money.USDC // the unit price when it was put in, where that was another; else 0
	Problem string     // why it cannot be bought like this: it must be changed or removed first
	Gone    bool       // it is not on sale any more, and can only be removed
}

// amount is what the line comes to.
func (l BasketLine) amount() money.USDC { return l.Unit * money.USDC(l.Qty) }

// blocked tells that a line stands in the way of buying the cart.
func (v BasketView) blocked() bool {
	if v.TooMuch != "" {
		return true
	}
	for _, l := range v.Lines {
		if l.Problem != "" || l.Gone {
			return true
		}
	}
	return false
}

// ShopCheckoutView asks what the shop has to know before the cart is paid.
//
// Shown by GET /s/{slug}/checkout; an empty or blocked cart is answered 303 to the cart. It posts the fields of [Ask],
// once and total (base units: what the buyer saw) to the same address → 303 to the purchase with the buyer's token, and
// the cart is empty then. Where the total has changed meanwhile, or something is short: 409, and the cart with the sentence.
type ShopCheckoutView struct {
	ShopFrame
	Cart    Cart
	Ask     Ask
	Once    string // makes a form that is sent twice begin one purchase
	Problem string
	Code    CodeField
	Before  money.USDC // what the cart costs without its code; 0 where that is what it costs
}

// shopFrame is the page around everything in a storefront.
func shopFrame(title string, f ShopFrame) Page {
	return Page{
		Title:   title + ", " + f.Payee.Name,
		Class:   "for-buyer",
		Styles:  []string{"css/checkout.css", "css/shop.css"},
		Scripts: []string{"js/shop.js"},
		Test:    f.Test,
		Hidden:  f.Test,
	}
}

func (v ShopView) page() Page {
	title := v.Payee.Name
	p := shopFrame(title, v.ShopFrame)
	p.Title = title
	if v.Category != "" {
		p.Title = v.Category + ", " + title
	}
	p.Preview = Preview{Title: p.Title, Description: "Pay " + title + " from your wallet, no network fee.", URL: v.URL}
	return p
}

func (v ProductView) page() Page {
	p := shopFrame(v.Title, v.ShopFrame)
	p.Preview = Preview{Title: v.Title + ", " + v.priceInWords(), Description: v.summary(), URL: v.URL, Image: v.LargeURL}
	if v.Pricing == "fixed" {
		p.Preview.Price = v.Price
	}
	return p
}

// summary is the beginning of the description, for messengers.
func (v ProductView) summary() string {
	const most = 160
	if runes := []rune(v.Description); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return v.Description
}

func (p Product) soldOut() bool { return p.Limited && p.Free < 1 }

// asks tells that the buyer decides what it costs.
func (p Product) asks() bool { return p.Pricing == "minimum" || p.Pricing == "any" }

// priceInWords is what a product costs, as a buyer reads it.
func (p Product) priceInWords() string { return priceInWords(p.Pricing, p.Price) }

func priceInWords(pricing string, price money.USDC) string {
	switch {
	case pricing == "free":
		return "Free"
	case pricing == "minimum":
		return "From " + AmountUSDC(price)
	case pricing == "any" && price == 0:
		return "You decide"
	case pricing == "any":
		return "About " + AmountUSDC(price)
	default:
		return AmountUSDC(price)
	}
}

// left says how many there still are, where that matters.
func (p Product) left() string {
	switch {
	case p.soldOut():
		return "Sold out"
	case p.Limited && p.Low:
		return thousands(p.Free) + " left"
	default:
		return ""
	}
}

// arrives says how a product reaches its buyer.
func (v ProductView) arrives() string {
	switch v.Kind {
	case "physical":
		return "Sent to your address"
	case "file":
		return "A file, to download as soon as you have paid"
	case "key":
		return "A licence key, shown as soon as you have paid"
	default:
		return ""
	}
}

// promise is how a product arrives, and how many there still are.
func (v ProductView) promise() string {
	if v.arrives() == "" || v.left() == "" {
		return v.arrives() + v.left()
	}
	return v.arrives() + ", " + v.left()
}

// each is what one of a line costs, and cost when it was put in.
func (l BasketLine) each() string {
	if l.Was == 0 {
		return Amount(l.Unit) + " each"
	}
	return Amount(l.Unit) + " each, was " + Amount(l.Was)
}

// cartWord is what the way to the cart says.
func (f ShopFrame) cartWord() string {
	if f.InCart == 0 {
		return "Cart"
	}
	return "Cart, " + thousands(f.InCart)
}
