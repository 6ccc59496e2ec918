-- name: BuyerKeys :many
-- The newest first.
SELECT id, sealed FROM buyer_keys ORDER BY id DESC;

-- name: BuyerKeysLock :exec
-- Until the end of the transaction nobody else begins one.
LOCK TABLE buyer_keys IN SHARE ROW EXCLUSIVE MODE;

-- name: BuyerKeyInsert :exec
INSERT INTO buyer_keys (id, sealed, created_at) VALUES (@id, @sealed, @created_at);

-- name: BuyerKeyReseal :execrows
UPDATE buyer_keys SET sealed = @sealed WHERE id = @id AND sealed = @was;
