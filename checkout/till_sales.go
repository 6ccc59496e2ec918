package checkout

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// TillSale is a row of what a till charged.
type TillSale struct {
	Attempt     id.Attempt
	At          time.Time
	Title       string
	Reference   string
	Cashier     string
	Amount      money.USDC
	Status      Status
	AfterCancel bool // somebody at the till had cancelled it
}

func tillSaleOf(a queries.Attempt, c queries.TillCharge) TillSale {
	return TillSale{
		Attempt: a.ID, At: a.CreatedAt, Title: a.Title, Reference: a.Reference, Cashier: c.Cashier, Amount: a.Amount, Status: Status(a.Status),
		AfterCancel: c.CancelledAt != nil,
	}
}

// TillSales lists what a till charged, the newest first, with one more than limit where there are more. At most one of the
// cursors is set.
func (s *Service) TillSales(ctx context.Context, device id.Device, before, after string, limit int) ([]TillSale, error) {
	q := queries.New()
	var out []TillSale
	if after != "" {
		rows, err := q.TillChargeListAfter(ctx, s.pool, queries.TillChargeListAfterParams{DeviceID: device, After: id.Attempt(after), Most: int32(limit + 1)})
		if err != nil {
			return nil, fmt.Errorf("sales at %s: %w", device, err)
		}
		for _, r := range slices.Backward(rows) {
			out = append(out, tillSaleOf(r.Attempt, r.TillCharge))
		}
		return out, nil
	}
	rows, err := q.TillChargeList(ctx, s.pool, queries.TillChargeListParams{DeviceID: device, Before: id.Attempt(cmp.Or(before, "~")), Most: int32(limit + 1)})
	if err != nil {
		return nil, fmt.Errorf("sales at %s: %w", device, err)
	}
	for _, r := range rows {
		out = append(out, tillSaleOf(r.Attempt, r.TillCharge))
	}
	return out, nil
}

const (
	lateFor  = 48 * time.Hour // a till shows what nobody decided about
	mostLate = 5
)

// LateAtTill lists money that came to a till after the end of its sale, and that nobody has decided about.
func (s *Service) LateAtTill(ctx context.Context, device id.Device) ([]TillSale, error) {
	rows, err := queries.New().TillChargeLate(ctx, s.pool, queries.TillChargeLateParams{
		DeviceID: device, Since: id.First[id.Attempt](s.now().Add(-lateFor)), Most: mostLate,
	})
	if err != nil {
		return nil, fmt.Errorf("late at %s: %w", device, err)
	}
	out := make([]TillSale, len(rows))
	for i, r := range rows {
		out[i] = tillSaleOf(r.Attempt, r.TillCharge)
	}
	return out, nil
}

// TillTotal counts what was paid at a till since then.
func (s *Service) TillTotal(ctx context.Context, device id.Device, since time.Time) (sold int, received money.USDC, err error) {
	row, err := queries.New().TillChargeTotal(ctx, s.pool, queries.TillChargeTotalParams{DeviceID: device, Since: id.First[id.Attempt](since)})
	if err != nil {
		return 0, 0, fmt.Errorf("total at %s: %w", device, err)
	}
	return int(row.Sold), money.USDC(row.Received), nil
}
