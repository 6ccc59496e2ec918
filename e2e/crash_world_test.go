package e2e

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/audit"
	"xsynesis/bench/buyer"
	"xsynesis/cmd/config"
	"xsynesis/cmd/wire"
	"xsynesis/evm/devchain"
	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/postgres/pgtest"
	"xsynesis/shop"
)

const (
	crashNetwork = "eip155:84532"
	crashPrice   = money.One / 20
	crashMaster  = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
)

// crashWorld is a database and a chain, which outlive every shop that runs on them.
type crashWorld struct {
	env   []string
	log   string
	parts *wire.Parts // the same services in the test, to found the shop and to audit it
	chain *ethclient.Client
	dev   *devchain.Chain // the chain itself, where it runs in the test
	buyer *buyer.Buyer
	payer *ecdsa.PrivateKey // of the buyer's wallet
	owner *ecdsa.PrivateKey // of the shop's own wallet
	payee common.Address    // its address
	link  string            // the address of what is sold, of which there are a few
	crowd string            // the address of what is sold without limit: payments for it meet at no row before the claim
	nth   int               // which time a shop meets the step at which it dies; 0 is the first

	merchant id.Merchant
	site     string         // where the shop answers
	deposit  common.Address // that is kept for the shop, if one is
	program  string         // its key of the API, if it has one
}

func newCrashWorld(t testing.TB, env ...string) *crashWorld {
	t.Helper()
	return newCrashWorldOn(t, (*crashWorld).liveChain, env...)
}

// liveChain starts the chain as a child, which gives the relayer gas money.
func (w *crashWorld) liveChain(t testing.TB, relayer common.Address, _ int) {
	t.Helper()
	live(t, w.log, append(w.env, crashRole+"=chain", crashAlloc+"="+relayer.Hex()+" "+w.buyer.Address().Hex()+" "+w.payee.Hex())...)
}

func newCrashWorldOn(t testing.TB, chain func(*crashWorld, testing.TB, common.Address, int), env ...string) *crashWorld {
	t.Helper()
	relayer, payer, owner := newKey(t), newKey(t), newKey(t)
	site, rpc := freePort(), freePort()
	w := &crashWorld{
		log: filepath.Join(t.TempDir(), "log"), buyer: buyer.New(payer, 32), payer: payer,
		owner: owner, payee: crypto.PubkeyToAddress(owner.PublicKey),
	}
	w.env = append(cleanEnv(), "XSYNESIS_ENV=development", "DATABASE_URL="+pgtest.URL(t), "DATA_DIR="+t.TempDir(),
		fmt.Sprintf("PORT=%d", site), fmt.Sprintf("DEV_RPC_PORT=%d", rpc),
		"MASTER_KEY="+crashMaster, "RELAYER_KEY="+hexutil.Encode(crypto.FromECDSA(relayer)))
	w.env = append(w.env, env...)
	t.Cleanup(func() {
		if text, err := os.ReadFile(w.log); t.Failed() && err == nil {
			t.Logf("the end of the children's log:\n%s", text[max(0, len(text)-8000):])
		}
	})
	chain(w, t, crypto.PubkeyToAddress(relayer.PublicKey), rpc)
	var err error
	w.chain, err = ethclient.Dial(fmt.Sprintf("http://127.0.0.1:%d", rpc))
	require.NoError(t, err)
	t.Cleanup(w.chain.Close)
	require.Eventually(t, func() bool {
		_, err := w.chain.ChainID(t.Context())
		return err == nil
	}, 30*time.Second, 50*time.Millisecond, "the chain does not answer")
	w.found(t, site)
	return w
}

// build makes the services that the test has for itself, on the database that shops use.
func (w *crashWorld) build(t testing.TB) {
	t.Helper()
	vars := map[string]string{}
	for _, v := range w.env {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = value
	}
	c, err := config.Parse(vars, config.Development)
	require.NoError(t, err)
	w.parts, err = wire.Build(t.Context(), c, false, crashTiming)
	require.NoError(t, err)
	t.Cleanup(w.parts.Close)
}

// found opens a shop with its two links.
func (w *crashWorld) found(t testing.TB, port int) {
	t.Helper()
	w.build(t)
	merchant, err := w.parts.Access.Found(t.Context(), access.Founding{Slug: "crash", Name: "Crash", Domain: "crash.example", Owner: "Ada"})
	require.NoError(t, err)
	proven := time.Now().UTC()
	require.NoError(t, w.parts.Shop.SetPayee(t.Context(), merchant, crashNetwork, w.payee, &proven))
	w.merchant, w.site = merchant, fmt.Sprintf("http://localhost:%d", port)
	for limit, address := range map[int]*string{8: &w.link, 0: &w.crowd} {
		link, err := w.parts.Shop.CreateLink(t.Context(), merchant, false, shop.LinkForm{Title: "Tea", Price: crashPrice, MaxPayments: limit}, audit.By{Actor: "test"})
		require.NoError(t, err)
		*address = w.site + "/link/" + link.Token
	}
}

// live starts the shop, to die at a step or, without one, never by itself.
func (w *crashWorld) live(t testing.TB, step fault.Step) *life {
	t.Helper()
	return live(t, w.log, append(w.env, crashRole+"=shop", crashStep+"="+string(step), fmt.Sprintf("%s=%d", crashNth, max(w.nth, 1)))...)
}

// wrong is everything that is not as after one payment of one purchase; nil if nothing is.
func (w *crashWorld) wrong(ctx context.Context, purchase string) error {
	var all []error
	is := func(what string, got, want any) {
		if got != want {
			all = append(all, fmt.Errorf("%s: %v, not %v", what, got, want))
		}
	}
	transfers, value, err := w.received(ctx)
	if err != nil {
		return err
	}
	is("transfers on the chain", transfers, 1)
	is("money on the chain", value, crashPrice)
	var sales, paid, claims int
	var of string
	const books = `SELECT count(*), coalesce(min(attempt_id), ''),
		(SELECT count(*) FROM attempts WHERE status = 'settled'), (SELECT count(*) FROM claims WHERE released_at IS NULL) FROM sales`
	if err := w.parts.Pool.QueryRow(ctx, books).Scan(&sales, &of, &paid, &claims); err != nil {
		return err
	}
	is("sales", sales, 1)
	is("purchase sold", of, purchase)
	is("purchases paid", paid, 1)
	is("living claims", claims, 1)
	findings, err := w.parts.Checkout.Audit(ctx)
	for _, f := range findings {
		all = append(all, errors.New(f.String()))
	}
	return errors.Join(append(all, err)...)
}

var topicTransfer = crypto.Keccak256Hash([]byte("Transfer(address,address,uint256)"))

// received counts what came to the shop, in the chain's own logs.
func (w *crashWorld) received(ctx context.Context) (transfers int, value money.USDC, err error) {
	return w.moved(ctx, nil, []common.Hash{common.BytesToHash(w.payee.Bytes())})
}

// moved counts what went from one address to another; nil is any.
func (w *crashWorld) moved(ctx context.Context, from, to []common.Hash) (transfers int, value money.USDC, err error) {
	logs, err := w.chain.FilterLogs(ctx, ethereum.FilterQuery{
		FromBlock: new(big.Int), Addresses: []common.Address{devchain.USDC}, Topics: [][]common.Hash{{topicTransfer}, from, to},
	})
	for _, l := range logs {
		value += money.USDC(new(big.Int).SetBytes(l.Data).Int64())
	}
	return len(logs), value, err
}
