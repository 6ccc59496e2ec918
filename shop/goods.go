package shop

import (
	"context"
	"fmt"
	"slices"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// MaxQty is how many of one thing can be bought at once.
const MaxQty = maxQty

// MaxLines is how many lines a purchase has at most.
const MaxLines = maxLines

// MaxAmount is the most that anything costs.
const MaxAmount = maxPrice

// goodTyped is an amount that a seller typed: it is no item, and none of it is counted.
func goodTyped(w Want) Good { return Good{Title: w.Title, Pricing: Any, Qty: w.Qty, Amount: w.Amount} }

// Unit is what one costs.
func (g Good) Unit() money.USDC {
	if g.Amount > 0 && (g.Pricing == Minimum || g.Pricing == Any) {
		return g.Amount
	}
	return g.Price
}

// Goods returns what is wanted as it stands now, in the same order. What is not there any more is marked as archived.
func (s *Service) Goods(ctx context.Context, merchant id.Merchant, livemode bool, wants []Want) ([]Good, error) {
	ids := make([]string, len(wants))
	for i, w := range wants {
		ids[i] = string(w.Item)
	}
	rows, err := queries.New().ItemsOffered(ctx, s.pool, queries.ItemsOfferedParams{Ids: ids, Livemode: livemode})
	if err != nil {
		return nil, fmt.Errorf("goods of %s: %w", merchant, err)
	}
	goods := make([]Good, len(wants))
	for i, w := range wants {
		n := slices.IndexFunc(rows, func(r queries.ItemsOfferedRow) bool { return r.Item.ID == w.Item })
		switch {
		case w.Item == "":
			goods[i] = goodTyped(w)
		case n < 0 || rows[n].Item.MerchantID != merchant:
			goods[i] = Good{Item: w.Item, Title: w.Title, Archived: true, Qty: w.Qty}
		default:
			goods[i] = goodOf(rows[n], w)
		}
	}
	return goods, nil
}

// Resold is an offer of lines at the prices that they once had, by the same shop to the same address: what a purchase was
// before something was added to it. titled is what the purchase is called.
func Resold(o Offer, titled string, lines []Line) Offer {
	o.Link.Title, o.Lines, o.Amount = titled, lines, 0
	for _, l := range lines {
		o.Amount += l.UnitAmount * money.USDC(l.Qty)
	}
	return o
}
