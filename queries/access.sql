-- name: MerchantInsert :exec
INSERT INTO merchants (id, slug, name, domain, created_at) VALUES (@id, @slug, @name, @domain, @created_at);

-- name: MerchantBySlug :one
SELECT * FROM merchants WHERE slug = @slug;

-- name: PersonInsert :exec
INSERT INTO persons (id, name, created_at) VALUES (@id, @name, @created_at);

-- name: MemberInsert :exec
INSERT INTO members (merchant_id, person_id, role, created_at) VALUES (@merchant_id, @person_id, @role, @created_at);

-- name: MemberList :many
SELECT sqlc.embed(merchants), sqlc.embed(persons), members.role
FROM members
JOIN merchants ON merchants.id = members.merchant_id
JOIN persons ON persons.id = members.person_id
WHERE members.status = 'active'
ORDER BY members.created_at, merchants.id;

-- name: IdempotencyClaim :one
-- Takes the key when it is new, or when whoever held it without an answer is past its lock.
INSERT INTO idempotency_keys AS k (scope, key, fingerprint, locked_until, created_at)
VALUES (@scope, @key, @fingerprint, @locked_until::timestamptz, @now::timestamptz)
ON CONFLICT (scope, key) DO UPDATE SET locked_until = excluded.locked_until
WHERE k.status IS NULL AND k.locked_until < @now::timestamptz AND k.fingerprint = excluded.fingerprint
RETURNING key;

-- name: IdempotencyByKey :one
SELECT * FROM idempotency_keys WHERE scope = @scope AND key = @key;

-- name: IdempotencyAnswer :exec
UPDATE idempotency_keys SET status = @status, content_type = @content_type, body = @body, locked_until = NULL
WHERE scope = @scope AND key = @key;

-- name: IdempotencyRelease :exec
DELETE FROM idempotency_keys WHERE scope = @scope AND key = @key AND status IS NULL;

-- name: IdempotencyForget :exec
DELETE FROM idempotency_keys WHERE created_at < @before::timestamptz;

-- name: OperatorSessionInsert :exec
INSERT INTO operator_sessions (hash, created_at, expires_at) VALUES (@hash, @created_at, @expires_at);

-- name: OperatorSessionLives :one
SELECT EXISTS (SELECT FROM operator_sessions WHERE hash = @hash AND expires_at > @now::timestamptz)::bool;

-- name: OperatorSessionDelete :exec
DELETE FROM operator_sessions WHERE hash = @hash;

-- name: OperatorSessionForget :exec
DELETE FROM operator_sessions WHERE expires_at <= @now::timestamptz;
