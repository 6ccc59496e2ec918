-- name: SaleInsert :exec
INSERT INTO sales (id, merchant_id, livemode, attempt_id, line, settlement_id, link_id, item_id, item_title, qty, amount, currency,
    purchaser_address, network, transaction, channel, reference, late, simulated, created_at)
VALUES (@id, @merchant_id, @livemode, @attempt_id, @line, @settlement_id, @link_id, @item_id, @item_title, @qty, @amount, @currency,
    @purchaser_address, @network, @transaction, @channel, @reference, @late, @simulated, @created_at);

-- name: SaleList :many
SELECT * FROM sales
WHERE merchant_id = @merchant_id AND livemode = @livemode
  AND created_at >= @since::timestamptz AND created_at < @until::timestamptz
  AND (created_at, id) < (@before_time::timestamptz, @before_id::text)
  AND (@channel::text = '' OR channel = @channel) AND (@network::text = '' OR network = @network) AND (@item_id::text = '' OR item_id = @item_id)
  AND (@search::text = '' OR item_title ILIKE '%' || @search || '%' OR purchaser_address ILIKE @search || '%' OR transaction ILIKE @search || '%' OR attempt_id = @search OR id = @search)
ORDER BY created_at DESC, id DESC LIMIT @most;

-- name: SaleListAfter :many
SELECT * FROM sales
WHERE merchant_id = @merchant_id AND livemode = @livemode
  AND created_at >= @since::timestamptz AND created_at < @until::timestamptz
  AND (created_at, id) > (@after_time::timestamptz, @after_id::text)
  AND (@channel::text = '' OR channel = @channel) AND (@network::text = '' OR network = @network) AND (@item_id::text = '' OR item_id = @item_id)
  AND (@search::text = '' OR item_title ILIKE '%' || @search || '%' OR purchaser_address ILIKE @search || '%' OR transaction ILIKE @search || '%' OR attempt_id = @search OR id = @search)
ORDER BY created_at ASC, id ASC LIMIT @most;

-- name: SaleControl :one
-- Row count and sum of what a CSV holds; simulated money is in no total.
SELECT count(*)::bigint AS sales, coalesce(sum(amount) FILTER (WHERE NOT simulated), 0)::bigint AS amount
FROM sales
WHERE merchant_id = @merchant_id AND livemode = @livemode
  AND created_at >= @since::timestamptz AND created_at < @until::timestamptz
  AND (@channel::text = '' OR channel = @channel) AND (@network::text = '' OR network = @network) AND (@item_id::text = '' OR item_id = @item_id);

-- name: SaleOfAttempt :many
SELECT * FROM sales WHERE attempt_id = @attempt_id ORDER BY line;

-- name: SalesDayAdd :exec
INSERT INTO sales_days (merchant_id, livemode, day, channel, network, slot, sales, amount)
VALUES (@merchant_id, @livemode, @day, @channel, @network, @slot, 1, @amount)
ON CONFLICT (merchant_id, livemode, day, channel, network, slot)
DO UPDATE SET sales = sales_days.sales + 1, amount = sales_days.amount + excluded.amount;

-- name: SalesDays :many
SELECT day, sum(sales)::bigint AS sales, sum(amount)::bigint AS amount FROM sales_days
WHERE merchant_id = @merchant_id AND livemode = @livemode AND day >= @since::date AND day < @until::date
  AND (@channel::text = '' OR channel = @channel)
GROUP BY day ORDER BY day;
