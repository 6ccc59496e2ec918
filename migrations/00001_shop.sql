-- +goose Up
-- Addresses, nonces and hashes are lower-case hex text; amounts are base units of USDC (6 decimals);
-- business times are given by the program, in UTC.

CREATE TABLE merchants (
    id         text PRIMARY KEY COLLATE "C",
    slug       text NOT NULL UNIQUE,
    name       text NOT NULL CHECK (name <> ''),
    domain     text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL
);

-- Where a shop is paid. A proven address belongs to one shop at a time on each network.
CREATE TABLE payees (
    merchant_id text NOT NULL REFERENCES merchants,
    network     text NOT NULL,
    address     text NOT NULL CHECK (address ~ '^0x[0-9a-f]{40}$'),
    proven_at   timestamptz,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, network)
);
CREATE UNIQUE INDEX payees_proven ON payees (network, address) WHERE proven_at IS NOT NULL;

CREATE TABLE persons (
    id         text PRIMARY KEY COLLATE "C",
    name       text NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE members (
    merchant_id text NOT NULL REFERENCES merchants,
    person_id   text NOT NULL REFERENCES persons,
    role        text NOT NULL CHECK (role IN ('owner', 'manager', 'cashier', 'accountant', 'developer', 'viewer')),
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, person_id)
);

CREATE TABLE sessions (
    hash        bytea PRIMARY KEY,
    person_id   text NOT NULL REFERENCES persons,
    merchant_id text NOT NULL REFERENCES merchants,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL
);

CREATE TABLE api_keys (
    id          text PRIMARY KEY COLLATE "C",
    merchant_id text NOT NULL REFERENCES merchants,
    livemode    boolean NOT NULL,
    name        text NOT NULL,
    hash        bytea NOT NULL UNIQUE,
    scopes      text[] NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz,
    revoked_at  timestamptz
);

CREATE TABLE idempotency_keys (
    scope        text NOT NULL,
    key          text NOT NULL,
    fingerprint  bytea NOT NULL,
    locked_until timestamptz,
    status       int,
    content_type text,
    body         bytea,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

CREATE TABLE links (
    id             text PRIMARY KEY COLLATE "C",
    merchant_id    text NOT NULL REFERENCES merchants,
    token          text NOT NULL UNIQUE COLLATE "C",
    livemode       boolean NOT NULL,
    title          text NOT NULL CHECK (title <> ''),
    description    text NOT NULL DEFAULT '',
    price          bigint NOT NULL CHECK (price > 0),
    network        text NOT NULL,
    expires_at     timestamptz,
    expired_at     timestamptz, -- by its seller
    -- Whether its end was told of, since it was last open.
    end_told       boolean NOT NULL DEFAULT false,
    max_payments   int CHECK (max_payments > 0),
    -- Purchases that hold or used one of max_payments; kept only while there is a limit.
    payments_taken int NOT NULL DEFAULT 0 CHECK (payments_taken >= 0),
    success_url    text NOT NULL DEFAULT '',
    reference      text NOT NULL DEFAULT '',
    metadata       jsonb NOT NULL DEFAULT '{}',
    -- The idempotency key of the call that made it, hashed with its scope: a key has one effect, for ever.
    once           bytea UNIQUE,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    CHECK (max_payments IS NULL OR payments_taken <= max_payments)
);
CREATE INDEX links_of_merchant ON links (merchant_id, livemode, id DESC);
CREATE INDEX links_ending ON links (expires_at) WHERE NOT end_told AND expires_at IS NOT NULL;

-- Former prices, honoured while an offer that named them may still be out.
CREATE TABLE link_prices (
    link_id text NOT NULL REFERENCES links,
    price   bigint NOT NULL,
    until   timestamptz NOT NULL
);
CREATE INDEX link_prices_of_link ON link_prices (link_id, until);

-- How often a link was paid, in slots so that simultaneous payments do not queue for one row.
CREATE TABLE link_totals (
    link_id      text NOT NULL REFERENCES links,
    slot         smallint NOT NULL,
    payments     bigint NOT NULL,
    amount       bigint NOT NULL,
    last_paid_at timestamptz NOT NULL,
    PRIMARY KEY (link_id, slot)
);

CREATE TABLE attempts (
    id               text PRIMARY KEY COLLATE "C",
    merchant_id      text NOT NULL REFERENCES merchants,
    link_id          text REFERENCES links,
    channel          text NOT NULL CHECK (channel IN ('link', 'till', 'api', 'storefront')),
    livemode         boolean NOT NULL,
    status           text NOT NULL CHECK (status IN ('open', 'settling', 'unknown', 'settled', 'settled_late', 'expired', 'cancelled', 'failed', 'reversed')),
    network          text NOT NULL,
    asset            text NOT NULL,
    pay_to           text NOT NULL,
    amount           bigint NOT NULL CHECK (amount > 0),
    amount_received  bigint NOT NULL DEFAULT 0,
    title            text NOT NULL,
    cart_salt        bytea NOT NULL CHECK (length(cart_salt) = 32),
    cart_hash        bytea NOT NULL CHECK (length(cart_hash) = 32),
    nonce            text NOT NULL,
    buyer_token_hash bytea,
    from_address     text NOT NULL DEFAULT '',
    holds_payment    boolean NOT NULL DEFAULT false,
    -- Begun by a payment and not by a buyer's tap: a refusal ends it.
    direct           boolean NOT NULL DEFAULT false,
    refusals         int NOT NULL DEFAULT 0,
    refusal          text NOT NULL DEFAULT '',
    simulated        boolean NOT NULL DEFAULT false,
    success_url      text NOT NULL DEFAULT '',
    cancel_url       text NOT NULL DEFAULT '',
    reference        text NOT NULL DEFAULT '',
    metadata         jsonb NOT NULL DEFAULT '{}',
    once             bytea,
    expires_at       timestamptz NOT NULL,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    settled_at       timestamptz
);
CREATE UNIQUE INDEX attempts_once ON attempts (once) WHERE once IS NOT NULL;
CREATE INDEX attempts_of_link ON attempts (link_id, id DESC);
CREATE INDEX attempts_under_way ON attempts (merchant_id, livemode, id DESC) WHERE status IN ('settling', 'unknown');
CREATE INDEX attempts_open ON attempts (expires_at) WHERE status = 'open';
CREATE INDEX attempts_unpaid ON attempts (link_id, from_address) WHERE status = 'open' AND holds_payment;

CREATE TABLE attempt_lines (
    attempt_id  text NOT NULL REFERENCES attempts,
    line        smallint NOT NULL,
    item_id     text NOT NULL,
    title       text NOT NULL,
    qty         int NOT NULL CHECK (qty > 0),
    unit_amount bigint NOT NULL,
    PRIMARY KEY (attempt_id, line)
);

-- +goose StatementBegin
CREATE FUNCTION attempt_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.status, NEW.status) NOT IN (
        ('open', 'settling'), ('open', 'settled'), ('open', 'expired'), ('open', 'cancelled'),
        ('settling', 'settled'), ('settling', 'open'), ('settling', 'unknown'), ('settling', 'failed'),
        ('unknown', 'settled'), ('unknown', 'settling'), ('unknown', 'failed'),
        ('expired', 'settled_late'), ('cancelled', 'settled_late'),
        ('settled', 'reversed'), ('settled_late', 'reversed')
    ) THEN
        RAISE EXCEPTION 'attempt % cannot go from % to %', OLD.id, OLD.status, NEW.status USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER attempt_moves BEFORE UPDATE OF status ON attempts
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION attempt_moves();

-- A buyer's EIP-3009 authorization, tied to one purchase.
CREATE TABLE claims (
    id           text PRIMARY KEY COLLATE "C",
    attempt_id   text NOT NULL REFERENCES attempts,
    network      text NOT NULL,
    asset        text NOT NULL,
    payer        text NOT NULL,
    nonce        text NOT NULL,
    pay_to       text NOT NULL,
    value        bigint NOT NULL,
    valid_after  bigint NOT NULL,
    valid_before bigint NOT NULL,
    signature    bytea NOT NULL,
    version      smallint NOT NULL,
    -- SHA-256 over method, path with query, and body: what the stored answer may be repeated to.
    request      bytea NOT NULL,
    created_at   timestamptz NOT NULL,
    released_at  timestamptz,
    refusal      text NOT NULL DEFAULT '',
    -- When the chain was asked, for the last time, whether somebody else sent a released payment.
    looked_at    timestamptz
);
CREATE INDEX claims_unlooked ON claims (valid_before) WHERE released_at IS NOT NULL AND looked_at IS NULL;
CREATE UNIQUE INDEX claims_authorization ON claims (network, asset, payer, nonce) WHERE released_at IS NULL;
CREATE UNIQUE INDEX claims_of_attempt ON claims (attempt_id) WHERE released_at IS NULL;
CREATE INDEX claims_history ON claims (attempt_id, id DESC);
CREATE INDEX claims_nonce ON claims (payer, nonce); -- also of those that were released

-- What follows from a purchase names the shop and the link without a key to them. The purchase has those keys, and
-- each check of one would lock a row that all payments of the shop share.
CREATE TABLE settlements (
    id           text PRIMARY KEY COLLATE "C",
    merchant_id  text NOT NULL,
    attempt_id   text REFERENCES attempts,
    claim_id     text REFERENCES claims,
    livemode     boolean NOT NULL,
    facilitator  text NOT NULL CHECK (facilitator IN ('own', 'simulated', 'transfer')),
    status       text NOT NULL CHECK (status IN ('queued', 'signed', 'broadcast', 'requested', 'confirmed', 'final', 'reversed', 'failed')),
    network      text NOT NULL,
    asset        text NOT NULL,
    payer        text NOT NULL,
    nonce        text NOT NULL,
    pay_to       text NOT NULL,
    amount       bigint NOT NULL,
    simulated    boolean NOT NULL DEFAULT false,
    transaction  text NOT NULL DEFAULT '',
    block_number bigint,
    block_hash   text,
    log_index    int,
    last_error   text NOT NULL DEFAULT '',
    looks        int NOT NULL DEFAULT 0,
    lease_until  timestamptz,
    lease        bytea,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    confirmed_at timestamptz
);
CREATE UNIQUE INDEX settlements_authorization ON settlements (network, asset, payer, nonce) WHERE status <> 'failed';
CREATE UNIQUE INDEX settlements_log ON settlements (network, transaction, log_index) WHERE log_index IS NOT NULL AND status <> 'failed';
CREATE UNIQUE INDEX settlements_of_attempt ON settlements (attempt_id) WHERE status IN ('confirmed', 'final');
CREATE INDEX settlements_history ON settlements (attempt_id, id DESC);
CREATE INDEX settlements_of_merchant ON settlements (merchant_id, livemode, id DESC);
CREATE INDEX settlements_unsettled ON settlements (created_at) WHERE status IN ('queued', 'signed', 'broadcast', 'requested');
CREATE INDEX settlements_not_final ON settlements (network, block_number) WHERE status = 'confirmed' AND NOT simulated;

CREATE TABLE sales (
    id                text PRIMARY KEY COLLATE "C",
    merchant_id       text NOT NULL,
    livemode          boolean NOT NULL,
    attempt_id        text NOT NULL REFERENCES attempts,
    line              smallint NOT NULL,
    settlement_id     text REFERENCES settlements,
    reservation_id    text NOT NULL DEFAULT '',
    link_id           text,
    item_id           text NOT NULL,
    item_title        text NOT NULL,
    qty               int NOT NULL,
    amount            bigint NOT NULL,
    currency          text NOT NULL CHECK (currency IN ('USDC', 'SIM')),
    purchaser_address text NOT NULL,
    network           text NOT NULL,
    transaction       text NOT NULL,
    channel           text NOT NULL,
    reference         text NOT NULL,
    late              boolean NOT NULL,
    simulated         boolean NOT NULL,
    created_at        timestamptz NOT NULL,
    UNIQUE (attempt_id, line)
);
CREATE INDEX sales_newest ON sales (merchant_id, livemode, created_at DESC, id DESC);

-- Counts and sums by day (UTC), in slots, so that an overview never reads the history.
CREATE TABLE sales_days (
    merchant_id text NOT NULL REFERENCES merchants,
    livemode    boolean NOT NULL,
    day         date NOT NULL,
    channel     text NOT NULL,
    network     text NOT NULL,
    slot        smallint NOT NULL,
    sales       bigint NOT NULL,
    amount      bigint NOT NULL,
    PRIMARY KEY (merchant_id, livemode, day, channel, network, slot)
);

-- Double entry: the entries of a posting sum to zero for each network and asset, and are never changed.
CREATE TABLE postings (
    id          text PRIMARY KEY COLLATE "C",
    merchant_id text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('sale', 'simulated_sale')),
    source      text NOT NULL,
    created_at  timestamptz NOT NULL,
    UNIQUE (kind, source)
);

CREATE TABLE entries (
    posting_id  text NOT NULL REFERENCES postings,
    line        smallint NOT NULL,
    merchant_id text NOT NULL,
    account     text NOT NULL CHECK (account IN ('wallet', 'sales', 'simulated_wallet', 'simulated_sales')),
    network     text NOT NULL,
    asset       text NOT NULL,
    amount      bigint NOT NULL CHECK (amount <> 0),
    slot        smallint NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (posting_id, line)
);
CREATE INDEX entries_of_account ON entries (merchant_id, account, network, asset, created_at);

CREATE TABLE balances (
    merchant_id text NOT NULL REFERENCES merchants,
    account     text NOT NULL,
    network     text NOT NULL,
    asset       text NOT NULL,
    slot        smallint NOT NULL,
    amount      bigint NOT NULL,
    PRIMARY KEY (merchant_id, account, network, asset, slot)
);

-- Which open purchases have a job that will end them; the sweeper asks it often.
CREATE INDEX river_job_expiring ON river_job ((args->>'attempt')) WHERE kind = 'expire' AND finalized_at IS NULL;

-- +goose StatementBegin
CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON postings FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entries FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- +goose StatementBegin
CREATE FUNCTION entries_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    broken text;
BEGIN
    SELECT posting_id INTO broken FROM fresh GROUP BY posting_id, network, asset HAVING sum(amount) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'posting % does not sum to zero', broken USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
-- All entries of a posting are written by one statement, and others balance each for itself.
CREATE TRIGGER entries_balance AFTER INSERT ON entries
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION entries_balance();
