package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"xsynesis/checkout"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/views"
)

// asked is what somebody answered to the questions before a purchase: in a form, or in a link's address.
type asked func(name string) string

// otherAmount is the choice of an amount of one's own.
const otherAmount = "other"

// choice reads how many and how much.
func (a asked) choice() (shop.Choice, error) {
	var choice shop.Choice
	var wrong []error
	if text := strings.TrimSpace(a("qty")); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			wrong = append(wrong, &shop.FieldError{Field: "qty", Message: "Give a whole number from 1 on."})
		}
		choice.Qty = n
	}
	var err error
	choice.Amount, err = a.amount("amount")
	wrong = append(wrong, err)
	choice.Tip, err = a.amount("tip")
	return choice, errors.Join(append(wrong, err)...)
}

// amount reads one of the proposed amounts, or what was typed in their place; 0 for nothing.
func (a asked) amount(name string) (money.USDC, error) {
	text := strings.TrimSpace(a(name))
	switch text {
	case "":
		return 0, nil
	case otherAmount:
		text = strings.TrimSpace(a(name + "_other"))
	}
	return readAmount(name, text)
}

// buyer reads what somebody tells of himself.
func (a asked) buyer() checkout.Buyer {
	b := checkout.Buyer{Email: a("email"), Name: a("name"), Note: a("note")}
	address := checkout.Address{
		Name: a(shippingField + "name"), Line1: a(shippingField + "line1"), Line2: a(shippingField + "line2"),
		PostalCode: a(shippingField + "postal_code"), City: a(shippingField + "city"), State: a(shippingField + "state"),
		Country: a(shippingField + "country"),
	}
	if address != (checkout.Address{}) {
		b.Shipping = &address
	}
	return b
}

const shippingField = "shipping_address."

// askView asks what an offer asks, with what was answered before and why that was refused.
func askView(o shop.Offer, sent asked, problem error) views.Ask {
	problems := map[string]string{}
	for _, f := range shop.FieldErrors(problem) {
		problems[f.Field] = f.Message
	}
	field := func(name string) views.Field { return views.Field{Value: sent(name), Problem: problems[name]} }
	v := views.Ask{Unit: unitOf(o), Ships: o.Ships()}
	qty, amount := o.Asks()
	if v.Quantity = qty; qty {
		v.Qty = field("qty")
	}
	if amount {
		v.Open = &views.OpenAsk{Presets: o.Link.Presets, Least: leastOf(o), Amount: field("amount"), Other: field("amount_other")}
		if v.Open.Amount.Value == otherAmount {
			v.Open.Other.Problem, v.Open.Amount.Problem = v.Open.Amount.Problem, ""
		} else if v.Open.Amount.Value == "" && len(v.Open.Presets) == 0 && v.Unit > v.Open.Least {
			v.Open.Amount.Value = v.Unit.String() // what is suggested
		}
	}
	asks := o.Link.Asks
	if asks.Tip && !amount { // who decides how much he gives needs no tip
		v.Tips, v.Tip = tipsOf(o.Amount-o.Choice.Tip), field("tip")
		v.TipOther = views.Field{Value: sent("tip_other"), Problem: v.Tip.Problem}
	}
	v.Name = views.AskField{Field: field("name"), Asked: asks.Name}
	v.Email = views.AskField{Field: field("email"), Asked: asks.Email}
	v.Note = views.AskField{Field: field("note"), Asked: asks.Note}
	if v.Ships {
		v.Shipping = views.ShippingForm{
			Name: field(shippingField + "name"), Line1: field(shippingField + "line1"), Line2: field(shippingField + "line2"),
			PostalCode: field(shippingField + "postal_code"), City: field(shippingField + "city"), State: field(shippingField + "state"),
			Country: field(shippingField + "country"),
		}
	}
	return v
}

// unitOf is what one of an offer costs, without a tip.
func unitOf(o shop.Offer) money.USDC {
	return (o.Amount - o.Choice.Tip) / money.USDC(max(o.Choice.Qty, 1))
}

// leastOf is what a buyer gives at least who decides how much.
func leastOf(o shop.Offer) money.USDC {
	switch {
	case len(o.Goods) == 0:
		return o.Link.Price
	case o.Goods[0].Pricing == shop.Minimum:
		return o.Goods[0].Price
	default:
		return 0
	}
}

// tipsOf are the tips that are proposed for a price: shares of it in whole cents.
func tipsOf(price money.USDC) []views.Tip {
	tips := []views.Tip{} // asked for, even where every share is less than a cent
	for _, share := range tipShares {
		if amount := shareOf(price, share); amount > 0 {
			tips = append(tips, views.Tip{Percent: share, Amount: amount})
		}
	}
	return tips
}

// askProblem says in one sentence why a form was refused.
func askProblem(problem error) string {
	if n := len(shop.FieldErrors(problem)); n > 1 {
		return fmt.Sprintf("%d fields need a change. Nothing was charged.", n)
	}
	r, _ := replyTo(problem)
	return r.message
}

// formStatus is with which status a form comes back.
func formStatus(problem error) int {
	r, field := replyTo(problem)
	if field != "" {
		return http.StatusUnprocessableEntity
	}
	return r.status
}
