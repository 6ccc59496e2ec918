package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"xsynesis/evm"
	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/x402"
)

// RecheckArgs looks whether confirmed payments are still where they were.
type RecheckArgs struct{}

// Kind names the job.
func (RecheckArgs) Kind() string { return "recheck" }

// InsertOpts puts it on its queue.
func (RecheckArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueChain, MaxAttempts: 1}
}

// FindArgs looks for a confirmed payment whose block is gone.
type FindArgs struct {
	Settlement id.Settlement `json:"settlement" river:"unique"`
}

// Kind names the job.
func (FindArgs) Kind() string { return "find" }

// InsertOpts puts it on its queue; [Service.Recheck] asks again.
func (FindArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueChain, MaxAttempts: 1}
}

// recheckEvery is how often [Service.Recheck] runs, and so how often a lost payment is looked for.
const recheckEvery = 30 * time.Second

// Recheck compares the blocks of all payments, and of refunds that shops' own wallets sent, which are not final with those that
// the chain has, and has whatever is not there looked for.
func (s *Service) Recheck(ctx context.Context) error {
	var problems []error
	for network, chain := range s.chains {
		if err := s.recheck(ctx, network, chain); err != nil {
			problems = append(problems, fmt.Errorf("confirmed payments of %s: %w", network, err))
		}
		if err := s.recheckRefunds(ctx, network, chain); err != nil {
			problems = append(problems, fmt.Errorf("completed refunds of %s: %w", network, err))
		}
	}
	return errors.Join(problems...)
}

func (s *Service) recheck(ctx context.Context, network string, chain *evm.Chain) error {
	q := queries.New()
	rows, err := q.BlocksConfirmed(ctx, s.pool, network)
	if err != nil {
		return err
	}
	blocks := make([]evm.BlockRef, len(rows))
	for i, r := range rows {
		blocks[i] = evm.BlockRef{Number: uint64(r.Number), Hash: common.HexToHash(r.Hash)}
	}
	gone, err := chain.Gone(ctx, blocks)
	if err != nil {
		return err
	}
	for _, b := range gone {
		lost, err := q.SettlementsOfBlock(ctx, s.pool, queries.SettlementsOfBlockParams{
			Network: network, Number: int64(b.Number), Hash: b.Hash.Hex(), Most: sweepMost,
		})
		if err != nil {
			return err
		}
		if err := s.haveFound(ctx, lost); err != nil {
			return err
		}
	}
	return nil
}

// haveFound gives each of these payments a job that looks for it.
func (s *Service) haveFound(ctx context.Context, settlements []id.Settlement) error {
	if len(settlements) == 0 {
		return nil
	}
	jobs := make([]river.InsertManyParams, len(settlements))
	for i, settlement := range settlements {
		jobs[i] = river.InsertManyParams{Args: FindArgs{Settlement: settlement}, InsertOpts: sweptOnce(recheckEvery / 2)}
	}
	if _, err := s.jobs.InsertMany(ctx, jobs); err != nil {
		return fmt.Errorf("look for %d payments: %w", len(jobs), err)
	}
	return nil
}

// Find looks for one confirmed payment: it stays where it is, is noted in another block, is sent again while it may still be
// mined, or is taken back once it never can be.
func (s *Service) Find(ctx context.Context, settlement id.Settlement) error {
	row, err := queries.New().SettlementByID(ctx, s.pool, settlement)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && (row.Status != "confirmed" || row.Simulated) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find %s: %w", settlement, err)
	}
	chain, err := s.chain(row.Network)
	if err != nil {
		return err
	}
	way, err := s.wayOf(ctx, row)
	if err != nil {
		return fmt.Errorf("find %s: %w", settlement, err)
	}
	proof, err := way.where(ctx, chain)
	switch {
	case err == nil:
		return s.keep(ctx, row, proof)
	case errors.Is(err, evm.ErrOpen):
		return s.sendAgain(ctx, row, way)
	case errors.Is(err, evm.ErrVoid):
		return s.takeBack(ctx, chain, row, way)
	default:
		return fmt.Errorf("find %s: %w", settlement, err)
	}
}

// way is how a payment's money moved: by its payer's authorization, or by a transfer of his own.
type way struct {
	row           queries.Settlement
	authorization *x402.Authorization // nil: a plain transfer
	signature     []byte
}

func (s *Service) wayOf(ctx context.Context, row queries.Settlement) (way, error) {
	q := queries.New()
	if row.ClaimID != nil {
		claim, err := q.ClaimByID(ctx, s.pool, *row.ClaimID)
		a := unpack(claim)
		return way{row, &a, claim.Signature}, err
	}
	f, err := q.FacilitationBySettlement(ctx, s.pool, row.ID)
	if errors.Is(err, pgx.ErrNoRows) {
		return way{row: row}, nil
	}
	a := authorizationFor(row, f)
	return way{row, &a, f.Signature}, err
}

// where is as [evm.Chain.Resolve] for either way. A plain transfer has no end by itself: it counts as gone for good once the
// block that would have held it is final without it.
func (w way) where(ctx context.Context, chain *evm.Chain) (evm.Proof, error) {
	if w.authorization != nil {
		return chain.Resolve(ctx, *w.authorization)
	}
	// The order matters: what is final is read before what is there.
	final, err := chain.Finalized(ctx)
	if err != nil {
		return evm.Proof{}, err
	}
	arrivals, err := chain.Arrivals(ctx, common.HexToHash(w.row.Transaction), []common.Address{common.HexToAddress(w.row.PayTo)})
	if err != nil && !errors.Is(err, evm.ErrUnproven) {
		return evm.Proof{}, err
	}
	for _, a := range arrivals {
		if lower(a.Payer) == w.row.Payer && a.Value == w.row.Amount {
			return a.Proof, nil
		}
	}
	if w.row.BlockNumber == nil || final.Number < uint64(*w.row.BlockNumber) {
		return evm.Proof{}, evm.ErrOpen
	}
	return evm.Proof{}, fmt.Errorf("%w: its block is final without it", evm.ErrVoid)
}

// keep notes where a payment is that was looked for.
func (s *Service) keep(ctx context.Context, row queries.Settlement, proof evm.Proof) error {
	if proof.BlockHash.Hex() != *row.BlockHash {
		return s.moved(ctx, row, proof)
	}
	return queries.New().SettlementKept(ctx, s.pool, row.ID)
}

// resent is told of transactions that send a payment again; its settlement knows of them already.
type resent struct{}

func (*resent) StoredTx(context.Context, pgx.Tx, []evm.Stored) error { return nil }

// sendAgain notes that no block holds a payment, and sends it again, whoever sent it first.
func (s *Service) sendAgain(ctx context.Context, row queries.Settlement, w way) error {
	lost, err := queries.New().SettlementLost(ctx, s.pool, queries.SettlementLostParams{ID: row.ID, Was: *row.BlockHash, Now: s.now()})
	if err == nil {
		slog.WarnContext(ctx, "the block of a confirmed payment is gone", "settlement", lost.ID, "tx", lost.Transaction)
	}
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("note that %s is lost: %w", row.ID, err)
	}
	settler := s.settlers[row.Network]
	if settler == nil || w.authorization == nil {
		return nil // whoever sent it has it
	}
	fault.At(fault.PaymentLost)
	proof, err := settler.Settle(ctx, evm.Transfer{Source: string(row.ID), Authorization: *w.authorization, Signature: w.signature}, &resent{})
	if err != nil { // it is looked at again, soon
		slog.InfoContext(ctx, "a lost payment is not back yet", "settlement", row.ID, "error", err)
		return nil
	}
	return s.keep(ctx, row, proof)
}

// takeBack reverses a payment that is gone for good. One node's word is not enough for that where there are several.
func (s *Service) takeBack(ctx context.Context, chain *evm.Chain, row queries.Settlement, w way) error {
	for _, node := range chain.Apart() {
		if _, err := w.where(ctx, node); !errors.Is(err, evm.ErrVoid) {
			slog.WarnContext(ctx, "the nodes do not agree that a payment is gone", "settlement", row.ID, "error", err)
			return nil
		}
	}
	return s.reverse(ctx, row)
}
