package checkout

import (
	"context"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/evm"
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

// arrival is where money came in: a log that nothing can forge.
type arrival struct {
	transaction common.Hash
	index       uint
}

// auditChain holds every confirmed settlement against a Transfer of the token, and the other way round.
func (s *Service) auditChain(ctx context.Context, network string, chain *evm.Chain) ([]Finding, error) {
	q := queries.New()
	// The settlements are read before the chain, so that what they say is there must be.
	settlements, err := q.AuditConfirmed(ctx, s.pool, network)
	if err != nil {
		return nil, err
	}
	payees, err := q.AuditPayees(ctx, s.pool, network)
	if err != nil {
		return nil, err
	}
	addresses := make([]common.Address, len(payees))
	for i, p := range payees {
		addresses[i] = common.HexToAddress(p)
	}
	watched := len(addresses)
	for _, row := range settlements { // also those of strangers, whom other payments are no matter of ours
		if to := common.HexToAddress(row.PayTo); row.AttemptID == nil && !slices.Contains(addresses, to) {
			addresses = append(addresses, to)
		}
	}
	head, err := chain.Head(ctx)
	if err != nil {
		return nil, err
	}
	transfers, err := chain.Transfers(ctx, addresses, 0, head.Number)
	if err != nil {
		return nil, err
	}
	findings, unexplained := compare(settlements, transfers)
	unexplained = slices.DeleteFunc(unexplained, func(t evm.Proof) bool { return !slices.Contains(addresses[:watched], t.Payee) })
	if unexplained, err = s.withoutOurs(ctx, network, unexplained); err != nil {
		return nil, err
	}
	more, err := s.auditUnexplained(ctx, network, unexplained)
	return append(findings, more...), err
}

// compare finds the settlements that are not on the chain, and the transfers that no settlement names.
func compare(settlements []queries.Settlement, transfers []evm.Proof) (findings []Finding, unexplained []evm.Proof) {
	came := make(map[arrival]evm.Proof, len(transfers))
	for _, t := range transfers {
		came[arrival{t.Transaction, t.LogIndex}] = t
	}
	for _, row := range settlements {
		at := arrival{common.HexToHash(row.Transaction), uint(*row.LogIndex)}
		t, ok := came[at]
		switch {
		case !ok:
			findings = append(findings, Finding{"a confirmed settlement is on the chain", string(row.ID) + " is not: " + row.Transaction})
		case lower(t.Payer) != row.Payer || lower(t.Payee) != row.PayTo || t.Value != row.Amount || t.BlockHash.Hex() != *row.BlockHash:
			findings = append(findings, Finding{"a confirmed settlement is on the chain", string(row.ID) + " differs from " + row.Transaction})
		}
		delete(came, at)
	}
	for _, t := range came {
		if t.Value > 0 { // anybody can have a token say that nothing moved
			unexplained = append(unexplained, t)
		}
	}
	return findings, unexplained
}

// auditUnexplained looks a second time: a transfer may be that of a settlement which is under way, as after a crash,
// or which was confirmed since the first look.
func (s *Service) auditUnexplained(ctx context.Context, network string, transfers []evm.Proof) ([]Finding, error) {
	if len(transfers) == 0 {
		return nil, nil
	}
	transactions := make([]string, len(transfers))
	for i, t := range transfers {
		transactions[i] = t.Transaction.Hex()
	}
	moving, err := queries.New().AuditMoving(ctx, s.pool, queries.AuditMovingParams{Network: network, Transactions: transactions})
	if err != nil {
		return nil, err
	}
	var findings []Finding
	for _, t := range transfers {
		explained := slices.ContainsFunc(moving, func(m queries.AuditMovingRow) bool {
			return (m.Transaction == t.Transaction.Hex() || m.Transaction == "") && m.Payer == lower(t.Payer) && m.PayTo == lower(t.Payee) && m.Amount == t.Value &&
				(m.LogIndex == nil || uint(*m.LogIndex) == t.LogIndex)
		})
		if !explained {
			findings = append(findings, Finding{"a transfer to a shop is explained", fmt.Sprintf("%s USDC from %s in %s is not", t.Value, t.Payer, t.Transaction)})
		}
	}
	return findings, nil
}
