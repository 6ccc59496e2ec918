package postgres_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"xsynesis/postgres"
)

// starterEnv makes this test binary a process that starts a cluster, says so, and waits to be killed.
const starterEnv = "XSYNESIS_TEST_START_CLUSTER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(starterEnv); dir != "" {
		c, err := postgres.Start(context.Background(), postgres.Options{Dir: dir})
		fmt.Println(err == nil) //nolint:forbidigo // read by the parent
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		_ = c.Stop()
		return
	}
	os.Exit(m.Run())
}

func TestCluster(t *testing.T) {
	t.Parallel()

	t.Run("what was written is there after a stop and a start", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		c := start(t, dir)
		run(t, c, `CREATE TABLE sales AS SELECT 7 AS amount`)
		require.NoError(t, c.Stop())
		require.NoError(t, c.Stop(), "a second stop does nothing")
		run(t, start(t, dir), `SELECT 1/(count(*)) FROM sales WHERE amount = 7`)
	})

	t.Run("one starts, others join and stop nothing", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		_, err := postgres.Join(t.Context(), dir)
		require.ErrorIs(t, err, postgres.ErrNotRunning)

		first := start(t, dir)
		_, err = postgres.Start(t.Context(), postgres.Options{Dir: dir})
		require.ErrorIs(t, err, postgres.ErrRunning)

		second, err := postgres.StartOrJoin(t.Context(), postgres.Options{Dir: dir})
		require.NoError(t, err)
		require.False(t, second.Starter())
		require.Nil(t, second.Ended())
		require.NoError(t, second.Stop())
		run(t, first, `SELECT 1`)

		require.NoError(t, first.Stop())
		<-first.Ended()
		_, err = postgres.Join(t.Context(), dir)
		require.ErrorIs(t, err, postgres.ErrNotRunning)
	})

	t.Run("a half-made cluster is made again", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		require.NoError(t, start(t, dir).Stop())
		require.NoError(t, os.Rename(filepath.Join(dir, "postgres/data"), filepath.Join(dir, "postgres/data.new")))
		run(t, start(t, dir), `SELECT 1`)
	})

	t.Run("the cluster of another major version is refused, not touched", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		require.NoError(t, start(t, dir).Stop())
		require.NoError(t, os.WriteFile(filepath.Join(dir, "postgres/data/PG_VERSION"), []byte("9\n"), 0o600))
		_, err := postgres.Start(t.Context(), postgres.Options{Dir: dir})
		require.ErrorIs(t, err, postgres.ErrVersion)
		require.ErrorContains(t, err, "made by PostgreSQL 9")
	})

	t.Run("a path too long for a socket works", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(folder(t), strings.Repeat("long", 30))
		run(t, start(t, dir), `SELECT 1`)
	})

	t.Run("a folder that the database's user cannot enter falls back to one that it can", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		require.NoError(t, os.Chmod(dir, 0o700))
		c := start(t, filepath.Join(dir, "data"))
		run(t, c, `SELECT 1`)
		require.NoError(t, c.Stop())
		if os.Geteuid() == 0 {
			require.True(t, strings.HasPrefix(c.Dir(), "/var/lib/xsynesis/"), c.Dir())
			require.NoError(t, os.RemoveAll(c.Dir()))
		}
	})
}

func TestKilledStarter(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	for range 2 {
		cmd := exec.Command(os.Args[0]) // this binary, killed below
		cmd.Env = append(os.Environ(), starterEnv+"="+dir)
		stdin, err := cmd.StdinPipe()
		require.NoError(t, err)
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		line, err := bufio.NewReader(stdout).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "true\n", line)

		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
		_ = stdin.Close()
		c := start(t, dir) // at once, while the old server may still be shutting down
		run(t, c, `SELECT 1`)
		require.NoError(t, c.Stop())
	}
}

func TestStalePidFile(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	other := start(t, folder(t)) // a living server of the same user, whose pid the stale file will name
	require.NoError(t, start(t, dir).Stop())
	pid, err := os.ReadFile(filepath.Join(other.Dir(), "data/postmaster.pid"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "postgres/data/postmaster.pid"), pid, 0o600))
	run(t, start(t, dir), `SELECT 1`)
	run(t, other, `SELECT 1`)
}

// folder is one that the database's user may enter; t.TempDir is not.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "xsynesis-postgres-*") //nolint:usetesting // see above
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

func start(t *testing.T, dir string) *postgres.Cluster {
	t.Helper()
	c, err := postgres.Start(t.Context(), postgres.Options{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop()) })
	return c
}

func run(t *testing.T, c *postgres.Cluster, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.URL())
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // the connection is done with
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}
