package pgtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/migrations"
	"xsynesis/postgres/pgtest"
)

func TestNew(t *testing.T) {
	t.Parallel()

	t.Run("every test has a database of its own", func(t *testing.T) {
		t.Parallel()
		one, two := pgtest.New(t), pgtest.New(t)
		_, err := one.Exec(t.Context(), `CREATE TABLE mine ()`)
		require.NoError(t, err)
		_, err = two.Exec(t.Context(), `SELECT FROM mine`)
		require.ErrorContains(t, err, "does not exist")
	})

	t.Run("the database has this program's schema", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, migrations.Check(t.Context(), pgtest.New(t)))
	})
}
