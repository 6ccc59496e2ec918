package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/cmd/config"
)

func publicKey(t *testing.T, curve elliptic.Curve) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func TestWhoMayComeInIsSet(t *testing.T) {
	t.Parallel()
	for env, want := range map[config.Environment]config.Signups{config.Production: config.SignupsClosed, config.Development: config.SignupsOpen} {
		c, err := config.Parse(nil, env)
		require.NoError(t, err)
		require.Equal(t, want, c.Signups)
	}
	c, err := config.Parse(vars{"SIGNUPS": "open"}, config.Production)
	require.NoError(t, err)
	require.Equal(t, config.SignupsOpen, c.Signups)
	_, err = config.Parse(vars{"SIGNUPS": "yes"}, config.Production)
	require.ErrorContains(t, err, "SIGNUPS: must be open or closed")
}

func TestAnAppOfTheOtherServiceIsSetWhole(t *testing.T) {
	t.Parallel()
	key := publicKey(t, elliptic.P256())
	for _, written := range []string{key, strings.ReplaceAll(strings.TrimSpace(key), "\n", `\n`)} {
		c, err := config.Parse(vars{"PRIVY_APP_ID": "app", "PRIVY_VERIFICATION_KEY": written}, config.Production)
		require.NoError(t, err)
		require.Equal(t, strings.TrimSpace(key), strings.TrimSpace(string(c.PrivyKey)))
	}
	for _, wrong := range []string{"x", publicKey(t, elliptic.P384())} {
		_, err := config.Parse(vars{"PRIVY_APP_ID": "app", "PRIVY_VERIFICATION_KEY": wrong}, config.Production)
		require.ErrorContains(t, err, "PRIVY_VERIFICATION_KEY: must be a public key of the curve P-256")
	}
	_, err := config.Parse(vars{"PRIVY_APP_ID": "app"}, config.Production)
	require.ErrorContains(t, err, "one of them is missing")
	_, err = config.Parse(vars{"PRIVY_VERIFICATION_KEY": key}, config.Production)
	require.ErrorContains(t, err, "one of them is missing")
}
