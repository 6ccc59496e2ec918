package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNoTool is returned by [Tool] when this machine has no program that is new enough for the server.
var ErrNoTool = errors.New("postgres: client program missing")

// Tool returns the path of one of PostgreSQL's client programs, such as pg_dump, for a server of this major version: one of
// the same version where there is one, else the next newer. Older ones refuse newer servers.
func Tool(ctx context.Context, name string, major int) (string, error) {
	var found []binaries
	for _, dir := range toolDirs(name) {
		path := filepath.Join(dir, name)
		out, err := exec.CommandContext(ctx, path, "--version").Output()
		if m := majorPattern.FindSubmatch(out); err == nil && m != nil {
			made, _ := strconv.Atoi(string(m[1]))
			found = append(found, binaries{path, made})
		}
	}
	slices.SortStableFunc(found, func(a, b binaries) int { return cmp.Compare(a.major, b.major) })
	for _, b := range found {
		if b.major >= major {
			return b.dir, nil
		}
	}
	return "", fmt.Errorf("%w: %s of version %d or later; install postgresql-client-%d, or set PGBIN to its folder", ErrNoTool, name, major, major)
}

func toolDirs(name string) []string {
	if dir := os.Getenv("PGBIN"); dir != "" {
		return []string{dir}
	}
	dirs := candidates()
	if path, err := exec.LookPath(name); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	return dirs
}

// Command prepares a client program, see [Tool], to work on the database of a connection string. The password goes into the
// program's environment, where no list of processes shows it.
func Command(ctx context.Context, program, connString string, args ...string) (*exec.Cmd, error) {
	c, err := pgconn.ParseConfig(connString)
	if err != nil {
		return nil, errors.New("the database's address cannot be read") // err would show it
	}
	cmd := exec.CommandContext(ctx, program, append(args, "--dbname="+withoutPassword(connString))...)
	cmd.Env = environment()
	if c.Password != "" {
		cmd.Env = append(cmd.Env, "PGPASSWORD="+c.Password)
	}
	return cmd, nil
}

// Plain prepares a client program that needs no database.
func Plain(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = environment()
	return cmd
}

// foreign are the settings of our driver that libpq would refuse, and the password.
var foreign = []string{
	"password", "default_query_exec_mode", "statement_cache_capacity", "description_cache_capacity", "min_protocol_version", "max_protocol_version",
}

func isForeign(name string) bool {
	return strings.HasPrefix(name, "pool_") || slices.Contains(foreign, name)
}

// pair is a setting in the form host=localhost port=5432, where a value may be quoted.
var pair = regexp.MustCompile(`(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s']*)`)

// withoutPassword is a connection string that libpq can read and anybody may see.
func withoutPassword(connString string) string {
	if !strings.HasPrefix(connString, "postgres://") && !strings.HasPrefix(connString, "postgresql://") {
		var kept []string
		for _, m := range pair.FindAllStringSubmatch(connString, -1) {
			if !isForeign(m[1]) {
				kept = append(kept, m[1]+"="+m[2])
			}
		}
		return strings.Join(kept, " ")
	}
	u, err := url.Parse(connString)
	if err != nil {
		return "" // the driver has read it, so this cannot be
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	query := u.Query()
	for name := range query {
		if isForeign(name) {
			query.Del(name)
		}
	}
	// libpq takes a plus sign for itself.
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	return u.String()
}
