package process

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"xsynesis/cmd/config"
	"xsynesis/migrations"
	"xsynesis/postgres"
)

// migrationTimeout is how long a joiner waits for the starter to migrate.
const migrationTimeout = 2 * time.Minute

var errDatabaseEnded = errors.New("the private database ended by itself; its log is postgres.log in its folder")

// Database is where a command's data is: a server that somebody else runs, or the private cluster of DATA_DIR.
type Database struct {
	cluster *postgres.Cluster // nil where DATABASE_URL is set
}

// OpenDatabase makes sure that c.DatabaseURL names a database with this program's schema. Where none is set it starts
// the private cluster and migrates it, or joins the one that another process runs and waits until that one has.
func OpenDatabase(ctx context.Context, c *config.Config) (*Database, error) {
	d, err := ReachDatabase(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := d.awaitSchema(ctx, c); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// MigrateDatabase brings the database to this program's schema, whoever runs it.
func MigrateDatabase(ctx context.Context, c *config.Config) (*Database, error) {
	d, err := ReachDatabase(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := withPool(ctx, c, migrations.Up); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// JoinDatabase is [OpenDatabase] for commands that only look: it starts nothing and migrates nothing.
func JoinDatabase(ctx context.Context, c *config.Config) (*Database, error) {
	d := &Database{}
	if c.DatabaseURL.Empty() {
		cluster, err := postgres.Join(ctx, c.DataDir)
		if err != nil {
			return nil, err
		}
		d.use(c, cluster)
	}
	if err := withPool(ctx, c, migrations.Check); err != nil {
		return nil, err
	}
	return d, nil
}

// ReachDatabase makes sure that c.DatabaseURL names a database, whatever its schema; it migrates nothing. It is for
// commands that copy a database as a whole.
func ReachDatabase(ctx context.Context, c *config.Config) (*Database, error) {
	d := &Database{}
	if !c.DatabaseURL.Empty() {
		return d, nil
	}
	cluster, err := postgres.StartOrJoin(ctx, postgres.Options{Dir: c.DataDir})
	if err != nil {
		return nil, err
	}
	d.use(c, cluster)
	return d, nil
}

func (d *Database) use(c *config.Config, cluster *postgres.Cluster) {
	d.cluster = cluster
	c.UsePrivateDatabase(cluster.URL())
}

// Starter reports whether this process runs the private cluster.
func (d *Database) Starter() bool { return d.cluster != nil && d.cluster.Starter() }

// Close stops the private cluster if this process started it.
func (d *Database) Close() error {
	if d.cluster == nil {
		return nil
	}
	return d.cluster.Stop()
}

// Watch returns a context that also ends when the private server ends by itself; [context.Cause] then says so.
func (d *Database) Watch(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	if d.Starter() {
		go func() {
			select {
			case <-d.cluster.Ended():
				cancel(errDatabaseEnded)
			case <-ctx.Done():
			}
		}()
	}
	return ctx, func() { cancel(context.Canceled) }
}

// Serve runs a long-running command on the database, and closes it afterwards.
func (d *Database) Serve(parent context.Context, c *config.Config, run func(context.Context, *config.Config) error) error {
	ctx, cancel := d.Watch(parent)
	defer cancel()
	err := run(ctx, c)
	if cause := context.Cause(ctx); errors.Is(cause, errDatabaseEnded) {
		err = errors.Join(cause, err)
	}
	return errors.Join(err, d.Close())
}

func (d *Database) awaitSchema(ctx context.Context, c *config.Config) error {
	if d.Starter() {
		return withPool(ctx, c, migrations.Up)
	}
	deadline := time.Now().Add(migrationTimeout)
	for {
		err := withPool(ctx, c, migrations.Check)
		if d.cluster == nil || !errors.Is(err, migrations.ErrOlder) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func withPool(ctx context.Context, c *config.Config, do func(context.Context, *pgxpool.Pool) error) error {
	pool, err := pgxpool.New(ctx, c.DatabaseURL.Reveal())
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer pool.Close()
	return do(ctx, pool)
}
