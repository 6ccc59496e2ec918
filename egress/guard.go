package egress

import (
	"context"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"code.dny.dev/ssrf"
)

// Addresses that are public by their number, or private ones that development may not use either: what answers there
// hands out the credentials of the machine.
var (
	azureHost   = netip.MustParsePrefix("168.63.129.16/32")
	awsMetadata = netip.MustParseAddr("fd00:ec2::254")
)

// guard says which servers may be called.
type guard struct {
	private bool
	own     own
	public  *ssrf.Guardian
}

// own is where this shop answers.
type own struct {
	host string // lower case
	port uint16
	addr netip.Addr // where the host is an address
	here bool       // the host is an address or localhost, so what listens on loopback is this shop as well
}

func newGuard(o Options) guard {
	g := guard{private: o.AllowPrivate, own: newOwn(o.Own)}
	options := []ssrf.Option{ssrf.WithDeniedV4Prefixes(azureHost), ssrf.WithPorts(443)}
	if o.AllowPrivate {
		options = append(options, ssrf.WithAnyPort())
	}
	g.public = ssrf.New(options...)
	return g
}

func newOwn(origin string) own {
	u, err := url.Parse(strings.ToLower(origin))
	if err != nil || u.Hostname() == "" {
		return own{}
	}
	o := own{host: strings.TrimSuffix(u.Hostname(), ".")}
	o.port, _ = port(u)
	o.addr, _ = netip.ParseAddr(o.host)
	o.here = isLocalhost(o.host) || o.addr.IsValid()
	return o
}

// refuseHost judges a host and port before anything is looked up.
func (o own) refuseHost(host string, port uint16) error {
	if o.host != "" && port == o.port && (host == o.host || o.here && isLocalhost(host)) {
		return refusedOwn
	}
	return nil
}

// refuseAddress judges what a name stands for. A public name of ours is not looked up: others may share its addresses.
func (o own) refuseAddress(to netip.AddrPort) error {
	if to.Port() != o.port {
		return nil
	}
	if to.Addr() == o.addr || o.here && (to.Addr().IsLoopback() || to.Addr().IsUnspecified()) {
		return refusedOwn
	}
	return nil
}

// address judges the concrete address that is about to be connected to. IPv4 in IPv6 must have been unmapped where it
// comes from a lookup; written out in a URL it is refused.
func (g guard) address(to netip.AddrPort) error {
	addr := to.Addr()
	if !addr.IsValid() || addr.Zone() != "" || addr.Is4In6() {
		return refusedAddress
	}
	if err := g.own.refuseAddress(to); err != nil {
		return err
	}
	if g.private && (addr.IsLoopback() || addr.IsPrivate()) && addr != awsMetadata {
		return nil
	}
	if !g.private && to.Port() != 443 {
		return refusedPort
	}
	if g.public.SafeAddrPort(to) != nil {
		return refusedAddress
	}
	return nil
}

// control is the dialer's last question before it connects.
func (g guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return refusedAddress
	}
	return g.address(to)
}

func isLocalhost(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
