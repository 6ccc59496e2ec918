package checkout

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

// leased is a settlement that this worker owns for a while, and the payment that it moves. Simulated ones have none.
type leased struct {
	row   queries.Settlement
	claim queries.Claim
	lease []byte
}

// leasing asks for a settlement. The lease is made before it is asked for, so that it may be asked for again.
type leasing struct {
	settlement id.Settlement
	lease      []byte
}

func newLeasing(settlement id.Settlement) leasing {
	lease := make([]byte, 16)
	_, _ = rand.Read(lease)
	return leasing{settlement, lease}
}

// renewAtMost is how often a lease is renewed at most.
const renewAtMost = 100 * time.Millisecond

// renew keeps a lease while this worker lives and needs it, so that a dead one's can be short. The caller ends it.
func (s *Service) renew(ctx context.Context, l leased) (end func()) {
	ctx, end = context.WithCancel(ctx)
	go func() {
		tick := time.NewTicker(max(s.o.Lease/3, renewAtMost))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			n, err := queries.New().SettlementRenew(ctx, s.pool, queries.SettlementRenewParams{
				ID: l.row.ID, Lease: l.lease, Until: s.now().Add(s.o.Lease),
			})
			if err == nil && n == 0 { // it ended, or is another worker's
				return
			}
		}
	}()
	return end
}

// leaseMost is how many settlements are leased by one transaction at most.
const leaseMost = 64

// leaseAll takes the settlements that jobs ask for at the same time; those that are not to be had are left empty.
func (s *Service) leaseAll(ctx context.Context, all []leasing) ([]leased, error) {
	now := s.now()
	p := queries.SettlementsLeaseParams{Now: now, Until: now.Add(s.o.Lease)}
	for _, l := range all {
		p.Ids, p.Leases = append(p.Ids, string(l.settlement)), append(p.Leases, l.lease)
	}
	taken := make([]leased, len(all))
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		rows, err := queries.New().SettlementsLease(ctx, tx, p)
		if err != nil {
			return err
		}
		for _, row := range rows {
			i := slices.IndexFunc(p.Leases, func(lease []byte) bool { return bytes.Equal(lease, row.Lease) })
			taken[i] = leased{row: row, lease: row.Lease}
		}
		return claimsOfTx(ctx, tx, taken)
	})
	return taken, err
}

// claimsOfTx puts the payments beside the settlements that have one.
func claimsOfTx(ctx context.Context, tx pgx.Tx, taken []leased) error {
	var claims []string
	for _, l := range taken {
		if l.row.ClaimID != nil {
			claims = append(claims, string(*l.row.ClaimID))
		}
	}
	if len(claims) == 0 {
		return nil
	}
	rows, err := queries.New().ClaimsByID(ctx, tx, claims)
	if err != nil {
		return fmt.Errorf("claims: %w", err)
	}
	for i, l := range taken {
		for _, claim := range rows {
			if l.row.ClaimID != nil && claim.ID == *l.row.ClaimID {
				taken[i].claim = claim
			}
		}
	}
	return nil
}

// unlease lets the next try begin at once, after one that could not write down what it found.
func (s *Service) unlease(ctx context.Context, row queries.Settlement, lease []byte, cause error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := queries.New().SettlementUnlease(ctx, s.pool, queries.SettlementUnleaseParams{
		ID: row.ID, Lease: lease, LastError: reason(cause), Now: s.now(),
	}); err != nil {
		slog.WarnContext(ctx, "giving back a lease", "settlement", row.ID, "error", err)
	}
}
