package views

import (
	"time"

	"xsynesis/id"
	"xsynesis/money"
)

// ChargeView is one purchase as its till shows it: the code, the customer's progress, the receipt.
//
// Shown by GET /pos/charges/{attempt} to whoever unlocked the till; ?cancel=1 asks before a cancellation. A purchase that
// gave way to another, because the customer added a tip, is answered 303 to the one that followed.
//
// Its forms:
//
//	POST /pos/charges/{attempt}/cancellation  → 303 to the register with the same ticket; paid by then: to the charge
//	POST /pos/charges/{attempt}/completion    Next customer: empties the ticket, locks where the shop wants that → 303 /pos
//	POST /pos/charges                         once, total: another code after one that expired or failed
//	POST /pos/charges/{attempt}/acceptance    keeps the money of a late payment → 303 to the charge
//	POST /pos/charges/{attempt}/refund        puts it on the shop's list of what is given back → 303 to the charge
//
// Live: the whole screen.
type ChargeView struct {
	TillFrame
	Attempt   id.Attempt
	Status    string // as JSON has it: open, settling, settled, …
	Reference string // "Table 4"; empty for none
	Cart      Cart   // with what adds up to the amount, a tip of the customer among it
	QR        QR     // of the purchase's address, without a buyer's token
	ReceiptQR QR
	Number    string // of the receipt; short
	Once      string // idempotency key of another code for the same ticket

	ShownAt, OpenedAt, ApprovedAt, SettledAt time.Time
	EndedAt                                  time.Time // expired or cancelled
	CertainBy                                time.Time // while the outcome is not known
	Note                                     string    // of the customer's progress: "Their wallet holds less than the price."
	Payer                                    string

	Cancelling  bool   // asks whether to cancel
	AfterCancel bool   // paid after somebody at the till cancelled it
	Short       string // why the goods of a late payment cannot be handed over; empty where they are held again
	Decided     string // what became of a late payment: [LateAccepted], [LateRefund] or empty
	Problem     string // the sentence that refuses what was just asked for
	Simulated   bool
}

// What becomes of a payment that came after its sale ended.
const (
	LateAccepted = "accepted"
	LateRefund   = "refund"
)

// state is the purchase's state in the words of the till.
func (v ChargeView) state() string {
	switch {
	case v.Status == "settled_late" && v.AfterCancel:
		return "paid_after_cancel"
	case v.Status == "open" && !v.OpenedAt.IsZero():
		return "opened"
	}
	return v.Status
}

func (v ChargeView) path() string {
	if v.Cancelling {
		return tillCancelAsk(v.Attempt)
	}
	return TillChargePath(v.Attempt)
}

// live tells whether the screen should expect news: a code that ended may still be paid.
func (v ChargeView) live() bool {
	switch v.Status {
	case "open", "settling", "unknown", "expired", "cancelled":
		return true
	}
	return false
}

func (v ChargeView) page() Page {
	p := v.TillFrame.page(StatusOf(v.state()).Word + ", " + AmountUSDC(v.Cart.Amount))
	p.Refresh = v.live()
	return p
}

// about is "Table 4, 4 items".
func (v ChargeView) about() string {
	if v.Reference == "" {
		return v.Cart.itemCount()
	}
	return v.Reference + ", " + v.Cart.itemCount()
}

// paidBy is "Table 4, from …9aB0", or less of it.
func (v ChargeView) paidBy() string {
	from := ""
	if v.Payer != "" {
		from = "from " + lastFour(v.Payer)
	}
	return listed(v.Reference, from)
}

// lateSentence says what the cashier can do about money that came after the end.
func (v ChargeView) lateSentence() string {
	switch {
	case v.Decided == LateAccepted:
		return "Accepted. The customer gets what he paid for."
	case v.Decided == LateRefund:
		return "It is on the shop's refund list, and goes back to the wallet that it came from. Hand nothing over."
	case v.Short != "":
		return v.Short + " Give the money back, or accept it if the customer takes something else."
	}
	return "Everything is still there. Hand it over and accept the money, or give it back."
}

// TillSale is a row of what a till sold.
type TillSale struct {
	Attempt     id.Attempt
	At          time.Time
	Title       string // "Flat white and 2 more"
	Reference   string
	Cashier     string
	Amount      money.USDC
	Status      string
	AfterCancel bool
}

func (s TillSale) state() string {
	if s.Status == "settled_late" && s.AfterCancel {
		return "paid_after_cancel"
	}
	return s.Status
}

// detail is ", Table 4, Mette": what stands behind what became of it and when.
func (s TillSale) detail() string {
	text := ""
	for _, word := range []string{s.Reference, s.Cashier} {
		if word != "" {
			text += ", " + word
		}
	}
	return text
}

// TillSalesView is what this till sold lately.
//
// Shown by GET /pos/sales, newest first, with the paging of every list. No forms. Live: [LiveFragment].
type TillSalesView struct {
	TillFrame
	Live  string // its own address with its query
	Rows  []TillSale
	Since time.Time  // when the day began that is added up
	Today money.USDC // paid at this till since then
	Sold  int        // how many sales that were
	Pages Pages
}

// CounterView is a payment link on the counter: its code, and who has just paid.
//
// Shown by GET /pos/{token}; nobody has to sign in, as it shows no more than the link's own page and the ends of payers'
// addresses. No forms. Live: [LiveFragment], told by GET /pos/{token}/events.
type CounterView struct {
	Token  string
	Payee  Payee
	Cart   Cart
	Asks   bool       // the buyer decides how much
	Least  money.USDC // that he may give
	QR     QR         // of the link
	Closed string     // one of the Closed… words, or empty
	Paid   []CounterPayment
	Theme  string
	Test   bool
}

// CounterPayment is one of the latest payments at a link, newest first.
type CounterPayment struct {
	At     time.Time
	Amount money.USDC
	Payer  string
}

func (v CounterView) page() Page {
	p := counterFrame(v.Cart.Title+", "+v.Payee.Name, v.Test)
	p.Theme, p.Refresh, p.Install = v.Theme, true, false
	return p
}
