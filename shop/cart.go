package shop

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// Cart is what a visitor of a storefront has put aside to buy. It says what he wants and not what that costs: prices are
// those of the moment, until he pays.
type Cart struct {
	Lines    []CartLine `json:"lines,omitempty"`
	Numbered int        `json:"numbered,omitempty"` // lines that there ever were: each keeps its number

	id, version int64
}

// CartLine is one item of it.
type CartLine struct {
	Number int        `json:"number"`
	Item   id.Item    `json:"item"`
	Title  string     `json:"title"` // when it was put in, in case the item goes
	Qty    int        `json:"qty"`
	Amount money.USDC `json:"amount,omitempty"` // for one, where the buyer decides; 0 leaves it to what is suggested
	Price  money.USDC `json:"price"`            // what one cost when it was put in
}

const (
	// maxCartLines leaves room for a tip and a discount.
	maxCartLines = maxLines - 2
	// CartKept is how long a cart waits for its visitor.
	CartKept = 14 * 24 * time.Hour
)

// shortError is an [ErrShort] that knows how many are left.
type shortError struct{ left int }

func (e *shortError) Error() string { return fmt.Sprintf("shop: %d are left", e.left) }

func (e *shortError) Unwrap() error { return ErrShort }

// Left says how many are left of what is short: of an [ErrShort] that knows it.
func Left(err error) (left int, known bool) {
	var short *shortError
	if errors.As(err, &short) {
		return short.left, true
	}
	return 0, false
}

// NewVisitor draws what a visitor's browser keeps, and what stands for him from then on.
func NewVisitor() string { return id.NewToken() }

// visitorHash stands for a visitor: what his browser keeps is kept nowhere else. It is empty for what no browser was given.
func visitorHash(visitor string) []byte {
	if _, err := id.ParseToken(visitor); err != nil {
		return nil
	}
	sum := sha256.Sum256([]byte(visitor))
	return sum[:]
}

// Once is the cart's idempotency key: another with every change.
func (c Cart) Once() string { return fmt.Sprintf("crt_%d_%d", c.id, c.version) }

// Version names the cart as it is now to who makes a purchase of it.
func (c Cart) Version() (cart, version int64) { return c.id, c.version }

// Items counts what is in a cart.
func (c Cart) Items() int {
	n := 0
	for _, l := range c.Lines {
		n += l.Qty
	}
	return n
}

// Wants is what a cart holds, as a basket.
func (c Cart) Wants() []Want {
	out := make([]Want, len(c.Lines))
	for i, l := range c.Lines {
		out[i] = Want{Item: l.Item, Qty: l.Qty, Amount: l.Amount, Title: l.Title}
	}
	return out
}

// of is how many of an item a cart holds, all its lines together.
func (c Cart) of(item id.Item) int {
	n := 0
	for _, l := range c.Lines {
		if l.Item == item {
			n += l.Qty
		}
	}
	return n
}

// SetQty changes how many of a line are wanted; of 0 the line is removed. Errors: [ErrNotFound], [*FieldError].
func (c *Cart) SetQty(number, qty int) error {
	i := slices.IndexFunc(c.Lines, func(l CartLine) bool { return l.Number == number })
	switch {
	case i < 0:
		return fmt.Errorf("line %d: %w", number, ErrNotFound)
	case qty == 0:
		c.Remove(number)
		return nil
	case qty < 0 || qty > maxQty:
		return &FieldError{"qty", fmt.Sprintf("Give a whole number from 1 to %d, or 0 to remove it.", maxQty)}
	}
	c.Lines[i].Qty = qty
	return nil
}

// Step changes how many of a line are wanted by one or minus one. Errors: as [Cart.SetQty].
func (c *Cart) Step(number, by int) error {
	i := slices.IndexFunc(c.Lines, func(l CartLine) bool { return l.Number == number })
	if i < 0 {
		return fmt.Errorf("line %d: %w", number, ErrNotFound)
	}
	return c.SetQty(number, c.Lines[i].Qty+by)
}

// Remove takes a line away. One that is gone already is no error: two taps mean one.
func (c *Cart) Remove(number int) {
	c.Lines = slices.DeleteFunc(c.Lines, func(l CartLine) bool { return l.Number == number })
}

// put adds to a cart: more of a line that is the same already, or a line of its own.
func (c *Cart) put(g Good, unit money.USDC) error {
	if wanted := c.of(g.Item) + g.Qty; g.Limited && wanted > g.Free {
		return &shortError{max(g.Free, 0)}
	}
	for _, l := range c.Lines {
		if l.Item == g.Item && l.Amount == g.Amount {
			return c.SetQty(l.Number, l.Qty+g.Qty)
		}
	}
	if len(c.Lines) >= maxCartLines {
		return &FieldError{"item", fmt.Sprintf("A cart has at most %d lines. Pay for these first.", maxCartLines)}
	}
	c.Numbered++
	c.Lines = append(c.Lines, CartLine{Number: c.Numbered, Item: g.Item, Title: g.Title, Qty: g.Qty, Amount: g.Amount, Price: unit})
	return nil
}

// Cart returns what a visitor has put aside in a shop; nothing for whom nobody knows.
func (s *Service) Cart(ctx context.Context, merchant id.Merchant, visitor string) (Cart, error) {
	hash := visitorHash(visitor)
	if hash == nil {
		return Cart{}, nil
	}
	row, err := queries.New().CartByVisitor(ctx, s.pool, queries.CartByVisitorParams{Visitor: hash, MerchantID: merchant})
	if errors.Is(err, pgx.ErrNoRows) || err == nil && s.now().Sub(row.TouchedAt) > CartKept {
		return Cart{}, nil
	}
	if err != nil {
		return Cart{}, fmt.Errorf("cart at %s: %w", merchant, err)
	}
	return cartOf(row)
}

func cartOf(row queries.Cart) (Cart, error) {
	c := Cart{id: row.ID, version: row.Version}
	if err := json.Unmarshal(row.Lines, &c); err != nil {
		return c, fmt.Errorf("lines of cart %d: %w", row.ID, err)
	}
	return c, nil
}

// ChangeCart changes what a visitor has put aside. Errors: [ErrNotFound] for whom nobody knows, and those of change.
func (s *Service) ChangeCart(ctx context.Context, merchant id.Merchant, visitor string, change func(*Cart) error) error {
	hash := visitorHash(visitor)
	if hash == nil {
		return fmt.Errorf("cart at %s: %w", merchant, ErrNotFound)
	}
	q := queries.New()
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		row, err := q.CartForUpdate(ctx, tx, queries.CartForUpdateParams{Visitor: hash, MerchantID: merchant, Now: s.now()})
		if err != nil {
			return fmt.Errorf("cart at %s: %w", merchant, err)
		}
		c, err := cartOf(row)
		if err != nil {
			return err
		}
		if err := change(&c); err != nil {
			return err
		}
		if len(c.Lines) == 0 {
			return q.CartDrop(ctx, tx, row.ID)
		}
		lines, err := json.Marshal(c)
		if err != nil {
			return err
		}
		return q.CartWrite(ctx, tx, queries.CartWriteParams{ID: row.ID, Lines: lines})
	})
}

// PutIntoCart puts an item of a shop into a visitor's cart. amount is for one, where the buyer decides; 0 leaves it to what
// is suggested. Errors: [ErrNotFound] for what is not on sale, [ErrShort], [*FieldError].
func (s *Service) PutIntoCart(ctx context.Context, f Front, visitor string, w Want) error {
	i, err := s.OnSale(ctx, f, w.Item)
	if err != nil {
		return err
	}
	g := i.good(w)
	if g.Pricing == Minimum && g.Amount == 0 {
		g.Amount = g.Price // what he agrees to stays, when it costs more later
	}
	line, err := g.line(Choice{}, false)
	if err != nil {
		return err
	}
	return s.ChangeCart(ctx, f.Merchant, visitor, func(c *Cart) error { return c.put(g, line.UnitAmount) })
}

// PricedCart is a cart at the prices of now.
type PricedCart struct {
	Lines   []PricedCartLine
	Total   money.USDC // of the lines that can be bought
	TooMuch bool       // no purchase may cost so much
}

// PricedCartLine is a line of it, and why it cannot be bought as it stands.
type PricedCartLine struct {
	CartLine
	Title string
	Image id.Upload
	Unit  money.USDC
	Was   money.USDC // what one cost when it was put in, where that was another price; else 0
	Gone  bool       // it is not on sale any more
	Short bool       // less is left than the cart asks for
	Left  int        // where it is short
	Below bool       // what the buyer gives is less than the least by now
	Least money.USDC
}

// Stuck tells whether a line has to be changed before it is bought.
func (l PricedCartLine) Stuck() bool { return l.Gone || l.Short || l.Below }

// Stuck tells whether a cart has to be changed before it is bought.
func (p PricedCart) Stuck() bool {
	return p.TooMuch || slices.ContainsFunc(p.Lines, PricedCartLine.Stuck)
}

// PriceCart says what a cart costs now, and what of it cannot be had.
func (s *Service) PriceCart(ctx context.Context, f Front, c Cart) (PricedCart, error) {
	p := PricedCart{}
	if len(c.Lines) == 0 {
		return p, nil
	}
	goods, err := s.Goods(ctx, f.Merchant, f.Livemode, c.Wants())
	if err != nil {
		return p, err
	}
	for i, g := range goods {
		l := PricedCartLine{CartLine: c.Lines[i], Title: g.Title, Image: g.Image, Unit: g.Unit(), Gone: g.Archived, Least: g.Price, Left: max(g.Free, 0)}
		l.Short = !l.Gone && g.Limited && c.of(g.Item) > g.Free
		l.Below = g.Pricing == Minimum && l.Unit < g.Price
		if !l.Gone && l.Unit != l.Price {
			l.Was = l.Price
		}
		if amount, err := l.Unit.Times(int64(l.Qty)); err != nil || amount > maxPrice {
			p.TooMuch = true
		} else if !l.Stuck() {
			p.Total += amount
		}
		p.Lines = append(p.Lines, l)
	}
	p.TooMuch = p.TooMuch || p.Total > maxPrice
	return p, nil
}

// PurgeCarts forgets carts that nobody has touched for long. It has to come round.
func (s *Service) PurgeCarts(ctx context.Context) error {
	if err := queries.New().CartsPurge(ctx, s.pool, s.now().Add(-CartKept)); err != nil {
		return fmt.Errorf("purge carts: %w", err)
	}
	return nil
}
