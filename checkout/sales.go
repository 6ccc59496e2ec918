package checkout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/shop"
)

// Sale is what the seller sold: one for each paid line, with title and price as they were.
type Sale struct {
	ID               id.Sale
	MerchantID       id.Merchant
	Livemode         bool
	AttemptID        id.Attempt
	Line             int16 // of the purchase, from 0
	SettlementID     *id.Settlement
	ReservationID    string   // empty where no stock was held
	LinkID           *id.Link // nil when it was not begun from a link
	ItemID           string   // an item, or the link itself
	ItemTitle        string
	Qty              int32
	Amount           money.USDC // of all Qty
	Currency         string     // USDC or [Simulated]
	PurchaserAddress string     // lower-case hex
	Network          string     // CAIP-2
	Transaction      string
	Channel          string
	Reference        string
	Late             bool // the money came after the purchase's time
	Simulated        bool
	CreatedAt        time.Time
	Kind             string     // of the item; empty for what is none
	Fulfilment       string     // unfulfilled, fulfilled, or empty where nothing is sent
	FulfilledAt      *time.Time // nil: not yet
	FulfilledBy      string
	FulfilmentNote   string     // such as a tracking number
	Fee              money.USDC // what the platform kept of Amount
	Refunded         money.USDC // of Amount, to the buyer; also what is under way
	Paid             money.USDC // what came with the whole payment
	Reversed         bool       // the chain took the money back
}

// salesOf makes sales of rows.
func salesOf(rows []queries.Sale) []Sale {
	out := make([]Sale, len(rows))
	for i, r := range rows {
		out[i] = Sale(r)
	}
	return out
}

// Filter chooses among a shop's sales; zero fields choose all.
type Filter struct {
	Since, Until time.Time // from, up to but without
	Channel      string
	Network      string
	ItemID       string
	Search       string // what [search] understands
}

// endOfTime is after all sales.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func (f Filter) until() time.Time {
	if f.Until.IsZero() {
		return endOfTime
	}
	return f.Until
}

// Cursor is a place between two sales.
type Cursor struct {
	At time.Time
	ID id.Sale
}

// Sales lists a shop's sales, newest first: those older than before, or newer than after, or the newest.
// There is one more than limit where there are more.
func (s *Service) Sales(ctx context.Context, merchant id.Merchant, livemode bool, f Filter, before, after *Cursor, limit int) ([]Sale, error) {
	p, err := s.saleList(ctx, merchant, livemode, f, limit)
	if err != nil {
		return nil, err
	}
	q := queries.New()
	if after != nil {
		rows, err := q.SaleListAfter(ctx, planned{s.pool}, queries.SaleListAfterParams{
			MerchantID: p.MerchantID, Livemode: p.Livemode, Since: p.Since, Until: p.Until, AfterTime: after.At, AfterID: string(after.ID),
			Channel: p.Channel, Network: p.Network, ItemID: p.ItemID, Sale: p.Sale, Attempt: p.Attempt, Paid: p.Paid,
			Address: p.Address, Hash: p.Hash, Prefix: p.Prefix, Suffix: p.Suffix, Ref: p.Ref, Items: p.Items, Most: p.Most,
		})
		slices.Reverse(rows)
		return salesOf(rows), wrapList("sales", merchant, err)
	}
	if before != nil {
		p.BeforeTime, p.BeforeID = before.At, string(before.ID)
	}
	rows, err := q.SaleList(ctx, planned{s.pool}, p)
	return salesOf(rows), wrapList("sales", merchant, err)
}

// Refunding tells of which of some sales a refund is under way: it may never be sent.
func (s *Service) Refunding(ctx context.Context, sales []Sale) (map[id.Sale]bool, error) {
	var asked []string
	for _, sale := range sales {
		if sale.Refunded > 0 {
			asked = append(asked, string(sale.ID))
		}
	}
	if len(asked) == 0 {
		return nil, nil //nolint:nilnil // none is the ordinary case
	}
	found, err := queries.New().RefundingSales(ctx, s.pool, asked)
	if err != nil {
		return nil, fmt.Errorf("refunds under way: %w", err)
	}
	under := make(map[id.Sale]bool, len(found))
	for _, sale := range found {
		under[sale] = true
	}
	return under, nil
}

func wrapList(what string, merchant id.Merchant, err error) error {
	if err != nil {
		return fmt.Errorf("%s of %s: %w", what, merchant, err)
	}
	return nil
}

// Control is the row count and the sum of an export, from the same snapshot as its rows.
type Control struct {
	Rows   int64
	Amount money.USDC
}

// exportPage is how many rows an export reads at a time.
const exportPage = 1000

// SettledLine is a sale with what its accountant asks of it.
type SettledLine struct {
	Sale
	Block     int64     // 0: there is none
	BlockTime time.Time // zero: not known
	LogIndex  int32     // of the transfer, in its block
	Gas       int64     // wei that our relayer paid for the payment; said at its first line only, so that a sum is right
	Refunds   []string  // ids of the refunds that gave some of it back
}

// Export reads all sales of a filter, newest first, in one snapshot: begin hears the control figures
// before any row. Search is not used.
func (s *Service) Export(ctx context.Context, merchant id.Merchant, livemode bool, f Filter, begin func(Control) error, row func(SettledLine) error) error {
	q := queries.New()
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		c, err := q.SaleControl(ctx, planned{tx}, queries.SaleControlParams{
			MerchantID: merchant, Livemode: livemode, Since: f.Since, Until: f.until(), Channel: f.Channel, Network: f.Network, ItemID: f.ItemID,
		})
		if err != nil {
			return err
		}
		if err := begin(Control{Rows: c.Sales, Amount: money.USDC(c.Amount)}); err != nil {
			return err
		}
		return exportTx(ctx, tx, queries.SaleExportParams{
			MerchantID: merchant, Livemode: livemode, Since: f.Since, Until: f.until(), BeforeTime: f.until(), BeforeID: "~",
			Channel: f.Channel, Network: f.Network, ItemID: f.ItemID, Most: exportPage,
		}, row)
	})
	return wrapList("export sales", merchant, err)
}

func exportTx(ctx context.Context, tx pgx.Tx, page queries.SaleExportParams, row func(SettledLine) error) error {
	for {
		rows, err := queries.New().SaleExport(ctx, planned{tx}, page)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if err := row(settledOf(r)); err != nil {
				return err
			}
		}
		if len(rows) < exportPage {
			return nil
		}
		last := rows[len(rows)-1].Sale
		page.BeforeTime, page.BeforeID = last.CreatedAt, string(last.ID)
	}
}

func settledOf(r queries.SaleExportRow) SettledLine {
	out := SettledLine{Sale: Sale(r.Sale), Refunds: strings.Fields(r.RefundIds)}
	if r.BlockNumber != nil {
		out.Block = *r.BlockNumber
	}
	if r.BlockTime != nil {
		out.BlockTime = *r.BlockTime
	}
	if r.LogIndex != nil {
		out.LogIndex = *r.LogIndex
	}
	if r.Sale.Line == 0 {
		out.Gas = r.Gas
	}
	return out
}

// SalesOf lists the sales of one purchase, line by line.
func (s *Service) SalesOf(ctx context.Context, attempt id.Attempt) ([]Sale, error) {
	rows, err := queries.New().SaleOfAttempt(ctx, s.pool, attempt)
	if err != nil {
		return nil, fmt.Errorf("sales of %s: %w", attempt, err)
	}
	return salesOf(rows), nil
}

// Settlements lists how a shop's money moved, newest first, one more than the page's limit where there are more.
func (s *Service) Settlements(ctx context.Context, merchant id.Merchant, livemode bool, p shop.Page) ([]Settlement, error) {
	q := queries.New()
	var rows []queries.Settlement
	var err error
	if p.After != "" {
		rows, err = q.SettlementListAfter(ctx, s.pool, queries.SettlementListAfterParams{MerchantID: merchant, Livemode: livemode, After: p.After, Most: int32(p.Limit + 1)})
		slices.Reverse(rows)
	} else {
		before := p.Before
		if before == "" {
			before = "~"
		}
		rows, err = q.SettlementList(ctx, s.pool, queries.SettlementListParams{MerchantID: merchant, Livemode: livemode, Before: before, Most: int32(p.Limit + 1)})
	}
	if err != nil {
		return nil, fmt.Errorf("settlements of %s: %w", merchant, err)
	}
	out := make([]Settlement, len(rows))
	for i, r := range rows {
		if out[i], err = s.settlement(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Listed is a purchase in a list, with who pays it where somebody does.
type Listed struct {
	Attempt
	Payer string // lower-case hex, or empty
}

// AttemptsOfLink lists the newest purchases begun at a link.
func (s *Service) AttemptsOfLink(ctx context.Context, merchant id.Merchant, link id.Link, limit int) ([]Listed, error) {
	rows, err := queries.New().AttemptListOfLink(ctx, s.pool, queries.AttemptListOfLinkParams{MerchantID: merchant, LinkID: &link, Most: int32(limit)})
	if err != nil {
		return nil, wrapList("purchases", merchant, err)
	}
	out := make([]Listed, len(rows))
	for i, r := range rows {
		if out[i], err = s.listed(r.Attempt, r.Payer); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// AttemptsOfEndpoint lists the newest purchases of an endpoint's calls.
func (s *Service) AttemptsOfEndpoint(ctx context.Context, merchant id.Merchant, endpoint id.Endpoint, limit int) ([]Listed, error) {
	rows, err := queries.New().AttemptListOfEndpoint(ctx, s.pool, queries.AttemptListOfEndpointParams{MerchantID: merchant, EndpointID: endpoint, Most: int32(limit)})
	if err != nil {
		return nil, wrapList("purchases", merchant, err)
	}
	out := make([]Listed, len(rows))
	for i, r := range rows {
		if out[i], err = s.listed(r.Attempt, r.Payer); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// PaidAtLink lists the latest purchases at a link that were paid.
func (s *Service) PaidAtLink(ctx context.Context, merchant id.Merchant, link id.Link, limit int) ([]Listed, error) {
	rows, err := queries.New().AttemptListPaidOfLink(ctx, s.pool, queries.AttemptListPaidOfLinkParams{MerchantID: merchant, LinkID: &link, Most: int32(limit)})
	if err != nil {
		return nil, wrapList("paid purchases", merchant, err)
	}
	out := make([]Listed, len(rows))
	for i, r := range rows {
		if out[i], err = s.listed(r.Attempt, r.Payer); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// UnderWay lists the newest purchases whose payment the chain has not answered.
func (s *Service) UnderWay(ctx context.Context, merchant id.Merchant, livemode bool, limit int) ([]Listed, error) {
	rows, err := queries.New().AttemptListUnderWay(ctx, s.pool, queries.AttemptListUnderWayParams{MerchantID: merchant, Livemode: livemode, Most: int32(limit)})
	if err != nil {
		return nil, wrapList("purchases under way", merchant, err)
	}
	out := make([]Listed, len(rows))
	for i, r := range rows {
		if out[i], err = s.listed(r.Attempt, r.Payer); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Service) listed(r queries.Attempt, payer string) (Listed, error) {
	a, err := s.attempt(r, queries.Merchant{}, "", nil)
	return Listed{Attempt: a, Payer: payer}, err
}
