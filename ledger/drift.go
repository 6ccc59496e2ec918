package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/webhook"
)

// Drift is what was found at the address that is kept for a shop beyond its books; below zero, what it lacks.
type Drift struct {
	Network evm.Network
	Amount  money.USDC
	Since   time.Time
}

// Drifts tells a shop where its books and what lies at its addresses differed when they were last compared.
func (c *Custody) Drifts(ctx context.Context, merchant id.Merchant, livemode bool) ([]Drift, error) {
	rows, err := queries.New().DriftsOf(ctx, c.pool, merchant)
	if err != nil {
		return nil, fmt.Errorf("what differs for %s: %w", merchant, err)
	}
	var out []Drift
	for _, r := range rows {
		n, err := c.o.Networks.Network(r.Network)
		if err != nil {
			return nil, err
		}
		if n.Test != livemode {
			out = append(out, Drift{Network: n, Amount: r.Amount, Since: r.Since})
		}
	}
	return out, nil
}

// driftAgain is how long a difference has to last: money that just came is in the books a moment later.
const driftAgain = 3 * time.Second

// NoteDrifts compares what lies at the addresses of a network that are kept for shops with the books, and notes where they
// differ, down to one unit. Where money moves at the moment nothing can be said, and nothing changes.
func (c *Custody) NoteDrifts(ctx context.Context, network string) error {
	chain, ok := c.o.Chains[network]
	if !ok {
		return nil
	}
	deposits, err := c.Watched(ctx, network)
	if err != nil {
		return err
	}
	found := make(map[common.Address]money.USDC)
	var problems []error
	for address, merchant := range deposits {
		drift, calm, err := c.drift(ctx, chain, merchant, address)
		switch {
		case err != nil:
			problems = append(problems, err)
		case calm && drift != 0:
			found[address] = drift
		case calm:
			problems = append(problems, c.noteDrift(ctx, chain.Network(), merchant, 0))
		}
	}
	if len(found) == 0 {
		return errors.Join(problems...)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(driftAgain):
	}
	for _, address := range slices.SortedFunc(maps.Keys(found), common.Address.Cmp) {
		drift, calm, err := c.drift(ctx, chain, deposits[address], address)
		if err == nil && calm && drift == found[address] {
			err = c.noteDrift(ctx, chain.Network(), deposits[address], drift)
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// noteDrift writes down how far a shop's address is from its books, and tells it of what is new.
func (c *Custody) noteDrift(ctx context.Context, n evm.Network, merchant id.Merchant, drift money.USDC) error {
	err := pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		q, now := queries.New(), c.now()
		if drift == 0 {
			gone, err := q.DriftGone(ctx, tx, queries.DriftGoneParams{MerchantID: merchant, Network: n.ID})
			if err != nil || gone == 0 {
				return err
			}
			return c.changedTx(ctx, tx, merchant)
		}
		fresh, err := q.DriftSet(ctx, tx, queries.DriftSetParams{MerchantID: merchant, Network: n.ID, Amount: drift, Now: now})
		if err != nil {
			return err
		}
		slog.ErrorContext(ctx, "an address does not hold what the books say", "merchant", merchant, "network", n.ID, "beyond", drift)
		if !fresh {
			return nil
		}
		if err := c.changedTx(ctx, tx, merchant); err != nil {
			return err
		}
		return c.o.Webhooks.NoticeTx(ctx, tx, now, webhook.Notice{
			Merchant: merchant, Livemode: !n.Test, Kind: "books_differ", Link: "/dashboard/balance",
			Text: fmt.Sprintf("The address that is kept for you on %s does not hold what the books say. Whoever runs this gateway has to look at it.", n.Name),
		})
	})
	if err != nil {
		return fmt.Errorf("note the difference of %s: %w", merchant, err)
	}
	return nil
}
