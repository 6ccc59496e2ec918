package handlers

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatIsCountedIsBounded(t *testing.T) {
	t.Parallel()
	l, wrong, now := newLimits(), newWrongs(signInTries), time.Now()
	for i := range 3 * mostCounted {
		who := fmt.Sprintf("2001:db8::%x", i)
		require.Zero(t, l.addresses.take(who, now))
		l.learn(who, knownCaller{}, now)
		wrong.failed(who, now)
	}
	require.Equal(t, mostCounted, l.addresses.left.Len())
	require.Equal(t, mostCounted, l.known.Len())
	require.Equal(t, mostCounted, wrong.seen.Len())
}

func TestWhoKeepsAskingIsNotForgottenForOthers(t *testing.T) {
	t.Parallel()
	b, now := newBuckets(pace{1, 1}), time.Now()
	require.Zero(t, b.take("greedy", now))
	for i := range 3 * mostCounted {
		b.take(fmt.Sprint(i), now)
		if i%100 == 0 {
			require.Positive(t, b.take("greedy", now))
		}
	}
}

func TestWaitsAreTakenBack(t *testing.T) {
	t.Parallel()
	b, now := newBuckets(pace{1, 1}), time.Now()
	require.Zero(t, b.take("a", now))
	for range 100 {
		require.Equal(t, time.Second, b.take("a", now), "who asks in vain does not wait longer for it")
	}
	require.Equal(t, 1, seconds(time.Millisecond))
	require.Equal(t, 2, seconds(1001*time.Millisecond))
	require.Zero(t, b.take("a", now.Add(time.Second)))
}

func TestTheFiguresAreInTheDocumentation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/configuration.md")
	require.NoError(t, err)
	for what, p := range map[string]pace{
		"an address that nobody is known by": addressPace, "an API key": keyPace, "a person who is signed in": personPace,
		"purchases that are begun at one link": linkPace, "carts that are begun from one address": cartPace,
	} {
		require.Contains(t, string(text), fmt.Sprintf("| %s | %d | %d |", what, p.second, p.burst))
	}
	for what, most := range map[string]int{
		"wrong proofs of who one is, by address": signInTries, "wrong PINs, by tablet": pinTries,
	} {
		require.Contains(t, string(text), fmt.Sprintf("| %s | %d in a minute |", what, most))
	}
	require.Contains(t, string(text), fmt.Sprintf("| open streams, by visitor | %d at once |", streamsPerVisitor))
	require.Contains(t, string(text), "| a request's body | "+strings.Replace(maxBody, "K", " KiB", 1)+" |")
}
