package checkout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/x402"
)

// FacilitatorPolicy says for whom payments are settled that are not for a purchase here.
type FacilitatorPolicy string

// The policies.
const (
	FacilitateOwn  FacilitatorPolicy = "own"  // whose payee is a shop here
	FacilitateKey  FacilitatorPolicy = "key"  // asked for with a shop's API key
	FacilitateOpen FacilitatorPolicy = "open" // anybody's
	FacilitateOff  FacilitatorPolicy = "off"  // nobody's
)

var (
	// ErrNotFacilitated is returned for payments that the policy leaves to others.
	ErrNotFacilitated = errors.New("checkout: not settled for this payee")
	// ErrFacilitatorKey is returned where an API key has to say who asks.
	ErrFacilitatorKey = errors.New("checkout: no key of who asks for a settlement")
	// ErrBudget is returned to a caller who had all of a day's settlements.
	ErrBudget = errors.New("checkout: the caller's gas budget is used up")
)

// Caller is who asks for somebody's payment to be settled.
type Caller struct {
	Merchant id.Merchant // by API key; empty for none
	Address  string      // the network address
}

// facilitating is a payment for somebody else's sale that would be settled.
type facilitating struct {
	network  evm.Network
	payment  x402.Payment
	merchant id.Merchant // whose address is paid; empty for a stranger's
	budget   string      // whose gas budget it is
	resource string
}

// Facilitates tells whether payments of others are settled at all, and the kinds.
func (s *Service) Facilitates() (x402.Supported, bool) {
	var tokens []x402.Token
	for _, n := range s.networks.All() {
		tokens = append(tokens, n.Token)
	}
	return x402.Supported{Kinds: x402.Kinds(tokens...), Extensions: []string{}, Signers: map[string][]string{}}, s.o.FacilitatorPolicy != FacilitateOff
}

// VerifyFor tells whether a payment for somebody else's sale would be settled. It writes nothing.
// Errors: [*x402.Invalid], [ErrNotFacilitated], [ErrFacilitatorKey], [evm.ErrUnavailable].
func (s *Service) VerifyFor(ctx context.Context, asked x402.Asked, who Caller) error {
	f, err := s.facilitating(ctx, asked, who)
	if err != nil {
		return err
	}
	return s.examineFor(ctx, &f, asked)
}

// withoutKey is the budget that those share who ask for a shop's payments without its key.
const withoutKey = " without key"

// facilitating finds the network and, by the policy, who is served.
func (s *Service) facilitating(ctx context.Context, asked x402.Asked, who Caller) (facilitating, error) {
	f := facilitating{payment: asked.Payment, resource: asked.Payment.ResourceURL}
	for _, n := range s.networks.All() {
		if n.Token.NetworkName(asked.Version) == asked.Requirement.Network {
			f.network = n
		}
	}
	if f.network.ID == "" {
		return f, &x402.Invalid{Kind: x402.Network, Detail: fmt.Sprintf("network %.40q is not served", asked.Requirement.Network)}
	}
	merchant, err := queries.New().PayeeMerchant(ctx, s.pool, queries.PayeeMerchantParams{Network: f.network.ID, Address: lower(asked.Requirement.PayTo)})
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return f, fmt.Errorf("shop of %s: %w", asked.Requirement.PayTo, err)
	}
	f.merchant = id.Merchant(merchant)
	switch s.o.FacilitatorPolicy {
	case FacilitateOpen:
		f.budget = who.Address
		if who.Merchant != "" {
			f.budget = string(who.Merchant)
		}
	case FacilitateKey:
		if f.budget = string(who.Merchant); who.Merchant == "" {
			return f, ErrFacilitatorKey
		}
	case FacilitateOwn:
		if f.budget = merchant; merchant == "" {
			return f, ErrNotFacilitated
		}
		if who.Merchant != f.merchant { // whoever pays a shop dust would use up its day
			f.budget += withoutKey
		}
	case FacilitateOff:
		return f, ErrNotFacilitated
	}
	return f, nil
}

// examineFor checks a payment against what its seller wants, and asks the chain whether it would take it.
func (s *Service) examineFor(ctx context.Context, f *facilitating, asked x402.Asked) error {
	want, err := asked.Requirement.For(f.network.Token, asked.Version)
	if err != nil {
		return err
	}
	claim, err := s.examine(ctx, f.network, &f.payment, want)
	if err != nil {
		return err
	}
	if claim != nil {
		return &x402.Invalid{Kind: x402.NonceUsed, Detail: "it pays a purchase here"}
	}
	chain, err := s.chain(f.network.ID)
	if err != nil {
		return err
	}
	return chain.Simulate(ctx, f.payment.Authorization, f.payment.Signature)
}

// SettleFor has a payment for somebody else's sale sent by our relayer, once, and waits for the chain. The same payment
// gets the same answer again. Errors: as [Service.VerifyFor], and [ErrPending], [ErrUnfunded], [ErrBudget].
func (s *Service) SettleFor(ctx context.Context, asked x402.Asked, who Caller) (Settlement, error) {
	f, err := s.facilitating(ctx, asked, who)
	if err != nil {
		return Settlement{}, err
	}
	row, err := s.settlementFor(ctx, f)
	if err != nil {
		return Settlement{}, err
	}
	if row == nil {
		if err := s.examineFor(ctx, &f, asked); err != nil {
			return Settlement{}, err
		}
		if row, err = s.beginFor(ctx, f); err != nil {
			return Settlement{}, err
		}
	}
	return s.awaitFor(ctx, *row)
}

// settlementFor finds what is settled, or was, of this very payment; nil where it may be tried.
func (s *Service) settlementFor(ctx context.Context, f facilitating) (*queries.Settlement, error) {
	a := f.payment.Authorization
	row, err := queries.New().SettlementByAuthorization(ctx, s.pool, queries.SettlementByAuthorizationParams{
		Network: f.network.ID, Asset: lower(f.network.Token.Address), Payer: lower(a.From), Nonce: a.Nonce.Hex(),
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && row.Status == "failed":
		return nil, nil //nolint:nilnil // none is the ordinary case, and the caller's next step
	case err != nil:
		return nil, fmt.Errorf("settlement of %s: %w", a.From, err)
	case row.AttemptID != nil:
		return nil, &x402.Invalid{Kind: x402.NonceUsed, Detail: "it pays a purchase here"}
	case row.PayTo != lower(a.To) || !a.Value.IsInt64() || int64(row.Amount) != a.Value.Int64():
		return nil, &x402.Invalid{Kind: x402.NonceUsed, Detail: "its nonce is another payment's"}
	}
	return &row, nil
}

// beginFor writes the settlement down, with the job that sends it and the caller's budget that it is from.
func (s *Service) beginFor(ctx context.Context, f facilitating) (*queries.Settlement, error) {
	funded, err := evm.Funded(ctx, s.pool, f.network.ID, s.now())
	if err != nil {
		return nil, fmt.Errorf("relayers of %s: %w", f.network.ID, err)
	}
	if !funded {
		return nil, ErrUnfunded
	}
	settlement := id.New[id.Settlement](s.now())
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.beginForTx(ctx, tx, settlement, f) })
	if errors.Is(raced(err), errClaimed) { // the same payment, at the same moment
		row, err := s.settlementFor(ctx, f)
		if err == nil && row == nil {
			err = ErrPending
		}
		return row, err
	}
	if err != nil {
		return nil, fmt.Errorf("settle for %s: %w", f.budget, err)
	}
	row, err := queries.New().SettlementByID(ctx, s.pool, settlement)
	return &row, err
}

func (s *Service) beginForTx(ctx context.Context, tx pgx.Tx, settlement id.Settlement, f facilitating) error {
	q, now, a := queries.New(), s.now(), f.payment.Authorization
	taken, err := q.FacilitatorBudgetTake(ctx, tx, queries.FacilitatorBudgetTakeParams{Caller: f.budget, Day: dayOf(now), Most: int32(s.o.FacilitatorBudget)})
	if err == nil && taken == 0 {
		err = ErrBudget
	}
	if err != nil {
		return err
	}
	if err := q.FacilitatedInsert(ctx, tx, queries.FacilitatedInsertParams{
		ID: settlement, MerchantID: f.merchant, Livemode: !f.network.Test, Network: f.network.ID, Asset: lower(f.network.Token.Address),
		Payer: lower(a.From), Nonce: a.Nonce.Hex(), PayTo: lower(a.To), Amount: usdcOf(a), CreatedAt: now,
	}); err != nil {
		return err
	}
	if err := q.FacilitationInsert(ctx, tx, queries.FacilitationInsertParams{
		SettlementID: settlement, Caller: f.budget, Resource: clip(f.resource), ValidAfter: a.ValidAfter.Int64(), ValidBefore: a.ValidBefore.Int64(),
		Signature: f.payment.Signature, Version: int16(f.payment.Version), CreatedAt: now,
	}); err != nil {
		return err
	}
	_, err = s.jobs.InsertTx(ctx, tx, SettleArgs{Settlement: settlement}, nil)
	return err
}

func dayOf(now time.Time) time.Time { return now.UTC().Truncate(24 * time.Hour) }

// awaitFor waits until the chain answered, or [Options.Wait] is over.
func (s *Service) awaitFor(ctx context.Context, row queries.Settlement) (Settlement, error) {
	known, end := s.hub.Subscribe(string(row.ID) + outcome)
	defer end()
	deadline := time.NewTimer(s.o.Wait)
	defer deadline.Stop()
	look := time.NewTicker(heal)
	defer look.Stop()
	for waiting := true; ; {
		row, err := queries.New().SettlementByID(ctx, s.pool, row.ID)
		if err != nil {
			return Settlement{}, fmt.Errorf("look at %s: %w", row.ID, err)
		}
		switch row.Status {
		case "confirmed", "final":
			return s.settlement(row)
		case "failed", "reversed":
			return s.refusedFor(ctx, row)
		}
		if !waiting {
			settlement, err := s.settlement(row)
			return settlement, errors.Join(err, ErrPending)
		}
		select {
		case <-ctx.Done():
			return Settlement{}, ctx.Err()
		case <-deadline.C:
			waiting = false
		case <-known:
		case <-look.C:
		}
	}
}

// refusedFor says why a payment was not settled.
func (s *Service) refusedFor(ctx context.Context, row queries.Settlement) (Settlement, error) {
	f, err := queries.New().FacilitationBySettlement(ctx, s.pool, row.ID)
	if err != nil {
		return Settlement{}, fmt.Errorf("reason of %s: %w", row.ID, err)
	}
	settlement, err := s.settlement(row)
	return settlement, errors.Join(err, &x402.Invalid{Kind: x402.Kind(f.Reason), Detail: row.LastError})
}

// authorizationFor reads a payment for somebody else's sale back as its payer signed it.
func authorizationFor(row queries.Settlement, f queries.Facilitation) x402.Authorization {
	return unpack(queries.Claim{
		Payer: row.Payer, PayTo: row.PayTo, Value: row.Amount, ValidAfter: f.ValidAfter, ValidBefore: f.ValidBefore,
		Nonce: row.Nonce,
	})
}
