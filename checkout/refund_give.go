package checkout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/webhook"
)

// giving is a refund that is being made, with what was asked of the chain before.
type giving struct {
	form     RefundForm
	by       Giver
	merchant id.Merchant
	livemode bool
	of       id.Attempt // the purchase; empty for money that bought nothing
	payer    string
	network  string
	kept     bool   // for the shop: it is sent from there
	since    uint64 // the chain's head, where the shop's own wallet sends it
}

// prepareRefund finds whose money it is and asks the chain what has to be known before anything is written.
func (s *Service) prepareRefund(ctx context.Context, g *giving) error {
	if err := s.refundOf(ctx, g); err != nil {
		return notFoundRow(err)
	}
	chain, err := s.chain(g.network)
	if err != nil && g.kept { // a worker asks again before it sends anything
		return nil
	}
	if err != nil {
		return err
	}
	if !g.kept {
		head, err := chain.Head(ctx)
		if err != nil {
			return err
		}
		g.since = head.Number
	}
	if blocked, err := chain.Blocked(ctx, common.HexToAddress(g.payer)); err == nil && blocked { // a token without a list cannot say
		return ErrBlockedPayer
	}
	return nil
}

// refundOf finds the payment that a form names: its payer, and the purchase it paid.
func (s *Service) refundOf(ctx context.Context, g *giving) error {
	q, f := queries.New(), g.form
	switch {
	case f.Sale != "":
		attempt, err := q.RefundAttemptOf(ctx, s.pool, queries.RefundAttemptOfParams{ID: f.Sale, MerchantID: g.merchant, Livemode: g.livemode})
		if err != nil {
			return err
		}
		g.of = attempt
	case f.Attempt != "":
		g.of = f.Attempt
	default:
		e, err := q.RefundExceptionShown(ctx, s.pool, queries.RefundExceptionShownParams{ID: f.Exception, MerchantID: g.merchant, Livemode: g.livemode})
		if err != nil {
			return err
		}
		if e.SettlementID == nil || e.AttemptID == nil {
			g.payer, g.network = e.Payer, e.Network
			g.kept, err = q.RefundExceptionBooked(ctx, s.pool, string(e.ID))
			return err
		}
		g.of = *e.AttemptID
	}
	row, err := q.RefundSettlement(ctx, s.pool, string(g.of))
	if errors.Is(err, pgx.ErrNoRows) || err == nil && row.Simulated {
		return s.unpaid(ctx, *g)
	}
	g.payer, g.network, g.kept = row.Payer, row.Network, row.Collected
	return err
}

// unpaid says why a purchase has no payment to give back.
func (s *Service) unpaid(ctx context.Context, g giving) error {
	p, err := s.Purchase(ctx, g.of)
	switch {
	case err != nil:
		return err
	case p.Merchant != g.merchant || p.Livemode != g.livemode:
		return ErrNotFound
	case p.Status == Reversed:
		return ErrReversed
	default:
		return ErrNothingToRefund
	}
}

func notFoundRow(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// refundTx makes a refund of one payment. The purchase's row is locked first: what is left of it is decided by one at a time.
func (s *Service) refundTx(ctx context.Context, tx pgx.Tx, g giving) (queries.Refund, error) {
	if g.of == "" {
		return s.returnTx(ctx, tx, g)
	}
	q, now := queries.New(), s.now()
	a, err := q.RefundAttempt(ctx, tx, queries.RefundAttemptParams{ID: g.of, MerchantID: g.merchant, Livemode: g.livemode})
	if err != nil {
		return queries.Refund{}, notFoundRow(err)
	}
	if a.Simulated || !Status(a.Status).Paid() {
		return queries.Refund{}, ErrNothingToRefund
	}
	paid, err := q.RefundSettlement(ctx, tx, string(g.of))
	if err != nil {
		return queries.Refund{}, notFoundRow(err)
	}
	if paid.LostAt != nil {
		return queries.Refund{}, ErrUnsettled
	}
	plan, exception, err := s.planTx(ctx, tx, a, g)
	if err != nil {
		return queries.Refund{}, err
	}
	if err := s.limitTx(ctx, tx, g, plan.amount); err != nil {
		return queries.Refund{}, err
	}
	fee, err := takeRefundTx(ctx, tx, now, a, paid, plan)
	if err != nil {
		return queries.Refund{}, err
	}
	row := g.row(now)
	row.AttemptID, row.SettlementID, row.ExceptionID, row.Title = a.ID, paid.ID, exception, a.Title
	row.Collected, row.Booked, row.Network, row.Asset = a.Collected, a.Collected, a.Network, a.Asset
	row.PayFrom, row.PayTo, row.Amount, row.Fee = a.PayTo, paid.Payer, plan.amount, fee
	return row, s.bookRefundTx(ctx, tx, now, &row, plan.lines, g.by)
}

// row is what a refund's row holds, whatever it is of.
func (g giving) row(now time.Time) queries.Refund {
	e := g.form.Effects
	return queries.Refund{
		ID: id.New[id.Refund](now), MerchantID: g.merchant, Livemode: g.livemode, Status: string(RefundRequested), Reason: g.form.Reason,
		Restock: e.Restock, Revoke: e.Revoke, FreeCode: e.FreeCode, PersonID: g.by.Person, Actor: g.by.Actor, Once: g.form.Once,
		SinceBlock: int64(g.since), CreatedAt: now, UpdatedAt: now,
	}
}

// planTx says what goes back of a purchase, and which payment that was to be decided on is decided on by it.
func (s *Service) planTx(ctx context.Context, tx pgx.Tx, a queries.Attempt, g giving) (refundPlan, id.Exception, error) {
	q, f, left := queries.New(), g.form, a.AmountReceived-a.Refunded
	sales, err := q.SaleOfAttempt(ctx, tx, a.ID)
	if err != nil {
		return refundPlan{}, "", err
	}
	before, err := q.RefundLinesBefore(ctx, tx, a.ID)
	if err != nil {
		return refundPlan{}, "", err
	}
	lines := refundables(sales, before, min(a.Amount, a.AmountReceived))
	if f.Exception == "" {
		plan, err := planRefund(lines, left, f)
		if err != nil || plan.amount < left {
			return plan, "", err
		}
		open, err := q.RefundExceptionOpenOf(ctx, tx, string(a.ID)) // all goes back: nobody has to decide any more
		return plan, id.Exception(open), err
	}
	e, err := q.RefundException(ctx, tx, queries.RefundExceptionParams{ID: f.Exception, MerchantID: g.merchant, Livemode: g.livemode})
	var plan refundPlan
	switch {
	case err != nil:
		return plan, "", notFoundRow(err)
	case e.ResolvedAt != nil:
		return plan, "", ErrDecided
	case e.Amount < a.AmountReceived:
		plan, err = planExcess(lines, left, e.Amount)
	default:
		plan, err = planRefund(lines, left, f)
	}
	return plan, f.Exception, err
}

// takeRefundTx takes a refund from what was paid, unless others have taken it meanwhile, and says what of it was our fee. The
// platform's share follows what went back in all, so that it gives back the whole fee with the whole price.
func takeRefundTx(ctx context.Context, tx pgx.Tx, now time.Time, a queries.Attempt, paid queries.Settlement, plan refundPlan) (money.USDC, error) {
	q := queries.New()
	given, err := q.RefundFees(ctx, tx, a.ID)
	if err != nil {
		return 0, err
	}
	after, err := q.RefundTakeAttempt(ctx, tx, queries.RefundTakeAttemptParams{ID: a.ID, Amount: int64(plan.amount), Now: now})
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, ErrOverRefund
	}
	if err != nil {
		return 0, err
	}
	p := queries.RefundTakeSalesParams{AttemptID: a.ID}
	for _, l := range plan.lines {
		p.Ids, p.Amounts = append(p.Ids, string(l.Sale)), append(p.Amounts, int64(l.Amount))
	}
	n, err := q.RefundTakeSales(ctx, tx, p)
	if err == nil && n != int64(len(p.Ids)) {
		err = ErrOverRefund
	}
	fee := share(paid.Fee, int64(after), int64(a.AmountReceived)) - money.USDC(given)
	return min(max(fee, 0), plan.amount), err
}

// bookRefundTx writes a refund down, has it sent where the money is kept for the shop, and tells of it.
func (s *Service) bookRefundTx(ctx context.Context, tx pgx.Tx, now time.Time, row *queries.Refund, lines []RefundedLine, by Giver) error {
	if !row.Collected {
		if err := s.ownWalletTx(ctx, tx, row); err != nil {
			return err
		}
	}
	if err := insertRefundTx(ctx, tx, *row, lines); err != nil {
		return err
	}
	if row.Collected {
		if s.o.Custody == nil {
			return fmt.Errorf("%s: %w", row.ID, errNoCustody)
		}
		taken := row.Amount - row.Fee
		if row.AttemptID == "" {
			taken = 0 // it never was the shop's
		}
		if err := s.o.Custody.SendTx(ctx, tx, now, ledger.Sending{
			ID: string(row.ID), Merchant: row.MerchantID, Network: row.Network, Asset: row.Asset, To: row.PayTo, Amount: row.Amount, Taken: taken,
		}); err != nil {
			return err
		}
	}
	if err := audit.RecordTx(ctx, tx, now, audit.Row{
		By: by.By, Merchant: row.MerchantID, Action: "refund.created", ResourceType: "refund", ResourceID: string(row.ID), After: refundSeenOf(*row),
	}); err != nil {
		return err
	}
	if err := s.o.Webhooks.PublishTx(ctx, tx, now, ofRefund(*row, lines, webhook.RefundCreated)); err != nil {
		return err
	}
	if !row.Booked {
		return nil
	}
	return ledger.PostTx(ctx, tx, now, refundPosting(*row, ledger.RefundCreated))
}

var errNoCustody = errors.New("checkout: no money is kept for shops here")

func insertRefundTx(ctx context.Context, tx pgx.Tx, r queries.Refund, lines []RefundedLine) error {
	q := queries.New()
	if err := q.RefundInsert(ctx, tx, queries.RefundInsertParams{
		ID: r.ID, MerchantID: r.MerchantID, Livemode: r.Livemode, AttemptID: r.AttemptID, SettlementID: r.SettlementID, ExceptionID: r.ExceptionID,
		Title: r.Title, Status: r.Status, Collected: r.Collected, Booked: r.Booked, Network: r.Network, Asset: r.Asset, PayFrom: r.PayFrom, PayTo: r.PayTo,
		Amount: r.Amount, Fee: r.Fee, Reason: r.Reason, Restock: r.Restock, Revoke: r.Revoke, FreeCode: r.FreeCode, SinceBlock: r.SinceBlock,
		PersonID: r.PersonID, Actor: r.Actor, Once: r.Once, CreatedAt: r.CreatedAt,
	}); err != nil {
		if taken := (&pgconn.PgError{}); errors.As(err, &taken) && taken.ConstraintName == "refunds_of_exception" {
			return ErrRefundUnderWay
		}
		return err
	}
	if len(lines) == 0 {
		return nil
	}
	p := queries.RefundLinesInsertParams{RefundID: r.ID}
	for _, l := range lines {
		p.Sales = append(p.Sales, string(l.Sale))
		p.Lines = append(p.Lines, int16(l.Line))
		p.Quantities = append(p.Quantities, int32(l.Qty))
		p.Amounts = append(p.Amounts, int64(l.Amount))
	}
	return q.RefundLinesInsert(ctx, tx, p)
}

// returnTx gives money back that came without buying anything.
func (s *Service) returnTx(ctx context.Context, tx pgx.Tx, g giving) (queries.Refund, error) {
	q, now := queries.New(), s.now()
	e, err := q.RefundException(ctx, tx, queries.RefundExceptionParams{ID: g.form.Exception, MerchantID: g.merchant, Livemode: g.livemode})
	switch {
	case err != nil:
		return queries.Refund{}, notFoundRow(err)
	case e.ResolvedAt != nil:
		return queries.Refund{}, ErrDecided
	case len(g.form.Lines) > 0 || g.form.Amount != nil && *g.form.Amount != e.Amount:
		return queries.Refund{}, &shop.FieldError{Field: "amount", Message: "What bought nothing goes back as a whole."}
	}
	if err := s.limitTx(ctx, tx, g, e.Amount); err != nil {
		return queries.Refund{}, err
	}
	booked, err := q.RefundExceptionBooked(ctx, tx, string(e.ID))
	if err != nil {
		return queries.Refund{}, err
	}
	n, err := s.networks.Network(e.Network)
	if err != nil {
		return queries.Refund{}, err
	}
	row := g.row(now)
	row.ExceptionID, row.Title, row.Collected, row.Booked = e.ID, "Money that bought nothing", booked, booked
	row.Network, row.Asset, row.PayFrom, row.PayTo, row.Amount = e.Network, lower(n.Token.Address), e.PayTo, e.Payer, e.Amount
	return row, s.bookRefundTx(ctx, tx, now, &row, nil, g.by)
}

// limitTx holds a refund against what its giver may give back on one day (UTC).
func (s *Service) limitTx(ctx context.Context, tx pgx.Tx, g giving, amount money.USDC) error {
	if g.by.Person == "" {
		return nil
	}
	q, now := queries.New(), s.now()
	limit := g.by.Role.RefundsADay()
	switch {
	case limit < 0:
		return nil
	case limit == 0: // whatever stands at his membership, from another role
		return ErrRefundLimit
	}
	own, err := q.RefundLimitOf(ctx, tx, queries.RefundLimitOfParams{MerchantID: g.merchant, PersonID: g.by.Person})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
	case err != nil:
		return err
	case own != nil:
		limit = money.USDC(*own)
	}
	given, err := q.RefundGivenBy(ctx, tx, queries.RefundGivenByParams{
		PersonID: g.by.Person, MerchantID: g.merchant, Livemode: g.livemode, Since: now.UTC().Truncate(24 * time.Hour),
	})
	if err == nil && money.USDC(given)+amount > limit {
		err = ErrRefundLimit
	}
	return err
}

// refundables are the lines of a purchase, with what was paid for each and what of it went back before.
func refundables(sales []queries.Sale, before []queries.RefundLinesBeforeRow, paid money.USDC) []refundable {
	out := make([]refundable, len(sales))
	for i, sale := range sales {
		out[i] = refundable{sale: sale.ID, line: int(sale.Line), title: sale.ItemTitle, qty: int(sale.Qty), amount: sale.Amount}
		if n := slices.IndexFunc(before, func(b queries.RefundLinesBeforeRow) bool { return b.SaleID == sale.ID }); n >= 0 {
			out[i].gone, out[i].goneQty = money.USDC(before[n].Amount), int(before[n].Qty)
		}
	}
	weigh(out, paid)
	return out
}
