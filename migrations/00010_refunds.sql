-- +goose Up
-- Money that goes back to buyers.

-- Of a purchase, or of money that came without an explanation. What is kept for a shop is sent by a worker; from a shop's own
-- wallet, whoever holds its key sends it, and the chain says whether it went.
CREATE TABLE refunds (
    id            text PRIMARY KEY COLLATE "C",
    merchant_id   text NOT NULL,
    livemode      boolean NOT NULL,
    attempt_id    text NOT NULL DEFAULT '' COLLATE "C", -- empty: of money that bought nothing
    settlement_id text NOT NULL DEFAULT '' COLLATE "C",
    exception_id  text NOT NULL DEFAULT '' COLLATE "C", -- what it decides on
    title         text NOT NULL,
    status        text NOT NULL CHECK (status IN ('requested', 'processing', 'sent', 'completed', 'failed')),
    collected     boolean NOT NULL, -- of money that is kept for the shop
    booked        boolean NOT NULL, -- it stands in the books from its beginning, and not only once it is proven
    network       text NOT NULL,
    asset         text NOT NULL,
    pay_from      text NOT NULL,
    pay_to        text NOT NULL,
    amount        bigint NOT NULL CHECK (amount > 0),
    fee           bigint NOT NULL DEFAULT 0 CHECK (fee BETWEEN 0 AND amount), -- what of it the platform gives back
    reason        text NOT NULL DEFAULT '',
    restock       boolean NOT NULL DEFAULT false, -- what happens besides, once the money went
    revoke        boolean NOT NULL DEFAULT false,
    free_code     boolean NOT NULL DEFAULT false,
    since_block   bigint NOT NULL DEFAULT 0, -- a wallet's transfer in an earlier block is none of this refund
    transaction   text NOT NULL DEFAULT '',
    block_number  bigint,
    block_hash    text,
    log_index     int,
    block_time    timestamptz,
    lost_at       timestamptz,            -- since when its block is gone, as long as it may come back in another one
    final_at      timestamptz,            -- its block is sealed for good: of what the shop's own wallet sent
    taken_back    int NOT NULL DEFAULT 0, -- how often the chain took its transfer back, for good
    last_error    text NOT NULL DEFAULT '',
    person_id     text NOT NULL DEFAULT '' COLLATE "C", -- who gave it; empty for a program
    actor         text NOT NULL, -- as people read it
    once          bytea UNIQUE,  -- a key has one effect, for ever
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    sent_at       timestamptz,
    ended_at      timestamptz,
    CHECK ((status IN ('completed', 'failed')) = (ended_at IS NOT NULL)),
    CHECK (attempt_id <> '' OR exception_id <> '')
);
CREATE INDEX refunds_of_merchant ON refunds (merchant_id, livemode, id DESC);
CREATE INDEX refunds_of_attempt ON refunds (attempt_id) WHERE attempt_id <> '';
CREATE INDEX refunds_of_person ON refunds (person_id, created_at) WHERE person_id <> '';
CREATE INDEX refunds_under_way ON refunds (updated_at) WHERE status IN ('requested', 'processing', 'sent');
CREATE INDEX refunds_unsealed ON refunds (network, block_number) WHERE status = 'completed' AND NOT collected AND final_at IS NULL;
CREATE UNIQUE INDEX refunds_of_exception ON refunds (exception_id) WHERE exception_id <> '' AND status <> 'failed';
CREATE UNIQUE INDEX refunds_log ON refunds (network, transaction, log_index) WHERE log_index IS NOT NULL;

-- What of it each sale gives back, and how many pieces.
CREATE TABLE refund_lines (
    refund_id text NOT NULL REFERENCES refunds,
    sale_id   text NOT NULL REFERENCES sales,
    line      smallint NOT NULL, -- of the purchase
    qty       int NOT NULL CHECK (qty >= 0), -- 0: a part of the price, without the goods
    amount    bigint NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (refund_id, sale_id)
);
CREATE INDEX refund_lines_of_sale ON refund_lines (sale_id);

-- +goose StatementBegin
CREATE FUNCTION refund_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.status, NEW.status) NOT IN (
        ('requested', 'processing'), ('requested', 'sent'), ('requested', 'completed'), ('requested', 'failed'),
        ('processing', 'sent'), ('processing', 'completed'), ('processing', 'failed'), ('sent', 'completed'), ('sent', 'failed')
    ) AND NOT (OLD.status = 'completed' AND NEW.status = 'sent' AND NEW.taken_back = OLD.taken_back + 1) THEN
        RAISE EXCEPTION 'refund % cannot go from % to %', OLD.id, OLD.status, NEW.status USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER refund_moves BEFORE UPDATE OF status ON refunds
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION refund_moves();

-- Goods that were given back with their money: their buyer sees them no more.
ALTER TABLE attempt_lines ADD COLUMN revoked_at timestamptz;
