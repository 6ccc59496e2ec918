package x402

import (
	"crypto/ecdsa"
	"encoding/binary"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// Authorization is the EIP-3009 transfer that a buyer signs. Its numbers are set and fit in a uint256.
type Authorization struct {
	From, To                       common.Address
	Value, ValidAfter, ValidBefore *big.Int
	Nonce                          common.Hash
}

const (
	domainType   = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
	transferType = "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)

var (
	domainTypeHash   = crypto.Keccak256Hash([]byte(domainType))
	transferTypeHash = crypto.Keccak256Hash([]byte(transferType))
)

// Digest is the EIP-712 hash that the buyer signs for this token.
func (a Authorization) Digest(t Token) common.Hash {
	const word = 32
	var message [7 * word]byte
	copy(message[:], transferTypeHash[:])
	copy(message[1*word+12:], a.From[:])
	copy(message[2*word+12:], a.To[:])
	a.Value.FillBytes(message[3*word : 4*word])
	a.ValidAfter.FillBytes(message[4*word : 5*word])
	a.ValidBefore.FillBytes(message[5*word : 6*word])
	copy(message[6*word:], a.Nonce[:])

	separator := t.DomainSeparator()
	hash := crypto.Keccak256Hash(message[:])
	return crypto.Keccak256Hash([]byte("\x19\x01"), separator[:], hash[:])
}

// DomainSeparator is the token's EIP-712 domain hash, as its contract computes it. It costs about a twentieth
// of a signature check, so that there is no cache to keep, and none to fill up with strangers' tokens.
func (t Token) DomainSeparator() common.Hash {
	const word = 32
	var domain [5 * word]byte
	name, version := crypto.Keccak256Hash([]byte(t.Name)), crypto.Keccak256Hash([]byte(t.Version))
	copy(domain[:], domainTypeHash[:])
	copy(domain[1*word:], name[:])
	copy(domain[2*word:], version[:])
	binary.BigEndian.PutUint64(domain[4*word-8:], t.ChainID)
	copy(domain[4*word+12:], t.Address[:])
	return crypto.Keccak256Hash(domain[:])
}

// Sign makes the 65 bytes r ‖ s ‖ v, with v 27 or 28, that a token accepts for the authorization.
func Sign(a Authorization, t Token, key *ecdsa.PrivateKey) ([]byte, error) {
	digest := a.Digest(t)
	signature, err := crypto.Sign(digest[:], key)
	if err != nil {
		return nil, fmt.Errorf("sign authorization: %w", err)
	}
	signature[64] += 27
	return signature, nil
}

// TypedData is what a wallet's eth_signTypedData_v4 takes.
type TypedData struct {
	Types       map[string][]TypedField `json:"types"`
	PrimaryType string                  `json:"primaryType"`
	Domain      TypedDomain             `json:"domain"`
	Message     Message                 `json:"message"`
}

// TypedField is one field of a type in [TypedData].
type TypedField struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// TypedDomain is the token's EIP-712 domain. The chain id is a number, as wallets compare it with their own.
type TypedDomain struct {
	Name              string `json:"name"`
	Version           string `json:"version"`
	ChainID           uint64 `json:"chainId"`
	VerifyingContract string `json:"verifyingContract"`
}

// Message is an authorization in JSON, both for wallets and inside a payment: numbers are decimal strings.
type Message struct {
	From        string `json:"from"`
	To          string `json:"to"`
	Value       string `json:"value"`
	ValidAfter  string `json:"validAfter"`
	ValidBefore string `json:"validBefore"`
	Nonce       string `json:"nonce"`
}

// TypedData is the authorization as a wallet is asked to sign it.
func (a Authorization) TypedData(t Token) TypedData {
	return TypedData{
		Types: map[string][]TypedField{
			"EIP712Domain": {
				{"name", "string"}, {"version", "string"}, {"chainId", "uint256"}, {"verifyingContract", "address"},
			},
			"TransferWithAuthorization": {
				{"from", "address"}, {"to", "address"}, {"value", "uint256"},
				{"validAfter", "uint256"}, {"validBefore", "uint256"}, {"nonce", "bytes32"},
			},
		},
		PrimaryType: "TransferWithAuthorization",
		Domain:      TypedDomain{t.Name, t.Version, t.ChainID, t.Address.Hex()},
		Message:     a.message(),
	}
}

func (a Authorization) message() Message {
	return Message{
		From:        a.From.Hex(),
		To:          a.To.Hex(),
		Value:       a.Value.String(),
		ValidAfter:  a.ValidAfter.String(),
		ValidBefore: a.ValidBefore.String(),
		Nonce:       a.Nonce.Hex(),
	}
}
