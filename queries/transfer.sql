-- name: WatchLease :one
-- One process reads a chain at a time; the others would only read the same.
UPDATE watch_points SET holder = @holder, lease_until = @until
WHERE network = @network AND (holder = @holder OR lease_until <= @now::timestamptz)
RETURNING *;

-- name: WatchBegun :one
SELECT EXISTS (SELECT FROM watch_points WHERE network = @network);

-- name: WatchBegin :exec
INSERT INTO watch_points (network, block, block_hash, checked, lease_until) VALUES (@network, @block, '', @block, @now)
ON CONFLICT (network) DO NOTHING;

-- name: WatchAdvance :exec
UPDATE watch_points SET block = @block, block_hash = @block_hash, checked = @checked WHERE network = @network AND holder = @holder;

-- name: WatchChecked :exec
UPDATE watch_points SET checked = least(@checked::bigint, block) WHERE network = @network AND holder = @holder;

-- name: WatchedAddresses :many
-- Where money of shops comes in: what they have proven to be theirs, what is kept for them, and what open transfers name. An
-- address may have been proven long before it counts.
SELECT address, merchant_id, greatest(proven_at, created_at)::timestamptz AS since, false AS collects FROM payees p WHERE p.network = @network AND proven_at IS NOT NULL
UNION ALL
SELECT address, merchant_id, assigned_at::timestamptz, true FROM deposit_addresses d WHERE d.network = @network AND merchant_id IS NOT NULL
UNION ALL
SELECT m.pay_to, a.merchant_id, m.opened_at, a.collected FROM manual_amounts m JOIN attempts a ON a.id = m.attempt_id
WHERE m.network = @network AND m.released_at IS NULL
UNION ALL
SELECT t.pay_to, t.merchant_id, t.block_time, false FROM transfers t WHERE t.network = @network AND t.state = 'seen';

-- name: TransfersKnown :many
-- Where transactions stand that were dealt with.
SELECT transaction, coalesce(log_index, -1)::int AS log_index, coalesce(block_hash, '')::text AS block_hash FROM settlements
WHERE settlements.network = @network AND transaction <> '' AND transaction = ANY (@transactions::text[]) AND status IN ('confirmed', 'final')
UNION
SELECT transaction, log_index, block_hash FROM transfers
WHERE transfers.network = @network AND transaction = ANY (@transactions::text[]) AND state IN ('settled', 'listed', 'dust');

-- name: SettlementsMoving :many
-- Payments that a worker looks after this moment.
SELECT payer, pay_to, amount FROM settlements
WHERE network = @network AND status IN ('queued', 'signed', 'broadcast', 'requested') AND lease_until > @now::timestamptz AND payer = ANY (@payers::text[]);

-- name: SettlementOfAuthorization :one
SELECT * FROM settlements
WHERE network = @network AND asset = @asset AND payer = @payer AND nonce = @nonce AND facilitator <> 'transfer'
ORDER BY status IN ('failed', 'reversed'), id DESC LIMIT 1;

-- name: SettlementByLog :one
SELECT id FROM settlements
WHERE network = @network AND transaction = @transaction AND log_index = @log_index::int AND status IN ('confirmed', 'final');

-- name: TransferInsert :exec
INSERT INTO transfers (network, transaction, position, log_index, block_number, block_hash, block_time, merchant_id, livemode, payer, pay_to, amount, seen_at)
VALUES (@network, @transaction, @position, @log_index, @block_number, @block_hash, @block_time, @merchant_id, @livemode, @payer, @pay_to, @amount, @seen_at)
ON CONFLICT (network, transaction, position) DO NOTHING;

-- name: TransferForUpdate :one
SELECT * FROM transfers WHERE network = @network AND transaction = @transaction AND position = @position FOR UPDATE;

-- name: TransferMove :exec
UPDATE transfers SET log_index = @log_index, block_number = @block_number, block_hash = @block_hash, block_time = @block_time
WHERE network = @network AND transaction = @transaction AND position = @position;

-- name: TransferDecide :exec
UPDATE transfers SET state = @state, settlement_id = @settlement_id, exception_id = @exception_id
WHERE network = @network AND transaction = @transaction AND position = @position;

-- name: TransferExplained :exec
-- A payment by signature that waited to be recorded, and is.
UPDATE transfers t SET state = 'settled', settlement_id = s.id FROM settlements s
WHERE t.network = @network AND t.transaction = @transaction AND t.position = @position AND t.state = 'seen'
    AND s.network = t.network AND s.transaction = t.transaction AND s.payer = t.payer AND s.pay_to = t.pay_to AND s.amount = t.amount
    AND s.status IN ('confirmed', 'final');

-- name: TransfersWaiting :many
SELECT DISTINCT transaction FROM transfers WHERE network = @network AND state = 'seen' LIMIT @most;

-- name: TransfersFresh :many
-- What stands in blocks that the chain may still take back.
SELECT * FROM transfers WHERE network = @network AND block_number > @since::bigint AND state IN ('seen', 'settled', 'listed', 'dust')
ORDER BY block_number LIMIT @most;

-- name: TransferOfException :one
SELECT * FROM transfers WHERE exception_id = @exception_id::text;

-- name: ExceptionMove :exec
UPDATE exceptions SET log_index = @log_index::int, block_time = @block_time WHERE id = @id;

-- name: ExceptionTakenBack :exec
UPDATE exceptions SET resolved_at = @now::timestamptz, resolution = 'reversed', reason = 'The network took it back.' WHERE id = @id;

-- name: DustAdd :exec
INSERT INTO transfer_dust (merchant_id, network, day, payer, transfers, amount) VALUES (@merchant_id, @network, @day, @payer, 1, @amount)
ON CONFLICT (merchant_id, network, day, payer) DO UPDATE SET transfers = transfer_dust.transfers + 1, amount = transfer_dust.amount + excluded.amount;

-- name: ManualOpen :one
-- The first of some amounts that nobody else at the address has.
INSERT INTO manual_amounts (attempt_id, network, pay_to, amount, opened_at, kept_until)
SELECT @attempt_id, @network, @pay_to, c.amount, @now::timestamptz, @kept_until
FROM unnest(@amounts::bigint[]) WITH ORDINALITY AS c (amount, place)
WHERE NOT EXISTS (SELECT FROM manual_amounts m WHERE m.network = @network AND m.pay_to = @pay_to AND m.amount = c.amount AND m.released_at IS NULL)
ORDER BY c.place LIMIT 1
ON CONFLICT DO NOTHING
RETURNING *;

-- name: ManualByAttempt :one
SELECT * FROM manual_amounts WHERE attempt_id = @attempt_id;

-- name: ManualWatched :one
-- Whether a transfer to a purchase's address would be seen.
SELECT (a.collected OR EXISTS (SELECT FROM payees p WHERE p.network = a.network AND p.address = a.pay_to AND p.merchant_id = a.merchant_id AND p.proven_at IS NOT NULL))::bool
FROM attempts a WHERE a.id = @id;

-- name: ManualTell :execrows
UPDATE manual_amounts SET told = array_append(told, @hash::text)
WHERE attempt_id = @attempt_id AND cardinality(told) < 5 AND NOT @hash::text = ANY (told);

-- name: ManualNamed :one
-- The purchase that an amount names at the time of its block. Times do not overlap: an amount is given again only after.
SELECT * FROM manual_amounts
WHERE network = @network AND pay_to = @pay_to AND amount = @amount AND opened_at <= @latest::timestamptz AND kept_until >= @came::timestamptz
ORDER BY opened_at DESC LIMIT 1;

-- name: ManualTold :one
-- The purchase whose buyer says that a transaction is his.
SELECT m.* FROM manual_amounts m JOIN attempts a ON a.id = m.attempt_id
WHERE m.network = @network AND m.pay_to = @pay_to AND @hash::text = ANY (m.told) AND m.opened_at <= @latest::timestamptz AND m.released_at IS NULL
    AND a.status IN ('open', 'expired', 'cancelled')
ORDER BY m.opened_at LIMIT 1;

-- name: ManualNear :many
-- Unpaid purchases that wait for about this amount.
SELECT m.* FROM manual_amounts m JOIN attempts a ON a.id = m.attempt_id
WHERE m.network = @network AND m.pay_to = @pay_to AND m.amount BETWEEN @least::bigint AND @most::bigint AND m.opened_at <= @latest::timestamptz
    AND m.released_at IS NULL AND a.status IN ('open', 'expired', 'cancelled')
LIMIT 2;

-- name: ManualRelease :exec
UPDATE manual_amounts SET released_at = @now::timestamptz WHERE released_at IS NULL AND kept_until < @now::timestamptz;

-- name: TransfersAscribed :many
-- What came for a purchase, or by what its buyer has named, and does not pay it; and whether somebody has decided on it.
SELECT e.kind, e.amount, e.transaction, e.payer, e.created_at, e.resolution, (e.attempt_id IS NOT DISTINCT FROM @attempt_id::text)::bool AS ascribed
FROM exceptions e
WHERE e.id IN (
    SELECT x.id FROM exceptions x WHERE x.attempt_id = @attempt_id::text AND x.kind IN ('underpaid', 'overpaid', 'unmatched', 'paid_twice')
    UNION
    SELECT x.id FROM exceptions x WHERE x.network = @network AND x.transaction = ANY (@told::text[]) AND x.pay_to = @pay_to
        AND x.settlement_id IS NULL AND x.resolved_at IS NULL AND x.kind IN ('underpaid', 'overpaid', 'unmatched', 'paid_twice')
        AND x.block_time >= @since::timestamptz
)
ORDER BY e.id LIMIT 10;

-- name: ExceptionsOfTransaction :many
-- What a transaction brought to an address that somebody may still say is his.
SELECT * FROM exceptions
WHERE network = @network AND transaction = @transaction AND pay_to = @pay_to AND settlement_id IS NULL AND resolved_at IS NULL
    AND kind IN ('underpaid', 'overpaid', 'unmatched', 'paid_twice')
ORDER BY log_index LIMIT 10;

-- name: ExceptionProven :exec
-- Its sender says what it was for, and it is too little.
UPDATE exceptions SET attempt_id = @attempt_id::text, kind = 'underpaid' WHERE id = @id AND resolved_at IS NULL;

-- name: ExceptionAscribe :one
-- What nobody knew the purchase of, until its buyer named the transaction.
UPDATE exceptions SET attempt_id = @attempt_id::text, kind = CASE WHEN amount < @wanted::bigint THEN 'underpaid' ELSE 'overpaid' END
WHERE network = @network AND transaction = @transaction AND pay_to = @pay_to AND attempt_id IS NULL AND settlement_id IS NULL AND resolved_at IS NULL
    AND kind = 'unmatched' AND block_time >= @since::timestamptz
RETURNING *;
