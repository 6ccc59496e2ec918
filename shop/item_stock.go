package shop

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
)

// setStockTx makes the stock of an item what its seller counted. It stands in line at the stock's row.
func (s *Service) setStockTx(ctx context.Context, tx pgx.Tx, item Item, f ItemForm, by audit.By) error {
	if item.Kind == LicenceKey || f.Kind == LicenceKey {
		return &FieldError{"stock", "The keys that you import are the stock."}
	}
	return s.amendStockTx(ctx, tx, item, by, stockChanged, func(was queries.ItemStock, held int) (queries.StockSetParams, error) {
		if f.Stock == nil {
			return queries.StockSetParams{Limited: false, Put: was.Put}, nil
		}
		if *f.Stock < held {
			return queries.StockSetParams{}, &FieldError{"stock", fmt.Sprintf("%d are held by purchases that are being paid.", held)}
		}
		return put(was, *f.Stock-held-int(was.Put-was.Taken))
	})
}

// AddStock puts more of an item in, or takes some out (a negative number), in one mode. What was not counted before is
// from now on. Errors: [ErrNotFound], [*FieldError] where fewer are free.
func (s *Service) AddStock(ctx context.Context, merchant id.Merchant, livemode bool, item id.Item, more int, by audit.By) (Item, error) {
	i, err := s.Item(ctx, merchant, livemode, item)
	if err != nil {
		return Item{}, err
	}
	if i.Kind == LicenceKey {
		return Item{}, &FieldError{"stock", "The keys that you import are the stock."}
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		return s.amendStockTx(ctx, tx, i, by, stockChanged, func(was queries.ItemStock, _ int) (queries.StockSetParams, error) { return put(was, more) })
	})
	if err != nil {
		return Item{}, fmt.Errorf("stock of %s: %w", item, err)
	}
	return s.Item(ctx, merchant, livemode, item)
}

// put adds to what was put in.
func put(was queries.ItemStock, more int) (queries.StockSetParams, error) {
	n := int(was.Put) + more
	switch {
	case more > maxStock || n > maxStock:
		return queries.StockSetParams{}, &FieldError{"stock", fmt.Sprintf("There can be at most %d.", maxStock)}
	case n < int(was.Taken):
		return queries.StockSetParams{}, &FieldError{"stock", fmt.Sprintf("Only %d are free.", was.Put-was.Taken)}
	}
	return queries.StockSetParams{Limited: true, Put: int32(n)}, nil
}

// What is done to a stock, as the log of what was done has it.
const (
	stockChanged = "item.stock_changed"
	keysImported = "item.keys_imported"
)

// amendStockTx changes a counter that nobody else changes meanwhile, in the mode in which the item was read.
func (s *Service) amendStockTx(
	ctx context.Context, tx pgx.Tx, item Item, by audit.By, action string, amend func(was queries.ItemStock, held int) (queries.StockSetParams, error),
) error {
	q := queries.New()
	row, err := q.StockForUpdate(ctx, tx, queries.StockForUpdateParams{ItemID: item.ID, Livemode: item.livemode})
	if err != nil {
		return notFound(err)
	}
	held, err := q.StockHeld(ctx, tx, queries.StockHeldParams{ItemID: item.ID, Livemode: item.livemode})
	if err != nil {
		return err
	}
	next, err := amend(row.ItemStock, int(held))
	if err != nil {
		return err
	}
	next.ItemID, next.Livemode = item.ID, item.livemode
	if err := q.StockSet(ctx, tx, next); err != nil {
		return err
	}
	before, is := stockSeenOf(row.ItemStock, int(held)), row.ItemStock
	is.Limited, is.Put = next.Limited, next.Put
	return s.recordItemTx(ctx, tx, item.Merchant, by, action, item.ID, before, stockSeenOf(is, int(held)))
}

const (
	maxKeys      = 10_000 // in one import
	maxKeyLength = 500
)

// ImportKeys adds a seller's own keys to an item's list in one mode: each is given to one buyer. Those that the list
// holds already are left out. It returns how many are new. Errors: [ErrNotFound], [*FieldError].
func (s *Service) ImportKeys(ctx context.Context, merchant id.Merchant, livemode bool, item id.Item, keys []string, by audit.By) (Item, int, error) {
	i, err := s.Item(ctx, merchant, livemode, item)
	if err != nil {
		return Item{}, 0, err
	}
	if i.Kind != LicenceKey {
		return Item{}, 0, &FieldError{"id", "Only an item of the kind key has keys."}
	}
	if keys, err = checkKeys(keys); err != nil {
		return Item{}, 0, err
	}
	var added int64
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		added, err = queries.New().KeysInsert(ctx, tx, queries.KeysInsertParams{ItemID: item, Livemode: livemode, Keys: keys, CreatedAt: s.now()})
		if err != nil {
			return err
		}
		return s.amendStockTx(ctx, tx, i, by, keysImported, func(was queries.ItemStock, _ int) (queries.StockSetParams, error) { return put(was, int(added)) })
	})
	if err != nil {
		return Item{}, 0, fmt.Errorf("import keys of %s: %w", item, err)
	}
	i, err = s.Item(ctx, merchant, livemode, item)
	return i, int(added), err
}

func checkKeys(keys []string) ([]string, error) {
	out := make([]string, 0, len(keys))
	for n, key := range keys {
		key = strings.TrimSpace(key)
		if key == "" {
			continue
		}
		if !OneLine(key, maxKeyLength) {
			return nil, &FieldError{"keys", fmt.Sprintf("Key %d is not one line of at most %d printable characters.", n+1, maxKeyLength)}
		}
		out = append(out, key)
	}
	if len(out) == 0 || len(out) > maxKeys {
		return nil, &FieldError{"keys", fmt.Sprintf("Give 1 to %d keys, one a line.", maxKeys)}
	}
	return out, nil
}
