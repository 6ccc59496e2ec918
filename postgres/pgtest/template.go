package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"xsynesis/migrations"
)

// lockKey keeps the test binaries that share one server from making the same template twice.
const lockKey int64 = 0x74_65_73_74_74_70_6c // "testtpl"

// makeTemplate migrates one database that all tests clone. It is named after what is in it, and gets that name last,
// so that a template which exists is complete and right.
func (s *testServer) makeTemplate(ctx context.Context) error {
	sum, err := schemaHash()
	if err != nil {
		return err
	}
	s.template = "xsynesis_template_" + sum
	conn, err := pgx.Connect(ctx, s.maintenance)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // closing frees the lock
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, lockKey); err != nil {
		return err
	}
	var there bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, s.template).Scan(&there)
	if err != nil || there {
		return err
	}
	fresh := s.template + "_new"
	if _, err := conn.Exec(ctx, fmt.Sprintf(`DROP DATABASE IF EXISTS %q WITH (FORCE)`, fresh)); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, fmt.Sprintf(`CREATE DATABASE %q`, fresh)); err != nil {
		return err
	}
	if err := migrate(ctx, s.url(fresh)); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, fmt.Sprintf(`ALTER DATABASE %q RENAME TO %q`, fresh, s.template))
	return err
}

func migrate(ctx context.Context, url string) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close() // a database with connections cannot be cloned
	return migrations.Up(ctx, pool)
}

// schemaHash covers everything that [migrations.Up] would do.
func schemaHash() (string, error) {
	h := sha256.New()
	names, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		return "", err
	}
	for _, name := range names {
		text, err := migrations.FS.ReadFile(name)
		if err != nil {
			return "", err
		}
		h.Write(fmt.Appendf(nil, "%s %d\n%s\n", name, len(text), text))
	}
	river, err := rivermigrate.New(riverpgxv5.New(nil), nil)
	if err != nil {
		return "", err
	}
	versions := river.AllVersions()
	if len(versions) == 0 {
		return "", errors.New("the job queue names no migrations")
	}
	h.Write([]byte(strconv.Itoa(versions[len(versions)-1].Version)))
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}
