-- name: CartByVisitor :one
SELECT * FROM carts WHERE visitor = @visitor AND merchant_id = @merchant_id;

-- name: CartForUpdate :one
-- Makes the cart where there is none; one that is bought at the same moment is another one from then on.
INSERT INTO carts (visitor, merchant_id, touched_at) VALUES (@visitor, @merchant_id, @now)
ON CONFLICT (visitor, merchant_id) DO UPDATE SET touched_at = excluded.touched_at
RETURNING *;

-- name: CartWrite :exec
UPDATE carts SET version = version + 1, lines = @lines WHERE id = @id;

-- name: CartDrop :exec
DELETE FROM carts WHERE id = @id;

-- name: CartsBuy :many
-- Carts become purchases; those that were changed since they were looked at do not come back.
DELETE FROM carts USING (SELECT unnest(@ids::bigint[]) AS id, unnest(@versions::bigint[]) AS version) u
WHERE carts.id = u.id AND carts.version = u.version
RETURNING carts.id;

-- name: CartsPurge :exec
DELETE FROM carts WHERE touched_at < @before::timestamptz;
