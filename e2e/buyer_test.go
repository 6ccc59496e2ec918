package e2e

import (
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/common/math"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
	"github.com/stretchr/testify/require"
)

// The protocol's headers and bodies are written out here once more, without our own package: a mistake in it would
// otherwise agree with itself.

// offerV1 is what one entry of a version 1 body asks for.
type offerV1 struct {
	Scheme            string            `json:"scheme"`
	Network           string            `json:"network"`
	MaxAmountRequired string            `json:"maxAmountRequired"`
	Resource          string            `json:"resource"`
	Description       *string           `json:"description"`
	MimeType          *string           `json:"mimeType"`
	PayTo             string            `json:"payTo"`
	MaxTimeoutSeconds int64             `json:"maxTimeoutSeconds"`
	Asset             string            `json:"asset"`
	Extra             map[string]string `json:"extra"`
}

// offerV2 is what one entry of a version 2 header asks for.
type offerV2 struct {
	Scheme            string            `json:"scheme"`
	Network           string            `json:"network"`
	Amount            string            `json:"amount"`
	Asset             string            `json:"asset"`
	PayTo             string            `json:"payTo"`
	MaxTimeoutSeconds int64             `json:"maxTimeoutSeconds"`
	Extra             map[string]string `json:"extra"`
}

// required is a 402 in both of its forms.
type required struct {
	V1 struct {
		X402Version int       `json:"x402Version"`
		Error       string    `json:"error"`
		Accepts     []offerV1 `json:"accepts"`
	}
	V2 struct {
		X402Version int    `json:"x402Version"`
		Error       string `json:"error"`
		Resource    struct {
			URL         string `json:"url"`
			Description string `json:"description"`
			MimeType    string `json:"mimeType"`
		} `json:"resource"`
		Accepts []offerV2 `json:"accepts"`
	}
}

// required reads a 402, whose two forms must be there.
func (a answer) required(t testing.TB) (r required) {
	t.Helper()
	require.Equal(t, http.StatusPaymentRequired, a.Status, a.Body)
	require.NoError(t, json.Unmarshal([]byte(a.Body), &r.V1), a.Body)
	decodeHeader(t, a.Header.Get("PAYMENT-REQUIRED"), &r.V2)
	return r
}

func decodeHeader(t testing.TB, value string, into any) {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(value)
	require.NoError(t, err, value)
	require.NoError(t, json.Unmarshal(text, into), string(text))
}

func encodeHeader(t testing.TB, from any) string {
	t.Helper()
	text, err := json.Marshal(from)
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(text)
}

type object = map[string]any

// authorize signs the transfer that answers an offer.
func authorize(t testing.TB, key *ecdsa.PrivateKey, chainID int64, o offerV2) object {
	t.Helper()
	var nonce [32]byte
	_, _ = rand.Read(nonce[:])
	message := object{
		"from": crypto.PubkeyToAddress(key.PublicKey).Hex(), "to": o.PayTo, "value": o.Amount, "validAfter": "0",
		"validBefore": strconv.FormatInt(time.Now().Unix()+o.MaxTimeoutSeconds, 10), "nonce": hexutil.Encode(nonce[:]),
	}
	typed := apitypes.TypedData{
		Types: apitypes.Types{
			"EIP712Domain": {{Name: "name", Type: "string"}, {Name: "version", Type: "string"}, {Name: "chainId", Type: "uint256"}, {Name: "verifyingContract", Type: "address"}},
			"TransferWithAuthorization": {
				{Name: "from", Type: "address"}, {Name: "to", Type: "address"}, {Name: "value", Type: "uint256"},
				{Name: "validAfter", Type: "uint256"}, {Name: "validBefore", Type: "uint256"}, {Name: "nonce", Type: "bytes32"},
			},
		},
		PrimaryType: "TransferWithAuthorization",
		Domain: apitypes.TypedDataDomain{
			Name: o.Extra["name"], Version: o.Extra["version"], ChainId: math.NewHexOrDecimal256(chainID), VerifyingContract: o.Asset,
		},
		Message: message,
	}
	return object{"signature": signTyped(t, key, typed), "authorization": message}
}

func signTyped(t testing.TB, key *ecdsa.PrivateKey, typed apitypes.TypedData) string {
	t.Helper()
	digest, _, err := apitypes.TypedDataAndHash(typed)
	require.NoError(t, err)
	signature, err := crypto.Sign(digest, key)
	require.NoError(t, err)
	signature[64] += 27
	return hexutil.Encode(signature)
}

// payment signs an answer to a 402 and returns it as a header of the version.
func (w *world) payment(t testing.TB, key *ecdsa.PrivateKey, version int, r required) (name, value string) {
	t.Helper()
	offer := r.V2.Accepts[0]
	payload := authorize(t, key, w.ChainID, offer)
	if version == 1 {
		return "X-PAYMENT", encodeHeader(t, object{
			"x402Version": 1, "scheme": "exact", "network": r.V1.Accepts[0].Network, "payload": payload,
		})
	}
	return "PAYMENT-SIGNATURE", encodeHeader(t, object{
		"x402Version": 2, "payload": payload, "resource": r.V2.Resource, "accepted": offer,
	})
}

// buyer is the demo's buyer, who has USDC and no gas money.
func (w *world) buyer(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := crypto.ToECDSA(hexutil.MustDecode(w.BuyerKey))
	require.NoError(t, err)
	return key
}

// newKey is somebody's who has nothing at all.
func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := crypto.GenerateKey()
	require.NoError(t, err)
	return key
}

// receipt is the body of a paid answer.
type receipt struct {
	PaymentAttempt string `json:"payment_attempt"`
	Status         string `json:"status"`
	Title          string `json:"title"`
	Amount         string `json:"amount"`
	Network        string `json:"network"`
	Payer          string `json:"payer"`
	PayTo          string `json:"pay_to"`
	Transaction    string `json:"transaction"`
	ReceiptURL     string `json:"receipt_url"`
}

func (a answer) receipt(t testing.TB) (r receipt) {
	t.Helper()
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	require.NoError(t, json.Unmarshal([]byte(a.Body), &r))
	return r
}

// receiptHeader is what goes back to a payer in the header of his version.
type receiptHeader struct {
	Success     bool   `json:"success"`
	Transaction string `json:"transaction"`
	Network     string `json:"network"`
	Payer       string `json:"payer"`
}
