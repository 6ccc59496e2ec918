package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"xsynesis/money"
	"xsynesis/x402"
)

const (
	signatureTimeout = 2 * time.Second
	signatureGas     = 100_000 // what a payer's contract may burn to say yes, 25,000 for the question included
)

// Options are the limits of a [Chain]; the zero value is fit for production.
type Options struct {
	CallTimeout time.Duration // of one call to one node; 5 s
	LogBlocks   uint64        // how many blocks one log search may span; 5,000
}

// Chain reads one network through its nodes. Any number of goroutines may use it.
type Chain struct {
	network   Network
	nodes     *nodes
	logBlocks uint64
	agreement agreement
	relayers  sync.Map // addresses whose gas this process pays, common.Address to true
}

// Dial makes a client without any call to the network.
func Dial(n Network, o Options) *Chain {
	if o.CallTimeout == 0 {
		o.CallTimeout = defaultCallTimeout
	}
	if o.LogBlocks == 0 {
		o.LogBlocks = 5_000
	}
	return &Chain{network: n, nodes: newNodes(n.RPC, o.CallTimeout), logBlocks: o.LogBlocks}
}

// Network is the network this chain is.
func (c *Chain) Network() Network { return c.network }

// Head is the latest block.
func (c *Chain) Head(ctx context.Context) (Block, error) { return c.block(ctx, "latest") }

// Finalized is the latest block that no reorganisation can take away.
func (c *Chain) Finalized(ctx context.Context) (Block, error) { return c.block(ctx, "finalized") }

// Balance is what an address holds of the network's token.
func (c *Chain) Balance(ctx context.Context, owner common.Address) (money.USDC, error) {
	answer, err := c.view(ctx, c.network.Token.Address, call(callBalance, addressWord(owner)), "latest", word)
	if err != nil {
		return 0, fmt.Errorf("balance of %s: %w", owner, err)
	}
	balance := new(big.Int).SetBytes(answer)
	if !balance.IsInt64() {
		return 0, fmt.Errorf("balance of %s: %w: %s is more than there is", owner, ErrUnavailable, balance)
	}
	return money.USDC(balance.Int64()), nil
}

// GasBalance is what an address holds of the network's own coin, in wei.
func (c *Chain) GasBalance(ctx context.Context, owner common.Address) (*big.Int, error) {
	var balance *hexutil.Big
	if err := c.nodes.call(ctx, &balance, "eth_getBalance", owner, "latest"); err != nil {
		return nil, fmt.Errorf("gas balance of %s: %w", owner, err)
	}
	if balance == nil {
		return nil, fmt.Errorf("gas balance of %s: %w: no answer", owner, ErrUnavailable)
	}
	return balance.ToInt(), nil
}

// CheckContractSignature asks a payer that has code whether it stands by the signature (EIP-1271). A payer without
// code, or one that says no, is an *x402.Invalid.
func (c *Chain) CheckContractSignature(ctx context.Context, payer common.Address, digest common.Hash, signature []byte) error {
	ctx, cancel := context.WithTimeout(ctx, signatureTimeout)
	defer cancel()
	if x402.Wrapped(signature) {
		return &x402.Invalid{Kind: x402.Undeployed, Detail: "the wallet is not on the chain yet (ERC-6492): deploy it and sign again"}
	}
	code, err := c.hasCode(ctx, payer)
	if err != nil {
		return err
	}
	if !code {
		return &x402.Invalid{Kind: x402.Signature, Detail: "not signed by the payer, who is no contract"}
	}
	var answer hexutil.Bytes
	message := map[string]any{"to": payer, "data": hexutil.Bytes(signatureCall(digest, signature)), "gas": hexutil.Uint64(signatureGas)}
	err = c.nodes.call(ctx, &answer, "eth_call", message, "latest")
	var reverted *RevertError
	switch {
	case errors.As(err, &reverted):
		return &x402.Invalid{Kind: x402.Signature, Detail: "the payer's contract refused: " + reverted.Reason}
	case err != nil:
		return fmt.Errorf("ask the contract %s: %w", payer, err)
	case len(answer) < word || [4]byte(answer[:4]) != [4]byte(callSignature):
		return &x402.Invalid{Kind: x402.Signature, Detail: "the payer's contract does not stand by it"}
	default:
		return nil
	}
}

// Check makes sure that the nodes serve this network with this token, or returns [ErrWrongChain].
func (c *Chain) Check(ctx context.Context) error {
	var id hexutil.Uint64
	if err := c.nodes.call(ctx, &id, "eth_chainId"); err != nil {
		return fmt.Errorf("chain id: %w", err)
	}
	token := c.network.Token
	if uint64(id) != token.ChainID {
		return fmt.Errorf("%w: chain id %d, not %d", ErrWrongChain, id, token.ChainID)
	}
	for _, want := range []struct {
		call []byte
		text string
	}{{callName, token.Name}, {callVersion, token.Version}} {
		answer, err := c.view(ctx, token.Address, want.call, "latest", 0)
		if err != nil {
			return fmt.Errorf("token's domain: %w", err)
		}
		if len(answer) == 0 {
			return fmt.Errorf("%w: no token at %s", ErrWrongChain, token.Address)
		}
		text, err := decodeString(answer)
		if err != nil {
			return fmt.Errorf("token's domain: %w", err)
		}
		if text != want.text {
			return fmt.Errorf("%w: the token calls itself %.40q, not %q", ErrWrongChain, text, want.text)
		}
	}
	return nil
}

// IsDevelopment reports whether this is a chain of our own making, whose money anybody can mint.
func (c *Chain) IsDevelopment(ctx context.Context) (bool, error) {
	var first *struct {
		ExtraData hexutil.Bytes `json:"extraData"`
	}
	if err := c.nodes.call(ctx, &first, "eth_getBlockByNumber", "0x0", false); err != nil {
		return false, fmt.Errorf("first block: %w", err)
	}
	if first == nil {
		return false, fmt.Errorf("first block: %w: no answer", ErrUnavailable)
	}
	return string(first.ExtraData) == DevelopmentMark, nil
}

// view calls a contract without a transaction. An answer shorter than least is none: there is no such contract.
func (c *Chain) view(ctx context.Context, to common.Address, data []byte, at string, least int) ([]byte, error) {
	var answer hexutil.Bytes
	if err := c.nodes.call(ctx, &answer, "eth_call", map[string]any{"to": to, "data": hexutil.Bytes(data)}, at); err != nil {
		return nil, err
	}
	if len(answer) < least {
		return nil, fmt.Errorf("%w: %s answered %d bytes", ErrUnavailable, to, len(answer))
	}
	return answer[:max(least, len(answer))], nil
}

// block reads a header by tag or number.
func (c *Chain) block(ctx context.Context, at string) (Block, error) {
	var header *struct {
		Number  *hexutil.Uint64 `json:"number"`
		Hash    *common.Hash    `json:"hash"`
		Parent  common.Hash     `json:"parentHash"`
		Time    hexutil.Uint64  `json:"timestamp"`
		BaseFee *hexutil.Big    `json:"baseFeePerGas"`
	}
	if err := c.nodes.call(ctx, &header, "eth_getBlockByNumber", at, false); err != nil {
		return Block{}, fmt.Errorf("block %s: %w", at, err)
	}
	if header == nil || header.Number == nil || header.Hash == nil || header.Time == 0 {
		return Block{}, fmt.Errorf("block %s: %w: no answer", at, ErrUnavailable)
	}
	b := Block{
		Number: uint64(*header.Number), Hash: *header.Hash, Parent: header.Parent,
		Time: time.Unix(int64(header.Time), 0).UTC(), //nolint:gosec // Seconds since 1970.
	}
	if header.BaseFee != nil {
		b.BaseFee = header.BaseFee.ToInt().Int64()
	}
	return b, nil
}

// blockAt reads the header of one number, and believes no other.
func (c *Chain) blockAt(ctx context.Context, number uint64) (Block, error) {
	b, err := c.block(ctx, hexutil.EncodeUint64(number))
	if err == nil && b.Number != number {
		return Block{}, fmt.Errorf("block %d: %w: answered %d", number, ErrUnavailable, b.Number)
	}
	return b, err
}
