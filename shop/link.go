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
	// ErrLinkPaused is returned by [Link.Open] while its seller has paused a link.
	ErrLinkPaused = errors.New("shop: link paused")
	// ErrLinkEarly is returned by [Link.Open] before a link's time has come.
	ErrLinkEarly = errors.New("shop: link not open yet")
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
	Sells         Sells
	Price         money.USDC   // of items: their sum now; of an endpoint: its own; of an open amount: the least
	Presets       []money.USDC // of an open amount: what is proposed
	Goods         []Good       // of items: what they are now
	Pass          *PassTerms   // of an endpoint: what it is now
	Network       evm.Network
	StartsAt      *time.Time
	ExpiresAt     *time.Time
	ExpiredAt     *time.Time
	PausedAt      *time.Time
	PauseText     string // what buyers read while it is paused; empty for words of ours
	MaxPayments   int    // 0: no limit
	PaymentsTaken int    // counted only while there is a limit
	SuccessURL    string
	After         After
	Gift          *Good // of After.KeyItem: what it is now
	LeadsTo       LeadsTo
	Asks          Asks
	Reference     string
	Metadata      json.RawMessage
	CreatedAt     time.Time
}

// Sells is what a link stands for.
type Sells string

// What a link may stand for.
const (
	SellsAmount Sells = "amount" // a title and a price of its own
	SellsItems  Sells = "items"  // items, at their prices
	SellsOpen   Sells = "open"   // what the buyer gives: tips, donations
	// SellsEndpoint is a pass for an endpoint, at its price.
	SellsEndpoint Sells = "endpoint"
)

// Timely tells whether a link's seller wants it to be paid now: nil, [ErrLinkExpired], [ErrLinkPaused], [ErrLinkEarly] or
// [ErrEndpointDisabled].
func (l Link) Timely(now time.Time) error {
	switch {
	case l.ExpiredAt != nil || l.ExpiresAt != nil && !now.Before(*l.ExpiresAt):
		return ErrLinkExpired
	case l.PausedAt != nil:
		return ErrLinkPaused
	case l.StartsAt != nil && now.Before(*l.StartsAt):
		return ErrLinkEarly
	case l.Pass != nil && l.Pass.Disabled:
		return ErrEndpointDisabled
	}
	return nil
}

// Open tells whether a purchase may be begun now: nil, [ErrSoldOut], or what [Link.Timely] says.
func (l Link) Open(now time.Time) error {
	if err := l.Timely(now); err != nil {
		return err
	}
	if l.MaxPayments > 0 && l.PaymentsTaken >= l.MaxPayments || l.Gift.gone() {
		return ErrSoldOut
	}
	for _, g := range l.Goods {
		if g.gone() {
			return ErrSoldOut
		}
	}
	return nil
}

// Archived tells whether something that it sells is off the shelf.
func (l Link) Archived() bool {
	return l.Gift != nil && l.Gift.Archived || slices.ContainsFunc(l.Goods, func(g Good) bool { return g.Archived })
}

// LinkForm is what a seller writes about a link.
type LinkForm struct {
	Title       string
	Description string
	Price       money.USDC // 0 where the link sells items, an endpoint or an open amount
	Items       []Want     // what it sells at their prices; nil for something that is no item
	Open        *OpenAmount
	Endpoint    id.Endpoint // whose pass it sells; empty for none
	Network     string      // CAIP-2; empty is the shop's only network
	StartsAt    *time.Time
	ExpiresAt   *time.Time
	Paused      bool
	PauseText   string // of a paused one
	MaxPayments int
	SuccessURL  string
	After       After
	LeadsTo     LeadsTo
	Asks        Asks
	Reference   string
	Metadata    json.RawMessage
	// Once is an idempotency key, hashed with its scope: it makes one link, for ever. Nil for none.
	Once []byte
}

// OpenAmount lets the buyer decide how much he gives.
type OpenAmount struct {
	Min     money.USDC   // 0 is a cent
	Presets []money.USDC // what is proposed, the first before the others
}

const (
	cent       = money.One / 100
	maxPresets = 6
)

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
	case !OneLine(f.Title, maxTitle):
		return &FieldError{"title", "Use letters, figures and signs on one line."}
	case !Lines(f.Description, maxDescription):
		return &FieldError{"description", fmt.Sprintf("Use at most %d printable characters.", maxDescription)}
	case f.MaxPayments < 0 || f.MaxPayments > 1_000_000_000:
		return &FieldError{"max_payments", "Give a whole number of payments, or leave it empty."}
	case f.ExpiresAt != nil && !f.ExpiresAt.After(now):
		return &FieldError{"expires_at", "Choose a time that is still to come."}
	case f.StartsAt != nil && f.ExpiresAt != nil && !f.StartsAt.Before(*f.ExpiresAt):
		return &FieldError{"starts_at", "Choose a time before the end."}
	}
	if err := f.checkOffer(); err != nil {
		return err
	}
	if err := f.checkAfter(); err != nil {
		return err
	}
	if err := f.checkPause(); err != nil {
		return err
	}
	if err := errors.Join(CheckReference(f.Reference), CheckReturnURL("success_url", f.SuccessURL)); err != nil {
		return err
	}
	var err error
	f.Metadata, err = CheckMetadata(f.Metadata)
	return err
}

// checkOffer checks what a link sells: an amount, items, or what the buyer gives.
func (f *LinkForm) checkOffer() error {
	switch {
	case f.Endpoint != "":
		return f.checkEndpoint()
	case f.Items != nil && f.Open != nil:
		return &FieldError{"open_amount", "A link sells items or an open amount."}
	case f.Items != nil:
		return f.checkItems()
	case f.Open != nil:
		return f.Open.check(f.Price)
	case f.Price < 0, f.Price == 0 && !f.LeadsTo.All:
		return &FieldError{"price", "The price must be more than zero."}
	case f.Price > maxPrice:
		return &FieldError{"price", fmt.Sprintf("The price can be at most %s USDC.", maxPrice.Grouped())}
	}
	return nil
}

func (f *LinkForm) checkItems() error {
	if f.Price != 0 {
		return &FieldError{"price", "Items have their own prices."}
	}
	if len(f.Items) == 0 || len(f.Items) > maxLines {
		return &FieldError{"items", fmt.Sprintf("Name 1 to %d items.", maxLines)}
	}
	for _, w := range f.Items {
		if w.Qty < 1 || w.Qty > maxQty {
			return &FieldError{"items", fmt.Sprintf("qty is a whole number from 1 to %d.", maxQty)}
		}
	}
	return nil
}

func (o *OpenAmount) check(price money.USDC) error {
	if o.Min == 0 {
		o.Min = cent
	}
	switch {
	case price != 0:
		return &FieldError{"price", "The buyer decides on the price."}
	case o.Min < 0 || o.Min > maxPrice:
		return &FieldError{"open_amount.min", fmt.Sprintf("The least amount is above zero, and at most %s USDC.", maxPrice.Grouped())}
	case len(o.Presets) > maxPresets:
		return &FieldError{"open_amount.presets", fmt.Sprintf("Propose at most %d amounts.", maxPresets)}
	}
	for _, p := range o.Presets {
		if p < o.Min || p > maxPrice {
			return &FieldError{"open_amount.presets", "What is proposed is not less than the least amount."}
		}
	}
	return nil
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
	if err := s.fillTitle(ctx, merchant, livemode, &f); err != nil {
		return Link{}, err
	}
	if err := s.fillEndpoint(ctx, merchant, livemode, &f); err != nil {
		return Link{}, err
	}
	if err := f.check(now); err != nil {
		return Link{}, err
	}
	if err := s.ownGifts(ctx, s.pool, merchant, f.After); err != nil {
		return Link{}, err
	}
	payee, err := s.payee(ctx, merchant, livemode, f.Network)
	if err != nil {
		return Link{}, err
	}
	f.Network = payee.Network
	sells, price, presets := f.offered()
	fresh := id.New[id.Link](now)
	var link id.Link
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if link, err = queries.New().LinkInsert(ctx, tx, queries.LinkInsertParams{
			ID: fresh, MerchantID: merchant, Token: id.NewToken(), Livemode: livemode, Title: f.Title, Description: f.Description,
			Sells: string(sells), Price: price, Presets: presets, Network: f.Network, StartsAt: f.StartsAt, ExpiresAt: f.ExpiresAt, PausedAt: f.pausedAt(nil, now),
			MaxPayments: limit(f.MaxPayments), SuccessUrl: f.SuccessURL, Message: f.After.Message, FileID: optional(f.After.File),
			KeyItemID: optional(f.After.KeyItem), LeadsTo: f.LeadsTo.URL, LeadsAll: f.LeadsTo.All, Asks: f.Asks.Words(), PauseText: f.PauseText,
			EndpointID: optional(f.Endpoint), Reference: f.Reference, Metadata: f.Metadata, Once: f.Once, CreatedAt: now,
		}); err != nil || link != fresh { // its key has made one before
			return err
		}
		if f.Items != nil {
			if err := setLinesTx(ctx, tx, link, f.Items); err != nil {
				return err
			}
		}
		return s.recordLinkTx(ctx, tx, merchant, by, "link.created", link, nil, f.seen(livemode))
	})
	if err != nil {
		return Link{}, fmt.Errorf("create link for %s: %w", merchant, err)
	}
	return s.Link(ctx, merchant, link)
}

// fillTitle names a link by its items where the seller does not, and looks whether they are his and on the shelf.
func (s *Service) fillTitle(ctx context.Context, merchant id.Merchant, livemode bool, f *LinkForm) error {
	if f.Items == nil {
		return nil
	}
	if err := f.checkItems(); err != nil {
		return err
	}
	ids := make([]string, len(f.Items))
	for i, w := range f.Items {
		ids[i] = string(w.Item)
	}
	rows, err := queries.New().ItemsOffered(ctx, s.pool, queries.ItemsOfferedParams{Ids: ids, Livemode: livemode})
	if err != nil {
		return fmt.Errorf("items of a link: %w", err)
	}
	goods := make([]Good, len(f.Items))
	for i, w := range f.Items {
		n := slices.IndexFunc(rows, func(r queries.ItemsOfferedRow) bool { return r.Item.ID == w.Item })
		if n < 0 || rows[n].Item.MerchantID != merchant || rows[n].Item.ArchivedAt != nil {
			return &FieldError{"items", "Name items of the shop that are on the shelf."}
		}
		goods[i] = goodOf(rows[n], w)
	}
	if strings.TrimSpace(f.Title) == "" {
		f.Title = cut(titleOf(goods), maxTitle)
	}
	return nil
}

// offered is what a form's link stands for, as its row has it.
func (f *LinkForm) offered() (Sells, money.USDC, []int64) {
	presets := []int64{}
	switch {
	case f.Endpoint != "":
		return SellsEndpoint, 0, presets
	case f.Items != nil:
		return SellsItems, 0, presets
	case f.Open != nil:
		for _, p := range f.Open.Presets {
			presets = append(presets, int64(p))
		}
		return SellsOpen, f.Open.Min, presets
	default:
		return SellsAmount, f.Price, presets
	}
}

func setLinesTx(ctx context.Context, tx pgx.Tx, link id.Link, items []Want) error {
	p := queries.LinkLinesSetParams{LinkID: link}
	for i, w := range items {
		p.Lines, p.Items, p.Quantities = append(p.Lines, int16(i)), append(p.Items, string(w.Item)), append(p.Quantities, int32(w.Qty))
	}
	return queries.New().LinkLinesSet(ctx, tx, p)
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
	return s.link(row.Link, row.Goods, row.Gift)
}

// LinkTotals is what a link brought in; simulated payments are not in it.
type LinkTotals struct {
	Payments   int64
	Received   money.USDC
	LastPaidAt time.Time // zero: never
	Clicks     Clicks    // of one that leads somewhere
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
	clicks, err := s.clicksOf(ctx, rows)
	if err != nil {
		return nil, err
	}
	out := make([]ListedLink, len(rows))
	for i, r := range rows {
		if out[i].Link, err = s.link(r.Link, r.Goods, r.Gift); err != nil {
			return nil, err
		}
		out[i].LinkTotals = LinkTotals{Payments: r.Payments, Received: money.USDC(r.Received), LastPaidAt: lastPaid(r.LastPaidAt), Clicks: clicks[r.Link.ID]}
	}
	return out, nil
}

// Totals tells what one link brought in.
func (s *Service) Totals(ctx context.Context, link id.Link) (LinkTotals, error) {
	r, err := queries.New().LinkTotals(ctx, s.pool, link)
	if err != nil {
		return LinkTotals{}, fmt.Errorf("totals of %s: %w", link, err)
	}
	clicks, err := s.clicks(ctx, link)
	return LinkTotals{Payments: r.Payments, Received: money.USDC(r.Received), LastPaidAt: lastPaid(r.LastPaidAt), Clicks: clicks[link]}, err
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

// link reads a row, with its items or its endpoint where it sells any, and that of which its buyers get a key besides.
func (s *Service) link(r queries.Link, goods, gift []byte) (Link, error) {
	n, err := s.networks.Network(r.Network)
	if err != nil {
		return Link{}, fmt.Errorf("link %s: %w", r.ID, err)
	}
	l := Link{
		ID: r.ID, Merchant: r.MerchantID, Token: r.Token, Livemode: r.Livemode, Title: r.Title, Description: r.Description,
		Sells: Sells(r.Sells), Price: r.Price, Network: n, StartsAt: r.StartsAt, ExpiresAt: r.ExpiresAt, ExpiredAt: r.ExpiredAt, PausedAt: r.PausedAt, PauseText: r.PauseText, Asks: asksOf(r.Asks),
		PaymentsTaken: int(r.PaymentsTaken), SuccessURL: r.SuccessUrl, After: afterOf(r), LeadsTo: LeadsTo{URL: r.LeadsTo, All: r.LeadsAll}, Reference: r.Reference, Metadata: r.Metadata, CreatedAt: r.CreatedAt,
	}
	if r.MaxPayments != nil {
		l.MaxPayments = int(*r.MaxPayments)
	}
	for _, p := range r.Presets {
		l.Presets = append(l.Presets, money.USDC(p))
	}
	if l.Sells == SellsEndpoint {
		if l.Pass, err = passTermsOf(goods); err != nil {
			return Link{}, fmt.Errorf("link %s: %w", r.ID, err)
		}
		l.Price, goods = l.Pass.Price, nil
	}
	if l.Goods, err = goodsOf(goods); err != nil {
		return Link{}, fmt.Errorf("link %s: %w", r.ID, err)
	}
	for _, g := range l.Goods {
		l.Price += g.Price * money.USDC(g.Qty)
	}
	gifts, err := goodsOf(gift)
	if err != nil {
		return Link{}, fmt.Errorf("gift of link %s: %w", r.ID, err)
	}
	if len(gifts) > 0 {
		l.Gift = &gifts[0]
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
