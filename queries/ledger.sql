-- name: PostingsInsert :exec
INSERT INTO postings (id, merchant_id, kind, source, created_at)
SELECT unnest(@ids::text[]), unnest(@merchants::text[]), unnest(@kinds::text[]), unnest(@sources::text[]), @created_at;

-- name: EntriesInsert :exec
INSERT INTO entries (posting_id, line, merchant_id, account, network, asset, amount, slot, created_at)
SELECT unnest(@postings::text[]), unnest(@lines::smallint[]), unnest(@merchants::text[]), unnest(@accounts::text[]),
    unnest(@networks::text[]), unnest(@assets::text[]), unnest(@amounts::bigint[]), @slot, @created_at;

-- name: BalancesAdd :exec
-- In the order of the key, so that two who add at once never wait for each other in a circle.
INSERT INTO balances (merchant_id, account, network, asset, slot, amount)
SELECT moved.merchant_id, moved.account, moved.network, moved.asset, @slot, sum(moved.amount)
FROM (SELECT unnest(@merchants::text[]) AS merchant_id, unnest(@accounts::text[]) AS account, unnest(@networks::text[]) AS network,
    unnest(@assets::text[]) AS asset, unnest(@amounts::bigint[]) AS amount) moved
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (merchant_id, account, network, asset, slot) DO UPDATE SET amount = balances.amount + excluded.amount;
