package e2e

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"xsynesis/x402"
)

// TestServersOfOthersAreSettledFor lets the reference servers of both versions settle by our facilitator, and their own
// clients pay them.
func TestServersOfOthersAreSettledFor(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	for version, packages := range map[int]string{1: "express1", 2: "express"} {
		t.Run(fmt.Sprintf("version %d", version), func(t *testing.T) {
			t.Parallel()
			server := serveNPM(t, packages, fmt.Sprintf("server_v%d.mjs", version), "FACILITATOR="+w.BaseURL+"/facilitator", "PAY_TO="+w.OwnerAddress)
			paid := w.runClient(t, version, server.url+"/weather")
			require.Equal(t, 200, paid.Status, paid.Body)
			var header receiptHeader
			decodeHeader(t, paid.Receipt, &header)
			require.True(t, header.Success)
			w.requireTransfer(t, header.Transaction, w.BuyerAddress, w.OwnerAddress, 10_000)
			require.Equal(t, "1", strings.TrimSpace(w.get(t, server.url+"/calls").Body))
			require.Equal(t, 1, w.one(t, `SELECT count(*) FROM settlements WHERE transaction = $1 AND attempt_id IS NULL`, header.Transaction))
			require.Zero(t, w.one(t, `SELECT count(*) FROM sales WHERE transaction = $1`, header.Transaction))
		})
	}
}

// carried is a site whose payments are moved by the reference facilitator on the same chain. Its worker has no key.
type carried struct {
	*world
	port int
}

func startCarried(t *testing.T, env ...string) (carried, npmServer) {
	t.Helper()
	w := carried{startSite(t), freePort()}
	return w, w.facilitate(t, env...)
}

// facilitate starts the facilitator, where it was before.
func (w carried) facilitate(t *testing.T, env ...string) npmServer {
	t.Helper()
	return serveNPM(t, "express", "facilitator_v2.mjs",
		append(env, "RPC_URL="+w.RPCURL, "GAS_KEY="+w.RelayerKey, fmt.Sprintf("PORT=%d", w.port))...)
}

func (w carried) works(t *testing.T, env ...string) {
	t.Helper()
	w.startProcess(t, w.with(append(env, fmt.Sprintf("FACILITATOR_URL=http://127.0.0.1:%d", w.port))...), "xsynesis", "worker")
}

// offered waits until the link may be paid, and signs a payment for it.
func (w carried) offered(t *testing.T) (url, name, value string) {
	t.Helper()
	url = w.BaseURL + "/link/" + w.LinkToken
	require.Eventually(t, func() bool { return w.get(t, url).Status == http.StatusPaymentRequired }, readyTimeout, 200*time.Millisecond)
	name, value = w.payment(t, w.buyer(t), 2, w.get(t, url).required(t))
	return url, name, value
}

// pay sends the same payment until it is answered; nobody is ever asked for another.
func (w carried) pay(t *testing.T, url, name, value string) answer {
	t.Helper()
	var paid answer
	require.Eventually(t, func() bool {
		paid = w.get(t, url, name, value)
		require.Contains(t, []int{http.StatusOK, http.StatusServiceUnavailable}, paid.Status, paid.Body)
		return paid.Status == http.StatusOK
	}, time.Minute, 500*time.Millisecond)
	return paid
}

func (w carried) soldOnce(t *testing.T) {
	t.Helper()
	require.Equal(t, 1, w.one(t, `SELECT count(*) FROM sales`))
	require.Equal(t, 1, w.one(t, `SELECT count(*) FROM settlements WHERE status IN ('confirmed', 'final')`))
	require.Zero(t, w.one(t, `SELECT count(*) FROM relays`), "our own relayer sent something")
	require.NoError(t, w.audit())
}

// TestAReferenceFacilitatorIsKilled kills it at the worst moments. The buyer has one payment, and sends it again.
func TestAReferenceFacilitatorIsKilled(t *testing.T) {
	t.Parallel()
	t.Run("never", func(t *testing.T) {
		t.Parallel()
		w, _ := startCarried(t)
		w.works(t)
		url, name, value := w.offered(t)
		w.pay(t, url, name, value)
		w.soldOnce(t)
	})

	t.Run("before it sends", func(t *testing.T) {
		t.Parallel()
		w, f := startCarried(t, "FREEZE=before")
		w.works(t)
		url, name, value := w.offered(t)
		require.Equal(t, http.StatusServiceUnavailable, w.get(t, url, name, value).Status)
		_, err := f.await("frozen before", readyTimeout)
		require.NoError(t, err)
		f.kill()
		require.Eventually(t, func() bool { return w.one(t, `SELECT count(*) FROM attempts WHERE status = 'unknown'`) == 1 }, readyTimeout, 100*time.Millisecond)
		require.Equal(t, http.StatusServiceUnavailable, w.get(t, url, name, value).Status, "nobody is asked to pay again")
		require.Zero(t, w.one(t, `SELECT count(*) FROM sales`))
		w.facilitate(t)
		w.pay(t, url, name, value)
		w.soldOnce(t)
	})

	t.Run("after it sent, before it answers", func(t *testing.T) {
		t.Parallel()
		w, f := startCarried(t, "FREEZE=after")
		w.works(t)
		url, name, value := w.offered(t)
		w.get(t, url, name, value)
		_, err := f.await("frozen after", readyTimeout)
		require.NoError(t, err)
		f.kill()
		w.pay(t, url, name, value) // without any facilitator
		w.soldOnce(t)
		require.Equal(t, 1, w.one(t, `SELECT count(*) FROM facilitator_asks WHERE call = 'settle'`))
	})

	t.Run("never, and a call of a paid API is moved as well", func(t *testing.T) {
		t.Parallel()
		var calls atomic.Int32
		upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			_, _ = io.WriteString(w, "sunny")
		}))
		t.Cleanup(upstream.Close)
		w := carried{startSite(t, "ALLOW_PRIVATE_TARGETS=true"), freePort()}
		w.facilitate(t)
		w.works(t)
		e := w.newEndpoint(t, upstream.URL, nil)
		require.Eventually(t, func() bool { return w.get(t, e.EndpointURL).Status == http.StatusPaymentRequired }, readyTimeout, 200*time.Millisecond)
		name, value := w.payment(t, w.buyer(t), 2, w.get(t, e.EndpointURL).required(t))
		require.Equal(t, "sunny", w.pay(t, e.EndpointURL, name, value).Body)
		require.EqualValues(t, 1, calls.Load())
		w.soldOnce(t)
	})

	t.Run("with a worker that runs once", func(t *testing.T) {
		t.Parallel()
		w, _ := startCarried(t)
		facilitator := fmt.Sprintf("FACILITATOR_URL=http://127.0.0.1:%d", w.port)
		require.Eventually(t, func() bool { // until one of them has looked at the facilitator
			w.runOnce(t, facilitator)
			return w.get(t, w.BaseURL+"/link/"+w.LinkToken).Status == http.StatusPaymentRequired
		}, readyTimeout, time.Millisecond)
		w.payLater(t)
		require.Equal(t, 1, w.one(t, `SELECT count(*) FROM settlements WHERE status = 'queued'`))
		w.runOnce(t, facilitator)
		w.soldOnce(t)
	})
}

// asked is one request as a facilitator sees it.
type asked struct {
	method, path string
	header       http.Header
	body         string
}

// listening is a facilitator that says yes, and remembers what it was asked.
type listening struct {
	mu  sync.Mutex
	all []asked
}

func (l *listening) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, asked{r.Method, r.URL.Path, r.Header.Clone(), string(body)})
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"isValid":true,"success":true,"payer":"0x1","transaction":"0x2","network":"eip155:84532"}`)
}

// TestCDPIsAskedAsItsOwnClientAsks compares, request by request, what we send to Coinbase's facilitator with what its npm
// package sends that is given the same key and the same payment.
func TestCDPIsAskedAsItsOwnClientAsks(t *testing.T) {
	t.Parallel()
	for alg, make := range map[string]func(*testing.T) (secret string, public any){"EdDSA": edKey, "ES256": ecKey} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			secret, public := make(t)
			const id = "organizations/one/apiKeys/two"
			theirs, ours := &listening{}, &listening{}
			there, here := httptest.NewServer(theirs), httptest.NewServer(ours)
			t.Cleanup(there.Close)
			t.Cleanup(here.Close)
			const base = "/platform/v2/x402"

			key, err := x402.NewCDPKey(id, secret, time.Now)
			require.NoError(t, err)
			remote, err := x402.NewRemote(here.URL+base, x402.RemoteOptions{Headers: func(method string, u *url.URL) (http.Header, error) {
				real, err := url.Parse(x402.CDP)
				require.NoError(t, err)
				real.Path = u.Path
				return key.Headers(method, real)
			}})
			require.NoError(t, err)
			want := x402.Requirement{Token: x402.BaseSepolia, Amount: 10_000, PayTo: common.HexToAddress("0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65"), MaxTimeout: time.Minute}
			payer := newKey(t)
			a := x402.Authorization{From: common.HexToAddress(addressOf(payer)), To: want.PayTo, Value: big.NewInt(10_000), ValidAfter: new(big.Int), ValidBefore: big.NewInt(2_000_000_000)}
			signature, err := x402.Sign(a, want.Token, payer)
			require.NoError(t, err)
			payment := want.Payment(2, a, signature)
			_, err = remote.Verify(t.Context(), payment, want)
			require.NoError(t, err)
			_, err = remote.Settle(t.Context(), payment, want)
			require.NoError(t, err)

			made := object{}
			runNPM(t, &made, "cdp", "cdp.mjs", []string{"CDP_API_KEY_ID=" + id, "CDP_API_KEY_SECRET=" + secret, "FACILITATOR=" + there.URL + base, "ASKED=" + ours.all[0].body})
			require.Contains(t, made, "supported")
			require.Len(t, theirs.all, 2)
			require.Len(t, ours.all, 2)
			for i, their := range theirs.all {
				our := ours.all[i]
				require.Equal(t, their.method+" "+their.path, our.method+" "+our.path)
				require.JSONEq(t, their.body, our.body)
				require.Equal(t, strings.Replace(their.header.Get("Correlation-Context"), "typescript", "go", 1), our.header.Get("Correlation-Context"))
				require.Equal(t, claimsOf(t, alg, their, public), claimsOf(t, alg, our, public))
			}
		})
	}
}

// claimsOf checks the token of a request, and returns what of it does not change with the moment.
func claimsOf(t *testing.T, alg string, a asked, public any) map[string]any {
	t.Helper()
	text, ok := strings.CutPrefix(a.header.Get("Authorization"), "Bearer ")
	require.True(t, ok)
	claims := jwt.MapClaims{}
	token, err := jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithIssuer("cdp"), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(5*time.Second)).
		ParseWithClaims(text, claims, func(*jwt.Token) (any, error) { return public, nil })
	require.NoError(t, err)
	require.Len(t, token.Header["nonce"], 32)
	require.InDelta(t, 120, claims["exp"].(float64)-claims["iat"].(float64), 0)
	require.Equal(t, claims["iat"], claims["nbf"])
	out := map[string]any{"header.alg": token.Header["alg"], "header.kid": token.Header["kid"], "header.typ": token.Header["typ"], "members": len(claims)}
	for _, name := range []string{"sub", "iss", "uris", "aud"} {
		out[name] = claims[name]
	}
	return out
}

func edKey(t *testing.T) (secret string, public any) {
	t.Helper()
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(private), pub
}

func ecKey(t *testing.T) (secret string, public any) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), &private.PublicKey
}
