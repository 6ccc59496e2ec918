package x402

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"xsynesis/money"
)

// ErrNoOffer is returned by [ReadOffer] for a 402 that says nothing a program can pay by.
var ErrNoOffer = errors.New("x402: no offer")

// maxOffer bounds the header of an offer: servers put examples and schemas into it.
const maxOffer = 256 << 10

// Offer is a 402 as the buyer's side reads it.
type Offer struct {
	Version int
	Problem string // why it is a 402, in the server's words
	Choices []Choice

	resource, extensions json.RawMessage // version 2: sent back as they came
}

// Choice is one entry of an offer that can be paid with an EIP-3009 signature for a token of the reader's.
type Choice struct {
	Token      Token
	Amount     money.USDC
	PayTo      common.Address
	MaxTimeout time.Duration

	raw json.RawMessage
}

// offered is an entry of "accepts" in either version.
type offered struct {
	Scheme            string      `json:"scheme"`
	Network           string      `json:"network"`
	Amount            string      `json:"amount"`
	MaxAmountRequired string      `json:"maxAmountRequired"`
	Asset             string      `json:"asset"`
	PayTo             string      `json:"payTo"`
	MaxTimeoutSeconds json.Number `json:"maxTimeoutSeconds"`
	Extra             struct {
		AssetTransferMethod string `json:"assetTransferMethod"`
		PaymentFlow         string `json:"paymentFlow"`
	} `json:"extra"`
}

// ReadOffer reads the offer of a 402: [HeaderRequired] if there is one, else the body. Entries with other schemes, ways of
// transfer, networks or tokens than the given ones are left out, so that an offer may have no choice.
func ReadOffer(h http.Header, body []byte, tokens ...Token) (Offer, error) {
	version, text := 1, body
	if header := h.Get(HeaderRequired); header != "" {
		if len(header) > maxOffer {
			return Offer{}, fmt.Errorf("%w: %s has %d bytes", ErrNoOffer, HeaderRequired, len(header))
		}
		decoded, err := decode64(header)
		if err != nil {
			return Offer{}, fmt.Errorf("%w: %s: %w", ErrNoOffer, HeaderRequired, err)
		}
		version, text = 2, decoded
	}
	var required struct {
		X402Version int               `json:"x402Version"`
		Error       string            `json:"error"`
		Resource    json.RawMessage   `json:"resource"`
		Accepts     []json.RawMessage `json:"accepts"`
		Extensions  json.RawMessage   `json:"extensions"`
	}
	if err := json.Unmarshal(text, &required); err != nil {
		return Offer{}, fmt.Errorf("%w: %w", ErrNoOffer, err)
	}
	if required.X402Version != version || required.Accepts == nil {
		return Offer{}, fmt.Errorf("%w: x402Version %d where %d was due", ErrNoOffer, required.X402Version, version)
	}
	o := Offer{Version: version, Problem: required.Error, resource: required.Resource, extensions: required.Extensions}
	for _, raw := range required.Accepts {
		if c, ok := choice(version, raw, tokens); ok {
			o.Choices = append(o.Choices, c)
		}
	}
	return o, nil
}

func choice(version int, raw json.RawMessage, tokens []Token) (Choice, bool) {
	var o offered
	if json.Unmarshal(raw, &o) != nil || o.Scheme != exact || !common.IsHexAddress(o.Asset) || !common.IsHexAddress(o.PayTo) {
		return Choice{}, false
	}
	// A way of transfer or an order of steps that we do not know may mean another signature.
	if o.Extra.AssetTransferMethod != "" && o.Extra.AssetTransferMethod != "eip3009" ||
		o.Extra.PaymentFlow != "" && o.Extra.PaymentFlow != "authorization" && o.Extra.PaymentFlow != "upfront" {
		return Choice{}, false
	}
	units := o.Amount
	if version == 1 {
		units = o.MaxAmountRequired
	}
	amount, err := money.ParseUnits(units)
	seconds, timeErr := o.MaxTimeoutSeconds.Int64()
	if err != nil || timeErr != nil || seconds <= 0 {
		return Choice{}, false
	}
	for _, t := range tokens {
		if t.NetworkName(version) == o.Network && t.Address == common.HexToAddress(o.Asset) {
			timeout := time.Duration(min(seconds, int64(math.MaxInt64/time.Second))) * time.Second
			return Choice{Token: t, Amount: amount, PayTo: common.HexToAddress(o.PayTo), MaxTimeout: timeout, raw: raw}, true
		}
	}
	return Choice{}, false
}

// identifier is the extension by which a server tells one payment's tries from another payment.
const identifier = "payment-identifier"

// Payment is the request header that pays a choice of this offer. What the server said is sent back to the byte, since
// servers compare it; id names the payment where the server asks for a name, 16 to 128 letters, digits, _ and -.
func (o Offer) Payment(c Choice, a Authorization, signature []byte, id string) (headerName, value string) {
	text, message := hexutil.Encode(signature), a.message()
	if o.Version == 1 {
		return HeaderPayment, base64.StdEncoding.EncodeToString(encode(paymentV1{1, exact, c.Token.NetworkV1, payloadV1{text, message}}))
	}
	return HeaderSignature, base64.StdEncoding.EncodeToString(encode(struct {
		X402Version int             `json:"x402Version"`
		Payload     payloadV2       `json:"payload"`
		Extensions  json.RawMessage `json:"extensions,omitempty"`
		Resource    json.RawMessage `json:"resource,omitempty"`
		Accepted    json.RawMessage `json:"accepted"`
	}{2, payloadV2{message, text}, o.extended(id), o.resource, c.raw}))
}

// extended is the server's extensions with the payment's name in the one that asks for it.
func (o Offer) extended(id string) json.RawMessage {
	var all map[string]json.RawMessage
	var one struct {
		Info   map[string]any  `json:"info"`
		Schema json.RawMessage `json:"schema,omitempty"`
	}
	if len(o.extensions) == 0 || json.Unmarshal(o.extensions, &all) != nil || len(all) == 0 {
		return nil
	}
	if id == "" || json.Unmarshal(all[identifier], &one) != nil {
		return o.extensions
	}
	if one.Info == nil {
		one.Info = map[string]any{}
	}
	one.Info["id"] = id
	all[identifier] = encode(one)
	return encode(all)
}

// ReadReceipt reads the receipt of an answer, in whichever version it came; ok is false where there is none.
func ReadReceipt(h http.Header) (r ReceiptJSON, ok bool) {
	for _, name := range []string{HeaderResponse, HeaderResponseV1} {
		value := h.Get(name)
		if value == "" || len(value) > maxOffer {
			continue
		}
		text, err := decode64(value)
		if err == nil && json.Unmarshal(text, &r) == nil {
			return r, true
		}
		r = ReceiptJSON{}
	}
	return ReceiptJSON{}, false
}

// decode64 reads either alphabet, with or without padding: clients and servers differ.
func decode64(text string) ([]byte, error) {
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	return encoding.DecodeString(strings.TrimSuffix(strings.TrimSuffix(text, "="), "="))
}
