package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/evm"
	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/postgres"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/webhook"
)

// Simulated is the asset, and the currency, of money that was never there.
const Simulated = "SIM"

// confirmation is where a settlement's money moved; simulated money has no block.
type confirmation struct {
	settlement  id.Settlement
	transaction string
	block       int64
	blockHash   string
	logIndex    int32
	blockTime   time.Time
	gas         int64 // wei that our relayer paid for it
}

// record writes down a settlement that the chain has proven, with all that follows from it.
func (s *Service) record(ctx context.Context, row queries.Settlement, proof evm.Proof) error {
	fault.At(fault.RelayMined)
	return s.recordSettlement(ctx, row, proven(row.ID, proof))
}

// proven is what a settlement becomes by its proof.
func proven(settlement id.Settlement, proof evm.Proof) confirmation {
	return confirmation{settlement, proof.Transaction.Hex(), int64(proof.Block), proof.BlockHash.Hex(), int32(proof.LogIndex), proof.Time, proof.Gas}
}

// recordSettlement turns a proven settlement into a sale, in one transaction and once: whoever comes
// second finds the settlement confirmed and changes nothing. Those of one block come together, and share theirs.
func (s *Service) recordSettlement(ctx context.Context, row queries.Settlement, c confirmation) error {
	a, err := s.records.Do(ctx, c)
	if err != nil {
		return fmt.Errorf("record %s: %w", c.settlement, err)
	}
	if a.ID == "" {
		// By somebody else, or by us where the answer to the commit was lost: then nobody was told.
		s.hub.Changed(*row.AttemptID, row.MerchantID)
		return nil
	}
	fault.At(fault.SettleRecorded)
	s.sold(ctx, a, c.transaction)
	return nil
}

// recordMost is how many settlements are recorded by one transaction at most.
const recordMost = 64

// recordAll records settlements that were proven at the same time; purchases of those recorded before are left empty.
func (s *Service) recordAll(ctx context.Context, all []confirmation) ([]queries.Attempt, error) {
	recorded := make([]queries.Attempt, len(all))
	// Counters and balances are rows that simultaneous payments share.
	err := postgres.HotTx(ctx, s.pool, func(tx pgx.Tx) error {
		rows, err := s.confirmTx(ctx, tx, all)
		if err != nil || len(rows) == 0 {
			return err
		}
		sold, err := s.sellTx(ctx, tx, rows)
		if err != nil {
			return err
		}
		for i, c := range all {
			if n := slices.IndexFunc(sold, func(p paid) bool { return p.settlement.ID == c.settlement }); n >= 0 {
				recorded[i] = sold[n].attempt
			}
		}
		fault.At(fault.SettleRecording)
		return nil
	})
	return recorded, err
}

// confirmTx returns the settlements that were not confirmed before.
func (s *Service) confirmTx(ctx context.Context, tx pgx.Tx, all []confirmation) ([]queries.Settlement, error) {
	p := queries.SettlementsConfirmParams{Now: s.now(), FeeBps: int64(s.o.FeeBPS)}
	for _, c := range all {
		p.Ids = append(p.Ids, string(c.settlement))
		p.Transactions = append(p.Transactions, c.transaction)
		p.BlockNumbers = append(p.BlockNumbers, c.block)
		p.BlockHashes = append(p.BlockHashes, c.blockHash)
		p.LogIndexes = append(p.LogIndexes, c.logIndex)
		p.BlockTimes = append(p.BlockTimes, c.blockTime)
		p.Gas = append(p.Gas, c.gas)
	}
	return queries.New().SettlementsConfirm(ctx, tx, p)
}

// sold tells of a sale that is committed.
func (s *Service) sold(ctx context.Context, a queries.Attempt, transaction string) {
	slog.InfoContext(ctx, "paid", "attempt", a.ID, "merchant", a.MerchantID, "amount", a.Amount, "tx", transaction)
	s.hub.Changed(a.ID, a.MerchantID)
}

var errUnsellable = errors.New("checkout: money for a purchase that cannot be sold")

// paid is a purchase whose money came, and what that made of its lines.
type paid struct {
	attempt    queries.Attempt
	settlement queries.Settlement
	lines      []queries.AttemptLine
	sales      []id.Sale             // of the lines
	reserved   []queries.Reservation // the stock that became theirs
	told       []webhook.Event       // beside what every payment tells
}

// sellTx moves purchases, writes their sales, tells of them and posts their entries. Balances and counters come last:
// they are rows that are shared with other payments.
func (s *Service) sellTx(ctx context.Context, tx pgx.Tx, rows []queries.Settlement) ([]paid, error) {
	now := s.now()
	all, err := s.paidTx(ctx, tx, now, rows)
	if err != nil {
		return nil, err
	}
	if err := s.claimStockTx(ctx, tx, all); err != nil {
		return nil, err
	}
	return all, s.bookTx(ctx, tx, now, all)
}

// bookTx writes the sales of purchases that are paid, tells of them, and enters their money.
func (s *Service) bookTx(ctx context.Context, tx pgx.Tx, now time.Time, all []paid) error {
	if err := saleTx(ctx, tx, now, all); err != nil {
		return err
	}
	if err := giveKeysTx(ctx, tx, now, all); err != nil {
		return err
	}
	if err := extendPassesTx(ctx, tx, now, all); err != nil {
		return err
	}
	if err := s.givePassesTx(ctx, tx, now, all); err != nil {
		return err
	}
	var events []webhook.Event
	var postings []ledger.Posting
	for _, p := range all {
		events = append(events, p.events()...)
		if p.settlement.Amount > 0 {
			postings = append(postings, postingsOf(p.settlement)...)
		}
	}
	if err := s.o.Webhooks.PublishTx(ctx, tx, now, events...); err != nil {
		return err
	}
	if err := ledger.PostTx(ctx, tx, now, postings...); err != nil {
		return err
	}
	return countTx(ctx, tx, now, all)
}

// giveAwayTx sells what costs nothing: there is no settlement, and no money to enter.
func (s *Service) giveAwayTx(ctx context.Context, tx pgx.Tx, attempt id.Attempt) error {
	now := s.now()
	moved, err := queries.New().AttemptsSettle(ctx, tx, queries.AttemptsSettleParams{
		Ids: []string{string(attempt)}, Amounts: []int64{0}, Simulated: []bool{false}, Now: now,
	})
	if err != nil || len(moved) != 1 {
		return fmt.Errorf("give %s away: %w", attempt, errors.Join(err, errUnsellable))
	}
	all := []paid{{attempt: moved[0]}}
	if err := s.claimStockTx(ctx, tx, all); err != nil {
		return err
	}
	return s.bookTx(ctx, tx, now, all)
}

// paidTx moves purchases to where their money brings them.
func (s *Service) paidTx(ctx context.Context, tx pgx.Tx, now time.Time, rows []queries.Settlement) ([]paid, error) {
	p := queries.AttemptsSettleParams{Now: now}
	for _, row := range rows {
		p.Ids = append(p.Ids, string(*row.AttemptID))
		p.Amounts = append(p.Amounts, int64(row.Amount))
		p.Simulated = append(p.Simulated, row.Simulated)
	}
	moved, err := queries.New().AttemptsSettle(ctx, tx, p)
	if err != nil {
		return nil, fmt.Errorf("settle %s: %w", p.Ids[0], err)
	}
	all := make([]paid, len(rows))
	for i, row := range rows {
		n := slices.IndexFunc(moved, func(a queries.Attempt) bool { return a.ID == *row.AttemptID })
		if n < 0 {
			return nil, fmt.Errorf("%w: %s", errUnsellable, *row.AttemptID)
		}
		all[i] = paid{attempt: moved[n], settlement: row}
		if err := s.retakeTx(ctx, tx, all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// retakeTx takes one of a limited link's payments for a purchase that had given its own back. If none is left, somebody
// has to decide.
func (s *Service) retakeTx(ctx context.Context, tx pgx.Tx, p paid) error {
	a := p.attempt
	if Status(a.Status) != SettledLate {
		return nil
	}
	if err := shop.TakeCodeBackTx(ctx, tx, a.ID); err != nil || a.LinkID == nil {
		return err
	}
	q := queries.New()
	_, err := q.LinkTakePayment(ctx, tx, *a.LinkID)
	if errors.Is(err, pgx.ErrNoRows) {
		limited, err := q.LinkLimited(ctx, tx, *a.LinkID)
		if err != nil || !limited {
			return err
		}
		return s.exceptTx(ctx, tx, p)
	}
	if err == nil {
		err = q.AttemptHoldPayment(ctx, tx, a.ID)
	}
	if err != nil {
		return fmt.Errorf("take back the place of %s: %w", a.ID, err)
	}
	return nil
}

// saleTx writes one sale for each line of what was paid.
func saleTx(ctx context.Context, tx pgx.Tx, now time.Time, all []paid) error {
	q, attempts, of := queries.New(), make([]string, len(all)), make(map[id.Attempt]*paid, len(all))
	for i := range all {
		attempts[i], of[all[i].attempt.ID] = string(all[i].attempt.ID), &all[i]
	}
	lines, err := q.AttemptLines(ctx, tx, attempts)
	if err != nil {
		return fmt.Errorf("lines of %s: %w", attempts[0], err)
	}
	for _, l := range lines {
		p := of[l.AttemptID]
		p.lines, p.sales = append(p.lines, l), append(p.sales, id.New[id.Sale](now))
	}
	params := queries.SalesInsertParams{CreatedAt: now}
	for _, p := range all {
		fees := p.fees()
		for i, l := range p.lines {
			addSale(&params, p, l, p.sales[i], fees[i])
		}
	}
	if err := q.SalesInsert(ctx, tx, params); err != nil {
		return fmt.Errorf("sales of %s: %w", attempts[0], err)
	}
	return nil
}

// fees shares the platform's fee among the lines, of whose sales they sum to it.
func (p paid) fees() []money.USDC {
	amounts := make([]money.USDC, len(p.lines))
	for i, l := range p.lines {
		amounts[i] = l.UnitAmount * money.USDC(l.Qty)
	}
	return ledger.Spread(p.settlement.Fee, amounts)
}

func addSale(p *queries.SalesInsertParams, of paid, l queries.AttemptLine, sale id.Sale, fee money.USDC) {
	a, row := of.attempt, of.settlement
	p.Ids = append(p.Ids, string(sale))
	p.Merchants = append(p.Merchants, string(a.MerchantID))
	p.Livemodes = append(p.Livemodes, a.Livemode)
	p.Attempts = append(p.Attempts, string(a.ID))
	p.Lines = append(p.Lines, l.Line)
	p.Settlements = append(p.Settlements, string(row.ID))
	p.Reservations = append(p.Reservations, string(of.reservation(l.Line)))
	p.Kinds = append(p.Kinds, l.Kind)
	p.Fulfilments = append(p.Fulfilments, fulfilment(a, l))
	p.Links = append(p.Links, string(linkOf(a)))
	p.Items = append(p.Items, l.ItemID)
	p.ItemTitles = append(p.ItemTitles, l.Title)
	p.Quantities = append(p.Quantities, l.Qty)
	p.Amounts = append(p.Amounts, int64(l.UnitAmount)*int64(l.Qty))
	p.Currencies = append(p.Currencies, currency(row))
	p.Purchasers = append(p.Purchasers, row.Payer)
	p.Networks = append(p.Networks, a.Network)
	p.Transactions = append(p.Transactions, row.Transaction)
	p.Channels = append(p.Channels, a.Channel)
	p.Refs = append(p.Refs, a.Reference)
	p.Late = append(p.Late, a.Status == string(SettledLate))
	p.Simulated = append(p.Simulated, row.Simulated)
	p.Paid = append(p.Paid, int64(row.Amount))
	p.Fees = append(p.Fees, int64(fee))
}

// reservation is the stock that a line claimed, or empty.
func (p paid) reservation(line int16) id.Reservation {
	for _, r := range p.reserved {
		if r.Line == line {
			return r.ID
		}
	}
	return ""
}

// fulfilment is where a sale stands that somebody has to send; at a counter it is handed over.
func fulfilment(a queries.Attempt, l queries.AttemptLine) string {
	if shop.Kind(l.Kind) == shop.Physical && a.Channel != "till" {
		return "unfulfilled"
	}
	return ""
}

func currency(row queries.Settlement) string {
	if row.Simulated {
		return Simulated
	}
	return "USDC"
}

// linkOf is the link at which a purchase was begun, or empty.
func linkOf(a queries.Attempt) id.Link {
	if a.LinkID == nil {
		return ""
	}
	return *a.LinkID
}

// postingsOf enters a payment, and what the network took for moving it.
func postingsOf(row queries.Settlement) []ledger.Posting {
	enter := func(kind ledger.Kind, asset string, sides ...ledger.Entry) ledger.Posting {
		p := ledger.Posting{Merchant: row.MerchantID, Kind: kind, Source: string(row.ID)}
		for _, e := range sides {
			if e.Amount != 0 {
				e.Network, e.Asset = row.Network, asset
				p.Entries = append(p.Entries, e)
			}
		}
		return p
	}
	two := func(kind ledger.Kind, asset string, gains, loses ledger.Account, amount money.USDC) ledger.Posting {
		return enter(kind, asset, ledger.Entry{Account: gains, Amount: amount}, ledger.Entry{Account: loses, Amount: -amount})
	}
	var all []ledger.Posting
	switch {
	case row.Simulated:
		all = append(all, two(ledger.SimulatedSale, row.Asset, ledger.SimulatedWallet, ledger.SimulatedSales, row.Amount))
	case row.Collected:
		all = append(all, enter(ledger.Sale, row.Asset, ledger.Entry{Account: ledger.Deposit, Amount: row.Amount},
			ledger.Entry{Account: ledger.Available, Amount: row.Fee - row.Amount}, ledger.Entry{Account: ledger.Fees, Amount: -row.Fee}))
	default:
		all = append(all, two(ledger.Sale, row.Asset, ledger.Wallet, ledger.Sales, row.Amount))
	}
	if row.Gas > 0 {
		all = append(all, two(ledger.GasPaid, ledger.Coin, ledger.Gas, ledger.Relayer, money.USDC(row.Gas)))
	}
	return all
}

// settlementsTx queues settlements with this facilitator.
func settlementsTx(ctx context.Context, tx pgx.Tx, now time.Time, facilitator string, rows ...queries.Settlement) error {
	p := queries.SettlementsInsertParams{Facilitator: facilitator, Simulated: facilitator == simulator, CreatedAt: now}
	for _, row := range rows {
		claim := ""
		if row.ClaimID != nil {
			claim = string(*row.ClaimID)
		}
		p.Ids = append(p.Ids, string(row.ID))
		p.Merchants = append(p.Merchants, string(row.MerchantID))
		p.Attempts = append(p.Attempts, string(*row.AttemptID))
		p.Claims = append(p.Claims, claim)
		p.Livemodes = append(p.Livemodes, row.Livemode)
		p.Networks = append(p.Networks, row.Network)
		p.Assets = append(p.Assets, row.Asset)
		p.Payers = append(p.Payers, row.Payer)
		p.Nonces = append(p.Nonces, row.Nonce)
		p.Payees = append(p.Payees, row.PayTo)
		p.Amounts = append(p.Amounts, int64(row.Amount))
	}
	return queries.New().SettlementsInsert(ctx, tx, p)
}
