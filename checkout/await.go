package checkout

import (
	"context"
	"fmt"
	"time"

	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/x402"
)

// heal is how often a waiter looks at the row unasked, in case a notification was lost.
const heal = 5 * time.Second

// watched is a purchase whose outcome somebody waits for.
type watched struct {
	attempt id.Attempt
	known   <-chan struct{}
	end     func()
}

// watch begins before the payment is claimed, so that its outcome cannot be missed.
func (s *Service) watch(attempt id.Attempt) watched {
	known, end := s.hub.subscribeOutcome(attempt)
	return watched{attempt, known, end}
}

// await waits for a payment that was claimed before.
func (s *Service) await(ctx context.Context, attempt id.Attempt, p x402.Payment) (Purchase, error) {
	w := s.watch(attempt)
	defer w.end()
	purchase, err := s.Purchase(ctx, attempt)
	if err == nil && purchase.Status == Unknown {
		if err = s.insist(ctx, purchase); err == nil {
			purchase, err = s.Purchase(ctx, attempt)
		}
	}
	if err != nil || purchase.Status != Settling {
		return s.answer(ctx, purchase, p, err)
	}
	return s.awaitOutcome(ctx, w, p)
}

// awaitOutcome waits until the chain answered, or [Options.Wait] is over: then [ErrPending].
func (s *Service) awaitOutcome(ctx context.Context, w watched, p x402.Payment) (Purchase, error) {
	deadline := time.NewTimer(s.o.Wait)
	defer deadline.Stop()
	look := time.NewTicker(heal)
	defer look.Stop()
	for {
		waiting := true
		select {
		case <-ctx.Done():
			return Purchase{}, ctx.Err()
		case <-deadline.C:
			waiting = false
		case <-w.known:
		case <-look.C:
		}
		purchase, err := s.Purchase(ctx, w.attempt)
		if err != nil || purchase.Status != Settling || !waiting {
			return s.answer(ctx, purchase, p, err)
		}
	}
}

func (s *Service) answer(ctx context.Context, purchase Purchase, p x402.Payment, err error) (Purchase, error) {
	if err != nil {
		return Purchase{}, err
	}
	return purchase, s.outcome(ctx, purchase, p)
}

// outcome says what a purchase that is no longer settling means for this payment.
func (s *Service) outcome(ctx context.Context, purchase Purchase, p x402.Payment) error {
	switch purchase.Status {
	case Settled, SettledLate:
		if purchase.Claim != nil && purchase.Claim.Payer == p.Authorization.From && purchase.Claim.Nonce == p.Authorization.Nonce {
			fault.At(fault.PayAnswering)
			return nil
		}
		return ErrPaid
	case Settling, Unknown:
		return ErrPending
	case Reversed:
		return ErrReversed
	case Failed:
		return ErrFailed
	default: // refused: open again, or ended since
		return s.refusalOf(ctx, purchase, p)
	}
}

func (s *Service) refusalOf(ctx context.Context, purchase Purchase, p x402.Payment) error {
	n := purchase.Network
	claim, err := queries.New().ClaimByAuthorization(ctx, s.pool, queries.ClaimByAuthorizationParams{
		Network: n.ID, Asset: lower(n.Token.Address), Payer: lower(p.Authorization.From), Nonce: p.Authorization.Nonce.Hex(),
	})
	if err != nil {
		return fmt.Errorf("refusal of %s: %w", purchase.ID, err)
	}
	return &x402.Invalid{Kind: x402.Kind(claim.Refusal)}
}
