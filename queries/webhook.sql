-- name: EventPublish :many
-- Writes events and returns who is to hear of them. A subscription named as addressee hears of them alone.
SELECT event_id::text AS event_id, subscription_id::text AS subscription_id, slow::boolean AS slow
FROM events_publish(@ids::text[], @merchants::text[], @livemodes::boolean[], @types::text[], @resource_types::text[],
    @resources::text[], @nths::bigint[], @heads::bytea[], @tails::bytea[], @addressee::text, @now::timestamptz);

-- name: EventDeliveriesInsert :exec
-- The original deliveries of events that were just written.
INSERT INTO deliveries (id, event_id, subscription_id, merchant_id, livemode, event_type, resource_id, next_try_at, created_at)
SELECT unnest(@ids::text[]), unnest(@events::text[]), unnest(@subscriptions::text[]), unnest(@merchants::text[]),
    unnest(@livemodes::boolean[]), unnest(@types::text[]), unnest(@resources::text[]), @now::timestamptz, @now::timestamptz;

-- name: EventPosition :one
-- Where an event stands in its feed.
SELECT epoch, written_by FROM events WHERE id = @id AND merchant_id = @merchant_id AND livemode = @livemode;

-- name: EventFeed :many
-- In the order of the writing transactions. What a transaction that is still under way, anywhere on the server, could
-- come before is not shown yet.
SELECT id, event_type, body, created_at FROM events
WHERE merchant_id = @merchant_id AND livemode = @livemode
    AND (epoch, written_by, id) > (@epoch::smallint, @written_by::xid8, @after::text)
    AND (epoch, written_by) < ((SELECT event_epoch.epoch FROM event_epoch), pg_snapshot_xmin(pg_current_snapshot()))
ORDER BY epoch, written_by, id
LIMIT @most;

-- name: EventNewest :one
-- The end of the feed, as far as it is shown.
SELECT id, event_type, body, created_at FROM events
WHERE merchant_id = @merchant_id AND livemode = @livemode
    AND (epoch, written_by) < ((SELECT event_epoch.epoch FROM event_epoch), pg_snapshot_xmin(pg_current_snapshot()))
ORDER BY epoch DESC, written_by DESC, id DESC
LIMIT 1;

-- name: SubscriptionMerchantHold :one
-- One registration of a shop at a time: it counts before it inserts.
SELECT id FROM merchants WHERE id = @merchant_id FOR NO KEY UPDATE;

-- name: SubscriptionByOnce :one
SELECT sqlc.embed(subscriptions), sqlc.embed(subscription_health)
FROM subscriptions JOIN subscription_health ON subscription_health.subscription_id = subscriptions.id
WHERE subscriptions.once = @once AND subscriptions.merchant_id = @merchant_id AND subscriptions.livemode = @livemode;

-- name: SubscriptionCount :one
SELECT count(*)::int FROM subscriptions WHERE merchant_id = @merchant_id AND livemode = @livemode AND removed_at IS NULL;

-- name: SubscriptionInsert :one
INSERT INTO subscriptions (id, merchant_id, livemode, url, description, events, status, secret, once, created_at, updated_at)
VALUES (@id, @merchant_id, @livemode, @url, @description, @events, @status, @secret, @once, @created_at, @created_at)
RETURNING *;

-- name: SubscriptionHealthInsert :exec
WITH health AS (
    INSERT INTO subscription_health (subscription_id) VALUES (@subscription_id)
)
INSERT INTO subscription_slots (subscription_id, slot) SELECT @subscription_id, generate_series(0, @last_slot::smallint);

-- name: SubscriptionList :many
-- A shop has few of them: all at once, newest first.
SELECT sqlc.embed(subscriptions), sqlc.embed(subscription_health)
FROM subscriptions JOIN subscription_health ON subscription_health.subscription_id = subscriptions.id
WHERE subscriptions.merchant_id = @merchant_id AND subscriptions.livemode = @livemode AND subscriptions.removed_at IS NULL
ORDER BY subscriptions.id DESC;

-- name: SubscriptionByID :one
SELECT sqlc.embed(subscriptions), sqlc.embed(subscription_health)
FROM subscriptions JOIN subscription_health ON subscription_health.subscription_id = subscriptions.id
WHERE subscriptions.merchant_id = @merchant_id AND subscriptions.livemode = @livemode AND subscriptions.id = @id
    AND subscriptions.removed_at IS NULL;

-- name: SubscriptionForUpdate :one
SELECT * FROM subscriptions
WHERE merchant_id = @merchant_id AND livemode = @livemode AND id = @id AND removed_at IS NULL
FOR NO KEY UPDATE;

-- name: SubscriptionUpdate :exec
UPDATE subscriptions SET url = @url, description = @description, events = @events, status = @status,
    disabled_at = @disabled_at, disabled_reason = @disabled_reason, slow = @slow, updated_at = @updated_at
WHERE id = @id;

-- name: SubscriptionHealthReset :exec
-- A server that its owner enabled again, or another server, begins without a history.
UPDATE subscription_health SET failing_since = NULL, failures = 0, told_at = NULL, latency_ms = 0, opened_until = NULL, openings = 0,
    probe_until = NULL, window_started_at = NULL, window_tries = 0, window_failures = 0, next_slot_at = NULL
WHERE subscription_id = @subscription_id;

-- name: SubscriptionRemove :one
-- The log stays; the secrets go.
UPDATE subscriptions SET removed_at = @now::timestamptz, updated_at = @now::timestamptz, secret = '', next_secret = NULL, overlap_until = NULL
WHERE merchant_id = @merchant_id AND livemode = @livemode AND id = @id AND removed_at IS NULL
RETURNING *;

-- name: SubscriptionSecretsSet :exec
UPDATE subscriptions SET secret = @secret, next_secret = @next_secret, overlap_until = @overlap_until, next_once = @next_once, updated_at = @updated_at
WHERE id = @id;

-- name: SubscriptionSealed :many
-- Every secret there is, in parts, to be sealed again with a newer key.
SELECT id, secret, next_secret FROM subscriptions WHERE id > @after::text AND removed_at IS NULL ORDER BY id LIMIT @most;

-- name: SubscriptionReseal :execrows
UPDATE subscriptions SET secret = @secret, next_secret = @next_secret
WHERE id = @id AND secret = @was_secret AND next_secret IS NOT DISTINCT FROM @was_next_secret;

-- name: NoticeInsert :exec
INSERT INTO notices (id, merchant_id, livemode, kind, text, link, created_at)
VALUES (@id, @merchant_id, @livemode, @kind, @text, @link, @created_at);

-- name: NoticeList :many
SELECT * FROM notices WHERE merchant_id = @merchant_id AND livemode = @livemode ORDER BY id DESC LIMIT @most;

-- name: NoticeListUnread :many
SELECT * FROM notices WHERE merchant_id = @merchant_id AND livemode = @livemode AND read_at IS NULL ORDER BY id DESC LIMIT @most;

-- name: NoticeCountUnread :one
-- At most @most: nobody reads a larger figure in a bell.
SELECT count(*)::int FROM (
    SELECT FROM notices WHERE merchant_id = @merchant_id AND livemode = @livemode AND read_at IS NULL LIMIT @most
) unread;

-- name: NoticeRead :exec
UPDATE notices SET read_at = @now::timestamptz
WHERE merchant_id = @merchant_id AND livemode = @livemode AND read_at IS NULL AND id <= @newest::text;
