package ledger

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/evm"
	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/webhook"
	"xsynesis/x402"
)

// PayoutStatus is where a payout stands.
type PayoutStatus string

// The states, in their order; the last two are ends.
const (
	PayoutQueued     PayoutStatus = "queued"
	PayoutProcessing PayoutStatus = "processing"
	PayoutSent       PayoutStatus = "sent"
	PayoutArrived    PayoutStatus = "completed"
	PayoutReturned   PayoutStatus = "failed" // the money is back in the balance
)

// Payout is money that a shop has sent to a wallet of its own.
type Payout struct {
	ID          id.Payout
	Merchant    id.Merchant
	Livemode    bool
	Network     evm.Network
	Amount      money.USDC
	Destination common.Address
	Status      PayoutStatus
	Actor       string // who asked for it
	Address     string // from where
	UserAgent   string
	Transaction string
	Block       uint64 // once it arrived
	LastError   string // a sentence
	CreatedAt   time.Time
	CompletedAt *time.Time
}

// PayoutForm is what somebody wants paid out.
type PayoutForm struct {
	Network     string // CAIP-2; empty for the one on which money is kept
	Amount      money.USDC
	Destination string
	// Program tells that an API key asks, which may pay out so much in a day.
	Program bool
	// Once names the request: another one of the same name is this one again.
	Once []byte
	By   audit.By
}

// askTimeout is how long somebody waits for what the token says of an address.
const askTimeout = 3 * time.Second

// CreatePayout takes money from what is owed to a shop and has it sent. Errors: [ErrNothingCollected], [ErrInsufficient],
// [ErrReadOnly], [ErrDailyLimit], [*FieldError], [*NewDestinationError].
func (c *Custody) CreatePayout(ctx context.Context, merchant id.Merchant, livemode bool, f PayoutForm) (Payout, error) {
	n, to, err := c.readPayout(ctx, merchant, livemode, f)
	if err != nil {
		return Payout{}, err
	}
	now := c.now()
	payout := id.New[id.Payout](now)
	err = pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		q := queries.New()
		if _, err := LockOwedTx(ctx, tx, merchant, n.ID, tokenOf(n)); err != nil {
			return err
		}
		if f.Once != nil {
			before, err := q.PayoutByOnce(ctx, tx, queries.PayoutByOnceParams{Once: f.Once, MerchantID: merchant})
			if err == nil {
				payout = before.Payout.ID
				return nil
			}
			if !errors.Is(err, pgx.ErrNoRows) {
				return fmt.Errorf("payout of a request: %w", err)
			}
		}
		if err := c.checkDestinationTx(ctx, tx, merchant, n, to); err != nil {
			return err
		}
		if f.Program {
			if err := c.checkLimitTx(ctx, tx, merchant, n.ID, f.Amount); err != nil {
				return err
			}
		}
		if err := c.payoutTx(ctx, tx, now, merchant, n, payout, to, f); err != nil {
			return err
		}
		fault.At(fault.PayoutTaken)
		return nil
	})
	if err != nil {
		return Payout{}, fmt.Errorf("pay out to %s: %w", merchant, err)
	}
	fault.At(fault.PayoutCommitted)
	return c.Payout(ctx, merchant, livemode, payout)
}

// payoutTx writes a payout with all that follows from it.
func (c *Custody) payoutTx(
	ctx context.Context, tx pgx.Tx, now time.Time, merchant id.Merchant, n evm.Network, payout id.Payout, to common.Address, f PayoutForm,
) error {
	err := c.SendTx(ctx, tx, now, Sending{
		ID: string(payout), Merchant: merchant, Network: n.ID, Asset: tokenOf(n), To: lower(to), Amount: f.Amount, Taken: f.Amount,
	})
	if err != nil {
		return err
	}
	q := queries.New()
	row := queries.PayoutInsertParams{
		ID: payout, MerchantID: merchant, Livemode: !n.Test, Network: n.ID, Amount: f.Amount, Destination: lower(to), Actor: f.By.Actor,
		ByKey: f.Program, FromAddress: f.By.Address, UserAgent: audit.UserAgent(f.By.UserAgent), Once: f.Once, CreatedAt: now,
	}
	if inserted, err := q.PayoutInsert(ctx, tx, row); err != nil || inserted == 0 {
		return fmt.Errorf("write %s: %w", payout, errors.Join(err, errTwice))
	}
	if err := audit.RecordTx(ctx, tx, now, audit.Row{
		By: f.By, Merchant: merchant, Action: "payout.created", ResourceType: "payout", ResourceID: string(payout),
		After: payoutSeen{n.ID, to.Hex(), f.Amount.Units()},
	}); err != nil {
		return err
	}
	if err := c.tellTx(ctx, tx, now, row, webhook.PayoutCreated, PayoutQueued, "", ""); err != nil {
		return err
	}
	return PostTx(ctx, tx, now, posted(PayoutCreated, merchant, string(payout), n.ID, tokenOf(n), f.Amount, Available, Payouts))
}

// errTwice is returned for a request's name that another shop's request has at this moment: nothing is done.
var errTwice = errors.New("ledger: not written")

// payoutSeen is what the audit log says of a payout.
type payoutSeen struct {
	Network     string `json:"network"`
	Destination string `json:"destination"`
	Amount      string `json:"amount"`
}

// posted is a posting of two sides: the first gains what the second loses.
func posted(kind Kind, merchant id.Merchant, source, network, asset string, amount money.USDC, gains, loses Account) Posting {
	return Posting{Merchant: merchant, Kind: kind, Source: source, Entries: []Entry{
		{Account: gains, Network: network, Asset: asset, Amount: amount},
		{Account: loses, Network: network, Asset: asset, Amount: -amount},
	}}
}

// readPayout checks what can be checked before anything is locked.
func (c *Custody) readPayout(ctx context.Context, merchant id.Merchant, livemode bool, f PayoutForm) (evm.Network, common.Address, error) {
	from, err := c.payingFrom(ctx, merchant, livemode, f.Network)
	if err != nil {
		return evm.Network{}, common.Address{}, err
	}
	n := from.Network
	to, err := c.checkAddress(ctx, n, f.Destination)
	switch {
	case err != nil:
		return n, to, err
	case f.Amount <= 0:
		return n, to, &FieldError{"amount", "Give an amount above zero."}
	}
	// Whatever the token says to this now, it says nothing about the balance, which is held against the books alone.
	chain, ok := c.o.Chains[n.ID]
	if !ok {
		return n, to, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var invalid *x402.Invalid
	if errors.As(chain.CanSend(ctx, from.Deposit, to, min(f.Amount, 1)), &invalid) && invalid.Kind != x402.Funds {
		return n, to, &FieldError{fieldDestination, "USDC does not pay this address. Give another one."}
	}
	return n, to, nil
}

// payingFrom finds the network on which money is kept for a shop.
func (c *Custody) payingFrom(ctx context.Context, merchant id.Merchant, livemode bool, network string) (Mode, error) {
	modes, err := c.Modes(ctx, merchant, livemode)
	if err != nil {
		return Mode{}, err
	}
	var kept []Mode
	for _, m := range modes {
		if (m.Deposit != common.Address{}) && (network == "" || m.Network.ID == network) {
			kept = append(kept, m)
		}
	}
	switch {
	case len(kept) == 0:
		return Mode{}, ErrNothingCollected
	case len(kept) > 1:
		return Mode{}, &FieldError{"network", "Money is kept for you on several networks. Name one."}
	}
	return kept[0], nil
}

// ErrDailyLimit is returned for more than programs may pay out within a day.
var ErrDailyLimit = errors.New("ledger: more than programs may pay out in a day")

// checkLimitTx holds what programs paid out within a day against what they may.
func (c *Custody) checkLimitTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant, network string, amount money.USDC) error {
	q := queries.New()
	m, err := q.MerchantByID(ctx, tx, merchant)
	if err != nil {
		return fmt.Errorf("limit of %s: %w", merchant, err)
	}
	gone, err := q.PayoutsOfDay(ctx, tx, queries.PayoutsOfDayParams{MerchantID: merchant, Network: network, Since: c.now().Add(-24 * time.Hour)})
	if err != nil {
		return fmt.Errorf("payouts of a day: %w", err)
	}
	if amount > m.PayoutLimit-min(money.USDC(gone), m.PayoutLimit) {
		return ErrDailyLimit
	}
	return nil
}

// Payout finds one of a shop, or [ErrNotFound].
func (c *Custody) Payout(ctx context.Context, merchant id.Merchant, livemode bool, payout id.Payout) (Payout, error) {
	r, err := queries.New().PayoutByID(ctx, c.pool, queries.PayoutByIDParams{ID: payout, MerchantID: merchant, Livemode: livemode})
	if errors.Is(err, pgx.ErrNoRows) {
		return Payout{}, ErrNotFound
	}
	if err != nil {
		return Payout{}, fmt.Errorf("payout %s: %w", payout, err)
	}
	return c.payout(r.Payout, r.Sending)
}

// Page says which part of a list is read: one row more than Limit tells that there are more.
type Page struct {
	Before string // of the id before which it goes on; empty for the newest
	After  string // of the id above which it is read upwards
	Limit  int
}

// last is the greatest id that there can be.
func (p Page) last() string {
	if p.Before == "" {
		return "~"
	}
	return p.Before
}

// Payouts lists a shop's, newest first.
func (c *Custody) Payouts(ctx context.Context, merchant id.Merchant, livemode bool, p Page) ([]Payout, error) {
	q, most := queries.New(), int32(min(p.Limit, math.MaxInt16)+1)
	var out []Payout
	add := func(r queries.Payout, s queries.Sending) error {
		one, err := c.payout(r, s)
		out = append(out, one)
		return err
	}
	if p.After != "" {
		rows, err := q.PayoutListAfter(ctx, c.pool, queries.PayoutListAfterParams{MerchantID: merchant, Livemode: livemode, After: p.After, Most: most})
		for i := len(rows) - 1; i >= 0 && err == nil; i-- {
			err = add(rows[i].Payout, rows[i].Sending)
		}
		return out, err
	}
	rows, err := q.PayoutList(ctx, c.pool, queries.PayoutListParams{MerchantID: merchant, Livemode: livemode, Before: p.last(), Most: most})
	for i := 0; i < len(rows) && err == nil; i++ {
		err = add(rows[i].Payout, rows[i].Sending)
	}
	return out, err
}

func (c *Custody) payout(r queries.Payout, s queries.Sending) (Payout, error) {
	n, err := c.o.Networks.Network(r.Network)
	if err != nil {
		return Payout{}, err
	}
	p := Payout{
		ID: r.ID, Merchant: r.MerchantID, Livemode: r.Livemode, Network: n, Amount: r.Amount, Destination: common.HexToAddress(r.Destination),
		Status: PayoutStatus(s.Status), Actor: r.Actor, Address: r.FromAddress, UserAgent: r.UserAgent, Transaction: s.Transaction,
		LastError: s.LastError, CreatedAt: r.CreatedAt, CompletedAt: s.CompletedAt,
	}
	p.Block = sendingOf(s).Block
	return p, nil
}

// payoutOwner hears what becomes of payouts.
type payoutOwner struct{ c *Custody }

// Stands has nothing to say: what a shop wants paid out stays its own.
func (o payoutOwner) Stands(context.Context, string) (string, error) { return "", nil }

func (o payoutOwner) SentTx(ctx context.Context, tx pgx.Tx, now time.Time, s Sending) error {
	return o.tellTx(ctx, tx, now, s, webhook.PayoutSent, PayoutSent, "")
}

func (o payoutOwner) CompletedTx(ctx context.Context, tx pgx.Tx, now time.Time, s Sending) error {
	if err := o.tellTx(ctx, tx, now, s, webhook.PayoutCompleted, PayoutArrived, ""); err != nil {
		return err
	}
	return PostTx(ctx, tx, now, posted(PayoutCompleted, s.Merchant, s.ID, s.Network, s.Asset, s.Amount, Payouts, Deposit))
}

func (o payoutOwner) MovedTx(ctx context.Context, tx pgx.Tx, _ time.Time, s Sending) error {
	return o.c.changedTx(ctx, tx, s.Merchant)
}

func (o payoutOwner) LostTx(ctx context.Context, tx pgx.Tx, now time.Time, s Sending) error {
	return PostTx(ctx, tx, now, posted(Reversal, s.Merchant, s.ID, s.Network, s.Asset, s.Amount, Deposit, Payouts))
}

func (o payoutOwner) FailedTx(ctx context.Context, tx pgx.Tx, now time.Time, s Sending, why string) error {
	if err := o.tellTx(ctx, tx, now, s, webhook.PayoutFailed, PayoutReturned, why); err != nil {
		return err
	}
	return PostTx(ctx, tx, now, posted(PayoutFailed, s.Merchant, s.ID, s.Network, s.Asset, s.Amount, Payouts, Available))
}

func (o payoutOwner) tellTx(ctx context.Context, tx pgx.Tx, now time.Time, s Sending, t webhook.Type, status PayoutStatus, why string) error {
	row, err := queries.New().PayoutOf(ctx, tx, id.Payout(s.ID))
	if err != nil {
		return fmt.Errorf("payout %s: %w", s.ID, err)
	}
	p := queries.PayoutInsertParams{
		ID: row.ID, MerchantID: row.MerchantID, Livemode: row.Livemode, Network: row.Network, Amount: row.Amount, Destination: row.Destination,
	}
	return o.c.tellTx(ctx, tx, now, p, t, status, s.Transaction, why)
}

// tellTx tells merchants' servers, and the pages of the shop, where a payout stands.
func (c *Custody) tellTx(ctx context.Context, tx pgx.Tx, now time.Time, p queries.PayoutInsertParams, t webhook.Type, status PayoutStatus, transaction, why string) error {
	if err := c.changedTx(ctx, tx, p.MerchantID); err != nil {
		return err
	}
	return c.o.Webhooks.PublishTx(ctx, tx, now, webhook.Event{
		Merchant: p.MerchantID, Livemode: p.Livemode, Type: t, ResourceType: webhook.ResourcePayout, ResourceID: string(p.ID),
		Payload: webhook.PayoutPayload{
			PayoutID: p.ID, Amounts: webhook.NewAmounts(p.Amount, "USDC"), DestinationWallet: common.HexToAddress(p.Destination).Hex(),
			Status: string(status), Network: p.Network, Transaction: transaction, Reason: why,
		},
	})
}

func (c *Custody) changedTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant) error {
	if c.o.Changed == nil {
		return nil
	}
	if err := c.o.Changed(ctx, tx, merchant); err != nil {
		return fmt.Errorf("tell pages of %s: %w", merchant, err)
	}
	return nil
}
