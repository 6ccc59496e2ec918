package buyer

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/x402"
)

const (
	maxBody  = 16 << 20 // of a request that may have to be sent again
	maxOffer = 1 << 20  // of a 402's body
	// longest is how far ahead a signature ends at most, whatever an offer asks for.
	longest = time.Hour
	// early is how long before now a signature begins: clocks differ.
	early = 10 * time.Minute
)

// RoundTrip sends the request, and pays where the answer is an offer. The answer is the server's own, also where it refuses
// a payment. Errors: [ErrLimit], [ErrHost], [ErrNoChoice], [ErrBody] (nothing was signed), [ErrUnknown], and those of Base.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get(x402.HeaderSignature) != "" || r.Header.Get(x402.HeaderPayment) != "" {
		return t.o.Base.RoundTrip(r) // somebody above pays
	}
	c, err := newCall(r)
	if err != nil {
		return nil, err
	}
	left, found, err := t.o.Book.take(c.id, t.o.Now())
	if err != nil {
		return nil, err
	}
	if found {
		return t.pay(c, left)
	}
	answer, err := t.o.Base.RoundTrip(c.request())
	if err != nil || answer.StatusCode != http.StatusPaymentRequired {
		return answer, err
	}
	e, err := t.answer(c, answer)
	if errors.Is(err, x402.ErrNoOffer) {
		return answer, nil // another kind of 402
	}
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, err
	}
	return t.pay(c, e)
}

// call is a request that can be sent more than once.
type call struct {
	r    *http.Request
	body []byte
	id   string // of what is paid for: the same request has the same
}

func newCall(r *http.Request) (*call, error) {
	c := &call{r: r}
	if r.Body != nil && r.Body != http.NoBody {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		err = errors.Join(err, r.Body.Close())
		if err != nil {
			return nil, fmt.Errorf("read the request's body: %w", err)
		}
		if len(body) > maxBody {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrBody, maxBody)
		}
		c.body = body
	}
	u := *r.URL
	u.Fragment = ""
	hash := sha256.Sum256(append([]byte(r.Method+" "+u.String()+"\n"), c.body...))
	c.id = hex.EncodeToString(hash[:])
	return c, nil
}

func (c *call) request(header ...string) *http.Request {
	r := c.r.Clone(c.r.Context())
	if c.body != nil {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(c.body)), int64(len(c.body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(c.body)), nil }
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// peek reads the beginning of an answer, which can be read again afterwards.
func peek(answer *http.Response) ([]byte, error) {
	begin, err := io.ReadAll(io.LimitReader(answer.Body, maxOffer))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(begin), answer.Body), answer.Body}
	return begin, nil
}

// answer signs what a 402 asks for.
func (t *Transport) answer(c *call, unpaid *http.Response) (Entry, error) {
	body, err := peek(unpaid)
	if err != nil {
		return Entry{}, err
	}
	offer, err := x402.ReadOffer(unpaid.Header, body, t.o.Tokens...)
	if err != nil {
		return Entry{}, err
	}
	return t.sign(c.r.Context(), c, offer)
}

// sign makes a payment for the offer's best choice, and writes it down.
func (t *Transport) sign(ctx context.Context, c *call, offer x402.Offer) (Entry, error) {
	if err := t.mayPay(c.r.URL.Host); err != nil {
		return Entry{}, err
	}
	choice, ok := best(offer.Choices, t.o.Tokens)
	if !ok {
		return Entry{}, fmt.Errorf("%w at %s", ErrNoChoice, c.r.URL.Host)
	}
	now := t.o.Now()
	end := now.Add(min(choice.MaxTimeout, longest))
	a := x402.Authorization{
		From: t.o.Wallet.Address(), To: choice.PayTo, Value: big.NewInt(int64(choice.Amount)),
		ValidAfter: big.NewInt(now.Add(-early).Unix()), ValidBefore: big.NewInt(end.Unix()),
	}
	if _, err := rand.Read(a.Nonce[:]); err != nil {
		return Entry{}, fmt.Errorf("draw a nonce: %w", err)
	}
	e := Entry{
		Nonce: a.Nonce.Hex(), State: Signed, At: now.UTC(), ValidBefore: time.Unix(end.Unix(), 0).UTC(),
		Method: c.r.Method, URL: c.r.URL.Redacted(), Host: c.r.URL.Host, Amount: choice.Amount,
		Network: choice.Token.Network, Asset: choice.Token.Address.Hex(), Payer: a.From.Hex(), PayTo: a.To.Hex(), Request: c.id,
	}
	return t.o.Book.sign(e, t.o.Limits, func() (header, value string, err error) {
		signature, err := t.o.Wallet.Sign(ctx, a, choice.Token)
		if err != nil {
			return "", "", fmt.Errorf("sign a payment for %s: %w", c.r.URL.Host, err)
		}
		header, value = offer.Payment(choice, a, signature, "pay_"+strings.TrimPrefix(a.Nonce.Hex(), "0x"))
		return header, value, nil
	})
}

// best is the choice with the token that is preferred most, and of those the cheapest.
func best(choices []x402.Choice, tokens []x402.Token) (found x402.Choice, ok bool) {
	for _, token := range tokens {
		for _, c := range choices {
			if c.Token == token && c.PayTo != (common.Address{}) && c.Amount > 0 && (!ok || c.Amount < found.Amount) {
				found, ok = c, true
			}
		}
		if ok {
			return found, true
		}
	}
	return found, false
}

// pay sends a payment until it is answered, and writes down what became of it.
func (t *Transport) pay(c *call, e Entry) (*http.Response, error) {
	until := t.o.Now().Add(t.o.Wait)
	for {
		answer, err := t.o.Base.RoundTrip(c.request(e.Header, e.Value))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %s USDC to %s at %s: %w", ErrUnknown, e.Amount, e.PayTo, e.Host, err), t.o.Book.end(e))
		}
		wait, pending := pendingFor(answer)
		if !pending || t.o.Now().Add(wait).After(until) {
			t.judge(&e, answer)
			if err := t.o.Book.end(e); err != nil {
				_ = answer.Body.Close()
				return nil, err
			}
			return answer, nil
		}
		_ = answer.Body.Close()
		select {
		case <-time.After(wait):
		case <-c.r.Context().Done():
			return nil, errors.Join(fmt.Errorf("%w: %w", ErrUnknown, c.r.Context().Err()), t.o.Book.end(e))
		}
	}
}

// pendingFor tells how long to wait before the same payment is sent again: until then the network will not have answered.
func pendingFor(answer *http.Response) (time.Duration, bool) {
	if answer.StatusCode != http.StatusServiceUnavailable && answer.StatusCode != http.StatusAccepted {
		return 0, false
	}
	if _, told := x402.ReadReceipt(answer.Header); told {
		return 0, false
	}
	seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0, false
	}
	return time.Duration(min(max(seconds, 1), 30)) * time.Second, true
}

// judge reads what an answer says about its payment.
func (t *Transport) judge(e *Entry, answer *http.Response) {
	receipt, told := x402.ReadReceipt(answer.Header)
	e.State, e.Reason = Refused, receipt.ErrorReason
	switch {
	case told && receipt.Success:
		e.State, e.Transaction = Paid, receipt.Transaction
		return
	case told:
	case answer.StatusCode >= http.StatusInternalServerError || answer.StatusCode == http.StatusAccepted:
		e.State, e.Reason = Signed, answer.Status // that says nothing about the money
		return
	case answer.StatusCode < http.StatusBadRequest:
		e.State = Paid
		return
	}
	body, err := peek(answer)
	if err != nil {
		return // the reader meets it again
	}
	if answer.StatusCode == http.StatusPaymentRequired {
		if offer, err := x402.ReadOffer(answer.Header, body, t.o.Tokens...); err == nil {
			e.Reason = cmp.Or(e.Reason, offer.Problem)
			if !stands(*e, offer) { // at another price the same payment will never do
				e.Header, e.Value = "", ""
			}
		}
	}
	e.Reason = cmp.Or(e.Reason, problemOf(body), answer.Status)
	if isUse(e.Reason) {
		e.State = Used
	}
}

// stands tells whether an offer still asks for what the payment gives.
func stands(e Entry, o x402.Offer) bool {
	return slices.ContainsFunc(o.Choices, func(c x402.Choice) bool {
		return c.Amount == e.Amount && c.Token.Network == e.Network && c.Token.Address.Hex() == e.Asset && c.PayTo.Hex() == e.PayTo
	})
}

// problemOf is the code of an error that a gateway writes as JSON.
func problemOf(body []byte) string {
	var problem struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &problem) != nil {
		return ""
	}
	return problem.Error.Code
}

// isUse tells whether a reason says that the payment was used before.
func isUse(reason string) bool {
	text := strings.ToLower(reason)
	for _, words := range []string{"already_used", "already used", "nonce_used", "duplicate_settlement", "used or canceled"} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}
