-- name: PayeeInsert :exec
INSERT INTO payees (merchant_id, network, address, proven_at, created_at)
VALUES (@merchant_id, @network, @address, @proven_at, @created_at);

-- name: PayeeByNetwork :one
SELECT * FROM payees WHERE merchant_id = @merchant_id AND network = @network;

-- name: PayeeList :many
-- What counts now, and what waits or is due to take its place.
SELECT sqlc.embed(payees), COALESCE(c.id, '')::text AS change_id, c.address AS change_address, c.kind AS change_kind, c.proven_at AS change_proven_at,
    c.created_at AS change_created_at, c.effective_at AS change_effective_at
FROM payees
LEFT JOIN payee_changes c ON c.merchant_id = payees.merchant_id AND c.network = payees.network AND c.applied_at IS NULL AND c.cancelled_at IS NULL
WHERE payees.merchant_id = @merchant_id
ORDER BY payees.network;

-- name: PayeeLock :exec
-- Whose an address is, is decided by one at a time.
SELECT pg_advisory_xact_lock(hashtextextended('payee ' || @network::text || ' ' || @address::text, 0));

-- name: PayeeTaken :one
-- Whether another shop has proven the address, or is about to be paid at it.
SELECT (
    EXISTS (SELECT FROM payees p WHERE p.network = @network AND p.address = @address AND p.proven_at IS NOT NULL AND p.merchant_id <> @merchant_id)
    OR EXISTS (
        SELECT FROM payee_changes c WHERE c.network = @network AND c.address = @address AND c.proven_at IS NOT NULL
            AND c.applied_at IS NULL AND c.cancelled_at IS NULL AND c.merchant_id <> @merchant_id
    )
)::bool;

-- name: PayeeSet :exec
INSERT INTO payees (merchant_id, network, address, kind, proven_at, created_at)
VALUES (@merchant_id, @network, @address, @kind, @proven_at, @created_at)
ON CONFLICT (merchant_id, network) DO UPDATE
SET address = excluded.address, kind = excluded.kind, proven_at = excluded.proven_at, created_at = excluded.created_at;

-- name: PayeeProve :exec
UPDATE payees SET proven_at = @now::timestamptz
WHERE merchant_id = @merchant_id AND network = @network AND address = @address AND proven_at IS NULL;

-- name: PayeeKind :exec
WITH changed AS (
    UPDATE payee_changes SET kind = @kind
    WHERE payee_changes.network = @network AND payee_changes.address = @address AND payee_changes.kind = '' AND applied_at IS NULL AND cancelled_at IS NULL
)
UPDATE payees SET kind = @kind WHERE payees.network = @network AND payees.address = @address AND payees.kind = '';

-- name: PayeeUnchecked :many
SELECT network, address FROM payees WHERE kind = ''
UNION
SELECT network, address FROM payee_changes WHERE kind = '' AND applied_at IS NULL AND cancelled_at IS NULL
LIMIT 20;

-- name: PayeeChangeWaiting :one
SELECT * FROM payee_changes
WHERE merchant_id = @merchant_id AND network = @network AND applied_at IS NULL AND cancelled_at IS NULL
FOR UPDATE;

-- name: PayeeChangeInsert :exec
INSERT INTO payee_changes (id, merchant_id, network, address, kind, proven_at, created_by, created_at, effective_at)
VALUES (@id, @merchant_id, @network, @address, @kind, @proven_at, @created_by, @created_at, @effective_at);

-- name: PayeeChangeProve :exec
UPDATE payee_changes SET proven_at = @now::timestamptz WHERE id = @id AND proven_at IS NULL;

-- name: PayeeChangeCancel :exec
UPDATE payee_changes SET cancelled_at = @now::timestamptz WHERE id = @id;

-- name: PayeeChangeApplied :exec
UPDATE payee_changes SET applied_at = @now::timestamptz WHERE id = @id;

-- name: PayeeChangesDue :many
SELECT merchant_id, network FROM payee_changes
WHERE applied_at IS NULL AND cancelled_at IS NULL AND effective_at <= @now::timestamptz
    AND (proven_at IS NOT NULL OR NOT network = ANY(@live::text[]))
ORDER BY effective_at
LIMIT 100;

-- name: MerchantByID :one
SELECT * FROM merchants WHERE id = @id;

-- name: MerchantRename :execrows
-- Only what was shown is replaced: what somebody else wrote meanwhile is not lost.
UPDATE merchants SET name = @name WHERE id = @id AND name = @was;

-- name: MerchantSetDomain :execrows
UPDATE merchants SET domain = @domain WHERE id = @id AND domain = @was;

-- name: MerchantSetSlug :execrows
UPDATE merchants SET slug = @slug WHERE id = @id AND slug = @was;

-- name: MerchantWentLive :execrows
UPDATE merchants SET went_live_at = @now::timestamptz WHERE id = @id AND went_live_at IS NULL;
