package x402_test

import (
	"encoding/json"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"xsynesis/x402"
)

func TestTheKnownVector(t *testing.T) {
	t.Parallel()
	require.Equal(t, knownDigest, known.Digest(sepolia).Hex())
	require.Equal(t, "0x71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818", sepolia.DomainSeparator().Hex())
	signature, err := x402.Sign(known, sepolia, key(t))
	require.NoError(t, err)
	require.Equal(t, knownSignature, hexutil.Encode(signature))
}

func TestDigestIsThatOfTheTypedData(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		token := x402.Token{
			ChainID: rapid.Uint64().Draw(t, "chain"),
			Address: common.BytesToAddress(draw(t, "token", 20)),
			Name:    rapid.StringN(1, -1, -1).Draw(t, "name"), // apitypes drops what is empty
			Version: rapid.StringN(1, -1, -1).Draw(t, "version"),
		}
		a := drawAuthorization(t)

		text, err := json.Marshal(a.TypedData(token))
		require.NoError(t, err)
		var typed apitypes.TypedData
		require.NoError(t, json.Unmarshal(text, &typed))
		want, _, err := apitypes.TypedDataAndHash(typed)
		require.NoError(t, err)
		require.Equal(t, common.BytesToHash(want), a.Digest(token))
	})
}

func TestTypedDataForWallets(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(known.TypedData(sepolia))
	require.NoError(t, err)
	require.JSONEq(t, `{
		"types": {
			"EIP712Domain": [{"name":"name","type":"string"},{"name":"version","type":"string"},{"name":"chainId","type":"uint256"},{"name":"verifyingContract","type":"address"}],
			"TransferWithAuthorization": [{"name":"from","type":"address"},{"name":"to","type":"address"},{"name":"value","type":"uint256"},{"name":"validAfter","type":"uint256"},{"name":"validBefore","type":"uint256"},{"name":"nonce","type":"bytes32"}]
		},
		"primaryType": "TransferWithAuthorization",
		"domain": {"name":"USDC","version":"2","chainId":84532,"verifyingContract":"0x036CbD53842c5426634e7929541eC2318f3dCF7e"},
		"message": {"from":"0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266","to":"0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65","value":"10000","validAfter":"1740672089","validBefore":"1740672154","nonce":"0xf3746613c2d920b5fdabc0856f2aeb2d4f88ee6037b8cc5d04a71a4462f13480"}
	}`, string(text))
}

func drawAuthorization(t *rapid.T) x402.Authorization {
	return x402.Authorization{
		From:        common.BytesToAddress(draw(t, "from", 20)),
		To:          common.BytesToAddress(draw(t, "to", 20)),
		Value:       drawUint256(t, "value"),
		ValidAfter:  drawUint256(t, "after"),
		ValidBefore: drawUint256(t, "before"),
		Nonce:       common.BytesToHash(draw(t, "nonce", 32)),
	}
}

func drawUint256(t *rapid.T, label string) *big.Int {
	return new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, label))
}

func draw(t *rapid.T, label string, n int) []byte {
	return rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, label)
}
