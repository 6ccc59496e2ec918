-- name: OwedLock :exec
-- Who takes from what is kept for a shop is one at a time.
SELECT pg_advisory_xact_lock(hashtextextended('owed ' || @merchant_id::text || ' ' || @network::text, 0));

-- name: Owed :one
SELECT coalesce(-sum(amount), 0)::bigint FROM balances
WHERE merchant_id = @merchant_id AND account = 'available' AND network = @network AND asset = @asset;

-- name: SendingInsert :exec
INSERT INTO sendings (id, merchant_id, network, asset, pay_from, pay_to, amount, nonce, status, created_at, updated_at)
VALUES (@id, @merchant_id, @network, @asset, @pay_from, @pay_to, @amount, @nonce, 'queued', @created_at, @created_at);

-- name: SendingByID :one
SELECT * FROM sendings WHERE id = @id;

-- name: SendingLease :one
-- One worker at a time; a lease that ran out is anybody's.
UPDATE sendings SET lease = @lease::bytea, lease_until = @until::timestamptz
WHERE id = @id AND (status IN ('queued', 'processing', 'sent') OR lost_at IS NOT NULL) AND (lease_until IS NULL OR lease_until <= @now::timestamptz)
RETURNING *;

-- name: SendingRenew :execrows
UPDATE sendings SET lease_until = @until::timestamptz WHERE id = @id AND lease = @lease::bytea;

-- name: SendingUnlease :execrows
UPDATE sendings SET lease = NULL, lease_until = NULL, last_error = @last_error, updated_at = @now::timestamptz
WHERE id = @id AND lease = @lease::bytea;

-- name: SendingProcess :execrows
-- From here on a signature may exist: until when it counts is written down before it is made.
UPDATE sendings SET status = 'processing', valid_before = @valid_before::bigint, updated_at = @now::timestamptz
WHERE id = @id AND lease = @lease::bytea AND status = 'queued';

-- name: SendingSent :one
-- One that had arrived, and is sent again, stays so.
UPDATE sendings SET status = CASE was.status WHEN 'completed' THEN was.status ELSE 'sent' END, transaction = @transaction, updated_at = @now::timestamptz
FROM (SELECT s.id, s.status FROM sendings s WHERE s.id = @id FOR UPDATE) was
WHERE sendings.id = was.id AND sendings.lease = @lease::bytea AND (sendings.status IN ('processing', 'sent') OR sendings.lost_at IS NOT NULL)
RETURNING sqlc.embed(sendings), was.status AS was;

-- name: SendingComplete :one
UPDATE sendings SET status = 'completed', valid_before = coalesce(valid_before, @valid_before::bigint), transaction = @transaction, block_number = @block_number::bigint, block_hash = @block_hash::text,
    completed_at = @now::timestamptz, updated_at = @now::timestamptz, last_error = '', lease = NULL, lease_until = NULL
WHERE id = @id AND status IN ('queued', 'processing', 'sent')
RETURNING *;

-- name: SendingFail :one
UPDATE sendings SET status = 'failed', last_error = @last_error, updated_at = @now::timestamptz, lease = NULL, lease_until = NULL,
    block_number = NULL, block_hash = NULL, completed_at = NULL, lost_at = NULL
FROM (SELECT s.id, s.status FROM sendings s WHERE s.id = @id FOR UPDATE) was
WHERE sendings.id = was.id AND sendings.lease = @lease::bytea AND (sendings.status IN ('queued', 'processing', 'sent') OR sendings.lost_at IS NOT NULL)
RETURNING sqlc.embed(sendings), was.status AS was;

-- name: SendingsSealing :many
-- What arrived, in blocks that the chain had not sealed for good when it was last looked at.
SELECT * FROM sendings
WHERE network = @network AND status = 'completed' AND NOT final AND lost_at IS NULL AND (block_number, id) > (@after_block::bigint, @after_id::text)
ORDER BY block_number, id LIMIT @most;

-- name: SendingFinal :exec
UPDATE sendings SET final = true WHERE id = @id AND block_hash = @block_hash::text AND status = 'completed' AND lost_at IS NULL;

-- name: SendingLost :execrows
-- Its block is gone.
UPDATE sendings SET lost_at = @now::timestamptz, last_error = @last_error, updated_at = @now::timestamptz
WHERE id = @id AND block_hash = @was::text AND status = 'completed' AND NOT final AND lost_at IS NULL;

-- name: SendingFound :one
-- One whose block was gone stands in this one.
UPDATE sendings SET transaction = @transaction, block_number = @block_number::bigint, block_hash = @block_hash::text, lost_at = NULL,
    updated_at = @now::timestamptz, last_error = '', lease = NULL, lease_until = NULL
WHERE id = @id AND lost_at IS NOT NULL
RETURNING *;

-- name: SendingsByNonce :many
SELECT nonce, status FROM sendings WHERE network = @network AND nonce = ANY (@nonces::text[]);

-- name: DepositsFlight :many
-- What buyers are paying to the addresses that are kept for a shop, and what came there and is not certain yet.
SELECT f.network, sum(f.amount)::bigint AS amount FROM (
    SELECT s.network, s.pay_to, s.amount FROM settlements s
    WHERE s.merchant_id = @merchant_id AND s.status IN ('queued', 'signed', 'broadcast', 'requested') AND NOT s.simulated
    UNION ALL
    SELECT t.network, t.pay_to, t.amount FROM transfers t WHERE t.merchant_id = @merchant_id AND t.state = 'seen') f
JOIN deposit_addresses d ON d.network = f.network AND d.address = f.pay_to
GROUP BY f.network;

-- name: PayoutInsert :execrows
INSERT INTO payouts (id, merchant_id, livemode, network, amount, destination, actor, by_key, from_address, user_agent, once, created_at)
VALUES (@id, @merchant_id, @livemode, @network, @amount, @destination, @actor, @by_key, @from_address, @user_agent, @once, @created_at)
ON CONFLICT (once) DO NOTHING;

-- name: PayoutByOnce :one
SELECT sqlc.embed(payouts), sqlc.embed(sendings) FROM payouts JOIN sendings ON sendings.id = payouts.id WHERE payouts.once = @once::bytea AND payouts.merchant_id = @merchant_id;

-- name: PayoutByID :one
SELECT sqlc.embed(payouts), sqlc.embed(sendings) FROM payouts JOIN sendings ON sendings.id = payouts.id
WHERE payouts.id = @id AND payouts.merchant_id = @merchant_id AND payouts.livemode = @livemode;

-- name: PayoutOf :one
SELECT * FROM payouts WHERE id = @id;

-- name: PayoutList :many
SELECT sqlc.embed(payouts), sqlc.embed(sendings) FROM payouts JOIN sendings ON sendings.id = payouts.id
WHERE payouts.merchant_id = @merchant_id AND payouts.livemode = @livemode AND payouts.id < @before::text
ORDER BY payouts.id DESC LIMIT @most;

-- name: PayoutListAfter :many
SELECT sqlc.embed(payouts), sqlc.embed(sendings) FROM payouts JOIN sendings ON sendings.id = payouts.id
WHERE payouts.merchant_id = @merchant_id AND payouts.livemode = @livemode AND payouts.id > @after::text
ORDER BY payouts.id LIMIT @most;

-- name: PayoutsOfDay :one
-- What programs had paid out since then, but for what came back.
SELECT coalesce(sum(p.amount), 0)::bigint FROM payouts p JOIN sendings s ON s.id = p.id
WHERE p.merchant_id = @merchant_id AND p.network = @network AND p.by_key AND p.created_at > @since::timestamptz AND s.status <> 'failed';

-- name: DestinationInsert :execrows
INSERT INTO payout_destinations (merchant_id, network, address, known_at, created_at) VALUES (@merchant_id, @network, @address, @known_at, @created_at)
ON CONFLICT (merchant_id, network, address) DO NOTHING;

-- name: DestinationDelete :execrows
DELETE FROM payout_destinations WHERE merchant_id = @merchant_id AND network = @network AND address = @address;

-- name: DestinationList :many
SELECT * FROM payout_destinations WHERE merchant_id = @merchant_id ORDER BY network, created_at, address LIMIT 100;

-- name: DestinationKnownAt :one
SELECT known_at FROM payout_destinations WHERE merchant_id = @merchant_id AND network = @network AND address = @address;

-- name: JournalOfAccount :many
SELECT e.*, p.kind, p.source FROM entries e JOIN postings p ON p.id = e.posting_id
WHERE e.merchant_id = @merchant_id AND e.account = @account AND e.network = @network AND e.asset = @asset AND e.posting_id < @before::text
ORDER BY e.posting_id DESC, e.line DESC LIMIT @most;

-- name: JournalOfAccountAfter :many
SELECT e.*, p.kind, p.source FROM entries e JOIN postings p ON p.id = e.posting_id
WHERE e.merchant_id = @merchant_id AND e.account = @account AND e.network = @network AND e.asset = @asset AND e.posting_id > @after::text
ORDER BY e.posting_id, e.line LIMIT @most;

-- name: JournalPage :many
-- Whole postings, in the order in which they were written.
SELECT e.*, p.kind, p.source FROM (
    SELECT j.id, j.kind, j.source FROM postings j WHERE j.merchant_id = @merchant_id AND j.id > @after::text ORDER BY j.id LIMIT @most) p
JOIN entries e ON e.posting_id = p.id
ORDER BY e.posting_id, e.line;

-- name: BalancesOf :many
SELECT account, network, asset, sum(amount)::bigint AS amount FROM balances
WHERE merchant_id = @merchant_id GROUP BY account, network, asset ORDER BY network, asset, account;

-- name: TransactionsOf :many
-- The transactions behind what postings tell of.
SELECT id::text AS source, transaction FROM settlements WHERE settlements.id = ANY (@sources::text[])
UNION ALL
SELECT id::text, transaction FROM sendings WHERE sendings.id = ANY (@sources::text[])
UNION ALL
SELECT id::text, transaction FROM refunds WHERE refunds.id = ANY (@sources::text[]) AND NOT collected;

-- name: AuditOwed :many
SELECT (merchant_id || ' on ' || network || ': ' || sum(amount))::text FROM balances
WHERE account = 'available' GROUP BY merchant_id, network, asset HAVING sum(amount) > 0;

-- name: AuditFlight :many
-- What is on its way, in the books and in the rows that move it.
SELECT (coalesce(b.merchant_id, s.merchant_id) || ' on ' || coalesce(b.network, s.network) || ': books ' || coalesce(b.amount, 0) || ', rows ' || coalesce(s.amount, 0))::text
FROM (SELECT x.merchant_id, x.network, -sum(x.amount) AS amount FROM balances x WHERE x.account IN ('payouts', 'refunds') GROUP BY 1, 2) b
FULL JOIN (SELECT y.merchant_id, y.network, sum(y.amount) AS amount FROM sendings y WHERE y.status IN ('queued', 'processing', 'sent') GROUP BY 1, 2) s
    ON s.merchant_id = b.merchant_id AND s.network = b.network
WHERE coalesce(b.amount, 0) <> coalesce(s.amount, 0);

-- name: AuditSendings :many
-- A sending is paid from an address of its shop, and a payout agrees with its own.
SELECT s.id FROM sendings s
LEFT JOIN deposit_addresses d ON d.network = s.network AND d.address = s.pay_from AND d.merchant_id = s.merchant_id
LEFT JOIN payouts p ON p.id = s.id
WHERE d.address IS NULL OR p.id IS NOT NULL AND (p.amount <> s.amount OR p.destination <> s.pay_to OR p.merchant_id <> s.merchant_id OR p.network <> s.network);

-- name: DepositBooked :one
-- What the books say lies at a shop's address, and whether anything moves there now.
SELECT coalesce((SELECT sum(b.amount) FROM balances b WHERE b.merchant_id = @merchant_id AND b.account = 'deposit' AND b.network = @network), 0)::bigint AS booked,
    (EXISTS (SELECT FROM sendings s WHERE s.merchant_id = @merchant_id AND s.network = @network AND (s.status IN ('processing', 'sent') OR s.lost_at IS NOT NULL))
     OR EXISTS (SELECT FROM settlements s WHERE s.merchant_id = @merchant_id AND s.network = @network AND s.pay_to = @address
        AND s.status IN ('queued', 'signed', 'broadcast', 'requested'))
     OR EXISTS (SELECT FROM settlements s WHERE s.network = @network AND s.status = 'confirmed' AND NOT s.simulated AND s.lost_at IS NOT NULL AND s.pay_to = @address)
     OR EXISTS (SELECT FROM transfers t WHERE t.network = @network AND t.pay_to = @address AND t.state = 'seen'))::bool AS moving;

-- name: BalancesWrong :many
-- Cached balances that are not the sum of their entries, or that have none.
SELECT coalesce(b.merchant_id, e.merchant_id)::text AS merchant_id, coalesce(b.account, e.account)::text AS account, coalesce(b.network, e.network)::text AS network,
    coalesce(b.asset, e.asset)::text AS asset, coalesce(b.slot, e.slot)::smallint AS slot
FROM (SELECT x.merchant_id, x.account, x.network, x.asset, x.slot, sum(x.amount) AS amount FROM entries x GROUP BY 1, 2, 3, 4, 5) e
FULL JOIN balances b ON b.merchant_id = e.merchant_id AND b.account = e.account AND b.network = e.network AND b.asset = e.asset AND b.slot = e.slot
WHERE coalesce(b.amount, 0) <> coalesce(e.amount, 0);

-- name: BalanceLock :exec
INSERT INTO balances (merchant_id, account, network, asset, slot, amount) VALUES (@merchant_id, @account, @network, @asset, @slot, 0)
ON CONFLICT (merchant_id, account, network, asset, slot) DO UPDATE SET amount = balances.amount;

-- name: BalanceRecompute :exec
UPDATE balances b SET amount = (SELECT coalesce(sum(e.amount), 0) FROM entries e
    WHERE e.merchant_id = b.merchant_id AND e.account = b.account AND e.network = b.network AND e.asset = b.asset AND e.slot = b.slot)
WHERE b.merchant_id = @merchant_id AND b.account = @account AND b.network = @network AND b.asset = @asset AND b.slot = @slot;

-- name: MerchantSetPayoutLimit :execrows
UPDATE merchants SET payout_limit = @payout_limit WHERE id = @id AND payout_limit <> @payout_limit;
