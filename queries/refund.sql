-- name: RefundAttempt :one
-- The purchase that is given back, of which no other refund begins meanwhile.
SELECT * FROM attempts WHERE id = @id AND merchant_id = @merchant_id AND livemode = @livemode FOR NO KEY UPDATE;

-- name: RefundAttemptOf :one
-- Which purchase a sale belongs to.
SELECT attempt_id FROM sales WHERE id = @id AND merchant_id = @merchant_id AND livemode = @livemode;

-- name: RefundSettlement :one
-- What paid a purchase.
SELECT * FROM settlements WHERE attempt_id = @attempt_id::text AND status IN ('confirmed', 'final');

-- name: RefundException :one
SELECT * FROM exceptions WHERE id = @id AND merchant_id = @merchant_id AND livemode = @livemode FOR NO KEY UPDATE;

-- name: RefundExceptionShown :one
SELECT * FROM exceptions WHERE id = @id AND merchant_id = @merchant_id AND livemode = @livemode;

-- name: RefundExceptionOpenOf :one
-- The newest payment of a purchase that somebody has to decide on; empty for none.
SELECT coalesce(max(id), '')::text FROM exceptions WHERE attempt_id = @attempt_id::text AND settlement_id IS NOT NULL AND resolved_at IS NULL;

-- name: RefundExceptionBooked :one
-- Whether money that came without an explanation is kept for its shop: then it stands in the books.
SELECT EXISTS (SELECT FROM postings WHERE kind = 'exception' AND source = @exception_id::text);

-- name: RefundLinesBefore :many
-- What was given back of each sale of a purchase, or is on its way.
SELECT l.sale_id, sum(l.qty)::int AS qty, sum(l.amount)::bigint AS amount
FROM refund_lines l JOIN refunds r ON r.id = l.refund_id
WHERE r.attempt_id = @attempt_id AND r.status <> 'failed' GROUP BY l.sale_id;

-- name: RefundFees :one
-- What the platform gave back of its fee for a purchase.
SELECT coalesce(sum(fee), 0)::bigint FROM refunds WHERE attempt_id = @attempt_id AND status <> 'failed';

-- name: RefundGivenBy :one
-- What somebody gave back since a moment, to hold it against what he may.
SELECT coalesce(sum(amount), 0)::bigint FROM refunds
WHERE person_id = @person_id AND merchant_id = @merchant_id AND livemode = @livemode AND created_at >= @since::timestamptz AND status <> 'failed';

-- name: RefundLimitOf :one
-- What a member may give back on one day; null where his role says it. He gives one refund at a time.
SELECT refund_limit FROM members WHERE merchant_id = @merchant_id AND person_id = @person_id FOR UPDATE;

-- name: RefundTakeAttempt :one
-- Never more than was paid.
UPDATE attempts SET refunded = refunded + @amount::bigint, updated_at = @now::timestamptz
WHERE id = @id AND status IN ('settled', 'settled_late') AND NOT simulated AND refunded + @amount::bigint <= amount_received
RETURNING refunded;

-- name: RefundGiveAttemptBack :exec
UPDATE attempts SET refunded = refunded - @amount::bigint, updated_at = @now::timestamptz WHERE id = @id;

-- name: RefundTakeSales :execrows
UPDATE sales SET refunded = sales.refunded + taken.amount
FROM (SELECT unnest(@ids::text[]) AS id, unnest(@amounts::bigint[]) AS amount) taken
WHERE sales.id = taken.id AND sales.attempt_id = @attempt_id AND sales.refunded + taken.amount <= greatest(sales.amount, 0);

-- name: RefundGiveSalesBack :exec
UPDATE sales SET refunded = sales.refunded - l.amount FROM refund_lines l WHERE l.refund_id = @refund_id AND sales.id = l.sale_id;

-- name: RefundInsert :exec
INSERT INTO refunds (id, merchant_id, livemode, attempt_id, settlement_id, exception_id, title, status, collected, booked, network, asset, pay_from, pay_to,
    amount, fee, reason, restock, revoke, free_code, since_block, person_id, actor, once, created_at, updated_at)
VALUES (@id, @merchant_id, @livemode, @attempt_id, @settlement_id, @exception_id, @title, @status, @collected, @booked, @network, @asset, @pay_from, @pay_to,
    @amount, @fee, @reason, @restock, @revoke, @free_code, @since_block, @person_id, @actor, @once, @created_at, @created_at);

-- name: RefundLinesInsert :exec
INSERT INTO refund_lines (refund_id, sale_id, line, qty, amount)
SELECT @refund_id, unnest(@sales::text[]), unnest(@lines::smallint[]), unnest(@quantities::int[]), unnest(@amounts::bigint[]);

-- name: RefundByOnce :one
SELECT * FROM refunds WHERE once = @once;

-- name: RefundByID :one
SELECT * FROM refunds WHERE id = @id;

-- name: RefundLines :many
SELECT l.*, s.item_title FROM refund_lines l JOIN sales s ON s.id = l.sale_id WHERE l.refund_id = ANY (@refunds::text[]) ORDER BY l.refund_id, l.line;

-- name: RefundsOfAttempt :many
SELECT * FROM refunds WHERE attempt_id = @attempt_id ORDER BY id;

-- name: RefundList :many
SELECT * FROM refunds WHERE merchant_id = @merchant_id AND livemode = @livemode AND id < @before::text ORDER BY id DESC LIMIT @most;

-- name: RefundListAfter :many
-- The page before: read upwards, to be turned round.
SELECT * FROM refunds WHERE merchant_id = @merchant_id AND livemode = @livemode AND id > @after::text ORDER BY id LIMIT @most;

-- name: RefundSent :one
-- Its transaction is known; nobody has seen it mined. What must not be sent stays so.
UPDATE refunds SET status = 'sent', transaction = @transaction, sent_at = CASE WHEN transaction = @transaction THEN sent_at ELSE @now::timestamptz END,
    updated_at = @now::timestamptz, last_error = CASE WHEN last_error = @kept::text THEN last_error ELSE '' END
WHERE id = @id AND status IN ('requested', 'processing', 'sent') RETURNING *;

-- name: RefundComplete :one
UPDATE refunds SET status = 'completed', transaction = @transaction, block_number = @block_number, block_hash = @block_hash, log_index = @log_index,
    block_time = @block_time, lost_at = NULL, sent_at = coalesce(sent_at, @now::timestamptz), ended_at = @now::timestamptz, updated_at = @now::timestamptz, last_error = ''
WHERE id = @id AND status IN ('requested', 'processing', 'sent') RETURNING *;

-- name: RefundFail :one
UPDATE refunds SET status = 'failed', last_error = @last_error, ended_at = @now::timestamptz, updated_at = @now::timestamptz
WHERE id = @id AND status IN ('requested', 'processing', 'sent') RETURNING *;

-- name: RefundUnchanged :one
-- Whether nobody has named a transaction since it was read; it stays so until the transaction ends.
SELECT (status = @was AND transaction = @transaction)::bool FROM refunds WHERE id = @id FOR NO KEY UPDATE;

-- name: RefundRevive :one
-- It had ended, and a wallet has sent it all the same.
UPDATE refunds SET status = 'sent', transaction = @transaction, sent_at = @now::timestamptz, ended_at = NULL, updated_at = @now::timestamptz, last_error = ''
WHERE id = @id AND status = 'failed' AND NOT collected RETURNING *;

-- name: RefundStands :one
-- Whether the money is there that a refund gives back: not taken back by the chain, and in a block of it.
SELECT (coalesce(s.status = 'reversed', false) OR coalesce(e.resolution = 'reversed', false))::bool AS gone, (s.lost_at IS NOT NULL)::bool AS lost
FROM refunds r LEFT JOIN settlements s ON s.id = r.settlement_id LEFT JOIN exceptions e ON e.id = r.exception_id
WHERE r.id = @id;

-- name: RefundReturned :one
-- What went back of a purchase's price for good, without what was paid too much.
SELECT coalesce(sum(l.amount), 0)::bigint FROM refund_lines l JOIN refunds r ON r.id = l.refund_id
WHERE r.attempt_id = @attempt_id AND r.status = 'completed';

-- name: RefundsUnsealed :many
-- What shops' own wallets sent, in blocks that are not final yet.
SELECT * FROM refunds WHERE network = @network AND status = 'completed' AND NOT collected AND final_at IS NULL ORDER BY block_number, id LIMIT @most;

-- name: RefundsFinal :exec
UPDATE refunds SET final_at = @now::timestamptz, lost_at = NULL
FROM (SELECT unnest(@ids::text[]) AS id, unnest(@block_hashes::text[]) AS block_hash) sealed
WHERE refunds.id = sealed.id AND refunds.block_hash = sealed.block_hash AND refunds.status = 'completed';

-- name: RefundLost :execrows
-- Its block is gone, and no other holds its transfer yet.
UPDATE refunds SET lost_at = @now::timestamptz, updated_at = @now::timestamptz
WHERE id = @id AND status = 'completed' AND block_hash = @was::text AND lost_at IS NULL;

-- name: RefundMove :one
-- Its transfer stands in this block now.
UPDATE refunds SET transaction = @transaction, block_number = @block_number, block_hash = @block_hash, log_index = @log_index, block_time = @block_time,
    lost_at = NULL, updated_at = @now::timestamptz
WHERE id = @id AND status = 'completed' AND block_hash = @was::text RETURNING *;

-- name: RefundSentAgain :one
-- Another block holds what a worker sent, maybe by another transaction.
UPDATE refunds SET transaction = @transaction, block_number = @block_number, updated_at = @now::timestamptz WHERE id = @id AND status = 'completed' RETURNING *;

-- name: RefundTakeBack :one
-- The block that held its transfer is gone for good: it waits for one again. Only where it was when that was found out.
UPDATE refunds SET status = 'sent', block_number = NULL, block_hash = NULL, log_index = NULL, block_time = NULL, lost_at = NULL, ended_at = NULL,
    taken_back = taken_back + 1, sent_at = @now::timestamptz, updated_at = @now::timestamptz, last_error = @last_error
WHERE id = @id AND status = 'completed' AND block_hash IS NOT DISTINCT FROM sqlc.narg(was)::text RETURNING *;

-- name: RefundExceptionReopen :exec
UPDATE exceptions SET resolved_at = NULL, resolution = '', resolved_by = '', reason = '' WHERE id = @id AND resolution = 'refunded';

-- name: RefundingSales :many
-- Of which of some sales something goes back that is not back yet.
SELECT DISTINCT l.sale_id FROM refund_lines l JOIN refunds r ON r.id = l.refund_id
WHERE l.sale_id = ANY (@sales::text[]) AND r.status NOT IN ('completed', 'failed');

-- name: RefundsWaitingOf :many
-- What a shop's own wallet has to send for a purchase, and what it says that it sent.
SELECT * FROM refunds WHERE attempt_id = @attempt_id AND NOT collected AND status IN ('requested', 'sent') ORDER BY id;

-- name: RefundsWaitingOfException :many
-- What is on its way back of money without an explanation.
SELECT * FROM refunds WHERE exception_id = @exception_id AND status IN ('requested', 'processing', 'sent') ORDER BY id;

-- name: RefundNote :exec
UPDATE refunds SET last_error = @last_error, updated_at = @now::timestamptz WHERE id = @id AND status IN ('requested', 'processing', 'sent');

-- name: RefundLogTaken :one
-- Whether a transfer proves another refund already.
SELECT EXISTS (SELECT FROM refunds WHERE network = @network AND transaction = @transaction AND log_index = @log_index::int AND id <> @id);

-- name: RefundExceptionResolve :exec
UPDATE exceptions SET resolved_at = @now::timestamptz, resolution = 'refunded', resolved_by = @resolved_by, reason = @reason
WHERE id = @id AND resolved_at IS NULL;

-- name: RefundRestock :exec
-- What comes back is put in anew: what was sold stays sold. Keys do not come back: somebody has read them.
UPDATE item_stock SET put = put + back.qty, low_told = false
FROM (SELECT s.item_id, sum(l.qty)::int AS qty
    FROM refund_lines l JOIN sales s ON s.id = l.sale_id JOIN items i ON i.id = s.item_id
    WHERE l.refund_id = @refund_id AND s.reservation_id <> '' AND i.kind <> 'key' GROUP BY s.item_id) back
WHERE item_stock.item_id = back.item_id AND item_stock.livemode = @livemode AND item_stock.limited;

-- name: RevokeLines :exec
UPDATE attempt_lines SET revoked_at = @now::timestamptz WHERE attempt_id = @attempt_id AND line = ANY (@lines::smallint[]) AND revoked_at IS NULL;

-- name: RevokeBuyer :execrows
-- Once: what is taken back cannot be taken back again.
UPDATE attempts SET buyer_token_hash = NULL, revoked_at = @now::timestamptz WHERE id = @id AND revoked_at IS NULL;

-- name: RevokePasses :exec
-- A pass that was paid for once is over; of one that was paid for more often, what this purchase added.
UPDATE passes SET revoked_at = CASE WHEN own OR payments <= 1 OR bought.period = '' THEN coalesce(revoked_at, @now::timestamptz) ELSE revoked_at END,
    ends_at = CASE WHEN own OR payments <= 1 OR bought.period = '' THEN ends_at ELSE ends_at - bought.period::interval END
FROM (SELECT pass_id, period FROM pass_sales WHERE pass_sales.attempt_id = @attempt_id
    UNION ALL SELECT pass_id, pass_period FROM calls WHERE calls.attempt_id = @attempt_id) bought
WHERE passes.id = bought.pass_id;

-- name: AuditRefunds :many
-- What purchases and sales say was given back is what their refunds say, and no money that was sent proves two.
SELECT (a.id || ' gave back ' || a.refunded::text || ', its refunds say ' || coalesce(r.amount, 0)::text)::text AS broken
FROM attempts a LEFT JOIN (SELECT attempt_id, sum(amount) AS amount FROM refunds WHERE attempt_id <> '' AND status <> 'failed' GROUP BY 1) r ON r.attempt_id = a.id
WHERE (a.refunded <> 0 OR r.amount IS NOT NULL) AND a.refunded <> coalesce(r.amount, 0)
UNION ALL
SELECT (s.id || ' gave back ' || s.refunded::text || ', its refunds say ' || coalesce(l.amount, 0)::text)::text
FROM sales s LEFT JOIN (SELECT l.sale_id, sum(l.amount) AS amount FROM refund_lines l JOIN refunds r ON r.id = l.refund_id WHERE r.status <> 'failed' GROUP BY 1) l
    ON l.sale_id = s.id
WHERE (s.refunded <> 0 OR l.amount IS NOT NULL) AND s.refunded <> coalesce(l.amount, 0)
UNION ALL
SELECT (r.id || ' is completed, and names no transaction')::text FROM refunds r WHERE r.status = 'completed' AND r.transaction = ''
UNION ALL
-- What a shop's own wallet sent is in the books while the chain shows it.
SELECT (r.id || ' is ' || r.status || ' over ' || r.amount::text || ', and in the books with ' || coalesce(b.amount, 0)::text)::text
FROM refunds r LEFT JOIN (SELECT split_part(p.source, '/', 1) AS source, -sum(e.amount) AS amount FROM postings p JOIN entries e ON e.posting_id = p.id
    WHERE p.kind IN ('refund_completed', 'reversal') AND e.account = 'wallet' AND p.source LIKE 'rfd\_%' GROUP BY 1) b ON b.source = r.id
WHERE NOT r.booked AND r.attempt_id <> '' AND coalesce(b.amount, 0) <> CASE WHEN r.status = 'completed' THEN r.amount ELSE 0 END;
