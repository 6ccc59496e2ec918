-- +goose Up
-- Money that is kept for shops, and its way out.

-- Addresses that are ours. A worker makes them before they are needed; their keys open with the custody key alone. One that
-- was given to a shop stays its own for ever.
CREATE TABLE deposit_addresses (
    network     text NOT NULL,
    address     text NOT NULL,
    sealed      bytea NOT NULL,
    merchant_id text REFERENCES merchants (id),
    created_at  timestamptz NOT NULL,
    assigned_at timestamptz,
    PRIMARY KEY (network, address),
    CHECK ((merchant_id IS NULL) = (assigned_at IS NULL))
);
CREATE UNIQUE INDEX deposit_addresses_of_shop ON deposit_addresses (merchant_id, network) WHERE merchant_id IS NOT NULL;
CREATE INDEX deposit_addresses_free ON deposit_addresses (network, created_at) WHERE merchant_id IS NULL;

-- Whether buyers of a shop pay to the address that is kept for it.
ALTER TABLE payees ADD COLUMN collects boolean NOT NULL DEFAULT false;

-- What programs may pay out within a day.
ALTER TABLE merchants ADD COLUMN payout_limit bigint NOT NULL DEFAULT 1000000000 CHECK (payout_limit >= 0);

-- Money on its way from an address that is ours. The id names the nonce of its one authorization, so that the chain itself
-- refuses to move it twice.
CREATE TABLE sendings (
    id           text PRIMARY KEY COLLATE "C", -- a payout or a refund
    merchant_id  text NOT NULL REFERENCES merchants (id),
    network      text NOT NULL,
    asset        text NOT NULL,
    pay_from     text NOT NULL,
    pay_to       text NOT NULL,
    amount       bigint NOT NULL CHECK (amount > 0),
    nonce        text NOT NULL,
    status       text NOT NULL CHECK (status IN ('queued', 'processing', 'sent', 'completed', 'failed')),
    valid_before bigint, -- seconds; of the authorization, once one was signed
    transaction  text NOT NULL DEFAULT '',
    block_number bigint,
    block_hash   text,
    final        boolean NOT NULL DEFAULT false,
    lost_at      timestamptz, -- since when the block that held it is gone: it is looked for, and sent again
    lease        bytea,
    lease_until  timestamptz,
    last_error   text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    completed_at timestamptz,
    CHECK (status <> 'completed' OR (transaction <> '' AND block_hash IS NOT NULL AND completed_at IS NOT NULL)),
    CHECK (lost_at IS NULL OR status = 'completed' AND NOT final)
);
CREATE UNIQUE INDEX sendings_nonce ON sendings (network, nonce);
CREATE INDEX sendings_open ON sendings (updated_at) WHERE status IN ('queued', 'processing', 'sent');
CREATE INDEX sendings_flight ON sendings (merchant_id, network) WHERE status IN ('queued', 'processing', 'sent');
CREATE INDEX sendings_lost ON sendings (updated_at) WHERE lost_at IS NOT NULL;
CREATE INDEX sendings_sealing ON sendings (network, block_number, id) WHERE status = 'completed' AND NOT final;

-- What a shop had paid out. How far it is stands with its sending.
CREATE TABLE payouts (
    id           text PRIMARY KEY COLLATE "C" REFERENCES sendings (id) DEFERRABLE INITIALLY DEFERRED,
    merchant_id  text NOT NULL REFERENCES merchants (id),
    livemode     boolean NOT NULL,
    network      text NOT NULL,
    amount       bigint NOT NULL CHECK (amount > 0),
    destination  text NOT NULL,
    actor        text NOT NULL,
    by_key       boolean NOT NULL, -- a program asked for it: the day's limit counts it
    from_address text NOT NULL DEFAULT '',
    user_agent   text NOT NULL DEFAULT '',
    once         bytea UNIQUE,
    created_at   timestamptz NOT NULL
);
CREATE INDEX payouts_list ON payouts (merchant_id, livemode, id);
CREATE INDEX payouts_day ON payouts (merchant_id, network, created_at) WHERE by_key;

-- Where a shop's money may go, from when on.
CREATE TABLE payout_destinations (
    merchant_id text NOT NULL REFERENCES merchants (id),
    network     text NOT NULL,
    address     text NOT NULL,
    known_at    timestamptz NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, network, address)
);

-- Up to where each chain was compared with what was sent, and what was sent that the books do not know of: they are older
-- than the chain, as after a restore. While there is any, no money leaves.
CREATE TABLE custody_heads (
    network text PRIMARY KEY,
    block   bigint NOT NULL
);
CREATE TABLE custody_strays (
    network     text NOT NULL,
    transaction text NOT NULL,
    nonce       text NOT NULL,
    merchant_id text NOT NULL REFERENCES merchants (id),
    pay_from    text NOT NULL,
    pay_to      text NOT NULL,
    amount      bigint NOT NULL,
    block       bigint NOT NULL,
    seen_at     timestamptz NOT NULL,
    resolved_at timestamptz,
    resolved_by text NOT NULL DEFAULT '',
    PRIMARY KEY (network, nonce)
);
CREATE INDEX custody_strays_open ON custody_strays (merchant_id) WHERE resolved_at IS NULL;

-- The journal of a shop and of each account, in the order in which it was written.
DROP INDEX entries_of_account;
ALTER TABLE entries ALTER COLUMN posting_id TYPE text COLLATE "C";
CREATE INDEX entries_of_account ON entries (merchant_id, account, network, asset, posting_id, line);
CREATE INDEX postings_journal ON postings (merchant_id, id);
