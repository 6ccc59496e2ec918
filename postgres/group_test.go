package postgres_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/postgres"
)

// gate lets a test hold a group's function where it is.
type gate struct {
	entered, open chan struct{}
}

func newGate() gate { return gate{make(chan struct{}, 100), make(chan struct{})} }

func (g gate) pass() {
	g.entered <- struct{}{}
	<-g.open
}

func TestAGroupServesTogetherWhoComesWhileItIsBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate, sizes := newGate(), make(chan int, 100)
		group := postgres.NewGroup(4, func(_ context.Context, items []int) ([]int, error) {
			sizes <- len(items)
			if len(items) == 1 && items[0] == 0 {
				gate.pass()
			}
			doubled := make([]int, len(items))
			for i, n := range items {
				doubled[i] = 2 * n
			}
			return doubled, nil
		})
		var all errgroup.Group
		ask := func(n int) {
			all.Go(func() error {
				got, err := group.Do(t.Context(), n)
				if err == nil && got != 2*n {
					err = errors.New("somebody else's result")
				}
				return err
			})
		}
		ask(0)
		<-gate.entered
		for n := range 4 {
			ask(n + 1)
		}
		synctest.Wait()
		require.Zero(t, group.Waiting(), "as many as may be served together wait for nobody")
		for n := range 3 {
			ask(n + 5)
		}
		synctest.Wait()
		require.Equal(t, 3, group.Waiting())
		close(gate.open)
		require.NoError(t, all.Wait())
		require.Equal(t, []int{1, 4, 3}, []int{<-sizes, <-sizes, <-sizes}, "alone at once, then together")
		require.Empty(t, sizes)
	})
}

func TestAGroupGivesEverybodyHisOwnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		odd, gate := errors.New("odd"), newGate()
		group := postgres.NewGroup(10, func(_ context.Context, items []int) ([]int, error) {
			if items[0] == 0 {
				gate.pass()
			}
			for _, n := range items {
				if n%2 == 1 {
					return nil, odd
				}
			}
			return items, nil
		})
		errs := make([]error, 6)
		var all errgroup.Group
		for n := range errs {
			all.Go(func() error { _, errs[n] = group.Do(t.Context(), n); return nil })
			if n == 0 {
				<-gate.entered
			}
		}
		synctest.Wait()
		require.Equal(t, 5, group.Waiting())
		close(gate.open)
		require.NoError(t, all.Wait())
		for n, err := range errs {
			if n%2 == 1 {
				require.ErrorIs(t, err, odd)
			} else {
				require.NoError(t, err)
			}
		}
	})
}

func TestNothingIsDoneForWhoLeftInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := newGate()
		var served atomic.Int64
		group := postgres.NewGroup(10, func(_ context.Context, items []int) ([]int, error) {
			served.Add(int64(len(items)))
			gate.pass()
			return items, nil
		})
		var all errgroup.Group
		first, leaveFirst := context.WithCancel(t.Context())
		all.Go(func() error { _, err := group.Do(first, 1); return err })
		<-gate.entered
		second, leaveSecond := context.WithCancel(t.Context())
		all.Go(func() error {
			if _, err := group.Do(second, 2); !errors.Is(err, context.Canceled) {
				return errors.New("it was served after it left")
			}
			return nil
		})
		synctest.Wait()
		require.Equal(t, 1, group.Waiting())
		leaveFirst() // too late: what is begun ends, and its outcome is told
		leaveSecond()
		close(gate.open)
		require.NoError(t, all.Wait())
		require.EqualValues(t, 1, served.Load())
	})
}

func TestAPanicInAGroupIsAnError(t *testing.T) {
	t.Parallel()
	group := postgres.NewGroup(10, func(_ context.Context, items []int) ([]int, error) {
		return nil, errors.New("" + string(rune(items[5])))
	})
	_, err := group.Do(t.Context(), 1)
	require.ErrorContains(t, err, "index out of range")
}

func TestAGroupThatIsHeldUpGoesOnBesideIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := newGate()
		group := postgres.NewGroup(10, func(_ context.Context, items []int) ([]int, error) {
			if items[0] < 2 {
				gate.pass()
			}
			return items, nil
		})
		var all errgroup.Group
		ask := func(n int) { all.Go(func() error { _, err := group.Do(t.Context(), n); return err }) }
		ask(0)
		<-gate.entered
		ask(1) // nobody comes after it who would see that it waits
		began := time.Now()
		<-gate.entered
		require.Less(t, time.Since(began), time.Second)
		_, err := group.Do(t.Context(), 2)
		require.NoError(t, err)
		require.Less(t, time.Since(began), time.Second)
		close(gate.open)
		require.NoError(t, all.Wait())
	})
}

func TestWhoIsHeldUpDoesNotFailThoseServedWithHim(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := newGate()
		group := postgres.NewGroup(10, func(ctx context.Context, items []int) ([]int, error) {
			switch {
			case items[0] == 0:
				gate.pass()
			case slices.Contains(items, 1): // behind a lock that nobody gives back
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return items, nil
		})
		errs := make([]error, 4)
		var all errgroup.Group
		for n := range errs {
			all.Go(func() error { _, errs[n] = group.Do(t.Context(), n); return nil })
			synctest.Wait()
		}
		close(gate.open)
		require.NoError(t, all.Wait())
		require.ErrorIs(t, errs[1], context.DeadlineExceeded)
		require.NoError(t, errors.Join(errs[0], errs[2], errs[3]))
	})
}
