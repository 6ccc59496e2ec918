package checkout

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/x402"
)

var (
	// ErrNothingCame is returned where a transaction brought nothing yet that somebody may say is his.
	ErrNothingCame = errors.New("checkout: nothing came by this transaction")
	// ErrNotSender is returned for a signature that is not of the wallet that sent a transfer.
	ErrNotSender = errors.New("checkout: another wallet sent it")
)

// maxClaimSignature is how long a signature of a contract wallet may be, in bytes.
const maxClaimSignature = 4 << 10

// ClaimText is what the sender of a transfer signs (`personal_sign`), so that it pays a purchase whose amount it has not.
func (s *Service) ClaimText(a Attempt, transaction common.Hash) string {
	return fmt.Sprintf("I sent this transfer, and it pays this purchase.\n\nPurchase: %s/pay/%s\nTransaction: %s\nNetwork: %s",
		s.o.PublicURL, a.ID, transaction.Hex(), a.Network.ID)
}

// Claim pays a purchase with a transfer that does not have its amount, by the word of whoever sent it: a signature of the
// purchase's [Service.ClaimText]. What is less than the price pays nothing; the shop is told that it was meant for it.
// Errors: [ErrNotFound], [ErrNothingCame], [ErrNotSender], [ErrDecided], [ErrRefundUnderWay], [*shop.FieldError] for a
// purchase that it cannot pay, [evm.ErrUnavailable].
func (s *Service) Claim(ctx context.Context, attempt id.Attempt, transaction common.Hash, signature []byte) error {
	e, a, err := s.claimed(ctx, attempt, transaction, signature)
	if err != nil {
		return fmt.Errorf("claim %s for %s: %w", transaction, attempt, err)
	}
	if e.Amount < a.Amount {
		if err := queries.New().ExceptionProven(ctx, s.pool, queries.ExceptionProvenParams{ID: e.ID, AttemptID: string(attempt)}); err != nil {
			return fmt.Errorf("claim %s for %s: %w", transaction, attempt, err)
		}
		s.hub.Changed(attempt, e.MerchantID)
		return nil
	}
	return s.Attach(ctx, e.MerchantID, e.Livemode, e.ID, attempt, audit.By{Actor: "wallet " + common.HexToAddress(e.Payer).Hex()})
}

// claimed is the money that a signature is about.
func (s *Service) claimed(ctx context.Context, attempt id.Attempt, transaction common.Hash, signature []byte) (e queries.Exception, a Attempt, err error) {
	q := queries.New()
	if _, err := q.ManualByAttempt(ctx, s.pool, attempt); errors.Is(err, pgx.ErrNoRows) {
		return e, a, ErrNotFound
	} else if err != nil {
		return e, a, err
	}
	p, err := s.Purchase(ctx, attempt)
	if err != nil {
		return e, a, err
	}
	a = p.Attempt
	came, err := q.ExceptionsOfTransaction(ctx, s.pool, queries.ExceptionsOfTransactionParams{
		Network: a.Network.ID, Transaction: transaction.Hex(), PayTo: lower(a.PayTo),
	})
	if err != nil {
		return e, a, err
	}
	err = ErrNothingCame
	for _, x := range came {
		if x.BlockTime == nil || x.BlockTime.Before(a.CreatedAt.Add(-blockSlack)) {
			continue // it came before the purchase was begun
		}
		if err = s.sentBy(ctx, a, common.HexToAddress(x.Payer), transaction, signature); !errors.Is(err, ErrNotSender) {
			return x, a, err
		}
	}
	return e, a, err
}

// sentBy tells whether a wallet signed that it sent a transfer for a purchase. Errors: [ErrNotSender], [evm.ErrUnavailable].
func (s *Service) sentBy(ctx context.Context, a Attempt, payer common.Address, transaction common.Hash, signature []byte) error {
	text := s.ClaimText(a, transaction)
	switch {
	case len(signature) == 0 || len(signature) > maxClaimSignature:
		return ErrNotSender
	case evm.SignedText(payer, text, signature):
		return nil
	}
	chain, err := s.chain(a.Network.ID)
	if err != nil {
		return err
	}
	err = chain.CheckContractSignature(ctx, payer, evm.TextDigest(text), signature)
	if invalid := (&x402.Invalid{}); errors.As(err, &invalid) {
		return ErrNotSender
	}
	return err
}
