package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"xsynesis/checkout"
)

type transfer struct {
	river.WorkerDefaults[checkout.TransferArgs]
	checkout *checkout.Service
}

func (w *transfer) Work(ctx context.Context, job *river.Job[checkout.TransferArgs]) error {
	return w.checkout.LookForTransfer(ctx, job.Args.Attempt)
}
func (w *transfer) NextRetry(*river.Job[checkout.TransferArgs]) time.Time { return soon() }
