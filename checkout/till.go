package checkout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/shop"
)

var (
	// ErrCharged is returned where a ticket is to be changed that is being paid, or is paid.
	ErrCharged = errors.New("checkout: ticket is charged")
	// ErrTicketChanged is returned by [Service.Charge] for a ticket that is not any more what was on the screen.
	ErrTicketChanged = errors.New("checkout: ticket changed meanwhile")
	// ErrTotal is returned where something costs another amount by now than whoever asked has seen.
	ErrTotal = errors.New("checkout: it costs another amount by now")
	// ErrDecided is returned where nothing is to be decided about a late payment, or not any more.
	ErrDecided = errors.New("checkout: decided already")
)

// AtTill is somebody at work at a till.
type AtTill struct {
	Device   id.Device
	Merchant id.Merchant
	Livemode bool
	Person   id.Person
	Cashier  string
	By       audit.By
}

// Till is a tablet's ticket, those that are put aside, and the purchase that the ticket became.
type Till struct {
	Ticket       Ticket
	Parked       []Parked
	Charge       id.Attempt // empty while the ticket is written
	ChargeStatus Status

	version int64
}

// Once is the ticket's idempotency key: another with every change.
func (t Till) Once() string { return fmt.Sprintf("tkt_%d", t.version) }

// Charged tells whether the ticket can neither be changed nor charged: its customer pays, has paid, or it is not known.
func (t Till) Charged() bool {
	return slices.Contains([]Status{Open, Settling, Unknown, Settled, Reversed}, t.ChargeStatus)
}

// Park puts the ticket aside. Errors: [*shop.FieldError].
func (t *Till) Park(now time.Time) error {
	if t.Ticket.Empty() {
		return nil
	}
	if len(t.Parked) >= maxParked {
		return &shop.FieldError{Field: "parked", Message: fmt.Sprintf("%d sales are put aside already. Take one up first.", maxParked)}
	}
	number := 1
	for _, p := range t.Parked {
		number = max(number, p.Number+1)
	}
	t.Parked, t.Ticket = append(t.Parked, Parked{number, t.Ticket, now}), Ticket{}
	return nil
}

// Recall takes up a ticket that was put aside; the one before it is. Errors: [ErrNotFound], [*shop.FieldError].
func (t *Till) Recall(number int, now time.Time) error {
	i := slices.IndexFunc(t.Parked, func(p Parked) bool { return p.Number == number })
	if i < 0 {
		return fmt.Errorf("parked %d: %w", number, ErrNotFound)
	}
	again := t.Parked[i].Ticket
	t.Parked = slices.Delete(t.Parked, i, i+1)
	if err := t.Park(now); err != nil {
		return err
	}
	t.Ticket = again
	return nil
}

// Till returns what a tablet is selling.
func (s *Service) Till(ctx context.Context, device id.Device) (Till, error) {
	q := queries.New()
	row, err := q.TillByDevice(ctx, s.pool, device)
	if errors.Is(err, pgx.ErrNoRows) {
		return Till{}, nil
	}
	if err != nil {
		return Till{}, fmt.Errorf("till %s: %w", device, err)
	}
	return tillOf(row.Till, row.ChargeStatus)
}

func tillOf(row queries.Till, status string) (Till, error) {
	t := Till{Charge: row.ChargeID, ChargeStatus: Status(status), version: row.Version}
	if err := errors.Join(json.Unmarshal(row.Ticket, &t.Ticket), json.Unmarshal(row.Parked, &t.Parked)); err != nil {
		return t, fmt.Errorf("ticket of %s: %w", row.DeviceID, err)
	}
	return t, nil
}

// ChangeTill changes what a tablet sells, unless its customer is paying. Errors: [ErrCharged], and those of change.
func (s *Service) ChangeTill(ctx context.Context, device id.Device, change func(*Till) error) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		t, err := lockTillTx(ctx, tx, device)
		if err != nil {
			return err
		}
		if t.Charged() {
			return ErrCharged
		}
		if err := change(&t); err != nil {
			return err
		}
		return writeTillTx(ctx, tx, device, t)
	})
}

func lockTillTx(ctx context.Context, tx pgx.Tx, device id.Device) (Till, error) {
	q := queries.New()
	if err := q.TillOpen(ctx, tx, device); err != nil {
		return Till{}, fmt.Errorf("open till %s: %w", device, err)
	}
	if err := q.TillForUpdate(ctx, tx, device); err != nil {
		return Till{}, fmt.Errorf("lock till %s: %w", device, err)
	}
	row, err := q.TillByDevice(ctx, tx, device)
	if err != nil {
		return Till{}, fmt.Errorf("till %s: %w", device, err)
	}
	return tillOf(row.Till, row.ChargeStatus)
}

// writeTillTx keeps a ticket; it is not the purchase any more that it may have become.
func writeTillTx(ctx context.Context, tx pgx.Tx, device id.Device, t Till) error {
	ticket, err := json.Marshal(t.Ticket)
	if err != nil {
		return err
	}
	if t.Parked == nil {
		t.Parked = []Parked{}
	}
	parked, err := json.Marshal(t.Parked)
	if err != nil {
		return err
	}
	if err := queries.New().TillWrite(ctx, tx, queries.TillWriteParams{DeviceID: device, Ticket: ticket, Parked: parked}); err != nil {
		return fmt.Errorf("write till %s: %w", device, err)
	}
	return nil
}

// AddItem puts one more of an item on a till's ticket, at the amount that was typed where its price is not fixed.
// Errors: [ErrCharged], [shop.ErrNotFound], [*shop.FieldError].
func (s *Service) AddItem(ctx context.Context, at AtTill, item id.Item, amount money.USDC) error {
	i, err := s.shop.Item(ctx, at.Merchant, at.Livemode, item)
	if err == nil && i.ArchivedAt != nil {
		err = shop.ErrNotFound
	}
	if err != nil {
		return err
	}
	return s.addItem(ctx, at, i, amount)
}

// AddCode puts one more of the item on the ticket that has this SKU or barcode. Errors: as [Service.AddItem].
func (s *Service) AddCode(ctx context.Context, at AtTill, code string) error {
	found, err := s.shop.Items(ctx, at.Merchant, at.Livemode, shop.ItemFilter{SKU: code}, shop.Page{Limit: 1})
	if err != nil {
		return err
	}
	if code == "" || len(found) == 0 {
		return &shop.FieldError{Field: "code", Message: "No item has this code. Type its amount."}
	}
	return s.addItem(ctx, at, found[0], 0)
}

func (s *Service) addItem(ctx context.Context, at AtTill, i shop.Item, amount money.USDC) error {
	switch {
	case i.Pricing != shop.Minimum && i.Pricing != shop.Any:
		amount = 0
	case i.Pricing == shop.Minimum && amount < i.Price:
		return &shop.FieldError{Field: "amount", Message: fmt.Sprintf("At least %s USDC.", i.Price.Grouped())}
	case amount <= 0 || amount > shop.MaxAmount:
		return &shop.FieldError{Field: "amount", Message: fmt.Sprintf("Type what it costs, up to %s USDC.", shop.MaxAmount.Grouped())}
	}
	return s.ChangeTill(ctx, at.Device, func(t *Till) error {
		return t.Ticket.add(TicketLine{Item: i.ID, Title: i.Title, Amount: amount})
	})
}

// PricedTicket is a ticket at the prices of now.
type PricedTicket struct {
	Lines         []PricedLine
	Subtotal      money.USDC
	Discount      money.USDC // zero or below
	DiscountTitle string
	Total         money.USDC
	TooMuch       bool // no purchase may cost so much
}

// PricedLine is a line of it, and why it cannot be sold as it stands.
type PricedLine struct {
	TicketLine
	Title  string
	Unit   money.USDC
	Amount money.USDC
	Gone   bool // the item is not sold any more
	Short  bool // less is left than the ticket asks for
	Left   int  // where it is short
	Least  money.USDC
	Below  bool // its price is below the least by now
}

// PriceTicket says what a ticket costs now, and what of it cannot be had.
func (s *Service) PriceTicket(ctx context.Context, at AtTill, t Ticket) (PricedTicket, error) {
	p := PricedTicket{}
	if len(t.Lines) == 0 {
		return p, nil
	}
	goods, err := s.shop.Goods(ctx, at.Merchant, at.Livemode, t.wants())
	if err != nil {
		return p, err
	}
	asked := map[id.Item]int{}
	for i, g := range goods {
		asked[g.Item] += t.Lines[i].Qty
	}
	for i, g := range goods {
		l := PricedLine{TicketLine: t.Lines[i], Title: g.Title, Unit: g.Unit(), Gone: g.Archived, Least: g.Price}
		l.Below = g.Pricing == shop.Minimum && l.Unit < g.Price
		l.Short, l.Left = g.Limited && asked[g.Item] > g.Free, max(g.Free, 0)
		amount, err := l.Unit.Times(int64(l.Qty))
		p.TooMuch = p.TooMuch || err != nil || amount > shop.MaxAmount
		l.Amount = amount
		p.Subtotal += amount
		p.Lines = append(p.Lines, l)
	}
	if t.Percent > 0 {
		p.Discount, p.DiscountTitle = -t.off(p.Subtotal), t.discountTitle()
	}
	p.Total = p.Subtotal + p.Discount
	p.TooMuch = p.TooMuch || p.Total > shop.MaxAmount
	return p, nil
}
