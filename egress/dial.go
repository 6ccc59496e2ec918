package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// maxAddresses is how many addresses of a name are tried.
const maxAddresses = 4

// errNoAddress is returned for a name that stands for nothing.
var errNoAddress = errors.New("the name has no address")

// dialError is a call that ended before there was a connection, with its class.
type dialError struct {
	class string
	err   error
}

func (e *dialError) Error() string { return e.class + ": " + e.err.Error() }

func (e *dialError) Unwrap() error { return e.err }

// dial looks a name up once, judges every address that it stands for, and connects to one of just those: what the name
// stands for a moment later does not matter.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	addresses, err := c.lookUp(ctx, address)
	if err != nil {
		return nil, &dialError{ClassDNS, err}
	}
	for _, to := range addresses {
		if err := c.guard.address(to); err != nil {
			return nil, err
		}
	}
	return c.connectToAny(ctx, network, addresses[:min(maxAddresses, len(addresses))])
}

// lookUp returns at least one address, or an error.
func (c *Client) lookUp(ctx context.Context, address string) ([]netip.AddrPort, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, err
	}
	if literal, err := netip.ParseAddr(host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(literal, uint16(port))}, nil
	}
	found, err := c.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errNoAddress
	}
	addresses := make([]netip.AddrPort, len(found))
	for i, addr := range found {
		addresses[i] = netip.AddrPortFrom(addr.Unmap(), uint16(port)) // the system's resolver maps IPv4 into IPv6
	}
	return addresses, nil
}

// connectToAny tries one after the other, each for its share of the time that is left.
func (c *Client) connectToAny(ctx context.Context, network string, addresses []netip.AddrPort) (net.Conn, error) {
	var problems []error
	for i, to := range addresses {
		conn, err := c.connectTo(ctx, network, to, len(addresses)-i)
		if err == nil {
			return conn, nil
		}
		problems = append(problems, err)
	}
	return nil, &dialError{ClassConnect, errors.Join(problems...)}
}

func (c *Client) connectTo(ctx context.Context, network string, to netip.AddrPort, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		share, cancel := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
		ctx = share
	}
	return c.connect(ctx, network, to.String())
}

// dialTLS also shakes hands, for the name that the URL has.
func (c *Client) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	plain, err := c.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config := c.tls.Clone()
	config.ServerName, _, _ = net.SplitHostPort(address)
	conn := tls.Client(plain, config)
	ctx, cancel := context.WithTimeout(ctx, tlsTimeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, &dialError{ClassTLS, errors.Join(err, plain.Close())}
	}
	return conn, nil
}
