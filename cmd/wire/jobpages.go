package wire

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"riverqueue.com/riverui"

	"xsynesis/views"
)

// jobPagesRest is how long after the last look the pages of the queue go to sleep.
const jobPagesRest = 5 * time.Minute

// jobPages show the queue to an operator, and change jobs on his word; they work none. While awake they count every job
// of the table every ten seconds, so they sleep unless somebody looks.
type jobPages struct {
	ctx  context.Context //nolint:containedctx // The process's own: the pages live as long, and longer than a request.
	jobs *river.Client[pgx.Tx]

	mu    sync.Mutex
	awake *riverui.Handler // nil while asleep
	rest  *time.Timer
}

func (j *jobPages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	pages, err := j.wake()
	if err != nil {
		slog.ErrorContext(r.Context(), "the pages of the queue do not open", "error", err)
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	pages.ServeHTTP(w, r)
}

func (j *jobPages) wake() (*riverui.Handler, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.awake != nil {
		j.rest.Reset(jobPagesRest)
		return j.awake, nil
	}
	pages, err := riverui.NewHandler(&riverui.HandlerOpts{
		Endpoints: riverui.NewEndpoints(j.jobs, nil), Logger: slog.Default(), Prefix: views.AdminJobsPath, JobListHideArgsByDefault: true,
	})
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	ctx, sleep := context.WithCancel(j.ctx)
	if err := pages.Start(ctx); err != nil {
		sleep()
		return nil, fmt.Errorf("start: %w", err)
	}
	j.awake = pages
	j.rest = time.AfterFunc(jobPagesRest, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.awake = nil
		sleep()
	})
	return pages, nil
}
