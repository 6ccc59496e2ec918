// Package x402 is the payment protocol: what a 402 asks for, what a buyer's wallet signs, and what the receipt says.
//
// It speaks versions 1 and 2 over HTTP with the scheme "exact" on EVM chains, where the buyer signs an EIP-3009
// TransferWithAuthorization. It looks at no chain: what only a chain can tell is left to its callers.
package x402

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/money"
)

// The headers that carry offers, payments and receipts.
const (
	HeaderRequired   = "PAYMENT-REQUIRED"   // version 2: the offer of a 402
	HeaderSignature  = "PAYMENT-SIGNATURE"  // version 2: a payment
	HeaderPayment    = "X-PAYMENT"          // version 1: a payment
	HeaderResponse   = "PAYMENT-RESPONSE"   // version 2: a receipt
	HeaderResponseV1 = "X-PAYMENT-RESPONSE" // version 1: a receipt
)

// exact is the one scheme: the authorization's value is the price, no more and no less.
const exact = "exact"

// Token is one token on one chain, as the protocol needs it.
type Token struct {
	Network   string         // CAIP-2, "eip155:84532"
	NetworkV1 string         // version 1's name, "base-sepolia"; "" where version 1 has none
	ChainID   uint64         // 84532
	Address   common.Address // the contract, called "asset" on the wire
	Name      string         // of the EIP-712 domain: differs per chain
	Version   string         // of the EIP-712 domain
}

// Resource is what is paid for. Version 1 clients insist on an absolute URL.
type Resource struct{ URL, Description, MimeType string }

// Requirement is one way to pay.
type Requirement struct {
	Token      Token
	Amount     money.USDC
	PayTo      common.Address
	MaxTimeout time.Duration
	Resource   Resource
	Call       *CallShape // nil where no call is paid for
}

// Extra is the EIP-712 domain of the token, without which a client cannot sign.
type Extra struct {
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
}

// RequirementV1 is one entry of "accepts" in version 1. Clients refuse null and a missing description or mimeType.
type RequirementV1 struct {
	Scheme            string `json:"scheme"`
	Network           string `json:"network"`
	MaxAmountRequired string `json:"maxAmountRequired"`
	Resource          string `json:"resource"`
	Description       string `json:"description"`
	MimeType          string `json:"mimeType"`
	PayTo             string `json:"payTo"`
	MaxTimeoutSeconds int64  `json:"maxTimeoutSeconds"`
	Asset             string `json:"asset"`
	Extra             Extra  `json:"extra"`

	OutputSchema *schemaV1 `json:"outputSchema,omitempty"`
}

// RequirementV2 is one entry of "accepts" in version 2.
type RequirementV2 struct {
	Scheme            string `json:"scheme"`
	Network           string `json:"network"`
	Amount            string `json:"amount"`
	Asset             string `json:"asset"`
	PayTo             string `json:"payTo"`
	MaxTimeoutSeconds int64  `json:"maxTimeoutSeconds,omitempty"`
	Extra             Extra  `json:"extra,omitzero"`
}

// ResourceV2 is the resource of a version 2 offer, named once for all its entries.
type ResourceV2 struct {
	URL         string `json:"url"`
	Description string `json:"description"`
	MimeType    string `json:"mimeType"`
}

// RequiredV1 is the whole body of a version 1 402.
type RequiredV1 struct {
	X402Version int             `json:"x402Version"`
	Error       string          `json:"error,omitempty"`
	Accepts     []RequirementV1 `json:"accepts"`
}

// RequiredV2 is the whole offer of a version 2 402.
type RequiredV2 struct {
	X402Version int             `json:"x402Version"`
	Error       string          `json:"error,omitempty"`
	Resource    ResourceV2      `json:"resource"`
	Accepts     []RequirementV2 `json:"accepts"`

	Extensions map[string]extension `json:"extensions,omitempty"`
}

// V1 is the requirement as an entry of a version 1 "accepts".
func (r Requirement) V1() RequirementV1 {
	return RequirementV1{
		Scheme:            exact,
		Network:           r.Token.NetworkV1,
		MaxAmountRequired: r.Amount.Units(),
		Resource:          r.Resource.URL,
		Description:       r.Resource.Description,
		MimeType:          r.Resource.MimeType,
		PayTo:             r.PayTo.Hex(),
		MaxTimeoutSeconds: r.seconds(),
		Asset:             r.Token.Address.Hex(),
		Extra:             Extra{r.Token.Name, r.Token.Version},
		OutputSchema:      r.Call.v1(),
	}
}

// V2 is the whole version 2 offer of this one requirement.
func (r Requirement) V2() RequiredV2 { return requiredV2("", r) }

// Body is the version 1 body of a 402: problem says why it is one. Requirements on networks that version 1
// does not know are left out, since one such entry makes a client refuse them all.
func Body(problem string, r ...Requirement) []byte {
	required := RequiredV1{X402Version: 1, Error: problem, Accepts: make([]RequirementV1, 0, len(r))}
	for _, requirement := range r {
		if requirement.Token.NetworkV1 != "" {
			required.Accepts = append(required.Accepts, requirement.V1())
		}
	}
	return encode(required)
}

// Header is the version 2 value of [HeaderRequired] for the same 402. The resource is the first requirement's.
func Header(problem string, r ...Requirement) string {
	return base64.StdEncoding.EncodeToString(encode(requiredV2(problem, r...)))
}

func requiredV2(problem string, r ...Requirement) RequiredV2 {
	required := RequiredV2{X402Version: 2, Error: problem, Accepts: make([]RequirementV2, 0, len(r))}
	if len(r) > 0 {
		required.Resource, required.Extensions = ResourceV2(r[0].Resource), r[0].Call.v2()
	}
	for _, requirement := range r {
		required.Accepts = append(required.Accepts, requirement.accepted().wire())
	}
	return required
}

// accepted is what an honest version 2 client echoes of this requirement.
func (r Requirement) accepted() *Accepted {
	return &Accepted{
		Network:           r.Token.Network,
		Amount:            bigUnits(r.Amount),
		Asset:             r.Token.Address,
		PayTo:             r.PayTo,
		MaxTimeoutSeconds: r.seconds(),
		Name:              r.Token.Name,
		Version:           r.Token.Version,
	}
}

// seconds is at least one: clients refuse a timeout of zero.
func (r Requirement) seconds() int64 { return max(1, int64(r.MaxTimeout/time.Second)) }

// encode keeps Go's escaping of <, > and &, so that an offer written into a page cannot break out of it.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("x402: encode %T: %v", v, err)) // our own structs of strings and integers
	}
	return b
}
