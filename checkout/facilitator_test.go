package checkout_test

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/x402"
)

// carrier is a facilitator of the test's own, on the shop's chain. It does what it is asked for, and answers as it was told.
type carrier struct {
	*x402.Remote
	gas      *ecdsa.PrivateKey
	nonce    atomic.Uint64
	verifies atomic.Int32
	settles  atomic.Int32
	verify   func(w http.ResponseWriter) // nil: yes
	// settle answers, with the transaction where it was sent.
	sends  atomic.Bool
	settle atomic.Value // func(w http.ResponseWriter, asked x402.Asked, transaction string)
}

type settleAnswer func(w http.ResponseWriter, asked x402.Asked, transaction string)

// says is the answer of an honest one.
func says(w http.ResponseWriter, asked x402.Asked, transaction string) {
	_, _ = fmt.Fprintf(w, `{"success":true,"transaction":%q,"network":%q,"payer":%q}`, transaction, asked.Payment.Network, asked.Payment.Authorization.From)
}

func says404(w http.ResponseWriter, _ x402.Asked, _ string) { w.WriteHeader(http.StatusNotFound) }

func saysStatus(status int, body string) settleAnswer {
	return func(w http.ResponseWriter, _ x402.Asked, _ string) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// hangsUp is what a process does that is killed.
func hangsUp(w http.ResponseWriter, _ x402.Asked, _ string) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_ = conn.Close()
	}
}

func hangs(http.ResponseWriter, x402.Asked, string) { time.Sleep(3 * time.Second) }

func newCarrier(t *testing.T, sends bool, answer settleAnswer) *carrier {
	t.Helper()
	c := &carrier{gas: newGas(t)}
	c.sends.Store(sends)
	c.settle.Store(answer)
	server := httptest.NewServer(c.mux(t))
	t.Cleanup(server.Close)
	var err error
	c.Remote, err = x402.NewRemote(server.URL, x402.RemoteOptions{Timeout: 2 * time.Second})
	require.NoError(t, err)
	return c
}

func (c *carrier) mux(t *testing.T) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /supported", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(x402.Supported{Kinds: x402.Kinds(x402.BaseSepolia)})
	})
	mux.HandleFunc("POST /verify", func(w http.ResponseWriter, _ *http.Request) {
		c.verifies.Add(1)
		if c.verify != nil {
			c.verify(w)
			return
		}
		_, _ = io.WriteString(w, `{"isValid":true}`)
	})
	mux.HandleFunc("POST /settle", func(w http.ResponseWriter, r *http.Request) {
		c.settles.Add(1)
		body, _ := io.ReadAll(r.Body)
		asked, err := x402.DecodeAsked(body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		transaction := ""
		if c.sends.Load() {
			if transaction, err = c.send(asked.Payment); err != nil {
				t.Errorf("the facilitator cannot send: %v", err)
			}
		}
		c.settle.Load().(settleAnswer)(w, asked, transaction) //nolint:forcetypeassert // nothing else is stored
	})
	return mux
}

// send sends the payment, and does not wait until it is mined.
func (c *carrier) send(p x402.Payment) (string, error) {
	tx, err := types.SignNewTx(c.gas, types.LatestSignerForChainID(big.NewInt(devchain.ChainID)), &types.DynamicFeeTx{
		ChainID: big.NewInt(devchain.ChainID), Nonce: c.nonce.Add(1) - 1, To: &devchain.USDC, Value: new(big.Int), Data: transferCall(p),
		Gas: 200_000, GasTipCap: big.NewInt(5e9), GasFeeCap: big.NewInt(1e11),
	})
	if err != nil {
		return "", err
	}
	return tx.Hash().Hex(), world.dev().Client().SendTransaction(context.Background(), tx)
}

// carried is a shop whose payments are moved by these.
func carried(t *testing.T, ways ...x402.Facilitator) *testShop {
	t.Helper()
	s := newShopWith(t, plan{quiet: true, wait: 20 * time.Second})
	s.worker.stop(t)
	s.worker = s.start(t, role{settles: true, works: true, sweep: time.Second, facilitators: ways})
	return s
}

// notOurs wants that our own relayer has sent nothing.
func (s *testShop) notOurs(t *testing.T) {
	t.Helper()
	require.Zero(t, s.count(t, `SELECT count(*) FROM relays WHERE settlement IS NOT NULL`))
}

func TestAFacilitatorMovesAPayment(t *testing.T) {
	t.Parallel()
	f := newCarrier(t, true, says)
	s := carried(t, f)
	a := s.begin(t)
	p, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)
	s.soldOnce(t, p)
	s.notOurs(t)
	require.Equal(t, f.Name(), p.Settlement.Facilitator)
	require.EqualValues(t, 1, f.settles.Load())
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM facilitator_asks WHERE outcome = 'success' AND transaction = $1`, p.Settlement.Transaction))

	offer := s.offer(t)
	p, err = s.checkout.PayLink(t.Context(), offer, s.answer(t, offer, newBuyer(t)), checkout.Request{})
	require.NoError(t, err)
	require.Equal(t, checkout.Settled, p.Status)
	s.notOurs(t)
}

// TestAFacilitatorThatHasSentAndSaysOtherwise goes through everything that a facilitator may say who did move the money.
// Whatever it is, the shop has one sale, nobody else is asked to move it, and nobody is asked to pay again.
func TestAFacilitatorThatHasSentAndSaysOtherwise(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]settleAnswer{
		"approve, then time out":       hangs,
		"killed before it answers":     hangsUp,
		"5xx after settle":             saysStatus(500, "oops"),
		"503 after settle":             saysStatus(503, `{"error":"try again"}`),
		"400 after settle":             saysStatus(400, `{"error":"Invalid request"}`),
		"double 402":                   saysStatus(402, `{}`),
		"double 402 with a reason":     saysStatus(402, `{"success":false,"errorReason":"invalid_transaction_state","transaction":"","network":"base-sepolia"}`),
		"wrong network":                saysStatus(200, `{"success":true,"transaction":"","network":"eip155:8453"}`),
		"200 with garbage":             saysStatus(200, "<html>OK</html>"),
		"says that it failed":          saysStatus(200, `{"success":false,"errorReason":"insufficient_funds","transaction":"","network":"eip155:84532"}`),
		"does not know":                saysStatus(200, `{"success":false,"errorReason":"settlement_pending","transaction":"","network":"eip155:84532"}`),
		"names another transaction":    saysStatus(200, `{"success":true,"transaction":"0x`+strings.Repeat("ab", 32)+`","network":"eip155:84532"}`),
		"says nothing of what it sent": saysStatus(200, `{"success":true}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, other := newCarrier(t, true, answer), newCarrier(t, true, says)
			s := carried(t, f, other, nil)
			a := s.begin(t)
			payment := s.sign(t, a, s.buyer)
			p, err := s.checkout.Pay(t.Context(), a.ID, payment)
			for errors.Is(err, checkout.ErrPending) { // as a program does, with the same payment
				_, elsewhere := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, newBuyer(t)))
				require.Error(t, elsewhere, "somebody else pays what may be paid")
				require.True(t, errors.Is(elsewhere, checkout.ErrInProgress) || errors.Is(elsewhere, checkout.ErrPaid), elsewhere)
				p, err = s.checkout.Pay(t.Context(), a.ID, payment)
			}
			require.NoError(t, err)
			s.soldOnce(t, p)
			s.notOurs(t)
			require.Zero(t, other.settles.Load(), "another was asked after an unknown one")
		})
	}
}

// TestAFacilitatorThatHasNotSent goes through what it may say who moved nothing, so that nobody can tell: the purchase
// stays unknown, nobody else is asked, and the same payment sent again is what moves the money, once.
func TestAFacilitatorThatHasNotSent(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]settleAnswer{
		"killed before it sends":          hangsUp,
		"time out":                        hangs,
		"500":                             saysStatus(500, "oops"),
		"200 with garbage":                saysStatus(200, "garbage"),
		"wrong network":                   saysStatus(200, `{"success":true,"transaction":"0x`+strings.Repeat("cd", 32)+`","network":"eip155:1"}`),
		"fails where the chain would not": saysStatus(200, `{"success":false,"errorReason":"insufficient_funds","transaction":"","network":"eip155:84532"}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, other := newCarrier(t, false, answer), newCarrier(t, true, says)
			s := carried(t, f, other, nil)
			a := s.begin(t)
			payment := s.sign(t, a, s.buyer)
			_, err := s.checkout.Pay(t.Context(), a.ID, payment)
			require.ErrorIs(t, err, checkout.ErrPending)
			s.awaitStatus(t, a.ID, checkout.Unknown)
			_, err = s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, newBuyer(t)))
			require.ErrorIs(t, err, checkout.ErrInProgress, "nobody is asked to pay again")
			time.Sleep(3 * time.Second) // the worker looks at it again meanwhile
			require.EqualValues(t, 1, f.settles.Load(), "it was asked a second time")
			require.Zero(t, other.settles.Load())
			require.Zero(t, balanceOf(t, s.payee))

			f.sends.Store(true)
			f.settle.Store(settleAnswer(says))
			p, err := s.checkout.Pay(t.Context(), a.ID, payment)
			for errors.Is(err, checkout.ErrPending) {
				p, err = s.checkout.Pay(t.Context(), a.ID, payment)
			}
			require.NoError(t, err)
			s.soldOnce(t, p)
			s.notOurs(t)
			require.EqualValues(t, 2, f.settles.Load())
			require.Zero(t, other.settles.Load())
		})
	}
}

func TestASuccessWithoutATransferIsNone(t *testing.T) {
	t.Parallel()
	f := newCarrier(t, false, saysStatus(200, `{"success":true,"transaction":"0x`+strings.Repeat("ab", 32)+`","network":"eip155:84532"}`))
	s := carried(t, f)
	a := s.begin(t)
	payment := s.sign(t, a, s.buyer)
	payment.Authorization.ValidBefore = big.NewInt(time.Now().Add(13 * time.Second).Unix())
	payment = signed(t, 2, s.checkout.Requirement(a), payment.Authorization, s.buyer)
	_, err := s.checkout.Pay(t.Context(), a.ID, payment)
	require.Error(t, err)
	p := s.awaitStatus(t, a.ID, checkout.Failed) // once nobody can send it any more
	require.Equal(t, "failed", p.Settlement.Status)
	require.Zero(t, s.count(t, `SELECT count(*) FROM sales`))
	require.EqualValues(t, 1, f.settles.Load())
}

// credulous believes what a facilitator says.
type credulous struct{ x402.Facilitator }

func (c credulous) Settle(ctx context.Context, t evm.Transfer, _ evm.Keeper) (evm.Proof, error) {
	want := x402.Requirement{Token: x402.BaseSepolia, Amount: price, PayTo: t.Authorization.To}
	said, err := c.Facilitator.Settle(ctx, want.Payment(2, t.Authorization, t.Signature), want)
	if err != nil || !said.Success {
		return evm.Proof{}, evm.ErrUnknown
	}
	return evm.Proof{Transaction: common.HexToHash(said.Transaction), BlockHash: randomHash(), Payer: t.Authorization.From, Payee: t.Authorization.To, Value: price}, nil
}

// TestACredulousShopIsFoundOut is the control of the tests above: were the facilitators' word believed, they would fail.
func TestACredulousShopIsFoundOut(t *testing.T) {
	t.Parallel()
	f := newCarrier(t, false, saysStatus(200, `{"success":true,"transaction":"0x`+strings.Repeat("ab", 31)+`01","network":"eip155:84532"}`))
	s := newShopWith(t, plan{quiet: true, dirty: true})
	s.worker.stop(t)
	s.worker = s.start(t, role{settles: true, works: true, settler: credulous{Facilitator: f}})
	a := s.begin(t)
	p, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)
	require.Equal(t, checkout.Settled, p.Status, "goods are out of the house")
	require.Zero(t, balanceOf(t, s.payee), "and no money is in it")
	findings := s.findings(t)
	require.Len(t, findings, 1)
	require.Equal(t, "a confirmed settlement is on the chain", findings[0].Rule)
}

// TestAnotherIsAskedOnlyWhereTheFirstSurelyDidNothing goes through the refusals after which the next one is asked.
func TestAnotherIsAskedOnlyWhereTheFirstSurelyDidNothing(t *testing.T) {
	t.Parallel()
	down, err := x402.NewRemote("http://127.0.0.1:1", x402.RemoteOptions{Name: "down"})
	require.NoError(t, err)
	refusing := func(status int, body string) *carrier {
		f := newCarrier(t, true, says)
		f.verify = func(w http.ResponseWriter) { saysStatus(status, body)(w, x402.Asked{}, "") }
		return f
	}
	for name, first := range map[string]x402.Facilitator{
		"nobody listens":          down,
		"it refuses to verify":    refusing(200, `{"isValid":false,"invalidReason":"invalid_exact_evm_payload_from_address_kyt"}`),
		"it cannot verify":        refusing(500, "oops"),
		"it verifies garbage":     refusing(200, "garbage"),
		"it wants a rest":         refusing(429, ""),
		"it does not know us":     refusing(401, ""),
		"settle is not there":     newCarrier(t, false, says404),
		"settle wants a rest":     newCarrier(t, false, saysStatus(429, "")),
		"settle does not know us": newCarrier(t, false, saysStatus(403, "no")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			second := newCarrier(t, true, says)
			s := carried(t, first, second)
			a := s.begin(t)
			p, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
			require.NoError(t, err)
			s.soldOnce(t, p)
			s.notOurs(t)
			require.EqualValues(t, 1, second.settles.Load())
			require.Equal(t, second.Name(), p.Settlement.Facilitator)
			require.Equal(t, 1, s.count(t, `SELECT count(*) FROM facilitator_asks WHERE facilitator = $1 AND outcome NOT IN ('', 'success')`, first.Name()))
		})
	}

	t.Run("our own relayer may be the next", func(t *testing.T) {
		t.Parallel()
		s := carried(t, down, nil)
		a := s.begin(t)
		p, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
		require.NoError(t, err)
		s.soldOnce(t, p)
		require.Equal(t, "own", p.Settlement.Facilitator)
	})

	t.Run("a payment waits for the only one, and is not lost", func(t *testing.T) {
		t.Parallel()
		f := refusing(503, "later")
		s := carried(t, f)
		a := s.begin(t)
		payment := s.sign(t, a, s.buyer)
		_, err := s.checkout.Pay(t.Context(), a.ID, payment)
		require.ErrorIs(t, err, checkout.ErrPending)
		p, err := s.checkout.Purchase(t.Context(), a.ID)
		require.NoError(t, err)
		require.Equal(t, "queued", p.Settlement.Status)
		require.Equal(t, "No facilitator could be asked.", p.Settlement.LastError)
		s.worker.stop(t)
		good := newCarrier(t, true, says)
		s.worker = s.start(t, role{settles: true, works: true, sweep: time.Second, facilitators: []x402.Facilitator{good}})
		s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
	})

	t.Run("a payment that all decline may be made anew", func(t *testing.T) {
		t.Parallel()
		s := carried(t, refusing(400, `{"isValid":false,"invalidReason":"invalid_payload"}`))
		a := s.begin(t)
		_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
		requireInvalid(t, x402.Malformed, err)
		require.Equal(t, checkout.Open, s.status(t, a.ID))
	})
}

func TestAFacilitatorIsNotAskedForWhatTheChainRefuses(t *testing.T) {
	t.Parallel()
	f := newCarrier(t, true, says)
	s := carried(t, f)
	a := s.begin(t)
	_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, newKey())) // who has nothing
	requireInvalid(t, x402.Funds, err)
	require.Zero(t, f.verifies.Load())
	require.Equal(t, checkout.Open, s.status(t, a.ID))
}

func TestTheChainIsAwayAfterAFacilitatorWasAsked(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	f := newCarrier(t, true, func(w http.ResponseWriter, asked x402.Asked, transaction string) {
		l.setCut(true)
		hangsUp(w, asked, transaction)
	})
	s := newShopWith(t, plan{quiet: true, wait: 4 * time.Second})
	s.worker.stop(t)
	s.worker = s.start(t, role{settles: true, works: true, rpc: l.URL, facilitators: []x402.Facilitator{f}})
	a := s.begin(t)
	payment := s.sign(t, a, s.buyer)
	_, err := s.checkout.Pay(t.Context(), a.ID, payment)
	require.ErrorIs(t, err, checkout.ErrPending)
	s.awaitStatus(t, a.ID, checkout.Unknown)
	l.mend()
	s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
	require.EqualValues(t, 1, f.settles.Load())
}

func TestPaymentsAreTakenWhereAFacilitatorAnswers(t *testing.T) {
	t.Parallel()
	f := newCarrier(t, true, says)
	s := newShopWith(t, plan{broke: true})
	require.ErrorIs(t, s.checkout.Funded(t.Context(), sepolia), checkout.ErrUnfunded)
	worker := s.start(t, role{facilitators: []x402.Facilitator{f}})
	require.NoError(t, worker.checkout.CheckFacilitators(t.Context()))
	require.NoError(t, s.checkout.Funded(t.Context(), sepolia))
	s.clock.advance(10 * time.Minute)
	require.ErrorIs(t, s.checkout.Funded(t.Context(), sepolia), checkout.ErrUnfunded)
	s.clock.advance(-10 * time.Minute)
}
