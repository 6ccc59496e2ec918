package handlers_test

import (
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// watch writes down from here on which rows are changed.
func (w *accessWorld) watch() {
	w.t.Helper()
	w.exec(`CREATE TABLE touched (n bigserial, name text, op text, was jsonb, is_now jsonb)`)
	w.exec(`CREATE FUNCTION note_touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO touched (name, op, was, is_now) VALUES (TG_TABLE_NAME, TG_OP,
			CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END, CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END);
		RETURN NULL; END $$`)
	names, err := w.pool.Query(w.t.Context(), `SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'touched'`)
	require.NoError(w.t, err)
	tables, err := pgx.CollectRows(names, pgx.RowTo[string])
	require.NoError(w.t, err)
	require.Greater(w.t, len(tables), 30)
	for _, table := range tables {
		w.exec(fmt.Sprintf(`CREATE TRIGGER zz_touched AFTER INSERT OR UPDATE OR DELETE ON %q FOR EACH ROW EXECUTE FUNCTION note_touch()`, table))
	}
}

// touch is one row that was changed.
type touch struct {
	Table, Op string
	Was, Now  map[string]any
}

func (t touch) String() string { return t.Op + " " + t.Table }

// marks are the columns that only note that something is in use.
var marks = []string{"seen_at", "used_at"}

// idle tells whether nothing but such a mark was changed.
func (t touch) idle() bool {
	if t.Op != "UPDATE" {
		return false
	}
	was, now := maps.Clone(t.Was), maps.Clone(t.Now)
	for _, m := range marks {
		delete(was, m)
		delete(now, m)
	}
	return fmt.Sprint(was) == fmt.Sprint(now)
}

// touched tells which rows were changed since it was asked before.
func (w *accessWorld) touched() []touch {
	w.t.Helper()
	found, err := w.pool.Query(w.t.Context(), `WITH gone AS (DELETE FROM touched RETURNING *)
		SELECT name, op, coalesce(was, '{}'), coalesce(is_now, '{}') FROM gone ORDER BY n`)
	require.NoError(w.t, err)
	all, err := pgx.CollectRows(found, pgx.RowToStructByPos[touch])
	require.NoError(w.t, err)
	return slices.DeleteFunc(all, touch.idle)
}
