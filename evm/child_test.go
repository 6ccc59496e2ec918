package evm_test

import (
	"os"
	"strconv"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/evm/devchain"
	"xsynesis/money"
)

// A chain in a process of its own gets its accounts through the environment.
func childPort() int {
	port, _ := strconv.Atoi(os.Getenv("EVM_TEST_PORT"))
	return port
}

func childAlloc() map[common.Address]devchain.Account {
	return map[common.Address]devchain.Account{
		common.HexToAddress(os.Getenv("EVM_TEST_RELAYER")): {ETH: ether(10)},
		common.HexToAddress(os.Getenv("EVM_TEST_BUYER")):   {USDC: 1_000_000 * money.One},
	}
}
