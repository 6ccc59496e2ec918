-- +goose Up
-- One transaction may move the money of many settlements. Its row in relays then names none: these rows do.

CREATE TABLE relay_items (
    network    text NOT NULL,
    address    text NOT NULL,
    nonce      bigint NOT NULL,
    settlement text COLLATE "C" NOT NULL,
    current    boolean NOT NULL DEFAULT true, -- false once the settlement has another transaction
    PRIMARY KEY (network, address, nonce, settlement),
    FOREIGN KEY (network, address, nonce) REFERENCES relays
);
CREATE UNIQUE INDEX relay_items_settlement ON relay_items (settlement) WHERE current;
