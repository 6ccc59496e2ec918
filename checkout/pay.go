package checkout

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

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
// [shop.ErrShort], [ErrFree], [ErrUnfunded], [evm.ErrUnavailable].
func (s *Service) PayLink(ctx context.Context, offer shop.Offer, p x402.Payment, r Request) (Purchase, error) {
	if offer.Amount == 0 {
		return Purchase{}, ErrFree
	}
	offer, err := s.then(ctx, offer, p)
	if err != nil {
		return Purchase{}, err
	}
	want := s.Offered(offer)
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
	a, err := s.draft(ctx, offer, Begin{Channel: "link"})
	if err != nil {
		return Purchase{}, err
	}
	a.Status, a.direct = Settling, true // it is begun by its payment
	fault.At(fault.PayChecked)
	w := s.watch(a.ID)
	defer w.end()
	err = s.begin(ctx, &beginning{offer: offer, attempt: a, payment: &p, request: r, code: handed(offer.Code)})
	if errors.Is(err, shop.ErrSoldOut) || errors.Is(err, shop.ErrShort) {
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

// then is the offer as it was when it was out that this payment answers: what it cost then is honoured.
func (s *Service) then(ctx context.Context, offer shop.Offer, p x402.Payment) (shop.Offer, error) {
	v := p.Authorization.Value
	if v == nil || !v.IsInt64() {
		return offer, nil
	}
	then, _, err := s.shop.Honours(ctx, offer, money.USDC(v.Int64()))
	return then, err
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
		return s.claimOpenTx(ctx, tx, claiming{attempt: purchase.Attempt, payment: p, request: requestOf(attempt)})
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
	if mismatch != nil {
		return nil, mismatch
	}
	if unsigned != nil {
		chain, err := s.chain(n.ID)
		if err != nil {
			return nil, err
		}
		if err := chain.CheckContractSignature(ctx, p.Authorization.From, p.Authorization.Digest(n.Token), p.Signature); err != nil {
			return nil, err
		}
	}
	return nil, s.payerKeepsHisMoney(ctx, p.Authorization.From)
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
