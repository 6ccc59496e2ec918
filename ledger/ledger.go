// Package ledger keeps a shop's books: every movement of money as entries that sum to zero.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// Account is one side of the books of a shop, for each network and asset.
type Account string

// The accounts. Positive balances are what there is, negative ones what is owed for it. Wallet and sales are a shop's whose
// own address is paid; deposit and what stands against it are money that is kept for a shop.
const (
	Wallet          Account = "wallet"     // what sales brought to the shop's own address, less what was paid back from there
	Sales           Account = "sales"      // mirrors it
	Deposit         Account = "deposit"    // what lies at the address that is kept for the shop
	Available       Account = "available"  // what of it the shop may have paid out: owed to it
	Fees            Account = "fees"       // what of it is ours: the platform's fee
	Payouts         Account = "payouts"    // on its way to the shop; zero when all has arrived
	Refunds         Account = "refunds"    // on its way to buyers; zero when all has arrived
	Exceptions      Account = "exceptions" // came without an explanation; zero when somebody has decided on all of it
	Gas             Account = "gas"        // what the network took to move the shop's payments, in wei of the asset [Coin]
	Relayer         Account = "relayer"    // mirrors it
	SimulatedWallet Account = "simulated_wallet"
	SimulatedSales  Account = "simulated_sales"
)

// Coin is the asset in which a network takes its fees; its amounts are wei.
const Coin = "ETH"

// Kind says what a posting tells of.
type Kind string

// The kinds of posting.
const (
	Sale              Kind = "sale"
	SimulatedSale     Kind = "simulated_sale"
	GasPaid           Kind = "gas"
	Reversal          Kind = "reversal"
	PayoutCreated     Kind = "payout"
	PayoutCompleted   Kind = "payout_completed"
	PayoutFailed      Kind = "payout_failed"
	RefundCreated     Kind = "refund"
	RefundCompleted   Kind = "refund_completed"
	RefundFailed      Kind = "refund_failed"
	Exceptional       Kind = "exception"
	ExceptionResolved Kind = "exception_resolved"
)

// ErrUnbalanced is returned by [PostTx] for entries that do not sum to zero or name no money.
var ErrUnbalanced = errors.New("ledger: entries do not balance")

// Entry is one side of a posting: positive amounts debit, negative amounts credit.
type Entry struct {
	Account Account
	Network string // CAIP-2
	Asset   string // token address in lower case, or "SIM"
	Amount  money.USDC
}

// Posting is what happened once, and the entries that tell of it.
type Posting struct {
	Merchant id.Merchant
	Kind     Kind
	Source   string // the row that caused it; a kind is posted once for each source
	Entries  []Entry
}

// slots spread one balance over rows, so that simultaneous sales of a shop do not queue for one.
const slots = 16

// PostTx writes postings and moves the cached balances with them, in the caller's transaction. It should come late
// there: balances are rows that others want.
// It returns [ErrUnbalanced] before writing anything; the database refuses such postings as well.
func PostTx(ctx context.Context, tx pgx.Tx, now time.Time, postings ...Posting) error {
	if len(postings) == 0 {
		return nil
	}
	for _, p := range postings {
		if err := p.check(); err != nil {
			return fmt.Errorf("post %s of %s: %w", p.Kind, p.Source, err)
		}
	}
	// Postings that are written together share a slot: each balance is touched once.
	heads, entries, balances := rows(now, slotOf(postings[0].Source), postings)
	q, first := queries.New(), postings[0]
	if err := q.PostingsInsert(ctx, tx, heads); err != nil {
		return fmt.Errorf("post %s of %s: %w", first.Kind, first.Source, err)
	}
	if err := q.EntriesInsert(ctx, tx, entries); err != nil {
		return fmt.Errorf("enter %s of %s: %w", first.Kind, first.Source, err)
	}
	if err := q.BalancesAdd(ctx, tx, balances); err != nil {
		return fmt.Errorf("balance %s of %s: %w", first.Kind, first.Source, err)
	}
	return nil
}

// rows lays postings out side by side.
func rows(now time.Time, slot int16, postings []Posting) (h queries.PostingsInsertParams, e queries.EntriesInsertParams, b queries.BalancesAddParams) {
	h.CreatedAt, e.CreatedAt, e.Slot, b.Slot = now, now, slot, slot
	for _, p := range postings {
		posting := id.New[id.Posting](now)
		h.Ids = append(h.Ids, string(posting))
		h.Merchants = append(h.Merchants, string(p.Merchant))
		h.Kinds = append(h.Kinds, string(p.Kind))
		h.Sources = append(h.Sources, p.Source)
		for i, entry := range p.Entries {
			e.Postings = append(e.Postings, string(posting))
			e.Lines = append(e.Lines, int16(i))
			e.Merchants = append(e.Merchants, string(p.Merchant))
			e.Accounts = append(e.Accounts, string(entry.Account))
			e.Networks = append(e.Networks, entry.Network)
			e.Assets = append(e.Assets, entry.Asset)
			e.Amounts = append(e.Amounts, int64(entry.Amount))
		}
	}
	b.Merchants, b.Accounts, b.Networks, b.Assets, b.Amounts = e.Merchants, e.Accounts, e.Networks, e.Assets, e.Amounts
	return h, e, b
}

func (p Posting) check() error {
	type pot struct{ network, asset string }
	sums := map[pot]money.USDC{}
	for _, e := range p.Entries {
		if e.Amount == 0 {
			return ErrUnbalanced
		}
		sums[pot{e.Network, e.Asset}] += e.Amount
	}
	if len(sums) == 0 {
		return ErrUnbalanced
	}
	for _, sum := range sums {
		if sum != 0 {
			return ErrUnbalanced
		}
	}
	return nil
}

// slotOf keeps to one slot within a posting; the statement keeps the order of rows.
func slotOf(source string) int16 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(source))
	return int16(h.Sum32() % slots)
}
