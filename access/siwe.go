package access

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// ErrMessage is wrapped by every refusal of a signed sign-in message.
var ErrMessage = errors.New("access: not a sign-in for this site")

// Limits of a sign-in message.
const (
	maxMessage   = 4 << 10
	clockLeeway  = 30 * time.Second
	siweVersion  = "1"
	siweGreeting = " wants you to sign in with your Ethereum account:"
)

// Message is a sign-in message of EIP-4361, as a wallet showed it to its owner and signed it.
type Message struct {
	Domain     string // authority, with the port where it is not the scheme's own
	Scheme     string // empty where the message names none
	Address    common.Address
	Statement  string
	URI        string
	ChainID    uint64
	Nonce      string
	IssuedAt   time.Time
	Expiration *time.Time
	NotBefore  *time.Time
	RequestID  string
	Resources  []string
}

// ParseMessage reads a message by the grammar of EIP-4361 and nothing more lenient: what a person read in his wallet
// is what is checked. The error wraps [ErrMessage].
func ParseMessage(text string) (Message, error) {
	var m Message
	if len(text) > maxMessage || strings.ContainsFunc(text, forbidden) {
		return m, fmt.Errorf("%w: it is too long, or holds characters that it must not", ErrMessage)
	}
	lines := messageLines(strings.Split(text, "\n"))
	if err := lines.head(&m); err != nil {
		return m, err
	}
	if err := lines.fields(&m); err != nil {
		return m, err
	}
	if len(lines) > 0 {
		return m, fmt.Errorf("%w: something follows its end", ErrMessage)
	}
	return m, nil
}

// forbidden: a message is lines of visible ASCII, so that nothing in it looks like something else.
func forbidden(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }

// outside the grammar of a statement, which is that of the characters of a URI, and spaces.
func outsideStatement(r rune) bool { return strings.ContainsRune("\"%<>\\^`{|}", r) }

type messageLines []string

func (l *messageLines) next() string {
	if len(*l) == 0 {
		return ""
	}
	line := (*l)[0]
	*l = (*l)[1:]
	return line
}

// head reads who asks, whom, and why.
func (l *messageLines) head(m *Message) error {
	domain, ok := strings.CutSuffix(l.next(), siweGreeting)
	if !ok || domain == "" {
		return fmt.Errorf("%w: its first line is another", ErrMessage)
	}
	if scheme, rest, found := strings.Cut(domain, "://"); found {
		if scheme == "" {
			return fmt.Errorf("%w: its first line is another", ErrMessage)
		}
		m.Scheme, domain = scheme, rest
	}
	m.Domain = domain
	address := l.next()
	if !common.IsHexAddress(address) || !strings.HasPrefix(address, "0x") {
		return fmt.Errorf("%w: its address is malformed", ErrMessage)
	}
	m.Address = common.HexToAddress(address)
	if m.Address.Hex() != address {
		return fmt.Errorf("%w: its address has a wrong checksum", ErrMessage)
	}
	if l.next() != "" || len(*l) == 0 {
		return fmt.Errorf("%w: an empty line is missing", ErrMessage)
	}
	if m.Statement = l.next(); m.Statement == "" {
		return nil // without a statement two empty lines follow each other
	}
	if l.next() != "" || strings.ContainsFunc(m.Statement, outsideStatement) {
		return fmt.Errorf("%w: its statement is not one line of plain text", ErrMessage)
	}
	return nil
}

// fields reads the rest, each line in its place.
func (l *messageLines) fields(m *Message) error {
	required := []struct {
		name string
		read func(string) error
	}{
		{"URI: ", func(v string) error { m.URI = v; return nil }},
		{"Version: ", func(v string) error { return equal(v, siweVersion) }},
		{"Chain ID: ", func(v string) (err error) {
			m.ChainID, err = strconv.ParseUint(v, 10, 64)
			return errors.Join(err, equal(v, strconv.FormatUint(m.ChainID, 10)))
		}},
		{"Nonce: ", func(v string) error { m.Nonce = v; return checkNonce(v) }},
		{"Issued At: ", func(v string) (err error) { m.IssuedAt, err = time.Parse(time.RFC3339Nano, v); return err }},
	}
	for _, f := range required {
		value, ok := strings.CutPrefix(l.next(), f.name)
		if !ok || value == "" || f.read(value) != nil {
			return fmt.Errorf("%w: %q is missing or malformed", ErrMessage, strings.TrimSuffix(f.name, ": "))
		}
	}
	return l.optional(m)
}

func (l *messageLines) optional(m *Message) error {
	for _, f := range []struct {
		name string
		at   **time.Time
	}{{"Expiration Time: ", &m.Expiration}, {"Not Before: ", &m.NotBefore}} {
		value, ok := l.value(f.name)
		if !ok {
			continue
		}
		t, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			return fmt.Errorf("%w: %q is malformed", ErrMessage, strings.TrimSuffix(f.name, ": "))
		}
		*f.at = &t
	}
	m.RequestID, _ = l.value("Request ID: ")
	if len(*l) == 0 || (*l)[0] != "Resources:" {
		return nil
	}
	l.next()
	for {
		resource, ok := l.value("- ")
		if !ok {
			return nil
		}
		m.Resources = append(m.Resources, resource)
	}
}

func (l *messageLines) value(name string) (string, bool) {
	if len(*l) == 0 {
		return "", false
	}
	value, ok := strings.CutPrefix((*l)[0], name)
	if !ok {
		return "", false
	}
	l.next()
	return value, true
}

// minNonce is the fewest letters and digits of a nonce.
const minNonce = 8

func checkNonce(v string) error {
	alphanumeric := func(r rune) bool { return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' }
	if len(v) < minNonce || strings.ContainsFunc(v, func(r rune) bool { return !alphanumeric(r) }) {
		return ErrMessage
	}
	return nil
}

func equal(value, want string) error {
	if value != want {
		return ErrMessage
	}
	return nil
}

// String is the message as it is signed.
func (m Message) String() string {
	var b strings.Builder
	if m.Scheme != "" {
		b.WriteString(m.Scheme + "://")
	}
	fmt.Fprintf(&b, "%s%s\n%s\n\n", m.Domain, siweGreeting, m.Address.Hex())
	if m.Statement != "" {
		b.WriteString(m.Statement + "\n")
	}
	fmt.Fprintf(&b, "\nURI: %s\nVersion: %s\nChain ID: %d\nNonce: %s\nIssued At: %s",
		m.URI, siweVersion, m.ChainID, m.Nonce, m.IssuedAt.UTC().Format(time.RFC3339Nano))
	for _, f := range []struct {
		name string
		at   *time.Time
	}{{"Expiration Time", m.Expiration}, {"Not Before", m.NotBefore}} {
		if f.at != nil {
			fmt.Fprintf(&b, "\n%s: %s", f.name, f.at.UTC().Format(time.RFC3339Nano))
		}
	}
	if m.RequestID != "" {
		b.WriteString("\nRequest ID: " + m.RequestID)
	}
	if len(m.Resources) > 0 {
		b.WriteString("\nResources:\n- " + strings.Join(m.Resources, "\n- "))
	}
	return b.String()
}

// Check holds a message against the site that it was signed for: origin is PUBLIC_URL, chains are those that it may
// name. That its nonce is ours is checked where nonces are kept. The error wraps [ErrMessage].
func (m Message) Check(origin string, chains []uint64, now time.Time) error {
	site, err := url.Parse(origin)
	if err != nil {
		return fmt.Errorf("%w: this site has no address", ErrMessage)
	}
	uri, err := url.Parse(m.URI)
	switch {
	case err != nil || uri.Scheme != site.Scheme || uri.Host != site.Host || uri.User != nil:
		return fmt.Errorf("%w: its URI is another site's", ErrMessage)
	case m.Domain != site.Host || m.Scheme != "" && m.Scheme != site.Scheme:
		return fmt.Errorf("%w: its domain is another site's", ErrMessage)
	case !slices.Contains(chains, m.ChainID):
		return fmt.Errorf("%w: its chain is not one of ours", ErrMessage)
	case m.IssuedAt.After(now.Add(clockLeeway)) || m.IssuedAt.Before(now.Add(-challengeTime-clockLeeway)):
		return fmt.Errorf("%w: it was not issued in the last five minutes; is the clock right?", ErrMessage)
	case m.Expiration != nil && !m.Expiration.After(now):
		return fmt.Errorf("%w: it has expired", ErrMessage)
	case m.NotBefore != nil && m.NotBefore.After(now.Add(clockLeeway)):
		return fmt.Errorf("%w: it is not valid yet", ErrMessage)
	}
	return nil
}
