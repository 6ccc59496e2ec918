package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// A Unix socket's path has at most 107 bytes and a final NUL.
const longestSocket = 107

// systemHome holds the clusters of folders that the database's user cannot enter.
const systemHome = "/var/lib/xsynesis"

// place is where a cluster lives and as whom its server runs.
type place struct {
	dir    string
	socket string
	as     *syscall.Credential // nil: as this process's user
}

// makePlace finds the place and makes its directories.
func makePlace(dir string) (place, error) {
	// Made before it is judged: a strict umask makes it a folder that the database's user cannot enter.
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the database's user passes through it
		return place{}, err
	}
	p, err := findPlace(dir)
	if err != nil {
		return place{}, err
	}
	if err := os.MkdirAll(filepath.Dir(p.dir), 0o755); err != nil { //nolint:gosec // as above
		return place{}, err
	}
	for _, d := range []string{p.dir, p.socket} {
		if err := p.makePrivate(d); err != nil {
			return place{}, err
		}
	}
	return p, nil
}

// findPlace says where the cluster of dir is, whether or not it exists; the answer depends on dir and the user alone.
func findPlace(dir string) (place, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return place{}, err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	p := place{dir: filepath.Join(abs, "postgres")}
	if p.as, err = runAs(); err != nil {
		return place{}, err
	}
	if p.as != nil && !enterable(abs, p.as) {
		p.dir = filepath.Join(systemHome, shortHash(abs))
	}
	p.socket = filepath.Join(p.dir, "socket")
	if len(filepath.Join(p.socket, ".s.PGSQL."+port)) > longestSocket {
		p.socket = filepath.Join("/tmp", "xsynesis-"+shortHash(p.dir))
	}
	return p, nil
}

// runAs says whom the server runs as: PostgreSQL refuses to run as root.
func runAs() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nil is "as we are"
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("read the user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
}

// enterable reports whether the user may pass through dir and everything above it; what does not exist yet will be ours.
func enterable(dir string, as *syscall.Credential) bool {
	for d := dir; ; d = filepath.Dir(d) {
		if info, err := os.Stat(d); err == nil && !passes(info, as) {
			return false
		}
		if d == filepath.Dir(d) {
			return true
		}
	}
}

func passes(info fs.FileInfo, as *syscall.Credential) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch mode := info.Mode().Perm(); {
	case !ok:
		return false
	case owner.Uid == as.Uid:
		return mode&0o100 != 0
	case owner.Gid == as.Gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

// makePrivate makes a directory that only the server's user (and root) may enter, or checks that it is one.
func (p place) makePrivate(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err == nil && p.as != nil {
		return os.Chown(dir, int(p.as.Uid), int(p.as.Gid))
	}
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Lstat, because a stranger could have put a link of this name into a shared directory.
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if p.as != nil && int(owner.Uid) == os.Geteuid() { // another starter has made it and not yet given it away
		return os.Lchown(dir, int(p.as.Uid), int(p.as.Gid))
	}
	if want := p.uid(); owner.Uid != want {
		return fmt.Errorf("%w: %s has uid %d and this process would use uid %d; run as that user, or choose another DATA_DIR",
			ErrOwner, dir, owner.Uid, want)
	}
	return os.Chmod(dir, 0o700) //nolint:gosec // a directory needs the x bit
}

func (p place) uid() uint32 {
	if p.as != nil {
		return p.as.Uid
	}
	return uint32(os.Geteuid())
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:6])
}
