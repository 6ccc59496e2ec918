package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"xsynesis/checkout"
)

type refund struct {
	river.WorkerDefaults[checkout.RefundArgs]
	checkout *checkout.Service
}

func (w *refund) Work(ctx context.Context, job *river.Job[checkout.RefundArgs]) error {
	return w.checkout.LookForRefund(ctx, job.Args.Refund)
}
func (w *refund) Timeout(*river.Job[checkout.RefundArgs]) time.Duration { return timeout }
func (w *refund) NextRetry(*river.Job[checkout.RefundArgs]) time.Time   { return soon() }
