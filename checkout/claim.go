package checkout

import (
	"context"
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
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/x402"
)

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
	call    *newCall // nil where no call is bought
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
	if c.attempt.discounted() {
		if err := shop.PayCodedTx(ctx, tx, c.attempt.ID, lower(c.payment.Authorization.From)); err != nil {
			return err
		}
	}
	return s.claimTx(ctx, tx, c)
}

// claimTx ties payments to purchases and asks a worker to settle them, but for those that wait for a call's answer.
func (s *Service) claimTx(ctx context.Context, tx pgx.Tx, all ...claiming) error {
	now := s.now()
	p := queries.ClaimsInsertParams{CreatedAt: now}
	claims := make([]id.Claim, len(all))
	var settlements []queries.Settlement
	for i, c := range all {
		claim := id.New[id.Claim](now)
		claims[i] = claim
		addClaim(&p, claim, c)
		if c.call.after() {
			continue
		}
		a, auth := c.attempt, c.payment.Authorization
		settlements = append(settlements, queries.Settlement{
			ID: id.New[id.Settlement](now), MerchantID: a.Merchant, AttemptID: &a.ID, ClaimID: &claim, Livemode: a.Livemode, Network: a.Network.ID,
			Asset: lower(a.Network.Token.Address), Payer: lower(auth.From), Nonce: auth.Nonce.Hex(), PayTo: lower(auth.To), Amount: a.Amount,
		})
	}
	if err := queries.New().ClaimsInsert(ctx, tx, p); err != nil {
		return raced(fmt.Errorf("insert claims: %w", err))
	}
	for i, c := range all {
		if c.call == nil {
			continue
		}
		if err := s.callTx(ctx, tx, claims[i], c); err != nil {
			return err
		}
	}
	if err := s.queueSettlementsTx(ctx, tx, now, settlements...); err != nil {
		return err
	}
	fault.At(fault.PayClaimed)
	return nil
}

// queueSettlementsTx asks a worker to move the money of payments that are claimed.
func (s *Service) queueSettlementsTx(ctx context.Context, tx pgx.Tx, now time.Time, settlements ...queries.Settlement) error {
	if len(settlements) == 0 {
		return nil
	}
	if err := settlementsTx(ctx, tx, now, "own", settlements...); err != nil {
		if errors.Is(raced(err), errClaimed) { // the money came by a payment that had been let go
			return ErrAlreadyUsed
		}
		return fmt.Errorf("insert settlements: %w", err)
	}
	jobs := make([]river.InsertManyParams, len(settlements))
	for i, row := range settlements {
		jobs[i].Args = SettleArgs{Settlement: row.ID}
	}
	if _, err := s.jobs.InsertManyTx(ctx, tx, jobs); err != nil {
		return fmt.Errorf("queue settlements: %w", err)
	}
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

// unpack reads a claim back as the authorization that its payer signed.
func unpack(c queries.Claim) x402.Authorization {
	return x402.Authorization{
		From: common.HexToAddress(c.Payer), To: common.HexToAddress(c.PayTo), Value: big.NewInt(int64(c.Value)),
		ValidAfter: big.NewInt(c.ValidAfter), ValidBefore: big.NewInt(c.ValidBefore), Nonce: common.HexToHash(c.Nonce),
	}
}
