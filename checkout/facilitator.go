package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"xsynesis/evm"
	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/x402"
)

// errFacilitators is returned while none of the facilitators could be asked. Nothing was sent.
var errFacilitators = fmt.Errorf("%w: no facilitator", evm.ErrUnavailable)

// laterError asks for patience where somebody asked us for it.
type laterError struct {
	error
	after time.Duration
}

func (e *laterError) Unwrap() error { return e.error }

// patience is how long to wait before the next look, after this error.
func patience(err error) time.Duration {
	var later *laterError
	if errors.As(err, &later) {
		return min(max(later.after, again), longestPatience)
	}
	return again
}

const longestPatience = time.Minute

// carry moves a payment by whoever of our ways takes it, in the order of preference. The next is asked only where the one
// before surely did nothing.
func (s *Service) carry(ctx context.Context, l leased, auth x402.Authorization) (evm.Proof, error) {
	chain, err := s.chain(l.row.Network)
	if err != nil {
		return evm.Proof{}, err
	}
	if proof, moved, err := s.rehearse(ctx, chain, auth, l.claim.Signature); moved || err != nil {
		return proof, err
	}
	var declined *x402.Invalid
	var wait time.Duration
	waiting := false
	for _, way := range s.o.Facilitators {
		var proof evm.Proof
		var err error
		if way == nil {
			proof, err = s.relay(ctx, l, auth)
		} else {
			proof, err = s.ask(ctx, l, chain, auth, way)
		}
		var no *notAskedError
		switch {
		case errors.As(err, &no):
			waiting, wait = waiting || no.invalid == nil, max(wait, no.after)
			if no.invalid != nil {
				declined = no.invalid
			}
		case way == nil && errors.Is(err, evm.ErrUnavailable): // before anything was stored
			waiting = true
		default:
			return proof, err
		}
	}
	if declined != nil && !waiting {
		return evm.Proof{}, declined
	}
	return evm.Proof{}, &laterError{errFacilitators, wait}
}

// rehearse asks the chain whether it would take the payment now: a facilitator, whom it costs gas, is not asked otherwise.
// A payment that moved already has its proof.
func (s *Service) rehearse(ctx context.Context, chain *evm.Chain, auth x402.Authorization, signature []byte) (proof evm.Proof, moved bool, err error) {
	err = chain.Simulate(ctx, auth, signature)
	var invalid *x402.Invalid
	if !errors.As(err, &invalid) || invalid.Kind != x402.NonceUsed {
		return evm.Proof{}, false, err
	}
	proof, err = chain.Resolve(ctx, auth)
	switch {
	case err == nil:
		return proof, true, nil
	case errors.Is(err, evm.ErrVoid):
		return evm.Proof{}, false, invalid
	default: // money may have moved, so nobody may be told that none did
		return evm.Proof{}, false, fmt.Errorf("%w: %w", evm.ErrUnknown, err)
	}
}

// notAskedError is about a facilitator that surely has sent nothing.
type notAskedError struct {
	error
	invalid *x402.Invalid // why it does not take the payment; nil where it could not be asked
	after   time.Duration // that it asked us to wait
}

func (e *notAskedError) Unwrap() error { return e.error }

func notAsked(err error) *notAskedError {
	var failed *x402.FacilitatorError
	if errors.As(err, &failed) {
		return &notAskedError{err, nil, failed.RetryAfter}
	}
	return &notAskedError{err, nil, 0}
}

// ask lets one facilitator verify the payment and then move it, and looks on the chain for what it says.
// The error is a *notAskedError only where it has surely sent nothing.
func (s *Service) ask(ctx context.Context, l leased, chain *evm.Chain, auth x402.Authorization, f x402.Facilitator) (evm.Proof, error) {
	token := chain.Network().Token
	version, err := s.ways.version(ctx, f, token)
	if err != nil {
		s.noteAsk(ctx, l.row.ID, f, s.now(), err)
		return evm.Proof{}, notAsked(err)
	}
	want := x402.Requirement{
		Token: token, Amount: l.row.Amount, PayTo: auth.To, MaxTimeout: shop.OfferTime, Resource: x402.Resource{URL: s.o.PublicURL + "/pay/" + string(*l.row.AttemptID)},
	}
	payment := want.Payment(version, auth, l.claim.Signature)
	asked := s.now()
	verdict, err := f.Verify(ctx, payment, want)
	if err == nil && !verdict.Valid {
		err = x402.ReasonInvalid(verdict.Reason)
	}
	if err != nil {
		s.noteAsk(ctx, l.row.ID, f, asked, err)
		no := notAsked(err)
		_ = errors.As(err, &no.invalid)
		return evm.Proof{}, no
	}
	ask, err := s.request(ctx, l, f)
	if err != nil {
		return evm.Proof{}, err
	}
	fault.At(fault.FacilitatorRequested)
	settled, err := f.Settle(ctx, payment, want)
	fault.At(fault.FacilitatorAnswered)
	return s.answered(ctx, l, chain, auth, ask, settled, err)
}

// asking is a request to settle that is written down before it is made.
type asking struct {
	id int64
	at time.Time
}

// request writes down that a facilitator is about to be asked. From here on only the chain can say that nothing moved.
func (s *Service) request(ctx context.Context, l leased, f x402.Facilitator) (a asking, err error) {
	a.at = s.now()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := queries.New()
		n, err := q.SettlementRequested(ctx, tx, queries.SettlementRequestedParams{ID: l.row.ID, Lease: l.lease, Facilitator: f.Name(), Now: a.at})
		if err == nil && n == 0 {
			err = errLost
		}
		if err != nil {
			return err
		}
		a.id, err = q.FacilitatorAskInsert(ctx, tx, queries.FacilitatorAskInsertParams{
			SettlementID: l.row.ID, Facilitator: f.Name(), Call: "settle", AskedAt: a.at,
		})
		return err
	})
	if err != nil {
		return a, fmt.Errorf("note the request of %s: %w", l.row.ID, err)
	}
	return a, nil
}

// answered looks on the chain for what a facilitator said, and believes only that.
func (s *Service) answered(
	ctx context.Context, l leased, chain *evm.Chain, auth x402.Authorization, a asking, settled x402.Settled, failed error,
) (evm.Proof, error) {
	s.noteAnswer(ctx, l, a, settled, failed)
	var call *x402.FacilitatorError
	switch {
	case errors.As(failed, &call) && call.Before && l.row.Status == "queued":
		return evm.Proof{}, s.unrequest(ctx, l, failed)
	case failed != nil:
		return s.onChain(ctx, chain, auth, "", failed)
	case settled.Success, settled.Reason == x402.Pending:
		return s.awaitChain(ctx, chain, auth, settled.Transaction)
	}
	refused := x402.ReasonInvalid(settled.Reason)
	proof, err := s.onChain(ctx, chain, auth, settled.Transaction, refused)
	if !errors.Is(err, evm.ErrUnknown) || settled.Transaction != "" || l.row.Status != "queued" {
		return proof, err
	}
	// It says that nothing moved. That counts where the chain would not move it either.
	var invalid *x402.Invalid
	if simulated := chain.Simulate(ctx, auth, l.claim.Signature); errors.As(simulated, &invalid) && invalid.Kind != x402.NonceUsed {
		return evm.Proof{}, invalid
	}
	return proof, err
}

// unrequest takes the request back that the facilitator surely never acted on.
func (s *Service) unrequest(ctx context.Context, l leased, cause error) error {
	n, err := queries.New().SettlementUnrequested(ctx, s.pool, queries.SettlementUnrequestedParams{ID: l.row.ID, Lease: l.lease, Now: s.now()})
	if err == nil && n == 0 {
		err = errLost
	}
	if err != nil {
		return fmt.Errorf("take back the request of %s: %w", l.row.ID, err)
	}
	return notAsked(cause)
}

// onChain is what the chain says at once; while it is open the outcome is not known.
func (s *Service) onChain(ctx context.Context, chain *evm.Chain, auth x402.Authorization, transaction string, cause error) (evm.Proof, error) {
	if proof, err := prove(ctx, chain, auth, transaction); err == nil {
		return proof, nil
	}
	proof, err := chain.Resolve(ctx, auth)
	if err == nil || errors.Is(err, evm.ErrVoid) {
		return proof, err
	}
	return evm.Proof{}, fmt.Errorf("%w: %s", evm.ErrUnknown, cause.Error()) // its class must not show
}

// How long a settlement is waited for that a facilitator says was sent, and how often it is looked for.
const (
	awaitChain   = 20 * time.Second
	awaitLook    = 250 * time.Millisecond
	awaitResolve = 16 // looks at the one transaction, then one at all
)

// awaitChain waits for a transfer that a facilitator says it has sent.
func (s *Service) awaitChain(ctx context.Context, chain *evm.Chain, auth x402.Authorization, transaction string) (evm.Proof, error) {
	ctx, cancel := context.WithTimeout(ctx, awaitChain)
	defer cancel()
	for look := 1; ; look++ {
		if proof, err := prove(ctx, chain, auth, transaction); err == nil {
			return proof, nil
		}
		if look%awaitResolve == 1 || !isHash(transaction) {
			proof, err := chain.Resolve(ctx, auth)
			if err == nil || errors.Is(err, evm.ErrVoid) {
				return proof, err
			}
		}
		if sleep(ctx, awaitLook); ctx.Err() != nil {
			return evm.Proof{}, fmt.Errorf("%w: the chain does not show what the facilitator said", evm.ErrUnknown)
		}
	}
}

func isHash(text string) bool {
	return len(common.FromHex(text)) == common.HashLength && len(text) == 2+2*common.HashLength
}

func prove(ctx context.Context, chain *evm.Chain, auth x402.Authorization, transaction string) (evm.Proof, error) {
	if !isHash(transaction) {
		return evm.Proof{}, evm.ErrUnproven
	}
	return chain.Prove(ctx, common.HexToHash(transaction), auth)
}

// requested goes on with a payment that a facilitator was asked to move, with an outcome that nobody told us. Nobody is
// asked a second time, unless its payer sent it once more: the token takes it at most once, however often it is sent.
func (s *Service) requested(ctx context.Context, l leased, chain *evm.Chain, auth x402.Authorization) (evm.Proof, error) {
	open := fmt.Errorf("%w: asked of %s", evm.ErrUnknown, l.row.Facilitator)
	if !l.row.Again {
		return evm.Proof{}, open
	}
	i := slices.IndexFunc(s.o.Facilitators, func(f x402.Facilitator) bool { return f != nil && f.Name() == l.row.Facilitator })
	if i < 0 {
		return evm.Proof{}, open
	}
	proof, err := s.ask(ctx, l, chain, auth, s.o.Facilitators[i])
	if err == nil || errors.Is(err, evm.ErrVoid) || errors.Is(err, errLost) {
		return proof, err
	}
	return evm.Proof{}, fmt.Errorf("%w: now: %s", open, err.Error()) // its class must not show: something may have been sent before
}

// insist lets a payer who sends his payment once more have it asked for once more, where nobody knows what became of it.
func (s *Service) insist(ctx context.Context, p Purchase) error {
	if p.Settlement == nil || p.Settlement.Status != "requested" {
		return nil
	}
	q := queries.New()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		n, err := q.SettlementAgain(ctx, tx, p.Settlement.ID)
		if err != nil || n == 0 {
			return err
		}
		_, err = q.AttemptMove(ctx, tx, queries.AttemptMoveParams{ID: p.ID, Was: []string{string(Unknown)}, Next: string(Settling), Now: s.now()})
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		_, err = s.jobs.InsertTx(ctx, tx, ResumeArgs{Settlement: p.Settlement.ID}, &river.InsertOpts{Queue: QueueSettle, MaxAttempts: 1})
		return err
	})
	if err != nil {
		return fmt.Errorf("ask again for %s: %w", p.Settlement.ID, err)
	}
	return nil
}

// noteAnswer keeps what a facilitator said. What cannot be written is only missing in the figures.
func (s *Service) noteAnswer(ctx context.Context, l leased, a asking, settled x402.Settled, failed error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	p := queries.FacilitatorAskAnsweredParams{ID: a.id, TookMs: int32(s.now().Sub(a.at).Milliseconds()), Transaction: clip(settled.Transaction)}
	switch {
	case failed != nil:
		p.Outcome, p.Detail = outcomeOf(failed)
	case settled.Success:
		p.Outcome = "success"
	case settled.Reason == x402.Pending:
		p.Outcome = "pending"
	default:
		p.Outcome, p.Detail = "failed", clip(settled.Reason)
	}
	q := queries.New()
	err := q.FacilitatorAskAnswered(ctx, s.pool, p)
	if err == nil && isHash(settled.Transaction) {
		err = q.SettlementReported(ctx, s.pool, queries.SettlementReportedParams{ID: l.row.ID, Lease: l.lease, Transaction: common.HexToHash(settled.Transaction).Hex()})
	}
	if err != nil {
		slog.WarnContext(ctx, "noting a facilitator's answer", "settlement", l.row.ID, "error", err)
	}
}

// noteAsk keeps that a facilitator did not take a payment, before it was asked to move it.
func (s *Service) noteAsk(ctx context.Context, settlement id.Settlement, f x402.Facilitator, at time.Time, failed error) {
	p := queries.FacilitatorAskFailedParams{
		SettlementID: settlement, Facilitator: f.Name(), Call: "verify", AskedAt: at, TookMs: int32(s.now().Sub(at).Milliseconds()),
	}
	p.Outcome, p.Detail = outcomeOf(failed)
	if err := queries.New().FacilitatorAskFailed(ctx, s.pool, p); err != nil {
		slog.WarnContext(ctx, "noting a facilitator's answer", "settlement", settlement, "error", err)
	}
}

func outcomeOf(failed error) (outcome, detail string) {
	var call *x402.FacilitatorError
	var invalid *x402.Invalid
	switch {
	case errors.As(failed, &call):
		return call.Class, clip(call.Err.Error())
	case errors.As(failed, &invalid):
		return "invalid", clip(invalid.Detail)
	default:
		return "unsupported", clip(failed.Error())
	}
}

// clip keeps a stranger's words short, and such as a row can hold.
func clip(text string) string {
	const most = 200
	text = strings.ToValidUTF8(text[:min(most, len(text))], "?") // only now: it may be cut within a character
	return strings.ReplaceAll(text, "\x00", "?")
}
