package checkout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"xsynesis/audit"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/webhook"
)

// ReconcileChainsArgs holds the books against every chain.
type ReconcileChainsArgs struct{}

// Kind names the job.
func (ReconcileChainsArgs) Kind() string { return "reconcile_chains" }

// InsertOpts puts it on its queue.
func (ReconcileChainsArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueChain, MaxAttempts: 1}
}

const (
	// reread is how many blocks before the last final one are compared once more: a node may show a log late.
	reread = 2_000
	// reconcileBlocks is how many are compared at a time.
	reconcileBlocks = 2_000
	// reconcileRows is how many payments are read at a time.
	reconcileRows = 1_000
)

// The differences between the books and a chain, as [Exception.Kind] has them.
const (
	missing  = "missing"  // the books have a payment that no block holds
	mismatch = "mismatch" // they have it, and something else is there, or the sale or the entries say something else
)

// AskReconciliation has the books held against the chains at once. One look waits at a time.
func (s *Service) AskReconciliation(ctx context.Context, merchant id.Merchant, by audit.By) error {
	once := &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := s.jobs.InsertTx(ctx, tx, ReconcileChainsArgs{}, once); err != nil {
			return err
		}
		return audit.RecordTx(ctx, tx, s.now(), audit.Row{By: by, Merchant: merchant, Action: "reconciliation.asked", ResourceType: "shop", ResourceID: string(merchant)})
	})
	if err != nil {
		return fmt.Errorf("ask for a reconciliation: %w", err)
	}
	return nil
}

// ReconcileChains compares what came to the shops on each chain with what the settlements, the books and the sales say. What
// nobody had told of is looked into as if it had just been seen; what differs is listed for its shop to decide on.
func (s *Service) ReconcileChains(ctx context.Context) error {
	var problems []error
	for network, chain := range s.chains {
		if err := s.reconcileChain(ctx, network, chain); err != nil {
			problems = append(problems, fmt.Errorf("reconcile %s: %w", network, err))
		}
		if s.o.Custody != nil {
			problems = append(problems, s.o.Custody.NoteDrifts(ctx, network))
		}
	}
	return errors.Join(problems...)
}

func (s *Service) reconcileChain(ctx context.Context, network string, chain *evm.Chain) error {
	final, err := chain.Finalized(ctx)
	if err != nil {
		return err
	}
	head, err := chain.Head(ctx)
	if err != nil {
		return err
	}
	w, err := s.watcherOf(ctx, network)
	if err != nil {
		return err
	}
	run, err := s.beginReconciliation(ctx, w)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer s.compared(w)
	q := queries.New()
	c := &comparison{s: s, network: network, chain: chain, watcher: w, of: map[id.Merchant]tally{}}
	from := uint64(max(run.Block+1-reread, 0))
	if err := c.run(ctx, from, head.Number, final.Number); err != nil {
		failed := queries.ReconciliationFailedParams{Network: network, BeganAt: run.BeganAt, Now: s.now()}
		return errors.Join(err, q.ReconciliationFailed(context.WithoutCancel(ctx), s.pool, failed))
	}
	if c.differing > 0 || c.found > 0 {
		slog.WarnContext(ctx, "the books and the chain differed", "network", network, "matched", c.matched, "found", c.found, "differing", c.differing)
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := q.ReconciledSet(ctx, tx, c.tallies(run.BeganAt)); err != nil {
			return err
		}
		return q.ReconciliationEnd(ctx, tx, queries.ReconciliationEndParams{
			Network: network, BeganAt: run.BeganAt, FromBlock: int64(from), ToBlock: int64(head.Number),
			Matched: c.matched, Found: c.found, Differing: c.differing, Now: s.now(),
		})
	})
}

// compared has the pages of all who are watched look at what a comparison came to.
func (s *Service) compared(w watcher) {
	for _, row := range w.of {
		s.hub.Changed("", row.MerchantID)
	}
}

// beginReconciliation goes on where the last look ended; the first one begins where the shops' payments do.
func (s *Service) beginReconciliation(ctx context.Context, w watcher) (queries.Reconciliation, error) {
	q, now := queries.New(), s.now()
	run, err := q.ReconciliationBegin(ctx, s.pool, queries.ReconciliationBeginParams{Network: w.network(), Now: now})
	if !errors.Is(err, pgx.ErrNoRows) {
		return run, err
	}
	first, _, err := s.blocksOf(ctx, w)
	if err != nil {
		return run, err
	}
	return q.ReconciliationFirst(ctx, s.pool, queries.ReconciliationFirstParams{Network: w.network(), Block: int64(first) - 1, Now: now})
}

// blocksOf is where payments to the shops of a network may be: from the first block in which one of their addresses was
// watched, or from their first payment, to the last one that the books know of.
func (s *Service) blocksOf(ctx context.Context, w watcher) (first, last uint64, err error) {
	since := s.now()
	for _, row := range w.of {
		if row.Since.Before(since) {
			since = row.Since
		}
	}
	if first, err = w.chain.FirstSince(ctx, since.Add(-blockSlack)); err != nil {
		return 0, 0, err
	}
	known, err := queries.New().SettledBlocks(ctx, s.pool, w.network())
	if errors.Is(err, pgx.ErrNoRows) {
		return first, 0, nil
	}
	return min(first, uint64(known.First)), uint64(known.Last), err
}

// comparison is one look at one chain.
type comparison struct {
	s       *Service
	network string
	chain   *evm.Chain
	watcher watcher
	of      map[id.Merchant]tally

	matched, found, differing int64
}

// tally is what of a shop's agreed.
type tally struct {
	payments int64
	amount   money.USDC
}

func (c *comparison) tallies(at time.Time) queries.ReconciledSetParams {
	p := queries.ReconciledSetParams{Network: c.network, CheckedAt: at}
	for _, merchant := range slices.Sorted(maps.Keys(c.of)) {
		t := c.of[merchant]
		p.Merchants, p.Matched, p.Amounts = append(p.Merchants, string(merchant)), append(p.Matched, t.payments), append(p.Amounts, int64(t.amount))
	}
	return p
}

// run compares blocks. Those that are final are not compared again, whatever becomes of the rest.
func (c *comparison) run(ctx context.Context, from, to, final uint64) error {
	if err := c.again(ctx); err != nil {
		return err
	}
	for first := from; first <= to; first += reconcileBlocks {
		last := min(first+reconcileBlocks-1, to)
		if err := c.blocks(ctx, first, last); err != nil {
			return fmt.Errorf("blocks from %d: %w", first, err)
		}
		advance := queries.ReconciliationAdvanceParams{Network: c.network, Block: int64(min(last, final))}
		if err := queries.New().ReconciliationAdvance(ctx, c.s.pool, advance); err != nil {
			return fmt.Errorf("note block %d: %w", last, err)
		}
	}
	return nil
}

// blocks compares some blocks. The settlements are read before the chain, so that what they say is there must be.
func (c *comparison) blocks(ctx context.Context, from, to uint64) error {
	settled, err := c.settled(ctx, from, to)
	if err != nil {
		return fmt.Errorf("settlements: %w", err)
	}
	payees := make([]string, len(settled))
	for i, r := range settled {
		payees[i] = r.Settlement.PayTo
	}
	there, err := c.watcher.sightings(ctx, payees, from, to)
	if err != nil {
		return err
	}
	for _, r := range settled {
		at := arrival{common.HexToHash(r.Settlement.Transaction), uint(*r.Settlement.LogIndex)}
		t, ok := there[at]
		delete(there, at)
		if ok {
			err = c.compare(ctx, r, &t)
		} else {
			err = c.lookFor(ctx, r)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.Settlement.ID, err)
		}
	}
	return c.untold(ctx, slices.Collect(maps.Values(there)))
}

// arrival is where money came in: a log that nothing can forge.
type arrival struct {
	transaction common.Hash
	index       uint
}

// sightings is what came to the shops in some blocks, and to whomever payments there were made: strangers, and addresses that
// shops have left.
func (w watcher) sightings(ctx context.Context, paid []string, from, until uint64) (map[arrival]evm.Proof, error) {
	addresses := slices.Clone(w.at)
	for _, address := range paid {
		addresses = append(addresses, common.HexToAddress(address))
	}
	slices.SortFunc(addresses, common.Address.Cmp)
	seen, err := w.chain.Sightings(ctx, slices.Compact(addresses), from, until)
	if err != nil {
		return nil, err
	}
	there := make(map[arrival]evm.Proof, len(seen))
	for _, t := range seen {
		there[arrival{t.Transaction, t.LogIndex}] = t
	}
	return there, nil
}

func (c *comparison) settled(ctx context.Context, from, to uint64) ([]queries.ReconcileSettlementsRow, error) {
	page := queries.ReconcileSettlementsParams{Network: c.network, FromBlock: int64(from), ToBlock: int64(to), AfterBlock: -1, Most: reconcileRows}
	var all []queries.ReconcileSettlementsRow
	for {
		rows, err := queries.New().ReconcileSettlements(ctx, c.s.pool, page)
		if all = append(all, rows...); err != nil || len(rows) < reconcileRows {
			return all, err
		}
		last := rows[len(rows)-1].Settlement
		page.AfterBlock, page.AfterID = *last.BlockNumber, string(last.ID)
	}
}

// agree tells whether a settlement is what the chain shows, and the books and the sales are what the settlement says.
func agree(r queries.ReconcileSettlementsRow, t evm.Proof) bool {
	row := r.Settlement
	if lower(t.Payer) != row.Payer || lower(t.Payee) != row.PayTo || t.Value != row.Amount || t.BlockHash.Hex() != cmp.Or(*row.BlockHash, "") {
		return false
	}
	if row.AttemptID == nil { // settled for another server: it is in the books where it is kept for its shop
		kept := row.Amount
		if !row.Collected {
			kept = 0
		}
		return r.Booked == int64(kept) && r.Sold == 0
	}
	return r.Booked == int64(row.Amount) && r.Sold == r.Priced && Status(r.Purchase).Paid()
}

func (c *comparison) compare(ctx context.Context, r queries.ReconcileSettlementsRow, t *evm.Proof) error {
	row := r.Settlement
	switch {
	case t == nil:
		return c.differ(ctx, row, missing)
	case !agree(r, *t):
		// It may have changed since it was read: its block may be another one, or the chain may have taken it back.
		now, err := queries.New().ReconcileSettlement(ctx, c.s.pool, row.ID)
		if err != nil {
			return err
		}
		fresh := queries.ReconcileSettlementsRow(now)
		if s := fresh.Settlement.Status; s != "confirmed" && s != "final" {
			return nil
		}
		if elsewhere := t.BlockHash.Hex(); fresh.Settlement.Status == "confirmed" && *fresh.Settlement.BlockHash != elsewhere {
			fresh.Settlement.BlockHash = &elsewhere
			if agree(fresh, *t) { // it moved: whoever looks for it says where it is
				return c.s.haveFound(ctx, []id.Settlement{row.ID})
			}
		}
		if !agree(fresh, *t) {
			return c.differ(ctx, row, mismatch)
		}
	}
	c.matched++
	if row.MerchantID != "" {
		all := c.of[row.MerchantID]
		c.of[row.MerchantID] = tally{all.payments + 1, all.amount + row.Amount}
	}
	return nil
}

// lookFor asks the chain about a payment that no log shows where it should be: whoever keeps logs may have lost one.
func (c *comparison) lookFor(ctx context.Context, r queries.ReconcileSettlementsRow) error {
	row := r.Settlement
	w, err := c.s.wayOf(ctx, row)
	if err != nil {
		return err
	}
	proof, err := w.where(ctx, c.chain)
	gone := errors.Is(err, evm.ErrOpen) || errors.Is(err, evm.ErrVoid)
	switch {
	case err == nil && proof.BlockHash.Hex() == *row.BlockHash:
		return c.compare(ctx, r, &proof)
	case row.Status == "confirmed" && (err == nil || gone): // it moved, or is taken back
		return c.s.haveFound(ctx, []id.Settlement{row.ID})
	case gone:
		return c.compare(ctx, r, nil)
	default:
		return err
	}
}

// untold has transfers looked into that no settlement names and nobody has seen.
func (c *comparison) untold(ctx context.Context, seen []evm.Proof) error {
	seen = slices.DeleteFunc(seen, func(t evm.Proof) bool { return !c.watcher.pays(t) })
	for some := range slices.Chunk(seen, reconcileRows) {
		p := queries.ReconcileKnownParams{Network: c.network}
		for _, t := range some {
			p.Transactions = append(p.Transactions, t.Transaction.Hex())
		}
		known, err := queries.New().ReconcileKnown(ctx, c.s.pool, p)
		if err != nil {
			return fmt.Errorf("what is known: %w", err)
		}
		fresh, err := c.watcher.inTime(ctx, slices.DeleteFunc(some, func(t evm.Proof) bool {
			return slices.Contains(known, queries.ReconcileKnownRow{Transaction: t.Transaction.Hex(), LogIndex: int32(t.LogIndex)})
		}))
		if err != nil {
			return err
		}
		if err := c.lookInto(ctx, fresh); err != nil {
			return err
		}
	}
	return nil
}

// lookInto takes in what nobody had told of.
func (c *comparison) lookInto(ctx context.Context, fresh []evm.Proof) error {
	looked := map[common.Hash]bool{}
	for _, t := range fresh {
		if looked[t.Transaction] {
			continue
		}
		looked[t.Transaction] = true
		there, err := c.s.takeIn(ctx, c.watcher, t.Transaction)
		if err != nil {
			return fmt.Errorf("look into %s: %w", t.Transaction, err)
		}
		if there {
			c.found++
		}
	}
	return nil
}

// differ lists a payment for its shop to decide on.
func (c *comparison) differ(ctx context.Context, row queries.Settlement, kind string) error {
	c.differing++
	slog.ErrorContext(ctx, "a payment and the chain differ", "settlement", row.ID, "kind", kind, "tx", row.Transaction)
	if row.MerchantID == "" {
		return nil
	}
	now := c.s.now()
	return pgx.BeginFunc(ctx, c.s.pool, func(tx pgx.Tx) error {
		n, err := queries.New().DifferenceInsert(ctx, tx, queries.DifferenceInsertParams{
			ID: id.New[id.Exception](now), MerchantID: row.MerchantID, Livemode: row.Livemode, Kind: kind, AttemptID: row.AttemptID, SettlementID: &row.ID,
			Payer: row.Payer, PayTo: row.PayTo, Amount: row.Amount, Network: row.Network, Transaction: row.Transaction, LogIndex: row.LogIndex, CreatedAt: now,
		})
		if err != nil || n == 0 {
			return err
		}
		return c.s.o.Webhooks.NoticeTx(ctx, tx, now, webhook.Notice{
			Merchant: row.MerchantID, Livemode: row.Livemode, Kind: "books_differ", Link: exceptionsPath,
			Text: fmt.Sprintf("A payment of %s USDC is not on the network as the books have it. Look at it before you send what was bought.", row.Amount.Grouped()),
		})
	})
}

// again looks at what differed before: it may not any more.
func (c *comparison) again(ctx context.Context) error {
	page := queries.ExceptionsDifferingParams{Network: c.network, Most: reconcileRows}
	for {
		rows, err := queries.New().ExceptionsDiffering(ctx, c.s.pool, page)
		if err != nil {
			return fmt.Errorf("what differed: %w", err)
		}
		for _, r := range rows {
			if err := c.lookAgain(ctx, r.ID, id.Settlement(r.SettlementID)); err != nil {
				return fmt.Errorf("%s: %w", r.ID, err)
			}
		}
		if len(rows) < reconcileRows {
			return nil
		}
		page.After = string(rows[len(rows)-1].ID)
	}
}

func (c *comparison) lookAgain(ctx context.Context, exception id.Exception, settlement id.Settlement) error {
	q := queries.New()
	now, err := q.ReconcileSettlement(ctx, c.s.pool, settlement)
	if err != nil {
		return err
	}
	w, err := c.s.wayOf(ctx, now.Settlement)
	if err != nil {
		return err
	}
	proof, err := w.where(ctx, c.chain)
	if errors.Is(err, evm.ErrOpen) || errors.Is(err, evm.ErrVoid) || err == nil && !agree(queries.ReconcileSettlementsRow(now), proof) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = q.ExceptionDecide(ctx, c.s.pool, queries.ExceptionDecideParams{ID: exception, Resolution: "matched", Now: c.s.now()})
	return err
}
