package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"xsynesis/evm"
	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/webhook"
	"xsynesis/x402"
)

// errLost is returned when another worker took over a settlement's lease.
var errLost = errors.New("checkout: lease lost")

// again asks for another look at a settlement whose outcome is open.
const again = 2 * time.Second

// Settle brings a settlement to its end, as far as the chain answers today. It may be run at any time,
// any number of times, by any number of workers: a lease gives each moment one owner, and what
// happened to (payer, nonce) on the chain decides. It returns a snooze while the outcome is open.
func (s *Service) Settle(ctx context.Context, settlement id.Settlement) error {
	l, err := s.leases.Do(ctx, newLeasing(settlement))
	if err != nil {
		return fmt.Errorf("lease %s: %w", settlement, err)
	}
	if l.lease == nil {
		return s.untaken(ctx, settlement)
	}
	fault.At(fault.SettleLeased)
	defer s.renew(ctx, l)()
	err = s.settleLeased(ctx, l)
	if later := (&river.JobSnoozeError{}); err != nil && !errors.As(err, &later) {
		s.unlease(ctx, l.row, l.lease, err)
	}
	return err
}

// untaken asks for another look at a settlement whose lease was not to be had: whoever has it may die with it, or may not
// know of it where the answer to his commit was lost. One that ended, or never was, needs none.
func (s *Service) untaken(ctx context.Context, settlement id.Settlement) error {
	row, err := queries.New().SettlementByID(ctx, s.pool, settlement)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", settlement, err)
	}
	switch row.Status {
	case "queued", "signed", "broadcast", "requested":
		return river.JobSnooze(again)
	default:
		return nil
	}
}

func (s *Service) settleLeased(ctx context.Context, l leased) error {
	if l.row.Simulated {
		return s.recordSimulated(ctx, l.row)
	}
	if l.row.AttemptID == nil {
		return s.settleFor(ctx, l)
	}
	proof, err := s.move(ctx, l)
	return s.conclude(ctx, l.row, l.claim, l.lease, proof, err)
}

// move sends the payment, or finds out what became of it when it was sent before.
func (s *Service) move(ctx context.Context, l leased) (evm.Proof, error) {
	auth := unpack(l.claim)
	if l.row.Status != "queued" {
		chain, err := s.chain(l.row.Network)
		if err != nil {
			return evm.Proof{}, err
		}
		proof, err := chain.Resolve(ctx, auth)
		if !errors.Is(err, evm.ErrOpen) {
			return proof, err
		}
		if l.row.Status == "requested" {
			return s.requested(ctx, l, chain, auth)
		}
	}
	if l.row.Status == "queued" && len(s.o.Facilitators) > 0 {
		return s.carry(ctx, l, auth)
	}
	return s.relay(ctx, l, auth)
}

// StoredTx makes settlements signed whose transactions are about to be sent, unless one of them is another worker's.
func (s *Service) StoredTx(ctx context.Context, tx pgx.Tx, stored []evm.Stored) error {
	p := queries.SettlementsSignedParams{Now: s.now()}
	for _, each := range stored {
		p.Ids = append(p.Ids, each.Source)
		p.Leases = append(p.Leases, each.Lease)
		p.Transactions = append(p.Transactions, each.Transaction.Hex())
	}
	n, err := queries.New().SettlementsSigned(ctx, tx, p)
	if err == nil && n != int64(len(stored)) {
		err = errLost
	}
	return err
}

// conclude writes down what the move came to.
func (s *Service) conclude(ctx context.Context, row queries.Settlement, claim queries.Claim, lease []byte, proof evm.Proof, err error) error {
	var invalid *x402.Invalid
	switch {
	case err == nil:
		if err := s.certain(ctx, row.MerchantID, row.Network, row.Amount, proof); err != nil {
			return s.leave(ctx, row, lease, err)
		}
		return s.record(ctx, row, proof)
	case errors.As(err, &invalid):
		return s.refuse(ctx, row, claim, lease, invalid)
	case errors.Is(err, evm.ErrVoid):
		return s.fail(ctx, row, err)
	case errors.Is(err, errLost): // it is looked at again, should the other die
		return river.JobSnooze(again)
	}
	return s.leave(ctx, row, lease, err)
}

// leave gives the lease back and asks for another look. Once a transaction may be out, the buyer is
// told that the outcome is not known; before that, only that it takes longer.
func (s *Service) leave(ctx context.Context, row queries.Settlement, lease []byte, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	q, now := queries.New(), s.now()
	var moved bool
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		n, err := q.SettlementUnlease(ctx, tx, queries.SettlementUnleaseParams{ID: row.ID, Lease: lease, LastError: reason(cause), Now: now})
		if err != nil || n == 0 { // another worker has it, and will say how it stands
			return err
		}
		current, err := q.SettlementByID(ctx, tx, row.ID)
		if err != nil || current.Status == "queued" || errors.Is(cause, errShallow) { // that it is there is known
			return err
		}
		_, err = q.AttemptMove(ctx, tx, queries.AttemptMoveParams{ID: *row.AttemptID, Was: []string{string(Settling)}, Next: string(Unknown), Now: now})
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		moved = err == nil
		return err
	})
	if err != nil {
		return fmt.Errorf("leave %s: %w", row.ID, err)
	}
	if moved {
		s.hub.Changed(*row.AttemptID, row.MerchantID)
	}
	slog.WarnContext(ctx, "settlement is open", "settlement", row.ID, "attempt", *row.AttemptID, "cause", cause)
	return river.JobSnooze(patience(cause))
}

// reason is what a seller may read of an error: its kind, without addresses of servers.
func reason(err error) string {
	switch {
	case errors.Is(err, errFacilitators):
		return "No facilitator could be asked."
	case errors.Is(err, errShallow):
		return "On the chain. A payment of this size counts once its block is safe."
	case errors.Is(err, evm.ErrDisagree):
		return "The network's nodes do not agree on it yet."
	case errors.Is(err, evm.ErrUnavailable):
		return "The network does not answer."
	case errors.Is(err, evm.ErrUnknown):
		return "Sent; the network has not confirmed it yet."
	default:
		return "Interrupted; it is looked at again."
	}
}

// refuse lets go of a payment that surely was not broadcast: the purchase may be paid again. That is sure only while
// the lease is ours, since nobody else can store a transaction meanwhile.
func (s *Service) refuse(ctx context.Context, row queries.Settlement, claim queries.Claim, lease []byte, why *x402.Invalid) error {
	q, now := queries.New(), s.now()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		n, err := q.SettlementUnlease(ctx, tx, queries.SettlementUnleaseParams{ID: row.ID, Lease: lease, Now: now})
		if err == nil && n == 0 {
			err = errLost
		}
		if err != nil {
			return err
		}
		ended, err := q.SettlementFail(ctx, tx, queries.SettlementFailParams{ID: row.ID, LastError: string(why.Kind), Now: now})
		if err != nil {
			return err
		}
		if _, err := q.ClaimRelease(ctx, tx, queries.ClaimReleaseParams{ID: claim.ID, Refusal: string(why.Kind), Now: now}); err != nil {
			return err
		}
		return s.reopenTx(ctx, tx, ended, claim, why)
	})
	if errors.Is(err, errLost) {
		return river.JobSnooze(again)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // somebody else ended it
	}
	if err != nil {
		return fmt.Errorf("refuse %s: %w", row.ID, err)
	}
	s.hub.Changed(*row.AttemptID, row.MerchantID)
	return nil
}

func (s *Service) reopenTx(ctx context.Context, tx pgx.Tx, row queries.Settlement, claim queries.Claim, why *x402.Invalid) error {
	q, now := queries.New(), s.now()
	if _, err := q.AttemptMove(ctx, tx, queries.AttemptMoveParams{ID: *row.AttemptID, Was: []string{string(Unknown)}, Next: string(Settling), Now: now}); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	a, err := q.AttemptReopen(ctx, tx, queries.AttemptReopenParams{ID: *row.AttemptID, Refusal: string(why.Kind), Now: now})
	if err != nil {
		return err
	}
	// Whoever holds the signature may still send it himself: look once it is worthless.
	worthless := time.Unix(claim.ValidBefore, 0).Add(worthlessAfter)
	if _, err := s.jobs.InsertTx(ctx, tx, LookArgs{Claim: claim.ID}, &river.InsertOpts{ScheduledAt: worthless}); err != nil {
		return err
	}
	if a.Direct {
		if err := q.CallLetGo(ctx, tx, queries.CallLetGoParams{AttemptID: a.ID, Now: now}); err != nil {
			return err
		}
		if err := s.countUnpaidTx(ctx, tx, row.ID, why.Kind); err != nil {
			return err
		}
		if err := s.endTx(ctx, tx, a.ID, Open, Cancelled); err != nil {
			return err
		}
		return s.tellFailedTx(ctx, tx, a, row, string(why.Kind))
	}
	if err := s.o.Webhooks.PublishTx(ctx, tx, now, ofSettlement(row, webhook.SettlementFailed)); err != nil {
		return err
	}
	// The job that ends the purchase may have come by while it was settling.
	_, err = s.jobs.InsertTx(ctx, tx, ExpireArgs{Attempt: a.ID}, &river.InsertOpts{ScheduledAt: a.ExpiresAt})
	return err
}

// worthlessAfter is how long after validBefore a payment is looked for.
const worthlessAfter = time.Minute

// fail ends a purchase whose payment can never be mined any more.
func (s *Service) fail(ctx context.Context, row queries.Settlement, cause error) error {
	q, now := queries.New(), s.now()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		ended, err := q.SettlementFail(ctx, tx, queries.SettlementFailParams{ID: row.ID, LastError: "The payment can no longer be mined.", Now: now})
		if err != nil {
			return err
		}
		a, err := q.AttemptMove(ctx, tx, queries.AttemptMoveParams{ID: *row.AttemptID, Was: []string{string(Settling), string(Unknown)}, Next: string(Failed), Now: now})
		if err != nil {
			return err
		}
		if err := s.giveTx(ctx, tx, a); err != nil {
			return err
		}
		return s.tellFailedTx(ctx, tx, a, ended, voided)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("fail %s: %w", row.ID, err)
	}
	slog.InfoContext(ctx, "payment failed", "attempt", *row.AttemptID, "settlement", row.ID, "cause", cause)
	s.hub.Changed(*row.AttemptID, row.MerchantID)
	return nil
}

// voided is why a payment fails that was cancelled, or that ran out of time unused.
const voided = "authorization_void"

// tellFailedTx tells of a purchase that ended with its payment.
func (s *Service) tellFailedTx(ctx context.Context, tx pgx.Tx, a queries.Attempt, row queries.Settlement, why string) error {
	lines, err := queries.New().AttemptLines(ctx, tx, []string{string(a.ID)})
	if err != nil {
		return fmt.Errorf("lines of %s: %w", a.ID, err)
	}
	return s.o.Webhooks.PublishTx(ctx, tx, s.now(), ofSettlement(row, webhook.SettlementFailed), failed(a, lines, row, why))
}

// Look finds money that came by a payment that was refused: its signature was sent by somebody else.
func (s *Service) Look(ctx context.Context, claim id.Claim) error {
	q := queries.New()
	row, err := q.ClaimByID(ctx, s.pool, claim)
	if err != nil {
		return fmt.Errorf("claim %s: %w", claim, err)
	}
	chain, err := s.chain(row.Network)
	if err != nil {
		return err
	}
	proof, err := chain.Resolve(ctx, unpack(row))
	switch {
	case errors.Is(err, evm.ErrVoid):
	case errors.Is(err, evm.ErrOpen):
		return river.JobSnooze(time.Minute)
	case err != nil:
		return fmt.Errorf("look for %s: %w", claim, err)
	default:
		if err := s.recordFound(ctx, row, proof); err != nil {
			return err
		}
	}
	return q.ClaimLooked(ctx, s.pool, queries.ClaimLookedParams{ID: claim, Now: s.now()})
}
