package checkout

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"

	"xsynesis/evm"
	"xsynesis/ledger"
	"xsynesis/queries"
)

// attachTx sells a purchase for money that lay unexplained. What the books had of it as an exception is taken out of them
// again: the sale enters it.
func (s *Service) attachTx(ctx context.Context, tx pgx.Tx, e queries.Exception, a queries.Attempt) (queries.Attempt, error) {
	q, of := queries.New(), string(e.ID)
	row, err := q.TransferOfException(ctx, tx, of)
	if err != nil {
		return a, fmt.Errorf("transfer of %s: %w", e.ID, err)
	}
	network, err := s.networks.Network(row.Network)
	if err != nil {
		return a, err
	}
	t := transferred{network: network, Arrival: evm.Arrival{Position: uint(row.Position), Proof: evm.Proof{
		Transaction: common.HexToHash(row.Transaction), Block: uint64(row.BlockNumber), BlockHash: common.HexToHash(row.BlockHash),
		LogIndex: uint(row.LogIndex), Payer: common.HexToAddress(row.Payer), Payee: common.HexToAddress(row.PayTo), Value: row.Amount, Time: row.BlockTime,
	}}}
	sold, settlement, err := s.sellForTx(ctx, tx, a, t)
	if err != nil {
		return a, err
	}
	if err := t.closeTx(ctx, tx, "settled", &settlement, &e.ID); err != nil {
		return a, fmt.Errorf("transfer of %s: %w", e.ID, err)
	}
	if err := q.ExceptionAttach(ctx, tx, queries.ExceptionAttachParams{ID: e.ID, AttemptID: &a.ID}); err != nil {
		return a, fmt.Errorf("note the purchase of %s: %w", e.ID, err)
	}
	return sold, s.unlistTx(ctx, tx, e)
}

// unlistTx takes out of the books what money was in them as long as nobody knew what it was for.
func (s *Service) unlistTx(ctx context.Context, tx pgx.Tx, e queries.Exception) error {
	rows, err := queries.New().ExceptionPosting(ctx, tx, string(e.ID))
	if err != nil || len(rows) == 0 {
		return err
	}
	p := ledger.Posting{Merchant: e.MerchantID, Kind: ledger.ExceptionResolved, Source: string(e.ID)}
	for _, r := range rows {
		p.Entries = append(p.Entries, ledger.Entry{Account: ledger.Account(r.Account), Network: r.Network, Asset: r.Asset, Amount: -r.Amount})
	}
	return ledger.PostTx(ctx, tx, s.now(), p)
}
