-- name: UndeliveredCounts :many
-- Events that a server still registered was not told, and that nobody has sent it again: to @most for each server.
SELECT s.id, (SELECT count(*) FROM (
    SELECT FROM deliveries d
    WHERE d.subscription_id = s.id AND d.status = 'failed'
        AND NOT EXISTS (SELECT FROM deliveries later WHERE later.event_id = d.event_id AND later.subscription_id = d.subscription_id AND later.id > d.id
            AND later.replay_of IS NOT NULL)
    LIMIT @most) undelivered)::int AS failed
FROM subscriptions s WHERE s.merchant_id = @merchant_id AND s.livemode = @livemode AND s.removed_at IS NULL;
