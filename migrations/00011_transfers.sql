-- +goose Up
-- Money that buyers send by themselves, without a signature for us.

-- How far each chain was read for what came to shops, and up to where that was held against the balances.
CREATE TABLE watch_points (
    network     text PRIMARY KEY,
    block       bigint NOT NULL,
    block_hash  text NOT NULL,
    checked     bigint NOT NULL,
    holder      text NOT NULL DEFAULT '',
    lease_until timestamptz NOT NULL,
    CHECK (checked <= block)
);

-- The amount by which a transfer names the purchase that it pays. Nobody else at the same address has it until it is kept no
-- longer.
CREATE TABLE manual_amounts (
    attempt_id  text PRIMARY KEY REFERENCES attempts,
    network     text NOT NULL,
    pay_to      text NOT NULL,
    amount      bigint NOT NULL CHECK (amount > 0),
    told        text[] NOT NULL DEFAULT '{}' CHECK (cardinality(told) <= 5), -- transactions that the buyer says are his
    opened_at   timestamptz NOT NULL,
    kept_until  timestamptz NOT NULL,
    released_at timestamptz
);
CREATE UNIQUE INDEX manual_amounts_taken ON manual_amounts (network, pay_to, amount) WHERE released_at IS NULL;
CREATE INDEX manual_amounts_of_payee ON manual_amounts (network, pay_to, amount, opened_at);
CREATE INDEX manual_amounts_kept ON manual_amounts (kept_until) WHERE released_at IS NULL;

-- What came to a shop by a transfer that no signature for us explains. The position is the log's place in its own
-- transaction: it stays when another block takes the transaction.
CREATE TABLE transfers (
    network       text NOT NULL,
    transaction   text NOT NULL,
    position      int NOT NULL,
    log_index     int NOT NULL,
    block_number  bigint NOT NULL,
    block_hash    text NOT NULL,
    block_time    timestamptz NOT NULL,
    merchant_id   text NOT NULL,
    livemode      boolean NOT NULL,
    payer         text NOT NULL,
    pay_to        text NOT NULL,
    amount        bigint NOT NULL CHECK (amount > 0),
    -- gone: the chain took it back
    state         text NOT NULL DEFAULT 'seen' CHECK (state IN ('seen', 'settled', 'listed', 'dust', 'gone')),
    settlement_id text,
    exception_id  text,
    seen_at       timestamptz NOT NULL,
    PRIMARY KEY (network, transaction, position),
    CHECK ((state = 'settled') = (settlement_id IS NOT NULL)),
    CHECK (state <> 'listed' OR exception_id IS NOT NULL)
);
CREATE INDEX transfers_waiting ON transfers (network, seen_at) WHERE state = 'seen';
CREATE INDEX transfers_fresh ON transfers (network, block_number);
CREATE INDEX transfers_of_exception ON transfers (exception_id) WHERE exception_id IS NOT NULL;

-- What is too little to be looked into.
CREATE TABLE transfer_dust (
    merchant_id text NOT NULL,
    network     text NOT NULL,
    day         date NOT NULL,
    payer       text NOT NULL,
    transfers   bigint NOT NULL,
    amount      bigint NOT NULL,
    PRIMARY KEY (merchant_id, network, day, payer)
);
