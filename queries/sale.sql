-- name: SalesInsert :exec
INSERT INTO sales (id, merchant_id, livemode, attempt_id, line, settlement_id, reservation_id, link_id, item_id, item_title, kind, fulfilment, qty, amount, currency,
    purchaser_address, network, transaction, channel, reference, late, simulated, created_at)
SELECT unnest(@ids::text[]), unnest(@merchants::text[]), unnest(@livemodes::bool[]), unnest(@attempts::text[]), unnest(@lines::smallint[]),
    nullif(unnest(@settlements::text[]), ''), unnest(@reservations::text[]), nullif(unnest(@links::text[]), ''), unnest(@items::text[]), unnest(@item_titles::text[]),
    unnest(@kinds::text[]), unnest(@fulfilments::text[]), unnest(@quantities::int[]),
    unnest(@amounts::bigint[]), unnest(@currencies::text[]), unnest(@purchasers::text[]), unnest(@networks::text[]), unnest(@transactions::text[]),
    unnest(@channels::text[]), unnest(@refs::text[]), unnest(@late::bool[]), unnest(@simulated::bool[]), @created_at;

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

-- name: SalesMove :exec
UPDATE sales SET transaction = @transaction WHERE attempt_id = @attempt_id AND settlement_id = @settlement_id::text;

-- name: SalesDaysAdd :exec
-- In the order of the key, so that two who add at once never wait for each other in a circle.
INSERT INTO sales_days (merchant_id, livemode, day, channel, network, slot, sales, amount)
SELECT sold.merchant_id, sold.livemode, @day, sold.channel, sold.network, @slot, count(*), sum(sold.amount)
FROM (SELECT unnest(@merchants::text[]) AS merchant_id, unnest(@livemodes::bool[]) AS livemode, unnest(@channels::text[]) AS channel,
    unnest(@networks::text[]) AS network, unnest(@amounts::bigint[]) AS amount) sold
GROUP BY 1, 2, 4, 5 ORDER BY 1, 2, 4, 5
ON CONFLICT (merchant_id, livemode, day, channel, network, slot)
DO UPDATE SET sales = sales_days.sales + excluded.sales, amount = sales_days.amount + excluded.amount;

-- name: SalesDays :many
SELECT day, sum(sales)::bigint AS sales, sum(amount)::bigint AS amount FROM sales_days
WHERE merchant_id = @merchant_id AND livemode = @livemode AND day >= @since::date AND day < @until::date
  AND (@channel::text = '' OR channel = @channel)
GROUP BY day ORDER BY day;
