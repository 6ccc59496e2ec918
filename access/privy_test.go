package access_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
)

const (
	appID = "cm0app000000000000000"
	did   = "did:privy:cm0user0000000000000"
)

// signer is a sign-in service with a key of its own.
type signer struct {
	key *ecdsa.PrivateKey
	pem string
}

func newSigner(t *testing.T) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	return signer{key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
}

func (s signer) claims(change ...func(jwt.MapClaims)) jwt.MapClaims {
	now := time.Now()
	c := jwt.MapClaims{"iss": "privy.io", "aud": appID, "sub": did, "sid": "s1", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	for _, ch := range change {
		ch(c)
	}
	return c
}

func set(name string, value any) func(jwt.MapClaims) {
	return func(c jwt.MapClaims) { c[name] = value }
}

func without(name string) func(jwt.MapClaims) {
	return func(c jwt.MapClaims) { delete(c, name) }
}

func (s signer) token(t *testing.T, method jwt.SigningMethod, key any, header map[string]any, change ...func(jwt.MapClaims)) string {
	t.Helper()
	token := jwt.NewWithClaims(method, s.claims(change...))
	maps.Copy(token.Header, header)
	text, err := token.SignedString(key)
	require.NoError(t, err)
	return text
}

func (s signer) good(t *testing.T, change ...func(jwt.MapClaims)) string {
	t.Helper()
	return s.token(t, jwt.SigningMethodES256, s.key, nil, change...)
}

func privyHouse(t *testing.T, s signer, change ...func(*access.GateOptions)) house {
	t.Helper()
	return newHouse(t, append(change, func(o *access.GateOptions) {
		var err error
		o.Privy, err = access.NewPrivy(appID, s.pem, time.Now)
		require.NoError(t, err)
	})...)
}

func TestAnAccessTokenSignsIn(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	h := privyHouse(t, s)
	in, err := h.SignInByPrivy(t.Context(), s.good(t), access.Newcomer{}, phone)
	require.NoError(t, err)
	session := h.session(t, in.Secret)
	require.Equal(t, access.ByPrivy, session.Method)
	require.False(t, session.SteppedUp, "it proves a user, and nothing that he holds")
	again, err := h.SignInByPrivy(t.Context(), s.good(t, set("exp", time.Now().Add(-20*time.Second).Unix())), access.Newcomer{}, phone)
	require.NoError(t, err, "clocks may differ a little")
	require.Equal(t, in.Person, again.Person)
	other, err := h.SignInByPrivy(t.Context(), s.good(t, set("sub", did+"2")), access.Newcomer{}, phone)
	require.NoError(t, err)
	require.NotEqual(t, in.Person, other.Person)

	_, err = newHouse(t).SignInByPrivy(t.Context(), s.good(t), access.Newcomer{}, phone)
	require.ErrorIs(t, err, access.ErrNotFound, "no app is set")
	_, err = privyHouse(t, s, closed).SignInByPrivy(t.Context(), s.good(t), access.Newcomer{}, phone)
	require.ErrorIs(t, err, access.ErrSignupsClosed)
}

func TestForgedAccessTokens(t *testing.T) {
	t.Parallel()
	s, other := newSigner(t), newSigner(t)
	h := privyHouse(t, s)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	good := s.good(t)
	parts := strings.Split(good, ".")
	now := time.Now()
	for name, token := range map[string]string{
		"nothing":                    "",
		"no token":                   "x.y.z",
		"no signature":               parts[0] + "." + parts[1] + ".",
		"two parts":                  parts[0] + "." + parts[1],
		"another's claims":           parts[0] + "." + strings.Split(s.good(t, set("sub", "did:privy:owner")), ".")[1] + "." + parts[2],
		"alg none":                   s.token(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"HS256 with the public key":  s.token(t, jwt.SigningMethodHS256, []byte(s.pem), nil),
		"RS256":                      s.token(t, jwt.SigningMethodRS256, rsaKey, nil),
		"ES384":                      s.token(t, jwt.SigningMethodES384, p384, nil),
		"another key":                other.good(t),
		"another key and its kid":    s.token(t, jwt.SigningMethodES256, other.key, map[string]any{"kid": "../../../../dev/null"}),
		"a key of its own":           s.token(t, jwt.SigningMethodES256, other.key, map[string]any{"jwk": map[string]string{"kty": "EC"}, "jku": "https://evil.example/jwks"}),
		"another audience":           s.good(t, set("aud", "another-app")),
		"no audience":                s.good(t, without("aud")),
		"another issuer":             s.good(t, set("iss", "privy.io.evil")),
		"no issuer":                  s.good(t, without("iss")),
		"no end":                     s.good(t, without("exp")),
		"ended":                      s.good(t, set("exp", now.Add(-31*time.Second).Unix())),
		"not yet valid":              s.good(t, set("nbf", now.Add(time.Minute).Unix())),
		"issued in the future":       s.good(t, set("iat", now.Add(time.Hour).Unix())),
		"nobody":                     s.good(t, without("sub")),
		"a user of another service":  s.good(t, set("sub", "auth0|1")),
		"an empty user":              s.good(t, set("sub", "did:privy:")),
		"a megabyte":                 s.good(t, set("padding", strings.Repeat("x", 1<<20))),
		"a little more than allowed": s.good(t, set("padding", strings.Repeat("x", 8<<10))),
	} {
		_, err := h.SignInByPrivy(t.Context(), token, access.Newcomer{}, phone)
		require.ErrorIs(t, err, access.ErrToken, name)
		_, err = h.PrivyCaller(t.Context(), token, "", false)
		require.ErrorIs(t, err, access.ErrDenied, name)
	}
	require.Zero(t, h.count(t, "persons"))
	// The header's kid is not looked at: there is one key.
	_, err = h.SignInByPrivy(t.Context(), s.token(t, jwt.SigningMethodES256, s.key, map[string]any{"kid": "../../../../etc/passwd"}), access.Newcomer{}, phone)
	require.NoError(t, err)
}

func TestOnlyAKeyOfTheRightCurveIsTaken(t *testing.T) {
	t.Parallel()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&p384.PublicKey)
	require.NoError(t, err)
	for _, wrong := range []string{"", "x", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))} {
		_, err := access.NewPrivy(appID, wrong, time.Now)
		require.Error(t, err)
	}
}

func TestAnAccessTokenCallsForTheUsersShop(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	h := privyHouse(t, s)
	token := s.good(t)
	_, err := h.PrivyCaller(t.Context(), token, "", false)
	require.ErrorIs(t, err, access.ErrDenied, "a user who never signed in")
	in, err := h.SignInByPrivy(t.Context(), token, access.Newcomer{}, phone)
	require.NoError(t, err)
	_, err = h.PrivyCaller(t.Context(), token, "", false)
	require.ErrorIs(t, err, access.ErrDenied, "a person without a shop")

	foreign := h.door.found(t, "cafe")
	_, err = h.door.pool.Exec(t.Context(), `INSERT INTO members (merchant_id, person_id, role, created_at) VALUES ($1, $2, 'accountant', now())`, foreign, in.Person)
	require.NoError(t, err)
	c, err := h.PrivyCaller(t.Context(), token, "", true)
	require.NoError(t, err)
	require.Equal(t, foreign, c.Merchant)
	require.True(t, c.Livemode)
	require.True(t, c.May(access.SalesRead))
	require.False(t, c.May(access.LinksWrite))

	second := h.door.found(t, "books")
	_, err = h.door.pool.Exec(t.Context(), `INSERT INTO members (merchant_id, person_id, role, created_at) VALUES ($1, $2, 'cashier', now())`, second, in.Person)
	require.NoError(t, err)
	_, err = h.PrivyCaller(t.Context(), token, "", false)
	require.ErrorIs(t, err, access.ErrSellerRequired)
	c, err = h.PrivyCaller(t.Context(), token, second, false)
	require.NoError(t, err)
	require.Empty(t, c.Scopes, "a cashier works at the till")
	third := h.door.found(t, "tides")
	_, err = h.PrivyCaller(t.Context(), token, third, false)
	require.ErrorIs(t, err, access.ErrDenied)
	_, err = h.PrivyCaller(t.Context(), token, "sel_nowhere", false)
	require.ErrorIs(t, err, access.ErrDenied)
}
