package shop

import (
	"strings"
)

// Asks is what a link's buyers are asked before they pay. None of it has to be answered.
type Asks struct {
	Name, Email, Note, Tip bool
}

// askWords are the questions as rows, forms and programs name them, in the order in which buyers read them.
var askWords = []string{"name", "email", "note", "tip"}

// AsksOf reads questions by their names. Errors: [*FieldError].
func AsksOf(words []string) (Asks, error) {
	var a Asks
	for _, w := range words {
		asked := a.named(w)
		if asked == nil {
			return Asks{}, &FieldError{"asks", "Ask for any of " + strings.Join(askWords, ", ") + "."}
		}
		*asked = true
	}
	return a, nil
}

// Words names what is asked, in order; it is empty, and not nil, where nothing is.
func (a Asks) Words() []string {
	words := []string{}
	for _, w := range askWords {
		if *a.named(w) {
			words = append(words, w)
		}
	}
	return words
}

// named is the question that a word names, or nil.
func (a *Asks) named(word string) *bool {
	switch word {
	case "name":
		return &a.Name
	case "email":
		return &a.Email
	case "note":
		return &a.Note
	case "tip":
		return &a.Tip
	}
	return nil
}

// asksOf reads what a row asks, which the database keeps to the known questions.
func asksOf(words []string) Asks {
	a, _ := AsksOf(words) // the row’s check names the same words
	return a
}
