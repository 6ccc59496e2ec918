package checkout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
)

// Ticket is what a till is selling. It says what is sold and not what it costs: prices are those of the moment, until it
// is charged.
type Ticket struct {
	Reference     string       `json:"reference,omitempty"`
	Lines         []TicketLine `json:"lines,omitempty"`
	Percent       int          `json:"percent,omitempty"` // taken off
	DiscountTitle string       `json:"discount_title,omitempty"`
	Numbered      int          `json:"numbered,omitempty"` // lines that there ever were: each keeps its number
	Touched       int          `json:"touched,omitempty"`  // the line that was changed last
}

// TicketLine is an item of the shop, or an amount of its own.
type TicketLine struct {
	Number int        `json:"number"`
	Item   id.Item    `json:"item,omitempty"`
	Title  string     `json:"title,omitempty"` // of an amount of its own
	Qty    int        `json:"qty"`
	Amount money.USDC `json:"amount,omitempty"` // for one; of an item only where its price is not fixed
}

// Parked is a ticket that waits for its customer.
type Parked struct {
	Number int       `json:"number"`
	Ticket Ticket    `json:"ticket"`
	At     time.Time `json:"at"`
}

const (
	// maxTicketLines leaves room for a tip and a discount.
	maxTicketLines = shop.MaxLines - 2
	maxParked      = 20
	maxWords       = 80 // characters of a title or a reference
)

// otherAmount is what an amount without an item is called.
const otherAmount = "Other amount"

// Empty tells whether nothing is sold, and nothing is noted.
func (t Ticket) Empty() bool { return len(t.Lines) == 0 && t.Reference == "" }

// Items counts what is handed over.
func (t Ticket) Items() int {
	n := 0
	for _, l := range t.Lines {
		n += l.Qty
	}
	return n
}

// add puts one more on the ticket: of a line that is the same already, or a line of its own.
func (t *Ticket) add(l TicketLine) error {
	for i := range t.Lines {
		if same := &t.Lines[i]; l.Item != "" && same.Item == l.Item && same.Amount == l.Amount {
			return t.SetQty(same.Number, same.Qty+1)
		}
	}
	if len(t.Lines) >= maxTicketLines {
		return &shop.FieldError{Field: "lines", Message: fmt.Sprintf("A sale has at most %d lines. Charge this one first.", maxTicketLines)}
	}
	t.Numbered++
	l.Number, l.Qty, t.Touched = t.Numbered, 1, t.Numbered
	t.Lines = append(t.Lines, l)
	return nil
}

// AddAmount puts an amount without an item on the ticket. Errors: [*shop.FieldError].
func (t *Ticket) AddAmount(amount money.USDC) error {
	if amount <= 0 || amount > shop.MaxAmount {
		return &shop.FieldError{Field: "amount", Message: fmt.Sprintf("Type an amount up to %s USDC.", shop.MaxAmount.Grouped())}
	}
	return t.add(TicketLine{Title: otherAmount, Amount: amount})
}

func (t *Ticket) line(number int) (*TicketLine, error) {
	i := slices.IndexFunc(t.Lines, func(l TicketLine) bool { return l.Number == number })
	if i < 0 {
		return nil, fmt.Errorf("line %d: %w", number, ErrNotFound)
	}
	t.Touched = number
	return &t.Lines[i], nil
}

// SetQty changes how many of a line are sold. Errors: [ErrNotFound], [*shop.FieldError].
func (t *Ticket) SetQty(number, qty int) error {
	if qty < 1 || qty > shop.MaxQty {
		return &shop.FieldError{Field: "qty", Message: fmt.Sprintf("Type a whole number from 1 to %d.", shop.MaxQty)}
	}
	l, err := t.line(number)
	if err == nil {
		l.Qty = qty
	}
	return err
}

// Step changes how many of a line are sold by one or minus one. Errors: [ErrNotFound], [*shop.FieldError].
func (t *Ticket) Step(number, by int) error {
	l, err := t.line(number)
	if err != nil {
		return err
	}
	return t.SetQty(number, l.Qty+by)
}

// Rename says what an amount without an item is for. Errors: [ErrNotFound], [*shop.FieldError].
func (t *Ticket) Rename(number int, title string) error {
	l, err := t.line(number)
	if err != nil {
		return err
	}
	if title = strings.TrimSpace(title); title == "" {
		title = otherAmount
	}
	if l.Item != "" || !shop.OneLine(title, maxWords) {
		return &shop.FieldError{Field: "title", Message: fmt.Sprintf("Use at most %d printable characters.", maxWords)}
	}
	l.Title = title
	return nil
}

// Remove takes a line away. One that is gone already is no error: two taps mean one.
func (t *Ticket) Remove(number int) {
	t.Lines = slices.DeleteFunc(t.Lines, func(l TicketLine) bool { return l.Number == number })
}

// TakeOff gives a discount in percent of everything; 0 takes it back. Errors: [*shop.FieldError].
func (t *Ticket) TakeOff(percent int, title string) error {
	title = strings.TrimSpace(title)
	switch {
	case percent < 0 || percent > 100:
		return &shop.FieldError{Field: "percent", Message: "Type a whole number from 1 to 100."}
	case !shop.OneLine(title, maxWords):
		return &shop.FieldError{Field: "title", Message: fmt.Sprintf("Use at most %d printable characters.", maxWords)}
	case percent == 0:
		title = ""
	}
	t.Percent, t.DiscountTitle = percent, title
	return nil
}

// Refer notes what the sale is called, such as a table. Errors: [*shop.FieldError].
func (t *Ticket) Refer(reference string) error {
	reference = strings.TrimSpace(reference)
	if !shop.OneLine(reference, maxWords) {
		return &shop.FieldError{Field: "reference", Message: fmt.Sprintf("Use at most %d printable characters.", maxWords)}
	}
	t.Reference = reference
	return nil
}

// wants is what a ticket sells, as a basket.
func (t Ticket) wants() []shop.Want {
	out := make([]shop.Want, len(t.Lines))
	for i, l := range t.Lines {
		out[i] = shop.Want{Item: l.Item, Qty: l.Qty, Amount: l.Amount, Title: l.Title}
	}
	return out
}

// off is what the ticket's discount takes from a sum: whole cents, where it is as much as one.
func (t Ticket) off(subtotal money.USDC) money.USDC {
	const cent = 10_000
	off := subtotal / 100 * money.USDC(t.Percent)
	off += subtotal % 100 * money.USDC(t.Percent) / 100
	if t.Percent < 100 && off >= cent {
		off -= off % cent
	}
	return off
}

// discountTitle is what a buyer reads of it.
func (t Ticket) discountTitle() string {
	percent := fmt.Sprintf("%d %% off", t.Percent)
	if t.DiscountTitle == "" {
		return percent
	}
	return t.DiscountTitle + ", " + percent
}
