-- name: DeliveryDue :one
-- A delivery with everything that its next try needs.
SELECT sqlc.embed(deliveries), sqlc.embed(subscriptions), sqlc.embed(subscription_health), events.body
FROM deliveries
JOIN subscriptions ON subscriptions.id = deliveries.subscription_id
JOIN subscription_health ON subscription_health.subscription_id = deliveries.subscription_id
JOIN events ON events.id = deliveries.event_id
WHERE deliveries.id = @id;

-- name: DeliveryLease :one
-- One process at a time; a lease that ran out is anybody's.
UPDATE deliveries SET lease = @lease::bytea, lease_until = @until::timestamptz, waits_since = NULL
WHERE id = @id AND status = 'pending' AND next_try_at <= @now::timestamptz
    AND (lease_until IS NULL OR lease_until <= @now::timestamptz)
RETURNING tries;

-- name: DeliveryWait :one
-- It is due, and its server may not be called now. Returns since when that is so. A try that no process finished is over.
WITH waiting AS (
    UPDATE deliveries SET waits_since = coalesce(waits_since, @now::timestamptz), lease = NULL, lease_until = NULL
    WHERE deliveries.id = @id AND status = 'pending' AND (lease_until IS NULL OR lease_until <= @now::timestamptz)
    RETURNING deliveries.id, waits_since
), over AS (
    UPDATE tries SET state = 'interrupted', class = 'interrupted', error = @over::text, ended_at = @now::timestamptz
    FROM waiting WHERE tries.delivery_id = waiting.id AND tries.state = 'started'
)
SELECT waits_since::timestamptz AS waits_since FROM waiting;

-- name: DeliveryRecord :execrows
-- What a try came to, if it is still this process's to say.
UPDATE deliveries SET status = @status, reason = @reason, tries = tries + 1, next_try_at = @next_try_at, lease = NULL, lease_until = NULL,
    last_status = @last_status, last_class = @last_class, last_ms = @last_ms, last_try_at = @last_try_at, ended_at = @ended_at
WHERE id = @id AND lease = @lease::bytea;

-- name: DeliveryRelease :execrows
UPDATE deliveries SET lease = NULL, lease_until = NULL WHERE id = @id AND lease = @lease::bytea;

-- name: DeliveryCancel :exec
-- A try that no process finished is over as well.
WITH cancelled AS (
    UPDATE deliveries SET status = 'cancelled', reason = @reason, next_try_at = NULL, waits_since = NULL, lease = NULL, lease_until = NULL, ended_at = @now::timestamptz
    WHERE deliveries.id = @id AND status = 'pending' AND (lease_until IS NULL OR lease_until <= @now::timestamptz)
    RETURNING deliveries.id
)
UPDATE tries SET state = 'interrupted', class = 'interrupted', error = @over::text, ended_at = @now::timestamptz
FROM cancelled WHERE tries.delivery_id = cancelled.id AND tries.state = 'started';

-- name: DeliveryCancelOf :execrows
-- Those of one subscription that nobody is sending; the others are cancelled by whoever has them.
UPDATE deliveries SET status = 'cancelled', reason = @reason, next_try_at = NULL, waits_since = NULL, ended_at = @now::timestamptz
WHERE id = ANY (ARRAY(
    SELECT d.id FROM deliveries d
    WHERE d.subscription_id = @subscription_id AND d.status = 'pending' AND d.lease IS NULL AND d.event_type <> 'webhook.test'
    LIMIT @most FOR UPDATE SKIP LOCKED));

-- name: DeliveryLine :many
-- The first of those that wait for one server.
SELECT id FROM deliveries WHERE subscription_id = @subscription_id AND waits_since IS NOT NULL ORDER BY waits_since LIMIT @most;

-- name: DeliveryWake :many
-- They wait no longer: each is about to get a job.
UPDATE deliveries SET waits_since = NULL
WHERE id = ANY (ARRAY(
    SELECT d.id FROM deliveries d
    WHERE d.subscription_id = @subscription_id AND d.waits_since IS NOT NULL
    ORDER BY d.waits_since LIMIT @most FOR UPDATE SKIP LOCKED))
RETURNING id;

-- name: DeliveryLines :many
-- Subscriptions that may be called now and have free slots, while deliveries wait for them.
SELECT s.id, s.slow, count(slots.slot)::int AS free
FROM subscriptions s
JOIN subscription_health h ON h.subscription_id = s.id
JOIN subscription_slots slots ON slots.subscription_id = s.id AND (slots.lease_until IS NULL OR slots.lease_until <= @now::timestamptz)
WHERE s.id IN (SELECT DISTINCT d.subscription_id FROM deliveries d WHERE d.waits_since < @before::timestamptz)
    AND s.status = 'active' AND s.removed_at IS NULL AND (h.opened_until IS NULL OR h.opened_until <= @now::timestamptz)
GROUP BY s.id, s.slow;

-- name: DeliveryIdle :many
-- Due for longer than a sweep, and nobody sends it: the sweeper gives it a job again. Those that wait for their server
-- have their own way back. In the order in which they were due, so that only what is under way is read.
SELECT d.id, s.slow, d.next_try_at::timestamptz AS due FROM deliveries d JOIN subscriptions s ON s.id = d.subscription_id
WHERE d.status = 'pending' AND d.next_try_at < @before::timestamptz AND d.waits_since IS NULL
    AND (d.lease_until IS NULL OR d.lease_until <= @now::timestamptz) AND (d.next_try_at, d.id) > (@after_due::timestamptz, @after::text)
ORDER BY d.next_try_at, d.id LIMIT @most;

-- name: DeliveryEndless :many
-- On their way to servers that are not to be told any more.
SELECT d.id, (CASE WHEN s.removed_at IS NULL THEN 'The webhook is disabled.' ELSE 'The webhook was unregistered.' END)::text AS reason
FROM subscriptions s JOIN deliveries d ON d.subscription_id = s.id AND d.status = 'pending'
WHERE (s.removed_at IS NOT NULL OR s.status = 'disabled' AND d.event_type <> 'webhook.test')
    AND (d.lease_until IS NULL OR d.lease_until <= @now::timestamptz)
LIMIT @most;

-- name: SlotTake :one
UPDATE subscription_slots SET delivery_id = @delivery_id, lease = @lease::bytea, lease_until = @until::timestamptz
WHERE (subscription_id, slot) = (
    SELECT s.subscription_id, s.slot FROM subscription_slots s
    WHERE s.subscription_id = @subscription_id AND (s.lease_until IS NULL OR s.lease_until <= @now::timestamptz)
    ORDER BY s.slot LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING slot;

-- name: SlotFree :execrows
UPDATE subscription_slots SET delivery_id = NULL, lease = NULL, lease_until = NULL
WHERE subscription_id = @subscription_id AND slot = @slot AND lease = @lease::bytea;

-- name: SlotIsFree :one
SELECT EXISTS (SELECT FROM subscription_slots WHERE subscription_id = @subscription_id AND (lease_until IS NULL OR lease_until <= @now::timestamptz));

-- name: HealthAdmit :one
-- Takes the next moment at which the server may be called; none is returned while its breaker is open, but for one
-- probe after it was. What a person asked for goes in any case.
UPDATE subscription_health SET
    next_slot_at = greatest(next_slot_at, @now::timestamptz) + (@gap_us::bigint) * '1 microsecond'::interval,
    probe_until = CASE WHEN opened_until <= @now::timestamptz THEN @until::timestamptz ELSE NULL END
WHERE subscription_id = @subscription_id
    AND (@asked::boolean OR opened_until IS NULL OR (opened_until <= @now::timestamptz AND (probe_until IS NULL OR probe_until <= @now::timestamptz)))
RETURNING next_slot_at, (probe_until IS NOT NULL)::boolean AS probe;

-- name: HealthForUpdate :one
SELECT * FROM subscription_health WHERE subscription_id = @subscription_id FOR NO KEY UPDATE;

-- name: HealthSet :exec
UPDATE subscription_health SET last_delivered_at = @last_delivered_at, failing_since = @failing_since, failures = @failures, told_at = @told_at,
    latency_ms = @latency_ms, opened_until = @opened_until, openings = @openings, probe_until = @probe_until,
    window_started_at = @window_started_at, window_tries = @window_tries, window_failures = @window_failures
WHERE subscription_id = @subscription_id;

-- name: HealthUnprobe :exec
-- A probe that came to nothing lets the next one go at once.
UPDATE subscription_health SET probe_until = NULL WHERE subscription_id = @subscription_id;

-- name: SubscriptionSlowSet :exec
UPDATE subscriptions SET slow = @slow WHERE id = @id AND slow <> @slow;

-- name: SubscriptionDisable :execrows
-- Only while it still points to the server that gave the reason.
UPDATE subscriptions SET status = 'disabled', disabled_at = @now::timestamptz, disabled_reason = @reason, updated_at = @now::timestamptz
WHERE id = @id AND url = @url AND status IN ('active', 'paused') AND removed_at IS NULL;

-- name: TryStart :one
-- A try that was begun before and is still open was finished by no process.
WITH over AS (
    UPDATE tries SET state = 'interrupted', class = 'interrupted', error = @over::text, ended_at = @now::timestamptz
    WHERE delivery_id = @delivery_id AND state = 'started'
)
INSERT INTO tries (delivery_id, number, attempt, lease, url, request_headers, started_at)
SELECT @delivery_id, coalesce(max(number), 0) + 1, @attempt::int, @lease::bytea, @url::text, @request_headers::jsonb, @started_at::timestamptz
FROM tries WHERE delivery_id = @delivery_id
RETURNING number;

-- name: TryEnd :execrows
UPDATE tries SET state = @state, ended_at = @ended_at, status = @status, class = @class, error = @error, connected_ms = @connected_ms,
    latency_ms = @latency_ms, tls = @tls, answer_headers = @answer_headers, answer = @answer, answer_bytes = @answer_bytes, next_try_at = @next_try_at
WHERE delivery_id = @delivery_id AND number = @number AND lease = @lease::bytea AND state = 'started';

-- name: TryOver :execrows
-- Tries whose process is gone: nobody will say what they came to. Should it only be slow, it has lost its lease with the
-- try: no delivery is accepted by a try that is over.
WITH lost AS (
    UPDATE deliveries SET lease = NULL, lease_until = NULL WHERE status = 'pending' AND lease_until <= @now::timestamptz
    RETURNING id
)
UPDATE tries SET state = 'interrupted', class = 'interrupted', error = @over::text, ended_at = @now::timestamptz
FROM lost WHERE tries.delivery_id = lost.id AND tries.state = 'started';

-- name: TryList :many
SELECT * FROM tries WHERE delivery_id = @delivery_id ORDER BY number;

-- name: DeliveryByID :one
-- A merchant's own delivery, with its event and where it goes.
SELECT sqlc.embed(deliveries), sqlc.embed(events), subscriptions.url
FROM deliveries JOIN events ON events.id = deliveries.event_id JOIN subscriptions ON subscriptions.id = deliveries.subscription_id
WHERE deliveries.id = @id AND deliveries.merchant_id = @merchant_id AND deliveries.livemode = @livemode;

-- name: DeliveryList :many
-- Newest first. What is searched for is an id, or a text in one of the newest @searched bodies: no search reads all there is.
WITH newest AS (
    SELECT n.id, n.event_id FROM deliveries n
    WHERE @search::text <> '' AND NOT @is_id::boolean AND n.merchant_id = @merchant_id AND n.livemode = @livemode
    ORDER BY n.id DESC LIMIT @searched
), found AS (
    SELECT f.id FROM deliveries f WHERE @is_id AND f.id = @search
    UNION ALL
    SELECT f.id FROM deliveries f WHERE @is_id AND f.event_id = @search AND f.replay_of IS NULL
    UNION ALL
    SELECT f.id FROM deliveries f WHERE @is_id AND f.event_id = @search AND f.replay_of IS NOT NULL
    UNION ALL
    SELECT f.id FROM deliveries f WHERE @is_id AND f.merchant_id = @merchant_id AND f.livemode = @livemode AND f.resource_id = @search
    UNION ALL
    SELECT n.id FROM newest n JOIN events e ON e.id = n.event_id WHERE strpos(lower(convert_from(e.body, 'UTF8')), lower(@search)) > 0
)
SELECT sqlc.embed(deliveries), subscriptions.url
FROM deliveries JOIN subscriptions ON subscriptions.id = deliveries.subscription_id
WHERE deliveries.merchant_id = @merchant_id AND deliveries.livemode = @livemode
    AND deliveries.id >= @since::text AND deliveries.id < @until::text AND deliveries.id < @before::text
    AND (@status::text = '' OR deliveries.status = @status) AND (@event_type::text = '' OR deliveries.event_type = @event_type)
    AND (@subscription::text = '' OR deliveries.subscription_id = @subscription)
    AND (@resource::text = '' OR deliveries.resource_id = @resource)
    AND (@replay::text = '' OR deliveries.replay_id = @replay)
    AND (@search::text = '' OR deliveries.id IN (SELECT found.id FROM found))
ORDER BY deliveries.id DESC LIMIT @most;

-- name: DeliveryListAfter :many
-- See DeliveryList; oldest first.
WITH newest AS (
    SELECT n.id, n.event_id FROM deliveries n
    WHERE @search::text <> '' AND NOT @is_id::boolean AND n.merchant_id = @merchant_id AND n.livemode = @livemode
    ORDER BY n.id DESC LIMIT @searched
), found AS (
    SELECT f.id FROM deliveries f WHERE @is_id AND f.id = @search
    UNION ALL
    SELECT f.id FROM deliveries f WHERE @is_id AND f.event_id = @search AND f.replay_of IS NULL
    UNION ALL
    SELECT f.id FROM deliveries f WHERE @is_id AND f.event_id = @search AND f.replay_of IS NOT NULL
    UNION ALL
    SELECT f.id FROM deliveries f WHERE @is_id AND f.merchant_id = @merchant_id AND f.livemode = @livemode AND f.resource_id = @search
    UNION ALL
    SELECT n.id FROM newest n JOIN events e ON e.id = n.event_id WHERE strpos(lower(convert_from(e.body, 'UTF8')), lower(@search)) > 0
)
SELECT sqlc.embed(deliveries), subscriptions.url
FROM deliveries JOIN subscriptions ON subscriptions.id = deliveries.subscription_id
WHERE deliveries.merchant_id = @merchant_id AND deliveries.livemode = @livemode
    AND deliveries.id >= @since::text AND deliveries.id < @until::text AND deliveries.id > @after::text
    AND (@status::text = '' OR deliveries.status = @status) AND (@event_type::text = '' OR deliveries.event_type = @event_type)
    AND (@subscription::text = '' OR deliveries.subscription_id = @subscription)
    AND (@resource::text = '' OR deliveries.resource_id = @resource)
    AND (@replay::text = '' OR deliveries.replay_id = @replay)
    AND (@search::text = '' OR deliveries.id IN (SELECT found.id FROM found))
ORDER BY deliveries.id ASC LIMIT @most;

-- name: DeliveryRepeat :one
-- The same event once more, to the same subscription, if it still is one.
INSERT INTO deliveries (id, event_id, subscription_id, merchant_id, livemode, event_type, resource_id, next_try_at, replay_of, created_at)
SELECT @id, d.event_id, d.subscription_id, d.merchant_id, d.livemode, d.event_type, d.resource_id, @now::timestamptz, d.id, @now::timestamptz
FROM deliveries d JOIN subscriptions s ON s.id = d.subscription_id
WHERE d.id = @replay_of AND d.merchant_id = @merchant_id AND d.livemode = @livemode AND s.removed_at IS NULL
    AND EXISTS (SELECT FROM events e WHERE e.id = d.event_id)
RETURNING subscription_id;

-- name: ReplayCount :one
-- How many deliveries a replay would make again. A delivery counts if it failed for good, or was cancelled because its
-- subscription was disabled; not if its event was sent again since, or its subscription is not active. What was sent
-- since is always a repeat, and has its own index.
SELECT count(*)::int FROM (
    SELECT FROM deliveries d JOIN subscriptions s ON s.id = d.subscription_id
    WHERE d.merchant_id = @merchant_id AND d.livemode = @livemode AND d.status IN ('failed', 'cancelled')
        AND d.ended_at >= @since::timestamptz AND d.ended_at <= @until::timestamptz
        AND (sqlc.narg(subscription_id)::text IS NULL OR d.subscription_id = sqlc.narg(subscription_id))
        AND s.status = 'active' AND s.removed_at IS NULL
        AND NOT EXISTS (SELECT FROM deliveries later WHERE later.event_id = d.event_id AND later.subscription_id = d.subscription_id AND later.id > d.id
            AND later.replay_of IS NOT NULL)
    LIMIT @most
) found;

-- name: ReplayInsert :one
INSERT INTO replays (id, merchant_id, livemode, subscription_id, since, until, rate, count, created_at, updated_at)
VALUES (@id, @merchant_id, @livemode, @subscription_id, @since, @until, @rate, @count, @created_at, @created_at)
RETURNING *;

-- name: ReplayByID :one
SELECT * FROM replays WHERE id = @id AND merchant_id = @merchant_id AND livemode = @livemode;

-- name: ReplayForUpdate :one
-- One process at a time makes the next part; another one leaves it alone.
SELECT * FROM replays WHERE id = @id AND status = 'running' FOR UPDATE SKIP LOCKED;

-- name: ReplayExists :one
SELECT EXISTS (SELECT FROM replays WHERE id = @id AND status = 'running');

-- name: ReplayNext :many
-- The deliveries that a replay makes again next; see ReplayCount.
SELECT d.id, d.event_id, d.subscription_id, d.event_type, d.resource_id, s.slow FROM deliveries d JOIN subscriptions s ON s.id = d.subscription_id
WHERE d.merchant_id = @merchant_id AND d.livemode = @livemode AND d.status IN ('failed', 'cancelled')
    AND d.ended_at >= @since::timestamptz AND d.ended_at <= @until::timestamptz AND d.id > @after::text
    AND (sqlc.narg(subscription_id)::text IS NULL OR d.subscription_id = sqlc.narg(subscription_id))
    AND s.status = 'active' AND s.removed_at IS NULL
    AND NOT EXISTS (SELECT FROM deliveries later WHERE later.event_id = d.event_id AND later.subscription_id = d.subscription_id AND later.id > d.id
        AND later.replay_of IS NOT NULL)
ORDER BY d.id LIMIT @most;

-- name: ReplayDeliveriesInsert :exec
INSERT INTO deliveries (id, event_id, subscription_id, merchant_id, livemode, event_type, resource_id, next_try_at, replay_of, replay_id, created_at)
SELECT unnest(@ids::text[]), unnest(@events::text[]), unnest(@subscriptions::text[]), @merchant_id::text, @livemode::boolean,
    unnest(@types::text[]), unnest(@resources::text[]), @now::timestamptz, unnest(@replays_of::text[]), @replay_id::text, @now::timestamptz;

-- name: ReplayProgress :exec
UPDATE replays SET done = done + @made, cursor = @cursor, status = @status, updated_at = @now::timestamptz, ended_at = @ended_at
WHERE id = @id;

-- name: ReplayOutcome :one
-- What became of the deliveries that a replay made.
SELECT count(*) FILTER (WHERE status = 'delivered')::int AS delivered, count(*) FILTER (WHERE status IN ('failed', 'cancelled'))::int AS failed
FROM deliveries WHERE replay_id = @replay_id;

-- name: ReplayIdle :many
SELECT id FROM replays WHERE status = 'running' AND updated_at < @before::timestamptz ORDER BY updated_at LIMIT @most;

-- name: PurgeDeliveries :one
-- The oldest that ended, with their tries.
WITH old AS (
    DELETE FROM deliveries WHERE id = ANY (ARRAY(
        SELECT d.id FROM deliveries d WHERE d.id < @before::text AND d.status <> 'pending' ORDER BY d.id LIMIT @most))
    RETURNING id
), tried AS (
    DELETE FROM tries USING old WHERE tries.delivery_id = old.id
)
SELECT count(*)::int FROM old;

-- name: PurgeEvents :one
-- The oldest that no delivery needs; originals and repeats have an index each. The largest number of a resource stays.
WITH old AS (
    DELETE FROM events WHERE id = ANY (ARRAY(
        SELECT e.id FROM events e
        WHERE e.id < @before::text
            AND NOT EXISTS (SELECT FROM deliveries d WHERE d.event_id = e.id AND d.replay_of IS NULL)
            AND NOT EXISTS (SELECT FROM deliveries d WHERE d.event_id = e.id AND d.replay_of IS NOT NULL)
        ORDER BY e.id LIMIT @most))
    RETURNING resource_id, sequence
), kept AS (
    INSERT INTO event_sequences (resource_id, last)
    SELECT resource_id, max(sequence) FROM old GROUP BY resource_id
    ON CONFLICT (resource_id) DO UPDATE SET last = greatest(event_sequences.last, excluded.last)
)
SELECT count(*)::int FROM old;

-- name: PurgeReplays :execrows
DELETE FROM replays WHERE id < @before::text AND status <> 'running';

-- name: AuditOriginals :many
-- Every event has as many original deliveries as subscriptions were to hear of it.
SELECT (e.id || ' was for ' || e.subscribers::text || ' and has ' || count(d.id)::text || ' original deliveries')::text
FROM events e LEFT JOIN deliveries d ON d.event_id = e.id AND d.replay_of IS NULL
WHERE e.id > @after::text
GROUP BY e.id HAVING count(d.id) <> e.subscribers;

-- name: AuditDeliverees :many
-- A delivery is one of its event, to a subscription of the same shop and mode that existed then.
SELECT (d.id || ' does not fit its event or its subscription')::text
FROM deliveries d LEFT JOIN events e ON e.id = d.event_id LEFT JOIN subscriptions s ON s.id = d.subscription_id
WHERE e.id IS NULL OR s.id IS NULL
    OR (d.merchant_id, d.livemode, d.event_type, d.resource_id) <> (e.merchant_id, e.livemode, e.event_type, e.resource_id)
    OR (d.merchant_id, d.livemode) <> (s.merchant_id, s.livemode)
    OR d.replay_of IS NULL AND (s.created_at > e.created_at OR s.removed_at < e.created_at - interval '1 minute');

-- name: AuditTries :many
-- A delivery counts its tries that were finished; only an accepted one is delivered, and nothing is sent after that.
SELECT (d.id || ' is ' || d.status || ' after ' || d.tries::text || ' tries; ' || count(*) FILTER (WHERE t.state IN ('succeeded', 'failed'))::text
    || ' were finished, ' || count(*) FILTER (WHERE t.state = 'succeeded')::text || ' accepted, ' || count(*) FILTER (WHERE t.state = 'started')::text || ' are open')::text
FROM deliveries d LEFT JOIN tries t ON t.delivery_id = d.id
GROUP BY d.id
HAVING d.tries <> count(*) FILTER (WHERE t.state IN ('succeeded', 'failed'))
    OR d.tries > @most::int
    OR (d.status = 'delivered') <> (count(*) FILTER (WHERE t.state = 'succeeded') = 1)
    OR d.status <> 'pending' AND count(*) FILTER (WHERE t.state = 'started') > 0
    OR d.status = 'failed' AND d.tries = 0;
