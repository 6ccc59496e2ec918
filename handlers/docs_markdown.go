package handlers

import (
	"fmt"
	"io"
	"strings"

	"xsynesis/views"
)

// WriteReference writes the description of the API as Markdown.
func WriteReference(w io.Writer) error {
	v, err := reference("", apiCalls())
	if err != nil {
		return err
	}
	m := &markdown{}
	m.line("# API reference", "", "Made from the description that a running gateway serves at `/openapi.json`; people read it at `/docs`.",
		"`make generate` writes this page.")
	for _, text := range v.About {
		m.line("", "## "+text.Title)
		for _, l := range text.Lines {
			m.line("", l)
		}
	}
	for _, s := range v.Sections {
		m.line("", "## "+s.Title)
		for _, call := range s.Calls {
			m.call(call)
		}
	}
	m.events(v.Events)
	m.objects(v.Objects)
	m.errors(v.Errors)
	_, err = io.WriteString(w, m.text.String())
	return err
}

// markdown is a page that is being written.
type markdown struct{ text strings.Builder }

func (m *markdown) line(lines ...string) {
	for _, l := range lines {
		m.text.WriteString(l + "\n")
	}
}

func (m *markdown) call(call views.ReferenceCall) {
	m.line("", "### "+call.Method+" `"+call.Path+"`", "", call.Summary+" "+call.Access)
	m.fields("parameter", call.Parameters)
	m.fields("body", call.Body)
	m.line("", "| answer | |", "| --- | --- |")
	for _, a := range call.Answers {
		var what []string
		for _, k := range a.Kinds {
			what = append(what, linked(k.Text, k.Object))
		}
		for _, h := range a.Headers {
			what = append(what, "header `"+h.Name+"`: "+h.Meaning)
		}
		m.line(fmt.Sprintf("| %s | %s |", strings.TrimSpace(a.Status+" "+a.Meaning), cell(strings.Join(what, "; "))))
	}
}

func (m *markdown) fields(title string, fields []views.ReferenceField) {
	if len(fields) == 0 {
		return
	}
	m.line("", "| "+title+" | type | meaning |", "| --- | --- | --- |")
	for _, f := range fields {
		kind := linked(f.Kind, f.Object)
		if f.Required {
			kind += ", required"
		}
		m.line(fmt.Sprintf("| `%s` | %s | %s |", f.Name, cell(kind), cell(f.Meaning)))
	}
}

func (m *markdown) events(events []views.ReferenceEvent) {
	if len(events) == 0 {
		return
	}
	m.line("", "## Events", "", "What a shop's server is told of. [WEBHOOKS.md](WEBHOOKS.md) shows the envelope and the headers; here stand the payloads.")
	for _, e := range events {
		m.line("", "### `"+e.Type+"`", "", e.Title+". "+e.Summary)
		m.fields("payload", e.Payload)
		m.line("", "```json", e.Example, "```")
	}
}

func (m *markdown) objects(objects []views.ReferenceObject) {
	m.line("", "## Objects")
	for _, o := range objects {
		m.line("", "### "+o.Name)
		if o.Summary != "" {
			m.line("", o.Summary)
		}
		m.line("", "| member | type | meaning |", "| --- | --- | --- |")
		for _, f := range o.Fields {
			m.line(fmt.Sprintf("| `%s` | %s | %s |", f.Name, cell(linked(f.Kind, f.Object)), cell(f.Meaning)))
		}
	}
}

func (m *markdown) errors(errors []views.ReferenceError) {
	m.line("", "## Errors", "", "| status | code | message |", "| --- | --- | --- |")
	for _, e := range errors {
		m.line(fmt.Sprintf("| %d | `%s` | %s |", e.Status, e.Code, cell(e.Message)))
	}
}

// linked makes a link of the object that a type's words name.
func linked(kind, object string) string {
	if object == "" {
		return kind
	}
	return strings.Replace(kind, object, "["+object+"](#"+strings.ToLower(object)+")", 1)
}

// cell keeps text from ending its cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
