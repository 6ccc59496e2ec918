-- name: AttemptInsert :exec
INSERT INTO attempts (id, merchant_id, link_id, channel, livemode, status, network, asset, pay_to, amount, title,
    cart_salt, cart_hash, nonce, buyer_token_hash, from_address, holds_payment, direct, success_url, cancel_url, reference, metadata,
    once, expires_at, created_at, updated_at)
VALUES (@id, @merchant_id, @link_id, @channel, @livemode, @status, @network, @asset, @pay_to, @amount, @title,
    @cart_salt, @cart_hash, @nonce, @buyer_token_hash, @from_address, @holds_payment, @direct, @success_url, @cancel_url, @reference, @metadata,
    @once, @expires_at, @created_at, @created_at);

-- name: AttemptLineInsert :exec
INSERT INTO attempt_lines (attempt_id, line, item_id, title, qty, unit_amount)
VALUES (@attempt_id, @line, @item_id, @title, @qty, @unit_amount);

-- name: AttemptLines :many
SELECT * FROM attempt_lines WHERE attempt_id = @attempt_id ORDER BY line;

-- name: AttemptByID :one
SELECT sqlc.embed(attempts), sqlc.embed(merchants), coalesce(links.token, '')::text AS link_token
FROM attempts
JOIN merchants ON merchants.id = attempts.merchant_id
LEFT JOIN links ON links.id = attempts.link_id
WHERE attempts.id = @id;

-- name: AttemptStatus :one
SELECT status FROM attempts WHERE id = @id;

-- name: AttemptForUpdate :one
SELECT * FROM attempts WHERE id = @id FOR UPDATE;

-- name: AttemptMove :one
-- One legal move; no row when the attempt is not, or no longer, where it was thought to be.
UPDATE attempts SET status = @next, updated_at = @now::timestamptz
WHERE id = @id AND status = ANY (@was::text[])
RETURNING *;

-- name: AttemptClaim :one
-- Only open attempts whose time is not over may be paid.
UPDATE attempts SET status = 'settling', refusal = '', updated_at = @now::timestamptz
WHERE id = @id AND status = 'open' AND expires_at > @now::timestamptz
RETURNING *;

-- name: AttemptReopen :one
UPDATE attempts SET status = 'open', refusals = refusals + 1, refusal = @refusal, updated_at = @now::timestamptz
WHERE id = @id AND status = 'settling'
RETURNING *;

-- name: AttemptSettle :one
UPDATE attempts SET
    status = CASE WHEN status IN ('expired', 'cancelled') THEN 'settled_late' ELSE 'settled' END,
    amount_received = @amount_received, simulated = @simulated, settled_at = @now::timestamptz, updated_at = @now::timestamptz
WHERE id = @id AND status IN ('open', 'settling', 'unknown', 'expired', 'cancelled')
RETURNING *;

-- name: AttemptExpire :one
UPDATE attempts SET status = 'expired', updated_at = @now::timestamptz
WHERE id = @id AND status = 'open' AND expires_at <= @now::timestamptz
RETURNING *;

-- name: AttemptGivePayment :execrows
UPDATE attempts SET holds_payment = false WHERE id = @id AND holds_payment;

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

-- name: AttemptListUnderWay :many
SELECT sqlc.embed(attempts), coalesce(claims.payer, '')::text AS payer
FROM attempts LEFT JOIN claims ON claims.attempt_id = attempts.id AND claims.released_at IS NULL
WHERE attempts.merchant_id = @merchant_id AND attempts.livemode = @livemode AND attempts.status IN ('settling', 'unknown')
ORDER BY attempts.id DESC LIMIT @most;

-- name: AttemptOverdue :many
SELECT id FROM attempts WHERE status = 'open' AND expires_at < @before::timestamptz ORDER BY expires_at LIMIT @most;

-- name: ClaimInsert :exec
INSERT INTO claims (id, attempt_id, network, asset, payer, nonce, pay_to, value, valid_after, valid_before, signature, version, request, created_at)
VALUES (@id, @attempt_id, @network, @asset, @payer, @nonce, @pay_to, @value, @valid_after, @valid_before, @signature, @version, @request, @created_at);

-- name: ClaimByAuthorization :one
-- The newest claim of this authorization, living or released.
SELECT * FROM claims
WHERE network = @network AND asset = @asset AND payer = @payer AND nonce = @nonce
ORDER BY released_at IS NULL DESC, id DESC LIMIT 1;

-- name: ClaimByID :one
SELECT * FROM claims WHERE id = @id;

-- name: ClaimLiving :one
SELECT * FROM claims WHERE attempt_id = @attempt_id AND released_at IS NULL;

-- name: ClaimRelease :one
UPDATE claims SET released_at = @now::timestamptz, refusal = @refusal
WHERE id = @id AND released_at IS NULL
RETURNING *;

-- name: ClaimLooked :exec
UPDATE claims SET looked_at = @now::timestamptz WHERE id = @id;

-- name: ClaimUnlooked :many
-- Released payments that are worthless by now, and that nobody asked the chain about.
SELECT id FROM claims
WHERE released_at IS NOT NULL AND looked_at IS NULL AND valid_before < @before::bigint
ORDER BY valid_before LIMIT @most;

-- name: AttemptByOnce :one
SELECT id FROM attempts WHERE once = @once;
