package checkout_test

import (
	"context"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/x402"
)

// claimed is a purchase whose payment is claimed and that nobody settles yet.
func (s *testShop) claimed(t *testing.T) (checkout.Attempt, x402.Payment) {
	t.Helper()
	a := s.begin(t)
	payment := s.sign(t, a, s.buyer)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _, _ = s.checkout.Pay(ctx, a.ID, payment) }()
	s.awaitStatus(t, a.ID, checkout.Settling)
	return a, payment
}

func TestSomebodyElseSendsThePayment(t *testing.T) {
	t.Parallel()

	t.Run("before our worker begins", func(t *testing.T) {
		t.Parallel()
		s := newShopWith(t, plan{quiet: true})
		a, payment := s.claimed(t)
		theirs := sendByStranger(t, transferCall(payment))
		s.start(t, role{settles: true, works: true})
		p := s.awaitStatus(t, a.ID, checkout.Settled)
		require.Equal(t, theirs.Hex(), p.Settlement.Transaction)
		require.Zero(t, s.count(t, `SELECT count(*) FROM relays`))
		s.soldOnce(t, p)
	})

	t.Run("while ours is stored and not sent", func(t *testing.T) {
		t.Parallel()
		l := newLine(t)
		s := newShopWith(t, plan{rpc: l.URL})
		l.hold("eth_sendRawTransaction")
		a, payment := s.claimed(t)
		l.awaitHeld(t, "eth_sendRawTransaction")
		theirs := sendByStranger(t, transferCall(payment))
		l.mend()
		p := s.awaitStatus(t, a.ID, checkout.Settled)
		require.Equal(t, theirs.Hex(), p.Settlement.Transaction)
		s.soldOnce(t, p)
		require.Eventually(t, func() bool { return s.count(t, `SELECT count(*) FROM relays WHERE state = 'reverted'`) == 1 },
			20*time.Second, 50*time.Millisecond, "what became of ours is not noted")
	})
}

func TestThePayerCancelsHisAuthorization(t *testing.T) {
	t.Parallel()

	t.Run("before anything is sent: the purchase may be paid again", func(t *testing.T) {
		t.Parallel()
		s := newShopWith(t, plan{quiet: true})
		a, payment := s.claimed(t)
		sendByStranger(t, cancelCall(t, s.network.Token, payment, s.buyer))
		s.start(t, role{settles: true, works: true})
		p := s.awaitStatus(t, a.ID, checkout.Open)
		require.Equal(t, string(x402.NonceUsed), p.Refusal)
		require.Nil(t, p.Claim)
		require.Zero(t, s.count(t, `SELECT count(*) FROM sales`))
		require.Zero(t, s.count(t, `SELECT count(*) FROM relays`))

		p, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, newBuyer(t)))
		require.NoError(t, err)
		s.soldOnce(t, p)
	})

	t.Run("after ours is stored: it has failed", func(t *testing.T) {
		t.Parallel()
		l := newLine(t)
		s := newShopWith(t, plan{rpc: l.URL, limit: 1})
		l.hold("eth_sendRawTransaction")
		a, payment := s.claimed(t)
		l.awaitHeld(t, "eth_sendRawTransaction")
		sendByStranger(t, cancelCall(t, s.network.Token, payment, s.buyer))
		l.mend()
		p := s.awaitStatus(t, a.ID, checkout.Failed)
		require.Equal(t, "failed", p.Settlement.Status)
		require.Zero(t, s.count(t, `SELECT count(*) FROM sales`))
		require.Zero(t, s.count(t, `SELECT count(*) FROM entries`))
		require.Zero(t, s.offer(t).Link.PaymentsTaken)
		require.Equal(t, pocket, balanceOf(t, addressOf(s.buyer)))
		for _, again := range []x402.Payment{payment, s.sign(t, a, newBuyer(t))} {
			_, err := s.checkout.Pay(t.Context(), a.ID, again)
			require.ErrorIs(t, err, checkout.ErrFailed)
		}
	})
}

// refused is a purchase whose payer had no money when his payment was tried; now he has it.
func (s *testShop) refused(t *testing.T) (checkout.Attempt, x402.Payment, id.Claim) {
	t.Helper()
	a, payer := s.begin(t), newKey()
	payment := s.sign(t, a, payer)
	p, err := s.checkout.Pay(t.Context(), a.ID, payment)
	if errors.Is(err, checkout.ErrPending) { // where the test's buyers do not wait long
		p = s.awaitStatus(t, a.ID, checkout.Open)
	} else {
		requireInvalid(t, x402.Funds, err)
	}
	require.Equal(t, string(x402.Funds), p.Refusal)
	require.NoError(t, world.dev().Mint(t.Context(), addressOf(payer), price))
	var claim id.Claim
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT id FROM claims WHERE attempt_id = $1`, a.ID).Scan(&claim))
	return a, payment, claim
}

func TestMoneyOfARefusedPaymentIsFound(t *testing.T) {
	t.Parallel()

	t.Run("after the purchase is over it is settled late", func(t *testing.T) {
		t.Parallel()
		s := newShopWith(t, plan{limit: 1})
		a, payment, claim := s.refused(t)
		s.clock.advance(s.hold)
		require.NoError(t, s.checkout.Expire(t.Context(), a.ID))
		require.Equal(t, checkout.Expired, s.status(t, a.ID))
		theirs := sendByStranger(t, transferCall(payment))
		for range 2 {
			require.NoError(t, s.checkout.Look(t.Context(), claim))
		}
		p := s.awaitStatus(t, a.ID, checkout.SettledLate)
		require.Equal(t, theirs.Hex(), p.Settlement.Transaction)
		sales, err := s.checkout.SalesOf(t.Context(), a.ID)
		require.NoError(t, err)
		require.True(t, sales[0].Late)
		s.soldOnce(t, p)
		require.Equal(t, 1, s.offer(t).Link.PaymentsTaken, "it is one of the link's payments again")
		_, err = s.checkout.Pay(t.Context(), a.ID, payment)
		require.ErrorIs(t, err, checkout.ErrPaid)
	})

	t.Run("late, where another has taken the link's last payment", func(t *testing.T) {
		t.Parallel()
		s := newShopWith(t, plan{limit: 1})
		a, payment, claim := s.refused(t)
		s.clock.advance(s.hold)
		require.NoError(t, s.checkout.Expire(t.Context(), a.ID))
		s.awaitFunded(t)
		other := s.begin(t)
		sendByStranger(t, transferCall(payment))
		require.NoError(t, s.checkout.Look(t.Context(), claim))
		s.awaitStatus(t, a.ID, checkout.SettledLate)
		require.Equal(t, 1, s.offer(t).Link.PaymentsTaken)
		s.clock.advance(s.hold)
		require.NoError(t, s.checkout.Expire(t.Context(), other.ID))
		require.Zero(t, s.offer(t).Link.PaymentsTaken)
	})

	t.Run("while the purchase is open it is settled", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		a, payment, claim := s.refused(t)
		sendByStranger(t, transferCall(payment))
		require.NoError(t, s.checkout.Look(t.Context(), claim))
		s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
		_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
		require.ErrorIs(t, err, checkout.ErrPaid)
	})

	t.Run("by a program that paid a link directly", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		payer, o := newKey(), s.offer(t)
		payment := s.answer(t, o, payer)
		p, err := s.checkout.PayLink(t.Context(), o, payment, checkout.Request{})
		requireInvalid(t, x402.Funds, err)
		require.NoError(t, world.dev().Mint(t.Context(), addressOf(payer), price))
		sendByStranger(t, transferCall(payment))
		var claim id.Claim
		require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT id FROM claims`).Scan(&claim))
		require.NoError(t, s.checkout.Look(t.Context(), claim))
		s.soldOnce(t, s.awaitStatus(t, p.ID, checkout.SettledLate))
		_, err = s.checkout.PayLink(t.Context(), o, payment, checkout.Request{})
		require.ErrorIs(t, err, checkout.ErrAlreadyUsed)
		require.Equal(t, 1, s.count(t, `SELECT count(*) FROM sales`))
	})

	t.Run("also when the job that looks for it is lost", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		a, payment, _ := s.refused(t)
		sendByStranger(t, transferCall(payment))
		s.exec(t, `DELETE FROM river_job WHERE kind = 'look'`)
		s.clock.advance(s.hold + 3*time.Minute)
		require.NoError(t, s.checkout.Expire(t.Context(), a.ID))
		require.NoError(t, s.checkout.Sweep(t.Context()))
		s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.SettledLate))
		require.Eventually(t, func() bool { // noted once the sale is committed
			return s.count(t, `SELECT count(*) FROM claims WHERE looked_at IS NOT NULL`) == 1
		}, 10*time.Second, 20*time.Millisecond)
		s.exec(t, `DELETE FROM river_job WHERE kind = 'look'`)
		s.clock.advance(time.Minute)
		require.NoError(t, s.checkout.Sweep(t.Context()))
		require.Zero(t, s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'look'`), "it was looked for already")
	})

	t.Run("not when it never came", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		a, _, claim := s.refused(t)
		require.Error(t, s.checkout.Look(t.Context(), claim), "it may still come")
		require.Equal(t, checkout.Open, s.status(t, a.ID))
		require.Equal(t, 1, s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'look' AND finalized_at IS NULL`))
	})
}

func TestMoneyThatCameTwiceIsFound(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{dirty: true})
	a, payment, claim := s.refused(t)
	p, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)
	s.soldOnce(t, p)
	require.Empty(t, s.findings(t))
	s.worker.stop(t) // it would find the money, and list it
	sendByStranger(t, transferCall(payment))
	require.NoError(t, s.checkout.Look(t.Context(), claim))
	require.Equal(t, []string{"a transfer to a shop is explained"}, rulesOf(s.findings(t)))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM sales`))
}

func TestNobodyPaysWhileFoundMoneyIsRecorded(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	s.exec(t, `CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3); RETURN NEW; END'`)
	s.exec(t, `CREATE TRIGGER slowly BEFORE UPDATE ON settlements FOR EACH ROW WHEN (NEW.status = 'confirmed') EXECUTE FUNCTION slowly()`)
	first := s.start(t, role{settles: true, works: true})
	a, payment, claim := s.refused(t)
	first.stop(t)
	sendByStranger(t, transferCall(payment))
	looked := make(chan error, 1)
	go func() { looked <- s.checkout.Look(t.Context(), claim) }()
	require.Eventually(t, func() bool {
		return s.count(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`) == 1
	}, 20*time.Second, 10*time.Millisecond, "it is not recorded")
	_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.ErrorIs(t, err, checkout.ErrPaid)
	require.NoError(t, <-looked)
	s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
}

func TestFoundMoneyWaitsForAnotherPaymentsEnd(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true, wait: time.Second})
	first := s.start(t, role{settles: true, works: true})
	a, payment, claim := s.refused(t)
	first.stop(t)
	sendByStranger(t, transferCall(payment))
	_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, newKey())) // has no money either
	require.ErrorIs(t, err, checkout.ErrPending)
	require.Error(t, s.checkout.Look(t.Context(), claim), "whether it belongs to the purchase is not known yet")
	s.start(t, role{settles: true, works: true})
	s.awaitStatus(t, a.ID, checkout.Open)
	require.NoError(t, s.checkout.Look(t.Context(), claim))
	s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
}

func TestTheSameNonceWithOtherContents(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.begin(t)
	first := s.sign(t, a, s.buyer)
	p, err := s.checkout.Pay(t.Context(), a.ID, first)
	require.NoError(t, err)
	cheap := first.Authorization
	cheap.Value = big.NewInt(int64(money.One))
	again, err := s.checkout.Pay(t.Context(), a.ID, signed(t, 1, s.checkout.Requirement(a), cheap, s.buyer))
	if err == nil {
		require.Equal(t, p.ID, again.ID)
	}
	s.soldOnce(t, p)
	_, err = s.checkout.PayLink(t.Context(), s.offer(t), signed(t, 1, s.checkout.Offered(s.offer(t)), first.Authorization, s.buyer), checkout.Request{})
	require.ErrorIs(t, err, checkout.ErrAlreadyUsed)
}
