package postgres_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"xsynesis/postgres"
	"xsynesis/postgres/pgtest"
)

func TestHotTx(t *testing.T) {
	t.Parallel()
	config := pgtest.New(t).Config()
	config.ConnConfig.RuntimeParams["synchronous_commit"] = "on" // the tests' server is in a hurry
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	_, err = pool.Exec(t.Context(), `CREATE TABLE counters (n int NOT NULL); INSERT INTO counters VALUES (0)`)
	require.NoError(t, err)
	count := func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE counters SET n = n + 1`)
		return err
	}
	counted := func(t *testing.T) (n int) {
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT n FROM counters`).Scan(&n))
		return n
	}

	t.Run("what it did is committed", func(t *testing.T) {
		before := counted(t)
		require.NoError(t, postgres.HotTx(t.Context(), pool, count))
		require.Equal(t, before+1, counted(t))
	})

	t.Run("an error undoes it", func(t *testing.T) {
		before, undo := counted(t), errors.New("undo")
		err := postgres.HotTx(t.Context(), pool, func(tx pgx.Tx) error { return errors.Join(count(tx), undo) })
		require.ErrorIs(t, err, undo)
		require.Equal(t, before, counted(t))
	})

	t.Run("who hangs in it does not keep his locks", func(t *testing.T) {
		var most string
		require.NoError(t, postgres.HotTx(t.Context(), pool, func(tx pgx.Tx) error {
			return tx.QueryRow(t.Context(), `SHOW idle_in_transaction_session_timeout`).Scan(&most)
		}))
		require.Equal(t, "5s", most)
	})

	t.Run("what it finds by a key it finds by the index, as long as the table grows", func(t *testing.T) {
		_, err := pool.Exec(t.Context(), `CREATE TABLE sold (id bigint PRIMARY KEY, n int NOT NULL)`)
		require.NoError(t, err)
		one := pool.Config()
		one.MaxConns = 1 // its plan is kept from when little was sold
		single, err := pgxpool.NewWithConfig(t.Context(), one)
		require.NoError(t, err)
		t.Cleanup(single.Close)
		for _, until := range []int{3, 10_000} {
			_, err := pool.Exec(t.Context(), `INSERT INTO sold SELECT i, 1 FROM generate_series((SELECT count(*) + 1 FROM sold), $1) i`, until)
			require.NoError(t, err)
			if until == 3 {
				_, err = pool.Exec(t.Context(), `ANALYZE sold`)
				require.NoError(t, err)
			}
			var whole int
			require.NoError(t, postgres.HotTx(t.Context(), single, func(tx pgx.Tx) error {
				for range 10 { // from the sixth on, the plan is kept
					if _, err := tx.Exec(t.Context(), `SELECT sum(n) FROM sold WHERE id = ANY ($1::bigint[])`, []int64{1, 2, 3}); err != nil {
						return err
					}
				}
				return tx.QueryRow(t.Context(), `SELECT pg_stat_get_xact_numscans('sold'::regclass)`).Scan(&whole)
			}))
			require.Zero(t, whole, "times that all of %d rows were read", until)
		}
	})

	t.Run("the connection's next transaction waits for the disk again", func(t *testing.T) {
		var inside, outside string
		require.NoError(t, postgres.HotTx(t.Context(), pool, func(tx pgx.Tx) error {
			return tx.QueryRow(t.Context(), `SHOW synchronous_commit`).Scan(&inside)
		}))
		require.Equal(t, "off", inside)
		require.NoError(t, pool.QueryRow(t.Context(), `SHOW synchronous_commit`).Scan(&outside))
		require.Equal(t, "on", outside)
	})
}
