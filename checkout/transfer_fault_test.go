package checkout_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/money"
	"xsynesis/shop"
)

func TestTheLastAmountIsFoundAndThenThereIsNone(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	cheap := s.newLink(t, s.merchant, shop.LinkForm{Title: "Espresso", Price: manualLeast})
	begin := func() checkout.Attempt {
		a, err := s.checkout.Start(t.Context(), checkout.Begin{Token: cheap.Token, From: "192.0.2.1"})
		require.NoError(t, err)
		return a
	}
	const amounts = int(manualLeast) / 100
	s.exec(t, `ALTER TABLE manual_amounts DROP CONSTRAINT manual_amounts_attempt_id_fkey`)
	s.exec(t, `INSERT INTO manual_amounts (attempt_id, network, pay_to, amount, opened_at, kept_until)
		SELECT 'taken ' || n, $1, lower($2), $3 + n, now(), now() + interval '1 hour' FROM generate_series(1, $4::int) n WHERE n <> 707`,
		sepolia, s.payee.Hex(), int64(manualLeast), amounts)
	a, b := begin(), begin()
	m, err := s.checkout.OpenManual(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, manualLeast+707, m.Amount)
	_, err = s.checkout.OpenManual(t.Context(), b.ID)
	require.ErrorIs(t, err, checkout.ErrCrowded)
	_, err = s.checkout.ManualOf(t.Context(), b.ID)
	require.ErrorIs(t, err, checkout.ErrNotFound, "he is told no amount at all")
}

func TestATransferThatCannotBeRecordedHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	bad, m := s.open(t)
	good, n := s.open(t)
	s.exec(t, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''not this one''; END'`)
	s.exec(t, `CREATE TRIGGER refuse BEFORE INSERT ON sales FOR EACH ROW WHEN (NEW.attempt_id = '`+string(bad.ID)+`') EXECUTE FUNCTION refuse()`)
	payer := newSpender(t, 10*money.One)
	sends(t, payer, bad.PayTo, m.Amount)
	sends(t, payer, good.PayTo, n.Amount)
	s.watch(t)
	require.Equal(t, checkout.Open, s.status(t, bad.ID))
	require.Equal(t, checkout.Settled, s.status(t, good.ID))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM transfers WHERE state = 'seen'`))

	s.exec(t, `DROP TRIGGER refuse ON sales`)
	s.watch(t)
	require.Equal(t, checkout.Settled, s.status(t, bad.ID), "it is tried again")
	require.Zero(t, s.count(t, `SELECT count(*) FROM transfers WHERE state = 'seen'`))
}

// TestAPaymentThatWaitedForAnotherIsNotLookedAtForEver has a refused payment reach the chain while another is under way.
func TestAPaymentThatWaitedForAnotherIsNotLookedAtForEver(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	a := s.begin(t)
	poor, poorer := newKey(), newKey()
	payment := s.sign(t, a, poor)
	require.NoError(t, settled(s.worker.checkout.Settle(t.Context(), s.claim(t, a, payment))))
	require.Equal(t, checkout.Open, s.status(t, a.ID), "he has no money")
	second := s.claim(t, a, s.sign(t, a, poorer))
	require.NoError(t, world.dev().Mint(t.Context(), addressOf(poor), price))
	sendByStranger(t, transferCall(payment))
	s.watch(t)
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM transfers WHERE state = 'seen'`), "the other may be refused yet")

	require.NoError(t, settled(s.worker.checkout.Settle(t.Context(), second)))
	s.watch(t)
	require.Equal(t, checkout.Settled, s.status(t, a.ID))
	require.Zero(t, s.count(t, `SELECT count(*) FROM transfers WHERE state = 'seen'`))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM sales`))
}

func TestWhatCameBackAfterItWasStruckIsListedAgain(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 4)
	s := newShopWith(t, plan{chain: dev, quiet: true})
	kept := addressOf(newKey())
	s.keepsAt(t, kept)
	a, m := s.open(t)
	key, other := newGas(t), newGas(t)
	require.NoError(t, dev.Mint(t.Context(), addressOf(key), 10*money.One))
	require.NoError(t, dev.Mint(t.Context(), addressOf(other), 10*money.One))
	short, dust := transferOf(t, dev, key, a.PayTo, m.Amount-1), transferOf(t, dev, other, a.PayTo, 7)
	entered := func(account string) money.USDC {
		return money.USDC(s.count(t, `SELECT coalesce(sum(amount), 0)::bigint FROM balances WHERE account = $1`, account))
	}
	block := mine(t, dev, short)
	mine(t, dev, dust)
	s.watch(t)
	require.Equal(t, 1, s.listed(t, "underpaid"))
	require.Equal(t, m.Amount+6, entered("deposit"))
	lose(t, dev, block)
	grow(t, dev, 12)
	s.watchAgain(t)
	require.Zero(t, s.listed(t, "underpaid"))
	require.Zero(t, entered("deposit"), "what is gone is not in the books, and dust neither")

	mine(t, dev, short)
	mine(t, dev, dust)
	s.watchAgain(t)
	require.Equal(t, 1, s.listed(t, "underpaid"))
	require.Equal(t, m.Amount+6, entered("deposit"))
	require.Equal(t, -m.Amount-6, entered("exceptions"))
}

func TestWhatOneShopPaysOutToAnotherIsSeenThere(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	key := newGas(t)
	require.NoError(t, world.dev().Mint(t.Context(), addressOf(key), 10*money.One))
	neighbour := s.found(t, "bookshop", addressOf(newKey()))
	s.exec(t, `INSERT INTO deposit_addresses (network, address, sealed, merchant_id, created_at, assigned_at)
		VALUES ($1, lower($2), '\x00', $3, now() - interval '1 minute', now() - interval '1 minute')`, sepolia, addressOf(key).Hex(), neighbour)
	a, m := s.open(t)
	sends(t, key, a.PayTo, m.Amount)
	s.watch(t)
	require.Equal(t, checkout.Settled, s.status(t, a.ID), "its money is as good as any")
}
