package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"xsynesis/evm"
	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/postgres"
	"xsynesis/queries"
)

const (
	// blockSlack is how far the clock of a chain may be from ours.
	blockSlack = 30 * time.Second
	// dust is what is not looked into if nobody awaits it.
	dust = money.One / 100
	// nearShare is the part of an amount by which a transfer may miss it and still be taken for a try at it: what exchanges
	// take for themselves.
	nearShare = 10
)

// What money is that came and pays for nothing.
const (
	unmatched = "unmatched"
	underpaid = "underpaid"
	overpaid  = "overpaid"
	paidTwice = "paid_twice"
)

// watcher is a chain, and who is watched there.
type watcher struct {
	chain *evm.Chain
	at    []common.Address
	of    map[common.Address]queries.WatchedAddressesRow
}

func (w watcher) network() string { return w.chain.Network().ID }

func (s *Service) watcherOf(ctx context.Context, network string) (watcher, error) {
	chain, err := s.chain(network)
	if err != nil {
		return watcher{}, err
	}
	rows, err := queries.New().WatchedAddresses(ctx, s.pool, network)
	if err != nil {
		return watcher{}, fmt.Errorf("addresses on %s: %w", network, err)
	}
	w := watcher{chain: chain, of: make(map[common.Address]queries.WatchedAddressesRow, len(rows))}
	for _, row := range rows {
		address := common.HexToAddress(row.Address)
		known, ok := w.of[address]
		switch {
		case !ok:
			w.at, w.of[address] = append(w.at, address), row
		case row.Since.Before(known.Since): // it had a purchase before it was another shop's, or was proven anew
			known.Since = row.Since
			w.of[address] = known
		}
	}
	return w, nil
}

// pays tells whether a transfer brought money to a shop. What left the address that is kept for the same shop is a payout or a
// refund, which the books follow by itself.
func (w watcher) pays(t evm.Proof) bool {
	to, ok := w.of[t.Payee]
	from := w.of[t.Payer]
	return ok && t.Value > 0 && (!from.Collects || from.MerchantID != to.MerchantID)
}

// early tells whether a time is before an address was a shop's: whatever came then is of no matter to it.
func (w watcher) early(payee common.Address, at time.Time) bool {
	return at.Before(w.of[payee].Since.Add(-blockSlack))
}

// inTime leaves out what came early.
func (w watcher) inTime(ctx context.Context, all []evm.Proof) ([]evm.Proof, error) {
	numbers := make([]uint64, len(all))
	for i, t := range all {
		numbers[i] = t.Block
	}
	slices.Sort(numbers)
	times, err := w.chain.BlockTimes(ctx, slices.Compact(numbers))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(t evm.Proof) bool { return w.early(t.Payee, times[t.Block]) }), nil
}

// takeIn takes in what a transaction brought to shops, whoever saw it, any number of times: as the payment that it is, or as
// money that the shop has to decide on. What was seen proves nothing; the receipt does. It tells whether the chain has it.
func (s *Service) takeIn(ctx context.Context, w watcher, transaction common.Hash) (bool, error) {
	arrivals, err := w.chain.Arrivals(ctx, transaction, w.at)
	if errors.Is(err, evm.ErrUnproven) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, t := range arrivals {
		if err := s.takeOrKeep(ctx, w, t); err != nil {
			return true, fmt.Errorf("take in %s: %w", t.Transaction, err)
		}
	}
	return true, nil
}

// takeOrKeep leaves for later what something is wrong with: the transfers after it are read all the same.
func (s *Service) takeOrKeep(ctx context.Context, w watcher, t evm.Arrival) error {
	err := s.take(ctx, w, t)
	if err == nil || errors.Is(err, evm.ErrUnavailable) || ctx.Err() != nil {
		return err
	}
	slog.ErrorContext(ctx, "a transfer cannot be recorded", "merchant", w.of[t.Payee].MerchantID, "amount", t.Value, "tx", t.Transaction.Hex(), "error", err)
	if kept := s.awaitTransfer(ctx, transferred{Arrival: t, network: w.chain.Network(), to: w.of[t.Payee]}); kept != nil {
		return errors.Join(err, kept)
	}
	return nil
}

func (s *Service) take(ctx context.Context, w watcher, t evm.Arrival) error {
	to := w.of[t.Payee]
	if !w.pays(t.Proof) || w.early(t.Payee, t.Time) {
		return nil // of no matter to the shop that has the address now
	}
	fault.At(fault.TransferSeen)
	arrival := transferred{Arrival: t, network: w.chain.Network(), to: to}
	known, err := s.takeSigned(ctx, &arrival)
	if err != nil {
		return err
	}
	if known {
		return queries.New().TransferExplained(ctx, s.pool, queries.TransferExplainedParams{
			Network: w.network(), Transaction: t.Transaction.Hex(), Position: int32(t.Position),
		})
	}
	return s.takePlain(ctx, arrival)
}

// transferred is a transfer to a shop, and what is known of it.
type transferred struct {
	evm.Arrival
	network evm.Network
	to      queries.WatchedAddressesRow
	attempt *id.Attempt // that it was signed for, though it does not pay it
	again   bool        // the chain had taken it back
}

// takeSigned records a payment that moved by a signature for us: its worker may have died, or somebody else sent it.
func (s *Service) takeSigned(ctx context.Context, t *transferred) (known bool, err error) {
	if t.Nonce == (common.Hash{}) {
		return false, nil
	}
	q, asset := queries.New(), lower(t.network.Token.Address)
	row, err := q.SettlementOfAuthorization(ctx, s.pool, queries.SettlementOfAuthorizationParams{
		Network: t.network.ID, Asset: asset, Payer: lower(t.Payer), Nonce: t.Nonce.Hex(),
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return s.takeClaimed(ctx, t, asset)
	case err != nil:
		return false, err
	case row.PayTo != lower(t.Payee) || row.Amount != t.Value:
		return false, nil // another transfer, by the same nonce
	}
	switch row.Status {
	case "confirmed", "final":
		return true, nil
	case "reversed":
		return false, nil
	case "failed":
		return s.takeClaimed(ctx, t, asset)
	}
	if row.AttemptID == nil { // for another server: its worker asks
		return true, nil
	}
	return true, s.recordSeen(ctx, t, row)
}

// recordSeen records a settlement by the proof that its worker would have found, which tells what it cost.
func (s *Service) recordSeen(ctx context.Context, t *transferred, row queries.Settlement) error {
	claim, err := queries.New().ClaimByID(ctx, s.pool, *row.ClaimID)
	if err != nil {
		return fmt.Errorf("claim of %s: %w", row.ID, err)
	}
	chain, err := s.chain(row.Network)
	if err != nil {
		return err
	}
	proof, err := chain.Prove(ctx, t.Transaction, unpack(claim))
	if err != nil {
		return fmt.Errorf("prove %s: %w", row.ID, err)
	}
	err = s.certain(ctx, row.MerchantID, row.Network, row.Amount, proof)
	if uncertain(err) {
		return nil // its worker comes back to it
	}
	if err != nil {
		return err
	}
	return s.record(ctx, row, proof)
}

// takeClaimed records money that came by a payment that was refused.
func (s *Service) takeClaimed(ctx context.Context, t *transferred, asset string) (known bool, err error) {
	claim, err := queries.New().ClaimByAuthorization(ctx, s.pool, queries.ClaimByAuthorizationParams{
		Network: t.network.ID, Asset: asset, Payer: lower(t.Payer), Nonce: t.Nonce.Hex(),
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil || claim.PayTo != lower(t.Payee) || claim.Value != t.Value {
		return false, err
	}
	err = s.recordRefused(ctx, claim, t.Proof)
	if errors.Is(err, errUnsellable) {
		t.attempt = &claim.AttemptID
		return false, nil
	}
	if later := (&river.JobSnoozeError{}); errors.As(err, &later) {
		return true, s.awaitTransfer(ctx, *t)
	}
	return true, err
}

// awaitTransfer notes a transfer that cannot be decided on yet.
func (s *Service) awaitTransfer(ctx context.Context, t transferred) error {
	return queries.New().TransferInsert(ctx, s.pool, t.row(s.now()))
}

func (t transferred) row(now time.Time) queries.TransferInsertParams {
	return queries.TransferInsertParams{
		Network: t.network.ID, Transaction: t.Transaction.Hex(), Position: int32(t.Position), LogIndex: int32(t.LogIndex), BlockNumber: int64(t.Block),
		BlockHash: t.BlockHash.Hex(), BlockTime: t.Time, MerchantID: t.to.MerchantID, Livemode: !t.network.Test, Payer: lower(t.Payer),
		PayTo: lower(t.Payee), Amount: t.Value, SeenAt: now,
	}
}

// verdictOf is what became of a transfer: a purchase that it paid, or those whose pages show it.
type verdictOf struct {
	sold     queries.Attempt
	changed  []id.Attempt
	merchant id.Merchant
	moved    *queries.Settlement // it stands in another block than its settlement says
}

// takePlain decides what a transfer is that no signature explains.
func (s *Service) takePlain(ctx context.Context, t transferred) error {
	err := s.certain(ctx, t.to.MerchantID, t.network.ID, t.Value, t.Proof)
	if uncertain(err) {
		return s.awaitTransfer(ctx, t)
	}
	if err != nil {
		return err
	}
	var v verdictOf
	// A sale touches rows that all payments of a shop share.
	err = postgres.HotTx(ctx, s.pool, func(tx pgx.Tx) (err error) {
		v = verdictOf{merchant: t.to.MerchantID}
		err = s.decideTx(ctx, tx, t, &v)
		if err == nil {
			fault.At(fault.TransferTaken)
		}
		return err
	})
	if err != nil {
		return err
	}
	fault.At(fault.TransferRecorded)
	switch {
	case v.moved != nil:
		return s.moved(ctx, *v.moved, t.Proof)
	case v.sold.ID != "":
		s.sold(ctx, v.sold, t.Transaction.Hex())
	}
	for _, attempt := range v.changed {
		s.hub.Changed(attempt, v.merchant)
	}
	return nil
}

func (s *Service) decideTx(ctx context.Context, tx pgx.Tx, t transferred, v *verdictOf) error {
	q := queries.New()
	if err := q.TransferInsert(ctx, tx, t.row(s.now())); err != nil {
		return err
	}
	row, err := q.TransferForUpdate(ctx, tx, queries.TransferForUpdateParams{Network: t.network.ID, Transaction: t.Transaction.Hex(), Position: int32(t.Position)})
	if err != nil {
		return err
	}
	if row.BlockHash != t.BlockHash.Hex() || row.LogIndex != int32(t.LogIndex) {
		if err := s.relocateTx(ctx, tx, row, t, v); err != nil {
			return err
		}
	}
	if row.State != "seen" && row.State != "gone" {
		return nil
	}
	t.again = row.State == "gone"
	settlement, err := q.SettlementByLog(ctx, tx, queries.SettlementByLogParams{Network: t.network.ID, Transaction: row.Transaction, LogIndex: int32(t.LogIndex)})
	if err == nil {
		return t.closeTx(ctx, tx, "settled", &settlement, nil)
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	named, err := q.ManualNamed(ctx, tx, queries.ManualNamedParams{
		Network: row.Network, PayTo: row.PayTo, Amount: row.Amount, Latest: t.Time.Add(blockSlack), Came: t.Time,
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return s.unnamedTx(ctx, tx, t, v)
	case err != nil:
		return err
	}
	return s.namedTx(ctx, tx, t, named.AttemptID, v)
}

// relocateTx notes that another block holds the transaction.
func (s *Service) relocateTx(ctx context.Context, tx pgx.Tx, row queries.Transfer, t transferred, v *verdictOf) error {
	q := queries.New()
	err := q.TransferMove(ctx, tx, queries.TransferMoveParams{
		Network: row.Network, Transaction: row.Transaction, Position: row.Position,
		LogIndex: int32(t.LogIndex), BlockNumber: int64(t.Block), BlockHash: t.BlockHash.Hex(), BlockTime: t.Time,
	})
	if err != nil {
		return err
	}
	if row.State == "listed" {
		return q.ExceptionMove(ctx, tx, queries.ExceptionMoveParams{ID: *row.ExceptionID, LogIndex: int32(t.LogIndex), BlockTime: &t.Time})
	}
	if row.SettlementID == nil {
		return nil
	}
	settlement, err := q.SettlementByID(ctx, tx, *row.SettlementID)
	if err == nil && settlement.Status == "confirmed" && *settlement.BlockHash == row.BlockHash {
		v.moved = &settlement
	}
	return err
}

func (t transferred) closeTx(ctx context.Context, tx pgx.Tx, state string, settlement *id.Settlement, exception *id.Exception) error {
	return queries.New().TransferDecide(ctx, tx, queries.TransferDecideParams{
		Network: t.network.ID, Transaction: t.Transaction.Hex(), Position: int32(t.Position), State: state, SettlementID: settlement, ExceptionID: exception,
	})
}

// namedTx is a transfer of exactly the amount of a purchase: it pays it, if nothing else has or is about to.
func (s *Service) namedTx(ctx context.Context, tx pgx.Tx, t transferred, attempt id.Attempt, v *verdictOf) error {
	a, err := queries.New().AttemptForUpdate(ctx, tx, attempt)
	if err != nil {
		return err
	}
	switch was := Status(a.Status); {
	case was.UnderWay(): // by a signature, which may be refused yet: the next look decides
		return nil
	case was.Paid():
		return s.exceptTransferTx(ctx, tx, t, paidTwice, &a.ID, v)
	case !was.CanBecome(Settled) && !was.CanBecome(SettledLate):
		return s.exceptTransferTx(ctx, tx, t, unmatched, &a.ID, v)
	}
	sold, settlement, err := s.sellForTx(ctx, tx, a, t)
	if err != nil {
		return err
	}
	v.sold, v.merchant = sold, sold.MerchantID
	return t.closeTx(ctx, tx, "settled", &settlement, nil)
}

// sellForTx sells a purchase for a transfer.
func (s *Service) sellForTx(ctx context.Context, tx pgx.Tx, a queries.Attempt, t transferred) (queries.Attempt, id.Settlement, error) {
	now := s.now()
	row := queries.Settlement{
		ID: id.New[id.Settlement](now), MerchantID: a.MerchantID, AttemptID: &a.ID, Livemode: a.Livemode, Network: a.Network, Asset: a.Asset,
		Payer: lower(t.Payer), PayTo: lower(t.Payee), Amount: t.Value,
	}
	if err := settlementsTx(ctx, tx, now, plainTransfer, row); err != nil {
		return a, "", err
	}
	rows, err := s.confirmTx(ctx, tx, []confirmation{proven(row.ID, t.Proof)})
	if err != nil {
		return a, "", err
	}
	sold, err := s.sellTx(ctx, tx, rows)
	if err != nil {
		return a, "", err
	}
	return sold[0].attempt, row.ID, nil
}

// plainTransfer is what stands for the facilitator of money that its owner sent himself.
const plainTransfer = "transfer"

// unnamedTx lists a transfer that names no purchase, with the one that it was likely meant for.
func (s *Service) unnamedTx(ctx context.Context, tx pgx.Tx, t transferred, v *verdictOf) error {
	if t.attempt != nil {
		return s.exceptTransferTx(ctx, tx, t, paidTwice, t.attempt, v)
	}
	meant, err := s.meantTx(ctx, tx, t)
	switch {
	case err != nil:
		return err
	case meant == nil && t.Value < dust && !t.again: // the books had it once: by the list they may have it again
		return s.sweepDustTx(ctx, tx, t)
	case meant == nil:
		return s.exceptTransferTx(ctx, tx, t, unmatched, nil, v)
	case t.Value < meant.Amount:
		return s.exceptTransferTx(ctx, tx, t, underpaid, &meant.AttemptID, v)
	default:
		return s.exceptTransferTx(ctx, tx, t, overpaid, &meant.AttemptID, v)
	}
}

// meantTx is the purchase that a transfer was likely meant for: its buyer says so, or it alone waits for about as much. It is
// a hint for the shop and for the buyer's page, and pays nothing.
func (s *Service) meantTx(ctx context.Context, tx pgx.Tx, t transferred) (*queries.ManualAmount, error) {
	q, latest := queries.New(), t.Time.Add(blockSlack)
	told, err := q.ManualTold(ctx, tx, queries.ManualToldParams{Network: t.network.ID, PayTo: lower(t.Payee), Hash: t.Transaction.Hex(), Latest: latest})
	if err == nil {
		return &told, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return nil, err
	}
	missed := max(int64(t.Value)/nearShare, manualMost)
	near, err := q.ManualNear(ctx, tx, queries.ManualNearParams{
		Network: t.network.ID, PayTo: lower(t.Payee), Least: int64(t.Value) - missed, Most: int64(t.Value) + missed, Latest: latest,
	})
	if err != nil || len(near) != 1 {
		return nil, err
	}
	return &near[0], nil
}

func (s *Service) exceptTransferTx(ctx context.Context, tx pgx.Tx, t transferred, kind string, attempt *id.Attempt, v *verdictOf) error {
	x, err := s.listTx(ctx, tx, unexplained{
		Merchant: t.to.MerchantID, Livemode: !t.network.Test, Kind: kind, Attempt: attempt, At: t.Proof, Network: t.network.ID, Amount: t.Value,
	})
	if err != nil {
		return fmt.Errorf("list it: %w", err)
	}
	if attempt != nil {
		v.changed = append(v.changed, *attempt)
	}
	slog.InfoContext(ctx, "money without a purchase", "merchant", t.to.MerchantID, "kind", kind, "amount", t.Value, "tx", t.Transaction.Hex())
	return t.closeTx(ctx, tx, "listed", nil, &x)
}

// sweepDustTx counts what is too little to be looked into. Where it is kept for a shop, it is in the books all the same.
func (s *Service) sweepDustTx(ctx context.Context, tx pgx.Tx, t transferred) error {
	err := queries.New().DustAdd(ctx, tx, queries.DustAddParams{
		MerchantID: t.to.MerchantID, Network: t.network.ID, Day: t.Time.UTC().Truncate(24 * time.Hour), Payer: lower(t.Payer), Amount: t.Value,
	})
	if err != nil {
		return err
	}
	if err := t.closeTx(ctx, tx, "dust", nil, nil); err != nil || !t.to.Collects {
		return err
	}
	asset := lower(t.network.Token.Address)
	return ledger.PostTx(ctx, tx, s.now(), ledger.Posting{
		Merchant: t.to.MerchantID, Kind: ledger.Exceptional, Source: dustSource(t.network.ID, t.Transaction.Hex(), int32(t.Position)),
		Entries: []ledger.Entry{
			{Account: ledger.Deposit, Network: t.network.ID, Asset: asset, Amount: t.Value},
			{Account: ledger.Exceptions, Network: t.network.ID, Asset: asset, Amount: -t.Value},
		},
	})
}

// dustSource names dust in the books.
func dustSource(network, transaction string, position int32) string {
	return fmt.Sprintf("dust %s %s %d", network, transaction, position)
}
