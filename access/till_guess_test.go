package access_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/access"
)

func TestACrowdOfGuessesFindsNoMorePINsThanOneGuesser(t *testing.T) {
	t.Parallel()
	d := open(t)
	boss := d.boss(t, d.found(t, "cafe"))
	tills, counter, kim := d.counter(t, boss)
	var wrong, paused atomic.Int32
	var g errgroup.Group
	for i := range 40 {
		g.Go(func() error {
			_, err := tills.Unlock(t.Context(), counter, kim, fmt.Sprintf("%04d", i), from)
			var pause *access.PausedError
			switch {
			case errors.Is(err, access.ErrPIN):
				wrong.Add(1)
			case errors.As(err, &pause):
				paused.Add(1)
			default:
				return fmt.Errorf("guess %d: %w", i, err)
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	require.EqualValues(t, 4, wrong.Load(), "the fifth one pauses")
	require.EqualValues(t, 36, paused.Load())
	require.Len(t, d.done(t, boss.Merchant, "pin.refused"), 5)
}

func TestAPINOfAnotherShopUnlocksNothing(t *testing.T) {
	t.Parallel()
	d := open(t)
	tills, counter, _ := d.counter(t, d.boss(t, d.found(t, "cafe")))
	_, _, other := d.counter(t, d.boss(t, d.found(t, "books")))
	_, err := tills.Unlock(t.Context(), counter, other, "4921", from)
	require.ErrorIs(t, err, access.ErrNotFound)
	_, err = tills.Unlock(t.Context(), counter, "usr_1ChHQgZvF7Y4JLiQa34ooR", "4921", from)
	require.ErrorIs(t, err, access.ErrNotFound, "as somebody unknown")
}
