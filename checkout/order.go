package checkout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/shop"
)

// Order is a sale that somebody sends, or has sent.
type Order struct {
	Sale
	SKU       string
	Buyer     Buyer
	Reversed  bool // the network took the money back
	Undecided bool // the money came late, and somebody has to decide on it
}

// Orders lists what a shop has to send, or with sent what it has sent, newest first, with one more than the page's limit
// where there are more.
func (s *Service) Orders(ctx context.Context, merchant id.Merchant, livemode, sent bool, p shop.Page) ([]Order, error) {
	fulfilment, q := "unfulfilled", queries.New()
	if sent {
		fulfilment = "fulfilled"
	}
	if p.After != "" {
		rows, err := q.OrderListAfter(ctx, s.pool, queries.OrderListAfterParams{
			MerchantID: merchant, Livemode: livemode, Fulfilment: fulfilment, After: p.After, Most: int32(p.Limit + 1),
		})
		if err != nil {
			return nil, wrapList("orders", merchant, err)
		}
		slices.Reverse(rows)
		return orders(rows, func(r queries.OrderListAfterRow) queries.OrderListRow { return queries.OrderListRow(r) })
	}
	rows, err := q.OrderList(ctx, s.pool, queries.OrderListParams{
		MerchantID: merchant, Livemode: livemode, Fulfilment: fulfilment, Before: cmp.Or(p.Before, "~"), Most: int32(p.Limit + 1),
	})
	if err != nil {
		return nil, wrapList("orders", merchant, err)
	}
	return orders(rows, func(r queries.OrderListRow) queries.OrderListRow { return r })
}

// Order returns one order, and what else is sent of the same purchase. Errors: [ErrNotFound], also for a sale of what is
// not sent.
func (s *Service) Order(ctx context.Context, merchant id.Merchant, livemode bool, sale id.Sale) (Order, []Order, error) {
	rows, err := queries.New().OrdersBeside(ctx, s.pool, queries.OrdersBesideParams{MerchantID: merchant, Livemode: livemode, ID: sale})
	if err != nil {
		return Order{}, nil, fmt.Errorf("order %s: %w", sale, err)
	}
	all, err := orders(rows, func(r queries.OrdersBesideRow) queries.OrderListRow { return queries.OrderListRow(r) })
	if err != nil {
		return Order{}, nil, err
	}
	i := slices.IndexFunc(all, func(o Order) bool { return o.ID == sale })
	if i < 0 {
		return Order{}, nil, fmt.Errorf("order %s: %w", sale, ErrNotFound)
	}
	return all[i], slices.Delete(slices.Clone(all), i, i+1), nil
}

// maxPacked is how many orders are packed in one go.
const maxPacked = 200

// ToPack lists the orders that are named, or all that wait to be sent, at most 200: what was paid first comes first.
func (s *Service) ToPack(ctx context.Context, merchant id.Merchant, livemode bool, named []id.Sale) ([]Order, error) {
	ids := make([]string, len(named))
	for i, sale := range named {
		ids[i] = string(sale)
	}
	rows, err := queries.New().OrdersToPack(ctx, s.pool, queries.OrdersToPackParams{MerchantID: merchant, Livemode: livemode, Ids: ids, Most: maxPacked})
	if err != nil {
		return nil, wrapList("orders to pack", merchant, err)
	}
	return orders(rows, func(r queries.OrdersToPackRow) queries.OrderListRow { return queries.OrderListRow(r) })
}

// Shipment is how what was bought reaches its buyer.
type Shipment struct {
	Buyer  Buyer
	SentAt time.Time // of the last of it; zero as long as not all of it was sent
	Notes  []string  // such as tracking numbers, of what was sent
}

// Shipment returns what a paid purchase's buyer is told of the goods that are sent to him; false where none are.
func (s *Service) Shipment(ctx context.Context, p Purchase) (sent Shipment, ok bool, err error) {
	if !p.Status.Paid() || !slices.ContainsFunc(p.Lines, func(l Line) bool { return l.Kind == shop.Physical }) {
		return Shipment{}, false, nil
	}
	sales, err := s.SalesOf(ctx, p.ID)
	if err != nil {
		return Shipment{}, false, err
	}
	waits := false
	for _, sale := range sales {
		switch {
		case sale.Fulfilment == "":
			continue
		case sale.FulfilledAt == nil:
			waits = true
		case sale.FulfilledAt.After(sent.SentAt):
			sent.SentAt = *sale.FulfilledAt
		}
		ok = true
		if note := sale.FulfilmentNote; note != "" && !slices.Contains(sent.Notes, note) {
			sent.Notes = append(sent.Notes, note)
		}
	}
	if waits {
		sent.SentAt = time.Time{}
	}
	if ok {
		sent.Buyer, err = s.BuyerOf(ctx, p.ID)
	}
	return sent, ok, err
}

// orders makes orders of rows, which different queries give under different names.
func orders[T any](rows []T, plain func(T) queries.OrderListRow) ([]Order, error) {
	out := make([]Order, len(rows))
	for i := range rows {
		r := plain(rows[i])
		buyer, err := buyerOf(queries.AttemptBuyer{Email: r.Email, Name: r.Name, Note: r.Note, Shipping: r.Shipping})
		if err != nil {
			return nil, fmt.Errorf("address of %s: %w", r.Sale.AttemptID, err)
		}
		out[i] = Order{Sale: Sale(r.Sale), SKU: r.Sku, Buyer: buyer, Reversed: r.Reversed, Undecided: r.Undecided}
	}
	return out, nil
}

// orderSeen is what the log of what was done says of an order.
type orderSeen struct {
	Fulfilment string `json:"fulfilment"`
	Note       string `json:"note,omitempty"`
}

// Fulfil notes that a sale was sent: by whom, and with a note such as a tracking number. One that was sent before stays as
// it is. Errors: [ErrNotFound], also for what is not sent; [*shop.FieldError].
func (s *Service) Fulfil(ctx context.Context, merchant id.Merchant, livemode bool, sale id.Sale, note string, by audit.By) (Sale, error) {
	if !shop.OneLine(note, maxNote) {
		return Sale{}, &shop.FieldError{Field: "note", Message: fmt.Sprintf("Use at most %d printable characters.", maxNote)}
	}
	return s.moveOrder(ctx, merchant, livemode, sale, by, func(tx pgx.Tx, now time.Time) (queries.Sale, error) {
		return queries.New().SaleFulfil(ctx, tx, queries.SaleFulfilParams{ID: sale, By: by.Actor, Note: note, Now: now})
	}, "unfulfilled", "order.sent")
}

// Unfulfil takes a [Service.Fulfil] back that was a mistake.
func (s *Service) Unfulfil(ctx context.Context, merchant id.Merchant, livemode bool, sale id.Sale, by audit.By) (Sale, error) {
	return s.moveOrder(ctx, merchant, livemode, sale, by, func(tx pgx.Tx, _ time.Time) (queries.Sale, error) {
		return queries.New().SaleUnfulfil(ctx, tx, sale)
	}, "fulfilled", "order.reopened")
}

// moveOrder moves a sale on that stands where it may move from, and leaves it as it is where it was moved before.
func (s *Service) moveOrder(
	ctx context.Context, merchant id.Merchant, livemode bool, sale id.Sale, by audit.By,
	move func(pgx.Tx, time.Time) (queries.Sale, error), from, action string,
) (Sale, error) {
	var row queries.Sale
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		was, err := queries.New().SaleForUpdate(ctx, tx, queries.SaleForUpdateParams{MerchantID: merchant, Livemode: livemode, ID: sale})
		if errors.Is(err, pgx.ErrNoRows) || err == nil && was.Fulfilment == "" {
			return ErrNotFound
		}
		if row = was; err != nil || was.Fulfilment != from {
			return err
		}
		now := s.now()
		if row, err = move(tx, now); err != nil {
			return err
		}
		return audit.RecordTx(ctx, tx, now, audit.Row{
			By: by, Merchant: merchant, Action: action, ResourceType: "sale", ResourceID: string(sale),
			Before: orderSeen{was.Fulfilment, was.FulfilmentNote}, After: orderSeen{row.Fulfilment, row.FulfilmentNote},
		})
	})
	if err != nil {
		return Sale{}, fmt.Errorf("order %s: %w", sale, err)
	}
	s.hub.Changed(row.AttemptID, merchant)
	return Sale(row), nil
}
