package wire

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
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
func Worker(ctx context.Context, c *config.Config) error { return WorkerWith(ctx, c, Timing{}) }

// WorkerWith is [Worker] with other times.
func WorkerWith(ctx context.Context, c *config.Config, t Timing) error {
	p, err := Build(ctx, c, true, t)
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
	g.Go(func() error { return p.Hub.Run(ctx) })
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
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues: map[string]river.QueueConfig{
			checkout.QueueSettle: {MaxWorkers: 256}, checkout.QueueChain: {MaxWorkers: 16}, checkout.QueueMaint: {MaxWorkers: 16},
		},
		Workers: jobs.Workers(p.Checkout), PeriodicJobs: jobs.Periodic(p.Checkout),
		FetchCooldown: fetchCooldown, JobTimeout: jobTimeout, RescueStuckJobsAfter: rescueAfter, SoftStopTimeout: softStop,
	})
	if err != nil {
		return fmt.Errorf("open the queues: %w", err)
	}
	relaying, stopRelaying := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRelaying()
	var relayers errgroup.Group
	for _, r := range p.Relayers {
		relayers.Go(func() error { return r.Run(relaying) })
	}
	if err := client.Start(relaying); err != nil {
		return fmt.Errorf("start the queues: %w", err)
	}
	if c.RunOnce {
		err = p.drain(ctx)
	} else {
		<-ctx.Done()
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), config.DrainTimeout)
	defer cancel()
	stopErr := client.Stop(stop)
	stopRelaying()
	return errors.Join(err, stopErr, relayers.Wait())
}

// drain waits until nothing is due.
func (p *Parts) drain(ctx context.Context) error {
	const due = `SELECT EXISTS (SELECT FROM river_job WHERE state IN ('available', 'running')
		OR state IN ('scheduled', 'retryable') AND scheduled_at <= now())`
	for quiet := 0; quiet < 3; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
		var busy bool
		if err := p.Pool.QueryRow(ctx, due).Scan(&busy); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("look for due work: %w", err)
		}
		if quiet++; busy {
			quiet = 0
		}
	}
	return nil
}
