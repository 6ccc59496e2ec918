// Package egress calls the servers of strangers: nothing that it is given, and no answer, lets it connect to where only this
// machine or its network can reach, follow a redirect, or read without end.
package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"time"
)

// How long and how large the parts of a call may be.
const (
	connectTimeout = 3 * time.Second // the lookup of the name and the connection
	tlsTimeout     = 5 * time.Second
	callTimeout    = 10 * time.Second // all of it, unless the call says otherwise
	maxHeader      = 64 << 10
	maxBody        = 16 << 10 // what is read of an answer
	keepBody       = 4 << 10  // what is kept of it, unless the call says otherwise
)

// Connections wait for the next call for less time than most servers leave them open.
const (
	idleTimeout  = 2 * time.Second
	idlePerHost  = 4
	idleInTotal  = 256
	userAgent    = "xsynesis"
	keepAliveGap = 30 * time.Second
)

// Options of [New].
type Options struct {
	// AllowPrivate lets through plain http, any port, and loopback and private addresses. For development.
	AllowPrivate bool
	// Own is the origin that this shop is reached at (scheme://host:port). It is never called.
	Own string
	// Roots sign the certificates of the servers; nil: those of the system.
	Roots *x509.CertPool
	// Resolver looks names up; nil: the system's.
	Resolver Resolver
	// Dial connects to an address that was let through; nil: the network's. It never sees a name.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Resolver is what [net.Resolver] does with the names of servers.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Client calls servers. It is safe for concurrent use, and keeps a few connections open between calls.
type Client struct {
	guard     guard
	resolver  Resolver
	connect   func(ctx context.Context, network, address string) (net.Conn, error)
	tls       *tls.Config
	transport *http.Transport
	forward   *http.Transport // of requests that are handed on
}

// New makes a client.
func New(o Options) *Client {
	c := &Client{
		guard: newGuard(o), resolver: o.Resolver, connect: o.Dial,
		tls: &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
	}
	if c.resolver == nil {
		c.resolver = net.DefaultResolver
	}
	if c.connect == nil {
		// The addresses were judged before; the dialer asks once more about what it is about to connect to.
		c.connect = (&net.Dialer{KeepAlive: keepAliveGap, ControlContext: c.guard.control}).DialContext
	}
	var http1 http.Protocols
	http1.SetHTTP1(true)
	c.transport = &http.Transport{
		Proxy:       nil, // the guard would see nothing but the proxy
		DialContext: c.dial, DialTLSContext: c.dialTLS, Protocols: &http1,
		DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
		MaxIdleConns: idleInTotal, MaxIdleConnsPerHost: idlePerHost, IdleConnTimeout: idleTimeout,
	}
	c.forward = c.transport.Clone()
	c.forward.MaxIdleConnsPerHost = forwardPerHost
	return c
}

// Call is one request to make.
type Call struct {
	URL     string
	Header  http.Header
	Body    []byte
	Timeout time.Duration // 0: 10 s
	Keep    int           // bytes of the answer's body to keep; 0: 4 KiB; 16 KiB is the most
}

// Answer is what came back. It is also filled, as far as it came, beside an error.
type Answer struct {
	Status    int // a redirect's too: it is not followed
	Header    http.Header
	Body      []byte        // at most Keep bytes, as they came over the wire
	Bytes     int64         // how many bytes of the body were read
	Connected time.Duration // until there was a connection, TLS included; next to nothing on one that was open
	Took      time.Duration // until the answer was read
	TLS       string        // "TLS 1.3"; empty on plain http
}

// Post sends the body and reads the answer, of which it reads 16 KiB and leaves the rest. The error is a [*Refused] where the
// URL or an address behind it may not be called; [Class] sorts the others.
func (c *Client) Post(ctx context.Context, call Call) (Answer, error) {
	u, err := c.guard.parse(call.URL)
	if err != nil {
		return Answer{}, err
	}
	if call.Timeout <= 0 {
		call.Timeout = callTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, call.Timeout)
	defer cancel()

	var answer Answer
	started := time.Now()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { answer.Connected = time.Since(started) },
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(call.Body))
	if err != nil {
		return Answer{}, fmt.Errorf("make the request: %w", err)
	}
	request.Header = header(call.Header)
	// Not the http.Client: it has its own ideas about redirects, cookies and malformed Location headers.
	response, err := c.transport.RoundTrip(request) //nolint:bodyclose // read closes it
	if err != nil {
		answer.Took = time.Since(started)
		return answer, fmt.Errorf("call %s: %w", u.Host, err)
	}
	answer.Status, answer.Header = response.StatusCode, response.Header
	if response.TLS != nil {
		answer.TLS = tls.VersionName(response.TLS.Version)
	}
	answer.Body, answer.Bytes, err = read(response.Body, call.Keep)
	answer.Took = time.Since(started)
	if err != nil {
		return answer, fmt.Errorf("read the answer of %s: %w", u.Host, err)
	}
	return answer, nil
}

// header is the caller's, completed. The empty key lets the transport send a request once more where an idle connection was
// closed by the server at that very moment; it is not sent.
func header(given http.Header) http.Header {
	h := given.Clone()
	if h == nil {
		h = http.Header{}
	}
	if h.Get("User-Agent") == "" {
		h.Set("User-Agent", userAgent)
	}
	if h.Get("Idempotency-Key") == "" {
		h["Idempotency-Key"] = nil
	}
	return h
}

// read takes what a body may have, and keeps the beginning. A longer body is left unread, and its connection closed.
func read(body io.ReadCloser, keep int) ([]byte, int64, error) {
	defer body.Close() //nolint:errcheck // read only
	if keep <= 0 {
		keep = keepBody
	}
	all, err := io.ReadAll(io.LimitReader(body, maxBody))
	return bytes.Clone(all[:min(keep, len(all))]), int64(len(all)), err
}
