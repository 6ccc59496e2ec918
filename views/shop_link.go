package views

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"xsynesis/id"
	"xsynesis/money"
)

// LinkPausePath asks what buyers shall read while a link is paused; posting the field text to it pauses the link.
func LinkPausePath(link id.Link) string { return LinkDetailPath(link) + "/pause" }

// LinkResumePath is posted to, and opens a paused link again.
func LinkResumePath(link id.Link) string { return LinkDetailPath(link) + "/resumption" }

// LinkPosterPath is a link's code to print, in one of [PosterSizes].
func LinkPosterPath(link id.Link, size string) string {
	return LinkDetailPath(link) + "/poster?" + url.Values{"size": {size}}.Encode()
}

// LinkOffer is the part of a link's form that says what it sells, beside a title. With Sells empty the form is that of a
// title and an amount, as it was before there was a choice. Its fields:
//
//	sells      amount, items, open, short or endpoint
//	items      item and qty, each as often as there are lines, in the same order
//	open       min: the least amount or empty; presets: amounts with blanks or semicolons between them
//	endpoint   endpoint: one of Endpoints
//	short      target: an https address; require: "1" where it has to be paid first, and then price
//	starts_at  2006-01-02T15:04 in the shop's location, or empty
//	ask        name, email, note: any of them
//	tips       "1" where buyers are offered a tip
//	message    what stands on the paid page
//
// Three buttons post the form to build the list of items, and save nothing: do=find (with the field find), add=itm_… and
// drop=itm_…. The answer is 200 and the form as it was sent, with Found filled, or a line more or less. Enter saves.
type LinkOffer struct {
	Sells    Field
	Lines    []LinkLine
	Find     Field
	Found    []ItemChoice // what Find names; nil where nothing was looked for
	Searched bool
	Min      Field
	Presets  Field
	Target   Field
	Require  bool
	Starts   Field
	Asks     []string // of "name", "email", "note"
	Tips     bool
	Message  Field
	// Endpoints are the shop's paid APIs; where there are none the form does not speak of them.
	Endpoints []Option
	Endpoint  Field
}

// LinkLine is an item that a link sells.
type LinkLine struct {
	Item    id.Item
	Title   string
	Pricing string
	Price   money.USDC
	Qty     Field
	Stock   StockView
}

// linkKinds are the values of the field "sells".
var linkKinds = []Option{{"amount", "An amount"}, {"items", "Items"}, {"open", "Buyer decides"}, {"short", "A page"}}

func (o LinkOffer) kinds() []Option {
	if len(o.Endpoints) == 0 {
		return linkKinds
	}
	return append(slices.Clone(linkKinds), Option{"endpoint", "A paid API"})
}

var linkAsks = []Option{{"name", "Name"}, {"email", "E-mail"}, {"note", "Note"}}

func (o LinkOffer) asks(what string) bool { return slices.Contains(o.Asks, what) }

// detail tells what one costs, and how many there are.
func (l LinkLine) detail() string {
	stock := l.Stock.words()
	return priceInWords(l.Pricing, l.Price) + ", " + strings.ToLower(stock[:1]) + stock[1:]
}

// sum is what the items of a link cost together, as far as their quantities can be read.
func (o LinkOffer) sum() money.USDC {
	const most = 10_000 // of one thing
	var sum money.USDC
	for _, l := range o.Lines {
		if n, err := strconv.Atoi(quantityOf(l.Qty)); err == nil && n > 0 && n <= most {
			sum += l.Price * money.USDC(n)
		}
	}
	return sum
}

// proposed is what the buyer is asked for who decides: the first amount to choose from, or the least.
func (o LinkOffer) proposed() string {
	for preset := range strings.FieldsSeq(strings.ReplaceAll(o.Presets.Value, ";", " ")) {
		return strings.TrimSuffix(preset, ",")
	}
	return o.Min.Value
}

// asked is what the closed fold of questions says it holds.
func (o LinkOffer) asked() string {
	var words []string
	for _, a := range linkAsks {
		if o.asks(a.Value) {
			words = append(words, a.Word)
		}
	}
	if o.Tips {
		words = append(words, "Tip")
	}
	if len(words) == 0 {
		return "Nothing"
	}
	return strings.Join(words, ", ")
}

// LinkTerms is what a link's own page says beyond title and price. The zero LinkTerms is a link with a fixed amount.
type LinkTerms struct {
	Sells    string // "amount", "items", "open" or "short"
	Lines    []LinkLine
	Least    money.USDC   // of an open amount
	Presets  []money.USDC // what is proposed
	Target   string       // of a short link
	Free     bool         // the short link is followed without a payment
	Opened   int          // how often its page was opened
	Clicks   int          // how often it was followed
	Starts   time.Time    // zero: at once
	Asks     []string     // of "name", "email", "note", "tip"
	Message  string
	Paused   bool
	PauseSay string // what buyers read meanwhile
	MayPause bool
	Counter  string // the same link as a display on the counter; empty for none
}

// scan says what the code is for.
func (v LinkView) scan() string {
	switch v.Pricing {
	case "free":
		return "Scan to open " + host(v.Terms.Target)
	case "minimum":
		return "Scan to pay " + AmountUSDC(v.Price) + " or more"
	default:
		return "Scan to pay " + AmountUSDC(v.Price)
	}
}

// proposed are the amounts of an open amount.
func (t LinkTerms) proposed() string {
	words := make([]string, len(t.Presets))
	for i, p := range t.Presets {
		words[i] = Amount(p)
	}
	return strings.Join(words, ", ")
}

// asked says what the buyer is asked.
func (t LinkTerms) asked() string {
	return LinkOffer{Asks: t.Asks, Tips: slices.Contains(t.Asks, "tip")}.asked()
}

// LinkPauseView asks what buyers shall read while a link is paused.
type LinkPauseView struct {
	DashboardView
	Link    id.Link
	Subject string // the link's title
	Text    Field
}

// PosterSizes are the papers that a link's code is printed on.
var PosterSizes = []Option{{"a4", "A4"}, {"a6", "A6"}}

// PosterView is a link's code to print.
//
// Shown by GET /dashboard/links/{link}/poster, with size. It posts nothing.
type PosterView struct {
	Link    id.Link
	Shop    string
	Title   string
	Pricing string // who decides on the price, as an item has it; empty for the seller
	Price   money.USDC
	Leads   string // the host that it leads everybody to; empty where something is paid
	QR      QR
	URL     string // absolute
	Size    string // one of [PosterSizes]
	Test    bool
}

// how says what to do with the code.
func (v PosterView) how() string {
	if v.Leads != "" {
		return "Scan with the camera of your phone to open " + v.Leads + "."
	}
	return "Scan with the camera of your phone, and pay from your wallet."
}

// cost is what a link's list shows under USDC.
func (r LinkRow) cost() string { return priceCell(r.Pricing, r.Price) }

// plainURL is an address as people type it.
func plainURL(address string) string {
	_, plain, found := strings.Cut(address, "://")
	if !found {
		return address
	}
	return plain
}

// VerifyView proves a receipt from the chain alone.
//
// Shown by GET /verify to everybody. It posts, as multipart/form-data to the same address, receipt (the text of a receipt)
// or file (the same as a file) → 200 with what came of it, 422 for what is no receipt.
type VerifyView struct {
	Receipt Field
	Result  *Proof
	Test    bool
}

// Proof is what came of checking a receipt.
type Proof struct {
	Verdict string // one of the Proof… words
	Amount  money.USDC
	From    string
	To      string
	Paid    time.Time
	Network string
	Lines   []CartLine // only where the cart is bound
	Checks  []ProofCheck
	URL     string // of the transaction at an explorer; empty for none
}

// What can be said of a receipt.
const (
	ProofWhole  = "whole"  // payer, payee, amount and what was bought
	ProofPaid   = "paid"   // payer, payee and amount: the payer's program did not tie the payment to what was bought
	ProofBroken = "broken" // the receipt is not true
	ProofAway   = "away"   // the chain could not be asked
)

// ProofCheck is one thing that was looked at.
type ProofCheck struct {
	Text  string // "The payment is on the chain"
	State string // "settled", "failed" or "open": not looked at
	Note  string // what was found instead, or why it was not looked at
}

type proofWords struct{ state, title, sentence string }

var proofs = map[string]proofWords{
	ProofWhole:  {"settled", "This receipt is true", "Who paid, to whom, how much and for what stands on the chain."},
	ProofPaid:   {"settled", "This payment is true", "Who paid, to whom and how much stands on the chain. What was bought is the shop’s word: the payment itself does not name it."},
	ProofBroken: {"failed", "This receipt is not true", "The chain says something else."},
	ProofAway:   {"unknown", "This could not be checked", "The chain did not answer. Try again in a minute."},
}
