package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// PassTerms are what a payment for an endpoint brings who pays on a page, or by a link: a pass.
type PassTerms struct {
	Endpoint id.Endpoint
	Price    money.USDC
	Pricing  PricingType
	Interval Interval
	Disabled bool
}

// Single tells whether the pass is for one call.
func (t PassTerms) Single() bool { return t.Pricing == PerRequest }

// passTermsOf reads the endpoint of a link as the database hands it out.
func passTermsOf(text []byte) (*PassTerms, error) {
	t := &PassTerms{}
	if err := json.Unmarshal(text, t); err != nil {
		return nil, fmt.Errorf("endpoint of a link: %w", err)
	}
	return t, nil
}

// passOf is the endpoint whose pass a link sells; empty for none.
func (l Link) passOf() id.Endpoint {
	if l.Pass == nil {
		return ""
	}
	return l.Pass.Endpoint
}

func (e Endpoint) passTerms() *PassTerms {
	return &PassTerms{Endpoint: e.ID, Price: e.Price, Pricing: e.Pricing, Interval: e.Interval, Disabled: e.DisabledAt != nil}
}

// fillEndpoint looks whether the endpoint of a link is the shop's own, and lets it name the link where the seller does not.
// A link is paid where its endpoint is.
func (s *Service) fillEndpoint(ctx context.Context, merchant id.Merchant, livemode bool, f *LinkForm) error {
	if f.Endpoint == "" {
		return nil
	}
	e, err := queries.New().EndpointByID(ctx, s.pool, queries.EndpointByIDParams{MerchantID: merchant, ID: f.Endpoint})
	if errors.Is(err, pgx.ErrNoRows) || err == nil && e.Livemode != livemode {
		return &FieldError{"endpoint_id", "Name an endpoint of the shop."}
	}
	if err != nil {
		return fmt.Errorf("endpoint of a link: %w", err)
	}
	if f.Network == "" {
		f.Network = e.Network
	}
	if f.Network != e.Network {
		return &FieldError{"network", "An endpoint is paid on its own network."}
	}
	if f.Title == "" {
		f.Title = e.Title
	}
	return nil
}

func (f *LinkForm) checkEndpoint() error {
	switch {
	case f.Items != nil || f.Open != nil:
		return &FieldError{"endpoint_id", "A link sells an endpoint, items or an open amount."}
	case f.Price != 0:
		return &FieldError{"price", "An endpoint has its own price."}
	case f.LeadsTo.All:
		return &FieldError{"leads_to", "Whoever calls an endpoint has to pay."}
	}
	return nil
}

// EndpointOffer offers what one payment for an endpoint buys who pays on a page: a pass.
// Errors: [ErrNotFound], [ErrNoPayee], [ErrUnproven].
func (s *Service) EndpointOffer(ctx context.Context, endpoint id.Endpoint) (Offer, error) {
	e, o, err := s.endpointOffered(ctx, endpoint)
	if err != nil {
		return Offer{}, err
	}
	o.Endpoint, o.Link.Sells, o.Link.Pass, o.Link.Description = "", SellsEndpoint, e.passTerms(), e.Description
	return o.Choose(Choice{})
}

// honoursPass tells whether a pass cost this much while an offer may still be out.
func (s *Service) honoursPass(ctx context.Context, o Offer, amount money.USDC) (Offer, bool, error) {
	ok, err := s.costEndpoint(ctx, o.Link.Pass.Endpoint, amount)
	if ok {
		o.Link.Price = amount
		o, err = o.Choose(o.Choice)
	}
	return o, ok, err
}
