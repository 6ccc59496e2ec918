package checkout

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/x402"
)

// Begin is what a buyer, or a seller's server on his behalf, says when a purchase begins.
type Begin struct {
	Token      string
	From       string // the buyer's network address; empty for tills and calls with a seller's key
	Channel    string // "link" if empty
	SuccessURL string // the link's own if empty
	CancelURL  string
	Reference  string
	Metadata   json.RawMessage
	// Once is an idempotency key, hashed with its scope: it begins one purchase, for ever. Nil for none.
	Once []byte
}

// Start begins a purchase at a link: what is limited is held, the quote is frozen, its end is scheduled.
// Errors: [shop.ErrNotFound], [shop.ErrLinkExpired], [shop.ErrSoldOut], [ErrTooManyUnpaid], [ErrUnfunded], [*shop.FieldError].
func (s *Service) Start(ctx context.Context, b Begin) (Attempt, error) {
	if before, err := s.startedBy(ctx, b.Once); err != nil || before.ID != "" {
		return before, err
	}
	offer, err := s.shop.Offer(ctx, b.Token)
	if err != nil {
		return Attempt{}, err
	}
	if err := s.Funded(ctx, offer.Link.Network.ID); err != nil {
		return Attempt{}, err
	}
	if err := errors.Join(shop.CheckReturnURL("success_url", b.SuccessURL), shop.CheckReturnURL("cancel_url", b.CancelURL)); err != nil {
		return Attempt{}, err
	}
	a, err := s.draft(offer, offer.Link.Price, b)
	if err != nil {
		return Attempt{}, err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := s.startTx(ctx, tx, offer, &a, b.From, false); err != nil {
			return err
		}
		fault.At(fault.StartTaken)
		return nil
	})
	if err != nil {
		// The same call may have begun it at the same moment, and taken the last one.
		if before, lookErr := s.startedBy(ctx, b.Once); lookErr == nil && before.ID != "" {
			return before, nil
		}
		return Attempt{}, fmt.Errorf("start purchase at %s: %w", offer.Link.ID, err)
	}
	fault.At(fault.StartCommitted)
	s.hub.Changed(a.ID, a.Merchant)
	return a, nil
}

// startedBy returns the purchase that an idempotency key began, or none.
func (s *Service) startedBy(ctx context.Context, once []byte) (Attempt, error) {
	if once == nil {
		return Attempt{}, nil
	}
	attempt, err := queries.New().AttemptByOnce(ctx, s.pool, once)
	if errors.Is(err, pgx.ErrNoRows) {
		return Attempt{}, nil
	}
	if err != nil {
		return Attempt{}, fmt.Errorf("purchase of an idempotency key: %w", err)
	}
	p, err := s.Purchase(ctx, attempt)
	return p.Attempt, err
}

// draft freezes the quote of one purchase; nothing is written.
func (s *Service) draft(o shop.Offer, price money.USDC, b Begin) (Attempt, error) {
	now := s.now()
	a := Attempt{
		ID: id.New[id.Attempt](now), Merchant: o.Merchant, Shop: o.Shop, Domain: o.Domain, Link: o.Link.ID, LinkToken: o.Link.Token,
		Channel: b.Channel, Livemode: o.Link.Livemode, Status: Open, Network: o.Link.Network, PayTo: common.HexToAddress(o.PayTo),
		Amount: price, Title: o.Link.Title, SuccessURL: b.SuccessURL, CancelURL: b.CancelURL, Reference: b.Reference, Metadata: b.Metadata,
		Lines:     []Line{{ItemID: string(o.Link.ID), Title: o.Link.Title, Qty: 1, UnitAmount: price}},
		once:      b.Once,
		ExpiresAt: now.Add(s.o.Hold).Truncate(time.Second), CreatedAt: now, UpdatedAt: now,
	}
	if a.Channel == "" {
		a.Channel = "link"
	}
	if a.SuccessURL == "" {
		a.SuccessURL = o.Link.SuccessURL
	}
	if a.Reference == "" {
		a.Reference = o.Link.Reference
	}
	if len(a.Metadata) == 0 {
		a.Metadata = o.Link.Metadata
	}
	_, _ = rand.Read(a.Salt[:])
	cart := Cart{Seller: a.Merchant, Lines: a.Lines, Network: a.Network.ID, Asset: a.Network.Token.Address, PayTo: a.PayTo, Amount: a.Amount}
	var err error
	if a.CartHash, err = cart.Hash(); err != nil {
		return Attempt{}, err
	}
	a.Nonce = Nonce(a.Salt, a.CartHash)
	sum := sha256.Sum256([]byte(s.BuyerToken(a.ID)))
	a.tokenHash = sum[:]
	return a, nil
}

// startTx writes the purchase, with its share of what is limited and the job that ends it.
func (s *Service) startTx(ctx context.Context, tx pgx.Tx, o shop.Offer, a *Attempt, from string, direct bool) error {
	if err := o.Link.Open(s.now()); errors.Is(err, shop.ErrLinkExpired) {
		return err
	}
	holds, err := s.takeTx(ctx, tx, o.Link, from, direct)
	if err != nil {
		return err
	}
	q := queries.New()
	if err := q.AttemptInsert(ctx, tx, queries.AttemptInsertParams{
		ID: a.ID, MerchantID: a.Merchant, LinkID: &a.Link, Channel: a.Channel, Livemode: a.Livemode, Status: string(a.Status), Network: a.Network.ID,
		Asset: lower(a.Network.Token.Address), PayTo: lower(a.PayTo), Amount: a.Amount, Title: a.Title, CartSalt: a.Salt[:],
		CartHash: a.CartHash[:], Nonce: a.Nonce.Hex(), BuyerTokenHash: a.tokenHash, FromAddress: from, HoldsPayment: holds,
		Direct: direct, SuccessUrl: a.SuccessURL, CancelUrl: a.CancelURL, Reference: a.Reference, Metadata: a.Metadata,
		Once: a.once, ExpiresAt: a.ExpiresAt, CreatedAt: a.CreatedAt,
	}); err != nil {
		return raced(fmt.Errorf("insert attempt: %w", err))
	}
	for i, l := range a.Lines {
		if err := q.AttemptLineInsert(ctx, tx, queries.AttemptLineInsertParams{
			AttemptID: a.ID, Line: int16(i), ItemID: l.ItemID, Title: l.Title, Qty: int32(l.Qty), UnitAmount: l.UnitAmount,
		}); err != nil {
			return fmt.Errorf("insert line: %w", err)
		}
	}
	if direct { // it is paid for in this very transaction, and ends if that payment is refused
		return nil
	}
	if _, err := s.jobs.InsertTx(ctx, tx, ExpireArgs{Attempt: a.ID}, &river.InsertOpts{ScheduledAt: a.ExpiresAt}); err != nil {
		return fmt.Errorf("schedule end of %s: %w", a.ID, err)
	}
	return nil
}

// What unpaid purchases of one buyer, and of all buyers, may hold of a limited link.
const maxUnpaidPerBuyer = 3

// takeTx takes one of a limited link's payments, and says whether it did. A payment in hand (paying)
// may take over the oldest unpaid hold; an unpaid one must leave enough for others.
func (s *Service) takeTx(ctx context.Context, tx pgx.Tx, l shop.Link, from string, paying bool) (bool, error) {
	if l.MaxPayments == 0 {
		return false, nil
	}
	q := queries.New()
	_, err := q.LinkTakePayment(ctx, tx, l.ID)
	if errors.Is(err, pgx.ErrNoRows) && paying {
		if err := s.displaceTx(ctx, tx, l.ID); err != nil {
			return false, err
		}
		_, err = q.LinkTakePayment(ctx, tx, l.ID)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return false, shop.ErrSoldOut
	}
	if err != nil {
		return false, fmt.Errorf("take payment of %s: %w", l.ID, err)
	}
	if paying || from == "" {
		return true, nil
	}
	return true, s.checkUnpaidTx(ctx, tx, l, from)
}

// checkUnpaidTx runs under the link's row lock, so its counts stand still.
func (s *Service) checkUnpaidTx(ctx context.Context, tx pgx.Tx, l shop.Link, from string) error {
	q := queries.New()
	mine, err := q.AttemptUnpaidCount(ctx, tx, queries.AttemptUnpaidCountParams{LinkID: &l.ID, FromAddress: from})
	if err != nil {
		return fmt.Errorf("unpaid of buyer: %w", err)
	}
	held, err := q.AttemptUnpaidOfLink(ctx, tx, &l.ID)
	if err != nil {
		return fmt.Errorf("unpaid of link: %w", err)
	}
	taken, err := q.LinkTaken(ctx, tx, l.ID)
	if err != nil {
		return fmt.Errorf("taken of link: %w", err)
	}
	// The counter includes this purchase already; its attempt is not written yet.
	free := l.MaxPayments - int(taken) + 1
	if int(mine) >= maxUnpaidPerBuyer || held > 0 && int(held)+1 > (free+int(held)+1)/2 {
		return ErrTooManyUnpaid
	}
	return nil
}

// displaceTx ends the oldest unpaid purchase of a link, for a buyer who pays now.
func (s *Service) displaceTx(ctx context.Context, tx pgx.Tx, link id.Link) error {
	q := queries.New()
	oldest, err := q.AttemptOldestUnpaid(ctx, tx, &link)
	if errors.Is(err, pgx.ErrNoRows) {
		return shop.ErrSoldOut
	}
	if err != nil {
		return fmt.Errorf("oldest unpaid of %s: %w", link, err)
	}
	return s.endTx(ctx, tx, oldest, Open, Cancelled)
}

// endTx ends a purchase that was not paid and gives back what it held.
func (s *Service) endTx(ctx context.Context, tx pgx.Tx, attempt id.Attempt, was, end Status) error {
	q := queries.New()
	row, err := q.AttemptMove(ctx, tx, queries.AttemptMoveParams{ID: attempt, Was: []string{string(was)}, Next: string(end), Now: s.now()})
	if err != nil {
		return fmt.Errorf("end %s: %w", attempt, err)
	}
	return giveTx(ctx, tx, row)
}

// giveTx gives back one of a link's limited payments, once.
func giveTx(ctx context.Context, tx pgx.Tx, row queries.Attempt) error {
	q := queries.New()
	n, err := q.AttemptGivePayment(ctx, tx, row.ID)
	if err != nil {
		return fmt.Errorf("give back of %s: %w", row.ID, err)
	}
	if n == 0 || row.LinkID == nil {
		return nil
	}
	if err := q.LinkGivePayment(ctx, tx, *row.LinkID); err != nil {
		return fmt.Errorf("give back to %s: %w", *row.LinkID, err)
	}
	return nil
}

// authorizationOf is the transfer that pays a purchase from the page; the payer is not known yet.
func authorizationOf(a Attempt) x402.Authorization {
	return x402.Authorization{
		To: a.PayTo, Value: big.NewInt(int64(a.Amount)), ValidAfter: new(big.Int), ValidBefore: big.NewInt(a.ExpiresAt.Unix()), Nonce: a.Nonce,
	}
}
