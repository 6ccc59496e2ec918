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
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/webhook"
	"xsynesis/x402"
)

func usdcOf(a x402.Authorization) money.USDC { return money.USDC(a.Value.Int64()) }

// settleFor brings a payment for somebody else's sale to its end: always by our own relayer, who was asked for it.
func (s *Service) settleFor(ctx context.Context, l leased) error {
	f, err := queries.New().FacilitationBySettlement(ctx, s.pool, l.row.ID)
	if err != nil {
		return fmt.Errorf("payment of %s: %w", l.row.ID, err)
	}
	l.claim.Signature = f.Signature
	proof, err := s.moveFor(ctx, l, authorizationFor(l.row, f))
	if err == nil && l.row.MerchantID != "" { // it counts for a shop of ours as any payment does
		err = s.certain(ctx, l.row.MerchantID, l.row.Network, l.row.Amount, proof)
	}
	var invalid *x402.Invalid
	switch {
	case err == nil:
		return s.recordFor(ctx, l.row, proof)
	case errors.As(err, &invalid):
		return s.failFor(ctx, l, f, string(invalid.Kind), invalid.Detail)
	case errors.Is(err, evm.ErrVoid):
		return s.failFor(ctx, l, f, string(x402.NonceUsed), "The payment can no longer be mined.")
	case errors.Is(err, errLost):
		return river.JobSnooze(again)
	}
	s.unlease(ctx, l.row, l.lease, err)
	slog.WarnContext(ctx, "settlement is open", "settlement", l.row.ID, "cause", err)
	return river.JobSnooze(again)
}

func (s *Service) moveFor(ctx context.Context, l leased, auth x402.Authorization) (evm.Proof, error) {
	if l.row.Status != "queued" {
		chain, err := s.chain(l.row.Network)
		if err != nil {
			return evm.Proof{}, err
		}
		if proof, err := chain.Resolve(ctx, auth); !errors.Is(err, evm.ErrOpen) {
			return proof, err
		}
	}
	return s.relay(ctx, l, auth)
}

// recordFor writes down that the money moved. It is no sale of ours: unless it is kept for a shop it is in no balance,
// and the shop that it was paid to is told only where it went.
func (s *Service) recordFor(ctx context.Context, row queries.Settlement, proof evm.Proof) error {
	c := proven(row.ID, proof)
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		done, err := queries.New().SettlementFacilitated(ctx, tx, queries.SettlementFacilitatedParams{
			ID: row.ID, Transaction: c.transaction, BlockNumber: c.block, BlockHash: c.blockHash, LogIndex: c.logIndex, Now: s.now(),
		})
		if err != nil || done.MerchantID == "" {
			return err
		}
		if done.Collected { // it lies with us all the same, and is owed to the shop
			if err := ledger.PostTx(ctx, tx, s.now(), postingsOf(done)...); err != nil {
				return err
			}
		}
		return s.o.Webhooks.PublishTx(ctx, tx, s.now(), ofSettlement(done, webhook.SettlementConfirmed))
	})
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("record %s: %w", row.ID, err)
	}
	s.hub.tell(string(row.ID), row.MerchantID)
	return nil
}

// failFor ends a payment that surely did not move, and gives the caller's budget back where nothing was sent for it.
func (s *Service) failFor(ctx context.Context, l leased, f queries.Facilitation, kind, why string) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := queries.New()
		n, err := q.SettlementUnlease(ctx, tx, queries.SettlementUnleaseParams{ID: l.row.ID, Lease: l.lease, Now: s.now()})
		if err == nil && n == 0 {
			err = errLost
		}
		if err != nil {
			return err
		}
		if _, err := q.SettlementFail(ctx, tx, queries.SettlementFailParams{ID: l.row.ID, LastError: clip(why), Now: s.now()}); err != nil {
			return err
		}
		if err := q.FacilitationReason(ctx, tx, queries.FacilitationReasonParams{SettlementID: l.row.ID, Reason: kind}); err != nil {
			return err
		}
		if l.row.Status != "queued" { // gas was spent
			return nil
		}
		return q.FacilitatorBudgetGive(ctx, tx, queries.FacilitatorBudgetGiveParams{Caller: f.Caller, Day: dayOf(f.CreatedAt)})
	})
	if errors.Is(err, errLost) {
		return river.JobSnooze(time.Second)
	}
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("fail %s: %w", l.row.ID, err)
	}
	s.hub.tell(string(l.row.ID), l.row.MerchantID)
	return nil
}
