package checkout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"xsynesis/evm"
	"xsynesis/queries"
	"xsynesis/x402"
)

// errUnsupported is about a facilitator that does not settle with a token.
var errUnsupported = errors.New("checkout: facilitator does not settle on this network")

// ways remembers what the facilitators said that they settle.
type ways struct {
	now  func() time.Time
	mu   sync.Mutex
	said map[string]saying
}

type saying struct {
	supported x402.Supported
	at        time.Time
}

const waysFresh = 5 * time.Minute

// version is the version of the protocol in which a facilitator is asked about a token.
func (w *ways) version(ctx context.Context, f x402.Facilitator, t x402.Token) (int, error) {
	w.mu.Lock()
	said, ok := w.said[f.Name()]
	w.mu.Unlock()
	if !ok || w.now().Sub(said.at) > waysFresh {
		var err error
		if said, err = w.ask(ctx, f); err != nil {
			return 0, err
		}
	}
	version, ok := said.supported.Version(t)
	if !ok {
		return 0, fmt.Errorf("%w: %s, %s", errUnsupported, f.Name(), t.Network)
	}
	return version, nil
}

func (w *ways) ask(ctx context.Context, f x402.Facilitator) (saying, error) {
	supported, err := f.Supported(ctx)
	if err != nil {
		return saying{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.said == nil {
		w.said = map[string]saying{}
	}
	w.said[f.Name()] = saying{supported, w.now()}
	return w.said[f.Name()], nil
}

// FacilitatorsEvery is how often [Service.CheckFacilitators] should run.
const FacilitatorsEvery = time.Minute

// How long a facilitator counts as listed by a living worker, and as answering.
const (
	facilitatorListed   = 5 * time.Minute
	facilitatorAnswered = 5 * time.Minute
)

// CheckFacilitators asks each facilitator what it settles, and writes down how it answered: web processes, which ask none,
// know from it whether payments can be taken. The error names those that settle on none of our networks.
func (s *Service) CheckFacilitators(ctx context.Context) error {
	var problems []error
	for place, f := range s.o.Facilitators {
		if f == nil {
			continue
		}
		said, err := s.askQuickly(ctx, f)
		if err := s.list(ctx, place, f, said, err); err != nil {
			return err
		}
		if err == nil && !s.settlesSome(said.supported) {
			problems = append(problems, fmt.Errorf("%w: %s settles on none of the networks in use", errUnsupported, f.Name()))
		}
	}
	return errors.Join(problems...)
}

// quickly is how long a facilitator may take to say what it settles.
const quickly = 10 * time.Second

func (s *Service) askQuickly(ctx context.Context, f x402.Facilitator) (saying, error) {
	ctx, cancel := context.WithTimeout(ctx, quickly)
	defer cancel()
	return s.ways.ask(ctx, f)
}

func (s *Service) settlesSome(supported x402.Supported) bool {
	for _, chain := range s.chains {
		if _, ok := supported.Version(chain.Network().Token); ok {
			return true
		}
	}
	return len(s.chains) == 0
}

func (s *Service) list(ctx context.Context, place int, f x402.Facilitator, said saying, failed error) error {
	now := s.now()
	for network, chain := range s.chains {
		_, supported := said.supported.Version(chain.Network().Token)
		p := queries.FacilitatorsListedParams{
			Name: f.Name(), Network: network, Place: int32(place), Supported: supported, ListedAt: now,
		}
		if failed != nil {
			_, p.LastError = outcomeOf(failed)
		} else {
			p.AnsweredAt = &now
		}
		if err := queries.New().FacilitatorsListed(ctx, s.pool, p); err != nil {
			return fmt.Errorf("note the facilitator %s: %w", f.Name(), err)
		}
	}
	return nil
}

// facilitated tells whether a facilitator that some worker asks settles on a network, and answered lately.
func (s *Service) facilitated(ctx context.Context, network string) (bool, error) {
	now := s.now()
	ready, err := queries.New().FacilitatorsReady(ctx, s.pool, queries.FacilitatorsReadyParams{
		Network: network, ListedSince: now.Add(-facilitatorListed), AnsweredSince: now.Add(-facilitatorAnswered),
	})
	if err != nil {
		return false, fmt.Errorf("facilitators of %s: %w", network, err)
	}
	return ready, nil
}

// relay moves a payment by our own relayer.
func (s *Service) relay(ctx context.Context, l leased, auth x402.Authorization) (evm.Proof, error) {
	settler, ok := s.settlers[l.row.Network]
	if !ok {
		return evm.Proof{}, fmt.Errorf("%w: no relayer for %s", evm.ErrUnavailable, l.row.Network)
	}
	proof, err := settler.Settle(ctx, evm.Transfer{
		Source: string(l.row.ID), Authorization: auth, Signature: l.claim.Signature, Lease: l.lease, New: l.row.Status == "queued",
	}, s)
	s.countReverted(ctx, l.row.ID, err)
	return proof, err
}
