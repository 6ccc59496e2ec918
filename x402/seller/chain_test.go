package seller_test

import (
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"xsynesis/evm/devchain"
	"xsynesis/money"
	"xsynesis/x402"
	"xsynesis/x402/seller"
)

// TestTheChainSaysWhatAFacilitatorDoesNot has a facilitator that moves the money and then falls over for good, one that
// falls over before it moved any, and a payer who cancels instead.
func TestTheChainSaysWhatAFacilitatorDoesNot(t *testing.T) {
	t.Parallel()
	buyer, err := crypto.HexToECDSA(testKey)
	require.NoError(t, err)
	gas, err := crypto.GenerateKey()
	require.NoError(t, err)
	chain, err := devchain.Start(t.Context(), devchain.Options{Alloc: map[common.Address]devchain.Account{
		crypto.PubkeyToAddress(gas.PublicKey):   {ETH: big.NewInt(1e18)},
		crypto.PubkeyToAddress(buyer.PublicKey): {USDC: 100 * money.One},
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, chain.Stop()) })

	nonce := uint64(0)
	send := func(data []byte) {
		tx, err := types.SignNewTx(gas, types.LatestSignerForChainID(big.NewInt(devchain.ChainID)), &types.DynamicFeeTx{
			ChainID: big.NewInt(devchain.ChainID), Nonce: nonce, To: &devchain.USDC, Value: new(big.Int), Data: data, Gas: 200_000,
			GasTipCap: big.NewInt(5e9), GasFeeCap: big.NewInt(1e11),
		})
		require.NoError(t, err)
		nonce++
		require.NoError(t, chain.Client().SendTransaction(t.Context(), tx))
		require.Eventually(t, func() bool {
			r, err := chain.Client().TransactionReceipt(t.Context(), tx.Hash())
			return err == nil && r.Status == types.ReceiptStatusSuccessful
		}, 30*time.Second, 50*time.Millisecond)
	}
	f := facilitate(t, func(f *facilitator) { f.settle = func(int) (int, string) { return 500, "<html>" } })
	url, calls := shop(t, f.paywall(t, func(o *seller.Options) {
		o.Chain, o.Patience = seller.Node(chain.URL(), x402.BaseSepolia), 1500*time.Millisecond
	}), seller.Route{}, weather)
	want := x402.Requirement{Token: x402.BaseSepolia, Amount: money.One / 100, PayTo: payee, MaxTimeout: 5 * time.Minute}

	paid, cancelled := signed(t, want, 2), signed(t, want, 2)
	answer, _ := fetch(t, http.DefaultTransport, http.MethodGet, url, paid)
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode, "nothing has moved, and it still may")
	p, err := x402.FromRequest(paid)
	require.NoError(t, err)
	send(transferCall(p))
	answer, body := fetch(t, http.DefaultTransport, http.MethodGet, url, paid)
	require.Equal(t, http.StatusOK, answer.StatusCode, body)
	receipt, ok := x402.ReadReceipt(answer.Header)
	require.True(t, ok)
	require.Len(t, receipt.Transaction, 66, "the chain names it")
	require.EqualValues(t, 1, calls.Load())

	answer, _ = fetch(t, http.DefaultTransport, http.MethodGet, url, cancelled)
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	p, err = x402.FromRequest(cancelled)
	require.NoError(t, err)
	typehash := crypto.Keccak256([]byte("CancelAuthorization(address authorizer,bytes32 nonce)"))
	separator := want.Token.DomainSeparator()
	message := crypto.Keccak256(typehash, common.LeftPadBytes(p.Authorization.From.Bytes(), 32), p.Authorization.Nonce.Bytes())
	signature, err := crypto.Sign(crypto.Keccak256([]byte("\x19\x01"), separator[:], message), buyer)
	require.NoError(t, err)
	send(words("cancelAuthorization(address,bytes32,uint8,bytes32,bytes32)", p.Authorization.From.Bytes(), p.Authorization.Nonce.Bytes(),
		[]byte{signature[64] + 27}, signature[:32], signature[32:64]))
	f.settle = func(int) (int, string) {
		return 200, `{"success":false,"errorReason":"invalid_exact_evm_nonce_already_used","transaction":"","network":"eip155:84532"}`
	}
	answer, _ = fetch(t, http.DefaultTransport, http.MethodGet, url, cancelled)
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode, "used, and yet nothing moved: a cancelled payment buys nothing")
}

// words is the calldata of a function whose arguments are a word each.
func words(function string, args ...[]byte) []byte {
	data := crypto.Keccak256([]byte(function))[:4]
	for _, a := range args {
		data = append(data, common.LeftPadBytes(a, 32)...)
	}
	return data
}

func transferCall(p x402.Payment) []byte {
	a := p.Authorization
	return words("transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)",
		a.From.Bytes(), a.To.Bytes(), a.Value.Bytes(), a.ValidAfter.Bytes(), a.ValidBefore.Bytes(), a.Nonce.Bytes(),
		p.Signature[64:], p.Signature[:32], p.Signature[32:64])
}

func TestANodeThatLiesOrFailsMovesNothing(t *testing.T) {
	t.Parallel()
	a := x402.Authorization{Value: big.NewInt(1), ValidAfter: new(big.Int), ValidBefore: new(big.Int)}
	for name, result := range map[string]string{
		"an error":     `{"error":{"message":"no"}}`,
		"nothing":      `{}`,
		"no JSON":      `<html>`,
		"another kind": `{"result":{"a":1}}`,
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(result)) }))
		t.Cleanup(s.Close)
		tx, err := seller.Node(s.URL+"/secret", x402.BaseSepolia).Moved(t.Context(), a)
		require.Error(t, err, name)
		require.Empty(t, tx)
		require.NotContains(t, err.Error(), "secret")
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Method string }
		_ = json.NewDecoder(r.Body).Decode(&asked)
		result := `"0x10"`
		if strings.HasSuffix(asked.Method, "Logs") { // a use, and a transfer of another amount
			result = `[{"transactionHash":"0x` + strings.Repeat("0", 63) + `1","blockNumber":"0x1","data":"0x02"}]`
		}
		_, _ = w.Write([]byte(`{"result":` + result + `}`))
	}))
	t.Cleanup(s.Close)
	tx, err := seller.Node(s.URL, x402.BaseSepolia).Moved(t.Context(), a)
	require.Error(t, err)
	require.Empty(t, tx)
}
