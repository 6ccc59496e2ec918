-- name: SettlementsInsert :exec
INSERT INTO settlements (id, merchant_id, attempt_id, claim_id, livemode, facilitator, status, network, asset, payer, nonce, pay_to, amount, simulated, created_at, updated_at)
SELECT unnest(@ids::text[]), unnest(@merchants::text[]), unnest(@attempts::text[]), nullif(unnest(@claims::text[]), ''), unnest(@livemodes::bool[]), @facilitator, 'queued',
    unnest(@networks::text[]), unnest(@assets::text[]), unnest(@payers::text[]), unnest(@nonces::text[]), unnest(@payees::text[]), unnest(@amounts::bigint[]),
    @simulated, @created_at, @created_at;

-- name: SettlementByID :one
SELECT * FROM settlements WHERE id = @id;

-- name: SettlementsOfAttempts :many
SELECT DISTINCT ON (attempt_id) * FROM settlements
WHERE attempt_id = ANY (@attempts::text[]) ORDER BY attempt_id, status = 'failed', id DESC;

-- name: SettlementsLease :many
-- One worker at a time; a lease that ran out is anybody's. Whoever asks a second time with the same lease has it still: the
-- answer to the first time may be lost.
UPDATE settlements SET lease = mine.lease, lease_until = @until::timestamptz, looks = looks + 1
FROM (SELECT unnest(@ids::text[]) AS id, unnest(@leases::bytea[]) AS lease) mine
WHERE settlements.id = mine.id AND status IN ('queued', 'signed', 'broadcast', 'requested')
  AND (lease_until IS NULL OR lease_until <= @now::timestamptz OR settlements.lease = mine.lease)
RETURNING settlements.*;

-- name: SettlementRenew :execrows
UPDATE settlements SET lease_until = @until::timestamptz WHERE id = @id AND lease = @lease::bytea;

-- name: SettlementUnlease :execrows
UPDATE settlements SET lease = NULL, lease_until = NULL, last_error = @last_error, updated_at = @now::timestamptz
WHERE id = @id AND lease = @lease::bytea;

-- name: SettlementsSigned :execrows
UPDATE settlements SET status = 'signed', transaction = mine.transaction, updated_at = @now::timestamptz
FROM (SELECT unnest(@ids::text[]) AS id, unnest(@leases::bytea[]) AS lease, unnest(@transactions::text[]) AS transaction) mine
WHERE settlements.id = mine.id AND settlements.lease = mine.lease AND status IN ('queued', 'signed');

-- name: SettlementsConfirm :many
-- Simulated money has no place on a chain: its block's hash is empty. Of what is kept for a shop the platform has its fee,
-- so many hundredths of a per cent.
UPDATE settlements SET status = 'confirmed', transaction = seen.transaction, confirmed_at = @now::timestamptz, updated_at = @now::timestamptz,
    block_number = CASE WHEN seen.block_hash <> '' THEN seen.block_number END, block_hash = nullif(seen.block_hash, ''),
    log_index = CASE WHEN seen.block_hash <> '' THEN seen.log_index END, block_time = CASE WHEN seen.block_hash <> '' THEN seen.block_time END,
    collected = seen.collected, fee = CASE WHEN seen.collected AND NOT settlements.simulated
        THEN settlements.amount / 10000 * seen.bps + settlements.amount % 10000 * seen.bps / 10000 ELSE 0 END,
    gas = seen.gas, lease = NULL, lease_until = NULL, last_error = ''
FROM (SELECT s.id, one.transaction, one.block_number, one.block_hash, one.log_index, one.block_time, one.gas, coalesce(a.collected, false) AS collected, @fee_bps::bigint AS bps
    FROM (SELECT unnest(@ids::text[]) AS id, unnest(@transactions::text[]) AS transaction, unnest(@block_numbers::bigint[]) AS block_number,
    unnest(@block_hashes::text[]) AS block_hash, unnest(@log_indexes::int[]) AS log_index, unnest(@block_times::timestamptz[]) AS block_time,
        unnest(@gas::bigint[]) AS gas) one
    JOIN settlements s ON s.id = one.id LEFT JOIN attempts a ON a.id = s.attempt_id) seen
WHERE settlements.id = seen.id AND status IN ('queued', 'signed', 'broadcast', 'requested')
RETURNING settlements.*;

-- name: SettlementFail :one
UPDATE settlements SET status = 'failed', last_error = @last_error, updated_at = @now::timestamptz, lease = NULL, lease_until = NULL
WHERE id = @id AND status IN ('queued', 'signed', 'broadcast', 'requested')
RETURNING *;

-- name: SettlementsSealed :many
-- Confirmed money in blocks up to one that the chain has sealed for good, oldest first.
SELECT * FROM settlements
WHERE network = @network AND status = 'confirmed' AND NOT simulated AND block_number <= @sealed::bigint
  AND (block_number, id) > (@after_block::bigint, @after_id::text)
ORDER BY block_number, id LIMIT @most;

-- name: SettlementsFinal :many
-- Only where they were when their blocks were compared.
UPDATE settlements SET status = 'final', updated_at = @now::timestamptz
FROM (SELECT unnest(@ids::text[]) AS id, unnest(@block_hashes::text[]) AS block_hash) sealed
WHERE settlements.id = sealed.id AND settlements.block_hash = sealed.block_hash AND status = 'confirmed'
RETURNING settlements.*;

-- name: SettlementMove :one
-- Its block is gone, and another holds the payment.
UPDATE settlements SET transaction = @transaction, block_number = @block_number::bigint, block_hash = @block_hash::text,
    log_index = @log_index::int, block_time = @block_time::timestamptz, lost_at = NULL, updated_at = @now::timestamptz
WHERE id = @id AND status = 'confirmed' AND block_hash = @was::text
RETURNING *;

-- name: SettlementList :many
SELECT * FROM settlements
WHERE merchant_id = @merchant_id AND livemode = @livemode AND id < @before::text
ORDER BY id DESC LIMIT @most;

-- name: SettlementListAfter :many
SELECT * FROM settlements
WHERE merchant_id = @merchant_id AND livemode = @livemode AND id > @after::text
ORDER BY id ASC LIMIT @most;

-- name: SettlementReverted :exec
UPDATE settlements SET reverted_at = @now::timestamptz WHERE id = @id AND reverted_at IS NULL;

-- name: SettlementUnpaid :exec
-- Only of calls that the seller's server had answered by then.
UPDATE settlements SET unpaid_at = @now::timestamptz
WHERE id = @id AND unpaid_at IS NULL AND EXISTS (SELECT FROM calls WHERE calls.attempt_id = settlements.attempt_id AND NOT calls.first);

-- name: SettlementsInVainOf :one
SELECT count(*) FILTER (WHERE s.reverted_at > @reverted_since::timestamptz) AS reverted, count(*) FILTER (WHERE s.unpaid_at > @unpaid_since::timestamptz) AS unpaid
FROM settlements s WHERE s.payer = @payer AND (s.reverted_at > @reverted_since::timestamptz OR s.unpaid_at > @unpaid_since::timestamptz);
