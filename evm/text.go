package evm

import (
	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// TextDigest is what `personal_sign` signs of a text (EIP-191, version 0x45).
func TextDigest(text string) common.Hash {
	return common.BytesToHash(accounts.TextHash([]byte(text)))
}

// SignedText tells whether an address's own key made this signature of a text: 65 bytes, low s. What a contract stands by is
// asked of it with [Chain.CheckContractSignature].
func SignedText(address common.Address, text string, signature []byte) bool {
	if len(signature) != crypto.SignatureLength {
		return false
	}
	sig := append([]byte(nil), signature...)
	if sig[64] >= 27 {
		sig[64] -= 27
	}
	r, s := common.BytesToHash(sig[:32]).Big(), common.BytesToHash(sig[32:64]).Big()
	if sig[64] > 1 || !crypto.ValidateSignatureValues(sig[64], r, s, true) {
		return false
	}
	digest := TextDigest(text)
	key, err := crypto.SigToPub(digest[:], sig)
	return err == nil && crypto.PubkeyToAddress(*key) == address
}
