package x402

import (
	"errors"
	"fmt"
)

// ErrNoPayment is returned by [FromRequest] for a request without a payment.
var ErrNoPayment = errors.New("x402: no payment")

// Kind says what is wrong with a payment.
type Kind string

// What can be wrong with a payment. The kinds from NonceUsed on are found by those who ask a chain.
const (
	Malformed    Kind = "malformed"          // not base64, not JSON, a field missing or of the wrong form
	TooLarge     Kind = "too_large"          // the header is longer than 16 KB
	Version      Kind = "version"            // x402Version is not that of the header
	Scheme       Kind = "scheme"             // not "exact"
	Network      Kind = "network"            // another chain
	NoMatch      Kind = "no_match"           // accepts another price, payee or asset than ours
	TokenDomain  Kind = "token_domain"       // accepts without the token's EIP-712 name and version
	TokenName    Kind = "token_name"         // another EIP-712 name
	TokenVersion Kind = "token_version"      // another EIP-712 version
	Recipient    Kind = "recipient"          // pays somebody else
	Amount       Kind = "amount"             // not exactly the price
	NotYetValid  Kind = "not_yet_valid"      // validAfter is in the future
	Expired      Kind = "expired"            // validBefore is past or too near to settle in time
	TooLong      Kind = "too_long"           // validBefore is too far away
	Signature    Kind = "signature"          // not the payer's signature
	NonceUsed    Kind = "nonce_used"         // used or cancelled before
	Funds        Kind = "insufficient_funds" // the payer has less than the price
	Simulation   Kind = "simulation"         // the token would refuse the transfer
	Reverted     Kind = "reverted"           // the token refused the transfer
	NoTransfer   Kind = "no_transfer"        // mined without the transfer that was due
	NoToken      Kind = "no_token"           // the asset has no code
	Unsupported  Kind = "unsupported"        // the asset does not know EIP-3009
	Undeployed   Kind = "undeployed_wallet"  // signed by a contract that is not on the chain yet (ERC-6492)
	Declined     Kind = "declined"           // a facilitator does not settle it, for a reason of its own
	Unreliable   Kind = "unreliable_payer"   // too many payments of this payer came to nothing of late
)

// Invalid says why a payment is refused. It is never about our own failures.
type Invalid struct {
	Kind   Kind
	Detail string // for people and logs
}

func (e *Invalid) Error() string {
	return fmt.Sprintf("x402: invalid payment: %s: %s", e.Kind, e.Detail)
}

// Reason is the protocol's name for it, which differs between versions 1 and 2.
func (e *Invalid) Reason(version int) string {
	name, ok := reasons[e.Kind]
	switch {
	case !ok:
		return "unexpected_verify_error"
	case version == 1:
		return name.v1
	default:
		return name.v2
	}
}

var reasons = map[Kind]struct{ v1, v2 string }{
	Malformed:    {"invalid_payload", "invalid_payload"},
	TooLarge:     {"invalid_payload", "invalid_payload"},
	Version:      {"invalid_x402_version", "invalid_x402_version"},
	Scheme:       {"unsupported_scheme", "invalid_exact_evm_scheme"},
	Network:      {"invalid_network", "invalid_exact_evm_network_mismatch"},
	NoMatch:      {"invalid_payment_requirements", "invalid_payment_requirements"},
	TokenDomain:  {"invalid_payment_requirements", "invalid_exact_evm_missing_eip712_domain"},
	TokenName:    {"invalid_payment_requirements", "invalid_exact_evm_token_name_mismatch"},
	TokenVersion: {"invalid_payment_requirements", "invalid_exact_evm_token_version_mismatch"},
	Recipient:    {"invalid_exact_evm_payload_recipient_mismatch", "invalid_exact_evm_recipient_mismatch"},
	Amount:       {"invalid_exact_evm_payload_authorization_value", "invalid_exact_evm_payload_authorization_value_mismatch"},
	NotYetValid:  {"invalid_exact_evm_payload_authorization_valid_after", "invalid_exact_evm_payload_authorization_valid_after"},
	Expired:      {"invalid_exact_evm_payload_authorization_valid_before", "invalid_exact_evm_payload_authorization_valid_before"},
	TooLong:      {"invalid_exact_evm_payload_authorization_valid_before", "invalid_exact_evm_payload_authorization_valid_before"},
	Signature:    {"invalid_exact_evm_payload_signature", "invalid_exact_evm_signature"},
	NonceUsed:    {"duplicate_settlement", "invalid_exact_evm_nonce_already_used"},
	Funds:        {"insufficient_funds", "invalid_exact_evm_insufficient_balance"},
	Simulation:   {"invalid_transaction_state", "invalid_exact_evm_transaction_simulation_failed"},
	Reverted:     {"invalid_transaction_state", "invalid_exact_evm_transaction_failed"},
	NoTransfer:   {"invalid_transaction_state", "invalid_exact_evm_transfer_event_mismatch"},
	NoToken:      {"invalid_payment_requirements", "asset_not_deployed_contract"},
	Unsupported:  {"invalid_payment_requirements", "invalid_exact_evm_eip3009_not_supported"},
	Undeployed:   {"invalid_exact_evm_payload_undeployed_smart_wallet", "eip6492_factory_not_allowed"},
}

func invalid(kind Kind, format string, args ...any) *Invalid {
	return &Invalid{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}
