package evm

import (
	"crypto/ecdsa"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"xsynesis/x402"
)

// TransferCall is what anybody may send.
func TransferCall(a x402.Authorization, signature []byte) []byte {
	return transferCall(a, signature, false)
}

// CancelCall is what a payer sends who has thought better of it.
func CancelCall(t *testing.T, token x402.Token, a x402.Authorization, payer *ecdsa.PrivateKey) []byte {
	t.Helper()
	typehash := crypto.Keccak256([]byte("CancelAuthorization(address authorizer,bytes32 nonce)"))
	message := crypto.Keccak256(typehash, common.LeftPadBytes(a.From.Bytes(), word), a.Nonce.Bytes())
	separator := token.DomainSeparator()
	signature, err := crypto.Sign(crypto.Keccak256([]byte("\x19\x01"), separator[:], message), payer)
	require.NoError(t, err)
	return call(selector("cancelAuthorization(address,bytes32,uint8,bytes32,bytes32)"),
		addressWord(a.From), a.Nonce.Bytes(), uintWord(uint64(signature[64]+27)), signature[:64])
}
