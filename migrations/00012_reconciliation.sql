-- +goose Up
-- When a payment counts, and how the books are held against the chain.

-- Up to this amount one sealed block is enough for a payment to count; above it the block must be safe.
ALTER TABLE merchants ADD COLUMN confirm_limit bigint NOT NULL DEFAULT 1000000000 CHECK (confirm_limit >= 0);

-- Since when the block of a confirmed payment is gone, as long as it may come back in another one.
ALTER TABLE settlements ADD COLUMN lost_at timestamptz;
-- Payments in a range of blocks. They come in the order of their blocks, nearly.
CREATE INDEX settlements_blocks ON settlements USING brin (block_number) WITH (pages_per_range = 32);

-- How far each network's books were held against its chain, and how the last time went.
CREATE TABLE reconciliations (
    network    text PRIMARY KEY COLLATE "C",
    block      bigint NOT NULL DEFAULT 0, -- all up to here was compared after it was final
    from_block bigint NOT NULL DEFAULT 0, -- of the last time
    to_block   bigint NOT NULL DEFAULT 0,
    matched    bigint NOT NULL DEFAULT 0, -- payments of the last time on which all agree
    found      bigint NOT NULL DEFAULT 0, -- payments of the last time that nobody had told of
    differing  bigint NOT NULL DEFAULT 0, -- those that were listed
    began_at   timestamptz NOT NULL,
    ended_at   timestamptz, -- null: it is under way, or its process died
    failed_at  timestamptz
);

-- What of it was a shop's.
CREATE TABLE reconciled (
    merchant_id text NOT NULL,
    network     text NOT NULL,
    matched     bigint NOT NULL,
    amount      bigint NOT NULL,
    checked_at  timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, network)
);

-- What was found at the address that is kept for a shop beyond its books, or less than they have, as long as it is so.
CREATE TABLE drifts (
    merchant_id text NOT NULL,
    network     text NOT NULL,
    amount      bigint NOT NULL CHECK (amount <> 0),
    since       timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, network)
);

CREATE INDEX exceptions_decided ON exceptions (merchant_id, livemode, id DESC) WHERE resolved_at IS NOT NULL;
-- Differences that may be none any more.
CREATE INDEX exceptions_differing ON exceptions (network, id) WHERE resolved_at IS NULL AND kind IN ('missing', 'mismatch');
