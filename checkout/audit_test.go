package checkout_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
)

// damage is what the audit must find, and how it is done and undone.
var damage = []struct{ rule, do, undo string }{
	{
		"the entries of a posting sum to zero",
		`ALTER TABLE entries DISABLE TRIGGER USER; UPDATE entries SET amount = amount + 1 WHERE line = 0`,
		`UPDATE entries SET amount = amount - 1 WHERE line = 0; ALTER TABLE entries ENABLE TRIGGER USER`,
	},
	{
		"a cached balance is the sum of its entries",
		`UPDATE balances SET amount = amount + 1`, `UPDATE balances SET amount = amount - 1`,
	},
	{
		"no wallet is below zero",
		`UPDATE balances SET amount = -amount`, `UPDATE balances SET amount = -amount`,
	},
	{
		"an authorization has one settlement",
		`DROP INDEX settlements_authorization, settlements_log, settlements_of_attempt;
		 CREATE TABLE twin AS SELECT * FROM settlements WHERE NOT simulated; UPDATE twin SET id = 'stl_twin'; INSERT INTO settlements SELECT * FROM twin`,
		`DELETE FROM settlements WHERE id = 'stl_twin'`,
	},
	{
		"a purchase has one living claim",
		`DROP INDEX claims_authorization, claims_of_attempt; CREATE TABLE twins AS SELECT * FROM claims; UPDATE twins SET id = 'clm_twin'; INSERT INTO claims SELECT * FROM twins`,
		`DELETE FROM claims WHERE id = 'clm_twin'`,
	},
	{
		"a paid purchase has its sales",
		`UPDATE sales SET amount = amount - 1`, `UPDATE sales SET amount = amount + 1`,
	},
	{
		"a purchase and its settlement agree",
		`UPDATE settlements SET status = 'failed' WHERE NOT simulated`, `UPDATE settlements SET status = 'confirmed'`,
	},
	{
		"a settlement is in the books once",
		`UPDATE settlements SET amount = amount + 1`, `UPDATE settlements SET amount = amount - 1`,
	},
	{
		"a link counts what its purchases hold",
		`UPDATE links SET payments_taken = payments_taken - 1`, `UPDATE links SET payments_taken = payments_taken + 1`,
	},
	{
		"a purchase that ended holds nothing",
		`UPDATE attempts SET holds_payment = true WHERE status = 'expired'`, `UPDATE attempts SET holds_payment = false WHERE status = 'expired'`,
	},
	{
		"a link's totals are those of its sales",
		`UPDATE link_totals SET payments = payments + 1`, `UPDATE link_totals SET payments = payments - 1`,
	},
	{
		"a link's totals are those of its sales",
		`CREATE TABLE lost_totals AS SELECT * FROM link_totals; DELETE FROM link_totals`, `INSERT INTO link_totals SELECT * FROM lost_totals`,
	},
	{
		"the days' totals are those of the sales",
		`CREATE TABLE lost_days AS SELECT * FROM sales_sums; DELETE FROM sales_sums`, `INSERT INTO sales_sums SELECT * FROM lost_days`,
	},
	{
		"the days' totals are those of the sales",
		`UPDATE sales_sums SET start = start + 1 WHERE span = 'day' AND by = 'item'`, `UPDATE sales_sums SET start = start - 1 WHERE span = 'day' AND by = 'item'`,
	},
	{
		"the days' totals are those of the sales",
		`UPDATE sales_sums SET amount = amount + 1 WHERE span = 'month' AND by = 'hour'`, `UPDATE sales_sums SET amount = amount - 1 WHERE span = 'month' AND by = 'hour'`,
	},
	{
		"what is sold, held and free was put in",
		`UPDATE item_stock SET taken = taken + 1 WHERE put = 5`, `UPDATE item_stock SET taken = taken - 1 WHERE put = 5`,
	},
	{
		"what is sold, held and free was put in",
		`UPDATE reservations SET qty = qty + 1`, `UPDATE reservations SET qty = qty - 1`,
	},
	{
		"stock is held by who may pay, and claimed by who paid",
		`CREATE TABLE holding AS SELECT id FROM attempts WHERE holds_stock; UPDATE attempts SET holds_stock = false`,
		`UPDATE attempts SET holds_stock = true WHERE id IN (SELECT id FROM holding)`,
	},
	{
		"a key is given to one who paid for it",
		`INSERT INTO item_keys (item_id, livemode, key, created_at) SELECT item_id, livemode, 'one more', created_at FROM item_keys LIMIT 1`,
		`DELETE FROM item_keys WHERE key = 'one more'`,
	},
	{
		"a sale has the stock that it claimed",
		`UPDATE sales SET reservation_id = 'no' || reservation_id WHERE reservation_id <> ''`,
		`UPDATE sales SET reservation_id = substr(reservation_id, 3) WHERE reservation_id <> ''`,
	},
	{
		"no relayer nonce is left out",
		`INSERT INTO relays SELECT network, address, nonce + 2, NULL, true, state, hash, block, block_hash, final, created_at FROM relays`,
		`DELETE FROM relays WHERE settlement IS NULL`,
	},
	{
		"a confirmed settlement is on the chain",
		`UPDATE settlements SET block_hash = 'of a block that is gone' || block_hash`,
		`UPDATE settlements SET block_hash = substr(block_hash, length('of a block that is gone') + 1)`,
	},
	{
		"a transfer to a shop is explained",
		`UPDATE settlements SET transaction = upper(transaction), log_index = log_index + 1`,
		`UPDATE settlements SET transaction = replace(lower(transaction), '0X', '0x'), log_index = log_index - 1`,
	},
}

func TestTheAuditFindsEveryDamage(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{limit: 5, dirty: true})
	a, simulated, leaving := s.begin(t), s.beginFrom(t, ""), s.beginFrom(t, "")
	_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)
	for _, a := range []checkout.Attempt{simulated, s.bought(t, "", s.stocked(t, "Beans", 5), 2), s.bought(t, "", s.game(t, "A", "B"), 1)} {
		_, err = s.checkout.Simulate(t.Context(), s.merchant, a.ID, checkout.Direct)
		require.NoError(t, err)
	}
	s.worker.stop(t)
	s.clock.advance(s.hold)
	require.NoError(t, s.checkout.Expire(t.Context(), leaving.ID))
	s.exec(t, `UPDATE settlements SET status = 'confirmed'`) // final where the worker was quick
	require.Empty(t, s.findings(t))

	for _, d := range damage {
		s.exec(t, d.do)
		require.Contains(t, rulesOf(s.findings(t)), d.rule)
		s.exec(t, d.undo)
		require.Empty(t, s.findings(t), "after %q was mended", d.rule)
	}

	s.awaitFundedAgain(t)
	s.begin(t)
	s.exec(t, `DELETE FROM river_job`)
	require.Empty(t, s.findings(t), "a moment ago")
	s.clock.advance(61 * time.Second)
	require.Contains(t, rulesOf(s.findings(t)), "what is under way has a job")

	require.NoError(t, world.dev().Mint(t.Context(), s.payee, 1))
	require.Contains(t, rulesOf(s.findings(t)), "a transfer to a shop is explained")
}

func (s *testShop) awaitFundedAgain(t *testing.T) {
	t.Helper()
	s.worker = s.start(t, role{settles: true})
	s.awaitFunded(t)
}
