package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"xsynesis/shop"
)

type payeeSweep struct {
	river.WorkerDefaults[shop.PayeeSweepArgs]
	payees *shop.Payees
}

func (w *payeeSweep) Work(ctx context.Context, _ *river.Job[shop.PayeeSweepArgs]) error {
	return w.payees.Sweep(ctx)
}
func (w *payeeSweep) Timeout(*river.Job[shop.PayeeSweepArgs]) time.Duration { return timeout }
