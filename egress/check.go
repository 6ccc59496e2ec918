package egress

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

const maxURL = 2048

// Refused is a URL that is not called, or a name that stands for an address that is not called.
type Refused struct {
	Reason string // one sentence that a seller can read
}

// Error is the reason.
func (r *Refused) Error() string { return r.Reason }

// What is refused, and what sellers read.
var (
	refusedLong        = &Refused{"The URL must not be longer than 2048 bytes."}
	refusedCharacter   = &Refused{"The URL must not contain spaces, backslashes or invisible characters."}
	refusedURL         = &Refused{"This is not a URL such as https://shop.example/webhooks."}
	refusedScheme      = &Refused{"The URL must begin with https://."}
	refusedCredentials = &Refused{"The URL must not contain a user name or password."}
	refusedFragment    = &Refused{"The URL must not contain a # part: it would never be sent."}
	refusedHost        = &Refused{"The host in the URL is not a valid name."}
	refusedSpelling    = &Refused{"Write the address in the URL in full, as in 93.184.215.14."}
	refusedPort        = &Refused{"The port must be 443, so leave it out."}
	refusedPortNumber  = &Refused{"The port must be a number from 1 to 65535."}
	refusedPrivateName = &Refused{"The host in the URL must be a public name: this one works inside a private network only."}
	refusedAddress     = &Refused{"The host in the URL leads to an address that is not public."}
	refusedOwn         = &Refused{"The URL leads back to this shop's own server."}
)

// Check says what can be said about a URL without looking its name up. The error is a [*Refused].
func (c *Client) Check(rawURL string) error {
	_, err := c.guard.parse(rawURL)
	return err
}

// Normalize is [Client.Check], and returns the one spelling of the URL: its host in ASCII and lower case, without a port that
// goes without saying.
func (c *Client) Normalize(rawURL string) (string, error) {
	u, err := c.guard.parse(rawURL)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

// parse returns the URL with its host in ASCII and lower case and without a port that goes without saying.
func (g guard) parse(raw string) (*url.URL, error) {
	if err := checkText(raw); err != nil {
		return nil, err
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" {
		return nil, refusedURL
	}
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !g.private):
		return nil, refusedScheme
	case u.User != nil:
		return nil, refusedCredentials
	case strings.Contains(raw, "#"):
		return nil, refusedFragment
	case u.Hostname() == "":
		return nil, refusedURL
	}
	if err := g.normalizeHost(u); err != nil {
		return nil, err
	}
	return u, nil
}

// checkText refuses what two programs might read differently.
func checkText(raw string) error {
	if len(raw) > maxURL {
		return refusedLong
	}
	if !utf8.ValidString(raw) {
		return refusedCharacter
	}
	for _, r := range raw {
		if r == '\\' || unicode.IsSpace(r) || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return refusedCharacter
		}
	}
	return nil
}

func (g guard) normalizeHost(u *url.URL) error {
	number, err := port(u)
	if err != nil {
		return err
	}
	if !g.private && number != 443 {
		return refusedPort
	}
	host := strings.ToLower(u.Hostname())
	if strings.HasPrefix(u.Host, "[") || endsInNumber(host) {
		host, err = g.literal(host, number)
	} else {
		host, err = g.name(host, number)
	}
	if err != nil {
		return err
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	u.Host = host
	if number != defaultPort(u.Scheme) {
		u.Host = host + ":" + strconv.Itoa(int(number))
	}
	return nil
}

// literal judges an address that stands in the URL; there is one spelling of each.
func (g guard) literal(host string, port uint16) (string, error) {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return "", refusedSpelling
	}
	return addr.String(), g.address(netip.AddrPortFrom(addr, port))
}

// name judges the name of a host, and writes it in ASCII.
func (g guard) name(host string, port uint16) (string, error) {
	host, ok := toASCII(host)
	if !ok {
		return "", refusedHost
	}
	if err := g.own.refuseHost(host, port); err != nil {
		return "", err
	}
	if !g.private && isPrivateName(host) {
		return "", refusedPrivateName
	}
	return host, nil
}

// toASCII demands that an international name is already as it would be registered: characters that stand for others,
// such as full-width dots and letters, are nobody's name.
func toASCII(host string) (string, bool) {
	if !isASCII(host) || strings.Contains(host, "xn--") {
		ascii, err := idna.Registration.ToASCII(host)
		if err != nil {
			return "", false
		}
		host = ascii
	}
	if len(host) > 253 || endsInNumber(host) {
		return "", false
	}
	for label := range strings.SplitSeq(host, ".") {
		if !isLabel(label) {
			return "", false
		}
	}
	return host, true
}

func isLabel(label string) bool {
	if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
		return false
	}
	return strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// endsInNumber tells what some program may take for an IPv4 address, 127.1, 0x7f000001 and 2130706433 included.
func endsInNumber(host string) bool {
	last := host[strings.LastIndex(host, ".")+1:]
	if _, isHex := strings.CutPrefix(last, "0x"); isHex {
		return true
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// isPrivateName tells names that no public server has.
func isPrivateName(host string) bool {
	if !strings.Contains(host, ".") {
		return true
	}
	for _, suffix := range []string{".localhost", ".local", ".internal", ".home.arpa"} {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}

// port is the URL's own port, or its scheme's.
func port(u *url.URL) (uint16, error) {
	text := u.Port()
	if text == "" {
		return defaultPort(u.Scheme), nil
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil || number == 0 {
		return 0, refusedPortNumber
	}
	return uint16(number), nil
}

func defaultPort(scheme string) uint16 {
	if scheme == "http" {
		return 80
	}
	return 443
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
