package checkout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/shop"
)

// insertPassSalesTx freezes what purchases of endpoints bring: a pass for one call, for a while, or for ever.
func insertPassSalesTx(ctx context.Context, tx pgx.Tx, begun []*beginning) error {
	for _, b := range begun {
		t := b.offer.Link.Pass
		if t == nil {
			continue
		}
		if err := queries.New().PassSaleInsert(ctx, tx, queries.PassSaleInsertParams{
			AttemptID: b.attempt.ID, EndpointID: t.Endpoint, Period: period(t.Interval), Single: t.Single(),
		}); err != nil {
			return fmt.Errorf("terms of the pass of %s: %w", b.attempt.ID, err)
		}
	}
	return nil
}

// called tells whether it is the purchase of a call, begun by its payment at no link.
func (p paid) called() bool { return p.attempt.LinkID == nil && p.attempt.Direct }

// sellsPass tells purchases of passes from everything else, calls among them.
func (p paid) sellsPass() bool {
	return !p.called() && len(p.lines) > 0 && strings.HasPrefix(p.lines[0].ItemID, id.Endpoint("").Prefix())
}

// givePassesTx makes the passes of purchases that are paid, or adds to those that their payers have.
func (s *Service) givePassesTx(ctx context.Context, tx pgx.Tx, now time.Time, all []paid) error {
	q := queries.New()
	for _, p := range all {
		if !p.sellsPass() {
			continue
		}
		sale, err := q.PassSale(ctx, tx, p.attempt.ID)
		if err != nil {
			return fmt.Errorf("terms of the pass of %s: %w", p.attempt.ID, err)
		}
		pass, err := s.passForTx(ctx, tx, p, sale)
		if err != nil {
			return fmt.Errorf("pass of %s: %w", p.attempt.ID, err)
		}
		if err := q.PassExtend(ctx, tx, queries.PassExtendParams{Now: now, ID: pass, AttemptID: p.attempt.ID}); err != nil {
			return fmt.Errorf("pass of %s: %w", p.attempt.ID, err)
		}
		if err := q.PassSold(ctx, tx, queries.PassSoldParams{AttemptID: p.attempt.ID, PassID: &pass}); err != nil {
			return fmt.Errorf("pass of %s: %w", p.attempt.ID, err)
		}
	}
	return nil
}

// passForTx finds the pass that a purchase adds to. One for a single call, or for a payer whom nobody knows, is new.
func (s *Service) passForTx(ctx context.Context, tx pgx.Tx, p paid, sale queries.PassSale) (id.Pass, error) {
	fresh, tokenHash, err := s.freshPass(ctx)
	if err != nil {
		return "", err
	}
	q := queries.New()
	if !sale.Single && p.settlement.Payer != "" {
		return q.PassOpen(ctx, tx, queries.PassOpenParams{
			ID: fresh, MerchantID: p.attempt.MerchantID, Livemode: p.attempt.Livemode, EndpointID: sale.EndpointID, Payer: p.settlement.Payer,
			TokenHash: tokenHash, CreatedAt: s.now(),
		})
	}
	own := queries.PassOwnParams{
		ID: fresh, MerchantID: p.attempt.MerchantID, Livemode: p.attempt.Livemode, EndpointID: sale.EndpointID, Payer: p.settlement.Payer,
		TokenHash: tokenHash, CreatedAt: s.now(),
	}
	if sale.Single {
		own.CallsLeft = new(int32(1))
	}
	return fresh, q.PassOwn(ctx, tx, own)
}

// SellsPass tells whether a purchase buys a pass for an endpoint.
func (a Attempt) SellsPass() bool {
	return !a.called() && len(a.Lines) > 0 && strings.HasPrefix(a.Lines[0].ItemID, id.Endpoint("").Prefix())
}

// called tells whether a purchase is that of a call, begun by its payment at no link.
func (a Attempt) called() bool { return a.Link == "" && a.direct }

// PassBought is the pass that a paid purchase bought on a page, with its token, or nil for one that buys none. It is for who
// has the buyer's token ([Attempt.IsBuyer]).
func (s *Service) PassBought(ctx context.Context, p Purchase) (*Pass, error) {
	if !p.Status.Paid() || !p.SellsPass() {
		return nil, nil //nolint:nilnil // most purchases buy none
	}
	sale, err := queries.New().PassSale(ctx, s.pool, p.ID)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && sale.PassID == nil {
		return nil, nil //nolint:nilnil // as above
	}
	if err != nil {
		return nil, fmt.Errorf("pass of %s: %w", p.ID, err)
	}
	return s.passWithToken(ctx, *sale.PassID)
}

// PassHold is the one call of a pass that is being made.
type PassHold struct {
	pass  id.Pass
	until time.Time
}

// passMargin is how much longer the call of a pass is held than it may take: a program may be slow to take the last of its
// answer, and must not begin the next call meanwhile.
const passMargin = 2 * time.Minute

// HoldPass holds the call that a pass is for, until its time is over or [Service.EndPassCall]. Errors: [ErrPass] where it is
// made, or being made.
func (s *Service) HoldPass(ctx context.Context, p Pass, e shop.Endpoint) (PassHold, error) {
	now := s.now()
	h := PassHold{p.ID, now.Add(e.Timeout + passMargin).Truncate(time.Microsecond)}
	n, err := queries.New().PassHold(ctx, s.pool, queries.PassHoldParams{ID: p.ID, Until: h.until, Now: now})
	if err == nil && n == 0 {
		err = ErrPass
	}
	if err != nil {
		return h, fmt.Errorf("call by %s: %w", p.ID, err)
	}
	return h, nil
}

// EndPassCall ends a call that was held: it is spent where it was answered, and else may be made again.
func (s *Service) EndPassCall(ctx context.Context, h PassHold, answered bool) error {
	n, err := queries.New().PassCalled(ctx, s.pool, queries.PassCalledParams{ID: h.pass, Until: h.until, Answered: answered})
	if err == nil && n == 0 {
		err = ErrPass // its time was over, and somebody else makes it
	}
	if err != nil {
		return fmt.Errorf("end of a call by %s: %w", h.pass, err)
	}
	return nil
}
