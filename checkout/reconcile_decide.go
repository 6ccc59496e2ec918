package checkout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/postgres"
	"xsynesis/queries"
	"xsynesis/shop"
)

// ErrUndecidable is returned where a decision is none that can be taken on this money.
var ErrUndecidable = errors.New("checkout: that cannot be decided on it")

// Unresolved is money, or a difference, that somebody has to decide on, or has decided on.
type Unresolved struct {
	ID          id.Exception
	Kind        string // late_sold_out, late_declined, unmatched, underpaid, overpaid, paid_twice, missing or mismatch
	Livemode    bool
	Attempt     id.Attempt // that it came for, as far as anybody knows; empty for none
	Title       string     // of that purchase
	Purchase    Status     // how it stands
	Settlement  id.Settlement
	Payer       string // lower-case hex, as PayTo
	PayTo       string // empty: the purchase says it
	Amount      money.USDC
	Network     evm.Network
	Transaction string
	CameAt      time.Time // its block's; zero where it is not known
	ListedAt    time.Time
	ResolvedAt  *time.Time
	Resolution  string // accepted, attached, refunded, ignored, returned, matched or reversed
	ResolvedBy  string
	Reason      string
}

// late tells whether it is a sale for which there were no goods any more.
func (u Unresolved) late() bool { return strings.HasPrefix(u.Kind, "late_") }

// Differs tells whether it is a difference between the books and the chain, and no money that could go back.
func (u Unresolved) Differs() bool { return u.Kind == missing || u.Kind == mismatch }

// Acceptable tells whether the shop may have found the goods.
func (u Unresolved) Acceptable() bool { return u.ResolvedAt == nil && u.late() }

// Attachable tells whether it may be the payment of a purchase.
func (u Unresolved) Attachable() bool { return u.ResolvedAt == nil && u.Settlement == "" }

// Ignorable tells whether the shop may leave it at that.
func (u Unresolved) Ignorable() bool { return u.ResolvedAt == nil && !u.late() }

// Refundable tells whether it may go back to its payer.
func (u Unresolved) Refundable() bool { return u.ResolvedAt == nil && !u.Differs() }

func (s *Service) unresolved(e queries.Exception, title, purchase string) (Unresolved, error) {
	n, err := s.networks.Network(e.Network)
	u := Unresolved{
		ID: e.ID, Kind: e.Kind, Livemode: e.Livemode, Title: title, Purchase: Status(purchase), Payer: e.Payer, PayTo: e.PayTo, Amount: e.Amount,
		Network: n, Transaction: e.Transaction, ListedAt: e.CreatedAt, ResolvedAt: e.ResolvedAt, Resolution: e.Resolution, ResolvedBy: e.ResolvedBy,
		Reason: e.Reason,
	}
	if e.AttemptID != nil {
		u.Attempt = *e.AttemptID
	}
	if e.SettlementID != nil {
		u.Settlement = *e.SettlementID
	}
	if e.BlockTime != nil {
		u.CameAt = *e.BlockTime
	}
	return u, err
}

// UnresolvedList lists what a shop has to decide on, or with decided what it has, newest first, with one more than the page's
// limit where there are more.
func (s *Service) UnresolvedList(ctx context.Context, merchant id.Merchant, livemode, decided bool, p shop.Page) ([]Unresolved, error) {
	rows, err := s.unresolvedRows(ctx, merchant, livemode, decided, p)
	if err != nil {
		return nil, wrapList("what is to be decided", merchant, err)
	}
	out := make([]Unresolved, len(rows))
	for i, r := range rows {
		if out[i], err = s.unresolved(r.Exception, r.Title, r.Purchase); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Service) unresolvedRows(ctx context.Context, merchant id.Merchant, livemode, decided bool, p shop.Page) ([]queries.DecisionListRow, error) {
	q := queries.New()
	if p.After == "" {
		return q.DecisionList(ctx, s.pool, queries.DecisionListParams{
			MerchantID: merchant, Livemode: livemode, Decided: decided, Before: cmp.Or(p.Before, "~"), Most: int32(p.Limit + 1),
		})
	}
	up, err := q.DecisionListAfter(ctx, s.pool, queries.DecisionListAfterParams{
		MerchantID: merchant, Livemode: livemode, Decided: decided, After: p.After, Most: int32(p.Limit + 1),
	})
	rows := make([]queries.DecisionListRow, 0, len(up))
	for _, r := range slices.Backward(up) {
		rows = append(rows, queries.DecisionListRow(r))
	}
	return rows, err
}

// Unresolved returns one of them, or [ErrNotFound].
func (s *Service) Unresolved(ctx context.Context, merchant id.Merchant, livemode bool, exception id.Exception) (Unresolved, error) {
	r, err := queries.New().DecisionByID(ctx, s.pool, queries.DecisionByIDParams{MerchantID: merchant, Livemode: livemode, ID: exception})
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return Unresolved{}, fmt.Errorf("exception %s: %w", exception, err)
	}
	return s.unresolved(r.Exception, r.Title, r.Purchase)
}

// MeantFor is a purchase that money may have come for.
type MeantFor struct {
	Attempt id.Attempt
	Title   string
	Amount  money.USDC
	Status  Status
	BegunAt time.Time
}

// meantMost is how many purchases are proposed.
const meantMost = 10

// MeantFor lists unpaid purchases that whoever sent some money had begun to pay, newest first.
func (s *Service) MeantFor(ctx context.Context, merchant id.Merchant, u Unresolved) ([]MeantFor, error) {
	rows, err := queries.New().UnpaidOfPayer(ctx, s.pool, queries.UnpaidOfPayerParams{
		Payer: u.Payer, MerchantID: merchant, Livemode: u.Livemode, Network: u.Network.ID, Most: meantMost,
	})
	if err != nil {
		return nil, fmt.Errorf("purchases of %s: %w", u.Payer, err)
	}
	out := make([]MeantFor, len(rows))
	for i, r := range rows {
		out[i] = MeantFor{Attempt: r.ID, Title: r.Title, Amount: r.Amount, Status: Status(r.Status), BegunAt: r.CreatedAt}
	}
	return out, nil
}

// Ignore leaves it at that, for a reason. Money that is kept for the shop is the shop's then.
// Errors: [ErrNotFound], [ErrDecided], [ErrRefundUnderWay], [ErrUndecidable], [*shop.FieldError].
func (s *Service) Ignore(ctx context.Context, merchant id.Merchant, livemode bool, exception id.Exception, reason string, by audit.By) error {
	reason = strings.TrimSpace(reason)
	if reason == "" || !shop.OneLine(reason, maxNote) {
		return &shop.FieldError{Field: "reason", Message: fmt.Sprintf("Say why, in at most %d printable characters.", maxNote)}
	}
	return s.decide(ctx, merchant, livemode, exception, decision{"ignored", reason, by, Unresolved.Ignorable}, func(tx pgx.Tx, e queries.Exception) error {
		return keepTx(ctx, tx, s.now(), e)
	})
}

// keepTx makes money the shop's that lay unexplained at the address that is kept for it.
func keepTx(ctx context.Context, tx pgx.Tx, now time.Time, e queries.Exception) error {
	return shiftTx(ctx, tx, now, e, 1)
}

// oweTx takes from what is the shop's that went back to a payer, and that the chain then took from the shop besides.
func oweTx(ctx context.Context, tx pgx.Tx, now time.Time, e queries.Exception) error {
	return shiftTx(ctx, tx, now, e, -1)
}

func shiftTx(ctx context.Context, tx pgx.Tx, now time.Time, e queries.Exception, sign money.USDC) error {
	rows, err := queries.New().ExceptionPosting(ctx, tx, string(e.ID))
	if err != nil {
		return fmt.Errorf("entries of %s: %w", e.ID, err)
	}
	p := ledger.Posting{Merchant: e.MerchantID, Kind: ledger.ExceptionResolved, Source: string(e.ID)}
	for _, r := range rows {
		if ledger.Account(r.Account) == ledger.Exceptions {
			p.Entries = append(p.Entries,
				ledger.Entry{Account: ledger.Exceptions, Network: r.Network, Asset: r.Asset, Amount: -sign * r.Amount},
				ledger.Entry{Account: ledger.Available, Network: r.Network, Asset: r.Asset, Amount: sign * r.Amount})
		}
	}
	if len(p.Entries) == 0 {
		return nil
	}
	return ledger.PostTx(ctx, tx, now, p)
}

// Accept notes that the goods were found for money that came late. Errors: as [Service.Ignore].
func (s *Service) Accept(ctx context.Context, merchant id.Merchant, livemode bool, exception id.Exception, by audit.By) error {
	return s.decide(ctx, merchant, livemode, exception, decision{"accepted", "", by, Unresolved.Acceptable}, func(pgx.Tx, queries.Exception) error { return nil })
}

// Attach makes money the payment of a purchase that was not paid, whatever it costs: the shop says that it is enough.
// Errors: as [Service.Ignore]; [*shop.FieldError] for a purchase that it cannot be for.
func (s *Service) Attach(ctx context.Context, merchant id.Merchant, livemode bool, exception id.Exception, attempt id.Attempt, by audit.By) error {
	var sold queries.Attempt
	var transaction string
	err := s.decide(ctx, merchant, livemode, exception, decision{"attached", string(attempt), by, Unresolved.Attachable}, func(tx pgx.Tx, e queries.Exception) error {
		a, err := queries.New().AttemptForUpdate(ctx, tx, attempt)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && (a.MerchantID != merchant || a.Livemode != livemode) {
			return &shop.FieldError{Field: "attempt", Message: "There is no such purchase."}
		}
		if err != nil {
			return err
		}
		if wrong := unattachable(a, e); wrong != "" {
			return &shop.FieldError{Field: "attempt", Message: wrong}
		}
		transaction = e.Transaction
		sold, err = s.attachTx(ctx, tx, e, a)
		return err
	})
	if err == nil {
		s.sold(ctx, sold, transaction)
	}
	return err
}

// unattachable says why a purchase cannot be what money came for; nothing where it can.
func unattachable(a queries.Attempt, e queries.Exception) string {
	was := Status(a.Status)
	switch {
	case was.Paid():
		return "This purchase is paid already."
	case was == Reversed:
		return "The network took this purchase's payment back. It cannot be paid any more."
	case was.UnderWay():
		return "Another payment for this purchase is under way."
	case !was.CanBecome(Settled) && !was.CanBecome(SettledLate):
		return "This purchase can no longer be paid."
	case a.Network != e.Network || a.PayTo != e.PayTo:
		return "This purchase was to be paid at another address."
	case a.Amount == 0:
		return "This purchase costs nothing."
	}
	return ""
}

// decision is what somebody decides.
type decision struct {
	what, why string
	by        audit.By
	may       func(Unresolved) bool
}

func (s *Service) decide(
	ctx context.Context, merchant id.Merchant, livemode bool, exception id.Exception, d decision, do func(pgx.Tx, queries.Exception) error,
) error {
	err := postgres.HotTx(ctx, s.pool, func(tx pgx.Tx) error {
		e, err := s.undecidedTx(ctx, tx, merchant, livemode, exception, d.may)
		if err != nil {
			return err
		}
		now := s.now()
		if _, err := queries.New().ExceptionDecide(ctx, tx, queries.ExceptionDecideParams{
			ID: exception, Resolution: d.what, ResolvedBy: d.by.Actor, Reason: d.why, Now: now,
		}); err != nil {
			return err
		}
		if err := audit.RecordTx(ctx, tx, now, audit.Row{
			By: d.by, Merchant: merchant, Action: "exception." + d.what, ResourceType: "exception", ResourceID: string(exception),
			After: map[string]string{"kind": e.Kind, "amount": e.Amount.String(), "reason": d.why},
		}); err != nil {
			return err
		}
		return do(tx, e)
	})
	if err != nil {
		return fmt.Errorf("decide on %s: %w", exception, err)
	}
	s.hub.Changed("", merchant)
	return nil
}

// undecidedTx locks what a decision is about.
func (s *Service) undecidedTx(
	ctx context.Context, tx pgx.Tx, merchant id.Merchant, livemode bool, exception id.Exception, may func(Unresolved) bool,
) (queries.Exception, error) {
	q := queries.New()
	e, err := q.ExceptionForUpdate(ctx, tx, queries.ExceptionForUpdateParams{MerchantID: merchant, Livemode: livemode, ID: exception})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return e, ErrNotFound
	case err != nil:
		return e, err
	case e.ResolvedAt != nil:
		return e, ErrDecided
	}
	back, err := q.ExceptionRefunding(ctx, tx, exception)
	if err != nil {
		return e, err
	}
	u, err := s.unresolved(e, "", "")
	switch {
	case err != nil:
		return e, err
	case back:
		return e, ErrRefundUnderWay
	case !may(u):
		return e, ErrUndecidable
	}
	return e, nil
}

// exportUnresolved is how many rows an export reads at a time.
const exportUnresolved = 1000

// ExportUnresolved reads all that a shop has to decide on, and then what it has decided, newest first.
func (s *Service) ExportUnresolved(ctx context.Context, merchant id.Merchant, livemode bool, row func(Unresolved) error) error {
	for _, decided := range []bool{false, true} {
		page := shop.Page{Limit: exportUnresolved}
		for {
			rows, err := s.UnresolvedList(ctx, merchant, livemode, decided, page)
			if err != nil {
				return err
			}
			for _, u := range rows[:min(len(rows), exportUnresolved)] {
				if err := row(u); err != nil {
					return err
				}
			}
			if len(rows) <= exportUnresolved {
				break
			}
			page.Before = string(rows[exportUnresolved-1].ID)
		}
	}
	return nil
}

// Compared is how a network's books were last held against its chain, as far as a shop is concerned.
type Compared struct {
	Network evm.Network
	Matched int64      // payments of the shop on which all agreed
	Amount  money.USDC // of them
	From    int64      // block
	To      int64      // block
	BeganAt time.Time
	EndedAt *time.Time // nil: it is under way
	Failed  bool       // the last try
}

// Waiting is how much of a kind waits for a decision.
type Waiting struct {
	Kind   string
	Count  int64 // at most a thousand
	Amount money.USDC
	Oldest time.Time
}

// Reconciled tells a shop how its books were last held against the chains, and what waits for it.
func (s *Service) Reconciled(ctx context.Context, merchant id.Merchant, livemode bool) (compared []Compared, open []Waiting, err error) {
	q := queries.New()
	rows, err := q.ReconciliationsOf(ctx, s.pool, merchant)
	if err != nil {
		return nil, nil, wrapList("reconciliations", merchant, err)
	}
	for _, r := range rows {
		n, err := s.networks.Network(r.Reconciliation.Network)
		if err != nil {
			return nil, nil, err
		}
		if n.Test == livemode {
			continue
		}
		one := r.Reconciliation
		compared = append(compared, Compared{
			Network: n, Matched: r.OwnMatched, Amount: money.USDC(r.OwnAmount), From: one.FromBlock, To: one.ToBlock, BeganAt: one.BeganAt,
			EndedAt: one.EndedAt, Failed: one.FailedAt != nil && !one.FailedAt.Before(one.BeganAt),
		})
	}
	counts, err := q.DecisionCounts(ctx, s.pool, queries.DecisionCountsParams{MerchantID: merchant, Livemode: livemode})
	if err != nil {
		return nil, nil, wrapList("what is to be decided", merchant, err)
	}
	for _, c := range counts {
		open = append(open, Waiting{Kind: c.Kind, Count: c.Count, Amount: money.USDC(c.Amount), Oldest: c.Oldest})
	}
	return compared, open, nil
}
