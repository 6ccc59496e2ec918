package shop

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
)

// Update changes what future calls cost and where they go; calls under way keep their quote, and the price that a 402 has
// named is honoured while it may still be paid. The form that is changed is the endpoint as it is, without its secret.
// Errors: [*FieldError], [ErrNotFound], and that of change.
func (s *Endpoints) Update(ctx context.Context, merchant id.Merchant, livemode bool, endpoint id.Endpoint, change func(*EndpointForm) error, by audit.By) (Endpoint, error) {
	err := pgx.BeginFunc(ctx, s.shop.pool, func(tx pgx.Tx) error {
		row, err := queries.New().EndpointForUpdate(ctx, tx, queries.EndpointForUpdateParams{MerchantID: merchant, ID: endpoint})
		if err != nil {
			return notFound(err)
		}
		if row.Livemode != livemode {
			return ErrNotFound
		}
		was, err := s.endpoint(row)
		if err != nil {
			return err
		}
		f := was.form()
		before := f.seen(livemode)
		if err := change(&f); err != nil {
			return err
		}
		if err := s.check(&f, was.secret != nil && sameServer(was.URL, f.URL)); err != nil {
			return err
		}
		if err := s.updateTx(ctx, tx, was, f); err != nil {
			return err
		}
		return s.recordTx(ctx, tx, merchant, by, "endpoint.changed", endpoint, before, f.seen(livemode))
	})
	if err != nil {
		return Endpoint{}, fmt.Errorf("update endpoint %s: %w", endpoint, err)
	}
	return s.Endpoint(ctx, merchant, endpoint)
}

// sameServer tells whether a secret that nobody can read again may go on to another URL: only to who knows it.
func sameServer(was, now string) bool {
	a, err := url.Parse(was)
	b, err2 := url.Parse(strings.TrimSpace(now))
	return err == nil && err2 == nil && strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Host, b.Host)
}

func (s *Endpoints) updateTx(ctx context.Context, tx pgx.Tx, was Endpoint, f EndpointForm) error {
	q, now := queries.New(), s.shop.now()
	switch {
	case was.Pricing != f.Pricing || was.Interval != f.Interval: // nobody gets a pass for what one call cost
		if err := q.EndpointPricesForget(ctx, tx, was.ID); err != nil {
			return err
		}
	case was.Price != f.Price:
		if err := q.EndpointPriceInsert(ctx, tx, queries.EndpointPriceInsertParams{EndpointID: was.ID, Price: was.Price, Until: now.Add(OfferTime)}); err != nil {
			return err
		}
	}
	secret := was.secret
	switch {
	case f.SecretHeader == "":
		secret = nil
	case f.Secret != "":
		secret = s.vault.Seal(endpointSealedAs(was.ID), []byte(f.Secret))
	}
	disabled := was.DisabledAt
	if f.Disabled != (disabled != nil) {
		disabled = nil
		if f.Disabled {
			disabled = &now
		}
	}
	err := q.EndpointUpdate(ctx, tx, queries.EndpointUpdateParams{
		MerchantID: was.Merchant, ID: was.ID, Url: f.URL, Title: f.Title, Description: f.Description, MimeType: f.MimeType, ExampleInput: f.Input,
		ExampleOutput: f.Output, Price: f.Price, PricingType: string(f.Pricing), BillingInterval: string(f.Interval), Settle: string(f.Settles),
		SecretHeader: f.SecretHeader, Secret: secret, TimeoutSeconds: int32(f.Timeout / time.Second), MaxAnswer: f.MaxAnswer, Identified: f.Identified,
		DisabledAt: disabled, UpdatedAt: now,
	})
	return sameURL(err)
}

// form is an endpoint as its seller would write it anew, but for the secret, which nobody can read again.
func (e Endpoint) form() EndpointForm {
	return EndpointForm{
		URL: e.URL, Title: e.Title, Description: e.Description, MimeType: e.MimeType, Input: e.Input, Output: e.Output, Price: e.Price, Pricing: e.Pricing,
		Interval: e.Interval, Settles: e.Settles, SecretHeader: e.SecretHeader, Timeout: e.Timeout, MaxAnswer: e.MaxAnswer, Identified: e.Identified,
		Disabled: e.DisabledAt != nil, Network: e.Network.ID,
	}
}

// endpointSeen is what the log of what was done says of an endpoint; of its secret, whether another was given.
type endpointSeen struct {
	Livemode     bool        `json:"livemode"`
	URL          string      `json:"url"`
	Title        string      `json:"title"`
	Description  string      `json:"description,omitempty"`
	MimeType     string      `json:"mime_type,omitempty"`
	Price        string      `json:"price"` // USDC
	Pricing      PricingType `json:"pricing_type"`
	Interval     Interval    `json:"billing_interval,omitempty"`
	Settles      Settles     `json:"settle"`
	SecretHeader string      `json:"secret_header,omitempty"`
	NewSecret    bool        `json:"new_secret,omitempty"`
	Timeout      int         `json:"timeout_seconds"`
	MaxAnswer    int64       `json:"max_answer_bytes"`
	Identified   bool        `json:"payment_identifier,omitempty"`
	Disabled     bool        `json:"disabled,omitempty"`
}

func (f EndpointForm) seen(livemode bool) endpointSeen {
	return endpointSeen{
		Livemode: livemode, URL: f.URL, Title: f.Title, Description: f.Description, MimeType: f.MimeType, Price: f.Price.String(), Pricing: f.Pricing,
		Interval: f.Interval, Settles: f.Settles, SecretHeader: f.SecretHeader, NewSecret: f.Secret != "", Timeout: int(f.Timeout / time.Second),
		MaxAnswer: f.MaxAnswer, Identified: f.Identified, Disabled: f.Disabled,
	}
}

func (s *Endpoints) recordTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant, by audit.By, action string, endpoint id.Endpoint, before, after any) error {
	return audit.RecordTx(ctx, tx, s.shop.now(), audit.Row{
		By: by, Merchant: merchant, Action: action, ResourceType: "endpoint", ResourceID: string(endpoint), Before: before, After: after,
	})
}
