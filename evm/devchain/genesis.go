package devchain

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"xsynesis/evm"
	"xsynesis/money"
)

// The runtime code that genesis places; contracts/build.mjs makes these files from the sources beside them.
var (
	//go:embed contracts/TestUSDC.bin
	testUSDC string
	//go:embed contracts/Multicall3.bin
	multicall3 string
	//go:embed contracts/OwnedWallet.bin
	ownedWallet string
)

// Where the contracts stand, as on the public network that this chain stands in for.
var (
	USDC       = common.HexToAddress("0x036CbD53842c5426634e7929541eC2318f3dCF7e")
	Multicall3 = common.HexToAddress("0xcA11bde05977b3631167028862bE2a173976CA11")
)

// ChainID is Base Sepolia's: x402 clients pay on no chain that they have not heard of.
const ChainID = 84532

const gasLimit = 60_000_000

// The token's storage; contracts/build.mjs prints the slots.
const (
	slotBalances = 0
	slotSupply   = 3
	slotMinter   = 4
)

// genesis is the first block: the given accounts, the faucet, and the contracts.
func genesis(o Options, faucet common.Address, now time.Time) *core.Genesis {
	g := core.DeveloperGenesisBlock(gasLimit, nil)
	g.Config.ChainID = big.NewInt(ChainID)
	// These forks are not on the public network yet and cost three times the gas.
	g.Config.BogotaTime, g.Config.AmsterdamTime = nil, nil
	g.ExtraData = []byte(evm.DevelopmentMark)
	g.Timestamp = uint64(now.Unix()) - 1 //nolint:gosec // After 1970. The first block may follow at once.

	storage, supply := map[common.Hash]common.Hash{}, new(big.Int)
	for address, account := range o.Alloc {
		entry := g.Alloc[address]
		entry.Balance = new(big.Int)
		if account.ETH != nil {
			entry.Balance.Set(account.ETH)
		}
		g.Alloc[address] = entry
		if account.USDC > 0 {
			storage[balanceSlot(address)] = common.BigToHash(big.NewInt(int64(account.USDC)))
			supply.Add(supply, big.NewInt(int64(account.USDC)))
		}
	}
	storage[common.BigToHash(big.NewInt(slotSupply))] = common.BigToHash(supply)
	storage[common.BigToHash(big.NewInt(slotMinter))] = common.BytesToHash(faucet.Bytes())
	g.Alloc[faucet] = types.Account{Balance: ether(1_000_000_000)}
	g.Alloc[USDC] = types.Account{Balance: new(big.Int), Nonce: 1, Code: code(testUSDC), Storage: storage}
	g.Alloc[Multicall3] = types.Account{Balance: new(big.Int), Nonce: 1, Code: code(multicall3)}
	for wallet, owner := range o.Wallets {
		g.Alloc[wallet] = owned(owner, code(ownedWallet))
	}
	for account, owner := range o.Borrowers {
		g.Alloc[lender] = types.Account{Balance: new(big.Int), Nonce: 1, Code: code(ownedWallet)}
		g.Alloc[account] = owned(owner, types.AddressToDelegation(lender))
	}
	return g
}

// lender is the contract whose code accounts borrow.
var lender = common.HexToAddress("0x7702000000000000000000000000000000000001")

func owned(owner common.Address, code []byte) types.Account {
	return types.Account{Balance: new(big.Int), Nonce: 1, Code: code,
		Storage: map[common.Hash]common.Hash{{}: common.BytesToHash(owner.Bytes())}}
}

// storedGenesis returns the genesis this folder began with, or writes g as that: a chain cannot change its
// first block, so later starts, also those of later releases, must not try.
func storedGenesis(dir string, g *core.Genesis) (*core.Genesis, error) {
	if dir == "" {
		return g, nil
	}
	path := filepath.Join(dir, "genesis.json")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if text, err = json.Marshal(g); err != nil {
			return nil, fmt.Errorf("write the first block: %w", err)
		}
		return g, replaceFile(path, text)
	}
	if err != nil {
		return nil, fmt.Errorf("read the first block: %w", err)
	}
	stored := new(core.Genesis)
	if err := json.Unmarshal(text, stored); err != nil {
		return nil, fmt.Errorf("read the first block in %s: %w", path, err)
	}
	return stored, nil
}

// replaceFile leaves either the old file or the whole new one.
func replaceFile(path string, text []byte) error {
	half := path + ".new"
	f, err := os.OpenFile(half, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(half, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func balanceSlot(owner common.Address) common.Hash {
	return crypto.Keccak256Hash(common.LeftPadBytes(owner.Bytes(), 32), common.BigToHash(big.NewInt(slotBalances)).Bytes())
}

func code(hex string) []byte { return common.FromHex(strings.TrimSpace(hex)) }

func ether(n int64) *big.Int {
	return new(big.Int).Mul(big.NewInt(n), big.NewInt(1_000_000_000_000_000_000))
}

// Account is what an address holds in the first block.
type Account struct {
	ETH  *big.Int // wei; nil is none
	USDC money.USDC
}
