package wire

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"golang.org/x/sync/errgroup"

	"xsynesis/checkout"
	"xsynesis/cmd/config"
	"xsynesis/jobs"
)

// How the queue behaves: quick to fetch, and quick to take over from a process that died.
const (
	fetchCooldown = 20 * time.Millisecond
	jobTimeout    = 60 * time.Second
	rescueAfter   = 90 * time.Second
	softStop      = 12 * time.Second
)

// Worker settles payments and does everything else that need not be seen, until ctx ends.
func Worker(ctx context.Context, c *config.Config) error { return workOnly(ctx, c, true) }

// Dispatcher tells merchants' servers what happened, until ctx ends. It holds no key that moves money, and needs no chain:
// where it is given one, it only makes sure at its start that this is no toy.
func Dispatcher(ctx context.Context, c *config.Config) error { return workOnly(ctx, c, false) }

// workOnly is a process that works queues and serves no pages.
func workOnly(ctx context.Context, c *config.Config, settles bool) error {
	p, err := Build(ctx, c, settles, Timing{})
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.checkChains(ctx, c); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	ready := p.stored
	if settles {
		ready = p.ready
		g.Go(func() error { return p.Hub.Run(ctx) })
	}
	g.Go(func() error { return p.Health.Run(ctx, thisProcess(c)) })
	g.Go(func() error { return p.serveHealth(ctx, c, ready) })
	g.Go(func() error {
		defer stop() // with RUN_ONCE the work ends by itself
		return p.work(ctx, c)
	})
	return g.Wait()
}

// work runs the relayers and the queues.
func (p *Parts) work(ctx context.Context, c *config.Config) error {
	pool, err := openPool(ctx, c, riverPoolSize)
	if err != nil {
		return err
	}
	defer pool.Close()
	mine := queuesOf(c)
	client, err := p.openQueues(pool, mine)
	if err != nil {
		return err
	}
	if err := p.checkFacilitators(ctx); err != nil {
		return err
	}
	// A stop lets what is under way finish; only then do the relayers go.
	relaying, stopRelaying := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRelaying()
	var relayers errgroup.Group
	for _, r := range p.Relayers {
		relayers.Go(func() error { return r.Run(relaying) })
	}
	relayers.Go(func() error { p.watchFacilitators(relaying); return nil })
	if mine.readChains() {
		relayers.Go(func() error { p.watchTransfers(relaying); return nil })
	}
	if err := client.Start(relaying); err != nil {
		return fmt.Errorf("start the queues: %w", err)
	}
	if c.RunOnce {
		err = p.drain(ctx, client.ID(), mine.names())
	} else {
		<-ctx.Done()
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), config.DrainTimeout)
	defer cancel()
	stopErr := client.Stop(stop)
	stopRelaying()
	return errors.Join(err, stopErr, relayers.Wait())
}

// checkFacilitators makes sure that those who are to move payments can: one that does not answer may come back, one that
// settles elsewhere never will.
func (p *Parts) checkFacilitators(ctx context.Context) error {
	if err := p.Checkout.CheckFacilitators(ctx); err != nil {
		return fmt.Errorf("FACILITATOR_URL: %w", err)
	}
	return nil
}

// watchFacilitators keeps looking at how they are, until ctx ends.
func (p *Parts) watchFacilitators(ctx context.Context) {
	tick := time.NewTicker(checkout.FacilitatorsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := p.Checkout.CheckFacilitators(ctx); err != nil {
			slog.WarnContext(ctx, "looking at the facilitators", "error", err)
		}
	}
}

// openQueues makes a client for these queues. It knows every kind of job and everything that comes round, whatever it
// works: any of the processes may lead, and whoever leads looks after all jobs.
func (p *Parts) openQueues(pool *pgxpool.Pool, mine queues) (*river.Client[pgx.Tx], error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		ID:     clientID(),
		Queues: mine, Workers: jobs.Workers(p.Checkout, p.Webhooks, p.Access, p.Payees, p.Custody), PeriodicJobs: jobs.Periodic(p.Checkout, p.Webhooks, p.Custody),
		FetchCooldown: fetchCooldown, JobTimeout: jobTimeout, RescueStuckJobsAfter: rescueAfter, SoftStopTimeout: softStop,
	})
	if err != nil {
		return nil, fmt.Errorf("open the queues: %w", err)
	}
	return client, nil
}

// clientID names this process in the queue's own tables: whoever looks there finds its host and its process id.
func clientID() string {
	return fmt.Sprintf("%.40s-%s-%d", hostname(), rand.Text()[:8], os.Getpid())
}

// How long a process that drains waits for what comes due in a moment, and when it stops waiting for that.
const (
	drainSoon  = 3 * time.Second
	drainWaits = 15 * time.Second
	drainLook  = 200 * time.Millisecond
	drainQuiet = 3 // looks in a row that found nothing
)

// drain waits until nothing is due. A payment whose outcome is open comes back every second: it is waited for, but not
// for ever, since a chain may be silent for hours.
func (p *Parts) drain(ctx context.Context, client string, mine []string) error {
	const due = `SELECT
		EXISTS (SELECT FROM river_job WHERE state = 'available' AND queue = ANY($1)),
		EXISTS (SELECT FROM river_job WHERE state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = $2),
		EXISTS (SELECT FROM river_job WHERE state IN ('scheduled', 'retryable') AND queue = ANY($1) AND scheduled_at <= $3)`
	if err := p.findLost(ctx); err != nil {
		return err
	}
	began := now()
	for quiet := 0; quiet < drainQuiet; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(drainLook):
		}
		var available, running, soon bool
		if err := p.Pool.QueryRow(ctx, due, mine, client, now().Add(drainSoon)).Scan(&available, &running, &soon); err != nil {
			return fmt.Errorf("look for due work: %w", err)
		}
		if quiet++; available || running || soon && now().Sub(began) < drainWaits {
			quiet = 0
		}
	}
	return nil
}

// findLost gives a job to what is due and has none.
func (p *Parts) findLost(ctx context.Context) error {
	return errors.Join(p.Custody.Sweep(ctx), p.Checkout.Watch(ctx), p.Checkout.Sweep(ctx), p.Webhooks.Sweep(ctx))
}
