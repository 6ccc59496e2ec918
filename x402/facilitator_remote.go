package x402

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// RemoteOptions are the habits of a [Remote]; the zero value is fit for facilitators that want no credentials.
type RemoteOptions struct {
	// Name is the host of the address if empty.
	Name string
	// Headers are those of one request, made anew for each: credentials may be bound to method and path. Nil for none.
	Headers func(method string, u *url.URL) (http.Header, error)
	// Timeout is how long one call may take; 30 s.
	Timeout time.Duration
	// Client makes the calls; nil for one that waits for nobody longer than Timeout.
	Client *http.Client
}

// Remote is a facilitator that is called over HTTP. It speaks versions 1 and 2, as the payment does.
type Remote struct {
	base   string
	client *http.Client
	o      RemoteOptions
}

const (
	remoteTimeout  = 30 * time.Second
	remoteConnect  = 5 * time.Second
	remoteIdle     = 2 * time.Second // shorter than servers keep idle connections: a settlement must not meet a dying one
	remoteMost     = 1 << 20         // bytes of an answer that are read
	remotePatience = 30 * time.Second
	remoteTries    = 3
	remoteHops     = 3
)

// settling is the one call that moves money.
const settling = "settle"

// NewRemote makes a client of the facilitator at this address, such as "https://x402.org/facilitator".
func NewRemote(address string, o RemoteOptions) (*Remote, error) {
	u, err := url.Parse(strings.TrimRight(address, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("x402: a facilitator's address is like https://facilitator.example/path")
	}
	o.Name, o.Timeout = cmp.Or(o.Name, u.Host), cmp.Or(o.Timeout, remoteTimeout)
	r := &Remote{base: u.String(), client: o.Client, o: o}
	if r.client == nil {
		r.client = newRemoteClient()
	}
	return r, nil
}

func newRemoteClient() *http.Client {
	dialer := &net.Dialer{Timeout: remoteConnect}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSHandshakeTimeout: remoteConnect,
			MaxIdleConnsPerHost: 64, IdleConnTimeout: remoteIdle, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
		},
		// A payment is sent on as it is or not at all, and never in clear where it came encrypted.
		CheckRedirect: func(next *http.Request, before []*http.Request) error {
			last := before[len(before)-1]
			if len(before) >= remoteHops || next.Method != last.Method || last.URL.Scheme == "https" && next.URL.Scheme != "https" {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
}

// Name implements [Facilitator].
func (r *Remote) Name() string { return r.o.Name }

// Supported implements [Facilitator]. It is patient with a facilitator that says when to ask again.
func (r *Remote) Supported(ctx context.Context) (Supported, error) {
	for try := 1; ; try++ {
		answer, err := r.call(ctx, http.MethodGet, "supported", nil)
		if err == nil {
			var s Supported
			if json.Unmarshal(answer.body, &s) != nil || answer.status != http.StatusOK || s.Kinds == nil {
				return Supported{}, r.unusable("supported", answer)
			}
			return s, nil
		}
		var failed *FacilitatorError
		if !errors.As(err, &failed) || failed.Status != http.StatusTooManyRequests || try == remoteTries {
			return Supported{}, err
		}
		select {
		case <-ctx.Done():
			return Supported{}, err
		case <-time.After(cmp.Or(min(failed.RetryAfter, remotePatience), time.Second)):
		}
	}
}

// Verify implements [Facilitator].
func (r *Remote) Verify(ctx context.Context, p Payment, want Requirement) (Verdict, error) {
	answer, err := r.call(ctx, http.MethodPost, "verify", asking(p, want))
	if err != nil {
		return Verdict{}, err
	}
	var said struct {
		IsValid        *bool  `json:"isValid"`
		InvalidReason  string `json:"invalidReason"`
		InvalidMessage string `json:"invalidMessage"`
		Payer          string `json:"payer"`
	}
	if json.Unmarshal(answer.body, &said) != nil || said.IsValid == nil {
		return Verdict{}, r.unusable("verify", answer)
	}
	return Verdict{Valid: *said.IsValid, Reason: said.InvalidReason, Message: said.InvalidMessage, Payer: said.Payer}, nil
}

// Settle implements [Facilitator].
func (r *Remote) Settle(ctx context.Context, p Payment, want Requirement) (Settled, error) {
	answer, err := r.call(ctx, http.MethodPost, settling, asking(p, want))
	if err != nil {
		return Settled{}, err
	}
	var said struct {
		Success      *bool  `json:"success"`
		ErrorReason  string `json:"errorReason"`
		ErrorMessage string `json:"errorMessage"`
		Transaction  string `json:"transaction"`
		Network      string `json:"network"`
		Payer        string `json:"payer"`
	}
	if json.Unmarshal(answer.body, &said) != nil || said.Success == nil {
		return Settled{}, r.unusable(settling, answer)
	}
	return Settled{
		Success: *said.Success, Reason: said.ErrorReason, Message: said.ErrorMessage,
		Transaction: said.Transaction, Network: said.Network, Payer: said.Payer,
	}, nil
}

// asking is the body of verify and settle.
func asking(p Payment, want Requirement) []byte {
	var requirement any = want.accepted().wire()
	if p.Version == 1 {
		requirement = want.V1()
	}
	return encode(struct {
		X402Version         int             `json:"x402Version"`
		PaymentPayload      json.RawMessage `json:"paymentPayload"`
		PaymentRequirements any             `json:"paymentRequirements"`
	}{p.Version, p.JSON(), requirement})
}

// answered is an answer that may be read for what it says, whatever its status.
type answered struct {
	status int
	body   []byte
	retry  time.Duration
}

// call makes one request. The error is a *[FacilitatorError].
func (r *Remote) call(ctx context.Context, method, name string, body []byte) (answered, error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	failed := &FacilitatorError{Facilitator: r.o.Name, Call: name, Class: "protocol", Before: true}
	var wrote atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaderField: func(string, []string) { wrote.Store(true) }})
	request, err := http.NewRequestWithContext(traced, method, r.base+"/"+name, bytes.NewReader(body))
	if err != nil {
		failed.Err = err
		return answered{}, failed
	}
	if body == nil {
		request.Body, request.GetBody = nil, nil
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "xsynesis")
	if r.o.Headers != nil {
		more, err := r.o.Headers(method, request.URL)
		if err != nil {
			failed.Err = fmt.Errorf("make the credentials: %w", err)
			return answered{}, failed
		}
		for name, values := range more {
			request.Header[name] = values
		}
	}
	response, err := r.client.Do(request)
	if err != nil {
		// Once a byte of the request is out, somebody may act on it.
		failed.Before, failed.Class, failed.Err = name != settling || !wrote.Load(), remoteClass(err, wrote.Load()), conceal(err)
		return answered{}, failed
	}
	defer response.Body.Close() //nolint:errcheck // read only
	a := answered{status: response.StatusCode, retry: retryAfter(response.Header)}
	failed.Status, failed.RetryAfter = a.status, a.retry
	if a.body, err = io.ReadAll(io.LimitReader(response.Body, remoteMost)); err != nil {
		failed.Before, failed.Class, failed.Err = name != settling, remoteClass(err, true), conceal(err)
		return answered{}, failed
	}
	if refuses(a) {
		failed.Class, failed.Err = "refused", fmt.Errorf("status %d: %w", a.status, errNoAnswer)
		if a.status == http.StatusTooManyRequests {
			failed.Class = "limited"
		}
		return answered{}, failed
	}
	return a, nil
}

// refuses tells whether an answer says that the request was not let in at all. Those that may also be said after a
// broadcast are not among them: 400 is what many facilitators make of any exception, 402 of a failure, and 303 names where
// the outcome of what was done is to be read.
func refuses(a answered) bool {
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusTooManyRequests,
		http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return false
	}
	var said struct {
		IsValid *bool `json:"isValid"`
		Success *bool `json:"success"`
	}
	return json.Unmarshal(a.body, &said) != nil || said.IsValid == nil && said.Success == nil
}

// unusable is an answer that says nothing that can be understood.
func (r *Remote) unusable(name string, a answered) error {
	return &FacilitatorError{
		Facilitator: r.o.Name, Call: name, Class: "answer", Status: a.status, RetryAfter: a.retry, Before: name != settling,
		Err: fmt.Errorf("status %d: %w: %.80q", a.status, errNoAnswer, a.body),
	}
}

func remoteClass(err error, wrote bool) string {
	var late net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &late) && late.Timeout():
		return "timeout"
	case wrote:
		return "reset"
	default:
		return "connect"
	}
}

// conceal leaves out the address, which may hold what is nobody's business.
func conceal(err error) error {
	var in *url.Error
	if errors.As(err, &in) {
		return in.Err
	}
	return err
}

// retryAfter reads the header in seconds; dates are as good as nothing.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 20)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
