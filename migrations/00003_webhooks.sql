-- +goose Up
-- What merchants' servers are told, and what became of it. Business times are given by the program, in UTC.
--
-- The big tables (events, deliveries, tries) refer to each other by id alone: a payment does not lock its shop's
-- row to tell of itself, and ids begin with their time, so that each table can be split by month along its key.

-- One row: after a restore the server's transactions count from anew, so the feed begins a new epoch.
CREATE TABLE event_epoch (
    epoch smallint NOT NULL,
    one   boolean NOT NULL DEFAULT true UNIQUE CHECK (one)
);
INSERT INTO event_epoch (epoch) VALUES (0);

-- What happened. The body is made once: these bytes are signed and sent at every try.
CREATE TABLE events (
    id            text PRIMARY KEY COLLATE "C",
    merchant_id   text NOT NULL,
    livemode      boolean NOT NULL,
    event_type    text NOT NULL,
    resource_type text NOT NULL,
    resource_id   text NOT NULL COLLATE "C",
    -- Counts the events of one resource from 1, without gaps.
    sequence      bigint NOT NULL CHECK (sequence > 0),
    body          bytea NOT NULL CHECK (length(body) <= 65536),
    -- How many subscriptions were to hear of it: as many original deliveries there are.
    subscribers   smallint NOT NULL CHECK (subscribers >= 0),
    -- Order in the feed is the order of the writing transactions, so that no late commit is skipped.
    epoch         smallint NOT NULL,
    written_by    xid8 NOT NULL DEFAULT pg_current_xact_id(),
    created_at    timestamptz NOT NULL,
    UNIQUE (resource_id, sequence)
);
CREATE INDEX events_feed ON events (merchant_id, livemode, epoch, written_by, id);
CREATE TRIGGER append_only
    BEFORE UPDATE OF id, merchant_id, livemode, event_type, resource_type, resource_id, sequence, body, subscribers, created_at ON events
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- The largest number of each resource among the events that are no longer kept.
CREATE TABLE event_sequences (
    resource_id text PRIMARY KEY COLLATE "C",
    last        bigint NOT NULL
);

-- +goose StatementBegin
-- Call it after a restore and at every start: it sees by itself whether the server's transactions began anew.
CREATE FUNCTION events_rebase() RETURNS void LANGUAGE sql AS $$
    UPDATE event_epoch SET epoch = epoch + 1
    WHERE pg_current_xact_id() <= (
        SELECT max(newest.written_by)
        FROM (SELECT e.written_by, e.epoch FROM events e ORDER BY e.id DESC LIMIT 1000) newest
        WHERE newest.epoch = event_epoch.epoch
    );
$$;
-- +goose StatementEnd

-- Who is told, and where.
CREATE TABLE subscriptions (
    id              text PRIMARY KEY COLLATE "C",
    merchant_id     text NOT NULL REFERENCES merchants,
    livemode        boolean NOT NULL,
    url             text NOT NULL CHECK (length(url) BETWEEN 1 AND 2048),
    description     text NOT NULL DEFAULT '',
    events          text[] NOT NULL DEFAULT '{}', -- empty: all
    status          text NOT NULL CHECK (status IN ('active', 'paused', 'disabled')),
    disabled_reason text NOT NULL DEFAULT '',
    disabled_at     timestamptz,
    -- Sealed with the master key. From overlap_until on, next_secret is the only one.
    secret          bytea NOT NULL,
    next_secret     bytea,
    overlap_until   timestamptz,
    -- Its deliveries wait on a queue of their own, so that healthy servers do not wait for this one.
    slow            boolean NOT NULL DEFAULT false,
    -- Idempotency keys, hashed with their scope, of the calls that made the row and its next secret.
    once            bytea UNIQUE,
    next_once       bytea,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    removed_at      timestamptz, -- unregistered; its log stays
    CHECK ((next_secret IS NULL) = (overlap_until IS NULL)),
    CHECK ((status = 'disabled') = (disabled_at IS NOT NULL))
);
CREATE INDEX subscriptions_of_merchant ON subscriptions (merchant_id, livemode, id DESC) WHERE removed_at IS NULL;

-- +goose StatementBegin
-- Writes events, each with the next number of its resource in the middle of its body, and returns who is to hear of
-- them. nths counts the events of one resource within the call. An addressee hears of them alone, whatever it asked
-- for; empty: everybody who asked.
--
-- It stands in the way of every payment: to plan it takes three times as long as to do it, so it is planned once, and
-- for large tables.
CREATE FUNCTION events_publish(
    ids text[], merchants text[], livemodes boolean[], types text[], resource_types text[], resources text[], nths bigint[],
    heads bytea[], tails bytea[], addressee text, at timestamptz
) RETURNS TABLE (event_id text, subscription_id text, slow boolean) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH given AS (
        SELECT * FROM unnest(ids, merchants, livemodes, types, resource_types, resources, nths, heads, tails)
            AS g (id, merchant_id, livemode, event_type, resource_type, resource_id, nth, head, tail)
    ), hearers AS (
        SELECT given.id AS event_id, s.id AS subscription_id, s.slow
        FROM given JOIN subscriptions s ON s.merchant_id = given.merchant_id AND s.livemode = given.livemode
        WHERE s.removed_at IS NULL AND CASE WHEN addressee = ''
            THEN s.status = 'active' AND (s.events = '{}' OR given.event_type = ANY (s.events))
            ELSE s.id = addressee END
    ), numbered AS (
        -- Of two events the later may be gone before the earlier: neither number is the last by itself.
        SELECT given.*, given.nth + greatest(
            (SELECT max(e.sequence) FROM events e WHERE e.resource_id = given.resource_id),
            (SELECT q.last FROM event_sequences q WHERE q.resource_id = given.resource_id), 0) AS sequence
        FROM given
    ), written AS (
        INSERT INTO events (id, merchant_id, livemode, event_type, resource_type, resource_id, sequence, body, subscribers, epoch, created_at)
        SELECT n.id, n.merchant_id, n.livemode, n.event_type, n.resource_type, n.resource_id, n.sequence,
            n.head || convert_to(n.sequence::text, 'UTF8') || n.tail,
            (SELECT count(*) FROM hearers h WHERE h.event_id = n.id), (SELECT epoch FROM event_epoch WHERE one), at
        FROM numbered n
    )
    SELECT h.event_id, h.subscription_id, h.slow FROM hearers h;
END $$;
-- +goose StatementEnd

-- How a subscription's server does. Written at every try, and therefore apart from the row that every event reads.
CREATE TABLE subscription_health (
    subscription_id   text PRIMARY KEY COLLATE "C" REFERENCES subscriptions,
    last_delivered_at timestamptz,
    failing_since     timestamptz,            -- the first failed try after the last success
    failures          int NOT NULL DEFAULT 0, -- failed tries since the last success
    told_at           timestamptz,            -- when the shop was told that a delivery failed for good, since the last success
    latency_ms        int NOT NULL DEFAULT 0, -- of a typical try, newest weighted most
    -- The breaker: closed while opened_until is null; open until then; then one probe, which holds probe_until.
    opened_until      timestamptz,
    openings          int NOT NULL DEFAULT 0, -- in a row: each opening waits longer
    probe_until       timestamptz,
    window_started_at timestamptz,
    window_tries      int NOT NULL DEFAULT 0,
    window_failures   int NOT NULL DEFAULT 0,
    -- The rate: when the next try may begin if none were saved up.
    next_slot_at      timestamptz
) WITH (fillfactor = 50);

-- Tries in flight over all dispatchers: whoever holds a slot may call the server.
CREATE TABLE subscription_slots (
    subscription_id text NOT NULL COLLATE "C" REFERENCES subscriptions,
    slot            smallint NOT NULL CHECK (slot BETWEEN 0 AND 3),
    delivery_id     text COLLATE "C",
    lease           bytea,
    lease_until     timestamptz,
    PRIMARY KEY (subscription_id, slot),
    CHECK ((delivery_id IS NULL) = (lease IS NULL) AND (lease IS NULL) = (lease_until IS NULL))
) WITH (fillfactor = 50);

-- All failed deliveries since a time, sent again.
CREATE TABLE replays (
    id              text PRIMARY KEY COLLATE "C",
    merchant_id     text NOT NULL REFERENCES merchants,
    livemode        boolean NOT NULL,
    subscription_id text COLLATE "C" REFERENCES subscriptions, -- null: all of the shop's
    since           timestamptz NOT NULL,
    until           timestamptz NOT NULL, -- when it was asked for: what fails later is not part of it
    rate            int NOT NULL CHECK (rate > 0), -- deliveries a second
    count           int NOT NULL CHECK (count >= 0),
    done            int NOT NULL DEFAULT 0 CHECK (done >= 0),
    cursor          text NOT NULL DEFAULT '' COLLATE "C", -- the last delivery that was made again
    status          text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'done', 'cancelled')),
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    ended_at        timestamptz,
    CHECK ((status = 'running') = (ended_at IS NULL))
);
CREATE INDEX replays_newest ON replays (merchant_id, livemode, id DESC);
CREATE INDEX replays_running ON replays (updated_at) WHERE status = 'running';

-- One event on its way to one subscription.
CREATE TABLE deliveries (
    id              text PRIMARY KEY COLLATE "C",
    event_id        text NOT NULL COLLATE "C",
    subscription_id text NOT NULL COLLATE "C",
    merchant_id     text NOT NULL,
    livemode        boolean NOT NULL,
    event_type      text NOT NULL,
    resource_id     text NOT NULL COLLATE "C",
    status          text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed', 'cancelled')),
    reason          text NOT NULL DEFAULT '',           -- why it failed or was cancelled
    tries           int NOT NULL DEFAULT 0 CHECK (tries >= 0), -- that count: interrupted ones do not
    next_try_at     timestamptz,
    lease           bytea,
    lease_until     timestamptz,
    -- Since when it is due and waits for its server: all slots taken, the breaker open, or paused.
    waits_since     timestamptz,
    replay_of       text COLLATE "C", -- the delivery that it repeats; null: the original
    replay_id       text COLLATE "C", -- the replay of many that it belongs to
    -- Of the last try.
    last_status     int NOT NULL DEFAULT 0,
    last_class      text NOT NULL DEFAULT '',
    last_ms         int NOT NULL DEFAULT 0,
    last_try_at     timestamptz,
    created_at      timestamptz NOT NULL,
    ended_at        timestamptz,
    CHECK ((status = 'pending') = (ended_at IS NULL)),
    CHECK ((status = 'pending') = (next_try_at IS NOT NULL)),
    CHECK ((lease IS NULL) = (lease_until IS NULL) AND (status = 'pending' OR lease IS NULL)),
    CHECK (waits_since IS NULL OR (status = 'pending' AND lease IS NULL)),
    CHECK (status NOT IN ('failed', 'cancelled') OR reason <> ''),
    CHECK (replay_id IS NULL OR replay_of IS NOT NULL)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX deliveries_original ON deliveries (event_id, subscription_id) WHERE replay_of IS NULL;
CREATE INDEX deliveries_repeated ON deliveries (event_id) WHERE replay_of IS NOT NULL;
CREATE UNIQUE INDEX deliveries_of_replay ON deliveries (replay_id, replay_of) WHERE replay_id IS NOT NULL;
CREATE INDEX deliveries_newest ON deliveries (merchant_id, livemode, id DESC);
CREATE INDEX deliveries_by_status ON deliveries (merchant_id, livemode, status, id DESC);
CREATE INDEX deliveries_of_subscription ON deliveries (subscription_id, id DESC);
CREATE INDEX deliveries_failed ON deliveries (subscription_id, id DESC) WHERE status = 'failed';
CREATE INDEX deliveries_of_resource ON deliveries (merchant_id, livemode, resource_id, id DESC);
CREATE INDEX deliveries_of_type ON deliveries (merchant_id, livemode, event_type, id DESC);
CREATE INDEX deliveries_due ON deliveries (next_try_at) WHERE status = 'pending';
CREATE INDEX deliveries_waiting ON deliveries (subscription_id, waits_since) WHERE waits_since IS NOT NULL;
CREATE INDEX deliveries_pending ON deliveries (subscription_id) WHERE status = 'pending';

-- +goose StatementBegin
CREATE FUNCTION delivery_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status <> 'pending' THEN
        RAISE EXCEPTION 'delivery % cannot go from % to %', OLD.id, OLD.status, NEW.status USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER delivery_moves BEFORE UPDATE OF status ON deliveries
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION delivery_moves();

-- One call of a server; written before the call is made.
CREATE TABLE tries (
    delivery_id     text NOT NULL COLLATE "C",
    number          int NOT NULL CHECK (number > 0), -- in the order in which they began
    attempt         int NOT NULL CHECK (attempt > 0), -- what the server was told: interrupted tries do not count
    state           text NOT NULL DEFAULT 'started' CHECK (state IN ('started', 'succeeded', 'failed', 'interrupted')),
    lease           bytea NOT NULL,
    url             text NOT NULL,
    request_headers jsonb NOT NULL, -- signatures redacted
    started_at      timestamptz NOT NULL,
    ended_at        timestamptz,
    status          int NOT NULL DEFAULT 0,
    class           text NOT NULL DEFAULT '',
    error           text NOT NULL DEFAULT '',
    connected_ms    int NOT NULL DEFAULT 0,
    latency_ms      int NOT NULL DEFAULT 0,
    tls             text NOT NULL DEFAULT '',
    answer_headers  jsonb NOT NULL DEFAULT '{}',
    answer          bytea NOT NULL DEFAULT '' CHECK (length(answer) <= 4096),
    answer_bytes    bigint NOT NULL DEFAULT 0, -- what the server sent, or was seen of it
    next_try_at     timestamptz,
    PRIMARY KEY (delivery_id, number),
    CHECK ((state = 'started') = (ended_at IS NULL))
);

-- +goose StatementBegin
CREATE FUNCTION try_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'started' THEN
        RAISE EXCEPTION 'try % of % cannot go from % to %', OLD.number, OLD.delivery_id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER try_moves BEFORE UPDATE OF state ON tries
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION try_moves();

-- +goose StatementBegin
CREATE FUNCTION subscription_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.removed_at IS NOT NULL OR (OLD.status, NEW.status) = ('disabled', 'paused') THEN
        RAISE EXCEPTION 'subscription % cannot go from % to %', OLD.id, OLD.status, NEW.status USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER subscription_moves BEFORE UPDATE OF status ON subscriptions
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION subscription_moves();

-- Lines in the dashboard's bell.
CREATE TABLE notices (
    id          text PRIMARY KEY COLLATE "C",
    merchant_id text NOT NULL REFERENCES merchants,
    livemode    boolean NOT NULL,
    kind        text NOT NULL,
    text        text NOT NULL CHECK (text <> ''),
    link        text NOT NULL DEFAULT '', -- a path of the dashboard
    created_at  timestamptz NOT NULL,
    read_at     timestamptz
);
CREATE INDEX notices_newest ON notices (merchant_id, livemode, id DESC);
CREATE INDEX notices_unread ON notices (merchant_id, livemode, id DESC) WHERE read_at IS NULL;
