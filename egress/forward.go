package egress

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
)

// forwardPerHost is how many connections to one server wait for the next request that is handed on: such a server is
// called again and again, by many at a time.
const forwardPerHost = 128

// Request is a request that is handed on for somebody else.
type Request struct {
	Method string
	URL    string
	Header http.Header // all that is sent, but for what the connection needs
	Body   []byte
}

// Forward hands a request on and returns the answer as it comes; the caller reads the body as far as he likes, and closes
// it. ctx bounds all of it, the body too. Redirects are not followed, nothing is unpacked. The error is a [*Refused] where
// the URL or an address behind it may not be called; [Class] sorts the others.
func (c *Client) Forward(ctx context.Context, r Request) (*http.Response, error) {
	u, err := c.guard.parse(r.URL)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, u.String(), bytes.NewReader(r.Body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	if request.Header = r.Header.Clone(); request.Header == nil {
		request.Header = http.Header{}
	}
	if _, named := request.Header["User-Agent"]; !named {
		request.Header.Set("User-Agent", userAgent)
	}
	response, err := c.forward.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", u.Host, err)
	}
	return response, nil
}

// ofConnection are the headers that are about one connection.
var ofConnection = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Http2-Settings", "Alt-Svc",
}

// OfConnection tells whether a header, in its canonical form, is about one connection alone: whoever hands a message on
// leaves it out.
func OfConnection(name string) bool { return slices.Contains(ofConnection, name) }
