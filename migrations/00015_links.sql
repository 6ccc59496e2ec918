-- +goose Up
-- A link's figures are without what the chain took back, as the shop's are.

INSERT INTO link_totals (link_id, slot, payments, amount, last_paid_at)
SELECT link_id, 0, -count(DISTINCT attempt_id), -sum(amount), 'epoch' FROM sales
WHERE reversed AND NOT simulated AND link_id IS NOT NULL GROUP BY link_id
ON CONFLICT (link_id, slot) DO UPDATE SET payments = link_totals.payments + excluded.payments, amount = link_totals.amount + excluded.amount;
