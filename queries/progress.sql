-- name: ProgressList :many
-- What a shop did for the first time: when, what, how much and who. What is still to be done has no row.
(
    SELECT 'address'::text AS step, payees.created_at AS at, payees.address AS what, 0::bigint AS amount,
        COALESCE((SELECT a.actor FROM audit_rows a WHERE a.merchant_id = @merchant_id AND a.action = 'payee.set' ORDER BY a.id DESC LIMIT 1), '')::text AS who
    FROM payees WHERE payees.merchant_id = @merchant_id ORDER BY payees.created_at, payees.network LIMIT 1
)
UNION ALL
(
    SELECT 'proof', payees.proven_at, payees.address, 0,
        COALESCE((SELECT a.actor FROM audit_rows a WHERE a.merchant_id = @merchant_id AND a.action = 'payee.proven' ORDER BY a.id DESC LIMIT 1), '')
    FROM payees WHERE payees.merchant_id = @merchant_id AND payees.proven_at IS NOT NULL ORDER BY payees.proven_at LIMIT 1
)
UNION ALL
(SELECT 'link', links.created_at, links.title, 0, '' FROM links WHERE links.merchant_id = @merchant_id AND NOT links.livemode ORDER BY links.id LIMIT 1)
UNION ALL
(
    SELECT CASE WHEN mode.live THEN 'live_sale' ELSE 'test_sale' END, s.created_at, s.transaction, s.amount, s.network
    FROM (VALUES (false), (true)) AS mode (live), LATERAL (
        SELECT sales.created_at, sales.transaction, sales.amount, sales.network FROM sales
        WHERE sales.merchant_id = @merchant_id AND sales.livemode = mode.live AND NOT sales.simulated
        ORDER BY sales.created_at, sales.id LIMIT 1
    ) s
)
UNION ALL
(
    SELECT 'codes', max(c.created_at), '', count(*), ''
    FROM members JOIN recovery_codes c ON c.person_id = members.person_id
    WHERE members.merchant_id = @merchant_id AND members.role = 'owner' AND members.status = 'active' AND c.used_at IS NULL
    HAVING count(*) > 0
)
UNION ALL
(
    SELECT 'owners', max(members.created_at), '', count(*), '' FROM members
    WHERE members.merchant_id = @merchant_id AND members.role = 'owner' AND members.status = 'active'
    HAVING count(*) > 1
)
UNION ALL
(
    SELECT 'webhook', w.created_at, w.url, 0, '' FROM subscriptions w
    WHERE w.merchant_id = @merchant_id AND w.removed_at IS NULL ORDER BY w.id DESC LIMIT 1
)
UNION ALL
(
    SELECT 'delivery', d.ended_at, d.event_type, 0, ''
    FROM (VALUES (false), (true)) AS mode (live), LATERAL (
        SELECT COALESCE(deliveries.ended_at, deliveries.created_at) AS ended_at, deliveries.event_type FROM deliveries
        WHERE deliveries.merchant_id = @merchant_id AND deliveries.livemode = mode.live AND deliveries.status = 'delivered'
        ORDER BY deliveries.id DESC LIMIT 1
    ) d
    LIMIT 1
)
UNION ALL
(SELECT 'cashier', members.created_at, '', 0, '' FROM members WHERE members.merchant_id = @merchant_id AND members.pin <> '' AND members.status = 'active' LIMIT 1)
UNION ALL
(
    SELECT 'till', devices.created_at, devices.name, 0, persons.name FROM devices JOIN persons ON persons.id = devices.paired_by
    WHERE devices.merchant_id = @merchant_id AND devices.revoked_at IS NULL ORDER BY devices.id DESC LIMIT 1
);
