package checkout_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/checkout"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/migrations"
	"xsynesis/postgres"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/x402"
)

func TestTheChainIsAwayWhenAPaymentComes(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	s := newShopWith(t, plan{rpc: l.URL, wait: 3 * time.Second})
	a := s.begin(t)
	payment := s.sign(t, a, s.buyer)
	l.setCut(true)
	p, err := s.checkout.Pay(t.Context(), a.ID, payment)
	require.ErrorIs(t, err, checkout.ErrPending)
	require.Equal(t, checkout.Settling, p.Status)
	p, err = s.checkout.Purchase(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, "queued", p.Settlement.Status)
	require.Equal(t, "The network does not answer.", p.Settlement.LastError)
	_, err = s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, newBuyer(t)))
	require.ErrorIs(t, err, checkout.ErrInProgress)
	require.Empty(t, s.findings(t))

	l.mend()
	p, err = s.checkout.Pay(t.Context(), a.ID, payment)
	for errors.Is(err, checkout.ErrPending) {
		p, err = s.checkout.Pay(t.Context(), a.ID, payment)
	}
	require.NoError(t, err)
	s.soldOnce(t, p)
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM relays`))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM settlements`))
}

func TestASmartWalletIsNotRefusedBecauseTheChainIsAway(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	s := newShopWith(t, plan{rpc: l.URL})
	a := s.begin(t)
	payment := s.sign(t, a, newKey())
	payment.Authorization.From = walletAddress
	l.setCut(true)
	_, err := s.checkout.Pay(t.Context(), a.ID, payment)
	require.ErrorIs(t, err, evm.ErrUnavailable)
	var invalid *x402.Invalid
	require.NotErrorAs(t, err, &invalid)
	require.Equal(t, checkout.Open, s.status(t, a.ID))
}

func TestASlowChainIsWaitedFor(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	s := newShopWith(t, plan{rpc: l.URL})
	l.setDelay(300 * time.Millisecond)
	a := s.begin(t)
	p, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)
	s.soldOnce(t, p)
}

func TestAChainThatIsTooSlowIsAwayAndComesBack(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	s := newShopWith(t, plan{rpc: l.URL, wait: 5 * time.Second})
	l.setDelay(4 * time.Second) // a call is given up after three
	a := s.begin(t)
	_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.ErrorIs(t, err, checkout.ErrPending)
	l.mend()
	s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
}

// TestAWorkerDies stops the first worker at a call to the chain, in the middle of a payment, in two ways: told to
// stop at once it writes what it knows; killed it writes nothing.
func TestAWorkerDies(t *testing.T) {
	t.Parallel()
	deaths := map[string]func(*testing.T, *testShop){
		"stopped": func(t *testing.T, s *testShop) { t.Helper(); s.worker.stop(t) },
		"killed":  func(t *testing.T, s *testShop) { t.Helper(); s.kill(t, s.worker) },
	}
	for _, at := range []struct{ name, method string }{
		{"before it has stored anything", "eth_estimateGas"},
		{"between storing and sending", "eth_sendRawTransaction"},
		{"after sending", "eth_getBlockReceipts"},
	} {
		for how, die := range deaths {
			t.Run(how+" "+at.name, func(t *testing.T) {
				t.Parallel()
				l := newLine(t)
				s := newShopWith(t, plan{quiet: true, wait: 2 * time.Second})
				s.worker.stop(t)
				s.worker = s.start(t, role{settles: true, works: true, lease: 2 * time.Second, rpc: l.URL})
				l.hold(at.method)
				a, payment := s.claimed(t)
				l.awaitHeld(t, at.method)
				die(t, s)
				_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, newBuyer(t)))
				require.ErrorIs(t, err, checkout.ErrInProgress)
				l.mend()

				time.Sleep(2 * time.Second) // the lease of the dead
				s.start(t, role{settles: true, works: true, lease: 2 * time.Second, sweep: time.Second})
				p := s.awaitStatus(t, a.ID, checkout.Settled)
				s.soldOnce(t, p)
				again, err := s.checkout.Pay(t.Context(), a.ID, payment)
				require.NoError(t, err)
				require.Equal(t, p.Settlement.Transaction, again.Settlement.Transaction) // which may be final by now
				require.Equal(t, 1, s.count(t, `SELECT count(*) FROM relays WHERE settlement IS NOT NULL`))
			})
		}
	}
}

func TestAnUnknownOutcomeAsksNobodyToPayAgain(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	s := newShopWith(t, plan{rpc: l.URL})
	l.hold("eth_sendRawTransaction")
	a, payment := s.claimed(t)
	l.awaitHeld(t, "eth_sendRawTransaction")
	s.worker.stop(t)
	require.Equal(t, checkout.Unknown, s.status(t, a.ID))
	_, err := s.checkout.Pay(t.Context(), a.ID, payment)
	require.ErrorIs(t, err, checkout.ErrPending)
	_, err = s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, newBuyer(t)))
	require.ErrorIs(t, err, checkout.ErrInProgress)
	s.clock.advance(s.hold + time.Minute)
	require.NoError(t, s.checkout.Expire(t.Context(), a.ID))
	require.Equal(t, checkout.Unknown, s.status(t, a.ID))
	s.clock.advance(-s.hold - time.Minute)
	l.mend()
	s.start(t, role{settles: true, works: true})
	s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
}

func TestManyWorkersOnOneSettlement(t *testing.T) {
	t.Parallel()
	for name, lease := range map[string]time.Duration{"with a lease": time.Minute, "whose leases end at once": time.Nanosecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShopWith(t, plan{quiet: true})
			workers := make([]*process, 4)
			for i := range workers {
				workers[i] = s.start(t, role{settles: true, lease: lease})
			}
			var attempts []checkout.Attempt
			for range 3 {
				a, _ := s.claimed(t)
				attempts = append(attempts, a)
			}
			var g errgroup.Group
			begin := make(chan struct{})
			for _, a := range attempts {
				p, err := s.checkout.Purchase(t.Context(), a.ID)
				require.NoError(t, err)
				for _, w := range workers {
					g.Go(func() error {
						<-begin
						err := w.checkout.Settle(t.Context(), p.Settlement.ID)
						if later := (&river.JobSnoozeError{}); errors.As(err, &later) {
							return nil
						}
						return err
					})
				}
			}
			close(begin)
			require.NoError(t, g.Wait())
			for _, a := range attempts {
				s.awaitStatus(t, a.ID, checkout.Settled)
			}
			require.Equal(t, 3*price, s.received(t))
			require.Equal(t, 3*price, balanceOf(t, s.payee))
			require.Equal(t, 3, s.count(t, `SELECT count(*) FROM sales`))
			require.Equal(t, 3, s.count(t, `SELECT (SELECT count(*) FROM relays WHERE settlement IS NOT NULL) + (SELECT count(*) FROM relay_items)`))
		})
	}
}

// TestAWorkerThatLostItsLeaseDecidesNothing gives a settlement to a second worker, whose clock runs ahead, while the
// first still waits for the chain.
func TestAWorkerThatLostItsLeaseDecidesNothing(t *testing.T) {
	t.Parallel()

	t.Run("when it would refuse what the second has sent", func(t *testing.T) {
		t.Parallel()
		s := newShopWith(t, plan{quiet: true})
		one, two := newLine(t), newLine(t)
		slow := s.start(t, role{settles: true, rpc: one.URL})
		ahead := &clock{}
		ahead.advance(10 * time.Minute)
		fast := s.start(t, role{settles: true, rpc: two.URL, clock: ahead})
		a, payer := s.begin(t), newKey()
		settlement := s.claim(t, a, s.sign(t, a, payer))

		one.holdAnswers("eth_estimateGas")
		done := make(chan error, 2)
		go func() { done <- slow.checkout.Settle(t.Context(), settlement) }()
		one.awaitHeld(t, "eth_estimateGas") // he has no money
		require.NoError(t, world.dev().Mint(t.Context(), addressOf(payer), price))
		two.hold("eth_sendRawTransaction")
		go func() { done <- fast.checkout.Settle(t.Context(), settlement) }()
		two.awaitHeld(t, "eth_sendRawTransaction")
		one.mend()
		require.ErrorAs(t, <-done, new(*river.JobSnoozeError), "it does not come back, should the second die")
		require.Equal(t, checkout.Settling, s.status(t, a.ID), "it may be paid again, and is being paid")
		two.mend()
		require.NoError(t, <-done)
		s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
	})

	t.Run("when it would not know, and another buyer pays since", func(t *testing.T) {
		t.Parallel()
		s := newShopWith(t, plan{quiet: true})
		one := newLine(t)
		slow := s.start(t, role{settles: true, rpc: one.URL})
		ahead := &clock{}
		ahead.advance(10 * time.Minute)
		fast := s.start(t, role{settles: true, clock: ahead})
		a := s.begin(t)
		settlement := s.claim(t, a, s.sign(t, a, newKey()))

		one.hold("eth_estimateGas")
		done := make(chan error, 1)
		go func() { done <- slow.checkout.Settle(t.Context(), settlement) }()
		one.awaitHeld(t, "eth_estimateGas")
		require.NoError(t, fast.checkout.Settle(t.Context(), settlement))
		require.Equal(t, checkout.Open, s.status(t, a.ID), "refused")
		s.claim(t, a, s.sign(t, a, s.buyer))
		one.setCut(true)
		require.Error(t, <-done, "it looks again")
		require.Equal(t, checkout.Settling, s.status(t, a.ID))
		s.start(t, role{settles: true, works: true})
		s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
	})
}

// claim claims a payment and returns the settlement that a worker is to bring to its end.
func (s *testShop) claim(t *testing.T, a checkout.Attempt, payment x402.Payment) id.Settlement {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _, _ = s.checkout.Pay(ctx, a.ID, payment) }()
	return s.awaitStatus(t, a.ID, checkout.Settling).Settlement.ID
}

func TestAnOutcomeThatCannotBeWrittenIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{wait: 3 * time.Second})
	s.exec(t, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no space left''; END'`)
	s.exec(t, `CREATE TRIGGER full_disk BEFORE INSERT ON sales FOR EACH ROW EXECUTE FUNCTION full_disk()`)
	a := s.begin(t)
	payment := s.sign(t, a, s.buyer)
	_, err := s.checkout.Pay(t.Context(), a.ID, payment)
	require.ErrorIs(t, err, checkout.ErrPending)
	require.Equal(t, price, balanceOf(t, s.payee))
	require.Zero(t, s.count(t, `SELECT count(*) FROM entries`))
	s.exec(t, `DROP TRIGGER full_disk ON sales`)
	mended := time.Now()
	s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
	require.Less(t, time.Since(mended), 15*time.Second, "it waits for its own lease")
}

func TestALimitIsSetWhileAPaymentIsRecorded(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.exec(t, `CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(2); RETURN NEW; END'`)
	s.exec(t, `CREATE TRIGGER slowly BEFORE INSERT ON sales FOR EACH ROW EXECUTE FUNCTION slowly()`)
	a := s.begin(t)
	payment := s.sign(t, a, s.buyer)
	paid := make(chan error, 1)
	go func() {
		_, err := s.checkout.Pay(t.Context(), a.ID, payment)
		paid <- err
	}()
	require.Eventually(t, func() bool {
		return s.count(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`) == 1
	}, 20*time.Second, 10*time.Millisecond, "it is not recorded")
	// The two may wait for each other; then the database ends one of them, which is tried again.
	_, err := s.shop.UpdateLink(t.Context(), s.merchant, s.link.ID, anew(shop.LinkForm{Title: "Tea", Price: price, MaxPayments: 5}), ada)
	require.NoError(t, <-paid)
	if err != nil {
		_, err = s.shop.UpdateLink(t.Context(), s.merchant, s.link.ID, anew(shop.LinkForm{Title: "Tea", Price: price, MaxPayments: 5}), ada)
	}
	require.NoError(t, err)
	s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
	require.Equal(t, 1, s.offer(t).Link.PaymentsTaken)
}

func TestAPurchaseThatBeginsWhileALimitIsSetIsNotCounted(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	held := s.begin(t)
	updated := make(chan error, 1)
	require.NoError(t, pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SELECT FROM attempts WHERE id = $1 FOR UPDATE`, held.ID); err != nil {
			return err
		}
		go func() {
			_, err := s.shop.UpdateLink(t.Context(), s.merchant, s.link.ID, anew(shop.LinkForm{Title: "Tea", Price: price, MaxPayments: 5}), ada)
			updated <- err
		}()
		require.Eventually(t, func() bool {
			return s.count(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 1
		}, 20*time.Second, 10*time.Millisecond, "the link's purchases are not held")
		s.begin(t)
		return nil
	}))
	require.NoError(t, <-updated)
	require.Equal(t, 1, s.offer(t).Link.PaymentsTaken)
}

// TestTheDatabaseRestarts takes the whole server away in the middle of a payment.
func TestTheDatabaseRestarts(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"eth_estimateGas", "eth_sendRawTransaction", "eth_getBlockReceipts"} {
		t.Run("at "+method, func(t *testing.T) {
			t.Parallel()
			server := newServer(t)
			l := newLine(t)
			s := newShopWith(t, plan{database: server.URL(), quiet: true})
			s.worker.stop(t)
			s.worker = s.start(t, role{settles: true, works: true, lease: 2 * time.Second, sweep: time.Second, rpc: l.URL})
			s.awaitFunded(t)
			l.hold(method)
			a := s.begin(t)
			payment := s.sign(t, a, s.buyer)
			answered := make(chan error, 1)
			go func() {
				_, err := s.checkout.Pay(t.Context(), a.ID, payment)
				answered <- err
			}()
			l.awaitHeld(t, method)
			require.NoError(t, server.Stop())
			l.mend()
			time.Sleep(500 * time.Millisecond) // whatever it does now, it cannot write it down
			server.restart(t)

			if err := <-answered; err != nil { // it may as well have waited until the database was back
				var invalid *x402.Invalid
				require.NotErrorAs(t, err, &invalid, "refused, because our database was away")
			}
			require.Eventually(t, func() bool {
				p, err := s.checkout.Purchase(t.Context(), a.ID)
				return err == nil && p.Status == checkout.Settled
			}, 60*time.Second, 100*time.Millisecond)
			p, err := s.checkout.Pay(t.Context(), a.ID, payment)
			require.NoError(t, err)
			s.soldOnce(t, p)
		})
	}
}

// TestTheDatabaseIsBusyWithSomethingElse keeps every statement waiting for two seconds, or every connection, in the middle of
// a payment.
func TestTheDatabaseIsBusyWithSomethingElse(t *testing.T) {
	t.Parallel()
	const long = 2 * time.Second
	for name, busy := range map[string]func(t *testing.T, s *testShop){
		"all tables are locked": func(t *testing.T, s *testShop) {
			require.Eventually(t, func() bool { // again where somebody else is in the way
				return pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
					_, err := tx.Exec(t.Context(), `SET LOCAL lock_timeout = '200ms'; DO $$ DECLARE one text; BEGIN
						FOR one IN SELECT format('%I', tablename) FROM pg_tables WHERE schemaname = 'public' LOOP
							EXECUTE 'LOCK TABLE ' || one || ' IN ACCESS EXCLUSIVE MODE';
						END LOOP;
					END $$`)
					if err == nil {
						time.Sleep(long)
					}
					return err
				}) == nil
			}, 20*time.Second, 20*time.Millisecond, "the tables are never free")
		},
		"nobody gives a connection back": func(t *testing.T, s *testShop) {
			ctx, cancel := context.WithTimeout(t.Context(), long)
			defer cancel()
			var taken []*pgxpool.Conn
			for ctx.Err() == nil {
				if c, err := s.worker.pool.Acquire(ctx); err == nil {
					taken = append(taken, c)
				}
			}
			require.NotEmpty(t, taken)
			for _, c := range taken {
				c.Release()
			}
		},
	} {
		for _, method := range []string{"eth_estimateGas", "eth_sendRawTransaction", "eth_getBlockReceipts"} {
			t.Run(name+" at "+method, func(t *testing.T) {
				t.Parallel()
				s := newShopWith(t, plan{quiet: true})
				s.worker.stop(t)
				l := newLine(t)
				s.worker = s.start(t, role{settles: true, works: true, lease: time.Second, sweep: time.Second, rpc: l.URL})
				s.awaitFunded(t)
				l.hold(method)
				a := s.begin(t)
				payment := s.sign(t, a, s.buyer)
				answered := make(chan error, 1)
				go func() {
					_, err := s.checkout.Pay(t.Context(), a.ID, payment)
					answered <- err
				}()
				l.awaitHeld(t, method)
				time.AfterFunc(long/4, l.mend) // by then it is
				busy(t, s)
				if err := <-answered; err != nil {
					require.ErrorIs(t, err, checkout.ErrPending)
				}
				s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
			})
		}
	}
}

// server is a database server of the test's own.
type server struct {
	*postgres.Cluster
	dir string
}

func newServer(t *testing.T) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "checkout-*") //nolint:usetesting // the server's user must be able to enter it
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	s := &server{dir: dir}
	t.Cleanup(func() {
		require.NoError(t, s.Stop())
		require.NoError(t, os.RemoveAll(dir))
	})
	s.restart(t)
	pool, err := pgxpool.New(t.Context(), s.URL())
	require.NoError(t, err)
	defer pool.Close()
	require.NoError(t, migrations.Up(t.Context(), pool))
	return s
}

func (s *server) restart(t *testing.T) {
	t.Helper()
	cluster, err := postgres.Start(context.Background(), postgres.Options{Dir: s.dir, Ephemeral: true})
	require.NoError(t, err)
	s.Cluster = cluster
}

// TestClocksThatAreTenMinutesOff lets each process live ten minutes in the past or the future. A payment may be
// refused, with a reason, or paid; it is never lost and never taken twice.
func TestClocksThatAreTenMinutesOff(t *testing.T) {
	t.Parallel()
	const off = 10 * time.Minute
	for name, skew := range map[string]struct{ web, worker time.Duration }{
		"the web's ahead":      {off, 0},
		"the web's behind":     {-off, 0},
		"the worker's ahead":   {0, off},
		"the worker's behind":  {0, -off},
		"both ahead":           {off, off},
		"both behind":          {-off, -off},
		"far from one another": {off, -off},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShopWith(t, plan{broke: true})
			s.clock.advance(skew.web)
			workers := &clock{}
			workers.advance(skew.worker)
			s.worker = s.start(t, role{settles: true, works: true, clock: workers})
			require.Eventually(t, func() bool { return s.count(t, `SELECT count(*) FROM relayers WHERE seen_at IS NOT NULL`) == 1 },
				20*time.Second, 20*time.Millisecond)
			paid := 0
			if s.paysByPage(t) {
				paid++
			}
			if s.paysByProgram(t) {
				paid++
			}
			require.EqualValues(t, paid*int(price), s.received(t))
			require.EqualValues(t, paid*int(price), balanceOf(t, s.payee))
			require.Equal(t, pocket-s.received(t), balanceOf(t, addressOf(s.buyer)))
			t.Logf("%d of 2 paid", paid)
			if skew.web == skew.worker && skew.web <= 0 {
				require.Equal(t, 2, paid)
			}
		})
	}
}

func (s *testShop) paysByPage(t *testing.T) bool {
	t.Helper()
	a, err := s.checkout.Start(t.Context(), checkout.Begin{Token: s.link.Token})
	if err == nil {
		_, err = s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	}
	return paidOrRefused(t, err)
}

// paysByProgram pays as a client does whose clock is right.
func (s *testShop) paysByProgram(t *testing.T) bool {
	t.Helper()
	o, right := s.offer(t), &testShop{clock: &clock{}, checkout: s.checkout}
	_, err := s.checkout.PayLink(t.Context(), o, right.answer(t, o, s.buyer), checkout.Request{})
	return paidOrRefused(t, err)
}

func paidOrRefused(t *testing.T, err error) bool {
	t.Helper()
	if err == nil {
		return true
	}
	var invalid *x402.Invalid
	if errors.As(err, &invalid) {
		require.Contains(t, []x402.Kind{x402.Expired, x402.TooLong, x402.NotYetValid}, invalid.Kind)
		return false
	}
	require.True(t, errors.Is(err, checkout.ErrUnfunded) || errors.Is(err, checkout.ErrExpired), err)
	return false
}

func TestALongPaymentKeepsItsWorker(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	s := newShopWith(t, plan{quiet: true})
	slow := s.start(t, role{settles: true, rpc: l.URL, lease: time.Second})
	other := s.start(t, role{settles: true, lease: time.Second})
	a := s.begin(t)
	settlement := s.claim(t, a, s.sign(t, a, s.buyer))
	l.hold("eth_estimateGas")
	done := make(chan error, 1)
	go func() { done <- slow.checkout.Settle(t.Context(), settlement) }()
	l.awaitHeld(t, "eth_estimateGas")
	time.Sleep(1300 * time.Millisecond)
	require.ErrorAs(t, other.checkout.Settle(t.Context(), settlement), new(*river.JobSnoozeError), "it does not come back")
	require.Equal(t, 1, s.count(t, `SELECT looks FROM settlements`), "another worker took it while its own was at work")
	l.mend()
	if err := <-done; err != nil { // a machine so busy that the call was given up
		require.ErrorAs(t, err, new(*river.JobSnoozeError))
		require.Eventually(t, func() bool { return slow.checkout.Settle(t.Context(), settlement) == nil }, 20*time.Second, 100*time.Millisecond)
	}
	s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
	require.NoError(t, other.checkout.Settle(t.Context(), settlement), "it comes back to what ended")
}

func TestALeaseIsTakenAgainWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	a := s.begin(t)
	settlement := s.claim(t, a, s.sign(t, a, s.buyer))
	now := s.clock.now()
	take := func(lease string) int {
		rows, err := queries.New().SettlementsLease(t.Context(), s.pool, queries.SettlementsLeaseParams{
			Ids: []string{string(settlement)}, Leases: [][]byte{[]byte(lease)}, Now: now, Until: now.Add(time.Minute),
		})
		require.NoError(t, err)
		return len(rows)
	}
	require.Equal(t, 1, take("ours"))
	require.Equal(t, 1, take("ours"))
	require.Zero(t, take("theirs"))
}

// TestASaleThatIsInTheBooksIsToldOfAgain is about the answer to a commit that is lost: the second try finds its own sale.
func TestASaleThatIsInTheBooksIsToldOfAgain(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	l := newLine(t)
	slow, ahead := s.start(t, role{settles: true, rpc: l.URL}), &clock{}
	ahead.advance(10 * time.Minute)
	fast := s.start(t, role{settles: true, clock: ahead})
	a := s.begin(t)
	settlement := s.claim(t, a, s.sign(t, a, s.buyer))
	l.hold("eth_estimateGas")
	done := make(chan error, 1)
	go func() { done <- slow.checkout.Settle(t.Context(), settlement) }()
	l.awaitHeld(t, "eth_estimateGas")
	require.NoError(t, fast.checkout.Settle(t.Context(), settlement))
	time.Sleep(500 * time.Millisecond) // until the fast one's sale is told of
	told, cancel := s.web.hub.Subscribe(string(a.ID))
	defer cancel()
	l.mend()
	require.NoError(t, <-done)
	select {
	case <-told:
	case <-time.After(10 * time.Second):
		require.Fail(t, "nobody is told")
	}
	s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
}
