package webhook

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/queries"
)

var morning = time.Date(2026, 1, 2, 8, 0, 0, 0, time.UTC)

// tried is a server's health after tries that came a second apart: an x failed, a dot was accepted.
func tried(h queries.SubscriptionHealth, at time.Time, tries string) queries.SubscriptionHealth {
	for i, t := range tries {
		h = after(h, heard{at: at.Add(time.Duration(i) * time.Second), ok: t == '.', took: 50 * time.Millisecond})
	}
	return h
}

func TestTheBreakerOpensWhenMostOfTenFail(t *testing.T) {
	t.Parallel()
	for tries, opens := range map[string]bool{
		"xxxxxxxxx": false, "xxxxxxxxxx": true, "...xxxxxxx": true, "....xxxxxx": false, ".........x": false, "xxxxxxx...x": true,
	} {
		require.Equal(t, opens, tried(queries.SubscriptionHealth{}, morning, tries).OpenedUntil != nil, tries)
	}
	early := tried(queries.SubscriptionHealth{}, morning, "xxxxxxxxx")
	require.Nil(t, tried(early, morning.Add(breakerWindow), "x").OpenedUntil, "nine of them are too long ago")
}

func TestEachFailedProbeDoublesThePauseUpToTenMinutes(t *testing.T) {
	t.Parallel()
	h, now := opened(queries.SubscriptionHealth{}, morning), morning
	for _, pause := range []time.Duration{30, 60, 120, 240, 480, 600, 600} {
		require.Equal(t, pause*time.Second, h.OpenedUntil.Sub(now))
		ok, until := closed(h, h.OpenedUntil.Add(-time.Millisecond))
		require.False(t, ok)
		require.Equal(t, *h.OpenedUntil, until)
		now = *h.OpenedUntil
		ok, _ = closed(h, now)
		require.True(t, ok, "one probe")
		probing := now.Add(10 * time.Second)
		h.ProbeUntil = &probing
		ok, until = closed(h, now)
		require.False(t, ok, "and only one")
		require.Equal(t, probing, until)
		require.Equal(t, h.OpenedUntil, after(h, heard{at: now}).OpenedUntil, "a try from before says nothing")
		h = after(h, heard{at: now, probe: true})
	}
	h = after(h, heard{at: now, ok: true, probe: true})
	ok, _ := closed(h, now)
	require.True(t, ok)
	require.Zero(t, h.Openings)
	require.Zero(t, h.Failures)
	require.Nil(t, h.FailingSince)
}

func TestASlowServerIsOneThatUsuallyTakesLong(t *testing.T) {
	t.Parallel()
	took := func(h queries.SubscriptionHealth, d time.Duration) queries.SubscriptionHealth {
		return after(h, heard{at: morning, ok: true, took: d})
	}
	h := took(queries.SubscriptionHealth{}, 50*time.Millisecond)
	h = took(h, 10*time.Second)
	require.False(t, isSlow(h), "once")
	h = took(h, 10*time.Second)
	require.True(t, isSlow(h), "twice")
	h = took(took(h, 50*time.Millisecond), 50*time.Millisecond)
	require.False(t, isSlow(h), "it recovered")
	require.True(t, isSlow(opened(h, morning)))
}

func TestAServerIsHopelessOnlyAfterBothTimeAndFailures(t *testing.T) {
	t.Parallel()
	since := morning.Add(-disableAfter)
	require.True(t, hopeless(queries.SubscriptionHealth{Failures: disableTries, FailingSince: &since}, morning))
	require.False(t, hopeless(queries.SubscriptionHealth{Failures: disableTries - 1, FailingSince: &since}, morning))
	require.False(t, hopeless(queries.SubscriptionHealth{Failures: disableTries, FailingSince: &since}, morning.Add(-time.Second)))
	require.False(t, hopeless(queries.SubscriptionHealth{}, morning))
}
