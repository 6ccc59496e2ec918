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
WHERE status NOT IN ('failed', 'reversed') AND facilitator <> 'transfer' GROUP BY network, asset, payer, nonce HAVING count(*) > 1;

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
    WHEN a.amount = 0 THEN s.status IS NOT NULL
    WHEN a.status = 'reversed' THEN coalesce(s.status, '') <> 'reversed'
    WHEN a.status IN ('settled', 'settled_late') THEN coalesce(s.status, '') NOT IN ('confirmed', 'final')
    WHEN a.status IN ('settling', 'unknown') THEN coalesce(s.status, '') NOT IN ('queued', 'signed', 'broadcast', 'requested')
        AND NOT (s.status IS NULL AND EXISTS (SELECT FROM calls c WHERE c.attempt_id = a.id AND c.state = 'calling' AND NOT c.first))
    ELSE s.status IS NOT NULL END;

-- name: AuditEntries :many
-- Every confirmed settlement of a purchase is in the books, once, with its amount; one for another server's sale only where it is kept for its shop, and
-- one that the chain took back is in them no more.
SELECT (s.id || ' of ' || s.amount::text || ' is in the books with ' || coalesce(e.amount, 0)::text)::text
FROM settlements s
LEFT JOIN (SELECT p.source, sum(e.amount)::bigint AS amount FROM postings p JOIN entries e ON e.posting_id = p.id
    WHERE p.kind IN ('sale', 'simulated_sale', 'reversal') AND e.account IN ('wallet', 'deposit', 'simulated_wallet') GROUP BY p.source) e ON e.source = s.id
WHERE CASE WHEN s.status IN ('confirmed', 'final') AND (s.attempt_id IS NOT NULL OR s.collected) THEN s.amount ELSE 0 END <> coalesce(e.amount, 0);

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
    WHERE NOT simulated AND NOT reversed AND link_id IS NOT NULL GROUP BY link_id) s USING (link_id)
WHERE coalesce(l.payments, 0) <> coalesce(s.payments, 0) OR coalesce(l.amount, 0) <> coalesce(s.amount, 0);

-- name: AuditSums :many
-- Days and months say what the sales and refunds do, in every way of counting.
SELECT (coalesce(d.merchant_id, s.merchant_id) || ' counts ' || coalesce(d.payments, 0)::text || ' payments of ' || coalesce(d.amount, 0)::text
    || ' by ' || coalesce(d.by, s.by) || ' ' || coalesce(d.key, s.key) || ' in the ' || coalesce(d.span, s.span) || ' of ' || coalesce(d.start, s.start)::text
    || ', there are ' || coalesce(s.payments, 0)::text || ' of ' || coalesce(s.amount, 0)::text)::text
FROM (SELECT merchant_id, livemode, zone, by, span, start, key, sum(payments)::bigint AS payments, sum(qty)::bigint AS qty, sum(amount)::bigint AS amount, sum(fee)::bigint AS fee
    FROM sales_sums GROUP BY 1, 2, 3, 4, 5, 6, 7) d
FULL JOIN (SELECT merchant_id, livemode, zone, by, span, start, key, count(DISTINCT attempt_id) AS payments, sum(qty)::bigint AS qty,
        sum(amount)::bigint AS amount, sum(fee)::bigint AS fee
    FROM counted_sales WHERE NOT next GROUP BY 1, 2, 3, 4, 5, 6, 7
    UNION ALL
    SELECT merchant_id, livemode, zone, 'refund' AS by, span, start, 'all' AS key, count(*) AS payments, 0::bigint AS qty, sum(amount)::bigint AS amount, sum(fee)::bigint AS fee
    FROM counted_refunds WHERE NOT next GROUP BY 1, 2, 3, 5, 6) s USING (merchant_id, livemode, zone, by, span, start, key)
WHERE coalesce(d.payments, 0) <> coalesce(s.payments, 0) OR coalesce(d.qty, 0) <> coalesce(s.qty, 0) OR coalesce(d.amount, 0) <> coalesce(s.amount, 0)
   OR coalesce(d.fee, 0) <> coalesce(s.fee, 0);

-- name: AuditRelayGaps :many
-- No relayer nonce is left as a gap below a mined one.
SELECT (r.network || ' ' || r.address || ' has no transaction with nonce ' || n::text)::text
FROM (SELECT network, address, min(nonce) AS low, max(nonce) FILTER (WHERE state = 'mined') AS high FROM relays GROUP BY 1, 2) r
CROSS JOIN LATERAL generate_series(r.low, r.high) n
WHERE NOT EXISTS (SELECT FROM relays x WHERE x.network = r.network AND x.address = r.address AND x.nonce = n);

-- name: SettledBlocks :one
-- Where the first payment of a network is, and the last one; nothing where there is none.
SELECT min(block_number)::bigint AS first, max(block_number)::bigint AS last FROM settlements
WHERE network = @network AND status IN ('confirmed', 'final') AND NOT simulated HAVING count(*) > 0;

-- name: AuditConfirmed :many
SELECT * FROM settlements
WHERE network = @network AND status IN ('confirmed', 'final') AND NOT simulated
  AND block_number BETWEEN @from_block::bigint AND @to_block::bigint AND (block_number, id) > (@after_block::bigint, @after_id::text)
ORDER BY block_number, id LIMIT @most;

-- name: AuditMoving :many
-- Settlements that are not failed, by the transactions that move, or may move, their money.
SELECT s.payer, s.pay_to, s.amount, s.log_index, v.hash AS transaction
FROM relay_versions v JOIN relays r USING (network, address, nonce) JOIN settlements s ON s.id = r.settlement
WHERE v.network = @network AND v.hash = ANY (@transactions::text[]) AND s.status <> 'failed'
UNION
SELECT s.payer, s.pay_to, s.amount, s.log_index, v.hash
FROM relay_versions v JOIN relay_items i USING (network, address, nonce) JOIN settlements s ON s.id = i.settlement
WHERE v.network = @network AND v.hash = ANY (@transactions::text[]) AND s.status <> 'failed'
UNION
SELECT payer, pay_to, amount, log_index, transaction FROM settlements
WHERE network = @network AND transaction = ANY (@transactions::text[]) AND status <> 'failed'
UNION
-- What waits to be understood, is listed, or is too little to be.
SELECT payer, pay_to, amount, log_index, transaction FROM transfers
WHERE network = @network AND transaction = ANY (@transactions::text[]) AND state <> 'gone'
UNION
-- What a facilitator was asked for may be in any transaction.
SELECT payer, pay_to, amount, log_index, ''::text AS transaction FROM settlements WHERE network = @network AND status = 'requested';

-- name: AuditStock :many
-- Sold, held and free are what was put in: what a counter says is taken, its purchases hold or have bought.
SELECT (s.item_id || CASE WHEN s.livemode THEN ' live' ELSE ' test' END || ' counts ' || s.taken::text || ' taken of ' || s.put::text
    || ', its purchases hold ' || coalesce(r.held, 0)::text || ' and bought ' || coalesce(r.sold, 0)::text)::text
FROM item_stock s LEFT JOIN (
    SELECT item_id, livemode, sum(qty) FILTER (WHERE status = 'held') AS held, sum(qty) FILTER (WHERE status = 'claimed') AS sold
    FROM reservations GROUP BY 1, 2) r USING (item_id, livemode)
WHERE s.taken <> coalesce(r.held, 0) + coalesce(r.sold, 0) OR s.taken > s.put OR s.taken < 0;

-- name: AuditReservations :many
-- Stock is held by purchases that may still be paid, and was claimed by those that are.
SELECT (r.id || ' is ' || r.status || ', its purchase ' || a.id || ' is ' || a.status)::text
FROM reservations r JOIN attempts a ON a.id = r.attempt_id
WHERE r.status = 'held' AND a.status NOT IN ('open', 'settling', 'unknown')
   OR r.status = 'claimed' AND a.status NOT IN ('settled', 'settled_late', 'reversed')
   OR r.status <> 'released' AND NOT a.holds_stock
   OR r.unpaid_from <> CASE WHEN a.status = 'open' THEN a.from_address ELSE '' END AND r.status = 'held';

-- name: AuditReserved :many
-- A sale that names a reservation is the one that claimed it, for as many.
SELECT (s.id || ' of ' || s.qty::text || ' names ' || s.reservation_id || ', which is ' || coalesce(r.status || ' for ' || r.qty::text, 'not there'))::text
FROM sales s LEFT JOIN reservations r ON r.id = s.reservation_id AND r.attempt_id = s.attempt_id AND r.line = s.line
WHERE s.reservation_id <> '' AND (r.id IS NULL OR r.status <> 'claimed' OR r.qty <> s.qty OR r.item_id <> s.item_id);

-- name: AuditCalls :many
-- A call whose answer waits for no money has it, or its payment is let go.
SELECT (c.attempt_id || ' is ' || c.state || ', its purchase is ' || a.status)::text FROM calls c JOIN attempts a ON a.id = c.attempt_id
WHERE c.state = 'answered' AND a.status NOT IN ('settling', 'unknown', 'settled', 'settled_late', 'failed', 'reversed')
   OR c.state = 'released' AND a.status NOT IN ('cancelled', 'settled_late', 'reversed')
   OR c.state = 'calling' AND NOT c.first AND a.status <> 'settling'
   OR c.state = 'calling' AND c.first AND a.status NOT IN ('settled', 'settled_late', 'reversed');

-- name: AuditPasses :many
-- A pass was paid for as often as it says, and what pays for one has one.
SELECT (p.id || ' counts ' || p.payments::text || ' payments, there are ' || count(a.id)::text)::text
FROM passes p
LEFT JOIN (SELECT pass_id, attempt_id FROM calls UNION ALL SELECT pass_id, attempt_id FROM pass_sales) bought ON bought.pass_id = p.id
LEFT JOIN attempts a ON a.id = bought.attempt_id AND a.status IN ('settled', 'settled_late', 'reversed')
GROUP BY p.id HAVING p.payments <> count(a.id)
UNION ALL
SELECT (s.attempt_id || ' paid for a pass and has none')::text
FROM pass_sales s JOIN attempts a ON a.id = s.attempt_id
WHERE a.status IN ('settled', 'settled_late', 'reversed') AND s.pass_id IS NULL;
