package checkout

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/webhook"
)

// Exception is money that came for what could not be sold any more: the shop gives it back, or finds the goods.
type Exception struct {
	ID          id.Exception
	Kind        string // late_sold_out
	Livemode    bool
	Attempt     id.Attempt
	Title       string // of the purchase
	Settlement  id.Settlement
	Payer       string // lower-case hex
	Amount      money.USDC
	Network     string // CAIP-2
	Transaction string
	CreatedAt   time.Time
}

// lateSoldOut is money that came after its purchase had ended, when what it bought was sold to others.
const lateSoldOut = "late_sold_out"

// exceptionsPath is the page that lists them.
const exceptionsPath = "/dashboard/orders/late"

// exceptTx puts a payment on the list of those that somebody has to decide on, and says so in the bell.
func (s *Service) exceptTx(ctx context.Context, tx pgx.Tx, p paid) error {
	a, row, now := p.attempt, p.settlement, s.now()
	err := queries.New().ExceptionInsert(ctx, tx, queries.ExceptionInsertParams{
		ID: id.New[id.Exception](now), MerchantID: a.MerchantID, Livemode: a.Livemode, Kind: lateSoldOut, AttemptID: &a.ID, SettlementID: &row.ID,
		Payer: row.Payer, Amount: row.Amount, Network: row.Network, Transaction: row.Transaction, CreatedAt: now,
	})
	if err != nil {
		return fmt.Errorf("list the payment of %s: %w", a.ID, err)
	}
	return s.o.Webhooks.NoticeTx(ctx, tx, now, webhook.Notice{
		Merchant: a.MerchantID, Livemode: a.Livemode, Kind: lateSoldOut,
		Text: fmt.Sprintf("%s USDC came late for “%s”, which is sold out by now. Give it back, or find the goods.", row.Amount.Grouped(), a.Title),
		Link: exceptionsPath,
	})
}

// Exceptions lists the payments of a shop that somebody has to decide on, newest first, with one more than the page's
// limit where there are more.
func (s *Service) Exceptions(ctx context.Context, merchant id.Merchant, livemode bool, p shop.Page) ([]Exception, error) {
	q := queries.New()
	var rows []queries.ExceptionListRow
	var err error
	if p.After != "" {
		var up []queries.ExceptionListAfterRow
		up, err = q.ExceptionListAfter(ctx, s.pool, queries.ExceptionListAfterParams{
			MerchantID: merchant, Livemode: livemode, After: p.After, Most: int32(p.Limit + 1),
		})
		for _, r := range slices.Backward(up) {
			rows = append(rows, queries.ExceptionListRow(r))
		}
	} else {
		rows, err = q.ExceptionList(ctx, s.pool, queries.ExceptionListParams{
			MerchantID: merchant, Livemode: livemode, Before: cmp.Or(p.Before, "~"), Most: int32(p.Limit + 1),
		})
	}
	if err != nil {
		return nil, wrapList("exceptions", merchant, err)
	}
	out := make([]Exception, len(rows))
	for i, r := range rows {
		e := r.Exception
		out[i] = Exception{
			ID: e.ID, Kind: e.Kind, Livemode: e.Livemode, Attempt: *e.AttemptID, Title: r.Title, Settlement: *e.SettlementID, Payer: e.Payer,
			Amount: e.Amount, Network: e.Network, Transaction: e.Transaction, CreatedAt: e.CreatedAt,
		}
	}
	return out, nil
}
