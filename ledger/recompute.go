package ledger

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

// Recompute holds every cached balance against its entries, and writes down again those that are not their sum. There
// should never be one: it is an error in the log.
func (c *Custody) Recompute(ctx context.Context) error {
	q := queries.New()
	wrong, err := q.BalancesWrong(ctx, c.pool)
	if err != nil {
		return fmt.Errorf("look for wrong balances: %w", err)
	}
	for _, w := range wrong {
		err := pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
			// Whoever posts meanwhile waits for the row, and adds to what is written here.
			if err := q.BalanceLock(ctx, tx, queries.BalanceLockParams{
				MerchantID: id.Merchant(w.MerchantID), Account: w.Account, Network: w.Network, Asset: w.Asset, Slot: w.Slot,
			}); err != nil {
				return err
			}
			return q.BalanceRecompute(ctx, tx, queries.BalanceRecomputeParams{
				MerchantID: id.Merchant(w.MerchantID), Account: w.Account, Network: w.Network, Asset: w.Asset, Slot: w.Slot,
			})
		})
		if err != nil {
			return fmt.Errorf("recompute a balance of %s: %w", w.MerchantID, err)
		}
		slog.ErrorContext(ctx, "a cached balance was not the sum of its entries", "merchant", w.MerchantID, "account", w.Account, "network", w.Network)
	}
	return nil
}
