package checkout

import (
	"context"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/id"
	"xsynesis/queries"
)

// Purchase returns one purchase with its payment and settlement, or [ErrNotFound].
func (s *Service) Purchase(ctx context.Context, attempt id.Attempt) (Purchase, error) {
	p, err := s.purchases.Do(ctx, attempt)
	if err == nil && p.ID == "" {
		err = ErrNotFound
	}
	if err != nil {
		return Purchase{}, fmt.Errorf("purchase %s: %w", attempt, err)
	}
	return p, nil
}

// loadMost is how many purchases are read together at most.
const loadMost = 128

// load reads purchases that are asked for at the same time; those that do not exist are left empty.
func (s *Service) load(ctx context.Context, attempts []id.Attempt) ([]Purchase, error) {
	q, ids := queries.New(), make([]string, len(attempts))
	for i, attempt := range attempts {
		ids[i] = string(attempt)
	}
	rows, err := q.AttemptsByID(ctx, s.pool, ids)
	if err != nil {
		return nil, err
	}
	lines, err := q.AttemptLines(ctx, s.pool, ids)
	if err != nil {
		return nil, fmt.Errorf("lines: %w", err)
	}
	linesOf := map[id.Attempt][]queries.AttemptLine{}
	for _, l := range lines {
		linesOf[l.AttemptID] = append(linesOf[l.AttemptID], l)
	}
	found := make(map[id.Attempt]*Purchase, len(rows))
	for _, row := range rows {
		a, err := s.attempt(row.Attempt, row.Merchant, row.LinkToken, linesOf[row.Attempt.ID])
		if err != nil {
			return nil, err
		}
		a.LinkMessage, a.LeadsTo = row.Message, row.LeadsTo
		found[a.ID] = &Purchase{Attempt: a}
	}
	if err := s.loadPayments(ctx, found); err != nil {
		return nil, err
	}
	out := make([]Purchase, len(attempts))
	for i, attempt := range attempts {
		if p := found[attempt]; p != nil {
			out[i] = *p
		}
	}
	return out, nil
}

// loadPayments adds what is known of the payments of those purchases that ever had one.
func (s *Service) loadPayments(ctx context.Context, found map[id.Attempt]*Purchase) error {
	var paid []string
	for _, p := range found {
		if p.Status != Open || p.Refusals > 0 {
			paid = append(paid, string(p.ID))
		}
	}
	if len(paid) == 0 {
		return nil
	}
	q := queries.New()
	claims, err := q.ClaimsLiving(ctx, s.pool, paid)
	if err != nil {
		return fmt.Errorf("claims: %w", err)
	}
	for _, c := range claims {
		found[c.AttemptID].Claim = &Claimed{
			Payer: common.HexToAddress(c.Payer), Nonce: common.HexToHash(c.Nonce), Version: int(c.Version),
			At: c.CreatedAt, ValidBefore: time.Unix(c.ValidBefore, 0).UTC(),
		}
	}
	settlements, err := q.SettlementsOfAttempts(ctx, s.pool, paid)
	if err != nil {
		return fmt.Errorf("settlements: %w", err)
	}
	for _, row := range settlements {
		settlement, err := s.settlement(row)
		if err != nil {
			return err
		}
		found[*row.AttemptID].Settlement = &settlement
	}
	return nil
}
