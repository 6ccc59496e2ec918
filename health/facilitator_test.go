package health_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/evm"
	"xsynesis/health"
	"xsynesis/postgres/pgtest"
)

func TestFacilitatorsAreSeenAsTheyAre(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	_, err := pool.Exec(t.Context(), `
		INSERT INTO facilitators (name, network, place, supported, listed_at, answered_at, last_error) VALUES
			('good', 'eip155:84532', 0, true, now(), now(), ''),
			('silent', 'eip155:84532', 1, true, now(), now() - interval '1 hour', 'connect'),
			('elsewhere', 'eip155:84532', 2, false, now(), now(), ''),
			('gone', 'eip155:84532', 3, true, now() - interval '1 hour', now(), '')`)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `
		INSERT INTO facilitator_asks (settlement_id, facilitator, call, asked_at, took_ms, outcome)
		SELECT 'stl_1', 'good', 'settle', now(), n, CASE WHEN n <= 40 THEN 'timeout' ELSE 'success' END FROM generate_series(1, 100) n`)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `
		INSERT INTO facilitator_asks (settlement_id, facilitator, call, asked_at) VALUES ('stl_1', 'good', 'settle', now()), ('stl_1', 'good', 'settle', now() - interval '2 days')`)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `INSERT INTO facilitator_callbacks (sha256, body, received_at, times, outcome) VALUES ('\x01', '{}', now(), 3, 'unreadable')`)
	require.NoError(t, err)

	f, err := health.New(pool, health.Options{Networks: evm.NewRegistry(nil), Now: time.Now}).Figures(t.Context())
	require.NoError(t, err)
	require.Len(t, f.Facilitators, 3)
	good := f.Facilitators[0]
	require.Equal(t, "good", good.Name)
	require.Equal(t, "Base Sepolia", good.Network)
	require.EqualValues(t, 100, good.Asked)
	require.EqualValues(t, 40, good.Failed)
	require.Equal(t, 50*time.Millisecond, good.Half)
	require.Equal(t, 95*time.Millisecond, good.Most)
	require.False(t, good.Silent())
	require.True(t, f.Facilitators[1].Silent())
	require.Len(t, f.Callbacks, 1)
	require.EqualValues(t, 3, f.Callbacks[0].Times)
	var said []string
	for _, one := range f.Findings() {
		if one.Subject == health.Facilitators {
			said = append(said, one.Sentence)
		}
		require.NotContains(t, one.Sentence, "No relayer", "somebody else moves payments")
	}
	require.Equal(t, []string{"good failed 40 of 100 times within a day.", "silent does not answer.", "elsewhere does not settle on Base Sepolia."}, said)
}
