-- name: AttemptsInsert :exec
-- Rows side by side in arrays: many purchases that begin at once are written by one statement.
INSERT INTO attempts (id, merchant_id, link_id, channel, livemode, status, network, asset, pay_to, amount, title,
    cart_salt, cart_hash, nonce, buyer_token_hash, from_address, holds_payment, holds_stock, direct, collected, success_url, cancel_url, reference, metadata,
    once, expires_at, created_at, updated_at)
SELECT unnest(@ids::text[]), unnest(@merchants::text[]), nullif(unnest(@links::text[]), ''), unnest(@channels::text[]), unnest(@livemodes::bool[]),
    unnest(@statuses::text[]), unnest(@networks::text[]), unnest(@assets::text[]), unnest(@payees::text[]), unnest(@amounts::bigint[]), unnest(@titles::text[]),
    unnest(@cart_salts::bytea[]), unnest(@cart_hashes::bytea[]), unnest(@nonces::text[]), unnest(@buyer_token_hashes::bytea[]),
    unnest(@from_addresses::text[]), unnest(@hold_payments::bool[]), unnest(@hold_stocks::bool[]), unnest(@directs::bool[]), unnest(@collected::bool[]), unnest(@success_urls::text[]),
    unnest(@cancel_urls::text[]), unnest(@refs::text[]), unnest(@metadata::jsonb[]), unnest(@onces::bytea[]),
    unnest(@expires_at::timestamptz[]), unnest(@created_at::timestamptz[]), unnest(@created_at::timestamptz[]);

-- name: AttemptLinesInsert :exec
INSERT INTO attempt_lines (attempt_id, line, item_id, title, kind, file_id, qty, unit_amount)
SELECT unnest(@attempts::text[]), unnest(@lines::smallint[]), unnest(@items::text[]), unnest(@titles::text[]), unnest(@kinds::text[]), unnest(@files::text[]),
    unnest(@quantities::int[]), unnest(@unit_amounts::bigint[]);

-- name: AttemptLines :many
SELECT * FROM attempt_lines WHERE attempt_id = ANY (@attempts::text[]) ORDER BY attempt_id, line;

-- name: AttemptsByID :many
-- What its link's shop tells and where it leads is as it is now; a link that was deleted is not shown again.
SELECT sqlc.embed(attempts), sqlc.embed(merchants), CASE WHEN links.deleted_at IS NULL THEN coalesce(links.token, '') ELSE '' END::text AS link_token,
    coalesce(links.message, '')::text AS message, coalesce(links.leads_to, '')::text AS leads_to
FROM attempts
JOIN merchants ON merchants.id = attempts.merchant_id
LEFT JOIN links ON links.id = attempts.link_id
WHERE attempts.id = ANY (@ids::text[]);

-- name: AttemptForUpdate :one
SELECT * FROM attempts WHERE id = @id FOR UPDATE;

-- name: AttemptMove :one
-- One legal move; no row when the attempt is not, or no longer, where it was thought to be.
UPDATE attempts SET status = @next, updated_at = @now::timestamptz
WHERE id = @id AND status = ANY (@was::text[])
RETURNING *;

-- name: AttemptClaim :one
-- Only open attempts whose time is not over may be paid. What they hold of stock is nobody else's from now on.
WITH paying AS (UPDATE reservations SET unpaid_from = '' WHERE reservations.attempt_id = @id AND unpaid_from <> '')
UPDATE attempts SET status = 'settling', refusal = '', updated_at = @now::timestamptz
WHERE attempts.id = @id AND attempts.status = 'open' AND expires_at > @now::timestamptz
RETURNING attempts.*;

-- name: AttemptReopen :one
WITH waiting AS (
    UPDATE reservations SET unpaid_from = a.from_address FROM attempts a
    WHERE a.id = @id AND a.status = 'settling' AND reservations.attempt_id = a.id AND reservations.status = 'held')
UPDATE attempts SET status = 'open', refusals = refusals + 1, refusal = @refusal, updated_at = @now::timestamptz
WHERE attempts.id = @id AND attempts.status = 'settling'
RETURNING attempts.*;

-- name: AttemptsSettle :many
UPDATE attempts SET
    status = CASE WHEN status IN ('expired', 'cancelled') THEN 'settled_late' ELSE 'settled' END,
    amount_received = came.amount, simulated = came.simulated, settled_at = @now::timestamptz, updated_at = @now::timestamptz
FROM (SELECT unnest(@ids::text[]) AS id, unnest(@amounts::bigint[]) AS amount, unnest(@simulated::bool[]) AS simulated) came
WHERE attempts.id = came.id AND status IN ('open', 'settling', 'unknown', 'expired', 'cancelled')
RETURNING attempts.*;

-- name: AttemptExpire :one
UPDATE attempts SET status = 'expired', updated_at = @now::timestamptz
WHERE id = @id AND status = 'open' AND expires_at <= @now::timestamptz
RETURNING *;

-- name: AttemptGivePayment :execrows
UPDATE attempts SET holds_payment = false WHERE id = @id AND holds_payment;

-- name: AttemptHoldPayment :exec
UPDATE attempts SET holds_payment = true WHERE id = @id;

-- name: AttemptHoldStock :exec
UPDATE attempts SET holds_stock = @holds WHERE id = ANY (@ids::text[]) AND holds_stock <> @holds;

-- name: AttemptUnpaidCount :one
SELECT count(*)::int FROM attempts
WHERE link_id = @link_id AND from_address = @from_address AND status = 'open' AND holds_payment;

-- name: AttemptUnpaidOfLink :one
SELECT count(*)::int FROM attempts WHERE link_id = @link_id AND status = 'open' AND holds_payment AND from_address <> '';

-- name: AttemptOldestUnpaid :one
-- The hold that a paid claim may take over.
SELECT id FROM attempts
WHERE link_id = @link_id AND status = 'open' AND holds_payment AND from_address <> ''
ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: AttemptListOfLink :many
SELECT sqlc.embed(attempts), coalesce(claims.payer, '')::text AS payer
FROM attempts LEFT JOIN claims ON claims.attempt_id = attempts.id AND claims.released_at IS NULL
WHERE attempts.merchant_id = @merchant_id AND attempts.link_id = @link_id ORDER BY attempts.id DESC LIMIT @most;

-- name: AttemptListPaidOfLink :many
SELECT sqlc.embed(attempts), coalesce(settlements.payer, '')::text AS payer
FROM attempts LEFT JOIN settlements ON settlements.attempt_id = attempts.id
WHERE attempts.merchant_id = @merchant_id AND attempts.link_id = @link_id AND attempts.status IN ('settled', 'settled_late')
ORDER BY attempts.id DESC LIMIT @most;

-- name: AttemptListUnderWay :many
SELECT sqlc.embed(attempts), coalesce(claims.payer, '')::text AS payer
FROM attempts LEFT JOIN claims ON claims.attempt_id = attempts.id AND claims.released_at IS NULL
WHERE attempts.merchant_id = @merchant_id AND attempts.livemode = @livemode AND attempts.status IN ('settling', 'unknown')
ORDER BY attempts.id DESC LIMIT @most;

-- name: ClaimsInsert :exec
INSERT INTO claims (id, attempt_id, network, asset, payer, nonce, pay_to, value, valid_after, valid_before, signature, version, request, created_at)
SELECT unnest(@ids::text[]), unnest(@attempts::text[]), unnest(@networks::text[]), unnest(@assets::text[]), unnest(@payers::text[]), unnest(@nonces::text[]),
    unnest(@payees::text[]), unnest(@values::bigint[]), unnest(@valid_after::bigint[]), unnest(@valid_before::bigint[]), unnest(@signatures::bytea[]),
    unnest(@versions::smallint[]), unnest(@requests::bytea[]), @created_at;

-- name: ClaimByAuthorization :one
-- The newest claim of this authorization, living or released.
SELECT * FROM claims
WHERE network = @network AND asset = @asset AND payer = @payer AND nonce = @nonce
ORDER BY released_at IS NULL DESC, id DESC LIMIT 1;

-- name: ClaimByID :one
SELECT * FROM claims WHERE id = @id;

-- name: ClaimsByID :many
SELECT * FROM claims WHERE id = ANY (@ids::text[]);

-- name: ClaimsLiving :many
SELECT * FROM claims WHERE attempt_id = ANY (@attempts::text[]) AND released_at IS NULL;

-- name: ClaimRelease :one
UPDATE claims SET released_at = @now::timestamptz, refusal = @refusal
WHERE id = @id AND released_at IS NULL
RETURNING *;

-- name: ClaimLooked :exec
UPDATE claims SET looked_at = @now::timestamptz WHERE id = @id;

-- name: AttemptByOnce :one
SELECT id FROM attempts WHERE once = @once;

-- name: BuyersInsert :exec
INSERT INTO attempt_buyers (attempt_id, email, name, note, shipping)
SELECT unnest(@attempts::text[]), unnest(@emails::text[]), unnest(@names::text[]), unnest(@notes::text[]), nullif(unnest(@shippings::text[]), '')::jsonb;

-- name: BuyerOfAttempt :one
SELECT * FROM attempt_buyers WHERE attempt_id = @attempt_id;

-- name: ExceptionInsert :exec
INSERT INTO exceptions (id, merchant_id, livemode, kind, attempt_id, settlement_id, payer, amount, network, transaction, created_at)
VALUES (@id, @merchant_id, @livemode, @kind, @attempt_id, @settlement_id, @payer, @amount, @network, @transaction, @created_at)
ON CONFLICT (kind, settlement_id) WHERE settlement_id IS NOT NULL DO NOTHING;

-- name: AttemptListOfEndpoint :many
-- Purchases of an endpoint's calls, with who signed for them.
SELECT sqlc.embed(attempts), coalesce(claims.payer, '')::text AS payer
FROM calls JOIN attempts ON attempts.id = calls.attempt_id LEFT JOIN claims ON claims.attempt_id = attempts.id AND claims.released_at IS NULL
WHERE calls.endpoint_id = @endpoint_id AND attempts.merchant_id = @merchant_id ORDER BY calls.attempt_id DESC LIMIT @most;

-- name: ExceptionAccept :exec
-- Somebody has found the goods after all.
UPDATE exceptions SET resolved_at = @now::timestamptz, resolution = 'accepted' WHERE attempt_id = @attempt_id::text AND resolved_at IS NULL AND kind LIKE 'late%';

-- name: ExceptionOpenOf :one
SELECT EXISTS (SELECT 1 FROM exceptions WHERE attempt_id = @attempt_id::text AND resolved_at IS NULL AND kind LIKE 'late%');
