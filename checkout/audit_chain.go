package checkout

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/evm"
	"xsynesis/queries"
)

// auditChain holds every confirmed settlement against a transfer of the token, and the other way round, from the block on in
// which the first of the shops was watched. What their wallets received before is no matter of ours.
func (s *Service) auditChain(ctx context.Context, network string, chain *evm.Chain) ([]Finding, error) {
	head, err := chain.Head(ctx)
	if err != nil {
		return nil, err
	}
	w, err := s.watcherOf(ctx, network)
	if err != nil {
		return nil, err
	}
	first, last, err := s.blocksOf(ctx, w)
	if err != nil {
		return nil, err
	}
	var findings []Finding
	for from := first; from <= head.Number; from += reconcileBlocks {
		some, err := s.auditBlocks(ctx, w, from, min(from+reconcileBlocks-1, head.Number), true)
		if err != nil {
			return findings, fmt.Errorf("blocks from %d: %w", from, err)
		}
		findings = append(findings, some...)
	}
	if last <= head.Number {
		return findings, nil
	}
	beyond, err := s.auditBlocks(ctx, w, max(first, head.Number+1), last, false)
	return append(findings, beyond...), err
}

// auditBlocks compares some blocks; there tells whether the chain has them. The settlements are read before the chain, so that
// what they say is there must be.
func (s *Service) auditBlocks(ctx context.Context, w watcher, from, until uint64, there bool) ([]Finding, error) {
	settlements, err := s.confirmedIn(ctx, w, from, until)
	if err != nil {
		return nil, fmt.Errorf("settlements: %w", err)
	}
	var came map[arrival]evm.Proof
	if there {
		paid := make([]string, len(settlements))
		for i, row := range settlements {
			paid[i] = row.PayTo
		}
		if came, err = w.sightings(ctx, paid, from, until); err != nil {
			return nil, err
		}
	}
	findings := compare(settlements, came)
	unexplained, err := s.unexplained(ctx, w, slices.Collect(maps.Values(came)))
	for _, t := range unexplained {
		findings = append(findings, Finding{"a transfer to a shop is explained", fmt.Sprintf("%s USDC from %s in %s is not", t.Value, t.Payer, t.Transaction)})
	}
	return findings, err
}

func (s *Service) confirmedIn(ctx context.Context, w watcher, from, until uint64) ([]queries.Settlement, error) {
	page := queries.AuditConfirmedParams{Network: w.network(), FromBlock: int64(from), ToBlock: int64(until), AfterBlock: -1, Most: reconcileRows}
	var all []queries.Settlement
	for {
		rows, err := queries.New().AuditConfirmed(ctx, s.pool, page)
		if all = append(all, rows...); err != nil || len(rows) < reconcileRows {
			return all, err
		}
		last := rows[len(rows)-1]
		page.AfterBlock, page.AfterID = *last.BlockNumber, string(last.ID)
	}
}

// compare finds the settlements that are not on the chain, and leaves the transfers that none of them names.
func compare(settlements []queries.Settlement, came map[arrival]evm.Proof) (findings []Finding) {
	for _, row := range settlements {
		at := arrival{common.HexToHash(row.Transaction), uint(*row.LogIndex)}
		t, ok := came[at]
		switch {
		case !ok:
			findings = append(findings, Finding{"a confirmed settlement is on the chain", string(row.ID) + " is not: " + row.Transaction})
		case lower(t.Payer) != row.Payer || lower(t.Payee) != row.PayTo || t.Value != row.Amount || t.BlockHash.Hex() != *row.BlockHash:
			findings = append(findings, Finding{"a confirmed settlement is on the chain", string(row.ID) + " differs from " + row.Transaction})
		}
		delete(came, at)
	}
	return findings
}

// unexplained looks a second time: a transfer may be that of a settlement which is under way, as after a crash, or which was
// confirmed since the first look.
func (s *Service) unexplained(ctx context.Context, w watcher, transfers []evm.Proof) ([]evm.Proof, error) {
	transfers = slices.DeleteFunc(transfers, func(t evm.Proof) bool { return !w.pays(t) })
	if len(transfers) == 0 {
		return nil, nil
	}
	p := queries.AuditMovingParams{Network: w.network()}
	for _, t := range transfers {
		p.Transactions = append(p.Transactions, t.Transaction.Hex())
	}
	moving, err := queries.New().AuditMoving(ctx, s.pool, p)
	if err != nil {
		return nil, fmt.Errorf("what is under way: %w", err)
	}
	return w.inTime(ctx, slices.DeleteFunc(transfers, func(t evm.Proof) bool {
		return slices.ContainsFunc(moving, func(m queries.AuditMovingRow) bool {
			return (m.Transaction == t.Transaction.Hex() || m.Transaction == "") && m.Payer == lower(t.Payer) && m.PayTo == lower(t.Payee) && m.Amount == t.Value &&
				(m.LogIndex == nil || uint(*m.LogIndex) == t.LogIndex)
		})
	}))
}
