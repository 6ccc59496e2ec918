package devchain

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/txpool"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
)

// sendGas is what a transaction may burn: enough for a transfer of the token, and for a small contract.
const sendGas = 300_000

// Send signs a transaction with a key of a development chain's account, and sends it; value is wei, nil for none. Without a
// recipient it makes a contract. It returns before a block has it.
//
// The chain's pool takes transactions a moment before it counts them, so it may name a nonce that is taken: it is asked again.
func Send(ctx context.Context, client *ethclient.Client, key *ecdsa.PrivateKey, to *common.Address, value *big.Int, data []byte) (*types.Transaction, error) {
	if value == nil {
		value = new(big.Int)
	}
	for {
		nonce, err := client.PendingNonceAt(ctx, crypto.PubkeyToAddress(key.PublicKey))
		if err != nil {
			return nil, fmt.Errorf("nonce: %w", err)
		}
		// All offer the same: no two replace each other by accident.
		tx, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(ChainID)), &types.DynamicFeeTx{
			ChainID: big.NewInt(ChainID), Nonce: nonce, To: to, Value: value, Data: data, Gas: sendGas,
			GasTipCap: big.NewInt(5e9), GasFeeCap: big.NewInt(2e11),
		})
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		err = client.SendTransaction(ctx, tx)
		switch {
		case err == nil:
			return tx, nil
		case !nonceTaken(err):
			return nil, fmt.Errorf("send: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("send: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// nonceTaken tells whether a node refused a transaction since another of its sender's has its nonce.
func nonceTaken(err error) bool {
	return slices.ContainsFunc([]error{core.ErrNonceTooLow, txpool.ErrReplaceUnderpriced, txpool.ErrAlreadyKnown}, func(refusal error) bool {
		return strings.Contains(err.Error(), refusal.Error()) // from a node's answer, which is but text
	})
}
