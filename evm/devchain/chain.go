// Package devchain is a private stand-in for Base Sepolia on which a shop can be tried without real money.
//
// It is an Ethereum node in this process: JSON-RPC on 127.0.0.1, a test USDC and Multicall3 at their public
// addresses, blocks that keep the time of the wall clock, and a state that survives kill -9. It is linked by
// tests and by the development binary only.
package devchain

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/catalyst"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/eth/filters"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/rpc"
)

// Options says where a chain lives and what it begins with.
type Options struct {
	// DataDir keeps the chain; empty keeps it in memory.
	DataDir string
	// Port of the JSON-RPC server; 0 takes any free one.
	Port int
	// Alloc is what accounts hold in the first block. A folder that has a chain continues with its own.
	Alloc map[common.Address]Account
	// Wallets are smart wallets in the first block, each with the address of its owner.
	Wallets map[common.Address]common.Address
	// Borrowers are accounts of keys that borrow a smart wallet's code (EIP-7702), each with the address that it says yes for.
	Borrowers map[common.Address]common.Address
	// Finality is how many blocks the final one is behind the head, and so how deep a reorganisation may go; 4 if 0.
	Finality uint64
	// OnDemand leaves it to [Chain.Seal] when there is a block: time passes as fast as one wants.
	OnDemand bool
	// Logger gets the node's warnings; nil is silence.
	Logger *slog.Logger
}

// Chain is a running development chain.
type Chain struct {
	stack  *node.Node
	eth    *eth.Ethereum
	beacon *catalyst.SimulatedBeacon
	client *ethclient.Client
	faucet *ecdsa.PrivateKey
	log    *slog.Logger

	finality uint64 // blocks

	sealing sync.Mutex // held while the head moves
	paying  sync.Mutex // held while the faucet takes a nonce
	cancel  context.CancelFunc
	miner   sync.WaitGroup
	stop    sync.Once
}

// Start brings the chain up and begins to mine; the caller stops it with [Chain.Stop].
func Start(ctx context.Context, o Options) (*Chain, error) {
	silence()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.DataDir != "" {
		if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
			return nil, fmt.Errorf("make the chain's folder: %w", err)
		}
	}
	if err := portFree(o.Port); err != nil {
		return nil, err
	}
	faucet, err := faucetKey(o.DataDir)
	if err != nil {
		return nil, err
	}
	first, err := storedGenesis(o.DataDir, genesis(o, crypto.PubkeyToAddress(faucet.PublicKey), time.Now()))
	if err != nil {
		return nil, err
	}
	c := &Chain{faucet: faucet, log: o.Logger, finality: cmp.Or(o.Finality, finalityDepth)}
	if err := c.open(o, first); err != nil {
		return nil, fmt.Errorf("start the development chain: %w", err)
	}
	c.settleHead()
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.cancel = cancel
	if !o.OnDemand {
		c.miner.Go(func() { c.mine(run) })
	}
	return c, nil
}

func (c *Chain) open(o Options, first *core.Genesis) (err error) {
	nc := node.DefaultConfig
	nc.Name, nc.DataDir = "devchain", o.DataDir
	nc.P2P = p2p.Config{NoDiscovery: true, NoDial: true, MaxPeers: 0}
	nc.IPCPath = ""
	nc.HTTPHost, nc.HTTPPort = "127.0.0.1", o.Port
	// No "debug": its calls write files, and any page in a browser may speak to this port.
	nc.HTTPModules, nc.HTTPCors, nc.HTTPVirtualHosts = []string{"eth", "net", "web3"}, []string{"*"}, []string{"*"}
	if c.stack, err = node.New(&nc); err != nil {
		return fmt.Errorf("open %s: %w", o.DataDir, err)
	}
	defer func() {
		if err != nil {
			_ = c.stack.Close()
		}
	}()
	ec := nodeConfig(first)
	if c.eth, err = eth.New(c.stack, &ec); err != nil {
		return fmt.Errorf("open the chain: %w", err)
	}
	c.stack.RegisterAPIs([]rpc.API{{Namespace: "eth", Service: filters.NewFilterAPI(
		filters.NewFilterSystem(c.eth.APIBackend, filters.Config{}))}})
	if c.beacon, err = catalyst.NewSimulatedBeacon(0, common.Address{}, c.eth); err != nil {
		return fmt.Errorf("prepare mining: %w", err)
	}
	c.stack.RegisterLifecycle(c.beacon)
	if err = c.stack.Start(); err != nil {
		return fmt.Errorf("listen on port %d: %w", o.Port, err)
	}
	c.client = ethclient.NewClient(c.stack.Attach())
	return nil
}

// nodeConfig makes every block durable on its own: with the other ways of keeping state a killed node comes
// back many blocks, or all of them, behind.
func nodeConfig(first *core.Genesis) ethconfig.Config {
	ec := ethconfig.Defaults
	ec.Genesis, ec.NetworkId = first, ChainID
	ec.SyncMode = ethconfig.FullSync
	ec.StateScheme, ec.NoPruning = "hash", true
	ec.TransactionHistory = 0 // every receipt stays findable
	ec.LogNoHistory = true    // logs are searched in the blocks themselves: no index to lag or to lose
	ec.DatabaseCache, ec.TrieCleanCache, ec.TrieDirtyCache, ec.SnapshotCache = 32, 16, 16, 0
	ec.TxPool.NoLocals, ec.TxPool.Journal = true, ""
	// One relayer sends everything here, so one account may have as much pending as the whole pool.
	ec.TxPool.AccountSlots, ec.TxPool.AccountQueue = ec.TxPool.GlobalSlots, ec.TxPool.GlobalQueue
	ec.Miner.GasCeil = gasLimit
	ec.RPCTxFeeCap = 0
	return ec
}

// URL is where the chain answers JSON-RPC.
func (c *Chain) URL() string { return c.stack.HTTPEndpoint() }

// Client speaks to the node without a network between.
func (c *Chain) Client() *ethclient.Client { return c.client }

// GenesisHash names this chain among all development chains.
func (c *Chain) GenesisHash() common.Hash { return c.eth.BlockChain().Genesis().Hash() }

// Stop ends mining, closes the port and writes everything down.
func (c *Chain) Stop() error {
	var err error
	c.stop.Do(func() {
		c.cancel()
		c.miner.Wait()
		c.client.Close()
		if err = c.stack.Close(); err != nil {
			err = fmt.Errorf("stop the development chain: %w", err)
		}
	})
	return err
}

// portFree asks before the node does, whose own answer comes late and names no port.
func portFree(port int) error {
	if port == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("port %d of the development chain is taken: %w", port, err)
	}
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("port %d of the development chain: %w", port, err)
	}
	return nil
}

// silence stops the node's own logging, which is per process and starts out loud.
var silence = sync.OnceFunc(func() {
	log.SetDefault(log.NewLogger(slog.DiscardHandler))
})
