package ledger

import (
	"time"

	"github.com/riverqueue/river"
)

// QueueMoney is where money that leaves stands.
const QueueMoney = "money"

// SendArgs asks a worker to bring a payout or a refund to its end.
type SendArgs struct {
	Sending string `json:"sending" river:"unique"`
}

// Kind names the job.
func (SendArgs) Kind() string { return "send" }

// InsertOpts puts it on its queue. Its row, not the queue, knows when to end.
func (SendArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueMoney, MaxAttempts: 10_000}
}

// KeepArgs asks a worker to look after what is kept for shops, see [Custody.Keep].
type KeepArgs struct{}

// Kind names the job.
func (KeepArgs) Kind() string { return "keep" }

// InsertOpts puts it on its queue; one waits at a time.
func (KeepArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueMoney, MaxAttempts: 1}
}

// RecomputeArgs asks a worker to hold every cached balance against its entries.
type RecomputeArgs struct{}

// Kind names the job.
func (RecomputeArgs) Kind() string { return "recompute" }

// InsertOpts puts it on its queue; one waits at a time.
func (RecomputeArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueMoney, MaxAttempts: 1}
}

// sweptOnce keeps the sweeper from giving one row two jobs within a sweep.
func sweptOnce(every time.Duration) *river.InsertOpts {
	return &river.InsertOpts{MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: every}}
}
