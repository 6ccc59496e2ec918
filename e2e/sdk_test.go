package e2e

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"xsynesis/evm/devchain"
	"xsynesis/money"
	"xsynesis/static"
	"xsynesis/x402"
)

// market is a chain with a buyer and a facilitator of somebody else's, and no gateway at all.
type market struct {
	*world // only its chain and its buyer
	payee  string
	facil  string // the facilitator's address
}

// openMarket starts the chain, and the facilitator of the npm packages on it.
func openMarket(t *testing.T) *market {
	t.Helper()
	gas, buyer, payee := newKey(t), newKey(t), newKey(t)
	wei := new(big.Int).Mul(big.NewInt(10), big.NewInt(1e18))
	chain, err := devchain.Start(t.Context(), devchain.Options{Alloc: map[common.Address]devchain.Account{
		crypto.PubkeyToAddress(gas.PublicKey):   {ETH: wei},
		crypto.PubkeyToAddress(buyer.PublicKey): {USDC: 100 * money.One},
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, chain.Stop()) })
	m := &market{payee: addressOf(payee), world: &world{devFile: devFile{
		RPCURL: chain.URL(), ChainID: devchain.ChainID, USDC: devchain.USDC.Hex(),
		BuyerKey: hexutil.Encode(crypto.FromECDSA(buyer)), BuyerAddress: addressOf(buyer),
	}}}
	m.facil = serveNPM(t, "express", "facilitator_v2.mjs", "RPC_URL="+chain.URL(), "GAS_KEY="+hexutil.Encode(crypto.FromECDSA(gas))).url
	return m
}

func addressOf(key *ecdsa.PrivateKey) string { return crypto.PubkeyToAddress(key.PublicKey).Hex() }

// run builds a Go program of the documents and starts it in a folder of its own.
func (m *market) run(t *testing.T, b block, env ...string) *child {
	t.Helper()
	return startWith(t, append(cleanEnv(), env...), t.TempDir(), m.build(t, b))
}

func (m *market) build(t *testing.T, b block) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-p", "2", "-o", program, writeBlock(t, t.TempDir(), "main.go", b)).CombinedOutput()
	require.NoError(t, err, "%s:\n%s", b, out)
	return program
}

// sells starts the server of the documents and returns what it sells.
func (m *market) sells(t *testing.T) (url string) {
	t.Helper()
	b := blockOf(t, "go", "sells")
	body := b.text[strings.Index(b.text, "func main() {")+len("func main() {\n") : strings.LastIndex(b.text, "}")]
	require.LessOrEqual(t, strings.Count(body, "\n"), 15, "a server of 15 lines")
	port := freePort()
	c := m.run(t, b, fmt.Sprintf("PORT=%d", port), "FACILITATOR="+m.facil, "PAY_TO="+m.payee)
	url = fmt.Sprintf("http://127.0.0.1:%d/weather", port)
	require.Eventually(t, func() bool {
		require.True(t, c.running(), c.log())
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		answer, err := plainClient.Do(r)
		return err == nil && answer.Body.Close() == nil && answer.StatusCode == http.StatusPaymentRequired
	}, readyTimeout, 50*time.Millisecond)
	return url
}

func blockOf(t testing.TB, language, how string) block {
	t.Helper()
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if b.language == language && b.how == how {
				return b
			}
		}
	}
	require.Fail(t, "no such block in the documents", "%s %s", language, how)
	return block{}
}

func TestTheServerOfTheDocumentsIsPaidByUnmodifiedClients(t *testing.T) {
	t.Parallel()
	m := openMarket(t)
	url := m.sells(t)
	for version := 1; version <= 2; version++ {
		paid := m.runClient(t, version, url)
		require.Equal(t, 200, paid.Status, paid.Body)
		require.JSONEq(t, `{"weather":"sunny"}`, paid.Body)
		var header receiptHeader
		decodeHeader(t, paid.Receipt, &header)
		require.True(t, header.Success)
		m.requireTransfer(t, header.Transaction, m.BuyerAddress, m.payee, 10_000)
	}
	require.EqualValues(t, 20_000, m.balance(t, m.payee))
}

// TestTheServerAndTheProgramOfTheDocumentsMeet lets this gateway move the money between them.
func TestTheServerAndTheProgramOfTheDocumentsMeet(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	m := &market{world: w, payee: w.OwnerAddress, facil: w.BaseURL + "/facilitator"}
	c := m.run(t, blockOf(t, "go", "pays"), "BUYER_KEY="+m.BuyerKey, "URL="+m.sells(t))
	answer, err := c.await("200 ", time.Minute)
	require.NoError(t, err)
	require.JSONEq(t, `{"weather":"sunny"}`, answer)
	line, err := c.await("paid 0.01 ", time.Minute)
	require.NoError(t, err)
	_, transaction, _ := strings.Cut(line, " ")
	m.requireTransfer(t, transaction, m.BuyerAddress, m.payee, 10_000)
}

func TestTheProgramOfTheDocumentsPaysUnmodifiedServers(t *testing.T) {
	t.Parallel()
	m := openMarket(t)
	for packages, script := range map[string]string{"express1": "server_v1.mjs", "express": "server_v2.mjs"} {
		server := serveNPM(t, packages, script, "FACILITATOR="+m.facil, "PAY_TO="+m.payee).url
		c := m.run(t, blockOf(t, "go", "pays"), "BUYER_KEY="+m.BuyerKey, "URL="+server+"/weather")
		answer, err := c.await("200 ", time.Minute)
		require.NoError(t, err, script)
		require.JSONEq(t, `{"weather":"sunny"}`, answer)
		line, err := c.await("paid 0.01 ", time.Minute)
		require.NoError(t, err)
		_, transaction, _ := strings.Cut(line, " ")
		m.requireTransfer(t, transaction, m.BuyerAddress, m.payee, 10_000)
		require.Equal(t, 1, m.calls(t, server), script)
	}
}

// calls is how often the work of a server was done.
func (m *market) calls(t *testing.T, server string) (n int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server+"/calls", nil)
	require.NoError(t, err)
	answer, err := plainClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close() //nolint:errcheck // it was only read
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&n))
	return n
}

// TestThePageOfTheDocumentsPays puts the page on one site, the module on a second and the server on a third.
func TestThePageOfTheDocumentsPays(t *testing.T) {
	t.Parallel()
	m := openMarket(t)
	modules := httptest.NewServer(static.Handler())
	t.Cleanup(modules.Close)
	url := m.sells(t)
	page := strings.NewReplacer("{{GATEWAY}}", modules.URL, "{{URL}}", url).Replace(blockOf(t, "html", "pays").text)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page)
	}))
	t.Cleanup(site.Close)
	m.BaseURL = site.URL

	pocket := newWallet(m.buyer(t), m.ChainID)
	v := visit(t, m.world, desktop, pocket.in).provokes(402)
	v.mayOpen = "127.0.0.1"
	v.open("/")
	v.press(v.button("Buy the weather"))
	v.says(`200 {"weather":"sunny"} 0x`)
	require.Equal(t, 1, pocket.asked())
	require.EqualValues(t, 10_000, m.balance(t, m.payee))

	pocket.onSign(func() *walletError { return rejection })
	said, err := v.Evaluate(fmt.Sprintf(`async () => {
		const { payAndFetch } = await import(%q);
		const code = (options) => payAndFetch(%q, options).then((answer) => answer.status, (problem) => problem.code ?? String(problem));
		return [await code({}), await code({ max: "0.009" }), await code({ provider: null }), await code({ max: "a lot" }), (await payAndFetch(%q)).status];
	}`, modules.URL+"/static/pay.js", url, site.URL))
	require.NoError(t, err)
	require.Equal(t, "[declined too_much no_wallet SyntaxError: Cannot convert undefined000000 to a BigInt 200]", fmt.Sprint(said))
	require.EqualValues(t, 10_000, m.balance(t, m.payee), "nothing was charged for any of them")
}

// TestAPageOfAnotherSitePaysALink pays the gateway itself with its own module.
func TestAPageOfAnotherSitePaysALink(t *testing.T) {
	t.Parallel()
	w := *sharedWorld(t)
	link := w.newLink(t, "From another site", "0.05")
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a blog") }))
	t.Cleanup(site.Close)
	gateway := w.BaseURL
	w.BaseURL = site.URL
	pocket := newWallet(w.buyer(t), w.ChainID)
	v := visit(t, &w, desktop, pocket.in).provokes(402)
	v.mayOpen = gateway
	v.open("/")
	said, err := v.Evaluate(fmt.Sprintf(`async () => {
		const { payAndFetch } = await import(%q);
		const answer = await payAndFetch(%q);
		return [answer.status, (await answer.json()).status, answer.receipt.success];
	}`, gateway+"/static/pay.js", link.URL))
	require.NoError(t, err)
	require.Equal(t, "[200 settled true]", fmt.Sprint(said))
}

func TestPayPaysALinkAndStaysWithinItsLimits(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	link := w.newLink(t, "From a shell", "0.05")
	dir := t.TempDir()
	pay := func(args ...string) (stdout, stderr string, ok bool) {
		path, err := binary("xsynesis")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, path, append([]string{"pay", "--book", filepath.Join(dir, "book")}, args...)...)
		cmd.Env = append(cleanEnv(), "XSYNESIS_BUYER_KEY="+w.BuyerKey)
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		ok = cmd.Run() == nil
		require.NotContains(t, errs.String(), strings.TrimPrefix(w.BuyerKey, "0x"))
		return out.String(), errs.String(), ok
	}
	out, errs, ok := pay("--offer", link.URL)
	require.True(t, ok, errs)
	require.Contains(t, out, "0.05 USDC on eip155:84532 to ")

	out, errs, ok = pay("--per-day", "0.05", link.URL)
	require.True(t, ok, errs)
	var r receipt
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Equal(t, "settled", r.Status)
	require.Contains(t, errs, "paid: 0.05 USDC to ")
	require.Contains(t, errs, r.Transaction)

	_, errs, ok = pay("--per-day", "0.05", link.URL)
	require.False(t, ok)
	require.Contains(t, errs, "over the limit")
	_, errs, ok = pay("--max", "0.04", "--per-day", "9", link.URL)
	require.False(t, ok)
	require.Contains(t, errs, "over the limit")
	require.Len(t, w.sales(t, "item_title", link.Title), 1)

	_, errs, ok = pay("--max", "lots", link.URL)
	require.False(t, ok)
	require.Contains(t, errs, "--max")
	_, _, ok = pay("not an address")
	require.False(t, ok)
}

// TestAKilledPayerSendsTheSamePaymentAgain kills the command while a server has its payment and has not answered.
func TestAKilledPayerSendsTheSamePaymentAgain(t *testing.T) {
	t.Parallel()
	key, price := newKey(t), money.One/100
	var mu sync.Mutex
	var sent []string
	came := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := x402.Requirement{
			Token: x402.BaseSepolia, Amount: price, PayTo: common.HexToAddress("0x1"), MaxTimeout: 5 * time.Minute,
			Resource: x402.Resource{URL: "http://" + r.Host},
		}
		p, err := x402.FromRequest(r.Header)
		if err != nil || p.Verify(want, time.Now()) != nil {
			w.Header().Set(x402.HeaderRequired, x402.Header("pay", want))
			w.WriteHeader(http.StatusPaymentRequired)
			return
		}
		mu.Lock()
		sent = append(sent, r.Header.Get(x402.HeaderSignature))
		first := len(sent) == 1
		mu.Unlock()
		came <- struct{}{}
		if first {
			<-r.Context().Done() // it never answers
			return
		}
		name, value := x402.Receipt{Success: true, Transaction: "0x01", Token: x402.BaseSepolia}.Header(2)
		w.Header().Set(name, value)
		_, _ = io.WriteString(w, "sunny")
	}))
	t.Cleanup(server.Close)
	book := filepath.Join(t.TempDir(), "book")
	pay := func() *child {
		env := append(cleanEnv(), "XSYNESIS_BUYER_KEY="+hexutil.Encode(crypto.FromECDSA(key)))
		c, err := startChild(env, t.TempDir(), "xsynesis", "pay", "--book", book, "--per-day", "0.01", server.URL)
		require.NoError(t, err)
		return c
	}
	killed := pay()
	<-came
	require.NoError(t, killed.cmd.Process.Kill())
	<-killed.exited
	again := pay()
	_, err := again.await("sunny", time.Minute)
	require.NoError(t, err)
	<-again.exited
	require.Contains(t, again.log(), "paid: 0.01 USDC")
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, sent, 2)
	require.Equal(t, sent[0], sent[1], "two signatures could be two payments")
}
