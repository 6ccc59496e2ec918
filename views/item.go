package views

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"xsynesis/id"
	"xsynesis/money"
)

// The shelf of a shop, as its seller sees it.
const (
	ItemsPath   = "/dashboard/items"
	ItemNewPath = ItemsPath + "/new"
)

// SectionItems is the navigation's row of these pages.
const SectionItems Section = "items"

// ItemPath is one item.
func ItemPath(item id.Item) string { return ItemsPath + "/" + url.PathEscape(string(item)) }

// ItemEditPath is the form of an existing item; posting to it changes the item.
func ItemEditPath(item id.Item) string { return ItemPath(item) + "/edit" }

// ItemStockPath is where more is put in, or some is taken out.
func ItemStockPath(item id.Item) string { return ItemPath(item) + "/stock" }

// ItemKeysPath is where licence keys are imported.
func ItemKeysPath(item id.Item) string { return ItemPath(item) + "/keys" }

// ItemArchivePath takes an item off the shelf; [ItemReturnPath] puts it back.
func ItemArchivePath(item id.Item) string { return ItemPath(item) + "/archive" }

// ItemReturnPath puts an archived item back on the shelf.
func ItemReturnPath(item id.Item) string { return ItemPath(item) + "/return" }

// ItemLinkPath is the form of a new link that sells an item.
func ItemLinkPath(item id.Item) string {
	return LinkNewPath + "?" + url.Values{"item": {string(item)}}.Encode()
}

// itemFrame is the frame of these pages.
func itemFrame(v DashboardView) Page {
	p := v.page()
	p.Styles = append(p.Styles, "css/items.css")
	p.Scripts = append(p.Scripts, "js/items.js")
	return p
}

// ItemsView is the list of what a shop sells.
//
// Shown by GET /dashboard/items, with the queries q, category and archived=1. Live: [LiveFragment], on every change of
// stock or price.
type ItemsView struct {
	DashboardView
	Search     string
	Category   string
	Categories []string
	Archived   bool
	Items      []ItemRow
	Pages      Pages
	Storefront string // the shop's page for buyers; empty for none
	MayChange  bool
}

// ItemRow is one item in the list.
type ItemRow struct {
	Item     id.Item
	Title    string // with its edition
	Image    string // address of a small picture; empty for none
	Category string
	SKU      string
	Kind     string // "physical", "service", "file" or "key"
	Pricing  string // "fixed", "minimum", "any" or "free"
	Price    money.USDC
	Stock    StockView
	Archived bool
}

// StockView counts an item: sold + held + free is what was put in.
type StockView struct {
	Limited bool // false: there is always another one
	Free    int
	Held    int
	Sold    int
	Low     bool // no more are left than the shop wants to be told of
}

// ItemView is one item: what there is of it, and what can be done with it.
//
// Shown by GET /dashboard/items/{item}. It posts
//
//	more (a whole number, negative to take some out)  to …/stock     → 303 here
//	keys (one a line), or keys_file (the same)        to …/keys      → 303 here, with how many were new
//	nothing                                           to …/archive and …/return → 303 here
//
// A refused form comes back as this page with 422. Live: [LiveFragment].
type ItemView struct {
	DashboardView
	Item        id.Item
	Title       string
	Edition     string
	EditionOf   ItemChoice // the title it is another form of; empty for none
	Editions    []ItemChoice
	Description string
	Image       string // address of the picture; empty for none
	Kind        string
	Pricing     string
	Price       money.USDC
	SKU         string
	Barcode     string
	Category    string
	File        FileFact // of a file
	Stock       StockView
	LowStock    int // told when no more are left than this; -1 for never
	Archived    bool
	Created     time.Time
	URL         string // in the shop; empty where the shop does not show it
	More        Field
	Keys        Field
	MayChange   bool
}

// KeysAdded says how many keys of an import were new.
func KeysAdded(n int) string {
	if n == 0 {
		return "The list had all of these keys already."
	}
	return count(n, "key was added.", "keys were added.")
}

// moreHint says what a number does that is put in.
func (v ItemView) moreHint() string {
	if !v.Stock.Limited {
		return "From then on it is counted."
	}
	return "A minus takes some out, such as -2."
}

// ItemChoice names another item.
type ItemChoice struct {
	Item  id.Item
	Title string
}

// FileFact is what buyers of a file download.
type FileFact struct {
	Name  string
	Bytes int64
}

// ItemFormView is the form of a new item, or of an existing one when Item is set.
//
// Shown by GET /dashboard/items/new and …/{item}/edit. It posts, as multipart/form-data, to /dashboard/items or to
// …/{item}/edit → 303 to the item:
//
//	title description category sku barcode          texts
//	kind       physical, service, file or key       pricing  fixed, minimum, any or free
//	price      an amount; ignored where it is free
//	counted    "1" where stock is counted, and then stock: a whole number; absent where there is always another one
//	stock_was  what stock showed: where both are the same, the stock stays what sales make of it
//	low_stock  a whole number or empty
//	image      a picture; empty keeps image_id; image_id empty takes the picture away
//	file       a file for the kind file; empty keeps file_id
//	edition_of an item or empty                     edition  what this form is called
//
// Refused, it comes back with 422. A browser does not send a chosen file again by itself: what was uploaded before another
// field was refused is kept, and comes back as image_id or file_id.
type ItemFormView struct {
	DashboardView
	Item        id.Item
	Problem     string
	Title       Field
	Description Field
	Kind        Field
	Pricing     Field
	Price       Field
	Counted     bool
	Stock       Field
	StockWas    string
	Held        int // of the stock, by purchases that are not paid yet
	LowStock    Field
	SKU         Field
	Barcode     Field
	Category    Field
	Categories  []string // those that exist, to choose from
	Image       Field    // its value is image_id
	ImageURL    string   // the picture that stands; empty for none
	File        Field    // its value is file_id
	FileFact    FileFact // the file that stands
	EditionOf   Field
	Edition     Field
	Titles      []ItemChoice // what an item can be an edition of
	Once        string       // makes a new item that is sent twice one item
}

// itemKinds are the values of the field "kind", with what each means for the buyer.
var itemKinds = []kindChoice{
	{"physical", "Thing", "Asks for an address, or is handed over the counter."},
	{"service", "Service", "Nothing is handed over by this program."},
	{"file", "File", "Downloaded from the paid page."},
	{"key", "Licence key", "Shown on the paid page, each to one buyer."},
}

type kindChoice struct{ Value, Word, Hint string }

var itemPricings = []Option{{"fixed", "Fixed"}, {"minimum", "At least"}, {"any", "Buyer decides"}, {"free", "Free"}}

func kindWord(kind string) string {
	for _, k := range itemKinds {
		if k.Value == kind {
			return k.Word
		}
	}
	return kind
}

func (v ItemFormView) action() string {
	if v.Item == "" {
		return ItemsPath
	}
	return ItemEditPath(v.Item)
}

func (v ItemFormView) back() string {
	if v.Item == "" {
		return ItemsPath
	}
	return ItemPath(v.Item)
}

func (v ItemFormView) verb() string {
	if v.Item == "" {
		return "Create item"
	}
	return "Save item"
}

// stockInWords is what the closed fold says it holds.
func (v ItemFormView) stockInWords() string {
	switch {
	case v.Kind.Value == "key":
		return "The keys you import"
	case !v.Counted:
		return "Always another one"
	case v.Stock.Value == "":
		return "Counted"
	default:
		return v.Stock.Value + " in the shop"
	}
}

// shelved is what the closed fold of category, SKU and barcode says it holds.
func (v ItemFormView) shelved() string {
	return cmp.Or(listed(v.Category.Value, v.SKU.Value, v.Barcode.Value), "None")
}

// listed writes those of the words that are not empty, with commas between them.
func listed(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), ", ")
}

// editionInWords is what the closed fold of editions says it holds.
func (v ItemFormView) editionInWords() string {
	return cmp.Or(v.Edition.Value, "None")
}

// words says how many there are: "12 left, 2 held".
func (s StockView) words() string {
	if !s.Limited {
		return "Not counted"
	}
	text := "None left"
	if s.Free > 0 {
		text = thousands(s.Free) + " left"
	}
	if s.Held > 0 {
		text += ", " + thousands(s.Held) + " held"
	}
	return text
}

// detail tells items of one name apart.
func (r ItemRow) detail() string {
	return listed(kindWord(r.Kind), r.Category, r.SKU)
}

// state is the word and glyph of an item in the list.
func (r ItemRow) state() (word, glyph, tone string) {
	switch {
	case r.Archived:
		return "Archived", "cancelled", ToneNeutral
	case r.Stock.Limited && r.Stock.Free < 1:
		return "Sold out", "expired", ToneNeutral
	case r.Stock.Low:
		return "Low", "underpaid", ToneWarn
	default:
		return "On sale", "settled", ToneOK
	}
}

// unfiltered says that an empty list means no items at all, not none that match.
func (v ItemsView) unfiltered() bool { return v.Search == "" && v.Category == "" && !v.Archived }

// priceCell is what a list shows under USDC.
func priceCell(pricing string, price money.USDC) string {
	switch {
	case pricing == "free":
		return "Free"
	case pricing == "minimum":
		return "from " + Amount(price)
	case pricing == "any" && price == 0:
		return "Open"
	case pricing == "any":
		return "about " + Amount(price)
	default:
		return Amount(price)
	}
}

// pricing is the chosen one, or the usual.
func (v ItemFormView) pricing() string { return cmp.Or(v.Pricing.Value, "fixed") }

// kind is the chosen one, or the usual.
func (v ItemFormView) kind() string { return cmp.Or(v.Kind.Value, "physical") }

// keptKind tells which kinds an existing item cannot have: one with keys stays one, and no other becomes one.
func (v ItemFormView) keptKind(kind string) bool {
	return v.Item != "" && kind != v.kind() && (kind == "key" || v.kind() == "key")
}

// heldHint says why less cannot be written than is held.
func (v ItemFormView) heldHint() string {
	if v.Held == 0 {
		return "What stands there now."
	}
	return count(v.Held, "is held by a purchase that is being paid, and counts.", "are held by purchases that are being paid, and count.")
}
