package process_test

import (
	"context"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"xsynesis/cmd/config"
	"xsynesis/cmd/process"
	"xsynesis/migrations"
	"xsynesis/postgres"
	"xsynesis/postgres/pgtest"
)

func TestPrivateDatabase(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	one, two, looker := configuration(t, "", dir), configuration(t, "", dir), configuration(t, "", dir)

	_, err := process.JoinDatabase(t.Context(), looker)
	require.ErrorIs(t, err, postgres.ErrNotRunning, "a command that only looks starts nothing")

	starting := make(chan *process.Database)
	go func() {
		d, err := process.OpenDatabase(t.Context(), one)
		if err != nil {
			t.Error(err)
		}
		starting <- d
	}()
	other, err := process.OpenDatabase(t.Context(), two)
	require.NoError(t, err)
	first := <-starting
	require.NotNil(t, first)
	require.NotEqual(t, first.Starter(), other.Starter(), "of two that start at once, one starts and one joins")
	check(t, one)
	check(t, two)

	joined, err := process.JoinDatabase(t.Context(), looker)
	require.NoError(t, err)
	require.NoError(t, joined.Close())
	check(t, one)
	require.NoError(t, first.Close())
	require.NoError(t, other.Close())
}

func TestGivenDatabase(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	c := configuration(t, pool.Config().ConnString(), "")
	d, err := process.OpenDatabase(t.Context(), c)
	require.NoError(t, err)
	require.False(t, d.Starter())

	_, err = pool.Exec(t.Context(), `DELETE FROM goose_db_version WHERE version_id > 0`)
	require.NoError(t, err)
	_, err = process.OpenDatabase(t.Context(), c)
	require.ErrorIs(t, err, migrations.ErrOlder, "nobody but migrate changes a database that we were given")
}

func TestLostDatabase(t *testing.T) {
	t.Parallel()
	c := configuration(t, "", folder(t))
	d, err := process.OpenDatabase(t.Context(), c)
	require.NoError(t, err)
	text, err := os.ReadFile(c.DataDir + "/postgres/data/postmaster.pid")
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.SplitN(string(text), "\n", 2)[0])
	require.NoError(t, err)

	err = d.Serve(t.Context(), c, func(ctx context.Context, _ *config.Config) error {
		require.NoError(t, syscall.Kill(pid, syscall.SIGINT))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Minute):
			return context.DeadlineExceeded
		}
	})
	require.ErrorContains(t, err, "private database ended")
}

func configuration(t *testing.T, url, dir string) *config.Config {
	t.Helper()
	c, err := config.Parse(map[string]string{"DATABASE_URL": url, "DATA_DIR": dir}, config.Production)
	require.NoError(t, err)
	return c
}

// folder is one that the database's user may enter; t.TempDir is not.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "xsynesis-process-*") //nolint:usetesting // see above
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

func check(t *testing.T, c *config.Config) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), c.DatabaseURL.Reveal())
	require.NoError(t, err)
	defer pool.Close()
	require.NoError(t, migrations.Check(t.Context(), pool))
}
