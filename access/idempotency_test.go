package access_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/access"
)

var (
	answer = access.Answer{Status: 201, ContentType: "application/json", Body: []byte(`{"id":"lnk_1"}`)}
	first  = []byte("the first body")
	second = []byte("another body")
)

func TestAnIdempotencyKeyGoesThroughItsStates(t *testing.T) {
	t.Parallel()
	d := open(t)
	ctx := t.Context()

	running, known, err := d.Idempotent(ctx, "cafe", "key", first)
	require.NoError(t, err)
	require.Nil(t, known)
	require.NotNil(t, running)

	_, _, err = d.Idempotent(ctx, "cafe", "key", first)
	require.ErrorIs(t, err, access.ErrKeyRunning)
	_, _, err = d.Idempotent(ctx, "cafe", "key", second)
	require.ErrorIs(t, err, access.ErrKeyMismatch)

	require.NoError(t, running.Keep(ctx, answer))
	for range 2 {
		again, known, err := d.Idempotent(ctx, "cafe", "key", first)
		require.NoError(t, err)
		require.Nil(t, again)
		require.Equal(t, &answer, known)
	}
	_, _, err = d.Idempotent(ctx, "cafe", "key", second)
	require.ErrorIs(t, err, access.ErrKeyMismatch)
	d.offset.Add(int64(time.Hour))
	_, known, err = d.Idempotent(ctx, "cafe", "key", first)
	require.NoError(t, err)
	require.Equal(t, &answer, known, "an answer has no lock to run out")
}

func TestAnIdempotencyKeyIsGivenBack(t *testing.T) {
	t.Parallel()
	d := open(t)
	running, _, err := d.Idempotent(t.Context(), "cafe", "key", first)
	require.NoError(t, err)
	require.NoError(t, running.Forget(t.Context()))
	running, known, err := d.Idempotent(t.Context(), "cafe", "key", second)
	require.NoError(t, err, "what had no effect binds nobody")
	require.Nil(t, known)
	require.NoError(t, running.Keep(t.Context(), answer))
	require.NoError(t, running.Forget(t.Context()))
	_, known, err = d.Idempotent(t.Context(), "cafe", "key", second)
	require.NoError(t, err)
	require.Equal(t, &answer, known, "an answer is not forgotten")
}

func TestAnIdempotencyKeyOfADeadProcessIsTakenOver(t *testing.T) {
	t.Parallel()
	d := open(t)
	_, _, err := d.Idempotent(t.Context(), "cafe", "key", first)
	require.NoError(t, err)
	d.offset.Add(int64(59 * time.Second))
	_, _, err = d.Idempotent(t.Context(), "cafe", "key", first)
	require.ErrorIs(t, err, access.ErrKeyRunning)
	d.offset.Add(int64(2 * time.Second))
	_, _, err = d.Idempotent(t.Context(), "cafe", "key", second)
	require.ErrorIs(t, err, access.ErrKeyMismatch, "a dead request binds its key all the same")
	running, known, err := d.Idempotent(t.Context(), "cafe", "key", first)
	require.NoError(t, err)
	require.Nil(t, known)
	require.NotNil(t, running)
	_, _, err = d.Idempotent(t.Context(), "cafe", "key", first)
	require.ErrorIs(t, err, access.ErrKeyRunning)
}

func TestIdempotencyKeysOfOthersAreTheirOwn(t *testing.T) {
	t.Parallel()
	d := open(t)
	for _, scope := range []string{"cafe", "bookshop", "POST /api/create_payment_session lnk_1"} {
		running, known, err := d.Idempotent(t.Context(), scope, "key", []byte(scope))
		require.NoError(t, err)
		require.Nil(t, known)
		require.NoError(t, running.Keep(t.Context(), access.Answer{Status: 200, ContentType: "text/plain", Body: []byte(scope)}))
	}
	_, known, err := d.Idempotent(t.Context(), "bookshop", "key", []byte("bookshop"))
	require.NoError(t, err)
	require.Equal(t, "bookshop", string(known.Body))
}

func TestOneOfManyHasTheIdempotencyKey(t *testing.T) {
	t.Parallel()
	d := open(t)
	var winners atomic.Int64
	var g errgroup.Group
	for range 50 {
		g.Go(func() error {
			running, known, err := d.Idempotent(t.Context(), "cafe", "key", first)
			switch {
			case errors.Is(err, access.ErrKeyRunning):
				return nil
			case err != nil || known != nil:
				return errors.Join(err, errors.New("an answer out of nowhere"))
			}
			winners.Add(1)
			_ = running
			return nil
		})
	}
	require.NoError(t, g.Wait())
	require.EqualValues(t, 1, winners.Load())
}

func TestWhatNobodyCanUseAnyMoreIsForgotten(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.answered(t, "old")
	d.exec(t, `INSERT INTO persons VALUES ('usr_1', 'Ada', now()); INSERT INTO merchants VALUES ('sel_1', 'cafe', 'Cafe', '', now())`)
	d.exec(t, `INSERT INTO sessions (id, hash, person_id, merchant_id, created_at, seen_at, expires_at) VALUES
		('ses_1', 'over', 'usr_1', 'sel_1', now(), now(), now() + interval '6 days'),
		('ses_2', 'lives', 'usr_1', 'sel_1', now(), now(), now() + interval '8 days')`)
	d.exec(t, `INSERT INTO operator_sessions (hash, created_at, expires_at) VALUES ('over', now(), now() + interval '1 hour')`)
	d.offset.Add(int64(7*24*time.Hour - time.Minute))
	d.answered(t, "young")
	require.NoError(t, d.Purge(t.Context()))
	require.Equal(t, 2, d.count(t, `SELECT count(*) FROM idempotency_keys`), "seven days are kept")
	d.offset.Add(int64(time.Minute))
	require.NoError(t, d.Purge(t.Context()))
	require.Equal(t, 1, d.count(t, `SELECT count(*) FROM idempotency_keys WHERE key = encode(sha256('young'), 'hex')`))
	require.Equal(t, 1, d.count(t, `SELECT count(*) FROM idempotency_keys`))
	require.Equal(t, 1, d.count(t, `SELECT count(*) FROM sessions`))
	require.Zero(t, d.count(t, `SELECT count(*) FROM operator_sessions`))
}

// answered uses an idempotency key.
func (d door) answered(t *testing.T, key string) {
	t.Helper()
	running, _, err := d.Idempotent(t.Context(), "cafe", key, first)
	require.NoError(t, err)
	require.NoError(t, running.Keep(t.Context(), answer))
}

func (d door) exec(t *testing.T, sql string) {
	t.Helper()
	_, err := d.pool.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func (d door) count(t *testing.T, sql string) (n int) {
	t.Helper()
	require.NoError(t, d.pool.QueryRow(t.Context(), sql).Scan(&n))
	return n
}
