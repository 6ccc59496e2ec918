package evm_test

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
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

// contract is a node at which every contract answers the same.
func contract(t *testing.T, answer string) *evm.Chain {
	t.Helper()
	return dial(t, newNode(t, &node{swallow: func(method string) json.RawMessage {
		if method == "eth_call" {
			return json.RawMessage(`"` + answer + `"`)
		}
		return nil
	}}).URL)
}

func TestATokenSaysWhomItRefusesToPay(t *testing.T) {
	t.Parallel()
	key := address(newKey())
	for answer, want := range map[string]bool{common.BigToHash(big.NewInt(1)).Hex(): true, common.Hash{}.Hex(): false} {
		blocked, err := contract(t, answer).Blocked(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, want, blocked)
	}
	_, err := contract(t, "0x").Blocked(t.Context(), key)
	require.ErrorIs(t, err, evm.ErrUnavailable, "a token without such a list")
	_, err = dial(t, "http://127.0.0.1:1").Blocked(t.Context(), key)
	require.ErrorIs(t, err, evm.ErrUnavailable)
}

func TestAContractThatIsNoSafeHasNoSigners(t *testing.T) {
	t.Parallel()
	one, many := common.BigToHash(big.NewInt(1)).Hex(), "0x"+strings.Repeat("ff", 64)
	for _, answer := range []string{"0x", one, many, "0x" + strings.Repeat("00", 64)} {
		_, _, err := contract(t, answer).Signers(t.Context(), address(newKey()))
		require.ErrorIs(t, err, evm.ErrUnavailable, answer)
	}
}
