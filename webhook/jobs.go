package webhook

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"xsynesis/id"
)

// The queues of the deliveries. What waits for slow or failing servers stands on the second, so that it never delays
// the first.
const (
	QueueWebhook     = "webhook"
	QueueWebhookSlow = "webhook_slow"
)

// queueMaint is where work that comes round by itself is done.
const queueMaint = "maint"

// maxTries never ends a job: our own rows decide when the work is done.
const maxTries = 10_000

// DeliverArgs asks for the next try of one delivery.
type DeliverArgs struct {
	Delivery id.Delivery `json:"delivery" river:"unique"`
}

// Kind names the job.
func (DeliverArgs) Kind() string { return "deliver" }

// InsertOpts puts it on its queue.
func (DeliverArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueWebhook, MaxAttempts: maxTries}
}

// ReplayArgs asks for the next part of a replay.
type ReplayArgs struct {
	Replay id.Replay `json:"replay" river:"unique"`
}

// Kind names the job.
func (ReplayArgs) Kind() string { return "replay" }

// InsertOpts puts it on its queue.
func (ReplayArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueWebhook, MaxAttempts: maxTries}
}

// SweepArgs looks for deliveries and replays that lost their job.
type SweepArgs struct{}

// Kind names the job.
func (SweepArgs) Kind() string { return "webhook_sweep" }

// InsertOpts puts it on its queue; one waits at a time.
func (SweepArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueWebhook, MaxAttempts: 1}
}

// PurgeArgs deletes what is older than the log is kept.
type PurgeArgs struct{}

// Kind names the job.
func (PurgeArgs) Kind() string { return "webhook_purge" }

// InsertOpts puts it on its queue.
func (PurgeArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueMaint, MaxAttempts: 1}
}

// queued is a delivery that needs a job.
type queued struct {
	delivery id.Delivery
	slow     bool
}

// enqueueTx gives deliveries their jobs, due now or at a later time.
func (s *Service) enqueueTx(ctx context.Context, tx pgx.Tx, at time.Time, deliveries ...queued) error {
	jobs := make([]river.InsertManyParams, len(deliveries))
	for i, d := range deliveries {
		jobs[i] = river.InsertManyParams{Args: DeliverArgs{Delivery: d.delivery}, InsertOpts: &river.InsertOpts{Queue: queue(d.slow)}}
		if !at.IsZero() {
			jobs[i].InsertOpts.ScheduledAt = at
		}
	}
	if _, err := s.jobs.InsertManyFastTx(ctx, tx, jobs); err != nil {
		return fmt.Errorf("give %d deliveries a job: %w", len(jobs), err)
	}
	return nil
}

func queue(slow bool) string {
	if slow {
		return QueueWebhookSlow
	}
	return QueueWebhook
}
