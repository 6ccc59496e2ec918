-- name: StockTake :many
-- Holds stock for lines of purchases, or claims it at once, and counts it for their items, in the order in which everybody
-- takes them. Where too little is left of one, its row does not come back: then the caller undoes all of it.
WITH held AS (
    INSERT INTO reservations (id, merchant_id, attempt_id, line, item_id, livemode, qty, status, unpaid_from, created_at, updated_at)
    SELECT unnest(@ids::text[]), unnest(@merchants::text[]), unnest(@attempts::text[]), unnest(@lines::smallint[]), unnest(@items::text[]),
        unnest(@livemodes::bool[]), unnest(@quantities::int[]), @status::text, unnest(@unpaid_from::text[]), @now::timestamptz, @now::timestamptz
), wanted AS (
    SELECT u.item_id, u.livemode, sum(u.qty)::int AS qty
    FROM (SELECT unnest(@items::text[]) AS item_id, unnest(@livemodes::bool[]) AS livemode, unnest(@quantities::int[]) AS qty) u
    GROUP BY 1, 2
), locked AS MATERIALIZED (
    SELECT s.item_id, s.livemode, s.low_told, wanted.qty, i.merchant_id, i.title, i.low_stock
    FROM item_stock s JOIN wanted USING (item_id, livemode) JOIN items i ON i.id = s.item_id
    ORDER BY s.item_id, s.livemode FOR NO KEY UPDATE OF s
)
UPDATE item_stock SET taken = item_stock.taken + locked.qty,
    low_told = item_stock.low_told OR coalesce(item_stock.put - item_stock.taken - locked.qty <= locked.low_stock, false)
FROM locked
WHERE item_stock.item_id = locked.item_id AND item_stock.livemode = locked.livemode AND item_stock.taken + locked.qty <= item_stock.put
RETURNING item_stock.item_id, item_stock.livemode, (item_stock.put - item_stock.taken)::int AS free, locked.merchant_id, locked.title,
    (item_stock.low_told AND NOT locked.low_told)::bool AS low;

-- name: StockHold :many
-- Locks counters in the order in which everybody takes them.
SELECT item_id, livemode, limited, (put - taken)::int AS free FROM item_stock
WHERE (item_id, livemode) IN (SELECT unnest(@items::text[]), unnest(@livemodes::bool[]))
ORDER BY item_id, livemode FOR NO KEY UPDATE;

-- name: ReservationsUnpaid :many
-- What buyers hold of items before they pay, by their network address. There is never more of it than half of what is free.
SELECT item_id, livemode, unpaid_from, count(DISTINCT attempt_id)::int AS purchases, sum(qty)::int AS qty
FROM reservations WHERE item_id = ANY (@of_items::text[]) AND unpaid_from <> ''
GROUP BY 1, 2, 3;

-- name: ReservationsClaim :many
-- Held stock is sold. Its counter knows it as taken already.
UPDATE reservations SET status = 'claimed', unpaid_from = '', updated_at = @now::timestamptz
WHERE attempt_id = ANY (@attempts::text[]) AND status = 'held'
RETURNING *;

-- name: ReservationsRelease :many
-- Gives held stock back, once.
WITH ended AS (
    UPDATE reservations SET status = 'released', unpaid_from = '', updated_at = @now::timestamptz
    WHERE attempt_id = ANY (@attempts::text[]) AND status = 'held'
    RETURNING id, merchant_id, attempt_id, line, item_id, livemode, qty
), freed AS (
    SELECT item_id, livemode, sum(qty)::int AS qty FROM ended GROUP BY 1, 2
), locked AS MATERIALIZED (
    SELECT s.item_id, s.livemode, freed.qty FROM item_stock s JOIN freed USING (item_id, livemode)
    ORDER BY s.item_id, s.livemode FOR NO KEY UPDATE OF s
), given AS (
    UPDATE item_stock SET taken = item_stock.taken - locked.qty FROM locked
    WHERE item_stock.item_id = locked.item_id AND item_stock.livemode = locked.livemode
)
SELECT id, merchant_id, attempt_id, line, item_id, livemode, qty FROM ended ORDER BY line;

-- name: ReservationsOf :many
SELECT * FROM reservations WHERE attempt_id = @attempt_id ORDER BY line, id;

-- name: ReservationsReleased :many
-- What a purchase held before it ended, line by line.
SELECT DISTINCT ON (line) * FROM reservations WHERE attempt_id = @attempt_id AND status = 'released' ORDER BY line, id DESC;

-- name: AttemptsUnpaidHolding :many
-- Purchases that hold some of these items and that nobody pays yet, the oldest first: whose stock a paying buyer may take.
SELECT attempts.id FROM attempts
WHERE attempts.status = 'open' AND attempts.id IN (
    SELECT r.attempt_id FROM reservations r
    WHERE r.item_id = ANY (@items::text[]) AND r.livemode = @livemode AND r.unpaid_from <> ''
    ORDER BY r.created_at LIMIT @most)
ORDER BY attempts.created_at FOR UPDATE SKIP LOCKED;

-- name: StockOfAttempts :many
SELECT attempt_id, item_id, livemode, qty FROM reservations WHERE attempt_id = ANY (@attempts::text[]) AND status = 'held';
