package views

import (
	"strconv"
	"time"

	"xsynesis/id"
	"xsynesis/money"
)

// RegisterView is the register: tiles and keys on one side, the ticket on the other.
//
// Shown by GET /pos to whoever unlocked the till, with the queries of [TillShelfPath], [TillEntryPath] and [TillItemPath].
// While the ticket is charged, or its customer has paid and nobody said Next customer, GET /pos is answered 303 to the
// charge instead.
//
// Its forms:
//
//	POST /pos/ticket/lines            item | code (SKU or barcode, as a scanner types it) | amount | item and amount
//	POST /pos/ticket/lines/{n}        step (1 or -1; before qty) | qty | title (of a line without an item)
//	POST /pos/ticket/lines/{n}/removal
//	POST /pos/ticket/discount         percent ("" takes it away), title
//	POST /pos/ticket/reference        reference
//	POST /pos/ticket/removal          empties the ticket
//	POST /pos/parked                  puts the ticket aside; POST /pos/parked/{n} takes it up again
//	POST /pos/charges                 once, total (base units: what the cashier saw) → 303 to the charge
//
// Live: shelf and ticket, whenever the shop changes. A script's tap asks for the ticket alone.
type RegisterView struct {
	TillFrame
	Categories []string // of the shelf, by name
	Category   string   // the chosen one; empty for all
	Search     string
	Tiles      []ItemTile
	More       string // address of the tiles that did not fit; empty for none
	Entry      TillEntry
	Ticket     Ticket
	Late       []TillSale // paid after their end at this till, and nobody has decided
}

// ItemTile is an item to tap.
type ItemTile struct {
	Item    id.Item
	Title   string // with its edition
	Image   string // address of a small picture; empty for none
	Pricing string // "fixed", "minimum", "any", "free", as the item has it
	Price   money.USDC
	Limited bool // stock is counted
	Free    int
	Held    int  // by purchases that are not paid yet
	Low     bool // so few are left that it is said
	Count   int  // in the ticket
}

// soldOut tells that none can be sold now.
func (t ItemTile) soldOut() bool { return t.Limited && t.Free < 1 }

// asks tells that the cashier types what it costs.
func (t ItemTile) asks() bool { return t.Pricing == "minimum" || t.Pricing == "any" }

// price is what the tile says below the name.
func (t ItemTile) price() string {
	switch t.Pricing {
	case "free":
		return "Free"
	case "any":
		return "Any amount"
	case "minimum":
		return "from " + Amount(t.Price)
	}
	return Amount(t.Price)
}

// stock is what the tile says of what is left; mostly nothing.
func (t ItemTile) stock() string {
	switch {
	case !t.Limited:
		return ""
	case t.Free < 1 && t.Held > 0:
		return strconv.Itoa(t.Held) + " held"
	case t.Free < 1:
		return "Sold out"
	case t.Low:
		return strconv.Itoa(t.Free) + " left"
	}
	return ""
}

// What the keys type.
const (
	EntryAmount    = ""          // an amount without an item, or what an item costs
	EntryPercent   = "percent"   // a discount
	EntryReference = "reference" // a note for the sale
)

// TillEntry is what is being typed.
type TillEntry struct {
	Mode        string
	Item        id.Item // whose price is typed; empty for an amount of its own
	Title       string  // of the item
	Least       money.USDC
	Field       Field // as it was sent, when it was refused
	Reason      string
	MayDiscount bool
	MostPercent int // that this person may take off; 0 for no limit
}

// Ticket is what is being sold.
//
// Once is the ticket's idempotency key: the server makes another with every change, so that a tap on Charge that is sent
// twice charges once.
type Ticket struct {
	Reference     string // "Table 4"
	Lines         []TicketLine
	Discount      money.USDC // zero or below
	DiscountTitle string     // "Regulars, 10 % off"
	Subtotal      money.USDC // shown where there is a discount
	Total         money.USDC
	Once          string
	Problem       string // the sentence that refuses what was just asked for
	Closed        string // the sentence that says why nothing can be charged now; empty where it can
	MayPark       bool
	Parked        []ParkedTicket
}

// TicketLine is one line of it.
type TicketLine struct {
	Number   int // for ever the line's own
	Item     id.Item
	Title    string
	Note     string // small, below the title
	Quantity int
	Unit     money.USDC
	Amount   money.USDC
	Problem  string // why it cannot be sold as it stands: "Only 1 left."
	Open     bool   // unfolded: the one that was changed last
}

// ParkedTicket waits for its customer.
type ParkedTicket struct {
	Number    int
	Reference string
	Items     int
	Total     money.USDC
	At        time.Time
}

// name is what a parked ticket is found again by; one without a note by its time.
func (p ParkedTicket) name() string {
	if p.Reference != "" {
		return p.Reference
	}
	return "Sale of"
}

// heading is what the sale is called.
func (t Ticket) heading() string {
	if t.Reference != "" {
		return t.Reference
	}
	return "New sale"
}

// items counts what is handed over.
func (t Ticket) items() int {
	n := 0
	for _, l := range t.Lines {
		n += l.Quantity
	}
	return n
}

// said is read aloud when the ticket changes.
func (t Ticket) said() string {
	if len(t.Lines) == 0 {
		return "Nothing in this sale"
	}
	return plural(t.items(), "item") + ", total " + AmountUSDC(t.Total)
}

// why says why Charge cannot be tapped; empty where it can.
func (t Ticket) why() string {
	switch {
	case t.Closed != "":
		return t.Closed
	case len(t.Lines) == 0:
		return "Tap an item, scan it, or type an amount."
	}
	for _, l := range t.Lines {
		if l.Problem != "" {
			return "Look at " + l.Title + " first."
		}
	}
	return ""
}

// shelfPath is where the chosen tiles are asked for again.
func (v RegisterView) shelfPath() string { return TillShelfPath(v.Category, v.Search) }

// label says what is being typed.
func (e TillEntry) label() string {
	switch {
	case e.Mode == EntryPercent:
		return "Percent off"
	case e.Mode == EntryReference:
		return "Note for this sale"
	case e.Item != "":
		return e.Title
	}
	return "Other amount"
}

// verb is what the entry's own key says.
func (e TillEntry) verb() string {
	switch e.Mode {
	case EntryPercent:
		return "Take off"
	case EntryReference:
		return "Keep note"
	}
	return "Add"
}

// action is where it is sent.
func (e TillEntry) action() string {
	switch e.Mode {
	case EntryPercent:
		return TillDiscountPath
	case EntryReference:
		return TillReferencePath
	}
	return TillLinesPath
}

// hint says what may be typed; a refusal stands in its place.
func (e TillEntry) hint() string {
	switch {
	case e.Mode == EntryPercent && e.MostPercent > 0:
		return "Up to " + strconv.Itoa(e.MostPercent) + " %"
	case e.Mode == EntryReference:
		return "Such as Table 4"
	case e.Item != "" && e.Least > 0:
		return "From " + AmountUSDC(e.Least)
	}
	return ""
}

// plain tells that an amount of its own is typed, which is what the keys do unless asked.
func (e TillEntry) plain() bool { return e.Mode == EntryAmount && e.Item == "" }
