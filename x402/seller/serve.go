package seller

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"xsynesis/money"
	"xsynesis/x402"
)

// sale is one request with its payment.
type sale struct {
	*Paywall
	out     http.ResponseWriter
	r       *http.Request
	route   Route
	handler http.Handler
	want    x402.Requirement
	pay     x402.Payment
	key     string
}

func (w *Paywall) serve(out http.ResponseWriter, r *http.Request, route Route, h http.Handler) {
	vary(out.Header())
	if w.o.AnySite {
		openToAnySite(out.Header())
	}
	if r.Method == http.MethodOptions { // free, and therefore not the handler's: it might answer as to a GET
		out.Header().Set("Cache-Control", "no-store")
		out.WriteHeader(http.StatusNoContent)
		return
	}
	price, err := priceOf(route, r)
	if err != nil {
		problem(out, http.StatusBadRequest, "no_price", err.Error())
		return
	}
	s := &sale{Paywall: w, out: out, r: r, route: route, handler: h}
	s.want = x402.Requirement{
		Token: w.o.Token, Amount: price, PayTo: w.o.PayTo, MaxTimeout: route.Timeout,
		Resource: x402.Resource{URL: w.address(r), Description: route.Description, MimeType: route.MimeType},
	}
	s.pay, err = x402.FromRequest(r.Header)
	var invalid *x402.Invalid
	switch {
	case errors.Is(err, x402.ErrNoPayment):
		s.offer("Payment required")
	case errors.As(err, &invalid):
		s.offer(invalid.Reason(s.pay.Version))
	default:
		s.take()
	}
}

func priceOf(route Route, r *http.Request) (money.USDC, error) {
	if route.PriceOf == nil {
		return route.Price, nil
	}
	price, err := route.PriceOf(r)
	if err == nil && price <= 0 {
		err = errors.New("seller: no price for this request")
	}
	return price, err
}

// address is what the request asks for, as buyers see it.
func (w *Paywall) address(r *http.Request) string {
	origin := w.o.PublicURL
	if origin == "" {
		origin = "http://" + r.Host
		if r.TLS != nil {
			origin = "https://" + r.Host
		}
	}
	return origin + r.URL.RequestURI()
}

// take brings a payment to its end, or gives the answer it got before.
func (s *sale) take() {
	request, err := s.readRequest()
	if err != nil {
		problem(s.out, http.StatusRequestEntityTooLarge, "request_too_large", "The request's body is too large.")
		return
	}
	ctx, cancel := context.WithTimeout(s.r.Context(), s.o.Patience)
	defer cancel()
	s.key = keyOf(s.pay, s.o.Token)
	before := s.pay.Authorization.ValidBefore
	now := s.o.Now()
	mismatch := s.pay.Check(s.want, now)
	_ = s.pay.CheckSignature(s.o.Token) // only to spell it as tokens do: a contract's is the facilitator's to judge
	var ends time.Time
	if before.IsInt64() && mismatch == nil {
		ends = time.Unix(before.Int64(), 0).Add(afterEnd)
	}
	var p *payment
	for {
		var first bool
		fresh := &payment{signature: s.pay.Signature, request: request, ends: ends, turn: make(chan struct{}, 1)}
		p, first = s.payments.enter(s.key, fresh, now)
		if first && mismatch != nil {
			s.payments.leave(s.key, p)
			s.refuse(mismatch)
			return
		}
		if !first && !p.same(s.pay.Signature, request) {
			problem(s.out, http.StatusConflict, "payment_already_used", "This payment was used for something else.")
			return
		}
		if p.wait(ctx) != nil {
			s.pending()
			return
		}
		if !p.closed {
			break
		}
		p.done() // let go of meanwhile: take it anew
	}
	defer p.done()
	s.sell(ctx, p)
}

// readRequest keeps the body for the handler, and tells what the payment is for.
func (s *sale) readRequest() (id [32]byte, err error) {
	var body []byte
	if s.r.Body != nil {
		body, err = io.ReadAll(io.LimitReader(s.r.Body, int64(s.o.Hold)+1))
		if err != nil || len(body) > s.o.Hold {
			return id, errors.Join(errTooLarge, err)
		}
		s.r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return sha256.Sum256(append([]byte(s.r.Method+" "+s.r.URL.RequestURI()+"\n"), body...)), nil
}

// sell has the payment's turn, and goes on from wherever it stands.
func (s *sale) sell(ctx context.Context, p *payment) {
	if p.dropped {
		problem(s.out, http.StatusConflict, "payment_already_used", "This payment was used before; its answer was too large to be kept.")
		return
	}
	if p.held == nil && !p.asked && !s.admit(ctx, p) {
		return
	}
	if s.route.SettleFirst && !p.moved && !s.settle(ctx, p) {
		return
	}
	if p.held == nil {
		answer := s.run(p)
		if answer.over || answer.status >= http.StatusBadRequest && !p.moved {
			s.fail(ctx, p, answer)
			return
		}
		p.held = answer
	}
	if !p.moved && !s.settle(ctx, p) {
		return
	}
	s.deliver(p)
}

// fail gives an answer that is not sold. Where the money moved first it is kept, as what the buyer got for it.
func (s *sale) fail(ctx context.Context, p *payment, answer *held) {
	if answer.over {
		answer = newHeld(s.o.Hold)
		problem(answer, http.StatusBadGateway, "answer_too_large", "The answer is too large to be sold.")
	}
	if p.moved {
		p.held = answer
		s.deliver(p)
		return
	}
	s.letGo(ctx, p)
	answer.send(s.out, s.r)
}

// admit lets a payment in that nobody has taken, after the facilitator has looked at it.
func (s *sale) admit(ctx context.Context, p *payment) bool {
	taken, err := s.claims().Take(ctx, s.key, p.ends)
	if err != nil {
		s.payments.leave(s.key, p)
		p.closed = true
		s.unavailable("claims", err)
		return false
	}
	if !taken {
		s.payments.leave(s.key, p)
		p.closed = true
		problem(s.out, http.StatusConflict, "payment_already_used", "This payment was used before.")
		return false
	}
	verdict, err := s.o.Facilitator.Verify(ctx, s.speaks(ctx, s.pay, s.want), s.want)
	switch {
	case err != nil:
		s.letGo(ctx, p)
		s.unavailable("verify", err)
		return false
	case !verdict.Valid:
		s.letGo(ctx, p)
		s.refuseAs(verdict.Reason)
		return false
	}
	return true
}

// run lets the handler make the answer. A payment whose handler panics is let go of.
func (s *sale) run(p *payment) *held {
	h := newHeld(s.o.Hold)
	done := false
	defer func() {
		if !done && !p.moved {
			s.letGo(s.r.Context(), p)
		}
	}()
	pay := s.pay
	pay.Signature = nil
	r := s.r.WithContext(context.WithValue(s.r.Context(), paidKey{}, pay))
	r.Header = s.r.Header.Clone()
	r.Header.Del(x402.HeaderSignature)
	r.Header.Del(x402.HeaderPayment)
	s.handler.ServeHTTP(h, r)
	done = true
	return h
}

// settle has the money moved. It goes on where the buyer has left: the handler has done its work.
func (s *sale) settle(ctx context.Context, p *payment) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.Patience)
	defer cancel()
	pay := s.speaks(ctx, s.pay, s.want)
	for {
		again := p.asked
		p.asked = true
		said, err := s.o.Facilitator.Settle(ctx, pay, s.want)
		var failed *x402.FacilitatorError
		kind := x402.ReasonInvalid(said.Reason).Kind
		switch {
		case err == nil && said.Success:
			p.moved, p.tx = true, said.Transaction
			return true
		case errors.As(err, &failed) && failed.Before && !again:
			p.asked = false
			s.letGo(ctx, p)
			s.unavailable("settle", err)
			return false
		case err == nil && again && kind == x402.NonceUsed && s.o.Chain == nil:
			// We asked before and were not told: it was that.
			p.moved, p.tx = true, said.Transaction
			return true
		case err == nil && !again && said.Transaction == "" && unmoved[kind]:
			p.asked = false
			s.letGo(ctx, p)
			s.refuseSettled(said)
			return false
		}
		s.o.Logger.WarnContext(ctx, "a payment's outcome is not known", "facilitator", s.o.Facilitator.Name(), "payment", s.pay, "reason", said.Reason, "error", err)
		if s.seen(ctx, p) {
			return true
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			s.pending()
			return false
		}
	}
}

// seen asks the chain, where there is one.
func (s *sale) seen(ctx context.Context, p *payment) bool {
	if s.o.Chain == nil {
		return false
	}
	tx, err := s.o.Chain.Moved(ctx, s.pay.Authorization)
	if err != nil {
		s.o.Logger.WarnContext(ctx, "the chain does not say what became of a payment", "payment", s.pay, "error", err)
	}
	p.moved, p.tx = tx != "", tx
	return p.moved
}

// unmoved are refusals after which the money surely stays where it was, at the first time of asking. After a second one
// nothing is sure but that the payment was used: what stands in its way may be the transfer itself.
var unmoved = map[x402.Kind]bool{
	x402.Malformed: true, x402.Version: true, x402.Scheme: true, x402.Network: true, x402.NoMatch: true, x402.TokenDomain: true,
	x402.TokenName: true, x402.TokenVersion: true, x402.Recipient: true, x402.Amount: true, x402.NotYetValid: true, x402.Expired: true,
	x402.TooLong: true, x402.Signature: true, x402.NonceUsed: true, x402.Funds: true, x402.NoToken: true, x402.Unsupported: true,
}

// letGo makes the payment good for another try: it surely moved nothing.
func (s *sale) letGo(ctx context.Context, p *payment) {
	s.payments.leave(s.key, p)
	p.closed = true
	if err := s.claims().Release(context.WithoutCancel(ctx), s.key); err != nil {
		s.o.Logger.ErrorContext(ctx, "a claim could not be released", "payment", s.pay, "error", err)
	}
}

func (w *Paywall) claims() Claims {
	if w.o.Claims == nil {
		return memory{}
	}
	return w.o.Claims
}

// deliver gives the answer with its receipt, the first time and every other.
func (s *sale) deliver(p *payment) {
	name, value := x402.Receipt{Success: true, Transaction: p.tx, Token: s.o.Token, Payer: s.pay.Authorization.From}.Header(s.pay.Version)
	p.held.header.Set(name, value)
	p.held.private()
	p.held.send(s.out, s.r)
	if p.held.body.Len() > maxKept {
		p.held, p.dropped = nil, true
	}
}

func (s *sale) refuse(err error) {
	var invalid *x402.Invalid
	if errors.As(err, &invalid) {
		s.offer(invalid.Reason(s.pay.Version))
		return
	}
	s.unavailable("check", err)
}

func (s *sale) refuseAs(reason string) {
	if reason == "" {
		reason = "payment_invalid"
	}
	s.offer(reason)
}

func (s *sale) refuseSettled(said x402.Settled) {
	name, value := x402.Receipt{Token: s.o.Token, Payer: s.pay.Authorization.From, ErrorReason: said.Reason}.Header(s.pay.Version)
	s.out.Header().Set(name, value)
	s.refuseAs(said.Reason)
}

// offer answers 402, in both versions.
func (s *sale) offer(reason string) {
	header := s.out.Header()
	header.Set(x402.HeaderRequired, x402.Header(reason, s.want))
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "application/json")
	s.out.WriteHeader(http.StatusPaymentRequired)
	if s.r.Method != http.MethodHead {
		_, _ = s.out.Write(x402.Body(reason, s.want)) //nolint:gosec // JSON, in which <, > and & are escaped.
	}
}

// retryAfter is when a buyer is told to send the same payment again.
const retryAfter = 5

// pending answers where the outcome is not known: the same payment is to be sent again, and no other.
func (s *sale) pending() {
	s.out.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	problem(s.out, http.StatusServiceUnavailable, x402.Pending, "The network has not confirmed the payment. Send the same payment again, never another one.")
}

func (s *sale) unavailable(what string, err error) {
	s.o.Logger.WarnContext(s.r.Context(), "a payment could not be taken", "during", what, "facilitator", s.o.Facilitator.Name(), "error", err)
	s.out.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	problem(s.out, http.StatusBadGateway, "facilitator_unavailable", "The payment could not be checked; nothing was charged. The same payment may be sent again.")
}

func problem(out http.ResponseWriter, status int, code, message string) {
	body, err := json.Marshal(map[string]any{"error": map[string]string{"code": code, "message": message}})
	if err != nil {
		panic(fmt.Sprintf("seller: encode %s: %v", code, err)) // two strings
	}
	out.Header().Set("Cache-Control", "no-store")
	out.Header().Set("Content-Type", "application/json")
	out.WriteHeader(status)
	_, _ = out.Write(body)
}

// openToAnySite lets pages of any site pay and read their receipts.
func openToAnySite(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "PAYMENT-REQUIRED, PAYMENT-RESPONSE, X-PAYMENT-RESPONSE, Retry-After")
	h.Set("Access-Control-Allow-Headers", "PAYMENT-SIGNATURE, X-PAYMENT, Access-Control-Expose-Headers, Content-Type, Authorization")
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
	h.Set("Access-Control-Max-Age", "86400")
}
