-- +goose Up
-- What is taken back: by the chain, by a shop, and by somebody who called a refund off after his wallet had sent it.

-- A link's figures are without what the chain took back, as the shop's are.
INSERT INTO link_totals (link_id, slot, payments, amount, last_paid_at)
SELECT link_id, 0, -count(DISTINCT attempt_id), -sum(amount), 'epoch' FROM sales
WHERE reversed AND NOT simulated AND link_id IS NOT NULL GROUP BY link_id
ON CONFLICT (link_id, slot) DO UPDATE SET payments = link_totals.payments + excluded.payments, amount = link_totals.amount + excluded.amount;

-- Goods are taken back once: a pass that was bought more often loses what one purchase added.
ALTER TABLE attempts ADD COLUMN revoked_at timestamptz;

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION refund_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.status, NEW.status) NOT IN (
        ('requested', 'processing'), ('requested', 'sent'), ('requested', 'completed'), ('requested', 'failed'),
        ('processing', 'sent'), ('processing', 'completed'), ('processing', 'failed'), ('sent', 'completed'), ('sent', 'failed')
    ) AND NOT (OLD.status = 'completed' AND NEW.status = 'sent' AND NEW.taken_back = OLD.taken_back + 1)
      AND NOT (OLD.status = 'failed' AND NEW.status = 'sent' AND NOT NEW.collected) THEN
        RAISE EXCEPTION 'refund % cannot go from % to %', OLD.id, OLD.status, NEW.status USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
