package webhook

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
)

// schemas holds a JSON Schema (2020-12) for each type's payload, and the envelope that surrounds them all.
//
//go:embed schema/*.json schema/envelope.txt
var schemas embed.FS

// kind is what a type's schema tells of it.
type kind struct {
	Title        string            `json:"title"`
	Description  string            `json:"description"`
	ResourceType string            `json:"x-resource-type"`
	Examples     []json.RawMessage `json:"examples"`
	schema       []byte
}

var catalogue = readCatalogue()

// Types are the events that are sent here, by name.
var Types = func() []Type {
	out := make([]Type, 0, len(catalogue))
	for t := range catalogue {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}()

// Known tells whether there is such an event.
func (t Type) Known() bool {
	_, ok := catalogue[t]
	return ok
}

// Group is the part of the name before its point: what lists are ordered by.
func (t Type) Group() string {
	group, _, _ := strings.Cut(string(t), ".")
	return group
}

// Title is what happened, in a few words.
func (t Type) Title() string { return catalogue[t].Title }

// Summary tells when it is sent, in a sentence or two.
func (t Type) Summary() string { return catalogue[t].Description }

// ResourceType is the kind of resource that it tells of.
func (t Type) ResourceType() string { return catalogue[t].ResourceType }

// Schema is the JSON Schema of the whole body.
func (t Type) Schema() json.RawMessage { return catalogue[t].schema }

// Example is a payload as it may come.
func (t Type) Example() json.RawMessage { return catalogue[t].Examples[0] }

// readCatalogue panics where a schema is broken: it is part of the program.
func readCatalogue() map[Type]kind {
	envelope, err := schemas.ReadFile("schema/envelope.txt")
	if err != nil {
		panic(err)
	}
	files, err := schemas.ReadDir("schema")
	if err != nil {
		panic(err)
	}
	out := map[Type]kind{}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".json")
		if !ok {
			continue
		}
		payload, err := schemas.ReadFile(path.Join("schema", f.Name()))
		if err != nil {
			panic(err)
		}
		k, err := readKind(string(envelope), name, payload)
		if err != nil {
			panic(fmt.Sprintf("schema of %s: %v", name, err))
		}
		out[Type(name)] = k
	}
	return out
}

func readKind(envelope, name string, payload []byte) (kind, error) {
	var k kind
	if err := json.Unmarshal(payload, &k); err != nil {
		return k, err
	}
	if k.Title == "" || k.Description == "" || k.ResourceType == "" || len(k.Examples) == 0 {
		return k, fmt.Errorf("%w: it lacks a title, a description, a resource type or an example", ErrBody)
	}
	quoted := func(s string) string { b, _ := json.Marshal(s); return string(b) } // a string always marshals
	whole := strings.NewReplacer("EVENT_TYPE", quoted(name), "TITLE", quoted(k.Title), "DESCRIPTION", quoted(k.Description),
		"RESOURCE_TYPE", quoted(k.ResourceType), "PAYLOAD", string(payload)).Replace(envelope)
	var out bytes.Buffer
	err := json.Indent(&out, []byte(whole), "", "  ")
	k.schema = out.Bytes()
	return k, err
}
