package shop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// ErrShort is returned when there is less of an item than a purchase asks for; nothing of it is held then.
var ErrShort = errors.New("shop: not enough in stock")

// Kind is how an item reaches its buyer.
type Kind string

// The kinds.
const (
	Physical   Kind = "physical" // sent to an address, or handed over a counter
	Served     Kind = "service"  // there is nothing to hand over
	File       Kind = "file"     // fetched from the paid page
	LicenceKey Kind = "key"      // shown on the paid page: one of the shop's own list
)

// Kinds lists all of them.
var Kinds = []Kind{Physical, Served, File, LicenceKey}

// Pricing is who decides what an item costs.
type Pricing string

// The pricings.
const (
	Fixed   Pricing = "fixed"   // the seller
	Minimum Pricing = "minimum" // the buyer, from the price on
	Any     Pricing = "any"     // the buyer; the price is a suggestion
	Free    Pricing = "free"    // nobody: it costs nothing
)

// Item is something on sale, with what there is of it in one mode.
type Item struct {
	ID          id.Item
	Merchant    id.Merchant
	Title       string
	Description string
	Kind        Kind
	Pricing     Pricing
	Price       money.USDC // what [Pricing] says of it
	SKU         string
	Barcode     string
	Category    string
	Image       id.Upload // empty for none
	File        id.Upload // of a [File]
	EditionOf   id.Item   // another form of the same title, or empty
	Edition     string    // what this form is called, such as Paperback
	LowStock    *int      // the shop is told when no more than this is left
	Stock       Stock
	ArchivedAt  *time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time

	livemode bool // of the stock
}

// Stock counts an item in one mode: what was put in is sold, held, or free, always.
type Stock struct {
	Limited bool // false: there is always another one, and nothing is counted
	Put     int
	Taken   int // held or sold
	Held    int // by purchases that are not paid yet
}

// Free is how many may still be bought.
func (s Stock) Free() int { return s.Put - s.Taken }

// Sold is how many were bought.
func (s Stock) Sold() int { return s.Taken - s.Held }

// OnHand is how many are in the shop: held and free.
func (s Stock) OnHand() int { return s.Put - s.Sold() }

// Open tells whether one of it may be bought now: nil, [ErrNotFound] for what was put away, or [ErrShort].
func (i Item) Open() error {
	switch {
	case i.ArchivedAt != nil:
		return ErrNotFound
	case i.Stock.Limited && i.Stock.Free() < 1:
		return ErrShort
	default:
		return nil
	}
}

// CreateItem puts an item on the shelf. Its stock, if there is one, is that of both modes. Errors: [*FieldError].
func (s *Service) CreateItem(ctx context.Context, merchant id.Merchant, livemode bool, f ItemForm, by audit.By) (Item, error) {
	if err := f.check(); err != nil {
		return Item{}, err
	}
	if err := s.checkRefs(ctx, merchant, "", f); err != nil {
		return Item{}, err
	}
	now := s.now()
	fresh := id.New[id.Item](now)
	var item id.Item
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		q := queries.New()
		if item, err = q.ItemInsert(ctx, tx, f.insertion(fresh, merchant, now)); err != nil {
			return taken(err)
		}
		if item != fresh { // its key has made one before
			return nil
		}
		stock := queries.ItemStockInsertParams{ItemID: item, Limited: f.Stock != nil || f.Kind == LicenceKey}
		if f.Stock != nil {
			stock.Put = int32(*f.Stock)
		}
		if err := q.ItemStockInsert(ctx, tx, stock); err != nil {
			return err
		}
		seen := f.seen()
		seen.Stock = f.Stock
		return s.recordItemTx(ctx, tx, merchant, by, "item.created", item, nil, seen)
	})
	if err != nil {
		return Item{}, fmt.Errorf("create item for %s: %w", merchant, err)
	}
	return s.Item(ctx, merchant, livemode, item)
}

// Item returns a merchant's own item, archived or not, or [ErrNotFound].
func (s *Service) Item(ctx context.Context, merchant id.Merchant, livemode bool, item id.Item) (Item, error) {
	row, err := queries.New().ItemByID(ctx, s.pool, queries.ItemByIDParams{MerchantID: merchant, ID: item, Livemode: livemode})
	if err != nil {
		return Item{}, fmt.Errorf("item %s: %w", item, notFound(err))
	}
	return itemOf(row.Item, row.ItemStock, row.Held), nil
}

// ArchiveItem takes an item off the shelf, or puts it back. Who has begun to buy it may still pay.
// Errors: [ErrNotFound]; [*FieldError] where its SKU or barcode is another item's by now.
func (s *Service) ArchiveItem(ctx context.Context, merchant id.Merchant, livemode bool, item id.Item, archived bool, by audit.By) (Item, error) {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := queries.New()
		row, err := q.ItemForUpdate(ctx, tx, queries.ItemForUpdateParams{MerchantID: merchant, ID: item})
		if err != nil {
			return notFound(err)
		}
		if (row.ArchivedAt != nil) == archived {
			return nil
		}
		if err := q.ItemArchive(ctx, tx, queries.ItemArchiveParams{ID: item, Archived: archived, Now: s.now()}); err != nil {
			return err
		}
		seen := itemOf(row, queries.ItemStock{}, 0).form().seen()
		if archived {
			return s.recordItemTx(ctx, tx, merchant, by, "item.archived", item, seen, nil)
		}
		return s.recordItemTx(ctx, tx, merchant, by, "item.restored", item, nil, seen)
	})
	if err != nil {
		return Item{}, fmt.Errorf("archive item %s: %w", item, taken(err))
	}
	return s.Item(ctx, merchant, livemode, item)
}

// ItemFilter chooses among a shop's items; zero fields choose all that are on the shelf.
type ItemFilter struct {
	Archived bool
	Category string
	SKU      string // the SKU or the barcode, whole
	Search   string // within the title; or the beginning of the SKU; or the barcode
}

// Items lists a shop's items, newest first, with one more than the page's limit where there are more.
func (s *Service) Items(ctx context.Context, merchant id.Merchant, livemode bool, f ItemFilter, p Page) ([]Item, error) {
	q := queries.New()
	var rows []queries.ItemListRow
	var err error
	if p.After != "" {
		var up []queries.ItemListAfterRow
		up, err = q.ItemListAfter(ctx, s.pool, queries.ItemListAfterParams{
			MerchantID: merchant, Livemode: livemode, After: p.After, Archived: f.Archived, Category: f.Category, Sku: f.SKU, Search: pattern(f.Search),
			Most: int32(p.Limit + 1),
		})
		for _, r := range slices.Backward(up) {
			rows = append(rows, queries.ItemListRow(r))
		}
	} else {
		rows, err = q.ItemList(ctx, s.pool, queries.ItemListParams{
			MerchantID: merchant, Livemode: livemode, Before: cursor(p.Before), Archived: f.Archived, Category: f.Category, Sku: f.SKU, Search: pattern(f.Search),
			Most: int32(p.Limit + 1),
		})
	}
	if err != nil {
		return nil, fmt.Errorf("items of %s: %w", merchant, err)
	}
	out := make([]Item, len(rows))
	for i, r := range rows {
		out[i] = itemOf(r.Item, r.ItemStock, r.Held)
	}
	return out, nil
}

// Shelf lists what is on sale in the order of its titles, as a counter or a storefront shows it: limit items after the
// first skip, and one more where there are more.
func (s *Service) Shelf(ctx context.Context, merchant id.Merchant, livemode bool, category, search string, skip, limit int) ([]Item, error) {
	rows, err := queries.New().ItemCatalogue(ctx, s.pool, queries.ItemCatalogueParams{
		MerchantID: merchant, Livemode: livemode, Category: category, Search: pattern(search), Most: int32(limit + 1), Skip: int32(skip),
	})
	if err != nil {
		return nil, fmt.Errorf("shelf of %s: %w", merchant, err)
	}
	out := make([]Item, len(rows))
	for i, r := range rows {
		out[i] = itemOf(r.Item, r.ItemStock, r.Held)
	}
	return out, nil
}

// Editions lists the forms of one title that are on the shelf, the given one among them.
func (s *Service) Editions(ctx context.Context, livemode bool, of Item) ([]Item, error) {
	title := of.ID
	if of.EditionOf != "" {
		title = of.EditionOf
	}
	rows, err := queries.New().ItemEditions(ctx, s.pool, queries.ItemEditionsParams{MerchantID: of.Merchant, Livemode: livemode, Title: title})
	if err != nil {
		return nil, fmt.Errorf("editions of %s: %w", of.ID, err)
	}
	out := make([]Item, len(rows))
	for i, r := range rows {
		out[i] = itemOf(r.Item, r.ItemStock, r.Held)
	}
	return out, nil
}

// maxTitles is how many titles there are to choose from.
const maxTitles = 1000

// Titles lists what an item can be another form of, by title: id and title of each. also is one that is listed in any
// case, or empty.
func (s *Service) Titles(ctx context.Context, merchant id.Merchant, also id.Item) ([]Item, error) {
	rows, err := queries.New().ItemTitles(ctx, s.pool, queries.ItemTitlesParams{MerchantID: merchant, Also: also, Most: maxTitles})
	if err != nil {
		return nil, fmt.Errorf("titles of %s: %w", merchant, err)
	}
	out := make([]Item, len(rows))
	for i, r := range rows {
		out[i] = Item{ID: r.ID, Title: r.Title}
	}
	return out, nil
}

// Category is a part of the shelf.
type Category struct {
	Name  string
	Items int
}

// Categories lists the parts of a shop's shelf by name.
func (s *Service) Categories(ctx context.Context, merchant id.Merchant) ([]Category, error) {
	rows, err := queries.New().ItemCategories(ctx, s.pool, merchant)
	if err != nil {
		return nil, fmt.Errorf("categories of %s: %w", merchant, err)
	}
	out := make([]Category, len(rows))
	for i, r := range rows {
		out[i] = Category{r.Category, int(r.Items)}
	}
	return out, nil
}

// pattern makes a text that stands for itself within a LIKE.
func pattern(search string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(search)
}

// taken says which of an item's own names another item has.
func taken(err error) error {
	var twice *pgconn.PgError
	if !errors.As(err, &twice) || twice.Code != "23505" {
		return err
	}
	switch twice.ConstraintName {
	case "items_sku":
		return &FieldError{"sku", "Another item has this SKU."}
	case "items_barcode":
		return &FieldError{"barcode", "Another item has this barcode."}
	default:
		return err
	}
}

func itemOf(r queries.Item, s queries.ItemStock, held int32) Item {
	i := Item{
		ID: r.ID, Merchant: r.MerchantID, Title: r.Title, Description: r.Description, Kind: Kind(r.Kind), Pricing: Pricing(r.Pricing), Price: r.Price,
		SKU: r.Sku, Barcode: r.Barcode, Category: r.Category, Edition: r.Edition, ArchivedAt: r.ArchivedAt, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
		Stock: Stock{Limited: s.Limited, Put: int(s.Put), Taken: int(s.Taken), Held: int(held)}, livemode: s.Livemode,
	}
	if r.ImageID != nil {
		i.Image = *r.ImageID
	}
	if r.FileID != nil {
		i.File = *r.FileID
	}
	if r.EditionOf != nil {
		i.EditionOf = *r.EditionOf
	}
	if r.LowStock != nil {
		n := int(*r.LowStock)
		i.LowStock = &n
	}
	return i
}
