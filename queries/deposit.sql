-- name: DepositsFree :many
-- How many addresses of each network wait for a shop.
SELECT network, count(*)::int AS free FROM deposit_addresses WHERE merchant_id IS NULL GROUP BY network;

-- name: DepositInsert :exec
INSERT INTO deposit_addresses (network, address, sealed, created_at) VALUES (@network, @address, @sealed, @created_at);

-- name: DepositKeys :many
SELECT network, address, sealed FROM deposit_addresses WHERE (network, address) > (@network::text, @address::text)
ORDER BY network, address LIMIT @most;

-- name: DepositReseal :execrows
UPDATE deposit_addresses SET sealed = @sealed WHERE network = @network AND address = @address AND sealed = @was::bytea;

-- name: DepositOf :one
SELECT * FROM deposit_addresses WHERE merchant_id = @merchant_id::text AND network = @network;

-- name: DepositsOf :many
SELECT network, address, assigned_at FROM deposit_addresses WHERE merchant_id = @merchant_id::text ORDER BY network;

-- name: DepositTake :one
-- The oldest that nobody has, and that nobody takes at this moment.
UPDATE deposit_addresses SET merchant_id = @merchant_id::text, assigned_at = @now::timestamptz
WHERE deposit_addresses.network = @network AND address = (
    SELECT d.address FROM deposit_addresses d WHERE d.network = @network AND d.merchant_id IS NULL
    ORDER BY d.created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING address;

-- name: DepositsAssigned :many
SELECT address, merchant_id::text AS merchant_id FROM deposit_addresses WHERE network = @network AND merchant_id IS NOT NULL ORDER BY address;

-- name: DepositIsOurs :one
-- Whether an address is one of ours, given to a shop or not.
SELECT EXISTS (SELECT FROM deposit_addresses WHERE address = @address)::bool;

-- name: PayeeCollect :execrows
UPDATE payees SET collects = @collects WHERE merchant_id = @merchant_id AND network = @network AND collects <> @collects;

-- name: PayeeModes :many
SELECT network, address, proven_at, collects FROM payees WHERE merchant_id = @merchant_id ORDER BY network;

-- name: CustodyHead :one
SELECT block FROM custody_heads WHERE network = @network;

-- name: CustodyHeadSet :exec
INSERT INTO custody_heads (network, block) VALUES (@network, @block)
ON CONFLICT (network) DO UPDATE SET block = greatest(custody_heads.block, excluded.block);

-- name: StrayInsert :execrows
INSERT INTO custody_strays (network, transaction, nonce, merchant_id, pay_from, pay_to, amount, block, seen_at)
VALUES (@network, @transaction, @nonce, @merchant_id, @pay_from, @pay_to, @amount, @block, @seen_at)
ON CONFLICT (network, nonce) DO NOTHING;

-- name: StraysOpen :many
SELECT * FROM custody_strays WHERE resolved_at IS NULL ORDER BY seen_at, nonce LIMIT 100;

-- name: StraysOf :many
SELECT * FROM custody_strays WHERE merchant_id = @merchant_id AND resolved_at IS NULL ORDER BY seen_at, nonce LIMIT 100;

-- name: StrayResolve :one
UPDATE custody_strays SET resolved_at = @now::timestamptz, resolved_by = @resolved_by
WHERE network = @network AND nonce = @nonce AND merchant_id = @merchant_id AND resolved_at IS NULL
RETURNING *;

-- name: AnyStray :one
SELECT EXISTS (SELECT FROM custody_strays WHERE resolved_at IS NULL)::bool;
