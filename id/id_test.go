package id_test

import (
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/id"
)

func TestNew(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

	t.Run("ids of later milliseconds sort later", func(t *testing.T) {
		t.Parallel()
		var ids []string
		for i := range 1000 {
			ids = append(ids, string(id.New[id.Attempt](start.Add(time.Duration(i)*time.Millisecond))))
		}
		require.True(t, sort.StringsAreSorted(ids))
	})

	t.Run("what is made is parsed, and only as its own kind", func(t *testing.T) {
		t.Parallel()
		a := id.New[id.Attempt](start)
		back, err := id.Parse[id.Attempt](string(a))
		require.NoError(t, err)
		require.Equal(t, a, back)
		_, err = id.Parse[id.Link](string(a))
		require.ErrorIs(t, err, id.ErrMalformed)
	})

	t.Run("malformed text is refused", func(t *testing.T) {
		t.Parallel()
		for _, s := range []string{"", "pa_", "pa_short", "pa_" + strings.Repeat("0", 22), "pa_" + strings.Repeat("1", 23), "PA_" + strings.Repeat("1", 22)} {
			_, err := id.Parse[id.Attempt](s)
			require.ErrorIs(t, err, id.ErrMalformed, s)
		}
	})
}

func TestToken(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		token := id.NewToken()
		_, err := id.ParseToken(token)
		require.NoError(t, err)
		require.False(t, seen[token])
		seen[token] = true
	}
}

func TestFirst(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	first := id.First[id.Delivery](at)
	for range 100 {
		require.Less(t, string(id.New[id.Delivery](at.Add(-time.Millisecond))), string(first))
		require.LessOrEqual(t, string(first), string(id.New[id.Delivery](at)))
	}
	_, err := id.Parse[id.Delivery](string(first))
	require.NoError(t, err)
}
