-- name: CallInsert :exec
INSERT INTO calls (attempt_id, endpoint_id, claim_id, state, first, identifier, call_until, pass_id, pass_period, keep_until, created_at, updated_at)
VALUES (@attempt_id, @endpoint_id, @claim_id, @state, @first, @identifier, @call_until, @pass_id, @pass_period, @keep_until, @created_at, @created_at);

-- name: CallByAttempt :one
SELECT * FROM calls WHERE attempt_id = @attempt_id;

-- name: CallByIdentifier :one
-- A payment that named itself so, and was not let go.
SELECT calls.*, claims.payer, claims.nonce FROM calls JOIN claims ON claims.id = calls.claim_id
WHERE calls.endpoint_id = @endpoint_id AND calls.identifier = @identifier AND calls.state <> 'released' AND claims.released_at IS NULL;

-- name: CallAnswer :one
-- The seller's server answered in time: nobody else may let the payment go any more.
UPDATE calls SET state = 'answered', status = @status, header = @header, body = @body, kept = @kept, updated_at = @now::timestamptz
WHERE attempt_id = @attempt_id AND state = 'calling' AND tries = @tries
RETURNING *;

-- name: CallRelease :one
-- Once: by whoever sees that nothing came of it, or, when its time is over, by anybody.
UPDATE calls SET state = 'released', status = @status, header = @header, body = @body, kept = @kept, updated_at = @now::timestamptz
WHERE attempt_id = @attempt_id AND state = 'calling' AND NOT first AND (@any_time::bool OR call_until <= @now::timestamptz)
RETURNING *;

-- name: CallLetGo :exec
-- Its payment was refused where it was to be settled.
UPDATE calls SET state = 'released', header = NULL, body = NULL, kept = false, updated_at = @now::timestamptz WHERE attempt_id = @attempt_id;

-- name: CallBegin :one
-- Of a call that is paid for first: one at a time asks the seller's server; one that died with it is followed by another.
UPDATE calls SET state = 'calling', tries = tries + 1, call_until = @until::timestamptz, updated_at = @now::timestamptz
WHERE attempt_id = @attempt_id AND first AND tries < @most AND (state = 'paying' OR state = 'calling' AND tries > 0 AND call_until <= @now::timestamptz)
RETURNING *;

-- name: CallAgain :execrows
-- The seller's server failed, and the money is there: the same payment may ask again.
UPDATE calls SET state = 'paying', status = @status, updated_at = @now::timestamptz
WHERE attempt_id = @attempt_id AND first AND state = 'calling' AND tries = @tries;

-- name: CallsStranded :many
SELECT attempt_id FROM calls WHERE state = 'calling' AND NOT first AND call_until < @before::timestamptz ORDER BY call_until LIMIT @most;

-- name: CallsForget :exec
UPDATE calls SET header = NULL, body = NULL, kept = false WHERE attempt_id IN (SELECT c.attempt_id FROM calls c WHERE c.kept AND c.keep_until < @now::timestamptz LIMIT @most);

-- name: PassOpen :one
-- The payer's pass for an endpoint, which may be there already: it is longer valid then, once this is paid.
INSERT INTO passes (id, merchant_id, livemode, endpoint_id, payer, token_hash, created_at)
VALUES (@id, @merchant_id, @livemode, @endpoint_id, @payer, @token_hash, @created_at)
ON CONFLICT (endpoint_id, payer) WHERE revoked_at IS NULL AND NOT own DO UPDATE SET payer = excluded.payer
RETURNING id;

-- name: PassesExtend :exec
-- What was paid for is added to what is left.
UPDATE passes SET paid_at = @now::timestamptz, payments = payments + paid.times,
    ends_at = CASE WHEN paid.forever OR payments > 0 AND ends_at IS NULL THEN NULL ELSE greatest(coalesce(ends_at, @now::timestamptz), @now::timestamptz) + paid.period END
FROM (SELECT calls.pass_id, count(*)::int AS times, bool_or(pass_period = '') AS forever, sum(coalesce(nullif(pass_period, ''), '0')::interval) AS period
    FROM calls WHERE calls.attempt_id = ANY (@attempts::text[]) AND calls.pass_id IS NOT NULL GROUP BY calls.pass_id) paid
WHERE passes.id = paid.pass_id;

-- name: PassByID :one
SELECT * FROM passes WHERE id = @id;

-- name: PassList :many
SELECT * FROM passes
WHERE merchant_id = @merchant_id AND livemode = @livemode AND paid_at IS NOT NULL AND (@endpoint_id::text = '' OR endpoint_id = @endpoint_id) AND id < @before::text
ORDER BY id DESC LIMIT @most;

-- name: PassListAfter :many
SELECT * FROM passes
WHERE merchant_id = @merchant_id AND livemode = @livemode AND paid_at IS NOT NULL AND (@endpoint_id::text = '' OR endpoint_id = @endpoint_id) AND id > @after::text
ORDER BY id LIMIT @most;

-- name: PassRevoke :one
UPDATE passes SET revoked_at = coalesce(revoked_at, @now::timestamptz) WHERE id = @id AND merchant_id = @merchant_id AND livemode = @livemode AND paid_at IS NOT NULL
RETURNING *;

-- name: PassOwn :exec
-- A pass that belongs to one purchase. It counts once that has paid for it.
INSERT INTO passes (id, merchant_id, livemode, endpoint_id, payer, token_hash, created_at, own, calls_left)
VALUES (@id, @merchant_id, @livemode, @endpoint_id, @payer, @token_hash, @created_at, true, @calls_left);

-- name: PassExtend :exec
-- As PassesExtend, by a purchase on a page.
UPDATE passes SET paid_at = @now::timestamptz, payments = payments + 1,
    ends_at = CASE WHEN payments > 0 AND ends_at IS NULL THEN NULL ELSE greatest(coalesce(ends_at, @now::timestamptz), @now::timestamptz) + nullif(pass_sales.period, '')::interval END
FROM pass_sales WHERE passes.id = @id AND pass_sales.attempt_id = @attempt_id;

-- name: PassSaleInsert :exec
INSERT INTO pass_sales (attempt_id, endpoint_id, period, single) VALUES (@attempt_id, @endpoint_id, @period, @single);

-- name: PassSale :one
SELECT * FROM pass_sales WHERE attempt_id = @attempt_id;

-- name: PassSold :exec
UPDATE pass_sales SET pass_id = @pass_id WHERE attempt_id = @attempt_id;

-- name: PassHold :execrows
-- One call at a time is made with a pass whose calls are counted; one that died with its process is followed by another.
UPDATE passes SET call_until = @until::timestamptz
WHERE id = @id AND calls_left > 0 AND revoked_at IS NULL AND (call_until IS NULL OR call_until <= @now::timestamptz);

-- name: PassCalled :execrows
UPDATE passes SET calls_left = calls_left - CASE WHEN @answered::bool THEN 1 ELSE 0 END, call_until = NULL
WHERE id = @id AND call_until = @until::timestamptz AND calls_left > 0;
