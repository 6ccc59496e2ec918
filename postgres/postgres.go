// Package postgres runs the private database of a shop that has no database server of its own.
//
// One process starts the cluster of a folder and stops it when it ends; others join it. The server listens on a Unix
// socket only, in a directory that nobody else may enter, and shuts itself down when its starter dies.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Sentinels of this package.
var (
	// ErrRunning is returned by [Start] when another process already runs this folder's cluster.
	ErrRunning = errors.New("postgres: the cluster is already running")
	// ErrNotRunning is returned by [Join] when no process runs this folder's cluster.
	ErrNotRunning = errors.New("postgres: no cluster is running here")
	// ErrNotInstalled is returned by [Start] when this machine has no PostgreSQL server.
	ErrNotInstalled = errors.New("PostgreSQL is not installed: install the package postgresql, or set PGBIN or DATABASE_URL")
	// ErrVersion is returned by [Start] when the cluster was made by a major version that is not installed.
	ErrVersion = errors.New("postgres: other major version")
	// ErrOwner is returned when the cluster belongs to a user that this process cannot act for.
	ErrOwner = errors.New("postgres: the cluster belongs to another user")
)

const (
	superuser      = "postgres"
	database       = "xsynesis"
	port           = "5432" // names the socket file; nothing listens on TCP
	readyTimeout   = 2 * time.Minute
	stopTimeout    = 20 * time.Second
	maxConnections = 400
)

// Options say which cluster is meant.
type Options struct {
	Dir       string // the folder that holds it, usually DATA_DIR
	Ephemeral bool   // nothing in it is worth keeping: no fsync, no checksums
}

// Cluster is a running private database server.
type Cluster struct {
	place   place
	child   *child   // nil for a joiner
	lock    *os.File // nil for a joiner
	stopped chan struct{}
}

// Start makes the cluster if there is none, starts it and returns when it answers. ctx limits the start only.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	p, err := makePlace(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", o.Dir, err)
	}
	lock, err := lockFile(p.lock(), syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	c := &Cluster{place: p, lock: lock, stopped: make(chan struct{})}
	if err := c.start(ctx, o.Ephemeral); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// Join returns the cluster that another process runs for this folder, and waits while it is still starting.
func Join(ctx context.Context, dir string) (*Cluster, error) {
	p, err := findPlace(dir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{place: p}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		free, err := isFree(p.lock())
		if err != nil {
			return nil, err
		}
		if free {
			return nil, fmt.Errorf("%s: %w", p.dir, ErrNotRunning)
		}
		last := ping(ctx, c.URL())
		if last == nil {
			return c, nil
		}
		if err := pause(ctx); err != nil {
			return nil, fmt.Errorf("join the cluster in %s: %w", p.dir, last)
		}
	}
}

// StartOrJoin starts the cluster unless another process runs it already, in which case it joins that one.
func StartOrJoin(ctx context.Context, o Options) (*Cluster, error) {
	for {
		c, err := Start(ctx, o)
		if !errors.Is(err, ErrRunning) {
			return c, err
		}
		c, err = Join(ctx, o.Dir)
		if !errors.Is(err, ErrNotRunning) {
			return c, err
		}
		if err := pause(ctx); err != nil { // its starter ended between the two looks
			return nil, fmt.Errorf("start or join the cluster: %w", err)
		}
	}
}

// Starter reports whether this process started the cluster, and therefore owns its schema and its end.
func (c *Cluster) Starter() bool { return c.lock != nil }

// Dir is the folder in which the cluster really is.
func (c *Cluster) Dir() string { return c.place.dir }

// URL is the connection string of the shop's database.
func (c *Cluster) URL() string { return c.place.url(database) }

// Ended is closed when the server this process started has ended, wanted or not. It is nil, and so never ready, for a joiner.
func (c *Cluster) Ended() <-chan struct{} {
	if c.child == nil {
		return nil
	}
	return c.child.ended
}

// Stop ends the server, open transactions included, and frees the folder. A joiner stops nothing. It may be called again.
func (c *Cluster) Stop() error {
	if c.lock == nil {
		return nil
	}
	select {
	case <-c.stopped:
		return nil
	default:
		close(c.stopped)
	}
	var err error
	if c.child != nil {
		err = c.child.stop()
	}
	if filepath.Dir(c.place.socket) != c.place.dir {
		_ = os.Remove(c.place.socket) // a stand-in under /tmp; only tidiness
	}
	return errors.Join(err, c.lock.Close())
}

func (c *Cluster) start(ctx context.Context, ephemeral bool) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	bin, err := findBinaries(ctx, c.place.data())
	if err != nil {
		return err
	}
	if err := c.place.initdb(ctx, bin, ephemeral); err != nil {
		return err
	}
	if err := c.place.evict(ctx); err != nil {
		return err
	}
	if c.child, err = c.place.spawn(bin, ephemeral); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	if err := c.awaitReady(ctx); err != nil {
		return err
	}
	return createDatabase(ctx, c.place.url(superuser))
}

func (c *Cluster) awaitReady(ctx context.Context) error {
	for {
		last := ping(ctx, c.place.url(superuser))
		if last == nil {
			return nil
		}
		select {
		case <-c.child.ended:
			return fmt.Errorf("start postgres: it ended at once; its log %s says: %s", c.place.log(), tail(c.place.log()))
		default:
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("wait for postgres: %w", last)
		}
	}
}

func createDatabase(ctx context.Context, maintenance string) error {
	conn, err := pgx.Connect(ctx, maintenance)
	if err != nil {
		return fmt.Errorf("connect to the new cluster: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // the connection is done with
	var there bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, database).Scan(&there); err != nil {
		return fmt.Errorf("look for the database: %w", err)
	}
	if there {
		return nil
	}
	if _, err := conn.Exec(ctx, `CREATE DATABASE `+database); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	return nil
}

func ping(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(20 * time.Millisecond):
		return nil
	}
}

func (p place) url(name string) string {
	query := url.Values{"host": {p.socket}, "port": {port}}
	return "postgres://" + superuser + "@/" + name + "?" + query.Encode()
}

func (p place) data() string { return filepath.Join(p.dir, "data") }
func (p place) lock() string { return filepath.Join(p.dir, "lock") }
func (p place) log() string  { return filepath.Join(p.dir, "postgres.log") }

// settings are given on the command line, so that an older cluster gets them too.
func (p place) settings(ephemeral bool) []string {
	set := []string{
		"listen_addresses=",
		"unix_socket_directories=" + p.socket,
		"unix_socket_permissions=0700",
		"port=" + port,
		"max_connections=" + strconv.Itoa(maxConnections),
		"timezone=UTC",
		"log_timezone=UTC",
		"log_checkpoints=off",
	}
	if ephemeral {
		set = append(set, "fsync=off", "synchronous_commit=off", "full_page_writes=off",
			"wal_level=minimal", "max_wal_senders=0", "shared_buffers=64MB")
	}
	args := make([]string, 0, 2*len(set))
	for _, s := range set {
		args = append(args, "-c", s)
	}
	return args
}
