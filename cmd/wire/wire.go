// Package wire puts a process together: each role is one function that reads from top to bottom.
package wire

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/cmd/config"
	"xsynesis/evm"
	"xsynesis/ledger"
	"xsynesis/migrations"
	"xsynesis/shop"
)

// Timing is what tests make shorter.
type Timing struct {
	Lease time.Duration // how long a worker owns a settlement that it does not finish
	Sweep time.Duration // how often lost work is looked for
}

// Parts are the services of one process.
type Parts struct {
	Pool     *pgxpool.Pool
	Networks *evm.Registry
	Chains   map[string]*evm.Chain
	Relayers []*evm.Relayer // only where this process may settle
	Access   *access.Service
	Shop     *shop.Service
	Books    *ledger.Books
	Hub      *checkout.Hub
	Checkout *checkout.Service
}

// The sizes of the connection pools; River has its own, so that its work never waits behind a page.
const (
	poolSize      = 40
	riverPoolSize = 20
)

// Build makes the services of a process that serves, or of one that also settles.
func Build(ctx context.Context, c *config.Config, settles bool, t Timing) (*Parts, error) {
	pool, err := openPool(ctx, c, poolSize)
	if err != nil {
		return nil, err
	}
	if err := migrations.Check(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	master, err := masterKey(c)
	if err != nil {
		pool.Close()
		return nil, err
	}
	jobs, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open the queue: %w", err)
	}
	p := &Parts{Pool: pool, Networks: evm.NewRegistry(c.RPC), Chains: map[string]*evm.Chain{}, Hub: checkout.NewHub(pool)}
	settlers := p.dial(c, settles)
	p.Access, p.Shop, p.Books = access.New(pool, now), shop.New(pool, p.Networks, now), ledger.New(pool)
	p.Checkout = newCheckout(p, jobs, settlers, c, master, t)
	return p, nil
}

// Close lets the database go.
func (p *Parts) Close() { p.Pool.Close() }

// dial makes a client for each network with an RPC, and a relayer where this process has the key and may use it.
func (p *Parts) dial(c *config.Config, settles bool) map[string]checkout.Settler {
	settlers := map[string]checkout.Settler{}
	for _, n := range p.Networks.All() {
		if len(n.RPC) == 0 {
			continue
		}
		chain := evm.Dial(n, evm.Options{})
		p.Chains[n.ID] = chain
		if settles && !c.RelayerKey.Empty() {
			relayer := evm.NewRelayer(p.Pool, chain, c.RelayerKey.Private(), evm.RelayerOptions{Now: now})
			p.Relayers = append(p.Relayers, relayer)
			settlers[n.ID] = relayer
		}
	}
	return settlers
}

func newCheckout(p *Parts, jobs *river.Client[pgx.Tx], settlers map[string]checkout.Settler, c *config.Config, master []byte, t Timing) *checkout.Service {
	if t.Lease == 0 {
		t.Lease = 75 * time.Second
	}
	if t.Sweep == 0 {
		t.Sweep = 15 * time.Second
	}
	return checkout.New(p.Pool, jobs, checkout.Options{
		Networks: p.Networks, Chains: p.Chains, Settlers: settlers, Shop: p.Shop, Hub: p.Hub, MasterKey: master,
		PublicURL: string(c.PublicURL), Hold: c.ReservationTTL.Duration(), Wait: c.SettleWait.Duration(),
		Lease: t.Lease, Sweep: t.Sweep, Now: now,
	})
}

// now is the one clock: UTC, in the microseconds that Postgres keeps.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func openPool(ctx context.Context, c *config.Config, size int32) (*pgxpool.Pool, error) {
	o, err := pgxpool.ParseConfig(c.DatabaseURL.Reveal())
	if err != nil {
		return nil, fmt.Errorf("read the database's address: %w", err)
	}
	o.MaxConns = size
	o.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "30000"
	pool, err := pgxpool.NewWithConfig(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return pool, nil
}

const masterKeySize = 32

// masterKey is MASTER_KEY, which production demands; elsewhere a random one is kept in the data folder.
func masterKey(c *config.Config) ([]byte, error) {
	if !c.MasterKey.Empty() {
		return c.MasterKey.Bytes(), nil
	}
	path := filepath.Join(c.DataDir, "master.key")
	if key, err := readKey(path); !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := os.MkdirAll(c.DataDir, 0o755); err != nil { //nolint:gosec // the database's user has to pass
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	var fresh [masterKeySize]byte
	_, _ = rand.Read(fresh[:])
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) { // another process made it this moment
		return readKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("keep a master key: %w", err)
	}
	_, err = file.WriteString(hex.EncodeToString(fresh[:]) + "\n")
	return fresh[:], errors.Join(err, file.Close())
}

func readKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != masterKeySize {
		return nil, fmt.Errorf("%s does not hold a master key", path)
	}
	return key, nil
}
