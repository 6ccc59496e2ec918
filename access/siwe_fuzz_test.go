package access_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
)

// FuzzParseMessage looks for a text that makes the reader of sign-in messages panic, or that it reads as another text.
func FuzzParseMessage(f *testing.F) {
	const whole = "https://shop.example wants you to sign in with your Ethereum account:\n0x70997970C51812dc3A010C7d01b50e0d17dc79C8\n\nSign in.\n\n" +
		"URI: https://shop.example/login\nVersion: 1\nChain ID: 84532\nNonce: 32891756abcdefgh\nIssued At: 2026-11-22T12:00:00.5+02:00\n" +
		"Expiration Time: 2026-11-22T12:05:00Z\nNot Before: 2026-11-22T11:00:00Z\nRequest ID: a\nResources:\n- ipfs://x\n- https://shop.example/terms"
	for _, seed := range []string{
		whole, whole[len("https://"):], strings.Replace(whole, "Request ID: a\n", "", 1), "", "\n\n\n\n\n\n\n\n",
		"shop.example wants you to sign in with your Ethereum account:\n",
		"URI: \nVersion: \nChain ID: 99999999999999999999999\nNonce: \nIssued At: \n",
	} {
		f.Add(seed)
	}
	_, err := access.ParseMessage(whole)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := access.ParseMessage(text)
		if err != nil {
			require.ErrorIs(t, err, access.ErrMessage)
			return
		}
		again, err := access.ParseMessage(m.String())
		require.NoError(t, err, "what was read can be written")
		require.Equal(t, m.String(), again.String())
	})
}
