package views

import (
	"strconv"
	"strings"
)

// ReferenceView is the description of the API for people.
type ReferenceView struct {
	Server   string // scheme, host and port of the calls
	About    []ReferenceText
	Sections []ReferenceSection
	Events   []ReferenceEvent
	Objects  []ReferenceObject
	Errors   []ReferenceError
}

// ReferenceText is something that holds for every call. Text between backticks is code.
type ReferenceText struct {
	Title string
	Lines []string
}

// ReferenceSection is a group of calls.
type ReferenceSection struct {
	Title string
	Calls []ReferenceCall
}

// ReferenceCall is one call.
type ReferenceCall struct {
	ID         string // of its place on the page
	Method     string
	Path       string
	Summary    string
	Access     string // who may call
	Parameters []ReferenceField
	Body       []ReferenceField
	Answers    []ReferenceAnswer
}

// ReferenceField is a parameter, or a member of an object.
type ReferenceField struct {
	Name     string
	Kind     string // its type, in words
	Object   string // that Kind names; empty for none
	Required bool
	Meaning  string
}

// ReferenceAnswer is what a call may answer.
type ReferenceAnswer struct {
	Status  string // one or several, separated by commas
	Meaning string
	Kinds   []ReferenceKind
	Headers []ReferenceField
}

// ReferenceKind is the type of an answer's body.
type ReferenceKind struct {
	Text   string
	Object string // that Text names; empty for none
}

// ReferenceEvent is something that a shop's server is told of.
type ReferenceEvent struct {
	Type    string
	Title   string
	Summary string
	Payload []ReferenceField
	Example string // a payload, over several lines
}

// ReferenceObject is a type that answers are made of.
type ReferenceObject struct {
	Name    string
	Summary string
	Fields  []ReferenceField
}

// ReferenceError is one error that calls answer.
type ReferenceError struct {
	Status  int
	Code    string
	Message string
}

// place is the id of a heading.
func place(title string) string { return strings.ReplaceAll(strings.ToLower(title), " ", "-") }

// objectPlace is the id of an object's heading.
func objectPlace(name string) string { return "object-" + name }

// eventPlace is the id of an event's heading.
func eventPlace(name string) string { return "event-" + name }

// piece is a part of a sentence.
type piece struct {
	text string
	code bool
}

// pieces tells the code in a sentence, which stands between backticks, from the rest.
func pieces(sentence string) []piece {
	var out []piece
	for i, text := range strings.Split(sentence, "`") {
		if text != "" {
			out = append(out, piece{text: text, code: i%2 == 1})
		}
	}
	return out
}

// around is what stands before and after the object's name in a type's words.
func around(kind, object string) (before, after string) {
	before, after, _ = strings.Cut(kind, object)
	return before, after
}

func number(n int) string { return strconv.Itoa(n) }
