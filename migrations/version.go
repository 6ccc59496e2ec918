package migrations

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Versions say what shape a database has: how many of our migrations, and how many of the job queue's.
type Versions struct {
	Schema   int64 `json:"schema"`
	JobQueue int64 `json:"job_queue"`
}

// Newer reports whether a database of this shape is too new for a program made for o.
func (v Versions) Newer(o Versions) bool { return v.Schema > o.Schema || v.JobQueue > o.JobQueue }

// Wanted is the shape that this program was made for.
func Wanted() (Versions, error) {
	ours, err := latest()
	if err != nil {
		return Versions{}, err
	}
	river, err := newRiver(nil)
	if err != nil {
		return Versions{}, err
	}
	return Versions{ours, int64(newest(river.AllVersions()))}, nil
}

// Applied is the shape that a database has; zeros where it has none.
func Applied(ctx context.Context, pool *pgxpool.Pool) (Versions, error) {
	ours, err := applied(ctx, pool)
	if err != nil {
		return Versions{}, fmt.Errorf("read the schema's version: %w", err)
	}
	river, err := newRiver(pool)
	if err != nil {
		return Versions{}, err
	}
	existing, err := river.ExistingVersions(ctx)
	if err != nil {
		return Versions{}, fmt.Errorf("read the job queue's version: %w", err)
	}
	return Versions{ours, int64(newest(existing))}, nil
}
