package buyer_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"xsynesis/money"
	"xsynesis/x402"
	"xsynesis/x402/buyer"
)

const testKey = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"

var payee = common.HexToAddress("0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65")

// seller is a server that is paid. What it does with a payment that fits is the test's own.
type seller struct {
	*httptest.Server
	price    money.USDC
	versions []int // in which it offers
	paid     func(w http.ResponseWriter, r *http.Request, p x402.Payment)

	mu       sync.Mutex
	payments []string // as they came
	nonces   map[common.Hash]int
}

// serve starts a seller. Unless paid is given, each payment is good once.
func serve(t *testing.T, change ...func(*seller)) *seller {
	t.Helper()
	s := &seller{price: money.One / 100, versions: []int{1, 2}, nonces: map[common.Hash]int{}}
	s.paid = s.sell
	for _, c := range change {
		c(s)
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *seller) requirement(r *http.Request) x402.Requirement {
	return x402.Requirement{
		Token: x402.BaseSepolia, Amount: s.price, PayTo: payee, MaxTimeout: time.Minute,
		Resource: x402.Resource{URL: "http://" + r.Host + r.URL.RequestURI()},
	}
}

func (s *seller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	want := s.requirement(r)
	p, err := x402.FromRequest(r.Header)
	if errors.Is(err, x402.ErrNoPayment) {
		s.offer(w, want, "payment required")
		return
	}
	if err == nil {
		err = p.Verify(want, time.Now())
	}
	s.mu.Lock()
	s.payments = append(s.payments, r.Header.Get(x402.HeaderSignature)+r.Header.Get(x402.HeaderPayment))
	s.mu.Unlock()
	if err != nil {
		s.offer(w, want, err.Error())
		return
	}
	s.paid(w, r, p)
}

func (s *seller) offer(w http.ResponseWriter, want x402.Requirement, problem string) {
	body := []byte("{}")
	for _, v := range s.versions {
		if v == 2 {
			w.Header().Set(x402.HeaderRequired, x402.Header(problem, want))
		} else {
			body = x402.Body(problem, want)
		}
	}
	w.WriteHeader(http.StatusPaymentRequired)
	_, _ = w.Write(body)
}

func (s *seller) sell(w http.ResponseWriter, r *http.Request, p x402.Payment) {
	s.mu.Lock()
	s.nonces[p.Authorization.Nonce]++
	n := s.nonces[p.Authorization.Nonce]
	s.mu.Unlock()
	if n > 1 {
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"error":{"code":"payment_already_used","message":"no"}}`)
		return
	}
	body, _ := io.ReadAll(r.Body)
	name, value := x402.Receipt{Success: true, Transaction: "0x01", Token: x402.BaseSepolia, Payer: p.Authorization.From}.Header(p.Version)
	w.Header().Set(name, value)
	_, _ = fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.RequestURI(), body)
}

func (s *seller) sent() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.payments...)
}

func transport(t *testing.T, change ...func(*buyer.Options)) *buyer.Transport {
	t.Helper()
	wallet, err := buyer.Key(testKey)
	require.NoError(t, err)
	o := buyer.Options{Wallet: wallet}
	for _, c := range change {
		c(&o)
	}
	b, err := buyer.New(o)
	require.NoError(t, err)
	return b
}

func limits(l buyer.Limits) func(*buyer.Options) { return func(o *buyer.Options) { o.Limits = l } }

func get(t *testing.T, b *buyer.Transport, url string) (*http.Response, string) {
	t.Helper()
	return do(t, b, http.MethodGet, url, "")
}

func do(t *testing.T, b *buyer.Transport, method, url, body string) (*http.Response, string) {
	t.Helper()
	answer, err := ask(t, b, method, url, body)
	require.NoError(t, err)
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer, string(text)
}

func ask(t *testing.T, b *buyer.Transport, method, url, body string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	return b.Client().Do(r)
}

func requireRefused(t *testing.T, b *buyer.Transport, url string, want error) {
	t.Helper()
	answer, err := ask(t, b, http.MethodGet, url, "")
	if err == nil {
		_ = answer.Body.Close()
	}
	require.ErrorIs(t, err, want)
}

func TestEitherVersionIsPaid(t *testing.T) {
	t.Parallel()
	for name, versions := range map[string][]int{"1": {1}, "2": {2}, "both": {1, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, b := serve(t, func(s *seller) { s.versions = versions }), transport(t)
			answer, body := do(t, b, http.MethodPost, s.URL+"/orders?a=1", "two coffees")
			require.Equal(t, http.StatusOK, answer.StatusCode, body)
			require.Equal(t, "POST /orders?a=1 two coffees", body)
			require.Len(t, s.sent(), 1)

			paid := b.Paid()
			require.Len(t, paid, 1)
			require.Equal(t, buyer.Paid, paid[0].State)
			require.Equal(t, money.One/100, paid[0].Amount)
			require.Equal(t, "0x01", paid[0].Transaction)
			require.Equal(t, payee.Hex(), paid[0].PayTo)
			require.Equal(t, s.URL+"/orders?a=1", paid[0].URL)
			require.Empty(t, paid[0].Value, "a payment that is done need not be kept")
		})
	}
}

func TestEveryCallIsPaidByItself(t *testing.T) {
	t.Parallel()
	s, b := serve(t), transport(t)
	for range 3 {
		answer, _ := get(t, b, s.URL)
		require.Equal(t, http.StatusOK, answer.StatusCode)
	}
	require.Len(t, s.nonces, 3)
}

func TestWhatCostsNothingIsNotPaid(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/teapot" {
			w.WriteHeader(http.StatusPaymentRequired)
			_, _ = io.WriteString(w, "<p>Please call us.</p>")
		}
	}))
	t.Cleanup(s.Close)
	b := transport(t)
	answer, _ := get(t, b, s.URL)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	answer, body := get(t, b, s.URL+"/teapot")
	require.Equal(t, http.StatusPaymentRequired, answer.StatusCode)
	require.Equal(t, "<p>Please call us.</p>", body, "another kind of 402 is the caller's")
	require.Empty(t, b.Paid())
}

func TestLimits(t *testing.T) {
	t.Parallel()
	const cent = money.One / 100
	t.Run("of one request", func(t *testing.T) {
		t.Parallel()
		dear, b := serve(t, func(s *seller) { s.price = 10*cent + 1 }), transport(t)
		requireRefused(t, b, dear.URL, buyer.ErrLimit)
		require.Empty(t, b.Paid())
		require.Empty(t, dear.sent())
	})
	t.Run("of a day", func(t *testing.T) {
		t.Parallel()
		s, other := serve(t), serve(t)
		now := time.Now()
		b := transport(t, limits(buyer.Limits{Day: 2 * cent}), func(o *buyer.Options) { o.Now = func() time.Time { return now } })
		get(t, b, s.URL)
		get(t, b, other.URL)
		requireRefused(t, b, s.URL, buyer.ErrLimit)
	})
	t.Run("of a host", func(t *testing.T) {
		t.Parallel()
		s, other, b := serve(t), serve(t), transport(t, limits(buyer.Limits{Host: cent}))
		get(t, b, s.URL)
		requireRefused(t, b, s.URL, buyer.ErrLimit)
		get(t, b, other.URL)
	})
	t.Run("what was refused counts", func(t *testing.T) {
		t.Parallel()
		s := serve(t, func(s *seller) {
			s.paid = func(w http.ResponseWriter, r *http.Request, _ x402.Payment) {
				s.offer(w, s.requirement(r), "insufficient_funds")
			}
		})
		b := transport(t, limits(buyer.Limits{Day: cent}))
		answer, _ := get(t, b, s.URL+"/a")
		require.Equal(t, http.StatusPaymentRequired, answer.StatusCode)
		require.Equal(t, buyer.Refused, b.Paid()[0].State)
		require.Equal(t, "insufficient_funds", b.Paid()[0].Reason)
		requireRefused(t, b, s.URL+"/b", buyer.ErrLimit)
	})
	t.Run("a hundred at once stay within them", func(t *testing.T) {
		t.Parallel()
		s, b := serve(t), transport(t, limits(buyer.Limits{Day: 10 * cent}))
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if answer, err := ask(t, b, http.MethodGet, s.URL, ""); err == nil {
					_ = answer.Body.Close()
				}
			})
		}
		all.Wait()
		require.Len(t, b.Paid(), 10)
		require.Len(t, s.nonces, 10)
	})
}

func TestTheDayOfALimitEnds(t *testing.T) {
	t.Parallel()
	book := buyer.NewBook()
	now := time.Now()
	clock := func(o *buyer.Options) { o.Now, o.Book = func() time.Time { return now }, book }
	s := serve(t)
	b := transport(t, limits(buyer.Limits{Day: money.One / 100}), clock)
	now = now.Add(-25 * time.Hour)
	s.price = money.One / 100
	_, _ = get(t, b, s.URL) // long expired for the seller, and counted all the same
	requireRefused(t, b, s.URL+"/again", buyer.ErrLimit)
	now = now.Add(25 * time.Hour)
	answer, _ := get(t, b, s.URL)
	require.Equal(t, http.StatusOK, answer.StatusCode)
}

func TestOnlyNamedHostsArePaid(t *testing.T) {
	t.Parallel()
	s, b := serve(t), transport(t, func(o *buyer.Options) { o.Hosts = []string{"api.example.com"} })
	requireRefused(t, b, s.URL, buyer.ErrHost)
	require.Empty(t, b.Paid())
}

func TestAStrangersTokenIsNotSignedFor(t *testing.T) {
	t.Parallel()
	s, b := serve(t), transport(t, func(o *buyer.Options) { o.Tokens = []x402.Token{x402.Base} })
	requireRefused(t, b, s.URL, buyer.ErrNoChoice)
	require.Empty(t, b.Paid())
}

func TestARedirectTakesNoPaymentAlong(t *testing.T) {
	t.Parallel()
	other := serve(t)
	s := serve(t, func(s *seller) {
		s.paid = func(w http.ResponseWriter, r *http.Request, _ x402.Payment) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}
	})
	b := transport(t)
	answer, _ := get(t, b, s.URL)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.NotEqual(t, s.sent(), other.sent())
	require.Len(t, b.Paid(), 2, "each server asked for its own")
}

// cut ends the connection without an answer, as a server that is killed does.
func cut(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

func TestAnUnknownOutcomeIsNeverPaidASecondTime(t *testing.T) {
	t.Parallel()
	var failures int
	s := serve(t)
	s.paid = func(w http.ResponseWriter, r *http.Request, p x402.Payment) {
		if failures++; failures <= 2 {
			cut(w)
			return
		}
		s.sell(w, r, p)
	}
	path := filepath.Join(t.TempDir(), "payments")
	open := func() *buyer.Transport { // as a program that is started again
		book, err := buyer.OpenBook(path)
		require.NoError(t, err)
		return transport(t, func(o *buyer.Options) { o.Book = book })
	}
	// Go's client sends a GET again by itself where a kept connection breaks, with the same header.
	requireRefused(t, open(), s.URL, buyer.ErrUnknown)
	require.Equal(t, buyer.Signed, open().Paid()[0].State)
	var answer *http.Response
	for answer == nil {
		b := open()
		got, err := ask(t, b, http.MethodGet, s.URL, "")
		if err == nil {
			answer = got
			_ = got.Body.Close()
		} else {
			require.ErrorIs(t, err, buyer.ErrUnknown)
		}
	}
	require.Equal(t, http.StatusOK, answer.StatusCode)
	for _, each := range s.sent() {
		require.Equal(t, s.sent()[0], each, "one signature, however often it is sent")
	}
	require.Len(t, open().Paid(), 1)
	require.Equal(t, buyer.Paid, open().Paid()[0].State)

	other, _ := get(t, open(), s.URL)
	require.Equal(t, http.StatusOK, other.StatusCode)
	require.Len(t, open().Paid(), 2, "the next call is paid by itself")
}

func TestAServerThatIsStillWaitingIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusAccepted} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			var waiting int
			s := serve(t)
			s.paid = func(w http.ResponseWriter, r *http.Request, p x402.Payment) {
				if waiting++; waiting == 1 {
					w.Header().Set("Retry-After", "1")
					w.WriteHeader(status)
					return
				}
				s.sell(w, r, p)
			}
			b := transport(t)
			answer, _ := get(t, b, s.URL)
			require.Equal(t, http.StatusOK, answer.StatusCode)
			require.Len(t, s.sent(), 2)
			require.Equal(t, s.sent()[0], s.sent()[1])
			require.Len(t, b.Paid(), 1)
		})
	}
}

func TestWhatABrokenServerDidNotTakeIsSentAgain(t *testing.T) {
	t.Parallel()
	broken := true
	s := serve(t)
	s.paid = func(w http.ResponseWriter, r *http.Request, p x402.Payment) {
		if broken {
			http.Error(w, "out of order", http.StatusInternalServerError)
			return
		}
		s.sell(w, r, p)
	}
	b := transport(t)
	answer, body := get(t, b, s.URL)
	require.Equal(t, http.StatusInternalServerError, answer.StatusCode)
	require.Equal(t, "out of order\n", body)
	require.Equal(t, buyer.Signed, b.Paid()[0].State)
	broken = false
	answer, _ = get(t, b, s.URL)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Len(t, b.Paid(), 1)
	require.Equal(t, s.sent()[0], s.sent()[1])
}

func TestAtANewPriceThereIsANewPayment(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.paid = func(w http.ResponseWriter, r *http.Request, p x402.Payment) {
		if len(s.sent()) == 1 {
			s.price *= 2
			s.offer(w, s.requirement(r), "the price has changed")
			return
		}
		s.sell(w, r, p)
	}
	b := transport(t)
	answer, _ := get(t, b, s.URL)
	require.Equal(t, http.StatusPaymentRequired, answer.StatusCode)
	answer, _ = get(t, b, s.URL)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, money.One/50, b.Paid()[1].Amount)
}

func TestAUsedPaymentIsNotSentAgain(t *testing.T) {
	t.Parallel()
	s := serve(t)
	first := true
	s.paid = func(w http.ResponseWriter, r *http.Request, p x402.Payment) {
		if first {
			first = false
			s.nonces[p.Authorization.Nonce]++ // settled, and then the server died
			http.Error(w, "", http.StatusBadGateway)
			return
		}
		s.sell(w, r, p)
	}
	b := transport(t)
	get(t, b, s.URL)
	answer, body := get(t, b, s.URL)
	require.Equal(t, http.StatusConflict, answer.StatusCode)
	require.Contains(t, body, "payment_already_used", "the caller reads why")
	require.Equal(t, buyer.Used, b.Paid()[0].State)
	require.Len(t, b.Paid(), 1)
}

func TestABookOutlivesALineThatWasNotFinished(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "payments")
	book, err := buyer.OpenBook(path)
	require.NoError(t, err)
	s := serve(t)
	get(t, transport(t, func(o *buyer.Options) { o.Book = book }), s.URL)
	appendTo(t, path, `{"nonce":"0x`)
	again, err := buyer.OpenBook(path)
	require.NoError(t, err)
	require.Len(t, again.Entries(), 1)
	get(t, transport(t, func(o *buyer.Options) { o.Book = again }), s.URL)
	third, err := buyer.OpenBook(path)
	require.NoError(t, err)
	require.Len(t, third.Entries(), 2)

	appendTo(t, path, "garbage\n")
	_, err = buyer.OpenBook(path)
	require.ErrorContains(t, err, path, "limits that cannot be counted are no limits")
}

func TestTwoProcessesShareTheLimitsOfABook(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "payments")
	s := serve(t)
	var all sync.WaitGroup
	for n := range 2 {
		book, err := buyer.OpenBook(path)
		require.NoError(t, err)
		b := transport(t, limits(buyer.Limits{Day: 10 * money.One / 100}), func(o *buyer.Options) { o.Book = book })
		all.Go(func() {
			for i := range 10 {
				if answer, err := ask(t, b, http.MethodGet, fmt.Sprintf("%s/%d/%d", s.URL, n, i), ""); err == nil {
					_ = answer.Body.Close()
				}
			}
		})
	}
	all.Wait()
	book, err := buyer.OpenBook(path)
	require.NoError(t, err)
	require.Len(t, book.Entries(), 10)
}

func TestTheKeyIsInNoErrorAndNoLine(t *testing.T) {
	t.Parallel()
	_, err := buyer.Key(testKey + "00")
	require.Error(t, err)
	require.NotContains(t, err.Error(), testKey[:8])
	_, err = buyer.New(buyer.Options{})
	require.Error(t, err)

}
func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = f.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}
