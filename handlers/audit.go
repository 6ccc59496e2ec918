package handlers

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/views"
)

func (h *Handlers) auditRoutes(e *echo.Echo) {
	e.GET(views.AuditPath, h.may(access.SeeAudit, h.auditLog))
}

func (h *Handlers) auditLog(c echo.Context, s seller) error {
	shown, filter, err := h.auditFilter(c, s)
	if err != nil {
		return err
	}
	before, after := id.Audit(c.QueryParam("before")), id.Audit(c.QueryParam("after"))
	rows, err := h.Access.Done(c.Request().Context(), s.Merchant, filter, audit.Page{Before: before, After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	rows, more := trim(rows, after != "")
	v := views.AuditView{DashboardView: h.frame(c, s, "Who did what", views.SectionAudit, true), Filter: shown}
	for _, r := range rows {
		v.Rows = append(v.Rows, auditRow(r))
	}
	if len(rows) > 0 {
		v.Pages = pager(c, more, string(rows[0].ID), string(rows[len(rows)-1].ID), len(rows))
	}
	return h.livePage(c, views.Audit(v))
}

// auditFilter reads the form above the rows. What no row can have finds none.
func (h *Handlers) auditFilter(c echo.Context, s seller) (v views.AuditFilter, f audit.Filter, err error) {
	v = views.AuditFilter{
		Person: c.QueryParam("person"), Action: c.QueryParam("action"), Resource: c.QueryParam("resource"), From: c.QueryParam("from"), To: c.QueryParam("to"),
	}
	f = audit.Filter{Person: id.Person(v.Person), Action: v.Action, Resource: v.Resource}
	if f.From, err = time.Parse(time.DateOnly, v.From); err != nil {
		v.From, f.From = "", time.Time{}
	}
	if f.To, err = time.Parse(time.DateOnly, v.To); err != nil {
		v.To, f.To = "", time.Time{}
	} else {
		f.To = f.To.AddDate(0, 0, 1) // the day itself too
	}
	people, err := h.Access.Staff(c.Request().Context(), s.Merchant)
	if err != nil {
		return v, f, err
	}
	for _, p := range people {
		v.People = append(v.People, views.Option{Value: string(p.Person), Word: p.Name})
	}
	actions, err := h.Access.Actions(c.Request().Context(), s.Merchant)
	for _, a := range actions {
		v.Actions = append(v.Actions, views.Option{Value: a, Word: actionWords(a)})
	}
	return v, f, err
}

// spelled are the words of actions and fields that are not written as they are spoken.
var spelled = map[string]string{"api": "API", "pin": "PIN", "url": "URL", "id": "ID", "csv": "CSV", "livemode": "real money", "hint": "ends in"}

// actionWords makes "member.role_changed" read "Member role changed".
func actionWords(action string) string {
	words := strings.FieldsFunc(action, func(r rune) bool { return r == '.' || r == '_' })
	for i, word := range words {
		words[i] = or(spelled[word], word)
	}
	text := strings.Join(words, " ")
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func auditRow(r audit.Entry) views.AuditRow {
	v := views.AuditRow{
		ID: r.ID, Time: r.At.UTC(), Who: r.Actor, What: actionWords(r.Action), Resource: r.ResourceID, Address: r.Address, Changes: auditChanges(r.Before, r.After),
	}
	if r.UserAgent != "" {
		v.Browser = access.BrowserName(r.UserAgent)
	}
	return v
}

// auditChanges lists the fields that differ; of something that is new or gone, all of them.
func auditChanges(before, after json.RawMessage) []views.AuditChange {
	was, is := fieldsOf(before), fieldsOf(after)
	all := maps.Clone(was)
	maps.Copy(all, is)
	var out []views.AuditChange
	for _, field := range slices.Sorted(maps.Keys(all)) {
		if was[field] != is[field] {
			out = append(out, views.AuditChange{Field: actionWords(field), Before: was[field], After: is[field]})
		}
	}
	return out
}

func fieldsOf(row json.RawMessage) map[string]string {
	out := map[string]string{}
	var fields map[string]any
	if len(row) == 0 || json.Unmarshal(row, &fields) != nil {
		return out
	}
	for name, value := range fields {
		if text := legible(value); text != "" {
			out[name] = text
		}
	}
	return out
}

// legible writes a value of a row as people read it.
func legible(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case bool:
		return map[bool]string{true: "yes", false: "no"}[v]
	case string:
		if t, err := time.Parse(time.RFC3339, v); err == nil {
			return t.UTC().Format("2 Jan 2006, 15:04:05 UTC")
		}
		return v
	case []any:
		words := make([]string, len(v))
		for i, word := range v {
			words[i] = legible(word)
		}
		return strings.Join(words, ", ")
	case map[string]any:
		if len(v) == 0 {
			return ""
		}
	}
	return compact(value)
}

func compact(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}
