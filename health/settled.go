package health

import (
	"context"
	"fmt"
	"time"

	"xsynesis/id"
	"xsynesis/queries"
)

// Histogram counts durations; it only ever grows.
type Histogram struct {
	// Within counts, for each of [Bounds], how many took at most so long.
	Within []uint64
	Count  uint64
	Sum    time.Duration
}

// Bounds are the limits of a histogram's buckets.
var Bounds = []time.Duration{
	250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 3 * time.Second, 5 * time.Second, 8 * time.Second,
	15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute,
}

func (h *Histogram) add(d time.Duration) {
	h.Count++
	h.Sum += d
	for i, bound := range Bounds {
		if d <= bound {
			h.Within[i]++
		}
	}
}

// tail follows the settlements from one look to the next, so that each is counted once and no look reads the history.
type tail struct {
	after     id.Settlement          // everything up to here was seen
	open      map[id.Settlement]bool // seen, and not at an end
	histogram Histogram
}

const (
	// tailLag is how much later than its id a row may be committed.
	tailLag = 5 * time.Second
	// tailReach is how far back the next look goes where nobody has asked for long.
	tailReach = 10 * time.Minute
)

func newTail(now time.Time) tail {
	return tail{
		after: id.First[id.Settlement](now), open: map[id.Settlement]bool{},
		histogram: Histogram{Within: make([]uint64, len(Bounds))},
	}
}

func (s *Service) settlements(ctx context.Context, f *Figures) error {
	t := &s.settled
	t.after = max(t.after, id.First[id.Settlement](f.At.Add(-tailReach)))
	began, err := s.queries.HealthSettlements(ctx, s.pool, queries.HealthSettlementsParams{
		After: t.after, Before: id.First[id.Settlement](f.At.Add(-tailLag)), Most: most,
	})
	if err != nil {
		return fmt.Errorf("settlements: %w", err)
	}
	open := make([]string, 0, len(t.open))
	for settlement := range t.open {
		open = append(open, string(settlement))
	}
	known, err := s.queries.HealthSettlementsOf(ctx, s.pool, open)
	if err != nil {
		return fmt.Errorf("settlements under way: %w", err)
	}
	for _, row := range known {
		t.note(queries.HealthSettlementsRow(row))
	}
	for _, row := range began {
		t.after = row.ID
		t.note(row)
	}
	f.Settled = t.histogram
	f.Settled.Within = append([]uint64(nil), t.histogram.Within...)
	return nil
}

// note counts a settlement that the chain has confirmed, and remembers one that is under way.
func (t *tail) note(row queries.HealthSettlementsRow) {
	switch {
	case row.ConfirmedAt != nil:
		t.histogram.add(since(*row.ConfirmedAt, row.CreatedAt))
		delete(t.open, row.ID)
	case row.Status == "failed" || len(t.open) >= most:
		delete(t.open, row.ID)
	default:
		t.open[row.ID] = true
	}
}
