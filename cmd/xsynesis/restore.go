package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"xsynesis/cmd/config"
	"xsynesis/cmd/process"
	"xsynesis/cmd/wire"
	"xsynesis/evm"
	"xsynesis/migrations"
	"xsynesis/postgres"
)

var errNotEmpty = errors.New("the database holds data, and a restore replaces nothing: give it an empty one")

type restoreCmd struct {
	Dir string `arg:"" help:"The folder that backup has made." type:"existingdir"`
}

// Run puts a backup into an empty database, all of it or nothing, and holds the result against the manifest, against
// itself and against the chain.
func (r *restoreCmd) Run(ctx context.Context, stdout io.Writer) error {
	m, err := readManifest(ctx, r.Dir)
	if err != nil {
		return fmt.Errorf("restore %s: %w", r.Dir, err)
	}
	c, err := config.Load(config.Production)
	if err != nil {
		return err
	}
	process.Log(c)
	database, err := process.ReachDatabase(ctx, c)
	if err != nil {
		return err
	}
	return database.Serve(ctx, c, func(ctx context.Context, c *config.Config) error {
		if err := restore(ctx, c, r.Dir, m); err != nil {
			return fmt.Errorf("restore %s: %w", r.Dir, err)
		}
		say := func(format string, args ...any) { print(stdout, format+"\n", args...) }
		say("restored what the database held on %s: %d tables, %d rows, counted again", m.CreatedAt.Format(time.DateTime+" MST"), len(m.Rows), m.rows())
		if now := recognise(c.MasterKey); len(now) > 0 && slices.ContainsFunc(m.MasterKeys, func(key string) bool { return !slices.Contains(now, key) }) {
			say("MASTER_KEY is NOT the key that this backup was made with. Set that one, or add it behind the present one, before anything is started.")
		}
		audit := auditRestored(ctx, c, say)
		say("%s", restoredAdvice)
		return audit
	})
}

// restoredAdvice is what the books cannot know: everything that has happened since the backup.
const restoredAdvice = `What to do now:
1. Make sure that nothing works on the old database any more: two databases must not share one RELAYER_KEY.
2. Start the worker. It asks the chain what became of each payment that was under way.
3. Run "xsynesis audit". A transfer that is "not explained" was paid after the backup: the money is at the shop's own
   address, and the sale is missing from the books. Find the buyer by the address that paid; take no second payment.
4. Revoke again what was revoked since: API keys, sessions, webhook secrets that were rotated.
5. Servers hear again of what was under way; webhooks carry the same ids as before, so receivers can tell.`

// readManifest refuses what is not a whole backup that this program understands.
func readManifest(ctx context.Context, dir string) (m manifest, err error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%w: read %s: %w", errNotWhole, manifestFile, err)
	}
	if m.Format != manifestFormat {
		return m, fmt.Errorf("%s has format %d, and this program reads %d", manifestFile, m.Format, manifestFormat)
	}
	if len(m.Files) != 1 || m.Files[0].Name != archiveFile {
		return m, fmt.Errorf("%w: %s does not name %s", errNotWhole, manifestFile, archiveFile)
	}
	wanted, err := migrations.Wanted()
	if err != nil {
		return m, err
	}
	if m.Schema.Newer(wanted) {
		return m, fmt.Errorf("%w (made by version %s)", migrations.ErrNewer, m.Program)
	}
	return m, readBack(ctx, filepath.Join(dir, archiveFile), m)
}

// restore fills an empty database, and brings it to this program's schema.
func restore(ctx context.Context, c *config.Config, dir string, m manifest) error {
	pool, err := pgxpool.New(ctx, c.DatabaseURL.Reveal())
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer pool.Close()
	if err := makeRoom(ctx, pool); err != nil {
		return err
	}
	if err := load(ctx, pool, c.DatabaseURL.Reveal(), filepath.Join(dir, archiveFile), m); err != nil {
		return err
	}
	restored, err := count(ctx, pool)
	if err != nil {
		return err
	}
	if err := restored.differs(m.contents); err != nil {
		return fmt.Errorf("what was restored is not what was backed up: %w", err)
	}
	// It also sees that this server counts its transactions from elsewhere, so that the feed of events goes on in order.
	return migrations.Up(ctx, pool)
}

// makeRoom refuses a database in which a shop has begun. Tables without a shop, as `migrate` makes them, are dropped.
func makeRoom(ctx context.Context, pool *pgxpool.Pool) error {
	names, err := tables(ctx, pool)
	if err != nil || len(names) == 0 {
		return err
	}
	there, err := migrations.Applied(ctx, pool)
	if err != nil {
		return err
	}
	if there.Schema == 0 { // somebody else's tables
		return errNotEmpty
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		// Whoever founds a shop meanwhile waits, and then finds no table.
		if _, err := tx.Exec(ctx, `LOCK TABLE public.merchants, public.persons IN ACCESS EXCLUSIVE MODE`); err != nil {
			return fmt.Errorf("hold the database: %w", err)
		}
		var begun bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM public.merchants) OR EXISTS (SELECT FROM public.persons)`).Scan(&begun); err != nil {
			return fmt.Errorf("look for a shop: %w", err)
		}
		if begun {
			return errNotEmpty
		}
		_, err := tx.Exec(ctx, `DROP SCHEMA public CASCADE; CREATE SCHEMA public`)
		return err
	})
}

// load runs the archive in one transaction. It is fed to pg_restore by us: if we die, the archive ends in the middle of a
// row, and the transaction with it.
func load(ctx context.Context, pool *pgxpool.Pool, database, archive string, m manifest) error {
	var server string
	if err := pool.QueryRow(ctx, `SHOW server_version`).Scan(&server); err != nil {
		return fmt.Errorf("ask the server's version: %w", err)
	}
	program, err := postgres.Tool(ctx, "pg_restore", max(major(server), major(m.Server)))
	if err != nil {
		return err
	}
	cmd, err := postgres.Command(ctx, program, database, "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", "--no-password")
	if err != nil {
		return err
	}
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()                    //nolint:errcheck // nothing was written
	cmd.Stdin = struct{ io.Reader }{file} // not the file itself, which pg_restore would go on reading without us
	if err := runTool(cmd); err != nil {
		return fmt.Errorf("load the archive, of which nothing was kept: %w", err)
	}
	return nil
}

// auditRestored is the same look as `xsynesis audit`. A chain that does not answer is no fault of the backup.
func auditRestored(ctx context.Context, c *config.Config, say func(string, ...any)) error {
	err := wire.Audit(ctx, c)
	switch {
	case errors.Is(err, wire.ErrBroken):
		return fmt.Errorf("the backup is restored, and must be looked at before the shop opens: %w", err)
	case errors.Is(err, evm.ErrUnavailable):
		say("the books agree with themselves; the chain does not answer now and was not asked")
		return nil
	default:
		return err
	}
}
