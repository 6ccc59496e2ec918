-- name: PostingInsert :exec
INSERT INTO postings (id, merchant_id, kind, source, created_at) VALUES (@id, @merchant_id, @kind, @source, @created_at);

-- name: EntryInsert :exec
INSERT INTO entries (posting_id, line, merchant_id, account, network, asset, amount, slot, created_at)
VALUES (@posting_id, @line, @merchant_id, @account, @network, @asset, @amount, @slot, @created_at);

-- name: BalanceAdd :exec
INSERT INTO balances (merchant_id, account, network, asset, slot, amount)
VALUES (@merchant_id, @account, @network, @asset, @slot, @amount)
ON CONFLICT (merchant_id, account, network, asset, slot) DO UPDATE SET amount = balances.amount + excluded.amount;

-- name: BalanceList :many
SELECT network, asset, sum(amount)::bigint AS amount FROM balances
WHERE merchant_id = @merchant_id AND account = @account
GROUP BY network, asset ORDER BY network, asset;
