package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"xsynesis/shop"
)

// errJSON is returned for a body that is not one JSON object.
var errJSON = errors.New("handlers: malformed JSON")

// field is a member of a request that tells "not there" from null.
type field[T any] struct {
	Set   bool
	Value T // the zero value for null
}

// UnmarshalJSON is called only for members that are there.
func (f *field[T]) UnmarshalJSON(text []byte) error {
	f.Set = true
	return json.Unmarshal(text, &f.Value)
}

// example tells the type that a member holds.
func (f field[T]) example() any { return f.Value }

// decode reads the body into a struct, more strictly than encoding/json: one object and nothing after it,
// names exact and each once, no names that are not known, and every mistake told with its field.
func decode(c echo.Context, into any) error {
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	members, err := readObject(body)
	if err != nil {
		return err
	}
	v := reflect.ValueOf(into).Elem()
	for _, f := range reflect.VisibleFields(v.Type()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		text, ok := members[name]
		if !ok || name == "" {
			continue
		}
		delete(members, name)
		value := v.FieldByIndex(f.Index)
		if err := json.Unmarshal(text, value.Addr().Interface()); err != nil {
			return &shop.FieldError{Field: name, Message: expected(value)}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		return &shop.FieldError{Field: name, Message: "This field is not known here."}
	}
	return nil
}

// expected says what a member must be, to somebody who sent something else.
func expected(v reflect.Value) string {
	example := v.Interface()
	if f, ok := example.(interface{ example() any }); ok {
		example = f.example()
	}
	switch example.(type) {
	case *time.Time:
		return "Give a time such as 2026-01-02T15:04:05Z."
	case *int, *int64:
		return "Give a whole number."
	case bool, *bool:
		return "Give true or false."
	case []string:
		return "Give a list of texts."
	default:
		return "Give a text."
	}
}

// readObject splits a JSON object into its members.
func readObject(body []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(body) || checkJSON(body) != nil {
		return nil, errJSON
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return nil, errJSON
	}
	return members, nil
}

const (
	maxDepth    = 64
	maxNumber   = 100 // characters
	maxExponent = 300
)

// checkJSON refuses what two readers could read differently, and what a database cannot hold: names that stand
// twice in one object, NUL characters, numbers beyond all measure.
func checkJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := checkValue(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errJSON
	}
	return nil
}

func checkValue(d *json.Decoder, depth int) error {
	token, err := d.Token()
	if err != nil || depth > maxDepth {
		return errJSON
	}
	switch t := token.(type) {
	case json.Delim:
		return checkMembers(d, t == '{', depth+1)
	case string:
		return checkText(t)
	case json.Number:
		return checkNumber(string(t))
	}
	return nil
}

// checkMembers reads what is inside an object or array, up to its end.
func checkMembers(d *json.Decoder, object bool, depth int) error {
	var names []string
	for d.More() {
		if object {
			token, err := d.Token()
			name, ok := token.(string)
			if err != nil || !ok || checkText(name) != nil {
				return errJSON
			}
			names = append(names, name)
		}
		if err := checkValue(d, depth); err != nil {
			return err
		}
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != len(names) {
		return errJSON
	}
	_, err := d.Token()
	return err
}

func checkText(s string) error {
	if strings.ContainsRune(s, 0) {
		return errJSON
	}
	return nil
}

func checkNumber(s string) error {
	_, exponent, ok := strings.Cut(strings.ToLower(s), "e")
	n, err := strconv.Atoi(exponent)
	if len(s) > maxNumber || ok && (err != nil || n > maxExponent || n < -maxExponent) {
		return errJSON
	}
	return nil
}

// object brings a member that is any JSON object into the form in which it is kept; half surrogate pairs,
// which no database takes, become U+FFFD.
func object(name string, text json.RawMessage) (json.RawMessage, error) {
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		return nil, &shop.FieldError{Field: name, Message: "Give a JSON object."}
	}
	out, err := json.Marshal(v)
	if err != nil || len(out) > maxMetadata {
		return nil, &shop.FieldError{Field: name, Message: "Give a JSON object of at most 4096 bytes."}
	}
	return out, nil
}

// maxMetadata is how much a shop may keep with a row, in bytes.
const maxMetadata = 4096
