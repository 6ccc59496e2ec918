package checkout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"xsynesis/audit"
	"xsynesis/evm"
	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/shop"
)

// QueueMoney is the queue of money that leaves: payouts and refunds.
const QueueMoney = "money"

// RefundArgs looks for the transfer that a shop's own wallet sent for a refund.
type RefundArgs struct {
	Refund id.Refund `json:"refund" river:"unique"`
}

// Kind names the job.
func (RefundArgs) Kind() string { return "refund" }

// InsertOpts puts it on its queue.
func (RefundArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueMoney, MaxAttempts: maxTries}
}

// ownWalletTx finds the wallet that gives money back which the shop has itself: the one it is paid at now, or was then.
func (s *Service) ownWalletTx(ctx context.Context, tx pgx.Tx, row *queries.Refund) error {
	payee, err := queries.New().PayeeByNetwork(ctx, tx, queries.PayeeByNetworkParams{MerchantID: row.MerchantID, Network: row.Network})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err == nil {
		row.PayFrom = payee.Address
	}
	return err
}

// Prepared is a transfer that a wallet may send as it stands.
type Prepared struct {
	ChainID uint64
	From    common.Address
	Token   common.Address
	To      common.Address // of the money
	Amount  money.USDC
	Data    string // of the call to the token, in hex
}

// Prepared is the transfer with which the shop's own wallet gives a refund; false where it has not to, and while one that was
// named may still be mined: a wallet that sent is not asked again.
func (s *Service) Prepared(r Refund) (Prepared, bool) {
	n, err := s.networks.Network(r.Network)
	if err != nil || r.Collected || !r.Status.UnderWay() || r.LastError == nothingPaid || s.OnItsWay(r) {
		return Prepared{}, false
	}
	to := common.HexToAddress(r.To)
	return Prepared{
		ChainID: n.Token.ChainID, From: common.HexToAddress(r.From), Token: n.Token.Address, To: to, Amount: r.Amount,
		Data: hexutil.Encode(evm.SendData(to, r.Amount)),
	}, true
}

// OnItsWay tells whether a transaction was named with which the shop's own wallet gives a refund, and which may still be mined.
func (s *Service) OnItsWay(r Refund) bool {
	return !r.Collected && r.Status == RefundSent && r.LastError == "" && s.now().Sub(*r.SentAt) < refundSettles
}

// ownRefund is a refund of a shop's own that its own wallet sends.
func (s *Service) ownRefund(ctx context.Context, merchant id.Merchant, livemode bool, refund id.Refund) (queries.Refund, error) {
	row, err := queries.New().RefundByID(ctx, s.pool, refund)
	switch {
	case errors.Is(err, pgx.ErrNoRows) || err == nil && (row.MerchantID != merchant || row.Livemode != livemode):
		return row, ErrNotFound
	case err != nil:
		return row, err
	case row.Collected:
		return row, ErrRefundUnderWay
	}
	return row, nil
}

// ReportRefund hears in which transaction the shop's own wallet gave a refund. The chain decides: one that is mined must hold
// the very transfer, and prove no other refund; one that is not is looked for. While it is not mined, another may be named.
// One that was called off meanwhile is under way again: a wallet cannot be called back.
// Errors: [ErrNotFound], [ErrRefundUnderWay] for what a worker sends, [*shop.FieldError].
func (s *Service) ReportRefund(ctx context.Context, merchant id.Merchant, livemode bool, refund id.Refund, transaction string, by audit.By) (Refund, error) {
	row, err := s.ownRefund(ctx, merchant, livemode, refund)
	if err != nil {
		return Refund{}, fmt.Errorf("report %s: %w", refund, err)
	}
	hash, ok := hashIn(transaction)
	if !ok {
		return Refund{}, &shop.FieldError{Field: "transaction", Message: "Give the transaction's hash: 0x and 64 characters."}
	}
	if row.Status == string(RefundCompleted) {
		return s.refund(ctx, row)
	}
	proof, unproven := s.sentIn(ctx, row, hash)
	if errors.Is(unproven, evm.ErrNotSent) {
		return Refund{}, &shop.FieldError{Field: "transaction", Message: fmt.Sprintf(
			"This transaction does not send exactly %s USDC from %s to %s, or proves another refund already.",
			row.Amount.Grouped(), common.HexToAddress(row.PayFrom), common.HexToAddress(row.PayTo))}
	}
	enter := func() error {
		if row.Status == string(RefundFailed) {
			if err := s.reviveRefund(ctx, row, hash); err != nil {
				return err
			}
		}
		if unproven == nil {
			row, err = s.completeRefund(ctx, row.ID, proof)
		} else { // not mined, or nobody can say: it is looked for
			row, err = s.noteSent(ctx, row, hash, by)
		}
		return err
	}
	err = enter()
	if err == nil && row.Status == string(RefundFailed) { // somebody called it off meanwhile
		err = enter()
	}
	if err != nil {
		return Refund{}, fmt.Errorf("report %s: %w", refund, err)
	}
	return s.refund(ctx, row)
}

// senders are the wallets from which a shop may give a refund itself.
func (s *Service) senders(ctx context.Context, row queries.Refund) ([]common.Address, error) {
	from := []common.Address{common.HexToAddress(row.PayFrom)}
	if row.AttemptID != "" {
		p, err := s.Purchase(ctx, row.AttemptID)
		if err != nil {
			return nil, err
		}
		from = append(from, p.PayTo)
	}
	payee, err := queries.New().PayeeByNetwork(ctx, s.pool, queries.PayeeByNetworkParams{MerchantID: row.MerchantID, Network: row.Network})
	if err == nil {
		from = append(from, common.HexToAddress(payee.Address))
	} else if !errors.Is(err, pgx.ErrNoRows) {
		return nil, err
	}
	slices.SortFunc(from, common.Address.Cmp)
	return slices.Compact(from), nil
}

func (s *Service) sent(ctx context.Context, row queries.Refund) (evm.Sent, *evm.Chain, error) {
	chain, err := s.chain(row.Network)
	if err != nil {
		return evm.Sent{}, nil, err
	}
	from, err := s.senders(ctx, row)
	return evm.Sent{From: from, To: common.HexToAddress(row.PayTo), Value: row.Amount, Since: uint64(row.SinceBlock)}, chain, err
}

// sentIn proves a refund by one transaction: by the first of its transfers that proves no other.
func (s *Service) sentIn(ctx context.Context, row queries.Refund, transaction common.Hash) (evm.Proof, error) {
	sent, chain, err := s.sent(ctx, row)
	if err != nil {
		return evm.Proof{}, err
	}
	return s.sentOn(ctx, chain, sent, row, transaction)
}

func (s *Service) sentOn(ctx context.Context, chain *evm.Chain, sent evm.Sent, row queries.Refund, transaction common.Hash) (evm.Proof, error) {
	proofs, err := chain.SentIn(ctx, transaction, sent)
	if err != nil {
		return evm.Proof{}, err
	}
	for _, p := range proofs {
		taken, err := queries.New().RefundLogTaken(ctx, s.pool, queries.RefundLogTakenParams{
			Network: row.Network, Transaction: p.Transaction.Hex(), LogIndex: int32(p.LogIndex), ID: row.ID,
		})
		if err != nil {
			return evm.Proof{}, err
		}
		if !taken {
			return p, nil
		}
	}
	return evm.Proof{}, fmt.Errorf("%w: it proves another refund", evm.ErrNotSent)
}

// foundRefund searches the chain for a refund whose wallet did not tell, or named another transaction.
func (s *Service) foundRefund(ctx context.Context, row queries.Refund) (evm.Proof, error) {
	sent, chain, err := s.sent(ctx, row)
	if err != nil {
		return evm.Proof{}, err
	}
	return s.foundOn(ctx, chain, sent, row)
}

func (s *Service) foundOn(ctx context.Context, chain *evm.Chain, sent evm.Sent, row queries.Refund) (evm.Proof, error) {
	seen, err := chain.FindSent(ctx, sent)
	if err != nil {
		return evm.Proof{}, err
	}
	for _, p := range seen {
		proof, err := s.sentOn(ctx, chain, sent, row, p.Transaction)
		if err == nil || !errors.Is(err, evm.ErrNotSent) {
			return proof, err
		}
	}
	return evm.Proof{}, evm.ErrNotSent
}

// noteSent keeps the transaction that a wallet named, and has it looked for.
func (s *Service) noteSent(ctx context.Context, row queries.Refund, transaction common.Hash, by audit.By) (queries.Refund, error) {
	now, refund := s.now(), row.ID
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		before := row.Transaction
		if row, err = queries.New().RefundSent(ctx, tx, queries.RefundSentParams{ID: row.ID, Transaction: transaction.Hex(), Now: now, Kept: nothingPaid}); err != nil {
			return err
		}
		if err := audit.RecordTx(ctx, tx, now, audit.Row{
			By: by, Merchant: row.MerchantID, Action: "refund.sent", ResourceType: "refund", ResourceID: string(row.ID),
			Before: map[string]string{"transaction": before}, After: map[string]string{"transaction": row.Transaction},
		}); err != nil {
			return err
		}
		return s.refundJobTx(ctx, tx, now, row.ID)
	})
	if errors.Is(err, pgx.ErrNoRows) { // it ended meanwhile
		return queries.New().RefundByID(ctx, s.pool, refund)
	}
	if err == nil {
		s.refundChanged(row)
	}
	return row, err
}

// reviveRefund takes once more what was to go back, for a refund that was called off while a wallet was sending it.
// Errors: [*shop.FieldError] where it cannot go back any more.
func (s *Service) reviveRefund(ctx context.Context, row queries.Refund, transaction common.Hash) error {
	over := &shop.FieldError{Field: "transaction", Message: "This refund was called off, and nothing is left to give back of it. What your wallet sends besides is in no books."}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q, now := queries.New(), s.now()
		if err := lockRefundTx(ctx, tx, row.ID); err != nil {
			return err
		}
		if row.ExceptionID != "" {
			if taken, err := q.ExceptionRefunding(ctx, tx, row.ExceptionID); err != nil || taken {
				return cmp.Or(err, error(over))
			}
		}
		if _, err := q.RefundRevive(ctx, tx, queries.RefundReviveParams{ID: row.ID, Transaction: transaction.Hex(), Now: now}); err != nil {
			return err
		}
		if row.AttemptID == "" {
			return nil
		}
		return s.retakeRefundTx(ctx, tx, now, row)
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows): // somebody else was faster
		return nil
	case errors.Is(err, ErrOverRefund):
		return over
	}
	return err
}

func (s *Service) retakeRefundTx(ctx context.Context, tx pgx.Tx, now time.Time, row queries.Refund) error {
	lines, err := refundLines(ctx, tx, row.ID)
	if err != nil {
		return err
	}
	a, err := queries.New().AttemptForUpdate(ctx, tx, row.AttemptID)
	if err != nil {
		return err
	}
	_, err = takeRefundTx(ctx, tx, now, a, queries.Settlement{}, refundPlan{amount: row.Amount, lines: lines})
	return err
}

// LookForRefund asks the chain about a refund whose transaction the shop's own wallet named, until it is mined; and about one
// whose block is gone. It returns a snooze while it is not mined.
func (s *Service) LookForRefund(ctx context.Context, refund id.Refund) error {
	row, err := queries.New().RefundByID(ctx, s.pool, refund)
	switch {
	case errors.Is(err, pgx.ErrNoRows) || err == nil && row.Collected:
		return nil
	case err != nil:
		return fmt.Errorf("refund %s: %w", refund, err)
	case row.Status == string(RefundCompleted) && row.FinalAt == nil:
		return s.findRefund(ctx, row)
	case row.Status != string(RefundSent):
		return nil
	}
	proof, err := s.sentIn(ctx, row, common.HexToHash(row.Transaction))
	if errors.Is(err, evm.ErrUnmined) || errors.Is(err, evm.ErrNotSent) {
		why := err
		if proof, err = s.foundRefund(ctx, row); errors.Is(err, evm.ErrNotSent) && errors.Is(why, evm.ErrUnmined) {
			err = why
		}
	}
	switch {
	case err == nil:
		_, err = s.completeRefund(ctx, refund, proof)
		return err
	case errors.Is(err, evm.ErrUnavailable):
	case !errors.Is(err, evm.ErrNotSent) && !errors.Is(err, evm.ErrUnmined):
		return fmt.Errorf("look for %s: %w", refund, err)
	case row.LastError == nothingPaid:
		if s.now().Sub(*row.SentAt) >= refundSettles {
			_, err := s.failRefund(ctx, row, nothingPaid, nil)
			return err
		}
	case errors.Is(err, evm.ErrNotSent):
		if err := queries.New().RefundNote(ctx, s.pool, queries.RefundNoteParams{ID: refund, LastError: notThisTransfer, Now: s.now()}); err != nil {
			return err
		}
		s.refundChanged(row)
	}
	return river.JobSnooze(refundPatience(s.now().Sub(*row.SentAt)))
}

const (
	// notThisTransfer is what a refund says of itself whose named transaction is mined and sends something else.
	notThisTransfer = "The transaction does not send this. Send it again, or call the refund off."
	// nothingPaid is what a refund says of itself whose purchase the chain took back.
	nothingPaid = "The network took the payment back, so there is nothing to give back. Do not send this."
)

// refundPatience is how long to wait before the next look at a transfer that was sent so long ago.
func refundPatience(since time.Duration) time.Duration {
	return min(max(again, since/10), 10*time.Minute)
}

// refundSettles is how long after its report a transaction may still be on its way.
const refundSettles = 10 * time.Minute

// CancelRefund calls a refund off that the shop's own wallet has not sent. One that is on the chain all the same is completed.
// Errors: [ErrNotFound], [ErrRefundUnderWay].
func (s *Service) CancelRefund(ctx context.Context, merchant id.Merchant, livemode bool, refund id.Refund, by audit.By) (Refund, error) {
	row, err := s.ownRefund(ctx, merchant, livemode, refund)
	if err != nil || !RefundStatus(row.Status).UnderWay() {
		return s.refundOr(ctx, row, err)
	}
	proof, err := s.foundRefund(ctx, row)
	switch {
	case err == nil:
		row, err = s.completeRefund(ctx, refund, proof)
	case !errors.Is(err, evm.ErrNotSent):
	case row.Status == string(RefundSent) && s.now().Sub(*row.SentAt) < refundSettles && row.LastError != notThisTransfer:
		err = ErrRefundUnderWay
	default:
		row, err = s.failRefund(ctx, row, "Called off by "+by.Actor+".", &by)
		if err == nil && RefundStatus(row.Status).UnderWay() { // its wallet was faster
			err = ErrRefundUnderWay
		}
	}
	return s.refundOr(ctx, row, err)
}

func (s *Service) refundOr(ctx context.Context, row queries.Refund, err error) (Refund, error) {
	if err != nil {
		return Refund{}, fmt.Errorf("refund %s: %w", row.ID, err)
	}
	return s.refund(ctx, row)
}

// completeRefund writes down that the chain shows a refund.
func (s *Service) completeRefund(ctx context.Context, refund id.Refund, proof evm.Proof) (row queries.Refund, err error) {
	fault.At(fault.RefundProven)
	block, hash, index, at := int64(proof.Block), proof.BlockHash.Hex(), int32(proof.LogIndex), proof.Time
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		row, err = s.completeRefundTx(ctx, tx, s.now(), queries.RefundCompleteParams{
			ID: refund, Transaction: proof.Transaction.Hex(), BlockNumber: &block, BlockHash: &hash, LogIndex: &index, BlockTime: &at,
		})
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) { // it ended meanwhile
		return queries.New().RefundByID(ctx, s.pool, refund)
	}
	if err != nil {
		return row, fmt.Errorf("complete %s: %w", refund, err)
	}
	fault.At(fault.RefundRecorded)
	s.refundChanged(row)
	return row, nil
}

// failRefund ends a refund of which nothing went, unless it is not any more as it was when that was found out.
func (s *Service) failRefund(ctx context.Context, was queries.Refund, why string, by *audit.By) (row queries.Refund, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if err := lockRefundTx(ctx, tx, was.ID); err != nil {
			return err
		}
		same, err := queries.New().RefundUnchanged(ctx, tx, queries.RefundUnchangedParams{ID: was.ID, Was: was.Status, Transaction: was.Transaction})
		if err == nil && !same {
			err = pgx.ErrNoRows
		}
		if err != nil {
			return err
		}
		if row, err = s.failRefundTx(ctx, tx, s.now(), was.ID, why); err != nil || by == nil {
			return err
		}
		return audit.RecordTx(ctx, tx, s.now(), audit.Row{
			By: *by, Merchant: row.MerchantID, Action: "refund.called_off", ResourceType: "refund", ResourceID: string(was.ID), After: refundSeenOf(row),
		})
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return queries.New().RefundByID(ctx, s.pool, was.ID)
	}
	if err == nil {
		s.refundChanged(row)
	}
	return row, err
}

// strandedRefunds finds refunds whose transaction is known, and for which no job looks.
const strandedRefunds = `
SELECT r.id FROM refunds r
WHERE r.status = 'sent' AND NOT r.collected AND r.updated_at < $1 AND NOT EXISTS (
    SELECT FROM river_job j WHERE j.kind = 'refund' AND j.args->>'refund' = r.id AND j.finalized_at IS NULL)
ORDER BY r.updated_at LIMIT $2`

// sweepRefunds gives those a job that lost theirs.
func (s *Service) sweepRefunds(ctx context.Context) error {
	rows, err := s.pool.Query(ctx, strandedRefunds, s.now().Add(-s.o.Sweep), sweepMost)
	if err != nil {
		return fmt.Errorf("refunds without a job: %w", err)
	}
	lost, err := pgx.CollectRows(rows, pgx.RowTo[id.Refund])
	if err != nil {
		return err
	}
	return s.lookForRefunds(ctx, lost, s.o.Sweep)
}
