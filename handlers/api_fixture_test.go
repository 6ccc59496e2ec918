package handlers_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/egress"
	"xsynesis/evm"
	"xsynesis/handlers"
	"xsynesis/health"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/postgres/pgtest"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/vault"
	"xsynesis/webhook"
	"xsynesis/x402"
)

const (
	site    = "https://shop.example"
	sepolia = "eip155:84532"
	cafe    = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
	books   = "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc"
)

// apiWorld is the whole site on a database of its own: a café, a bookshop, and a relayer with gas money.
type apiWorld struct {
	t         *testing.T
	pool      *pgxpool.Pool
	echo      *echo.Echo
	checkout  *checkout.Service
	access    *access.Service
	gate      *access.Gate
	payees    *shop.Payees
	custody   *ledger.Custody
	hooks     *webhook.Service
	endpoints *shop.Endpoints
	ahead     atomic.Int64 // how far the clock of webhooks is moved
	networks  *evm.Registry
	router    routers.Router

	cafe, books       id.Merchant
	cafeKey, booksKey string
}

func newWorld(t *testing.T, change ...func(*handlers.Options)) *apiWorld {
	t.Helper()
	pool, now := pgtest.New(t), time.Now
	jobs, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	require.NoError(t, err)
	networks := evm.NewRegistry(nil)
	w := &apiWorld{t: t, pool: pool, access: access.New(pool, now), networks: networks}
	sealer, err := vault.New([]byte("the master key of this: 32 bytes"))
	require.NoError(t, err)
	client := egress.New(egress.Options{AllowPrivate: true, Own: site})
	w.hooks = webhook.New(pool, jobs, webhook.Options{
		Egress: client, Vault: sealer, PublicURL: site, Now: w.now,
		Lease: time.Minute, Sweep: time.Minute, Timeout: 2 * time.Second,
	})
	shops, hub := shop.New(pool, networks, w.hooks, now), checkout.NewHub(pool)
	w.custody = ledger.NewCustody(pool, jobs, ledger.CustodyOptions{Networks: networks, Webhooks: w.hooks, Vault: sealer, Lease: time.Minute, Sweep: time.Minute, Now: now})
	w.checkout = checkout.New(pool, jobs, checkout.Options{
		Networks: networks, Chains: silentChains(), Settlers: map[string]checkout.Settler{sepolia: mined{}}, Shop: shops, Hub: hub, Webhooks: w.hooks, Vault: sealer,
		Custody: w.custody, FacilitatorPolicy: checkout.FacilitateOwn, FacilitatorBudget: 10, PublicURL: site, Hold: 15 * time.Minute, Wait: 100 * time.Millisecond, Lease: time.Minute, Sweep: time.Minute, Now: now,
	})
	w.gate, w.endpoints = newGate(t, w.access), shop.NewEndpoints(shops, client, sealer)
	w.payees = shop.NewPayees(pool, silentNetworks(), silentChains(), w.hooks, now)
	o := handlers.Options{
		Access: w.access, Tills: access.NewTills(w.access, w.hooks), Gate: w.gate, Shop: shops, Payees: w.payees, Checkout: w.checkout, Custody: w.custody, Hub: hub, Networks: networks, PublicURL: site,
		DevSettle: true, FacilitatorSecret: callbackSecret, AnyHost: true, Ready: func(context.Context) error { return nil }, Now: now,
		Operator: access.NewOperator(pool, operatorToken, now), Health: health.New(pool, health.Options{Networks: networks, Queues: []string{"settle"}, Now: now}),
		JobPages: queuePages{}, Webhooks: w.hooks, Endpoints: w.endpoints, Egress: client,
	}
	for _, c := range change {
		c(&o)
	}
	w.gate = o.Gate
	w.echo = handlers.New(o)
	w.cafe, w.cafeKey = w.open("cafe", cafe)
	w.books, w.booksKey = w.open("books", books)
	w.fund()
	w.readDescription()
	return w
}

// now is the clock of webhooks, which a test may move.
func (w *apiWorld) now() time.Time {
	return time.Now().Add(time.Duration(w.ahead.Load())).UTC().Truncate(time.Microsecond)
}

// broken are the rules that the books break; there is no chain to hold them against.
func (w *apiWorld) broken() []checkout.Finding {
	w.t.Helper()
	findings, err := w.checkout.Audit(w.t.Context())
	require.ErrorIs(w.t, err, evm.ErrUnavailable)
	return findings
}

// open sets up a shop and its key with every scope.
func (w *apiWorld) open(name, payee string) (id.Merchant, string) {
	now := time.Now()
	m := id.New[id.Merchant](now)
	require.NoError(w.t, queries.New().MerchantInsert(w.t.Context(), w.pool, queries.MerchantInsertParams{ID: m, Slug: name, Name: name, CreatedAt: now}))
	w.isPaidAt(m, payee)
	return m, w.key(m, false, access.Scopes...)
}

// isPaidAt gives a shop its address.
func (w *apiWorld) isPaidAt(m id.Merchant, payee string) {
	w.t.Helper()
	now := time.Now()
	require.NoError(w.t, queries.New().PayeeInsert(w.t.Context(), w.pool, queries.PayeeInsertParams{MerchantID: m, Network: sepolia, Address: payee, ProvenAt: &now, CreatedAt: now}))
}

func (w *apiWorld) key(m id.Merchant, livemode bool, scopes ...access.Scope) string {
	key, err := w.access.CreateKey(w.t.Context(), m, livemode, "test", scopes)
	require.NoError(w.t, err)
	return key
}

func (w *apiWorld) fund() {
	q, ctx := queries.New(), w.t.Context()
	const address = "0x90f79bf6eb2c4f870365e785982e1f101e93b906"
	require.NoError(w.t, q.RelayerOpen(ctx, w.pool, queries.RelayerOpenParams{Network: sepolia, Address: address}))
	require.NoError(w.t, q.RelayerBeat(ctx, w.pool, queries.RelayerBeatParams{
		Network: sepolia, Address: address, GasBalance: pgtype.Numeric{Int: big.NewInt(1), Valid: true}, SettlementsLeft: 1000, SeenAt: time.Now(),
	}))
}

// mined is a chain that takes every payment at once.
type mined struct{}

func (mined) Settle(_ context.Context, t evm.Transfer, _ evm.Keeper) (evm.Proof, error) {
	a := t.Authorization
	return evm.Proof{
		Transaction: crypto.Keccak256Hash(a.Nonce[:]), Block: 7, BlockHash: crypto.Keccak256Hash([]byte("block")), Payer: a.From, Payee: a.To,
		Value: money.USDC(a.Value.Int64()), Time: time.Now(),
	}, nil
}

// work does what a worker does: it brings every queued settlement to its end.
func (w *apiWorld) work() {
	rows, err := w.pool.Query(w.t.Context(), `SELECT id FROM settlements WHERE status = 'queued'`)
	require.NoError(w.t, err)
	queued, err := pgx.CollectRows(rows, pgx.RowTo[id.Settlement])
	require.NoError(w.t, err)
	for _, settlement := range queued {
		require.NoError(w.t, w.checkout.Settle(w.t.Context(), settlement))
	}
}

// reply is an answer of the site.
type reply struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// json is the answer as a program reads it.
func (r reply) json() map[string]any {
	r.t.Helper()
	var v map[string]any
	require.NoError(r.t, json.Unmarshal(r.body, &v), string(r.body))
	return v
}

// code is the error's code and field, "" and "" for none.
func (r reply) code() (code, field string) {
	var v struct {
		Error struct{ Code, Field string }
	}
	require.NoError(r.t, json.Unmarshal(r.body, &v), string(r.body))
	return v.Error.Code, v.Error.Field
}

type with func(*http.Request)

func header(name, value string) with { return func(r *http.Request) { r.Header.Set(name, value) } }

func as(key string) with { return header("Authorization", "Bearer "+key) }

// get and post make one request; every answer of the API must be as /openapi.json says.
func (w *apiWorld) get(target string, more ...with) reply {
	return w.do(http.MethodGet, target, nil, more...)
}

func (w *apiWorld) post(target string, body any, more ...with) reply {
	text, ok := body.(string)
	if !ok {
		b, err := json.Marshal(body)
		require.NoError(w.t, err)
		text = string(b)
	}
	return w.do(http.MethodPost, target, strings.NewReader(text), more...)
}

func (w *apiWorld) do(method, target string, body io.Reader, more ...with) reply {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, site+target, body)
	for _, m := range more {
		m(r)
	}
	recorder := httptest.NewRecorder()
	w.echo.ServeHTTP(recorder, r)
	answer := reply{w.t, recorder.Code, recorder.Header(), recorder.Body.Bytes()}
	if w.router != nil {
		w.checkDescribed(r, answer)
	}
	return answer
}

func (w *apiWorld) readDescription() {
	answer := w.get("/openapi.json")
	require.Equal(w.t, 200, answer.status)
	document, err := openapi3.NewLoader().LoadFromData(answer.body)
	require.NoError(w.t, err)
	require.NoError(w.t, document.Validate(w.t.Context()))
	w.router, err = gorillamux.NewRouter(document)
	require.NoError(w.t, err)
}

func (w *apiWorld) checkDescribed(r *http.Request, answer reply) {
	w.t.Helper()
	route, _, err := w.router.FindRoute(r)
	if err != nil {
		return // not a call of the API
	}
	described := route.Operation.Responses.Status(answer.status)
	require.NotNil(w.t, described, "%s %s answers %d: %s", r.Method, route.Path, answer.status, answer.body)
	media, _, _ := strings.Cut(answer.header.Get("Content-Type"), ";")
	content := described.Value.Content.Get(media)
	require.NotNil(w.t, content, "%s %s answers %s", r.Method, route.Path, media)
	if media != "application/json" {
		return
	}
	var v any
	require.NoError(w.t, json.NewDecoder(bytes.NewReader(answer.body)).Decode(&v))
	require.NoError(w.t, content.Schema.Value.VisitJSON(v), "%s %s %d: %s", r.Method, route.Path, answer.status, answer.body)
}

// link puts something on sale and returns it.
func (w *apiWorld) link(key, price string) map[string]any {
	answer := w.post("/api/payment_links/create", map[string]any{"title": "Flat white", "price": price}, as(key))
	require.Equal(w.t, 201, answer.status, string(answer.body))
	return answer.json()
}

// session begins a purchase and returns it.
func (w *apiWorld) session(link map[string]any) map[string]any {
	answer := w.post("/api/create_payment_session", map[string]any{"link_token": link["token"]})
	require.Equal(w.t, 201, answer.status, string(answer.body))
	return answer.json()
}

// sign is what a buyer's wallet makes of a session's typed data.
func (w *apiWorld) sign(session map[string]any, key *ecdsa.PrivateKey) (x402.Authorization, []byte) {
	message := session["typed_data"].(map[string]any)["message"].(map[string]any)
	number := func(name string) *big.Int {
		n, ok := new(big.Int).SetString(message[name].(string), 10)
		require.True(w.t, ok)
		return n
	}
	a := x402.Authorization{
		From: crypto.PubkeyToAddress(key.PublicKey), To: common.HexToAddress(message["to"].(string)), Value: number("value"),
		ValidAfter: number("validAfter"), ValidBefore: number("validBefore"), Nonce: common.HexToHash(message["nonce"].(string)),
	}
	n, err := w.networks.Network(sepolia)
	require.NoError(w.t, err)
	signature, err := x402.Sign(a, n.Token, key)
	require.NoError(w.t, err)
	return a, signature
}

// payload is the payment as the page posts it.
func payload(a x402.Authorization, signature []byte) map[string]any {
	return map[string]any{
		"signature": hexutil.Encode(signature),
		"authorization": map[string]string{
			"from": a.From.Hex(), "to": a.To.Hex(), "value": a.Value.String(), "validAfter": a.ValidAfter.String(),
			"validBefore": a.ValidBefore.String(), "nonce": a.Nonce.Hex(),
		},
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := crypto.GenerateKey()
	require.NoError(t, err)
	return key
}
