package shop

import (
	"context"
	"fmt"

	"xsynesis/id"
	"xsynesis/queries"
)

// Front is a shop as its buyers see it: its storefront.
type Front struct {
	Merchant id.Merchant
	Slug     string
	Name     string
	Domain   string // its own site; empty for none
	Livemode bool   // it takes real money
}

// Front returns the shop that has this name in addresses, or [ErrNotFound].
func (s *Service) Front(ctx context.Context, slug string) (Front, error) {
	if !slugForm.MatchString(slug) {
		return Front{}, fmt.Errorf("shop of that name: %w", ErrNotFound)
	}
	m, err := queries.New().MerchantBySlug(ctx, s.pool, slug)
	if err != nil {
		return Front{}, fmt.Errorf("shop %q: %w", slug, notFound(err))
	}
	return Front{Merchant: m.ID, Slug: m.Slug, Name: m.Name, Domain: m.Domain, Livemode: m.WentLiveAt != nil}, nil
}

// OnSale returns an item that is on a shop's shelf, or [ErrNotFound].
func (s *Service) OnSale(ctx context.Context, f Front, item id.Item) (Item, error) {
	i, err := s.Item(ctx, f.Merchant, f.Livemode, item)
	if err == nil && i.ArchivedAt != nil {
		err = fmt.Errorf("item %s: %w", item, ErrNotFound)
	}
	return i, err
}

// FullTitle is what an item is called where its other editions do not stand beside it.
func (i Item) FullTitle() string { return withEdition(i.Title, i.Edition) }

// lowWithout is how few are little of an item whose seller did not say.
const lowWithout = 3

// Low tells whether so few are left that buyers are told.
func (i Item) Low() bool {
	low := lowWithout
	if i.LowStock != nil {
		low = *i.LowStock
	}
	return i.Stock.Limited && i.Stock.Free() <= low
}

// good is an item as somebody wants it.
func (i Item) good(w Want) Good {
	return Good{
		Item: i.ID, Title: i.FullTitle(), Kind: i.Kind, Pricing: i.Pricing, Price: i.Price, Image: i.Image, File: i.File, Archived: i.ArchivedAt != nil,
		Limited: i.Stock.Limited, Free: i.Stock.Free(), Qty: w.Qty, Amount: w.Amount,
	}
}

// CartOffer offers what a visitor of a storefront has put aside, and asks what the shop has to know of who buys it.
// Errors: as [Service.Basket].
func (s *Service) CartOffer(ctx context.Context, f Front, c Cart) (Offer, error) {
	o, err := s.Basket(ctx, f.Merchant, f.Livemode, c.Wants())
	o.Link.Asks = Asks{Email: true, Note: true}
	return o, err
}
