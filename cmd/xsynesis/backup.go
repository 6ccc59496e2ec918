package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"xsynesis/cmd/config"
	"xsynesis/cmd/process"
	"xsynesis/migrations"
	"xsynesis/postgres"
)

// A backup is a folder of these two files.
const (
	archiveFile  = "database.dump" // pg_dump's custom format
	manifestFile = "manifest.json"
)

// manifestFormat changes when an older program could not read a newer backup.
const manifestFormat = 1

// partial marks the folder of a backup that is not whole.
const partial = ".partial"

var (
	errBackupExists = errors.New("is there already; a backup never replaces another one")
	errNoSchema     = errors.New("there is nothing to back up: the database has no schema")
)

// manifest says what a backup holds, so that a restore can tell whether it got all of it.
type manifest struct {
	Format    int                 `json:"format"`
	Program   string              `json:"program"` // our version
	CreatedAt time.Time           `json:"created_at"`
	Server    string              `json:"server"` // PostgreSQL's version
	Schema    migrations.Versions `json:"schema"`
	// MasterKeys recognise the keys that seal the secrets in the backup, and say nothing about them; none where none was set.
	MasterKeys []string `json:"master_keys,omitempty"`
	contents
	Files []backupFile `json:"files"`
}

// contents are the figures that a copy must agree on with its original.
type contents struct {
	Rows   map[string]int64  `json:"rows"`   // by table
	Totals map[string]string `json:"totals"` // base units of USDC, by what they are of
}

type backupFile struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

type backupCmd struct {
	Dir string `arg:"" help:"The folder to make; it must not exist." type:"path"`
}

// Run writes a backup and reads it back. The shop may go on working meanwhile: a backup is of one moment.
func (b *backupCmd) Run(ctx context.Context, stdout io.Writer) error {
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
		m, err := backup(ctx, c, b.Dir)
		if err != nil {
			return fmt.Errorf("back up to %s: %w", b.Dir, err)
		}
		_, err = fmt.Fprintf(stdout, "%s: %d tables, %d rows, %d bytes, read back and whole\n%s\n",
			b.Dir, len(m.Rows), m.rows(), m.Files[0].Bytes, masterKeyAdvice)
		return err
	})
}

const masterKeyAdvice = "MASTER_KEY is not in it. Keep that key in another place: without it the secrets of webhooks cannot be read,\n" +
	"and the pages of earlier purchases no longer show buyers what they bought."

func (c contents) rows() (n int64) {
	for _, rows := range c.Rows {
		n += rows
	}
	return n
}

// backup makes dir. It gets its name when everything in it is on the disk and has been read back.
func backup(ctx context.Context, c *config.Config, dir string) (manifest, error) {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return manifest{}, errors.Join(errBackupExists, err)
	}
	fresh, unlock, err := partialFolder(dir)
	if err != nil {
		return manifest{}, err
	}
	defer unlock()
	m, err := fillBackup(ctx, c, fresh)
	if err == nil {
		err = errors.Join(syncFolder(fresh), os.Rename(fresh, dir), syncFolder(filepath.Dir(dir)))
	}
	if err != nil {
		return manifest{}, errors.Join(err, os.RemoveAll(fresh))
	}
	return m, nil
}

// partialFolder makes the folder that a backup is written to, and removes what a killed one has left there. The lock
// tells such a rest from the work of a process that is still at it.
func partialFolder(dir string) (fresh string, unlock func(), err error) {
	fresh = dir + partial
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", nil, err
	}
	lock, err := os.OpenFile(fresh+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return "", nil, errors.Join(errors.New("another process is writing it"), lock.Close())
	}
	unlock = func() { _, _ = os.Remove(lock.Name()), lock.Close() } // only tidiness
	if err := errors.Join(os.RemoveAll(fresh), os.Mkdir(fresh, 0o700)); err != nil {
		unlock()
		return "", nil, err
	}
	return fresh, unlock, nil
}

// fillBackup writes archive and manifest, and reads the archive back.
func fillBackup(ctx context.Context, c *config.Config, dir string) (manifest, error) {
	m := manifest{Format: manifestFormat, Program: version, CreatedAt: time.Now().UTC().Truncate(time.Second), MasterKeys: recognise(c.MasterKey)}
	pool, err := pgxpool.New(ctx, c.DatabaseURL.Reveal())
	if err != nil {
		return m, fmt.Errorf("open the database: %w", err)
	}
	defer pool.Close()
	if m.Schema, err = migrations.Applied(ctx, pool); err != nil {
		return m, err
	}
	if m.Schema.Schema == 0 {
		return m, errNoSchema
	}
	archive := filepath.Join(dir, archiveFile)
	// Figures and archive are of the same moment: pg_dump sees the database as this transaction does.
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var snapshot string
		if err := tx.QueryRow(ctx, `SELECT pg_export_snapshot(), current_setting('server_version')`).Scan(&snapshot, &m.Server); err != nil {
			return fmt.Errorf("hold the moment: %w", err)
		}
		if m.contents, err = count(ctx, tx); err != nil {
			return err
		}
		file, err := dump(ctx, c.DatabaseURL.Reveal(), major(m.Server), snapshot, archive)
		m.Files = []backupFile{file}
		return err
	})
	if err != nil {
		return m, err
	}
	if err := readBack(ctx, archive, m); err != nil {
		return m, fmt.Errorf("read it back: %w", err)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	return m, writeSynced(filepath.Join(dir, manifestFile), append(text, '\n'))
}

// dump writes the archive to a file that only its owner reads.
func dump(ctx context.Context, database string, server int, snapshot, path string) (backupFile, error) {
	program, err := postgres.Tool(ctx, "pg_dump", server)
	if err != nil {
		return backupFile{}, err
	}
	cmd, err := postgres.Command(ctx, program, database,
		"--format=custom", "--no-owner", "--no-privileges", "--no-password", "--snapshot="+snapshot)
	if err != nil {
		return backupFile{}, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return backupFile{}, err
	}
	sum := sha256.New()
	to := &sink{to: io.MultiWriter(file, sum)}
	cmd.Stdout = to
	if err = runTool(cmd); to.err != nil {
		err = to.err // pg_dump only knows that nobody reads it any more
	}
	info, statErr := file.Stat()
	if err := errors.Join(err, file.Sync(), statErr, file.Close()); err != nil {
		return backupFile{}, fmt.Errorf("dump the database: %w", err)
	}
	return backupFile{archiveFile, info.Size(), hex.EncodeToString(sum.Sum(nil))}, nil
}

// sink remembers why it could not write.
type sink struct {
	to  io.Writer
	err error
}

// Write implements [io.Writer].
func (s *sink) Write(p []byte) (int, error) {
	n, err := s.to.Write(p)
	if s.err == nil {
		s.err = err
	}
	return n, err
}

// recognise makes short fingerprints of the master keys. A key has 256 random bits, so nobody finds it by trying.
func recognise(master config.MasterKey) (prints []string) {
	for _, key := range master.All() {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte("xsynesis backup"))
		prints = append(prints, hex.EncodeToString(mac.Sum(nil)[:8]))
	}
	return prints
}

func writeSynced(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Sync(), file.Close())
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
