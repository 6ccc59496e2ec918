package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"xsynesis/checkout"
)

type recount struct {
	river.WorkerDefaults[checkout.RecountArgs]
	checkout *checkout.Service
}

func (w *recount) Work(ctx context.Context, job *river.Job[checkout.RecountArgs]) error {
	return w.checkout.Recount(ctx, job.Args.Merchant)
}

// Timeout is long: it reads all that a shop ever sold.
func (w *recount) Timeout(*river.Job[checkout.RecountArgs]) time.Duration { return 10 * timeout }
func (w *recount) NextRetry(*river.Job[checkout.RecountArgs]) time.Time   { return soon() }
