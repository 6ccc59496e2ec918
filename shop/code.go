package shop

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

var (
	// ErrCode is returned for a word that is no code of the shop, and for a bypass token that nobody was given.
	ErrCode = errors.New("shop: no such code")
	// ErrCodeUsed is returned when every use of a code is taken, and for a bypass token that was spent.
	ErrCodeUsed = errors.New("shop: code used")
	// ErrCodeEarly is returned before a code's time has come.
	ErrCodeEarly = errors.New("shop: code not valid yet")
	// ErrCodeOver is returned when a code's time is over, or its shop has revoked it.
	ErrCodeOver = errors.New("shop: code not valid any more")
	// ErrCodeElsewhere is returned where a code is good for something else that its shop sells.
	ErrCodeElsewhere = errors.New("shop: code for something else")
	// ErrCodeHeld is returned to whoever holds several uses of a code already, and has paid with none of them.
	ErrCodeHeld = errors.New("shop: too many uses of a code held")
	// ErrCodeWallet is returned to a wallet that may not use a code, or not once more.
	ErrCodeWallet = errors.New("shop: code not for this wallet")
)

// Off is what a code takes off a price.
type Off string

// What a code may take off.
const (
	OffAll     Off = "free"    // the whole price
	OffPercent Off = "percent" // a share of it
	OffAmount  Off = "amount"  // so much of it
)

// Terms are what codes that were made together are good for.
type Terms struct {
	Off       Off
	Percent   int        // 1 to 99, of [OffPercent]
	Amount    money.USDC // of [OffAmount]
	Uses      int        // of each code
	PerWallet int        // of each code by one wallet; 0 for no limit
	From      *time.Time
	Until     *time.Time
	Item      id.Item // at most one of Item, Link and Endpoint; none is whatever the shop sells
	Link      id.Link
	Endpoint  id.Endpoint
	Address   string // lower-case hex: the one wallet that may use it; empty for any
}

// Discount is what is taken off a price: never more than all of it, and parts of a base unit stay with the shop.
func (t Terms) Discount(price money.USDC) money.USDC {
	switch t.Off {
	case OffPercent:
		const whole = 100
		return price * money.USDC(t.Percent) / whole
	case OffAmount:
		return min(t.Amount, price)
	default:
		return price
	}
}

// Title is what the line of a purchase is called that holds the discount: never the code, which others may still use.
func (t Terms) Title() string {
	switch t.Off {
	case OffPercent:
		return fmt.Sprintf("Code, %d %% off", t.Percent)
	case OffAmount:
		return "Code, " + t.Amount.Grouped() + " USDC off"
	default:
		return "Code, free"
	}
}

// Code is an activation code: a word that takes something off a price, so many times.
type Code struct {
	ID        id.Code
	Batch     id.CodeBatch // those that were made together with it
	Merchant  id.Merchant
	Livemode  bool
	Code      string // as it is handed out
	Used      int    // held by purchases and tokens, or spent
	LinkToken string // of the link that it is for; empty for none, and where a code is handed in
	RevokedAt *time.Time
	CreatedAt time.Time
	Terms
}

// Open tells whether a code may be used now: nil, [ErrCodeEarly], [ErrCodeOver] or [ErrCodeUsed].
func (c Code) Open(now time.Time) error {
	if err := c.timely(now); err != nil {
		return err
	}
	if c.Used >= c.Uses {
		return ErrCodeUsed
	}
	return nil
}

func (c Code) timely(now time.Time) error {
	switch {
	case c.RevokedAt != nil, c.Until != nil && !now.Before(*c.Until):
		return ErrCodeOver
	case c.From != nil && now.Before(*c.From):
		return ErrCodeEarly
	}
	return nil
}

// CodeStatus is where a code stands, in one word.
type CodeStatus string

// Where a code may stand.
const (
	CodeActive    CodeStatus = "active"
	CodeScheduled CodeStatus = "scheduled"
	CodeUsedUp    CodeStatus = "used"
	CodeExpired   CodeStatus = "expired"
	CodeRevoked   CodeStatus = "revoked"
)

// Status is where a code stands now.
func (c Code) Status(now time.Time) CodeStatus {
	err := c.Open(now)
	switch {
	case c.RevokedAt != nil:
		return CodeRevoked
	case errors.Is(err, ErrCodeEarly):
		return CodeScheduled
	case errors.Is(err, ErrCodeOver):
		return CodeExpired
	case errors.Is(err, ErrCodeUsed):
		return CodeUsedUp
	default:
		return CodeActive
	}
}

// admits tells whether a wallet may use a code as far as its address goes; it may be empty where it is not known.
func (c Code) admits(wallet string) error {
	if c.Address != "" && wallet != "" && c.Address != wallet {
		return ErrCodeWallet
	}
	return nil
}

// named tells whether a code asks who uses it.
func (c Code) named() bool { return c.Address != "" || c.PerWallet > 0 }

// AsksWallet tells whether a code asks which wallet uses it.
func (h HandedIn) AsksWallet() bool { return h.Code.named() }

// Wallet is whom a bypass token was given to; empty for a code, and where nobody was asked.
func (h HandedIn) Wallet() string { return h.wallet }

// Coded is an offer with what a code takes off: of the item that it is for, or of everything but a tip. A code that takes
// all of it leaves nothing to be paid. Errors: [ErrCodeElsewhere], [*FieldError].
func (o Offer) Coded(h HandedIn) (Offer, error) {
	if o.Choice.Discount > 0 {
		return o, &FieldError{"code", "Give a discount or a code."}
	}
	if !h.covers(o) {
		return o, ErrCodeElsewhere
	}
	var price money.USDC
	for _, l := range o.Lines {
		if h.Code.Item == "" && l.ItemID != "" || h.Code.Item != "" && l.ItemID == string(h.Code.Item) {
			price += l.UnitAmount * money.USDC(l.Qty)
		}
	}
	if price == 0 {
		return o, &FieldError{"code", "This costs nothing without a code."}
	}
	off := h.Code.Discount(price)
	switch {
	case off == 0:
		return o, &FieldError{"code", "This costs so little that the code takes nothing off."}
	case len(o.Lines) == maxLines:
		return o, &FieldError{"items", fmt.Sprintf("A purchase has at most %d lines.", maxLines)}
	}
	o.Choice.Discount, o.Choice.DiscountTitle = off, h.Code.Title()
	o.Lines = append(slices.Clone(o.Lines), Line{Title: o.Choice.DiscountTitle, Qty: 1, UnitAmount: -off})
	o.Amount -= off
	o.Code = &h
	return o, nil
}

// covers tells whether what was handed in is good for an offer, or for a part of it.
func (h HandedIn) covers(o Offer) bool {
	c := h.Code
	switch {
	case c.Merchant != o.Merchant || c.Livemode != o.Link.Livemode:
		return false
	case o.Endpoint != "":
		_, err := h.OffCall(o.Endpoint, o.Amount)
		return err == nil
	case c.Endpoint != "" && c.Endpoint != o.Link.passOf(), h.endpoint != "" && h.endpoint != o.Link.passOf():
		return false
	case h.link != "" && h.link != o.Link.ID, c.Link != "" && c.Link != o.Link.ID:
		return false
	}
	return c.Item == "" || slices.ContainsFunc(o.Lines, func(l Line) bool { return l.ItemID == string(c.Item) })
}

// OffCall is what is taken off the price of one call, or of one period, of an endpoint. Errors: [ErrCodeElsewhere].
func (h HandedIn) OffCall(endpoint id.Endpoint, price money.USDC) (money.USDC, error) {
	c := h.Code
	if c.Item != "" || c.Link != "" || h.link != "" || c.Endpoint != "" && c.Endpoint != endpoint || h.endpoint != "" && h.endpoint != endpoint {
		return 0, ErrCodeElsewhere
	}
	return c.Discount(price), nil
}

// fold is how codes are compared: without dashes and spaces, in upper case, and with letters that look like figures as
// figures. It is empty for what no code can be.
func fold(code string) string {
	if len(code) > maxCode {
		return ""
	}
	var b strings.Builder
	for _, r := range strings.ToUpper(strings.TrimSpace(code)) {
		switch {
		case r == '-' || r == '_' || r == ' ':
		case r == 'O':
			b.WriteByte('0')
		case r == 'I' || r == 'L':
			b.WriteByte('1')
		case r >= '0' && r <= '9' || r >= 'A' && r <= 'Z':
			b.WriteRune(r)
		default:
			return ""
		}
	}
	return b.String()
}

func codeOf(c queries.Code, b queries.CodeBatch) Code {
	return Code{
		ID: c.ID, Batch: b.ID, Merchant: c.MerchantID, Livemode: c.Livemode, Code: c.Code, Used: int(c.Used), RevokedAt: c.RevokedAt,
		CreatedAt: c.CreatedAt, Terms: termsOf(b),
	}
}

func termsOf(b queries.CodeBatch) Terms {
	t := Terms{
		Off: Off(b.Off), Percent: int(b.Percent), Amount: b.Amount, Uses: int(b.Uses), PerWallet: int(b.PerWallet), From: b.ValidFrom, Until: b.ValidUntil,
		Endpoint: b.EndpointID, Address: b.Address,
	}
	if b.ItemID != nil {
		t.Item = *b.ItemID
	}
	if b.LinkID != nil {
		t.Link = *b.LinkID
	}
	return t
}
