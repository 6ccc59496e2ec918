-- name: CountingShared :exec
-- Held to the end by whoever counts sales of these shops; who counts them anew waits for that.
SELECT pg_advisory_xact_lock_shared(1014, hashtext(id)) FROM (SELECT id FROM merchants WHERE id = ANY (@merchants::text[]) ORDER BY id) m;

-- name: CountingAlone :exec
SELECT pg_advisory_xact_lock(1014, hashtext(@merchant_id::text));

-- name: RecountAlone :exec
-- Held to the end by whoever counts a shop anew, or takes sales away that may be counted by then.
SELECT pg_advisory_xact_lock(1015, hashtext(@merchant_id::text));

-- name: SumsAdd :exec
-- In the order of the key, so that two who add at once never wait for each other in a circle. With the sign -1 it takes away.
INSERT INTO sales_sums (merchant_id, livemode, zone, by, span, start, key, slot, payments, qty, amount, fee)
SELECT c.merchant_id, c.livemode, c.zone, c.by, c.span, c.start, c.key, sqlc.arg(slot)::smallint, count(DISTINCT c.attempt_id) * sqlc.arg(sign)::bigint,
    sum(c.qty * sqlc.arg(sign)::bigint)::bigint, sum(c.amount * sqlc.arg(sign)::bigint)::bigint, sum(c.fee * sqlc.arg(sign)::bigint)::bigint
FROM counted_sales c WHERE c.attempt_id = ANY (sqlc.arg(attempts)::text[]) AND NOT c.next
GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7
ON CONFLICT (merchant_id, livemode, zone, by, span, start, key, slot)
DO UPDATE SET payments = sales_sums.payments + excluded.payments, qty = sales_sums.qty + excluded.qty, amount = sales_sums.amount + excluded.amount,
    fee = sales_sums.fee + excluded.fee;

-- name: SumsAddRefund :exec
-- With the sign -1 it takes away.
INSERT INTO sales_sums (merchant_id, livemode, zone, by, span, start, key, slot, payments, qty, amount, fee)
SELECT c.merchant_id, c.livemode, c.zone, 'refund', c.span, c.start, 'all', 0, sqlc.arg(sign)::bigint, 0, c.amount * sqlc.arg(sign)::bigint, c.fee * sqlc.arg(sign)::bigint
FROM counted_refunds c WHERE c.id = @id AND NOT c.next
ORDER BY 1, 2, 3, 5, 6
ON CONFLICT (merchant_id, livemode, zone, by, span, start, key, slot)
DO UPDATE SET payments = sales_sums.payments + excluded.payments, amount = sales_sums.amount + excluded.amount, fee = sales_sums.fee + excluded.fee;

-- name: SumsRecount :exec
-- What a shop sold from since up to until, in days of its next zone.
INSERT INTO sales_sums (merchant_id, livemode, zone, by, span, start, key, slot, payments, qty, amount, fee)
SELECT c.merchant_id, c.livemode, c.zone, c.by, c.span, c.start, c.key, 0, count(DISTINCT c.attempt_id), sum(c.qty)::bigint, sum(c.amount)::bigint, sum(c.fee)::bigint
FROM counted_sales c
WHERE c.merchant_id = @merchant_id AND c.created_at >= @since::timestamptz AND c.created_at < @until::timestamptz AND c.next
GROUP BY 1, 2, 3, 4, 5, 6, 7
ON CONFLICT (merchant_id, livemode, zone, by, span, start, key, slot)
DO UPDATE SET payments = sales_sums.payments + excluded.payments, qty = sales_sums.qty + excluded.qty, amount = sales_sums.amount + excluded.amount,
    fee = sales_sums.fee + excluded.fee;

-- name: SumsRecountRefunds :exec
INSERT INTO sales_sums (merchant_id, livemode, zone, by, span, start, key, slot, payments, qty, amount, fee)
SELECT c.merchant_id, c.livemode, c.zone, 'refund', c.span, c.start, 'all', 0, count(*), 0, sum(c.amount)::bigint, sum(c.fee)::bigint
FROM counted_refunds c WHERE c.merchant_id = @merchant_id AND c.next
GROUP BY 1, 2, 3, 5, 6;

-- name: SumsForget :exec
-- The figures of a shop in days of another zone than this one.
DELETE FROM sales_sums WHERE merchant_id = @merchant_id AND zone <> @zone;

-- name: SumsTotal :one
-- By whole months from one to another, and by the days before and after them. One way of counting holds every payment once.
SELECT coalesce(sum(payments), 0)::bigint AS payments, coalesce(sum(qty), 0)::bigint AS qty, coalesce(sum(amount), 0)::bigint AS amount, coalesce(sum(fee), 0)::bigint AS fee
FROM sales_sums
WHERE merchant_id = @merchant_id AND livemode = @livemode AND zone = @zone AND by = @by AND (@key::text = '' OR key = @key)
  AND (span = 'month' AND start >= @first_month::date AND start < @last_month::date
    OR span = 'day' AND start >= @since::date AND start < @first_month OR span = 'day' AND start >= @last_month AND start < @until::date);

-- name: SumsByKey :many
SELECT key, sum(payments)::bigint AS payments, sum(qty)::bigint AS qty, sum(amount)::bigint AS amount, sum(fee)::bigint AS fee
FROM sales_sums
WHERE merchant_id = @merchant_id AND livemode = @livemode AND zone = @zone AND by = @by
  AND (span = 'month' AND start >= @first_month::date AND start < @last_month::date
    OR span = 'day' AND start >= @since::date AND start < @first_month OR span = 'day' AND start >= @last_month AND start < @until::date)
GROUP BY key HAVING sum(payments) <> 0 ORDER BY sum(amount) DESC, key LIMIT @most;

-- name: SumsByStart :many
SELECT start, sum(payments)::bigint AS payments, sum(qty)::bigint AS qty, sum(amount)::bigint AS amount, sum(fee)::bigint AS fee
FROM sales_sums
WHERE merchant_id = @merchant_id AND livemode = @livemode AND zone = @zone AND by = 'channel' AND (@channel::text = '' OR key = @channel)
  AND span = @span AND start >= @since::date AND start < @until::date
GROUP BY start ORDER BY start;

-- name: SumsFirst :one
-- The first day on which a shop sold anything.
SELECT min(start)::date FROM sales_sums WHERE merchant_id = @merchant_id AND livemode = @livemode AND zone = @zone AND by = 'channel' AND span = 'day'
HAVING min(start) IS NOT NULL;

-- name: SoldTitlesAdd :exec
INSERT INTO sold_titles (merchant_id, livemode, item_id, title)
SELECT DISTINCT merchant_id, livemode, item_id, item_title FROM sales WHERE attempt_id = ANY (@attempts::text[]) AND item_id <> '' ORDER BY 1, 2, 3, 4
ON CONFLICT DO NOTHING;

-- name: SoldTitles :many
-- Under which names these things were sold last.
SELECT wanted.item_id::text AS item_id, last.item_title AS title
FROM (SELECT unnest(@items::text[]) AS item_id) wanted
CROSS JOIN LATERAL (SELECT item_title FROM sales WHERE merchant_id = @merchant_id AND livemode = @livemode AND sales.item_id = wanted.item_id
    ORDER BY created_at DESC, id DESC LIMIT 1) last;

-- name: LinkTitles :many
SELECT id, title FROM links WHERE merchant_id = @merchant_id AND id = ANY (@links::text[]);

-- name: SoldUnder :many
-- What was sold under names with all of these words, or beginnings of words.
SELECT DISTINCT item_id FROM sold_titles
WHERE merchant_id = @merchant_id AND livemode = @livemode AND to_tsvector('simple', title) @@ to_tsquery('simple', @words::text) LIMIT @most;

-- name: MerchantZone :one
SELECT zone, next_zone FROM merchants WHERE id = @id;

-- name: MerchantAskZone :execrows
-- A zone that the database does not know is an error of its own.
UPDATE merchants SET next_zone = CASE WHEN zone = @next::text THEN '' ELSE @next END
WHERE id = @id AND zone = @was AND now() AT TIME ZONE @next IS NOT NULL;

-- name: MerchantTakeZone :execrows
UPDATE merchants SET zone = next_zone, next_zone = '' WHERE id = @id AND next_zone = @zone;

-- name: MerchantsCounting :many
SELECT id FROM merchants WHERE next_zone <> '';
