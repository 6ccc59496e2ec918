package health

import (
	"context"
	"fmt"
	"time"
)

// Books has findings only where some network was compared.
const Books = "books"

// Compared is how a network's books were last held against its chain.
type Compared struct {
	Network, Name             string
	Ended                     *time.Duration // ago; nil: it has not ended
	Failed                    bool           // the last try
	Matched, Found, Differing int64          // payments of the last time
}

// Undecided is what shops have to decide on, of one kind.
type Undecided struct {
	Kind   string
	Count  int64 // counted up to 20000
	Oldest time.Duration
}

// comparedLate is how old a comparison may be, which is made every hour.
const comparedLate = 150 * time.Minute

func (s *Service) books(ctx context.Context, f *Figures) error {
	rows, err := s.queries.ReconciliationFigures(ctx, s.pool)
	if err != nil {
		return fmt.Errorf("reconciliations: %w", err)
	}
	for _, r := range rows {
		one := Compared{
			Network: r.Network, Name: s.name(r.Network), Failed: r.FailedAt != nil && !r.FailedAt.Before(r.BeganAt),
			Matched: r.Matched, Found: r.Found, Differing: r.Differing,
		}
		if r.EndedAt != nil {
			ago := since(f.At, *r.EndedAt)
			one.Ended = &ago
		}
		f.Compared = append(f.Compared, one)
	}
	open, err := s.queries.ExceptionFigures(ctx, s.pool, most)
	if err != nil {
		return fmt.Errorf("what is to be decided: %w", err)
	}
	for _, o := range open {
		f.Undecided = append(f.Undecided, Undecided{Kind: o.Kind, Count: o.Count, Oldest: since(f.At, o.Oldest)})
	}
	return nil
}

// compared is about the books, where they were compared with some chain.
func (f Figures) compared() []Finding {
	if len(f.Compared) == 0 {
		return nil
	}
	var found []Finding
	for _, u := range f.Undecided {
		if u.Kind == "missing" || u.Kind == "mismatch" {
			found = append(found, Finding{
				Books, Bad, fmt.Sprintf("Payments in the books are not on the chain as the books have them: %d (%s).", u.Count, u.Kind),
				"Their shops see them under Reconciliation. Compare the node with another one before anything else.",
			})
		}
	}
	for _, c := range f.Compared {
		switch {
		case c.Failed:
			found = append(found, Finding{Books, Warn, "The last comparison with " + c.Name + " broke off.", "Look at the node and at the job reconcile_chains."})
		case c.Ended != nil && *c.Ended > comparedLate:
			found = append(found, Finding{
				Books, Warn, fmt.Sprintf("The books were last compared with %s %s ago.", c.Name, Span(*c.Ended)), "See that a worker works the queue chain.",
			})
		}
	}
	return orOK(Books, "The books and the chains agree.", found)
}
