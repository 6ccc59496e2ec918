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
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/queries"
	"xsynesis/webhook"
)

// recheckMost is how many refunds one look compares; they are the oldest, and leave once their blocks are final.
const recheckMost = 500

// recheckRefunds looks whether what shops' own wallets sent is still where it was seen, until the chain has sealed it for good.
func (s *Service) recheckRefunds(ctx context.Context, network string, chain *evm.Chain) error {
	q := queries.New()
	rows, err := q.RefundsUnsealed(ctx, s.pool, queries.RefundsUnsealedParams{Network: network, Most: recheckMost})
	if err != nil || len(rows) == 0 {
		return err
	}
	// The order matters: what is final is read before what is there.
	final, err := chain.Finalized(ctx)
	if err != nil {
		return err
	}
	blocks := make([]evm.BlockRef, len(rows))
	for i, r := range rows {
		blocks[i] = evm.BlockRef{Number: uint64(*r.BlockNumber), Hash: common.HexToHash(*r.BlockHash)}
	}
	gone, err := chain.Gone(ctx, blocks)
	if err != nil {
		return err
	}
	isGone := make(map[evm.BlockRef]bool, len(gone))
	for _, b := range gone {
		isGone[b] = true
	}
	sealed := queries.RefundsFinalParams{Now: s.now()}
	var lost []id.Refund
	for i, r := range rows {
		switch {
		case isGone[blocks[i]]:
			lost = append(lost, r.ID)
		case blocks[i].Number <= final.Number:
			sealed.Ids, sealed.BlockHashes = append(sealed.Ids, string(r.ID)), append(sealed.BlockHashes, *r.BlockHash)
		}
	}
	if err := q.RefundsFinal(ctx, s.pool, sealed); err != nil {
		return err
	}
	return s.lookForRefunds(ctx, lost, recheckEvery/2)
}

// lookForRefunds gives each of these refunds a job that looks for it, unless it got one so lately.
func (s *Service) lookForRefunds(ctx context.Context, refunds []id.Refund, lately time.Duration) error {
	if len(refunds) == 0 {
		return nil
	}
	jobs := make([]river.InsertManyParams, len(refunds))
	for i, refund := range refunds {
		jobs[i] = river.InsertManyParams{Args: RefundArgs{Refund: refund}, InsertOpts: sweptOnce(lately)}
	}
	if _, err := s.jobs.InsertMany(ctx, jobs); err != nil {
		return fmt.Errorf("look for %d refunds: %w", len(jobs), err)
	}
	return nil
}

// findRefund looks for a completed refund whose block may be gone: it stays where it is, is noted in another block, or is taken
// back once the block that held it is final without it.
func (s *Service) findRefund(ctx context.Context, row queries.Refund) error {
	sent, chain, err := s.sent(ctx, row)
	if err != nil {
		return fmt.Errorf("find %s: %w", row.ID, err)
	}
	// The order matters: what is final is read before what is there.
	final, err := chain.Finalized(ctx)
	if err != nil {
		return fmt.Errorf("find %s: %w", row.ID, err)
	}
	proof, err := s.whereSent(ctx, chain, sent, row)
	switch {
	case err == nil:
		return s.refundMoved(ctx, row, proof)
	case !errors.Is(err, evm.ErrNotSent):
		return fmt.Errorf("find %s: %w", row.ID, err)
	case final.Number < uint64(*row.BlockNumber):
		n, err := queries.New().RefundLost(ctx, s.pool, queries.RefundLostParams{ID: row.ID, Was: *row.BlockHash, Now: s.now()})
		if err == nil && n > 0 {
			slog.WarnContext(ctx, "the block of a refund is gone", "refund", row.ID, "tx", row.Transaction)
		}
		return err
	}
	for _, node := range chain.Apart() { // one node's word is not enough for that where there are several
		if _, err := s.whereSent(ctx, node, sent, row); !errors.Is(err, evm.ErrNotSent) {
			slog.WarnContext(ctx, "the nodes do not agree that a refund is gone", "refund", row.ID, "error", err)
			return nil
		}
	}
	return s.takeRefundBack(ctx, row)
}

// whereSent finds the transfer of a refund in the transaction that it names, or in any other. It returns [evm.ErrNotSent] where
// none holds it.
func (s *Service) whereSent(ctx context.Context, chain *evm.Chain, sent evm.Sent, row queries.Refund) (evm.Proof, error) {
	proof, err := s.sentOn(ctx, chain, sent, row, common.HexToHash(row.Transaction))
	if errors.Is(err, evm.ErrUnmined) || errors.Is(err, evm.ErrNotSent) {
		return s.foundOn(ctx, chain, sent, row)
	}
	return proof, err
}

// refundMoved notes where a refund's transfer is that was looked for.
func (s *Service) refundMoved(ctx context.Context, row queries.Refund, proof evm.Proof) error {
	block, hash, index, at := int64(proof.Block), proof.BlockHash.Hex(), int32(proof.LogIndex), proof.Time
	moved, err := queries.New().RefundMove(ctx, s.pool, queries.RefundMoveParams{
		ID: row.ID, Was: *row.BlockHash, Transaction: proof.Transaction.Hex(), BlockNumber: &block, BlockHash: &hash, LogIndex: &index, BlockTime: &at, Now: s.now(),
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // noted by somebody else
	}
	if err != nil {
		return fmt.Errorf("move %s: %w", row.ID, err)
	}
	if hash != *row.BlockHash {
		slog.WarnContext(ctx, "a refund is in another block", "refund", row.ID, "tx", moved.Transaction, "block", block)
		s.refundChanged(moved)
	}
	return nil
}

// refundTakenBack is what a refund says of itself that waits for its transfer a second time.
const refundTakenBack = "The network took the transfer back: no block holds it any more. If your wallet still shows it as pending, wait for it; else send it again, or call the refund off."

// takeRefundBack lets a refund wait for its transfer again, whose first one no block holds any more: it is out of the books and
// the days' figures, and its shop hears of it. What was done beside it stays done.
func (s *Service) takeRefundBack(ctx context.Context, row queries.Refund) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.takeRefundBackTx(ctx, tx, s.now(), row) })
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // it moved, or somebody else was faster
	}
	if err != nil {
		return fmt.Errorf("take %s back: %w", row.ID, err)
	}
	slog.ErrorContext(ctx, "the network took a refund back", "refund", row.ID, "merchant", row.MerchantID, "amount", row.Amount, "tx", row.Transaction)
	s.refundChanged(row)
	return nil
}

func (s *Service) takeRefundBackTx(ctx context.Context, tx pgx.Tx, now time.Time, row queries.Refund) error {
	if err := lockRefundTx(ctx, tx, row.ID); err != nil { // before any other row
		return err
	}
	if err := s.o.Webhooks.NoticeTx(ctx, tx, now, webhook.Notice{
		Merchant: row.MerchantID, Livemode: row.Livemode, Kind: "refund_taken_back", Link: refundsPath + "/" + string(row.ID),
		Text: fmt.Sprintf("The network took back the transfer of %s USDC that your wallet sent for “%s”. The buyer does not have the money.", row.Amount.Grouped(), row.Title),
	}); err != nil {
		return err
	}
	if err := uncompleteRefundTx(ctx, tx, now, row, refundTakenBack); err != nil {
		return err
	}
	if row.AttemptID != "" {
		p, err := queries.New().AttemptForUpdate(ctx, tx, row.AttemptID)
		if err != nil {
			return fmt.Errorf("purchase %s: %w", row.AttemptID, err)
		}
		if Status(p.Status) == Reversed {
			_, err := s.failRefundTx(ctx, tx, now, row.ID, nothingPaid)
			return err
		}
	}
	return s.refundJobTx(ctx, tx, now, row.ID)
}

// uncompleteRefundTx takes a completed refund out of the books and the days' figures, so that it is as one that was sent, and
// what it decided on is open again. It returns [pgx.ErrNoRows] for one that is not where it was.
func uncompleteRefundTx(ctx context.Context, tx pgx.Tx, now time.Time, row queries.Refund, why string) error {
	q := queries.New()
	if err := lockRefundTx(ctx, tx, row.ID); err != nil {
		return err
	}
	if row.AttemptID != "" { // before: what is not completed is not counted
		if err := countRefundTx(ctx, tx, row.MerchantID, row.ID, -1); err != nil {
			return err
		}
	}
	if _, err := q.RefundTakeBack(ctx, tx, queries.RefundTakeBackParams{ID: row.ID, Was: row.BlockHash, LastError: why, Now: now}); err != nil {
		return err
	}
	if row.ExceptionID != "" {
		if err := q.RefundExceptionReopen(ctx, tx, row.ExceptionID); err != nil {
			return fmt.Errorf("decide on %s again: %w", row.ExceptionID, err)
		}
	}
	if !row.Booked && row.AttemptID == "" { // what lies unexplained in a shop's own wallet was never in the books
		return nil
	}
	back := refundPosting(row, ledger.RefundCompleted)
	back.Kind = ledger.Reversal
	for i := range back.Entries {
		back.Entries[i].Amount = -back.Entries[i].Amount
	}
	return ledger.PostTx(ctx, tx, now, back)
}

func (s *Service) refundJobTx(ctx context.Context, tx pgx.Tx, now time.Time, refund id.Refund) error {
	if _, err := s.jobs.InsertTx(ctx, tx, RefundArgs{Refund: refund}, &river.InsertOpts{ScheduledAt: now.Add(again)}); err != nil {
		return fmt.Errorf("give %s a job: %w", refund, err)
	}
	return nil
}

// dropRefundsTx ends what a shop's own wallet was to give back of money that the chain took back. What it says that it has
// sent is looked for a while longer: it may be on its way.
func (s *Service) dropRefundsTx(ctx context.Context, tx pgx.Tx, now time.Time, waiting []queries.Refund) error {
	q := queries.New()
	var err error
	for _, r := range waiting {
		if r.Status == string(RefundSent) {
			err = q.RefundNote(ctx, tx, queries.RefundNoteParams{ID: r.ID, LastError: nothingPaid, Now: now})
		} else {
			_, err = s.failRefundTx(ctx, tx, now, r.ID, nothingPaid)
		}
		if err != nil {
			return fmt.Errorf("end %s: %w", r.ID, err)
		}
	}
	return nil
}
