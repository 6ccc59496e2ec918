package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// rewatch is how many of the newest blocks are looked at again: nodes behind one address do not all know them at once.
const rewatch = 32

// Watch compares a chain with the books: what left an address of ours under a signature that the books do not know as sent
// makes them older than the chain, as after a restore. From then on nothing leaves until somebody has entered it.
func (c *Custody) Watch(ctx context.Context, network string) error {
	chain, ok := c.o.Chains[network]
	if !ok {
		return nil
	}
	if err := c.watch(ctx, network, chain); err != nil {
		return fmt.Errorf("compare %s with the books: %w", network, err)
	}
	c.compared.Store(network, true)
	return nil
}

// compareOnce makes sure that a chain was compared with the books since this process began.
func (c *Custody) compareOnce(ctx context.Context, network string) error {
	if _, ok := c.compared.Load(network); ok {
		return nil
	}
	return c.Watch(ctx, network)
}

func (c *Custody) watch(ctx context.Context, network string, chain *evm.Chain) error {
	q := queries.New()
	head, err := chain.Head(ctx)
	if err != nil {
		return err
	}
	from, err := q.CustodyHead(ctx, c.pool, network)
	if errors.Is(err, pgx.ErrNoRows) {
		// Addresses that nobody ever had cannot have paid before.
		from, err = int64(head.Number), nil
	}
	if err != nil {
		return err
	}
	deposits, err := c.Watched(ctx, network)
	if err != nil {
		return err
	}
	uses, err := chain.Uses(ctx, slices.Collect(maps.Keys(deposits)), uint64(from), head.Number)
	if err != nil {
		return err
	}
	if err := c.noteStrays(ctx, network, deposits, uses); err != nil {
		return err
	}
	return q.CustodyHeadSet(ctx, c.pool, queries.CustodyHeadSetParams{Network: network, Block: max(from, int64(head.Number)-rewatch)})
}

// noteStrays writes down what was sent without our knowing.
func (c *Custody) noteStrays(ctx context.Context, network string, deposits map[common.Address]id.Merchant, uses []evm.Use) error {
	if len(uses) == 0 {
		return nil
	}
	nonces := make([]string, len(uses))
	for i, u := range uses {
		nonces[i] = u.Nonce.Hex()
	}
	q := queries.New()
	rows, err := q.SendingsByNonce(ctx, c.pool, queries.SendingsByNonceParams{Network: network, Nonces: nonces})
	if err != nil {
		return fmt.Errorf("sendings by nonce: %w", err)
	}
	for i, u := range uses {
		known := slices.ContainsFunc(rows, func(r queries.SendingsByNonceRow) bool {
			return r.Nonce == nonces[i] && r.Status != "failed" // what is under way finds its own end
		})
		if known {
			continue
		}
		n, err := q.StrayInsert(ctx, c.pool, queries.StrayInsertParams{
			Network: network, Transaction: u.Transaction.Hex(), Nonce: nonces[i], MerchantID: deposits[u.Payer], PayFrom: lower(u.Payer),
			PayTo: lower(u.Payee), Amount: u.Value, Block: int64(u.Block), SeenAt: c.now(),
		})
		if err != nil {
			return fmt.Errorf("note %s: %w", u.Transaction, err)
		}
		if n > 0 {
			slog.ErrorContext(ctx, "the chain is ahead of the books: nothing leaves until this is entered",
				"merchant", deposits[u.Payer], "network", network, "tx", u.Transaction, "amount", u.Value)
		}
	}
	return nil
}

// Stray is money that left an address of ours and that the books do not know of.
type Stray struct {
	Network     string
	Nonce       string
	Transaction string
	To          common.Address
	Amount      money.USDC
}

// Strays lists those of a shop that wait to be entered.
func (c *Custody) Strays(ctx context.Context, merchant id.Merchant) ([]Stray, error) {
	rows, err := queries.New().StraysOf(ctx, c.pool, merchant)
	if err != nil {
		return nil, fmt.Errorf("what the books of %s lack: %w", merchant, err)
	}
	out := make([]Stray, len(rows))
	for i, r := range rows {
		out[i] = Stray{Network: r.Network, Nonce: r.Nonce, Transaction: r.Transaction, To: common.HexToAddress(r.PayTo), Amount: r.Amount}
	}
	return out, nil
}

// straySeen is what the audit log says of one.
type straySeen struct {
	Network     string `json:"network"`
	Transaction string `json:"transaction"`
	To          string `json:"to"`
	Amount      string `json:"amount"`
}

// EnterStray enters as paid out what the books did not know of. Errors: [ErrNotFound], [ErrInsufficient] where the books lack
// the payments that it was made of: these have to be entered first.
func (c *Custody) EnterStray(ctx context.Context, merchant id.Merchant, network, nonce string, by audit.By) error {
	n, err := c.o.Networks.Network(network)
	if err != nil {
		return err
	}
	now := c.now()
	err = pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		owed, err := LockOwedTx(ctx, tx, merchant, network, tokenOf(n))
		if err != nil {
			return err
		}
		r, err := queries.New().StrayResolve(ctx, tx, queries.StrayResolveParams{Network: network, Nonce: nonce, MerchantID: merchant, ResolvedBy: by.Actor, Now: now})
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		if owed < r.Amount {
			return ErrInsufficient
		}
		if err := audit.RecordTx(ctx, tx, now, audit.Row{
			By: by, Merchant: merchant, Action: "payout.entered", ResourceType: "transaction", ResourceID: r.Transaction,
			After: straySeen{network, r.Transaction, r.PayTo, r.Amount.Units()},
		}); err != nil {
			return err
		}
		return PostTx(ctx, tx, now, Posting{Merchant: merchant, Kind: PayoutCompleted, Source: r.Transaction, Entries: []Entry{
			{Account: Available, Network: network, Asset: tokenOf(n), Amount: r.Amount},
			{Account: Deposit, Network: network, Asset: tokenOf(n), Amount: -r.Amount},
		}})
	})
	if err != nil {
		return fmt.Errorf("enter what left %s: %w", merchant, err)
	}
	return nil
}
