package checkout

import (
	"time"

	"github.com/riverqueue/river"

	"xsynesis/id"
)

// The queues of the money's way.
const (
	QueueSettle = "settle"
	QueueChain  = "chain"
	QueueMaint  = "maint"
)

// maxTries never ends a job: our own rows decide when the work is done.
const maxTries = 10_000

// SettleArgs asks a worker to bring one settlement to its end.
type SettleArgs struct {
	Settlement id.Settlement `json:"settlement" river:"unique"`
}

// Kind names the job.
func (SettleArgs) Kind() string { return "settle" }

// InsertOpts puts it on its queue.
func (SettleArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueSettle, MaxAttempts: maxTries}
}

// ResumeArgs asks for one look at a settlement that may have lost its job; the sweeper comes again.
type ResumeArgs struct {
	Settlement id.Settlement `json:"settlement" river:"unique"`
}

// Kind names the job.
func (ResumeArgs) Kind() string { return "resume" }

// InsertOpts puts it on its queue.
func (ResumeArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueSettle, MaxAttempts: 1}
}

// ExpireArgs ends one purchase when its time is over.
type ExpireArgs struct {
	Attempt id.Attempt `json:"attempt" river:"unique"`
}

// Kind names the job.
func (ExpireArgs) Kind() string { return "expire" }

// InsertOpts puts it on its queue.
func (ExpireArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueMaint, MaxAttempts: maxTries}
}

// ReleaseArgs lets the payment of a call go that nothing came of in time.
type ReleaseArgs struct {
	Attempt id.Attempt `json:"attempt" river:"unique"`
}

// Kind names the job.
func (ReleaseArgs) Kind() string { return "release" }

// InsertOpts puts it on its queue.
func (ReleaseArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueMaint, MaxAttempts: maxTries}
}

// LookArgs asks the chain about a payment that was refused, once it can no longer be sent by anybody.
type LookArgs struct {
	Claim id.Claim `json:"claim" river:"unique"`
}

// Kind names the job.
func (LookArgs) Kind() string { return "look" }

// InsertOpts puts it on its queue.
func (LookArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueChain, MaxAttempts: maxTries}
}

// SweepArgs looks for work that lost its job.
type SweepArgs struct{}

// Kind names the job.
func (SweepArgs) Kind() string { return "sweep" }

// InsertOpts puts it on its queue; one waits at a time.
func (SweepArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueMaint, MaxAttempts: 1}
}

// FinalizeArgs turns confirmed settlements final once the chain cannot take them back.
type FinalizeArgs struct{}

// Kind names the job.
func (FinalizeArgs) Kind() string { return "finalize" }

// InsertOpts puts it on its queue.
func (FinalizeArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueChain, MaxAttempts: 1}
}

// sweptOnce keeps the sweeper from giving one row two jobs within a sweep.
func sweptOnce(every time.Duration) *river.InsertOpts {
	return &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: every}}
}
