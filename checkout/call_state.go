package checkout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"xsynesis/id"
	"xsynesis/postgres"
	"xsynesis/queries"
	"xsynesis/shop"
)

// newCall is what makes a purchase the purchase of a call.
type newCall struct {
	of         shop.Endpoint
	identifier string
}

// after tells whether the money waits for the answer.
func (c *newCall) after() bool { return c != nil && c.of.Settles == shop.SettlesAfter }

// keptAfter is how long the answer of a paid call is kept once its payment is worthless.
const keptAfter = 10 * time.Minute

// callTx writes a call beside its claim. Where the money waits for the answer, the payment is let go if nothing comes of
// the call in time.
func (s *Service) callTx(ctx context.Context, tx pgx.Tx, claim id.Claim, c claiming) error {
	now, e := s.now(), c.call.of
	p := queries.CallInsertParams{
		AttemptID: c.attempt.ID, EndpointID: e.ID, ClaimID: claim, State: "paying", First: true, Identifier: c.call.identifier,
		CallUntil: now, KeepUntil: time.Unix(c.payment.Authorization.ValidBefore.Int64(), 0).Add(keptAfter), CreatedAt: now,
	}
	if c.call.after() {
		p.State, p.First, p.CallUntil = "calling", false, now.Add(e.Timeout+callMargin)
	}
	if e.GivesPass() {
		pass, err := s.openPassTx(ctx, tx, c)
		if err != nil {
			return err
		}
		p.PassID, p.PassPeriod = &pass, period(e.Interval)
	}
	if err := queries.New().CallInsert(ctx, tx, p); err != nil {
		return raced(fmt.Errorf("insert call: %w", err))
	}
	if p.First {
		return nil
	}
	if _, err := s.jobs.InsertTx(ctx, tx, ReleaseArgs{Attempt: c.attempt.ID}, &river.InsertOpts{ScheduledAt: p.CallUntil}); err != nil {
		return fmt.Errorf("schedule the end of a call: %w", err)
	}
	return nil
}

// wellAnswered is a call that was answered well: its money is asked for.
type wellAnswered struct {
	begun  begunCall
	answer Answer
}

// asks asks for the money of calls that were answered at the same time.
type asks struct {
	*postgres.Group[wellAnswered, error]
}

// askMost is how many are asked for by one transaction at most.
const askMost = 64

func (a asks) tell(ctx context.Context, one wellAnswered) error {
	refusal, err := a.Do(ctx, one)
	return errors.Join(refusal, err)
}

func (s *Service) askAll(ctx context.Context, all []wellAnswered) ([]error, error) {
	refusals := make([]error, len(all))
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var settlements []queries.Settlement
		for i, one := range all {
			row, err := s.answeredTx(ctx, tx, one)
			if errors.Is(err, ErrLetGo) {
				refusals[i] = err
				continue
			}
			if err != nil {
				return err
			}
			if row != nil {
				settlements = append(settlements, *row)
			}
		}
		return s.queueSettlementsTx(ctx, tx, s.now(), settlements...)
	})
	return refusals, err
}

// answeredTx keeps the answer of a call, unless its payment was let go meanwhile, and returns the settlement to be; nil where
// it is asked for already.
func (s *Service) answeredTx(ctx context.Context, tx pgx.Tx, one wellAnswered) (*queries.Settlement, error) {
	p, err := answerRow(one.begun.attempt.ID, one.answer, s.now())
	if err != nil {
		return nil, err
	}
	call, err := queries.New().CallAnswer(ctx, tx, p)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, askedBeforeTx(ctx, tx, p.AttemptID)
	}
	if err != nil {
		return nil, fmt.Errorf("answer of %s: %w", p.AttemptID, err)
	}
	claim, err := queries.New().ClaimByID(ctx, tx, call.ClaimID)
	if err != nil {
		return nil, fmt.Errorf("claim of %s: %w", p.AttemptID, err)
	}
	a := one.begun.attempt
	return &queries.Settlement{
		ID: id.New[id.Settlement](s.now()), MerchantID: a.Merchant, AttemptID: &a.ID, ClaimID: &claim.ID, Livemode: a.Livemode, Network: claim.Network,
		Asset: claim.Asset, Payer: claim.Payer, Nonce: claim.Nonce, PayTo: claim.PayTo, Amount: claim.Value,
	}, nil
}

// askedBeforeTx tells a call that was let go, by [ErrLetGo], from one whose money is asked for: by us, where the answer to
// the commit was lost and it is asked for once more. Nobody may hear that it is not charged.
func askedBeforeTx(ctx context.Context, tx pgx.Tx, attempt id.Attempt) error {
	call, err := queries.New().CallByAttempt(ctx, tx, attempt)
	if err != nil {
		return fmt.Errorf("call of %s: %w", attempt, err)
	}
	if call.State != "answered" {
		return ErrLetGo
	}
	return nil
}

// answerRow lays out an answer as its row has it: one that is too large is not kept.
func answerRow(attempt id.Attempt, a Answer, now time.Time) (queries.CallAnswerParams, error) {
	p := queries.CallAnswerParams{AttemptID: attempt, Status: int32(a.Status), Now: now}
	if len(a.Body) > MaxKept {
		return p, nil
	}
	header, err := json.Marshal(a.Header)
	if err != nil {
		return p, fmt.Errorf("headers of an answer: %w", err)
	}
	p.Header, p.Body, p.Kept = header, a.Body, true
	if p.Body == nil {
		p.Body = []byte{}
	}
	return p, nil
}

// Release lets the payment of a call go that nothing came of in time.
func (s *Service) Release(ctx context.Context, attempt id.Attempt) error {
	return s.letGo(ctx, attempt, upstreamFailed, nil, false)
}

// letGo ends a call without a charge, once. Nobody has asked for its money, and nobody will: its row decides.
func (s *Service) letGo(ctx context.Context, attempt id.Attempt, reason string, answer *Answer, anyTime bool) error {
	p := queries.CallReleaseParams{AttemptID: attempt, AnyTime: anyTime, Now: s.now()}
	if answer != nil {
		kept, err := answerRow(attempt, *answer, p.Now)
		if err != nil {
			return err
		}
		p.Status, p.Header, p.Body, p.Kept = kept.Status, kept.Header, kept.Body, kept.Kept
	}
	var a queries.Attempt
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		a, err = s.letGoTx(ctx, tx, p, reason)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // answered, or let go by somebody else
	}
	if err != nil {
		return fmt.Errorf("let the call of %s go: %w", attempt, err)
	}
	s.hub.Changed(a.ID, a.MerchantID)
	return nil
}

func (s *Service) letGoTx(ctx context.Context, tx pgx.Tx, p queries.CallReleaseParams, reason string) (queries.Attempt, error) {
	q := queries.New()
	call, err := q.CallRelease(ctx, tx, p)
	if err != nil {
		return queries.Attempt{}, err
	}
	claim, err := q.ClaimRelease(ctx, tx, queries.ClaimReleaseParams{ID: call.ClaimID, Refusal: reason, Now: p.Now})
	if err != nil {
		return queries.Attempt{}, err
	}
	a, err := q.AttemptReopen(ctx, tx, queries.AttemptReopenParams{ID: call.AttemptID, Refusal: reason, Now: p.Now})
	if err != nil {
		return a, err
	}
	// Whoever holds the signature may still send it himself: look once it is worthless.
	worthless := time.Unix(claim.ValidBefore, 0).Add(worthlessAfter)
	if _, err := s.jobs.InsertTx(ctx, tx, LookArgs{Claim: claim.ID}, &river.InsertOpts{ScheduledAt: worthless}); err != nil {
		return a, err
	}
	if err := s.endTx(ctx, tx, a.ID, Open, Cancelled); err != nil {
		return a, err
	}
	return a, s.tellFailedCallTx(ctx, tx, a, claim, reason)
}

// tellFailedCallTx tells of a call that was not charged: there is no settlement to tell of.
func (s *Service) tellFailedCallTx(ctx context.Context, tx pgx.Tx, a queries.Attempt, claim queries.Claim, why string) error {
	lines, err := queries.New().AttemptLines(ctx, tx, []string{string(a.ID)})
	if err != nil {
		return fmt.Errorf("lines of %s: %w", a.ID, err)
	}
	return s.o.Webhooks.PublishTx(ctx, tx, s.now(), failed(a, lines, queries.Settlement{Payer: claim.Payer}, why))
}
