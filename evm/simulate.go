package evm

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common/hexutil"

	"xsynesis/x402"
)

// Simulate asks the chain whether the money would move now: nil, an [*x402.Invalid], or [ErrUnavailable]. It promises
// nothing for later.
func (c *Chain) Simulate(ctx context.Context, a x402.Authorization, signature []byte) error {
	var answer hexutil.Bytes
	message := map[string]any{"to": c.network.Token.Address, "data": hexutil.Bytes(transferCall(a, signature, false)), "gas": hexutil.Uint64(simulateGas)}
	err := c.nodes.call(ctx, &answer, "eth_call", message, "latest")
	var reverted *RevertError
	switch {
	case errors.As(err, &reverted):
		return refusal(reverted.Reason)
	case err != nil:
		return fmt.Errorf("simulate: %w", err)
	default:
		return nil
	}
}

// simulateGas is what a transfer may burn while it is only tried: as much as when it is sent.
const simulateGas = contractGas
