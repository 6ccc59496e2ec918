package checkout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"xsynesis/access"
	"xsynesis/audit"
	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/postgres"
	"xsynesis/queries"
	"xsynesis/shop"
)

var (
	// ErrOverRefund is returned for more than what is left of what was paid.
	ErrOverRefund = errors.New("checkout: more than was paid")
	// ErrNothingToRefund is returned where nothing was paid, or all of it went back.
	ErrNothingToRefund = errors.New("checkout: nothing to give back")
	// ErrRefundLimit is returned for more than somebody may give back on one day.
	ErrRefundLimit = errors.New("checkout: more than this person may give back today")
	// ErrUnsettled is returned for a payment that no block holds for now: whether it comes back is not known yet.
	ErrUnsettled = errors.New("checkout: no block holds the payment")
	// ErrRefundUnderWay is returned for money whose refund has begun already, and for one that cannot be taken back any more.
	ErrRefundUnderWay = errors.New("checkout: refund is under way")
	// ErrBlockedPayer is returned for a wallet that the token refuses to pay.
	ErrBlockedPayer = errors.New("checkout: the token does not pay this wallet")
)

// RefundStatus is where a refund stands.
type RefundStatus string

// The states of a refund, as JSON carries them.
const (
	RefundRequested  RefundStatus = "requested"  // a worker will send it, or the shop's own wallet has to
	RefundProcessing RefundStatus = "processing" // a worker is about to send it
	RefundSent       RefundStatus = "sent"       // its transaction is known, and not mined yet
	RefundCompleted  RefundStatus = "completed"  // the chain shows it
	RefundFailed     RefundStatus = "failed"     // it can never move, or was called off: nothing went
)

// UnderWay tells whether its outcome is still open.
func (s RefundStatus) UnderWay() bool { return s != RefundCompleted && s != RefundFailed }

// Refund is money that goes back to a buyer.
type Refund struct {
	ID          id.Refund
	Merchant    id.Merchant
	Livemode    bool
	Attempt     id.Attempt    // empty for money that bought nothing
	Settlement  id.Settlement // what paid it
	Exception   id.Exception  // what it decides on; empty for nothing
	Title       string
	Status      RefundStatus
	Collected   bool // of money that is kept for the shop: a worker sends it
	Network     string
	Asset       string
	From, To    string // lower-case hex
	Amount      money.USDC
	Fee         money.USDC // what of it the platform gives back
	Reason      string
	Effects     RefundEffects
	Lines       []RefundedLine
	Transaction string
	LastError   string
	Actor       string // who gave it, as people read it
	CreatedAt   time.Time
	SentAt      *time.Time
	EndedAt     *time.Time
}

// RefundEffects are what else happens once the money went.
type RefundEffects struct {
	Restock  bool // the pieces are on sale again
	Revoke   bool // files, keys and passes are the buyer's no more
	FreeCode bool // the code that was handed in may be used again
}

// RefundedLine is what of a refund is one sale's.
type RefundedLine struct {
	Sale   id.Sale
	Line   int // of the purchase, from 0
	Title  string
	Qty    int // pieces that go back; 0 for a part of the price
	Amount money.USDC
}

// AwaitsSignature tells whether the shop's own wallet has to send it.
func (r Refund) AwaitsSignature() bool { return !r.Collected && r.Status == RefundRequested }

// RefundForm says what is given back. One of Sale, Attempt and Exception names it; without lines and an amount, all that is
// left of it goes back.
type RefundForm struct {
	Sale      id.Sale
	Attempt   id.Attempt
	Exception id.Exception
	Lines     []RefundPiece // some pieces of some lines
	Amount    *money.USDC   // a part
	Reason    string
	Effects   RefundEffects
	// Once is the key by which asking again gives the same refund, for ever; nil for none.
	Once []byte
}

// RefundPiece is so many pieces of one line.
type RefundPiece struct {
	Sale id.Sale
	Qty  int
}

// Giver is who gives something back.
type Giver struct {
	audit.By

	Role access.Role // empty for a program with a key
}

const maxReason = 200

// Refund gives a buyer his money back, to the wallet that paid: at once where the money is kept for the shop; else the shop's
// own wallet has to send it, and [Service.ReportRefund] hears of that.
// Errors: [ErrNotFound], [ErrNothingToRefund], [ErrOverRefund], [ErrRefundUnderWay], [ErrRefundLimit], [ErrBlockedPayer],
// [ErrReversed], [ErrUnsettled], [ledger.ErrInsufficient], [*shop.FieldError].
func (s *Service) Refund(ctx context.Context, merchant id.Merchant, livemode bool, f RefundForm, by Giver) (Refund, error) {
	f.Reason = strings.TrimSpace(f.Reason)
	if !shop.OneLine(f.Reason, maxReason) {
		return Refund{}, &shop.FieldError{Field: "reason", Message: fmt.Sprintf("Use at most %d printable characters.", maxReason)}
	}
	if f.Amount != nil && *f.Amount <= 0 {
		return Refund{}, &shop.FieldError{Field: "amount", Message: "Give an amount above zero."}
	}
	for range 2 { // whoever loses against the same key finds what the other made
		row, made, err := s.refundOnce(ctx, merchant, livemode, f, by)
		if doubled := (&pgconn.PgError{}); errors.As(err, &doubled) && doubled.ConstraintName == "refunds_once_key" {
			continue
		}
		if err != nil {
			return Refund{}, fmt.Errorf("refund of %s: %w", cmp.Or(string(f.Sale), string(f.Attempt), string(f.Exception)), err)
		}
		if made {
			fault.At(fault.RefundCreated)
			s.refundChanged(row)
		}
		return s.refund(ctx, row)
	}
	return Refund{}, fmt.Errorf("refund: %w", ErrRefundUnderWay)
}

func (s *Service) refundOnce(ctx context.Context, merchant id.Merchant, livemode bool, f RefundForm, by Giver) (row queries.Refund, made bool, err error) {
	q := queries.New()
	if f.Once != nil {
		row, err := q.RefundByOnce(ctx, s.pool, f.Once)
		if err == nil && (row.MerchantID != merchant || row.Livemode != livemode) {
			err = ErrNotFound
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return row, false, err
		}
	}
	g := giving{form: f, by: by, merchant: merchant, livemode: livemode}
	if err := s.prepareRefund(ctx, &g); err != nil {
		return queries.Refund{}, false, err
	}
	err = postgres.HotTx(ctx, s.pool, func(tx pgx.Tx) error {
		row, err = s.refundTx(ctx, tx, g)
		if err == nil {
			fault.At(fault.RefundCreating)
		}
		return err
	})
	return row, true, err
}
