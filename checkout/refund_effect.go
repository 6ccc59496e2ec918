package checkout

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/webhook"
)

// refundSendings hears what became of refunds that a worker sends.
type refundSendings struct{ s *Service }

// Stands refuses to give back what the chain took back, and has it wait while no block holds the payment.
func (r refundSendings) Stands(ctx context.Context, sending string) (string, error) {
	of, err := queries.New().RefundStands(ctx, r.s.pool, id.Refund(sending))
	switch {
	case err != nil:
		return "", fmt.Errorf("what %s gives back: %w", sending, err)
	case of.Gone:
		return nothingPaid, nil
	case of.Lost:
		return "", fmt.Errorf("%w: no block holds what %s gives back", evm.ErrUnavailable, sending)
	}
	return "", nil
}

// SentTx notes that the refund goes out as soon as this is committed.
func (r refundSendings) SentTx(ctx context.Context, tx pgx.Tx, now time.Time, sent ledger.Sending) error {
	row, err := queries.New().RefundSent(ctx, tx, queries.RefundSentParams{ID: id.Refund(sent.ID), Transaction: sent.Transaction, Now: now})
	if err != nil {
		return fmt.Errorf("send %s: %w", sent.ID, err)
	}
	return refundChangedTx(ctx, tx, row)
}

// CompletedTx writes down that the chain shows it.
func (r refundSendings) CompletedTx(ctx context.Context, tx pgx.Tx, now time.Time, sent ledger.Sending) error {
	block := int64(sent.Block)
	row, err := r.s.completeRefundTx(ctx, tx, now, queries.RefundCompleteParams{ID: id.Refund(sent.ID), Transaction: sent.Transaction, BlockNumber: &block})
	if err != nil {
		return fmt.Errorf("complete %s: %w", sent.ID, err)
	}
	return refundChangedTx(ctx, tx, row)
}

// MovedTx writes down where the chain shows it now.
func (r refundSendings) MovedTx(ctx context.Context, tx pgx.Tx, now time.Time, sent ledger.Sending) error {
	block := int64(sent.Block)
	row, err := queries.New().RefundSentAgain(ctx, tx, queries.RefundSentAgainParams{
		ID: id.Refund(sent.ID), Transaction: sent.Transaction, BlockNumber: &block, Now: now,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("move %s: %w", sent.ID, err)
	}
	return refundChangedTx(ctx, tx, row)
}

// LostTx takes it back: the chain shows it no more, and never will again.
func (r refundSendings) LostTx(ctx context.Context, tx pgx.Tx, now time.Time, sent ledger.Sending) error {
	row, err := queries.New().RefundByID(ctx, tx, id.Refund(sent.ID))
	if err == nil {
		err = uncompleteRefundTx(ctx, tx, now, row, "")
	}
	if err != nil {
		return fmt.Errorf("take %s back: %w", sent.ID, err)
	}
	return nil
}

// FailedTx gives the money back to the balance that it was taken from.
func (r refundSendings) FailedTx(ctx context.Context, tx pgx.Tx, now time.Time, sent ledger.Sending, why string) error {
	row, err := r.s.failRefundTx(ctx, tx, now, id.Refund(sent.ID), why)
	if err != nil {
		return fmt.Errorf("fail %s: %w", sent.ID, err)
	}
	return refundChangedTx(ctx, tx, row)
}

// refundChangedTx tells the pages that show a refund, once this is committed.
func refundChangedTx(ctx context.Context, tx pgx.Tx, r queries.Refund) error {
	return ChangedTx(ctx, tx, r.AttemptID, r.MerchantID)
}

// lockRefundTx reads a refund, and locks the purchase or the money that it is of before anything else is, as where refunds begin.
func lockRefundTx(ctx context.Context, tx pgx.Tx, refund id.Refund) error {
	q := queries.New()
	row, err := q.RefundByID(ctx, tx, refund)
	if err != nil {
		return err
	}
	if row.AttemptID == "" {
		_, err = q.RefundException(ctx, tx, queries.RefundExceptionParams{ID: row.ExceptionID, MerchantID: row.MerchantID, Livemode: row.Livemode})
		return err
	}
	_, err = q.RefundAttempt(ctx, tx, queries.RefundAttemptParams{ID: row.AttemptID, MerchantID: row.MerchantID, Livemode: row.Livemode})
	return err
}

// completeRefundTx ends a refund that the chain shows: what was to happen besides happens, the books have it, and whoever
// asked hears of it. It returns [pgx.ErrNoRows] for one that had ended.
func (s *Service) completeRefundTx(ctx context.Context, tx pgx.Tx, now time.Time, p queries.RefundCompleteParams) (queries.Refund, error) {
	q := queries.New()
	if err := lockRefundTx(ctx, tx, p.ID); err != nil {
		return queries.Refund{}, err
	}
	p.Now = now
	row, err := q.RefundComplete(ctx, tx, p)
	if err != nil {
		return row, err
	}
	lines, err := refundLines(ctx, tx, row.ID)
	if err != nil {
		return row, err
	}
	if row.TakenBack == 0 { // else it happened the first time
		if err := s.refundEffectsTx(ctx, tx, now, row, lines); err != nil {
			return row, err
		}
	}
	if row.ExceptionID != "" {
		if err := q.RefundExceptionResolve(ctx, tx, queries.RefundExceptionResolveParams{ID: row.ExceptionID, ResolvedBy: row.Actor, Reason: row.Reason, Now: now}); err != nil {
			return row, fmt.Errorf("decide on %s: %w", row.ExceptionID, err)
		}
	}
	if err := s.o.Webhooks.PublishTx(ctx, tx, now, ofRefund(row, lines, webhook.RefundCompleted)); err != nil {
		return row, err
	}
	if row.AttemptID != "" {
		if err := countRefundTx(ctx, tx, row.MerchantID, row.ID, 1); err != nil {
			return row, err
		}
	}
	if !row.Booked && row.AttemptID == "" { // what lies unexplained in a shop's own wallet was never in the books
		return row, nil
	}
	return row, ledger.PostTx(ctx, tx, now, refundPosting(row, ledger.RefundCompleted))
}

// failRefundTx gives back what a refund took: nothing went. It returns [pgx.ErrNoRows] for one that had ended.
func (s *Service) failRefundTx(ctx context.Context, tx pgx.Tx, now time.Time, refund id.Refund, why string) (queries.Refund, error) {
	q := queries.New()
	if err := lockRefundTx(ctx, tx, refund); err != nil {
		return queries.Refund{}, err
	}
	row, err := q.RefundFail(ctx, tx, queries.RefundFailParams{ID: refund, LastError: why, Now: now})
	if err != nil {
		return row, err
	}
	lines, err := refundLines(ctx, tx, row.ID)
	if err != nil {
		return row, err
	}
	if row.AttemptID != "" {
		if err := q.RefundGiveAttemptBack(ctx, tx, queries.RefundGiveAttemptBackParams{ID: row.AttemptID, Amount: int64(row.Amount), Now: now}); err != nil {
			return row, fmt.Errorf("fail %s: %w", refund, err)
		}
		if err := q.RefundGiveSalesBack(ctx, tx, refund); err != nil {
			return row, fmt.Errorf("fail %s: %w", refund, err)
		}
	}
	if err := s.o.Webhooks.PublishTx(ctx, tx, now, ofRefund(row, lines, webhook.RefundFailed)); err != nil {
		return row, err
	}
	if err := s.o.Webhooks.NoticeTx(ctx, tx, now, webhook.Notice{
		Merchant: row.MerchantID, Livemode: row.Livemode, Kind: "refund_failed",
		Text: fmt.Sprintf("%s USDC for “%s” did not go back: %s", row.Amount.Grouped(), row.Title, why), Link: refundsPath + "/" + string(row.ID),
	}); err != nil {
		return row, err
	}
	if !row.Booked {
		return row, nil
	}
	return row, ledger.PostTx(ctx, tx, now, refundPosting(row, ledger.RefundFailed))
}

// refundsPath is the page that lists refunds.
const refundsPath = "/dashboard/refunds"

// refundPosting enters a refund: from its beginning where the money is kept for the shop, and only once it is proven where the
// shop has it itself.
func refundPosting(r queries.Refund, kind ledger.Kind) ledger.Posting {
	p := ledger.Posting{Merchant: r.MerchantID, Kind: kind, Source: string(r.ID)}
	if r.TakenBack > 0 { // a kind is posted once for each source
		p.Source += "/" + strconv.Itoa(int(r.TakenBack)+1)
	}
	enter := func(account ledger.Account, amount money.USDC) {
		if amount != 0 {
			p.Entries = append(p.Entries, ledger.Entry{Account: account, Network: r.Network, Asset: r.Asset, Amount: amount})
		}
	}
	amount, fee := r.Amount, r.Fee
	switch {
	case !r.Booked:
		enter(ledger.Sales, amount)
		enter(ledger.Wallet, -amount)
		return p
	case kind == ledger.RefundCompleted:
		enter(ledger.Refunds, amount)
		enter(ledger.Deposit, -amount)
		return p
	case kind == ledger.RefundFailed:
		amount, fee = -amount, -fee
	}
	if r.AttemptID == "" {
		enter(ledger.Exceptions, amount)
	} else {
		enter(ledger.Available, amount-fee)
		enter(ledger.Fees, fee)
	}
	enter(ledger.Refunds, -amount)
	return p
}

// refundEffectsTx does what was ticked beside the money.
func (s *Service) refundEffectsTx(ctx context.Context, tx pgx.Tx, now time.Time, row queries.Refund, lines []RefundedLine) error {
	if row.AttemptID == "" {
		return nil
	}
	if row.Restock {
		if err := queries.New().RefundRestock(ctx, tx, queries.RefundRestockParams{RefundID: row.ID, Livemode: row.Livemode}); err != nil {
			return fmt.Errorf("put the stock of %s back: %w", row.ID, err)
		}
	}
	if row.Revoke {
		whole, err := s.allReturnedTx(ctx, tx, row.AttemptID)
		if err != nil {
			return err
		}
		var of []int16
		for _, l := range lines {
			if l.Qty > 0 || whole {
				of = append(of, int16(l.Line))
			}
		}
		if whole {
			of = nil
		}
		if whole || len(of) > 0 {
			if err := revokeTx(ctx, tx, now, row.AttemptID, of...); err != nil {
				return err
			}
		}
	}
	if row.FreeCode {
		return shop.GiveCodeBackTx(ctx, tx, now, row.AttemptID)
	}
	return nil
}

// allReturnedTx tells whether a purchase's price went back as a whole: what is only asked for may never be sent.
func (s *Service) allReturnedTx(ctx context.Context, tx pgx.Tx, attempt id.Attempt) (bool, error) {
	q := queries.New()
	a, err := q.AttemptForUpdate(ctx, tx, attempt)
	if err != nil {
		return false, err
	}
	back, err := q.RefundReturned(ctx, tx, attempt)
	return money.USDC(back) >= min(a.Amount, a.AmountReceived), err
}

// revokeTx takes goods back: the files and keys of some lines of a purchase, or of all with its passes and what opens it.
func revokeTx(ctx context.Context, tx pgx.Tx, now time.Time, attempt id.Attempt, lines ...int16) error {
	q := queries.New()
	if len(lines) > 0 {
		if err := q.RevokeLines(ctx, tx, queries.RevokeLinesParams{AttemptID: attempt, Lines: lines, Now: now}); err != nil {
			return fmt.Errorf("revoke lines of %s: %w", attempt, err)
		}
		return nil
	}
	all, err := q.AttemptLines(ctx, tx, []string{string(attempt)})
	if err != nil {
		return fmt.Errorf("lines of %s: %w", attempt, err)
	}
	for _, l := range all {
		lines = append(lines, l.Line)
	}
	if err := q.RevokeLines(ctx, tx, queries.RevokeLinesParams{AttemptID: attempt, Lines: lines, Now: now}); err != nil {
		return fmt.Errorf("revoke lines of %s: %w", attempt, err)
	}
	first, err := q.RevokeBuyer(ctx, tx, queries.RevokeBuyerParams{ID: attempt, Now: now})
	if err != nil {
		return fmt.Errorf("revoke the buyer's token of %s: %w", attempt, err)
	}
	if first == 0 {
		return nil
	}
	if err := q.RevokePasses(ctx, tx, queries.RevokePassesParams{AttemptID: attempt, Now: now}); err != nil {
		return fmt.Errorf("revoke passes of %s: %w", attempt, err)
	}
	return nil
}
