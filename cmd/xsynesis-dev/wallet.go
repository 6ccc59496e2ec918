package main

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"math/big"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"

	"xsynesis/checkout"
	"xsynesis/x402"
)

// testWallet signs for the demo's buyer; its key never leaves the server.
type testWallet struct{ key *ecdsa.PrivateKey }

// Address is whose wallet it is.
func (w testWallet) Address() common.Address { return address(w.key) }

// Sign makes the signature that the token accepts for the authorization.
func (w testWallet) Sign(_ context.Context, a x402.Authorization, t x402.Token) ([]byte, error) {
	return x402.Sign(a, t, w.key)
}

// walletError is an EIP-1193 error.
type walletError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *walletError) Error() string { return e.Message }

// EIP-1193 error codes.
const (
	codeUnsupported   = 4200
	codeInvalidParams = -32602
	codeUnknownChain  = 4902
)

// Request answers what a page asks of a wallet.
func (w testWallet) Request(method string, params []byte) (any, error) {
	switch method {
	case "eth_requestAccounts", "eth_accounts":
		return []string{address(w.key).Hex()}, nil
	case "eth_chainId":
		return hexutil.EncodeUint64(devChainID), nil
	case "wallet_switchEthereumChain":
		return w.switchChain(params)
	case "eth_signTypedData_v4":
		return w.sign(params)
	case "personal_sign":
		return w.signText(params)
	default:
		return nil, &walletError{Code: codeUnsupported, Message: "The test wallet does not know " + method + "."}
	}
}

func (w testWallet) switchChain(params []byte) (any, error) {
	var asked []struct {
		ChainID string `json:"chainId"`
	}
	if json.Unmarshal(params, &asked) != nil || len(asked) != 1 || asked[0].ChainID != hexutil.EncodeUint64(devChainID) {
		return nil, &walletError{Code: codeUnknownChain, Message: "The test wallet lives on the development chain alone."}
	}
	return nil, nil //nolint:nilnil // EIP-3326: null on success
}

// signText signs a message in hexadecimal, as pages ask people to sign in with.
func (w testWallet) signText(params []byte) (any, error) {
	var args []string
	if json.Unmarshal(params, &args) != nil || len(args) < 1 {
		return nil, &walletError{Code: codeInvalidParams, Message: "The test wallet cannot read what it should sign."}
	}
	text, err := hexutil.Decode(args[0])
	if err != nil {
		text = []byte(args[0])
	}
	signature, err := crypto.Sign(accounts.TextHash(text), w.key)
	if err != nil {
		return nil, err
	}
	signature[64] += 27
	return hexutil.Encode(signature), nil
}

// pay signs for a purchase, as the page would have asked it to.
func (w testWallet) pay(a checkout.Attempt, want x402.Requirement) (x402.Payment, error) {
	authorization := x402.Authorization{
		From: address(w.key), To: want.PayTo, Value: big.NewInt(int64(want.Amount)), ValidAfter: new(big.Int),
		ValidBefore: big.NewInt(a.ExpiresAt.Unix()), Nonce: a.Nonce,
	}
	signature, err := x402.Sign(authorization, want.Token, w.key)
	if err != nil {
		return x402.Payment{}, err
	}
	return want.Payment(2, authorization, signature), nil
}

func (w testWallet) sign(params []byte) (any, error) {
	refused := &walletError{Code: codeInvalidParams, Message: "The test wallet cannot read what it should sign."}
	var args []json.RawMessage
	if json.Unmarshal(params, &args) != nil || len(args) != 2 {
		return nil, refused
	}
	text := []byte(args[1])
	var quoted string // wallets take the typed data as text or as an object
	if json.Unmarshal(text, &quoted) == nil {
		text = []byte(quoted)
	}
	var typed apitypes.TypedData
	if json.Unmarshal(text, &typed) != nil {
		return nil, refused
	}
	digest, _, err := apitypes.TypedDataAndHash(typed)
	if err != nil {
		return nil, refused
	}
	signature, err := crypto.Sign(digest, w.key)
	if err != nil {
		return nil, err
	}
	signature[64] += 27
	return hexutil.Encode(signature), nil
}
