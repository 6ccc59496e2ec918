package checkout_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"flag"
	"log/slog"
	"math/big"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"xsynesis/evm/devchain"
	"xsynesis/money"
	"xsynesis/x402"
)

const sepolia = "eip155:84532"

// atOnce is how many tests run at a time: they wait for blocks, not for the processor.
const atOnce = 16

func TestMain(m *testing.M) {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		if err := flag.Set("test.parallel", strconv.Itoa(atOnce)); err != nil {
			panic(err)
		}
	}
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := flag.Set(checks.Name, strconv.Itoa(historiesOfOne)); err != nil {
			panic(err)
		}
	}
	slog.SetDefault(slog.New(slog.DiscardHandler))
	code := m.Run()
	if err := world.stop(); err != nil {
		code = 1
	}
	os.Exit(code)
}

// world is the development chain that all tests share: each takes accounts of its own.
var world sharedChain

type sharedChain struct {
	start    sync.Once
	chain    *devchain.Chain
	gas      []*ecdsa.PrivateKey // with ETH
	buyers   []*ecdsa.PrivateKey // with USDC, without ETH
	gasTaken atomic.Int64
	taken    atomic.Int64
}

const (
	gasAccounts = 960
	buyers      = 640
	pocket      = 100 * money.One // what a buyer has
)

// The smart wallet in the first block, which belongs to its owner's key.
var (
	walletAddress = common.HexToAddress("0x5afe000000000000000000000000000000000001")
	walletOwner   = newKey()
)

func (w *sharedChain) dev() *devchain.Chain {
	w.start.Do(func() {
		alloc := map[common.Address]devchain.Account{walletAddress: {USDC: pocket}}
		for range gasAccounts {
			key := newKey()
			w.gas = append(w.gas, key)
			alloc[addressOf(key)] = devchain.Account{ETH: ether(10)}
		}
		for range buyers {
			key := newKey()
			w.buyers = append(w.buyers, key)
			alloc[addressOf(key)] = devchain.Account{USDC: pocket}
		}
		chain, err := devchain.Start(context.Background(), devchain.Options{
			Alloc: alloc, Wallets: map[common.Address]common.Address{walletAddress: addressOf(walletOwner)},
		})
		if err != nil {
			panic(err)
		}
		w.chain = chain
	})
	return w.chain
}

func (w *sharedChain) stop() error {
	if w.chain == nil {
		return nil
	}
	return w.chain.Stop()
}

// newBuyer is a wallet with a hundred USDC.
func newBuyer(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	world.dev()
	n := int(world.taken.Add(1)) - 1
	require.Less(t, n, buyers, "too few buyers")
	return world.buyers[n]
}

// newGas is an account that can pay gas and has sent nothing yet.
func newGas(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	world.dev()
	n := int(world.gasTaken.Add(1)) - 1
	require.Less(t, n, gasAccounts, "too few accounts with gas money")
	return world.gas[n]
}

func newKey() *ecdsa.PrivateKey {
	key, err := crypto.GenerateKey()
	if err != nil {
		panic(err)
	}
	return key
}

func addressOf(key *ecdsa.PrivateKey) common.Address { return crypto.PubkeyToAddress(key.PublicKey) }

func ether(n int64) *big.Int { return new(big.Int).Mul(big.NewInt(n), big.NewInt(1e18)) }

func randomHash() (h common.Hash) {
	_, _ = rand.Read(h[:])
	return h
}

// sendByStranger lets somebody who is not our relayer send a transaction to the token, and waits until it is mined.
func sendByStranger(t *testing.T, data []byte) common.Hash {
	t.Helper()
	key := newGas(t)
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(devchain.ChainID)), &types.DynamicFeeTx{
		ChainID: big.NewInt(devchain.ChainID), To: &devchain.USDC, Value: new(big.Int), Data: data, Gas: 200_000,
		GasTipCap: big.NewInt(5e9), GasFeeCap: big.NewInt(1e11),
	})
	require.NoError(t, err)
	client := world.dev().Client()
	require.NoError(t, client.SendTransaction(t.Context(), tx))
	require.Eventually(t, func() bool {
		receipt, err := client.TransactionReceipt(t.Context(), tx.Hash())
		return err == nil && receipt.Status == types.ReceiptStatusSuccessful
	}, 20*time.Second, 20*time.Millisecond, "the stranger's transaction is not mined")
	return tx.Hash()
}

func selector(signature string) []byte { return crypto.Keccak256([]byte(signature))[:4] }

func word(b []byte) []byte { return common.LeftPadBytes(b, 32) }

// transferCall is the calldata by which anybody may send a signed payment.
func transferCall(p x402.Payment) []byte {
	a := p.Authorization
	data := selector("transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)")
	for _, w := range [][]byte{a.From[:], a.To[:], a.Value.Bytes(), a.ValidAfter.Bytes(), a.ValidBefore.Bytes(), a.Nonce[:], p.Signature[64:], p.Signature[:32], p.Signature[32:64]} {
		data = append(data, word(w)...)
	}
	return data
}

// cancelCall is what a payer sends who has thought better of it.
func cancelCall(t *testing.T, token x402.Token, p x402.Payment, payer *ecdsa.PrivateKey) []byte {
	t.Helper()
	typehash := crypto.Keccak256([]byte("CancelAuthorization(address authorizer,bytes32 nonce)"))
	message := crypto.Keccak256(typehash, word(p.Authorization.From[:]), p.Authorization.Nonce[:])
	separator := token.DomainSeparator()
	signature, err := crypto.Sign(crypto.Keccak256([]byte("\x19\x01"), separator[:], message), payer)
	require.NoError(t, err)
	data := selector("cancelAuthorization(address,bytes32,uint8,bytes32,bytes32)")
	for _, w := range [][]byte{p.Authorization.From[:], p.Authorization.Nonce[:], {signature[64] + 27}, signature[:32], signature[32:64]} {
		data = append(data, word(w)...)
	}
	return data
}

// balanceOf is what an address holds of the token, as the chain says.
func balanceOf(t *testing.T, owner common.Address) money.USDC {
	t.Helper()
	balance, err := dial(t, world.dev().URL()).Balance(t.Context(), owner)
	require.NoError(t, err)
	return balance
}
