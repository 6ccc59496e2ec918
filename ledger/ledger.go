// Package ledger keeps a shop's books: every movement of money as entries that sum to zero.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// Account is one side of the books of a shop, for each network and asset.
type Account string

// The accounts. A wallet's balance is what its sales brought in; the sales account mirrors it.
const (
	Wallet          Account = "wallet"
	Sales           Account = "sales"
	SimulatedWallet Account = "simulated_wallet"
	SimulatedSales  Account = "simulated_sales"
)

// Kind says what a posting tells of.
type Kind string

// The kinds of posting.
const (
	Sale          Kind = "sale"
	SimulatedSale Kind = "simulated_sale"
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

// PostTx writes the posting and moves the cached balances with it, in the caller's transaction.
// It returns [ErrUnbalanced] before writing anything; the database refuses such postings as well.
func PostTx(ctx context.Context, tx pgx.Tx, now time.Time, p Posting) error {
	if err := p.check(); err != nil {
		return fmt.Errorf("post %s of %s: %w", p.Kind, p.Source, err)
	}
	q := queries.New()
	posting, slot := id.New[id.Posting](now), slotOf(p.Source)
	if err := q.PostingInsert(ctx, tx, queries.PostingInsertParams{
		ID: posting, MerchantID: p.Merchant, Kind: string(p.Kind), Source: p.Source, CreatedAt: now,
	}); err != nil {
		return fmt.Errorf("post %s of %s: %w", p.Kind, p.Source, err)
	}
	for i, e := range p.Entries {
		if err := q.EntryInsert(ctx, tx, queries.EntryInsertParams{
			PostingID: posting, Line: int16(i), MerchantID: p.Merchant, Account: string(e.Account),
			Network: e.Network, Asset: e.Asset, Amount: e.Amount, Slot: slot, CreatedAt: now,
		}); err != nil {
			return fmt.Errorf("enter %s of %s: %w", p.Kind, p.Source, err)
		}
		if err := q.BalanceAdd(ctx, tx, queries.BalanceAddParams{
			MerchantID: p.Merchant, Account: string(e.Account), Network: e.Network, Asset: e.Asset, Slot: slot, Amount: e.Amount,
		}); err != nil {
			return fmt.Errorf("balance %s of %s: %w", e.Account, p.Merchant, err)
		}
	}
	return nil
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

// slotOf keeps one order of slots within a posting, so that two postings never wait for each other in a circle.
func slotOf(source string) int16 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(source))
	return int16(h.Sum32() % slots)
}

// Balance is what an account holds on one network.
type Balance struct {
	Network string
	Asset   string
	Amount  money.USDC
}

// Books reads what was posted.
type Books struct {
	pool *pgxpool.Pool
}

// New returns the books kept in this database.
func New(pool *pgxpool.Pool) *Books { return &Books{pool: pool} }

// Received lists what a shop's sales brought into its wallets; simulated sales are never in it.
func (b *Books) Received(ctx context.Context, merchant id.Merchant) ([]Balance, error) {
	rows, err := queries.New().BalanceList(ctx, b.pool, queries.BalanceListParams{MerchantID: merchant, Account: string(Wallet)})
	if err != nil {
		return nil, fmt.Errorf("balances of %s: %w", merchant, err)
	}
	out := make([]Balance, len(rows))
	for i, r := range rows {
		out[i] = Balance{Network: r.Network, Asset: r.Asset, Amount: money.USDC(r.Amount)}
	}
	return out, nil
}
