package x402

import (
	"encoding/json"
	"strings"
)

// CallShape is what a 402 tells programs and catalogues of the call that it asks to be paid for.
type CallShape struct {
	Method        string
	Input, Output json.RawMessage // examples; nil for none
	Identified    bool            // the payment must carry an identifier of the program's own
}

// maxShape keeps examples out of offers that would not fit into a header any more: version 2 carries them there, and back.
const maxShape = 1500

// What version 2 calls its extensions.
const bazaar = "bazaar"

type schemaV1 struct {
	Input  inputV1         `json:"input"`
	Output json.RawMessage `json:"output,omitempty"`
}

type inputV1 struct {
	Type         string `json:"type"`
	Method       string `json:"method"`
	Discoverable bool   `json:"discoverable"`
}

// v1 is the call as "outputSchema"; nil for none, since clients refuse null.
func (s *CallShape) v1() *schemaV1 {
	if s == nil {
		return nil
	}
	return &schemaV1{Input: inputV1{"http", s.Method, true}, Output: s.Output}
}

type extension struct {
	Info   any `json:"info"`
	Schema any `json:"schema"`
}

type (
	object    = map[string]any
	shapeInfo struct {
		Input  object `json:"input"`
		Output object `json:"output,omitempty"`
	}
	identifierInfo struct {
		Required bool `json:"required"`
	}
)

// v2 is the call as extensions; nil for none.
func (s *CallShape) v2() map[string]extension {
	if s == nil {
		return nil
	}
	out := map[string]extension{identifier: {identifierInfo{s.Identified}, object{
		"type": "object", "required": []string{"required"},
		"properties": object{
			"required": object{"type": "boolean"},
			"id":       object{"type": "string", "minLength": minIdentifier, "maxLength": maxIdentifier, "pattern": "^[a-zA-Z0-9_-]+$"},
		},
	}}}
	if len(s.Input)+len(s.Output) > maxShape {
		return out
	}
	info := shapeInfo{Input: object{"type": "http", "method": s.Method}}
	switch {
	case s.Input == nil:
	case strings.Contains("GET HEAD DELETE", s.Method):
		info.Input["queryParams"] = s.Input
	default:
		info.Input["bodyType"], info.Input["body"] = "json", s.Input
	}
	if s.Output != nil {
		info.Output = object{"type": "json", "example": s.Output}
	}
	out[bazaar] = extension{info, object{"type": "object", "required": []string{"input"}, "properties": object{"input": object{"type": "object"}, "output": object{"type": "object"}}}}
	return out
}

// How long an identifier of a payment is.
const (
	minIdentifier = 16
	maxIdentifier = 128
)

// identifier reads what a program calls its payment; "" if it does not.
func (f *fields) identifier(root int) string {
	named := f.optional(f.optional(root, "extensions", '{'), identifier, '{')
	id := f.optionalText(f.optional(named, "info", '{'), "id")
	legal := strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
	if id != "" && (len(id) < minIdentifier || len(id) > maxIdentifier || !legal) {
		f.refuse(Malformed, "the payment's identifier is not 16 to 128 letters, figures, _ and -")
	}
	return id
}
