-- name: SalesInsert :exec
INSERT INTO sales (id, merchant_id, livemode, attempt_id, line, settlement_id, reservation_id, link_id, item_id, item_title, kind, fulfilment, qty, amount, currency,
    purchaser_address, network, transaction, channel, reference, late, simulated, paid, fee, created_at)
SELECT unnest(@ids::text[]), unnest(@merchants::text[]), unnest(@livemodes::bool[]), unnest(@attempts::text[]), unnest(@lines::smallint[]),
    nullif(unnest(@settlements::text[]), ''), unnest(@reservations::text[]), nullif(unnest(@links::text[]), ''), unnest(@items::text[]), unnest(@item_titles::text[]),
    unnest(@kinds::text[]), unnest(@fulfilments::text[]), unnest(@quantities::int[]),
    unnest(@amounts::bigint[]), unnest(@currencies::text[]), unnest(@purchasers::text[]), unnest(@networks::text[]), unnest(@transactions::text[]),
    unnest(@channels::text[]), unnest(@refs::text[]), unnest(@late::bool[]), unnest(@simulated::bool[]), unnest(@paid::bigint[]), unnest(@fees::bigint[]), @created_at;

-- name: SaleList :many
-- Planned for the values it is asked with: each of the filters has an index of its own.
SELECT * FROM sales
WHERE merchant_id = @merchant_id AND livemode = @livemode
  AND created_at >= @since::timestamptz AND created_at < @until::timestamptz
  AND (created_at, id) < (@before_time::timestamptz, @before_id::text)
  AND (@channel::text = '' OR channel = @channel) AND (@network::text = '' OR network = @network) AND (@item_id::text = '' OR item_id = @item_id)
  AND (@sale::text = '' OR id = @sale) AND (@attempt::text = '' OR attempt_id = @attempt)
  AND (@paid::bigint < 0 OR paid = @paid OR lower(reference) COLLATE "C" = @ref::text AND reference <> '')
  AND (@address::text = '' OR purchaser_address COLLATE "C" = @address) AND (@hash::text = '' OR transaction COLLATE "C" = @hash)
  AND (@prefix::text = '' OR purchaser_address COLLATE "C" >= @prefix AND purchaser_address COLLATE "C" < @prefix || 'g'
    OR transaction COLLATE "C" >= @prefix AND transaction COLLATE "C" < @prefix || 'g')
  AND (@suffix::text = '' OR right(purchaser_address, length(@suffix)) = @suffix OR right(transaction, length(@suffix)) = @suffix)
  AND (@ref = '' OR @paid >= 0 OR lower(reference) COLLATE "C" = @ref AND reference <> '' OR item_id = ANY (@items::text[]))
ORDER BY created_at DESC, id DESC LIMIT @most;

-- name: SaleListAfter :many
SELECT * FROM sales
WHERE merchant_id = @merchant_id AND livemode = @livemode
  AND created_at >= @since::timestamptz AND created_at < @until::timestamptz
  AND (created_at, id) > (@after_time::timestamptz, @after_id::text)
  AND (@channel::text = '' OR channel = @channel) AND (@network::text = '' OR network = @network) AND (@item_id::text = '' OR item_id = @item_id)
  AND (@sale::text = '' OR id = @sale) AND (@attempt::text = '' OR attempt_id = @attempt)
  AND (@paid::bigint < 0 OR paid = @paid OR lower(reference) COLLATE "C" = @ref::text AND reference <> '')
  AND (@address::text = '' OR purchaser_address COLLATE "C" = @address) AND (@hash::text = '' OR transaction COLLATE "C" = @hash)
  AND (@prefix::text = '' OR purchaser_address COLLATE "C" >= @prefix AND purchaser_address COLLATE "C" < @prefix || 'g'
    OR transaction COLLATE "C" >= @prefix AND transaction COLLATE "C" < @prefix || 'g')
  AND (@suffix::text = '' OR right(purchaser_address, length(@suffix)) = @suffix OR right(transaction, length(@suffix)) = @suffix)
  AND (@ref = '' OR @paid >= 0 OR lower(reference) COLLATE "C" = @ref AND reference <> '' OR item_id = ANY (@items::text[]))
ORDER BY created_at ASC, id ASC LIMIT @most;

-- name: SaleControl :one
-- Row count and sum of what a CSV holds; simulated money, and what the chain took back, is in no total.
SELECT count(*)::bigint AS sales, coalesce(sum(amount) FILTER (WHERE NOT simulated AND NOT reversed), 0)::bigint AS amount
FROM sales
WHERE merchant_id = @merchant_id AND livemode = @livemode
  AND created_at >= @since::timestamptz AND created_at < @until::timestamptz
  AND (@channel::text = '' OR channel = @channel) AND (@network::text = '' OR network = @network) AND (@item_id::text = '' OR item_id = @item_id);

-- name: SaleExport :many
-- With what an accountant asks of each line: where and when the chain moved its money, what that took, and what went back.
SELECT sqlc.embed(sales), settlements.block_number, settlements.block_time, settlements.log_index, coalesce(settlements.gas, 0)::bigint AS gas,
    coalesce(refunded.ids, '')::text AS refund_ids
FROM sales
LEFT JOIN settlements ON settlements.id = sales.settlement_id
LEFT JOIN LATERAL (SELECT string_agg(l.refund_id, ' ' ORDER BY l.refund_id) AS ids
    FROM refund_lines l JOIN refunds r ON r.id = l.refund_id WHERE l.sale_id = sales.id AND r.status <> 'failed') refunded ON sales.refunded > 0
WHERE sales.merchant_id = @merchant_id AND sales.livemode = @livemode
  AND sales.created_at >= @since::timestamptz AND sales.created_at < @until::timestamptz
  AND (sales.created_at, sales.id) < (@before_time::timestamptz, @before_id::text)
  AND (@channel::text = '' OR sales.channel = @channel) AND (@network::text = '' OR sales.network = @network) AND (@item_id::text = '' OR sales.item_id = @item_id)
ORDER BY sales.created_at DESC, sales.id DESC LIMIT @most;

-- name: SaleOfAttempt :many
SELECT * FROM sales WHERE attempt_id = @attempt_id ORDER BY line;

-- name: SalesReverse :execrows
UPDATE sales SET reversed = true WHERE attempt_id = ANY (@attempts::text[]) AND NOT reversed;

-- name: SalesMove :exec
UPDATE sales SET transaction = @transaction WHERE attempt_id = @attempt_id AND settlement_id = @settlement_id::text;
