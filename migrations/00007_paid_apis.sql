-- +goose Up
-- What programs pay for: endpoints, the codes that open them, and who settles.

-- Activation codes: words that take something off a price, or all of it, so many times. Those that are made together
-- have their terms together.
CREATE TABLE code_batches (
    id          text PRIMARY KEY COLLATE "C",
    merchant_id text NOT NULL REFERENCES merchants,
    livemode    boolean NOT NULL,
    name        text NOT NULL DEFAULT '',
    off         text NOT NULL CHECK (off IN ('free', 'percent', 'amount')),
    percent     int NOT NULL DEFAULT 0,
    amount      bigint NOT NULL DEFAULT 0,
    uses        int NOT NULL CHECK (uses > 0), -- of each code
    per_wallet  int NOT NULL DEFAULT 0 CHECK (per_wallet >= 0), -- of each code; 0: no limit
    valid_from  timestamptz,
    valid_until timestamptz,
    -- What a code is good for; none for whatever the shop sells.
    item_id     text REFERENCES items,
    link_id     text REFERENCES links,
    endpoint_id text NOT NULL DEFAULT '' COLLATE "C",
    address     text NOT NULL DEFAULT '', -- the one wallet that may use it, in lower case; empty for any
    codes       int NOT NULL CHECK (codes > 0),
    once        bytea UNIQUE,
    created_at  timestamptz NOT NULL,
    CHECK (CASE off WHEN 'free' THEN percent = 0 AND amount = 0 WHEN 'percent' THEN percent BETWEEN 1 AND 99 AND amount = 0 ELSE percent = 0 AND amount > 0 END),
    CHECK (num_nonnulls(item_id, link_id, nullif(endpoint_id, '')) <= 1)
);
CREATE INDEX code_batches_of_merchant ON code_batches (merchant_id, livemode, id DESC);

CREATE TABLE codes (
    id          text PRIMARY KEY COLLATE "C",
    batch_id    text NOT NULL REFERENCES code_batches,
    merchant_id text NOT NULL REFERENCES merchants,
    livemode    boolean NOT NULL,
    code        text NOT NULL, -- as it is handed out
    plain       text NOT NULL COLLATE "C", -- as it is compared: without dashes, and with letters that look like figures as figures
    uses        int NOT NULL CHECK (uses > 0),
    used        int NOT NULL DEFAULT 0 CHECK (used >= 0),
    revoked_at  timestamptz,
    created_at  timestamptz NOT NULL,
    CHECK (used <= uses)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX codes_plain ON codes (plain, merchant_id, livemode);
CREATE INDEX codes_of_batch ON codes (batch_id, id DESC);
CREATE INDEX codes_of_merchant ON codes (merchant_id, livemode, id DESC);

-- One use of a code: by a purchase, by a call, or by a bypass token that stands for one of them to come. It is given back
-- where the purchase ends unpaid, where the call is not answered, and where nothing came in time.
CREATE TABLE code_uses (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code_id       text NOT NULL REFERENCES codes,
    address       text NOT NULL DEFAULT '', -- of the wallet, as far as it is known
    taken_from    text NOT NULL DEFAULT '', -- the buyer's network address; empty for calls and sellers' keys
    attempt_id    text UNIQUE COLLATE "C",
    endpoint_id   text NOT NULL DEFAULT '' COLLATE "C", -- what a token is for, or what was called
    link_id       text NOT NULL DEFAULT '' COLLATE "C",
    token_hash    bytea UNIQUE, -- of the bypass token
    token_until   timestamptz,
    held_until    timestamptz, -- null: spent, or held by its purchase
    call_until    timestamptz, -- while a call is made with the token
    taken_at      timestamptz NOT NULL,
    given_back_at timestamptz
);
CREATE INDEX code_uses_of_code ON code_uses (code_id, address) WHERE given_back_at IS NULL;
CREATE INDEX code_uses_held ON code_uses (held_until) WHERE held_until IS NOT NULL AND given_back_at IS NULL;

-- Endpoints: what programs pay for by the call, or for a while.
CREATE TABLE endpoints (
    id               text PRIMARY KEY COLLATE "C",
    merchant_id      text NOT NULL REFERENCES merchants,
    livemode         boolean NOT NULL,
    network          text NOT NULL,
    url              text NOT NULL, -- on the seller's own server
    title            text NOT NULL CHECK (title <> ''),
    description      text NOT NULL DEFAULT '',
    mime_type        text NOT NULL DEFAULT '',
    example_input    text NOT NULL DEFAULT '', -- JSON, or empty
    example_output   text NOT NULL DEFAULT '',
    price            bigint NOT NULL CHECK (price > 0),
    pricing_type     text NOT NULL CHECK (pricing_type IN ('per_request', 'one_time', 'subscription')),
    billing_interval text NOT NULL DEFAULT '' CHECK (billing_interval IN ('', 'hour', 'day', 'week', 'month', 'year')),
    settle           text NOT NULL CHECK (settle IN ('after', 'first')),
    -- What the seller's server knows the gateway by: a header, and its value, sealed.
    secret_header    text NOT NULL DEFAULT '',
    secret           bytea,
    timeout_seconds  int NOT NULL CHECK (timeout_seconds > 0),
    max_answer       bigint NOT NULL CHECK (max_answer > 0), -- bytes
    identified       boolean NOT NULL DEFAULT false,         -- every payment must carry an identifier
    disabled_at      timestamptz,
    once             bytea UNIQUE,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    UNIQUE (merchant_id, livemode, url),
    CHECK ((pricing_type = 'subscription') = (billing_interval <> '')),
    CHECK ((secret_header = '') = (secret IS NULL))
);
CREATE INDEX endpoints_of_merchant ON endpoints (merchant_id, livemode, id DESC);

-- Former prices, honoured while an offer that named them may still be out.
CREATE TABLE endpoint_prices (
    endpoint_id text NOT NULL REFERENCES endpoints,
    price       bigint NOT NULL,
    until       timestamptz NOT NULL
);
CREATE INDEX endpoint_prices_of_endpoint ON endpoint_prices (endpoint_id, until);

-- What lets a payer call an endpoint without paying again. It counts once its first period is paid.
CREATE TABLE passes (
    id          text PRIMARY KEY COLLATE "C",
    merchant_id text NOT NULL,
    livemode    boolean NOT NULL,
    endpoint_id text NOT NULL REFERENCES endpoints,
    payer       text NOT NULL,
    token_hash  bytea NOT NULL,
    paid_at     timestamptz, -- last
    payments    int NOT NULL DEFAULT 0,
    ends_at     timestamptz, -- null, once paid: never
    revoked_at  timestamptz,
    created_at  timestamptz NOT NULL,
    -- It belongs to one purchase, and paying again makes another: one for a single call, or one that cost nothing.
    own         boolean NOT NULL DEFAULT false,
    calls_left  int CHECK (calls_left >= 0), -- null: any number
    call_until  timestamptz                  -- while its last call is made
);
CREATE UNIQUE INDEX passes_of_payer ON passes (endpoint_id, payer) WHERE revoked_at IS NULL AND NOT own;
CREATE INDEX passes_of_merchant ON passes (merchant_id, livemode, id DESC) WHERE paid_at IS NOT NULL;

-- A call that came with a payment: what became of it between the payment's claim and its answer. The endpoint is named
-- without a key to it, each check of which would lock a row that all its calls share.
CREATE TABLE calls (
    attempt_id  text PRIMARY KEY COLLATE "C" REFERENCES attempts,
    endpoint_id text NOT NULL,
    claim_id    text NOT NULL REFERENCES claims,
    -- paying: its money is asked for before the seller's server is. calling: that server has it, until call_until.
    -- answered: it answered, and the money is asked for or there. released: nothing was charged.
    state       text NOT NULL CHECK (state IN ('paying', 'calling', 'answered', 'released')),
    first       boolean NOT NULL, -- the money is settled before the call
    identifier  text NOT NULL DEFAULT '',
    call_until  timestamptz NOT NULL,
    tries       int NOT NULL DEFAULT 0,
    pass_id     text REFERENCES passes,
    pass_period text NOT NULL DEFAULT '', -- an interval; empty for ever
    -- The answer, as it may be repeated to the same request; without a body where it was too large to keep.
    status      int NOT NULL DEFAULT 0,
    header      jsonb,
    body        bytea,
    kept        boolean NOT NULL DEFAULT false,
    keep_until  timestamptz NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL
);
CREATE INDEX calls_calling ON calls (call_until) WHERE state = 'calling' AND NOT first;
CREATE INDEX calls_kept ON calls (keep_until) WHERE kept;
CREATE UNIQUE INDEX calls_identifier ON calls (endpoint_id, identifier) WHERE identifier <> '' AND state <> 'released';
CREATE INDEX calls_of_endpoint ON calls (endpoint_id, attempt_id DESC);

-- Who settles payments beside our own relayer: the facilitators that workers were told of, each on each network.
CREATE TABLE facilitators (
    name        text NOT NULL COLLATE "C",
    network     text NOT NULL,
    place       int NOT NULL, -- the first is asked first
    supported   boolean NOT NULL DEFAULT false, -- when it answered last
    listed_at   timestamptz NOT NULL, -- when a worker that asks it was last seen
    answered_at timestamptz,
    last_error  text NOT NULL DEFAULT '',
    PRIMARY KEY (name, network)
);

-- What facilitators were asked, and what they said. One without an outcome is under way, or its asker died.
CREATE TABLE facilitator_asks (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    settlement_id text NOT NULL COLLATE "C",
    facilitator   text NOT NULL,
    call          text NOT NULL CHECK (call IN ('verify', 'settle')),
    asked_at      timestamptz NOT NULL,
    took_ms       int,
    outcome       text NOT NULL DEFAULT '',
    detail        text NOT NULL DEFAULT '',
    transaction   text NOT NULL DEFAULT ''
);
CREATE INDEX facilitator_asks_of_settlement ON facilitator_asks (settlement_id, id);
CREATE INDEX facilitator_asks_recent ON facilitator_asks (asked_at);

ALTER TABLE settlements DROP CONSTRAINT settlements_facilitator_check, ADD CHECK (facilitator <> '');
-- Its payer sent the payment once more while nobody knew what became of it: the facilitator may be asked once more.
ALTER TABLE settlements ADD COLUMN again boolean NOT NULL DEFAULT false;

-- Payments that we settle for other servers: a settlement without a purchase, and what is needed to send it.
CREATE TABLE facilitations (
    settlement_id text PRIMARY KEY COLLATE "C" REFERENCES settlements,
    caller        text NOT NULL, -- whose gas budget it is
    resource      text NOT NULL DEFAULT '',
    valid_after   bigint NOT NULL,
    valid_before  bigint NOT NULL,
    signature     bytea NOT NULL,
    version       smallint NOT NULL,
    reason        text NOT NULL DEFAULT '', -- why it failed, as an x402 kind
    created_at    timestamptz NOT NULL
);

-- How many settlements a caller had sent on one day.
CREATE TABLE facilitator_budgets (
    caller text NOT NULL COLLATE "C",
    day    date NOT NULL,
    used   int NOT NULL,
    PRIMARY KEY (caller, day)
);

-- What facilitators called back with, kept before it is acted on. The same bytes again are the same callback.
CREATE TABLE facilitator_callbacks (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256        bytea NOT NULL UNIQUE,
    body          bytea NOT NULL,
    received_at   timestamptz NOT NULL,
    times         int NOT NULL DEFAULT 1,
    settlement_id text COLLATE "C",
    outcome       text NOT NULL DEFAULT '' -- empty until it was looked into
);
CREATE INDEX settlements_by_payer ON settlements (payer, nonce);
CREATE INDEX settlements_by_transaction ON settlements (transaction) WHERE transaction <> '';
CREATE INDEX facilitator_callbacks_open ON facilitator_callbacks (received_at) WHERE outcome = '';

-- Payments that were mined and moved nothing, since their payer's money was gone by then: gas for nothing, which a payer may
-- cost us a few times a day.
ALTER TABLE settlements ADD COLUMN reverted_at timestamptz;
CREATE INDEX settlements_reverted ON settlements (payer, reverted_at) WHERE reverted_at IS NOT NULL;
-- And those of calls that a seller's server had answered: work for nothing.
ALTER TABLE settlements ADD COLUMN unpaid_at timestamptz;
CREATE INDEX settlements_unpaid ON settlements (payer, unpaid_at) WHERE unpaid_at IS NOT NULL;

-- A link may stand for an endpoint: it costs what one payment for the endpoint costs, and who pays gets a pass.
ALTER TABLE links
    DROP CONSTRAINT links_sells_check,
    ADD COLUMN endpoint_id text REFERENCES endpoints,
    ADD CONSTRAINT links_sells_check CHECK (sells IN ('amount', 'items', 'open', 'endpoint') AND (sells = 'endpoint') = (endpoint_id IS NOT NULL)),
    DROP CONSTRAINT links_price_check,
    ADD CONSTRAINT links_price_check CHECK (CASE WHEN sells IN ('items', 'endpoint') THEN price = 0 WHEN leads_all THEN price >= 0 ELSE price > 0 END);

-- The endpoint that a link stands for, as it is now.
-- +goose StatementBegin
CREATE FUNCTION link_endpoint(of_endpoint text) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('endpoint', id, 'price', price, 'pricing', pricing_type, 'interval', billing_interval, 'disabled', disabled_at IS NOT NULL)
    FROM endpoints WHERE id = of_endpoint
$$;
-- +goose StatementEnd

-- What a purchase of an endpoint brings its buyer, as it was quoted. Its pass is made when it is paid.
CREATE TABLE pass_sales (
    attempt_id  text PRIMARY KEY COLLATE "C" REFERENCES attempts,
    endpoint_id text NOT NULL,
    period      text NOT NULL, -- an interval; empty for ever
    single      boolean NOT NULL, -- it is for one call
    pass_id     text REFERENCES passes
);
