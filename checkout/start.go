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
	"xsynesis/webhook"
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
	if err := b.check(); err != nil {
		return Attempt{}, err
	}
	a, err := s.draft(ctx, offer, offer.Link.Price, b)
	if err != nil {
		return Attempt{}, err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := s.startTx(ctx, tx, offer, &a); err != nil {
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

// check refuses what could not be kept, or handed back.
func (b *Begin) check() error {
	if err := errors.Join(shop.CheckReturnURL("success_url", b.SuccessURL), shop.CheckReturnURL("cancel_url", b.CancelURL),
		shop.CheckReference(b.Reference)); err != nil {
		return err
	}
	if len(b.Metadata) == 0 {
		return nil // the link's own
	}
	var err error
	b.Metadata, err = shop.CheckMetadata(b.Metadata)
	return err
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

// draft freezes the quote of one purchase, which is not written yet.
func (s *Service) draft(ctx context.Context, o shop.Offer, price money.USDC, b Begin) (Attempt, error) {
	now := s.now()
	a := Attempt{
		ID: id.New[id.Attempt](now), Merchant: o.Merchant, Shop: o.Shop, Domain: o.Domain, Link: o.Link.ID, LinkToken: o.Link.Token,
		Channel: b.Channel, Livemode: o.Link.Livemode, Status: Open, Network: o.Link.Network, PayTo: common.HexToAddress(o.PayTo),
		Amount: price, Title: o.Link.Title, SuccessURL: b.SuccessURL, CancelURL: b.CancelURL, Reference: b.Reference, Metadata: b.Metadata,
		Lines: []Line{{ItemID: string(o.Link.ID), Title: o.Link.Title, Qty: 1, UnitAmount: price}},
		once:  b.Once, from: b.From,
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
	key, err := s.buyers.current(ctx)
	if err != nil {
		return Attempt{}, err
	}
	sum := sha256.Sum256([]byte(buyerToken(key, a.ID)))
	a.tokenHash = sum[:]
	return a, nil
}

// startTx writes a purchase that waits for its payment, with its share of what is limited and the job that ends it.
func (s *Service) startTx(ctx context.Context, tx pgx.Tx, o shop.Offer, a *Attempt) error {
	if err := s.takeTx(ctx, tx, o.Link, a, false); err != nil {
		return err
	}
	if err := s.insertTx(ctx, tx, *a); err != nil {
		return err
	}
	if _, err := s.jobs.InsertTx(ctx, tx, ExpireArgs{Attempt: a.ID}, &river.InsertOpts{ScheduledAt: a.ExpiresAt}); err != nil {
		return fmt.Errorf("schedule end of %s: %w", a.ID, err)
	}
	return nil
}

// insertTx writes purchases with their lines, and tells of them.
func (s *Service) insertTx(ctx context.Context, tx pgx.Tx, attempts ...Attempt) error {
	var p queries.AttemptsInsertParams
	var lines queries.AttemptLinesInsertParams
	events := make([]webhook.Event, len(attempts))
	for n, a := range attempts {
		addAttempt(&p, a)
		events[n] = created(a)
		for i, l := range a.Lines {
			lines.Attempts = append(lines.Attempts, string(a.ID))
			lines.Lines = append(lines.Lines, int16(i))
			lines.Items = append(lines.Items, l.ItemID)
			lines.Titles = append(lines.Titles, l.Title)
			lines.Quantities = append(lines.Quantities, int32(l.Qty))
			lines.UnitAmounts = append(lines.UnitAmounts, int64(l.UnitAmount))
		}
	}
	q := queries.New()
	if err := q.AttemptsInsert(ctx, tx, p); err != nil {
		return raced(fmt.Errorf("insert purchases: %w", err))
	}
	if err := q.AttemptLinesInsert(ctx, tx, lines); err != nil {
		return fmt.Errorf("insert lines: %w", err)
	}
	return s.o.Webhooks.PublishTx(ctx, tx, s.now(), events...)
}

func addAttempt(p *queries.AttemptsInsertParams, a Attempt) {
	p.Ids = append(p.Ids, string(a.ID))
	p.Merchants = append(p.Merchants, string(a.Merchant))
	p.Links = append(p.Links, string(a.Link))
	p.Channels = append(p.Channels, a.Channel)
	p.Livemodes = append(p.Livemodes, a.Livemode)
	p.Statuses = append(p.Statuses, string(a.Status))
	p.Networks = append(p.Networks, a.Network.ID)
	p.Assets = append(p.Assets, lower(a.Network.Token.Address))
	p.Payees = append(p.Payees, lower(a.PayTo))
	p.Amounts = append(p.Amounts, int64(a.Amount))
	p.Titles = append(p.Titles, a.Title)
	p.CartSalts = append(p.CartSalts, a.Salt[:])
	p.CartHashes = append(p.CartHashes, a.CartHash[:])
	p.Nonces = append(p.Nonces, a.Nonce.Hex())
	p.BuyerTokenHashes = append(p.BuyerTokenHashes, a.tokenHash)
	p.FromAddresses = append(p.FromAddresses, a.from)
	p.HoldPayments = append(p.HoldPayments, a.holds)
	p.Directs = append(p.Directs, a.direct)
	p.SuccessUrls = append(p.SuccessUrls, a.SuccessURL)
	p.CancelUrls = append(p.CancelUrls, a.CancelURL)
	p.Refs = append(p.Refs, a.Reference)
	p.Metadata = append(p.Metadata, a.Metadata)
	p.Onces = append(p.Onces, a.once)
	p.ExpiresAt = append(p.ExpiresAt, a.ExpiresAt)
	p.CreatedAt = append(p.CreatedAt, a.CreatedAt)
}

// What unpaid purchases of one buyer, and of all buyers, may hold of a limited link.
const maxUnpaidPerBuyer = 3

// takeTx takes one of a limited link's payments, and notes on the purchase whether it did. A payment in hand (paying)
// may take over the oldest unpaid hold; an unpaid one must leave enough for others.
func (s *Service) takeTx(ctx context.Context, tx pgx.Tx, l shop.Link, a *Attempt, paying bool) error {
	if err := l.Open(s.now()); errors.Is(err, shop.ErrLinkExpired) {
		return err
	}
	if l.MaxPayments == 0 {
		return nil
	}
	q := queries.New()
	_, err := q.LinkTakePayment(ctx, tx, l.ID)
	if errors.Is(err, pgx.ErrNoRows) && paying {
		if err := s.displaceTx(ctx, tx, l.ID); err != nil {
			return err
		}
		_, err = q.LinkTakePayment(ctx, tx, l.ID)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return shop.ErrSoldOut
	}
	if err != nil {
		return fmt.Errorf("take payment of %s: %w", l.ID, err)
	}
	a.holds = true
	if paying || a.from == "" {
		return nil
	}
	return s.checkUnpaidTx(ctx, tx, l, a.from)
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
