package evm_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/evm"
)

func TestRegistry(t *testing.T) {
	t.Parallel()
	r := evm.NewRegistry(map[uint64][]string{84532: {"http://127.0.0.1:1"}})
	sepolia, err := r.Network("eip155:84532")
	require.NoError(t, err)
	require.Equal(t, "base-sepolia", sepolia.Token.NetworkV1)
	require.True(t, sepolia.Test)
	require.Equal(t, []evm.Network{sepolia}, r.All(), "only networks with nodes are in use")

	base, err := r.Network("eip155:8453")
	require.NoError(t, err)
	require.Equal(t, "USD Coin", base.Token.Name)
	require.False(t, base.Test)
	for _, unknown := range []string{"", "eip155:1", "base", "eip155:84532 "} {
		_, err := r.Network(unknown)
		require.ErrorIs(t, err, evm.ErrNetwork, unknown)
	}
}

func TestANodeOfAnotherChainIsFound(t *testing.T) {
	t.Parallel()
	base, err := evm.NewRegistry(nil).Network("eip155:8453")
	require.NoError(t, err)
	base.RPC = []string{world.chain.URL()}
	require.ErrorIs(t, evm.Dial(base, evm.Options{}).Check(t.Context()), evm.ErrWrongChain)

	sepolia := dial(t, world.chain.URL()).Network()
	require.NoError(t, evm.Dial(sepolia, evm.Options{}).Check(t.Context()))
	sepolia.Token.Name = "USD Coin"
	require.ErrorIs(t, evm.Dial(sepolia, evm.Options{}).Check(t.Context()), evm.ErrWrongChain)
	sepolia.Token.Name, sepolia.Token.Address = "USDC", address(newKey())
	require.ErrorIs(t, evm.Dial(sepolia, evm.Options{}).Check(t.Context()), evm.ErrWrongChain)
	_, err = evm.Dial(sepolia, evm.Options{}).Balance(t.Context(), address(newKey()))
	require.ErrorIs(t, err, evm.ErrUnavailable, "no token is no balance of zero")
}
