package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// Holding is how a shop's money stands on one network.
type Holding struct {
	Network   evm.Network
	Collects  bool           // buyers pay to the address that is kept for the shop
	Own       common.Address // where the shop is paid, or paid out; zero for none
	Deposit   common.Address // zero where none was ever given to it
	Available money.USDC     // kept for the shop, and owed to it
	Pending   money.USDC     // being paid to the address that is kept for it
	InPayout  money.USDC     // on its way to the shop
	InRefund  money.USDC     // on its way to buyers
	Open      money.USDC     // came without an explanation
	Fees      money.USDC     // the platform's, of what is kept
	Deposited money.USDC     // what the books say lies at the deposit address
	Received  money.USDC     // what sales brought to the shop's own address, less what was given back from there
	OnChain   *OnChain       // what lies at the address that counts now; nil where the network does not answer
	// Drift is what lies at the deposit address beyond the books, while nothing moves there; it has to be zero.
	Drift money.USDC
}

// OnChain is what an address held at the end of a block.
type OnChain struct {
	Address common.Address
	Amount  money.USDC
	Block   uint64
	Time    time.Time
}

// lookTimeout is how long a page waits for the networks.
const lookTimeout = 2 * time.Second

// Holdings tells how a shop's money stands, network by network. Networks that do not answer in time are left to the books.
func (c *Custody) Holdings(ctx context.Context, merchant id.Merchant, livemode bool) ([]Holding, error) {
	modes, err := c.Modes(ctx, merchant, livemode)
	if err != nil {
		return nil, err
	}
	q := queries.New()
	rows, err := q.BalancesOf(ctx, c.pool, merchant)
	if err != nil {
		return nil, fmt.Errorf("balances of %s: %w", merchant, err)
	}
	pending, err := q.DepositsFlight(ctx, c.pool, merchant)
	if err != nil {
		return nil, fmt.Errorf("what is being paid to %s: %w", merchant, err)
	}
	var out []Holding
	for _, n := range c.networksOf(livemode) {
		h, there := Holding{Network: n}, false
		for _, m := range modes {
			if m.Network.ID == n.ID {
				h.Collects, h.Own, h.Deposit, there = m.Collects, m.Own, m.Deposit, true
			}
		}
		for _, r := range rows {
			if r.Network == n.ID && r.Asset == tokenOf(n) {
				h.add(Account(r.Account), money.USDC(r.Amount))
				there = true
			}
		}
		for _, r := range pending {
			if r.Network == n.ID {
				h.Pending = money.USDC(r.Amount)
			}
		}
		if there {
			out = append(out, h)
		}
	}
	c.lookAll(ctx, merchant, out)
	return out, nil
}

// add puts the balance of an account into its place; what is owed is negative in the books.
func (h *Holding) add(a Account, amount money.USDC) {
	switch a {
	case Available:
		h.Available = -amount
	case Payouts:
		h.InPayout = -amount
	case Refunds:
		h.InRefund = -amount
	case Exceptions:
		h.Open = -amount
	case Fees:
		h.Fees = -amount
	case Deposit:
		h.Deposited = amount
	case Wallet:
		h.Received = amount
	case Sales, Gas, Relayer, SimulatedWallet, SimulatedSales:
	}
}

// lookAll asks the networks what lies at the addresses.
func (c *Custody) lookAll(ctx context.Context, merchant id.Merchant, all []Holding) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for i := range all {
		h := &all[i]
		chain, ok := c.o.Chains[h.Network.ID]
		if !ok {
			continue
		}
		at := h.Own
		if h.Collects {
			at = h.Deposit
		}
		if (at != common.Address{}) {
			h.OnChain = lookAt(ctx, chain, at)
		}
		if (h.Deposit != common.Address{}) {
			h.Drift, _, _ = c.drift(ctx, chain, merchant, h.Deposit) // what cannot be seen is no drift
		}
	}
}

func lookAt(ctx context.Context, chain *evm.Chain, at common.Address) *OnChain {
	head, err := chain.Head(ctx)
	if err != nil {
		return nil
	}
	amount, err := chain.BalanceAt(ctx, at, head)
	if err != nil {
		return nil
	}
	return &OnChain{at, amount, head.Number, head.Time}
}

// drift is what lies at a shop's deposit address beyond what the books say. calm is false while something moves there: then
// nothing can be said.
func (c *Custody) drift(ctx context.Context, chain *evm.Chain, merchant id.Merchant, deposit common.Address) (drift money.USDC, calm bool, err error) {
	q := queries.New()
	ask := queries.DepositBookedParams{MerchantID: merchant, Network: chain.Network().ID, Address: lower(deposit)}
	before, err := q.DepositBooked(ctx, c.pool, ask)
	if err != nil {
		return 0, false, fmt.Errorf("what the books say of %s: %w", deposit, err)
	}
	head, err := chain.Head(ctx)
	if err != nil {
		return 0, false, err
	}
	amount, err := chain.BalanceAt(ctx, deposit, head)
	if err != nil {
		return 0, false, err
	}
	after, err := q.DepositBooked(ctx, c.pool, ask)
	if err != nil {
		return 0, false, fmt.Errorf("what the books say of %s: %w", deposit, err)
	}
	if before.Moving || after.Moving || before.Booked != after.Booked {
		return 0, false, nil
	}
	return amount - money.USDC(after.Booked), true, nil
}

// Audit names what must never be of what is kept for shops. An error means that not everything could be checked.
func (c *Custody) Audit(ctx context.Context) ([]string, error) {
	q := queries.New()
	var out []string
	for _, r := range []struct {
		rule string
		look func(context.Context, queries.DBTX) ([]string, error)
	}{
		{"what is owed to a shop is not below zero", q.AuditOwed},
		{"what is on its way in the books is on its way", q.AuditFlight},
		{"a sending goes from its shop's address", q.AuditSendings},
		{"what is on its way has a job", c.auditJobs},
	} {
		broken, err := r.look(ctx, c.pool)
		if err != nil {
			return out, fmt.Errorf("audit whether %s: %w", r.rule, err)
		}
		for _, what := range broken {
			out = append(out, r.rule+": "+what)
		}
	}
	strays, err := q.StraysOpen(ctx, c.pool)
	if err != nil {
		return out, fmt.Errorf("audit what the books lack: %w", err)
	}
	for _, s := range strays {
		out = append(out, fmt.Sprintf("the chain is not ahead of the books: %s USDC left %s in %s", s.Amount, s.PayFrom, s.Transaction))
	}
	var problems []error
	for network, chain := range c.o.Chains {
		broken, err := c.auditDeposits(ctx, network, chain)
		out, problems = append(out, broken...), append(problems, err)
	}
	return out, errors.Join(problems...)
}

func (c *Custody) auditDeposits(ctx context.Context, network string, chain *evm.Chain) ([]string, error) {
	deposits, err := c.Watched(ctx, network)
	if err != nil {
		return nil, err
	}
	var out []string
	for address, merchant := range deposits {
		drift, calm, err := c.drift(ctx, chain, merchant, address)
		if err != nil {
			return out, fmt.Errorf("audit %s: %w", address, err)
		}
		if calm && drift != 0 {
			out = append(out, fmt.Sprintf("a deposit address holds what the books say: %s holds %s USDC more", strings.ToLower(address.Hex()), drift))
		}
	}
	return out, nil
}

// jobless finds sendings under way without a job that would come back to them. The jobs' table is not in our schema.
const jobless = `
SELECT 'sending ' || s.id FROM sendings s
WHERE (s.status IN ('queued', 'processing', 'sent') OR s.lost_at IS NOT NULL) AND s.created_at < $1 AND (s.lost_at IS NULL OR s.lost_at < $1)
  AND NOT EXISTS (SELECT FROM river_job j WHERE j.kind = 'send' AND j.args->>'sending' = s.id AND j.finalized_at IS NULL)`

func (c *Custody) auditJobs(ctx context.Context, db queries.DBTX) ([]string, error) {
	rows, err := db.Query(ctx, jobless, c.now().Add(-4*c.o.Sweep))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var what string
		if err := rows.Scan(&what); err != nil {
			return nil, err
		}
		out = append(out, what)
	}
	return out, rows.Err()
}
