package checkout

import (
	"context"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/evm"
	"xsynesis/queries"
)

// withoutOurs leaves out what left addresses that are kept for shops: a payout comes to a shop's own wallet and pays for
// nothing. The books follow it by itself.
func (s *Service) withoutOurs(ctx context.Context, network string, all []evm.Proof) ([]evm.Proof, error) {
	if len(all) == 0 {
		return nil, nil
	}
	rows, err := queries.New().DepositsAssigned(ctx, s.pool, network)
	if err != nil {
		return nil, fmt.Errorf("addresses that are kept for shops: %w", err)
	}
	ours := make(map[common.Address]bool, len(rows))
	for _, row := range rows {
		ours[common.HexToAddress(row.Address)] = true
	}
	return slices.DeleteFunc(all, func(t evm.Proof) bool { return ours[t.Payer] }), nil
}
