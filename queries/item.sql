-- name: ItemInsert :one
-- A key that made an item before gives that item again.
INSERT INTO items (id, merchant_id, title, description, kind, pricing, price, sku, barcode, category, image_id, file_id, edition_of, edition, low_stock, once, created_at, updated_at)
VALUES (@id, @merchant_id, @title, @description, @kind, @pricing, @price, @sku, @barcode, @category, @image_id, @file_id, @edition_of, @edition, @low_stock, @once, @created_at, @created_at)
ON CONFLICT (once) DO UPDATE SET once = excluded.once
RETURNING id;

-- name: ItemStockInsert :exec
-- Test and live begin alike; an item that was made before keeps what it has.
INSERT INTO item_stock (item_id, livemode, limited, put)
SELECT @item_id, unnest(ARRAY[false, true]), @limited, @put
ON CONFLICT DO NOTHING;

-- name: ItemByID :one
SELECT sqlc.embed(items), sqlc.embed(item_stock), (
    SELECT coalesce(sum(r.qty), 0) FROM reservations r WHERE r.item_id = items.id AND r.livemode = item_stock.livemode AND r.status = 'held')::int AS held
FROM items JOIN item_stock ON item_stock.item_id = items.id AND item_stock.livemode = @livemode
WHERE items.merchant_id = @merchant_id AND items.id = @id;

-- name: ItemForUpdate :one
SELECT * FROM items WHERE merchant_id = @merchant_id AND id = @id FOR NO KEY UPDATE;

-- name: ItemUpdate :exec
UPDATE items SET title = @title, description = @description, kind = @kind, pricing = @pricing, price = @price, sku = @sku, barcode = @barcode,
    category = @category, image_id = @image_id, file_id = @file_id, edition_of = @edition_of, edition = @edition, low_stock = @low_stock,
    updated_at = @updated_at
WHERE id = @id;

-- name: ItemArchive :exec
UPDATE items SET archived_at = CASE WHEN @archived::bool THEN @now::timestamptz END, updated_at = @now::timestamptz WHERE id = @id;

-- name: ItemList :many
SELECT sqlc.embed(items), sqlc.embed(item_stock), (
    SELECT coalesce(sum(r.qty), 0) FROM reservations r WHERE r.item_id = items.id AND r.livemode = item_stock.livemode AND r.status = 'held')::int AS held
FROM items JOIN item_stock ON item_stock.item_id = items.id AND item_stock.livemode = @livemode
WHERE items.merchant_id = @merchant_id AND items.id < @before::text AND (items.archived_at IS NOT NULL) = @archived::bool
  AND (@category::text = '' OR items.category = @category) AND (@sku::text = '' OR items.sku = @sku OR items.barcode = @sku)
  AND (@search::text = '' OR items.title ILIKE '%' || @search || '%' OR items.sku ILIKE @search || '%' OR items.barcode = @search)
ORDER BY items.id DESC LIMIT @most;

-- name: ItemListAfter :many
-- The page before: read upwards, to be turned round.
SELECT sqlc.embed(items), sqlc.embed(item_stock), (
    SELECT coalesce(sum(r.qty), 0) FROM reservations r WHERE r.item_id = items.id AND r.livemode = item_stock.livemode AND r.status = 'held')::int AS held
FROM items JOIN item_stock ON item_stock.item_id = items.id AND item_stock.livemode = @livemode
WHERE items.merchant_id = @merchant_id AND items.id > @after::text AND (items.archived_at IS NOT NULL) = @archived::bool
  AND (@category::text = '' OR items.category = @category) AND (@sku::text = '' OR items.sku = @sku OR items.barcode = @sku)
  AND (@search::text = '' OR items.title ILIKE '%' || @search || '%' OR items.sku ILIKE @search || '%' OR items.barcode = @search)
ORDER BY items.id ASC LIMIT @most;

-- name: ItemCatalogue :many
-- What is on the shelves, as a counter or a storefront shows it.
SELECT sqlc.embed(items), sqlc.embed(item_stock), (
    SELECT coalesce(sum(r.qty), 0) FROM reservations r WHERE r.item_id = items.id AND r.livemode = item_stock.livemode AND r.status = 'held')::int AS held
FROM items JOIN item_stock ON item_stock.item_id = items.id AND item_stock.livemode = @livemode
WHERE items.merchant_id = @merchant_id AND items.archived_at IS NULL
  AND (@category::text = '' OR items.category = @category)
  AND (@search::text = '' OR items.title ILIKE '%' || @search || '%' OR items.sku ILIKE @search || '%' OR items.barcode = @search)
ORDER BY items.title, items.id LIMIT @most OFFSET @skip;

-- name: ItemEditions :many
SELECT sqlc.embed(items), sqlc.embed(item_stock), (
    SELECT coalesce(sum(r.qty), 0) FROM reservations r WHERE r.item_id = items.id AND r.livemode = item_stock.livemode AND r.status = 'held')::int AS held
FROM items JOIN item_stock ON item_stock.item_id = items.id AND item_stock.livemode = @livemode
WHERE items.merchant_id = @merchant_id AND items.archived_at IS NULL AND (items.id = @title OR items.edition_of = @title)
ORDER BY items.id LIMIT 20;

-- name: ItemCategories :many
SELECT category, count(*)::int AS items FROM items
WHERE merchant_id = @merchant_id AND archived_at IS NULL AND category <> ''
GROUP BY category ORDER BY category;

-- name: ItemsOffered :many
-- What items stand for now, each with what is left of it.
SELECT sqlc.embed(items), item_stock.limited, (item_stock.put - item_stock.taken)::int AS free
FROM items JOIN item_stock ON item_stock.item_id = items.id AND item_stock.livemode = @livemode
WHERE items.id = ANY (@ids::text[]);

-- name: ItemPriceInsert :exec
INSERT INTO item_prices (item_id, price, until) VALUES (@item_id, @price, @until);

-- name: ItemPricesHonoured :many
-- Former prices that an offer may still name, those that end first before the others.
SELECT * FROM item_prices WHERE item_id = ANY (@ids::text[]) AND until > @now::timestamptz ORDER BY until, item_id;

-- name: StockForUpdate :one
SELECT sqlc.embed(item_stock) FROM item_stock WHERE item_id = @item_id AND livemode = @livemode FOR NO KEY UPDATE;

-- name: StockHeld :one
SELECT coalesce(sum(qty), 0)::int FROM reservations WHERE item_id = @item_id AND livemode = @livemode AND status = 'held';

-- name: StockSet :exec
UPDATE item_stock SET limited = @limited, put = @put, low_told = false WHERE item_id = @item_id AND livemode = @livemode;

-- name: KeysInsert :execrows
-- A key that the pool knows already is not taken again.
INSERT INTO item_keys (item_id, livemode, key, created_at)
SELECT @item_id, @livemode, unnest(@keys::text[]), @created_at
ON CONFLICT DO NOTHING;

-- name: ItemOwner :one
-- Whose an item is, and whether that shop takes real money.
SELECT items.merchant_id, (merchants.went_live_at IS NOT NULL)::bool AS live
FROM items JOIN merchants ON merchants.id = items.merchant_id WHERE items.id = @id;

-- name: ItemTitles :many
-- What stands for itself on the shelf, and one more item wherever it stands.
SELECT id, title FROM items
WHERE merchant_id = @merchant_id AND (edition_of IS NULL AND archived_at IS NULL OR id = @also)
ORDER BY title, id LIMIT @most;
