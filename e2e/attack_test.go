package e2e

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"math/big"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"xsynesis/x402"
)

// attacked is a paid API, and the seller's server behind it.
type attacked struct {
	*world
	seller
	t        *testing.T
	endpoint paidEndpoint
}

// forgery is a payment of the demo's buyer that something is changed of: before it is signed, or after.
type forgery struct {
	domain func(*x402.Token)         // that it is signed for
	signed func(*x402.Authorization) // before the signature
	sent   func(*x402.Payment)       // after it
	poor   bool                      // of somebody without money
}

// forge makes a version 2 payment for what is asked at a URL, as the forgery makes it.
func (a attacked) forge(url string, f forgery) x402.Payment {
	a.t.Helper()
	ask := a.get(a.t, url)
	require.Equal(a.t, 402, ask.Status, ask.Body)
	offer, err := x402.ReadOffer(ask.Header, []byte(ask.Body), x402.BaseSepolia)
	require.NoError(a.t, err)
	choice := offer.Choices[0]
	key := a.buyer(a.t)
	if f.poor {
		key = newKey(a.t)
	}
	auth := x402.Authorization{
		From: crypto.PubkeyToAddress(key.PublicKey), To: choice.PayTo, Value: big.NewInt(int64(choice.Amount)), ValidAfter: new(big.Int),
		ValidBefore: big.NewInt(time.Now().Add(4 * time.Minute).Unix()),
	}
	_, _ = rand.Read(auth.Nonce[:])
	if f.signed != nil {
		f.signed(&auth)
	}
	token := x402.BaseSepolia
	if f.domain != nil {
		f.domain(&token)
	}
	signature, err := x402.Sign(auth, token, key)
	require.NoError(a.t, err)
	want := x402.Requirement{Token: x402.BaseSepolia, Amount: choice.Amount, PayTo: choice.PayTo, MaxTimeout: choice.MaxTimeout, Resource: x402.Resource{URL: url}}
	p := want.Payment(2, auth, signature)
	if f.sent != nil {
		f.sent(&p)
	}
	return p
}

// refused wants that a payment at a path of its own is refused, and that nobody asked the seller's server.
func (a attacked) refused(path string, status int, f forgery) {
	a.t.Helper()
	url := a.endpoint.EndpointURL + "/weather/" + path
	name, value := a.forge(url, f).Encode()
	answer := a.get(a.t, url, name, value)
	require.Equal(a.t, status, answer.Status, answer.Body)
	require.Empty(a.t, answer.Header.Get("PAYMENT-RESPONSE"))
	a.unasked("/v1/weather/" + path)
}

func (a attacked) unasked(path string) {
	a.t.Helper()
	require.Zero(a.t, a.asked(a.t, a.world).Asked[path])
}

// attacks are what is tried on paid APIs, row by row.
var attacks = map[string]func(attacked){
	"a payment is replayed": func(a attacked) {
		url := a.endpoint.EndpointURL + "/weather/replay"
		name, value := a.forge(url, forgery{}).Encode()
		first := a.get(a.t, url, name, value)
		require.Equal(a.t, 200, first.Status, first.Body)
		again := a.get(a.t, url, name, value)
		require.Equal(a.t, first.Body, again.Body)
		require.Equal(a.t, first.Header.Get("PAYMENT-RESPONSE"), again.Header.Get("PAYMENT-RESPONSE"))
		require.Equal(a.t, 1, a.asked(a.t, a.world).Asked["/v1/weather/replay"])
		for _, other := range []string{url + "?x=1", a.endpoint.EndpointURL + "/weather/other"} {
			require.Equal(a.t, "payment_already_used", a.get(a.t, other, name, value).errorCode(a.t))
		}
		require.Equal(a.t, 409, a.do(a.t, http.MethodPost, url, "{}", name, value).Status, "another method")
	},
	"a payment is replayed a hundred times at once": func(a attacked) {
		url := a.endpoint.EndpointURL + "/weather/hundred"
		name, value := a.forge(url, forgery{}).Encode()
		requests := make([][3]string, 100)
		for i := range requests {
			requests[i] = [3]string{url, name, value}
		}
		for _, answer := range a.together(a.t, requests...) {
			require.Equal(a.t, 200, answer.Status, answer.Body)
		}
		require.Equal(a.t, 1, a.asked(a.t, a.world).Asked["/v1/weather/hundred"])
	},
	"a payment for one endpoint is shown at another": func(a attacked) {
		other := a.newEndpoint(a.t, a.URL+"/v1?other", nil)
		name, value := a.forge(a.endpoint.EndpointURL+"/weather/here", forgery{}).Encode()
		require.Equal(a.t, 402, a.get(a.t, other.EndpointURL+"/weather/there", name, value).Status)
		a.unasked("/v1/weather/there")
	},
	"the client goes away": func(a attacked) {
		url := a.endpoint.EndpointURL + "/weather/gone"
		name, value := a.forge(url, forgery{}).Encode()
		ctx, leave := context.WithTimeout(a.t.Context(), 30*time.Millisecond)
		defer leave()
		_, _ = a.send(ctx, http.MethodGet, url, "", name, value)
		require.Eventually(a.t, func() bool { return a.get(a.t, url, name, value).Status == 200 }, 20*time.Second, 200*time.Millisecond)
		require.Equal(a.t, 1, a.asked(a.t, a.world).Asked["/v1/weather/gone"])
	},
	"the price changes between offer and payment": func(a attacked) {
		e := a.newEndpoint(a.t, a.URL+"/v1?dear", nil)
		url := e.EndpointURL + "/weather/dear"
		name, value := a.forge(url, forgery{}).Encode()
		a.call(a.t, "/api/endpoints/update", map[string]any{"id": e.ID, "price": "0.06"}, &struct{}{})
		require.Equal(a.t, 200, a.get(a.t, url, name, value).Status)
	},
	"it is switched off": func(a attacked) {
		e := a.newEndpoint(a.t, a.URL+"/v1?off", nil)
		name, value := a.forge(e.EndpointURL, forgery{}).Encode()
		a.call(a.t, "/api/endpoints/disable", map[string]any{"id": e.ID}, &struct{}{})
		for _, headers := range [][]string{nil, {name, value}} {
			require.Equal(a.t, "endpoint_disabled", a.get(a.t, e.EndpointURL, headers...).errorCode(a.t))
		}
	},
	"a unit too little": func(a attacked) {
		a.refused("little", 402, forgery{signed: func(x *x402.Authorization) { x.Value.Sub(x.Value, big.NewInt(1)) }})
	},
	"a unit too much": func(a attacked) {
		a.refused("much", 402, forgery{signed: func(x *x402.Authorization) { x.Value.Add(x.Value, big.NewInt(1)) }})
	},
	"a value beyond all money": func(a attacked) {
		a.refused("beyond", 402, forgery{signed: func(x *x402.Authorization) { x.Value.Lsh(big.NewInt(1), 255) }})
	},
	"another payee": func(a attacked) {
		a.refused("payee", 402, forgery{signed: func(x *x402.Authorization) { x.To = common.HexToAddress("0xdead") }})
	},
	"another payee, accepted too": func(a attacked) {
		a.refused("payee2", 402, forgery{signed: func(x *x402.Authorization) { x.To = common.HexToAddress("0xdead") }, sent: func(p *x402.Payment) { p.Accepted.PayTo = common.HexToAddress("0xdead") }})
	},
	"another token": func(a attacked) {
		a.refused("token", 402, forgery{domain: func(t *x402.Token) { t.Address = common.HexToAddress("0xbeef") }})
	},
	"another token, accepted too": func(a attacked) {
		a.refused("token2", 402, forgery{domain: func(t *x402.Token) { t.Address = common.HexToAddress("0xbeef") }, sent: func(p *x402.Payment) { p.Accepted.Asset = common.HexToAddress("0xbeef") }})
	},
	"another chain": func(a attacked) { a.refused("chain", 402, forgery{domain: func(t *x402.Token) { t.ChainID = 1 }}) },
	"another network named": func(a attacked) {
		a.refused("network", 402, forgery{sent: func(p *x402.Payment) { p.Network, p.Accepted.Network = "eip155:8453", "eip155:8453" }})
	},
	"another name of the token": func(a attacked) { a.refused("name", 402, forgery{domain: func(t *x402.Token) { t.Name = "USD Coin" }}) },
	"another name of the token, accepted too": func(a attacked) {
		a.refused("name2", 402, forgery{domain: func(t *x402.Token) { t.Name = "USD Coin" }, sent: func(p *x402.Payment) { p.Accepted.Name = "USD Coin" }})
	},
	"it ends in a moment": func(a attacked) {
		a.refused("ends", 402, forgery{signed: func(x *x402.Authorization) { x.ValidBefore = big.NewInt(time.Now().Add(5 * time.Second).Unix()) }})
	},
	"it ends before the call may": func(a attacked) {
		a.refused("ends2", 402, forgery{signed: func(x *x402.Authorization) { x.ValidBefore = big.NewInt(time.Now().Add(20 * time.Second).Unix()) }})
	},
	"it ends too late": func(a attacked) {
		a.refused("late", 402, forgery{signed: func(x *x402.Authorization) { x.ValidBefore = big.NewInt(time.Now().Add(2 * time.Hour).Unix()) }})
	},
	"it is not valid yet": func(a attacked) {
		a.refused("early", 402, forgery{signed: func(x *x402.Authorization) { x.ValidAfter = big.NewInt(time.Now().Add(time.Minute).Unix()) }})
	},
	"a signature turned round": func(a attacked) {
		a.refused("turned", 402, forgery{sent: func(p *x402.Payment) {
			s := new(big.Int).Sub(crypto.S256().Params().N, new(big.Int).SetBytes(p.Signature[32:64]))
			s.FillBytes(p.Signature[32:64])
			p.Signature[64] = 27 + 28 - p.Signature[64]
		}})
	},
	"a signature with a v of its own": func(a attacked) { a.refused("v", 402, forgery{sent: func(p *x402.Payment) { p.Signature[64] = 29 }}) },
	"a signature too short": func(a attacked) {
		a.refused("short", 402, forgery{sent: func(p *x402.Payment) { p.Signature = p.Signature[:64] }})
	},
	"a signature too long": func(a attacked) {
		a.refused("long", 402, forgery{sent: func(p *x402.Payment) { p.Signature = append(p.Signature, 0) }})
	},
	"a signature of somebody else": func(a attacked) {
		a.refused("else", 402, forgery{sent: func(p *x402.Payment) { p.Authorization.From = common.HexToAddress(a.OwnerAddress) }})
	},
	"a payer without money": func(a attacked) { a.refused("poor", 402, forgery{poor: true}) },
	"another resource named": func(a attacked) {
		a.refused("resource", 402, forgery{sent: func(p *x402.Payment) { p.ResourceURL = "https://elsewhere.example/" }})
	},
	"a header that stands twice": func(a attacked) {
		url := a.endpoint.EndpointURL + "/weather/twice"
		name, value := a.forge(url, forgery{}).Encode()
		require.Equal(a.t, 402, a.get(a.t, url, name, value, name, value).Status)
		a.unasked("/v1/weather/twice")
	},
	"a header too large": func(a attacked) {
		url := a.endpoint.EndpointURL + "/weather/large"
		require.Equal(a.t, 402, a.get(a.t, url, "PAYMENT-SIGNATURE", strings.Repeat("A", 20_000)).Status)
		a.unasked("/v1/weather/large")
	},
	"a header that is no base64": func(a attacked) {
		require.Equal(a.t, 402, a.get(a.t, a.endpoint.EndpointURL, "X-PAYMENT", "{}").Status)
	},
	"a header of the other version": func(a attacked) {
		url := a.endpoint.EndpointURL + "/weather/version"
		_, value := a.forge(url, forgery{}).Encode()
		require.Equal(a.t, 402, a.get(a.t, url, "X-PAYMENT", value).Status)
		a.unasked("/v1/weather/version")
	},
	"a name that stands twice": func(a attacked) {
		url := a.endpoint.EndpointURL + "/weather/names"
		text := strings.Replace(string(a.forge(url, forgery{}).JSON()), `"value":`, `"value":"1","value":`, 1)
		require.Equal(a.t, 402, a.get(a.t, url, "PAYMENT-SIGNATURE", base64.StdEncoding.EncodeToString([]byte(text))).Status)
		a.unasked("/v1/weather/names")
	},
	"amounts that are no figures": func(a attacked) {
		url := a.endpoint.EndpointURL + "/weather/figures"
		for _, amount := range []string{`"5e4"`, `"+50000"`, `"0xc350"`, `" 50000"`, `""`, `50000`, `null`, `"-1"`, `"50000.0"`, `"５"`} {
			text := strings.Replace(string(a.forge(url, forgery{}).JSON()), `"value":"50000"`, `"value":`+amount, 1)
			require.Equal(a.t, 402, a.get(a.t, url, "PAYMENT-SIGNATURE", base64.StdEncoding.EncodeToString([]byte(text))).Status, amount)
		}
		a.unasked("/v1/weather/figures")
	},
	"paths that lead elsewhere": func(a attacked) {
		name, value := a.forge(a.endpoint.EndpointURL, forgery{}).Encode()
		for _, path := range []string{
			"/../private", "/%2e%2e/private", "/..%2fprivate", "/%2fprivate", "//private", "/a\\b", "/..%5cprivate", "/%252e%252e/private", "/a%0Ab", "/a%0D%0AX: 1",
			"/./private", "/..;/private", "/%00", "/%2E%2E%2Fprivate",
		} {
			for _, headers := range [][]string{nil, {name, value}} {
				answer := a.get(a.t, a.endpoint.EndpointURL+strings.ReplaceAll(path, `\`, "%5C"), headers...)
				require.Equal(a.t, 400, answer.Status, "%s: %s", path, answer.Body)
			}
		}
	},
	"a page that loads it as its script": func(a attacked) {
		require.Equal(a.t, 403, a.get(a.t, a.endpoint.EndpointURL, "Sec-Fetch-Dest", "script").Status)
	},
	"caches in between": func(a attacked) {
		url := a.endpoint.EndpointURL + "/weather/cache"
		ask := a.get(a.t, url)
		require.Equal(a.t, "no-store", ask.Header.Get("Cache-Control"))
		name, value := a.answerTo(a.t, ask)
		paid := a.get(a.t, url, name, value)
		require.Contains(a.t, paid.Header.Get("Cache-Control"), "private")
		for _, answer := range []answer{ask, paid} {
			vary := strings.Join(answer.Header.Values("Vary"), ",")
			for _, header := range []string{"PAYMENT-SIGNATURE", "X-PAYMENT", "X-Access-Pass", "Authorization"} {
				require.Contains(a.t, vary, header)
			}
		}
	},
	"a pass of another endpoint": func(a attacked) {
		e := a.newEndpoint(a.t, a.URL+"/v1?pass", map[string]any{"pricing_type": "one_time"})
		url := e.EndpointURL + "/weather/pass"
		name, value := a.forge(url, forgery{}).Encode()
		paid := a.get(a.t, url, name, value)
		require.Equal(a.t, 200, paid.Status, paid.Body)
		pass := paid.Header.Get("X-Access-Pass")
		require.NotEmpty(a.t, pass)
		for _, headers := range [][]string{{"X-Access-Pass", pass}, {"Authorization", "Bearer " + pass}} {
			require.Equal(a.t, 200, a.get(a.t, url, headers...).Status)
			require.Equal(a.t, 402, a.get(a.t, a.endpoint.EndpointURL, headers...).Status)
		}
		require.Equal(a.t, 402, a.get(a.t, url, "X-Access-Pass", pass[:len(pass)-1]+"1").Status)
		require.NotContains(a.t, a.asked(a.t, a.world).Last.Headers, "x-access-pass")
	},
	"a large answer that is paid first": func(a attacked) {
		e := a.newEndpoint(a.t, a.URL+"/v1?first", map[string]any{"settle": "first", "max_answer_bytes": 16 << 20})
		url := e.EndpointURL + "/large"
		name, value := a.forge(url, forgery{}).Encode()
		paid := a.get(a.t, url, name, value)
		require.Equal(a.t, 200, paid.Status)
		require.Len(a.t, paid.Body, 5<<20)
		require.NotEmpty(a.t, paid.Header.Get("PAYMENT-RESPONSE"))
		again := a.get(a.t, url, name, value)
		require.Equal(a.t, "answer_not_kept", again.errorCode(a.t))
		require.NotEmpty(a.t, again.Header.Get("PAYMENT-RESPONSE"), "its receipt")
	},
	"a server that fails what is paid first": func(a attacked) {
		e := a.newEndpoint(a.t, a.URL+"/v1?fails", map[string]any{"settle": "first"})
		name, value := a.forge(e.EndpointURL+"/broken", forgery{}).Encode()
		for range 5 {
			failed := a.get(a.t, e.EndpointURL+"/broken", name, value)
			require.Equal(a.t, 500, failed.Status)
			require.NotEmpty(a.t, failed.Header.Get("PAYMENT-RESPONSE"), "it is paid")
		}
		require.Equal(a.t, "call_spent", a.get(a.t, e.EndpointURL+"/broken", name, value).errorCode(a.t))
	},
	"an identifier of another payment": func(a attacked) {
		e := a.newEndpoint(a.t, a.URL+"/v1?named", map[string]any{"payment_identifier": true})
		url := e.EndpointURL + "/weather/named"
		named := func(p x402.Payment) string {
			text := strings.TrimSuffix(string(p.JSON()), "}") + `,"extensions":{"payment-identifier":{"info":{"required":true,"id":"pay_0123456789abcdef"}}}}`
			return base64.StdEncoding.EncodeToString([]byte(text))
		}
		name, value := a.forge(url, forgery{}).Encode()
		require.Equal(a.t, "payment_identifier_required", a.get(a.t, url, name, value).errorCode(a.t))
		require.Equal(a.t, 200, a.get(a.t, url, name, named(a.forge(url, forgery{}))).Status)
		require.Equal(a.t, "payment_identifier_used", a.get(a.t, url, name, named(a.forge(url, forgery{}))).errorCode(a.t))
	},
}

func TestAttacksOnPaidAPIs(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	s := startSeller(t)
	e := w.newEndpoint(t, s.URL+"/v1", nil)
	var withstood atomic.Int32
	t.Run("all", func(t *testing.T) {
		for name, try := range attacks {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				try(attacked{world: w, seller: s, t: t, endpoint: e})
				withstood.Add(1)
			})
		}
	})
	report(t, "%d of %d attacks withstood", withstood.Load(), len(attacks))
}
