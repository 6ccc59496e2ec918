package checkout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/webhook"
)

// Refunds lists a shop's refunds, newest first, with one more than the page's limit where there are more.
func (s *Service) Refunds(ctx context.Context, merchant id.Merchant, livemode bool, p shop.Page) ([]Refund, error) {
	q := queries.New()
	var rows []queries.Refund
	var err error
	if p.After != "" {
		rows, err = q.RefundListAfter(ctx, s.pool, queries.RefundListAfterParams{MerchantID: merchant, Livemode: livemode, After: p.After, Most: int32(p.Limit + 1)})
		slices.Reverse(rows)
	} else {
		rows, err = q.RefundList(ctx, s.pool, queries.RefundListParams{MerchantID: merchant, Livemode: livemode, Before: cmp.Or(p.Before, "~"), Most: int32(p.Limit + 1)})
	}
	if err != nil {
		return nil, wrapList("refunds", merchant, err)
	}
	return s.refundsOf(ctx, rows)
}

// RefundByID is a refund of a shop's own, or [ErrNotFound].
func (s *Service) RefundByID(ctx context.Context, merchant id.Merchant, livemode bool, refund id.Refund) (Refund, error) {
	row, err := queries.New().RefundByID(ctx, s.pool, refund)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && (row.MerchantID != merchant || row.Livemode != livemode) {
		err = ErrNotFound
	}
	if err != nil {
		return Refund{}, fmt.Errorf("refund %s: %w", refund, err)
	}
	return s.refund(ctx, row)
}

// RefundsOf lists the refunds of one purchase, the first first.
func (s *Service) RefundsOf(ctx context.Context, attempt id.Attempt) ([]Refund, error) {
	rows, err := queries.New().RefundsOfAttempt(ctx, s.pool, attempt)
	if err != nil {
		return nil, fmt.Errorf("refunds of %s: %w", attempt, err)
	}
	return s.refundsOf(ctx, rows)
}

// Refundable is what may still go back of a purchase, line by line.
type Refundable struct {
	Attempt  Attempt
	Payer    string // lower-case hex
	Left     money.USDC
	Excess   money.USDC // what of Left came above the price
	Lines    []RefundableLine
	Goods    bool // files, keys or a pass may be taken back
	Stock    bool // pieces may be put back
	Code     bool // something was taken off, perhaps by a code
	Reversed bool
}

// RefundableLine is a line of a purchase, and what of it may go back.
type RefundableLine struct {
	Sale    id.Sale
	Line    int
	Title   string
	Qty     int // pieces that may go back
	Sold    int
	Amount  money.USDC // as it was sold
	Paid    money.USDC // its share of what was paid, a discount taken off
	Left    money.USDC
	Revoked bool
}

// Refundable says what of the purchase that a sale is of may go back, or [ErrNotFound].
func (s *Service) Refundable(ctx context.Context, merchant id.Merchant, livemode bool, sale id.Sale) (Refundable, error) {
	q := queries.New()
	attempt, err := q.RefundAttemptOf(ctx, s.pool, queries.RefundAttemptOfParams{ID: sale, MerchantID: merchant, Livemode: livemode})
	if err != nil {
		return Refundable{}, fmt.Errorf("sale %s: %w", sale, notFoundRow(err))
	}
	return s.refundable(ctx, attempt)
}

func (s *Service) refundable(ctx context.Context, attempt id.Attempt) (Refundable, error) {
	q := queries.New()
	p, err := s.Purchase(ctx, attempt)
	if err != nil {
		return Refundable{}, err
	}
	sales, err := q.SaleOfAttempt(ctx, s.pool, attempt)
	if err != nil {
		return Refundable{}, fmt.Errorf("sales of %s: %w", attempt, err)
	}
	before, err := q.RefundLinesBefore(ctx, s.pool, attempt)
	if err != nil {
		return Refundable{}, fmt.Errorf("refunds of %s: %w", attempt, err)
	}
	out := Refundable{Attempt: p.Attempt, Reversed: p.Status == Reversed, Code: p.discounted(), Goods: p.HasGoods() || p.SellsPass() || p.called()}
	if p.Settlement != nil {
		out.Payer = p.Settlement.Payer
	}
	if p.Status.Paid() && !p.Simulated {
		out.Left = p.AmountReceived - p.Refunded
		out.Excess = out.Left
	}
	for i, l := range refundables(sales, before, min(p.Amount, p.AmountReceived)) {
		out.Excess -= min(l.left(), out.Excess)
		out.Stock = out.Stock || sales[i].ReservationID != "" && shop.Kind(sales[i].Kind) != shop.LicenceKey
		line := RefundableLine{Sale: l.sale, Line: l.line, Title: l.title, Qty: l.qty - l.goneQty, Sold: l.qty, Amount: l.amount, Paid: l.worth, Left: l.left()}
		line.Revoked = l.line < len(p.Lines) && p.Lines[l.line].Revoked
		out.Lines = append(out.Lines, line)
	}
	return out, nil
}

// Returnable is money that somebody has to decide on, as it may go back.
type Returnable struct {
	Exception id.Exception
	Title     string     // of the purchase; empty for money that bought nothing
	Payer     string     // lower-case hex
	Amount    money.USDC // what is left of it
	Collected bool
}

// Returnable says what of such a payment may go back. Errors: [ErrNotFound], [ErrDecided].
func (s *Service) Returnable(ctx context.Context, merchant id.Merchant, livemode bool, exception id.Exception) (Returnable, error) {
	q := queries.New()
	e, err := q.RefundExceptionShown(ctx, s.pool, queries.RefundExceptionShownParams{ID: exception, MerchantID: merchant, Livemode: livemode})
	if err == nil && e.ResolvedAt != nil {
		err = ErrDecided
	}
	if err != nil {
		return Returnable{}, fmt.Errorf("exception %s: %w", exception, notFoundRow(err))
	}
	out := Returnable{Exception: e.ID, Payer: e.Payer, Amount: e.Amount}
	if e.SettlementID != nil && e.AttemptID != nil {
		r, err := s.refundable(ctx, *e.AttemptID)
		out.Title, out.Collected, out.Amount = r.Attempt.Title, r.Attempt.Collected, r.Left
		if e.Amount < r.Attempt.AmountReceived {
			out.Amount = min(e.Amount, r.Excess)
		}
		return out, err
	}
	if refunding, err := q.ExceptionRefunding(ctx, s.pool, e.ID); err != nil || refunding {
		out.Amount = 0
		return out, err
	}
	out.Collected, err = q.RefundExceptionBooked(ctx, s.pool, string(e.ID))
	return out, err
}

func refundLines(ctx context.Context, db queries.DBTX, refund id.Refund) ([]RefundedLine, error) {
	rows, err := queries.New().RefundLines(ctx, db, []string{string(refund)})
	if err != nil {
		return nil, fmt.Errorf("lines of %s: %w", refund, err)
	}
	out := make([]RefundedLine, len(rows))
	for i, l := range rows {
		out[i] = RefundedLine{Sale: l.SaleID, Line: int(l.Line), Title: l.ItemTitle, Qty: int(l.Qty), Amount: l.Amount}
	}
	return out, nil
}

func (s *Service) refund(ctx context.Context, row queries.Refund) (Refund, error) {
	all, err := s.refundsOf(ctx, []queries.Refund{row})
	if err != nil {
		return Refund{}, err
	}
	return all[0], nil
}

// refundsOf makes refunds of rows, with their lines.
func (s *Service) refundsOf(ctx context.Context, rows []queries.Refund) ([]Refund, error) {
	ids, out := make([]string, len(rows)), make([]Refund, len(rows))
	for i, r := range rows {
		ids[i] = string(r.ID)
		out[i] = Refund{
			ID: r.ID, Merchant: r.MerchantID, Livemode: r.Livemode, Attempt: r.AttemptID, Settlement: r.SettlementID, Exception: r.ExceptionID, Title: r.Title,
			Status: RefundStatus(r.Status), Collected: r.Collected, Network: r.Network, Asset: r.Asset, From: r.PayFrom, To: r.PayTo, Amount: r.Amount, Fee: r.Fee,
			Reason: r.Reason, Effects: RefundEffects{r.Restock, r.Revoke, r.FreeCode}, Transaction: r.Transaction, LastError: r.LastError, Actor: r.Actor,
			CreatedAt: r.CreatedAt, SentAt: r.SentAt, EndedAt: r.EndedAt,
		}
	}
	if len(rows) == 0 {
		return out, nil
	}
	lines, err := queries.New().RefundLines(ctx, s.pool, ids)
	if err != nil {
		return nil, fmt.Errorf("lines of refunds: %w", err)
	}
	for _, l := range lines {
		i := slices.Index(ids, string(l.RefundID))
		out[i].Lines = append(out[i].Lines, RefundedLine{Sale: l.SaleID, Line: int(l.Line), Title: l.ItemTitle, Qty: int(l.Qty), Amount: l.Amount})
	}
	return out, nil
}

// refundChanged tells the pages that show a refund.
func (s *Service) refundChanged(r queries.Refund) {
	s.hub.Changed(r.AttemptID, r.MerchantID)
}

// refundSeen is what the log of what was done says of a refund.
type refundSeen struct {
	Attempt   id.Attempt   `json:"payment_attempt_id,omitempty"`
	Exception id.Exception `json:"exception_id,omitempty"`
	Amount    string       `json:"amount"`
	Reason    string       `json:"reason,omitempty"`
	To        string       `json:"to"`
	Restock   bool         `json:"restock,omitempty"`
	Revoke    bool         `json:"revoke,omitempty"`
	FreeCode  bool         `json:"free_code,omitempty"`
}

func refundSeenOf(r queries.Refund) refundSeen {
	return refundSeen{r.AttemptID, r.ExceptionID, r.Amount.Units(), r.Reason, r.PayTo, r.Restock, r.Revoke, r.FreeCode}
}

// ofRefund tells where a refund stands now.
func ofRefund(r queries.Refund, lines []RefundedLine, t webhook.Type) webhook.Event {
	p := webhook.RefundPayload{
		RefundID: r.ID, Amounts: webhook.NewAmounts(r.Amount, "USDC"), DestinationWallet: r.PayTo, Status: r.Status, Reason: r.Reason,
		Transaction: r.Transaction, Network: r.Network, Error: r.LastError, Lines: []webhook.RefundLinePayload{},
	}
	if r.AttemptID != "" {
		p.PaymentAttemptID = &r.AttemptID
	}
	if r.ExceptionID != "" {
		p.ExceptionID = &r.ExceptionID
	}
	for _, l := range lines {
		p.Lines = append(p.Lines, webhook.RefundLinePayload{SaleID: l.Sale, Qty: int32(l.Qty), Amount: l.Amount.Units()})
	}
	return webhook.Event{Merchant: r.MerchantID, Livemode: r.Livemode, Type: t, ResourceType: webhook.ResourceRefund, ResourceID: string(r.ID), Payload: p}
}
