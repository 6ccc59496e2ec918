-- name: HealthPurchases :many
-- The newest purchases begun after the moment that an id names, by their state now.
SELECT r.status, count(*) AS purchases
FROM (SELECT status FROM attempts WHERE id >= @since ORDER BY id DESC LIMIT @most) r
GROUP BY r.status;

-- name: HealthUnderWay :one
-- What has not ended, whenever it began.
SELECT
    (SELECT count(*) FROM (SELECT FROM attempts WHERE status = 'open' LIMIT @most) a)::bigint AS open,
    (SELECT count(*) FROM (SELECT FROM attempts WHERE status = 'settling' LIMIT @most) a)::bigint AS settling,
    (SELECT count(*) FROM (SELECT FROM attempts WHERE status = 'unknown' LIMIT @most) a)::bigint AS unknown,
    (SELECT coalesce(min(created_at), @now::timestamptz) FROM settlements
     WHERE status IN ('queued', 'signed', 'broadcast', 'requested'))::timestamptz AS oldest_unsettled;

-- name: HealthSettlements :many
-- Settlements begun between two moments that ids name, oldest first.
SELECT id, created_at, confirmed_at, status FROM settlements
WHERE id > @after AND id < @before
ORDER BY id LIMIT @most;

-- name: HealthSettlementsOf :many
SELECT id, created_at, confirmed_at, status FROM settlements WHERE id = ANY(@ids::text[]);

-- name: HealthDeliveries :one
-- Of deliveries that have not ended: how many, when the first is due, and when the oldest of the first ones began.
SELECT
    (SELECT count(*) FROM (SELECT FROM deliveries WHERE status = 'pending' LIMIT @most) d)::bigint AS pending,
    (SELECT coalesce(min(next_try_at), @now::timestamptz) FROM deliveries WHERE status = 'pending')::timestamptz AS first_due,
    (SELECT coalesce(min(d.created_at), @now::timestamptz) FROM (
        SELECT created_at FROM deliveries WHERE status = 'pending' ORDER BY next_try_at LIMIT @most
    ) d)::timestamptz AS oldest,
    (SELECT count(*) FROM subscription_health WHERE opened_until > @now)::bigint AS open_breakers;

-- name: HealthTries :many
-- Tries of the newest deliveries begun after the moment that an id names, by what came of them.
SELECT r.state, r.class, count(*) AS tries
FROM (SELECT state, class FROM tries WHERE delivery_id >= @since ORDER BY delivery_id DESC LIMIT @most) r
GROUP BY r.state, r.class;

-- name: HealthRelayers :many
SELECT network, address, gas_balance, settlements_left, seen_at FROM relayers ORDER BY network, address;

-- name: ProcessBeat :exec
INSERT INTO processes (id, role, host, version, queues, started_at, seen_at)
VALUES (@id, @role, @host, @version, @queues, @started_at, @seen_at)
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at;

-- name: ProcessEnd :exec
DELETE FROM processes WHERE id = @id;

-- name: ProcessForget :exec
DELETE FROM processes WHERE seen_at < @before::timestamptz;

-- name: ProcessList :many
SELECT * FROM processes ORDER BY role, started_at, id;
