package handlers_test

import (
	"encoding/json"
	"math/big"
	"net/url"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/gowebpki/jcs"
	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/money"
	"xsynesis/x402"
)

func TestASessionHasEverythingThatAWalletNeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.link(w.cafeKey, "0.50")
	s := w.session(link)
	require.Equal(t, []any{}, s["reservations"])
	require.EqualValues(t, 1, s["x402Version"])
	accepts := s["accepts"].([]any)[0].(map[string]any)
	require.Equal(t, "500000", accepts["maxAmountRequired"])
	require.Equal(t, "base-sepolia", accepts["network"])
	require.EqualValues(t, 2, s["payment_required"].(map[string]any)["x402Version"])
	require.Equal(t, "TransferWithAuthorization", s["typed_data"].(map[string]any)["primaryType"])

	pay, err := url.Parse(s["pay_url"].(string))
	require.NoError(t, err)
	require.Equal(t, "/pay/"+s["payment_attempt"].(string), pay.Path)
	require.Len(t, pay.Query().Get("k"), 22)

	state := w.get("/api/payment_attempts/" + s["payment_attempt"].(string)).json()
	require.Equal(t, "open", state["status"])
	require.Equal(t, site+pay.Path, state["pay_url"])
	require.Equal(t, s["accepts"], state["accepts"])
	require.Equal(t, s["payment_required"], state["payment_required"])
}

func TestWhatASessionCannotCarryIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.link(w.cafeKey, "0.50")["token"].(string)
	for _, member := range []string{
		`"endpoint_id":"end_1"`, `"endpoint_url":"https://x.example"`, `"items":[]`, `"email":"a"`, `"name":"a\nb"`,
		`"note":"\u0001"`, `"tip":"-1"`, `"qty":-1`, `"buyer_address":"0x1","code":"c"`, `"success_url":"ftp://x"`, `"cancel_url":"x"`, `"reference":"a\nb"`, `"metadata":[]`, `"amount":"1"`,
	} {
		field := strings.Split(member, `"`)[1]
		requireField(t, field, w.post("/api/create_payment_session", `{"link_token":"`+token+`",`+member+`}`), member)
	}
	requireField(t, "link_token", w.post("/api/create_payment_session", `{}`), "no token")
}

func TestOnlyStrangersAreLimitedInWhatTheyHoldUnpaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.post("/api/payment_links/create", map[string]any{"title": "Print", "price": "5", "max_payments": 10}, as(w.cafeKey)).json()
	body := map[string]any{"link_token": link["token"]}
	for range 3 {
		require.Equal(t, 201, w.post("/api/create_payment_session", body).status)
	}
	refused := w.post("/api/create_payment_session", body)
	code, _ := refused.code()
	require.Equal(t, 429, refused.status)
	require.Equal(t, "too_many_unpaid", code)
	require.NotEmpty(t, refused.header.Get("Retry-After"))
	for range 7 {
		require.Equal(t, 201, w.post("/api/create_payment_session", body, as(w.cafeKey)).status)
	}
	sold := w.post("/api/create_payment_session", body, as(w.cafeKey))
	code, _ = sold.code()
	require.Equal(t, 409, sold.status)
	require.Equal(t, "sold_out", code)
	require.Equal(t, "sold_out", w.get("/api/link/" + link["token"].(string)).json()["status"])
}

func TestAPaymentIsPendingThenPaidAndItsReceiptProvesTheCart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.session(w.link(w.cafeKey, "0.50"))
	attempt := session["payment_attempt"].(string)
	pay := "/api/payment_attempts/" + attempt + "/pay"
	buyer := newKey(t)
	a, signature := w.sign(session, buyer)

	pending := w.post(pay, payload(a, signature))
	require.Equal(t, 202, pending.status, string(pending.body))
	code, _ := pending.code()
	require.Equal(t, "settlement_pending", code)
	require.Equal(t, site+"/pay/"+attempt, pending.header.Get("Location"))
	require.NotEmpty(t, pending.header.Get("Retry-After"))

	other, otherSignature := w.sign(session, newKey(t))
	second := w.post(pay, payload(other, otherSignature))
	code, _ = second.code()
	require.Equal(t, 409, second.status)
	require.Equal(t, "attempt_in_progress", code)

	w.work()
	paid := w.post(pay, payload(a, signature))
	require.Equal(t, 200, paid.status, string(paid.body))
	require.NotEmpty(t, paid.header.Get(x402.HeaderResponse))
	receipt := paid.json()
	require.Equal(t, session["pay_url"], receipt["receipt_url"])
	require.Equal(t, site+"/pay/"+attempt, receipt["pay_url"])
	require.Equal(t, crypto.PubkeyToAddress(buyer.PublicKey).Hex(), receipt["payer"])
	require.Equal(t, true, receipt["cart_bound"])
	requireProven(t, receipt)

	require.Equal(t, string(paid.body), string(w.post(pay, payload(a, signature)).body))
	again := w.post(pay, payload(other, otherSignature))
	code, _ = again.code()
	require.Equal(t, 409, again.status)
	require.Equal(t, "already_paid", code)
	w.requireReceiptOnlyFor(session)
}

// requireProven repeats the proof that a receipt allows without the gateway.
func requireProven(t *testing.T, receipt map[string]any) {
	t.Helper()
	plain, err := json.Marshal(receipt["cart"])
	require.NoError(t, err)
	canonical, err := jcs.Transform(plain)
	require.NoError(t, err)
	hash := crypto.Keccak256Hash(canonical)
	require.Equal(t, receipt["cart_hash"], hash.Hex())
	nonce := checkout.Nonce([32]byte(hexutil.MustDecode(receipt["cart_salt"].(string))), hash)
	require.Equal(t, receipt["nonce"], nonce.Hex())
}

// requireReceiptOnlyFor checks who sees the receipt of a paid purchase: its buyer and its shop.
func (w *apiWorld) requireReceiptOnlyFor(session map[string]any) {
	w.t.Helper()
	target := "/api/payment_attempts/" + session["payment_attempt"].(string)
	pay, err := url.Parse(session["pay_url"].(string))
	require.NoError(w.t, err)
	k := pay.Query().Get("k")

	byBuyer := w.get(target + "?k=" + k).json()["receipt"].(map[string]any)
	require.Equal(w.t, session["pay_url"], byBuyer["receipt_url"])
	shops := w.get(target, as(w.cafeKey))
	require.Contains(w.t, shops.json(), "receipt")
	require.NotContains(w.t, string(shops.body), k, "the shop never learns the buyer's token")

	for _, answer := range []reply{w.get(target), w.get(target + "?k=" + strings.Repeat("1", 22)), w.get(target, as(w.booksKey))} {
		state := answer.json()
		require.Equal(w.t, "settled", state["status"])
		require.Equal(w.t, "500000", state["amount_received"])
		require.NotContains(w.t, state, "receipt")
		require.NotContains(w.t, state, "accepts")
	}
}

func TestPaymentsByHeaderAreAnsweredInTheirVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for version, receipt := range map[int]string{1: x402.HeaderResponseV1, 2: x402.HeaderResponse} {
		session := w.session(w.link(w.cafeKey, "0.50"))
		pay := "/api/payment_attempts/" + session["payment_attempt"].(string) + "/pay"
		a, signature := w.sign(session, newKey(t))
		want := w.requirement(a)

		asked := w.post(pay, "")
		require.Equal(t, 402, asked.status)
		require.Equal(t, session["accepts"], asked.json()["accepts"])
		require.NotEmpty(t, asked.header.Get(x402.HeaderRequired))

		cheap := a
		cheap.Value = big.NewInt(1)
		name, value := want.Payment(version, cheap, signature).Encode()
		refused := w.post(pay, "", header(name, value))
		require.Equal(t, 402, refused.status)
		require.Equal(t, (&x402.Invalid{Kind: x402.Amount}).Reason(version), refused.json()["reason"])
		require.Equal(t, refused.json()["reason"], refused.json()["error"])
		require.Equal(t, session["accepts"], refused.json()["accepts"])
		require.NotEmpty(t, refused.header.Get(x402.HeaderRequired))

		name, value = want.Payment(version, a, signature).Encode()
		require.Equal(t, 202, w.post(pay, "", header(name, value)).status)
		w.work()
		paid := w.post(pay, "", header(name, value))
		require.Equal(t, 200, paid.status, string(paid.body))
		require.NotEmpty(t, paid.header.Get(receipt))
	}
}

// requirement is what a client reads from the 402 for this authorization.
func (w *apiWorld) requirement(a x402.Authorization) x402.Requirement {
	n, err := w.networks.Network(sepolia)
	require.NoError(w.t, err)
	return x402.Requirement{Token: n.Token, Amount: money.USDC(a.Value.Int64()), PayTo: a.To, MaxTimeout: 300e9}
}

func TestABadPaymentIsRefusedWithAReasonAndNothingMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.session(w.link(w.cafeKey, "0.50"))
	pay := "/api/payment_attempts/" + session["payment_attempt"].(string) + "/pay"
	key := newKey(t)
	good, signature := w.sign(session, key)

	for reason, change := range map[string]func(map[string]any){
		"invalid_exact_evm_payload_authorization_value_mismatch": func(p map[string]any) { p["authorization"].(map[string]string)["value"] = "1" },
		"invalid_exact_evm_recipient_mismatch": func(p map[string]any) {
			p["authorization"].(map[string]string)["to"] = common.Address{1}.Hex()
		},
		"invalid_exact_evm_payload_authorization_valid_before": func(p map[string]any) { p["authorization"].(map[string]string)["validBefore"] = "1" },
	} {
		body := payload(good, signature)
		change(body)
		refused := w.post(pay, body)
		code, _ := refused.code()
		require.Equal(t, 402, refused.status, reason)
		require.Equal(t, "payment_refused", code)
		require.Equal(t, reason, refused.json()["reason"])
	}
	for field, body := range map[string]string{
		"authorization": `{"signature":"0x01"}`,
		"signature":     `{"signature":7,"authorization":{"from":"` + good.From.Hex() + `","to":"` + good.To.Hex() + `","value":"1","validAfter":"0","validBefore":"1","nonce":"` + good.Nonce.Hex() + `"}}`,
	} {
		requireField(t, field, w.post(pay, body), body)
	}
	requireField(t, "authorization", w.post(pay, `{`), "no JSON")
	require.Equal(t, "open", w.get("/api/payment_attempts/" + session["payment_attempt"].(string)).json()["status"])
}

func TestSimulatedMoneyIsInNoTotal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.link(w.cafeKey, "0.50")
	direct := w.post("/api/dev/settle", map[string]any{"payment_attempt_id": w.session(link)["payment_attempt"], "mode": "direct"}, as(w.cafeKey))
	require.Equal(t, 200, direct.status, string(direct.body))
	require.Equal(t, "settled", direct.json()["status"])
	require.Equal(t, true, direct.json()["simulated"])
	require.Equal(t, "SIM", direct.json()["receipt"].(map[string]any)["asset"])

	queued := w.session(link)["payment_attempt"].(string)
	require.Equal(t, "settling", w.post("/api/dev/settle", map[string]any{"payment_attempt_id": queued, "mode": "worker"}, as(w.cafeKey)).json()["status"])
	w.work()
	require.Equal(t, "settled", w.get("/api/payment_attempts/" + queued).json()["status"])

	over := w.post("/api/dev/settle", map[string]any{"payment_attempt_id": queued}, as(w.cafeKey))
	code, _ := over.code()
	require.Equal(t, 409, over.status)
	require.Equal(t, "not_open", code)
	requireField(t, "mode", w.post("/api/dev/settle", map[string]any{"payment_attempt_id": queued, "mode": "x"}, as(w.cafeKey)), "mode")

	balance := w.get("/api/balance", as(w.cafeKey)).json()["data"].([]any)
	require.Len(t, balance, 1)
	require.Equal(t, "0", balance[0].(map[string]any)["received"])
	table := w.get("/api/sales.csv", as(w.cafeKey))
	require.Equal(t, "2", table.header.Get("X-Row-Count"))
	require.Equal(t, "0", table.header.Get("X-Control-Total"))
	settlements := w.get("/api/settlements/list", as(w.cafeKey)).json()["data"].([]any)
	require.Len(t, settlements, 2)
	require.Equal(t, "simulated", settlements[0].(map[string]any)["facilitator"])
}
