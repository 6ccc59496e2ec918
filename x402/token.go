package x402

import "github.com/ethereum/go-ethereum/common"

// The tokens that programs pay and are paid with. A token is known by what is written here, never by what an offer
// says of it: a buyer who signs for a stranger's token has no idea what moves.
var (
	// Base is USDC on Base.
	Base = Token{
		Network: "eip155:8453", NetworkV1: "base", ChainID: 8453,
		Address: common.HexToAddress("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"), Name: "USD Coin", Version: "2",
	}
	// BaseSepolia is USDC on Base's test network, where it is worth nothing.
	BaseSepolia = Token{
		Network: "eip155:84532", NetworkV1: "base-sepolia", ChainID: 84532,
		Address: common.HexToAddress("0x036CbD53842c5426634e7929541eC2318f3dCF7e"), Name: "USDC", Version: "2",
	}
)

// NetworkName is the network in the words of a version: "base" in version 1, "eip155:8453" in version 2.
func (t Token) NetworkName(version int) string {
	if version == 1 {
		return t.NetworkV1
	}
	return t.Network
}
