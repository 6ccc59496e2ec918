package evm_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/evm"
)

func TestAContractIsToldFromAWallet(t *testing.T) {
	t.Parallel()
	s := setup(t)
	key := address(newKey())
	contract, err := s.chain.IsContract(t.Context(), s.chain.Network().Token.Address)
	require.NoError(t, err)
	require.True(t, contract)
	contract, err = s.chain.IsContract(t.Context(), key)
	require.NoError(t, err)
	require.False(t, contract)

	// An account that borrows a contract's code is still its key's.
	const lent = `"0xef010063c0c19a282a1b52b07dd5a65b58948a07dae32b"`
	lender := newNode(t, &node{swallow: func(string) json.RawMessage { return json.RawMessage(lent) }})
	contract, err = dial(t, lender.URL).IsContract(t.Context(), key)
	require.NoError(t, err)
	require.False(t, contract)

	silent := newNode(t, &node{swallow: func(string) json.RawMessage { return json.RawMessage("null") }})
	for _, url := range []string{silent.URL, "http://127.0.0.1:1"} {
		_, err = dial(t, url).IsContract(t.Context(), key)
		require.ErrorIs(t, err, evm.ErrUnavailable)
	}
}
