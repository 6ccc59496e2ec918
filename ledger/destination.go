package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/webhook"
)

// DestinationWait is how long a new address waits before money goes there, so that a thief's can be stopped.
const DestinationWait = 24 * time.Hour

// fieldDestination is what the form calls where the money goes.
const fieldDestination = "destination_wallet"

// payoutsPath is where notices about payouts lead.
const payoutsPath = "/dashboard/payouts"

// NewDestinationError is returned for an address to which money does not go yet.
type NewDestinationError struct {
	Address common.Address
	From    time.Time // from when on it does; zero where nobody has added it
}

func (e *NewDestinationError) Error() string {
	return fmt.Sprintf("ledger: %s is not known for a day", e.Address)
}

// Destination is where a shop's money may go.
type Destination struct {
	Network evm.Network
	Address common.Address
	From    time.Time // from when on
	Own     bool      // it is where the shop is paid
}

// checkAddress reads where money is to go, and refuses what takes it and never gives it back.
func (c *Custody) checkAddress(ctx context.Context, n evm.Network, text string) (common.Address, error) {
	text = strings.TrimSpace(text)
	digits, found := strings.CutPrefix(text, "0x")
	address := common.HexToAddress(text)
	var problem string
	switch {
	case text == "":
		problem = "Give the address of your wallet."
	case !found || !common.IsHexAddress(text):
		problem = "An address is 0x and 40 figures and letters from a to f. Copy it from your wallet."
	case digits != strings.ToLower(digits) && digits != strings.ToUpper(digits) && digits != address.Hex()[2:]:
		problem = "A character is wrong: the capital letters do not fit the rest. Copy it from your wallet."
	case address == common.Address{}:
		problem = "Money sent there would be lost. Give your own address."
	case address == n.Token.Address:
		problem = "This is the address of USDC itself. Money sent there would be lost. Give your own address."
	}
	if problem != "" {
		return address, &FieldError{fieldDestination, problem}
	}
	ours, err := queries.New().DepositIsOurs(ctx, c.pool, lower(address))
	if err != nil {
		return address, fmt.Errorf("look at %s: %w", address, err)
	}
	if ours {
		return address, &FieldError{fieldDestination, "This address is kept for a shop: nothing would be paid out. Give your own address."}
	}
	return address, nil
}

// checkDestinationTx lets through an address that is known for a day.
func (c *Custody) checkDestinationTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant, n evm.Network, to common.Address) error {
	q, now := queries.New(), c.now()
	known, err := q.DestinationKnownAt(ctx, tx, queries.DestinationKnownAtParams{MerchantID: merchant, Network: n.ID, Address: lower(to)})
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("look for %s: %w", to, err)
	}
	added := err == nil
	if added && !known.After(now) {
		return nil
	}
	payee, err := q.PayeeByNetwork(ctx, tx, queries.PayeeByNetworkParams{MerchantID: merchant, Network: n.ID})
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("address of %s: %w", merchant, err)
	}
	own := err == nil && payee.Address == lower(to) && payee.ProvenAt != nil
	switch {
	case own && !ownFrom(payee).After(now):
		return nil
	case own:
		return &NewDestinationError{to, ownFrom(payee)}
	case added:
		return &NewDestinationError{to, known}
	default:
		return &NewDestinationError{Address: to}
	}
}

// ownFrom is from when on a shop may have its money paid out to where it is paid.
func ownFrom(p queries.Payee) time.Time { return p.ProvenAt.Add(DestinationWait) }

// Destinations lists where a shop's money may go, now or soon.
func (c *Custody) Destinations(ctx context.Context, merchant id.Merchant, livemode bool) ([]Destination, error) {
	q := queries.New()
	rows, err := q.DestinationList(ctx, c.pool, merchant)
	if err != nil {
		return nil, fmt.Errorf("payout addresses of %s: %w", merchant, err)
	}
	var out []Destination
	listed := map[string]bool{}
	for _, r := range rows {
		if n, err := c.o.Networks.Network(r.Network); err == nil && n.Test != livemode {
			out = append(out, Destination{Network: n, Address: common.HexToAddress(r.Address), From: r.KnownAt})
			listed[r.Network+r.Address] = true
		}
	}
	for _, n := range c.networksOf(livemode) {
		payee, err := q.PayeeByNetwork(ctx, c.pool, queries.PayeeByNetworkParams{MerchantID: merchant, Network: n.ID})
		if errors.Is(err, pgx.ErrNoRows) || err == nil && (payee.ProvenAt == nil || listed[n.ID+payee.Address]) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("address of %s: %w", merchant, err)
		}
		out = append(out, Destination{Network: n, Address: common.HexToAddress(payee.Address), From: ownFrom(payee), Own: true})
	}
	return out, nil
}

// destinationSeen is what the audit log says of one.
type destinationSeen struct {
	Network string     `json:"network"`
	Address string     `json:"address"`
	From    *time.Time `json:"from,omitempty"`
}

// AddDestination lets money go to an address from [DestinationWait] on, and says so in the bell. Errors: [*FieldError].
func (c *Custody) AddDestination(ctx context.Context, merchant id.Merchant, network, text string, by audit.By) error {
	n, err := c.o.Networks.Network(network)
	if err != nil {
		return err
	}
	address, err := c.checkAddress(ctx, n, text)
	if err != nil {
		return err
	}
	now := c.now()
	return c.addDestination(ctx, merchant, n, address, now, now.Add(DestinationWait), by)
}

// TrustDestination lets money go to an address at once. It is for the development build.
func (c *Custody) TrustDestination(ctx context.Context, merchant id.Merchant, network string, address common.Address) error {
	n, err := c.o.Networks.Network(network)
	if err != nil {
		return err
	}
	now := c.now()
	return c.addDestination(ctx, merchant, n, address, now, now, audit.By{Actor: "xSynesis"})
}

func (c *Custody) addDestination(ctx context.Context, merchant id.Merchant, n evm.Network, address common.Address, now, from time.Time, by audit.By) error {
	err := pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		added, err := queries.New().DestinationInsert(ctx, tx, queries.DestinationInsertParams{
			MerchantID: merchant, Network: n.ID, Address: lower(address), KnownAt: from, CreatedAt: now,
		})
		if err != nil || added == 0 {
			return err
		}
		if err := audit.RecordTx(ctx, tx, now, audit.Row{
			By: by, Merchant: merchant, Action: "payout_address.added", ResourceType: "payout_address", ResourceID: address.Hex(),
			After: destinationSeen{n.ID, address.Hex(), &from},
		}); err != nil || !from.After(now) {
			return err
		}
		return c.o.Webhooks.NoticeTx(ctx, tx, now, webhook.Notice{
			Merchant: merchant, Livemode: !n.Test, Kind: "payout_address_added", Link: payoutsPath,
			Text: fmt.Sprintf("%s was added as a payout address. Money can go there from %s on. If that was none of you, remove it.",
				address.Hex(), from.UTC().Format("2 Jan 2006, 15:04 UTC")),
		})
	})
	if err != nil {
		return fmt.Errorf("add a payout address of %s: %w", merchant, err)
	}
	return nil
}

// RemoveDestination keeps money from going to an address. Errors: [ErrNotFound].
func (c *Custody) RemoveDestination(ctx context.Context, merchant id.Merchant, network string, address common.Address, by audit.By) error {
	err := pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		n, err := queries.New().DestinationDelete(ctx, tx, queries.DestinationDeleteParams{MerchantID: merchant, Network: network, Address: lower(address)})
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrNotFound
		}
		return audit.RecordTx(ctx, tx, c.now(), audit.Row{
			By: by, Merchant: merchant, Action: "payout_address.removed", ResourceType: "payout_address", ResourceID: address.Hex(),
			Before: destinationSeen{Network: network, Address: address.Hex()},
		})
	})
	if err != nil {
		return fmt.Errorf("remove a payout address of %s: %w", merchant, err)
	}
	return nil
}

// Limit is what programs may pay out for a shop within 24 hours, on each network.
func (c *Custody) Limit(ctx context.Context, merchant id.Merchant) (money.USDC, error) {
	m, err := queries.New().MerchantByID(ctx, c.pool, merchant)
	if err != nil {
		return 0, fmt.Errorf("limit of %s: %w", merchant, err)
	}
	return m.PayoutLimit, nil
}

// limitSeen is what the audit log says of what programs may pay out.
type limitSeen struct {
	Limit string `json:"limit"`
}

// SetLimit changes what programs may pay out; nothing at all is 0. Errors: [*FieldError].
func (c *Custody) SetLimit(ctx context.Context, merchant id.Merchant, limit money.USDC, by audit.By) error {
	if limit < 0 {
		return &FieldError{"limit", "Give an amount, or 0 for nothing."}
	}
	err := pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		q := queries.New()
		if _, err := q.MerchantLock(ctx, tx, merchant); err != nil {
			return err
		}
		was, err := q.MerchantByID(ctx, tx, merchant)
		if err != nil {
			return err
		}
		changed, err := q.MerchantSetPayoutLimit(ctx, tx, queries.MerchantSetPayoutLimitParams{ID: merchant, PayoutLimit: limit})
		if err != nil || changed == 0 {
			return err
		}
		return audit.RecordTx(ctx, tx, c.now(), audit.Row{
			By: by, Merchant: merchant, Action: "payout_limit.set", ResourceType: "shop", ResourceID: string(merchant),
			Before: limitSeen{was.PayoutLimit.Units()}, After: limitSeen{limit.Units()},
		})
	})
	if err != nil {
		return fmt.Errorf("set the payout limit of %s: %w", merchant, err)
	}
	return nil
}
