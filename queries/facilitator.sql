-- name: SettlementRequested :execrows
-- A facilitator is about to be asked: from now on nobody can tell that nothing was sent.
UPDATE settlements SET status = 'requested', facilitator = @facilitator, again = false, updated_at = @now::timestamptz
WHERE id = @id AND lease = @lease::bytea AND status IN ('queued', 'requested');

-- name: SettlementUnrequested :execrows
-- The facilitator surely did nothing.
UPDATE settlements SET status = 'queued', facilitator = 'own', updated_at = @now::timestamptz
WHERE id = @id AND lease = @lease::bytea AND status = 'requested';

-- name: SettlementReported :exec
-- Where a facilitator says that the money moved: a place to look at first.
UPDATE settlements SET transaction = @transaction WHERE id = @id AND status = 'requested' AND lease = @lease::bytea;

-- name: SettlementAgain :execrows
UPDATE settlements SET again = true WHERE id = @id AND status = 'requested';

-- name: FacilitatorAskInsert :one
INSERT INTO facilitator_asks (settlement_id, facilitator, call, asked_at) VALUES (@settlement_id, @facilitator, @call, @asked_at) RETURNING id;

-- name: FacilitatorAskAnswered :exec
UPDATE facilitator_asks SET took_ms = @took_ms::int, outcome = @outcome, detail = @detail, transaction = @transaction WHERE id = @id;

-- name: FacilitatorAskFailed :exec
INSERT INTO facilitator_asks (settlement_id, facilitator, call, asked_at, took_ms, outcome, detail)
VALUES (@settlement_id, @facilitator, @call, @asked_at, @took_ms::int, @outcome, @detail);

-- name: FacilitatorAsksPurge :exec
DELETE FROM facilitator_asks WHERE id IN (SELECT a.id FROM facilitator_asks a WHERE a.asked_at < @before LIMIT 5000);

-- name: FacilitatorsListed :exec
INSERT INTO facilitators (name, network, place, supported, listed_at, answered_at, last_error)
VALUES (@name, @network, @place, @supported, @listed_at, @answered_at, @last_error)
ON CONFLICT (name, network) DO UPDATE SET place = excluded.place, listed_at = excluded.listed_at,
    supported = CASE WHEN excluded.answered_at IS NULL THEN facilitators.supported ELSE excluded.supported END,
    answered_at = coalesce(excluded.answered_at, facilitators.answered_at), last_error = excluded.last_error;

-- name: FacilitatorsReady :one
-- Whether some facilitator that workers ask settles on a network, and answered lately.
SELECT EXISTS (
    SELECT FROM facilitators
    WHERE network = @network AND supported AND listed_at >= @listed_since AND answered_at >= @answered_since::timestamptz
)::bool;

-- name: FacilitatorFigures :many
-- How each did lately; what it was asked and has not answered counts as neither.
SELECT f.name, f.network, f.supported, f.answered_at, f.last_error,
    count(a.id) FILTER (WHERE a.outcome <> '') AS asked,
    count(a.id) FILTER (WHERE a.outcome NOT IN ('', 'success', 'pending')) AS failed,
    coalesce(percentile_disc(0.5) WITHIN GROUP (ORDER BY a.took_ms), 0)::int AS half_ms,
    coalesce(percentile_disc(0.95) WITHIN GROUP (ORDER BY a.took_ms), 0)::int AS most_ms
FROM facilitators f
LEFT JOIN facilitator_asks a ON a.facilitator = f.name AND a.asked_at >= @since
WHERE f.listed_at >= @listed_since
GROUP BY f.name, f.network ORDER BY f.network, f.place LIMIT 100;

-- name: FacilitationInsert :exec
INSERT INTO facilitations (settlement_id, caller, resource, valid_after, valid_before, signature, version, created_at)
VALUES (@settlement_id, @caller, @resource, @valid_after, @valid_before, @signature, @version, @created_at);

-- name: FacilitationBySettlement :one
SELECT * FROM facilitations WHERE settlement_id = @settlement_id;

-- name: FacilitationReason :exec
UPDATE facilitations SET reason = @reason WHERE settlement_id = @settlement_id;

-- name: SettlementByAuthorization :one
-- The living settlement of an authorization, else the last one that failed.
SELECT * FROM settlements WHERE network = @network AND asset = @asset AND payer = @payer AND nonce = @nonce
ORDER BY status = 'failed', id DESC LIMIT 1;

-- name: SettlementByTransaction :one
SELECT * FROM settlements WHERE transaction = @transaction ORDER BY status = 'failed', id DESC LIMIT 1;

-- name: SettlementByPayer :one
SELECT * FROM settlements WHERE payer = @payer AND nonce = @nonce ORDER BY status = 'failed', id DESC LIMIT 1;

-- name: SettlementFacilitated :one
-- Money that moved for somebody else's sale.
UPDATE settlements SET status = 'confirmed', transaction = @transaction, confirmed_at = @now::timestamptz, updated_at = @now::timestamptz,
    block_number = @block_number::bigint, block_hash = @block_hash::text, log_index = @log_index::int, collected = EXISTS (SELECT FROM deposit_addresses d WHERE d.network = settlements.network AND d.address = settlements.pay_to AND d.merchant_id = settlements.merchant_id),
    lease = NULL, lease_until = NULL, last_error = ''
WHERE id = @id AND status IN ('queued', 'signed', 'broadcast', 'requested')
RETURNING *;

-- name: FacilitatorBudgetTake :execrows
-- No row where the day's budget is used up.
INSERT INTO facilitator_budgets (caller, day, used) VALUES (@caller, @day, 1)
ON CONFLICT (caller, day) DO UPDATE SET used = facilitator_budgets.used + 1 WHERE facilitator_budgets.used < @most::int;

-- name: FacilitatorBudgetGive :exec
UPDATE facilitator_budgets SET used = used - 1 WHERE caller = @caller AND day = @day AND used > 0;

-- name: PayeeMerchant :one
-- The shop that is paid at an address now: at its own, or at the one that is kept for it.
SELECT merchant_id::text AS merchant_id FROM (
    SELECT p.merchant_id FROM payees p WHERE p.network = @network AND p.address = @address AND p.proven_at IS NOT NULL
    UNION ALL
    SELECT d.merchant_id FROM deposit_addresses d WHERE d.network = @network AND d.address = @address AND d.merchant_id IS NOT NULL
) paid LIMIT 1;

-- name: CallbackInsert :one
INSERT INTO facilitator_callbacks (sha256, body, received_at) VALUES (@sha256, @body, @received_at)
ON CONFLICT (sha256) DO UPDATE SET times = facilitator_callbacks.times + 1
RETURNING id;

-- name: CallbackByID :one
SELECT * FROM facilitator_callbacks WHERE id = @id;

-- name: CallbackOutcome :exec
UPDATE facilitator_callbacks SET settlement_id = @settlement_id, outcome = @outcome WHERE id = @id;

-- name: CallbacksRecent :many
SELECT * FROM facilitator_callbacks ORDER BY id DESC LIMIT 20;

-- name: FacilitatedInsert :exec
-- A settlement without a purchase.
INSERT INTO settlements (id, merchant_id, livemode, facilitator, status, network, asset, payer, nonce, pay_to, amount, created_at, updated_at)
VALUES (@id, @merchant_id, @livemode, 'own', 'queued', @network, @asset, @payer, @nonce, @pay_to, @amount, @created_at, @created_at);

-- name: CallbacksOpen :many
SELECT id FROM facilitator_callbacks WHERE outcome = '' AND received_at < @before ORDER BY received_at LIMIT 500;

-- name: SettlementOfAttempt :one
SELECT * FROM settlements WHERE attempt_id = @attempt_id::text ORDER BY status = 'failed', id DESC LIMIT 1;
