package checkout

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/shop"
)

// ErrCartChanged is returned by [Service.BuyCart] for a cart that is not any more what was on the screen, or of which
// something cannot be had.
var ErrCartChanged = errors.New("checkout: cart changed meanwhile")

// CartOrder is what a visitor of a storefront says when he buys his cart.
type CartOrder struct {
	Visitor string
	Once    string     // the cart's key: the same again is the same purchase
	Total   money.USDC // what he saw, without his code
	Code    string     // an activation code; empty for none
	Wallet  string     // as [Begin.Wallet]
	Buyer   Buyer
	From    string // his network address
	// BackURL is the storefront, where he returns to.
	BackURL string
}

// cartSale is what a purchase is to the cart that it was.
type cartSale struct{ id, version int64 }

// BuyCart begins a purchase of what a visitor put into his cart at a storefront; the cart is empty then.
// Errors: [ErrCartChanged], [ErrTotal], and those of [Service.Start].
func (s *Service) BuyCart(ctx context.Context, f shop.Front, o CartOrder) (Attempt, error) {
	key := sha256.Sum256([]byte("cart\x00" + string(f.Merchant) + "\x00" + o.Visitor + "\x00" + o.Once))
	if before, err := s.startedBy(ctx, key[:]); err != nil || before.ID != "" {
		return before, err
	}
	cart, err := s.shop.Cart(ctx, f.Merchant, o.Visitor)
	if err != nil {
		return Attempt{}, err
	}
	priced, err := s.shop.PriceCart(ctx, f, cart)
	switch {
	case err != nil:
		return Attempt{}, err
	case cart.Once() != o.Once || len(cart.Lines) == 0:
		// The same form, sent twice at the same moment, may just have bought it.
		if before, err := s.startedBy(ctx, key[:]); err != nil || before.ID != "" {
			return before, err
		}
		return Attempt{}, ErrCartChanged
	case priced.Stuck():
		return Attempt{}, ErrCartChanged
	}
	row, version := cart.Version()
	return s.Start(ctx, Begin{
		Items: cart.Wants(), Merchant: f.Merchant, Livemode: f.Livemode, Channel: "storefront", Buyer: o.Buyer, ByForm: true, From: o.From,
		SuccessURL: o.BackURL, Once: key[:], Total: &o.Total, Code: o.Code, Wallet: o.Wallet, cart: &cartSale{row, version},
	})
}

// buyCartsTx makes purchases of their carts; one whose cart was changed or bought meanwhile is refused.
func buyCartsTx(ctx context.Context, tx pgx.Tx, all []*beginning, refusals []error) error {
	var p queries.CartsBuyParams
	for i, b := range all {
		if b.cart != nil && refusals[i] == nil {
			p.Ids, p.Versions = append(p.Ids, b.cart.id), append(p.Versions, b.cart.version)
		}
	}
	if len(p.Ids) == 0 {
		return nil
	}
	bought, err := queries.New().CartsBuy(ctx, tx, p)
	if err != nil {
		return fmt.Errorf("buy carts: %w", err)
	}
	for i, b := range all {
		if b.cart == nil || refusals[i] != nil {
			continue
		}
		at := slices.Index(bought, b.cart.id)
		if at < 0 {
			refusals[i] = ErrCartChanged
			continue
		}
		bought = slices.Delete(bought, at, at+1) // the same cart twice is bought once
	}
	return nil
}

// answered refuses a form that leaves out what the shop has to know. Programs are not asked.
func (b Begin) answered(o shop.Offer) error {
	if b.ByForm && o.Ships() && b.Buyer.Shipping == nil {
		return (&Address{}).check()
	}
	return nil
}
