-- +goose Up
-- Books for all that happens to money: what is kept for shops, paid out, paid back, or not understood yet.

ALTER TABLE postings DROP CONSTRAINT postings_kind_check,
    ADD CONSTRAINT postings_kind_check CHECK (kind IN ('sale', 'simulated_sale', 'gas', 'reversal',
        'payout', 'payout_completed', 'payout_failed', 'refund', 'refund_completed', 'refund_failed', 'exception', 'exception_resolved'));
ALTER TABLE entries DROP CONSTRAINT entries_account_check,
    ADD CONSTRAINT entries_account_check CHECK (account IN ('wallet', 'sales', 'simulated_wallet', 'simulated_sales',
        'deposit', 'available', 'fees', 'payouts', 'refunds', 'exceptions', 'gas', 'relayer'));

-- Whether a purchase's money goes to an address that we keep for its shop, and our share of it.
ALTER TABLE attempts ADD COLUMN collected boolean NOT NULL DEFAULT false,
    ADD COLUMN refunded bigint NOT NULL DEFAULT 0,
    ADD CHECK (refunded BETWEEN 0 AND amount_received);
ALTER TABLE settlements ADD COLUMN collected boolean NOT NULL DEFAULT false,
    ADD COLUMN fee bigint NOT NULL DEFAULT 0 CHECK (fee >= 0),
    ADD COLUMN gas bigint NOT NULL DEFAULT 0 CHECK (gas >= 0); -- wei that our relayer paid for it
ALTER TABLE sales ADD COLUMN fee bigint NOT NULL DEFAULT 0,
    ADD COLUMN refunded bigint NOT NULL DEFAULT 0,
    ADD CHECK (refunded >= 0 AND refunded <= greatest(amount, 0));

-- A plain transfer has no nonce: its log names it.
DROP INDEX settlements_authorization;
CREATE UNIQUE INDEX settlements_authorization ON settlements (network, asset, payer, nonce) WHERE status NOT IN ('failed', 'reversed') AND facilitator <> 'transfer';
DROP INDEX settlements_log;
CREATE UNIQUE INDEX settlements_log ON settlements (network, transaction, log_index) WHERE log_index IS NOT NULL AND status NOT IN ('failed', 'reversed');

-- Money that somebody has to decide on, of whatever kind. What stands on the chain alone names its log.
ALTER TABLE exceptions DROP CONSTRAINT exceptions_kind_check,
    DROP CONSTRAINT exceptions_kind_settlement_id_key,
    ALTER COLUMN attempt_id DROP NOT NULL,
    ALTER COLUMN settlement_id DROP NOT NULL,
    ADD COLUMN pay_to text NOT NULL DEFAULT '',
    ADD COLUMN log_index int,
    ADD COLUMN block_time timestamptz,
    ADD COLUMN resolved_by text NOT NULL DEFAULT '',
    ADD COLUMN reason text NOT NULL DEFAULT '',
    ADD CONSTRAINT exceptions_kind_check CHECK (kind IN ('late_sold_out', 'late_declined', 'unmatched', 'underpaid', 'overpaid', 'paid_twice', 'missing', 'mismatch')),
    ADD CONSTRAINT exceptions_resolution_check CHECK (resolution IN ('', 'accepted', 'attached', 'refunded', 'ignored', 'returned', 'matched', 'reversed')),
    ADD CHECK (settlement_id IS NOT NULL OR log_index IS NOT NULL);
CREATE UNIQUE INDEX exceptions_of_settlement ON exceptions (settlement_id, kind) WHERE settlement_id IS NOT NULL;
CREATE UNIQUE INDEX exceptions_log ON exceptions (network, transaction, log_index)
    WHERE log_index IS NOT NULL AND settlement_id IS NULL AND resolution NOT IN ('attached', 'reversed'); -- what the chain took back may come again
-- The page of a purchase shows what came for it, also when somebody has decided on that, and what its buyer says is his.
DROP INDEX exceptions_of_attempt;
CREATE INDEX exceptions_of_attempt ON exceptions (attempt_id) WHERE attempt_id IS NOT NULL;
CREATE INDEX exceptions_of_transaction ON exceptions (transaction);
