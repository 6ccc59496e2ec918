// Package webhook tells merchants' servers what happened: signed, retried and tracked.
//
// What happened is an event, written in the transaction of the change that it tells of. A merchant's server that
// wants to hear is a subscription. One event on its way to one subscription is a delivery, and each call is a try.
package webhook

import (
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"xsynesis/egress"
	"xsynesis/vault"
)

// ErrNotFound is returned for rows that do not exist or belong to another merchant or mode.
var ErrNotFound = errors.New("webhook: not found")

// FieldError says which field of a form is wrong, in a sentence for the person who filled it in.
type FieldError struct {
	Field   string
	Message string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Message }

// Page asks for rows older than Before, or newer than After, or the newest; ids are the cursors.
type Page struct {
	Before, After string
	Limit         int
}

// Options are what a service needs beside its database and its queue.
type Options struct {
	Egress *egress.Client
	Vault  *vault.Vault // keeps the secrets that sign
	// PublicURL begins the links that notices and payloads hold.
	PublicURL string
	Now       func() time.Time
	// Lease is how long a process owns a delivery that it does not finish.
	Lease time.Duration
	// Sweep is how often deliveries without a job are looked for, once a second at most.
	Sweep time.Duration
	// Timeout is how long one try may last, 10 s where it is 0.
	Timeout time.Duration
	// Rate is how many tries of one subscription may begin in a second, 100 where it is 0.
	Rate int
	// SweepMost is how many due deliveries one look takes at a time, 500 where it is 0.
	SweepMost int
}

// Service tells merchants' servers what happened.
type Service struct {
	pool *pgxpool.Pool
	jobs *river.Client[pgx.Tx]
	o    Options
	now  func() time.Time
}

// New returns a service; jobs only needs to insert.
func New(pool *pgxpool.Pool, jobs *river.Client[pgx.Tx], o Options) *Service {
	if o.Timeout == 0 {
		o.Timeout = tryTimeout
	}
	if o.Rate == 0 {
		o.Rate = perSecond
	}
	if o.SweepMost == 0 {
		o.SweepMost = sweepMost
	}
	o.Sweep = max(o.Sweep, sweepLeast)
	return &Service{pool: pool, jobs: jobs, o: o, now: o.Now}
}

const (
	// sweepMost bounds one look at the rows; the next one takes the rest.
	sweepMost = 500
	// sweepLeast is the shortest period in which the queue takes a job only once.
	sweepLeast = time.Second
)

// SweepEvery is how often [Service.Sweep] should run.
func (s *Service) SweepEvery() time.Duration { return s.o.Sweep }

func notFound(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// cursor is larger than every id when none is given.
func cursor(before string) string {
	if before == "" {
		return "~"
	}
	return before
}
