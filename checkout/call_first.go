package checkout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/queries"
)

// Turn is the right to ask the seller's server for a call that is paid. One request has it at a time.
type Turn struct {
	Paying
	try int32
}

// mostTurns is how often the seller's server is asked for one payment, if it fails.
const mostTurns = 5

// CallFirst takes a payment for one call and waits until the money is there. It returns the turn to ask the seller's
// server now, or no turn and the answer that another request got by the same payment. A turn ends with
// [Service.CallAnswered] or [Service.CallFailed]; one that dies is somebody else's in time.
//
// Errors as [Service.PayLink], and [ErrForgotten], [ErrSpent], [ErrIdentifier], [ErrUnidentified].
func (s *Service) CallFirst(ctx context.Context, c Calling) (Called, *Turn, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*s.o.Wait+callMargin)
	defer cancel()
	begun, err := s.beginCall(ctx, c)
	if err != nil {
		return Called{}, nil, err
	}
	var purchase Purchase
	if begun.joined {
		purchase, err = s.await(ctx, begun.attempt.ID, c.Payment)
	} else {
		defer begun.watch.end()
		fault.At(fault.CallAsked)
		purchase, err = s.awaitOutcome(ctx, begun.watch, c.Payment)
	}
	if err != nil {
		return Called{Purchase: purchase}, nil, err
	}
	called, turn, err := s.takeTurn(ctx, c, purchase)
	if err != nil {
		return called, nil, err
	}
	called.Pass, err = s.passOf(ctx, purchase.ID)
	return called, turn, err
}

// takeTurn takes the turn, or waits for what comes of somebody else's.
func (s *Service) takeTurn(ctx context.Context, c Calling, purchase Purchase) (Called, *Turn, error) {
	called := Called{Purchase: purchase}
	changed, cancel := s.hub.Subscribe(string(purchase.ID))
	defer cancel()
	deadline := time.NewTimer(s.o.Wait)
	defer deadline.Stop()
	look := time.NewTicker(heal)
	defer look.Stop()
	for {
		turn, err := s.beginTurn(ctx, c, purchase.ID)
		if err != nil || turn != nil {
			return called, turn, err
		}
		call, err := queries.New().CallByAttempt(ctx, s.pool, purchase.ID)
		if err != nil {
			return called, nil, fmt.Errorf("call of %s: %w", purchase.ID, err)
		}
		switch call.State {
		case "answered":
			answer, err := keptAnswer(call)
			if err == nil && answer == nil {
				err = ErrForgotten
			}
			if err == nil {
				called.Answer = *answer
			}
			return called, nil, err
		case "paying":
			if call.Tries >= mostTurns {
				return called, nil, ErrSpent
			}
		}
		select {
		case <-ctx.Done():
			return called, nil, ctx.Err()
		case <-deadline.C:
			return called, nil, ErrPending
		case <-changed:
		case <-look.C:
		}
	}
}

func (s *Service) beginTurn(ctx context.Context, c Calling, attempt id.Attempt) (*Turn, error) {
	now := s.now()
	row, err := queries.New().CallBegin(ctx, s.pool, queries.CallBeginParams{
		AttemptID: attempt, Now: now, Until: now.Add(c.Endpoint.Timeout + callMargin), Most: mostTurns,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // somebody else's turn is the ordinary case, and the caller's next step
	}
	if err != nil {
		return nil, fmt.Errorf("turn of %s: %w", attempt, err)
	}
	fault.At(fault.CallClaimed)
	return &Turn{Paying{attempt, c.Payment.Authorization.From}, row.Tries}, nil
}

// CallAnswered ends a turn: the call is spent, and its answer is kept as far as it may be.
func (s *Service) CallAnswered(ctx context.Context, of Purchase, t Turn, a Answer) error {
	fault.At(fault.CallAnswered)
	p, err := answerRow(t.Attempt, a, s.now())
	if err != nil {
		return err
	}
	p.Tries = t.try
	if _, err := queries.New().CallAnswer(ctx, s.pool, p); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("answer of %s: %w", t.Attempt, err)
	}
	s.hub.Changed(t.Attempt, of.Merchant)
	return nil
}

// CallFailed ends a turn without an answer that is worth its price: the same payment may ask again, a few times.
func (s *Service) CallFailed(ctx context.Context, of Purchase, t Turn, status int) error {
	_, err := queries.New().CallAgain(ctx, s.pool, queries.CallAgainParams{AttemptID: t.Attempt, Tries: t.try, Status: int32(status), Now: s.now()})
	if err != nil {
		return fmt.Errorf("end the turn of %s: %w", t.Attempt, err)
	}
	s.hub.Changed(t.Attempt, of.Merchant)
	return nil
}
