-- +goose Up
-- What a shop sells, how much of it there is, and what purchases hold of it.

-- What a seller uploads: pictures, made anew from what they show, and files that buyers fetch.
CREATE TABLE uploads (
    id           text PRIMARY KEY COLLATE "C",
    merchant_id  text NOT NULL REFERENCES merchants,
    purpose      text NOT NULL CHECK (purpose IN ('image', 'file')),
    name         text NOT NULL,
    content_type text NOT NULL,
    size         bigint NOT NULL CHECK (size >= 0),
    sha256       bytea NOT NULL, -- of what was sent: the same again is the same upload
    width        int NOT NULL DEFAULT 0,
    height       int NOT NULL DEFAULT 0,
    complete     boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL
);
CREATE UNIQUE INDEX uploads_same ON uploads (merchant_id, purpose, sha256, name) WHERE complete;
CREATE INDEX uploads_begun ON uploads (created_at) WHERE NOT complete;

-- In pieces, so that neither side holds a whole file in memory. A picture's small form is piece -1.
CREATE TABLE upload_pieces (
    upload_id text NOT NULL REFERENCES uploads ON DELETE CASCADE,
    piece     int NOT NULL,
    content   bytea NOT NULL,
    PRIMARY KEY (upload_id, piece)
);
ALTER TABLE upload_pieces ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE items (
    id          text PRIMARY KEY COLLATE "C",
    merchant_id text NOT NULL REFERENCES merchants,
    title       text NOT NULL CHECK (title <> ''),
    description text NOT NULL DEFAULT '',
    kind        text NOT NULL CHECK (kind IN ('physical', 'service', 'file', 'key')),
    pricing     text NOT NULL CHECK (pricing IN ('fixed', 'minimum', 'any', 'free')),
    -- fixed: the price; minimum: the least; any: what is suggested, or 0; free: 0
    price       bigint NOT NULL,
    sku         text NOT NULL DEFAULT '',
    barcode     text NOT NULL DEFAULT '',
    category    text NOT NULL DEFAULT '',
    image_id    text REFERENCES uploads,
    file_id     text REFERENCES uploads,
    -- Another form of the same title, such as a paperback and its PDF.
    edition_of  text REFERENCES items,
    edition     text NOT NULL DEFAULT '',
    low_stock   int CHECK (low_stock >= 0),
    once        bytea UNIQUE,
    archived_at timestamptz,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    CHECK (CASE pricing WHEN 'fixed' THEN price > 0 WHEN 'minimum' THEN price > 0 WHEN 'free' THEN price = 0 ELSE price >= 0 END)
);
CREATE INDEX items_of_merchant ON items (merchant_id, id DESC);
CREATE INDEX items_editions ON items (edition_of) WHERE edition_of IS NOT NULL;
CREATE UNIQUE INDEX items_sku ON items (merchant_id, sku) WHERE sku <> '' AND archived_at IS NULL;
CREATE UNIQUE INDEX items_barcode ON items (merchant_id, barcode) WHERE barcode <> '' AND archived_at IS NULL;

-- Former prices, honoured while an offer that named them may still be out.
CREATE TABLE item_prices (
    item_id text NOT NULL REFERENCES items,
    price   bigint NOT NULL,
    until   timestamptz NOT NULL
);
CREATE INDEX item_prices_of_item ON item_prices (item_id, until);

-- What was ever put in, and what of it purchases hold or have bought. What is sold is taken without being held, so that
-- a payment does not write this row: many want it.
CREATE TABLE item_stock (
    item_id  text NOT NULL REFERENCES items,
    livemode boolean NOT NULL,
    limited  boolean NOT NULL, -- false: there is always another one, and nothing is counted
    put      int NOT NULL DEFAULT 0 CHECK (put >= 0),
    taken    int NOT NULL DEFAULT 0 CHECK (taken >= 0),
    low_told boolean NOT NULL DEFAULT false,
    PRIMARY KEY (item_id, livemode),
    CHECK (taken <= put)
) WITH (fillfactor = 25);

-- A shop's own keys of a title, one for each that is sold. What is free of them is the stock.
CREATE TABLE item_keys (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item_id    text NOT NULL REFERENCES items,
    livemode   boolean NOT NULL,
    key        text NOT NULL,
    attempt_id text REFERENCES attempts,
    line       smallint,
    created_at timestamptz NOT NULL,
    given_at   timestamptz,
    CHECK ((attempt_id IS NULL) = (line IS NULL) AND (attempt_id IS NULL) = (given_at IS NULL))
);
CREATE UNIQUE INDEX item_keys_once ON item_keys (item_id, livemode, md5(key));
CREATE INDEX item_keys_free ON item_keys (item_id, livemode, id) WHERE attempt_id IS NULL;
CREATE INDEX item_keys_given ON item_keys (attempt_id) WHERE attempt_id IS NOT NULL;

-- A link sells an amount of its own, items at their price, or what the buyer gives: then its price is the least.
ALTER TABLE links
    ADD COLUMN sells text NOT NULL DEFAULT 'amount' CHECK (sells IN ('amount', 'items', 'open')),
    ADD COLUMN presets bigint[] NOT NULL DEFAULT '{}',
    DROP CONSTRAINT links_price_check,
    ADD CONSTRAINT links_price_check CHECK (CASE WHEN sells = 'items' THEN price = 0 ELSE price > 0 END);

CREATE TABLE link_lines (
    link_id text NOT NULL REFERENCES links,
    line    smallint NOT NULL,
    item_id text NOT NULL REFERENCES items,
    qty     int NOT NULL CHECK (qty > 0),
    PRIMARY KEY (link_id, line)
);

-- +goose StatementBegin
CREATE FUNCTION link_goods(of_link text, in_live boolean) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_agg(jsonb_build_object('item', i.id, 'title', i.title, 'edition', i.edition, 'kind', i.kind, 'pricing', i.pricing, 'price', i.price,
        'image', coalesce(i.image_id, ''), 'file', coalesce(i.file_id, ''), 'archived', i.archived_at IS NOT NULL, 'limited', s.limited, 'free', s.put - s.taken, 'qty', l.qty) ORDER BY l.line)
    FROM link_lines l JOIN items i ON i.id = l.item_id JOIN item_stock s ON s.item_id = i.id AND s.livemode = in_live
    WHERE l.link_id = of_link
$$;
-- +goose StatementEnd

ALTER TABLE attempts
    ADD COLUMN holds_stock boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT attempts_amount_check,
    ADD CONSTRAINT attempts_amount_check CHECK (amount >= 0);
ALTER TABLE attempt_lines
    ADD COLUMN kind text NOT NULL DEFAULT '',
    ADD COLUMN file_id text NOT NULL DEFAULT ''; -- what its buyer fetches

-- What a buyer tells of himself.
CREATE TABLE attempt_buyers (
    attempt_id text PRIMARY KEY REFERENCES attempts,
    email      text NOT NULL DEFAULT '',
    name       text NOT NULL DEFAULT '',
    note       text NOT NULL DEFAULT '',
    shipping   jsonb -- null: nothing is sent
);

-- Stock held by one line of a purchase: claimed by its payment, or released by its end. Items are named without a key to
-- them, each check of which would lock a row that all purchases share.
CREATE TABLE reservations (
    id          text PRIMARY KEY COLLATE "C",
    merchant_id text NOT NULL,
    attempt_id  text NOT NULL REFERENCES attempts,
    line        smallint NOT NULL,
    item_id     text NOT NULL,
    livemode    boolean NOT NULL,
    qty         int NOT NULL CHECK (qty > 0),
    status      text NOT NULL CHECK (status IN ('held', 'claimed', 'released')),
    -- The buyer's network address while nothing is paid; empty for tills, sellers' keys, and once somebody pays.
    unpaid_from text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    CHECK (unpaid_from = '' OR status = 'held')
);
CREATE UNIQUE INDEX reservations_living ON reservations (attempt_id, line) WHERE status <> 'released';
CREATE INDEX reservations_of_attempt ON reservations (attempt_id);
CREATE INDEX reservations_held ON reservations (item_id, livemode) INCLUDE (qty) WHERE status = 'held';
CREATE INDEX reservations_unpaid ON reservations (item_id, livemode, created_at) WHERE unpaid_from <> '';

-- +goose StatementBegin
CREATE FUNCTION reservation_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status <> 'held' THEN
        RAISE EXCEPTION 'reservation % cannot go from % to %', OLD.id, OLD.status, NEW.status USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER reservation_moves BEFORE UPDATE OF status ON reservations
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION reservation_moves();

ALTER TABLE sales
    ADD COLUMN kind text NOT NULL DEFAULT '',
    ADD COLUMN fulfilment text NOT NULL DEFAULT '' CHECK (fulfilment IN ('', 'unfulfilled', 'fulfilled')),
    ADD COLUMN fulfilled_at timestamptz,
    ADD COLUMN fulfilled_by text NOT NULL DEFAULT '',
    ADD COLUMN fulfilment_note text NOT NULL DEFAULT '';
CREATE INDEX sales_of_fulfilment ON sales (merchant_id, livemode, fulfilment, id DESC) WHERE fulfilment <> '';

-- How often a buyer fetched a file.
CREATE TABLE downloads (
    attempt_id text NOT NULL REFERENCES attempts,
    line       smallint NOT NULL,
    upload_id  text NOT NULL REFERENCES uploads,
    times      int NOT NULL,
    last_at    timestamptz NOT NULL,
    PRIMARY KEY (attempt_id, line)
);

-- Money that came for what could not be sold any more: somebody has to give it back, or find the goods.
CREATE TABLE exceptions (
    id            text PRIMARY KEY COLLATE "C",
    merchant_id   text NOT NULL,
    livemode      boolean NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('late_sold_out', 'late_declined')),
    attempt_id    text NOT NULL REFERENCES attempts,
    settlement_id text NOT NULL REFERENCES settlements,
    payer         text NOT NULL,
    amount        bigint NOT NULL,
    network       text NOT NULL,
    transaction   text NOT NULL,
    created_at    timestamptz NOT NULL,
    resolved_at   timestamptz,
    resolution    text NOT NULL DEFAULT '',
    UNIQUE (kind, settlement_id)
);
CREATE INDEX exceptions_open ON exceptions (merchant_id, livemode, id DESC) WHERE resolved_at IS NULL;
CREATE INDEX exceptions_of_attempt ON exceptions (attempt_id) WHERE resolved_at IS NULL;

-- Whether a tablet locks itself after each sale.
ALTER TABLE devices ADD COLUMN locks_each boolean NOT NULL DEFAULT false;

-- What a tablet sells. Its ticket is one document: it is read whole and written whole, at every tap.
CREATE TABLE tills (
    device_id text PRIMARY KEY REFERENCES devices,
    -- Counts the changes, so that a tap on Charge means the ticket that was on the screen.
    version   bigint NOT NULL,
    ticket    jsonb NOT NULL,
    parked    jsonb NOT NULL,
    charge_id text NOT NULL DEFAULT '' -- the purchase that the ticket became; empty once the ticket is changed
);

-- Purchases that began at a till.
CREATE TABLE till_charges (
    attempt_id   text PRIMARY KEY COLLATE "C" REFERENCES attempts,
    device_id    text NOT NULL REFERENCES devices,
    person_id    text NOT NULL REFERENCES persons,
    cashier      text NOT NULL,
    first_id     text NOT NULL,            -- the charge before its customer chose a tip: itself, mostly
    next_id      text NOT NULL DEFAULT '', -- what took its place because of a tip
    opened_at    timestamptz,
    cancelled_at timestamptz,              -- by somebody at the till
    decision     text NOT NULL DEFAULT '' CHECK (decision IN ('', 'accepted', 'refund')),
    decided_at   timestamptz,
    CHECK ((decision = '') = (decided_at IS NULL))
);
CREATE INDEX till_charges_of_device ON till_charges (device_id, attempt_id DESC);

-- When a link begins and whether it rests; what its buyers are told and given, and where they are led.
ALTER TABLE links
    ADD COLUMN starts_at timestamptz,
    ADD COLUMN paused_at timestamptz,
    ADD COLUMN deleted_at timestamptz,
    ADD COLUMN message text NOT NULL DEFAULT '',
    ADD COLUMN file_id text REFERENCES uploads,
    ADD COLUMN key_item_id text REFERENCES items,
    ADD COLUMN leads_to text NOT NULL DEFAULT '' CHECK (leads_to = '' OR leads_to LIKE 'https://_%'),
    ADD COLUMN leads_all boolean NOT NULL DEFAULT false, -- also those who have not paid
    ADD CHECK (leads_to <> '' OR NOT leads_all),
    DROP CONSTRAINT links_price_check,
    ADD CONSTRAINT links_price_check CHECK (CASE WHEN sells = 'items' THEN price = 0 WHEN leads_all THEN price >= 0 ELSE price > 0 END);

-- How often a link that leads somewhere was opened, in slots so that simultaneous clicks do not queue for one row.
CREATE TABLE link_clicks (
    link_id text NOT NULL REFERENCES links,
    slot    smallint NOT NULL,
    clicks  bigint NOT NULL,
    led     bigint NOT NULL, -- how often somebody was led on
    PRIMARY KEY (link_id, slot)
) WITH (fillfactor = 50);

-- The item of which every buyer of a link gets a key besides, as link_goods has it.
-- +goose StatementBegin
CREATE FUNCTION link_gift(of_link text, in_live boolean) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_agg(jsonb_build_object('item', i.id, 'title', i.title, 'edition', i.edition, 'kind', i.kind, 'pricing', i.pricing, 'price', 0,
        'image', '', 'file', '', 'archived', i.archived_at IS NOT NULL, 'limited', s.limited, 'free', s.put - s.taken, 'qty', 1))
    FROM links l JOIN items i ON i.id = l.key_item_id JOIN item_stock s ON s.item_id = i.id AND s.livemode = in_live
    WHERE l.id = of_link
$$;
-- +goose StatementEnd

-- What a link's buyers are asked before they pay, and what they read while it is paused.
ALTER TABLE links
    ADD COLUMN asks text[] NOT NULL DEFAULT '{}' CHECK (asks <@ '{name,email,note,tip}'),
    ADD COLUMN pause_text text NOT NULL DEFAULT '';

-- What a visitor of a storefront has put aside to buy there. Its lines are one document: they are read whole and written
-- whole, at every tap. It goes when it is bought, emptied, or forgotten.
CREATE TABLE carts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    visitor     bytea NOT NULL, -- SHA-256 of what his browser keeps
    merchant_id text NOT NULL REFERENCES merchants,
    version     bigint NOT NULL DEFAULT 0, -- counts the changes, so that a tap on Pay means the cart that was on the screen
    lines       jsonb NOT NULL DEFAULT '{}',
    touched_at  timestamptz NOT NULL,
    UNIQUE (visitor, merchant_id)
);
CREATE INDEX carts_touched ON carts (touched_at);
