package e2e

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"math/big"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/stretchr/testify/require"

	"xsynesis/evm/devchain"
)

// send is what a wallet does that sends money by itself, once its owner agrees.
func (w *wallet) send(params []json.RawMessage) (any, *walletError) {
	if refused := w.asks(); refused != nil {
		return nil, refused
	}
	var asked struct {
		To   common.Address
		Data hexutil.Bytes
	}
	if err := json.Unmarshal(params[0], &asked); err != nil || w.rpc == "" {
		return nil, &walletError{-32602, "nothing can be sent"}
	}
	client, err := ethclient.Dial(w.rpc)
	if err != nil {
		return nil, &walletError{-32603, err.Error()}
	}
	defer client.Close()
	hash, err := sendFrom(context.Background(), client, w.owner(), asked.To, nil, asked.Data)
	if err != nil {
		return nil, &walletError{-32000, err.Error()}
	}
	return hash.Hex(), nil
}

func (w *wallet) owner() *ecdsa.PrivateKey {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.key
}

// swap makes it the wallet of another key, and returns the one before.
func (w *wallet) swap(key *ecdsa.PrivateKey) *ecdsa.PrivateKey {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.key
	w.key = key
	return was
}

func sendFrom(ctx context.Context, client *ethclient.Client, key *ecdsa.PrivateKey, to common.Address, value *big.Int, data []byte) (common.Hash, error) {
	tx, err := devchain.Send(ctx, client, key, &to, value, data)
	if err != nil {
		return common.Hash{}, err
	}
	return tx.Hash(), nil
}

// mined waits for a transaction.
func (w *world) mined(t testing.TB, hash common.Hash) {
	t.Helper()
	client := w.chain(t)
	require.Eventually(t, func() bool {
		r, err := client.TransactionReceipt(t.Context(), hash)
		return err == nil && r.Status == types.ReceiptStatusSuccessful
	}, 20*time.Second, 50*time.Millisecond, "it is not mined")
}

// tap is held by whoever takes from the world's tap: its transactions are numbered.
var tap sync.Mutex

// endow gives an address gas, and so much money out of nothing.
func (w *world) endow(t testing.TB, to common.Address, units int64) {
	t.Helper()
	key, err := crypto.LoadECDSA(filepath.Join(w.Dir, "chain", "faucet.key"))
	require.NoError(t, err)
	tap.Lock()
	defer tap.Unlock()
	client := w.chain(t)
	gas, err := sendFrom(t.Context(), client, key, to, big.NewInt(1e18), nil)
	require.NoError(t, err)
	mint := crypto.Keccak256([]byte("mint(address,uint256)"))[:4]
	mint = append(append(mint, common.LeftPadBytes(to[:], 32)...), common.BigToHash(big.NewInt(units)).Bytes()...)
	money, err := sendFrom(t.Context(), client, key, common.HexToAddress(w.USDC), nil, mint)
	require.NoError(t, err)
	w.mined(t, gas)
	w.mined(t, money)
}

// newSender is a wallet that has gas, and so much money.
func (w *world) newSender(t testing.TB, units int64) *wallet {
	t.Helper()
	key, err := crypto.GenerateKey()
	require.NoError(t, err)
	w.endow(t, crypto.PubkeyToAddress(key.PublicKey), units)
	out := newWallet(key, w.ChainID)
	out.rpc = w.RPCURL
	return out
}

// transfers lets a wallet send money without a browser.
func (w *world) transfers(t testing.TB, from *wallet, to string, units int64) common.Hash {
	t.Helper()
	data := append(crypto.Keccak256([]byte("transfer(address,uint256)"))[:4], common.LeftPadBytes(common.FromHex(to), 32)...)
	hash, err := sendFrom(t.Context(), w.chain(t), from.key, common.HexToAddress(w.USDC), nil, append(data, common.BigToHash(big.NewInt(units)).Bytes()...))
	require.NoError(t, err)
	w.mined(t, hash)
	return hash
}
