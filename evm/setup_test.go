package evm_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"flag"
	"math/big"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/postgres/pgtest"
	"xsynesis/x402"
)

// world is the chain that all tests share: each takes accounts of its own.
var world struct {
	chain    *devchain.Chain
	relayers []*ecdsa.PrivateKey // with ETH
	buyers   []*ecdsa.PrivateKey // with USDC, without ETH
	wallet   common.Address      // a smart wallet of the first buyer's, with USDC
	crowd    []*ecdsa.PrivateKey // fifty more buyers
	borrower *ecdsa.PrivateKey   // its account borrows a smart wallet's code, which says yes for the first buyer; with USDC
	next     atomic.Int64
}

const accounts = 160

func TestMain(m *testing.M) {
	if dir := os.Getenv("EVM_TEST_CHAIN"); dir != "" {
		runChild(dir)
	}
	if text := os.Getenv("EVM_TEST_RELAYING"); text != "" {
		if err := runRelaying(text); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	flag.Parse()
	// The tests wait for blocks and not for processors.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	alloc := map[common.Address]devchain.Account{}
	for range accounts {
		world.relayers = append(world.relayers, newKey())
		world.buyers = append(world.buyers, newKey())
	}
	for i := range accounts {
		alloc[address(world.relayers[i])] = devchain.Account{ETH: ether(10)}
		alloc[address(world.buyers[i])] = devchain.Account{USDC: 1_000_000 * money.One}
	}
	for range 50 {
		key := newKey()
		world.crowd = append(world.crowd, key)
		alloc[address(key)] = devchain.Account{USDC: 1_000_000 * money.One}
	}
	world.wallet = common.HexToAddress("0x5afe000000000000000000000000000000000001")
	alloc[world.wallet] = devchain.Account{USDC: 100 * money.One}
	world.borrower = newKey()
	alloc[address(world.borrower)] = devchain.Account{USDC: 100 * money.One}
	chain, err := devchain.Start(context.Background(), devchain.Options{
		Alloc: alloc, Wallets: map[common.Address]common.Address{world.wallet: address(world.buyers[0])},
		Borrowers: map[common.Address]common.Address{address(world.borrower): address(world.buyers[0])},
	})
	if err != nil {
		panic(err)
	}
	world.chain = chain
	code := m.Run()
	if err := chain.Stop(); err != nil {
		panic(err)
	}
	return code
}

func newKey() *ecdsa.PrivateKey {
	key, err := crypto.GenerateKey()
	if err != nil {
		panic(err)
	}
	return key
}

func address(key *ecdsa.PrivateKey) common.Address { return crypto.PubkeyToAddress(key.PublicKey) }

func ether(n int64) *big.Int { return new(big.Int).Mul(big.NewInt(n), big.NewInt(1e18)) }

// scene is one test's part of the world.
type scene struct {
	pool    *pgxpool.Pool
	chain   *evm.Chain
	relayer *evm.Relayer
	key     *ecdsa.PrivateKey // the relayer's
	buyer   *ecdsa.PrivateKey
	token   x402.Token
}

func setup(t *testing.T) *scene {
	t.Helper()
	return setupWith(t, evm.RelayerOptions{})
}

func setupWith(t *testing.T, o evm.RelayerOptions) *scene {
	t.Helper()
	n := int(world.next.Add(1))
	require.Less(t, n, accounts, "too few accounts")
	s := &scene{pool: pgtest.New(t), key: world.relayers[n], buyer: world.buyers[n]}
	s.chain = dial(t, world.chain.URL())
	s.token = s.chain.Network().Token
	s.relayer = s.run(t, s.chain, o)
	return s
}

func dial(t *testing.T, url ...string) *evm.Chain {
	t.Helper()
	network, err := evm.NewRegistry(map[uint64][]string{devchain.ChainID: url}).Network("eip155:84532")
	require.NoError(t, err)
	return evm.Dial(network, evm.Options{})
}

// run starts a relayer, which stops with the test.
func (s *scene) run(t *testing.T, c *evm.Chain, o evm.RelayerOptions) *evm.Relayer {
	t.Helper()
	r, stop := s.start(c, o)
	t.Cleanup(stop)
	return r
}

func (s *scene) start(c *evm.Chain, o evm.RelayerOptions) (r *evm.Relayer, stop func()) {
	r = evm.NewRelayer(s.pool, c, s.key, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Run(ctx)
	}()
	return r, func() { cancel(); <-done }
}

// payment is an authorization of the scene's buyer to a fresh payee.
func (s *scene) payment(t *testing.T, amount money.USDC) (x402.Authorization, []byte) {
	t.Helper()
	return s.sign(t, x402.Authorization{
		From: address(s.buyer), To: address(newKey()), Value: big.NewInt(int64(amount)),
		ValidAfter: new(big.Int), ValidBefore: big.NewInt(time.Now().Add(10 * time.Minute).Unix()), Nonce: random(),
	})
}

func (s *scene) sign(t *testing.T, a x402.Authorization) (x402.Authorization, []byte) {
	t.Helper()
	signature, err := x402.Sign(a, s.token, s.buyer)
	require.NoError(t, err)
	return a, signature
}

func random() (h common.Hash) {
	_, _ = rand.Read(h[:])
	return h
}

func newRef() id.Settlement { return id.New[id.Settlement](time.Now()) }

var unnoticed = keeper(func(context.Context, pgx.Tx, common.Hash) error { return nil })

// keeper makes a keeper of a function that hears of each transaction.
func keeper(hear func(context.Context, pgx.Tx, common.Hash) error) *listener { return &listener{hear} }

type listener struct {
	hear func(context.Context, pgx.Tx, common.Hash) error
}

func (l *listener) StoredTx(ctx context.Context, tx pgx.Tx, stored []evm.Stored) error {
	for _, s := range stored {
		if err := l.hear(ctx, tx, s.Transaction); err != nil {
			return err
		}
	}
	return nil
}

func transfer(ref id.Settlement, a x402.Authorization, signature []byte) evm.Transfer {
	return evm.Transfer{Source: string(ref), Authorization: a, Signature: signature}
}

// abandoned is a context that ends a moment after the transaction was stored.
func abandoned(t *testing.T) (context.Context, *listener) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, keeper(func(context.Context, pgx.Tx, common.Hash) error {
		time.AfterFunc(time.Second, cancel)
		return nil
	})
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// proves requires a proof to say what the chain says.
func (s *scene) proves(t *testing.T, p evm.Proof, a x402.Authorization) {
	t.Helper()
	require.Equal(t, a.From, p.Payer)
	require.Equal(t, a.To, p.Payee)
	require.EqualValues(t, a.Value.Int64(), p.Value)
	receipt, err := world.chain.Client().TransactionReceipt(t.Context(), p.Transaction)
	require.NoError(t, err)
	require.Equal(t, types.ReceiptStatusSuccessful, receipt.Status)
	require.Equal(t, receipt.BlockHash, p.BlockHash)
	require.Equal(t, receipt.BlockNumber.Uint64(), p.Block)
	require.WithinDuration(t, time.Now(), p.Time, 5*time.Minute)
	require.Contains(t, logIndexes(receipt), p.LogIndex)
}

func logIndexes(r *types.Receipt) (indexes []uint) {
	for _, l := range r.Logs {
		indexes = append(indexes, l.Index)
	}
	return indexes
}

// stored counts the rows of a scene's relayer.
func (s *scene) stored(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT count(*) FROM relays`).Scan(&n))
	return n
}

// send lets a key send any transaction and returns when it is mined.
func send(ctx context.Context, key *ecdsa.PrivateKey, nonce uint64, to common.Address, data []byte) (common.Hash, error) {
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(devchain.ChainID)), &types.DynamicFeeTx{
		ChainID: big.NewInt(devchain.ChainID), Nonce: nonce, To: &to, Value: new(big.Int), Data: data, Gas: 200_000,
		GasTipCap: big.NewInt(5e9), GasFeeCap: big.NewInt(1e11),
	})
	if err != nil {
		return common.Hash{}, err
	}
	client := world.chain.Client()
	if err := client.SendTransaction(ctx, tx); err != nil {
		return common.Hash{}, err
	}
	for ctx.Err() == nil {
		receipt, err := client.TransactionReceipt(ctx, tx.Hash())
		if err == nil && receipt.Status != types.ReceiptStatusSuccessful {
			return tx.Hash(), errors.New("reverted")
		}
		if err == nil {
			return tx.Hash(), nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return tx.Hash(), ctx.Err()
}

// stranger is an account with ETH that is no relayer.
func stranger(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	n := int(world.next.Add(1))
	require.Less(t, n, accounts, "too few accounts")
	return world.relayers[n]
}

func runChild(dir string) {
	chain, err := devchain.Start(context.Background(), devchain.Options{DataDir: dir, Port: childPort(), Alloc: childAlloc()})
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString(chain.URL() + "\n")
	select {}
}

// child starts a chain in a process of its own, to be killed.
func child(t *testing.T, dir string, env ...string) (url string, kill func()) {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(append(os.Environ(), "EVM_TEST_CHAIN="+dir), env...)
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	kill = func() { _ = command.Process.Kill(); _ = command.Wait() }
	t.Cleanup(kill)
	line := make([]byte, 256)
	n, err := out.Read(line)
	require.NoError(t, err)
	return strings.TrimSpace(string(line[:n])), kill
}
