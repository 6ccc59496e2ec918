package checkout_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/evm/devchain"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/x402"
)

func TestAPaymentThatItsWorkerNeverRecordedIsSeen(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true, wait: 50 * time.Millisecond})
	a := s.begin(t)
	p := s.sign(t, a, s.buyer)
	_, err := s.checkout.Pay(t.Context(), a.ID, p)
	require.ErrorIs(t, err, checkout.ErrPending)
	sendByStranger(t, transferCall(p))
	s.watch(t)
	paid, err := s.checkout.Purchase(t.Context(), a.ID)
	require.NoError(t, err)
	s.soldOnce(t, paid)
	require.Zero(t, s.count(t, `SELECT count(*) FROM transfers`), "it is no plain transfer")
}

func TestATransferWaitsForASignatureThatIsUnderWay(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true, wait: 50 * time.Millisecond})
	a, m := s.open(t)
	_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.ErrorIs(t, err, checkout.ErrPending)
	sends(t, newSpender(t, 10*money.One), a.PayTo, m.Amount)
	s.watch(t)
	require.Equal(t, checkout.Settling, s.status(t, a.ID))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM transfers WHERE state = 'seen'`))

	s.worker.work(t)
	s.awaitStatus(t, a.ID, checkout.Settled)
	s.watch(t)
	require.Equal(t, 1, s.listed(t, "paid_twice"), "both came: one goes back")
	require.Zero(t, s.count(t, `SELECT count(*) FROM transfers WHERE state = 'seen'`))
}

// toldAtOnce is a payment that is on the chain, and that nobody has recorded.
type toldAtOnce struct {
	attempt    id.Attempt
	settlement id.Settlement
	payment    x402.Payment
	hash       common.Hash
}

// TestASettlementToldByAllAtOnceIsOneSale runs 200 times, or as often as TOLD says.
func TestASettlementToldByAllAtOnceIsOneSale(t *testing.T) {
	t.Parallel()
	times := 200
	if n, err := strconv.Atoi(os.Getenv("TOLD")); err == nil {
		times = n
	}
	s := newShopWith(t, plan{quiet: true, wait: time.Millisecond})
	all := s.tellLater(t, times)
	watcher := s.start(t, role{})
	for some := range chunks(all, 20) {
		var telling sync.WaitGroup
		begin := make(chan struct{})
		tell := func(what string, f func() error) {
			telling.Go(func() {
				<-begin
				if err := f(); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			})
		}
		for _, p := range some {
			tell("the job", func() error { return settled(s.worker.checkout.Settle(t.Context(), p.settlement)) })
			tell("the callback", func() error {
				body := []byte(`{"payment_attempt_id":"` + string(p.attempt) + `","success":true,"transaction":"` + p.hash.Hex() + `"}`)
				if err := s.checkout.Receive(t.Context(), body); err != nil {
					return err
				}
				return settled(s.worker.checkout.Settle(t.Context(), p.settlement)) // what the callback asks for
			})
		}
		tell("the watcher", func() error { return watcher.checkout.Watch(t.Context()) })
		close(begin)
		telling.Wait()
	}
	s.watch(t)
	require.Equal(t, times, s.count(t, `SELECT count(*) FROM attempts WHERE status = 'settled'`))
	require.Equal(t, times, s.count(t, `SELECT count(*) FROM sales`))
	require.Equal(t, times, s.count(t, `SELECT count(*) FROM postings WHERE kind = 'sale'`))
	require.Equal(t, times, s.count(t, `SELECT count(*) FROM settlements WHERE status IN ('confirmed', 'final')`))
	require.Zero(t, s.count(t, `SELECT count(*) FROM transfers`))
}

// settled is nil where somebody else has the settlement at the moment.
func settled(err error) error {
	if later := (&river.JobSnoozeError{}); errors.As(err, &later) {
		return nil
	}
	return err
}

func chunks[T any](all []T, size int) func(func([]T) bool) {
	return func(yield func([]T) bool) {
		for len(all) > 0 {
			n := min(size, len(all))
			if !yield(all[:n]) {
				return
			}
			all = all[n:]
		}
	}
}

// tellLater signs purchases, and lets a stranger send all of their payments.
func (s *testShop) tellLater(t *testing.T, times int) []toldAtOnce {
	t.Helper()
	link := s.newLink(t, s.merchant, shop.LinkForm{Title: "Sip", Price: 50_000})
	all := make([]toldAtOnce, times)
	for i := range all {
		a, err := s.checkout.Start(t.Context(), checkout.Begin{Token: link.Token, From: "192.0.2.1"})
		require.NoError(t, err)
		all[i] = toldAtOnce{attempt: a.ID, payment: s.sign(t, a, s.buyer)}
		_, err = s.checkout.Pay(t.Context(), a.ID, all[i].payment)
		require.ErrorIs(t, err, checkout.ErrPending)
		require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT id FROM settlements WHERE attempt_id = $1`, a.ID).Scan(&all[i].settlement))
	}
	client, key := world.dev().Client(), newGas(t)
	for i := range all {
		tx, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(devchain.ChainID)), &types.DynamicFeeTx{
			ChainID: big.NewInt(devchain.ChainID), Nonce: uint64(i), To: &devchain.USDC, Value: new(big.Int), Data: transferCall(all[i].payment), Gas: 120_000,
			GasTipCap: big.NewInt(5e9), GasFeeCap: big.NewInt(1e11),
		})
		require.NoError(t, err)
		require.NoError(t, client.SendTransaction(t.Context(), tx))
		all[i].hash = tx.Hash()
	}
	require.Eventually(t, func() bool {
		receipt, err := client.TransactionReceipt(t.Context(), all[times-1].hash)
		return err == nil && receipt.Status == types.ReceiptStatusSuccessful
	}, time.Minute, 50*time.Millisecond, "they are not mined")
	return all
}

func TestATransferThatTheNodeKeepsToItselfIsFound(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true, rpc: newForgetfulNode(t)})
	a, m := s.open(t)
	b, n := s.open(t)
	payer := newSpender(t, 10*money.One)
	sends(t, payer, a.PayTo, m.Amount)
	sends(t, payer, b.PayTo, n.Amount)
	require.Eventually(t, func() bool { // what is read a second time is some blocks behind the head
		s.watch(t)
		s.clock.advance(31 * time.Second)
		return s.status(t, a.ID) == checkout.Settled && s.status(t, b.ID) == checkout.Settled
	}, 60*time.Second, 500*time.Millisecond, "the balance tells of it")
}

// newForgetfulNode is a node that shows every second log that it is asked for, if that.
func newForgetfulNode(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		response, err := http.Post(world.dev().URL(), "application/json", bytes.NewReader(body))
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer func() { _ = response.Body.Close() }()
		answer, _ := io.ReadAll(response.Body)
		if bytes.Contains(body, []byte(`"eth_getLogs"`)) {
			var reply struct {
				Version string            `json:"jsonrpc"`
				ID      json.RawMessage   `json:"id"`
				Result  []json.RawMessage `json:"result"`
			}
			if json.Unmarshal(answer, &reply) == nil && reply.Result != nil {
				kept := []json.RawMessage{}
				for i := 1; i < len(reply.Result); i += 2 {
					kept = append(kept, reply.Result[i])
				}
				reply.Result = kept
				answer, _ = json.Marshal(reply)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}
