package e2e

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"xsynesis/postgres"
	"xsynesis/postgres/pgtest"
)

// paysLink pays a link as a program does.
func (w *world) paysLink(t *testing.T, l link, version int) receipt {
	t.Helper()
	name, value := w.payment(t, w.buyer(t), version, w.get(t, l.URL).required(t))
	return w.get(t, l.URL, name, value).receipt(t)
}

func (w *world) salesFile(t *testing.T) string {
	t.Helper()
	a := w.get(t, "/api/sales.csv", "Authorization", "Bearer "+w.APIKey)
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	return a.Body
}

// feed is what a shop without a public server reads of its events.
func (w *world) feed(t *testing.T, after string) (bodies []string, next string) {
	t.Helper()
	a := w.get(t, "/api/events/list?limit=100&after="+after, "Authorization", "Bearer "+w.APIKey)
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	var page struct {
		Data []json.RawMessage `json:"data"`
		Next *string           `json:"next_cursor"`
	}
	require.NoError(t, json.Unmarshal([]byte(a.Body), &page))
	for _, body := range page.Data {
		bodies = append(bodies, string(body))
	}
	if page.Next != nil {
		next = *page.Next
	}
	return bodies, next
}

// TestBackupBringsBackADestroyedShop loses the database of a shop that has sold, and goes on selling.
func TestBackupBringsBackADestroyedShop(t *testing.T) {
	t.Parallel()
	w := startUnauditedWorld(t)
	w.registerWebhook(t) // to a server that is away: its deliveries are under way
	l := w.newLink(t, "Walnut bread", "4.20")
	for _, version := range []int{1, 2, 2} {
		w.paysLink(t, l, version)
	}
	w.begin(t, l) // and this one is never paid
	file := w.salesFile(t)
	events, _ := w.feed(t, "")
	require.NotEmpty(t, events)

	began := time.Now()
	dir := filepath.Join(t.TempDir(), "backups", "monday")
	out, err := w.run("xsynesis", "backup", dir)
	require.NoError(t, err, out)
	report(t, "backup of a running shop, read back: %.1f s", time.Since(began).Seconds())
	require.Contains(t, out, "MASTER_KEY is not in it")
	requireBackup(t, dir, 3)
	out, err = w.run("xsynesis", "backup", dir)
	require.Error(t, err)
	require.Contains(t, out, "is there already")

	require.NoError(t, w.stop())
	require.NoError(t, os.RemoveAll(filepath.Join(w.Dir, "postgres")))
	began = time.Now()
	out, err = w.run("xsynesis", "restore", dir)
	require.NoError(t, err, out)
	report(t, "restore into a new cluster, counted again: %.1f s", time.Since(began).Seconds())
	require.Contains(t, out, "the chain does not answer now")

	require.NoError(t, w.start())
	require.NoError(t, w.audit())
	require.Equal(t, file, w.salesFile(t), "the seller's export, to the byte")
	again, next := w.feed(t, "")
	require.Subset(t, again, events)
	paid := w.paysLink(t, l, 2)
	require.Len(t, w.sales(t, "payment_attempt_id", paid.PaymentAttempt), 1)
	require.Len(t, w.sales(t, "item_title", l.Title), 4)
	news, _ := w.feed(t, next)
	require.Contains(t, strings.Join(news, "\n"), paid.PaymentAttempt, "the feed goes on behind what was read before")
	require.NoError(t, w.audit())

	out, err = w.run("xsynesis", "restore", dir)
	require.Error(t, err)
	require.Contains(t, out, "a restore replaces nothing")
	require.Len(t, w.sales(t, "item_title", l.Title), 4)
}

// requireBackup demands whole files that nobody else can read.
func requireBackup(t *testing.T, dir string, sales int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	require.NoError(t, err)
	var m struct {
		Schema    struct{ Schema int }
		CreatedAt time.Time `json:"created_at"`
		Rows      map[string]int
		Totals    map[string]string
	}
	require.NoError(t, json.Unmarshal(text, &m))
	require.Equal(t, sales, m.Rows["sales"], string(text))
	require.Equal(t, "12600000", m.Totals["sales in USDC on eip155:84532"], string(text))
	require.Positive(t, m.Schema.Schema)
	require.WithinDuration(t, time.Now(), m.CreatedAt, time.Minute)
	for path, mode := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, "manifest.json"): 0o600, filepath.Join(dir, "database.dump"): 0o600} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), path)
	}
	beside, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	require.Len(t, beside, 1, "nothing is left beside the backup")
}

// TestBackupOfThePast restores a database that is older than the chain: the money of a later sale is at the shop, and the
// books do not know it. Nothing is paid twice, the audit says what is missing, and the buyer's own payment heals it.
func TestBackupOfThePast(t *testing.T) {
	t.Parallel()
	w := startChainAndDatabase(t)
	w.seed(t)
	site, worker := w.openShop(t)
	l := w.newLink(t, "Seed crackers", "1.10")
	w.paysLink(t, l, 2)
	dir := filepath.Join(t.TempDir(), "backup")
	out, err := w.run("xsynesis", "backup", dir)
	require.NoError(t, err, out)

	name, value := w.payment(t, w.buyer(t), 2, w.get(t, l.URL).required(t))
	lost := w.get(t, l.URL, name, value).receipt(t)
	require.NoError(t, w.audit())
	require.NoError(t, site.stop())
	require.NoError(t, worker.stop())

	w.Env = w.with("DATABASE_URL=" + pgtest.URL(t))
	out, err = w.run("xsynesis", "restore", dir)
	require.Error(t, err, "the audit after it has to be looked at")
	require.Equal(t, 1, strings.Count(out, "a transfer to a shop is explained: "), out)
	require.Contains(t, out, lost.Transaction)
	require.Contains(t, out, "What to do now")

	w.openShop(t)
	require.Len(t, w.sales(t, "item_title", l.Title), 1)
	found := w.get(t, l.URL, name, value).receipt(t)
	require.Equal(t, lost.Transaction, found.Transaction, "the same payment, found on the chain and not made again")
	w.paysLink(t, l, 1)
	require.Len(t, w.sales(t, "item_title", l.Title), 3)
	require.NoError(t, w.audit())
}

// openShop starts web and worker, and waits until they can be paid at.
func (w *world) openShop(t *testing.T) (site, worker *child) {
	t.Helper()
	site = w.startProcess(t, w.Env, "xsynesis", "serve")
	worker = w.startProcess(t, w.with("RELAYER_KEY="+w.RelayerKey), "xsynesis", "worker")
	w.awaitReady(t)
	return site, worker
}

// onDatabase is a place to back up a database from, without a shop.
func onDatabase(t *testing.T, env ...string) *world {
	t.Helper()
	w, err := newWorld(append([]string{"DATABASE_URL=" + pgtest.URL(t)}, env...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(w.Dir)) })
	return w
}

func TestBackupThatIsNotWholeIsNoBackup(t *testing.T) {
	t.Parallel()

	t.Run("killed in the middle, nothing has its name, and the next one succeeds", func(t *testing.T) {
		t.Parallel()
		slow := fakeTool(t, "pg_dump", "head -c 100000 /dev/urandom; exec sleep 60")
		w := onDatabase(t)
		dir := filepath.Join(t.TempDir(), "backup")
		c := w.startProcess(t, w.with("PGBIN="+slow), "xsynesis", "backup", dir)
		require.Eventually(t, func() bool {
			info, err := os.Stat(filepath.Join(dir+".partial", "database.dump"))
			return err == nil && info.Size() > 0
		}, readyTimeout, 20*time.Millisecond)
		out, err := w.run("xsynesis", "backup", dir)
		require.Error(t, err)
		require.Contains(t, out, "another process is writing it")
		c.kill()
		require.NoFileExists(t, dir)
		out, err = w.run("xsynesis", "backup", dir)
		require.NoError(t, err, out)
		require.DirExists(t, dir)
		require.NoDirExists(t, dir+".partial")
	})

	t.Run("on a disk that is full", func(t *testing.T) {
		t.Parallel()
		w := onDatabase(t)
		dir := filepath.Join(t.TempDir(), "backup")
		path, err := binary("xsynesis")
		require.NoError(t, err)
		// No file may be larger than 8 blocks, which is how a disk ends too.
		cmd := exec.CommandContext(t.Context(), "sh", "-c", `ulimit -f 8; exec "$0" backup "$1"`, path, dir)
		cmd.Env, cmd.Dir = w.Env, w.Dir
		out, err := cmd.CombinedOutput()
		require.Error(t, err, string(out))
		require.Contains(t, string(out), "file too large")
		require.NoDirExists(t, dir)
		require.NoDirExists(t, dir+".partial")
	})

	t.Run("an archive that does not hold what was counted", func(t *testing.T) {
		t.Parallel()
		program, err := postgres.Tool(t.Context(), "pg_dump", 0)
		require.NoError(t, err)
		bin := fakeTool(t, "pg_dump", `exec "`+program+`" --exclude-table-data=goose_db_version "$@"`)
		w := onDatabase(t, "PGBIN="+bin)
		dir := filepath.Join(t.TempDir(), "backup")
		out, err := w.run("xsynesis", "backup", dir)
		require.Error(t, err)
		require.Contains(t, out, "goose_db_version has 0 rows and should have")
		require.NoDirExists(t, dir)
	})

	t.Run("damaged afterwards", func(t *testing.T) {
		t.Parallel()
		w := onDatabase(t)
		dir := filepath.Join(t.TempDir(), "backup")
		out, err := w.run("xsynesis", "backup", dir)
		require.NoError(t, err, out)
		archive := filepath.Join(dir, "database.dump")
		text, err := os.ReadFile(archive)
		require.NoError(t, err)
		text[len(text)/2] ^= 1
		require.NoError(t, os.WriteFile(archive, text, 0o600))
		w.Env = w.with("DATABASE_URL=" + pgtest.URL(t))
		out, err = w.run("xsynesis", "restore", dir)
		require.Error(t, err)
		require.Contains(t, out, "database.dump has changed since it was made")
		require.NoError(t, os.Truncate(archive, 10))
		out, err = w.run("xsynesis", "restore", dir)
		require.Error(t, err)
		require.Contains(t, out, "database.dump has changed since it was made")
	})
}

func TestRestoreKilledInTheMiddleLeavesAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	w := onDatabase(t)
	dir := filepath.Join(t.TempDir(), "backup")
	out, err := w.run("xsynesis", "backup", dir)
	require.NoError(t, err, out)

	url := pgtest.URL(t)
	dropSchema(t, url)
	w.Env = w.with("DATABASE_URL=" + url)
	program, err := postgres.Tool(t.Context(), "pg_restore", 0)
	require.NoError(t, err)
	begun := filepath.Join(t.TempDir(), "begun")
	slow := fakeTool(t, "pg_restore", `
case "$*" in
*--single-transaction*) ;;
*) exec "`+program+`" "$@" ;;
esac
while chunk=$(dd bs=2048 count=1 2>/dev/null | base64) && [ -n "$chunk" ]; do
	printf %s "$chunk" | base64 -d
	echo more >> "`+begun+`"
	sleep 0.1
done | "`+program+`" "$@"`)
	c := w.startProcess(t, w.with("PGBIN="+slow), "xsynesis", "restore", dir)
	require.Eventually(t, func() bool { info, err := os.Stat(begun); return err == nil && info.Size() > 15 }, readyTimeout, 10*time.Millisecond)
	require.True(t, c.running(), "it has ended: the archive is not as slow as the test wants it")
	c.kill()

	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // the connection is done with
	const others = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`
	ask := func(sql string) (n int) {
		require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&n))
		return n
	}
	require.Eventually(t, func() bool { return ask(others) == 0 }, stopTimeout, 50*time.Millisecond)
	require.Zero(t, ask(`SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace`))
	out, err = w.run("xsynesis", "restore", dir)
	require.NoError(t, err, out)
}

// fakeTool is a folder of PostgreSQL's programs in which one does what the test wants.
func fakeTool(t *testing.T, name, script string) string {
	t.Helper()
	dir := t.TempDir()
	for _, tool := range []string{"pg_dump", "pg_restore"} {
		program, err := postgres.Tool(t.Context(), tool, 0)
		require.NoError(t, err)
		if tool != name {
			require.NoError(t, os.Symlink(program, filepath.Join(dir, tool)))
			continue
		}
		text := "#!/bin/sh\n[ \"$1\" = --version ] && exec \"" + program + "\" --version\n" + script + "\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, tool), []byte(text), 0o755))
	}
	return dir
}
