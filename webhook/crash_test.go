package webhook_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"xsynesis/egress"
	"xsynesis/fault"
	"xsynesis/jobs" //nolint:depguard // these tests run the workers that production runs
	"xsynesis/webhook"
)

// What a child of this test binary is told.
const (
	crashStep     = "WEBHOOK_CRASH_STEP"
	crashDatabase = "WEBHOOK_CRASH_DATABASE"
)

// TestCrash kills a dispatcher at every moment of a delivery. Whatever the moment, the event arrives, what arrives twice
// is the same, and a try that nobody finished is shown and does not count.
func TestCrash(t *testing.T) {
	t.Parallel()
	calls := map[fault.Step]int{fault.WebhookClaimed: 1, fault.WebhookAnswered: 2, fault.WebhookRecorded: 1}
	for _, step := range fault.WebhookSteps {
		t.Run(string(step), func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			r := receive(t, nil)
			s.listenAt(t, r)
			s.publish(t, s.event(webhook.PaymentCompleted, "pa_1"))
			dieAt(t, step, s.pool.Config().ConnString())
			s.lead(t)

			s.dispatch(t)
			d := s.awaitOnly(t, "delivered", is(webhook.Delivered))
			require.Eventually(t, func() bool {
				return s.count(t, `SELECT count(*) FROM subscription_slots WHERE lease_until > $1`, s.clock.now()) == 0
			}, soon, look)
			require.Equal(t, 1, d.Tries)
			if step == fault.WebhookRecorded {
				require.Len(t, d.Log, 1)
			} else {
				require.Len(t, d.Log, 2)
				require.Equal(t, webhook.TryInterrupted, d.Log[0].State)
			}
			got := r.await(t, calls[step])
			require.Len(t, got, calls[step])
			sameBytes(t, got)
			s.sound(t)
		})
	}
}

// dieAt runs a dispatcher in a process of its own, which a fault kills.
func dieAt(t *testing.T, step fault.Step, database string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestDispatcherOfACrash$")
	child.Env = append(os.Environ(), crashStep+"="+string(step), crashDatabase+"="+database)
	out, err := child.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "the dispatcher lived: %s", out)
	require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal(), "%s", out)
	require.NoError(t, ctx.Err(), "the step was never met")
}

// TestDispatcherOfACrash is the child; without its environment it has nothing to do.
func TestDispatcherOfACrash(t *testing.T) {
	step := os.Getenv(crashStep)
	if step == "" {
		return
	}
	pool, err := pgxpool.New(t.Context(), os.Getenv(crashDatabase))
	require.NoError(t, err)
	insert, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	now := &clock{}
	hooks := webhook.New(pool, insert, webhook.Options{
		Egress: egress.New(egress.Options{AllowPrivate: true, Own: ownURL}), Vault: newVault(t), PublicURL: ownURL, Now: now.now,
		Lease: 2 * time.Second, Sweep: time.Second, Timeout: tryLasts,
	})
	queue, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues: map[string]river.QueueConfig{webhook.QueueWebhook: {MaxWorkers: 4}}, Workers: jobs.Workers(nil, hooks, nil, nil, nil),
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	fault.Arm(fault.Step(step))
	require.NoError(t, queue.Start(context.Background()))
	time.Sleep(time.Minute)
}
