package shop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/webhook"
)

// AddressForm says where a shop wants to be paid.
type AddressForm struct {
	Address  common.Address
	Networks []string // CAIP-2
	// Proven tells on which networks the address's holder signed just now that it is the shop's.
	Proven func(evm.Network) bool
}

// addressPath is where notices about addresses lead.
const addressPath = "/dashboard/settings/address"

// SetAddress says where a shop is paid. The first address of a network counts at once, and so does one that takes the
// place of an address that nobody proved; a proven one is replaced after [PayeeWait], with a notice meanwhile. Open
// quotes keep their address. Errors: [*FieldError], [evm.ErrNetwork].
func (p *Payees) SetAddress(ctx context.Context, merchant id.Merchant, f AddressForm, by audit.By) error {
	if len(f.Networks) == 0 {
		return &FieldError{"networks", "Choose at least one network."}
	}
	slices.Sort(f.Networks)
	f.Networks = slices.Compact(f.Networks)
	var all []addressChange
	for _, name := range f.Networks {
		n, err := p.networks.Network(name)
		if err != nil {
			return err
		}
		if err := payable(n, f.Address); err != nil {
			return err
		}
		all = append(all, addressChange{
			merchant: merchant, network: n, address: f.Address, proven: f.Proven != nil && f.Proven(n), by: by,
		})
	}
	if p.askAll(ctx, all) {
		return errBlocked
	}
	err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if _, err := queries.New().MerchantLock(ctx, tx, merchant); err != nil {
			return err
		}
		for _, c := range all {
			if err := p.setTx(ctx, tx, c); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("set the address of %s: %w", merchant, err)
	}
	return nil
}

// addressChange is what is asked of one network.
type addressChange struct {
	merchant id.Merchant
	network  evm.Network
	address  common.Address
	kind     AddressKind
	proven   bool
	by       audit.By
}

// payeeSeen is what the audit log says of an address.
type payeeSeen struct {
	Network       string     `json:"network"`
	Address       string     `json:"address"`
	Proven        bool       `json:"proven"`
	EffectiveFrom *time.Time `json:"effective_from,omitempty"`
}

// askAll asks every network at once what is at the address, so that silent ones are waited for together, and tells
// whether a token refuses to pay it.
func (p *Payees) askAll(ctx context.Context, all []addressChange) (blocked bool) {
	var asked sync.WaitGroup
	var refused atomic.Bool
	for i, c := range all {
		asked.Go(func() { all[i].kind = p.kindOf(ctx, c.network.ID, c.address) })
		asked.Go(func() {
			if p.blocked(ctx, c.network.ID, c.address) {
				refused.Store(true)
			}
		})
	}
	asked.Wait()
	return refused.Load()
}

func (c addressChange) seen() payeeSeen {
	return payeeSeen{Network: c.network.ID, Address: c.address.Hex(), Proven: c.proven}
}

func (c addressChange) provenAt(now time.Time) *time.Time {
	if c.proven {
		return &now
	}
	return nil
}

func (p *Payees) setTx(ctx context.Context, tx pgx.Tx, c addressChange) error {
	if err := p.freeTx(ctx, tx, c); err != nil {
		return err
	}
	q := queries.New()
	waiting, err := p.waitingTx(ctx, tx, c)
	if err != nil {
		return err
	}
	was, err := q.PayeeByNetwork(ctx, tx, queries.PayeeByNetworkParams{MerchantID: c.merchant, Network: c.network.ID})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return p.replaceTx(ctx, tx, c, nil)
	case err != nil:
		return fmt.Errorf("address on %s: %w", c.network.ID, err)
	case was.Address == lower(c.address):
		return p.proveTx(ctx, tx, c, was)
	case was.ProvenAt == nil:
		if waiting != nil {
			if err := p.cancelTx(ctx, tx, c.by, *waiting); err != nil {
				return err
			}
		}
		return p.replaceTx(ctx, tx, c, &was)
	case waiting != nil && waiting.Address == lower(c.address):
		return p.proveWaitingTx(ctx, tx, c, *waiting)
	case waiting != nil:
		if err := p.cancelTx(ctx, tx, c.by, *waiting); err != nil {
			return err
		}
	}
	return p.askTx(ctx, tx, c, was)
}

// freeTx refuses an address that is another shop's. From here on nobody else can make it his.
func (p *Payees) freeTx(ctx context.Context, tx pgx.Tx, c addressChange) error {
	q := queries.New()
	if err := q.PayeeLock(ctx, tx, queries.PayeeLockParams{Network: c.network.ID, Address: lower(c.address)}); err != nil {
		return fmt.Errorf("lock %s: %w", c.address, err)
	}
	taken, err := q.PayeeTaken(ctx, tx, queries.PayeeTakenParams{Network: c.network.ID, Address: lower(c.address), MerchantID: c.merchant})
	if err != nil {
		return fmt.Errorf("look for %s: %w", c.address, err)
	}
	if taken {
		return errTaken
	}
	return nil
}

// waitingTx is the change that waits; one that is due is written into its place first.
func (p *Payees) waitingTx(ctx context.Context, tx pgx.Tx, c addressChange) (*queries.PayeeChange, error) {
	w, err := queries.New().PayeeChangeWaiting(ctx, tx, queries.PayeeChangeWaitingParams{MerchantID: c.merchant, Network: c.network.ID})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil //nolint:nilnil // most of the time nothing waits
	case err != nil:
		return nil, fmt.Errorf("change on %s: %w", c.network.ID, err)
	case p.due(w, c.network):
		return nil, p.applyTx(ctx, tx, w, c.network)
	}
	return &w, nil
}

func (p *Payees) due(w queries.PayeeChange, n evm.Network) bool {
	return !p.now().Before(w.EffectiveAt) && (w.ProvenAt != nil || n.Test)
}

func (p *Payees) replaceTx(ctx context.Context, tx pgx.Tx, c addressChange, was *queries.Payee) error {
	now := p.now()
	err := queries.New().PayeeSet(ctx, tx, queries.PayeeSetParams{
		MerchantID: c.merchant, Network: c.network.ID, Address: lower(c.address), Kind: string(c.kind), ProvenAt: c.provenAt(now), CreatedAt: now,
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", c.address, err)
	}
	var before any
	if was != nil {
		before = seenPayee(*was)
	}
	return p.recordTx(ctx, tx, c.merchant, c.by, "payee.set", c.network.ID, before, c.seen())
}

func seenPayee(r queries.Payee) payeeSeen {
	return payeeSeen{Network: r.Network, Address: common.HexToAddress(r.Address).Hex(), Proven: r.ProvenAt != nil}
}

// proveTx is an address that counts already, named again.
func (p *Payees) proveTx(ctx context.Context, tx pgx.Tx, c addressChange, was queries.Payee) error {
	if !c.proven || was.ProvenAt != nil {
		return nil
	}
	err := queries.New().PayeeProve(ctx, tx, queries.PayeeProveParams{
		MerchantID: c.merchant, Network: c.network.ID, Address: was.Address, Now: p.now(),
	})
	if err != nil {
		return fmt.Errorf("prove %s: %w", c.address, err)
	}
	return p.recordTx(ctx, tx, c.merchant, c.by, "payee.proven", c.network.ID, seenPayee(was), c.seen())
}

func (p *Payees) proveWaitingTx(ctx context.Context, tx pgx.Tx, c addressChange, w queries.PayeeChange) error {
	if !c.proven || w.ProvenAt != nil {
		return nil
	}
	if err := queries.New().PayeeChangeProve(ctx, tx, queries.PayeeChangeProveParams{ID: w.ID, Now: p.now()}); err != nil {
		return fmt.Errorf("prove %s: %w", c.address, err)
	}
	after := c.seen()
	after.EffectiveFrom = &w.EffectiveAt
	return p.recordTx(ctx, tx, c.merchant, c.by, "payee.change_proven", c.network.ID, nil, after)
}

// askTx lets another address wait, and tells the owners in time.
func (p *Payees) askTx(ctx context.Context, tx pgx.Tx, c addressChange, was queries.Payee) error {
	now := p.now()
	from := now.Add(PayeeWait)
	err := queries.New().PayeeChangeInsert(ctx, tx, queries.PayeeChangeInsertParams{
		ID: id.New[id.PayeeChange](now), MerchantID: c.merchant, Network: c.network.ID, Address: lower(c.address), Kind: string(c.kind),
		ProvenAt: c.provenAt(now), CreatedBy: person(c.by), CreatedAt: now, EffectiveAt: from,
	})
	if err != nil {
		return fmt.Errorf("ask for %s: %w", c.address, err)
	}
	after := c.seen()
	after.EffectiveFrom = &from
	if err := p.recordTx(ctx, tx, c.merchant, c.by, "payee.change_requested", c.network.ID, seenPayee(was), after); err != nil {
		return err
	}
	text := fmt.Sprintf("%s changed the receiving address on %s to %s. It counts from %s UTC on. If that is wrong, cancel it before.",
		c.by.Actor, c.network.Name, shortAddress(c.address), from.UTC().Format("2 Jan, 15:04"))
	return p.noticeTx(ctx, tx, c.merchant, c.network, text)
}

// CancelChange takes back an address that waits. Errors: [ErrNotFound], also for one that counts already.
func (p *Payees) CancelChange(ctx context.Context, merchant id.Merchant, network string, change id.PayeeChange, by audit.By) error {
	n, err := p.networks.Network(network)
	if err != nil {
		return ErrNotFound
	}
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		w, err := queries.New().PayeeChangeWaiting(ctx, tx, queries.PayeeChangeWaitingParams{MerchantID: merchant, Network: network})
		if err != nil {
			return notFound(err)
		}
		if w.ID != change || p.due(w, n) {
			return ErrNotFound
		}
		return p.cancelTx(ctx, tx, by, w)
	})
	if err != nil {
		return fmt.Errorf("cancel %s: %w", change, err)
	}
	return nil
}

func (p *Payees) cancelTx(ctx context.Context, tx pgx.Tx, by audit.By, w queries.PayeeChange) error {
	if err := queries.New().PayeeChangeCancel(ctx, tx, queries.PayeeChangeCancelParams{ID: w.ID, Now: p.now()}); err != nil {
		return fmt.Errorf("cancel %s: %w", w.ID, err)
	}
	return p.recordTx(ctx, tx, w.MerchantID, by, "payee.change_cancelled", w.Network, seenChange(w), nil)
}

func seenChange(w queries.PayeeChange) payeeSeen {
	return payeeSeen{Network: w.Network, Address: common.HexToAddress(w.Address).Hex(), Proven: w.ProvenAt != nil, EffectiveFrom: &w.EffectiveAt}
}

func (p *Payees) recordTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant, by audit.By, action, network string, before, after any) error {
	return audit.RecordTx(ctx, tx, p.now(), audit.Row{
		By: by, Merchant: merchant, Action: action, ResourceType: "payee", ResourceID: network, Before: before, After: after,
	})
}

func (p *Payees) noticeTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant, n evm.Network, text string) error {
	return p.hooks.NoticeTx(ctx, tx, p.now(), webhook.Notice{Merchant: merchant, Livemode: !n.Test, Kind: "payee_change", Text: text, Link: addressPath})
}

func person(by audit.By) *id.Person {
	if by.Person == "" {
		return nil
	}
	return &by.Person
}

func shortAddress(a common.Address) string { return a.Hex()[:6] + "…" + a.Hex()[38:] }
