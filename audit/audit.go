// Package audit keeps who did what in a shop, on which row, from where, and what it was before and after.
package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

// By is who does something, and from where.
type By struct {
	Person    id.Person // empty for a program or the operator
	Actor     string    // as people read it: a name, "API key …4f2a", "operator"
	Address   string    // of the request; empty where there was none
	UserAgent string
}

// Row is one thing that was done. Before and After are what a reader may see of the row, never a secret: callers pass
// structs made for this, not rows of the database.
type Row struct {
	By
	Merchant     id.Merchant // empty for what belongs to no shop, such as a person's passkey
	Action       string      // "member.removed"
	ResourceType string      // "member"
	ResourceID   string
	Before       any // nil for something new
	After        any // nil for something that is gone
}

// The longest texts that are kept of a request: who sends them chooses them.
const (
	maxActor     = 255
	maxUserAgent = 255
)

// RecordTx writes a row in the transaction of the change itself: there is neither a change without its row nor a row
// without its change. What is the same before and after was not changed, and has no row.
func RecordTx(ctx context.Context, tx pgx.Tx, now time.Time, r Row) error {
	before, err := view(r.Before)
	if err != nil {
		return fmt.Errorf("record %s: before: %w", r.Action, err)
	}
	after, err := view(r.After)
	if err != nil {
		return fmt.Errorf("record %s: after: %w", r.Action, err)
	}
	if before != nil && bytes.Equal(before, after) {
		return nil
	}
	err = queries.New().AuditRowInsert(ctx, tx, queries.AuditRowInsertParams{
		ID: id.New[id.Audit](now), MerchantID: optional(r.Merchant), PersonID: optional(r.Person), Actor: cut(r.Actor, maxActor),
		Action: r.Action, ResourceType: r.ResourceType, ResourceID: r.ResourceID, Address: r.Address, UserAgent: UserAgent(r.UserAgent),
		Before: before, After: after, CreatedAt: now,
	})
	if err != nil {
		return fmt.Errorf("record %s: %w", r.Action, err)
	}
	return nil
}

func view(v any) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	return json.Marshal(v)
}

// UserAgent is what a browser calls itself, as a row can hold it: it may send any bytes.
func UserAgent(text string) string { return cut(text, maxUserAgent) }

// cut keeps the first bytes of a text, whole characters only, without what no row can hold.
func cut(text string, most int) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "?"), "\x00", "")
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

func optional[T ~string](v T) *T {
	if v == "" {
		return nil
	}
	return &v
}

// Filter chooses rows; its empty fields choose all.
type Filter struct {
	Person   id.Person
	Action   string
	Resource string // an id
	From, To time.Time
}

// Page is a part of a list: at most Limit + 1 rows, so that the reader knows whether there are more.
type Page struct {
	Before, After id.Audit // cursors; at most one is set
	Limit         int
}

// Entry is a row as it is read.
type Entry struct {
	ID id.Audit
	By
	Action       string
	ResourceType string
	ResourceID   string
	Before       json.RawMessage // nil for something new
	After        json.RawMessage // nil for something that is gone
	At           time.Time
}

// last sorts after every id.
const last = "~"

// List returns what was done in a shop, the newest first.
func List(ctx context.Context, db queries.DBTX, merchant id.Merchant, f Filter, p Page) ([]Entry, error) {
	q, since, until := queries.New(), "", last
	if !f.From.IsZero() {
		since = string(id.First[id.Audit](f.From))
	}
	if !f.To.IsZero() {
		until = string(id.First[id.Audit](f.To))
	}
	var rows []queries.AuditRow
	var err error
	if p.After != "" {
		rows, err = q.AuditRowListAfter(ctx, db, queries.AuditRowListAfterParams{
			MerchantID: string(merchant), Since: since, Until: until, AfterID: string(p.After), Person: string(f.Person), Action: f.Action,
			Resource: f.Resource, Most: int32(p.Limit + 1),
		})
		slices.Reverse(rows)
	} else {
		rows, err = q.AuditRowList(ctx, db, queries.AuditRowListParams{
			MerchantID: string(merchant), Since: since, Until: until, BeforeID: orLast(p.Before), Person: string(f.Person), Action: f.Action,
			Resource: f.Resource, Most: int32(p.Limit + 1),
		})
	}
	if err != nil {
		return nil, fmt.Errorf("what was done in %s: %w", merchant, err)
	}
	out := make([]Entry, len(rows))
	for i, r := range rows {
		out[i] = entry(r)
	}
	return out, nil
}

func orLast(cursor id.Audit) string {
	if cursor == "" {
		return last
	}
	return string(cursor)
}

func entry(r queries.AuditRow) Entry {
	e := Entry{
		ID: r.ID, By: By{Actor: r.Actor, Address: r.Address, UserAgent: r.UserAgent}, Action: r.Action,
		ResourceType: r.ResourceType, ResourceID: r.ResourceID, Before: r.Before, After: r.After, At: r.CreatedAt,
	}
	if r.PersonID != nil {
		e.Person = *r.PersonID
	}
	return e
}

// Actions lists the actions that a shop's rows have, in order.
func Actions(ctx context.Context, db queries.DBTX, merchant id.Merchant) ([]string, error) {
	actions, err := queries.New().AuditRowActions(ctx, db, string(merchant))
	if err != nil {
		return nil, fmt.Errorf("actions in %s: %w", merchant, err)
	}
	return actions, nil
}
