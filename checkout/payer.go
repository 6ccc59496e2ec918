package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/x402"
)

// A payment is tried before it is sent; a payer who moves his money in between lets us pay gas for nothing. A few times
// a day that is bad luck.
const (
	mostReverted = 3
	revertedFor  = 24 * time.Hour
)

// payerKeepsHisMoney refuses who has let too many payments be mined that moved nothing.
func (s *Service) payerKeepsHisMoney(ctx context.Context, payer common.Address) error {
	n, err := queries.New().SettlementsRevertedOf(ctx, s.pool, queries.SettlementsRevertedOfParams{
		Payer: lower(payer), Since: s.now().Add(-revertedFor),
	})
	if err != nil {
		return fmt.Errorf("reverted payments of %s: %w", payer, err)
	}
	if n >= mostReverted {
		return &x402.Invalid{Kind: x402.Declined, Detail: "too many payments of this wallet were mined and moved nothing"}
	}
	return nil
}

// countReverted remembers a payment that was mined and moved nothing, whatever becomes of it.
func (s *Service) countReverted(ctx context.Context, settlement id.Settlement, cause error) {
	if !errors.Is(cause, evm.ErrReverted) {
		return
	}
	err := queries.New().SettlementReverted(context.WithoutCancel(ctx), s.pool, queries.SettlementRevertedParams{ID: settlement, Now: s.now()})
	if err != nil {
		slog.ErrorContext(ctx, "a reverted payment is not counted", "settlement", settlement, "error", err)
	}
}
