-- name: RelayerOpen :exec
-- The first use of an address; later ones only move its nonce up to what the chain has seen. Nonces below mined that are
-- passed over were used elsewhere, as by the database that a backup was made of: nothing of ours will have them.
WITH passed AS (
    INSERT INTO relays (network, address, nonce, current, state, final, created_at)
    SELECT r.network, r.address, n, false, 'dropped', true, @now::timestamptz
    FROM relayers r CROSS JOIN LATERAL generate_series(r.next_nonce, least(@mined::bigint, @next_nonce::bigint) - 1) n
    WHERE r.network = @network AND r.address = @address
    ON CONFLICT (network, address, nonce) DO NOTHING
)
INSERT INTO relayers (network, address, next_nonce)
VALUES (@network, @address, @next_nonce)
ON CONFLICT (network, address) DO UPDATE SET next_nonce = greatest(relayers.next_nonce, excluded.next_nonce);

-- name: RelayerNonces :one
-- The first of several nonces in a row. Takes the row's lock until commit, so nonces are committed in order and a
-- rollback gives its nonces back.
UPDATE relayers SET next_nonce = next_nonce + @count
WHERE network = @network AND address = @address
RETURNING (next_nonce - @count)::bigint;

-- name: RelayerNextNonce :one
SELECT next_nonce FROM relayers WHERE network = @network AND address = @address;

-- name: RelayerBeat :exec
UPDATE relayers SET gas_balance = @gas_balance, settlements_left = @settlements_left, seen_at = @seen_at::timestamptz
WHERE network = @network AND address = @address;

-- name: RelayerFunded :one
SELECT EXISTS (
    SELECT FROM relayers
    WHERE network = @network AND seen_at >= @seen_since::timestamptz AND settlements_left >= @settlements_min
)::bool;

-- name: RelaysInsert :execrows
-- A nonce is inserted once: on a conflict somebody else has filled the gap. An empty settlement fills one.
INSERT INTO relays (network, address, nonce, settlement, created_at)
SELECT @network, @address, unnest(@nonces::bigint[]), nullif(unnest(@settlements::text[]), ''), @created_at
ON CONFLICT (network, address, nonce) DO NOTHING;

-- name: RelayVersionsInsert :execrows
INSERT INTO relay_versions (network, address, nonce, version, hash, raw, created_at)
SELECT @network, @address, unnest(@nonces::bigint[]), @version, unnest(@hashes::text[]), unnest(@raws::bytea[]), @created_at
ON CONFLICT (network, address, nonce, version) DO NOTHING;

-- name: RelayBySettlement :one
-- The transaction of a settlement, and how many share it.
SELECT sqlc.embed(r), 1::bigint AS items FROM relays r
WHERE r.settlement = @settlement::text AND r.current
UNION ALL
SELECT sqlc.embed(r), (SELECT count(*) FROM relay_items x WHERE x.network = i.network AND x.address = i.address AND x.nonce = i.nonce) AS items
FROM relay_items i JOIN relays r USING (network, address, nonce)
WHERE i.settlement = @settlement::text AND i.current
LIMIT 1;

-- name: RelayItemsInsert :exec
INSERT INTO relay_items (network, address, nonce, settlement)
SELECT @network, @address, unnest(@nonces::bigint[]), unnest(@settlements::text[]);

-- name: RelaysSupersede :one
-- Makes room for another transaction of each settlement, if its last one came to nothing, and reports whether one of
-- them has a transaction that may yet move it. Who asks whether one that was mined among others moved it, knows.
WITH alone AS (
    UPDATE relays SET current = false
    WHERE settlement = ANY (@settlements::text[]) AND current AND state IN ('reverted', 'dropped')
), shared AS (
    UPDATE relay_items i SET current = false FROM relays r
    WHERE i.settlement = ANY (@settlements::text[]) AND i.current
      AND r.network = i.network AND r.address = i.address AND r.nonce = i.nonce AND r.state IN ('mined', 'reverted', 'dropped')
)
SELECT (EXISTS (SELECT FROM relays WHERE settlement = ANY (@settlements::text[]) AND current AND state IN ('open', 'mined'))
    OR EXISTS (SELECT FROM relay_items i JOIN relays r USING (network, address, nonce)
        WHERE i.settlement = ANY (@settlements::text[]) AND i.current AND r.state = 'open'))::bool;

-- name: RelayVersions :many
SELECT v.* FROM relay_versions v
WHERE v.network = @network AND v.address = @address AND v.nonce = @nonce
ORDER BY v.version;

-- name: RelayOpenVersions :many
-- Every version of what is not mined yet, lowest nonce first.
SELECT sqlc.embed(r), sqlc.embed(v)
FROM relays r JOIN relay_versions v USING (network, address, nonce)
WHERE r.network = @network AND r.address = @address AND r.state = 'open'
ORDER BY r.nonce, v.version LIMIT @max_rows;

-- name: RelayUnfinal :many
-- What was seen in a block that may still be replaced, oldest first.
SELECT * FROM relays
WHERE network = @network AND address = @address AND NOT final AND state IN ('mined', 'reverted')
  AND nonce > @after_nonce AND block <= @up_to_block::bigint
ORDER BY nonce LIMIT @max_rows;

-- name: RelayNonces :many
SELECT nonce FROM relays
WHERE network = @network AND address = @address AND nonce >= @from_nonce AND nonce < @to_nonce
ORDER BY nonce;

-- name: RelaySeen :exec
-- Notes the blocks of many transactions at once, by the hashes of the versions that were mined.
UPDATE relays r SET state = s.state, hash = s.hash, block = s.block, block_hash = s.block_hash
FROM (
    SELECT unnest(@hashes::text[]) AS hash, unnest(@states::text[]) AS state,
           unnest(@blocks::bigint[]) AS block, unnest(@block_hashes::text[]) AS block_hash
) s
JOIN relay_versions v ON v.hash = s.hash
WHERE r.network = v.network AND r.address = v.address AND r.nonce = v.nonce
  AND NOT r.final AND r.state IN ('open', 'mined', 'reverted');

-- name: RelayReopen :exec
-- Its block is gone.
UPDATE relays SET state = 'open', hash = NULL, block = NULL, block_hash = NULL
WHERE network = @network AND address = @address AND nonce = ANY(@nonces::bigint[])
  AND NOT final AND state IN ('mined', 'reverted');

-- name: RelayDrop :exec
-- Its nonce went to a transaction that is not ours.
UPDATE relays SET state = 'dropped', final = true WHERE network = @network AND address = @address AND nonce = @nonce AND state = 'open';

-- name: RelayFinal :exec
UPDATE relays SET final = true
WHERE network = @network AND address = @address AND NOT final
  AND state IN ('mined', 'reverted') AND nonce = ANY(@nonces::bigint[]);
