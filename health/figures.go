package health

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/queries"
)

// Figures are what the machinery does at one moment.
type Figures struct {
	At time.Time
	// Purchases begun within the last hour, by the state they are in now.
	Purchases map[string]int64
	// UnderWay are all purchases that are open, settling or unknown, whenever they began.
	UnderWay map[string]int64
	// Unsettled is how long the oldest payment has been on its way; 0 when none is.
	Unsettled time.Duration
	// Settled tells how long payments took from the approval to the chain, since this process began to look.
	Settled    Histogram
	Queues     []Queue
	Deliveries Deliveries
	Relayers   []Relayer
	Chains     []Chain
	// Facilitators are who moves payments beside our own relayers, where workers were told of any.
	Facilitators []Facilitator
	// Callbacks are the last of them, newest first.
	Callbacks []Callback
	Processes []Process
	// Compared are the networks whose books were held against their chains, and Undecided is what shops have to decide on.
	Compared  []Compared
	Undecided []Undecided
	// Expected are the queues that some process has to work.
	Expected []string
	// Dispatcher says whether a process that only tells merchants' servers is expected.
	Dispatcher bool
}

// Queue is what stands in one queue.
type Queue struct {
	Name                       string
	Waiting, Running, Retrying int64
	Age                        time.Duration // of the job that has waited longest; 0 when none waits
}

// Deliveries are messages to merchants' servers.
type Deliveries struct {
	Pending  int64
	Overdue  time.Duration // by which the first one due is late; 0 when none is
	Oldest   time.Duration // how long the oldest that has not ended is on its way
	Breakers int64         // servers that are left alone for a while, because they fail
	// Tries of deliveries begun within the last hour, by what came of them.
	Tries []Tries
}

// Tries are calls of merchants' servers with one result.
type Tries struct {
	Result string // succeeded, failed, interrupted, started
	Class  string // of a failure: what went wrong
	Count  int64
}

// Relayer is an address that pays for gas.
type Relayer struct {
	Network, Name string // CAIP-2 id, and what people call it
	Address       string
	Gas           *big.Int // in the smallest unit of the network's own coin
	Settlements   int64    // that the balance pays for at today's fee
	Seen          *time.Duration
}

// Chain is a network as this process sees it.
type Chain struct {
	Network, Name string
	Answers       bool
	Head          uint64
	Age           time.Duration // of the newest block
	Took          time.Duration // that the node needed to answer
}

func (s *Service) gather(ctx context.Context, now time.Time) (Figures, error) {
	f := Figures{At: now, Expected: s.o.Queues, Dispatcher: s.o.Dispatcher}
	chains := s.askChains(ctx, now)
	for _, part := range []func(context.Context, *Figures) error{
		s.purchases, s.settlements, s.queues, s.deliveries, s.relayers, s.facilitators, s.books, s.processes,
	} {
		if err := part(ctx, &f); err != nil {
			return Figures{}, fmt.Errorf("gather figures: %w", err)
		}
	}
	f.Chains = <-chains
	return f, nil
}

func (s *Service) purchases(ctx context.Context, f *Figures) error {
	rows, err := s.queries.HealthPurchases(ctx, s.pool, queries.HealthPurchasesParams{
		Since: id.First[id.Attempt](f.At.Add(-lately)), Most: most,
	})
	if err != nil {
		return fmt.Errorf("purchases: %w", err)
	}
	f.Purchases = map[string]int64{}
	for _, r := range rows {
		f.Purchases[r.Status] = r.Purchases
	}
	way, err := s.queries.HealthUnderWay(ctx, s.pool, queries.HealthUnderWayParams{Now: f.At, Most: most})
	if err != nil {
		return fmt.Errorf("purchases under way: %w", err)
	}
	f.UnderWay = map[string]int64{"open": way.Open, "settling": way.Settling, "unknown": way.Unknown}
	f.Unsettled = since(f.At, way.OldestUnsettled)
	return nil
}

func (s *Service) deliveries(ctx context.Context, f *Figures) error {
	d, err := s.queries.HealthDeliveries(ctx, s.pool, queries.HealthDeliveriesParams{Now: f.At, Most: most})
	if err != nil {
		return fmt.Errorf("deliveries: %w", err)
	}
	f.Deliveries = Deliveries{
		Pending: d.Pending, Overdue: since(f.At, d.FirstDue), Oldest: since(f.At, d.Oldest), Breakers: d.OpenBreakers,
	}
	tries, err := s.queries.HealthTries(ctx, s.pool, queries.HealthTriesParams{Since: id.First[id.Delivery](f.At.Add(-lately)), Most: most})
	if err != nil {
		return fmt.Errorf("tries: %w", err)
	}
	for _, t := range tries {
		f.Deliveries.Tries = append(f.Deliveries.Tries, Tries{Result: t.State, Class: t.Class, Count: t.Tries})
	}
	slices.SortFunc(f.Deliveries.Tries, func(a, b Tries) int {
		return cmp.Or(cmp.Compare(a.Result, b.Result), cmp.Compare(a.Class, b.Class))
	})
	return nil
}

func (s *Service) relayers(ctx context.Context, f *Figures) error {
	rows, err := s.queries.HealthRelayers(ctx, s.pool)
	if err != nil {
		return fmt.Errorf("relayers: %w", err)
	}
	for _, r := range rows {
		relayer := Relayer{
			Network: r.Network, Name: s.name(r.Network), Address: r.Address,
			Gas: gas(r.GasBalance.Int, r.GasBalance.Exp), Settlements: r.SettlementsLeft,
		}
		if r.SeenAt != nil {
			ago := since(f.At, *r.SeenAt)
			relayer.Seen = &ago
		}
		f.Relayers = append(f.Relayers, relayer)
	}
	return nil
}

// gas is a numeric column without fraction: its digits and how many zeros follow.
func gas(digits *big.Int, zeros int32) *big.Int {
	if digits == nil {
		return new(big.Int)
	}
	return new(big.Int).Mul(digits, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(zeros)), nil))
}

// queues asks the queue's own table, in which the newest state of a job is the first column of an index.
func (s *Service) queues(ctx context.Context, f *Figures) error {
	const stand = `SELECT name,
		(SELECT count(*) FROM (SELECT FROM river_job j WHERE j.state = 'available' AND j.queue = name LIMIT $2) w),
		(SELECT count(*) FROM (SELECT FROM river_job j WHERE j.state = 'running' AND j.queue = name LIMIT $2) r),
		(SELECT count(*) FROM (SELECT FROM river_job j WHERE j.state = 'retryable' AND j.queue = name LIMIT $2) t),
		(SELECT coalesce(min(first.scheduled_at), $3) FROM generate_series(1, 4) AS urgent(priority), LATERAL (
			SELECT j.scheduled_at FROM river_job j
			WHERE j.state = 'available' AND j.queue = name AND j.priority = urgent.priority
			ORDER BY j.scheduled_at LIMIT 1) first)
		FROM unnest($1::text[]) AS name`
	rows, err := s.pool.Query(ctx, stand, s.o.Queues, most, f.At)
	if err != nil {
		return fmt.Errorf("queues: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var q Queue
		var first time.Time
		if err := rows.Scan(&q.Name, &q.Waiting, &q.Running, &q.Retrying, &first); err != nil {
			return fmt.Errorf("queues: %w", err)
		}
		q.Age = since(f.At, first)
		f.Queues = append(f.Queues, q)
	}
	return rows.Err()
}

// askChains asks all nodes at once; one that does not answer is no error of ours.
func (s *Service) askChains(ctx context.Context, now time.Time) <-chan []Chain {
	answered := make(chan []Chain, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, chainTimeout)
		defer cancel()
		var asking sync.WaitGroup
		var mu sync.Mutex
		chains := []Chain{}
		for _, chain := range s.o.Chains {
			asking.Go(func() {
				c := ask(ctx, chain, now)
				mu.Lock()
				defer mu.Unlock()
				chains = append(chains, c)
			})
		}
		asking.Wait()
		slices.SortFunc(chains, func(a, b Chain) int { return cmp.Compare(a.Network, b.Network) })
		answered <- chains
	}()
	return answered
}

func ask(ctx context.Context, chain *evm.Chain, now time.Time) Chain {
	began := time.Now()
	head, err := chain.Head(ctx)
	c := Chain{Network: chain.Network().ID, Name: chain.Network().Name, Took: time.Since(began)}
	if err == nil {
		c.Answers, c.Head, c.Age = true, head.Number, since(now, head.Time)
	}
	return c
}

// name is what people call a network; one that is no longer known keeps its id.
func (s *Service) name(network string) string {
	n, err := s.o.Networks.Network(network)
	if err != nil {
		return network
	}
	return n.Name
}

// since is never negative: clocks of two machines differ.
func since(now, then time.Time) time.Duration { return max(0, now.Sub(then)) }

// Answering are the chains whose nodes answer.
func (f Figures) Answering() []Chain {
	return slices.DeleteFunc(slices.Clone(f.Chains), func(c Chain) bool { return !c.Answers })
}
