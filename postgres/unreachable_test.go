package postgres_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"xsynesis/postgres"
)

func TestUnreachable(t *testing.T) {
	t.Parallel()
	t.Run("no server is unreachable", func(t *testing.T) {
		t.Parallel()
		_, err := pgx.Connect(t.Context(), "host="+t.TempDir()+" user=nobody")
		require.True(t, postgres.Unreachable(fmt.Errorf("look: %w", err)))
	})
	t.Run("a server that stops is unreachable", func(t *testing.T) {
		t.Parallel()
		require.True(t, postgres.Unreachable(&pgconn.PgError{Code: "57P01"}))
	})
	t.Run("a refused row and a caller who left are answers", func(t *testing.T) {
		t.Parallel()
		for _, err := range []error{nil, pgx.ErrNoRows, context.Canceled, &pgconn.PgError{Code: "23505"}} {
			require.False(t, postgres.Unreachable(err), "%v", err)
		}
	})
}
