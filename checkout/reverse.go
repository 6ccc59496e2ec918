package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/fault"
	"xsynesis/ledger"
	"xsynesis/postgres"
	"xsynesis/queries"
	"xsynesis/webhook"
)

// reversedText is what a settlement says of itself that the chain took back.
const reversedText = "The network took the payment back: no block holds it any more."

// reverse takes back what a payment brought that the chain holds no more: its entries, its purchase, and what its buyer could
// open with it. The sale stays, marked, since goods may be on their way; so does the stock that it took.
func (s *Service) reverse(ctx context.Context, row queries.Settlement) error {
	now := s.now()
	err := postgres.HotTx(ctx, s.pool, func(tx pgx.Tx) error {
		if err := keepCountTx(ctx, tx, row.MerchantID); err != nil {
			return err
		}
		gone, err := queries.New().SettlementReverse(ctx, tx, queries.SettlementReverseParams{
			ID: row.ID, Was: *row.BlockHash, LastError: reversedText, Now: now,
		})
		if err != nil {
			return err
		}
		fault.At(fault.Reversing)
		return s.reverseTx(ctx, tx, now, gone)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // it moved, or somebody else was faster
	}
	if err != nil {
		return fmt.Errorf("reverse %s: %w", row.ID, err)
	}
	fault.At(fault.Reversed)
	slog.ErrorContext(ctx, "the network took a payment back", "settlement", row.ID, "merchant", row.MerchantID, "amount", row.Amount, "tx", row.Transaction)
	if row.AttemptID != nil {
		s.hub.Changed(*row.AttemptID, row.MerchantID)
	}
	return nil
}

func (s *Service) reverseTx(ctx context.Context, tx pgx.Tx, now time.Time, gone queries.Settlement) error {
	q := queries.New()
	if gone.MerchantID == "" { // a stranger's, which was settled for another server
		return nil
	}
	if gone.AttemptID == nil {
		return s.o.Webhooks.PublishTx(ctx, tx, now, ofSettlement(gone, webhook.SettlementReversed))
	}
	a, err := q.AttemptMove(ctx, tx, queries.AttemptMoveParams{
		ID: *gone.AttemptID, Was: []string{string(Settled), string(SettledLate)}, Next: string(Reversed), Now: now,
	})
	if err != nil {
		return fmt.Errorf("purchase %s: %w", *gone.AttemptID, err)
	}
	if err := revokeTx(ctx, tx, now, a.ID); err != nil {
		return err
	}
	if err := s.dropRefundsTx(ctx, tx, now, a.ID); err != nil {
		return err
	}
	if err := q.TransferTakenBack(ctx, tx, queries.TransferTakenBackParams{
		Network: gone.Network, Transaction: gone.Transaction, SettlementID: string(gone.ID),
	}); err != nil {
		return fmt.Errorf("its transfer: %w", err)
	}
	if err := q.ExceptionsReverse(ctx, tx, queries.ExceptionsReverseParams{SettlementID: string(gone.ID), Now: now}); err != nil {
		return fmt.Errorf("what waits for a decision: %w", err)
	}
	if err := s.o.Webhooks.PublishTx(ctx, tx, now, ofSettlement(gone, webhook.SettlementReversed)); err != nil {
		return err
	}
	if err := s.o.Webhooks.NoticeTx(ctx, tx, now, webhook.Notice{
		Merchant: a.MerchantID, Livemode: a.Livemode, Kind: "payment_reversed", Link: "/pay/" + string(a.ID),
		Text: fmt.Sprintf("The network took back %s USDC for “%s”. You do not have the money: do not send what was bought.", gone.Amount.Grouped(), a.Title),
	}); err != nil {
		return err
	}
	if err := ledger.ReverseTx(ctx, tx, now, a.MerchantID, string(gone.ID)); err != nil {
		return err
	}
	return uncountTx(ctx, tx, a.MerchantID, a.ID)
}
