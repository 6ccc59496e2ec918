package access

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/queries"
)

var (
	// ErrKeyMismatch is returned when an idempotency key was used with another request.
	ErrKeyMismatch = errors.New("access: idempotency key used for another request")
	// ErrKeyRunning is returned while the first request with an idempotency key has no answer yet.
	ErrKeyRunning = errors.New("access: request with this idempotency key is running")
)

// Answer is what a request was answered, to be repeated.
type Answer struct {
	Status      int
	ContentType string
	Body        []byte
}

// Idempotency keeps the first answer to each key of a scope. A key that anybody may use brings back what only its first
// user was told, so only its hash is kept.
type Idempotency struct {
	s     *Service
	scope string
	key   string // hashed
}

// runningFor is how long a request without an answer keeps its key: longer than any handler runs.
const runningFor = time.Minute

// Idempotent begins a request with a key. It returns the first answer if there is one; otherwise the
// caller must end with [Idempotency.Keep] or [Idempotency.Forget]. Errors: [ErrKeyMismatch], [ErrKeyRunning].
func (s *Service) Idempotent(ctx context.Context, scope, key string, fingerprint []byte) (*Idempotency, *Answer, error) {
	q, now := queries.New(), s.now()
	key = hex.EncodeToString(hash(key))
	_, err := q.IdempotencyClaim(ctx, s.pool, queries.IdempotencyClaimParams{
		Scope: scope, Key: key, Fingerprint: fingerprint, LockedUntil: now.Add(runningFor), Now: now,
	})
	if err == nil {
		return &Idempotency{s, scope, key}, nil, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return nil, nil, fmt.Errorf("claim idempotency key: %w", err)
	}
	row, err := q.IdempotencyByKey(ctx, s.pool, queries.IdempotencyByKeyParams{Scope: scope, Key: key})
	switch {
	case errors.Is(err, pgx.ErrNoRows): // forgotten this very moment
		return nil, nil, ErrKeyRunning
	case err != nil:
		return nil, nil, fmt.Errorf("idempotency key: %w", err)
	case !bytes.Equal(row.Fingerprint, fingerprint):
		return nil, nil, ErrKeyMismatch
	case row.Status == nil:
		return nil, nil, ErrKeyRunning
	}
	return nil, &Answer{Status: int(*row.Status), ContentType: *row.ContentType, Body: row.Body}, nil
}

// Keep stores the answer for whoever asks again.
func (i *Idempotency) Keep(ctx context.Context, a Answer) error {
	status := int32(a.Status)
	return queries.New().IdempotencyAnswer(ctx, i.s.pool, queries.IdempotencyAnswerParams{
		Scope: i.scope, Key: i.key, Status: &status, ContentType: &a.ContentType, Body: a.Body,
	})
}

// Forget gives the key back: the request had no effect worth repeating.
func (i *Idempotency) Forget(ctx context.Context) error {
	return queries.New().IdempotencyRelease(ctx, i.s.pool, queries.IdempotencyReleaseParams{Scope: i.scope, Key: i.key})
}
