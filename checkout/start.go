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

	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/x402"
)

// Begin is what a buyer, or a seller's server on his behalf, says when a purchase begins: at a link (Token), or with items
// or an endpoint that no link offers.
type Begin struct {
	Token    string
	Items    []shop.Want
	Endpoint id.Endpoint // or a pass for an endpoint
	Merchant id.Merchant // whose the items have to be; empty for whose they are
	Livemode bool        // of a purchase of items, where Merchant is named
	Choice   shop.Choice
	Code     string // an activation code, or a bypass token; empty for none
	Wallet   string // who hands the code in, as he writes it: codes that are limited by wallet ask for it where nothing is to be paid
	Buyer    Buyer

	From       string // the buyer's network address; empty for tills and calls with a seller's key
	Channel    string // "link" if empty
	SuccessURL string // the link's own if empty
	CancelURL  string
	Reference  string
	Metadata   json.RawMessage
	// Once is an idempotency key, hashed with its scope: it begins one purchase, for ever. Nil for none.
	Once []byte
	// Replaces is an open purchase that ends where this one begins: a quote never changes, so a tip, say, makes another.
	Replaces id.Attempt
	// Total is what whoever begins it has seen, without his code: it begins at no other amount. Nil takes whatever it costs.
	Total *money.USDC
	// ByForm says that a person was asked: what the shop has to know must be answered. Programs are not asked.
	ByForm bool

	till *tillSale // where it begins at a till
	cart *cartSale // where it was the cart of a storefront
}

// Start begins a purchase: what is limited is held, all of it or nothing, the quote is frozen, its end is scheduled. What
// costs nothing is settled at once.
// Errors: [shop.ErrNotFound], those of [shop.Link.Timely], [shop.ErrSoldOut], [shop.ErrShort], [ErrTooManyUnpaid], [ErrUnfunded],
// [ErrNotOpen] where the purchase that is replaced is paid or over, [ErrTotal], [*shop.FieldError]; of a code those of
// [shop.Service.HandIn], [shop.Offer.Coded] and [shop.TakeCodeTx].
func (s *Service) Start(ctx context.Context, b Begin) (Attempt, error) {
	if before, err := s.startedBy(ctx, b.Once); err != nil || before.ID != "" {
		return before, err
	}
	if err := b.check(); err != nil {
		return Attempt{}, err
	}
	offer, err := s.OfferOf(ctx, b)
	if err != nil {
		return Attempt{}, err
	}
	if err := b.answered(offer); err != nil {
		return Attempt{}, err
	}
	if b.Total != nil && *b.Total != offer.Amount {
		return Attempt{}, ErrTotal
	}
	offer, code, err := s.coded(ctx, offer, b)
	if err != nil {
		return Attempt{}, err
	}
	if offer.Amount > 0 {
		if err := s.Funded(ctx, offer.Link.Network.ID); err != nil {
			return Attempt{}, err
		}
	}
	a, err := s.draft(ctx, offer, b)
	if err != nil {
		return Attempt{}, err
	}
	begun := &beginning{offer: offer, attempt: a, replaces: b.Replaces, till: b.till, cart: b.cart, code: code}
	if err := s.begin(ctx, begun); err != nil {
		// The same call may have begun it at the same moment, and taken the last one.
		if before, lookErr := s.startedBy(ctx, b.Once); lookErr == nil && before.ID != "" {
			return before, nil
		}
		return Attempt{}, fmt.Errorf("start purchase of %q: %w", offer.Title(), err)
	}
	fault.At(fault.StartCommitted)
	s.hub.Changed(a.ID, a.Merchant)
	if a = begun.attempt; a.Amount == 0 {
		a.Status = Settled
	}
	return a, nil
}

// OfferOf is what is bought by such a beginning, as the buyer chose it.
func (s *Service) OfferOf(ctx context.Context, b Begin) (o shop.Offer, err error) {
	switch {
	case len(b.Items) > 0:
		o, err = s.shop.Basket(ctx, b.Merchant, b.Livemode, b.Items)
	case b.Endpoint != "":
		o, err = s.shop.EndpointOffer(ctx, b.Endpoint)
	default:
		o, err = s.shop.Offer(ctx, b.Token)
	}
	if err != nil {
		return o, err
	}
	return o.Choose(b.Choice)
}

// check refuses what could not be kept, or handed back.
func (b *Begin) check() error {
	if err := errors.Join(shop.CheckReturnURL("success_url", b.SuccessURL), shop.CheckReturnURL("cancel_url", b.CancelURL),
		shop.CheckReference(b.Reference)); err != nil {
		return err
	}
	if err := b.Buyer.check(); err != nil {
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

// draft freezes the quote of one purchase; nothing is written.
func (s *Service) draft(ctx context.Context, o shop.Offer, b Begin) (Attempt, error) {
	now := s.now()
	a := Attempt{
		ID: id.New[id.Attempt](now), Merchant: o.Merchant, Shop: o.Shop, Domain: o.Domain, Link: o.Link.ID, LinkToken: o.Link.Token,
		Channel: b.Channel, Livemode: o.Link.Livemode, Status: Open, Network: o.Link.Network, PayTo: common.HexToAddress(o.PayTo), Collected: o.Collected,
		Amount: o.Amount, Title: o.Title(), SuccessURL: b.SuccessURL, CancelURL: b.CancelURL, Reference: b.Reference, Metadata: b.Metadata,
		Lines: o.Lines, Buyer: b.Buyer, once: b.Once, from: b.From,
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

// insertTx writes purchases with their lines.
func insertTx(ctx context.Context, tx pgx.Tx, attempts ...Attempt) error {
	var p queries.AttemptsInsertParams
	var lines queries.AttemptLinesInsertParams
	var buyers queries.BuyersInsertParams
	for _, a := range attempts {
		addAttempt(&p, a)
		a.Buyer.add(&buyers, a.ID)
		for i, l := range a.Lines {
			lines.Attempts = append(lines.Attempts, string(a.ID))
			lines.Lines = append(lines.Lines, int16(i))
			lines.Items = append(lines.Items, l.ItemID)
			lines.Titles = append(lines.Titles, l.Title)
			lines.Kinds = append(lines.Kinds, string(l.Kind))
			lines.Files = append(lines.Files, string(l.File))
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
	if len(buyers.Attempts) == 0 {
		return nil
	}
	if err := q.BuyersInsert(ctx, tx, buyers); err != nil {
		return fmt.Errorf("insert what buyers told: %w", err)
	}
	return nil
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
	p.HoldStocks = append(p.HoldStocks, a.HoldsStock)
	p.Directs = append(p.Directs, a.direct)
	p.Collected = append(p.Collected, a.Collected)
	p.SuccessUrls = append(p.SuccessUrls, a.SuccessURL)
	p.CancelUrls = append(p.CancelUrls, a.CancelURL)
	p.Refs = append(p.Refs, a.Reference)
	p.Metadata = append(p.Metadata, a.Metadata)
	p.Onces = append(p.Onces, a.once)
	p.ExpiresAt = append(p.ExpiresAt, a.ExpiresAt)
	p.CreatedAt = append(p.CreatedAt, a.CreatedAt)
}

// authorizationOf is the transfer that pays a purchase from the page; the payer is not known yet.
func authorizationOf(a Attempt) x402.Authorization {
	return x402.Authorization{
		To: a.PayTo, Value: big.NewInt(int64(a.Amount)), ValidAfter: new(big.Int), ValidBefore: big.NewInt(a.ExpiresAt.Unix()), Nonce: a.Nonce,
	}
}
