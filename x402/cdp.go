package x402

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
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
	id     string
	alg    string
	signer crypto.Signer
	now    func() time.Time
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
		key.alg, key.signer = "EdDSA", private
		return key, nil
	}
	block, _ := pem.Decode([]byte(strings.ReplaceAll(secret, `\n`, "\n")))
	if block == nil {
		return nil, ErrCDPSecret
	}
	private, err := parseEC(block.Bytes)
	if err != nil || private.Curve != elliptic.P256() {
		return nil, ErrCDPSecret
	}
	key.alg, key.signer = "ES256", private
	return key, nil
}

func parseEC(der []byte) (*ecdsa.PrivateKey, error) {
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, ErrCDPSecret
	}
	return private, nil
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
	head := encode(struct {
		Alg   string `json:"alg"`
		Kid   string `json:"kid"`
		Typ   string `json:"typ"`
		Nonce string `json:"nonce"`
	}{k.alg, k.id, "JWT", hex.EncodeToString(nonce[:])})
	claims := encode(struct {
		Sub  string   `json:"sub"`
		Iss  string   `json:"iss"`
		URIs []string `json:"uris"`
		Iat  int64    `json:"iat"`
		Nbf  int64    `json:"nbf"`
		Exp  int64    `json:"exp"`
	}{k.id, "cdp", []string{method + " " + u.Host + u.Path}, now.Unix(), now.Unix(), now.Add(cdpLife).Unix()})
	said := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(claims)
	signature, err := k.sign([]byte(said))
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return said + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func (k *CDPKey) sign(said []byte) ([]byte, error) {
	switch private := k.signer.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(private, said), nil
	case *ecdsa.PrivateKey:
		digest := sha256.Sum256(said)
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		if err != nil {
			return nil, err
		}
		const half = 32 // of a signature in JOSE's form
		signature := make([]byte, 2*half)
		r.FillBytes(signature[:half])
		s.FillBytes(signature[half:])
		return signature, nil
	default:
		return nil, ErrCDPSecret
	}
}

// String hides the key from every way of printing it.
func (k *CDPKey) String() string { return "CDP key " + k.id }

// GoString implements [fmt.GoStringer].
func (k *CDPKey) GoString() string { return k.String() }
