package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"

	"xsynesis/evm"
	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/queries"
	"xsynesis/webhook"
)

// WatchEvery is how often [Service.Watch] looks at the heads of the chains.
const WatchEvery = time.Second

const (
	watchLease  = 15 * time.Second // of the process that reads a chain
	watchSpan   = 2_000            // blocks that are read before it is noted
	watchBefore = 256              // blocks before the head at which a first look begins
	watchAgain  = 8                // blocks that are read again each time: a node may show its newest ones before it knows what is in them
	watchOpen   = 10               // blocks for which a payment is left to the worker that sends it
	watchMost   = 500              // transfers that are looked at again in one go
	checkEvery  = 30 * time.Second // how often what was read is held against the balances
	checkBack   = 20_000           // blocks after which no node knows balances any more
)

// watching is what one process knows of its looks at the chains.
type watching struct {
	holder  string
	mu      sync.Mutex
	checked map[string]time.Time // by network
}

func newWatching() watching {
	return watching{holder: id.NewToken(), checked: map[string]time.Time{}}
}

// due tells whether a chain is to be checked now, and notes that it is.
func (w *watching) due(network string, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if last, ok := w.checked[network]; ok && now.Sub(last) < checkEvery && !now.Before(last) {
		return false
	}
	w.checked[network] = now
	return true
}

// Watch takes in what came to shops since the last look, whoever sent it. Any number of processes may call it at any time:
// one of them reads. What one look misses, a later one finds, since blocks are read again and held against the balances.
func (s *Service) Watch(ctx context.Context) error {
	var problems []error
	for network, chain := range s.chains {
		if err := s.watchChain(ctx, chain); err != nil {
			problems = append(problems, fmt.Errorf("watch %s: %w", network, err))
		}
	}
	return errors.Join(problems...)
}

func (s *Service) watchChain(ctx context.Context, chain *evm.Chain) error {
	network := chain.Network().ID
	point, err := s.leasePoint(ctx, network)
	if errors.Is(err, pgx.ErrNoRows) {
		return s.firstLook(ctx, chain)
	}
	if err != nil || point == nil {
		return err
	}
	// The head is read before the addresses: whoever is paid in one of these blocks was known by then.
	head, err := chain.Head(ctx)
	if err != nil {
		return err
	}
	if err := s.waiting(ctx, network); err != nil {
		return err
	}
	if head.Hash.Hex() != point.BlockHash {
		if err := s.readOn(ctx, chain, point, head); err != nil {
			return err
		}
	}
	if s.watching.due(network, s.now()) {
		return s.checkBehind(ctx, chain, *point)
	}
	return nil
}

// leasePoint is how far a chain was read, or nil while another process reads it.
func (s *Service) leasePoint(ctx context.Context, network string) (*queries.WatchPoint, error) {
	q, now := queries.New(), s.now()
	point, err := q.WatchLease(ctx, s.pool, queries.WatchLeaseParams{Network: network, Holder: s.watching.holder, Now: now, Until: now.Add(watchLease)})
	if err == nil {
		return &point, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return nil, err
	}
	begun, err := q.WatchBegun(ctx, s.pool, network)
	if err == nil && !begun {
		err = pgx.ErrNoRows
	}
	return nil, err
}

// firstLook begins a little before the head: what came before the gateway is of no matter to it.
func (s *Service) firstLook(ctx context.Context, chain *evm.Chain) error {
	head, err := chain.Head(ctx)
	if err != nil {
		return err
	}
	return queries.New().WatchBegin(ctx, s.pool, queries.WatchBeginParams{
		Network: chain.Network().ID, Block: int64(head.Number - min(head.Number, watchBefore)), Now: s.now(),
	})
}

// waiting looks again at transfers that could not be decided on.
func (s *Service) waiting(ctx context.Context, network string) error {
	some, err := queries.New().TransfersWaiting(ctx, s.pool, queries.TransfersWaitingParams{Network: network, Most: watchMost})
	if err != nil || len(some) == 0 {
		return err
	}
	w, err := s.watcherOf(ctx, network)
	if err != nil {
		return err
	}
	for _, transaction := range some {
		if _, err := s.takeIn(ctx, w, common.HexToHash(transaction)); err != nil {
			return err
		}
	}
	return nil
}

// readOn reads from where the last look ended up to the head. Where the chain is another than it was, it is read again from
// its last final block.
func (s *Service) readOn(ctx context.Context, chain *evm.Chain, point *queries.WatchPoint, head evm.Block) error {
	from := uint64(point.Block) + 1
	from -= min(from, watchAgain)
	torn, err := s.torn(ctx, chain, *point, head)
	if err != nil {
		return err
	}
	if torn {
		final, err := chain.Finalized(ctx)
		if err != nil {
			return err
		}
		slog.WarnContext(ctx, "the chain is another than it was: reading it again", "network", point.Network, "block", final.Number)
		from = min(from, final.Number)
	}
	w, err := s.watcherOf(ctx, point.Network)
	if err != nil {
		return err
	}
	q := queries.New()
	for first := from; first <= head.Number; first += watchSpan {
		last := min(first+watchSpan-1, head.Number)
		if err := s.readSpan(ctx, w, first, last, head.Number); err != nil {
			return err
		}
		hash := ""
		if last == head.Number {
			hash = head.Hash.Hex()
		}
		point.Block, point.BlockHash, point.Checked = int64(last), hash, min(point.Checked, int64(from-min(from, 1)), int64(last))
		err := q.WatchAdvance(ctx, s.pool, queries.WatchAdvanceParams{
			Network: point.Network, Holder: s.watching.holder, Block: point.Block, BlockHash: hash, Checked: point.Checked,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// torn tells whether the last block that was read is not the chain's any more.
func (s *Service) torn(ctx context.Context, chain *evm.Chain, point queries.WatchPoint, head evm.Block) (bool, error) {
	switch was := uint64(point.Block); {
	case point.BlockHash == "" || head.Number == was+1 && head.Parent.Hex() == point.BlockHash:
		return false, nil
	case head.Number <= was:
		return true, nil
	default:
		hashes, err := chain.BlockHashes(ctx, []uint64{was})
		return err == nil && hashes[was].Hex() != point.BlockHash, err
	}
}

// readSpan takes in what came in some blocks. Fresh payments that a worker is about to record are left to it.
func (s *Service) readSpan(ctx context.Context, w watcher, from, until, head uint64) error {
	sightings, err := w.chain.Sightings(ctx, w.at, from, until)
	if err != nil || len(sightings) == 0 {
		return err
	}
	fresh, err := s.unknownOf(ctx, w, sightings)
	if err != nil || len(fresh) == 0 {
		return err
	}
	moving, err := s.movingOf(ctx, w, fresh)
	if err != nil {
		return err
	}
	taken := map[common.Hash]bool{}
	for _, t := range fresh {
		if taken[t.Transaction] || t.Block+watchOpen > head && moving[queries.SettlementsMovingRow{Payer: lower(t.Payer), PayTo: lower(t.Payee), Amount: t.Value}] {
			continue
		}
		taken[t.Transaction] = true
		if _, err := s.takeIn(ctx, w, t.Transaction); err != nil {
			return err
		}
	}
	if len(taken) > 0 {
		fault.At(fault.TransfersRead)
	}
	return nil
}

// unknownOf leaves out what was dealt with, where it was seen.
func (s *Service) unknownOf(ctx context.Context, w watcher, sightings []evm.Proof) ([]evm.Proof, error) {
	p := queries.TransfersKnownParams{Network: w.network()}
	for _, t := range sightings {
		p.Transactions = append(p.Transactions, t.Transaction.Hex())
	}
	rows, err := queries.New().TransfersKnown(ctx, s.pool, p)
	if err != nil {
		return nil, err
	}
	known := make(map[queries.TransfersKnownRow]bool, len(rows))
	for _, row := range rows {
		known[row] = true
	}
	var fresh []evm.Proof
	for _, t := range sightings {
		at := queries.TransfersKnownRow{Transaction: t.Transaction.Hex(), LogIndex: int32(t.LogIndex), BlockHash: t.BlockHash.Hex()}
		if t.Value > 0 && !known[at] {
			fresh = append(fresh, t)
		}
	}
	return fresh, nil
}

// movingOf is the payments among these that a worker looks after just now.
func (s *Service) movingOf(ctx context.Context, w watcher, fresh []evm.Proof) (map[queries.SettlementsMovingRow]bool, error) {
	p := queries.SettlementsMovingParams{Network: w.network(), Now: s.now()}
	for _, t := range fresh {
		p.Payers = append(p.Payers, lower(t.Payer))
	}
	rows, err := queries.New().SettlementsMoving(ctx, s.pool, p)
	if err != nil {
		return nil, err
	}
	moving := make(map[queries.SettlementsMovingRow]bool, len(rows))
	for _, row := range rows {
		moving[row] = true
	}
	return moving, nil
}

// checkBehind reads what was read a second time, holds it against the balances, and looks for transfers whose blocks are gone.
func (s *Service) checkBehind(ctx context.Context, chain *evm.Chain, point queries.WatchPoint) error {
	if err := s.takeBackTransfers(ctx, chain); err != nil {
		return err
	}
	from, until := uint64(point.Checked)+1, uint64(point.Block)
	until -= min(until, watchAgain)
	if until < from {
		return nil
	}
	until = min(until, from+watchSpan-1)
	w, err := s.watcherOf(ctx, point.Network)
	if err != nil {
		return err
	}
	if err := s.readSpan(ctx, w, from, until, uint64(point.Block)); err != nil {
		return err
	}
	missed, err := chain.Missed(ctx, w.at, from, until)
	if errors.Is(err, evm.ErrUnavailable) && uint64(point.Block)-until > checkBack {
		slog.WarnContext(ctx, "no node knows the balances of these blocks", "network", point.Network, "from", from, "until", until, "error", err)
		err = nil
	}
	if err != nil {
		return err
	}
	for _, transaction := range missed {
		slog.WarnContext(ctx, "the nodes' logs lack a transfer", "network", point.Network, "tx", transaction.Hex())
		if _, err := s.takeIn(ctx, w, transaction); err != nil {
			return err
		}
	}
	return queries.New().WatchChecked(ctx, s.pool, queries.WatchCheckedParams{Network: point.Network, Holder: s.watching.holder, Checked: int64(until)})
}

// takeBackTransfers looks for transfers whose blocks the chain has no more: they stand in another block, or are gone.
func (s *Service) takeBackTransfers(ctx context.Context, chain *evm.Chain) error {
	network := chain.Network().ID
	final, err := chain.Finalized(ctx)
	if err != nil {
		return err
	}
	rows, err := queries.New().TransfersFresh(ctx, s.pool, queries.TransfersFreshParams{
		Network: network, Since: int64(final.Number - min(final.Number, watchBefore)), Most: watchMost,
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	blocks := make([]evm.BlockRef, len(rows))
	for i, row := range rows {
		blocks[i] = evm.BlockRef{Number: uint64(row.BlockNumber), Hash: common.HexToHash(row.BlockHash)}
	}
	gone, err := chain.Gone(ctx, blocks)
	if err != nil || len(gone) == 0 {
		return err
	}
	lost := map[evm.BlockRef]bool{}
	for _, b := range gone {
		lost[b] = true
	}
	w, err := s.watcherOf(ctx, network)
	if err != nil {
		return err
	}
	for i, row := range rows {
		if !lost[blocks[i]] {
			continue
		}
		there, err := s.takeIn(ctx, w, common.HexToHash(row.Transaction))
		if err != nil {
			return err
		}
		if !there && row.BlockNumber <= int64(final.Number) {
			if err := s.loseTransfer(ctx, row); err != nil {
				return err
			}
		}
	}
	return nil
}

// loseTransfer strikes a transfer that the chain took back for good. A sale that it paid is reversed with its settlement.
func (s *Service) loseTransfer(ctx context.Context, row queries.Transfer) error {
	if row.State == "settled" {
		return nil
	}
	struck := false
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		struck, err = s.loseTransferTx(ctx, tx, row)
		return err
	})
	if err != nil {
		return fmt.Errorf("strike %s: %w", row.Transaction, err)
	}
	if !struck {
		return nil
	}
	slog.WarnContext(ctx, "the network took a transfer back", "merchant", row.MerchantID, "amount", row.Amount, "tx", row.Transaction)
	return nil
}

func (s *Service) loseTransferTx(ctx context.Context, tx pgx.Tx, row queries.Transfer) (bool, error) {
	q, now := queries.New(), s.now()
	var listed queries.Exception
	if row.ExceptionID != nil { // before the transfer, as where somebody decides on it
		var err error
		listed, err = q.ExceptionForUpdate(ctx, tx, queries.ExceptionForUpdateParams{MerchantID: row.MerchantID, Livemode: row.Livemode, ID: *row.ExceptionID})
		if err != nil {
			return false, err
		}
	}
	held, err := q.TransferForUpdate(ctx, tx, queries.TransferForUpdateParams{Network: row.Network, Transaction: row.Transaction, Position: row.Position})
	if err != nil || held.State != row.State || held.BlockHash != row.BlockHash {
		return false, err
	}
	if listed.ID != "" {
		if open, err := s.strikeTx(ctx, tx, now, listed); err != nil || open {
			return false, err
		}
	}
	if row.State == "dust" {
		if err := ledger.ReverseTx(ctx, tx, now, row.MerchantID, dustSource(row.Network, row.Transaction, row.Position)); err != nil {
			return false, err
		}
	}
	return true, q.TransferDecide(ctx, tx, queries.TransferDecideParams{
		Network: row.Network, Transaction: row.Transaction, Position: row.Position, State: "gone", ExceptionID: row.ExceptionID,
	})
}

// strikeTx takes back what a listed transfer brought, whatever was decided on it. While a refund of it is being sent it is
// open what that comes to: then nothing is struck yet.
func (s *Service) strikeTx(ctx context.Context, tx pgx.Tx, now time.Time, e queries.Exception) (open bool, err error) {
	q := queries.New()
	waiting, err := q.RefundsWaitingOfException(ctx, tx, e.ID)
	if err != nil || len(waiting) > 0 && waiting[0].Collected {
		return true, err
	}
	if err := s.dropRefundsTx(ctx, tx, now, waiting); err != nil {
		return false, err
	}
	if err := q.ExceptionTakenBack(ctx, tx, queries.ExceptionTakenBackParams{ID: e.ID, Now: now}); err != nil {
		return false, err
	}
	if err := ledger.ReverseTx(ctx, tx, now, e.MerchantID, string(e.ID)); err != nil {
		return false, err
	}
	if e.Resolution == "" {
		return false, nil
	}
	if e.Resolution == "refunded" {
		if err := oweTx(ctx, tx, now, e); err != nil {
			return false, err
		}
	}
	return false, s.o.Webhooks.NoticeTx(ctx, tx, now, webhook.Notice{
		Merchant: e.MerchantID, Livemode: e.Livemode, Kind: "payment_reversed", Link: exceptionsPath + "/" + string(e.ID),
		Text: fmt.Sprintf("The network took back %s USDC on which you had decided. You do not have this money.", e.Amount.Grouped()),
	})
}
