package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// binaries is one installed server.
type binaries struct {
	dir   string
	major int
}

var majorPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// Installed returns the folder of the server that a new cluster would use.
func Installed(ctx context.Context) (string, error) {
	found, err := installed(ctx)
	if err != nil {
		return "", err
	}
	return found[0].dir, nil
}

// findBinaries picks the server for the cluster in data: the major version that made it, else the newest.
func findBinaries(ctx context.Context, data string) (binaries, error) {
	found, err := installed(ctx)
	if err != nil {
		return binaries{}, err
	}
	text, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return found[0], nil
	}
	if err != nil {
		return binaries{}, fmt.Errorf("read the cluster's version: %w", err)
	}
	made := strings.TrimSpace(string(text))
	for _, b := range found {
		if strconv.Itoa(b.major) == made {
			return b, nil
		}
	}
	return binaries{}, fmt.Errorf("%w: %s was made by PostgreSQL %s and this machine has %d; install postgresql-%s, or set PGBIN to its programs",
		ErrVersion, data, made, found[0].major, made)
}

// installed lists the servers of this machine, the preferred one first. PGBIN, where set, is the only one.
func installed(ctx context.Context) ([]binaries, error) {
	dirs := []string{os.Getenv("PGBIN")}
	if dirs[0] == "" {
		dirs = candidates()
	}
	var found []binaries
	for _, dir := range dirs {
		out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output() //nolint:gosec // PGBIN is the operator's word
		if m := majorPattern.FindSubmatch(out); err == nil && m != nil {
			major, _ := strconv.Atoi(string(m[1]))
			found = append(found, binaries{dir, major})
		}
	}
	if len(found) == 0 {
		return nil, ErrNotInstalled
	}
	slices.SortStableFunc(found, func(a, b binaries) int { return cmp.Compare(b.major, a.major) })
	return found, nil
}

func candidates() []string {
	var dirs []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"} {
		match, _ := filepath.Glob(pattern) // the patterns are well-formed
		dirs = append(dirs, match...)
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	return dirs
}
