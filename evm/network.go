package evm

import (
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/x402"
)

// Network is one chain on which a shop is paid, with its one token.
type Network struct {
	ID            string         // CAIP-2, "eip155:84532"
	Name          string         // for people, "Base Sepolia"
	Token         x402.Token     // USDC
	Explorer      string         // "https://sepolia.basescan.org", without a slash at the end; "" where there is none
	Confirmations uint64         // sealed blocks, the payment's own included, until a payment counts
	Test          bool           // its money is worth nothing
	Fee           string         // what one payment typically costs whoever sends it, in US dollars: "0.001"; "" for nothing
	Time          time.Duration  // that a payment typically takes
	RPC           []string       // nodes, the preferred one first
	Multicall     common.Address // the contract through which one transaction moves many payments; zero where there is none
}

// multicall3 stands at the same address on nearly every network.
var multicall3 = common.HexToAddress("0xcA11bde05977b3631167028862bE2a173976CA11")

// networks is every network that the gateway knows.
var networks = []Network{
	{
		ID:            "eip155:8453",
		Name:          "Base",
		Token:         x402.Base,
		Explorer:      "https://basescan.org",
		Confirmations: 1,
		Fee:           "0.001",
		Time:          2 * time.Second,
		Multicall:     multicall3,
	},
	{
		ID:            "eip155:84532",
		Name:          "Base Sepolia",
		Token:         x402.BaseSepolia,
		Explorer:      "https://sepolia.basescan.org",
		Confirmations: 1,
		Test:          true,
		Time:          2 * time.Second,
		Multicall:     multicall3,
	},
}

// Registry is the networks, with the nodes of those in use.
type Registry struct{ networks []Network }

// NewRegistry takes the nodes' URLs by chain id.
func NewRegistry(rpc map[uint64][]string) *Registry {
	all := slices.Clone(networks)
	for i := range all {
		all[i].RPC = slices.Clone(rpc[all[i].Token.ChainID])
	}
	return &Registry{all}
}

// Explore names another explorer for a chain: the public one cannot know what a stand-in holds.
func (r *Registry) Explore(chainID uint64, explorer string) {
	for i := range r.networks {
		if r.networks[i].Token.ChainID == chainID {
			r.networks[i].Explorer = explorer
		}
	}
}

// Network finds a network by its CAIP-2 id, also one that has no nodes, or returns [ErrNetwork].
func (r *Registry) Network(caip2 string) (Network, error) {
	for _, n := range r.networks {
		if n.ID == caip2 {
			return n, nil
		}
	}
	return Network{}, fmt.Errorf("%w: %.40q", ErrNetwork, caip2)
}

// Known is every network, also those that have no nodes.
func (r *Registry) Known() []Network { return slices.Clone(r.networks) }

// All is the networks that have nodes.
func (r *Registry) All() []Network {
	var used []Network
	for _, n := range r.networks {
		if len(n.RPC) > 0 {
			used = append(used, n)
		}
	}
	return used
}
