package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/money"
)

var (
	// ErrUnmined is returned by [Chain.SentIn] for a transaction that no node shows mined: it may never be, or in a moment.
	ErrUnmined = errors.New("evm: transaction is not mined")
	// ErrNotSent is returned by [Chain.SentIn] for a transaction that is mined and does not move what was asked for.
	ErrNotSent = errors.New("evm: transaction does not send this")
)

// Sent is money that some wallet sent by itself: without an authorization, only the token's own log says so.
type Sent struct {
	From  []common.Address // any of them
	To    common.Address
	Value money.USDC
	Since uint64 // not in an earlier block
}

func (s Sent) is(p Proof) bool {
	return slices.Contains(s.From, p.Payer) && p.Payee == s.To && p.Value == s.Value && p.Block >= s.Since
}

// SentIn finds the transfers in one transaction that are what was asked for, in the order of their logs. The receipt and its
// block must agree. Errors: [ErrUnmined], [ErrNotSent], [ErrUnavailable].
func (c *Chain) SentIn(ctx context.Context, transaction common.Hash, s Sent) ([]Proof, error) {
	var r *receipt
	if err := c.nodes.call(ctx, &r, "eth_getTransactionReceipt", transaction); err != nil {
		return nil, fmt.Errorf("receipt of %s: %w", transaction, err)
	}
	if r == nil {
		return nil, fmt.Errorf("%w: %s", ErrUnmined, transaction)
	}
	if r.Hash != transaction {
		return nil, fmt.Errorf("receipt of %s: %w: it is that of another", transaction, ErrUnavailable)
	}
	b, err := c.blockAt(ctx, uint64(r.Block))
	if err != nil {
		return nil, err
	}
	if r.BlockHash != b.Hash {
		return nil, fmt.Errorf("receipt of %s: %w: it and its block disagree", transaction, ErrUnavailable)
	}
	if !r.succeeded() {
		return nil, fmt.Errorf("%w: %s was undone by the network", ErrNotSent, transaction)
	}
	var out []Proof
	for _, l := range r.Logs {
		if l.Hash != r.Hash || l.BlockHash != r.BlockHash {
			continue
		}
		if p, ok := l.arrival(c.network.Token.Address); ok && s.is(p) {
			p.Time = b.Time
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNotSent, transaction)
	}
	return out, nil
}

// FindSent searches the chain's logs for transfers that are what was asked for, oldest first. Their transactions are still to
// be looked at by [Chain.SentIn]: a log alone may be of a block that is gone.
func (c *Chain) FindSent(ctx context.Context, s Sent) ([]Proof, error) {
	head, err := c.Head(ctx)
	if err != nil {
		return nil, err
	}
	all, err := c.Transfers(ctx, []common.Address{s.To}, s.Since, head.Number)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(p Proof) bool { return !s.is(p) }), nil
}

// SendData is the call with which a wallet sends so much of the token itself.
func SendData(to common.Address, value money.USDC) []byte {
	return call(selectorTransfer, addressWord(to), common.LeftPadBytes(big.NewInt(int64(value)).Bytes(), word))
}

// selectorTransfer is ERC-20's own way to send.
var selectorTransfer = selector("transfer(address,uint256)")
