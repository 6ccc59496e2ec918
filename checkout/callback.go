package checkout

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/queries"
)

// ReconcileArgs asks for a look at what a facilitator called back with.
type ReconcileArgs struct {
	Callback int64 `json:"callback" river:"unique"`
}

// Kind names the job.
func (ReconcileArgs) Kind() string { return "reconcile" }

// InsertOpts puts it on its queue.
func (ReconcileArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueChain, MaxAttempts: maxTries}
}

// callbackBody is what a facilitator called back with, as far as it can be read. It is a hint, whoever signed it.
type callbackBody struct {
	PaymentAttemptID string `json:"payment_attempt_id"`
	Transaction      string `json:"transaction"`
	Network          string `json:"network"`
	Payer            string `json:"payer"`
	Nonce            string `json:"nonce"`
	Success          *bool  `json:"success"`
	Status           string `json:"status"`
}

// says is what it claims: that the money moved, that it did not, or nothing.
func (b callbackBody) says() (settled, failed bool) {
	if b.Success != nil {
		return *b.Success, !*b.Success
	}
	switch strings.ToLower(b.Status) {
	case "confirmed", "completed", "settled", "success", "succeeded", "final":
		return true, false
	case "failed", "reverted", "error", "rejected", "expired":
		return false, true
	default:
		return false, false
	}
}

// Receive keeps the raw bytes that a facilitator signed, and has a worker look at what they are about. The same bytes
// again are counted, and looked into again.
func (s *Service) Receive(ctx context.Context, body []byte) error {
	sum := sha256.Sum256(body)
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		callback, err := queries.New().CallbackInsert(ctx, tx, queries.CallbackInsertParams{Sha256: sum[:], Body: body, ReceivedAt: s.now()})
		if err != nil {
			return err
		}
		_, err = s.jobs.InsertTx(ctx, tx, ReconcileArgs{Callback: callback}, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a callback: %w", err)
	}
	fault.At(fault.CallbackStored)
	return nil
}

// What came of a callback, for the operator.
const (
	callbackUnreadable = "unreadable"
	callbackUnknown    = "of nothing we know"
	callbackElsewhere  = "contradicts: another network"
	callbackEarly      = "early: not asked for yet"
	callbackLooked     = "looked at the chain"
	callbackLate       = "late: known already"
	callbackPaid       = "contradicts: it is paid"
	callbackFailed     = "contradicts: it has failed; looked at the chain"
	callbackAgrees     = "late: it has failed"
)

// Reconcile starts the look at the chain that a callback is good for, and notes what it was. It proves nothing, and one
// that says "failed" lets go of nothing.
func (s *Service) Reconcile(ctx context.Context, callback int64) error {
	q := queries.New()
	row, err := q.CallbackByID(ctx, s.pool, callback)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("callback %d: %w", callback, err)
	}
	found, what, err := s.reconcile(ctx, row.Body)
	if err != nil {
		return fmt.Errorf("reconcile callback %d: %w", callback, err)
	}
	slog.InfoContext(ctx, "a facilitator called back", "callback", callback, "settlement", found, "outcome", what)
	p := queries.CallbackOutcomeParams{ID: callback, Outcome: what}
	if found != "" {
		p.SettlementID = &found
	}
	return q.CallbackOutcome(ctx, s.pool, p)
}

func (s *Service) reconcile(ctx context.Context, body []byte) (found id.Settlement, what string, err error) {
	var b callbackBody
	if json.Unmarshal(body, &b) != nil {
		return "", callbackUnreadable, nil
	}
	row, err := s.settlementOf(ctx, b)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", callbackUnknown, nil
	}
	if err != nil {
		return "", "", err
	}
	settled, failed := b.says()
	switch {
	case b.Network != "" && b.Network != row.Network && !s.calls(row.Network, b.Network):
		return row.ID, callbackElsewhere, nil
	case row.Status == "confirmed" || row.Status == "final":
		if failed {
			return row.ID, callbackPaid, nil
		}
		return row.ID, callbackLate, nil
	case row.Status == "failed":
		if !settled || row.ClaimID == nil {
			return row.ID, callbackAgrees, nil
		}
		_, err = s.jobs.Insert(ctx, LookArgs{Claim: *row.ClaimID}, nil)
		return row.ID, callbackFailed, err
	case row.Status == "reversed":
		return row.ID, callbackLate, nil
	}
	what = callbackLooked
	if row.Status == "queued" {
		what = callbackEarly
	}
	_, err = s.jobs.Insert(ctx, ResumeArgs{Settlement: row.ID}, nil)
	return row.ID, what, err
}

// calls tells whether a network has this name in the first version.
func (s *Service) calls(network, name string) bool {
	n, err := s.networks.Network(network)
	return err == nil && n.Token.NetworkV1 == name
}

// settlementOf finds what a callback is about, by whatever it names.
func (s *Service) settlementOf(ctx context.Context, b callbackBody) (row queries.Settlement, err error) {
	q := queries.New()
	err = pgx.ErrNoRows
	if attempt, malformed := id.Parse[id.Attempt](b.PaymentAttemptID); malformed == nil {
		row, err = q.SettlementOfAttempt(ctx, s.pool, string(attempt))
	}
	if errors.Is(err, pgx.ErrNoRows) && isHash(b.Transaction) {
		row, err = q.SettlementByTransaction(ctx, s.pool, common.HexToHash(b.Transaction).Hex())
	}
	if errors.Is(err, pgx.ErrNoRows) && common.IsHexAddress(b.Payer) && isHash(b.Nonce) {
		row, err = q.SettlementByPayer(ctx, s.pool, queries.SettlementByPayerParams{
			Payer: lower(common.HexToAddress(b.Payer)), Nonce: common.HexToHash(b.Nonce).Hex(),
		})
	}
	return row, err
}

// sweepCallbacks gives a job to callbacks that lost theirs, and forgets what facilitators were asked long ago.
func (s *Service) sweepCallbacks(ctx context.Context) error {
	q, now := queries.New(), s.now()
	if err := q.FacilitatorAsksPurge(ctx, s.pool, now.Add(-asksKept)); err != nil {
		return fmt.Errorf("forget what facilitators were asked: %w", err)
	}
	lost, err := q.CallbacksOpen(ctx, s.pool, now.Add(-s.o.Sweep))
	if err != nil {
		return fmt.Errorf("callbacks without a job: %w", err)
	}
	for _, callback := range lost {
		if _, err := s.jobs.Insert(ctx, ReconcileArgs{Callback: callback}, sweptOnce(s.o.Sweep)); err != nil {
			return fmt.Errorf("give callback %d a job: %w", callback, err)
		}
	}
	return nil
}

const asksKept = 30 * 24 * time.Hour
