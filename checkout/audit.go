package checkout

import (
	"context"
	"fmt"

	"xsynesis/queries"
)

// Finding is something that must never be: a rule, and what breaks it.
type Finding struct {
	Rule string
	What string
}

func (f Finding) String() string { return f.Rule + ": " + f.What }

// Audit checks the books against themselves and against the chain. No finding means that all is well;
// an error means that not everything could be checked.
func (s *Service) Audit(ctx context.Context) ([]Finding, error) {
	q := queries.New()
	rules := []struct {
		rule string
		look func(context.Context, queries.DBTX) ([]string, error)
	}{
		{"the entries of a posting sum to zero", q.AuditUnbalanced},
		{"a cached balance is the sum of its entries", q.AuditBalances},
		{"no wallet is below zero", q.AuditNegative},
		{"an authorization has one settlement", q.AuditAuthorizations},
		{"a purchase has one living claim", q.AuditClaims},
		{"a paid purchase has its sales", q.AuditSales},
		{"a purchase and its settlement agree", q.AuditStates},
		{"a settlement is in the books once", q.AuditEntries},
		{"a link counts what its purchases hold", q.AuditLinks},
		{"a purchase that ended holds nothing", q.AuditHolds},
		{"a link's totals are those of its sales", q.AuditTotals},
		{"the days' totals are those of the sales", q.AuditSums},
		{"no relayer nonce is left out", q.AuditRelayGaps},
		{"what is sold, held and free was put in", q.AuditStock},
		{"stock is held by who may pay, and claimed by who paid", q.AuditReservations},
		{"a sale has the stock that it claimed", q.AuditReserved},
		{"a key is given to one who paid for it", q.AuditKeys},
		{"a code counts its uses, and who did not pay has none", q.AuditCodes},
		{"a call is paid for, or its payment is let go", q.AuditCalls},
		{"a pass was paid for as often as it says", q.AuditPasses},
		{"what went back is what refunds say", q.AuditRefunds},
		{"what is under way has a job", s.auditJobs},
	}
	var findings []Finding
	for _, r := range rules {
		broken, err := r.look(ctx, s.pool)
		if err != nil {
			return findings, fmt.Errorf("audit whether %s: %w", r.rule, err)
		}
		for _, what := range broken {
			findings = append(findings, Finding{r.rule, what})
		}
	}
	for network, chain := range s.chains {
		broken, err := s.auditChain(ctx, network, chain)
		if err != nil {
			return findings, fmt.Errorf("audit the chain of %s: %w", network, err)
		}
		findings = append(findings, broken...)
	}
	return findings, nil
}

// jobless finds rows under way without a job that would come back to them. River's own table is not
// in our schema, so the statement stands here.
const jobless = `
SELECT 'settlement ' || s.id FROM settlements s
WHERE s.status IN ('queued', 'signed', 'broadcast', 'requested') AND s.created_at < $1
  AND NOT EXISTS (SELECT FROM river_job j WHERE j.kind IN ('settle', 'resume') AND j.args->>'settlement' = s.id AND j.finalized_at IS NULL)
UNION ALL
SELECT 'purchase ' || a.id FROM attempts a
WHERE a.status = 'open' AND a.created_at < $1
  AND NOT EXISTS (SELECT FROM river_job j WHERE j.kind = 'expire' AND j.args->>'attempt' = a.id AND j.finalized_at IS NULL)
UNION ALL
SELECT 'call ' || c.attempt_id FROM calls c
WHERE c.state = 'calling' AND NOT c.first AND c.created_at < $1
  AND NOT EXISTS (SELECT FROM river_job j WHERE j.kind = 'release' AND j.args->>'attempt' = c.attempt_id AND j.finalized_at IS NULL)
UNION ALL
SELECT 'refund ' || r.id FROM refunds r
WHERE r.status = 'sent' AND NOT r.collected AND r.updated_at < $1
  AND NOT EXISTS (SELECT FROM river_job j WHERE j.kind = 'refund' AND j.args->>'refund' = r.id AND j.finalized_at IS NULL)`

func (s *Service) auditJobs(ctx context.Context, db queries.DBTX) ([]string, error) {
	rows, err := db.Query(ctx, jobless, s.now().Add(-4*s.o.Sweep))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var what string
		if err := rows.Scan(&what); err != nil {
			return nil, err
		}
		out = append(out, what)
	}
	return out, rows.Err()
}
