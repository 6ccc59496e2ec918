package evm

import (
	"context"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"xsynesis/money"
)

// Transfers lists the token's transfers to any of these addresses in blocks from to until, both included,
// oldest first. Amounts that do not fit in 63 bits of base units cannot be USDC and are left out.
func (c *Chain) Transfers(ctx context.Context, to []common.Address, from, until uint64) ([]Proof, error) {
	if len(to) == 0 {
		return nil, nil
	}
	payees := make([]common.Hash, len(to))
	for i, address := range to {
		payees[i] = common.BytesToHash(address.Bytes())
	}
	var out []Proof
	for first := from; first <= until; first += c.logBlocks {
		last := min(first+c.logBlocks-1, until)
		var logs []logEntry
		err := c.nodes.call(ctx, &logs, "eth_getLogs", map[string]any{
			"address": c.network.Token.Address, "fromBlock": hexutil.Uint64(first), "toBlock": hexutil.Uint64(last),
			"topics": []any{topicTransfer, nil, payees},
		})
		if err != nil {
			return nil, fmt.Errorf("transfers in blocks %d to %d: %w", first, last, err)
		}
		for _, l := range logs {
			if p, ok := l.arrival(c.network.Token.Address); ok {
				out = append(out, p)
			}
		}
	}
	return out, nil
}

// arrival reads a Transfer log; its block's time is not known.
func (l logEntry) arrival(token common.Address) (Proof, bool) {
	value := new(big.Int).SetBytes(l.Data)
	if l.Address != token || l.Removed || len(l.Topics) != 3 || l.Topics[0] != topicTransfer || len(l.Data) != word || !value.IsInt64() {
		return Proof{}, false
	}
	return Proof{
		Transaction: l.Hash, Block: uint64(l.Block), BlockHash: l.BlockHash, LogIndex: uint(l.Index),
		Payer: common.BytesToAddress(l.Topics[1].Bytes()), Payee: common.BytesToAddress(l.Topics[2].Bytes()), Value: money.USDC(value.Int64()),
	}, true
}
