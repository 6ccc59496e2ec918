package vault_test

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/vault"
)

const row = "subscriptions/ws_1/secret"

var secret = []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

func masterKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return key
}

func newVault(t *testing.T, keys ...[]byte) *vault.Vault {
	t.Helper()
	v, err := vault.New(keys...)
	require.NoError(t, err)
	return v
}

func TestWhatIsSealedOpensAgain(t *testing.T) {
	t.Parallel()
	v := newVault(t, masterKey())
	for _, secret := range [][]byte{secret, {0}, bytes.Repeat([]byte("x"), 1<<16)} {
		opened, err := v.Open(row, v.Seal(row, secret))
		require.NoError(t, err)
		require.Equal(t, secret, opened)
	}
}

func TestASecretNeverLooksTheSameTwiceAndNeverLikeItself(t *testing.T) {
	t.Parallel()
	v := newVault(t, masterKey())
	one, two := v.Seal(row, secret), v.Seal(row, secret)
	require.NotEqual(t, one, two)
	require.NotContains(t, string(one), string(secret[:8]))
}

func TestASecretOfOneRowIsNoneOfAnother(t *testing.T) {
	t.Parallel()
	v := newVault(t, masterKey())
	_, err := v.Open("subscriptions/ws_2/secret", v.Seal(row, secret))
	require.ErrorIs(t, err, vault.ErrSealed)
}

func TestWhereAnyBitIsTurnedNothingOpens(t *testing.T) {
	t.Parallel()
	v := newVault(t, masterKey())
	sealed := v.Seal(row, secret)
	for bit := range len(sealed) * 8 {
		changed := bytes.Clone(sealed)
		changed[bit/8] ^= 1 << (bit % 8)
		_, err := v.Open(row, changed)
		require.ErrorIs(t, err, vault.ErrSealed, "bit %d", bit)
	}
}

func TestAPieceOfASealedSecretDoesNotOpen(t *testing.T) {
	t.Parallel()
	v := newVault(t, masterKey())
	sealed := v.Seal(row, secret)
	for n := range sealed {
		_, err := v.Open(row, sealed[:n])
		require.ErrorIs(t, err, vault.ErrSealed, "%d bytes", n)
	}
	_, err := v.Open(row, append(sealed, 0))
	require.ErrorIs(t, err, vault.ErrSealed)
}

func TestASecretOfAnotherKeyDoesNotOpen(t *testing.T) {
	t.Parallel()
	sealed := newVault(t, masterKey()).Seal(row, secret)
	_, err := newVault(t, masterKey(), masterKey()).Open(row, sealed)
	require.ErrorIs(t, err, vault.ErrSealed)
	require.NotContains(t, err.Error(), string(secret))
}

func TestAnOldKeyStillOpensAndOnlyTheNewOneSeals(t *testing.T) {
	t.Parallel()
	before, after := masterKey(), masterKey()
	old, rotated, without := newVault(t, before), newVault(t, after, before), newVault(t, after)

	sealed := old.Seal(row, secret)
	require.False(t, old.Stale(sealed))
	require.True(t, rotated.Stale(sealed))
	opened, err := rotated.Open(row, sealed)
	require.NoError(t, err)
	require.Equal(t, secret, opened)

	anew := rotated.Seal(row, opened)
	require.False(t, rotated.Stale(anew))
	opened, err = without.Open(row, anew)
	require.NoError(t, err)
	require.Equal(t, secret, opened)
	_, err = old.Open(row, anew)
	require.ErrorIs(t, err, vault.ErrSealed)
}

func TestOnlyKeysOf32BytesMakeAVault(t *testing.T) {
	t.Parallel()
	_, err := vault.New()
	require.Error(t, err)
	for _, n := range []int{0, 16, 31, 33, 64} {
		_, err := vault.New(masterKey(), make([]byte, n))
		require.ErrorContains(t, err, "key 2", "%d bytes", n)
	}
}
