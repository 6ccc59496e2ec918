// Package buyer pays at a shop as a conforming program does: it signs once, and sends that payment again until the
// shop has answered it. Tests and measurements buy with it.
package buyer

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"xsynesis/evm"
	"xsynesis/money"
	"xsynesis/x402"
)

// ErrRefused is returned when the shop gave an answer that sending the payment again would not change.
var ErrRefused = errors.New("buyer: refused")

const (
	requestTimeout = 40 * time.Second // longer than a shop waits for its chain
	pause          = 50 * time.Millisecond
	validFor       = 20 * time.Minute // a payment outlives every crash that a test makes
)

// Buyer is one wallet with a pool of connections.
type Buyer struct {
	// Host is named in every request, where shops are reached at addresses that are not their public one.
	Host string

	key    *ecdsa.PrivateKey
	client *http.Client
}

// New returns a buyer that keeps this many connections.
func New(key *ecdsa.PrivateKey, connections int) *Buyer {
	transport := &http.Transport{MaxIdleConns: connections, MaxIdleConnsPerHost: connections, IdleConnTimeout: time.Minute}
	return &Buyer{key: key, client: &http.Client{
		Transport: transport, Timeout: requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Address is the wallet's.
func (b *Buyer) Address() common.Address { return crypto.PubkeyToAddress(b.key.PublicKey) }

// Payment is a signed payment as a request header.
type Payment struct{ Header, Value string }

// Answer is what the shop said to a payment that it took.
type Answer struct {
	Purchase string
	Body     string
	Header   http.Header
	Tries    int // how often the payment was sent
}

// Begin taps on Pay at a link and returns the new purchase's address.
func (b *Buyer) Begin(ctx context.Context, link string) (string, error) {
	for {
		said, err := b.send(ctx, http.MethodPost, link, Payment{})
		if err == nil && said.status == http.StatusSeeOther {
			at, err := url.Parse(said.header.Get("Location"))
			if err != nil {
				return "", fmt.Errorf("begin at %s: %w", link, err)
			}
			return link[:strings.Index(link, "/link/")] + at.Path, nil
		}
		if err := again(ctx, said, err); err != nil {
			return "", fmt.Errorf("begin at %s: %w", link, err)
		}
	}
}

// Ask returns what an address wants to be paid.
func (b *Buyer) Ask(ctx context.Context, address string) (x402.Requirement, error) {
	for {
		said, err := b.send(ctx, http.MethodGet, address, Payment{})
		if err == nil && said.status == http.StatusPaymentRequired {
			return required(said.header.Get(x402.HeaderRequired))
		}
		if err := again(ctx, said, err); err != nil {
			return x402.Requirement{}, fmt.Errorf("ask %s: %w", address, err)
		}
	}
}

// Sign signs one payment of what is wanted, in the protocol's version 1 or 2.
func (b *Buyer) Sign(want x402.Requirement, version int) (Payment, error) {
	a := x402.Authorization{
		From: b.Address(), To: want.PayTo, Value: big.NewInt(int64(want.Amount)), ValidAfter: new(big.Int),
		ValidBefore: big.NewInt(time.Now().Add(validFor).Unix()),
	}
	_, _ = rand.Read(a.Nonce[:])
	signature, err := x402.Sign(a, want.Token, b.key)
	if err != nil {
		return Payment{}, err
	}
	header, value := want.Payment(version, a, signature).Encode()
	return Payment{header, value}, nil
}

// Pay sends one payment until it is answered with 200: to the addresses in turn, again after every lost connection
// and every "not known yet". Any other answer is [ErrRefused].
func (b *Buyer) Pay(ctx context.Context, p Payment, addresses ...string) (Answer, error) {
	for try := 1; ; try++ {
		said, err := b.send(ctx, http.MethodGet, addresses[try%len(addresses)], p)
		if err == nil && said.status == http.StatusOK {
			return Answer{Purchase: said.purchase(), Body: said.body, Header: said.header, Tries: try}, nil
		}
		if err := again(ctx, said, err); err != nil {
			return Answer{}, fmt.Errorf("pay, %d times: %w", try, err)
		}
	}
}

// reply is what came back to a request.
type reply struct {
	status int
	header http.Header
	body   string
}

// purchase names what was bought: links name its receipt, paid APIs the purchase itself.
func (r reply) purchase() string {
	if attempt := r.header.Get("X-Payment-Attempt"); attempt != "" {
		return attempt
	}
	return path.Base(r.header.Get("Content-Location"))
}

func (b *Buyer) send(ctx context.Context, method, address string, p Payment) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return reply{}, err
	}
	request.Host = b.Host
	if p.Header != "" {
		request.Header.Set(p.Header, p.Value)
	}
	response, err := b.client.Do(request)
	if err != nil {
		return reply{}, err
	}
	body, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(body)}, errors.Join(err, response.Body.Close())
}

// again waits a moment before the next try, unless there should be none.
func again(ctx context.Context, said reply, err error) error {
	if err == nil && said.status != http.StatusServiceUnavailable {
		return fmt.Errorf("%w: %d: %s", ErrRefused, said.status, said.body)
	}
	select {
	case <-ctx.Done():
		return errors.Join(ctx.Err(), err)
	case <-time.After(pause):
		return nil
	}
}

// required reads the offer in the header of a 402.
func required(header string) (x402.Requirement, error) {
	var offer x402.RequiredV2
	text, err := base64.StdEncoding.DecodeString(header)
	if err != nil {
		return x402.Requirement{}, fmt.Errorf("read the offer: %w", err)
	}
	if err := json.Unmarshal(text, &offer); err != nil {
		return x402.Requirement{}, fmt.Errorf("read the offer: %w", err)
	}
	if len(offer.Accepts) == 0 {
		return x402.Requirement{}, fmt.Errorf("%w: the offer is empty", ErrRefused)
	}
	accepted := offer.Accepts[0]
	network, err := evm.NewRegistry(nil).Network(accepted.Network)
	if err != nil {
		return x402.Requirement{}, fmt.Errorf("read the offer: %w", err)
	}
	units, err := strconv.ParseInt(accepted.Amount, 10, 64)
	if err != nil {
		return x402.Requirement{}, fmt.Errorf("read the offer: %w", err)
	}
	return x402.Requirement{
		Token: network.Token, Amount: money.USDC(units), PayTo: common.HexToAddress(accepted.PayTo),
		MaxTimeout: time.Duration(accepted.MaxTimeoutSeconds) * time.Second, Resource: x402.Resource{URL: offer.Resource.URL},
	}, nil
}
