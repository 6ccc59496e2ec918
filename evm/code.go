package evm

import (
	"bytes"
	"context"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

// codeTimeout is how long somebody who typed an address waits to be told what is at it.
const codeTimeout = 2 * time.Second

// delegation begins the code of an account that a key still signs for, and that borrows a contract's code (EIP-7702).
var delegation = []byte{0xef, 0x01, 0x00}

// IsContract tells whether an address is a contract rather than a key's account. It asks for two seconds at most.
func (c *Chain) IsContract(ctx context.Context, address common.Address) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, codeTimeout)
	defer cancel()
	var code *hexutil.Bytes
	if err := c.nodes.call(ctx, &code, "eth_getCode", address, "latest"); err != nil {
		return false, fmt.Errorf("code of %s: %w", address, err)
	}
	if code == nil {
		return false, fmt.Errorf("code of %s: %w: no answer", address, ErrUnavailable)
	}
	return len(*code) > 0 && !bytes.HasPrefix(*code, delegation), nil
}

// hasCode tells whether the token asks an address itself what it has signed (EIP-1271), and no key: a contract, and an
// account that borrows the code of one.
func (c *Chain) hasCode(ctx context.Context, address common.Address) (bool, error) {
	var code *hexutil.Bytes
	if err := c.nodes.call(ctx, &code, "eth_getCode", address, "latest"); err != nil {
		return false, fmt.Errorf("code of %s: %w", address, err)
	}
	if code == nil {
		return false, fmt.Errorf("code of %s: %w: no answer", address, ErrUnavailable)
	}
	return len(*code) > 0, nil
}

// Blocked tells whether the token refuses to pay an address, as its issuer may decide. It asks for two seconds at most;
// a token that has no such list is an error.
func (c *Chain) Blocked(ctx context.Context, address common.Address) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, codeTimeout)
	defer cancel()
	answer, err := c.view(ctx, c.network.Token.Address, call(callBlocked, addressWord(address)), "latest", word)
	if err != nil {
		return false, fmt.Errorf("whether %s is blocked: %w", address, err)
	}
	return new(big.Int).SetBytes(answer[:word]).Sign() != 0, nil
}

// mostOwners is far above what anybody's Safe has; another contract may answer anything.
const mostOwners = 100

// Signers tells how many of a Safe's owners have to sign, and how many there are. A contract that is no Safe is an error.
func (c *Chain) Signers(ctx context.Context, safe common.Address) (needed, owners int, err error) {
	ctx, cancel := context.WithTimeout(ctx, codeTimeout)
	defer cancel()
	threshold, err := c.view(ctx, safe, callThreshold, "latest", word)
	if err != nil {
		return 0, 0, fmt.Errorf("threshold of %s: %w", safe, err)
	}
	list, err := c.view(ctx, safe, callOwners, "latest", 2*word)
	if err != nil {
		return 0, 0, fmt.Errorf("owners of %s: %w", safe, err)
	}
	n, all := new(big.Int).SetBytes(threshold[:word]), new(big.Int).SetBytes(list[word:2*word])
	if !n.IsInt64() || !all.IsInt64() || n.Sign() <= 0 || n.Cmp(all) > 0 || all.Int64() > mostOwners {
		return 0, 0, fmt.Errorf("owners of %s: %w: no Safe", safe, ErrUnavailable)
	}
	return int(n.Int64()), int(all.Int64()), nil
}
