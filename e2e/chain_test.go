package e2e

import (
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/stretchr/testify/require"
)

// chain is the world's chain as everybody can read it.
func (w *world) chain(t testing.TB) *ethclient.Client {
	t.Helper()
	client, err := ethclient.DialContext(t.Context(), w.RPCURL)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

var transferEvent = crypto.Keccak256Hash([]byte("Transfer(address,address,uint256)"))

// requireTransfer demands that the transaction moved this many base units of USDC. Payments that wait together share a
// transaction: there may be others of the same two in it.
func (w *world) requireTransfer(t testing.TB, transaction, from, to string, units int64) {
	t.Helper()
	receipt, err := w.chain(t).TransactionReceipt(t.Context(), common.HexToHash(transaction))
	require.NoError(t, err)
	require.Equal(t, types.ReceiptStatusSuccessful, receipt.Status)
	var moved []int64
	for _, log := range receipt.Logs {
		if log.Address == common.HexToAddress(w.USDC) && log.Topics[0] == transferEvent &&
			log.Topics[1] == common.BytesToHash(common.FromHex(from)) && log.Topics[2] == common.BytesToHash(common.FromHex(to)) {
			moved = append(moved, new(big.Int).SetBytes(log.Data).Int64())
		}
	}
	require.Contains(t, moved, units)
}

// balance is how many base units of USDC an address holds.
func (w *world) balance(t testing.TB, address string) int64 {
	t.Helper()
	token := common.HexToAddress(w.USDC)
	data := append(crypto.Keccak256([]byte("balanceOf(address)"))[:4], common.LeftPadBytes(common.FromHex(address), 32)...)
	out, err := w.chain(t).CallContract(t.Context(), ethereum.CallMsg{To: &token, Data: data}, nil)
	require.NoError(t, err)
	return new(big.Int).SetBytes(out).Int64()
}
