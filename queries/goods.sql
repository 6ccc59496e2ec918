-- name: KeysGive :execrows
-- Keys that nobody has, the first of the list before the others. The stock that was held says that there are enough.
UPDATE item_keys SET attempt_id = @attempt_id::text, line = @line::smallint, given_at = @now::timestamptz
WHERE item_keys.id IN (
    SELECT k.id FROM item_keys k WHERE k.item_id = @item_id AND k.livemode = @livemode AND k.attempt_id IS NULL
    ORDER BY k.id LIMIT @most FOR UPDATE SKIP LOCKED);

-- name: KeysOfAttempt :many
SELECT line, key FROM item_keys WHERE attempt_id = @attempt_id::text ORDER BY line, id;

-- name: DownloadsOfAttempt :many
SELECT * FROM downloads WHERE attempt_id = @attempt_id;

-- name: DownloadCount :exec
INSERT INTO downloads (attempt_id, line, upload_id, times, last_at) VALUES (@attempt_id, @line, @upload_id, 1, @now)
ON CONFLICT (attempt_id, line) DO UPDATE SET times = downloads.times + 1, upload_id = excluded.upload_id, last_at = excluded.last_at;

-- name: OrderList :many
-- What is to be sent, or was, with whom it goes to; newest first.
SELECT sqlc.embed(sales), coalesce(b.name, '')::text AS name, coalesce(b.email, '')::text AS email, coalesce(b.note, '')::text AS note, b.shipping,
    (attempts.status = 'reversed')::bool AS reversed, coalesce(items.sku, '')::text AS sku,
    EXISTS (SELECT FROM exceptions e WHERE e.attempt_id = sales.attempt_id AND e.resolved_at IS NULL AND e.kind LIKE 'late%') AS undecided
FROM sales JOIN attempts ON attempts.id = sales.attempt_id LEFT JOIN items ON items.id = sales.item_id
    LEFT JOIN attempt_buyers b ON b.attempt_id = sales.attempt_id
WHERE sales.merchant_id = @merchant_id AND sales.livemode = @livemode AND sales.fulfilment = @fulfilment AND sales.id < @before::text
ORDER BY sales.id DESC LIMIT @most;

-- name: OrderListAfter :many
-- The page before: read upwards, to be turned round.
SELECT sqlc.embed(sales), coalesce(b.name, '')::text AS name, coalesce(b.email, '')::text AS email, coalesce(b.note, '')::text AS note, b.shipping,
    (attempts.status = 'reversed')::bool AS reversed, coalesce(items.sku, '')::text AS sku,
    EXISTS (SELECT FROM exceptions e WHERE e.attempt_id = sales.attempt_id AND e.resolved_at IS NULL AND e.kind LIKE 'late%') AS undecided
FROM sales JOIN attempts ON attempts.id = sales.attempt_id LEFT JOIN items ON items.id = sales.item_id
    LEFT JOIN attempt_buyers b ON b.attempt_id = sales.attempt_id
WHERE sales.merchant_id = @merchant_id AND sales.livemode = @livemode AND sales.fulfilment = @fulfilment AND sales.id > @after::text
ORDER BY sales.id ASC LIMIT @most;

-- name: OrdersBeside :many
-- One order, and what else is sent of the same purchase.
SELECT sqlc.embed(sales), coalesce(b.name, '')::text AS name, coalesce(b.email, '')::text AS email, coalesce(b.note, '')::text AS note, b.shipping,
    (attempts.status = 'reversed')::bool AS reversed, coalesce(items.sku, '')::text AS sku,
    EXISTS (SELECT FROM exceptions e WHERE e.attempt_id = sales.attempt_id AND e.resolved_at IS NULL AND e.kind LIKE 'late%') AS undecided
FROM sales JOIN attempts ON attempts.id = sales.attempt_id LEFT JOIN items ON items.id = sales.item_id
    LEFT JOIN attempt_buyers b ON b.attempt_id = sales.attempt_id
WHERE sales.merchant_id = @merchant_id AND sales.livemode = @livemode AND sales.fulfilment <> ''
  AND sales.attempt_id = (SELECT one.attempt_id FROM sales one WHERE one.id = @id)
ORDER BY sales.line;

-- name: OrdersToPack :many
-- What waits to be sent, or those that are named; what was paid first comes first.
SELECT sqlc.embed(sales), coalesce(b.name, '')::text AS name, coalesce(b.email, '')::text AS email, coalesce(b.note, '')::text AS note, b.shipping,
    (attempts.status = 'reversed')::bool AS reversed, coalesce(items.sku, '')::text AS sku,
    EXISTS (SELECT FROM exceptions e WHERE e.attempt_id = sales.attempt_id AND e.resolved_at IS NULL AND e.kind LIKE 'late%') AS undecided
FROM sales JOIN attempts ON attempts.id = sales.attempt_id LEFT JOIN items ON items.id = sales.item_id
    LEFT JOIN attempt_buyers b ON b.attempt_id = sales.attempt_id
WHERE sales.merchant_id = @merchant_id AND sales.livemode = @livemode
  AND (cardinality(@ids::text[]) = 0 AND sales.fulfilment = 'unfulfilled' OR sales.fulfilment <> '' AND sales.id = ANY (@ids::text[]))
ORDER BY sales.id LIMIT @most;

-- name: SaleFulfil :one
UPDATE sales SET fulfilment = 'fulfilled', fulfilled_at = @now::timestamptz, fulfilled_by = @by, fulfilment_note = @note WHERE id = @id
RETURNING *;

-- name: SaleUnfulfil :one
UPDATE sales SET fulfilment = 'unfulfilled', fulfilled_at = NULL, fulfilled_by = '', fulfilment_note = '' WHERE id = @id
RETURNING *;

-- name: SaleForUpdate :one
SELECT * FROM sales WHERE merchant_id = @merchant_id AND livemode = @livemode AND id = @id FOR NO KEY UPDATE;

-- name: AuditKeys :many
-- A key is given to a line that paid for it, as many as it bought; what is free of a list is its stock.
SELECT (s.item_id || CASE WHEN s.livemode THEN ' live' ELSE ' test' END || ' has ' || coalesce(k.free, 0)::text || ' free keys and '
    || coalesce(k.given, 0)::text || ' given ones, its stock counts ' || (s.put - s.taken)::text || ' free and ' || coalesce(r.sold, 0)::text || ' sold')::text
FROM item_stock s JOIN items i ON i.id = s.item_id AND i.kind = 'key'
LEFT JOIN (SELECT item_id, livemode, count(*) FILTER (WHERE attempt_id IS NULL) AS free, count(*) FILTER (WHERE attempt_id IS NOT NULL) AS given
    FROM item_keys GROUP BY 1, 2) k USING (item_id, livemode)
LEFT JOIN (SELECT item_id, livemode, sum(qty) FILTER (WHERE status = 'claimed') AS sold, sum(qty) FILTER (WHERE status = 'held') AS held
    FROM reservations GROUP BY 1, 2) r USING (item_id, livemode)
WHERE coalesce(k.given, 0) <> coalesce(r.sold, 0) OR coalesce(k.free, 0) <> s.put - s.taken + coalesce(r.held, 0);
