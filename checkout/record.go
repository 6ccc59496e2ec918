package checkout

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"time"

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

// Simulated is the asset, and the currency, of money that was never there.
const Simulated = "SIM"

// record writes down a settlement that the chain has proven, with all that follows from it.
func (s *Service) record(ctx context.Context, row queries.Settlement, proof evm.Proof) error {
	fault.At(fault.RelayMined)
	return s.recordSettlement(ctx, proven(row.ID, proof, s.now()))
}

// proven is what a settlement becomes by its proof.
func proven(settlement id.Settlement, proof evm.Proof, now time.Time) queries.SettlementConfirmParams {
	block, index, hash := int64(proof.Block), int32(proof.LogIndex), proof.BlockHash.Hex()
	return queries.SettlementConfirmParams{
		ID: settlement, Transaction: proof.Transaction.Hex(), BlockNumber: &block, BlockHash: &hash, LogIndex: &index, Now: now,
	}
}

// recordSettlement turns a proven settlement into a sale, in one transaction and once: whoever comes
// second finds the settlement confirmed and changes nothing.
func (s *Service) recordSettlement(ctx context.Context, confirm queries.SettlementConfirmParams) error {
	var a queries.Attempt
	// Counters and balances are rows that simultaneous payments share.
	err := postgres.HotTx(ctx, s.pool, func(tx pgx.Tx) error {
		row, err := queries.New().SettlementConfirm(ctx, tx, confirm)
		if err != nil {
			return err
		}
		if a, err = sellTx(ctx, tx, confirm.Now, row); err != nil {
			return err
		}
		fault.At(fault.SettleRecording)
		return nil
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("record %s: %w", confirm.ID, err)
	}
	fault.At(fault.SettleRecorded)
	s.sold(ctx, a, confirm.Transaction)
	return nil
}

// sold tells of a sale that is committed.
func (s *Service) sold(ctx context.Context, a queries.Attempt, transaction string) {
	slog.InfoContext(ctx, "paid", "attempt", a.ID, "merchant", a.MerchantID, "amount", a.Amount, "tx", transaction)
	s.hub.Changed(a.ID, a.MerchantID)
}

var errUnsellable = errors.New("checkout: money for a purchase that cannot be sold")

// sellTx moves the purchase, writes its sales and posts its entries.
func sellTx(ctx context.Context, tx pgx.Tx, now time.Time, row queries.Settlement) (queries.Attempt, error) {
	q := queries.New()
	a, err := q.AttemptSettle(ctx, tx, queries.AttemptSettleParams{ID: *row.AttemptID, AmountReceived: row.Amount, Simulated: row.Simulated, Now: now})
	if errors.Is(err, pgx.ErrNoRows) {
		return a, fmt.Errorf("%w: %s", errUnsellable, *row.AttemptID)
	}
	if err != nil {
		return a, fmt.Errorf("settle %s: %w", *row.AttemptID, err)
	}
	lines, err := q.AttemptLines(ctx, tx, a.ID)
	if err != nil {
		return a, fmt.Errorf("lines of %s: %w", a.ID, err)
	}
	for _, l := range lines {
		if err := q.SaleInsert(ctx, tx, sale(now, a, l, row)); err != nil {
			return a, fmt.Errorf("sale of %s: %w", a.ID, err)
		}
	}
	if err := ledger.PostTx(ctx, tx, now, posting(row)); err != nil {
		return a, err
	}
	if row.Simulated {
		return a, nil
	}
	return a, countTx(ctx, tx, now, a)
}

func sale(now time.Time, a queries.Attempt, l queries.AttemptLine, row queries.Settlement) queries.SaleInsertParams {
	currency := "USDC"
	if row.Simulated {
		currency = Simulated
	}
	return queries.SaleInsertParams{
		ID: id.New[id.Sale](now), MerchantID: a.MerchantID, Livemode: a.Livemode, AttemptID: a.ID, Line: l.Line, SettlementID: &row.ID,
		LinkID: a.LinkID, ItemID: l.ItemID, ItemTitle: l.Title, Qty: l.Qty, Amount: l.UnitAmount * money.USDC(l.Qty), Currency: currency,
		PurchaserAddress: row.Payer, Network: a.Network, Transaction: row.Transaction, Channel: a.Channel, Reference: a.Reference,
		Late: a.Status == string(SettledLate), Simulated: row.Simulated, CreatedAt: now,
	}
}

func posting(row queries.Settlement) ledger.Posting {
	kind, wallet, sales := ledger.Sale, ledger.Wallet, ledger.Sales
	if row.Simulated {
		kind, wallet, sales = ledger.SimulatedSale, ledger.SimulatedWallet, ledger.SimulatedSales
	}
	return ledger.Posting{Merchant: row.MerchantID, Kind: kind, Source: string(row.ID), Entries: []ledger.Entry{
		{Account: wallet, Network: row.Network, Asset: row.Asset, Amount: row.Amount},
		{Account: sales, Network: row.Network, Asset: row.Asset, Amount: -row.Amount},
	}}
}

// slots spread a shop's counters over rows, so that simultaneous payments do not queue for one.
const slots = 8

// countTx comes last in its transaction: these rows are shared with other payments.
func countTx(ctx context.Context, tx pgx.Tx, now time.Time, a queries.Attempt) error {
	q := queries.New()
	h := fnv.New32a()
	_, _ = h.Write([]byte(a.ID))
	slot := int16(h.Sum32() % slots)
	if err := q.SalesDayAdd(ctx, tx, queries.SalesDayAddParams{
		MerchantID: a.MerchantID, Livemode: a.Livemode, Day: now.UTC().Truncate(24 * time.Hour), Channel: a.Channel, Network: a.Network,
		Slot: slot, Amount: a.Amount,
	}); err != nil {
		return fmt.Errorf("count day of %s: %w", a.ID, err)
	}
	if a.LinkID == nil {
		return nil
	}
	if err := q.LinkTotalAdd(ctx, tx, queries.LinkTotalAddParams{LinkID: *a.LinkID, Slot: slot, Amount: a.Amount, PaidAt: now}); err != nil {
		return fmt.Errorf("count link of %s: %w", a.ID, err)
	}
	return nil
}

// recordFound records money that came by a refused payment, unless the purchase was paid otherwise since. It is
// one transaction, so that nobody begins to pay a purchase whose money is found.
func (s *Service) recordFound(ctx context.Context, claim queries.Claim, proof evm.Proof) error {
	var a queries.Attempt
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		a, err = s.recordFoundTx(ctx, tx, claim, proof)
		return err
	})
	switch {
	case err == nil:
		s.sold(ctx, a, proof.Transaction.Hex())
		return nil
	case errors.Is(err, errClaimed):
		return nil // its settlement exists
	case errors.Is(err, errUnsellable): // the audit shows it until somebody gives it back
		slog.ErrorContext(ctx, "money without a purchase", "attempt", claim.AttemptID, "tx", proof.Transaction.Hex(), "error", err)
		return nil
	default:
		return fmt.Errorf("money of %s: %w", claim.ID, err)
	}
}

func (s *Service) recordFoundTx(ctx context.Context, tx pgx.Tx, claim queries.Claim, proof evm.Proof) (queries.Attempt, error) {
	q, now := queries.New(), s.now()
	a, err := q.AttemptForUpdate(ctx, tx, claim.AttemptID)
	if err != nil {
		return a, err
	}
	switch was := Status(a.Status); {
	case was.UnderWay(): // by another payment, which may be refused yet
		return a, river.JobSnooze(time.Minute)
	case !was.CanBecome(Settled) && !was.CanBecome(SettledLate):
		return a, fmt.Errorf("%w: %s is %s", errUnsellable, a.ID, was)
	}
	settlement := id.New[id.Settlement](now)
	if err := q.SettlementInsert(ctx, tx, queries.SettlementInsertParams{
		ID: settlement, MerchantID: a.MerchantID, AttemptID: &a.ID, ClaimID: &claim.ID, Livemode: a.Livemode, Facilitator: "own",
		Network: claim.Network, Asset: claim.Asset, Payer: claim.Payer, Nonce: claim.Nonce, PayTo: claim.PayTo, Amount: claim.Value, CreatedAt: now,
	}); err != nil {
		return a, raced(err)
	}
	row, err := q.SettlementConfirm(ctx, tx, proven(settlement, proof, now))
	if err != nil {
		return a, err
	}
	return sellTx(ctx, tx, now, row)
}
