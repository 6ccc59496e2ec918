// Package buyer pays for what a program fetches: where a server asks for money it signs, within limits, and writes down
// what it signed.
//
// A [Transport] stands below an http.Client. It pays x402 servers of versions 1 and 2 with the scheme "exact", and moves no
// money itself: what it signs is worth one transfer of one amount to one payee until a time, and only once. A request whose
// outcome nobody told is sent again with the same signature, never with a second one.
package buyer

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"xsynesis/money"
	"xsynesis/x402"
)

var (
	// ErrLimit is returned where a payment would exceed a limit; nothing was signed.
	ErrLimit = errors.New("buyer: over the limit")
	// ErrHost is returned for an offer of a host that is not among [Options.Hosts]; nothing was signed.
	ErrHost = errors.New("buyer: host may not be paid")
	// ErrNoChoice is returned for an offer with nothing that can be paid: another scheme, network or token.
	ErrNoChoice = errors.New("buyer: no way to pay this offer")
	// ErrUnknown is returned where a payment was sent and no answer came. Whether it moves money is not known yet; the same
	// request sends the same payment again.
	ErrUnknown = errors.New("buyer: outcome of a payment not known")
	// ErrBody is returned for a request whose body is too large to be sent a second time.
	ErrBody = errors.New("buyer: request body too large to pay for")
)

// Wallet signs payments.
type Wallet interface {
	// Address is who pays.
	Address() common.Address
	// Sign makes the signature that the token accepts for the authorization.
	Sign(ctx context.Context, a x402.Authorization, t x402.Token) ([]byte, error)
}

// Key makes a wallet of a private key, 64 hex digits with or without 0x.
func Key(text string) (Wallet, error) {
	key, err := crypto.HexToECDSA(strings.TrimPrefix(strings.TrimSpace(text), "0x"))
	if err != nil {
		return nil, errors.New("buyer: not a private key of 64 hex digits") // the text itself is nobody's business
	}
	return wallet{key}, nil
}

type wallet struct{ key *ecdsa.PrivateKey }

func (w wallet) Address() common.Address { return crypto.PubkeyToAddress(w.key.PublicKey) }

func (w wallet) Sign(_ context.Context, a x402.Authorization, t x402.Token) ([]byte, error) {
	return x402.Sign(a, t, w.key)
}

// Limits bound what is signed. A limit that is zero has the value given here.
type Limits struct {
	Request money.USDC // of one payment; 0.10 USDC
	Day     money.USDC // of 24 hours, all hosts together; 10 USDC
	Host    money.USDC // of 24 hours at one host; as Day
}

func (l Limits) withDefaults() Limits {
	l.Request = cmp.Or(l.Request, money.One/10)
	l.Day = cmp.Or(l.Day, 10*money.One)
	l.Host = cmp.Or(l.Host, l.Day)
	return l
}

// Options say what a [Transport] may do.
type Options struct {
	Wallet Wallet
	Limits Limits
	Hosts  []string          // that may be paid, as in a URL, "api.example.com" or "localhost:8402"; empty means all
	Tokens []x402.Token      // that may be paid with, the preferred first; nil means USDC on Base and Base Sepolia
	Book   *Book             // what was paid; nil means one in memory, which forgets with the process
	Base   http.RoundTripper // what sends requests; nil means http.DefaultTransport
	Wait   time.Duration     // how long an answer is asked for again while the network has not confirmed; 30 s
	Now    func() time.Time
}

// Transport is an http.RoundTripper that pays. Any number of goroutines may use it.
type Transport struct {
	o Options
}

// New makes a transport. It fails without a wallet.
func New(o Options) (*Transport, error) {
	if o.Wallet == nil {
		return nil, errors.New("buyer: no wallet")
	}
	o.Limits = o.Limits.withDefaults()
	if o.Tokens == nil {
		o.Tokens = []x402.Token{x402.Base, x402.BaseSepolia}
	}
	if o.Book == nil {
		o.Book = NewBook()
	}
	if o.Base == nil {
		o.Base = http.DefaultTransport
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the default of whoever does not bring a clock
	}
	o.Wait = cmp.Or(o.Wait, 30*time.Second)
	return &Transport{o}, nil
}

// Client is an http.Client that pays. A redirect is not followed with a payment: the next server has to ask for its own.
func (t *Transport) Client() *http.Client { return &http.Client{Transport: t} }

// Paid lists what was signed, oldest first, with what became of it.
func (t *Transport) Paid() []Entry { return t.o.Book.Entries() }

func (t *Transport) mayPay(host string) error {
	if len(t.o.Hosts) == 0 || slices.Contains(t.o.Hosts, host) {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrHost, host)
}
