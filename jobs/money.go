package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"xsynesis/ledger"
)

type send struct {
	river.WorkerDefaults[ledger.SendArgs]
	custody *ledger.Custody
}

func (w *send) Work(ctx context.Context, job *river.Job[ledger.SendArgs]) error {
	return w.custody.Send(ctx, job.Args.Sending)
}
func (w *send) Timeout(*river.Job[ledger.SendArgs]) time.Duration { return timeout }
func (w *send) NextRetry(*river.Job[ledger.SendArgs]) time.Time   { return soon() }

type keep struct {
	river.WorkerDefaults[ledger.KeepArgs]
	custody *ledger.Custody
}

func (w *keep) Work(ctx context.Context, _ *river.Job[ledger.KeepArgs]) error {
	return w.custody.Keep(ctx)
}
func (w *keep) Timeout(*river.Job[ledger.KeepArgs]) time.Duration { return timeout }

type recompute struct {
	river.WorkerDefaults[ledger.RecomputeArgs]
	custody *ledger.Custody
}

func (w *recompute) Work(ctx context.Context, _ *river.Job[ledger.RecomputeArgs]) error {
	return w.custody.Recompute(ctx)
}
func (w *recompute) Timeout(*river.Job[ledger.RecomputeArgs]) time.Duration { return purgeTimeout }
