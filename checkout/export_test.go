package checkout

import (
	"context"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/queries"
)

// Record writes a proven settlement down as whoever moved it does.
func (s *Service) Record(ctx context.Context, row queries.Settlement, proof evm.Proof) error {
	return s.record(ctx, row, proof)
}

// Reverse takes a payment back as whoever finds that the chain holds it no more.
func (s *Service) Reverse(ctx context.Context, settlement id.Settlement) error {
	row, err := queries.New().SettlementByID(ctx, s.pool, settlement)
	if err != nil {
		return err
	}
	return s.reverse(ctx, row)
}
