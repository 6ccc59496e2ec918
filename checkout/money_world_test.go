package checkout_test

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/id"
	"xsynesis/money"
)

const (
	fewBuyers = 4
	sealedAt  = 6 // blocks behind the head, from where on nothing is taken back
	leaseTime = 75 * time.Second
)

// quickly are a relayer's habits where time is the chain's and not the clock's.
var quickly = evm.RelayerOptions{
	Poll: 5 * time.Millisecond, Repair: 30 * time.Millisecond, Resend: 30 * time.Millisecond, Beat: 40 * time.Millisecond, Window: 2 * time.Millisecond,
}

// small is a chain whose blocks are sealed when they are wanted, a database, and one process that sells, sends and watches.
// Histories of shops follow each other in it.
type small struct {
	t       *testing.T
	s       *testShop
	dev     *devchain.Chain
	chain   *evm.Chain
	process *process
	buyers  []*ecdsa.PrivateKey // with ETH and more USDC than they spend
	owners  []*ecdsa.PrivateKey // of the shops, with ETH and money of their own
	shops   int
	settled []id.Settlement // of all shops: any of them may be in a block that gets lost
	still   atomic.Bool     // no block is sealed
	planted bool            // a mistake is posted sooner or later
	spoiled bool            // something is wrong in it that does not go away
}

// mostShops is how many shops have a key of their own in one small world.
const mostShops = 60

func newSmall(t *testing.T) *small {
	t.Helper()
	world.dev()
	w := &small{t: t}
	alloc := map[common.Address]devchain.Account{}
	for _, key := range world.gas {
		alloc[addressOf(key)] = devchain.Account{ETH: ether(1_000)}
	}
	for range fewBuyers {
		w.buyers = append(w.buyers, newKey())
		alloc[addressOf(w.buyers[len(w.buyers)-1])] = devchain.Account{ETH: ether(1_000), USDC: 1_000_000 * money.One}
	}
	for range mostShops {
		w.owners = append(w.owners, newKey())
		alloc[addressOf(w.owners[len(w.owners)-1])] = devchain.Account{ETH: ether(10), USDC: 1_000 * money.One}
	}
	var err error
	w.dev, err = devchain.Start(context.Background(), devchain.Options{Alloc: alloc, Finality: sealedAt, OnDemand: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.dev.Stop()) })
	w.chain = dial(t, w.dev.URL())
	for range 2 * sealedAt { // so that the first one may be lost
		w.dev.Seal()
	}
	w.s = newShopWith(t, plan{chain: w.dev, broke: true, wait: time.Millisecond, fee: 137})
	t.Cleanup(func() { // before the shop's own audit
		if w.spoiled {
			w.s.pool = nil
		}
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); w.seals(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	w.process = w.begins()
	require.NoError(t, w.process.checkout.Watch(t.Context()))
	return w
}

// begins is another process, with whatever one may do.
func (w *small) begins() *process {
	return w.s.start(w.t, role{settles: true, habits: quickly, lease: leaseTime})
}

// seals makes a block of whatever waits for one, unless the chain has to stand still.
func (w *small) seals(ctx context.Context) {
	for ctx.Err() == nil {
		if !w.still.Load() && w.dev.Waiting() {
			w.follow(w.dev.Seal())
		}
		time.Sleep(time.Millisecond)
	}
}

// follow has the shop's clock show at least the time of the chain.
func (w *small) follow(head time.Time) {
	if behind := head.Sub(w.s.clock.now()); behind > 0 {
		w.s.clock.advance(behind)
	}
}

// passes lets time pass. What waits to be mined is forgotten.
func (w *small) passes(d time.Duration) error {
	head, err := w.dev.Pass(d)
	w.follow(head)
	return err
}

// grows makes the chain that many blocks longer.
func (w *small) grows(blocks int) {
	for range blocks {
		w.follow(w.dev.Seal())
	}
}

// errLater asks for another look at what has no end yet.
var errLater = errors.New("later")

// patient is how long something may take until it has its end, however busy the machine is.
const patient = 40 * time.Second

// until does something again and again until it has its end.
func (w *small) until(f func(ctx context.Context, p *process) error) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), patient)
	defer cancel()
	for {
		err := f(ctx, w.process)
		var later *river.JobSnoozeError
		if err == nil {
			return nil
		}
		for _, known := range []error{errLater, checkout.ErrUnfunded, evm.ErrUnavailable, context.DeadlineExceeded} {
			if errors.Is(err, known) {
				later = &river.JobSnoozeError{}
			}
		}
		if later == nil && !errors.As(err, &later) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it has no end: %w", err)
		case <-time.After(3 * time.Millisecond):
		}
	}
}

// does something until it has its end. With a cut above zero, the power fails so many milliseconds after it began, and another
// process takes over.
func (w *small) does(cut int, f func(ctx context.Context, p *process) error) error {
	if cut > 0 {
		ctx, cancel := context.WithCancel(w.t.Context())
		p, ended := w.process, make(chan struct{})
		go func() { defer close(ended); _ = f(ctx, p) }()
		select {
		case <-ended:
		case <-time.After(time.Duration(cut) * time.Millisecond):
		}
		w.s.kill(w.t, p)
		cancel()
		<-ended
		w.process = w.begins()
		if err := w.passes(leaseTime + 5*time.Second); err != nil {
			return err
		}
	}
	return w.until(f)
}

// sends lets somebody send money himself, and returns when it is mined.
func (w *small) sends(key *ecdsa.PrivateKey, to common.Address, amount money.USDC) (common.Hash, error) {
	return w.calls(key, evm.SendData(to, amount))
}

// calls lets somebody call the token, and returns when that is mined.
func (w *small) calls(key *ecdsa.PrivateKey, data []byte) (common.Hash, error) {
	tx, err := devchain.Send(w.t.Context(), w.dev.Client(), key, &devchain.USDC, nil, data)
	if err != nil {
		return common.Hash{}, err
	}
	return tx.Hash(), w.mined(tx.Hash())
}

func (w *small) mined(hash common.Hash) error {
	return w.until(func(ctx context.Context, _ *process) error {
		receipt, err := w.dev.Client().TransactionReceipt(ctx, hash)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %s is not mined: %w", errLater, hash, err)
		case receipt.Status != types.ReceiptStatusSuccessful:
			return fmt.Errorf("%s reverted", hash)
		default:
			return nil
		}
	})
}

// epoch is after how many blocks the node under the chain takes one for final, for a moment, as soon as it is sealed.
const epoch = 32

// forgets takes the newest blocks away. What others than the relayer had in them is mined again, but for one transaction; the
// relayer has to see to its own.
func (w *small) forgets(blocks uint64, but common.Hash, instead func() error) error {
	ctx, client := w.t.Context(), w.dev.Client()
	w.still.Store(true)
	defer w.still.Store(false)
	head, err := client.BlockNumber(ctx)
	if err != nil || head/epoch != (head-blocks)/epoch {
		return err
	}
	var again []*types.Transaction
	for number := head - blocks + 1; number <= head; number++ {
		block, err := client.BlockByNumber(ctx, new(big.Int).SetUint64(number))
		if err != nil {
			return err
		}
		again = append(again, slices.DeleteFunc(slices.Clone(block.Transactions()), func(tx *types.Transaction) bool {
			from, err := types.Sender(types.LatestSignerForChainID(tx.ChainId()), tx)
			return err != nil || from == addressOf(w.s.relayer) || tx.Hash() == but
		})...)
	}
	if err := w.dev.Rewind(head - blocks); err != nil {
		return err
	}
	for _, tx := range again {
		if err := client.SendTransaction(ctx, tx); err != nil {
			return fmt.Errorf("send %s again: %w", tx.Hash(), err)
		}
	}
	w.still.Store(false)
	for _, tx := range again {
		if err := w.mined(tx.Hash()); err != nil {
			return err
		}
	}
	if err := instead(); err != nil {
		return err
	}
	now, err := client.BlockNumber(ctx)
	w.grows(int(head - min(head, now)))
	return err
}

// balances are what these addresses hold, as the chain says.
func (w *small) balances(of map[common.Address]money.USDC) (map[common.Address]money.USDC, error) {
	out := make(map[common.Address]money.USDC, len(of))
	for address := range of {
		amount, err := w.chain.Balance(w.t.Context(), address)
		if err != nil {
			return nil, err
		}
		out[address] = amount
	}
	return out, nil
}

// found opens a shop whose wallet is known for days.
func (w *small) found() (h *history, err error) {
	h = &history{small: w, own: w.owners[w.shops]}
	w.shops++
	slug := fmt.Sprintf("shop-%d", w.shops)
	if h.merchant, err = w.s.access.Found(w.t.Context(), access.Founding{Slug: slug, Name: slug, Domain: slug + ".example", Owner: "Ada"}); err != nil {
		return nil, err
	}
	proven := w.s.clock.now().Add(-48 * time.Hour)
	return h, w.s.shop.SetPayee(w.t.Context(), h.merchant, sepolia, addressOf(h.own), &proven)
}
