package seller_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"xsynesis/money"
	"xsynesis/x402"
	"xsynesis/x402/buyer"
	"xsynesis/x402/seller"
	"xsynesis/x402/seller/sellerecho"
)

const testKey = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"

var payee = common.HexToAddress("0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65")

// facilitator is a server that says that money has moved. What else it does is the test's own.
type facilitator struct {
	*httptest.Server
	kinds  []x402.SupportedKind
	verify func() string // the answer; "" for yes
	settle func(n int) (status int, answer string)

	mu              sync.Mutex
	verified, asked int
	moved           map[string]int // by nonce
	versions        map[int]int    // in which it was asked to settle
}

func facilitate(t *testing.T, change ...func(*facilitator)) *facilitator {
	t.Helper()
	f := &facilitator{kinds: x402.Kinds(x402.BaseSepolia), moved: map[string]int{}, versions: map[int]int{}}
	for _, c := range change {
		c(f)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /supported", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(x402.Supported{Kinds: f.kinds})
	})
	mux.HandleFunc("POST /verify", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.verified++
		if f.verify != nil {
			if answer := f.verify(); answer != "" {
				_, _ = io.WriteString(w, answer)
				return
			}
		}
		_, _ = io.WriteString(w, `{"isValid":true}`)
	})
	mux.HandleFunc("POST /settle", func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			X402Version    int `json:"x402Version"`
			PaymentPayload struct {
				Payload struct {
					Authorization struct {
						Nonce string `json:"nonce"`
					} `json:"authorization"`
				} `json:"payload"`
			} `json:"paymentPayload"`
		}
		_ = json.NewDecoder(r.Body).Decode(&asked)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.asked++
		f.versions[asked.X402Version]++
		if f.settle != nil {
			if status, answer := f.settle(f.asked); status != 0 {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, answer)
				return
			}
		}
		f.moved[asked.PaymentPayload.Payload.Authorization.Nonce]++
		_, _ = io.WriteString(w, `{"success":true,"transaction":"0x01","network":"eip155:84532"}`)
	})
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

func (f *facilitator) paywall(t *testing.T, change ...func(*seller.Options)) *seller.Paywall {
	t.Helper()
	remote, err := x402.NewRemote(f.URL, x402.RemoteOptions{Timeout: time.Second})
	require.NoError(t, err)
	o := seller.Options{Facilitator: remote, PayTo: payee, Token: x402.BaseSepolia, Patience: 3 * time.Second}
	for _, c := range change {
		c(&o)
	}
	w, err := seller.New(o)
	require.NoError(t, err)
	return w
}

// shop serves one priced handler that counts its calls.
func shop(t *testing.T, w *seller.Paywall, r seller.Route, h http.HandlerFunc) (url string, calls *atomic.Int64) {
	t.Helper()
	calls = &atomic.Int64{}
	if r.Price == 0 && r.PriceOf == nil {
		r.Price = money.One / 100
	}
	s := httptest.NewServer(w.Route(r, http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		calls.Add(1)
		h(out, in)
	})))
	t.Cleanup(s.Close)
	return s.URL, calls
}

func weather(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "sunny") }

func customer(t *testing.T) *buyer.Transport {
	t.Helper()
	wallet, err := buyer.Key(testKey)
	require.NoError(t, err)
	b, err := buyer.New(buyer.Options{Wallet: wallet, Wait: time.Nanosecond})
	require.NoError(t, err)
	return b
}

// capture keeps the last payment that went through it.
type capture struct {
	mu     sync.Mutex
	header http.Header
}

func (c *capture) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	if r.Header.Get(x402.HeaderSignature) != "" {
		c.header = http.Header{x402.HeaderSignature: r.Header.Values(x402.HeaderSignature)}
	}
	c.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

func fetch(t *testing.T, c http.RoundTripper, method, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	for name, values := range header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	answer, err := c.RoundTrip(r)
	require.NoError(t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer, string(body)
}

func TestARouteIsSold(t *testing.T) {
	t.Parallel()
	f := facilitate(t)
	url, calls := shop(t, f.paywall(t), seller.Route{Description: "Weather"}, func(w http.ResponseWriter, r *http.Request) {
		p, ok := seller.Paid(r.Context())
		_, _ = fmt.Fprintf(w, "%v %s %d %s", ok, p.Authorization.Value, len(p.Signature), r.Header.Get(x402.HeaderSignature))
	})
	answer, body := fetch(t, customer(t), http.MethodGet, url+"/today?a=1", nil)
	require.Equal(t, http.StatusOK, answer.StatusCode, body)
	require.Equal(t, "true 10000 0 ", body, "the handler knows who paid, and not the payment itself")
	receipt, ok := x402.ReadReceipt(answer.Header)
	require.True(t, ok)
	require.Equal(t, "0x01", receipt.Transaction)
	require.Equal(t, "private", answer.Header.Get("Cache-Control"))
	require.Contains(t, answer.Header.Get("Vary"), "PAYMENT-SIGNATURE")
	require.EqualValues(t, 1, calls.Load())
	require.Len(t, f.moved, 1)
}

func TestWithoutAPaymentThereIsAnOfferAndNothingElse(t *testing.T) {
	t.Parallel()
	f := facilitate(t)
	url, calls := shop(t, f.paywall(t, func(o *seller.Options) { o.PublicURL, o.AnySite = "https://api.example.com/", true }), seller.Route{}, weather)
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete, "BREW"} {
		answer, body := fetch(t, http.DefaultTransport, method, url+"/today", nil)
		require.Equal(t, http.StatusPaymentRequired, answer.StatusCode, method)
		require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
		offer, err := x402.ReadOffer(answer.Header, nil, x402.BaseSepolia)
		require.NoError(t, err)
		require.Len(t, offer.Choices, 1)
		if method != http.MethodHead {
			require.Contains(t, body, `"resource":"https://api.example.com/today"`)
		}
	}
	answer, body := fetch(t, http.DefaultTransport, http.MethodOptions, url, nil)
	require.Equal(t, http.StatusNoContent, answer.StatusCode)
	require.Empty(t, body)
	require.Equal(t, "*", answer.Header.Get("Access-Control-Allow-Origin"))
	require.Zero(t, calls.Load())
}

func TestAnAnswerOf400AndAboveCostsNothing(t *testing.T) {
	t.Parallel()
	f, broken := facilitate(t), true
	url, _ := shop(t, f.paywall(t), seller.Route{}, func(w http.ResponseWriter, r *http.Request) {
		if broken {
			http.Error(w, "out of order", http.StatusInternalServerError)
			return
		}
		weather(w, r)
	})
	b := customer(t)
	answer, body := fetch(t, b, http.MethodGet, url, nil)
	require.Equal(t, http.StatusInternalServerError, answer.StatusCode)
	require.Equal(t, "out of order\n", body)
	require.Zero(t, f.asked)
	broken = false
	answer, _ = fetch(t, b, http.MethodGet, url, nil)
	require.Equal(t, http.StatusOK, answer.StatusCode, "the same payment is good still")
	require.Len(t, b.Paid(), 1)
}

func TestAnAnswerThatIsTooLargeOrPanicsCostsNothing(t *testing.T) {
	t.Parallel()
	f := facilitate(t)
	w := f.paywall(t, func(o *seller.Options) { o.Hold = 1000 })
	url, _ := shop(t, w, seller.Route{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic(http.ErrAbortHandler)
		}
		_, tooLarge := io.WriteString(w, strings.Repeat("x", 1001))
		flushed := http.NewResponseController(w).Flush()
		assert.Error(t, tooLarge)
		assert.Error(t, flushed, "nothing leaves before the money has moved")
	})
	answer, body := fetch(t, customer(t), http.MethodGet, url, nil)
	require.Equal(t, http.StatusBadGateway, answer.StatusCode)
	require.Contains(t, body, "answer_too_large")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/panic", nil)
	require.NoError(t, err)
	_, err = customer(t).RoundTrip(r)
	require.ErrorIs(t, err, buyer.ErrUnknown)
	require.Zero(t, f.asked)
}

func TestAPaymentServesOneRequestOnce(t *testing.T) {
	t.Parallel()
	f := facilitate(t)
	url, calls := shop(t, f.paywall(t), seller.Route{}, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(20 * time.Millisecond)
		weather(w, r)
	})
	wallet, err := buyer.Key(testKey)
	require.NoError(t, err)
	var seen capture
	b, err := buyer.New(buyer.Options{Wallet: wallet, Base: &seen})
	require.NoError(t, err)
	_, _ = fetch(t, b, http.MethodGet, url+"/a", nil)

	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			answer, body := fetch(t, http.DefaultTransport, http.MethodGet, url+"/a", seen.header)
			require.Equal(t, http.StatusOK, answer.StatusCode)
			require.Equal(t, "sunny", body)
		})
	}
	all.Wait()
	for _, elsewhere := range []string{"/b", "/a?x=1", "//a"} {
		answer, body := fetch(t, http.DefaultTransport, http.MethodGet, url+elsewhere, seen.header)
		require.Equal(t, http.StatusConflict, answer.StatusCode, elsewhere)
		require.Contains(t, body, "payment_already_used")
	}
	require.EqualValues(t, 1, calls.Load())
	require.Equal(t, 1, f.asked)
}

func TestAHundredTimesTheSamePaymentAtOnceIsOneCall(t *testing.T) {
	t.Parallel()
	f := facilitate(t)
	url, calls := shop(t, f.paywall(t), seller.Route{}, weather)
	want := x402.Requirement{Token: x402.BaseSepolia, Amount: money.One / 100, PayTo: payee, MaxTimeout: 5 * time.Minute, Resource: x402.Resource{URL: url}}
	header := signed(t, want, 2)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			answer, _ := fetch(t, http.DefaultTransport, http.MethodGet, url, header)
			require.Equal(t, http.StatusOK, answer.StatusCode)
		})
	}
	all.Wait()
	require.EqualValues(t, 1, calls.Load())
	require.Equal(t, 1, f.asked)
}

func TestAHundredTimesTheSamePaymentForWhatFailsAllEnd(t *testing.T) {
	t.Parallel()
	f := facilitate(t)
	url, _ := shop(t, f.paywall(t, func(o *seller.Options) { o.Patience = time.Minute }), seller.Route{}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	header := signed(t, x402.Requirement{Token: x402.BaseSepolia, Amount: money.One / 100, PayTo: payee, MaxTimeout: 5 * time.Minute}, 2)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			answer, _ := fetch(t, http.DefaultTransport, http.MethodGet, url, header)
			require.Equal(t, http.StatusNotFound, answer.StatusCode)
		})
	}
	all.Wait()
	require.Zero(t, f.asked)
}

func TestBadPaymentsAreRefusedBeforeAnybodyIsAsked(t *testing.T) {
	t.Parallel()
	f := facilitate(t)
	url, calls := shop(t, f.paywall(t), seller.Route{}, weather)
	good := x402.Requirement{Token: x402.BaseSepolia, Amount: money.One / 100, PayTo: payee, MaxTimeout: 5 * time.Minute}
	for name, change := range map[string]func(*x402.Requirement){
		"too little":    func(r *x402.Requirement) { r.Amount-- },
		"too much":      func(r *x402.Requirement) { r.Amount++ },
		"somebody else": func(r *x402.Requirement) { r.PayTo[0]++ },
		"another chain": func(r *x402.Requirement) { r.Token = x402.Base },
	} {
		for _, version := range []int{1, 2} {
			want := good
			change(&want)
			answer, _ := fetch(t, http.DefaultTransport, http.MethodGet, url, signed(t, want, version))
			require.Equal(t, http.StatusPaymentRequired, answer.StatusCode, "%s, version %d", name, version)
		}
	}
	for name, header := range map[string]string{"no base64": "%%%", "no payment": "e30=", "too long": strings.Repeat("A", 20_000)} {
		answer, _ := fetch(t, http.DefaultTransport, http.MethodGet, url, http.Header{"X-Payment": {header}})
		require.Equal(t, http.StatusPaymentRequired, answer.StatusCode, name)
	}
	require.Zero(t, f.verified)
	require.Zero(t, calls.Load())
}

func TestTheFacilitatorsNoIsA402(t *testing.T) {
	t.Parallel()
	f := facilitate(t, func(f *facilitator) {
		f.verify = func() string { return `{"isValid":false,"invalidReason":"invalid_exact_evm_insufficient_balance"}` }
	})
	url, calls := shop(t, f.paywall(t), seller.Route{}, weather)
	b := customer(t)
	answer, _ := fetch(t, b, http.MethodGet, url, nil)
	require.Equal(t, http.StatusPaymentRequired, answer.StatusCode)
	require.Equal(t, "invalid_exact_evm_insufficient_balance", b.Paid()[0].Reason)
	f.verify = nil
	answer, _ = fetch(t, b, http.MethodGet, url, nil)
	require.Equal(t, http.StatusOK, answer.StatusCode, "once there is money the same payment will do")
	require.EqualValues(t, 1, calls.Load())
}

func TestFacilitatorModes(t *testing.T) {
	t.Parallel()
	const notSaid = `{"error":"oops"}`
	used := `{"success":false,"errorReason":"invalid_exact_evm_nonce_already_used","transaction":"","network":"eip155:84532"}`
	poor := `{"success":false,"errorReason":"invalid_exact_evm_insufficient_balance","transaction":"","network":"eip155:84532"}`
	pending := `{"success":false,"errorReason":"settlement_pending","transaction":"0x02","network":"eip155:84532"}`
	for _, mode := range []struct {
		name   string
		settle func(n int) (int, string)
		status int
		again  int // what the same payment gets afterwards
		asked  int
	}{
		{"moves it and answers 500, then knows of it", func(n int) (int, string) {
			if n == 1 {
				return 500, notSaid
			}
			return 200, used
		}, 200, 200, 2},
		{"is pending, then done", func(n int) (int, string) {
			if n == 1 {
				return 200, pending
			}
			return 0, ""
		}, 200, 200, 2},
		{"says no at once", func(int) (int, string) { return 200, poor }, 402, 402, 2},
		{"says used at once: that was somebody else's answer", func(int) (int, string) { return 200, used }, 402, 402, 2},
		{"never says anything", func(int) (int, string) { return 500, notSaid }, 503, 503, 0},
		{"garbage with 200, then poor: the transfer itself may be why", func(n int) (int, string) {
			if n == 1 {
				return 200, "<html>"
			}
			return 200, poor
		}, 503, 503, 0},
		{"turns everybody away before it looks", func(int) (int, string) { return 401, "who are you" }, 502, 502, 2},
	} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			f := facilitate(t, func(f *facilitator) { f.settle = mode.settle })
			url, calls := shop(t, f.paywall(t, func(o *seller.Options) { o.Patience = 1500 * time.Millisecond }), seller.Route{}, weather)
			header := signed(t, x402.Requirement{Token: x402.BaseSepolia, Amount: money.One / 100, PayTo: payee, MaxTimeout: 5 * time.Minute}, 2)
			answer, body := fetch(t, http.DefaultTransport, http.MethodGet, url, header)
			require.Equal(t, mode.status, answer.StatusCode, body)
			if mode.status >= 500 {
				require.NotContains(t, answer.Header, http.CanonicalHeaderKey(x402.HeaderRequired), "nobody is asked to pay again")
				require.Equal(t, "5", answer.Header.Get("Retry-After"))
			}
			answer, body = fetch(t, http.DefaultTransport, http.MethodGet, url, header)
			require.Equal(t, mode.again, answer.StatusCode, body)
			if mode.asked > 0 {
				require.Equal(t, mode.asked, f.asked)
			}
			if mode.status == 200 || mode.status == 503 {
				require.EqualValues(t, 1, calls.Load(), "the work is done once")
			}
		})
	}
}

func TestWhoIsDearIsPaidFirst(t *testing.T) {
	t.Parallel()
	f := facilitate(t)
	url, calls := shop(t, f.paywall(t), seller.Route{SettleFirst: true}, func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.moved) == 0 {
			http.Error(w, "not paid", http.StatusTeapot)
			return
		}
		http.Error(w, "failed after all", http.StatusInternalServerError)
	})
	b := customer(t)
	answer, _ := fetch(t, b, http.MethodGet, url, nil)
	require.Equal(t, http.StatusInternalServerError, answer.StatusCode)
	receipt, ok := x402.ReadReceipt(answer.Header)
	require.True(t, ok && receipt.Success, "it was paid, and says so")
	require.Equal(t, buyer.Paid, b.Paid()[0].State)
	require.EqualValues(t, 1, calls.Load())
}

func TestEitherVersionReachesAFacilitatorThatSpeaksOne(t *testing.T) {
	t.Parallel()
	for _, speaks := range []int{1, 2} {
		f := facilitate(t, func(f *facilitator) {
			for _, k := range x402.Kinds(x402.BaseSepolia) {
				if k.X402Version == speaks {
					f.kinds = []x402.SupportedKind{k}
				}
			}
		})
		w := f.paywall(t)
		require.NoError(t, w.Check(t.Context()))
		url, _ := shop(t, w, seller.Route{}, weather)
		for _, version := range []int{1, 2} {
			header := signed(t, x402.Requirement{Token: x402.BaseSepolia, Amount: money.One / 100, PayTo: payee, MaxTimeout: 5 * time.Minute}, version)
			answer, body := fetch(t, http.DefaultTransport, http.MethodGet, url, header)
			require.Equal(t, http.StatusOK, answer.StatusCode, body)
		}
		require.Equal(t, map[int]int{speaks: 2}, f.versions)
	}
	f := facilitate(t, func(f *facilitator) { f.kinds = x402.Kinds(x402.Base) })
	require.ErrorIs(t, f.paywall(t).Check(t.Context()), seller.ErrUnsupported)
}

// table is claims that several servers share.
type table struct{ taken sync.Map }

func (c *table) Take(_ context.Context, payment string, _ time.Time) (bool, error) {
	_, taken := c.taken.LoadOrStore(payment, true)
	return !taken, nil
}

func (c *table) Release(_ context.Context, payment string) error {
	c.taken.Delete(payment)
	return nil
}

func TestTwoCopiesOfAServerServeAPaymentOnce(t *testing.T) {
	t.Parallel()
	f, claims := facilitate(t), &table{}
	shared := func(o *seller.Options) { o.Claims = claims }
	one, calls := shop(t, f.paywall(t, shared), seller.Route{}, weather)
	two, more := shop(t, f.paywall(t, shared), seller.Route{}, weather)
	header := signed(t, x402.Requirement{Token: x402.BaseSepolia, Amount: money.One / 100, PayTo: payee, MaxTimeout: 5 * time.Minute}, 2)
	var ok, used atomic.Int64
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			answer, _ := fetch(t, http.DefaultTransport, http.MethodGet, []string{one, two}[i%2], header)
			switch answer.StatusCode {
			case http.StatusOK:
				ok.Add(1)
			case http.StatusConflict:
				used.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 10, ok.Load())
	require.EqualValues(t, 10, used.Load())
	require.EqualValues(t, 1, calls.Load()+more.Load())
}

func TestAPriceMayDependOnTheRequest(t *testing.T) {
	t.Parallel()
	f := facilitate(t)
	url, _ := shop(t, f.paywall(t), seller.Route{PriceOf: func(r *http.Request) (money.USDC, error) {
		return money.ParseUSDC("0.0" + r.URL.Query().Get("words"))
	}}, weather)
	b := customer(t)
	answer, _ := fetch(t, b, http.MethodGet, url+"?words=7", nil)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, 7*money.One/100, b.Paid()[0].Amount)
	answer, _ = fetch(t, b, http.MethodGet, url+"?words=-1", nil)
	require.Equal(t, http.StatusBadRequest, answer.StatusCode)
}

func TestEchoRoutesAreSoldAndTheirErrorsCostNothing(t *testing.T) {
	t.Parallel()
	f := facilitate(t)
	e := echo.New()
	e.GET("/weather/:place", func(c echo.Context) error {
		if c.Param("place") == "nowhere" {
			return echo.NewHTTPError(http.StatusNotFound, "no such place")
		}
		return c.String(http.StatusOK, "sunny in "+c.Param("place"))
	}, sellerecho.Route(f.paywall(t), seller.Route{Price: money.One / 100}))
	s := httptest.NewServer(e)
	t.Cleanup(s.Close)
	answer, body := fetch(t, customer(t), http.MethodGet, s.URL+"/weather/oslo", nil)
	require.Equal(t, http.StatusOK, answer.StatusCode, body)
	require.Equal(t, "sunny in oslo", body)
	_, ok := x402.ReadReceipt(answer.Header)
	require.True(t, ok)
	require.Equal(t, 1, f.asked)
	answer, body = fetch(t, customer(t), http.MethodGet, s.URL+"/weather/nowhere", nil)
	require.Equal(t, http.StatusNotFound, answer.StatusCode)
	require.Contains(t, body, "no such place")
	require.Equal(t, 1, f.asked)
}

func TestWhatCannotBePricedIsAMistakeOfTheProgram(t *testing.T) {
	t.Parallel()
	w := facilitate(t).paywall(t)
	for _, price := range []string{"", "0", "-1", "$1", "1,5", "0.0000001"} {
		require.Panics(t, func() { w.Charge(price, http.NotFoundHandler()) }, price)
	}
	_, err := seller.New(seller.Options{})
	require.Error(t, err)
}

// signed is the header of a good payment for a requirement.
func signed(t *testing.T, want x402.Requirement, version int) http.Header {
	t.Helper()
	key, err := crypto.HexToECDSA(testKey)
	require.NoError(t, err)
	a := x402.Authorization{
		From: crypto.PubkeyToAddress(key.PublicKey), To: want.PayTo, Value: big.NewInt(int64(want.Amount)),
		ValidAfter: new(big.Int), ValidBefore: big.NewInt(time.Now().Add(time.Minute).Unix()),
	}
	_, err = rand.Read(a.Nonce[:])
	require.NoError(t, err)
	signature, err := x402.Sign(a, want.Token, key)
	require.NoError(t, err)
	name, value := want.Payment(version, a, signature).Encode()
	header := http.Header{}
	header.Set(name, value)
	return header
}
