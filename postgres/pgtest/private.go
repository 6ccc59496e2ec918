package pgtest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"xsynesis/postgres"
)

// startPrivate starts a server for this binary alone. The kernel stops it when the binary ends, and a small shell
// then removes its files: a test binary has no last moment of its own to do that in.
func startPrivate(ctx context.Context) (string, error) {
	prefix := fmt.Sprintf("xsynesis-pgtest-%d-", os.Geteuid())
	sweep(filepath.Join(os.TempDir(), prefix+"*"))
	dir, err := os.MkdirTemp("", prefix+"*")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the server's user passes through it
		return "", err
	}
	cluster, err := postgres.Start(ctx, postgres.Options{Dir: dir, Ephemeral: true})
	if err != nil {
		return "", err
	}
	pipe, err := removeAtExit(dir, cluster.Dir())
	if err != nil {
		return "", err
	}
	held.cluster, held.pipe = cluster, pipe
	return cluster.URL(), nil
}

// held keeps the collector from closing the cluster's lock and the shell's pipe while tests run.
var held struct {
	cluster *postgres.Cluster
	pipe    io.WriteCloser
}

// removeAtExit starts a shell that waits for our end of the pipe to close, which is when this process is gone.
func removeAtExit(dir, cluster string) (io.WriteCloser, error) {
	const script = `cat >/dev/null; n=0
while [ -e "$2/data/postmaster.pid" ] && [ $n -lt 300 ]; do sleep 0.1; n=$((n+1)); done
rm -rf "$1" "$2"`
	cmd := exec.Command("sh", "-c", script, "sh", dir, cluster) //nolint:noctx // outlives us on purpose
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return pipe, cmd.Start()
}

// sweep removes what a machine that lost power left behind.
func sweep(pattern string) {
	old, _ := filepath.Glob(pattern) // the pattern is well-formed
	for _, dir := range old {
		info, err := os.Stat(dir)
		if err == nil && time.Since(info.ModTime()) > 24*time.Hour {
			_ = os.RemoveAll(dir) // the next run tries again
		}
	}
}
