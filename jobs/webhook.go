package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"xsynesis/webhook"
)

// purgeTimeout is how long it may take to delete what is no longer kept; the next run takes the rest.
const purgeTimeout = 10 * time.Minute

type deliver struct {
	river.WorkerDefaults[webhook.DeliverArgs]
	webhook *webhook.Service
}

func (w *deliver) Work(ctx context.Context, job *river.Job[webhook.DeliverArgs]) error {
	return w.webhook.Deliver(ctx, job.Args.Delivery, job.Queue)
}
func (w *deliver) Timeout(*river.Job[webhook.DeliverArgs]) time.Duration { return timeout }
func (w *deliver) NextRetry(*river.Job[webhook.DeliverArgs]) time.Time   { return soon() }

type replay struct {
	river.WorkerDefaults[webhook.ReplayArgs]
	webhook *webhook.Service
}

func (w *replay) Work(ctx context.Context, job *river.Job[webhook.ReplayArgs]) error {
	return w.webhook.ReplayNext(ctx, job.Args.Replay)
}
func (w *replay) Timeout(*river.Job[webhook.ReplayArgs]) time.Duration { return timeout }
func (w *replay) NextRetry(*river.Job[webhook.ReplayArgs]) time.Time   { return soon() }

type webhookSweep struct {
	river.WorkerDefaults[webhook.SweepArgs]
	webhook *webhook.Service
}

func (w *webhookSweep) Work(ctx context.Context, _ *river.Job[webhook.SweepArgs]) error {
	return w.webhook.Sweep(ctx)
}

type webhookPurge struct {
	river.WorkerDefaults[webhook.PurgeArgs]
	webhook *webhook.Service
}

func (w *webhookPurge) Work(ctx context.Context, _ *river.Job[webhook.PurgeArgs]) error {
	return w.webhook.Purge(ctx)
}
func (w *webhookPurge) Timeout(*river.Job[webhook.PurgeArgs]) time.Duration { return purgeTimeout }
