package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// groupTimeout bounds one call of a [Group], whose callers may each have left.
	groupTimeout = 20 * time.Second
	// groupTogether bounds a call for many: by then one of them is likely to hold up the others, who are served alone.
	groupTogether = 5 * time.Second
	// groupAlone is how many are served at a time once their call together failed.
	groupAlone = 8
	// groupPatience is how long a call may take before who comes next no longer waits for its end, and groupLanes how
	// many calls there are at a time then.
	groupPatience = 100 * time.Millisecond
	groupLanes    = 8
)

// errPanicked is returned by [Group.Do] when the group's function panicked.
var errPanicked = errors.New("postgres: panic in a group")

// Group does together what many ask for at the same time, so that they share its cost: one transaction, say, in
// place of one each. Nobody waits for company: who comes while nothing runs is served at once, and those who come
// meanwhile are served together, next, or beside it once they are as many as one call may serve. A call that takes long, as
// behind a lock, does not hold the others up for long.
//
// A call for many that fails is made again for each alone: everybody gets his own error, and nobody another's. So
// the function must do all or nothing, or bear to be called again.
type Group[T, R any] struct {
	most int
	do   func(ctx context.Context, items []T) ([]R, error)

	mu      sync.Mutex
	waiting []*asked[T, R]
	lanes   int       // calls under way
	began   time.Time // the last of them
	timed   bool      // somebody will look whether those who wait need another lane
}

type asked[T, R any] struct {
	ctx    context.Context //nolint:containedctx // each caller may leave before he is served
	item   T
	result R
	err    error
	served chan struct{}
}

// NewGroup returns a group that serves at most this many at a time; do returns one result for each item.
func NewGroup[T, R any](most int, do func(ctx context.Context, items []T) ([]R, error)) *Group[T, R] {
	return &Group[T, R]{most: most, do: do}
}

// Do asks for one item. When ctx ends before anything was done for it, nothing will be; after that, Do waits for
// what comes of it.
func (g *Group[T, R]) Do(ctx context.Context, item T) (R, error) {
	a := &asked[T, R]{ctx: ctx, item: item, served: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, a)
	g.open()
	g.mu.Unlock()
	<-a.served
	return a.result, a.err
}

// open begins another lane for those who wait, where there may be one now, or looks again when there may. The caller holds
// the lock.
func (g *Group[T, R]) open() {
	patience := groupPatience - time.Since(g.began)
	switch {
	case len(g.waiting) == 0 || g.lanes == groupLanes: // a lane that ends its call serves them
	case g.lanes == 0 || patience <= 0 || len(g.waiting) >= g.most: // as much company as there may be
		g.lanes++
		go g.serve()
	case !g.timed:
		g.timed = true
		time.AfterFunc(patience, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.timed = false
			g.open()
		})
	}
}

// serve goes on until nobody waits.
func (g *Group[T, R]) serve() {
	for {
		g.mu.Lock()
		n := min(len(g.waiting), g.most)
		if n == 0 {
			g.waiting = nil
			g.lanes--
			g.mu.Unlock()
			return
		}
		next := g.waiting[:n:n]
		g.waiting, g.began = g.waiting[n:], time.Now()
		g.open()
		g.mu.Unlock()
		g.together(next)
	}
}

// together serves those who have not left yet.
func (g *Group[T, R]) together(all []*asked[T, R]) {
	here := all[:0]
	for _, a := range all {
		if err := a.ctx.Err(); err != nil {
			a.err = err
			close(a.served)
			continue
		}
		here = append(here, a)
	}
	if len(here) == 0 {
		return
	}
	if len(here) == 1 {
		finish(here, g.call(here, groupTimeout))
		return
	}
	if err := g.call(here, groupTogether); err == nil {
		finish(here, nil)
		return
	}
	var each errgroup.Group
	each.SetLimit(groupAlone)
	for i := range here {
		each.Go(func() error {
			finish(here[i:i+1], g.call(here[i:i+1], groupTimeout))
			return nil
		})
	}
	_ = each.Wait() // everybody has his own error
}

func finish[T, R any](served []*asked[T, R], err error) {
	for _, a := range served {
		a.err = err
		close(a.served)
	}
}

// call leaves each result with who asked for it.
func (g *Group[T, R]) call(of []*asked[T, R], timeout time.Duration) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(of[0].ctx), timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil { // nobody stands above this goroutine who would catch it
			slog.ErrorContext(ctx, "panic", "value", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %v", errPanicked, p)
		}
	}()
	items := make([]T, len(of))
	for i, a := range of {
		items[i] = a.item
	}
	results, err := g.do(ctx, items)
	if err != nil {
		return err
	}
	for i, a := range of {
		a.result = results[i]
	}
	return nil
}
