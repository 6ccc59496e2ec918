package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/egress"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/vault"
)

// ErrEndpointDisabled is returned for an endpoint that its seller has switched off.
var ErrEndpointDisabled = errors.New("shop: endpoint disabled")

// PricingType is what one payment for an endpoint buys.
type PricingType string

// What a payment buys.
const (
	PerRequest   PricingType = "per_request"  // one call
	OneTime      PricingType = "one_time"     // all calls of its payer, for ever
	Subscription PricingType = "subscription" // those of a while
)

// Interval is how long a payment for a subscription lasts.
type Interval string

// The intervals; empty for what is no subscription.
const (
	Hour  Interval = "hour"
	Day   Interval = "day"
	Week  Interval = "week"
	Month Interval = "month"
	Year  Interval = "year"
)

// Settles says whether a call is made before or after its money is there.
type Settles string

// When the money moves.
const (
	SettlesAfter Settles = "after" // the answer is held until it is paid; what fails costs nothing
	SettlesFirst Settles = "first" // for work that is dear, and for answers that are large or never end
)

// Endpoint is a resource on a seller's own server that programs pay for.
type Endpoint struct {
	ID           id.Endpoint
	Merchant     id.Merchant
	Livemode     bool
	Network      evm.Network
	URL          string // on the seller's server
	Title        string
	Description  string
	MimeType     string
	Input        string // an example of what is asked, JSON or empty
	Output       string
	Price        money.USDC
	Pricing      PricingType
	Interval     Interval
	Settles      Settles
	SecretHeader string        // what the seller's server knows the gateway by; empty for nothing
	Timeout      time.Duration // of one call
	MaxAnswer    int64         // bytes
	Identified   bool          // every payment must carry an identifier of its program's own
	DisabledAt   *time.Time
	CreatedAt    time.Time
	UpdatedAt    time.Time

	secret []byte // sealed
}

// Open tells whether it may be called now: nil or [ErrEndpointDisabled].
func (e Endpoint) Open() error {
	if e.DisabledAt != nil {
		return ErrEndpointDisabled
	}
	return nil
}

// GivesPass tells whether who pays may call again without paying.
func (e Endpoint) GivesPass() bool { return e.Pricing != PerRequest }

// Endpoints are what programs pay sellers' servers for.
type Endpoints struct {
	shop   *Service
	egress *egress.Client
	vault  *vault.Vault
}

// NewEndpoints returns them. The client knows which servers may be called; the vault keeps what they know the gateway by.
func NewEndpoints(shop *Service, client *egress.Client, v *vault.Vault) *Endpoints {
	return &Endpoints{shop: shop, egress: client, vault: v}
}

// Create puts a resource on sale. Errors: [*FieldError], [ErrNoPayee], [ErrUnproven].
func (s *Endpoints) Create(ctx context.Context, merchant id.Merchant, livemode bool, f EndpointForm, by audit.By) (Endpoint, error) {
	if err := s.check(&f, false); err != nil {
		return Endpoint{}, err
	}
	payee, err := s.shop.payee(ctx, merchant, livemode, f.Network)
	if err != nil {
		return Endpoint{}, err
	}
	f.Network = payee.Network
	now := s.shop.now()
	fresh := id.New[id.Endpoint](now)
	var made id.Endpoint
	err = pgx.BeginFunc(ctx, s.shop.pool, func(tx pgx.Tx) (err error) {
		if made, err = queries.New().EndpointInsert(ctx, tx, f.insertion(s, fresh, merchant, livemode, now)); err != nil || made != fresh {
			return sameURL(err)
		}
		return s.recordTx(ctx, tx, merchant, by, "endpoint.created", made, nil, f.seen(livemode))
	})
	if err != nil {
		return Endpoint{}, fmt.Errorf("create endpoint for %s: %w", merchant, err)
	}
	return s.Endpoint(ctx, merchant, made)
}

// Endpoint returns a merchant's own endpoint, or [ErrNotFound].
func (s *Endpoints) Endpoint(ctx context.Context, merchant id.Merchant, endpoint id.Endpoint) (Endpoint, error) {
	row, err := queries.New().EndpointByID(ctx, s.shop.pool, queries.EndpointByIDParams{MerchantID: merchant, ID: endpoint})
	if err != nil {
		return Endpoint{}, fmt.Errorf("endpoint %s: %w", endpoint, notFound(err))
	}
	return s.endpoint(row)
}

// List lists a shop's endpoints, newest first, with one more than Limit where there are more.
func (s *Endpoints) List(ctx context.Context, merchant id.Merchant, livemode bool, p Page) ([]Endpoint, error) {
	rows, err := s.listed(ctx, merchant, livemode, p)
	if err != nil {
		return nil, fmt.Errorf("endpoints of %s: %w", merchant, err)
	}
	out := make([]Endpoint, len(rows))
	for i, row := range rows {
		if out[i], err = s.endpoint(row); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// listed reads downwards, or upwards from the row that is named by After.
func (s *Endpoints) listed(ctx context.Context, merchant id.Merchant, livemode bool, p Page) ([]queries.Endpoint, error) {
	if p.After == "" {
		return queries.New().EndpointList(ctx, s.shop.pool, queries.EndpointListParams{
			MerchantID: merchant, Livemode: livemode, Before: cursor(p.Before), Most: int32(p.Limit + 1),
		})
	}
	rows, err := queries.New().EndpointListAfter(ctx, s.shop.pool, queries.EndpointListAfterParams{
		MerchantID: merchant, Livemode: livemode, After: p.After, Most: int32(p.Limit + 1),
	})
	slices.Reverse(rows)
	return rows, err
}

// Offered returns what an endpoint offers to whoever pays, disabled or not.
// Errors: [ErrNotFound], [ErrNoPayee], [ErrUnproven].
func (s *Endpoints) Offered(ctx context.Context, endpoint id.Endpoint) (Endpoint, Offer, error) {
	return s.shop.endpointOffered(ctx, endpoint)
}

func (s *Service) endpointOffered(ctx context.Context, endpoint id.Endpoint) (Endpoint, Offer, error) {
	row, err := queries.New().EndpointOffered(ctx, s.pool, queries.EndpointOfferedParams{ID: endpoint, Now: s.now()})
	if err != nil {
		return Endpoint{}, Offer{}, fmt.Errorf("endpoint %s: %w", endpoint, notFound(err))
	}
	e, err := s.endpoint(row.Endpoint)
	if err != nil {
		return e, Offer{}, err
	}
	if row.DuePayTo != nil { // its time has come
		row.PayTo, row.ProvenAt = row.DuePayTo, row.DueProvenAt
	}
	if row.PayTo == nil {
		return e, Offer{}, fmt.Errorf("endpoint %s: %w", endpoint, ErrNoPayee)
	}
	if e.Livemode && row.ProvenAt == nil {
		return e, Offer{}, fmt.Errorf("endpoint %s: %w", endpoint, ErrUnproven)
	}
	o := e.offer(row.Merchant, *row.PayTo)
	if row.CollectAt != nil {
		o.PayTo, o.Collected = *row.CollectAt, true
	}
	return e, o, nil
}

// ByURL finds the endpoint that stands for a seller's URL, or [ErrNotFound]: one of this shop and mode, or where none is
// named of whoever was first.
func (s *Endpoints) ByURL(ctx context.Context, merchant id.Merchant, livemode bool, url string) (id.Endpoint, error) {
	endpoint, err := queries.New().EndpointByURL(ctx, s.shop.pool, queries.EndpointByURLParams{Url: url, MerchantID: string(merchant), Livemode: livemode})
	if err != nil {
		return "", fmt.Errorf("endpoint by URL: %w", notFound(err))
	}
	return endpoint, nil
}

// offer is one payment for an endpoint, as checkout sells it.
func (e Endpoint) offer(m queries.Merchant, payTo string) Offer {
	return Offer{
		Link:     Link{Merchant: e.Merchant, Livemode: e.Livemode, Network: e.Network, Sells: SellsAmount, Title: e.Title, Price: e.Price, Metadata: json.RawMessage("{}")},
		Endpoint: e.ID, Merchant: e.Merchant, Shop: m.Name, Domain: m.Domain, PayTo: payTo,
		Lines: []Line{{ItemID: string(e.ID), Title: e.Title, Qty: 1, UnitAmount: e.Price}}, Amount: e.Price,
	}
}

// honoursEndpoint tells whether an endpoint cost this much while an offer may still be out.
func (s *Service) honoursEndpoint(ctx context.Context, o Offer, amount money.USDC) (Offer, bool, error) {
	ok, err := s.costEndpoint(ctx, o.Endpoint, amount)
	if ok {
		l := o.Lines[0]
		l.UnitAmount = amount
		o.Link.Price, o.Amount, o.Lines = amount, amount, []Line{l}
	}
	return o, ok, err
}

func (s *Service) costEndpoint(ctx context.Context, endpoint id.Endpoint, amount money.USDC) (bool, error) {
	ok, err := queries.New().EndpointPriceHonoured(ctx, s.pool, queries.EndpointPriceHonouredParams{EndpointID: endpoint, Price: amount, Now: s.now()})
	if err != nil {
		return false, fmt.Errorf("former prices of %s: %w", endpoint, err)
	}
	return ok, nil
}

// Secret opens what the seller's server knows the gateway by; empty for nothing.
func (s *Endpoints) Secret(e Endpoint) (string, error) {
	if e.secret == nil {
		return "", nil
	}
	secret, err := s.vault.Open(endpointSealedAs(e.ID), e.secret)
	if err != nil {
		return "", fmt.Errorf("secret of %s: %w", e.ID, err)
	}
	return string(secret), nil
}

// endpointSealedAs names a secret to the vault: sealed bytes of one row open in no other.
func endpointSealedAs(e id.Endpoint) string { return "endpoints/" + string(e) + "/secret" }

// Reseal seals anew, with the newest master key, what older ones have sealed, and returns how many rows it changed. What
// does not open is in the error, and does not keep the others.
func (s *Endpoints) Reseal(ctx context.Context) (changed int, err error) {
	q := queries.New()
	rows, err := q.EndpointSecrets(ctx, s.shop.pool)
	if err != nil {
		return 0, fmt.Errorf("secrets of endpoints: %w", err)
	}
	var failed []error
	for _, row := range rows {
		if !s.vault.Stale(row.Secret) {
			continue
		}
		secret, err := s.vault.Open(endpointSealedAs(row.ID), row.Secret)
		if err != nil {
			failed = append(failed, fmt.Errorf("secret of %s: %w", row.ID, err))
			continue
		}
		n, err := q.EndpointReseal(ctx, s.shop.pool, queries.EndpointResealParams{
			ID: row.ID, Secret: s.vault.Seal(endpointSealedAs(row.ID), secret), Was: row.Secret,
		})
		if err != nil {
			return changed, fmt.Errorf("seal %s: %w", row.ID, err)
		}
		changed += int(n)
	}
	return changed, errors.Join(failed...)
}

func (s *Endpoints) endpoint(r queries.Endpoint) (Endpoint, error) { return s.shop.endpoint(r) }

func (s *Service) endpoint(r queries.Endpoint) (Endpoint, error) {
	n, err := s.networks.Network(r.Network)
	if err != nil {
		return Endpoint{}, fmt.Errorf("endpoint %s: %w", r.ID, err)
	}
	return Endpoint{
		ID: r.ID, Merchant: r.MerchantID, Livemode: r.Livemode, Network: n, URL: r.Url, Title: r.Title, Description: r.Description, MimeType: r.MimeType,
		Input: r.ExampleInput, Output: r.ExampleOutput, Price: r.Price, Pricing: PricingType(r.PricingType), Interval: Interval(r.BillingInterval),
		Settles: Settles(r.Settle), SecretHeader: r.SecretHeader, Timeout: time.Duration(r.TimeoutSeconds) * time.Second, MaxAnswer: r.MaxAnswer,
		Identified: r.Identified, DisabledAt: r.DisabledAt, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, secret: r.Secret,
	}, nil
}
