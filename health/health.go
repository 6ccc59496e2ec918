// Package health tells how the shop's machinery does: payments, queues, messages to merchants' servers, gas money and
// chains.
//
// What it asks the database reads a bounded number of rows, however long the shop has been open, and one answer is
// good for some seconds: monitoring may ask as often as it likes.
package health

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"xsynesis/evm"
	"xsynesis/queries"
)

// Options are what a service needs beside its database.
type Options struct {
	Networks *evm.Registry
	Chains   map[string]*evm.Chain // by CAIP-2 id; none where this process asks none
	Queues   []string              // that some process has to work
	// Dispatcher says that a process of this role is expected beside the workers.
	Dispatcher bool
	// Keep is how long figures are good for; 5 s.
	Keep time.Duration
	Now  func() time.Time
}

// Service gathers the figures.
type Service struct {
	pool    *pgxpool.Pool
	queries *queries.Queries
	o       Options

	mu      sync.Mutex // held while gathering: one at a time
	figures Figures
	settled tail
}

const (
	keep          = 5 * time.Second
	gatherTimeout = 10 * time.Second
	chainTimeout  = 3 * time.Second
)

// most is how many rows of a kind are counted; "20,000" then means that many or more.
const most = 20_000

// lately is how far back the figures of what has ended go.
const lately = time.Hour

// New returns a service.
func New(pool *pgxpool.Pool, o Options) *Service {
	if o.Keep == 0 {
		o.Keep = keep
	}
	return &Service{pool: pool, queries: queries.New(), o: o, settled: newTail(o.Now())}
}

// Figures are those of this moment, or of a few seconds ago.
func (s *Service) Figures(ctx context.Context) (Figures, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now().Truncate(time.Microsecond) // as the database keeps time
	if age := now.Sub(s.figures.At); age >= 0 && age < s.o.Keep {
		return s.figures, nil
	}
	// Whoever asked may leave; the next one gets what was gathered for him.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), gatherTimeout)
	defer cancel()
	f, err := s.gather(ctx, now)
	if err != nil {
		return Figures{}, err
	}
	s.figures = f
	return f, nil
}
