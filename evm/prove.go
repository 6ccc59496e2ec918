package evm

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/x402"
)

// ErrUnproven is returned by [Chain.Prove] when the chain does not show the payment.
var ErrUnproven = errors.New("evm: the chain does not show this payment")

// Prove looks at one transaction and says where the authorization was used in it, for the very transfer that it names;
// its times count for nothing. Errors: [ErrUnproven], [ErrUnavailable].
func (c *Chain) Prove(ctx context.Context, transaction common.Hash, a x402.Authorization) (Proof, error) {
	var r *receipt
	if err := c.nodes.call(ctx, &r, "eth_getTransactionReceipt", transaction); err != nil {
		return Proof{}, fmt.Errorf("receipt of %s: %w", transaction, err)
	}
	switch {
	case r == nil:
		return Proof{}, fmt.Errorf("%w: there is no transaction %s", ErrUnproven, transaction)
	case r.Hash != transaction:
		return Proof{}, fmt.Errorf("receipt of %s: %w: it is that of another", transaction, ErrUnavailable)
	case !a.Value.IsInt64():
		return Proof{}, fmt.Errorf("%w: value %s is more than there is", ErrUnproven, a.Value)
	}
	b, err := c.blockAt(ctx, uint64(r.Block))
	if err != nil {
		return Proof{}, err
	}
	if r.BlockHash != b.Hash {
		return Proof{}, fmt.Errorf("receipt of %s: %w: it and its block disagree", transaction, ErrUnavailable)
	}
	transfer, found, paid := r.payment(c.network.Token.Address, a)
	switch {
	case paid:
		return c.proof(*r, transfer, a, b), nil
	case found:
		return Proof{}, fmt.Errorf("%w: the authorization was used for another transfer", ErrUnproven)
	default:
		return Proof{}, fmt.Errorf("%w: transaction %s does not use it", ErrUnproven, transaction)
	}
}
