package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

// ReverseTx takes back what was entered for a payment, its gas included, in the caller's transaction. Nothing is deleted: the
// same entries with the other sign stand beside the first ones. A payment that is in no books is left alone.
func ReverseTx(ctx context.Context, tx pgx.Tx, now time.Time, merchant id.Merchant, source string) error {
	rows, err := queries.New().EntriesToReverse(ctx, tx, source)
	if err != nil {
		return fmt.Errorf("entries of %s: %w", source, err)
	}
	if len(rows) == 0 {
		return nil
	}
	p := Posting{Merchant: merchant, Kind: Reversal, Source: source}
	for _, r := range rows {
		p.Entries = append(p.Entries, Entry{Account: Account(r.Account), Network: r.Network, Asset: r.Asset, Amount: -r.Amount})
	}
	return PostTx(ctx, tx, now, p)
}
