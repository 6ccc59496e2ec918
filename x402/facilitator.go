package x402

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Facilitator checks and settles payments for servers that touch no chain themselves.
//
// What it says is a hint, whoever runs it: money has moved when the chain shows the transfer, and a payment has failed
// when the chain can no longer show it.
type Facilitator interface {
	// Name tells facilitators apart, in rows and for people.
	Name() string
	// Supported is what it settles.
	Supported(ctx context.Context) (Supported, error)
	// Verify asks whether a payment would be settled. It moves nothing. An error is a *[FacilitatorError].
	Verify(ctx context.Context, p Payment, r Requirement) (Verdict, error)
	// Settle asks for the money to be moved. An error is a *[FacilitatorError]: where it is not Before anything, the
	// money may have moved, or may yet.
	Settle(ctx context.Context, p Payment, r Requirement) (Settled, error)
}

// Supported is the kinds of payments that a facilitator settles.
type Supported struct {
	Kinds      []SupportedKind     `json:"kinds"`
	Extensions []string            `json:"extensions"`
	Signers    map[string][]string `json:"signers"` // by CAIP-2 pattern, "eip155:*": whose transactions they will be
}

// SupportedKind is one version of the protocol, with a scheme on a network.
type SupportedKind struct {
	X402Version int    `json:"x402Version"`
	Scheme      string `json:"scheme"`
	Network     string `json:"network"`
}

// Kinds are those in which payments with these tokens are made, of both versions.
func Kinds(tokens ...Token) []SupportedKind {
	kinds := make([]SupportedKind, 0, 2*len(tokens))
	for _, t := range tokens {
		kinds = append(kinds, SupportedKind{2, exact, t.Network})
		if t.NetworkV1 != "" {
			kinds = append(kinds, SupportedKind{1, exact, t.NetworkV1})
		}
	}
	return kinds
}

// Version is the version to speak about payments with this token, the newest that is supported; ok is false where there
// is none.
func (s Supported) Version(t Token) (version int, ok bool) {
	for _, k := range Kinds(t) {
		if slices.Contains(s.Kinds, k) {
			return k.X402Version, true
		}
	}
	return 0, false
}

// Verdict is what a facilitator thinks of a payment.
type Verdict struct {
	Valid   bool
	Reason  string // the protocol's name for what is wrong; a facilitator may have names of its own
	Message string // for people
	Payer   string
}

// Settled is what a facilitator says that became of a payment.
type Settled struct {
	Success     bool
	Reason      string
	Message     string
	Transaction string // the hash; "" if nothing was sent
	Network     string // in the words of the payment's version
	Payer       string
}

// Pending is the reason of a [Settled] whose outcome the facilitator does not know either: the same payment may be sent
// again, no other.
const Pending = "settlement_pending"

// FacilitatorError is a call that got no usable answer. It says nothing about the payment.
type FacilitatorError struct {
	Facilitator string
	Call        string        // "supported", "verify", "settle"
	Class       string        // "connect", "timeout", "refused", "limited", "protocol", "answer", "reset"
	Status      int           // of the answer; 0 where there was none
	RetryAfter  time.Duration // that it asks to wait; 0 where it does not say
	Before      bool          // it surely has done nothing
	Err         error
}

func (e *FacilitatorError) Error() string {
	return fmt.Sprintf("x402: %s at %s: %s: %v", e.Call, e.Facilitator, e.Class, e.Err)
}

func (e *FacilitatorError) Unwrap() error { return e.Err }

// ReasonInvalid is a facilitator's reason as a refusal of ours; one that we have no kind for is [Declined].
func ReasonInvalid(reason string) *Invalid {
	found := Declined
	for _, kind := range reasonOrder {
		if names := reasons[kind]; names.v2 == reason || names.v1 == reason {
			found = kind
			break
		}
	}
	return invalid(found, "a facilitator says %.100q", reason)
}

// reasonOrder is the kinds that have names; of those that share one, the first is what it says.
var reasonOrder = []Kind{
	Signature, Undeployed, Funds, NonceUsed, Expired, NotYetValid, Amount, Recipient, Simulation, NoTransfer, Reverted,
	Network, Scheme, Version, NoToken, Unsupported, TokenName, TokenVersion, TokenDomain, NoMatch, Malformed,
}

var errNoAnswer = errors.New("no answer")
