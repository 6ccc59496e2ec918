package shop

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
)

// Batch is codes that were made together.
type Batch struct {
	ID        id.CodeBatch
	Merchant  id.Merchant
	Livemode  bool
	Name      string
	Codes     int
	Used      int    // uses of all of them
	Revoked   int    // codes
	Bound     string // what they are for is called; empty for whatever the shop sells
	First     string // one of the codes, to show; empty where only one batch is asked for
	LinkToken string // of the link that they are for; empty for none, and in lists
	CreatedAt time.Time
	Terms
}

// Status is where most of a batch stands: one that has not begun, is over, revoked or used up says so.
func (b Batch) Status(now time.Time) CodeStatus {
	switch {
	case b.Revoked == b.Codes:
		return CodeRevoked
	case b.Used >= b.Uses*b.Codes:
		return CodeUsedUp
	}
	return Code{Terms: b.Terms}.Status(now)
}

// CodeBatch returns codes that were made together, or [ErrNotFound].
func (s *Service) CodeBatch(ctx context.Context, merchant id.Merchant, livemode bool, batch id.CodeBatch) (Batch, error) {
	row, err := queries.New().CodeBatchByID(ctx, s.pool, queries.CodeBatchByIDParams{MerchantID: merchant, Livemode: livemode, ID: batch})
	if err != nil {
		return Batch{}, fmt.Errorf("codes %s: %w", batch, notFound(err))
	}
	b := batchOf(queries.CodeBatchListRow{CodeBatch: row.CodeBatch, Used: row.Used, Revoked: row.Revoked, Bound: row.Bound})
	b.LinkToken = row.LinkToken
	return b, nil
}

// CodeBatches lists a shop's codes as they were made, newest first, with one more than the page's limit where there are more.
func (s *Service) CodeBatches(ctx context.Context, merchant id.Merchant, livemode bool, p Page) ([]Batch, error) {
	q := queries.New()
	var rows []queries.CodeBatchListRow
	var err error
	if p.After != "" {
		var up []queries.CodeBatchListAfterRow
		up, err = q.CodeBatchListAfter(ctx, s.pool, queries.CodeBatchListAfterParams{MerchantID: merchant, Livemode: livemode, After: p.After, Most: int32(p.Limit + 1)})
		for _, r := range slices.Backward(up) {
			rows = append(rows, queries.CodeBatchListRow(r))
		}
	} else {
		rows, err = q.CodeBatchList(ctx, s.pool, queries.CodeBatchListParams{MerchantID: merchant, Livemode: livemode, Before: cursor(p.Before), Most: int32(p.Limit + 1)})
	}
	if err != nil {
		return nil, fmt.Errorf("codes of %s: %w", merchant, err)
	}
	out := make([]Batch, len(rows))
	for i, r := range rows {
		out[i] = batchOf(r)
	}
	return out, nil
}

func batchOf(r queries.CodeBatchListRow) Batch {
	b := r.CodeBatch
	return Batch{
		ID: b.ID, Merchant: b.MerchantID, Livemode: b.Livemode, Name: b.Name, Codes: int(b.Codes), Used: int(r.Used), Revoked: int(r.Revoked), Bound: r.Bound,
		First: r.First, CreatedAt: b.CreatedAt, Terms: termsOf(b),
	}
}

// CodeFilter chooses among a shop's codes; zero fields choose all.
type CodeFilter struct {
	Batch id.CodeBatch
	Code  string // the whole word, written in any way
}

// Codes lists a shop's codes, newest first, with one more than the page's limit where there are more.
func (s *Service) Codes(ctx context.Context, merchant id.Merchant, livemode bool, f CodeFilter, p Page) ([]Code, error) {
	plain := fold(f.Code)
	if f.Code != "" && plain == "" {
		return nil, nil
	}
	q := queries.New()
	var rows []queries.CodeListRow
	var err error
	if p.After != "" {
		var up []queries.CodeListAfterRow
		up, err = q.CodeListAfter(ctx, s.pool, queries.CodeListAfterParams{
			MerchantID: merchant, Livemode: livemode, After: p.After, BatchID: string(f.Batch), Plain: plain, Most: int32(p.Limit + 1),
		})
		for _, r := range slices.Backward(up) {
			rows = append(rows, queries.CodeListRow(r))
		}
	} else {
		rows, err = q.CodeList(ctx, s.pool, queries.CodeListParams{
			MerchantID: merchant, Livemode: livemode, Before: cursor(p.Before), BatchID: string(f.Batch), Plain: plain, Most: int32(p.Limit + 1),
		})
	}
	if err != nil {
		return nil, fmt.Errorf("codes of %s: %w", merchant, err)
	}
	out := make([]Code, len(rows))
	for i, r := range rows {
		out[i] = codeOf(r.Code, r.CodeBatch)
		out[i].LinkToken = r.LinkToken
	}
	return out, nil
}

// Code returns one of a shop's codes, or [ErrNotFound].
func (s *Service) Code(ctx context.Context, merchant id.Merchant, livemode bool, code id.Code) (Code, error) {
	row, err := queries.New().CodeByID(ctx, s.pool, queries.CodeByIDParams{MerchantID: merchant, Livemode: livemode, ID: code})
	if err != nil {
		return Code{}, fmt.Errorf("code %s: %w", code, notFound(err))
	}
	c := codeOf(row.Code, row.CodeBatch)
	c.LinkToken = row.LinkToken
	return c, nil
}

// RevokeCode ends a code: nobody may use it any more. What was begun with it may still be paid. Errors: [ErrNotFound].
func (s *Service) RevokeCode(ctx context.Context, merchant id.Merchant, livemode bool, code id.Code, by audit.By) (Code, error) {
	if _, err := s.Code(ctx, merchant, livemode, code); err != nil {
		return Code{}, err
	}
	if err := s.revoke(ctx, merchant, livemode, queries.CodesRevokeParams{ID: string(code)}, "code", string(code), by); err != nil {
		return Code{}, err
	}
	return s.Code(ctx, merchant, livemode, code)
}

// RevokeCodes ends codes that were made together. Errors: [ErrNotFound].
func (s *Service) RevokeCodes(ctx context.Context, merchant id.Merchant, livemode bool, batch id.CodeBatch, by audit.By) (Batch, error) {
	if _, err := s.CodeBatch(ctx, merchant, livemode, batch); err != nil {
		return Batch{}, err
	}
	if err := s.revoke(ctx, merchant, livemode, queries.CodesRevokeParams{BatchID: string(batch)}, "code batch", string(batch), by); err != nil {
		return Batch{}, err
	}
	return s.CodeBatch(ctx, merchant, livemode, batch)
}

func (s *Service) revoke(ctx context.Context, merchant id.Merchant, livemode bool, p queries.CodesRevokeParams, kind, resource string, by audit.By) error {
	p.MerchantID, p.Livemode, p.Now = merchant, livemode, s.now()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		revoked, err := queries.New().CodesRevoke(ctx, tx, p)
		if err != nil || revoked == 0 {
			return err
		}
		return s.recordCodesTx(ctx, tx, merchant, by, "codes.revoked", kind, resource, map[string]int64{"active": revoked}, map[string]int64{"active": 0})
	})
	if err != nil {
		return fmt.Errorf("revoke %s: %w", resource, err)
	}
	return nil
}
