// Package shop is what a merchant sets up to sell: payment links, and the address that is paid.
package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"xsynesis/audit"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/webhook"
)

var (
	// ErrNotFound is returned for rows that do not exist or belong to another merchant.
	ErrNotFound = errors.New("shop: not found")
	// ErrLinkExpired is returned by [Link.Open] when a link's time is over or its seller ended it.
	ErrLinkExpired = errors.New("shop: link expired")
	// ErrSoldOut is returned when every payment that a link allows is taken.
	ErrSoldOut = errors.New("shop: sold out")
	// ErrNoPayee is returned when a shop has no address to be paid at on a network.
	ErrNoPayee = errors.New("shop: no receiving address")
	// ErrUnproven is returned when a live network would pay an address that nobody proved.
	ErrUnproven = errors.New("shop: receiving address not proven")
)

// FieldError says which field of a form is wrong, in a sentence for the person who filled it in.
type FieldError struct {
	Field   string
	Message string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Message }

// Link is a payment link: one thing on sale, to many buyers.
type Link struct {
	ID            id.Link
	Merchant      id.Merchant
	Token         string
	Livemode      bool
	Title         string
	Description   string
	Price         money.USDC
	Network       evm.Network
	ExpiresAt     *time.Time
	ExpiredAt     *time.Time
	MaxPayments   int // 0: no limit
	PaymentsTaken int // counted only while there is a limit
	SuccessURL    string
	Reference     string
	Metadata      json.RawMessage
	CreatedAt     time.Time
}

// Open tells whether a purchase may be begun now: nil, [ErrLinkExpired] or [ErrSoldOut].
func (l Link) Open(now time.Time) error {
	if l.ExpiredAt != nil || l.ExpiresAt != nil && !now.Before(*l.ExpiresAt) {
		return ErrLinkExpired
	}
	if l.MaxPayments > 0 && l.PaymentsTaken >= l.MaxPayments {
		return ErrSoldOut
	}
	return nil
}

// OfferTime is how long a 402 may be paid at the price that it named (maxTimeoutSeconds).
const OfferTime = 300 * time.Second

// Honours tells whether the link cost this much while an offer may still be out.
func (s *Service) Honours(ctx context.Context, link Link, price money.USDC) (bool, error) {
	if link.Price == price {
		return true, nil
	}
	ok, err := queries.New().LinkPriceHonoured(ctx, s.pool, queries.LinkPriceHonouredParams{LinkID: link.ID, Price: price, Now: s.now()})
	if err != nil {
		return false, fmt.Errorf("former prices of %s: %w", link.ID, err)
	}
	return ok, nil
}

// Offer is what a buyer needs to know of a link: what, from whom, and who is paid.
type Offer struct {
	Link     Link
	Merchant id.Merchant
	Shop     string // the merchant's name
	Domain   string
	PayTo    string // lower-case hex
}

// LinkForm is what a seller writes about a link.
type LinkForm struct {
	Title       string
	Description string
	Price       money.USDC
	Network     string // CAIP-2; empty is the shop's only network
	ExpiresAt   *time.Time
	MaxPayments int
	SuccessURL  string
	Reference   string
	Metadata    json.RawMessage
	// Once is an idempotency key, hashed with its scope: it makes one link, for ever. Nil for none.
	Once []byte
}

const (
	maxTitle       = 120
	maxDescription = 2000
	maxReference   = 200
	maxMetadata    = 4096
	// maxPrice keeps sums of many sales far below 63 bits.
	maxPrice = 10_000_000 * money.One
)

func (f *LinkForm) check(now time.Time) error {
	f.Title, f.Description, f.Reference = strings.TrimSpace(f.Title), strings.TrimSpace(f.Description), strings.TrimSpace(f.Reference)
	switch {
	case f.Title == "":
		return &FieldError{"title", "Say what you are selling."}
	case utf8.RuneCountInString(f.Title) > maxTitle:
		return &FieldError{"title", fmt.Sprintf("Use at most %d characters.", maxTitle)}
	case !printable(f.Title, ""):
		return &FieldError{"title", "Use letters, figures and signs on one line."}
	case utf8.RuneCountInString(f.Description) > maxDescription || !printable(f.Description, "\n\r\t"):
		return &FieldError{"description", fmt.Sprintf("Use at most %d printable characters.", maxDescription)}
	case f.Price <= 0:
		return &FieldError{"price", "The price must be more than zero."}
	case f.Price > maxPrice:
		return &FieldError{"price", fmt.Sprintf("The price can be at most %s USDC.", maxPrice.Grouped())}
	case f.MaxPayments < 0 || f.MaxPayments > 1_000_000_000:
		return &FieldError{"max_payments", "Give a whole number of payments, or leave it empty."}
	case f.ExpiresAt != nil && !f.ExpiresAt.After(now):
		return &FieldError{"expires_at", "Choose a time that is still to come."}
	}
	if err := errors.Join(CheckReference(f.Reference), CheckReturnURL("success_url", f.SuccessURL)); err != nil {
		return err
	}
	var err error
	f.Metadata, err = CheckMetadata(f.Metadata)
	return err
}

// Service is the counter at which sellers set up what they sell.
type Service struct {
	pool     *pgxpool.Pool
	networks *evm.Registry
	hooks    *webhook.Service
	now      func() time.Time
}

// New returns a service on this database.
func New(pool *pgxpool.Pool, networks *evm.Registry, hooks *webhook.Service, now func() time.Time) *Service {
	return &Service{pool: pool, networks: networks, hooks: hooks, now: now}
}

// CreateLink puts something on sale. Errors: [*FieldError], [ErrNoPayee], [ErrUnproven].
func (s *Service) CreateLink(ctx context.Context, merchant id.Merchant, livemode bool, f LinkForm, by audit.By) (Link, error) {
	now := s.now()
	if err := f.check(now); err != nil {
		return Link{}, err
	}
	payee, err := s.payee(ctx, merchant, livemode, f.Network)
	if err != nil {
		return Link{}, err
	}
	f.Network = payee.Network
	fresh := id.New[id.Link](now)
	var link id.Link
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if link, err = queries.New().LinkInsert(ctx, tx, queries.LinkInsertParams{
			ID: fresh, MerchantID: merchant, Token: id.NewToken(), Livemode: livemode, Title: f.Title, Description: f.Description,
			Price: f.Price, Network: f.Network, ExpiresAt: f.ExpiresAt, MaxPayments: limit(f.MaxPayments), SuccessUrl: f.SuccessURL,
			Reference: f.Reference, Metadata: f.Metadata, Once: f.Once, CreatedAt: now,
		}); err != nil || link != fresh { // its key has made one before
			return err
		}
		return s.recordLinkTx(ctx, tx, merchant, by, "link.created", link, nil, f.seen(livemode))
	})
	if err != nil {
		return Link{}, fmt.Errorf("create link for %s: %w", merchant, err)
	}
	return s.Link(ctx, merchant, link)
}

// payee finds where the shop is paid on this network, or on its only one.
func (s *Service) payee(ctx context.Context, merchant id.Merchant, livemode bool, network string) (queries.Payee, error) {
	payees, err := queries.New().PayeeList(ctx, s.pool, merchant)
	if err != nil {
		return queries.Payee{}, fmt.Errorf("payees of %s: %w", merchant, err)
	}
	for _, r := range payees {
		n, err := s.networks.Network(r.Payee.Network)
		if err != nil || n.Test == livemode || network != "" && network != r.Payee.Network {
			continue
		}
		p, _ := countsNow(r, n, s.now())
		if livemode && p.ProvenAt == nil {
			return queries.Payee{}, ErrUnproven
		}
		return p, nil
	}
	if network != "" {
		if n, err := s.networks.Network(network); err != nil || n.Test == livemode {
			return queries.Payee{}, &FieldError{"network", "This network is not one that you can be paid on here."}
		}
	}
	return queries.Payee{}, ErrNoPayee
}

// Link returns a merchant's own link, or [ErrNotFound].
func (s *Service) Link(ctx context.Context, merchant id.Merchant, link id.Link) (Link, error) {
	row, err := queries.New().LinkByID(ctx, s.pool, queries.LinkByIDParams{MerchantID: merchant, ID: link})
	if err != nil {
		return Link{}, fmt.Errorf("link %s: %w", link, notFound(err))
	}
	return s.link(row)
}

// Offer returns what a link's token stands for, whether or not it is still open, or [ErrNotFound].
func (s *Service) Offer(ctx context.Context, token string) (Offer, error) {
	if _, err := id.ParseToken(token); err != nil {
		return Offer{}, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	row, err := queries.New().LinkByToken(ctx, s.pool, queries.LinkByTokenParams{Token: token, Now: s.now()})
	if err != nil {
		return Offer{}, fmt.Errorf("link by token: %w", notFound(err))
	}
	link, err := s.link(row.Link)
	if err != nil {
		return Offer{}, err
	}
	if row.DuePayTo != nil { // its time has come
		row.PayTo, row.ProvenAt = row.DuePayTo, row.DueProvenAt
	}
	if row.PayTo == nil {
		return Offer{}, fmt.Errorf("link %s: %w", link.ID, ErrNoPayee)
	}
	if link.Livemode && row.ProvenAt == nil {
		return Offer{}, fmt.Errorf("link %s: %w", link.ID, ErrUnproven)
	}
	return Offer{Link: link, Merchant: link.Merchant, Shop: row.Merchant.Name, Domain: row.Merchant.Domain, PayTo: *row.PayTo}, nil
}

// LinkTotals is what a link brought in; simulated payments are not in it.
type LinkTotals struct {
	Payments   int64
	Received   money.USDC
	LastPaidAt time.Time // zero: never
}

// ListedLink is a link in a list, with its totals.
type ListedLink struct {
	Link
	LinkTotals
}

// Page asks for rows older than Before, or newer than After, or the newest; ids are the cursors.
type Page struct {
	Before, After string
	Limit         int
}

// Links lists a shop's links, newest first, with one more than Limit where there are more.
func (s *Service) Links(ctx context.Context, merchant id.Merchant, livemode bool, p Page) ([]ListedLink, error) {
	q := queries.New()
	var rows []queries.LinkListRow
	var err error
	if p.After != "" {
		var up []queries.LinkListAfterRow
		up, err = q.LinkListAfter(ctx, s.pool, queries.LinkListAfterParams{MerchantID: merchant, Livemode: livemode, After: p.After, Most: int32(p.Limit + 1)})
		for _, r := range slices.Backward(up) {
			rows = append(rows, queries.LinkListRow(r))
		}
	} else {
		rows, err = q.LinkList(ctx, s.pool, queries.LinkListParams{MerchantID: merchant, Livemode: livemode, Before: cursor(p.Before), Most: int32(p.Limit + 1)})
	}
	if err != nil {
		return nil, fmt.Errorf("links of %s: %w", merchant, err)
	}
	out := make([]ListedLink, len(rows))
	for i, r := range rows {
		if out[i].Link, err = s.link(r.Link); err != nil {
			return nil, err
		}
		out[i].LinkTotals = LinkTotals{Payments: r.Payments, Received: money.USDC(r.Received), LastPaidAt: lastPaid(r.LastPaidAt)}
	}
	return out, nil
}

// Totals tells what one link brought in.
func (s *Service) Totals(ctx context.Context, link id.Link) (LinkTotals, error) {
	r, err := queries.New().LinkTotals(ctx, s.pool, link)
	if err != nil {
		return LinkTotals{}, fmt.Errorf("totals of %s: %w", link, err)
	}
	return LinkTotals{Payments: r.Payments, Received: money.USDC(r.Received), LastPaidAt: lastPaid(r.LastPaidAt)}, nil
}

// lastPaid reads the epoch, which stands for never, as no time.
func lastPaid(t time.Time) time.Time {
	if t.Unix() == 0 {
		return time.Time{}
	}
	return t.UTC()
}

// cursor is larger than every id when none is given.
func cursor(before string) string {
	if before == "" {
		return "~"
	}
	return before
}

func (s *Service) link(r queries.Link) (Link, error) {
	n, err := s.networks.Network(r.Network)
	if err != nil {
		return Link{}, fmt.Errorf("link %s: %w", r.ID, err)
	}
	l := Link{
		ID: r.ID, Merchant: r.MerchantID, Token: r.Token, Livemode: r.Livemode, Title: r.Title, Description: r.Description,
		Price: r.Price, Network: n, ExpiresAt: r.ExpiresAt, ExpiredAt: r.ExpiredAt, PaymentsTaken: int(r.PaymentsTaken),
		SuccessURL: r.SuccessUrl, Reference: r.Reference, Metadata: r.Metadata, CreatedAt: r.CreatedAt,
	}
	if r.MaxPayments != nil {
		l.MaxPayments = int(*r.MaxPayments)
	}
	return l, nil
}

func limit(n int) *int32 {
	if n == 0 {
		return nil
	}
	v := int32(n)
	return &v
}

func notFound(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	return err
}
