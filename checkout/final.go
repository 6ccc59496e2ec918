package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/jackc/pgx/v5"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/webhook"
)

// Finalize turns confirmed settlements final in blocks that the chain has sealed for good. One whose block is gone is
// looked for, and stays confirmed until [Service.Find] knows more.
func (s *Service) Finalize(ctx context.Context) error {
	var problems []error
	for network, chain := range s.chains {
		if err := s.finalize(ctx, network, chain); err != nil {
			problems = append(problems, fmt.Errorf("final settlements of %s: %w", network, err))
		}
	}
	return errors.Join(problems...)
}

func (s *Service) finalize(ctx context.Context, network string, chain *evm.Chain) error {
	sealed, err := chain.Finalized(ctx)
	if err != nil {
		return err
	}
	page := queries.SettlementsSealedParams{Network: network, Sealed: int64(sealed.Number), AfterBlock: -1, Most: finalMost}
	for {
		rows, err := queries.New().SettlementsSealed(ctx, s.pool, page)
		if err != nil || len(rows) == 0 {
			return err
		}
		gone, err := s.finalizeAll(ctx, chain, rows)
		if err != nil {
			return err
		}
		if err := s.haveFound(ctx, gone); err != nil {
			return err
		}
		last := rows[len(rows)-1]
		page.AfterBlock, page.AfterID = *last.BlockNumber, string(last.ID)
	}
}

// finalMost is how many settlements one transaction makes final.
const finalMost = 500

// finalizeAll returns those whose blocks are not the chain's any more.
func (s *Service) finalizeAll(ctx context.Context, chain *evm.Chain, rows []queries.Settlement) (gone []id.Settlement, err error) {
	numbers := make([]uint64, len(rows))
	for i, row := range rows {
		numbers[i] = uint64(*row.BlockNumber)
	}
	hashes, err := chain.BlockHashes(ctx, slices.Compact(numbers))
	if err != nil {
		return nil, err
	}
	p := queries.SettlementsFinalParams{Now: s.now()}
	for _, row := range rows {
		if hashes[uint64(*row.BlockNumber)].Hex() != *row.BlockHash {
			gone = append(gone, row.ID)
			continue
		}
		p.Ids, p.BlockHashes = append(p.Ids, string(row.ID)), append(p.BlockHashes, *row.BlockHash)
	}
	if len(p.Ids) == 0 {
		return gone, nil
	}
	return gone, pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		final, err := queries.New().SettlementsFinal(ctx, tx, p)
		if err != nil {
			return err
		}
		events := make([]webhook.Event, 0, len(final))
		for _, row := range final {
			if row.MerchantID != "" { // a stranger's, which was settled for another server
				events = append(events, ofSettlement(row, webhook.SettlementFinal))
			}
		}
		return s.o.Webhooks.PublishTx(ctx, tx, p.Now, events...)
	})
}

// moved writes down that a payment stands in another block.
func (s *Service) moved(ctx context.Context, row queries.Settlement, proof evm.Proof) error {
	c := proven(row.ID, proof)
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		moved, err := queries.New().SettlementMove(ctx, tx, queries.SettlementMoveParams{
			ID: row.ID, Was: *row.BlockHash, Transaction: c.transaction, BlockNumber: c.block, BlockHash: c.blockHash, LogIndex: c.logIndex, BlockTime: c.blockTime, Now: s.now(),
		})
		if err != nil || moved.AttemptID == nil { // one settled for another server has no sales
			return err
		}
		return queries.New().SalesMove(ctx, tx, queries.SalesMoveParams{
			AttemptID: *moved.AttemptID, SettlementID: string(moved.ID), Transaction: moved.Transaction,
		})
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // noted by somebody else
	}
	if err != nil {
		return fmt.Errorf("move %s: %w", row.ID, err)
	}
	slog.WarnContext(ctx, "a payment is in another block", "settlement", row.ID, "tx", c.transaction, "block", c.block)
	return nil
}
