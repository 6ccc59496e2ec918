package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"xsynesis/checkout"
)

const (
	recheckEvery   = 30 * time.Second
	reconcileEvery = time.Hour
	// reconcileTimeout is how long it may take to read what came since the last time.
	reconcileTimeout = 10 * time.Minute
)

type recheck struct {
	river.WorkerDefaults[checkout.RecheckArgs]
	checkout *checkout.Service
}

func (w *recheck) Work(ctx context.Context, _ *river.Job[checkout.RecheckArgs]) error {
	return w.checkout.Recheck(ctx)
}
func (w *recheck) Timeout(*river.Job[checkout.RecheckArgs]) time.Duration { return timeout }

type find struct {
	river.WorkerDefaults[checkout.FindArgs]
	checkout *checkout.Service
}

func (w *find) Work(ctx context.Context, job *river.Job[checkout.FindArgs]) error {
	return w.checkout.Find(ctx, job.Args.Settlement)
}
func (w *find) Timeout(*river.Job[checkout.FindArgs]) time.Duration { return timeout }

type reconcileChains struct {
	river.WorkerDefaults[checkout.ReconcileChainsArgs]
	checkout *checkout.Service
}

func (w *reconcileChains) Work(ctx context.Context, _ *river.Job[checkout.ReconcileChainsArgs]) error {
	return w.checkout.ReconcileChains(ctx)
}
func (w *reconcileChains) Timeout(*river.Job[checkout.ReconcileChainsArgs]) time.Duration {
	return reconcileTimeout
}
