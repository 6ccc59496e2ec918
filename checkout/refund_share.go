package checkout

import (
	"math/bits"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
)

// refundable is one line of a purchase, and what of it went back before.
type refundable struct {
	sale    id.Sale
	line    int
	title   string
	qty     int
	amount  money.USDC // as it was sold; a discount's is below zero
	worth   money.USDC // what was paid for it: its share of what was paid in all
	gone    money.USDC
	goneQty int
}

func (r refundable) left() money.USDC { return r.worth - r.gone }

// share is so much of an amount as part is of whole, rounded down.
func share(of money.USDC, part, whole int64) money.USDC {
	if whole <= 0 || of <= 0 || part <= 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(of), uint64(min(part, whole)))
	quotient, _ := bits.Div64(high, low, uint64(whole))
	return money.USDC(quotient)
}

// weigh spreads what was paid over the lines that cost something, so that the parts sum to it: a discount is each line's in
// proportion.
func weigh(lines []refundable, paid money.USDC) {
	var sum, upTo money.USDC
	for _, l := range lines {
		sum += max(l.amount, 0)
	}
	for i := range lines {
		before := share(paid, int64(upTo), int64(sum))
		upTo += max(lines[i].amount, 0)
		lines[i].worth = share(paid, int64(upTo), int64(sum)) - before
	}
}

// refundPlan is what goes back: amount in all, and what of it is each line's. What came above the price is no line's.
type refundPlan struct {
	amount money.USDC
	lines  []RefundedLine
}

func (p *refundPlan) add(l refundable, qty int, amount money.USDC) {
	if l.amount < 0 || qty == 0 && amount == 0 { // a discount is in what was paid for the others
		return
	}
	p.lines = append(p.lines, RefundedLine{Sale: l.sale, Line: l.line, Title: l.title, Qty: qty, Amount: amount})
}

// planRefund says what goes back of a purchase of which so much is left.
// Errors: [ErrNothingToRefund], [ErrOverRefund], [*shop.FieldError].
func planRefund(lines []refundable, left money.USDC, f RefundForm) (refundPlan, error) {
	if left <= 0 {
		return refundPlan{}, ErrNothingToRefund
	}
	switch {
	case len(f.Lines) > 0:
		if f.Amount != nil {
			return refundPlan{}, &shop.FieldError{Field: "amount", Message: "Name pieces or an amount, not both."}
		}
		return planPieces(lines, f.Lines)
	case f.Sale != "":
		return planPart(only(lines, f.Sale), 0, f.Amount)
	default:
		return planPart(lines, left, f.Amount)
	}
}

func only(lines []refundable, sale id.Sale) []refundable {
	for i := range lines {
		if lines[i].sale == sale {
			return lines[i : i+1]
		}
	}
	return nil
}

// planPieces gives so many pieces of some lines back, each at what was paid for it. The last piece takes what is left.
func planPieces(lines []refundable, pieces []RefundPiece) (plan refundPlan, err error) {
	seen := map[id.Sale]bool{}
	for _, piece := range pieces {
		of := only(lines, piece.Sale)
		if len(of) == 0 || seen[piece.Sale] {
			return refundPlan{}, &shop.FieldError{Field: "lines", Message: "Name each line of one purchase once, by its sale."}
		}
		seen[piece.Sale] = true
		l := of[0]
		if piece.Qty < 1 || piece.Qty > l.qty-l.goneQty {
			return refundPlan{}, &shop.FieldError{Field: "lines", Message: "That is more of “" + l.title + "” than is left to give back."}
		}
		after := l.goneQty + piece.Qty
		amount := share(l.worth, int64(after), int64(l.qty)) - share(l.worth, int64(l.goneQty), int64(l.qty))
		if after == l.qty {
			amount = l.left()
		}
		plan.add(l, piece.Qty, min(amount, l.left()))
		plan.amount += min(amount, l.left())
	}
	if plan.amount <= 0 {
		return refundPlan{}, ErrNothingToRefund
	}
	return plan, nil
}

// planExcess gives back what came above the price.
func planExcess(lines []refundable, left, amount money.USDC) (refundPlan, error) {
	for _, l := range lines {
		left -= l.left()
	}
	if amount > left {
		return refundPlan{}, ErrOverRefund
	}
	return refundPlan{amount: amount}, nil
}

// planPart gives an amount back, or all that is left, spread over lines in proportion to what is left of them. What is left in
// all may be above what is left of the lines; where it is not given, it is theirs.
func planPart(lines []refundable, left money.USDC, amount *money.USDC) (plan refundPlan, err error) {
	var ofLines money.USDC
	for _, l := range lines {
		ofLines += l.left()
	}
	left = max(left, ofLines)
	plan.amount = left
	if amount != nil {
		plan.amount = *amount
	}
	switch {
	case left <= 0:
		return refundPlan{}, ErrNothingToRefund
	case plan.amount > left:
		return refundPlan{}, ErrOverRefund
	}
	spread, upTo := min(plan.amount, ofLines), money.USDC(0)
	for _, l := range lines {
		before := share(spread, int64(upTo), int64(ofLines))
		upTo += l.left()
		qty := 0
		if plan.amount == left {
			qty = l.qty - l.goneQty
		}
		plan.add(l, qty, share(spread, int64(upTo), int64(ofLines))-before)
	}
	return plan, nil
}
