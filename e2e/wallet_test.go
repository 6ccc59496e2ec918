package e2e

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
	"github.com/stretchr/testify/require"
)

// walletName is what the injected wallet calls itself.
const walletName = "Pocket"

// injection makes a wallet of the page: announced as extensions announce themselves, and the old way too.
// What it is asked goes to the test, which holds the key.
const injection = `(() => {
	const request = async ({ method, params = [] }) => {
		const { result, error } = JSON.parse(await window.askWallet(JSON.stringify({ method, params })));
		if (error) throw Object.assign(new Error(error.message), { code: error.code });
		return result;
	};
	const provider = Object.freeze({ request, on() {}, removeListener() {} });
	window.ethereum = provider;
	const info = Object.freeze({ uuid: "0d3c6a52-3c1f-4c53-8f5e-6a8d7c2b1e90", name: "` + walletName + `", icon: "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'%3E%3Crect width='24' height='24' rx='6' fill='%23D9DDF2'/%3E%3Cpath d='M6 8h12v4a6 6 0 0 1-12 0z' fill='none' stroke='%2315161A' stroke-width='2'/%3E%3C/svg%3E", rdns: "test.pocket" });
	const announce = () => window.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: Object.freeze({ info, provider }) }));
	window.addEventListener("eip6963:requestProvider", announce);
	announce();
})()`

// walletError is an error of EIP-1193.
type walletError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// EIP-1193: the person said no.
var rejection = &walletError{4001, "User rejected the request."}

// wallet signs as its owner, the test, decides.
type wallet struct {
	key *ecdsa.PrivateKey

	mu     sync.Mutex
	chain  int64
	signs  int                 // how often it was asked to sign
	decide func() *walletError // on signing; nil approves at once
	moves  func() *walletError // on changing the network
	rpc    string              // where it sends money by itself; empty for nowhere
}

func newWallet(key *ecdsa.PrivateKey, chain int64) *wallet { return &wallet{key: key, chain: chain} }

func (w *wallet) address() string { return crypto.PubkeyToAddress(w.owner().PublicKey).Hex() }

// onSign says what the owner does from now on when the wallet asks.
func (w *wallet) onSign(decide func() *walletError) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.decide = decide
}

func (w *wallet) onSwitch(decide func() *walletError) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moves = decide
}

// hold makes every approval wait until the returned function is called.
func (w *wallet) hold() (release func()) {
	gate := make(chan struct{})
	w.onSign(func() *walletError { <-gate; return nil })
	return sync.OnceFunc(func() { close(gate) })
}

func (w *wallet) asked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.signs
}

// in puts the wallet into a visitor's browser.
func (w *wallet) in(v *visitor) {
	require.NoError(v.t, v.context.AddInitScript(scriptOf(injection)))
	require.NoError(v.t, v.context.ExposeFunction("askWallet", func(args ...any) any {
		result, refused := w.answer(args[0].(string))
		text, err := json.Marshal(map[string]any{"result": result, "error": refused})
		if err != nil {
			return `{"error":{"code":-32603,"message":"unreadable"}}`
		}
		return string(text)
	}))
}

func (w *wallet) answer(text string) (any, *walletError) {
	var asked struct {
		Method string            `json:"method"`
		Params []json.RawMessage `json:"params"`
	}
	if err := json.Unmarshal([]byte(text), &asked); err != nil {
		return nil, &walletError{-32700, err.Error()}
	}
	switch asked.Method {
	case "eth_requestAccounts", "eth_accounts":
		return []string{w.address()}, nil
	case "eth_chainId":
		w.mu.Lock()
		defer w.mu.Unlock()
		return hexutil.EncodeUint64(uint64(w.chain)), nil
	case "wallet_switchEthereumChain":
		return nil, w.switchTo(asked.Params)
	case "eth_signTypedData_v4":
		return w.sign(asked.Params)
	case "personal_sign":
		return w.signText(asked.Params)
	case "eth_sendTransaction":
		return w.send(asked.Params)
	default:
		return nil, &walletError{4200, "unknown method " + asked.Method}
	}
}

func (w *wallet) switchTo(params []json.RawMessage) *walletError {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.moves != nil {
		if refused := w.moves(); refused != nil {
			return refused
		}
	}
	var to struct{ ChainID hexutil.Uint64 }
	if err := json.Unmarshal(params[0], &to); err != nil {
		return &walletError{-32602, err.Error()}
	}
	w.chain = int64(to.ChainID)
	return nil
}

// asks its owner for a signature.
func (w *wallet) asks() *walletError {
	w.mu.Lock()
	w.signs++
	decide := w.decide
	w.mu.Unlock()
	if decide == nil {
		return nil
	}
	return decide()
}

func (w *wallet) signHash(hash []byte) (any, *walletError) {
	signature, err := crypto.Sign(hash, w.owner())
	if err != nil {
		return nil, &walletError{-32603, err.Error()}
	}
	signature[64] += 27
	return hexutil.Encode(signature), nil
}

// signText signs what a page asks a person to sign in with.
func (w *wallet) signText(params []json.RawMessage) (any, *walletError) {
	if refused := w.asks(); refused != nil {
		return nil, refused
	}
	var text hexutil.Bytes
	if err := json.Unmarshal(params[0], &text); err != nil {
		return nil, &walletError{-32602, err.Error()}
	}
	return w.signHash(accounts.TextHash(text))
}

func (w *wallet) sign(params []json.RawMessage) (any, *walletError) {
	if refused := w.asks(); refused != nil {
		return nil, refused
	}
	var text string
	var typed apitypes.TypedData
	if json.Unmarshal(params[1], &text) != nil || json.Unmarshal([]byte(text), &typed) != nil {
		return nil, &walletError{-32602, "the typed data cannot be read"}
	}
	digest, _, err := apitypes.TypedDataAndHash(typed)
	if err != nil {
		return nil, &walletError{-32602, err.Error()}
	}
	return w.signHash(digest)
}

// noTestWallet takes the demo's own wallet out of a visitor's browser.
func noTestWallet(v *visitor) { v.answerInstead("**/testwallet*.js*", "") }

// neighbour is somebody else with USDC: the bookshop's owner, once somebody has bought there.
func (w *world) neighbour(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.Dir, "world-keys.json"))
	require.NoError(t, err)
	var keys map[string]string
	require.NoError(t, json.Unmarshal(text, &keys))
	key, err := crypto.ToECDSA(hexutil.MustDecode(keys["books"]))
	require.NoError(t, err)
	var token string
	require.NoError(t, w.pool(t).QueryRow(t.Context(),
		`SELECT token FROM links JOIN merchants m ON m.id = merchant_id WHERE slug = 'halden-books' AND price < 20000000 ORDER BY price DESC LIMIT 1`).Scan(&token))
	at := w.BaseURL + "/link/" + token
	name, value := w.payment(t, w.buyer(t), 2, w.get(t, at).required(t))
	paid := w.get(t, at, name, value).receipt(t)
	require.True(t, strings.EqualFold(crypto.PubkeyToAddress(key.PublicKey).Hex(), paid.PayTo), fmt.Sprint(paid))
	return key
}
