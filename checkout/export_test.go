package checkout

import (
	"context"

	"xsynesis/evm"
	"xsynesis/queries"
)

// Record writes a proven settlement down as whoever moved it does.
func (s *Service) Record(ctx context.Context, row queries.Settlement, proof evm.Proof) error {
	return s.record(ctx, row, proof)
}
