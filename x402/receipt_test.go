package x402_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/x402"
)

func TestReceipts(t *testing.T) {
	t.Parallel()
	paid := x402.Receipt{Success: true, Transaction: knownDigest, Token: sepolia, Payer: known.From}
	name, value := paid.Header(1)
	require.Equal(t, "X-PAYMENT-RESPONSE", name)
	require.Equal(t, base64Of(`{"success":true,"transaction":"`+knownDigest+`","network":"base-sepolia","payer":"0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"}`), value)

	name, value = paid.Header(2)
	require.Equal(t, "PAYMENT-RESPONSE", name)
	require.Equal(t, base64Of(`{"success":true,"transaction":"`+knownDigest+`","network":"eip155:84532","payer":"0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"}`), value)

	refused := x402.Receipt{Token: sepolia, ErrorReason: (&x402.Invalid{Kind: x402.Funds}).Reason(1)}
	_, value = refused.Header(1)
	require.Equal(t, base64Of(`{"success":false,"errorReason":"insufficient_funds","transaction":"","network":"base-sepolia"}`), value)
}

func TestReasons(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind   x402.Kind
		v1, v2 string
	}{
		{x402.Malformed, "invalid_payload", "invalid_payload"},
		{x402.TooLarge, "invalid_payload", "invalid_payload"},
		{x402.Version, "invalid_x402_version", "invalid_x402_version"},
		{x402.Scheme, "unsupported_scheme", "invalid_exact_evm_scheme"},
		{x402.Network, "invalid_network", "invalid_exact_evm_network_mismatch"},
		{x402.NoMatch, "invalid_payment_requirements", "invalid_payment_requirements"},
		{x402.TokenDomain, "invalid_payment_requirements", "invalid_exact_evm_missing_eip712_domain"},
		{x402.TokenName, "invalid_payment_requirements", "invalid_exact_evm_token_name_mismatch"},
		{x402.TokenVersion, "invalid_payment_requirements", "invalid_exact_evm_token_version_mismatch"},
		{x402.Recipient, "invalid_exact_evm_payload_recipient_mismatch", "invalid_exact_evm_recipient_mismatch"},
		{x402.Amount, "invalid_exact_evm_payload_authorization_value", "invalid_exact_evm_payload_authorization_value_mismatch"},
		{x402.NotYetValid, "invalid_exact_evm_payload_authorization_valid_after", "invalid_exact_evm_payload_authorization_valid_after"},
		{x402.Expired, "invalid_exact_evm_payload_authorization_valid_before", "invalid_exact_evm_payload_authorization_valid_before"},
		{x402.TooLong, "invalid_exact_evm_payload_authorization_valid_before", "invalid_exact_evm_payload_authorization_valid_before"},
		{x402.Signature, "invalid_exact_evm_payload_signature", "invalid_exact_evm_signature"},
		{x402.NonceUsed, "duplicate_settlement", "invalid_exact_evm_nonce_already_used"},
		{x402.Funds, "insufficient_funds", "invalid_exact_evm_insufficient_balance"},
		{x402.Simulation, "invalid_transaction_state", "invalid_exact_evm_transaction_simulation_failed"},
		{x402.Reverted, "invalid_transaction_state", "invalid_exact_evm_transaction_failed"},
		{x402.NoTransfer, "invalid_transaction_state", "invalid_exact_evm_transfer_event_mismatch"},
		{x402.NoToken, "invalid_payment_requirements", "asset_not_deployed_contract"},
		{x402.Unsupported, "invalid_payment_requirements", "invalid_exact_evm_eip3009_not_supported"},
		{"something new", "unexpected_verify_error", "unexpected_verify_error"},
	} {
		err := &x402.Invalid{Kind: tt.kind, Detail: "why"}
		require.Equal(t, tt.v1, err.Reason(1))
		require.Equal(t, tt.v2, err.Reason(2))
		require.EqualError(t, err, "x402: invalid payment: "+string(tt.kind)+": why")
	}
}
