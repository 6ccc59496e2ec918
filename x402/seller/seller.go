// Package seller puts a price on the routes of a Go server.
//
// A [Paywall] wraps an http.Handler: without a payment the answer is 402 with an offer in versions 1 and 2 of x402; with one
// it is checked, the handler's answer is held back, a facilitator moves the money, and only then does a byte leave. An
// answer of 400 and above costs nothing. The server needs neither a chain nor a key.
package seller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/money"
	"xsynesis/x402"
)

// ErrUnsupported is returned by [Paywall.Check] where the facilitator does not settle the token.
var ErrUnsupported = errors.New("seller: the facilitator does not settle this token")

// Options say who is paid, with what, and by whose help. Facilitator, PayTo and Token are needed.
type Options struct {
	Facilitator x402.Facilitator
	PayTo       common.Address
	Token       x402.Token // x402.Base or x402.BaseSepolia
	// PublicURL is the server's own address as buyers see it, "https://api.example.com". Empty takes it from the request,
	// which is wrong behind a proxy that speaks another scheme or name.
	PublicURL string
	// AnySite lets scripts of any page pay: CORS is open on priced routes.
	AnySite bool
	// Hold is how many bytes of a request and of an answer are kept; 4 MiB. A larger answer is a failure and costs nothing.
	Hold int
	// Patience is how long a buyer waits for the money to move before he is told to ask again; 30 s.
	Patience time.Duration
	// Claims remembers which payments were taken. Nil keeps them in this process: servers in several copies need one for
	// all, or the same payment might be served by each.
	Claims Claims
	// Chain says what became of a payment where the facilitator does not, see [Node]. Without one, "nonce already used" is
	// taken for yes from a facilitator that was asked before, and everything else is asked again.
	Chain  Chain
	Now    func() time.Time
	Logger *slog.Logger
}

// Claims remembers which payments were taken, for all copies of a server.
type Claims interface {
	// Take is true for the first who asks for this payment, and false for everybody else until the time given.
	Take(ctx context.Context, payment string, until time.Time) (bool, error)
	// Release lets it be taken again: it surely moved nothing.
	Release(ctx context.Context, payment string) error
}

// Route is what is asked for.
type Route struct {
	Price money.USDC
	// PriceOf makes the price of one request instead. The same request must have the same price when it comes with its payment.
	PriceOf func(*http.Request) (money.USDC, error)

	Description string
	MimeType    string        // of the answer
	Timeout     time.Duration // that an offer stands; 5 minutes
	SettleFirst bool          // the money moves before the handler runs: for work that is too dear to do in vain
}

// Paywall prices routes. Any number of goroutines may use it.
type Paywall struct {
	o        Options
	payments payments

	mu        sync.Mutex
	supported *x402.Supported
	asked     time.Time
}

// New makes a paywall. It calls nobody; [Paywall.Check] does.
func New(o Options) (*Paywall, error) {
	switch {
	case o.Facilitator == nil:
		return nil, errors.New("seller: no facilitator")
	case o.PayTo == common.Address{}:
		return nil, errors.New("seller: nobody to be paid")
	case o.Token.Network == "":
		return nil, errors.New("seller: no token")
	}
	if o.PublicURL != "" {
		u, err := url.Parse(o.PublicURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
			return nil, fmt.Errorf("seller: public URL %q is not like https://api.example.com", o.PublicURL)
		}
		o.PublicURL = u.Scheme + "://" + u.Host
	}
	o.Hold, o.Patience = cmp.Or(o.Hold, 4<<20), cmp.Or(o.Patience, 30*time.Second)
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the default of whoever does not bring a clock
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	w := &Paywall{o: o}
	w.payments.byKey = map[string]*payment{}
	return w, nil
}

// Charge prices a handler, "0.01" in USDC. It panics where that is no price, as http.Handle does with a bad pattern.
func (w *Paywall) Charge(price string, h http.Handler) http.Handler {
	amount, err := money.ParseUSDC(price)
	if err != nil {
		panic("seller: " + err.Error())
	}
	return w.Route(Route{Price: amount}, h)
}

// Route prices a handler. It panics where the route has no price.
func (w *Paywall) Route(r Route, h http.Handler) http.Handler {
	if r.PriceOf == nil && r.Price <= 0 {
		panic("seller: a route needs a price")
	}
	r.Timeout = cmp.Or(r.Timeout, 5*time.Minute)
	return http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) { w.serve(out, in, r, h) })
}

// Check asks the facilitator whether it settles the token; for the start of a server. Errors: [ErrUnsupported],
// *[x402.FacilitatorError].
func (w *Paywall) Check(ctx context.Context) error {
	s, err := w.o.Facilitator.Supported(ctx)
	if err != nil {
		return fmt.Errorf("ask %s what it settles: %w", w.o.Facilitator.Name(), err)
	}
	if _, ok := s.Version(w.o.Token); !ok {
		return fmt.Errorf("%w: %s on %s", ErrUnsupported, w.o.Token.Name, w.o.Token.Network)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.supported, w.asked = &s, w.o.Now()
	return nil
}

// supportedFor is how long an answer to [Paywall.Check] is relied on.
const supportedFor = time.Hour

// speaks is the payment in a version that the facilitator knows: what was signed is the same in both.
func (w *Paywall) speaks(ctx context.Context, p x402.Payment, want x402.Requirement) x402.Payment {
	w.mu.Lock()
	fresh := w.supported != nil && w.o.Now().Sub(w.asked) < supportedFor
	w.mu.Unlock()
	if !fresh && w.Check(ctx) != nil {
		return p // it will say itself what it does not know
	}
	w.mu.Lock()
	supported := *w.supported
	w.mu.Unlock()
	for _, kind := range x402.Kinds(w.o.Token) {
		if kind.X402Version == p.Version && slices.Contains(supported.Kinds, kind) {
			return p
		}
	}
	if version, ok := supported.Version(w.o.Token); ok {
		return want.Payment(version, p.Authorization, p.Signature)
	}
	return p
}

type paidKey struct{}

// Paid is the payment for which a handler runs; its signature is left out.
func Paid(ctx context.Context) (p x402.Payment, ok bool) {
	p, ok = ctx.Value(paidKey{}).(x402.Payment)
	return p, ok
}
