package x402

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// CDP is the facilitator of Coinbase's developer platform.
const CDP = "https://api.cdp.coinbase.com/platform/v2/x402"

// cdpLife is how long one token is good for; each request has its own.
const cdpLife = 2 * time.Minute

// cdpSource says who calls, in the words of the platform's own clients.
const cdpSource = "sdk_version=1.29.0,sdk_language=go,source=x402,source_version=2.1.0"

// ErrCDPSecret is returned by [NewCDPKey] for a secret that is of neither form.
var ErrCDPSecret = errors.New("x402: a CDP secret is the base64 of an Ed25519 key, or a P-256 key in PEM")

// CDPKey signs in at [CDP]: a token for each request, bound to its method and path.
type CDPKey struct {
	id      string
	method  jwt.SigningMethod
	private crypto.PrivateKey
	now     func() time.Time
}

// NewCDPKey reads an API key. The secret is the base64 of 64 bytes, an Ed25519 seed and its public key, or the PEM of an
// EC key on P-256; in an environment variable its line ends may be written as \n.
func NewCDPKey(id, secret string, now func() time.Time) (*CDPKey, error) {
	key := &CDPKey{id: id, now: now}
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(secret)); err == nil && len(raw) == ed25519.PrivateKeySize {
		private := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
		if string(private[ed25519.SeedSize:]) != string(raw[ed25519.SeedSize:]) {
			return nil, ErrCDPSecret
		}
		key.method, key.private = jwt.SigningMethodEdDSA, private
		return key, nil
	}
	private, err := jwt.ParseECPrivateKeyFromPEM([]byte(strings.ReplaceAll(secret, `\n`, "\n")))
	if err != nil || private.Curve != elliptic.P256() {
		return nil, ErrCDPSecret
	}
	key.method, key.private = jwt.SigningMethodES256, private
	return key, nil
}

// Headers are those of one request, for [RemoteOptions].
func (k *CDPKey) Headers(method string, u *url.URL) (http.Header, error) {
	token, err := k.Token(method, u)
	if err != nil {
		return nil, err
	}
	return http.Header{"Authorization": {"Bearer " + token}, "Correlation-Context": {cdpSource}}, nil
}

// Token is the signed statement that this key makes this request, now.
func (k *CDPKey) Token(method string, u *url.URL) (string, error) {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:])
	now := k.now()
	token := jwt.NewWithClaims(k.method, jwt.MapClaims{
		"sub": k.id, "iss": "cdp", "uris": []string{method + " " + u.Host + u.Path},
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(cdpLife).Unix(),
	})
	token.Header["kid"], token.Header["nonce"] = k.id, hex.EncodeToString(nonce[:])
	signed, err := token.SignedString(k.private)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return signed, nil
}

// String hides the key from every way of printing it.
func (k *CDPKey) String() string { return "CDP key " + k.id }

// GoString implements [fmt.GoStringer].
func (k *CDPKey) GoString() string { return k.String() }
