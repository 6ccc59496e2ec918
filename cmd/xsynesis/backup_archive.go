package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"xsynesis/postgres"
)

var errNotWhole = errors.New("the backup is not whole")

// queryer is a connection, a pool or a transaction.
type queryer interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// count takes a database's figures: how many rows each table has, and the sums that an accountant would compare.
func count(ctx context.Context, db queryer) (contents, error) {
	c := contents{Rows: map[string]int64{}, Totals: map[string]string{}}
	names, err := tables(ctx, db)
	if err != nil {
		return c, err
	}
	for _, name := range names {
		var n int64
		if err := db.QueryRow(ctx, `SELECT count(*) FROM `+pgx.Identifier{"public", name}.Sanitize()).Scan(&n); err != nil {
			return c, fmt.Errorf("count %s: %w", name, err)
		}
		c.Rows[name] = n
	}
	rows, err := db.Query(ctx, `
		SELECT 'sales in ' || currency || ' on ' || network, sum(amount)::text FROM public.sales GROUP BY currency, network
		UNION ALL
		SELECT 'entries of ' || account || ' on ' || network, sum(amount)::text FROM public.entries GROUP BY account, network`)
	if err != nil {
		return c, fmt.Errorf("sum up the books: %w", err)
	}
	totals, err := pgx.CollectRows(rows, pgx.RowToStructByPos[total])
	if err != nil {
		return c, fmt.Errorf("sum up the books: %w", err)
	}
	for _, t := range totals {
		c.Totals[t.Of] = t.Sum
	}
	return c, nil
}

// total is a sum of base units.
type total struct{ Of, Sum string }

// tables are ours and the job queue's.
func tables(ctx context.Context, db queryer) ([]string, error) {
	rows, err := db.Query(ctx, `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname`)
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	return names, nil
}

// differs says what two sets of figures do not agree on; nil if they do.
func (c contents) differs(from contents) error {
	var all []error
	for _, table := range keys(c.Rows, from.Rows) {
		if a, b := c.Rows[table], from.Rows[table]; a != b {
			all = append(all, fmt.Errorf("%s has %d rows and should have %d", table, a, b))
		}
	}
	for _, of := range keys(c.Totals, from.Totals) {
		if a, b := c.Totals[of], from.Totals[of]; a != b {
			all = append(all, fmt.Errorf("the total of %s is %q and should be %q", of, a, b))
		}
	}
	return errors.Join(all...)
}

func keys[V any](one, other map[string]V) []string {
	all := slices.Collect(maps.Keys(one))
	for name := range other {
		if _, both := one[name]; !both {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// readBack holds an archive against its manifest: its bytes as they are on the disk, and after unpacking every row of
// it. Nothing is restored.
func readBack(ctx context.Context, archive string, m manifest) error {
	if err := m.Files[0].check(archive); err != nil {
		return err
	}
	program, err := postgres.Tool(ctx, "pg_restore", major(m.Server))
	if err != nil {
		return err
	}
	cmd := postgres.Plain(ctx, program, "--no-owner", "--no-privileges", "--file=-", archive)
	script, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	rows, err := countScript(script)
	_, drained := io.Copy(io.Discard, script)
	if err := errors.Join(err, drained, cmd.Wait()); err != nil {
		return fmt.Errorf("%w: unpack the archive: %w: %s", errNotWhole, err, strings.TrimSpace(stderr.String()))
	}
	if err := (contents{Rows: rows, Totals: m.Totals}).differs(m.contents); err != nil {
		return fmt.Errorf("%w: %w", errNotWhole, err)
	}
	return nil
}

// check reads the file and compares size and checksum.
func (f backupFile) check(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	sum := sha256.New()
	n, err := io.Copy(sum, file)
	if err != nil {
		return err
	}
	if n != f.Bytes || hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("%w: %s has changed since it was made", errNotWhole, f.Name)
	}
	return nil
}

// countScript counts the rows of each table in the script that pg_restore writes. COPY's text has one line for each row,
// whatever is in the row, and ends with a line of \. alone.
func countScript(script io.Reader) (map[string]int64, error) {
	rows, table := map[string]int64{}, ""
	lines := bufio.NewReaderSize(script, 1<<16)
	for ended := true; ; {
		line, more, err := lines.ReadLine()
		begins := ended
		ended = !more
		switch {
		case errors.Is(err, io.EOF) && table == "":
			return rows, nil
		case err != nil:
			return nil, err
		case !begins: // the rest of a long line
		case table == "":
			if table = copied(line); table != "" {
				rows[table] = 0
			}
		case string(line) == `\.`:
			table = ""
		default:
			rows[table]++
		}
	}
}

// copied is the table whose rows follow the line, or nothing.
func copied(line []byte) string {
	rest, ok := bytes.CutPrefix(line, []byte("COPY public."))
	if !ok {
		return ""
	}
	name, _, ok := bytes.Cut(rest, []byte(" ("))
	if !ok {
		return ""
	}
	return strings.Trim(string(name), `"`)
}

// runTool runs a client program; its complaint becomes the error.
func runTool(cmd *exec.Cmd) error {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return nil
}

// major is the first number of a server's version; 0 takes any program.
func major(server string) int {
	first, _, _ := strings.Cut(server, ".")
	n, _ := strconv.Atoi(first)
	return n
}
