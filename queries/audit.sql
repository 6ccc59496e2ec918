-- name: AuditUnbalanced :many
SELECT (posting_id || ' sums to ' || sum(amount)::text)::text FROM entries GROUP BY posting_id, network, asset HAVING sum(amount) <> 0;

-- name: AuditBalances :many
SELECT (coalesce(b.merchant_id, e.merchant_id) || ' ' || coalesce(b.account, e.account) || ' is cached as ' || coalesce(b.amount, 0)::text || ', its entries sum to ' || coalesce(e.amount, 0)::text)::text
FROM balances b
FULL JOIN (SELECT merchant_id, account, network, asset, slot, sum(amount)::bigint AS amount FROM entries GROUP BY 1, 2, 3, 4, 5) e
    USING (merchant_id, account, network, asset, slot)
WHERE coalesce(b.amount, 0) <> coalesce(e.amount, 0);

-- name: AuditNegative :many
SELECT (merchant_id || ' ' || account || ' is ' || sum(amount)::text)::text FROM balances
WHERE account IN ('wallet', 'simulated_wallet') GROUP BY merchant_id, account, network, asset HAVING sum(amount) < 0;

-- name: AuditAuthorizations :many
SELECT (payer || ' ' || nonce || ' has ' || count(*)::text || ' settlements')::text FROM settlements
WHERE status <> 'failed' GROUP BY network, asset, payer, nonce HAVING count(*) > 1;

-- name: AuditClaims :many
SELECT (attempt_id || ' has ' || count(*)::text || ' living claims')::text FROM claims
WHERE released_at IS NULL GROUP BY attempt_id HAVING count(*) > 1;

-- name: AuditSales :many
-- Paid purchases have sales that sum to their amount; others have none.
SELECT (a.id || ' is ' || a.status || ' over ' || a.amount::text || ', its sales sum to ' || coalesce(s.amount, 0)::text)::text
FROM attempts a LEFT JOIN (SELECT attempt_id, sum(amount)::bigint AS amount FROM sales GROUP BY attempt_id) s ON s.attempt_id = a.id
WHERE coalesce(s.amount, 0) <> CASE WHEN a.status IN ('settled', 'settled_late', 'reversed') THEN a.amount ELSE 0 END;

-- name: AuditStates :many
-- What a purchase is agrees with what its money does.
SELECT (a.id || ' is ' || a.status || ', its settlement is ' || coalesce(s.status, 'missing'))::text
FROM attempts a LEFT JOIN settlements s ON s.attempt_id = a.id AND s.status <> 'failed'
WHERE CASE
    WHEN a.status IN ('settled', 'settled_late') THEN coalesce(s.status, '') NOT IN ('confirmed', 'final')
    WHEN a.status IN ('settling', 'unknown') THEN coalesce(s.status, '') NOT IN ('queued', 'signed', 'broadcast', 'requested')
    ELSE s.status IS NOT NULL END;

-- name: AuditEntries :many
-- Every confirmed settlement is in the books, once, with its amount.
SELECT (s.id || ' of ' || s.amount::text || ' is in the books with ' || coalesce(e.amount, 0)::text)::text
FROM settlements s
LEFT JOIN postings p ON p.source = s.id
LEFT JOIN entries e ON e.posting_id = p.id AND e.account IN ('wallet', 'simulated_wallet')
WHERE CASE WHEN s.status IN ('confirmed', 'final') THEN s.amount ELSE 0 END <> coalesce(e.amount, 0);

-- name: AuditLinks :many
-- The counter of a limited link is the number of purchases that hold one of its payments.
SELECT (l.id || ' counts ' || l.payments_taken::text || ', ' || count(a.id)::text || ' purchases hold one')::text
FROM links l LEFT JOIN attempts a ON a.link_id = l.id AND a.holds_payment
WHERE l.max_payments IS NOT NULL GROUP BY l.id HAVING l.payments_taken <> count(a.id);

-- name: AuditHolds :many
SELECT (id || ' is ' || status || ' and still holds a payment of its link')::text FROM attempts
WHERE holds_payment AND status IN ('expired', 'cancelled', 'failed');

-- name: AuditTotals :many
SELECT (coalesce(l.link_id, s.link_id) || ' counts ' || coalesce(l.payments, 0)::text || ' payments of ' || coalesce(l.amount, 0)::text
    || ', its sales are ' || coalesce(s.payments, 0)::text || ' of ' || coalesce(s.amount, 0)::text)::text
FROM (SELECT link_id, sum(payments)::bigint AS payments, sum(amount)::bigint AS amount FROM link_totals GROUP BY link_id) l
FULL JOIN (SELECT link_id, count(DISTINCT attempt_id) AS payments, sum(amount)::bigint AS amount FROM sales
    WHERE NOT simulated AND link_id IS NOT NULL GROUP BY link_id) s USING (link_id)
WHERE coalesce(l.payments, 0) <> coalesce(s.payments, 0) OR coalesce(l.amount, 0) <> coalesce(s.amount, 0);

-- name: AuditDays :many
SELECT (coalesce(d.merchant_id, s.merchant_id) || ' counts ' || coalesce(d.sales, 0)::text || ' sales of ' || coalesce(d.amount, 0)::text
    || ' on ' || coalesce(d.day, s.day)::text || ', there are ' || coalesce(s.sales, 0)::text || ' of ' || coalesce(s.amount, 0)::text)::text
FROM (SELECT merchant_id, livemode, day, channel, network, sum(sales)::bigint AS sales, sum(amount)::bigint AS amount
    FROM sales_days GROUP BY 1, 2, 3, 4, 5) d
FULL JOIN (SELECT merchant_id, livemode, (created_at AT TIME ZONE 'UTC')::date AS day, channel, network, count(DISTINCT attempt_id) AS sales,
    sum(amount)::bigint AS amount FROM sales WHERE NOT simulated GROUP BY 1, 2, 3, 4, 5) s USING (merchant_id, livemode, day, channel, network)
WHERE coalesce(d.sales, 0) <> coalesce(s.sales, 0) OR coalesce(d.amount, 0) <> coalesce(s.amount, 0);

-- name: AuditRelayGaps :many
-- No relayer nonce is left as a gap below a mined one.
SELECT (r.network || ' ' || r.address || ' has no transaction with nonce ' || n::text)::text
FROM (SELECT network, address, min(nonce) AS low, max(nonce) FILTER (WHERE state = 'mined') AS high FROM relays GROUP BY 1, 2) r
CROSS JOIN LATERAL generate_series(r.low, r.high) n
WHERE NOT EXISTS (SELECT FROM relays x WHERE x.network = r.network AND x.address = r.address AND x.nonce = n);

-- name: AuditConfirmed :many
SELECT * FROM settlements WHERE network = @network AND status IN ('confirmed', 'final') AND NOT simulated;

-- name: AuditPayees :many
SELECT DISTINCT address FROM payees WHERE network = @network AND proven_at IS NOT NULL;

-- name: AuditMoving :many
-- Settlements that are not failed, by the transactions that move, or may move, their money.
SELECT s.payer, s.pay_to, s.amount, s.log_index, v.hash AS transaction
FROM relay_versions v JOIN relays r USING (network, address, nonce) JOIN settlements s ON s.id = r.settlement
WHERE v.network = @network AND v.hash = ANY (@transactions::text[]) AND s.status <> 'failed'
UNION
SELECT payer, pay_to, amount, log_index, transaction FROM settlements
WHERE network = @network AND transaction = ANY (@transactions::text[]) AND status <> 'failed';
