-- name: LinkInsert :one
-- A key that made a link before gives that link again.
INSERT INTO links (id, merchant_id, token, livemode, title, description, sells, price, presets, network, starts_at, expires_at, paused_at, max_payments,
    success_url, message, file_id, key_item_id, leads_to, leads_all, asks, pause_text, endpoint_id, reference, metadata, once, created_at, updated_at)
VALUES (@id, @merchant_id, @token, @livemode, @title, @description, @sells, @price, @presets, @network, @starts_at, @expires_at, @paused_at, @max_payments,
    @success_url, @message, @file_id, @key_item_id, @leads_to, @leads_all, @asks, @pause_text, @endpoint_id, @reference, @metadata, @once, @created_at, @created_at)
ON CONFLICT (once) DO UPDATE SET once = excluded.once
RETURNING id;

-- name: LinkByToken :one
-- Another address counts from its time on, whether or not it was moved into its place yet; where money is real, only
-- once it is proven.
SELECT sqlc.embed(links), sqlc.embed(merchants), payees.address AS pay_to, payees.proven_at,
    due.address AS due_pay_to, due.proven_at AS due_proven_at, deposits.address AS collect_at,
    CASE links.sells WHEN 'items' THEN link_goods(links.id, links.livemode) WHEN 'endpoint' THEN link_endpoint(links.endpoint_id) END::jsonb AS goods,
    CASE WHEN links.key_item_id IS NOT NULL THEN link_gift(links.id, links.livemode) END::jsonb AS gift
FROM links
JOIN merchants ON merchants.id = links.merchant_id
LEFT JOIN payees ON payees.merchant_id = links.merchant_id AND payees.network = links.network
LEFT JOIN payee_changes due ON due.merchant_id = links.merchant_id AND due.network = links.network
    AND due.applied_at IS NULL AND due.cancelled_at IS NULL AND due.effective_at <= @now::timestamptz
    AND (due.proven_at IS NOT NULL OR NOT links.livemode)
LEFT JOIN deposit_addresses deposits ON deposits.merchant_id = links.merchant_id AND deposits.network = links.network AND payees.collects
WHERE links.token = @token AND links.deleted_at IS NULL;

-- name: LinkByID :one
SELECT sqlc.embed(links), CASE links.sells WHEN 'items' THEN link_goods(links.id, links.livemode) WHEN 'endpoint' THEN link_endpoint(links.endpoint_id) END::jsonb AS goods,
    CASE WHEN links.key_item_id IS NOT NULL THEN link_gift(links.id, links.livemode) END::jsonb AS gift
FROM links WHERE merchant_id = @merchant_id AND id = @id AND deleted_at IS NULL;

-- name: LinkForUpdate :one
-- Sales refer to the link meanwhile, and must not wait for it.
SELECT * FROM links WHERE merchant_id = @merchant_id AND id = @id AND deleted_at IS NULL FOR NO KEY UPDATE;

-- name: LinkPaymentsTaken :one
-- What holds a payment now; a purchase that begins without one meanwhile never gives one back.
SELECT count(*)::int FROM attempts WHERE link_id = @link_id AND holds_payment;

-- name: LinkHold :exec
-- Purchases begun while there was no limit count from the moment there is one.
UPDATE attempts SET holds_payment = true
WHERE link_id = @link_id AND NOT holds_payment AND status IN ('open', 'settling', 'unknown', 'settled', 'settled_late');

-- name: LinkUpdate :one
UPDATE links SET title = @title, description = @description, sells = @sells, price = @price, presets = @presets, starts_at = @starts_at, expires_at = @expires_at,
    paused_at = @paused_at, max_payments = @max_payments, payments_taken = @payments_taken, success_url = @success_url, message = @message,
    file_id = @file_id, key_item_id = @key_item_id, leads_to = @leads_to, leads_all = @leads_all, asks = @asks, pause_text = @pause_text, endpoint_id = @endpoint_id,
    reference = @reference, metadata = @metadata, updated_at = @updated_at,
    end_told = end_told AND (expired_at IS NOT NULL OR expires_at IS NOT DISTINCT FROM @expires_at)
WHERE merchant_id = @merchant_id AND id = @id
RETURNING *;

-- name: LinkPause :exec
UPDATE links SET paused_at = @paused_at, pause_text = @pause_text, updated_at = @now::timestamptz WHERE merchant_id = @merchant_id AND id = @id;

-- name: LinkExpire :one
UPDATE links SET expired_at = coalesce(expired_at, @now::timestamptz), end_told = true, updated_at = @now::timestamptz
WHERE merchant_id = @merchant_id AND id = @id
RETURNING *;

-- name: LinkDelete :exec
UPDATE links SET deleted_at = @now::timestamptz, updated_at = @now::timestamptz WHERE merchant_id = @merchant_id AND id = @id;

-- name: LinkClick :exec
INSERT INTO link_clicks (link_id, slot, clicks, led) VALUES (@link_id, @slot, @clicks, @led)
ON CONFLICT (link_id, slot) DO UPDATE SET clicks = link_clicks.clicks + excluded.clicks, led = link_clicks.led + excluded.led;

-- name: LinkClicks :many
SELECT link_id, sum(clicks)::bigint AS clicks, sum(led)::bigint AS led FROM link_clicks WHERE link_id = ANY (@links::text[]) GROUP BY link_id;

-- name: LinksEnd :many
-- Links whose time is over, and of whose end nobody was told.
UPDATE links SET end_told = true WHERE id IN (
    SELECT l.id FROM links l WHERE NOT l.end_told AND l.expires_at <= @now::timestamptz
    ORDER BY l.expires_at LIMIT @most FOR NO KEY UPDATE SKIP LOCKED)
RETURNING *;

-- name: LinkList :many
SELECT sqlc.embed(links), coalesce(t.payments, 0)::bigint AS payments, coalesce(t.received, 0)::bigint AS received, coalesce(t.last_paid_at, 'epoch')::timestamptz AS last_paid_at,
    CASE links.sells WHEN 'items' THEN link_goods(links.id, links.livemode) WHEN 'endpoint' THEN link_endpoint(links.endpoint_id) END::jsonb AS goods,
    CASE WHEN links.key_item_id IS NOT NULL THEN link_gift(links.id, links.livemode) END::jsonb AS gift
FROM links
LEFT JOIN LATERAL (
    SELECT sum(link_totals.payments)::bigint AS payments, sum(link_totals.amount)::bigint AS received, max(link_totals.last_paid_at) AS last_paid_at
    FROM link_totals WHERE link_totals.link_id = links.id
) t ON true
WHERE links.merchant_id = @merchant_id AND links.livemode = @livemode AND links.deleted_at IS NULL AND links.id < @before::text
ORDER BY links.id DESC
LIMIT @most;

-- name: LinkListAfter :many
-- The page before: read upwards, to be turned round.
SELECT sqlc.embed(links), coalesce(t.payments, 0)::bigint AS payments, coalesce(t.received, 0)::bigint AS received, coalesce(t.last_paid_at, 'epoch')::timestamptz AS last_paid_at,
    CASE links.sells WHEN 'items' THEN link_goods(links.id, links.livemode) WHEN 'endpoint' THEN link_endpoint(links.endpoint_id) END::jsonb AS goods,
    CASE WHEN links.key_item_id IS NOT NULL THEN link_gift(links.id, links.livemode) END::jsonb AS gift
FROM links
LEFT JOIN LATERAL (
    SELECT sum(link_totals.payments)::bigint AS payments, sum(link_totals.amount)::bigint AS received, max(link_totals.last_paid_at) AS last_paid_at
    FROM link_totals WHERE link_totals.link_id = links.id
) t ON true
WHERE links.merchant_id = @merchant_id AND links.livemode = @livemode AND links.deleted_at IS NULL AND links.id > @after::text
ORDER BY links.id ASC
LIMIT @most;

-- name: LinkTotals :one
SELECT coalesce(sum(payments), 0)::bigint AS payments, coalesce(sum(amount), 0)::bigint AS received, coalesce(max(last_paid_at), 'epoch')::timestamptz AS last_paid_at
FROM link_totals WHERE link_id = @link_id;

-- name: LinkTakePayment :one
-- One of the link's limited payments, if one is left. Links without a limit are never written here.
UPDATE links SET payments_taken = payments_taken + 1
WHERE id = @id AND max_payments IS NOT NULL AND payments_taken < max_payments
RETURNING payments_taken;

-- name: LinkGivePayment :exec
UPDATE links SET payments_taken = payments_taken - 1
WHERE id = @id AND max_payments IS NOT NULL AND payments_taken > 0;

-- name: LinkTotalsAdd :exec
-- In the order of the key, as the days are. With the sign -1 it takes away.
INSERT INTO link_totals (link_id, slot, payments, amount, last_paid_at)
SELECT paid.link_id, @slot, count(*) * sqlc.arg(sign)::bigint, sum(paid.amount) * sqlc.arg(sign)::bigint, @paid_at
FROM (SELECT unnest(@links::text[]) AS link_id, unnest(@amounts::bigint[]) AS amount) paid
GROUP BY 1 ORDER BY 1
ON CONFLICT (link_id, slot) DO UPDATE SET payments = link_totals.payments + excluded.payments,
    amount = link_totals.amount + excluded.amount,
    last_paid_at = greatest(link_totals.last_paid_at, excluded.last_paid_at);

-- name: LinkPriceInsert :exec
INSERT INTO link_prices (link_id, price, until) VALUES (@link_id, @price, @until);

-- name: LinkPriceHonoured :one
SELECT EXISTS (SELECT FROM link_prices WHERE link_id = @link_id AND price = @price AND until > @now::timestamptz);

-- name: LinkTaken :one
SELECT payments_taken FROM links WHERE id = @id;

-- name: LinkLimited :one
SELECT (max_payments IS NOT NULL)::bool FROM links WHERE id = @id;

-- name: LinkLinesSet :exec
WITH gone AS (DELETE FROM link_lines WHERE link_lines.link_id = @link_id AND line >= cardinality(@items::text[]))
INSERT INTO link_lines (link_id, line, item_id, qty)
SELECT @link_id, unnest(@lines::smallint[]), unnest(@items::text[]), unnest(@quantities::int[])
ON CONFLICT (link_id, line) DO UPDATE SET item_id = excluded.item_id, qty = excluded.qty;

-- name: LinkLines :many
SELECT * FROM link_lines WHERE link_id = @link_id ORDER BY line;
