package checkout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"

	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/x402"
)

var (
	// ErrUpstream is returned for a seller's server that gave no answer that could be handed on. Nothing was charged,
	// unless the call was paid for first.
	ErrUpstream = errors.New("checkout: the seller's server did not answer")
	// ErrUpstreamSlow is returned for one that took longer than it may.
	ErrUpstreamSlow = errors.New("checkout: the seller's server took too long")
	// ErrUpstreamLarge is returned for one whose answer is larger than is handed on.
	ErrUpstreamLarge = errors.New("checkout: the seller's server answered too much")
	// ErrLetGo is returned for a payment whose call came to nothing: it was not charged, and may be sent again.
	ErrLetGo = errors.New("checkout: the call came to nothing")
	// ErrForgotten is returned for a call that is paid and answered, and whose answer is not kept any more.
	ErrForgotten = errors.New("checkout: the answer is not kept any more")
	// ErrIdentifier is returned for a payment whose identifier another payment had.
	ErrIdentifier = errors.New("checkout: another payment had this identifier")
	// ErrUnidentified is returned for a payment without an identifier where one is wanted.
	ErrUnidentified = errors.New("checkout: the payment has no identifier")
	// ErrSpent is returned for a paid call that the seller's server failed too often.
	ErrSpent = errors.New("checkout: the call was tried too often")
)

// MaxKept is the largest answer that is kept to be given again.
const MaxKept = 1 << 20

// Answer is what a seller's server answered, fit to be handed on.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// failed tells what costs nothing.
func (a Answer) failed() bool { return a.Status >= http.StatusBadRequest }

// Calling is a call that comes with a payment.
type Calling struct {
	Endpoint   shop.Endpoint
	Offer      shop.Offer
	Resource   x402.Resource // as a 402 would name it
	Payment    x402.Payment
	Request    Request
	Identifier string // the program's own; empty for none
	// Code is what took something off the offer; nil for nothing.
	Code *shop.HandedIn
	// Upstream asks the seller's server. Its errors are [ErrUpstream] and its kin.
	Upstream func(ctx context.Context, of Paying) (Answer, error)
}

// Paying says who pays for a call, and by which purchase.
type Paying struct {
	Attempt id.Attempt
	Payer   common.Address
}

// Called is a call that is over.
type Called struct {
	Purchase Purchase // empty where nothing was charged
	Answer   Answer
	Pass     *Pass // where the payment bought one
}

// CallRequirement is what a call costs.
func (s *Service) CallRequirement(o shop.Offer, r x402.Resource) x402.Requirement {
	return x402.Requirement{Token: o.Link.Network.Token, Amount: o.Amount, PayTo: common.HexToAddress(o.PayTo), MaxTimeout: shop.OfferTime, Resource: r}
}

// QuoteCall is what a call costs now; nothing is written. Errors: [shop.ErrEndpointDisabled], [ErrUnfunded].
func (s *Service) QuoteCall(ctx context.Context, e shop.Endpoint, o shop.Offer, r x402.Resource) (x402.Requirement, error) {
	if err := e.Open(); err != nil {
		return x402.Requirement{}, err
	}
	return s.CallRequirement(o, r), s.Funded(ctx, o.Link.Network.ID)
}

// Call takes a payment for one call: the payment is claimed, the seller's server is asked, and only when it answered well
// is the money moved; nothing of the answer is handed out before the chain has it. What fails costs nothing, and the same
// payment may be sent again. The caller may leave: what was begun goes on.
//
// The same payment in the same request gets the same answer again. Errors as [Service.PayLink], those of
// [Calling.Upstream], [ErrLetGo], [ErrForgotten], [ErrIdentifier], [ErrUnidentified].
func (s *Service) Call(ctx context.Context, c Calling) (Called, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Endpoint.Timeout+s.o.Wait+callMargin)
	defer cancel()
	begun, err := s.beginCall(ctx, c)
	if err != nil {
		return Called{}, err
	}
	if begun.joined {
		return s.joinCall(ctx, begun.attempt.ID, c.Payment)
	}
	defer begun.watch.end()
	owed, settled := s.owing.add(begun.attempt, c.Payment.Authorization.From)
	defer settled()
	answer, err := s.upstream(ctx, c, begun, owed)
	if err != nil || answer.failed() {
		return s.callFailed(ctx, begun, answer, err)
	}
	if err := s.asks.tell(ctx, wellAnswered{begun, answer}); err != nil {
		return Called{}, fmt.Errorf("settle the call of %s: %w", begun.attempt.ID, err)
	}
	fault.At(fault.CallAsked)
	purchase, err := s.awaitOutcome(ctx, begun.watch, c.Payment)
	if err != nil {
		return Called{Purchase: purchase}, err
	}
	pass, err := s.passOf(ctx, purchase.ID)
	return Called{Purchase: purchase, Answer: answer, Pass: pass}, err
}

// callMargin is what a call may take beside the seller's server: its checks, its writes, and the chain's word that the
// money would move.
const callMargin = 10 * time.Second

// begunCall is a call whose payment is claimed, by this request or, where it is joined, by another.
type begunCall struct {
	attempt Attempt
	watch   watched
	joined  bool
}

// beginCall claims a payment for a call.
func (s *Service) beginCall(ctx context.Context, c Calling) (begunCall, error) {
	offer, err := s.then(ctx, c.Offer, c.Payment)
	if err != nil {
		return begunCall{}, err
	}
	if err := s.checkIdentifier(ctx, c); err != nil {
		return begunCall{}, err
	}
	claim, err := s.examine(ctx, offer.Link.Network, &c.Payment, s.CallRequirement(offer, c.Resource))
	if err != nil {
		return begunCall{}, err
	}
	if claim != nil {
		return s.rejoin(ctx, c, claim)
	}
	if err := s.callable(ctx, c); err != nil {
		return begunCall{}, err
	}
	a, err := s.draft(ctx, offer, Begin{Channel: "api"})
	if err != nil {
		return begunCall{}, err
	}
	a.Status, a.direct = Settling, true
	fault.At(fault.PayChecked)
	w := s.watch(a.ID)
	err = s.begin(ctx, &beginning{offer: offer, attempt: a, payment: &c.Payment, request: c.Request, code: handed(c.Code), call: &newCall{of: c.Endpoint, identifier: c.Identifier}})
	if err != nil {
		w.end()
	}
	if errors.Is(err, errClaimed) { // by the same payment, or one with the same identifier, at the same moment
		return s.beginCall(ctx, c)
	}
	if err != nil {
		return begunCall{}, fmt.Errorf("pay a call of %s: %w", c.Endpoint.ID, err)
	}
	fault.At(fault.CallClaimed)
	s.hub.Claimed(a.ID, a.Merchant)
	return begunCall{attempt: a, watch: w}, nil
}

// rejoin goes on with a payment that was taken before, for the same request. Payments can be read on the chain, and an
// identifier cannot: where there was one, it tells the program that paid from whoever repeats its payment.
func (s *Service) rejoin(ctx context.Context, c Calling, claim *queries.Claim) (begunCall, error) {
	if Request(claim.Request) != c.Request {
		return begunCall{}, ErrAlreadyUsed
	}
	call, err := queries.New().CallByAttempt(ctx, s.pool, claim.AttemptID)
	if err != nil {
		return begunCall{}, fmt.Errorf("call of %s: %w", claim.AttemptID, err)
	}
	if call.Identifier != c.Identifier {
		return begunCall{}, ErrAlreadyUsed
	}
	return begunCall{attempt: Attempt{ID: claim.AttemptID}, joined: true}, nil
}

// callable tells whether a payment that fits may be taken now.
func (s *Service) callable(ctx context.Context, c Calling) error {
	if err := c.Endpoint.Open(); err != nil {
		return err
	}
	if !sameResource(c.Payment.ResourceURL, c.Resource.URL) {
		return &x402.Invalid{Kind: x402.NoMatch, Detail: "the payment names another resource"}
	}
	// It has to be good for as long as the call may take, and some more to be mined.
	if needed := s.now().Add(c.Endpoint.Timeout + callMargin); c.Payment.Authorization.ValidBefore.Int64() < needed.Unix() {
		return &x402.Invalid{Kind: x402.Expired, Detail: "it ends before the call may"}
	}
	return s.Funded(ctx, c.Offer.Link.Network.ID)
}

// sameResource compares what a payment says that it is for with what is called: origin and path. A program need not say.
func sameResource(said, called string) bool {
	plain := func(url string) string {
		url, _, _ = strings.Cut(url, "#")
		url, _, _ = strings.Cut(url, "?")
		return url
	}
	return said == "" || plain(said) == plain(called)
}

// checkIdentifier keeps a program's own name of a payment to that payment.
func (s *Service) checkIdentifier(ctx context.Context, c Calling) error {
	if c.Identifier == "" {
		if c.Endpoint.Identified {
			return ErrUnidentified
		}
		return nil
	}
	row, err := queries.New().CallByIdentifier(ctx, s.pool, queries.CallByIdentifierParams{EndpointID: c.Endpoint.ID, Identifier: c.Identifier})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("payment by identifier: %w", err)
	}
	if a := c.Payment.Authorization; row.Payer != lower(a.From) || row.Nonce != a.Nonce.Hex() {
		return ErrIdentifier
	}
	return nil
}

// upstream makes sure that the money would move, with that of the payer's other calls, and asks the seller's server. It is
// given its time and no more.
func (s *Service) upstream(ctx context.Context, c Calling, b begunCall, owed money.USDC) (Answer, error) {
	chain, err := s.chain(b.attempt.Network.ID)
	if err != nil {
		return Answer{}, err
	}
	if err := chain.Simulate(ctx, c.Payment.Authorization, c.Payment.Signature); err != nil {
		return Answer{}, err
	}
	if err := affords(ctx, chain, c.Payment.Authorization.From, b.attempt.Amount, owed); err != nil {
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Endpoint.Timeout)
	defer cancel()
	answer, err := c.Upstream(ctx, Paying{b.attempt.ID, c.Payment.Authorization.From})
	fault.At(fault.CallAnswered)
	return answer, err
}

// callFailed lets the payment of a call go that came to nothing. Where that is not possible now, a job does it later.
func (s *Service) callFailed(ctx context.Context, b begunCall, answer Answer, cause error) (Called, error) {
	reason, invalid := upstreamFailed, (*x402.Invalid)(nil)
	if errors.As(cause, &invalid) {
		reason = string(invalid.Kind)
	}
	var kept *Answer
	if cause == nil {
		kept = &answer
	}
	if err := s.letGo(ctx, b.attempt.ID, reason, kept, true); err != nil {
		slog.WarnContext(ctx, "letting a payment go", "attempt", b.attempt.ID, "error", err)
	}
	fault.At(fault.CallReleased)
	return Called{Answer: answer}, cause
}

// upstreamFailed is why a payment is let go whose call the seller's server did not answer well.
const upstreamFailed = "upstream_failed"

// joinCall waits for what another request with the same payment began, and takes its answer.
func (s *Service) joinCall(ctx context.Context, attempt id.Attempt, p x402.Payment) (Called, error) {
	purchase, outcome := s.await(ctx, attempt, p)
	call, err := queries.New().CallByAttempt(ctx, s.pool, attempt)
	if err != nil {
		return Called{}, fmt.Errorf("call of %s: %w", attempt, err)
	}
	answer, err := keptAnswer(call)
	if err != nil {
		return Called{}, err
	}
	switch {
	case call.State == "released":
		if answer != nil { // as it was refused to the other
			return Called{Answer: *answer}, nil
		}
		var invalid *x402.Invalid
		if errors.As(outcome, &invalid) && invalid.Kind != upstreamFailed {
			return Called{}, invalid
		}
		return Called{}, ErrLetGo
	case outcome != nil:
		return Called{Purchase: purchase}, outcome
	case answer == nil:
		return Called{Purchase: purchase}, ErrForgotten
	}
	pass, err := s.passOf(ctx, attempt)
	return Called{Purchase: purchase, Answer: *answer, Pass: pass}, err
}

func keptAnswer(call queries.Call) (*Answer, error) {
	if !call.Kept {
		return nil, nil //nolint:nilnil // what is not kept is the ordinary case, and the caller's next step
	}
	a := &Answer{Status: int(call.Status), Body: call.Body}
	if err := json.Unmarshal(call.Header, &a.Header); err != nil {
		return nil, fmt.Errorf("kept answer of %s: %w", call.AttemptID, err)
	}
	return a, nil
}
