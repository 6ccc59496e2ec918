package devchain

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"xsynesis/money"
)

var mintSelector = crypto.Keccak256([]byte("mint(address,uint256)"))[:4]

// Mint gives an address test USDC and returns when it has it.
func (c *Chain) Mint(ctx context.Context, to common.Address, amount money.USDC) error {
	data := append([]byte{}, mintSelector...)
	data = append(data, common.LeftPadBytes(to.Bytes(), 32)...)
	data = append(data, common.BigToHash(big.NewInt(int64(amount))).Bytes()...)
	if err := c.send(ctx, USDC, new(big.Int), data); err != nil {
		return fmt.Errorf("mint %s USDC for %s: %w", amount, to, err)
	}
	return nil
}

// FundGas gives an address ETH, in wei, and returns when it has it.
func (c *Chain) FundGas(ctx context.Context, to common.Address, wei *big.Int) error {
	if err := c.send(ctx, to, wei, nil); err != nil {
		return fmt.Errorf("fund %s: %w", to, err)
	}
	return nil
}

func (c *Chain) send(ctx context.Context, to common.Address, value *big.Int, data []byte) error {
	c.paying.Lock()
	tx, err := Send(ctx, c.client, c.faucet, &to, value, data)
	c.paying.Unlock()
	if err != nil {
		return err
	}
	for {
		if done, err := c.mined(ctx, tx.Hash()); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", tx.Hash(), ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// mined tells whether the latest block holds a transaction, or one before it. Its receipt is there a moment earlier.
func (c *Chain) mined(ctx context.Context, hash common.Hash) (bool, error) {
	receipt, err := c.client.TransactionReceipt(ctx, hash)
	switch {
	case err == nil && receipt.Status != types.ReceiptStatusSuccessful:
		return false, fmt.Errorf("transaction %s reverted", hash)
	case err == nil:
		return receipt.BlockNumber.Cmp(c.eth.BlockChain().CurrentBlock().Number) <= 0, nil
	case errors.Is(err, ethereum.NotFound) || strings.Contains(err.Error(), "indexing"):
		return false, nil
	default:
		return false, fmt.Errorf("receipt of %s: %w", hash, err)
	}
}

// faucetKey is drawn once per folder: it may mint and it holds the chain's ether, and it is worth nothing elsewhere.
func faucetKey(dir string) (*ecdsa.PrivateKey, error) {
	path := filepath.Join(dir, "faucet.key")
	if dir != "" {
		key, err := crypto.LoadECDSA(path)
		if err == nil {
			return key, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the faucet's key: %w", err)
		}
		if _, err := os.Stat(filepath.Join(dir, "genesis.json")); err == nil {
			return nil, fmt.Errorf("the chain in %s has lost its faucet.key", dir)
		}
	}
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("draw the faucet's key: %w", err)
	}
	if dir == "" {
		return key, nil
	}
	return key, replaceFile(path, []byte(common.Bytes2Hex(crypto.FromECDSA(key))))
}
