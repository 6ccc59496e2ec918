package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// JournalEntry is one side of what was posted, with what it tells of.
type JournalEntry struct {
	Posting     id.Posting
	Line        int
	Kind        Kind
	Source      string // the settlement, payout, refund, exception or transaction behind it
	Transaction string // on the chain; empty where there is none yet
	Account     Account
	Network     string
	Asset       string
	Amount      money.USDC // wei where the asset is [Coin]
	CreatedAt   time.Time
}

// Entries lists what moved one of a shop's accounts, newest first. The cursor is a posting.
func (c *Custody) Entries(ctx context.Context, merchant id.Merchant, n evm.Network, account Account, p Page) ([]JournalEntry, error) {
	q, most := queries.New(), int32(p.Limit+1)
	asset := tokenOf(n)
	if account == Gas || account == Relayer {
		asset = Coin
	}
	var out []JournalEntry
	if p.After != "" {
		rows, err := q.JournalOfAccountAfter(ctx, c.pool, queries.JournalOfAccountAfterParams{
			MerchantID: merchant, Account: string(account), Network: n.ID, Asset: asset, After: p.After, Most: most,
		})
		if err != nil {
			return nil, fmt.Errorf("entries of %s: %w", merchant, err)
		}
		for _, r := range rows {
			out = append(out, entryOf(queries.JournalOfAccountRow(r)))
		}
		slices.Reverse(out)
	} else {
		rows, err := q.JournalOfAccount(ctx, c.pool, queries.JournalOfAccountParams{
			MerchantID: merchant, Account: string(account), Network: n.ID, Asset: asset, Before: p.last(), Most: most,
		})
		if err != nil {
			return nil, fmt.Errorf("entries of %s: %w", merchant, err)
		}
		for _, r := range rows {
			out = append(out, entryOf(r))
		}
	}
	return out, c.traceAll(ctx, out)
}

func entryOf(r queries.JournalOfAccountRow) JournalEntry {
	return JournalEntry{
		Posting: r.PostingID, Line: int(r.Line), Kind: Kind(r.Kind), Source: r.Source, Account: Account(r.Account), Network: r.Network,
		Asset: r.Asset, Amount: r.Amount, CreatedAt: r.CreatedAt,
	}
}

// traceAll puts the transactions beside entries.
func (c *Custody) traceAll(ctx context.Context, all []JournalEntry) error {
	sources := make([]string, len(all))
	for i, e := range all {
		sources[i] = e.Source
	}
	rows, err := queries.New().TransactionsOf(ctx, c.pool, sources)
	if err != nil {
		return fmt.Errorf("transactions of entries: %w", err)
	}
	of := make(map[string]string, len(rows))
	for _, r := range rows {
		of[r.Source] = r.Transaction
	}
	for i := range all {
		all[i].Transaction = of[all[i].Source]
		if all[i].Transaction == "" && len(all[i].Source) == 66 { // it is one itself
			all[i].Transaction = all[i].Source
		}
	}
	return nil
}

// journalStep is how many postings are read at a time.
const journalStep = 500

// Journal hands over every entry of a shop's, in the order in which they were written, a few at a time. Simulated money
// is not in it.
func (c *Custody) Journal(ctx context.Context, merchant id.Merchant, livemode bool, give func([]JournalEntry) error) error {
	networks := c.networksOf(livemode)
	for after := ""; ; {
		rows, err := queries.New().JournalPage(ctx, c.pool, queries.JournalPageParams{MerchantID: merchant, After: after, Most: journalStep})
		if err != nil {
			return fmt.Errorf("journal of %s: %w", merchant, err)
		}
		if len(rows) == 0 {
			return nil
		}
		after = string(rows[len(rows)-1].PostingID)
		var page []JournalEntry
		for _, r := range rows {
			ours := slices.ContainsFunc(networks, func(n evm.Network) bool { return n.ID == r.Network })
			if ours && Kind(r.Kind) != SimulatedSale {
				page = append(page, entryOf(queries.JournalOfAccountRow(r)))
			}
		}
		if err := c.traceAll(ctx, page); err != nil {
			return err
		}
		if err := give(page); err != nil {
			return err
		}
	}
}
