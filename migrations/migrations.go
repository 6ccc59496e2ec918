// Package migrations is the shape of the shop's books, in the order in which it grew.
package migrations

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// FS holds the SQL files; goose reads their names and annotations.
//
//go:embed *.sql
var FS embed.FS

// Sentinels of [Check].
var (
	ErrOlder = errors.New("the database is older than this program: run `xsynesis migrate`")
	ErrNewer = errors.New("the database is newer than this program: start the version that migrated it, or a later one")
)

// lockKey serialises every process that migrates one database; its value only has to be ours.
const lockKey int64 = 0x78_53_79_6e_65_73_69_73 // "xSynesis"

// Up brings the database to this program's schema, the job queue's tables included. Any number of processes may call it
// at the same time: one works, the others wait and find nothing to do.
func Up(ctx context.Context, pool *pgxpool.Pool) error {
	// A connection of its own: a pool of one would wait for itself.
	conn, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
	if err != nil {
		return fmt.Errorf("connect to migrate: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // closing frees the lock in any case
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, lockKey); err != nil {
		return fmt.Errorf("wait for the migration lock: %w", err)
	}
	if err := upRiver(ctx, pool); err != nil {
		return fmt.Errorf("migrate the job queue: %w", err)
	}
	if err := upOurs(ctx, pool); err != nil {
		return fmt.Errorf("migrate the schema: %w", err)
	}
	// A restored database may stand on a server whose transactions count from anew.
	if _, err := conn.Exec(ctx, `SELECT events_rebase()`); err != nil {
		return fmt.Errorf("look after the order of events: %w", err)
	}
	return nil
}

func upOurs(ctx context.Context, pool *pgxpool.Pool) (err error) {
	db := stdlib.OpenDBFromPool(pool)
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, FS)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

func upRiver(ctx context.Context, pool *pgxpool.Pool) error {
	river, err := newRiver(pool)
	if err != nil {
		return err
	}
	_, err = river.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

// Check reports whether the database has exactly this program's schema; it writes nothing. It returns [ErrOlder] or
// [ErrNewer] where it has not.
func Check(ctx context.Context, pool *pgxpool.Pool) error {
	ours, err := latest()
	if err != nil {
		return err
	}
	there, err := applied(ctx, pool)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if err := compare("schema", there, ours); err != nil {
		return err
	}
	return checkRiver(ctx, pool)
}

func checkRiver(ctx context.Context, pool *pgxpool.Pool) error {
	river, err := newRiver(pool)
	if err != nil {
		return err
	}
	existing, err := river.ExistingVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the job queue's version: %w", err)
	}
	return compare("job queue", int64(newest(existing)), int64(newest(river.AllVersions())))
}

func compare(what string, there, ours int64) error {
	switch {
	case there < ours:
		return fmt.Errorf("%w (%s version %d, wanted %d)", ErrOlder, what, there, ours)
	case there > ours:
		return fmt.Errorf("%w (%s version %d, wanted %d)", ErrNewer, what, there, ours)
	default:
		return nil
	}
}

func newest(versions []rivermigrate.Migration) int {
	n := 0
	for _, v := range versions {
		n = max(n, v.Version)
	}
	return n
}

func newRiver(pool *pgxpool.Pool) (*rivermigrate.Migrator[pgx.Tx], error) {
	return rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
}

// latest is the version that this program was made for.
func latest() (int64, error) {
	names, err := fs.Glob(FS, "*.sql")
	if err != nil {
		return 0, err
	}
	var n int64
	for _, name := range names {
		v, err := goose.NumericComponent(name)
		if err != nil {
			return 0, fmt.Errorf("read the version of %s: %w", name, err)
		}
		n = max(n, v)
	}
	return n, nil
}

// applied reads goose's own table; goose would create it, and a check must work with a user who may only read.
func applied(ctx context.Context, pool *pgxpool.Pool) (int64, error) {
	var n int64
	err := pool.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&n)
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && pg.Code == "42P01" { // undefined_table
		return 0, nil
	}
	return n, err
}
