package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/fault"
	"xsynesis/id"
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
	if gone.MerchantID == "" { // a stranger's, which was settled for another server
		return nil
	}
	var sold queries.Attempt // none, where it was settled for another server
	if gone.AttemptID != nil {
		var err error
		if sold, err = s.unsellTx(ctx, tx, now, *gone.AttemptID, gone); err != nil {
			return err
		}
	}
	if err := queries.New().ExceptionsReverse(ctx, tx, queries.ExceptionsReverseParams{SettlementID: string(gone.ID), Now: now}); err != nil {
		return fmt.Errorf("what waits for a decision: %w", err)
	}
	if err := s.o.Webhooks.PublishTx(ctx, tx, now, ofSettlement(gone, webhook.SettlementReversed)); err != nil {
		return err
	}
	if err := ledger.ReverseTx(ctx, tx, now, gone.MerchantID, string(gone.ID)); err != nil || sold.ID == "" {
		return err
	}
	return uncountTx(ctx, tx, sold)
}

// unsellTx marks the purchase that a settlement paid, and takes back what was given for it.
func (s *Service) unsellTx(ctx context.Context, tx pgx.Tx, now time.Time, attempt id.Attempt, gone queries.Settlement) (queries.Attempt, error) {
	q := queries.New()
	a, err := q.AttemptMove(ctx, tx, queries.AttemptMoveParams{
		ID: attempt, Was: []string{string(Settled), string(SettledLate)}, Next: string(Reversed), Now: now,
	})
	if err != nil {
		return a, fmt.Errorf("purchase %s: %w", attempt, err)
	}
	if err := revokeTx(ctx, tx, now, a.ID); err != nil {
		return a, err
	}
	waiting, err := q.RefundsWaitingOf(ctx, tx, a.ID)
	if err != nil {
		return a, fmt.Errorf("refunds of %s: %w", a.ID, err)
	}
	if err := s.dropRefundsTx(ctx, tx, now, waiting); err != nil {
		return a, err
	}
	if err := q.TransferTakenBack(ctx, tx, queries.TransferTakenBackParams{
		Network: gone.Network, Transaction: gone.Transaction, SettlementID: string(gone.ID),
	}); err != nil {
		return a, fmt.Errorf("its transfer: %w", err)
	}
	return a, s.o.Webhooks.NoticeTx(ctx, tx, now, webhook.Notice{
		Merchant: a.MerchantID, Livemode: a.Livemode, Kind: "payment_reversed", Link: "/pay/" + string(a.ID),
		Text: fmt.Sprintf("The network took back %s USDC for “%s”. You do not have the money: do not send what was bought.", gone.Amount.Grouped(), a.Title),
	})
}
