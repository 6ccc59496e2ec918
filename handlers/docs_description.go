package handlers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"xsynesis/views"
)

// description is the document at /openapi.json, as far as people are shown of it.
type description struct {
	Paths      map[string]map[string]describedCall `json:"paths"`
	Webhooks   map[string]map[string]describedCall `json:"webhooks"`
	Components struct {
		Schemas map[string]schema `json:"schemas"`
	} `json:"components"`
}

type describedCall struct {
	ID          string `json:"operationId"`
	Summary     string `json:"summary"`
	Description string `json:"description"`
	Parameters  []struct {
		Name        string `json:"name"`
		In          string `json:"in"`
		Description string `json:"description"`
		Required    bool   `json:"required"`
		Schema      schema `json:"schema"`
	} `json:"parameters"`
	RequestBody struct {
		Content map[string]media `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Description string           `json:"description"`
		Content     map[string]media `json:"content"`
		Headers     map[string]struct {
			Description string `json:"description"`
		} `json:"headers"`
	} `json:"responses"`
	Security []map[string][]string `json:"security"`
}

type media struct {
	Schema schema `json:"schema"`
}

// schema is a JSON Schema, as far as this program writes them.
type schema struct {
	Ref         string            `json:"$ref"`
	Type        any               `json:"type"` // a name, or a list of names
	Format      string            `json:"format"`
	Const       any               `json:"const"`
	Enum        []any             `json:"enum"`
	Items       *schema           `json:"items"`
	Properties  map[string]schema `json:"properties"`
	Required    []string          `json:"required"`
	AnyOf       []schema          `json:"anyOf"`
	AllOf       []schema          `json:"allOf"`
	Description string            `json:"description"`
	Examples    []json.RawMessage `json:"examples"`
}

func decodeDescription(d doc) (description, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return description{}, fmt.Errorf("write the API's description: %w", err)
	}
	var out description
	if err := json.Unmarshal(text, &out); err != nil {
		return description{}, fmt.Errorf("read the API's description: %w", err)
	}
	return out, nil
}

// addCall puts a call at the end of its section.
func (d description) addCall(to []views.ReferenceSection, call apiCall) []views.ReferenceSection {
	name := section(call.path)
	at := slices.IndexFunc(to, func(s views.ReferenceSection) bool { return s.Title == name })
	if at < 0 {
		at, to = len(to), append(to, views.ReferenceSection{Title: name})
	}
	to[at].Calls = append(to[at].Calls, d.call(call.method, call.path))
	return to
}

func (d description) call(method, path string) views.ReferenceCall {
	op := d.Paths[path][strings.ToLower(method)]
	v := views.ReferenceCall{ID: op.ID, Method: method, Path: path, Summary: op.Summary, Access: accessOf(op)}
	for _, p := range op.Parameters {
		if p.Name == headerKey { // holds for every POST, see [conventions]
			continue
		}
		kind, _ := kindOf(p.Schema)
		if p.In != "query" {
			kind += ", in the " + p.In
		}
		v.Parameters = append(v.Parameters, views.ReferenceField{Name: p.Name, Kind: kind, Required: p.Required, Meaning: p.Description})
	}
	for _, m := range op.RequestBody.Content {
		v.Body = append(v.Body, d.fields(m.Schema)...)
	}
	var refusals []string
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		a := d.answer(op, status)
		if len(a.Kinds) == 1 && a.Kinds[0] == refusal {
			refusals = append(refusals, status)
		} else {
			v.Answers = append(v.Answers, a)
		}
	}
	if len(refusals) > 0 {
		v.Answers = append(v.Answers, views.ReferenceAnswer{Status: strings.Join(refusals, ", "), Kinds: []views.ReferenceKind{refusal}})
	}
	return v
}

// refusal is the body of most answers that are no success.
var refusal = views.ReferenceKind{Text: "Error", Object: "Error"}

// accessOf says who may make a call.
func accessOf(op describedCall) string {
	for _, way := range op.Security {
		if len(way) == 0 && len(op.Security) == 1 {
			return "From a browser, which keeps its session's cookie. Other sites are refused."
		}
		if len(way) == 0 {
			return "Anybody may call; a shop's key is taken as well."
		}
		for _, scopes := range way {
			if len(scopes) > 0 {
				return "With a shop's key that has the scope `" + strings.Join(scopes, "`, `") + "`."
			}
		}
	}
	return "With a shop's key."
}

func (d description) answer(op describedCall, status string) views.ReferenceAnswer {
	r := op.Responses[status]
	v := views.ReferenceAnswer{Status: status, Meaning: r.Description}
	for _, name := range slices.Sorted(maps.Keys(r.Content)) {
		if name == "application/json" {
			kind, object := kindOf(r.Content[name].Schema)
			v.Kinds = append(v.Kinds, views.ReferenceKind{Text: kind, Object: object})
		} else {
			v.Kinds = append(v.Kinds, views.ReferenceKind{Text: name})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		v.Headers = append(v.Headers, views.ReferenceField{Name: name, Kind: "header", Meaning: r.Headers[name].Description})
	}
	return v
}

// fields lists a type's members, those that must be there first.
func (d description) fields(s schema) []views.ReferenceField {
	required := s.Required
	for _, part := range s.AllOf {
		s = part
	}
	if name, ok := objectName(s.Ref); ok {
		s = d.Components.Schemas[name]
	}
	required = append(required, s.Required...)
	var out []views.ReferenceField
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		kind, object := kindOf(s.Properties[name])
		out = append(out, views.ReferenceField{
			Name: name, Kind: kind, Object: object, Required: slices.Contains(required, name), Meaning: s.Properties[name].Description,
		})
	}
	slices.SortStableFunc(out, func(a, b views.ReferenceField) int {
		switch {
		case a.Required == b.Required:
			return 0
		case a.Required:
			return -1
		default:
			return 1
		}
	})
	return out
}

// events lists what shops' servers are told of, in the order of the alphabet.
func (d description) events() []views.ReferenceEvent {
	var out []views.ReferenceEvent
	for _, name := range slices.Sorted(maps.Keys(d.Webhooks)) {
		op := d.Webhooks[name]["post"]
		e := views.ReferenceEvent{Type: name, Title: op.Summary, Summary: op.Description}
		for _, m := range op.RequestBody.Content {
			payload := m.Schema.Properties["payload"]
			e.Payload, e.Example = d.fields(payload), indented(payload.Examples)
		}
		out = append(out, e)
	}
	return out
}

// indented is the first of a schema's examples, for people.
func indented(examples []json.RawMessage) string {
	if len(examples) == 0 {
		return ""
	}
	var out bytes.Buffer
	if err := json.Indent(&out, examples[0], "", "  "); err != nil {
		return ""
	}
	return out.String()
}

// objects lists the types that answers are made of. Those of requests stand at their calls.
func (d description) objects() []views.ReferenceObject {
	var out []views.ReferenceObject
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		if strings.HasSuffix(name, "Request") || strings.HasSuffix(name, "Update") {
			continue
		}
		s := d.Components.Schemas[name]
		out = append(out, views.ReferenceObject{Name: name, Summary: s.Description, Fields: d.fields(s)})
	}
	return out
}

func objectName(ref string) (string, bool) { return strings.CutPrefix(ref, "#/components/schemas/") }

// kindOf says a type in words, and names the object that it is or holds.
func kindOf(s schema) (kind, object string) {
	if name, ok := objectName(s.Ref); ok {
		return name, name
	}
	switch {
	case len(s.AnyOf) > 0:
		kind, object = kindOf(s.AnyOf[0])
		return kind + " or null", object
	case len(s.AllOf) > 0:
		return kindOf(s.AllOf[0])
	case s.Const != nil:
		return fmt.Sprintf("`%v`", s.Const), ""
	case len(s.Enum) > 0:
		words := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			words[i] = fmt.Sprintf("`%v`", v)
		}
		return strings.Join(words, ", "), ""
	case s.Items != nil:
		kind, object = kindOf(*s.Items)
		return "list of " + kind, object
	case s.Properties["next_cursor"].Type != nil:
		kind, object = kindOf(*s.Properties["data"].Items)
		return "page of " + kind, object
	}
	return plainKind(s), ""
}

func plainKind(s schema) string {
	var names []string
	switch t := s.Type.(type) {
	case string:
		names = []string{t}
	case []any:
		for _, name := range t {
			names = append(names, fmt.Sprint(name))
		}
	default:
		return "anything"
	}
	if s.Format == "date-time" {
		names[0] = "time"
	}
	return strings.Join(names, " or ")
}
