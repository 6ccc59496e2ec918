// Package jobs runs a shop's background work: each worker calls one method of the business.
package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/ledger"
	"xsynesis/shop"
	"xsynesis/webhook"
)

// timeout ends a job that hangs; the row's lease outlives it.
const timeout = 60 * time.Second

// Workers registers a worker for every kind of job.
func Workers(c *checkout.Service, hooks *webhook.Service, people *access.Service, payees *shop.Payees, custody *ledger.Custody) *river.Workers {
	w := river.NewWorkers()
	river.AddWorker(w, &settle{checkout: c})
	river.AddWorker(w, &resume{checkout: c})
	river.AddWorker(w, &expire{checkout: c})
	river.AddWorker(w, &release{checkout: c})
	river.AddWorker(w, &look{checkout: c})
	river.AddWorker(w, &sweep{checkout: c})
	river.AddWorker(w, &finalize{checkout: c})
	river.AddWorker(w, &refund{checkout: c})
	river.AddWorker(w, &reconcile{checkout: c})
	river.AddWorker(w, &recheck{checkout: c})
	river.AddWorker(w, &find{checkout: c})
	river.AddWorker(w, &reconcileChains{checkout: c})
	river.AddWorker(w, &transfer{checkout: c})
	river.AddWorker(w, &recount{checkout: c})
	river.AddWorker(w, &deliver{webhook: hooks})
	river.AddWorker(w, &replay{webhook: hooks})
	river.AddWorker(w, &webhookSweep{webhook: hooks})
	river.AddWorker(w, &webhookPurge{webhook: hooks})
	river.AddWorker(w, &accessPurge{access: people})
	river.AddWorker(w, &payeeSweep{payees: payees})
	river.AddWorker(w, &send{custody: custody})
	river.AddWorker(w, &keep{custody: custody})
	river.AddWorker(w, &recompute{custody: custody})
	return w
}

// Periodic lists the work that comes round by itself; every process that may lead registers all of it.
func Periodic(c *checkout.Service, hooks *webhook.Service, custody *ledger.Custody) []*river.PeriodicJob {
	at := func(every time.Duration, args river.JobArgs) *river.PeriodicJob {
		once := &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: every}}
		return river.NewPeriodicJob(river.PeriodicInterval(every),
			func() (river.JobArgs, *river.InsertOpts) { return args, once }, &river.PeriodicJobOpts{RunOnStart: true})
	}
	return []*river.PeriodicJob{
		at(c.SweepEvery(), checkout.SweepArgs{}), at(finalizeEvery, checkout.FinalizeArgs{}),
		at(recheckEvery, checkout.RecheckArgs{}), at(reconcileEvery, checkout.ReconcileChainsArgs{}),
		at(hooks.SweepEvery(), webhook.SweepArgs{}), at(purgeEvery, webhook.PurgeArgs{}), at(purgeEvery, access.PurgeArgs{}),
		at(payeesEvery, shop.PayeeSweepArgs{}),
		at(custody.SweepEvery(), ledger.KeepArgs{}), at(recomputeEvery, ledger.RecomputeArgs{}),
	}
}

const (
	finalizeEvery  = 15 * time.Second
	purgeEvery     = time.Hour
	recomputeEvery = 24 * time.Hour
	payeesEvery    = 30 * time.Second
)

// soon is when a job that failed is tried again: the rows, not the queue, know how long to go on.
func soon() time.Time { return time.Now().Add(retry) }

const retry = time.Second

type settle struct {
	river.WorkerDefaults[checkout.SettleArgs]
	checkout *checkout.Service
}

func (w *settle) Work(ctx context.Context, job *river.Job[checkout.SettleArgs]) error {
	return w.checkout.Settle(ctx, job.Args.Settlement)
}
func (w *settle) Timeout(*river.Job[checkout.SettleArgs]) time.Duration { return timeout }
func (w *settle) NextRetry(*river.Job[checkout.SettleArgs]) time.Time   { return soon() }

type resume struct {
	river.WorkerDefaults[checkout.ResumeArgs]
	checkout *checkout.Service
}

func (w *resume) Work(ctx context.Context, job *river.Job[checkout.ResumeArgs]) error {
	err := w.checkout.Settle(ctx, job.Args.Settlement)
	if open := (&river.JobSnoozeError{}); errors.As(err, &open) {
		return nil
	}
	return err
}
func (w *resume) Timeout(*river.Job[checkout.ResumeArgs]) time.Duration { return timeout }

type expire struct {
	river.WorkerDefaults[checkout.ExpireArgs]
	checkout *checkout.Service
}

func (w *expire) Work(ctx context.Context, job *river.Job[checkout.ExpireArgs]) error {
	return w.checkout.Expire(ctx, job.Args.Attempt)
}
func (w *expire) NextRetry(*river.Job[checkout.ExpireArgs]) time.Time { return soon() }

type release struct {
	river.WorkerDefaults[checkout.ReleaseArgs]
	checkout *checkout.Service
}

func (w *release) Work(ctx context.Context, job *river.Job[checkout.ReleaseArgs]) error {
	return w.checkout.Release(ctx, job.Args.Attempt)
}
func (w *release) NextRetry(*river.Job[checkout.ReleaseArgs]) time.Time { return soon() }

type look struct {
	river.WorkerDefaults[checkout.LookArgs]
	checkout *checkout.Service
}

func (w *look) Work(ctx context.Context, job *river.Job[checkout.LookArgs]) error {
	return w.checkout.Look(ctx, job.Args.Claim)
}

type sweep struct {
	river.WorkerDefaults[checkout.SweepArgs]
	checkout *checkout.Service
}

func (w *sweep) Work(ctx context.Context, _ *river.Job[checkout.SweepArgs]) error {
	return w.checkout.Sweep(ctx)
}

type finalize struct {
	river.WorkerDefaults[checkout.FinalizeArgs]
	checkout *checkout.Service
}

func (w *finalize) Work(ctx context.Context, _ *river.Job[checkout.FinalizeArgs]) error {
	return w.checkout.Finalize(ctx)
}

type reconcile struct {
	river.WorkerDefaults[checkout.ReconcileArgs]
	checkout *checkout.Service
}

func (w *reconcile) Work(ctx context.Context, job *river.Job[checkout.ReconcileArgs]) error {
	return w.checkout.Reconcile(ctx, job.Args.Callback)
}
func (w *reconcile) NextRetry(*river.Job[checkout.ReconcileArgs]) time.Time { return soon() }

type accessPurge struct {
	river.WorkerDefaults[access.PurgeArgs]
	access *access.Service
}

func (w *accessPurge) Work(ctx context.Context, _ *river.Job[access.PurgeArgs]) error {
	return w.access.Purge(ctx)
}
