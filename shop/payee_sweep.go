package shop

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"xsynesis/audit"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/queries"
)

// PayeeSweepArgs is the job that writes addresses whose time has come into their place.
type PayeeSweepArgs struct{}

// Kind names the job.
func (PayeeSweepArgs) Kind() string { return "payee_sweep" }

// InsertOpts puts it among the work that can wait.
func (PayeeSweepArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: "maint", MaxAttempts: 1}
}

// itself is who does what nobody did just then.
var itself = audit.By{Actor: "xSynesis"}

// Sweep writes every address that is due into its place, and asks what is at addresses whose network did not answer.
// Quotes name a due address whether or not it was swept.
func (p *Payees) Sweep(ctx context.Context) error {
	q := queries.New()
	due, err := q.PayeeChangesDue(ctx, p.pool, queries.PayeeChangesDueParams{Now: p.now(), Live: p.liveNetworks()})
	if err != nil {
		return fmt.Errorf("look for due addresses: %w", err)
	}
	var problems []error
	for _, d := range due {
		problems = append(problems, p.apply(ctx, d.MerchantID, d.Network))
	}
	return errors.Join(append(problems, p.checkAgain(ctx))...)
}

// liveNetworks are those whose money is real, of all that a change may name.
func (p *Payees) liveNetworks() []string {
	live := []string{}
	for _, n := range p.networks.Known() {
		if !n.Test {
			live = append(live, n.ID)
		}
	}
	return live
}

func (p *Payees) apply(ctx context.Context, merchant id.Merchant, network string) error {
	n, err := p.networks.Network(network)
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		q := queries.New()
		if _, err := q.MerchantLock(ctx, tx, merchant); err != nil {
			return err
		}
		_, err := p.waitingTx(ctx, tx, addressChange{merchant: merchant, network: n})
		return err
	})
	if err != nil {
		return fmt.Errorf("apply the address of %s on %s: %w", merchant, network, err)
	}
	return nil
}

// applyTx writes a due address into its place.
func (p *Payees) applyTx(ctx context.Context, tx pgx.Tx, w queries.PayeeChange, n evm.Network) error {
	q := queries.New()
	was, err := q.PayeeByNetwork(ctx, tx, queries.PayeeByNetworkParams{MerchantID: w.MerchantID, Network: w.Network})
	if err != nil {
		return fmt.Errorf("address before %s: %w", w.ID, err)
	}
	err = q.PayeeSet(ctx, tx, queries.PayeeSetParams{
		MerchantID: w.MerchantID, Network: w.Network, Address: w.Address, Kind: w.Kind, ProvenAt: w.ProvenAt, CreatedAt: w.EffectiveAt,
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", w.ID, err)
	}
	if err := q.PayeeChangeApplied(ctx, tx, queries.PayeeChangeAppliedParams{ID: w.ID, Now: p.now()}); err != nil {
		return fmt.Errorf("close %s: %w", w.ID, err)
	}
	if err := p.recordTx(ctx, tx, w.MerchantID, itself, "payee.changed", w.Network, seenPayee(was), seenChange(w)); err != nil {
		return err
	}
	text := fmt.Sprintf("New payments on %s go to %s now.", n.Name, shortAddress(common.HexToAddress(w.Address)))
	return p.noticeTx(ctx, tx, w.MerchantID, n, text)
}

// checkAgain asks once more about addresses whose network did not answer.
func (p *Payees) checkAgain(ctx context.Context) error {
	q := queries.New()
	rows, err := q.PayeeUnchecked(ctx, p.pool)
	if err != nil {
		return fmt.Errorf("look for unchecked addresses: %w", err)
	}
	silent := map[string]bool{}
	for _, r := range rows {
		if silent[r.Network] {
			continue
		}
		kind := p.kindOf(ctx, r.Network, common.HexToAddress(r.Address))
		if kind == Unchecked {
			silent[r.Network] = true
			continue
		}
		if err := q.PayeeKind(ctx, p.pool, queries.PayeeKindParams{Kind: string(kind), Network: r.Network, Address: r.Address}); err != nil {
			return fmt.Errorf("note what is at %s: %w", r.Address, err)
		}
	}
	return nil
}

// GoLive lets a shop take real money from now on. Errors: [ErrNotReady].
func (p *Payees) GoLive(ctx context.Context, merchant id.Merchant, by audit.By) error {
	ready, err := p.MayGoLive(ctx, merchant)
	if err != nil {
		return err
	}
	if !ready {
		return ErrNotReady
	}
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		n, err := queries.New().MerchantWentLive(ctx, tx, queries.MerchantWentLiveParams{ID: merchant, Now: p.now()})
		if err != nil || n == 0 {
			return err
		}
		return audit.RecordTx(ctx, tx, p.now(), audit.Row{
			By: by, Merchant: merchant, Action: "shop.went_live", ResourceType: "shop", ResourceID: string(merchant),
		})
	})
	if err != nil {
		return fmt.Errorf("take %s live: %w", merchant, err)
	}
	return nil
}
