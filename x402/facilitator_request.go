package x402

import (
	"encoding/json"
	"time"

	"xsynesis/money"
)

// Asked is what a server asks a facilitator: whether this payment meets this requirement, or that it be settled.
type Asked struct {
	Version     int
	Payment     Payment
	Requirement Accepted // the network in the words of the version
}

// DecodeAsked reads the body of a facilitator's verify and settle. Errors are *[Invalid]; what could be read of Version
// still stands then.
func DecodeAsked(body []byte) (Asked, error) {
	var wire struct {
		X402Version         json.RawMessage `json:"x402Version"`
		PaymentPayload      json.RawMessage `json:"paymentPayload"`
		PaymentHeader       string          `json:"paymentHeader"` // in the first version's first form
		PaymentRequirements json.RawMessage `json:"paymentRequirements"`
	}
	asked := Asked{Version: 2}
	if _, err := readJSON(string(body)); err != nil { // names that stand twice, and what is no JSON
		return asked, err
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		return asked, invalid(Malformed, "not a JSON object: %v", err)
	}
	if len(wire.PaymentRequirements) == 0 || len(wire.PaymentPayload) == 0 && wire.PaymentHeader == "" {
		return asked, invalid(Malformed, "paymentPayload or paymentRequirements is missing")
	}
	switch said := string(wire.X402Version); {
	case said == "1", said == "2":
		asked.Version = int(said[0] - '0')
	case said == "" && wire.PaymentHeader != "":
		asked.Version = 1
	default:
		return asked, invalid(Version, "x402Version %.20q is unknown", said)
	}
	var err error
	if wire.PaymentHeader != "" {
		asked.Payment, err = Decode(asked.Version, wire.PaymentHeader)
	} else {
		asked.Payment, err = DecodeJSON(asked.Version, wire.PaymentPayload)
	}
	if err != nil {
		return asked, err
	}
	asked.Requirement, err = decodeRequirement(asked.Version, wire.PaymentRequirements)
	return asked, err
}

func decodeRequirement(version int, text []byte) (Accepted, error) {
	nodes, err := readJSON(string(text))
	if err != nil {
		return Accepted{}, err
	}
	f := fields{nodes: nodes}
	const root = 0
	if nodes[root].kind != '{' {
		return Accepted{}, invalid(Malformed, "paymentRequirements is no object")
	}
	f.scheme(root)
	amount := "amount"
	if version == 1 {
		amount = "maxAmountRequired"
	}
	extra := f.optional(root, "extra", '{')
	r := Accepted{
		Network: f.text(root, "network"), Amount: f.uint256(root, amount), Asset: f.address(root, "asset"), PayTo: f.address(root, "payTo"),
		MaxTimeoutSeconds: f.seconds(root, "maxTimeoutSeconds"), Name: f.optionalText(extra, "name"), Version: f.optionalText(extra, "version"),
	}
	if f.err != nil {
		return Accepted{}, f.err
	}
	return r, nil
}

// For is the requirement where it asks for this token, by its own name and version. Errors are *[Invalid].
func (a Accepted) For(t Token, version int) (Requirement, error) {
	switch {
	case a.Network != t.NetworkName(version):
		return Requirement{}, invalid(Network, "network is %.40q and not %q", a.Network, t.NetworkName(version))
	case a.Asset != t.Address:
		return Requirement{}, invalid(NoMatch, "asset is %s and not %s", a.Asset, t.Address)
	case version != 1 && (a.Name == "" || a.Version == ""):
		return Requirement{}, invalid(TokenDomain, "requires without the token's name and version")
	case a.Name != "" && a.Name != t.Name:
		return Requirement{}, invalid(TokenName, "requires token name %.40q and not %q", a.Name, t.Name)
	case a.Version != "" && a.Version != t.Version:
		return Requirement{}, invalid(TokenVersion, "requires token version %.40q and not %q", a.Version, t.Version)
	}
	if !a.Amount.IsInt64() || a.Amount.Sign() <= 0 {
		return Requirement{}, invalid(Amount, "amount %s is not one of a payment", a.Amount)
	}
	const longest = int64(24 * time.Hour / time.Second) // it is only echoed
	return Requirement{
		Token: t, Amount: money.USDC(a.Amount.Int64()), PayTo: a.PayTo, MaxTimeout: time.Duration(min(a.MaxTimeoutSeconds, longest)) * time.Second,
	}, nil
}
