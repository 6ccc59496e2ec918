-- name: EndpointInsert :one
-- A key that made an endpoint before gives that endpoint again.
INSERT INTO endpoints (id, merchant_id, livemode, network, url, title, description, mime_type, example_input, example_output, price, pricing_type,
    billing_interval, settle, secret_header, secret, timeout_seconds, max_answer, identified, once, created_at, updated_at)
VALUES (@id, @merchant_id, @livemode, @network, @url, @title, @description, @mime_type, @example_input, @example_output, @price, @pricing_type,
    @billing_interval, @settle, @secret_header, @secret, @timeout_seconds, @max_answer, @identified, @once, @created_at, @created_at)
ON CONFLICT (once) DO UPDATE SET once = excluded.once
RETURNING id;

-- name: EndpointOffered :one
-- An endpoint with whom it pays, as programs may buy it; another address counts as it does for links.
SELECT sqlc.embed(endpoints), sqlc.embed(merchants), payees.address AS pay_to, payees.proven_at,
    due.address AS due_pay_to, due.proven_at AS due_proven_at, deposits.address AS collect_at
FROM endpoints
JOIN merchants ON merchants.id = endpoints.merchant_id
LEFT JOIN payees ON payees.merchant_id = endpoints.merchant_id AND payees.network = endpoints.network
LEFT JOIN payee_changes due ON due.merchant_id = endpoints.merchant_id AND due.network = endpoints.network
    AND due.applied_at IS NULL AND due.cancelled_at IS NULL AND due.effective_at <= @now::timestamptz
    AND (due.proven_at IS NOT NULL OR NOT endpoints.livemode)
LEFT JOIN deposit_addresses deposits ON deposits.merchant_id = endpoints.merchant_id AND deposits.network = endpoints.network AND payees.collects
WHERE endpoints.id = @id;

-- name: EndpointByID :one
SELECT * FROM endpoints WHERE merchant_id = @merchant_id AND id = @id;

-- name: EndpointForUpdate :one
SELECT * FROM endpoints WHERE merchant_id = @merchant_id AND id = @id FOR UPDATE;

-- name: EndpointByURL :one
-- Anybody may give any URL an endpoint: whoever was first keeps its name, but for a shop that asks for its own.
SELECT id FROM endpoints
WHERE url = @url AND disabled_at IS NULL AND (@merchant_id::text = '' OR merchant_id = @merchant_id AND livemode = @livemode::bool)
ORDER BY livemode DESC, id LIMIT 1;

-- name: EndpointUpdate :exec
UPDATE endpoints SET url = @url, title = @title, description = @description, mime_type = @mime_type, example_input = @example_input,
    example_output = @example_output, price = @price, pricing_type = @pricing_type, billing_interval = @billing_interval, settle = @settle,
    secret_header = @secret_header, secret = @secret, timeout_seconds = @timeout_seconds, max_answer = @max_answer, identified = @identified,
    disabled_at = @disabled_at, updated_at = @updated_at
WHERE merchant_id = @merchant_id AND id = @id;

-- name: EndpointList :many
SELECT * FROM endpoints WHERE merchant_id = @merchant_id AND livemode = @livemode AND id < @before::text ORDER BY id DESC LIMIT @most;

-- name: EndpointListAfter :many
SELECT * FROM endpoints WHERE merchant_id = @merchant_id AND livemode = @livemode AND id > @after::text ORDER BY id LIMIT @most;

-- name: EndpointPriceInsert :exec
INSERT INTO endpoint_prices (endpoint_id, price, until) VALUES (@endpoint_id, @price, @until);

-- name: EndpointPricesForget :exec
-- What was offered for them is not what is sold now.
DELETE FROM endpoint_prices WHERE endpoint_id = @endpoint_id;

-- name: EndpointPriceHonoured :one
SELECT EXISTS (SELECT FROM endpoint_prices WHERE endpoint_id = @endpoint_id AND price = @price AND until > @now::timestamptz);

-- name: EndpointSecrets :many
SELECT id, secret FROM endpoints WHERE secret IS NOT NULL;

-- name: EndpointReseal :execrows
UPDATE endpoints SET secret = @secret WHERE id = @id AND secret = @was::bytea;
