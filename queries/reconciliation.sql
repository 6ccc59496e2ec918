-- name: BlocksConfirmed :many
-- The blocks that hold payments which are not final yet.
SELECT DISTINCT block_number::bigint AS number, block_hash::text AS hash FROM settlements
WHERE network = @network AND status = 'confirmed' AND NOT simulated ORDER BY 1, 2;

-- name: SettlementsOfBlock :many
SELECT id FROM settlements
WHERE network = @network AND status = 'confirmed' AND NOT simulated AND block_number = @number::bigint AND block_hash = @hash::text
ORDER BY id LIMIT @most;

-- name: SettlementLost :one
-- Its block is gone, and no other holds the payment yet.
UPDATE settlements SET lost_at = @now::timestamptz, updated_at = @now::timestamptz
WHERE id = @id AND status = 'confirmed' AND block_hash = @was::text AND lost_at IS NULL
RETURNING *;

-- name: SettlementKept :exec
UPDATE settlements SET lost_at = NULL WHERE id = @id AND lost_at IS NOT NULL;

-- name: SettlementReverse :one
-- No block holds the payment, and none can any more. Only where it was when that was found out.
UPDATE settlements SET status = 'reversed', last_error = @last_error, updated_at = @now::timestamptz
WHERE id = @id AND status = 'confirmed' AND block_hash = @was::text
RETURNING *;

-- name: ExceptionsReverse :exec
-- Nothing is left to decide on: the money is not there.
UPDATE exceptions SET resolved_at = @now::timestamptz, resolution = 'reversed' WHERE settlement_id = @settlement_id::text AND resolved_at IS NULL;

-- name: MerchantConfirmLimit :one
SELECT confirm_limit FROM merchants WHERE id = @id;

-- name: MerchantSetConfirmLimit :execrows
UPDATE merchants SET confirm_limit = @confirm_limit WHERE id = @id AND confirm_limit = @was;

-- name: ReconciliationBegin :one
UPDATE reconciliations SET began_at = @now::timestamptz, ended_at = NULL WHERE network = @network RETURNING *;

-- name: ReconciliationFirst :one
-- The first time, of whatever processes are at it at once.
INSERT INTO reconciliations (network, block, began_at) VALUES (@network, @block, @now::timestamptz)
ON CONFLICT (network) DO UPDATE SET began_at = excluded.began_at, ended_at = NULL
RETURNING *;

-- name: ReconciliationAdvance :exec
-- What was compared stays compared, also if the rest of this time fails.
UPDATE reconciliations SET block = greatest(block, @block) WHERE network = @network;

-- name: ReconciliationEnd :exec
UPDATE reconciliations SET from_block = @from_block, to_block = @to_block, matched = @matched, found = @found,
    differing = @differing, ended_at = @now::timestamptz, failed_at = NULL
WHERE network = @network AND began_at = @began_at;

-- name: ReconciliationFailed :exec
UPDATE reconciliations SET failed_at = @now::timestamptz WHERE network = @network AND began_at = @began_at;

-- name: ReconciledSet :exec
INSERT INTO reconciled (merchant_id, network, matched, amount, checked_at)
SELECT unnest(@merchants::text[]), @network, unnest(@matched::bigint[]), unnest(@amounts::bigint[]), @checked_at
ON CONFLICT (merchant_id, network) DO UPDATE SET matched = excluded.matched, amount = excluded.amount, checked_at = excluded.checked_at;

-- name: ReconciliationsOf :many
-- How the last time went, and what of it was this shop's.
SELECT sqlc.embed(r), coalesce(d.matched, 0)::bigint AS own_matched, coalesce(d.amount, 0)::bigint AS own_amount
FROM reconciliations r LEFT JOIN reconciled d ON d.network = r.network AND d.merchant_id = @merchant_id AND d.checked_at = r.began_at
ORDER BY r.network;

-- name: ReconcileSettlements :many
-- Payments in some blocks, with what the books and the sales say of each.
SELECT sqlc.embed(s), coalesce(b.amount, 0)::bigint AS booked, coalesce(g.amount, 0)::bigint AS sold, coalesce(a.amount, 0)::bigint AS priced,
    coalesce(a.status, '')::text AS purchase
FROM settlements s LEFT JOIN attempts a ON a.id = s.attempt_id
LEFT JOIN LATERAL (
    SELECT sum(e.amount)::bigint AS amount FROM postings p JOIN entries e ON e.posting_id = p.id
    WHERE p.source = s.id COLLATE "default" AND p.kind = 'sale' AND e.account IN ('wallet', 'deposit')) b ON true
LEFT JOIN LATERAL (SELECT sum(l.amount)::bigint AS amount FROM sales l WHERE l.attempt_id = s.attempt_id AND l.settlement_id = s.id) g ON true
WHERE s.network = @network AND s.status IN ('confirmed', 'final') AND NOT s.simulated
  AND s.block_number BETWEEN @from_block::bigint AND @to_block::bigint AND (s.block_number, s.id) > (@after_block::bigint, @after_id::text)
ORDER BY s.block_number, s.id LIMIT @most;

-- name: ReconcileSettlement :one
SELECT sqlc.embed(s), coalesce(b.amount, 0)::bigint AS booked, coalesce(g.amount, 0)::bigint AS sold, coalesce(a.amount, 0)::bigint AS priced,
    coalesce(a.status, '')::text AS purchase
FROM settlements s LEFT JOIN attempts a ON a.id = s.attempt_id
LEFT JOIN LATERAL (
    SELECT sum(e.amount)::bigint AS amount FROM postings p JOIN entries e ON e.posting_id = p.id
    WHERE p.source = s.id COLLATE "default" AND p.kind = 'sale' AND e.account IN ('wallet', 'deposit')) b ON true
LEFT JOIN LATERAL (SELECT sum(l.amount)::bigint AS amount FROM sales l WHERE l.attempt_id = s.attempt_id AND l.settlement_id = s.id) g ON true
WHERE s.id = @id;

-- name: ReconcileKnown :many
-- Which of these transfers a settlement names, or whoever watches the chain has seen.
SELECT s.transaction, s.log_index::int AS log_index FROM settlements s
WHERE s.network = @network AND s.transaction = ANY (@transactions::text[]) AND s.log_index IS NOT NULL AND s.status NOT IN ('failed', 'reversed')
UNION
SELECT t.transaction, t.log_index FROM transfers t WHERE t.network = @network AND t.transaction = ANY (@transactions::text[]) AND t.state <> 'gone';

-- name: DifferenceInsert :execrows
-- A difference that was none any more may be one again.
INSERT INTO exceptions (id, merchant_id, livemode, kind, attempt_id, settlement_id, payer, pay_to, amount, network, transaction, log_index, created_at)
VALUES (@id, @merchant_id, @livemode, @kind, @attempt_id, @settlement_id, @payer, @pay_to, @amount, @network, @transaction, @log_index, @created_at)
ON CONFLICT (kind, settlement_id) WHERE settlement_id IS NOT NULL
DO UPDATE SET resolved_at = NULL, resolution = '', created_at = excluded.created_at, transaction = excluded.transaction
WHERE exceptions.resolution = 'matched';

-- name: ExceptionsDiffering :many
SELECT id, settlement_id::text AS settlement_id FROM exceptions
WHERE network = @network AND resolved_at IS NULL AND kind IN ('missing', 'mismatch') AND settlement_id IS NOT NULL AND id > @after::text
ORDER BY id LIMIT @most;

-- name: DecisionList :many
-- Money to decide on, or with decided what was decided, newest first.
SELECT sqlc.embed(e), coalesce(a.title, '')::text AS title, coalesce(a.status, '')::text AS purchase
FROM exceptions e LEFT JOIN attempts a ON a.id = e.attempt_id
WHERE e.merchant_id = @merchant_id AND e.livemode = @livemode AND (e.resolved_at IS NOT NULL) = @decided::bool AND e.id < @before::text
ORDER BY e.id DESC LIMIT @most;

-- name: DecisionListAfter :many
-- The page before: read upwards, to be turned round.
SELECT sqlc.embed(e), coalesce(a.title, '')::text AS title, coalesce(a.status, '')::text AS purchase
FROM exceptions e LEFT JOIN attempts a ON a.id = e.attempt_id
WHERE e.merchant_id = @merchant_id AND e.livemode = @livemode AND (e.resolved_at IS NOT NULL) = @decided::bool AND e.id > @after::text
ORDER BY e.id ASC LIMIT @most;

-- name: DecisionByID :one
SELECT sqlc.embed(e), coalesce(a.title, '')::text AS title, coalesce(a.status, '')::text AS purchase
FROM exceptions e LEFT JOIN attempts a ON a.id = e.attempt_id
WHERE e.merchant_id = @merchant_id AND e.livemode = @livemode AND e.id = @id;

-- name: DecisionCounts :many
-- How much of each kind is open, up to a thousand, and since when.
SELECT kind, count(*)::bigint AS count, sum(amount)::bigint AS amount, min(created_at)::timestamptz AS oldest
FROM (SELECT kind, amount, created_at FROM exceptions WHERE merchant_id = @merchant_id AND livemode = @livemode AND resolved_at IS NULL ORDER BY id LIMIT 1000) e
GROUP BY kind ORDER BY kind;

-- name: ExceptionForUpdate :one
SELECT * FROM exceptions WHERE merchant_id = @merchant_id AND livemode = @livemode AND id = @id FOR UPDATE;

-- name: ExceptionRefunding :one
-- Whether somebody is giving it back.
SELECT EXISTS (SELECT FROM refunds WHERE exception_id = @id AND status <> 'failed')::bool;

-- name: ExceptionDecide :execrows
UPDATE exceptions SET resolved_at = @now::timestamptz, resolution = @resolution, resolved_by = @resolved_by, reason = @reason
WHERE id = @id AND resolved_at IS NULL;

-- name: UnpaidOfPayer :many
-- Purchases that a payer began to pay and did not, which money of his may be for.
SELECT DISTINCT a.id, a.title, a.amount, a.status, a.created_at FROM claims c JOIN attempts a ON a.id = c.attempt_id
WHERE c.payer = @payer AND a.merchant_id = @merchant_id AND a.livemode = @livemode AND a.network = @network AND a.status IN ('open', 'expired', 'cancelled')
ORDER BY a.id DESC LIMIT @most;

-- name: EntriesToReverse :many
-- What was entered for a payment, or for money without an explanation and a decision on it, and is taken back with it.
SELECT e.* FROM postings p JOIN entries e ON e.posting_id = p.id WHERE p.source = @source AND p.kind IN ('sale', 'gas', 'exception', 'exception_resolved') ORDER BY e.posting_id, e.line;

-- name: ReconciliationFigures :many
SELECT * FROM reconciliations ORDER BY network;

-- name: ExceptionFigures :many
SELECT kind, count(*)::bigint AS count, min(created_at)::timestamptz AS oldest
FROM (SELECT kind, created_at FROM exceptions WHERE resolved_at IS NULL LIMIT @most) e GROUP BY kind ORDER BY kind;

-- name: ExceptionPosting :many
-- What was entered when money came that nothing explains: nothing, where it lies at the shop's own address.
SELECT e.* FROM postings p JOIN entries e ON e.posting_id = p.id WHERE p.source = @source AND p.kind = 'exception' ORDER BY e.line;

-- name: UnexplainedInsert :many
-- Nothing where it stands in the list.
INSERT INTO exceptions (id, merchant_id, livemode, kind, attempt_id, settlement_id, payer, pay_to, amount, network, transaction, log_index, block_time, created_at)
VALUES (@id, @merchant_id, @livemode, @kind, @attempt_id, @settlement_id, @payer, @pay_to, @amount, @network, @transaction, @log_index, @block_time, @created_at)
ON CONFLICT DO NOTHING RETURNING *;

-- name: ExceptionOfLog :one
SELECT id FROM exceptions WHERE network = @network AND transaction = @transaction AND log_index = @log_index AND settlement_id IS NULL
    AND resolution NOT IN ('attached', 'reversed');

-- name: ExceptionOfSettlement :one
SELECT id FROM exceptions WHERE kind = @kind AND settlement_id = @settlement_id;

-- name: IsDeposit :one
SELECT EXISTS (SELECT FROM deposit_addresses WHERE network = @network AND address = @address AND merchant_id IS NOT NULL)::bool;

-- name: ExceptionAttach :exec
UPDATE exceptions SET attempt_id = @attempt_id WHERE id = @id;

-- name: TransferTakenBack :exec
-- It may be mined once more, and is looked into then as if it had never been seen.
UPDATE transfers SET state = 'gone', settlement_id = NULL
WHERE network = @network AND transaction = @transaction AND settlement_id = @settlement_id::text;

-- name: DriftSet :one
-- Whether nobody knew.
INSERT INTO drifts (merchant_id, network, amount, since) VALUES (@merchant_id, @network, @amount, @now::timestamptz)
ON CONFLICT (merchant_id, network) DO UPDATE SET amount = excluded.amount
RETURNING (xmax = 0)::bool AS fresh;

-- name: DriftGone :execrows
DELETE FROM drifts WHERE merchant_id = @merchant_id AND network = @network;

-- name: DriftsOf :many
SELECT * FROM drifts WHERE merchant_id = @merchant_id ORDER BY network;
