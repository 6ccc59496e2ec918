package audit_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/postgres/pgtest"
)

const (
	cafe     id.Merchant = "sel_1ChHQgZvF7Y4JLiQa34ooR"
	bookshop id.Merchant = "sel_1ChHQgZvF7Y4JLiQa34ooS"
	ada      id.Person   = "usr_1ChHQgZvF7Y4JLiQa34ooR"
	ben      id.Person   = "usr_1ChHQgZvF7Y4JLiQa34ooS"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func record(t *testing.T, pool *pgxpool.Pool, now time.Time, r audit.Row) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return audit.RecordTx(t.Context(), tx, now, r) }))
}

type memberView struct {
	Role string `json:"role"`
}

func TestARowSaysWhoDidWhatFromWhere(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	by := audit.By{Person: ada, Actor: "Ada", Address: "192.0.2.7", UserAgent: "Firefox"}
	record(t, pool, noon, audit.Row{
		By: by, Merchant: cafe, Action: "member.changed", ResourceType: "member", ResourceID: string(ben),
		Before: memberView{"viewer"}, After: memberView{"manager"},
	})
	rows, err := audit.List(t.Context(), pool, cafe, audit.Filter{}, audit.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, rows, 1)
	e := rows[0]
	require.Equal(t, by, e.By)
	require.Equal(t, "member.changed", e.Action)
	require.Equal(t, "member", e.ResourceType)
	require.Equal(t, string(ben), e.ResourceID)
	require.JSONEq(t, `{"role":"viewer"}`, string(e.Before))
	require.JSONEq(t, `{"role":"manager"}`, string(e.After))
	require.True(t, e.At.Equal(noon))
	_, err = id.Parse[id.Audit](string(e.ID))
	require.NoError(t, err)
}

func TestARowOfAChangeThatWasUndoneIsNotThere(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, audit.RecordTx(t.Context(), tx, noon, audit.Row{Merchant: cafe, By: audit.By{Actor: "Ada"}, Action: "key.created"}))
	require.NoError(t, tx.Rollback(t.Context()))
	rows, err := audit.List(t.Context(), pool, cafe, audit.Filter{}, audit.Page{Limit: 10})
	require.NoError(t, err)
	require.Empty(t, rows)
}

func TestTheDatabaseRefusesToChangeOrForgetARow(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	record(t, pool, noon, audit.Row{Merchant: cafe, By: audit.By{Actor: "Ada"}, Action: "key.created"})
	for _, statement := range []string{
		`UPDATE audit_rows SET actor = 'Ben'`, `UPDATE audit_rows SET actor = 'Ben' WHERE false`,
		`DELETE FROM audit_rows`, `TRUNCATE audit_rows`, `TRUNCATE audit_rows CASCADE`,
	} {
		_, err := pool.Exec(t.Context(), statement)
		require.ErrorContains(t, err, "audit_rows is append-only", statement)
	}
	rows, err := audit.List(t.Context(), pool, cafe, audit.Filter{}, audit.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, rows, 1)
}

func TestRowsAreFilteredAndPagedWithinTheirShop(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	for i := range 6 {
		person, action := ada, "link.created"
		if i%2 == 1 {
			person, action = ben, "link.changed"
		}
		record(t, pool, noon.Add(time.Duration(i)*time.Hour), audit.Row{
			By: audit.By{Person: person, Actor: "x"}, Merchant: cafe, Action: action, ResourceID: fmt.Sprint(i),
		})
	}
	record(t, pool, noon, audit.Row{By: audit.By{Person: ada, Actor: "x"}, Merchant: bookshop, Action: "shop.opened"})
	record(t, pool, noon, audit.Row{By: audit.By{Person: ada, Actor: "x"}, Action: "passkey.added"})

	list := func(f audit.Filter, p audit.Page) (seen []string, ids []id.Audit) {
		t.Helper()
		rows, err := audit.List(t.Context(), pool, cafe, f, p)
		require.NoError(t, err)
		for _, r := range rows {
			seen, ids = append(seen, r.ResourceID), append(ids, r.ID)
		}
		return seen, ids
	}
	all, ids := list(audit.Filter{}, audit.Page{Limit: 10})
	require.Equal(t, []string{"5", "4", "3", "2", "1", "0"}, all)
	for _, c := range []struct {
		f    audit.Filter
		want []string
	}{
		{audit.Filter{Person: ben}, []string{"5", "3", "1"}},
		{audit.Filter{Action: "link.created"}, []string{"4", "2", "0"}},
		{audit.Filter{Action: "link.created", Person: ben}, nil},
		{audit.Filter{Resource: "3"}, []string{"3"}},
		{audit.Filter{From: noon.Add(2 * time.Hour), To: noon.Add(4 * time.Hour)}, []string{"3", "2"}},
	} {
		got, _ := list(c.f, audit.Page{Limit: 10})
		require.Equal(t, c.want, got, "%+v", c.f)
	}
	older, _ := list(audit.Filter{}, audit.Page{Before: ids[1], Limit: 2})
	require.Equal(t, []string{"3", "2", "1"}, older, "one more than a page, to tell that there are more")
	newer, _ := list(audit.Filter{}, audit.Page{After: ids[4], Limit: 2})
	require.Equal(t, []string{"4", "3", "2"}, newer)

	actions, err := audit.Actions(t.Context(), pool, cafe)
	require.NoError(t, err)
	require.Equal(t, []string{"link.changed", "link.created"}, actions)
	actions, err = audit.Actions(t.Context(), pool, "sel_none")
	require.NoError(t, err)
	require.Empty(t, actions)
}

func TestALongOrBrokenTextOfARequestDoesNotUndoTheChange(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	record(t, pool, noon, audit.Row{
		By: audit.By{Actor: "Ada\x00\xff", UserAgent: strings.Repeat("é", 300)}, Merchant: cafe, Action: "link.created",
		After: map[string]string{"title": "Tea \u2028"},
	})
	rows, err := audit.List(t.Context(), pool, cafe, audit.Filter{}, audit.Page{Limit: 10})
	require.NoError(t, err)
	require.Equal(t, "Ada?", rows[0].Actor)
	require.LessOrEqual(t, len(rows[0].UserAgent), 255)
	require.True(t, utf8.ValidString(rows[0].UserAgent))
	require.True(t, json.Valid(rows[0].After))
}
