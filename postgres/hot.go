package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// A process that hangs in such a transaction loses it, so that others do not wait for it. A plan that a connection
	// keeps may date from when a table was nearly empty: it must not read the whole table once that has grown.
	beginHot = `BEGIN; SET LOCAL synchronous_commit = off; SET LOCAL idle_in_transaction_session_timeout = '5s'; SET LOCAL enable_seqscan = off`
	// An empty message in the log, in a transaction whose commit waits for the disk: with it, all before it is there.
	// Many that wait at a time share one write.
	flush = `SELECT pg_logical_emit_message(true, 'xsynesis', '')`
)

// HotTx runs do in a transaction that takes locks on rows which many others want, and returns when what it did is
// safe on the disk. The locks are given back before that: others wait for the statements and not for the disk. What
// they then commit is on the disk only after this is, because the database writes its log in order.
//
// An error after the commit leaves it unknown whether a crash of the database could still undo it.
func HotTx(ctx context.Context, pool *pgxpool.Pool, do func(tx pgx.Tx) error) error {
	if err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{BeginQuery: beginHot}, do); err != nil {
		return err
	}
	return Flush(ctx, pool)
}

// Flush returns when all that is visible is safe on the disk: for whoever tells others of what he read.
func Flush(ctx context.Context, pool *pgxpool.Pool) error {
	if _, err := pool.Exec(ctx, flush); err != nil {
		return fmt.Errorf("wait for the disk: %w", err)
	}
	return nil
}
