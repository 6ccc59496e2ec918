package x402_test

import (
	"crypto/ecdsa"
	"encoding/base64"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"xsynesis/x402"
)

// The world of the tests: a weather report for one cent on Base Sepolia, and its buyer. The key is a well-known one
// of development chains; digest and signature were made with another implementation (viem).
var (
	sepolia = x402.Token{
		Network:   "eip155:84532",
		NetworkV1: "base-sepolia",
		ChainID:   84532,
		Address:   common.HexToAddress("0x036CbD53842c5426634e7929541eC2318f3dCF7e"),
		Name:      "USDC",
		Version:   "2",
	}
	weather = x402.Requirement{
		Token:      sepolia,
		Amount:     10_000,
		PayTo:      common.HexToAddress("0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65"),
		MaxTimeout: time.Minute,
		Resource:   x402.Resource{URL: "http://127.0.0.1:4051/weather", Description: "Weather", MimeType: "application/json"},
	}
	known = x402.Authorization{
		From:        common.HexToAddress("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
		To:          weather.PayTo,
		Value:       big.NewInt(10_000),
		ValidAfter:  big.NewInt(1740672089),
		ValidBefore: big.NewInt(1740672154),
		Nonce:       common.HexToHash("0xf3746613c2d920b5fdabc0856f2aeb2d4f88ee6037b8cc5d04a71a4462f13480"),
	}
	now = time.Unix(1740672100, 0)
)

const (
	knownDigest    = "0x61e283ce9b8069854ddff7b60964bbd9704334ca9daafbcd48df435d2d393cd9"
	knownSignature = "0x2a90f5f729de5948548ef8a155311226700c34284f595d9e84d15974f35c457666fccb48977e16dff05e6908023bbfd15e092ef88de66b4ab12845d5f221b62d1c"

	// What the clients in use send, key order and all.
	realV1 = `{"x402Version":1,"scheme":"exact","network":"base-sepolia","payload":{"signature":"` + knownSignature + `","authorization":{"from":"0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266","to":"0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65","value":"10000","validAfter":"1740672089","validBefore":"1740672154","nonce":"0xf3746613c2d920b5fdabc0856f2aeb2d4f88ee6037b8cc5d04a71a4462f13480"}}}`
	realV2 = `{"x402Version":2,"payload":{"authorization":{"from":"0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266","to":"0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65","value":"10000","validAfter":"1740672089","validBefore":"1740672154","nonce":"0xf3746613c2d920b5fdabc0856f2aeb2d4f88ee6037b8cc5d04a71a4462f13480"},"signature":"` + knownSignature + `"},"resource":{"url":"http://127.0.0.1:4051/weather","description":"Weather","mimeType":"application/json"},"accepted":{"scheme":"exact","network":"eip155:84532","amount":"10000","asset":"0x036CbD53842c5426634e7929541eC2318f3dCF7e","payTo":"0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65","maxTimeoutSeconds":60,"extra":{"name":"USDC","version":"2"}}}`
)

func real(version int) string {
	if version == 1 {
		return realV1
	}
	return realV2
}

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func key(t testing.TB) *ecdsa.PrivateKey {
	key, err := crypto.HexToECDSA("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
	require.NoError(t, err)
	return key
}

// paid is the known payment with a signature of its own.
func paid(version int) x402.Payment {
	return weather.Payment(version, known, hexutil.MustDecode(knownSignature))
}

// signed is a payment of the given authorization with its payer's good signature.
func signed(t testing.TB, version int, a x402.Authorization) x402.Payment {
	signature, err := x402.Sign(a, sepolia, key(t))
	require.NoError(t, err)
	return weather.Payment(version, a, signature)
}

func requireInvalid(t require.TestingT, kind x402.Kind, err error) {
	var invalid *x402.Invalid
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, kind, invalid.Kind, invalid.Detail)
}
