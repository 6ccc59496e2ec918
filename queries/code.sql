-- name: CodeBatchInsert :one
-- A key that made codes before gives those again.
INSERT INTO code_batches (id, merchant_id, livemode, name, off, percent, amount, uses, per_wallet, valid_from, valid_until, item_id, link_id, endpoint_id,
    address, codes, once, created_at)
VALUES (@id, @merchant_id, @livemode, @name, @off, @percent, @amount, @uses, @per_wallet, @valid_from, @valid_until, @item_id, @link_id, @endpoint_id,
    @address, @codes, @once, @created_at)
ON CONFLICT (once) DO UPDATE SET once = excluded.once
RETURNING id;

-- name: CodesInsert :many
-- Returns what was written: a word that the shop has already is not taken again.
INSERT INTO codes (id, batch_id, merchant_id, livemode, code, plain, uses, created_at)
SELECT unnest(@ids::text[]), @batch_id, @merchant_id, @livemode, unnest(@codes::text[]), unnest(@plains::text[]), @uses, @created_at
ON CONFLICT (plain, merchant_id, livemode) DO NOTHING
RETURNING plain;

-- name: CodeBatchByID :one
SELECT sqlc.embed(b), t.used, t.revoked, coalesce(i.title, l.title, e.title, '')::text AS bound, coalesce(l.token, '')::text AS link_token
FROM code_batches b
LEFT JOIN items i ON i.id = b.item_id LEFT JOIN links l ON l.id = b.link_id LEFT JOIN endpoints e ON e.id = b.endpoint_id
CROSS JOIN LATERAL (SELECT coalesce(sum(c.used), 0)::int AS used, count(c.revoked_at)::int AS revoked FROM codes c WHERE c.batch_id = b.id) t
WHERE b.merchant_id = @merchant_id AND b.livemode = @livemode AND b.id = @id;

-- name: CodeBatchList :many
SELECT sqlc.embed(b), t.used, t.revoked, coalesce(i.title, l.title, e.title, '')::text AS bound, t.first
FROM code_batches b
LEFT JOIN items i ON i.id = b.item_id LEFT JOIN links l ON l.id = b.link_id LEFT JOIN endpoints e ON e.id = b.endpoint_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(c.used), 0)::int AS used, count(c.revoked_at)::int AS revoked, coalesce(min(c.code), '')::text AS first FROM codes c WHERE c.batch_id = b.id) t
WHERE b.merchant_id = @merchant_id AND b.livemode = @livemode AND b.id < @before::text
ORDER BY b.id DESC LIMIT @most;

-- name: CodeBatchListAfter :many
SELECT sqlc.embed(b), t.used, t.revoked, coalesce(i.title, l.title, e.title, '')::text AS bound, t.first
FROM code_batches b
LEFT JOIN items i ON i.id = b.item_id LEFT JOIN links l ON l.id = b.link_id LEFT JOIN endpoints e ON e.id = b.endpoint_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(c.used), 0)::int AS used, count(c.revoked_at)::int AS revoked, coalesce(min(c.code), '')::text AS first FROM codes c WHERE c.batch_id = b.id) t
WHERE b.merchant_id = @merchant_id AND b.livemode = @livemode AND b.id > @after::text
ORDER BY b.id LIMIT @most;

-- name: CodeList :many
SELECT sqlc.embed(c), sqlc.embed(b), coalesce(l.token, '')::text AS link_token
FROM codes c JOIN code_batches b ON b.id = c.batch_id LEFT JOIN links l ON l.id = b.link_id
WHERE c.merchant_id = @merchant_id AND c.livemode = @livemode AND c.id < @before::text
    AND (@batch_id::text = '' OR c.batch_id = @batch_id) AND (@plain::text = '' OR c.plain = @plain)
ORDER BY c.id DESC LIMIT @most;

-- name: CodeListAfter :many
SELECT sqlc.embed(c), sqlc.embed(b), coalesce(l.token, '')::text AS link_token
FROM codes c JOIN code_batches b ON b.id = c.batch_id LEFT JOIN links l ON l.id = b.link_id
WHERE c.merchant_id = @merchant_id AND c.livemode = @livemode AND c.id > @after::text
    AND (@batch_id::text = '' OR c.batch_id = @batch_id) AND (@plain::text = '' OR c.plain = @plain)
ORDER BY c.id LIMIT @most;

-- name: CodeByID :one
SELECT sqlc.embed(c), sqlc.embed(b), coalesce(l.token, '')::text AS link_token
FROM codes c JOIN code_batches b ON b.id = c.batch_id LEFT JOIN links l ON l.id = b.link_id
WHERE c.merchant_id = @merchant_id AND c.livemode = @livemode AND c.id = @id;

-- name: CodesNamed :many
-- The codes of a word: of one shop, or of every shop that has it.
SELECT sqlc.embed(c), sqlc.embed(b) FROM codes c JOIN code_batches b ON b.id = c.batch_id
WHERE c.plain = @plain AND (@merchant_id::text = '' OR c.merchant_id = @merchant_id AND c.livemode = @livemode)
ORDER BY c.id LIMIT 2;

-- name: CodeOfToken :one
-- The code whose use a bypass token stands for.
SELECT sqlc.embed(u), sqlc.embed(c), sqlc.embed(b)
FROM code_uses u JOIN codes c ON c.id = u.code_id JOIN code_batches b ON b.id = c.batch_id
WHERE u.token_hash = @token_hash;

-- name: CodesRevoke :execrows
UPDATE codes SET revoked_at = @now::timestamptz
WHERE merchant_id = @merchant_id AND livemode = @livemode AND revoked_at IS NULL
    AND (id = @id::text OR batch_id = @batch_id::text);

-- name: CodeTake :one
-- Takes a use if there is one: who comes at the same moment waits for this row, and finds it as it is then.
UPDATE codes c SET used = used + 1
FROM code_batches b
WHERE c.id = @id AND b.id = c.batch_id AND c.used < c.uses AND c.revoked_at IS NULL
    AND (b.valid_from IS NULL OR b.valid_from <= @now::timestamptz) AND (b.valid_until IS NULL OR b.valid_until > @now::timestamptz)
RETURNING c.used;

-- name: CodeLock :one
SELECT sqlc.embed(c), sqlc.embed(b) FROM codes c JOIN code_batches b ON b.id = c.batch_id
WHERE c.id = @id FOR NO KEY UPDATE OF c;

-- name: CodeUseInsert :one
INSERT INTO code_uses (code_id, address, taken_from, attempt_id, endpoint_id, link_id, token_hash, token_until, held_until, taken_at)
VALUES (@code_id, @address, @taken_from, sqlc.narg(attempt_id), @endpoint_id, @link_id, @token_hash, @token_until, @held_until, @taken_at)
RETURNING id;

-- name: CodeUsesOfWallet :one
-- How often a wallet uses a code, another use than this one. Under the code's lock it stands still.
SELECT count(*)::int FROM code_uses WHERE code_id = @code_id AND address = @address AND given_back_at IS NULL AND id <> @but;

-- name: CodeUsesUnpaid :one
-- How many uses of a code a network address holds without having paid, or having spent them. Under the code's lock it
-- stands still.
SELECT count(*)::int FROM code_uses u LEFT JOIN attempts a ON a.id = u.attempt_id
WHERE u.code_id = @code_id AND u.taken_from = @taken_from AND u.given_back_at IS NULL AND (u.held_until IS NOT NULL OR a.status = 'open');

-- name: CodeUsesOfAttempts :many
-- The uses that purchases hold.
SELECT * FROM code_uses WHERE attempt_id = ANY (@attempts::text[]) AND given_back_at IS NULL ORDER BY code_id;

-- name: CodeUseOfWallet :exec
UPDATE code_uses SET address = @address WHERE id = @id;

-- name: CodeUseBuy :execrows
-- Puts what a bypass token stands for into a purchase.
UPDATE code_uses SET attempt_id = @attempt_id::text, held_until = NULL
WHERE id = @id AND attempt_id IS NULL AND given_back_at IS NULL AND held_until > @now::timestamptz AND (call_until IS NULL OR call_until <= @now::timestamptz);

-- name: CodeUseCall :execrows
-- Holds what a bypass token stands for while a call is made with it.
UPDATE code_uses SET call_until = @until::timestamptz, held_until = greatest(held_until, @until::timestamptz)
WHERE id = @id AND attempt_id IS NULL AND given_back_at IS NULL AND held_until > @now::timestamptz AND (call_until IS NULL OR call_until <= @now::timestamptz);

-- name: CodeUseSpent :execrows
-- Once: of calls that are made with it, one after the other gave up waiting, the first that is answered has it.
UPDATE code_uses SET held_until = NULL, call_until = NULL WHERE id = @id AND given_back_at IS NULL AND held_until IS NOT NULL;

-- name: CodeUseGiveBack :exec
-- Gives a use of a call back: to its token, while that is valid, or to its code.
WITH back AS (
    UPDATE code_uses u SET call_until = NULL,
        held_until = CASE WHEN token_until > @now::timestamptz THEN token_until END,
        given_back_at = CASE WHEN token_until > @now::timestamptz THEN NULL ELSE @now::timestamptz END
    WHERE u.id = @id AND u.given_back_at IS NULL AND u.held_until IS NOT NULL AND u.attempt_id IS NULL
    RETURNING u.code_id, u.given_back_at)
UPDATE codes SET used = used - 1 FROM back WHERE codes.id = back.code_id AND back.given_back_at IS NOT NULL;

-- name: CodeUseGiveBackOf :exec
-- Gives back what a purchase held that ended unpaid: to its token, while that is valid, or to its code.
WITH back AS (
    UPDATE code_uses u SET attempt_id = CASE WHEN token_until > @now::timestamptz THEN NULL ELSE attempt_id END,
        held_until = CASE WHEN token_until > @now::timestamptz THEN token_until END,
        given_back_at = CASE WHEN token_until > @now::timestamptz THEN NULL ELSE @now::timestamptz END
    WHERE u.attempt_id = @attempt_id::text AND u.given_back_at IS NULL
    RETURNING u.code_id, u.given_back_at)
UPDATE codes SET used = used - 1 FROM back WHERE codes.id = back.code_id AND back.given_back_at IS NOT NULL;

-- name: CodeUseTakeBack :exec
-- Takes a use again for a purchase whose money came after its end, if there is one left. The purchase stands in any case.
WITH again AS (
    UPDATE codes SET used = used + 1 FROM code_uses u
    WHERE u.attempt_id = @attempt_id::text AND u.given_back_at IS NOT NULL AND codes.id = u.code_id AND codes.used < codes.uses
    RETURNING u.id)
UPDATE code_uses SET given_back_at = NULL FROM again WHERE code_uses.id = again.id;

-- name: CodeUsesSweep :exec
-- Gives back uses that nothing came of in time.
WITH lost AS (
    SELECT id FROM code_uses WHERE held_until <= @now::timestamptz AND given_back_at IS NULL AND attempt_id IS NULL
    ORDER BY code_id, id LIMIT 5000 FOR UPDATE SKIP LOCKED),
back AS (
    UPDATE code_uses u SET given_back_at = @now::timestamptz, call_until = NULL FROM lost WHERE u.id = lost.id RETURNING u.code_id),
counted AS (SELECT code_id, count(*)::int AS n FROM back GROUP BY code_id)
UPDATE codes SET used = used - counted.n FROM counted WHERE codes.id = counted.code_id;

-- name: AuditCodes :many
-- Codes that count other uses than they have, and uses of purchases that ended unpaid.
SELECT (c.id || ' counts ' || c.used::text || ' uses and has ' || count(u.id)::text)::text FROM codes c LEFT JOIN code_uses u ON u.code_id = c.id AND u.given_back_at IS NULL
GROUP BY c.id, c.used HAVING c.used <> count(u.id)
UNION ALL
SELECT (a.id || ' is ' || a.status || ' and holds a use of ' || u.code_id)::text FROM code_uses u JOIN attempts a ON a.id = u.attempt_id
WHERE u.given_back_at IS NULL AND a.status IN ('expired', 'cancelled', 'failed');

-- name: CodeEndpoint :one
-- Whose an endpoint is that a code is redeemed for.
SELECT merchant_id, livemode, price FROM endpoints WHERE id = @id AND disabled_at IS NULL;
