package wire

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/cmd/config"
	"xsynesis/ledger"
	"xsynesis/vault"
)

// Resealed counts what [RotateKeys] has sealed anew.
type Resealed struct {
	Webhooks  int `json:"webhooks"`  // subscriptions with their secrets
	Buyers    int `json:"buyers"`    // keys of buyers' tokens
	Endpoints int `json:"endpoints"` // with what their servers know the gateway by
}

func (r Resealed) none() bool { return r == Resealed{} }

// RotateKeys seals with the first key of MASTER_KEY whatever a former one has sealed, until nothing is left under another
// one. It may be killed and run again, and the shop goes on meanwhile. What does not open is in the error; the rest is
// sealed anew all the same.
func RotateKeys(ctx context.Context, c *config.Config) (all Resealed, err error) {
	p, err := Build(ctx, c, false, Timing{})
	if err != nil {
		return all, err
	}
	defer p.Close()
	for {
		var more Resealed
		var hooksErr, buyersErr, endpointsErr error
		more.Webhooks, hooksErr = p.Webhooks.Reseal(ctx)
		more.Buyers, buyersErr = p.Checkout.ResealBuyerKeys(ctx)
		more.Endpoints, endpointsErr = p.Endpoints.Reseal(ctx)
		all = Resealed{all.Webhooks + more.Webhooks, all.Buyers + more.Buyers, all.Endpoints + more.Endpoints}
		if err := errors.Join(hooksErr, buyersErr, endpointsErr); err != nil || more.none() { // once more for what was written meanwhile
			return all, errors.Join(err, p.recordMaster(ctx, all))
		}
	}
}

func (p *Parts) recordMaster(ctx context.Context, r Resealed) error {
	if r.none() {
		return nil
	}
	return p.recordRotation(ctx, "master_key", r)
}

// RotateCustodyKeys seals with the first key of CUSTODY_KEY the keys of deposit addresses that a former one has sealed, and
// returns how many they were. As with [RotateKeys], shops go on meanwhile.
func RotateCustodyKeys(ctx context.Context, c *config.Config) (all int, err error) {
	secrets, err := vault.New(c.CustodyKey.All()...)
	if err != nil {
		return 0, fmt.Errorf("CUSTODY_KEY: %w", err)
	}
	p, err := Build(ctx, c, false, Timing{})
	if err != nil {
		return 0, err
	}
	defer p.Close()
	custody := ledger.NewCustody(p.Pool, p.Jobs, ledger.CustodyOptions{Vault: secrets, Now: now})
	for {
		more, err := custody.Reseal(ctx)
		all += more
		if err != nil || more == 0 { // once more for what was written meanwhile
			if all > 0 {
				err = errors.Join(err, p.recordRotation(ctx, "custody_key", resealedDeposits{all}))
			}
			return all, err
		}
	}
}

// resealedDeposits is what the log of what was done says of it.
type resealedDeposits struct {
	Deposits int `json:"deposits"` // addresses with their keys
}

// recordRotation notes in the log of what was done that the operator has replaced a key.
func (p *Parts) recordRotation(ctx context.Context, key string, after any) error {
	err := pgx.BeginFunc(ctx, p.Pool, func(tx pgx.Tx) error {
		return audit.RecordTx(ctx, tx, now(), audit.Row{By: audit.By{Actor: "operator"}, Action: key + ".rotated", ResourceType: key, After: after})
	})
	if err != nil {
		return fmt.Errorf("record the rotation: %w", err)
	}
	return nil
}
