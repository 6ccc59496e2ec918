package x402

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxDepth   = 32  // objects and arrays inside each other; payments with extensions reach about 12
	maxMembers = 128 // of one object, so that looking for duplicates stays cheap
)

// node is one JSON value. Nodes stand in the order of the text, so that the members of an object follow it.
type node struct {
	key  string // its name, if it is a member of an object
	text string // a string's value, a number's literal
	end  int    // the index behind its last descendant
	kind byte   // '{' '[' '"' '0' 't' 'f' 'n'
}

// reader reads JSON more strictly than encoding/json: a name stands in an object once, and names are exact.
// Two readers that choose different ones of two equal names would see two different payments. Like encoding/json
// it replaces what is no UTF-8, because some clients send Latin-1 in texts that we do not look at.
type reader struct {
	text  string
	at    int
	nodes []node
}

// readJSON returns the nodes of one JSON value with nothing but white space around it.
func readJSON(text string) ([]node, error) {
	r := reader{text: text, nodes: make([]node, 0, 40)} // a usual version 2 payment has 26
	if err := r.value("", 0); err != nil {
		return nil, err
	}
	r.space()
	if r.at != len(text) {
		return nil, r.unexpected()
	}
	return r.nodes, nil
}

func (r *reader) value(key string, depth int) error {
	r.space()
	start := len(r.nodes)
	r.nodes = append(r.nodes, node{key: key})
	var text string
	var err error
	kind := r.peek()
	switch kind {
	case '{', '[':
		err = r.container(start, kind+2, depth+1) // in ASCII, closing stands two behind opening
	case '"':
		text, err = r.str()
	case 't':
		err = r.literal("true")
	case 'f':
		err = r.literal("false")
	case 'n':
		err = r.literal("null")
	default:
		kind = '0'
		text, err = r.number()
	}
	if err != nil {
		return err
	}
	n := &r.nodes[start]
	n.kind, n.text, n.end = kind, text, len(r.nodes)
	return nil
}

// container reads the members of an object or the elements of an array, up to its closing bracket.
func (r *reader) container(start int, closing byte, depth int) error {
	if depth > maxDepth {
		return invalid(Malformed, "JSON deeper than %d", maxDepth)
	}
	r.at++
	r.space()
	if r.peek() == closing {
		r.at++
		return nil
	}
	for {
		var name string
		var err error
		if closing == '}' {
			if name, err = r.name(start); err != nil {
				return err
			}
		}
		if err := r.value(name, depth); err != nil {
			return err
		}
		r.space()
		switch r.peek() {
		case ',':
			r.at++
		case closing:
			r.at++
			return nil
		default:
			return r.unexpected()
		}
	}
}

// name reads a member's name and its colon.
func (r *reader) name(object int) (string, error) {
	r.space()
	if r.peek() != '"' {
		return "", r.unexpected()
	}
	name, err := r.str()
	if err != nil {
		return "", err
	}
	count := 0
	for i := object + 1; i < len(r.nodes); i = r.nodes[i].end {
		if count++; count == maxMembers {
			return "", invalid(Malformed, "JSON object of more than %d members", maxMembers)
		}
		if r.nodes[i].key == name {
			return "", invalid(Malformed, "JSON name %.40q stands twice", name)
		}
	}
	r.space()
	if r.peek() != ':' {
		return "", r.unexpected()
	}
	r.at++
	return name, nil
}

// str reads a string. The usual one has no escapes and is a part of the text.
func (r *reader) str() (string, error) {
	start := r.at + 1
	for i := start; i < len(r.text); i++ {
		switch c := r.text[i]; {
		case c == '"':
			r.at = i + 1
			return r.text[start:i], nil
		case c == '\\' || c >= utf8.RuneSelf:
			r.at = i
			return r.unescape(r.text[start:i])
		case c < ' ':
			r.at = i
			return "", r.unexpected()
		}
	}
	r.at = len(r.text)
	return "", r.unexpected()
}

// unescape reads the rest of a string that begins with done.
func (r *reader) unescape(done string) (string, error) {
	var b strings.Builder
	b.WriteString(done)
	for r.at < len(r.text) {
		switch c := r.text[r.at]; {
		case c == '"':
			r.at++
			return b.String(), nil
		case c == '\\':
			char, ok := r.escape()
			if !ok {
				return "", r.unexpected()
			}
			b.WriteRune(char)
		case c < ' ':
			return "", r.unexpected()
		default:
			char, size := utf8.DecodeRuneInString(r.text[r.at:])
			b.WriteRune(char)
			r.at += size
		}
	}
	return "", r.unexpected()
}

func (r *reader) escape() (rune, bool) {
	if r.at+1 >= len(r.text) {
		return 0, false
	}
	c := r.text[r.at+1]
	if c == 'u' {
		return r.unicode()
	}
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	i := strings.IndexByte(from, c)
	if i < 0 {
		return 0, false
	}
	r.at += 2
	return rune(to[i]), true
}

// unicode reads \uXXXX, or two of them that are a surrogate pair; half a pair becomes U+FFFD.
func (r *reader) unicode() (rune, bool) {
	first, ok := r.hex4()
	if !ok {
		return 0, false
	}
	if !utf16.IsSurrogate(first) {
		return first, true
	}
	back := r.at
	if second, ok := r.hex4(); ok {
		if pair := utf16.DecodeRune(first, second); pair != utf8.RuneError {
			return pair, true
		}
	}
	r.at = back
	return utf8.RuneError, true
}

func (r *reader) hex4() (rune, bool) {
	rest := r.text[r.at:]
	if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(rest[2:6], 16, 16)
	if err != nil {
		return 0, false
	}
	r.at += 6
	return rune(n), true
}

// number reads a number as it stands; nobody here does arithmetic with one.
func (r *reader) number() (string, error) {
	start := r.at
	if r.peek() == '-' {
		r.at++
	}
	if r.peek() == '0' {
		r.at++
	} else if !r.digits() {
		return "", r.unexpected()
	}
	if r.peek() == '.' {
		r.at++
		if !r.digits() {
			return "", r.unexpected()
		}
	}
	if c := r.peek(); c == 'e' || c == 'E' {
		r.at++
		if c := r.peek(); c == '+' || c == '-' {
			r.at++
		}
		if !r.digits() {
			return "", r.unexpected()
		}
	}
	return r.text[start:r.at], nil
}

func (r *reader) digits() bool {
	start := r.at
	for c := r.peek(); c >= '0' && c <= '9'; c = r.peek() {
		r.at++
	}
	return r.at > start
}

func (r *reader) literal(word string) error {
	if !strings.HasPrefix(r.text[r.at:], word) {
		return r.unexpected()
	}
	r.at += len(word)
	return nil
}

func (r *reader) space() {
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return
		}
	}
}

// peek returns the next byte, or 0 at the end: no JSON has a bare 0.
func (r *reader) peek() byte {
	if r.at < len(r.text) {
		return r.text[r.at]
	}
	return 0
}

func (r *reader) unexpected() error {
	if r.at >= len(r.text) {
		return invalid(Malformed, "JSON ends too early")
	}
	return invalid(Malformed, "no JSON at byte %d", r.at)
}
