package webhook

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

// auditSlack is how far from the end of the log's time an event's deliveries may be on their way out.
const auditSlack = 24 * time.Hour

// Audit looks for what must never be, a line for each: an event without its deliveries, a delivery that does not agree
// with its tries, or one under way without a job. No line means that all is well.
func (s *Service) Audit(ctx context.Context) ([]string, error) {
	q := queries.New()
	rules := []struct {
		rule string
		look func(context.Context, queries.DBTX) ([]string, error)
	}{
		{"every event has one original delivery for each who asked", func(ctx context.Context, db queries.DBTX) ([]string, error) {
			return q.AuditOriginals(ctx, db, string(id.First[id.Event](s.now().Add(auditSlack-logKept))))
		}},
		{"a delivery fits its event and its subscription", q.AuditDeliverees},
		{"a delivery agrees with its tries", func(ctx context.Context, db queries.DBTX) ([]string, error) {
			return q.AuditTries(ctx, db, int32(len(waits)+1))
		}},
		{"a delivery on its way has a job", s.auditJobs},
	}
	var findings []string
	for _, r := range rules {
		broken, err := r.look(ctx, s.pool)
		if err != nil {
			return findings, fmt.Errorf("audit whether %s: %w", r.rule, err)
		}
		for _, what := range broken {
			findings = append(findings, r.rule+": "+what)
		}
	}
	return findings, nil
}

// jobless finds what is under way without a job that would come back to it.
const jobless = `
(SELECT 'delivery ' || d.id FROM deliveries d WHERE d.status = 'pending' AND d.created_at < $1
EXCEPT
SELECT 'delivery ' || (j.args->>'delivery') FROM river_job j WHERE j.kind = 'deliver' AND j.finalized_at IS NULL)
UNION ALL
(SELECT 'replay ' || r.id FROM replays r WHERE r.status = 'running' AND r.updated_at < $1
EXCEPT
SELECT 'replay ' || (j.args->>'replay') FROM river_job j WHERE j.kind = 'replay' AND j.finalized_at IS NULL)`

func (s *Service) auditJobs(ctx context.Context, db queries.DBTX) ([]string, error) {
	rows, err := db.Query(ctx, jobless, s.now().Add(-max(time.Minute, 4*s.o.Sweep)))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
