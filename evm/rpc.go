package evm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"
)

const (
	defaultCallTimeout = 5 * time.Second
	maxAnswer          = 64 << 20 // the receipts of a full block are a few megabytes
	idleConnections    = 128
)

// errAnswered marks an answer that a node gave on purpose, such as "nonce too low": no other node is asked.
var errAnswered = errors.New("evm: node refused")

// RevertError is a contract's refusal, with the reason it gave.
type RevertError struct{ Reason string }

func (e *RevertError) Error() string { return "evm: reverted: " + e.Reason }

// nodes asks several nodes of one chain, in order, until one answers.
type nodes struct {
	urls    []string
	timeout time.Duration
	http    *http.Client

	mu      sync.Mutex
	clients []*rpc.Client // nil until first used
}

func newNodes(urls []string, timeout time.Duration) *nodes {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // The standard library's own.
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = idleConnections, idleConnections
	return &nodes{
		urls:    urls,
		timeout: timeout,
		http:    &http.Client{Transport: limitedTransport{transport}},
		clients: make([]*rpc.Client, len(urls)),
	}
}

// call fills result, or returns a *RevertError, an errAnswered, or ErrUnavailable.
func (n *nodes) call(ctx context.Context, result any, method string, args ...any) error {
	return n.each(ctx, func(i int) error { return n.callNode(ctx, i, result, method, args...) })
}

// each asks node after node. A line that breaks is tried once more, since everything we ask may be asked twice.
func (n *nodes) each(ctx context.Context, ask func(node int) error) error {
	err := fmt.Errorf("%w: no node is configured", ErrUnavailable)
	for i := range n.urls {
		if err = ask(i); broken(err) && ctx.Err() == nil {
			err = ask(i)
		}
		if !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// broken tells a lost connection from a node that answered something or was too slow.
func broken(err error) bool {
	var transport *url.Error
	return errors.As(err, &transport) && !transport.Timeout()
}

func (n *nodes) callNode(ctx context.Context, i int, result any, method string, args ...any) error {
	client, err := n.client(i)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	return classify(method, conceal(n.urls[i], client.CallContext(ctx, result, method, args...)))
}

// batch asks one node many things; each element has its own error.
func (n *nodes) batch(ctx context.Context, elements []rpc.BatchElem) error {
	return n.each(ctx, func(i int) error { return n.batchNode(ctx, i, elements) })
}

func (n *nodes) batchNode(ctx context.Context, i int, elements []rpc.BatchElem) error {
	client, err := n.client(i)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	if err := client.BatchCallContext(ctx, elements); err != nil {
		return classify("batch", conceal(n.urls[i], err))
	}
	for _, e := range elements {
		if e.Error != nil {
			return classify(e.Method, conceal(n.urls[i], e.Error))
		}
	}
	return nil
}

func (n *nodes) client(i int) (*rpc.Client, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.clients[i] == nil {
		client, err := rpc.DialOptions(context.Background(), n.urls[i], rpc.WithHTTPClient(n.http))
		if err != nil {
			return nil, fmt.Errorf("%w: node %d: %w", ErrUnavailable, i+1, conceal(n.urls[i], err))
		}
		n.clients[i] = client
	}
	return n.clients[i], nil
}

// classify tells a refusal, which is an answer, from everything that is none.
func classify(method string, err error) error {
	if err == nil {
		return nil
	}
	var refused rpc.Error
	if !errors.As(err, &refused) {
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, method, err)
	}
	text := strings.ToLower(refused.Error())
	switch {
	case strings.Contains(text, "revert"):
		return &RevertError{Reason: revertReason(err)}
	case method == "eth_sendRawTransaction" && !overloaded(refused.ErrorCode()):
		return fmt.Errorf("%w: %s: %w", errAnswered, method, err)
	default:
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, method, err)
	}
}

// overloaded is about the codes by which providers refuse service and not the request.
func overloaded(code int) bool {
	switch code {
	case -32005, -32603, -32601, -32016, 429, 19:
		return true
	default:
		return false
	}
}

// revertReason decodes Error(string) from the data, or takes the node's own words.
func revertReason(err error) string {
	var carrier rpc.DataError
	if errors.As(err, &carrier) {
		if text, ok := carrier.ErrorData().(string); ok {
			if reason, ok := decodeErrorString(common.FromHex(text)); ok {
				return reason
			}
		}
	}
	return strings.TrimPrefix(err.Error(), "execution reverted: ")
}

func decodeErrorString(data []byte) (string, bool) {
	const head = 4 + 2*word
	if len(data) < head || hexutil.Encode(data[:4]) != "0x08c379a0" {
		return "", false
	}
	length, ok := smallUint(data[4+word : head])
	if !ok || length > uint64(len(data)-head) { //nolint:gosec // At least zero, checked above.
		return "", false
	}
	return strings.ToValidUTF8(string(data[head:head+length]), "?"), true
}

// limitedTransport ends an answer that would fill the memory.
type limitedTransport struct{ http.RoundTripper }

func (t limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err //nolint:wrapcheck // The caller is net/http.
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(response.Body, maxAnswer), response.Body}
	return response, nil
}
