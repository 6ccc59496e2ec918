-- +goose Up
-- What a shop looks at: figures by day in its own time zone, and its payments found by what is written on them.

-- The zone is one that the database knows by name. While figures are counted anew for another one, that is next_zone.
ALTER TABLE merchants ADD COLUMN zone text NOT NULL DEFAULT 'UTC',
    ADD COLUMN next_zone text NOT NULL DEFAULT '';
CREATE INDEX merchants_counting ON merchants (id) WHERE next_zone <> '';

ALTER TABLE settlements ADD COLUMN block_time timestamptz;

-- What came with the whole payment, so that it is found by that; and whether the chain took it back.
ALTER TABLE sales ADD COLUMN paid bigint NOT NULL DEFAULT 0,
    ADD COLUMN reversed boolean NOT NULL DEFAULT false;
UPDATE sales SET paid = whole.amount FROM (SELECT attempt_id, sum(amount) AS amount FROM sales GROUP BY attempt_id) whole WHERE whole.attempt_id = sales.attempt_id;

-- A list that is narrowed by one of these reads its own part of the history and no other.
CREATE INDEX sales_of_channel ON sales (merchant_id, livemode, channel, created_at DESC, id DESC);
CREATE INDEX sales_of_item ON sales (merchant_id, livemode, item_id, created_at DESC, id DESC);
CREATE INDEX sales_of_payer ON sales (merchant_id, livemode, purchaser_address COLLATE "C", created_at DESC, id DESC);
CREATE INDEX sales_of_transaction ON sales (merchant_id, livemode, transaction COLLATE "C", created_at DESC, id DESC);
CREATE INDEX sales_of_paid ON sales (merchant_id, livemode, paid, created_at DESC, id DESC);
CREATE INDEX sales_of_reference ON sales (merchant_id, livemode, lower(reference) COLLATE "C", created_at DESC, id DESC) WHERE reference <> '';

-- Names under which things were sold, for who looks for words in them.
CREATE TABLE sold_titles (
    merchant_id text NOT NULL,
    livemode    boolean NOT NULL,
    item_id     text NOT NULL,
    title       text NOT NULL,
    PRIMARY KEY (merchant_id, livemode, item_id, title)
);
CREATE INDEX sold_titles_words ON sold_titles USING gin (to_tsvector('simple', title));
INSERT INTO sold_titles SELECT DISTINCT merchant_id, livemode, item_id, item_title FROM sales WHERE item_id <> '';

-- Counts and sums by the shop's day and month, in slots, so that no page reads the history: by channel, where every payment
-- is counted once, by hour of the day, by item, where every line is, and by link; and what went back to buyers.
CREATE TABLE sales_sums (
    merchant_id text NOT NULL,
    livemode    boolean NOT NULL,
    zone        text NOT NULL,
    by          text NOT NULL CHECK (by IN ('channel', 'hour', 'item', 'link', 'refund')),
    span        text NOT NULL CHECK (span IN ('day', 'month')),
    start       date NOT NULL,
    key         text NOT NULL,
    slot        smallint NOT NULL,
    payments    bigint NOT NULL,
    qty         bigint NOT NULL,
    amount      bigint NOT NULL,
    fee         bigint NOT NULL,
    PRIMARY KEY (merchant_id, livemode, zone, by, span, start, key, slot)
);

-- The zones in which a shop's figures are counted: its own and, while they are counted anew, the next one.
CREATE VIEW merchant_zones AS
SELECT id AS merchant_id, false AS next, zone FROM merchants
UNION ALL SELECT id AS merchant_id, true AS next, next_zone AS zone FROM merchants WHERE next_zone <> '';

CREATE VIEW sums_spans AS SELECT 'day'::text AS span UNION ALL SELECT 'month'::text AS span;

CREATE VIEW sums_ways AS
SELECT 'channel'::text AS by UNION ALL SELECT 'hour'::text AS by UNION ALL SELECT 'item'::text AS by UNION ALL SELECT 'link'::text AS by;

-- How a sale is counted: the rows of sales_sums that it is part of. What was never there, and what the chain took back, is in none.
CREATE VIEW counted_sales AS
SELECT s.id, s.merchant_id, s.livemode, s.attempt_id, s.created_at, z.next, z.zone, w.by, p.span, date_trunc(p.span, s.created_at AT TIME ZONE z.zone)::date AS start,
    CASE w.by WHEN 'channel' THEN s.channel WHEN 'hour' THEN to_char(s.created_at AT TIME ZONE z.zone, 'HH24') WHEN 'item' THEN s.item_id ELSE coalesce(s.link_id, '') END AS key,
    s.qty, s.amount, s.fee
FROM sales s JOIN merchant_zones z ON z.merchant_id = s.merchant_id CROSS JOIN sums_spans p CROSS JOIN sums_ways w
WHERE NOT s.simulated AND NOT s.reversed AND (w.by <> 'item' OR s.item_id <> '') AND (w.by <> 'link' OR s.link_id IS NOT NULL);

-- The same of refunds, by the day on which the money was back.
CREATE VIEW counted_refunds AS
SELECT r.id, r.merchant_id, r.livemode, z.next, z.zone, p.span, date_trunc(p.span, r.ended_at AT TIME ZONE z.zone)::date AS start, r.amount, r.fee
FROM refunds r JOIN merchant_zones z ON z.merchant_id = r.merchant_id CROSS JOIN sums_spans p
WHERE r.status = 'completed' AND r.attempt_id <> '';

INSERT INTO sales_sums (merchant_id, livemode, zone, by, span, start, key, slot, payments, qty, amount, fee)
SELECT merchant_id, livemode, zone, by, span, start, key, 0, count(DISTINCT attempt_id), sum(qty), sum(amount), sum(fee)
FROM counted_sales GROUP BY 1, 2, 3, 4, 5, 6, 7;
DROP TABLE sales_days;
