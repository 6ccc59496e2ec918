package shop_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/shop"
)

// ledgerNode is a node of which a test says what is at every address.
type ledgerNode struct {
	code    string // of every address
	blocked bool   // the token pays nobody
	safe    bool   // every contract is a Safe, of which two of three owners sign
	time    time.Time
}

// words is a contract's answer.
func words(all ...int) string {
	text := "0x"
	for _, w := range all {
		text += fmt.Sprintf("%064x", w)
	}
	return text
}

func (n ledgerNode) result(method string, params []json.RawMessage) any {
	switch method {
	case "eth_getCode":
		return n.code
	case "eth_getBlockByNumber":
		return map[string]any{"number": "0x7", "hash": common.HexToHash("0x7"), "parentHash": common.HexToHash("0x6"), "timestamp": fmt.Sprintf("%#x", n.time.Unix())}
	case "eth_call":
		var call struct{ Data string }
		_ = json.Unmarshal(params[0], &call)
		switch {
		case strings.HasPrefix(call.Data, "0xfe575a87") && n.blocked: // isBlacklisted(address)
			return words(1)
		case strings.HasPrefix(call.Data, "0xfe575a87"):
			return words(0)
		case strings.HasPrefix(call.Data, "0xe75235b8") && n.safe: // getThreshold()
			return words(2)
		case strings.HasPrefix(call.Data, "0xa0e67e2b") && n.safe: // getOwners()
			return words(32, 3, 1, 2, 3)
		}
		return "0x"
	}
	return nil
}

func (n ledgerNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		ID     json.RawMessage
		Method string
		Params []json.RawMessage
	}
	_ = json.NewDecoder(r.Body).Decode(&asked)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": asked.ID, "result": n.result(asked.Method, asked.Params)})
}

// payeesAt are the shop's, on a test network that this node serves.
func (c counter) payeesAt(t *testing.T, n ledgerNode) *shop.Payees {
	t.Helper()
	server := httptest.NewServer(n)
	t.Cleanup(server.Close)
	networks := evm.NewRegistry(map[uint64][]string{84532: {server.URL}})
	network, err := networks.Network(sepolia)
	require.NoError(t, err)
	return shop.NewPayees(c.pool, networks, map[string]*evm.Chain{sepolia: evm.Dial(network, evm.Options{})}, c.hooks, c.now)
}

func (c counter) report(t *testing.T, n ledgerNode) shop.AddressReport {
	t.Helper()
	r, err := c.payeesAt(t, n).Report(t.Context(), c.merchant, payee.Hex())
	require.NoError(t, err)
	require.Equal(t, payee, r.Address)
	return r
}

func TestAnAddressIsReportedOn(t *testing.T) {
	t.Parallel()
	c := empty(t) // each part asks for the time itself: parallel tests wait for each other
	t.Run("a wallet", func(t *testing.T) {
		t.Parallel()
		r := c.report(t, ledgerNode{code: "0x", time: c.now()})
		require.Equal(t, shop.Wallet, r.Kind)
		require.True(t, *r.Receives)
		require.Zero(t, r.Needed)
		require.Zero(t, r.Skew)
	})
	t.Run("a Safe", func(t *testing.T) {
		t.Parallel()
		r := c.report(t, ledgerNode{code: "0x60", safe: true, time: c.now()})
		require.Equal(t, shop.Contract, r.Kind)
		require.Equal(t, []int{2, 3}, []int{r.Needed, r.Owners})
	})
	t.Run("another contract", func(t *testing.T) {
		t.Parallel()
		r := c.report(t, ledgerNode{code: "0x60", time: c.now()})
		require.Equal(t, shop.Contract, r.Kind)
		require.Zero(t, r.Needed)
	})
	t.Run("one that the token refuses", func(t *testing.T) {
		t.Parallel()
		require.False(t, *c.report(t, ledgerNode{code: "0x", blocked: true, time: c.now()}).Receives)
	})
	t.Run("on a machine whose clock is wrong", func(t *testing.T) {
		t.Parallel()
		now := c.now()
		require.InDelta(t, time.Minute, c.report(t, ledgerNode{code: "0x", time: now.Add(-time.Minute)}).Skew, float64(10*time.Second))
		require.InDelta(t, -time.Minute, c.report(t, ledgerNode{code: "0x", time: now.Add(time.Minute)}).Skew, float64(10*time.Second))
	})
	t.Run("while no network answers", func(t *testing.T) {
		t.Parallel()
		r, err := c.payees().Report(t.Context(), c.merchant, payee.Hex())
		require.NoError(t, err)
		require.Equal(t, shop.AddressReport{Address: payee}, r)
	})
}

func TestAnAddressThatTheTokenRefusesIsNoShops(t *testing.T) {
	t.Parallel()
	c := empty(t)
	p := c.payeesAt(t, ledgerNode{code: "0x", blocked: true, time: c.now()})
	requireField(t, "address", p.SetAddress(t.Context(), c.merchant, shop.AddressForm{Address: payee, Networks: []string{sepolia}}, ada))
	require.Empty(t, c.actions(t))
	for _, bad := range []string{"", "0x1", tokenAddress(t, sepolia), tokenAddress(t, base)} {
		_, err := p.Report(t.Context(), c.merchant, bad)
		requireField(t, "address", err, bad)
	}
	other := c.found(t, "books")
	c.set(t, other, another, true, sepolia)
	_, err := p.Report(t.Context(), c.merchant, another.Hex())
	requireField(t, "address", err, "it is another shop's")
	_, err = p.Report(t.Context(), other, another.Hex())
	require.NoError(t, err)
}

func tokenAddress(t *testing.T, network string) string {
	t.Helper()
	n, err := evm.NewRegistry(nil).Network(network)
	require.NoError(t, err)
	return n.Token.Address.Hex()
}

func TestProgressHasWhatProvesIt(t *testing.T) {
	t.Parallel()
	c := empty(t)
	p := c.progress(t, c.merchant)
	require.Equal(t, shop.Progress{}, p)

	c.set(t, c.merchant, payee, false, sepolia)
	p = c.progress(t, c.merchant)
	require.True(t, p.Address.Done())
	require.Equal(t, strings.ToLower(payee.Hex()), p.Address.What)
	require.Equal(t, "Ada", p.Address.Who)
	require.False(t, p.Proof.Done())

	c.set(t, c.merchant, payee, true, sepolia)
	c.create(t, coffee)
	c.create(t, with(func(f *shop.LinkForm) { f.Title = "Bun" }))
	p = c.progress(t, c.merchant)
	require.Equal(t, "Ada", p.Proof.Who)
	require.Equal(t, "Flat white", p.Link.What, "the first one")
	require.False(t, p.TestSale.Done())
	require.Equal(t, shop.Progress{}, c.progress(t, c.found(t, "books")), "another shop's is another's")
}

func (c counter) progress(t *testing.T, merchant id.Merchant) shop.Progress {
	t.Helper()
	p, err := c.Progress(t.Context(), merchant)
	require.NoError(t, err)
	return p
}
