package health

import (
	"context"
	"fmt"
	"time"

	"xsynesis/id"
	"xsynesis/queries"
)

// Facilitator is who moves payments on a network, in the order in which they are asked.
type Facilitator struct {
	Name, Network string // and what people call the network
	Supported     bool   // it settles there, as far as it has said
	Answered      *time.Duration
	LastError     string // of the last look at it; empty where it answered
	// What it was asked for within the last day, how often that failed, and in what time it answered.
	Asked, Failed int64
	Half, Most    time.Duration // half of the times, and 95 of 100, were shorter
}

// Callback is what a facilitator called back with, and what came of it.
type Callback struct {
	Ago        time.Duration
	Times      int64 // that the same came
	Settlement id.Settlement
	Outcome    string // empty until somebody looked
}

// How long a facilitator is shown that no worker asks any more, and how far its figures reach back.
const (
	facilitatorListed = 10 * time.Minute
	facilitatorSince  = 24 * time.Hour
	facilitatorSilent = 5 * time.Minute
)

func (s *Service) facilitators(ctx context.Context, f *Figures) error {
	rows, err := s.queries.FacilitatorFigures(ctx, s.pool, queries.FacilitatorFiguresParams{
		Since: f.At.Add(-facilitatorSince), ListedSince: f.At.Add(-facilitatorListed),
	})
	if err != nil {
		return fmt.Errorf("facilitators: %w", err)
	}
	for _, r := range rows {
		one := Facilitator{
			Name: r.Name, Network: s.name(r.Network), Supported: r.Supported, LastError: r.LastError, Asked: r.Asked, Failed: r.Failed,
			Half: time.Duration(r.HalfMs) * time.Millisecond, Most: time.Duration(r.MostMs) * time.Millisecond,
		}
		if r.AnsweredAt != nil {
			ago := since(f.At, *r.AnsweredAt)
			one.Answered = &ago
		}
		f.Facilitators = append(f.Facilitators, one)
	}
	callbacks, err := s.queries.CallbacksRecent(ctx, s.pool)
	if err != nil {
		return fmt.Errorf("callbacks: %w", err)
	}
	for _, c := range callbacks {
		one := Callback{Ago: since(f.At, c.ReceivedAt), Times: int64(c.Times), Outcome: c.Outcome}
		if c.SettlementID != nil {
			one.Settlement = *c.SettlementID
		}
		f.Callbacks = append(f.Callbacks, one)
	}
	return nil
}

// Silent tells whether it has not answered for longer than payments should be promised on it.
func (f Facilitator) Silent() bool { return f.Answered == nil || *f.Answered >= facilitatorSilent }

// ready tells whether some facilitator moves payments now, whatever the relayers do.
func (f Figures) ready() bool {
	for _, one := range f.Facilitators {
		if one.Supported && !one.Silent() {
			return true
		}
	}
	return false
}

// others are about the facilitators, where there are any.
func (f Figures) others() []Finding {
	if len(f.Facilitators) == 0 {
		return nil
	}
	var found []Finding
	for _, one := range f.Facilitators {
		switch {
		case one.Silent():
			found = append(found, Finding{
				Facilitators, Warn, fmt.Sprintf("%s does not answer.", one.Name),
				"Payments go to the next one in FACILITATOR_URL, or wait. Nothing is lost.",
			})
		case !one.Supported:
			found = append(found, Finding{
				Facilitators, Warn, fmt.Sprintf("%s does not settle on %s.", one.Name, one.Network), "Name another one in FACILITATOR_URL for this network.",
			})
		case one.Asked >= facilitatorFew && one.Failed*facilitatorPart > one.Asked:
			found = append(found, Finding{
				Facilitators, Warn, fmt.Sprintf("%s failed %d of %d times within a day.", one.Name, one.Failed, one.Asked),
				"Its answers stand in the table facilitator_asks, by settlement.",
			})
		}
	}
	return orOK(Facilitators, "Every facilitator answers.", found)
}

// From how many requests on a facilitator's failures count, and which part of them is too many.
const (
	facilitatorFew  = 10
	facilitatorPart = 10
)
