package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/vault"
	"xsynesis/webhook"
)

var (
	// ErrNotFound is returned for what is not there, or belongs to another shop.
	ErrNotFound = errors.New("ledger: not found")
	// ErrInsufficient is returned for more than is owed to the shop.
	ErrInsufficient = errors.New("ledger: more than is available")
	// ErrNothingCollected is returned where buyers pay the shop's own address: there is nothing to pay out.
	ErrNothingCollected = errors.New("ledger: nothing is kept for this shop")
	// ErrReadOnly is returned while the chain has moved what the books do not know of, see [Custody.Watch].
	ErrReadOnly = errors.New("ledger: the chain is ahead of the books")
	// ErrNoDeposit is returned where no address is ready to be given to a shop.
	ErrNoDeposit = errors.New("ledger: no deposit address is ready")
)

// FieldError is a mistake in a form, as whoever filled it in may read it.
type FieldError struct{ Field, Message string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Message }

// Settler moves an authorized transfer on chain; only worker processes have one. [evm.Relayer] is one.
type Settler interface {
	Settle(ctx context.Context, t evm.Transfer, k evm.Keeper) (evm.Proof, error)
}

// CustodyOptions are what a [Custody] needs beside its database and its queue.
type CustodyOptions struct {
	Networks *evm.Registry
	Chains   map[string]*evm.Chain // by CAIP-2 id
	Settlers map[string]Settler    // by CAIP-2 id; empty in web processes
	// Vault opens the keys of deposit addresses. Only worker processes have one.
	Vault    *vault.Vault
	Webhooks *webhook.Service
	// Changed tells the pages of a shop, once tx is committed; nil where nobody looks.
	Changed func(ctx context.Context, tx pgx.Tx, merchant id.Merchant) error
	Lease   time.Duration // how long a worker owns a sending after it last said so
	Sweep   time.Duration // how often lost work is looked for
	Now     func() time.Time
}

// Custody keeps money for shops whose buyers pay to addresses of ours, and sends it where it belongs: to the shop, or back
// to a buyer.
type Custody struct {
	pool   *pgxpool.Pool
	jobs   *river.Client[pgx.Tx]
	o      CustodyOptions
	now    func() time.Time
	owners map[string]Owner

	compared sync.Map // networks whose chain was compared with the books since this process began
}

// NewCustody returns it; jobs only needs to insert.
func NewCustody(pool *pgxpool.Pool, jobs *river.Client[pgx.Tx], o CustodyOptions) *Custody {
	c := &Custody{pool: pool, jobs: jobs, o: o, now: o.Now}
	c.owners = map[string]Owner{id.Payout("").Prefix(): payoutOwner{c}}
	return c
}

// Own makes somebody hear of the sendings whose ids begin with a prefix. It is for the start of a process.
func (c *Custody) Own(prefix string, o Owner) { c.owners[prefix] = o }

// LockOwedTx returns what is owed to a shop on one network, which nobody else takes of until the transaction ends.
func LockOwedTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant, network, asset string) (money.USDC, error) {
	q := queries.New()
	if err := q.OwedLock(ctx, tx, queries.OwedLockParams{MerchantID: string(merchant), Network: network}); err != nil {
		return 0, fmt.Errorf("lock what is owed to %s: %w", merchant, err)
	}
	owed, err := q.Owed(ctx, tx, queries.OwedParams{MerchantID: merchant, Network: network, Asset: asset})
	if err != nil {
		return 0, fmt.Errorf("what is owed to %s: %w", merchant, err)
	}
	return money.USDC(owed), nil
}

// Fee is the platform's share of an amount: so many hundredths of a per cent, rounded down to a base unit.
func Fee(amount money.USDC, bps int) money.USDC {
	const whole = 10_000
	part := money.USDC(bps)
	return amount/whole*part + amount%whole*part/whole
}

// Spread shares a fee among the lines of a sale by their amounts, so that the shares sum to it. Lines that take something
// off bear none of it.
func Spread(fee money.USDC, lines []money.USDC) []money.USDC {
	var total, passed, given money.USDC
	for _, l := range lines {
		total += max(l, 0)
	}
	out := make([]money.USDC, len(lines))
	for i, l := range lines {
		if l <= 0 {
			continue
		}
		passed += l
		out[i] = share(fee, passed, total) - given
		given += out[i]
	}
	return out
}

// tokenOf is a network's one asset, as the books have it.
func tokenOf(n evm.Network) string { return lower(n.Token.Address) }

func lower(a common.Address) string { return strings.ToLower(a.Hex()) }

// networksOf lists the networks whose money is real, or is not.
func (c *Custody) networksOf(livemode bool) []evm.Network {
	return slices.DeleteFunc(c.o.Networks.Known(), func(n evm.Network) bool { return n.Test == livemode })
}
