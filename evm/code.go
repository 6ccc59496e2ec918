package evm

import (
	"bytes"
	"context"
	"fmt"
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
