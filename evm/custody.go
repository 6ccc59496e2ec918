package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"xsynesis/money"
)

var callTransfer = selector("transfer(address,uint256)")

// BalanceAt is what an address held of the network's token at the end of a block.
func (c *Chain) BalanceAt(ctx context.Context, owner common.Address, at Block) (money.USDC, error) {
	answer, err := c.view(ctx, c.network.Token.Address, call(callBalance, addressWord(owner)), hexutil.EncodeUint64(at.Number), word)
	if err != nil {
		return 0, fmt.Errorf("balance of %s: %w", owner, err)
	}
	balance := new(big.Int).SetBytes(answer)
	if !balance.IsInt64() {
		return 0, fmt.Errorf("balance of %s: %w: %s is more than there is", owner, ErrUnavailable, balance)
	}
	return money.USDC(balance.Int64()), nil
}

// CanSend asks the token whether it would move money from one address to another now. No signature is made for it, so that
// nobody can carry out what was only asked. Errors: [*x402.Invalid] with what the token says, [ErrUnavailable].
func (c *Chain) CanSend(ctx context.Context, from, to common.Address, amount money.USDC) error {
	data := call(callTransfer, addressWord(to), uintWord(uint64(amount))) //nolint:gosec // Amounts are above zero.
	message := map[string]any{"from": from, "to": c.network.Token.Address, "data": hexutil.Bytes(data), "gas": hexutil.Uint64(simulateGas)}
	var answer hexutil.Bytes
	err := c.nodes.call(ctx, &answer, "eth_call", message, "latest")
	var reverted *RevertError
	switch {
	case errors.As(err, &reverted):
		return refusal(reverted.Reason)
	case err != nil:
		return fmt.Errorf("ask whether %s can send: %w", from, err)
	default:
		return nil
	}
}

// Use is an authorization that was used up, and the transfer that it made.
type Use struct {
	Nonce common.Hash
	Proof
}

// Uses lists the authorizations of these addresses that were used in blocks from to until, both included, oldest first.
func (c *Chain) Uses(ctx context.Context, by []common.Address, from, until uint64) ([]Use, error) {
	if len(by) == 0 {
		return nil, nil
	}
	payers := make([]common.Hash, len(by))
	for i, address := range by {
		payers[i] = common.BytesToHash(address.Bytes())
	}
	var out []Use
	for first := from; first <= until; first += c.logBlocks {
		last := min(first+c.logBlocks-1, until)
		var logs []logEntry
		err := c.nodes.call(ctx, &logs, "eth_getLogs", map[string]any{
			"address": c.network.Token.Address, "fromBlock": hexutil.Uint64(first), "toBlock": hexutil.Uint64(last),
			"topics": []any{topicUsed, payers},
		})
		if err != nil {
			return nil, fmt.Errorf("used authorizations in blocks %d to %d: %w", first, last, err)
		}
		for _, l := range logs {
			use, err := c.use(ctx, l)
			if err != nil {
				return nil, err
			}
			out = append(out, use)
		}
	}
	return out, nil
}

// use reads the transfer that follows an authorization's log in its receipt.
func (c *Chain) use(ctx context.Context, l logEntry) (Use, error) {
	if len(l.Topics) != 3 || l.Topics[0] != topicUsed || l.Address != c.network.Token.Address {
		return Use{}, fmt.Errorf("used authorization in %s: %w: no such log", l.Hash, ErrUnavailable)
	}
	r, err := c.receipt(ctx, l.Hash)
	if err != nil {
		return Use{}, err
	}
	found := false
	for _, next := range r.Logs {
		if p, ok := next.arrival(c.network.Token.Address); found && ok {
			return Use{Nonce: l.Topics[2], Proof: p}, nil
		}
		found = found || next.Index == l.Index
	}
	return Use{}, fmt.Errorf("receipt of %s: %w: it lacks a transfer", l.Hash, ErrUnavailable)
}
