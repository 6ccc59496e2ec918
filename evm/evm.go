// Package evm moves the money: it knows the networks, reads their chains, and relays a buyer's signed transfer
// so that it is mined exactly once.
//
// Nothing outside this package knows a chain id. What a chain answers is believed only as far as it agrees with
// itself: a payment counts when the token's own logs, AuthorizationUsed and the Transfer after it, say so.
package evm

import (
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/money"
)

var (
	// ErrUnavailable is returned by everything that asks a chain, when no node gave a usable answer. It never says
	// anything about a payment.
	ErrUnavailable = errors.New("evm: chain unavailable")
	// ErrNetwork is returned by [Registry.Network] for a network that is not in the registry.
	ErrNetwork = errors.New("evm: unknown network")
	// ErrOpen is returned by [Chain.Resolve] for an authorization that is unused and may still be mined.
	ErrOpen = errors.New("evm: authorization is still open")
	// ErrVoid is returned by [Chain.Resolve] and [Relayer.Settle] for an authorization that can never be mined.
	ErrVoid = errors.New("evm: authorization can never be mined")
	// ErrUnknown is returned by [Relayer.Settle] when the transfer may have been broadcast and its outcome is not
	// known: ask again, and ask nobody to pay again.
	ErrUnknown = errors.New("evm: outcome not known yet")
	// ErrReverted is an [ErrUnknown] of [Relayer.Settle]: the transfer was mined and moved nothing, and cost gas. Until the
	// authorization ends it may still be mined by whoever has it.
	ErrReverted = fmt.Errorf("%w: mined, and moved nothing", ErrUnknown)
	// ErrUnfunded is returned by [Relayer.Settle] when the relayer cannot pay gas. It is an [ErrUnavailable].
	ErrUnfunded = fmt.Errorf("%w: relayer has no gas money", ErrUnavailable)
	// ErrWrongChain is returned by [Chain.Check] when a node serves another chain or another token.
	ErrWrongChain = errors.New("evm: node serves another chain")
)

// DevelopmentMark is the extra data of a development chain's first block. Production refuses such a chain.
const DevelopmentMark = "xsynesis development chain"

// Block is what a header says.
type Block struct {
	Number       uint64
	Hash, Parent common.Hash
	Time         time.Time
	BaseFee      int64 // wei
}

// Proof is where on the chain a payment stands.
type Proof struct {
	Transaction  common.Hash
	Block        uint64
	BlockHash    common.Hash
	LogIndex     uint // of the Transfer
	Payer, Payee common.Address
	Value        money.USDC
	Time         time.Time // of the block
	// Gas is what a relayer of this process paid for this payment, in wei: its share, where the transaction moved others
	// as well. It is 0 where somebody else sent it, and where no receipt was read.
	Gas int64
}
