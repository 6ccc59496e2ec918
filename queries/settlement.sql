-- name: SettlementInsert :exec
INSERT INTO settlements (id, merchant_id, attempt_id, claim_id, livemode, facilitator, status, network, asset, payer, nonce, pay_to, amount, simulated, created_at, updated_at)
VALUES (@id, @merchant_id, @attempt_id, @claim_id, @livemode, @facilitator, 'queued', @network, @asset, @payer, @nonce, @pay_to, @amount, @simulated, @created_at, @created_at);

-- name: SettlementByID :one
SELECT * FROM settlements WHERE id = @id;

-- name: SettlementOfAttempt :one
SELECT * FROM settlements WHERE attempt_id = @attempt_id ORDER BY status = 'failed', id DESC LIMIT 1;

-- name: SettlementLease :one
-- One worker at a time; a lease that ran out is anybody's.
UPDATE settlements SET lease = @lease::bytea, lease_until = @until::timestamptz, looks = looks + 1
WHERE id = @id AND status IN ('queued', 'signed', 'broadcast', 'requested')
  AND (lease_until IS NULL OR lease_until <= @now::timestamptz)
RETURNING *;

-- name: SettlementUnlease :execrows
UPDATE settlements SET lease = NULL, lease_until = NULL, last_error = @last_error, updated_at = @now::timestamptz
WHERE id = @id AND lease = @lease::bytea;

-- name: SettlementSigned :execrows
UPDATE settlements SET status = 'signed', transaction = @transaction, updated_at = @now::timestamptz
WHERE id = @id AND status IN ('queued', 'signed') AND lease = @lease::bytea;

-- name: SettlementConfirm :one
UPDATE settlements SET status = 'confirmed', transaction = @transaction, block_number = @block_number, block_hash = @block_hash,
    log_index = @log_index, confirmed_at = @now::timestamptz, updated_at = @now::timestamptz, lease = NULL, lease_until = NULL, last_error = ''
WHERE id = @id AND status IN ('queued', 'signed', 'broadcast', 'requested')
RETURNING *;

-- name: SettlementFail :one
UPDATE settlements SET status = 'failed', last_error = @last_error, updated_at = @now::timestamptz, lease = NULL, lease_until = NULL
WHERE id = @id AND status IN ('queued', 'signed', 'broadcast', 'requested')
RETURNING *;

-- name: SettlementFinal :many
UPDATE settlements SET status = 'final', updated_at = @now::timestamptz
WHERE id IN (
    SELECT s.id FROM settlements s
    WHERE s.network = @network AND s.status = 'confirmed' AND NOT s.simulated AND s.block_number <= @finalized::bigint
    ORDER BY s.block_number LIMIT @most)
RETURNING id;

-- name: SettlementIdle :many
-- Money under way that nobody works on: the sweeper gives each a job again.
SELECT id FROM settlements
WHERE status IN ('queued', 'signed', 'broadcast', 'requested')
  AND created_at < @before::timestamptz AND (lease_until IS NULL OR lease_until <= @now::timestamptz)
ORDER BY created_at LIMIT @most;

-- name: SettlementList :many
SELECT * FROM settlements
WHERE merchant_id = @merchant_id AND livemode = @livemode AND id < @before::text
ORDER BY id DESC LIMIT @most;

-- name: SettlementListAfter :many
SELECT * FROM settlements
WHERE merchant_id = @merchant_id AND livemode = @livemode AND id > @after::text
ORDER BY id ASC LIMIT @most;
