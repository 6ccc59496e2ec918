package views

import (
	"cmp"
	"slices"
	"strconv"

	"xsynesis/money"
)

// Ask is what a buyer decides, or tells the shop, before a purchase begins. The zero Ask asks nothing.
//
// Its fields are posted with the tap on Pay:
//
//	qty                a whole number
//	amount             base choice of an open amount: one of the presets, or "other" and then amount_other; without presets
//	                   amount itself is what was typed
//	tip                an amount, "" for none, or "other" and then tip_other
//	email name note    as they are
//	shipping_address.name .line1 .line2 .postal_code .city .state .country
//
// A refused field comes back with its sentence, under the same name.
type Ask struct {
	Quantity bool
	Qty      Field
	Open     *OpenAsk // the buyer decides what he gives
	Unit     money.USDC
	Tips     []Tip // what is proposed; nil asks for no tip, and an empty one for an amount alone
	Tip      Field // the chosen amount, "other", or empty
	TipOther Field
	Email    AskField
	Name     AskField // left out where something is sent: the address has a name
	Note     AskField
	Ships    bool
	Shipping ShippingForm
}

// OpenAsk lets the buyer decide what he gives.
type OpenAsk struct {
	Presets []money.USDC
	Least   money.USDC
	Amount  Field // one of the presets, "other", or what was typed
	Other   Field
}

// Tip is a proposed tip.
type Tip struct {
	Percent int // of the price; 0 for an amount of its own
	Amount  money.USDC
}

// AskField is a question to the buyer.
type AskField struct {
	Field
	Asked    bool
	Required bool
}

// ShippingForm is where goods are sent.
type ShippingForm struct{ Name, Line1, Line2, PostalCode, City, State, Country Field }

// any tells whether something is asked.
func (a Ask) any() bool {
	return a.Quantity || a.Open != nil || a.Tips != nil || a.Email.Asked || a.Name.Asked || a.Note.Asked || a.Ships
}

// hint says what may be given.
func (o OpenAsk) hint() string {
	if o.Least == 0 {
		return "As much as you like."
	}
	return "At least " + AmountUSDC(o.Least) + "."
}

// chosen tells whether a preset is the one that was sent, or the first where nothing was.
func (o OpenAsk) chosen(preset money.USDC) bool {
	if o.Amount.Value == "" {
		return len(o.Presets) > 0 && preset == o.Presets[0]
	}
	sent, err := money.ParseUSDC(o.Amount.Value)
	return err == nil && sent == preset
}

// otherChosen tells whether the buyer names an amount of his own.
func (o OpenAsk) otherChosen() bool {
	return o.Amount.Value != "" && !slices.ContainsFunc(o.Presets, o.chosen)
}

// tipChosen tells whether a proposed tip is the one that was sent.
func (a Ask) tipChosen(t Tip) bool {
	sent, err := money.ParseUSDC(a.Tip.Value)
	return err == nil && sent == t.Amount
}

// word is what a tip is called: its share of the price, or itself.
func (t Tip) word() string {
	if t.Percent == 0 {
		return Amount(t.Amount)
	}
	return strconv.Itoa(t.Percent) + noBreak + "%"
}

// quantityOf is the quantity that was sent, or one.
func quantityOf(f Field) string { return cmp.Or(f.Value, "1") }

// amountHint says what the buyer may give.
func amountHint(pricing string, price money.USDC) string {
	switch {
	case pricing == "minimum":
		return "At least " + AmountUSDC(price) + "."
	case price > 0:
		return AmountUSDC(price) + " is what the shop suggests."
	default:
		return "As much as you like."
	}
}

// label is the text of a question, which says where it need not be answered.
func (f AskField) label(text string) string {
	if f.Required {
		return text
	}
	return text + ", optional"
}

// verb is what the tap on Pay says.
func (c Cart) verb() string {
	if c.Amount == 0 {
		return "Get it"
	}
	return "Pay " + AmountUSDC(c.Amount)
}
