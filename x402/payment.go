package x402

import (
	"encoding/base64"
	"log/slog"
	"math/big"
	"net/http"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

// maxHeader bounds what is decoded; servers and proxies cut headers at about this length.
const maxHeader = 16 << 10

// Payment is what a buyer sends: an authorization, its signature and, in version 2, the offer it answers.
type Payment struct {
	Version       int
	Network       string    // in the words of the version: "base-sepolia" or "eip155:84532"
	Accepted      *Accepted // version 2 only
	ResourceURL   string    // version 2 only; "" if the client does not say
	Identifier    string    // version 2 only: the program's own; "" for none
	Authorization Authorization
	Signature     []byte
}

// Accepted is the requirement that a version 2 client chose and sends back. Its scheme is always "exact".
type Accepted struct {
	Network           string
	Amount            *big.Int
	Asset, PayTo      common.Address
	MaxTimeoutSeconds int64
	Name, Version     string // of the token's EIP-712 domain; "" if the client leaves them out
}

// FromRequest reads the payment of a request: [HeaderSignature] if there is one, else [HeaderPayment].
// Errors are [ErrNoPayment] and *[Invalid]; with the latter the payment still tells its Version.
func FromRequest(h http.Header) (Payment, error) {
	version, name := 2, HeaderSignature
	values := h.Values(name)
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		version, name = 1, HeaderPayment
		values = h.Values(name)
	}
	switch {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return Payment{}, ErrNoPayment
	case len(values) > 1:
		return Payment{Version: version}, invalid(Malformed, "%s stands %d times", name, len(values))
	}
	return Decode(version, values[0])
}

// Decode reads the value of [HeaderPayment] (version 1) or [HeaderSignature] (version 2).
// Errors are *[Invalid]; the payment then still tells its Version.
func Decode(version int, header string) (Payment, error) {
	if len(header) > maxHeader {
		return Payment{Version: version}, invalid(TooLarge, "%d bytes in a header", len(header))
	}
	text, err := decode64(header)
	if err != nil {
		return Payment{Version: version}, invalid(Malformed, "not base64: %v", err)
	}
	return DecodeJSON(version, text)
}

// DecodeJSON reads a payment that is not wrapped in base64, as facilitators receive it.
func DecodeJSON(version int, text []byte) (Payment, error) {
	p := Payment{Version: version}
	if version != 1 && version != 2 {
		return p, invalid(Version, "x402Version %d is unknown", version)
	}
	nodes, err := readJSON(string(text))
	if err != nil {
		return p, err
	}
	f := fields{nodes: nodes}
	const root = 0
	if nodes[root].kind != '{' {
		return p, invalid(Malformed, "not a JSON object")
	}
	if i := f.need(root, "x402Version", '0'); i != none && nodes[i].text != digit(version) {
		f.refuse(Version, "x402Version is %.20s and not %d", nodes[i].text, version)
	}
	if version == 1 {
		f.scheme(root)
		p.Network = f.text(root, "network")
	} else {
		p.Accepted = f.accepted(root)
		p.Network = p.Accepted.Network
		if resource := f.optional(root, "resource", '{'); resource != none {
			p.ResourceURL = f.optionalText(resource, "url")
		}
		p.Identifier = f.identifier(root)
	}
	p.Authorization, p.Signature = f.payload(f.object(root, "payload"))
	if f.err != nil {
		return Payment{Version: version}, f.err
	}
	return p, nil
}

// DecodePayload reads {"signature", "authorization"} alone, the part of a payment that a wallet makes.
// [Requirement.Payment] makes a whole payment of it.
func DecodePayload(text []byte) (Authorization, []byte, error) {
	if len(text) > maxHeader {
		return Authorization{}, nil, invalid(TooLarge, "%d bytes", len(text))
	}
	nodes, err := readJSON(string(text))
	if err != nil {
		return Authorization{}, nil, err
	}
	f := fields{nodes: nodes}
	a, signature := f.payload(0)
	if f.err != nil {
		return Authorization{}, nil, f.err
	}
	return a, signature, nil
}

func digit(version int) string { return string(rune('0' + version)) }

func (f *fields) scheme(object int) {
	if scheme := f.text(object, "scheme"); scheme != exact {
		f.refuse(Scheme, "scheme is %.40q and not %q", scheme, exact)
	}
}

func (f *fields) accepted(root int) *Accepted {
	object := f.object(root, "accepted")
	f.scheme(object)
	extra := f.optional(object, "extra", '{')
	return &Accepted{
		Network:           f.text(object, "network"),
		Amount:            f.uint256(object, "amount"),
		Asset:             f.address(object, "asset"),
		PayTo:             f.address(object, "payTo"),
		MaxTimeoutSeconds: f.seconds(object, "maxTimeoutSeconds"),
		Name:              f.optionalText(extra, "name"),
		Version:           f.optionalText(extra, "version"),
	}
}

func (f *fields) payload(object int) (Authorization, []byte) {
	authorization := f.object(object, "authorization")
	return Authorization{
		From:        f.address(authorization, "from"),
		To:          f.address(authorization, "to"),
		Value:       f.uint256(authorization, "value"),
		ValidAfter:  f.uint256(authorization, "validAfter"),
		ValidBefore: f.uint256(authorization, "validBefore"),
		Nonce:       f.hash(authorization, "nonce"),
	}, f.signature(object, "signature")
}

// Payment is what a client of the given version sends to meet the requirement.
func (r Requirement) Payment(version int, a Authorization, signature []byte) Payment {
	p := Payment{Version: version, Network: r.Token.NetworkName(version), Authorization: a, Signature: signature}
	if version != 1 {
		p.Accepted, p.ResourceURL = r.accepted(), r.Resource.URL
	}
	return p
}

// Encode is the payment as a request header.
func (p Payment) Encode() (headerName, value string) {
	headerName = HeaderSignature
	if p.Version == 1 {
		headerName = HeaderPayment
	}
	return headerName, base64.StdEncoding.EncodeToString(p.JSON())
}

// JSON is the payment as facilitators receive it.
func (p Payment) JSON() []byte {
	signature, message := hexutil.Encode(p.Signature), p.Authorization.message()
	if p.Version == 1 {
		return encode(paymentV1{1, exact, p.Network, payloadV1{signature, message}})
	}
	wire := paymentV2{X402Version: p.Version, Payload: payloadV2{message, signature}}
	if p.ResourceURL != "" {
		wire.Resource = &resourceURL{p.ResourceURL}
	}
	if p.Accepted != nil {
		accepted := p.Accepted.wire()
		wire.Accepted = &accepted
	}
	return encode(wire)
}

// The wire forms keep the order of names that the clients in use send.
type (
	paymentV1 struct {
		X402Version int       `json:"x402Version"`
		Scheme      string    `json:"scheme"`
		Network     string    `json:"network"`
		Payload     payloadV1 `json:"payload"`
	}
	payloadV1 struct {
		Signature     string  `json:"signature"`
		Authorization Message `json:"authorization"`
	}
	paymentV2 struct {
		X402Version int            `json:"x402Version"`
		Payload     payloadV2      `json:"payload"`
		Resource    *resourceURL   `json:"resource,omitempty"`
		Accepted    *RequirementV2 `json:"accepted,omitempty"`
	}
	payloadV2 struct {
		Authorization Message `json:"authorization"`
		Signature     string  `json:"signature"`
	}
	resourceURL struct {
		URL string `json:"url"`
	}
)

func (a Accepted) wire() RequirementV2 {
	return RequirementV2{
		Scheme:            exact,
		Network:           a.Network,
		Amount:            a.Amount.String(),
		Asset:             a.Asset.Hex(),
		PayTo:             a.PayTo.Hex(),
		MaxTimeoutSeconds: a.MaxTimeoutSeconds,
		Extra:             Extra{a.Name, a.Version},
	}
}

// LogValue leaves out the signature: with it, whoever reads the log could send the payment.
func (p Payment) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Int("version", p.Version),
		slog.String("network", p.Network),
		slog.String("payer", p.Authorization.From.Hex()),
		slog.String("nonce", p.Authorization.Nonce.Hex()),
	)
}
