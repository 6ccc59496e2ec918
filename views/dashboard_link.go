package views

import (
	"cmp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/a-h/templ"

	"xsynesis/money"
)

// action is where the form is posted: the list for a new link, else its own edit page.
func (v LinkFormView) action() string {
	if v.Link == "" {
		return LinksPath
	}
	return LinkEditPath(v.Link)
}

// back is where Cancel leads.
func (v LinkFormView) back() string {
	if v.Link == "" {
		return LinksPath
	}
	return LinkDetailPath(v.Link)
}

func (v LinkFormView) verb() string {
	if v.Link == "" {
		return "Create link"
	}
	return "Save link"
}

// busy is the verb while it is being done.
func (v LinkFormView) busy() string {
	if v.Link == "" {
		return "Creating…"
	}
	return "Saving…"
}

// limits is what the closed fold says it holds.
func (v LinkFormView) limits() string {
	var parts []string
	if begins, err := time.Parse("2006-01-02T15:04", v.Offer.Starts.Value); err == nil {
		parts = append(parts, "from "+begins.Format("2 Jan"))
	}
	if v.MaxPayments.Value != "" {
		parts = append(parts, v.MaxPayments.Value+" payments")
	}
	if ends, err := time.Parse("2006-01-02T15:04", v.Expires.Value); err == nil {
		parts = append(parts, "until "+ends.Format("2 Jan"))
	}
	return cmp.Or(strings.Join(parts, ", "), "None")
}

func (v LinkFormView) afterPayment() string {
	switch {
	case v.SuccessURL.Value == "" && v.Offer.Message.Value != "":
		return "Show a message"
	case v.SuccessURL.Value == "":
		return "Show the receipt"
	}
	return "Show the receipt"
}

// previewPrice is the price as the buyer will read it, as far as one has been typed.
func (v LinkFormView) previewPrice() string {
	typed := v.Price.Value
	switch v.Offer.Sells.Value {
	case "items":
		return Amount(v.Offer.sum())
	case "open":
		typed = v.Offer.proposed()
	}
	price, err := money.ParseUSDC(typed)
	if err != nil {
		return "0.00"
	}
	return Amount(price)
}

// titleHint says who reads the title, and who need not write one.
func (v LinkFormView) titleHint() string {
	if v.Offer.Sells.Value == "" {
		return "The buyer reads this above the amount."
	}
	return "The buyer reads this above the amount. Items can go by their own names."
}

// fieldAttributes ties a control to its label and to the note below it.
func fieldAttributes(name string, f Field) templ.Attributes {
	a := templ.Attributes{"id": name, "name": name, "aria-describedby": name + "-note"}
	if f.Problem != "" {
		a["aria-invalid"] = "true"
	}
	return a
}

// fileName is what a saved code is called, from the letters and digits of the link's title.
func (v LinkView) fileName() string {
	words := strings.FieldsFunc(strings.ToLower(v.Title), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	return cmp.Or(strings.Join(words, "-"), "link")
}

// paidOf writes how often a link was paid: "12", or "12 of 40" where there is a limit.
func paidOf(paid, limit int) string {
	if limit == 0 {
		return strconv.Itoa(paid)
	}
	return strconv.Itoa(paid) + " of " + strconv.Itoa(limit)
}
