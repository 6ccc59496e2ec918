-- name: TillOpen :exec
INSERT INTO tills (device_id, version, ticket, parked) VALUES (@device_id, 1, '{}', '[]') ON CONFLICT DO NOTHING;

-- name: TillByDevice :one
-- A tablet's ticket, and where the purchase stands that it became.
SELECT sqlc.embed(tills), coalesce(attempts.status, '')::text AS charge_status
FROM tills LEFT JOIN attempts ON attempts.id = tills.charge_id
WHERE tills.device_id = @device_id;

-- name: TillForUpdate :exec
-- Where its purchase stands is read after this: a statement that waits for the lock sees other tables as they were before.
SELECT FROM tills WHERE device_id = @device_id FOR NO KEY UPDATE;

-- name: TillWrite :exec
UPDATE tills SET version = version + 1, ticket = @ticket, parked = @parked, charge_id = '' WHERE device_id = @device_id;

-- name: TillsCharge :many
-- Tickets become purchases; those that were changed since they were looked at do not come back.
UPDATE tills SET version = tills.version + 1, charge_id = u.attempt
FROM (SELECT unnest(@devices::text[]) AS device, unnest(@versions::bigint[]) AS version, unnest(@attempts::text[]) AS attempt) u
WHERE tills.device_id = u.device AND tills.version = u.version
RETURNING tills.charge_id;

-- name: TillFollow :exec
-- The ticket is paid by another purchase than it was.
UPDATE tills SET version = version + 1, charge_id = @next WHERE device_id = @device_id AND charge_id = @was;

-- name: TillChargesInsert :exec
INSERT INTO till_charges (attempt_id, device_id, person_id, cashier, first_id, opened_at)
SELECT u.attempt, u.device, u.person, u.cashier, u.first, CASE WHEN u.opened THEN @now::timestamptz END
FROM (SELECT unnest(@attempts::text[]) AS attempt, unnest(@devices::text[]) AS device, unnest(@persons::text[]) AS person,
    unnest(@cashiers::text[]) AS cashier, unnest(@firsts::text[]) AS first, unnest(@opened::bool[]) AS opened) u;

-- name: TillChargeByID :one
-- And whether somebody has to decide on its money, which came late.
SELECT sqlc.embed(till_charges), EXISTS (SELECT FROM exceptions e WHERE e.attempt_id = till_charges.attempt_id AND e.resolved_at IS NULL AND e.kind LIKE 'late%') AS short
FROM till_charges WHERE till_charges.attempt_id = @attempt_id;

-- name: TillChargeGiveWay :exec
UPDATE till_charges SET next_id = @next WHERE attempt_id = @attempt_id;

-- name: TillChargeOpened :execrows
UPDATE till_charges SET opened_at = @now::timestamptz WHERE attempt_id = @attempt_id AND opened_at IS NULL;

-- name: TillChargeCancelled :exec
UPDATE till_charges SET cancelled_at = @now::timestamptz WHERE attempt_id = @attempt_id AND device_id = @device_id;

-- name: TillChargeDecide :execrows
UPDATE till_charges SET decision = @decision, decided_at = @now::timestamptz
FROM attempts
WHERE till_charges.attempt_id = @attempt_id AND till_charges.device_id = @device_id AND decision = ''
    AND attempts.id = till_charges.attempt_id AND attempts.status = 'settled_late' AND attempts.refunded = 0;

-- name: TillChargeList :many
-- What a tablet charged, the newest first; what gave way to a tip is told by what followed it.
SELECT sqlc.embed(attempts), sqlc.embed(till_charges)
FROM till_charges JOIN attempts ON attempts.id = till_charges.attempt_id
WHERE till_charges.device_id = @device_id AND till_charges.attempt_id < @before AND next_id = ''
ORDER BY till_charges.attempt_id DESC LIMIT @most;

-- name: TillChargeListAfter :many
SELECT sqlc.embed(attempts), sqlc.embed(till_charges)
FROM till_charges JOIN attempts ON attempts.id = till_charges.attempt_id
WHERE till_charges.device_id = @device_id AND till_charges.attempt_id > @after AND next_id = ''
ORDER BY till_charges.attempt_id LIMIT @most;

-- name: TillChargeLate :many
-- Money that came after its sale had ended, about which nobody has decided.
SELECT sqlc.embed(attempts), sqlc.embed(till_charges)
FROM till_charges JOIN attempts ON attempts.id = till_charges.attempt_id
WHERE till_charges.device_id = @device_id AND till_charges.attempt_id > @since AND decision = '' AND attempts.status = 'settled_late' AND attempts.refunded = 0
ORDER BY till_charges.attempt_id LIMIT @most;

-- name: TillChargeTotal :one
SELECT count(*)::int AS sold, coalesce(sum(attempts.amount_received), 0)::bigint AS received
FROM till_charges JOIN attempts ON attempts.id = till_charges.attempt_id
WHERE till_charges.device_id = @device_id AND till_charges.attempt_id >= @since
    AND attempts.status IN ('settled', 'settled_late') AND decision <> 'refund';
