package handlers

import (
	"strconv"
	"strings"
	"time"

	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/views"
)

// What forms say to somebody who typed something else.
const (
	amountProblem = "Give an amount such as 12.50, with at most six decimals."
	numberProblem = "Give a whole number, such as 12."
	oneOrMore     = "Give a whole number from 1 on."
)

// formTime is a moment as forms send it.
const formTime = "2006-01-02T15:04"

// wholeNumber reads a number as people type it.
func wholeNumber(field, text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, &shop.FieldError{Field: field, Message: numberProblem}
	}
	return n, nil
}

// countOf reads how many there are of something; 0 is what nothing was typed for.
func countOf(field, text string) (int, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, &shop.FieldError{Field: field, Message: oneOrMore}
	}
	return n, nil
}

// readAmount reads what was typed into a field as an amount.
func readAmount(field, text string) (money.USDC, error) {
	amount, err := money.ParseUSDC(text)
	if err != nil {
		return 0, &shop.FieldError{Field: field, Message: amountProblem}
	}
	return amount, nil
}

// readMoment reads a moment, or nil where none is given.
func readMoment(field string, f views.Field) (*time.Time, error) {
	if f.Value == "" {
		return nil, nil //nolint:nilnil // no moment is no mistake
	}
	at, err := time.Parse(formTime, f.Value)
	if err != nil {
		return nil, &shop.FieldError{Field: field, Message: "Give a day and a time, or leave it empty."}
	}
	return &at, nil
}
