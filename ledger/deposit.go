package ledger

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/queries"
)

// poolMost is how many addresses of a network wait for shops.
const poolMost = 20

// Fill makes addresses until enough of each network wait for shops. Without the key that seals theirs it makes none.
func (c *Custody) Fill(ctx context.Context) error {
	if c.o.Vault == nil {
		return nil
	}
	q := queries.New()
	rows, err := q.DepositsFree(ctx, c.pool)
	if err != nil {
		return fmt.Errorf("count free deposit addresses: %w", err)
	}
	free := map[string]int32{}
	for _, r := range rows {
		free[r.Network] = r.Free
	}
	for _, n := range c.o.Networks.All() {
		for range poolMost - int(free[n.ID]) {
			if err := c.make(ctx, n.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Custody) make(ctx context.Context, network string) error {
	key, err := crypto.GenerateKey()
	if err != nil {
		return fmt.Errorf("draw a deposit key: %w", err)
	}
	address := lower(crypto.PubkeyToAddress(key.PublicKey))
	err = queries.New().DepositInsert(ctx, c.pool, queries.DepositInsertParams{
		Network: network, Address: address, Sealed: c.o.Vault.Seal(sealedAs(network, address), crypto.FromECDSA(key)), CreatedAt: c.now(),
	})
	if err != nil {
		return fmt.Errorf("keep a deposit address: %w", err)
	}
	return nil
}

// sealedAs names the place of a key, so that it opens nowhere else.
func sealedAs(network, address string) string {
	return "deposit_addresses/" + network + " " + address + "/sealed"
}

// keyOf opens the key of a shop's deposit address.
func (c *Custody) keyOf(ctx context.Context, merchant id.Merchant, network string) (*ecdsa.PrivateKey, error) {
	row, err := queries.New().DepositOf(ctx, c.pool, queries.DepositOfParams{MerchantID: string(merchant), Network: network})
	if err != nil {
		return nil, fmt.Errorf("deposit address of %s: %w", merchant, err)
	}
	secret, err := c.o.Vault.Open(sealedAs(network, row.Address), row.Sealed)
	if err != nil {
		return nil, fmt.Errorf("deposit key of %s: %w", merchant, err)
	}
	key, err := crypto.ToECDSA(secret)
	if err != nil || lower(crypto.PubkeyToAddress(key.PublicKey)) != row.Address {
		return nil, fmt.Errorf("deposit key of %s is not that of %s: %w", merchant, row.Address, errors.Join(err, errForeignKey))
	}
	return key, nil
}

// resealStep is how many keys are read at a time.
const resealStep = 500

// Reseal seals anew, with the first custody key, the keys of addresses that a former one has sealed, and returns how many rows
// it changed. What does not open is in the error, and does not keep the others.
func (c *Custody) Reseal(ctx context.Context) (changed int, err error) {
	q, page := queries.New(), queries.DepositKeysParams{Most: resealStep}
	var failed []error
	for {
		rows, err := q.DepositKeys(ctx, c.pool, page)
		if err != nil {
			return changed, fmt.Errorf("keys of deposit addresses: %w", err)
		}
		if len(rows) == 0 {
			return changed, errors.Join(failed...)
		}
		for _, row := range rows {
			page.Network, page.Address = row.Network, row.Address
			if !c.o.Vault.Stale(row.Sealed) {
				continue
			}
			key, err := c.o.Vault.Open(sealedAs(row.Network, row.Address), row.Sealed)
			if err != nil {
				failed = append(failed, err)
				continue
			}
			n, err := q.DepositReseal(ctx, c.pool, queries.DepositResealParams{
				Network: row.Network, Address: row.Address, Sealed: c.o.Vault.Seal(sealedAs(row.Network, row.Address), key), Was: row.Sealed,
			})
			if err != nil {
				return changed, fmt.Errorf("seal %s: %w", row.Address, err)
			}
			changed += int(n)
		}
	}
}

var errForeignKey = errors.New("ledger: another address's key")

// Mode is who keeps a shop's money on one network.
type Mode struct {
	Network  evm.Network
	Own      common.Address // where the shop is paid, or paid out
	Proven   bool
	Collects bool           // buyers pay to the address that is kept for the shop
	Deposit  common.Address // zero where none was ever given to it
}

// Modes lists them for the networks on which a shop has an address.
func (c *Custody) Modes(ctx context.Context, merchant id.Merchant, livemode bool) ([]Mode, error) {
	q := queries.New()
	rows, err := q.PayeeModes(ctx, c.pool, merchant)
	if err != nil {
		return nil, fmt.Errorf("who keeps the money of %s: %w", merchant, err)
	}
	deposits, err := q.DepositsOf(ctx, c.pool, string(merchant))
	if err != nil {
		return nil, fmt.Errorf("deposit addresses of %s: %w", merchant, err)
	}
	given := map[string]common.Address{}
	for _, d := range deposits {
		given[d.Network] = common.HexToAddress(d.Address)
	}
	var out []Mode
	for _, r := range rows {
		n, err := c.o.Networks.Network(r.Network)
		if err != nil || n.Test == livemode {
			continue // a network that this version does not know any more, or of the other money
		}
		out = append(out, Mode{Network: n, Own: common.HexToAddress(r.Address), Proven: r.ProvenAt != nil, Collects: r.Collects, Deposit: given[r.Network]})
	}
	return out, nil
}

// modeSeen is what the audit log says of who keeps the money.
type modeSeen struct {
	Network  string `json:"network"`
	Collects bool   `json:"collects"`
}

// SetMode says who keeps a shop's money on a network from now on. Purchases that were begun are paid where they said, and
// an address that was given to the shop stays its own. Errors: [ErrNotFound] where the shop has no address of its own,
// [*FieldError] where real money needs a proven one, [ErrNoDeposit].
func (c *Custody) SetMode(ctx context.Context, merchant id.Merchant, network string, collects bool, by audit.By) error {
	n, err := c.o.Networks.Network(network)
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		q := queries.New()
		if _, err := q.MerchantLock(ctx, tx, merchant); err != nil {
			return err
		}
		payee, err := q.PayeeByNetwork(ctx, tx, queries.PayeeByNetworkParams{MerchantID: merchant, Network: network})
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		if collects && !n.Test && payee.ProvenAt == nil {
			return &FieldError{"network", "Prove first that your receiving address is yours: the money is paid out to it."}
		}
		if collects {
			if err := assignTx(ctx, tx, merchant, network, c.now()); err != nil {
				return err
			}
		}
		changed, err := q.PayeeCollect(ctx, tx, queries.PayeeCollectParams{MerchantID: merchant, Network: network, Collects: collects})
		if err != nil || changed == 0 {
			return err
		}
		return audit.RecordTx(ctx, tx, c.now(), audit.Row{
			By: by, Merchant: merchant, Action: "payee.mode_set", ResourceType: "receiving_address", ResourceID: network,
			Before: modeSeen{network, !collects}, After: modeSeen{network, collects},
		})
	})
	if err != nil {
		return fmt.Errorf("say who keeps the money of %s: %w", merchant, err)
	}
	return nil
}

// assignTx gives a shop an address that is its own from then on, unless it has one.
func assignTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant, network string, now time.Time) error {
	q := queries.New()
	_, err := q.DepositOf(ctx, tx, queries.DepositOfParams{MerchantID: string(merchant), Network: network})
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	address, err := q.DepositTake(ctx, tx, queries.DepositTakeParams{MerchantID: string(merchant), Network: network, Now: now})
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNoDeposit
	}
	if err != nil {
		return fmt.Errorf("take a deposit address: %w", err)
	}
	slog.InfoContext(ctx, "deposit address given", "merchant", merchant, "network", network, "address", address)
	return nil
}

// Watched lists the addresses on a network at which money is kept for shops.
func (c *Custody) Watched(ctx context.Context, network string) (map[common.Address]id.Merchant, error) {
	rows, err := queries.New().DepositsAssigned(ctx, c.pool, network)
	if err != nil {
		return nil, fmt.Errorf("deposit addresses of %s: %w", network, err)
	}
	out := make(map[common.Address]id.Merchant, len(rows))
	for _, r := range rows {
		out[common.HexToAddress(r.Address)] = id.Merchant(r.MerchantID)
	}
	return out, nil
}
