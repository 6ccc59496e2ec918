package postgres_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/postgres"
)

func TestTool(t *testing.T) {
	dir := t.TempDir()
	fake := func(version string) {
		script := "#!/bin/sh\necho 'pg_dump (PostgreSQL) " + version + "'\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, "pg_dump"), []byte(script), 0o755))
	}
	t.Setenv("PGBIN", dir)

	t.Run("a program that is newer than the server will do", func(t *testing.T) {
		fake("17.2")
		path, err := postgres.Tool(t.Context(), "pg_dump", 15)
		require.NoError(t, err)
		require.Equal(t, filepath.Join(dir, "pg_dump"), path)
	})

	t.Run("an older one is none, and the error says what to install", func(t *testing.T) {
		fake("14.9")
		_, err := postgres.Tool(t.Context(), "pg_dump", 15)
		require.ErrorIs(t, err, postgres.ErrNoTool)
		require.ErrorContains(t, err, "postgresql-client-15")
	})
}

func TestCommandHidesThePassword(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"postgres://shop:p%40ss@db.example:5433/books?sslmode=require&pool_max_conns=4":           "postgres://shop@db.example:5433/books?sslmode=require",
		"postgres://shop:p%40ss@/books?host=%2Frun%2Fa+b&port=5432":                               "postgres://shop@/books?host=%2Frun%2Fa%20b&port=5432",
		"postgresql://db.example/books?user=shop&password=p%40ss&default_query_exec_mode=exec":    "postgresql://db.example/books?user=shop",
		`host=db.example user=shop password='p@ss' dbname=books sslmode=disable pool_min_conns=1`: "host=db.example user=shop dbname=books sslmode=disable",
	} {
		cmd, err := postgres.Command(t.Context(), "pg_dump", given, "--format=custom")
		require.NoError(t, err)
		require.Equal(t, []string{"pg_dump", "--format=custom", "--dbname=" + want}, cmd.Args)
		require.Contains(t, cmd.Env, "PGPASSWORD=p@ss")
		for _, v := range cmd.Env {
			require.False(t, strings.HasPrefix(v, "DATABASE_URL="), "nothing else of our environment")
		}
	}
}
