// Package pgtest gives every test a database of its own, with the shop's schema and real commits.
//
// The server is TEST_DATABASE_URL where that is set. Otherwise each test binary starts a private one that ends with it.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"xsynesis/id"
)

const (
	poolSize     = 20
	closeTimeout = 10 * time.Second
)

// New returns a pool on a fresh, migrated database. Its URL, for a child process, is pool.Config().ConnString().
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(URL(t))
	if err != nil {
		t.Fatalf("read the test database's URL: %v", err)
	}
	config.MaxConns = poolSize
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatalf("open the test database: %v", err)
	}
	t.Cleanup(func() { closePool(t, pool) })
	return pool
}

// Mortal lets a pool connect only until its process is dead, as a lost machine's does; what is connected by then has to be cut.
func Mortal(config *pgxpool.Config, dead *atomic.Bool) {
	alive := func() error {
		if dead.Load() {
			return errors.New("this process is dead")
		}
		return nil
	}
	config.BeforeConnect = func(context.Context, *pgx.ConnConfig) error { return alive() }
	config.AfterConnect = func(context.Context, *pgx.Conn) error { return alive() } // it may have died on its way in
}

// URL returns the connection string of a fresh, migrated database. It is dropped when the test ends, unless it failed.
func URL(t testing.TB) string {
	t.Helper()
	s, err := server()
	if err != nil {
		t.Fatalf("no test database: %v", err)
	}
	name := "test_" + id.NewToken()
	if err := s.exec(fmt.Sprintf(`CREATE DATABASE %q TEMPLATE %q`, name, s.template)); err != nil {
		t.Fatalf("clone the template database: %v", err)
	}
	u := s.url(name)
	t.Cleanup(func() { s.drop(t, name, u) })
	return u
}

// Copy returns the connection string of a copy of a test's database, as it is now; it goes with the test. Whoever uses that
// database loses his connections.
func Copy(t testing.TB, of string) string {
	t.Helper()
	config, err := pgx.ParseConfig(of)
	if err != nil {
		t.Fatalf("read the test database's URL: %v", err)
	}
	s, err := server()
	if err != nil {
		t.Fatalf("no test database: %v", err)
	}
	name := "test_" + id.NewToken()
	for range 20 { // somebody may connect again meanwhile
		err = s.exec(fmt.Sprintf(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'`, config.Database))
		if err == nil {
			err = s.exec(fmt.Sprintf(`CREATE DATABASE %q TEMPLATE %q`, name, config.Database))
		}
		if err == nil {
			break
		}
	}
	if err != nil {
		t.Fatalf("copy the test database: %v", err)
	}
	u := s.url(name)
	t.Cleanup(func() { s.drop(t, name, u) })
	return u
}

func (s *testServer) drop(t testing.TB, name, u string) {
	if t.Failed() && !s.private {
		t.Logf("kept for a look: %s", u)
		return
	}
	if err := s.exec(fmt.Sprintf(`DROP DATABASE %q WITH (FORCE)`, name)); err != nil {
		t.Errorf("drop the test database: %v", err)
	}
}

// closePool gives up on a connection that the test never returned: Close would wait for it for ever.
func closePool(t testing.TB, pool *pgxpool.Pool) {
	done := make(chan struct{})
	go func() { pool.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(closeTimeout):
		t.Errorf("the test still holds %d database connections", pool.Stat().AcquiredConns())
	}
}

// testServer is the server that this binary's tests share.
type testServer struct {
	maintenance string // a URL whose database is used to create the others
	template    string
	private     bool // ends with this binary
}

var server = sync.OnceValues(func() (*testServer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s := &testServer{maintenance: os.Getenv("TEST_DATABASE_URL")}
	if s.maintenance == "" {
		u, err := startPrivate(ctx)
		if err != nil {
			return nil, err
		}
		s.maintenance, s.private = u, true
	}
	if err := s.makeTemplate(ctx); err != nil {
		return nil, fmt.Errorf("make the template database: %w", err)
	}
	return s, nil
})

func (s *testServer) exec(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.maintenance)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // the connection is done with
	_, err = conn.Exec(ctx, sql)
	return err
}

// url is the maintenance URL with another database's name.
func (s *testServer) url(name string) string {
	u, err := url.Parse(s.maintenance)
	if err != nil || u.Scheme == "" { // key=value form: the last mention of a key counts
		return s.maintenance + " dbname=" + name
	}
	u.Path = "/" + name
	return u.String()
}
