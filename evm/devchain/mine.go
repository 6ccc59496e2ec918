package devchain

import (
	"context"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
)

const (
	// emptyEvery keeps the time of the latest block near the clock's while nobody pays:
	// simulations are judged by that time.
	emptyEvery = 4 * time.Second
	// finalityDepth is how far the final block is behind the head, where the options do not say otherwise. The safe one is
	// half as far behind.
	finalityDepth = 4
)

// mine seals a block as soon as a transaction waits, but no second one in the same second: a block's time must
// be later than its parent's, so a faster chain would run ahead of the clock and authorizations would expire early.
func (c *Chain) mine(ctx context.Context) {
	arrived := make(chan core.NewTxsEvent, 64)
	subscription := c.eth.APIBackend.SubscribeNewTxsEvent(arrived)
	defer subscription.Unsubscribe()
	for {
		idle := time.NewTimer(time.Until(c.headTime().Add(emptyEvery)))
		select {
		case <-ctx.Done():
			idle.Stop()
			return
		case <-arrived:
		case <-idle.C:
		}
		idle.Stop()
		if !c.awaitNextSecond(ctx) {
			return
		}
		drain(arrived)
		c.seal()
		// What arrived while the block was built, or did not fit into it, must not wait for the next arrival.
		for runnable, _ := c.eth.TxPool().Stats(); runnable > 0; runnable, _ = c.eth.TxPool().Stats() {
			if !c.awaitNextSecond(ctx) {
				return
			}
			drain(arrived)
			c.seal()
		}
	}
}

func (c *Chain) seal() {
	c.sealing.Lock()
	defer c.sealing.Unlock()
	c.beacon.Commit()
	c.settleHead()
}

// settleHead makes the head durable and moves the final block up behind it.
func (c *Chain) settleHead() {
	if err := c.eth.ChainDb().SyncKeyValue(); err != nil {
		c.log.Error("the development chain cannot write", "error", err)
	}
	chain := c.eth.BlockChain()
	head := chain.CurrentBlock().Number.Uint64()
	if final := chain.GetHeaderByNumber(head - min(head, c.finality)); final != nil {
		chain.SetFinalized(final)
	}
	if safe := chain.GetHeaderByNumber(head - min(head, c.finality/2)); safe != nil {
		chain.SetSafe(safe)
	}
}

// awaitNextSecond returns when a block may be stamped with the clock's time, or false when ctx ends.
func (c *Chain) awaitNextSecond(ctx context.Context) bool {
	wait := time.Until(c.headTime().Add(time.Second))
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (c *Chain) headTime() time.Time { return blockTime(c.eth.BlockChain().CurrentBlock()) }

func blockTime(h *types.Header) time.Time { return time.Unix(int64(h.Time), 0) } //nolint:gosec // A clock's seconds.

// Rewind makes the chain forget all blocks after one, as a reorganisation does; what they held is not pending again.
func (c *Chain) Rewind(to uint64) error {
	c.sealing.Lock()
	defer c.sealing.Unlock()
	chain := c.eth.BlockChain()
	if head := chain.CurrentBlock().Number.Uint64(); to > head {
		return fmt.Errorf("rewind to block %d: there are %d", to, head)
	}
	if err := chain.SetHead(to); err != nil {
		return fmt.Errorf("rewind to block %d: %w", to, err)
	}
	c.settleHead()
	if err := c.eth.TxPool().Sync(); err != nil { // what comes next is judged by the shorter chain
		return fmt.Errorf("rewind to block %d: %w", to, err)
	}
	return nil
}

func drain(events <-chan core.NewTxsEvent) {
	for {
		select {
		case <-events:
		default:
			return
		}
	}
}
