package checkout

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/webhook"
)

// lateSoldOut is money that came after its purchase had ended, when what it bought was sold to others.
const lateSoldOut = "late_sold_out"

// exceptionsPath is the page that lists them.
const exceptionsPath = "/dashboard/reconciliation"

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

// unexplained is money that came and pays for nothing, or not for what it was meant for.
type unexplained struct {
	Merchant   id.Merchant
	Livemode   bool
	Kind       string
	Attempt    *id.Attempt    // that it was likely meant for
	Settlement *id.Settlement // nil: no settlement names it
	At         evm.Proof
	Network    string     // CAIP-2
	Amount     money.USDC // to decide on
}

// listTx lists money for its shop to decide on. Where it lies at an address that is kept for the shop, and no settlement has
// entered it, the books have it as an exception until then. Money that is listed already stays as it is.
func (s *Service) listTx(ctx context.Context, tx pgx.Tx, x unexplained) (id.Exception, error) {
	q, now, place := queries.New(), s.now(), int32(x.At.LogIndex)
	rows, err := q.UnexplainedInsert(ctx, tx, queries.UnexplainedInsertParams{
		ID: id.New[id.Exception](now), MerchantID: x.Merchant, Livemode: x.Livemode, Kind: x.Kind, AttemptID: x.Attempt, SettlementID: x.Settlement,
		Payer: lower(x.At.Payer), PayTo: lower(x.At.Payee), Amount: x.Amount, Network: x.Network, Transaction: x.At.Transaction.Hex(), LogIndex: &place,
		BlockTime: timeOrNil(x.At.Time), CreatedAt: now,
	})
	if err != nil {
		return "", fmt.Errorf("list %s: %w", x.At.Transaction, err)
	}
	if len(rows) == 0 {
		return x.knownTx(ctx, tx, place)
	}
	listed := rows[0].ID
	if err := s.o.Webhooks.NoticeTx(ctx, tx, now, webhook.Notice{
		Merchant: x.Merchant, Livemode: x.Livemode, Kind: x.Kind, Text: x.text(), Link: exceptionsPath + "/" + string(listed),
	}); err != nil || x.Settlement != nil {
		return listed, err
	}
	deposit, err := q.IsDeposit(ctx, tx, queries.IsDepositParams{Network: x.Network, Address: lower(x.At.Payee)})
	if err != nil || !deposit {
		return listed, err
	}
	network, err := s.networks.Network(x.Network)
	if err != nil {
		return listed, err
	}
	asset := lower(network.Token.Address)
	return listed, ledger.PostTx(ctx, tx, now, ledger.Posting{Merchant: x.Merchant, Kind: ledger.Exceptional, Source: string(listed), Entries: []ledger.Entry{
		{Account: ledger.Deposit, Network: x.Network, Asset: asset, Amount: x.Amount},
		{Account: ledger.Exceptions, Network: x.Network, Asset: asset, Amount: -x.Amount},
	}})
}

// knownTx is what stands in the list already.
func (x unexplained) knownTx(ctx context.Context, tx pgx.Tx, place int32) (id.Exception, error) {
	q := queries.New()
	if x.Settlement != nil {
		return q.ExceptionOfSettlement(ctx, tx, queries.ExceptionOfSettlementParams{Kind: x.Kind, SettlementID: x.Settlement})
	}
	return q.ExceptionOfLog(ctx, tx, queries.ExceptionOfLogParams{Network: x.Network, Transaction: x.At.Transaction.Hex(), LogIndex: &place})
}

// text tells a shop of it.
func (x unexplained) text() string {
	amount := x.Amount.Grouped() + " USDC"
	switch x.Kind {
	case underpaid:
		return amount + " came for a purchase, and it is less than the price. Keep it, or give it back."
	case overpaid:
		return amount + " came that is more than a purchase costs. Keep it, or give it back."
	case paidTwice:
		return amount + " came for a purchase that is paid already. Give it back."
	default:
		return amount + " came that no purchase explains. Decide what it is for."
	}
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
