package checkout_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/id"
)

var statuses = []checkout.Status{
	checkout.Open, checkout.Settling, checkout.Unknown, checkout.Settled, checkout.SettledLate,
	checkout.Expired, checkout.Cancelled, checkout.Failed, checkout.Reversed,
}

var errUndo = errors.New("undo")

func TestCodeAndDatabaseAgreeOnEveryMove(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	a := s.begin(t)
	legal := 0
	for _, from := range statuses {
		for _, to := range statuses {
			if from == to {
				continue
			}
			var moved error
			err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
				if err := place(t.Context(), tx, a, from); err != nil {
					return err
				}
				_, moved = tx.Exec(t.Context(), `UPDATE attempts SET status = $2 WHERE id = $1`, a.ID, to)
				return errUndo
			})
			require.ErrorIs(t, err, errUndo)
			if from.CanBecome(to) {
				legal++
				require.NoError(t, moved, "%s to %s", from, to)
				continue
			}
			var refused *pgconn.PgError
			require.ErrorAs(t, moved, &refused, "%s to %s", from, to)
			require.Equal(t, "23514", refused.Code, "%s to %s", from, to)
		}
	}
	require.Equal(t, 15, legal)
}

// place puts an attempt where no legal way may lead.
func place(ctx context.Context, tx pgx.Tx, a checkout.Attempt, at checkout.Status) error {
	for _, sql := range []string{
		`ALTER TABLE attempts DISABLE TRIGGER attempt_moves`,
		fmt.Sprintf(`UPDATE attempts SET status = '%s' WHERE id = '%s'`, at, a.ID),
		`ALTER TABLE attempts ENABLE TRIGGER attempt_moves`,
	} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

func TestNoStatusIsUnknownToTheDatabase(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	a := s.begin(t)
	for _, status := range statuses {
		err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error { return errors.Join(place(t.Context(), tx, a, status), errUndo) })
		require.ErrorIs(t, err, errUndo)
		var refused *pgconn.PgError
		require.NotErrorAs(t, err, &refused, status)
	}
	err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error { return place(t.Context(), tx, a, "lost") })
	require.ErrorContains(t, err, "check constraint")
}

func TestTheSweepReplacesLostJobs(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true, limit: 4, wait: time.Second})
	paying, _ := s.claimed(t)
	simulated, leaving := s.beginFrom(t, ""), s.beginFrom(t, "")
	_, err := s.checkout.Simulate(t.Context(), s.merchant, simulated.ID, checkout.Worker)
	require.NoError(t, err)
	s.exec(t, `DELETE FROM river_job`)
	require.NoError(t, s.checkout.Sweep(t.Context()))
	require.Zero(t, s.count(t, `SELECT count(*) FROM river_job`), "too young to be lost")

	s.clock.advance(16 * time.Second)
	require.NoError(t, s.checkout.Sweep(t.Context()))
	require.Equal(t, 2, s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'resume' AND state = 'available'`))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'expire' AND state = 'scheduled'`), "long before it is due")
	require.NoError(t, s.checkout.Sweep(t.Context()))
	require.Equal(t, 3, s.count(t, `SELECT count(*) FROM river_job`))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM attempts a JOIN river_job j ON j.scheduled_at = a.expires_at AND a.status = 'open'`))
	s.start(t, role{settles: true, works: true})
	p := s.awaitStatus(t, paying.ID, checkout.Settled)
	s.awaitStatus(t, simulated.ID, checkout.Settled)
	require.Equal(t, price, balanceOf(t, s.payee))
	require.Equal(t, price, s.received(t))
	require.NotNil(t, p.Claim)

	s.clock.advance(s.hold)
	require.NoError(t, s.checkout.Sweep(t.Context()))
	s.awaitStatus(t, leaving.ID, checkout.Expired)
	require.Equal(t, 2, s.offer(t).Link.PaymentsTaken)
}

func TestSweepsDoNotPileUpJobs(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	s := newShopWith(t, plan{rpc: l.URL})
	l.setCut(true)
	a, _ := s.claimed(t)
	const unfinished = `SELECT count(*) FROM river_job WHERE kind IN ('settle', 'resume') AND finalized_at IS NULL`
	for range 5 {
		s.clock.advance(16 * time.Second)
		require.NoError(t, s.checkout.Sweep(t.Context()))
	}
	require.Eventually(t, func() bool { return s.count(t, unfinished) == 1 }, 20*time.Second, 50*time.Millisecond,
		"each sweep leaves a job that stays")
	l.mend()
	s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
}

func TestSweepsGiveARefusedPaymentOneLook(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.refused(t)
	s.worker.stop(t)
	s.exec(t, `DELETE FROM river_job WHERE kind = 'look'`)
	s.clock.advance(s.hold + 3*time.Minute)
	often := s.start(t, role{sweep: time.Second})
	for range 3 {
		require.NoError(t, often.checkout.Sweep(t.Context()))
		require.Equal(t, 1, s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'look'`))
		time.Sleep(1100 * time.Millisecond)
	}
}

func TestTheSweepBeginsWithWhatWasLookedAtLongestAgo(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	older, _ := s.claimed(t)
	newer, _ := s.claimed(t)
	s.exec(t, `UPDATE settlements SET updated_at = updated_at + interval '10 s' WHERE attempt_id = $1`, older.ID)
	s.exec(t, `DELETE FROM river_job WHERE kind = 'settle'`)
	s.clock.advance(time.Minute)
	require.NoError(t, s.checkout.Sweep(t.Context()))
	rows, err := s.pool.Query(t.Context(), `SELECT s.attempt_id FROM river_job j JOIN settlements s ON s.id = j.args->>'settlement'
		WHERE j.kind = 'resume' ORDER BY j.id`)
	require.NoError(t, err)
	swept, err := pgx.CollectRows(rows, pgx.RowTo[id.Attempt])
	require.NoError(t, err)
	require.Equal(t, []id.Attempt{newer.ID, older.ID}, swept)
}

func TestTheSweepLeavesAPaymentToTheJobThatWaitsForIt(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	s.claimed(t)
	const resumed = `SELECT count(*) FROM river_job WHERE kind = 'resume'`
	s.clock.advance(time.Minute)
	require.NoError(t, s.checkout.Sweep(t.Context()))
	require.Zero(t, s.count(t, resumed))
	s.exec(t, `UPDATE river_job SET state = 'running', attempted_at = now() WHERE kind = 'settle'`)
	require.NoError(t, s.checkout.Sweep(t.Context()))
	require.Equal(t, 1, s.count(t, resumed), "a job that has worked for a minute without a lease is dead")
}

func TestConfirmedPaymentsBecomeFinal(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a, simulated := s.begin(t), s.begin(t)
	_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)
	_, err = s.checkout.Simulate(t.Context(), s.merchant, simulated.ID, checkout.Direct)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		require.NoError(t, s.checkout.Finalize(t.Context()))
		return s.count(t, `SELECT count(*) FROM settlements WHERE status = 'final'`) == 1
	}, 40*time.Second, 200*time.Millisecond)
	p, err := s.checkout.Purchase(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, checkout.Settled, p.Status)
	require.Equal(t, "final", p.Settlement.Status)
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM settlements WHERE simulated AND status = 'confirmed'`))
	s.answersAgain(t, a, p)
}

// theirs is the hash of a block that another chain has.
const theirs = "0x00000000000000000000000000000000000000000000000000000000000bad00"

func TestAPaymentInAnotherBlockIsFoundBeforeItIsFinal(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.begin(t)
	p, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)
	s.worker.stop(t)
	// As it stands where the block was replaced: other hash, other place, and the same transaction or somebody else's.
	s.exec(t, `UPDATE settlements SET status = 'confirmed', block_hash = $1, block_number = block_number - 1, log_index = 77, transaction = $1`, theirs)
	s.exec(t, `UPDATE sales SET transaction = $1`, theirs)
	require.Eventually(t, func() bool {
		require.NoError(t, s.checkout.Finalize(t.Context()))
		require.NoError(t, s.checkout.Find(t.Context(), p.Settlement.ID)) // as the job does that it asks for
		return s.count(t, `SELECT count(*) FROM settlements WHERE status = 'final'`) == 1
	}, 40*time.Second, 200*time.Millisecond)
	require.Zero(t, s.count(t, `SELECT count(*) FROM settlements WHERE block_hash = $1 OR transaction = $1`, theirs))
	again, err := s.checkout.Purchase(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, p.Settlement.Transaction, again.Settlement.Transaction)
	require.Equal(t, p.Settlement.Block, again.Settlement.Block)
	sales, err := s.checkout.SalesOf(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, p.Settlement.Transaction, sales[0].Transaction)
}

func TestAPaymentThatLeftTheChainDoesNotBecomeFinal(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{dirty: true})
	lost, kept := s.begin(t), s.begin(t)
	for _, a := range []checkout.Attempt{lost, kept} {
		_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
		require.NoError(t, err)
	}
	s.worker.stop(t)
	s.exec(t, `UPDATE settlements SET status = 'confirmed'`)
	s.exec(t, `UPDATE settlements SET block_hash = $1, block_number = 1 WHERE attempt_id = $2`, theirs, lost.ID)
	s.exec(t, `UPDATE claims SET nonce = $1 WHERE attempt_id = $2`, theirs, lost.ID) // what was never used
	require.Eventually(t, func() bool {
		require.NoError(t, s.checkout.Finalize(t.Context()))
		return s.count(t, `SELECT count(*) FROM settlements WHERE status = 'final'`) == 1
	}, 40*time.Second, 200*time.Millisecond, "it does not stand in the way of others")
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM settlements WHERE status = 'confirmed' AND attempt_id = $1`, lost.ID))
	require.Contains(t, rulesOf(s.findings(t)), "a confirmed settlement is on the chain")
}

// answersAgain wants a payment that is final to be answered as before.
func (s *testShop) answersAgain(t *testing.T, a checkout.Attempt, p checkout.Purchase) {
	t.Helper()
	again, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)
	require.Equal(t, p, again)
}
