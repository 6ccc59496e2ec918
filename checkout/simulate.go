package checkout

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

// Mode is how a simulated payment takes its way.
type Mode string

// The modes of [Service.Simulate].
const (
	Direct Mode = "direct" // recorded at once
	Worker Mode = "worker" // queued, and recorded by a worker
)

// nobody pays simulated money.
const nobody = "0x0000000000000000000000000000000000000000"

// Simulate pays an open purchase with money that is in no balance, to show the journey without a chain.
// Errors: [ErrNotFound], [ErrNotOpen].
func (s *Service) Simulate(ctx context.Context, merchant id.Merchant, attempt id.Attempt, mode Mode) (Purchase, error) {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		a, err := queries.New().AttemptForUpdate(ctx, tx, attempt)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && a.MerchantID != merchant {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		if Status(a.Status) != Open || !s.now().Before(a.ExpiresAt) {
			return ErrNotOpen
		}
		if mode == Direct {
			return s.simulateTx(ctx, tx, a)
		}
		return s.queueTx(ctx, tx, a)
	})
	if err != nil {
		return Purchase{}, fmt.Errorf("simulate payment of %s: %w", attempt, err)
	}
	s.hub.Changed(attempt, merchant)
	return s.Purchase(ctx, attempt)
}

// simulateTx records the payment at once.
func (s *Service) simulateTx(ctx context.Context, tx pgx.Tx, a queries.Attempt) error {
	settlement, err := s.insertSimulatedTx(ctx, tx, a)
	if err != nil {
		return err
	}
	rows, err := s.confirmTx(ctx, tx, []confirmation{simulated(settlement)})
	if err != nil {
		return err
	}
	_, err = s.sellTx(ctx, tx, rows)
	return err
}

// queueTx leaves the payment to a worker, as a real one.
func (s *Service) queueTx(ctx context.Context, tx pgx.Tx, a queries.Attempt) error {
	if _, err := queries.New().AttemptClaim(ctx, tx, queries.AttemptClaimParams{ID: a.ID, Now: s.now()}); err != nil {
		return err
	}
	settlement, err := s.insertSimulatedTx(ctx, tx, a)
	if err != nil {
		return err
	}
	_, err = s.jobs.InsertTx(ctx, tx, SettleArgs{Settlement: settlement}, nil)
	return err
}

// simulator is the facilitator of money that was never there.
const simulator = "simulated"

func (s *Service) insertSimulatedTx(ctx context.Context, tx pgx.Tx, a queries.Attempt) (id.Settlement, error) {
	settlement := id.New[id.Settlement](s.now())
	return settlement, settlementsTx(ctx, tx, s.now(), simulator, queries.Settlement{
		ID: settlement, MerchantID: a.MerchantID, AttemptID: &a.ID, Livemode: a.Livemode,
		Network: a.Network, Asset: Simulated, Payer: nobody, Nonce: a.Nonce, PayTo: a.PayTo, Amount: a.Amount,
	})
}

func (s *Service) recordSimulated(ctx context.Context, row queries.Settlement) error {
	return s.recordSettlement(ctx, row, simulated(row.ID))
}

func simulated(settlement id.Settlement) confirmation {
	return confirmation{settlement: settlement, transaction: "simulated:" + string(settlement)}
}
