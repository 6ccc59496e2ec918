package shop

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
)

// UpdateItem changes what future buyers see; purchases under way keep their quote. The form that is changed is the item
// as it is, with its stock in one mode: two who change different things of it at the same time do not undo each other's
// change, and a stock that change leaves alone stays what sales make of it.
// Errors: [*FieldError], [ErrNotFound], and that of change.
func (s *Service) UpdateItem(ctx context.Context, merchant id.Merchant, livemode bool, item id.Item, change func(*ItemForm) error, by audit.By) (Item, error) {
	// What it refers to is looked at before: those rows do not go away.
	was, err := s.Item(ctx, merchant, livemode, item)
	if err != nil {
		return Item{}, err
	}
	f := was.form()
	if err := change(&f); err != nil {
		return Item{}, err
	}
	if err := f.check(); err != nil {
		return Item{}, err
	}
	if (f.Kind == LicenceKey) != (was.Kind == LicenceKey) {
		return Item{}, &FieldError{"kind", "An item with keys stays one, and no other becomes one."}
	}
	if err := s.checkRefs(ctx, merchant, item, f); err != nil {
		return Item{}, err
	}
	if err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.updateItemTx(ctx, tx, was, change, by) }); err != nil {
		return Item{}, fmt.Errorf("update item %s: %w", item, taken(err))
	}
	return s.Item(ctx, merchant, livemode, item)
}

func (s *Service) updateItemTx(ctx context.Context, tx pgx.Tx, seen Item, change func(*ItemForm) error, by audit.By) error {
	q, now := queries.New(), s.now()
	row, err := q.ItemForUpdate(ctx, tx, queries.ItemForUpdateParams{MerchantID: seen.Merchant, ID: seen.ID})
	if err != nil {
		return notFound(err)
	}
	was := itemOf(row, queries.ItemStock{}, 0)
	was.Stock, was.livemode = seen.Stock, seen.livemode
	f := was.form()
	before := f.seen()
	if err := change(&f); err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	if !equal(f.Stock, was.form().Stock) {
		if err := s.setStockTx(ctx, tx, was, f, by); err != nil {
			return err
		}
	}
	if was.Price != f.Price {
		if err := q.ItemPriceInsert(ctx, tx, queries.ItemPriceInsertParams{ItemID: was.ID, Price: was.Price, Until: now.Add(OfferTime)}); err != nil {
			return err
		}
	}
	if err := q.ItemUpdate(ctx, tx, queries.ItemUpdateParams{
		ID: was.ID, Title: f.Title, Description: f.Description, Kind: string(f.Kind), Pricing: string(f.Pricing), Price: f.Price, Sku: f.SKU,
		Barcode: f.Barcode, Category: f.Category, ImageID: optional(f.Image), FileID: optional(f.File), EditionOf: optional(f.EditionOf),
		Edition: f.Edition, LowStock: narrow(f.LowStock), UpdatedAt: now,
	}); err != nil {
		return err
	}
	return s.recordItemTx(ctx, tx, was.Merchant, by, "item.changed", was.ID, before, f.seen())
}

// form is an item as its seller would write it anew.
func (i Item) form() ItemForm {
	f := ItemForm{
		Title: i.Title, Description: i.Description, Kind: i.Kind, Pricing: i.Pricing, Price: i.Price, SKU: i.SKU, Barcode: i.Barcode,
		Category: i.Category, Image: i.Image, File: i.File, EditionOf: i.EditionOf, Edition: i.Edition, LowStock: i.LowStock,
	}
	if i.Stock.Limited {
		n := i.Stock.OnHand()
		f.Stock = &n
	}
	return f
}

func equal(a, b *int) bool { return a == b || a != nil && b != nil && *a == *b }
