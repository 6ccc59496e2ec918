package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"xsynesis/x402"
)

// searchBack is how long before an authorization's end its use is looked for: we accept none that lives longer
// than an hour, so that an honest one cannot have been used before.
const searchBack = 24 * time.Hour

// Resolve says what the chain knows of an authorization: a [Proof] if the money moved, by whomever it was sent;
// [ErrOpen], [ErrVoid] or [ErrUnavailable]. A node that contradicts itself is unavailable.
func (c *Chain) Resolve(ctx context.Context, a x402.Authorization) (Proof, error) {
	return c.ResolveSince(ctx, a, oldestUse(a))
}

// ResolveSince is [Chain.Resolve] for an authorization that nobody can have used before a moment.
func (c *Chain) ResolveSince(ctx context.Context, a x402.Authorization, since time.Time) (Proof, error) {
	proof, err := c.resolve(ctx, a, since)
	if err != nil {
		return Proof{}, fmt.Errorf("resolve %s of %s: %w", a.Nonce, a.From, err)
	}
	return proof, nil
}

func (c *Chain) resolve(ctx context.Context, a x402.Authorization, since time.Time) (Proof, error) {
	if !a.Value.IsInt64() {
		return Proof{}, fmt.Errorf("%w: value %s is more than there is", ErrVoid, a.Value)
	}
	used, err := c.used(ctx, a, "latest")
	if err != nil {
		return Proof{}, err
	}
	if used {
		return c.findUse(ctx, a, since)
	}
	// The order matters: the state is read at the very block whose time shows that it can never change.
	final, err := c.Finalized(ctx)
	if err != nil {
		return Proof{}, err
	}
	if big.NewInt(final.Time.Unix()).Cmp(a.ValidBefore) < 0 {
		return Proof{}, ErrOpen
	}
	used, err = c.used(ctx, a, hexutil.EncodeUint64(final.Number))
	switch {
	case err != nil:
		return Proof{}, err
	case used:
		return c.findUse(ctx, a, since)
	default:
		return Proof{}, fmt.Errorf("%w: it expired unused", ErrVoid)
	}
}

// used is the token's authorizationState, which is true after a transfer and after a cancellation alike.
func (c *Chain) used(ctx context.Context, a x402.Authorization, at string) (bool, error) {
	answer, err := c.view(ctx, c.network.Token.Address, call(callState, addressWord(a.From), a.Nonce.Bytes()), at, word)
	var reverted *RevertError
	if errors.As(err, &reverted) {
		return false, fmt.Errorf("%w: authorizationState: %w", ErrUnavailable, err)
	}
	if err != nil {
		return false, err
	}
	state, ok := smallUint(answer[:word])
	if !ok || state > 1 {
		return false, fmt.Errorf("%w: authorizationState is no bool", ErrUnavailable)
	}
	return state == 1, nil
}

// findUse searches backwards for the log that used the authorization up. A used one without any log proves
// nothing at all: the node has lost it, or hides it.
func (c *Chain) findUse(ctx context.Context, a x402.Authorization, since time.Time) (Proof, error) {
	head, err := c.Head(ctx)
	if err != nil {
		return Proof{}, err
	}
	for to := head.Number; ; {
		from := uint64(0)
		if to >= c.logBlocks {
			from = to - c.logBlocks + 1
		}
		logs, err := c.uses(ctx, a, from, to)
		if err != nil {
			return Proof{}, err
		}
		for _, l := range logs {
			return c.judgeUse(ctx, a, l)
		}
		if from == 0 {
			break
		}
		begin, err := c.blockAt(ctx, from)
		if err != nil {
			return Proof{}, err
		}
		if begin.Time.Before(since) {
			break
		}
		to = from - 1
	}
	return Proof{}, fmt.Errorf("%w: the authorization is used, but no node shows its log", ErrUnavailable)
}

func oldestUse(a x402.Authorization) time.Time {
	if !a.ValidBefore.IsInt64() || a.ValidBefore.Int64() > 1<<40 {
		return time.Unix(0, 0)
	}
	return time.Unix(a.ValidBefore.Int64(), 0).Add(-searchBack)
}

func (c *Chain) uses(ctx context.Context, a x402.Authorization, from, to uint64) ([]logEntry, error) {
	var logs []logEntry
	err := c.nodes.call(ctx, &logs, "eth_getLogs", map[string]any{
		"address": c.network.Token.Address, "fromBlock": hexutil.Uint64(from), "toBlock": hexutil.Uint64(to),
		"topics": []any{[]common.Hash{topicUsed, topicCancelled}, common.BytesToHash(a.From.Bytes()), a.Nonce},
	})
	if err != nil {
		return nil, fmt.Errorf("search blocks %d to %d: %w", from, to, err)
	}
	kept := logs[:0]
	for _, l := range logs {
		if l.Address == c.network.Token.Address && !l.Removed && (l.uses(topicUsed, a) || l.uses(topicCancelled, a)) {
			kept = append(kept, l)
		}
	}
	return kept, nil
}

// judgeUse reads the whole receipt behind a log; the receipt, its block and the log must agree.
func (c *Chain) judgeUse(ctx context.Context, a x402.Authorization, l logEntry) (Proof, error) {
	r, err := c.receipt(ctx, l.Hash)
	if err != nil {
		return Proof{}, err
	}
	b, err := c.blockAt(ctx, uint64(r.Block))
	if err != nil {
		return Proof{}, err
	}
	if r.BlockHash != b.Hash || l.BlockHash != b.Hash || !r.succeeded() {
		return Proof{}, fmt.Errorf("%w: the log and the receipt of %s disagree", ErrUnavailable, l.Hash)
	}
	if l.uses(topicCancelled, a) {
		for _, other := range r.Logs {
			if other.Address == l.Address && other.uses(topicCancelled, a) {
				return Proof{}, c.spent(ctx, r, "cancelled it")
			}
		}
		return Proof{}, fmt.Errorf("%w: the receipt of %s lacks its log", ErrUnavailable, l.Hash)
	}
	transfer, found, paid := r.payment(c.network.Token.Address, a)
	switch {
	case paid:
		return c.proof(r, transfer, a, b), nil
	case found && transfer.isTransferFrom(a.From):
		return Proof{}, c.spent(ctx, r, "used it for another transfer")
	default:
		return Proof{}, fmt.Errorf("%w: the receipt of %s lacks its logs", ErrUnavailable, l.Hash)
	}
}

// spent is what a payer gets who cancels an authorization, or signs two transfers with one nonce. Both are so rare that a
// garbled answer or a block that is taken back is likelier, and a payment must not fail by one: it is believed only once
// it is final.
func (c *Chain) spent(ctx context.Context, r receipt, how string) error {
	final, err := c.Finalized(ctx)
	if err != nil {
		return err
	}
	if uint64(r.Block) > final.Number {
		return fmt.Errorf("%w: %s seems to have %s", ErrOpen, r.Hash, how)
	}
	return fmt.Errorf("%w: %s %s", ErrVoid, r.Hash, how)
}

// receipt reads one receipt, and believes no other.
func (c *Chain) receipt(ctx context.Context, hash common.Hash) (receipt, error) {
	var r *receipt
	if err := c.nodes.call(ctx, &r, "eth_getTransactionReceipt", hash); err != nil {
		return receipt{}, fmt.Errorf("receipt of %s: %w", hash, err)
	}
	if r == nil || r.Hash != hash {
		return receipt{}, fmt.Errorf("receipt of %s: %w: no answer", hash, ErrUnavailable)
	}
	return *r, nil
}
