package config

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
)

// Environment says how careful to be.
type Environment string

// The environments. In production a process refuses what is only good for trying things out.
const (
	Production  Environment = "production"
	Development Environment = "development"
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (e *Environment) UnmarshalText(text []byte) error {
	switch v := Environment(text); v {
	case Production, Development:
		*e = v
		return nil
	default:
		return errors.New("must be production or development")
	}
}

// Signups says whether anybody may become a person here.
type Signups string

// The ways to let people in. Closed is for those who were invited, and for the first.
const (
	SignupsOpen   Signups = "open"
	SignupsClosed Signups = "closed"
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Signups) UnmarshalText(text []byte) error {
	switch v := Signups(text); v {
	case SignupsOpen, SignupsClosed:
		*s = v
		return nil
	default:
		return errors.New("must be open or closed")
	}
}

// PublicKey is a key of the curve P-256 in PEM. Line breaks may be written as \n, as files of settings need it.
type PublicKey string

// UnmarshalText implements [encoding.TextUnmarshaler].
func (k *PublicKey) UnmarshalText(text []byte) error {
	given := strings.ReplaceAll(string(text), `\n`, "\n")
	wrong := errors.New("must be a public key of the curve P-256 in PEM, which begins with -----BEGIN PUBLIC KEY-----")
	block, _ := pem.Decode([]byte(given))
	if block == nil {
		return wrong
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return wrong
	}
	if ec, ok := key.(*ecdsa.PublicKey); !ok || ec.Curve != elliptic.P256() {
		return wrong
	}
	*k = PublicKey(given)
	return nil
}

// Port is a TCP port to listen on.
type Port uint16

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *Port) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 16)
	if err != nil || n == 0 {
		return errors.New("must be a port, 1 to 65535")
	}
	*p = Port(n)
	return nil
}

// Seconds is a time span, written as a number of seconds or as Go does ("25s", "15m").
type Seconds time.Duration

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Seconds) UnmarshalText(text []byte) error {
	given := string(text)
	if _, err := strconv.ParseUint(given, 10, 32); err == nil {
		given += "s"
	}
	d, err := time.ParseDuration(given)
	if err != nil || d <= 0 {
		return errors.New("must be a number of seconds above 0")
	}
	*s = Seconds(d)
	return nil
}

// Duration is the span as the rest of the program wants it.
func (s Seconds) Duration() time.Duration { return time.Duration(s) }

// Milliseconds is a time span, written as a number of milliseconds.
type Milliseconds time.Duration

// UnmarshalText implements [encoding.TextUnmarshaler].
func (m *Milliseconds) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 31)
	if err != nil || n == 0 {
		return errors.New("must be a number of milliseconds above 0")
	}
	*m = Milliseconds(time.Duration(n) * time.Millisecond)
	return nil
}

// Duration is the span as the rest of the program wants it.
func (m Milliseconds) Duration() time.Duration { return time.Duration(m) }

// maxCount is the most rows that one look takes.
const maxCount = 10_000

// Count is how many rows are taken at once.
type Count int

// UnmarshalText implements [encoding.TextUnmarshaler].
func (n *Count) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 10, 31)
	if err != nil || v == 0 || v > maxCount {
		return fmt.Errorf("must be a number, 1 to %d", maxCount)
	}
	*n = Count(v)
	return nil
}

// BasisPoints are hundredths of a per cent, at most all of it.
type BasisPoints int

// UnmarshalText implements [encoding.TextUnmarshaler].
func (b *BasisPoints) UnmarshalText(text []byte) error {
	const whole = 10_000
	v, err := strconv.ParseUint(string(text), 10, 16)
	if err != nil || v >= whole {
		return fmt.Errorf("must be hundredths of a per cent, 0 to %d", whole-1)
	}
	*b = BasisPoints(v)
	return nil
}

// Origin is a URL of scheme, host and perhaps port, without a final slash.
type Origin string

// UnmarshalText implements [encoding.TextUnmarshaler].
func (o *Origin) UnmarshalText(text []byte) error {
	u, err := url.Parse(string(text))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("must be like https://shop.example, without a path")
	}
	*o = Origin(u.Scheme + "://" + strings.ToLower(u.Host))
	return nil
}

// Secure reports whether browsers reach the shop over https.
func (o Origin) Secure() bool { return strings.HasPrefix(string(o), "https://") }

// Networks are the addresses whose word about the visitor's address is taken.
type Networks []netip.Prefix

// UnmarshalText implements [encoding.TextUnmarshaler].
func (n *Networks) UnmarshalText(text []byte) error {
	for one := range strings.SplitSeq(string(text), ",") {
		one = strings.TrimSpace(one)
		prefix, err := netip.ParsePrefix(one)
		if addr, err2 := netip.ParseAddr(one); err2 == nil {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return errors.New("must be addresses or networks such as 10.0.0.0/8, separated by commas")
		}
		*n = append(*n, prefix)
	}
	return nil
}

const redacted = "[redacted]"

// Secret is text that never reaches a log, an error or a page.
type Secret struct{ text string }

// NewSecret keeps text out of sight.
func NewSecret(text string) Secret { return Secret{text} }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Secret) UnmarshalText(text []byte) error { s.text = string(text); return nil }

// Reveal is the secret itself, for the one place that needs it.
func (s Secret) Reveal() string { return s.text }

// Empty reports whether none is set.
func (s Secret) Empty() bool { return s.text == "" }

// String, GoString, LogValue and MarshalText hide the secret from every way of printing it.
func (s Secret) String() string {
	if s.Empty() {
		return ""
	}
	return redacted
}

// GoString implements [fmt.GoStringer].
func (s Secret) GoString() string { return s.String() }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements [encoding.TextMarshaler].
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// tokenLength is the fewest characters that nobody guesses.
const tokenLength = 32

// Token is a [Secret] that opens a door by itself, and is therefore long.
type Token struct{ Secret }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (t *Token) UnmarshalText(text []byte) error {
	if len(text) < tokenLength {
		return fmt.Errorf("must have at least %d characters, as `openssl rand -base64 %d` prints them", tokenLength, tokenLength)
	}
	return t.Secret.UnmarshalText(text)
}

// Key is a private key that can sign transactions; it prints as its address.
type Key struct{ private *ecdsa.PrivateKey }

// NewKey wraps a key that was made here.
func NewKey(private *ecdsa.PrivateKey) Key { return Key{private} }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (k *Key) UnmarshalText(text []byte) error {
	private, err := crypto.HexToECDSA(strings.TrimPrefix(string(text), "0x"))
	if err != nil {
		return errors.New("must be a private key of 64 hex digits")
	}
	k.private = private
	return nil
}

// Private is the key itself, nil where none is set.
func (k Key) Private() *ecdsa.PrivateKey { return k.private }

// Empty reports whether none is set.
func (k Key) Empty() bool { return k.private == nil }

// String is the key's address.
func (k Key) String() string {
	if k.private == nil {
		return ""
	}
	return crypto.PubkeyToAddress(k.private.PublicKey).Hex()
}

// GoString implements [fmt.GoStringer].
func (k Key) GoString() string { return k.String() }

// LogValue implements [slog.LogValuer].
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText implements [encoding.TextMarshaler].
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

const masterKeySize = 32

// MasterKey encrypts what the database must not show. It is one key, or several while one replaces another: the first
// seals, all of them open.
type MasterKey struct{ keys [][]byte }

// UnmarshalText implements [encoding.TextUnmarshaler]; it takes hex and base64, and commas between several.
func (k *MasterKey) UnmarshalText(text []byte) error {
	var keys [][]byte
	for given := range strings.SplitSeq(string(text), ",") {
		key := decodeMasterKey(strings.TrimSpace(given))
		switch {
		case key == nil:
			return fmt.Errorf("must be %d random bytes in hex or base64, as `openssl rand -base64 %d` prints them", masterKeySize, masterKeySize)
		case slices.ContainsFunc(keys, func(other []byte) bool { return bytes.Equal(other, key) }):
			return errors.New("names one key twice")
		}
		keys = append(keys, key)
	}
	k.keys = keys
	return nil
}

// decodeMasterKey is nil for text that is no key.
func decodeMasterKey(given string) []byte {
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		if b, err := decode(given); err == nil && len(b) == masterKeySize {
			return b
		}
	}
	return nil
}

// All are the keys themselves, the one that seals first; none where none is set.
func (k MasterKey) All() [][]byte { return k.keys }

// Empty reports whether none is set.
func (k MasterKey) Empty() bool { return len(k.keys) == 0 }

// String hides the keys.
func (k MasterKey) String() string {
	if k.Empty() {
		return ""
	}
	return redacted
}

// GoString implements [fmt.GoStringer].
func (k MasterKey) GoString() string { return k.String() }

// LogValue implements [slog.LogValuer].
func (k MasterKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText implements [encoding.TextMarshaler].
func (k MasterKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
