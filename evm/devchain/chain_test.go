package devchain_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/money"
)

var (
	rich = common.HexToAddress("0x1000000000000000000000000000000000000001")
	poor = common.HexToAddress("0x2000000000000000000000000000000000000002")
)

func start(t *testing.T, o devchain.Options) *devchain.Chain {
	t.Helper()
	chain, err := devchain.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, chain.Stop()) })
	return chain
}

func client(t *testing.T, url string) *evm.Chain {
	t.Helper()
	network, err := evm.NewRegistry(map[uint64][]string{devchain.ChainID: {url}}).Network("eip155:84532")
	require.NoError(t, err)
	return evm.Dial(network, evm.Options{})
}

func TestChain(t *testing.T) {
	t.Parallel()
	dev := start(t, devchain.Options{Alloc: map[common.Address]devchain.Account{
		rich: {USDC: 1_000_000 * money.One}, poor: {ETH: big.NewInt(7)},
	}})
	chain := client(t, dev.URL())

	t.Run("it is the network it stands in for, and says that it is not", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, chain.Check(t.Context()))
		development, err := chain.IsDevelopment(t.Context())
		require.NoError(t, err)
		require.True(t, development)
	})

	t.Run("accounts hold what they were given", func(t *testing.T) {
		t.Parallel()
		balance, err := chain.Balance(t.Context(), rich)
		require.NoError(t, err)
		require.Equal(t, 1_000_000*money.One, balance)
		gas, err := chain.GasBalance(t.Context(), rich)
		require.NoError(t, err)
		require.Zero(t, gas.Sign())
		gas, err = chain.GasBalance(t.Context(), poor)
		require.NoError(t, err)
		require.EqualValues(t, 7, gas.Int64())
	})

	t.Run("the faucet mints and funds", func(t *testing.T) {
		t.Parallel()
		to := common.HexToAddress("0x3000000000000000000000000000000000000003")
		require.NoError(t, dev.Mint(t.Context(), to, 5*money.One))
		require.NoError(t, dev.FundGas(t.Context(), to, big.NewInt(99)))
		balance, err := chain.Balance(t.Context(), to)
		require.NoError(t, err)
		require.Equal(t, 5*money.One, balance)
	})

	t.Run("nobody else mints", func(t *testing.T) {
		t.Parallel()
		body := `{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"from":"` + poor.Hex() + `","to":"` + devchain.USDC.Hex() +
			`","data":"0x40c10f19` + strings.Repeat("0", 63) + `1` + strings.Repeat("0", 63) + `1"},"latest"]}`
		require.Contains(t, post(t, dev.URL(), body), "caller is not a minter")
	})

	t.Run("many calls go in one", func(t *testing.T) {
		t.Parallel()
		// getChainId()
		body := `{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"` + devchain.Multicall3.Hex() + `","data":"0x3408e470"},"latest"]}`
		require.Contains(t, post(t, dev.URL(), body), "14a34")
	})

	t.Run("any page may read it", func(t *testing.T) {
		t.Parallel()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, dev.URL(), nil)
		require.NoError(t, err)
		request.Header.Set("Origin", "http://localhost:8402")
		request.Header.Set("Access-Control-Request-Method", "POST")
		request.Header.Set("Access-Control-Request-Headers", "content-type")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, "*", response.Header.Get("Access-Control-Allow-Origin"))
	})
}

func TestBlocksKeepTheTimeOfTheClock(t *testing.T) {
	t.Parallel()
	dev := start(t, devchain.Options{})
	chain := client(t, dev.URL())
	begin := time.Now()
	for range 4 {
		require.NoError(t, dev.FundGas(t.Context(), poor, big.NewInt(1)))
		head, err := chain.Head(t.Context())
		require.NoError(t, err)
		require.False(t, head.Time.After(time.Now()), "a block is ahead of the clock")
	}
	require.Greater(t, time.Since(begin), 2*time.Second, "more than one block a second")
	before, err := chain.Head(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		head, err := chain.Head(t.Context())
		return err == nil && head.Number >= before.Number+2
	}, 10*time.Second, 100*time.Millisecond, "no empty blocks")
}

func TestItsPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := devchain.Start(t.Context(), devchain.Options{DataDir: dir})
	require.NoError(t, err)
	hash := first.GenesisHash()
	port := portOf(t, first.URL())

	_, err = devchain.Start(t.Context(), devchain.Options{Port: port})
	require.ErrorContains(t, err, "port "+strconv.Itoa(port))
	_, err = devchain.Start(t.Context(), devchain.Options{DataDir: dir})
	require.ErrorContains(t, err, dir)
	require.NoError(t, first.Mint(t.Context(), rich, money.One))
	require.NoError(t, first.Stop())

	again := start(t, devchain.Options{DataDir: dir, Port: port, Alloc: map[common.Address]devchain.Account{poor: {USDC: 1}}})
	require.Equal(t, hash, again.GenesisHash(), "a folder with a chain continues it")
	balance, err := client(t, again.URL()).Balance(t.Context(), rich)
	require.NoError(t, err)
	require.Equal(t, money.One, balance)
	require.NoError(t, again.Mint(t.Context(), rich, money.One), "the faucet is the same")
}

// TestMain lets the test start this binary again as a chain of its own, to be killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("DEVCHAIN_TEST_DIR"); dir != "" {
		chain, err := devchain.Start(context.Background(), devchain.Options{DataDir: dir})
		if err != nil {
			panic(err)
		}
		_, _ = os.Stdout.WriteString(chain.URL() + "\n")
		select {}
	}
	os.Exit(m.Run())
}

func TestNothingIsLostByKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, err := crypto.GenerateKey()
	require.NoError(t, err)
	address := crypto.PubkeyToAddress(key.PublicKey)
	seed, err := devchain.Start(t.Context(), devchain.Options{DataDir: dir,
		Alloc: map[common.Address]devchain.Account{address: {ETH: big.NewInt(1e18)}}})
	require.NoError(t, err)
	require.NoError(t, seed.Stop())

	for round := range uint64(2) {
		url, kill := child(t, dir)
		chain := client(t, url)
		raw := transfer(t, round, key)
		require.NotContains(t, post(t, url, `{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["`+raw+`"]}`), "error")
		var head evm.Block
		require.Eventually(t, func() bool {
			head, err = chain.Head(t.Context())
			gas, gasErr := chain.GasBalance(t.Context(), poor)
			return err == nil && gasErr == nil && gas.Uint64() == round+1
		}, 10*time.Second, 50*time.Millisecond)
		kill()

		url, kill = child(t, dir)
		chain = client(t, url)
		after, err := chain.Head(t.Context())
		require.NoError(t, err)
		require.GreaterOrEqual(t, after.Number, head.Number)
		gas, err := chain.GasBalance(t.Context(), poor)
		require.NoError(t, err)
		require.Equal(t, round+1, gas.Uint64())
		kill()
	}
}

func transfer(t *testing.T, nonce uint64, key *ecdsa.PrivateKey) string {
	t.Helper()
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(devchain.ChainID)), &types.DynamicFeeTx{
		ChainID: big.NewInt(devchain.ChainID), Nonce: nonce, To: &poor, Value: big.NewInt(1), Gas: 50_000,
		GasTipCap: big.NewInt(1e9), GasFeeCap: big.NewInt(1e10),
	})
	require.NoError(t, err)
	raw, err := tx.MarshalBinary()
	require.NoError(t, err)
	return hexutil.Encode(raw)
}

func child(t *testing.T, dir string) (url string, kill func()) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), "DEVCHAIN_TEST_DIR="+dir)
	var out lockedBuffer
	command.Stdout = &out
	require.NoError(t, command.Start())
	require.Eventually(t, func() bool { return strings.HasSuffix(out.String(), "\n") }, 20*time.Second, 20*time.Millisecond)
	return strings.TrimSpace(out.String()), func() {
		require.NoError(t, command.Process.Kill())
		_ = command.Wait()
	}
}

func post(t *testing.T, url, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewBufferString(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return string(text)
}

func portOf(t *testing.T, url string) int {
	t.Helper()
	port, err := strconv.Atoi(url[strings.LastIndex(url, ":")+1:])
	require.NoError(t, err)
	return port
}

// lockedBuffer is written by the child's output and read by the test.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
