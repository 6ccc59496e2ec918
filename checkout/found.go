package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/queries"
)

// recordFound records money that came by a refused payment, unless the purchase was paid otherwise since: such money is
// found by whoever watches the chain.
func (s *Service) recordFound(ctx context.Context, claim queries.Claim, proof evm.Proof) error {
	err := s.recordRefused(ctx, claim, proof)
	if errors.Is(err, errUnsellable) {
		slog.WarnContext(ctx, "money without a purchase", "attempt", claim.AttemptID, "tx", proof.Transaction.Hex(), "error", err)
		return nil
	}
	return err
}

// recordRefused is one transaction, so that nobody begins to pay a purchase whose money is found. It snoozes while another
// payment of the purchase is under way, and until the money counts as any other would. Errors: [errUnsellable].
func (s *Service) recordRefused(ctx context.Context, claim queries.Claim, proof evm.Proof) error {
	p, err := s.Purchase(ctx, claim.AttemptID)
	if err != nil {
		return fmt.Errorf("purchase of %s: %w", claim.ID, err)
	}
	err = s.certain(ctx, p.Merchant, claim.Network, claim.Value, proof)
	if uncertain(err) {
		return river.JobSnooze(again)
	}
	if err != nil {
		return err
	}
	var a queries.Attempt
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		a, err = s.recordFoundTx(ctx, tx, claim, proof)
		return err
	})
	switch {
	case err == nil:
		s.sold(ctx, a, proof.Transaction.Hex())
		return nil
	case errors.Is(err, errClaimed):
		return nil // its settlement exists
	default:
		return fmt.Errorf("money of %s: %w", claim.ID, err)
	}
}

func (s *Service) recordFoundTx(ctx context.Context, tx pgx.Tx, claim queries.Claim, proof evm.Proof) (queries.Attempt, error) {
	q, now := queries.New(), s.now()
	a, err := q.AttemptForUpdate(ctx, tx, claim.AttemptID)
	if err != nil {
		return a, err
	}
	switch was := Status(a.Status); {
	case was.UnderWay(): // by another payment, which may be refused yet
		return a, river.JobSnooze(time.Minute)
	case !was.CanBecome(Settled) && !was.CanBecome(SettledLate):
		return a, fmt.Errorf("%w: %s is %s", errUnsellable, a.ID, was)
	}
	row := queries.Settlement{
		ID: id.New[id.Settlement](now), MerchantID: a.MerchantID, AttemptID: &a.ID, ClaimID: &claim.ID, Livemode: a.Livemode, Network: claim.Network,
		Asset: claim.Asset, Payer: claim.Payer, Nonce: claim.Nonce, PayTo: claim.PayTo, Amount: claim.Value,
	}
	if err := settlementsTx(ctx, tx, now, "own", row); err != nil {
		return a, raced(err)
	}
	rows, err := s.confirmTx(ctx, tx, []confirmation{proven(row.ID, proof)})
	if err != nil {
		return a, err
	}
	sold, err := s.sellTx(ctx, tx, rows)
	if err != nil {
		return a, err
	}
	return sold[0].attempt, nil
}
