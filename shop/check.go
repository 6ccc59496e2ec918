package shop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// FieldErrors lists every field that an error calls wrong.
func FieldErrors(err error) (all []*FieldError) {
	switch err := err.(type) { //nolint:errorlint // it is taken apart here
	case *FieldError:
		return []*FieldError{err}
	case interface{ Unwrap() []error }:
		for _, each := range err.Unwrap() {
			all = append(all, FieldErrors(each)...)
		}
	case interface{ Unwrap() error }:
		return FieldErrors(err.Unwrap())
	}
	return all
}

// CheckReturnURL accepts an empty text or an absolute http(s) URL without credentials, backslashes or control characters.
func CheckReturnURL(field, s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	bad := err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || len(s) > 2048 || !utf8.ValidString(s) ||
		strings.ContainsFunc(s, func(r rune) bool { return r == '\\' || r <= ' ' || unicode.IsControl(r) })
	if bad {
		return &FieldError{field, "Give a full address that begins with https://."}
	}
	return nil
}

// printable refuses control characters, but for those in also, and the marks that reverse the direction of a line.
func printable(s, also string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsPrint(r) && !strings.ContainsRune(also, r) || unicode.Is(unicode.Bidi_Control, r)
	})
}

// OneLine accepts a text of at most so many printable characters on one line.
func OneLine(s string, most int) bool { return utf8.RuneCountInString(s) <= most && printable(s, "") }

// Lines accepts a text of at most so many printable characters on any number of lines.
func Lines(s string, most int) bool {
	return utf8.RuneCountInString(s) <= most && printable(s, "\n\r\t")
}

// CheckReference accepts what a seller calls something himself: one line of at most 200 printable characters.
func CheckReference(s string) error {
	if !OneLine(s, maxReference) {
		return &FieldError{"reference", fmt.Sprintf("Use at most %d printable characters.", maxReference)}
	}
	return nil
}

// CheckMetadata brings a seller's own data into the form in which it is kept: a JSON object, {} for none. It refuses
// what the database would: NUL characters, half surrogate pairs, numbers beyond measure.
func CheckMetadata(text json.RawMessage) (json.RawMessage, error) {
	if len(text) == 0 || string(text) == "null" {
		return json.RawMessage("{}"), nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var object map[string]any
	if !utf8.Valid(text) || halfPair(text) || d.Decode(&object) != nil || !whole(d) || !storable(object) {
		return nil, &FieldError{"metadata", "Metadata is a JSON object, without NUL characters or half surrogate pairs."}
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(object); err != nil || out.Len() > maxMetadata+1 {
		return nil, &FieldError{"metadata", fmt.Sprintf("Metadata is a JSON object of at most %d bytes.", maxMetadata)}
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// whole tells whether nothing follows what was read.
func whole(d *json.Decoder) bool {
	_, err := d.Token()
	return errors.Is(err, io.EOF)
}

// storable tells whether the database takes a JSON value.
func storable(v any) bool {
	switch v := v.(type) {
	case string:
		return !strings.ContainsRune(v, 0)
	case json.Number:
		_, exponent, _ := strings.Cut(strings.ToLower(v.String()), "e")
		n, err := strconv.Atoi(exponent)
		return exponent == "" || err == nil && n < maxExponent && n > -maxExponent
	case []any:
		for _, each := range v {
			if !storable(each) {
				return false
			}
		}
	case map[string]any:
		for name, each := range v {
			if !storable(name) || !storable(each) {
				return false
			}
		}
	}
	return true
}

// maxExponent is far below what a number in the database may have.
const maxExponent = 1000

// halfPair finds a surrogate in JSON that its other half does not follow or precede.
func halfPair(text []byte) bool {
	for len(text) > 0 {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || i+1 >= len(text) {
			return false
		}
		text = text[i:]
		first, ok := escaped(text)
		if !ok {
			text = text[2:] // past what is escaped
			continue
		}
		text = text[escapeLength:]
		if !utf16.IsSurrogate(first) {
			continue
		}
		second, _ := escaped(text)
		if utf16.DecodeRune(first, second) == unicode.ReplacementChar {
			return true
		}
		text = text[escapeLength:]
	}
	return false
}

const escapeLength = len(`\u0000`)

// escaped reads \uXXXX at the beginning of a text.
func escaped(text []byte) (rune, bool) {
	if len(text) < escapeLength || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:escapeLength]), 16, 16)
	return rune(n), err == nil
}
