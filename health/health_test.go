package health_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"xsynesis/evm"
	"xsynesis/health"
	"xsynesis/id"
	"xsynesis/postgres/pgtest"
)

const sepolia = "eip155:84532"

// shop is a database with a clock of its own.
type shop struct {
	t    *testing.T
	pool *pgxpool.Pool
	now  time.Time
	*health.Service
}

func open(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, pool: pgtest.New(t), now: time.Now().UTC().Truncate(time.Second)}
	s.Service = health.New(s.pool, health.Options{
		Networks: evm.NewRegistry(nil), Queues: []string{"settle", "webhook"}, Dispatcher: true, Now: func() time.Time { return s.now },
	})
	s.exec(`INSERT INTO merchants (id, slug, name, created_at) VALUES ('sel_1', 'cafe', 'The café', now())`)
	return s
}

func (s *shop) exec(sql string, args ...any) {
	s.t.Helper()
	_, err := s.pool.Exec(s.t.Context(), sql, args...)
	require.NoError(s.t, err)
}

// look is one at the figures, after so long.
func (s *shop) look(later time.Duration) health.Figures {
	s.t.Helper()
	s.now = s.now.Add(later)
	f, err := s.Figures(s.t.Context())
	require.NoError(s.t, err)
	return f
}

func (s *shop) attempt(begun time.Time, status string) id.Attempt {
	s.t.Helper()
	a := id.New[id.Attempt](begun)
	s.exec(`INSERT INTO attempts (id, merchant_id, channel, livemode, status, network, asset, pay_to, amount, title,
		cart_salt, cart_hash, nonce, expires_at, created_at, updated_at)
		VALUES ($1, 'sel_1', 'link', false, $2, $3, '0x', '0x', 1, 'Tea', sha256('salt'), sha256('hash'), '0x00', $4, $4, $4)`, a, status, sepolia, begun)
	return a
}

func (s *shop) settlement(begun time.Time, status string) id.Settlement {
	s.t.Helper()
	stl := id.New[id.Settlement](begun)
	s.exec(`INSERT INTO settlements (id, merchant_id, livemode, facilitator, status, network, asset, payer, nonce, pay_to, amount, created_at, updated_at)
		VALUES ($1, 'sel_1', false, 'own', $2, $3, '0x', '0x', $1, '0x', 1, $4, $4)`, stl, status, sepolia, begun)
	return stl
}

func (s *shop) confirm(stl id.Settlement, took time.Duration) {
	s.t.Helper()
	s.exec(`UPDATE settlements SET status = 'confirmed', confirmed_at = created_at + $2 WHERE id = $1`, stl, took)
}

func (s *shop) relayer(left int64, seen *time.Time) {
	s.t.Helper()
	s.exec(`INSERT INTO relayers (network, address, next_nonce, gas_balance, settlements_left, seen_at)
		VALUES ($1, '0x90f79bf6eb2c4f870365e785982e1f101e93b906', 0, 1500000000000000000, $2, $3)`, sepolia, left, seen)
}

func TestPurchasesAreCountedByState(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.attempt(s.now.Add(-2*time.Hour), "settled")
	s.attempt(s.now.Add(-2*time.Hour), "unknown")
	s.attempt(s.now.Add(-time.Minute), "settled")
	s.attempt(s.now.Add(-time.Minute), "settled")
	s.attempt(s.now.Add(-time.Minute), "open")
	s.settlement(s.now.Add(-40*time.Second), "broadcast")
	f := s.look(0)
	require.Equal(t, map[string]int64{"settled": 2, "open": 1}, f.Purchases)
	require.Equal(t, map[string]int64{"open": 1, "settling": 0, "unknown": 1}, f.UnderWay)
	require.Equal(t, 40*time.Second, f.Unsettled)
}

func TestEverySettlementIsTimedOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.confirm(s.settlement(s.now.Add(-time.Minute), "queued"), time.Second) // before anybody looked
	require.Zero(t, s.look(0).Settled.Count)

	quick, slow, lost := s.settlement(s.now.Add(time.Second), "queued"), s.settlement(s.now.Add(2*time.Second), "queued"), s.settlement(s.now.Add(3*time.Second), "queued")
	s.confirm(quick, 900*time.Millisecond)
	require.EqualValues(t, 1, s.look(20*time.Second).Settled.Count)

	s.confirm(slow, 25*time.Second)
	s.exec(`UPDATE settlements SET status = 'failed' WHERE id = $1`, lost)
	for range 2 {
		settled := s.look(20 * time.Second).Settled
		require.EqualValues(t, 2, settled.Count)
		require.Equal(t, 25900*time.Millisecond, settled.Sum)
		for i, bound := range health.Bounds {
			want := uint64(0)
			if bound >= time.Second {
				want++
			}
			if bound >= 25*time.Second {
				want++
			}
			require.Equal(t, want, settled.Within[i], bound)
		}
	}
}

type waiting struct{}

func (waiting) Kind() string { return "waiting" }

func TestQueuesTellHowLongTheFirstJobWaits(t *testing.T) {
	t.Parallel()
	s := open(t)
	client, err := river.NewClient(riverpgxv5.New(s.pool), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	for i, priority := range []int{1, 3, 1} {
		_, err := client.Insert(t.Context(), waiting{}, &river.InsertOpts{Queue: "settle", Priority: priority})
		require.NoError(t, err)
		s.exec(`UPDATE river_job SET scheduled_at = $1 WHERE id = (SELECT max(id) FROM river_job)`, s.now.Add(-time.Duration(10*i)*time.Second))
	}
	_, err = client.Insert(t.Context(), waiting{}, &river.InsertOpts{Queue: "settle", ScheduledAt: s.now.Add(time.Hour)})
	require.NoError(t, err)
	require.Equal(t, []health.Queue{{Name: "settle", Waiting: 3, Age: 20 * time.Second}, {Name: "webhook"}}, s.look(0).Queues)
}

func TestDeliveriesTellWhatIsLateAndWhatBecameOfTries(t *testing.T) {
	t.Parallel()
	s := open(t)
	for i, state := range []string{"succeeded", "succeeded", "failed"} {
		d := id.New[id.Delivery](s.now.Add(-time.Minute))
		s.exec(`INSERT INTO deliveries (id, event_id, subscription_id, merchant_id, livemode, event_type, resource_id, next_try_at, created_at)
			VALUES ($1, $1, 'ws_1', 'sel_1', false, 'webhook.test', 'x', $2, $3)`, d, s.now.Add(time.Duration(i-1)*time.Minute), s.now.Add(-5*time.Minute))
		s.exec(`INSERT INTO tries (delivery_id, number, attempt, state, lease, url, request_headers, started_at, ended_at, class)
			VALUES ($1, 1, 1, $2, '', '', '{}', now(), now(), CASE $2 WHEN 'failed' THEN 'timeout' ELSE '' END)`, d, state)
	}
	d := s.look(0).Deliveries
	require.Equal(t, []health.Tries{{Result: "failed", Class: "timeout", Count: 1}, {Result: "succeeded", Count: 2}}, d.Tries)
	require.EqualValues(t, 3, d.Pending)
	require.Equal(t, time.Minute, d.Overdue)
	require.Equal(t, 5*time.Minute, d.Oldest)
}

func TestFiguresAreKeptForAMoment(t *testing.T) {
	t.Parallel()
	s := open(t)
	require.Empty(t, s.look(0).Purchases)
	s.attempt(s.now, "open")
	require.Empty(t, s.look(4*time.Second).Purchases)
	require.Len(t, s.look(time.Second).Purchases, 1)
}

func TestANodeThatDoesNotAnswerIsAFinding(t *testing.T) {
	t.Parallel()
	networks := evm.NewRegistry(map[uint64][]string{84532: {"http://127.0.0.1:1"}})
	n, err := networks.Network(sepolia)
	require.NoError(t, err)
	s := health.New(pgtest.New(t), health.Options{Networks: networks, Chains: map[string]*evm.Chain{sepolia: evm.Dial(n, evm.Options{})}, Now: time.Now})
	f, err := s.Figures(t.Context())
	require.NoError(t, err)
	require.Len(t, f.Chains, 1)
	require.False(t, f.Chains[0].Answers)
	require.Empty(t, f.Answering())
	require.Contains(t, f.Findings(), health.Finding{
		Subject: health.Nodes, Level: health.Bad, Sentence: "The node of Base Sepolia does not answer.",
		Action: "Check RPC_URL_<chain id>; several nodes may be given, separated by commas.",
	})
}

func TestAProcessIsSeenWhileItRuns(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- s.Run(ctx, health.Process{Role: "worker", Host: "one", Version: "1", Queues: []string{"settle"}})
	}()
	require.Eventually(t, func() bool {
		var n int
		require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT count(*) FROM processes`).Scan(&n))
		return n == 1
	}, 10*time.Second, 20*time.Millisecond)
	f := s.look(0)
	require.Equal(t, []health.Process{{Role: "worker", Host: "one", Version: "1", Queues: []string{"settle"}}}, f.Processes)
	require.True(t, f.Processes[0].Alive())
	require.Equal(t, []health.Finding{{
		Subject: health.Machines, Level: health.Bad, Sentence: "No process works the queue webhook.", Action: "Start `xsynesis webhook-dispatcher`.",
	}}, about(f, health.Machines))

	stop()
	require.NoError(t, <-ended)
	require.Empty(t, s.look(time.Minute).Processes, "a process that stops says so")

	s.exec(`INSERT INTO processes (id, role, host, version, queues, started_at, seen_at) VALUES ('dead', 'worker', 'one', '1', '{settle,webhook}', $1, $1)`, s.now)
	f = s.look(time.Minute)
	require.False(t, f.Processes[0].Alive(), "one that was killed is silent")
	require.Len(t, about(f, health.Machines), 2)
}

func about(f health.Figures, subject string) (found []health.Finding) {
	for _, each := range f.Findings() {
		if each.Subject == subject {
			found = append(found, each)
		}
	}
	return found
}

func TestGasMoneyIsAskedForBeforeItIsGone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		left  int64
		seen  time.Duration
		level health.Level
		low   bool
	}{
		{"plenty", 5000, time.Second, health.OK, false},
		{"little", 199, time.Second, health.Warn, true},
		{"none", 19, time.Second, health.Bad, true},
		{"nobody looks", 5000, 3 * time.Minute, health.Bad, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			seen := s.now.Add(-tt.seen)
			s.relayer(tt.left, &seen)
			f := s.look(0)
			require.Equal(t, tt.level, health.Worst(about(f, health.Gas)))
			require.Equal(t, tt.low, f.Relayers[0].Low())
			require.Equal(t, "1500000000000000000", f.Relayers[0].Gas.String())
		})
	}
	t.Run("no relayer at all", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, health.Bad, health.Worst(about(open(t).look(0), health.Gas)))
	})
}

func TestFindingsGrowWorseWithTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		figures health.Figures
		subject string
		level   health.Level
	}{
		{"payments on time", health.Figures{Unsettled: 10 * time.Second}, health.Payments, health.OK},
		{"a payment takes long", health.Figures{Unsettled: 40 * time.Second}, health.Payments, health.Warn},
		{"a payment hangs", health.Figures{Unsettled: 5 * time.Minute}, health.Payments, health.Bad},
		{"an outcome is not certain", health.Figures{UnderWay: map[string]int64{"unknown": 1}}, health.Payments, health.Warn},
		{"a block is young", health.Figures{Chains: []health.Chain{{Answers: true, Age: 20 * time.Second}}}, health.Nodes, health.OK},
		{"a block is old", health.Figures{Chains: []health.Chain{{Answers: true, Age: 2 * time.Minute}}}, health.Nodes, health.Warn},
		{"settlements wait", health.Figures{Queues: []health.Queue{{Name: "settle", Age: 6 * time.Second}}}, health.Queues, health.Warn},
		{"upkeep may wait longer", health.Figures{Queues: []health.Queue{{Name: "maint", Age: 6 * time.Second}}}, health.Queues, health.OK},
		{"a delivery is late", health.Figures{Deliveries: health.Deliveries{Overdue: 2 * time.Minute}}, health.Webhooks, health.Warn},
		{"a server that fails is its seller's", health.Figures{Deliveries: health.Deliveries{Breakers: 3}}, health.Webhooks, health.OK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			found := about(tt.figures, tt.subject)
			require.Equal(t, tt.level, health.Worst(found))
			for _, f := range found {
				require.NotEmpty(t, f.Sentence)
				if f.Level > health.OK {
					require.NotEmpty(t, f.Action)
				}
			}
		})
	}
}
