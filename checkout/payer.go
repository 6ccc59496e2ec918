package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"

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

// And before a seller's server is asked; one who moves his money while that works lets it work for nothing. Programs that
// share a wallet which runs dry do that without meaning to.
const (
	mostUnpaid = 10
	unpaidFor  = time.Hour
)

// payerKeepsHisMoney refuses who has let too many payments be mined that moved nothing, or too many calls be answered that
// he did not pay.
func (s *Service) payerKeepsHisMoney(ctx context.Context, payer common.Address) error {
	n, err := queries.New().SettlementsInVainOf(ctx, s.pool, queries.SettlementsInVainOfParams{
		Payer: lower(payer), RevertedSince: s.now().Add(-revertedFor), UnpaidSince: s.now().Add(-unpaidFor),
	})
	switch {
	case err != nil:
		return fmt.Errorf("payments of %s in vain: %w", payer, err)
	case n.Reverted >= mostReverted:
		return &x402.Invalid{Kind: x402.Unreliable, Detail: "too many payments of this wallet were mined and moved nothing"}
	case n.Unpaid >= mostUnpaid:
		return &x402.Invalid{Kind: x402.Unreliable, Detail: "too many calls of this wallet were answered and not paid"}
	}
	return nil
}

// countUnpaidTx remembers a call that was answered before its payer's money was gone. What a facilitator declines for a
// reason of its own is not the payer's doing.
func (s *Service) countUnpaidTx(ctx context.Context, tx pgx.Tx, settlement id.Settlement, why x402.Kind) error {
	switch why {
	case x402.Funds, x402.NonceUsed, x402.Signature, x402.Simulation:
		return queries.New().SettlementUnpaid(ctx, tx, queries.SettlementUnpaidParams{ID: settlement, Now: s.now()})
	default:
		return nil
	}
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
