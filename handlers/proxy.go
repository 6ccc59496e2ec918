package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/egress"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
	"xsynesis/x402"
)

// Paid APIs, as routes have them.
const (
	callPath     = "/x/:endpoint"
	callPathMore = "/x/:endpoint/*"
)

// callMethods are the methods that may be paid for; all cost the same.
var callMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// The headers that a pass comes and goes by, and that name a call's purchase.
const (
	headerPass    = "X-Access-Pass"
	headerPassEnd = "X-Access-Pass-Expires" //nolint:gosec // the name of a header
	headerAttempt = "X-Payment-Attempt"
	headerPayer   = "X-Payment-Payer"
)

func (h *Handlers) callRoutes(e *echo.Echo) {
	for _, path := range []string{callPath, callPathMore} {
		e.Match(callMethods, path, h.call, callCORS)
		e.OPTIONS(path, nothing, callCORS)
	}
}

// isCall tells routes of paid APIs. They read no cookie, and pages of any site may call them.
func isCall(path string) bool { return path == callPath || path == callPathMore }

// paidCall is one request for a paid API, and where it leads.
type paidCall struct {
	endpoint shop.Endpoint
	offer    shop.Offer
	resource x402.Resource
	target   string // on the seller's server
	body     []byte
	code     *shop.HandedIn // what took something off the offer; nil for nothing
	// spend uses up what the call is made with, before a byte of a good answer leaves; nil for nothing. Where it fails
	// nothing leaves: whoever breaks off, or reads slowly, may not have the answer and his call as well.
	spend func() error
}

// call is a paid API: a 402, or for a payment or a pass what the seller's server answers.
func (h *Handlers) call(c echo.Context) error {
	c.Response().Header().Set("Vary", callVary)
	a, err := h.paidCall(c)
	if err != nil {
		return err
	}
	problem := noPayment
	if token := passIn(c.Request()); token != "" {
		pass, err := h.Checkout.UsePass(c.Request().Context(), a.endpoint.ID, token)
		if err == nil {
			h.limits.learn(token, knownCaller{name: string(pass.ID), counts: h.limits.keys}, h.Now())
			return h.callByPass(c, a, pass)
		}
		if !errors.Is(err, checkout.ErrPass) {
			return err
		}
		problem = "The pass is not valid here, or not any more."
	}
	if code := c.Request().Header.Get(headerCode); code != "" {
		if sent, err := h.callByCode(c, &a, code); sent || err != nil {
			return err
		}
	}
	if carriesPayment(c.Request()) {
		return h.callByPayment(c, a)
	}
	want, err := h.Checkout.QuoteCall(c.Request().Context(), a.endpoint, a.offer, a.resource)
	if err != nil {
		return err
	}
	return h.askForCall(c, a, want, problem)
}

// paidCall finds what is asked for. Nothing is offered that the seller's server could not be asked for.
func (h *Handlers) paidCall(c echo.Context) (paidCall, error) {
	r := c.Request()
	if !mayFetch(r) {
		return paidCall{}, errCrossOrigin
	}
	name, rest, err := callTarget(r.URL)
	if err != nil {
		return paidCall{}, err
	}
	endpoint, err := id.Parse[id.Endpoint](name)
	if err != nil {
		return paidCall{}, shop.ErrNotFound
	}
	a := paidCall{}
	if a.body, err = bodyOf(r); err != nil {
		return paidCall{}, err
	}
	if a.endpoint, a.offer, err = h.Endpoints.Offered(r.Context(), endpoint); err != nil {
		return paidCall{}, err
	}
	if a.target, err = upstreamURL(a.endpoint.URL, rest, r.URL.RawQuery); err != nil {
		return paidCall{}, err
	}
	if err := h.Egress.Check(a.target); err != nil {
		return paidCall{}, errors.Join(checkout.ErrUpstream, err)
	}
	a.resource = x402.Resource{URL: h.PublicURL + r.URL.RequestURI(), Description: a.endpoint.Description, MimeType: a.endpoint.MimeType}
	if a.resource.Description == "" {
		a.resource.Description = a.endpoint.Title
	}
	return a, nil
}

// askForCall answers 402 in both versions at once.
func (h *Handlers) askForCall(c echo.Context, a paidCall, want x402.Requirement, problem string) error {
	want.Call = a.shape(c.Request().Method)
	return h.askPayment(c, want, problem)
}

// shape is what a 402 tells of a call beside its price.
func (a paidCall) shape(method string) *x402.CallShape {
	s := &x402.CallShape{Method: method, Identified: a.endpoint.Identified}
	if a.endpoint.Input != "" {
		s.Input = json.RawMessage(a.endpoint.Input)
	}
	if a.endpoint.Output != "" {
		s.Output = json.RawMessage(a.endpoint.Output)
	}
	return s
}

// callByPayment is a call that comes with its payment.
func (h *Handlers) callByPayment(c echo.Context, a paidCall) error {
	want := h.Checkout.CallRequirement(a.offer, a.resource)
	p, err := x402.FromRequest(c.Request().Header)
	if err != nil {
		return h.refuseCall(c, a, want, p.Version, err)
	}
	request, err := fingerprint(c.Request())
	if err != nil {
		return err
	}
	calling := checkout.Calling{Endpoint: a.endpoint, Offer: a.offer, Resource: a.resource, Payment: p, Request: request, Identifier: p.Identifier, Code: a.code}
	if a.endpoint.Settles == shop.SettlesFirst {
		return h.callFirst(c, a, calling)
	}
	calling.Upstream = func(ctx context.Context, of checkout.Paying) (checkout.Answer, error) {
		return h.askUpstream(ctx, c.Request(), a, of)
	}
	called, err := h.Checkout.Call(c.Request().Context(), calling)
	if err != nil {
		return h.callRefused(c, a, p, called, err)
	}
	h.nameCall(c, called, p)
	return sendAnswer(c, called.Answer)
}

// callRefused answers a call that was not, or not yet, paid and answered.
func (h *Handlers) callRefused(c echo.Context, a paidCall, p x402.Payment, called checkout.Called, err error) error {
	header, purchase := c.Response().Header(), called.Purchase
	switch {
	case errors.Is(err, checkout.ErrPending):
		header.Set("Location", h.PublicURL+views.PurchasePath(string(purchase.ID), ""))
	case purchase.ID != "" && purchase.Status.Paid(): // the money is there, the answer is not
		h.nameCall(c, called, p)
	}
	return h.refuseCall(c, a, h.Checkout.CallRequirement(a.offer, a.resource), p.Version, err)
}

// refuseCall is [Handlers.refuse] for a call.
func (h *Handlers) refuseCall(c echo.Context, a paidCall, want x402.Requirement, version int, err error) error {
	want.Call = a.shape(c.Request().Method)
	return h.refuse(c, want, version, err)
}

// nameCall writes the receipt of a call into the answer, and the pass that it bought.
func (h *Handlers) nameCall(c echo.Context, called checkout.Called, p x402.Payment) {
	if called.Purchase.ID == "" {
		return
	}
	header := c.Response().Header()
	name, value := h.paymentReceipt(called.Purchase, p).Header(p.Version)
	header.Set(name, value)
	header.Set(headerAttempt, string(called.Purchase.ID))
	if pass := called.Pass; pass != nil {
		header.Set(headerPass, pass.Token)
		if pass.EndsAt != nil {
			header.Set(headerPassEnd, pass.EndsAt.UTC().Format(time.RFC3339))
		}
	}
}

// askUpstream asks the seller's server and takes its whole answer, which is held until it is paid.
func (h *Handlers) askUpstream(ctx context.Context, r *http.Request, a paidCall, of checkout.Paying) (checkout.Answer, error) {
	response, err := h.forward(ctx, r, a, of)
	if err != nil {
		return checkout.Answer{}, err
	}
	defer response.Body.Close() //nolint:errcheck // read only
	if response.ContentLength > a.endpoint.MaxAnswer && r.Method != http.MethodHead {
		return checkout.Answer{}, checkout.ErrUpstreamLarge
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, a.endpoint.MaxAnswer+1))
	if err != nil {
		return checkout.Answer{}, upstreamError(err)
	}
	if int64(len(body)) > a.endpoint.MaxAnswer {
		return checkout.Answer{}, checkout.ErrUpstreamLarge
	}
	return checkout.Answer{Status: response.StatusCode, Header: answerHeader(response.Header), Body: body}, nil
}

// forward asks the seller's server. A redirect is no answer: whoever followed it would send his payment along. Neither is
// another protocol, which nobody has asked for.
func (h *Handlers) forward(ctx context.Context, r *http.Request, a paidCall, of checkout.Paying) (*http.Response, error) {
	secret, err := h.Endpoints.Secret(a.endpoint)
	if err != nil {
		return nil, err
	}
	header := requestHeader(r.Header)
	if of.Attempt != "" {
		header.Set(headerAttempt, string(of.Attempt))
	}
	if of.Payer != (common.Address{}) {
		header.Set(headerPayer, of.Payer.Hex())
	}
	if a.endpoint.SecretHeader != "" {
		header.Set(a.endpoint.SecretHeader, secret)
	}
	response, err := h.Egress.Forward(ctx, egress.Request{Method: r.Method, URL: a.target, Header: header, Body: a.body})
	if err != nil {
		return nil, upstreamError(err)
	}
	if s := response.StatusCode; s < 200 || s >= 300 && s < 400 && s != http.StatusNotModified {
		_ = response.Body.Close()
		return nil, errors.Join(checkout.ErrUpstream, errors.New("it redirects, or leaves the protocol"))
	}
	return response, nil
}

// upstreamError sorts what kept the seller's server from answering.
func upstreamError(err error) error {
	switch egress.Class(err) {
	case egress.ClassTimeout:
		return errors.Join(checkout.ErrUpstreamSlow, err)
	case egress.ClassTooLarge:
		return errors.Join(checkout.ErrUpstreamLarge, err)
	default:
		return errors.Join(checkout.ErrUpstream, err)
	}
}

// callTarget reads the endpoint and what follows it from a request's path. Spellings that the seller's server might read as
// another path than ours are refused: there is one reading, or none.
func callTarget(u *url.URL) (endpoint, rest string, err error) {
	escaped := strings.ToLower(u.EscapedPath())
	for _, hidden := range []string{"%2f", "%5c", "%252f", "%255c", "%252e"} {
		if strings.Contains(escaped, hidden) {
			return "", "", errPath
		}
	}
	ambiguous := func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f }
	if strings.ContainsFunc(u.Path, ambiguous) || strings.Contains(u.Path, "//") {
		return "", "", errPath
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		segment, _, _ = strings.Cut(segment, ";") // some servers take what follows for parameters
		if segment == "." || segment == ".." {
			return "", "", errPath
		}
	}
	endpoint, rest, more := strings.Cut(strings.TrimPrefix(u.Path, "/x/"), "/")
	if more {
		rest = "/" + rest
	}
	return endpoint, rest, nil
}

// maxTarget is the longest address that sellers' servers are asked for.
const maxTarget = 2048

// upstreamURL is where a call leads: below the endpoint's own URL, with both queries.
func upstreamURL(base, rest, query string) (string, error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", errors.Join(checkout.ErrUpstream, err)
	}
	if rest != "" {
		u.RawPath = strings.TrimSuffix(u.EscapedPath(), "/") + (&url.URL{Path: rest}).EscapedPath()
		u.Path = strings.TrimSuffix(u.Path, "/") + rest
	}
	if query != "" {
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+query, "&")
	}
	if target := u.String(); len(target) <= maxTarget {
		return target, nil
	}
	return "", echo.NewHTTPError(http.StatusRequestURITooLong)
}

// passIn is the pass that a request carries, or empty.
func passIn(r *http.Request) string {
	if pass := r.Header.Get(headerPass); pass != "" {
		return pass
	}
	scheme, token, _ := strings.Cut(r.Header.Get(echo.HeaderAuthorization), " ")
	if token = strings.TrimSpace(token); strings.EqualFold(scheme, "Bearer") && strings.HasPrefix(token, id.Pass("").Prefix()) {
		return token
	}
	return ""
}

// sendAnswer hands a whole answer on.
func sendAnswer(c echo.Context, a checkout.Answer) error {
	writeHead(c, a.Header)
	if len(a.Body) > 0 { // an answer to HEAD, say, has none, whatever it would be
		c.Response().Header().Set(echo.HeaderContentLength, strconv.Itoa(len(a.Body)))
	}
	c.Response().WriteHeader(a.Status)
	_, err := c.Response().Write(a.Body)
	return err
}
