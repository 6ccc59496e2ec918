package checkout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"strings"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/shop"
)

// Buyer is what a buyer tells of himself, if he likes. It is for the shop alone.
type Buyer struct {
	Email    string
	Name     string
	Note     string
	Shipping *Address // nil: nothing is sent
}

// Address is where goods are sent.
type Address struct {
	Name       string `json:"name"`
	Line1      string `json:"line1"`
	Line2      string `json:"line2,omitempty"`
	PostalCode string `json:"postal_code"`
	City       string `json:"city"`
	State      string `json:"state,omitempty"`
	Country    string `json:"country"` // ISO 3166-1, two capital letters
}

const (
	maxEmail = 254
	maxName  = 120
	maxNote  = 500
)

// check names every field that is wrong.
func (b *Buyer) check() error {
	b.Email, b.Name, b.Note = strings.TrimSpace(b.Email), strings.TrimSpace(b.Name), strings.TrimSpace(b.Note)
	var wrong []error
	refuse := func(field, message string) { wrong = append(wrong, &shop.FieldError{Field: field, Message: message}) }
	if b.Email != "" {
		parsed, err := mail.ParseAddress(b.Email)
		if err != nil || parsed.Address != b.Email || len(b.Email) > maxEmail || !shop.OneLine(b.Email, maxEmail) {
			refuse("email", "Give an e-mail address such as ada@example.org.")
		}
	}
	if !shop.OneLine(b.Name, maxName) {
		refuse("name", fmt.Sprintf("Use at most %d printable characters.", maxName))
	}
	if !shop.Lines(b.Note, maxNote) {
		refuse("note", fmt.Sprintf("Use at most %d printable characters.", maxNote))
	}
	if b.Shipping != nil {
		wrong = append(wrong, b.Shipping.check())
	}
	return errors.Join(wrong...)
}

// check names every field that is wrong.
func (a *Address) check() error {
	var wrong []error
	refuse := func(field, message string) {
		wrong = append(wrong, &shop.FieldError{Field: "shipping_address." + field, Message: message})
	}
	for _, f := range []struct {
		name    string
		text    *string
		missing string // what is said of an empty one; empty where it need not be given
	}{
		{"name", &a.Name, "Say who receives it."}, {"line1", &a.Line1, "Give the street and the number."}, {"line2", &a.Line2, ""},
		{"postal_code", &a.PostalCode, ""}, {"city", &a.City, "Give the town."}, {"state", &a.State, ""},
	} {
		*f.text = strings.TrimSpace(*f.text)
		switch {
		case *f.text == "" && f.missing != "":
			refuse(f.name, f.missing)
		case !shop.OneLine(*f.text, maxName):
			refuse(f.name, fmt.Sprintf("Use at most %d printable characters.", maxName))
		}
	}
	a.Country = strings.ToUpper(strings.TrimSpace(a.Country))
	if a.Country == "" {
		refuse("country", "Choose the country.")
	} else if len(a.Country) != 2 || strings.ContainsFunc(a.Country, func(r rune) bool { return r < 'A' || r > 'Z' }) {
		refuse("country", "Give the country in two letters, such as DK.")
	}
	return errors.Join(wrong...)
}

// add lays out what a buyer told, if he told anything.
func (b Buyer) add(p *queries.BuyersInsertParams, attempt id.Attempt) {
	if b == (Buyer{}) {
		return
	}
	shipping := ""
	if b.Shipping != nil {
		text, _ := json.Marshal(b.Shipping) // texts always marshal
		shipping = string(text)
	}
	p.Attempts, p.Emails, p.Names = append(p.Attempts, string(attempt)), append(p.Emails, b.Email), append(p.Names, b.Name)
	p.Notes, p.Shippings = append(p.Notes, b.Note), append(p.Shippings, shipping)
}

// BuyerOf returns what the buyer of a purchase told of himself; all empty for nothing.
func (s *Service) BuyerOf(ctx context.Context, attempt id.Attempt) (Buyer, error) {
	row, err := queries.New().BuyerOfAttempt(ctx, s.pool, attempt)
	if errors.Is(err, pgx.ErrNoRows) {
		return Buyer{}, nil
	}
	if err != nil {
		return Buyer{}, fmt.Errorf("buyer of %s: %w", attempt, err)
	}
	b, err := buyerOf(row)
	if err != nil {
		return Buyer{}, fmt.Errorf("address of %s: %w", attempt, err)
	}
	return b, nil
}

func buyerOf(row queries.AttemptBuyer) (Buyer, error) {
	b := Buyer{Email: row.Email, Name: row.Name, Note: row.Note}
	if row.Shipping == nil {
		return b, nil
	}
	b.Shipping = &Address{}
	return b, json.Unmarshal(row.Shipping, b.Shipping)
}
