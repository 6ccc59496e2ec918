-- name: KeyInsert :exec
INSERT INTO api_keys (id, merchant_id, livemode, name, hash, hint, scopes, created_by, created_at, expires_at)
VALUES (@id, @merchant_id, @livemode, @name, @hash, @hint, @scopes, @created_by, @created_at, @expires_at);

-- name: KeyByHash :one
SELECT * FROM api_keys
WHERE hash = @hash AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > @now::timestamptz);

-- name: KeyUsed :exec
-- Of many uses in a minute the first alone is written.
UPDATE api_keys SET used_at = @minute::timestamptz
WHERE id = @id AND (used_at IS NULL OR used_at < @minute::timestamptz);

-- name: KeyList :many
-- Those that open something first, then those that do no more, each the newest first.
SELECT sqlc.embed(api_keys), COALESCE(persons.name, '')::text AS creator
FROM api_keys
LEFT JOIN persons ON persons.id = api_keys.created_by
WHERE api_keys.merchant_id = @merchant_id AND api_keys.livemode = @livemode
ORDER BY (api_keys.revoked_at IS NULL AND (api_keys.expires_at IS NULL OR api_keys.expires_at > @now::timestamptz)) DESC, api_keys.id DESC
LIMIT @most;

-- name: KeyByID :one
SELECT sqlc.embed(api_keys), COALESCE(persons.name, '')::text AS creator
FROM api_keys
LEFT JOIN persons ON persons.id = api_keys.created_by
WHERE api_keys.merchant_id = @merchant_id AND api_keys.livemode = @livemode AND api_keys.id = @id;

-- name: KeyLock :one
SELECT * FROM api_keys WHERE merchant_id = @merchant_id AND livemode = @livemode AND id = @id FOR UPDATE;

-- name: KeyCount :one
-- How many open something: of one name, and in all.
SELECT count(*) FILTER (WHERE name = @name)::int AS named, count(*)::int AS total
FROM api_keys
WHERE merchant_id = @merchant_id AND livemode = @livemode AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > @now::timestamptz);

-- name: KeyRevoke :exec
UPDATE api_keys SET revoked_at = @now::timestamptz WHERE id = @id;

-- name: KeyEnd :exec
-- A key that was replaced ends by itself, unless it would have ended sooner.
UPDATE api_keys SET expires_at = LEAST(COALESCE(expires_at, @until::timestamptz), @until::timestamptz) WHERE id = @id;

-- name: MerchantLock :one
-- Changes of who works in a shop, and of what it may have only so many of, come one after another. Rows that refer to
-- the shop need not wait, so payments do not.
SELECT id FROM merchants WHERE id = @id FOR NO KEY UPDATE;
