-- +goose Up
-- A relayer is an address that pays the gas of other people's transfers. Fees are wei, nonces the relayer's own.

CREATE TABLE relayers (
    network          text NOT NULL,
    address          text NOT NULL CHECK (address ~ '^0x[0-9a-f]{40}$'),
    next_nonce       bigint NOT NULL CHECK (next_nonce >= 0),
    gas_balance      numeric(78, 0) NOT NULL DEFAULT 0,
    settlements_left bigint NOT NULL DEFAULT 0, -- how many transfers the balance pays for at today's fee
    seen_at          timestamptz,               -- null until a worker has looked at the balance
    PRIMARY KEY (network, address)
);

-- One row per reserved nonce. It is written, with its raw bytes, before anything is sent.
CREATE TABLE relays (
    network    text NOT NULL,
    address    text NOT NULL,
    nonce      bigint NOT NULL,
    settlement text COLLATE "C", -- null: a transfer of nothing to itself, which fills a gap
    current    boolean NOT NULL DEFAULT true, -- false once the settlement has another transaction
    state      text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'mined', 'reverted', 'dropped')),
    hash       text, -- of the version that was mined
    block      bigint,
    block_hash text,
    final      boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network, address, nonce),
    FOREIGN KEY (network, address) REFERENCES relayers,
    CHECK ((state IN ('mined', 'reverted')) = (hash IS NOT NULL AND block IS NOT NULL AND block_hash IS NOT NULL))
);
-- A settlement has one transaction. Only after one that reverted, or whose nonce was lost, it gets another.
CREATE UNIQUE INDEX relays_settlement ON relays (settlement) WHERE current;
CREATE INDEX relays_open ON relays (network, address, nonce) WHERE state = 'open';
CREATE INDEX relays_unfinal ON relays (network, address, nonce) WHERE NOT final;

-- The same transaction at rising fees: any one of them may be mined, so none is forgotten.
CREATE TABLE relay_versions (
    network    text NOT NULL,
    address    text NOT NULL,
    nonce      bigint NOT NULL,
    version    integer NOT NULL,
    hash       text NOT NULL UNIQUE CHECK (hash ~ '^0x[0-9a-f]{64}$'),
    raw        bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network, address, nonce, version),
    FOREIGN KEY (network, address, nonce) REFERENCES relays
);
