package checkout

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"

	"xsynesis/evm"
	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/x402"
)

// Request is what the answer to a payment may be repeated to: SHA-256 over method, path with query, and body.
type Request [32]byte

// PayLink takes a program's payment for a link and waits for the chain. The purchase is made in the
// claim's own transaction, before anything is broadcast.
//
// The same payment in the same request gets the same answer again. Errors: [*x402.Invalid] (nothing
// moved), [ErrAlreadyUsed], [ErrPending] with the purchase, [shop.ErrLinkExpired], [shop.ErrSoldOut],
// [ErrUnfunded], [evm.ErrUnavailable].
func (s *Service) PayLink(ctx context.Context, offer shop.Offer, p x402.Payment, r Request) (Purchase, error) {
	want, err := s.wanted(ctx, offer, p)
	if err != nil {
		return Purchase{}, err
	}
	if claim, err := s.examine(ctx, offer.Link.Network, &p, want); err != nil {
		return Purchase{}, err
	} else if claim != nil {
		if Request(claim.Request) != r {
			return Purchase{}, ErrAlreadyUsed
		}
		return s.await(ctx, claim.AttemptID, p)
	}
	if err := s.Funded(ctx, offer.Link.Network.ID); err != nil {
		return Purchase{}, err
	}
	a, err := s.draft(offer, want.Amount, Begin{Channel: "link"})
	if err != nil {
		return Purchase{}, err
	}
	a.Status, a.direct = Settling, true // it is begun by its payment
	fault.At(fault.PayChecked)
	w := s.watch(a.ID)
	defer w.end()
	err = s.enter(ctx, entry{offer: offer, claiming: claiming{a, p, r}})
	if errors.Is(err, shop.ErrSoldOut) {
		err = s.tookLast(ctx, offer.Link.Network, p.Authorization, err)
	}
	if errors.Is(err, errClaimed) { // by the same payment, at the same moment
		return s.PayLink(ctx, offer, p, r)
	}
	if err != nil {
		return Purchase{}, fmt.Errorf("pay %s: %w", offer.Link.ID, err)
	}
	fault.At(fault.PayCommitted)
	s.hub.Claimed(a.ID, a.Merchant)
	return s.awaitOutcome(ctx, w, p)
}

// entry is a payment that begins its purchase.
type entry struct {
	offer shop.Offer
	claiming
}

// enterMost is how many payments begin their purchases in one transaction at most.
const enterMost = 64

// enter begins a purchase with its payment. Those of limited links stand in line at the link's row, each for itself.
func (s *Service) enter(ctx context.Context, e entry) error {
	var err error
	if e.offer.Link.MaxPayments == 0 {
		_, err = s.entries.Do(ctx, e)
	} else {
		_, err = s.enterAll(ctx, []entry{e})
	}
	return err
}

// enterAll begins purchases whose payments came at the same time.
func (s *Service) enterAll(ctx context.Context, all []entry) ([]struct{}, error) {
	return make([]struct{}, len(all)), pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		attempts, claims := make([]Attempt, len(all)), make([]claiming, len(all))
		for i, e := range all {
			if err := s.takeTx(ctx, tx, e.offer.Link, &e.attempt, true); err != nil {
				return err
			}
			attempts[i], claims[i] = e.attempt, e.claiming
		}
		if err := s.insertTx(ctx, tx, attempts...); err != nil {
			return err
		}
		return s.claimTx(ctx, tx, claims...)
	})
}

// tookLast turns soldOut into [errClaimed] where the last one went to this very payment, sent at the same moment.
func (s *Service) tookLast(ctx context.Context, n evm.Network, a x402.Authorization, soldOut error) error {
	claim, err := s.claimOf(ctx, n, a)
	if err != nil {
		return err
	}
	if claim == nil {
		return soldOut
	}
	return errClaimed
}

// wanted is what the link costs, or cost while the offer that this payment answers was out.
func (s *Service) wanted(ctx context.Context, offer shop.Offer, p x402.Payment) (x402.Requirement, error) {
	want := s.Offered(offer)
	v := p.Authorization.Value
	if v == nil || !v.IsInt64() {
		return want, nil
	}
	honoured, err := s.shop.Honours(ctx, offer.Link, money.USDC(v.Int64()))
	if honoured {
		want.Amount = money.USDC(v.Int64())
	}
	return want, err
}

// Pay takes a payment for one purchase and waits for the chain.
//
// The same payment gets the same answer again. Errors as [Service.PayLink], and [ErrNotFound],
// [ErrInProgress], [ErrPaid], [ErrExpired], [ErrReversed].
func (s *Service) Pay(ctx context.Context, attempt id.Attempt, p x402.Payment) (Purchase, error) {
	purchase, err := s.Purchase(ctx, attempt)
	if err != nil {
		return Purchase{}, err
	}
	claim, err := s.examine(ctx, purchase.Network, &p, s.Requirement(purchase.Attempt))
	if err != nil {
		return purchase, s.sooner(purchase.Attempt, err)
	}
	if claim != nil {
		if claim.AttemptID != attempt {
			return purchase, ErrAlreadyUsed
		}
		return s.await(ctx, attempt, p)
	}
	if err := s.payable(ctx, purchase.Attempt, p); err != nil {
		return purchase, err
	}
	fault.At(fault.PayChecked)
	w := s.watch(attempt)
	defer w.end()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		return s.claimOpenTx(ctx, tx, claiming{purchase.Attempt, p, requestOf(attempt)})
	})
	if errors.Is(err, errClaimed) || errors.Is(err, ErrNotOpen) { // somebody was faster, perhaps this very payment
		return s.Pay(ctx, attempt, p)
	}
	if err != nil {
		return purchase, fmt.Errorf("pay %s: %w", attempt, err)
	}
	fault.At(fault.PayCommitted)
	s.hub.Claimed(attempt, purchase.Merchant)
	return s.awaitOutcome(ctx, w, p)
}

// requestOf stands for every way to address one purchase: its answer is the same on each.
func requestOf(attempt id.Attempt) Request { return sha256.Sum256([]byte(attempt)) }

// carefulAfter is the number of refused payers after which a payer's money is looked at first.
const carefulAfter = 3

func (s *Service) payable(ctx context.Context, a Attempt, p x402.Payment) error {
	switch a.Status {
	case Open:
	case Settling, Unknown:
		return ErrInProgress
	case Settled, SettledLate:
		return ErrPaid
	case Failed:
		return ErrFailed
	case Reversed:
		return ErrReversed
	default:
		return ErrExpired
	}
	if !s.now().Before(a.ExpiresAt) {
		return ErrExpired
	}
	if err := s.Funded(ctx, a.Network.ID); err != nil {
		return err
	}
	if a.Refusals < carefulAfter {
		return nil
	}
	chain, err := s.chain(a.Network.ID)
	if err != nil {
		return err
	}
	balance, err := chain.Balance(ctx, p.Authorization.From)
	if err != nil {
		return err
	}
	if balance < a.Amount {
		return &x402.Invalid{Kind: x402.Funds}
	}
	return nil
}

func (s *Service) chain(network string) (*evm.Chain, error) {
	c, ok := s.chains[network]
	if !ok {
		return nil, fmt.Errorf("%w: no RPC for %s", evm.ErrUnavailable, network)
	}
	return c, nil
}

// examine checks a payment: match, amount, times and signature on the CPU; the chain is asked only where
// the payer may be a contract (ERC-1271). It returns the claim of a payment that was taken before,
// even where the payment would no longer pass.
func (s *Service) examine(ctx context.Context, n evm.Network, p *x402.Payment, want x402.Requirement) (*queries.Claim, error) {
	mismatch := p.Check(want, s.now())
	unsigned := p.CheckSignature(n.Token)
	claim, err := s.claimOf(ctx, n, p.Authorization)
	if err != nil {
		return nil, err
	}
	if claim != nil && (unsigned == nil || bytes.Equal(claim.Signature, p.Signature)) {
		return claim, nil
	}
	if mismatch != nil || unsigned == nil {
		return nil, mismatch
	}
	chain, err := s.chain(n.ID)
	if err != nil {
		return nil, err
	}
	return nil, chain.CheckContractSignature(ctx, p.Authorization.From, p.Authorization.Digest(n.Token), p.Signature)
}

// sooner prefers what a buyer can understand: that a purchase is paid or over, not that his payment does not fit it.
func (s *Service) sooner(a Attempt, err error) error {
	var invalid *x402.Invalid
	if !errors.As(err, &invalid) {
		return err
	}
	switch {
	case a.Status.Paid():
		return ErrPaid
	case a.Status == Open && s.now().Before(a.ExpiresAt) || a.Status.UnderWay():
		return err
	case a.Status == Reversed:
		return ErrReversed
	default:
		return ErrExpired
	}
}

// claimOf finds the living claim of an authorization, or nil.
func (s *Service) claimOf(ctx context.Context, n evm.Network, a x402.Authorization) (*queries.Claim, error) {
	claim, err := queries.New().ClaimByAuthorization(ctx, s.pool, queries.ClaimByAuthorizationParams{
		Network: n.ID, Asset: lower(n.Token.Address), Payer: lower(a.From), Nonce: a.Nonce.Hex(),
	})
	if errors.Is(err, pgx.ErrNoRows) || err == nil && claim.ReleasedAt != nil {
		return nil, nil //nolint:nilnil // no claim is the ordinary case, and the caller's next step
	}
	if err != nil {
		return nil, fmt.Errorf("claim of %s: %w", a.From, err)
	}
	return &claim, nil
}

// errClaimed is a lost race for one of the claim's unique keys.
var errClaimed = errors.New("checkout: claimed by another request")

// claiming is a payment for a purchase, and the request that its answer may be repeated to.
type claiming struct {
	attempt Attempt
	payment x402.Payment
	request Request
}

// claimOpenTx ties a payment to a purchase that waits for one.
func (s *Service) claimOpenTx(ctx context.Context, tx pgx.Tx, c claiming) error {
	_, err := queries.New().AttemptClaim(ctx, tx, queries.AttemptClaimParams{ID: c.attempt.ID, Now: s.now()})
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotOpen
	}
	if err != nil {
		return fmt.Errorf("claim %s: %w", c.attempt.ID, err)
	}
	return s.claimTx(ctx, tx, c)
}

// claimTx ties payments to purchases and asks a worker to settle them.
func (s *Service) claimTx(ctx context.Context, tx pgx.Tx, all ...claiming) error {
	now := s.now()
	p := queries.ClaimsInsertParams{CreatedAt: now}
	settlements, jobs := make([]queries.Settlement, len(all)), make([]river.InsertManyParams, len(all))
	for i, c := range all {
		claim := id.New[id.Claim](now)
		addClaim(&p, claim, c)
		a, auth := c.attempt, c.payment.Authorization
		settlements[i] = queries.Settlement{
			ID: id.New[id.Settlement](now), MerchantID: a.Merchant, AttemptID: &a.ID, ClaimID: &claim, Livemode: a.Livemode, Network: a.Network.ID,
			Asset: lower(a.Network.Token.Address), Payer: lower(auth.From), Nonce: auth.Nonce.Hex(), PayTo: lower(auth.To), Amount: a.Amount,
		}
		jobs[i].Args = SettleArgs{Settlement: settlements[i].ID}
	}
	if err := queries.New().ClaimsInsert(ctx, tx, p); err != nil {
		return raced(fmt.Errorf("insert claims: %w", err))
	}
	if err := settlementsTx(ctx, tx, now, "own", settlements...); err != nil {
		if errors.Is(raced(err), errClaimed) { // the money came by a payment that had been let go
			return ErrAlreadyUsed
		}
		return fmt.Errorf("insert settlements: %w", err)
	}
	if _, err := s.jobs.InsertManyTx(ctx, tx, jobs); err != nil {
		return fmt.Errorf("queue settlements: %w", err)
	}
	fault.At(fault.PayClaimed)
	return nil
}

func addClaim(p *queries.ClaimsInsertParams, claim id.Claim, c claiming) {
	a, auth := c.attempt, c.payment.Authorization
	p.Ids = append(p.Ids, string(claim))
	p.Attempts = append(p.Attempts, string(a.ID))
	p.Networks = append(p.Networks, a.Network.ID)
	p.Assets = append(p.Assets, lower(a.Network.Token.Address))
	p.Payers = append(p.Payers, lower(auth.From))
	p.Nonces = append(p.Nonces, auth.Nonce.Hex())
	p.Payees = append(p.Payees, lower(auth.To))
	p.Values = append(p.Values, int64(a.Amount))
	p.ValidAfter = append(p.ValidAfter, auth.ValidAfter.Int64())
	p.ValidBefore = append(p.ValidBefore, auth.ValidBefore.Int64())
	p.Signatures = append(p.Signatures, c.payment.Signature)
	p.Versions = append(p.Versions, int16(c.payment.Version))
	p.Requests = append(p.Requests, c.request[:])
}

const uniqueViolation = "23505"

func raced(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == uniqueViolation {
		return fmt.Errorf("%w: %w", errClaimed, err)
	}
	return err
}

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

// unpack reads a claim back as the authorization that its payer signed.
func unpack(c queries.Claim) x402.Authorization {
	return x402.Authorization{
		From: common.HexToAddress(c.Payer), To: common.HexToAddress(c.PayTo), Value: big.NewInt(int64(c.Value)),
		ValidAfter: big.NewInt(c.ValidAfter), ValidBefore: big.NewInt(c.ValidBefore), Nonce: common.HexToHash(c.Nonce),
	}
}
