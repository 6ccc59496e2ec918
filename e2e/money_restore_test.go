package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"xsynesis/audit"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/postgres/pgtest"
)

// restores starts all anew on a database as it was, beside a chain that is further.
func (w *crashWorld) restores(t *testing.T, database string) {
	t.Helper()
	w.env = append(w.env[:len(w.env):len(w.env)], "DATABASE_URL="+database)
	w.build(t)
}

// TestADatabaseOfAnHourAgoSendsNothingTwice goes on with books that are older than the chain: a payout has left since, and a sale
// was made, and they know of neither. Nothing leaves until somebody has entered the payout; then the books are the chain's
// again, to the unit.
func TestADatabaseOfAnHourAgoSendsNothingTwice(t *testing.T) {
	t.Parallel()
	w := newCrashWorld(t, crashFees)
	w.earns(t, true)
	hourAgo := pgtest.Copy(t, w.parts.Pool.Config().ConnString())

	now := w.live(t, "")
	l := w.payout("")
	made, err := l.ask(within(t, paidWithin))
	require.NoError(t, err)
	require.NoError(t, l.arrives(within(t, paidWithin), made))
	payment, err := w.sign(within(t, hitWithin), w.link, 2)
	require.NoError(t, err)
	_, err = w.buyer.Pay(within(t, paidWithin), payment, w.link)
	require.NoError(t, err)
	now.end()

	w.restores(t, hourAgo)
	require.ErrorContains(t, w.broken(t.Context()), "a deposit address holds what the books say")
	w.live(t, "")
	var strays []ledger.Stray
	require.Eventually(t, func() bool {
		strays, err = w.parts.Custody.Strays(t.Context(), w.merchant)
		return err == nil && len(strays) == 1
	}, hitWithin, 100*time.Millisecond, "nobody sees that the chain is ahead")
	require.Equal(t, crashPaid, strays[0].Amount)
	require.Equal(t, w.payee, strays[0].To)
	for range 3 {
		require.Equal(t, http.StatusServiceUnavailable, l.asks(t, "the-one-and-only"), "the same payout, asked for again")
	}
	require.Equal(t, crashPaid, w.paidOut(t), "it left once")
	require.Eventually(t, func() bool { // the sale is found by whoever watches the chain
		var listed int
		err := w.parts.Pool.QueryRow(t.Context(), `SELECT count(*) FROM exceptions WHERE kind = 'unmatched' AND resolved_at IS NULL`).Scan(&listed)
		return err == nil && listed == 1
	}, hitWithin, 100*time.Millisecond, "the sale of the lost hour is not found")

	require.NoError(t, w.parts.Custody.EnterStray(t.Context(), w.merchant, crashNetwork, strays[0].Nonce, audit.By{Actor: "test"}))
	require.Eventually(t, func() bool { return w.broken(t.Context()) == nil }, hitWithin, 500*time.Millisecond, "it does not agree with the chain")
	holdings, err := w.parts.Custody.Holdings(t.Context(), w.merchant, false)
	require.NoError(t, err)
	require.Equal(t, []money.USDC{crashKept - crashPaid, crashPrice, 0}, []money.USDC{holdings[0].Available, holdings[0].Open, holdings[0].Drift})

	const rest = money.USDC(5_000)
	l.body["amount"], l.amount = rest.Units(), rest
	require.Equal(t, http.StatusCreated, l.asks(t, "another"), "what is left may leave")
	require.Eventually(t, func() bool { return w.paidOut(t) == crashPaid+rest }, paidWithin, 100*time.Millisecond)
	require.Eventually(t, func() bool { return w.broken(t.Context()) == nil }, hitWithin, 500*time.Millisecond)
}

// asks asks once, and returns the status of the answer; a refusal has to say that nothing leaves now.
func (l *leaving) asks(t *testing.T, key string) int {
	t.Helper()
	body, err := json.Marshal(l.body)
	require.NoError(t, err)
	a, err := l.send(within(t, hitWithin), http.MethodPost, l.call, string(body), "Idempotency-Key", key)
	require.NoError(t, err)
	require.Equal(t, a.Status == http.StatusServiceUnavailable, bytes.Contains([]byte(a.Body), []byte(`"read_only"`)), a.Body)
	return a.Status
}

// paidOut is what left the address that is kept for the shop.
func (w *crashWorld) paidOut(t *testing.T) money.USDC {
	t.Helper()
	_, value, err := w.moved(t.Context(), []common.Hash{common.BytesToHash(w.deposit[:])}, nil)
	require.NoError(t, err)
	return value
}
