package migrations_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/migrations"
	"xsynesis/postgres/pgtest"
)

func TestUp(t *testing.T) {
	t.Parallel()

	t.Run("many processes may migrate an empty database at once", func(t *testing.T) {
		t.Parallel()
		pool := empty(t)
		require.ErrorIs(t, migrations.Check(t.Context(), pool), migrations.ErrOlder)
		group, ctx := errgroup.WithContext(t.Context())
		for range 4 {
			group.Go(func() error { return migrations.Up(ctx, pool) })
		}
		require.NoError(t, group.Wait())
		require.NoError(t, migrations.Check(t.Context(), pool))
	})

	t.Run("a pool of one connection is enough", func(t *testing.T) {
		t.Parallel()
		config := empty(t).Config()
		config.MaxConns = 1
		pool, err := pgxpool.NewWithConfig(t.Context(), config)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		require.NoError(t, migrations.Up(t.Context(), pool))
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()

	t.Run("a newer database is refused", func(t *testing.T) {
		t.Parallel()
		pool := pgtest.New(t)
		_, err := pool.Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`)
		require.NoError(t, err)
		require.ErrorIs(t, migrations.Check(t.Context(), pool), migrations.ErrNewer)
	})

	t.Run("an older job queue is refused", func(t *testing.T) {
		t.Parallel()
		pool := pgtest.New(t)
		_, err := pool.Exec(t.Context(), `DELETE FROM river_migration WHERE version = (SELECT max(version) FROM river_migration)`)
		require.NoError(t, err)
		require.ErrorIs(t, migrations.Check(t.Context(), pool), migrations.ErrOlder)
	})
}

// empty is a database of this test that nobody has migrated.
func empty(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool := pgtest.New(t)
	for _, sql := range []string{`DROP SCHEMA public CASCADE`, `CREATE SCHEMA public`} {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	return pool
}
