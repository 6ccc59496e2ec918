package wire

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/cmd/config"
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
			return all, errors.Join(err, p.recordRotation(ctx, all))
		}
	}
}

// recordRotation notes in the log of what was done that the operator has replaced the master key.
func (p *Parts) recordRotation(ctx context.Context, r Resealed) error {
	if r.none() {
		return nil
	}
	err := pgx.BeginFunc(ctx, p.Pool, func(tx pgx.Tx) error {
		return audit.RecordTx(ctx, tx, now(), audit.Row{By: audit.By{Actor: "operator"}, Action: "master_key.rotated", ResourceType: "master_key", After: r})
	})
	if err != nil {
		return fmt.Errorf("record the rotation: %w", err)
	}
	return nil
}
