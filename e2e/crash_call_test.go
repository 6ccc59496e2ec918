package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/audit"
	"xsynesis/bench/buyer"
	"xsynesis/fault"
	"xsynesis/shop"
)

// callbackKey signs what the facilitator of a crash calls back with.
const callbackKey = "only the facilitator and the shop know this"

// TestCrashOfPaidAPIs kills a shop at every moment of a paid call that is not one of its payment, whoever moves the
// money, and when a facilitator calls back. Nobody pays twice, and who paid has his answer.
func TestCrashOfPaidAPIs(t *testing.T) {
	t.Parallel()
	began := time.Now()
	table := &crashTable{}
	scenarios := make(chan func())
	var running sync.WaitGroup
	for range sideBySide {
		running.Go(func() {
			for scenario := range scenarios {
				scenario()
			}
		})
	}
	run := func(name string, restarts int, crash func(t *testing.T, row *crashRow)) {
		scenarios <- func() {
			t.Run(fmt.Sprintf("%s/%d", name, restarts), func(t *testing.T) {
				row := crashRow{step: name, restarts: restarts, outcome: "FAILED"}
				began := time.Now()
				defer func() { row.took = time.Since(began); table.add(row) }()
				crash(t, &row)
			})
		}
	}
	run("a call with a code", 1, crashWithCode)
	for _, restarts := range []int{2, 1} { // the longer ones first
		for _, step := range fault.CallSteps {
			run(string(step), restarts, func(t *testing.T, row *crashRow) { crashCalling(t, row, step, restarts, shop.SettlesAfter) })
		}
		for _, step := range []fault.Step{fault.CallAsked, fault.CallClaimed, fault.CallAnswered} {
			run(string(step)+", paid first", restarts, func(t *testing.T, row *crashRow) { crashCalling(t, row, step, restarts, shop.SettlesFirst) })
		}
		for _, step := range fault.FacilitatorSteps {
			run(string(step), restarts, func(t *testing.T, row *crashRow) { crashFacilitated(t, row, step, restarts) })
		}
		run(string(fault.CallbackStored), restarts, func(t *testing.T, row *crashRow) { crashCalledBack(t, row, restarts) })
	}
	close(scenarios)
	running.Wait()
	table.print()
	require.Less(t, time.Since(began), crashesLimit)
}

// crashAPI is a seller's server, which outlives every shop, and its address at the shop.
type crashAPI struct {
	url    string
	asked  atomic.Int32
	broken atomic.Bool
	hold   atomic.Bool // it does not answer
}

func (w *crashWorld) sellCalls(t *testing.T, settles shop.Settles) *crashAPI {
	t.Helper()
	api := &crashAPI{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := api.asked.Add(1)
		switch {
		case api.hold.Load():
			<-r.Context().Done()
		case api.broken.Load():
			w.WriteHeader(http.StatusInternalServerError)
		default:
			_, _ = fmt.Fprintf(w, "sunny, asked %d times", n)
		}
	}))
	t.Cleanup(server.Close)
	e, err := w.parts.Endpoints.Create(t.Context(), w.merchant, false, shop.EndpointForm{
		URL: server.URL, Title: "Weather", Price: crashPrice, Settles: settles, Timeout: time.Second,
	}, audit.By{Actor: "test"})
	require.NoError(t, err)
	api.url = w.site + "/x/" + string(e.ID)
	return api
}

func crashCalling(t *testing.T, row *crashRow, step fault.Step, restarts int, settles shop.Settles) {
	w := newCrashWorld(t, "ALLOW_PRIVATE_TARGETS=true")
	api := w.sellCalls(t, settles)
	api.broken.Store(step == fault.CallReleased)
	b, how := w.crash(t, row, step, restarts, w.callAt(t, api.url), func() { api.broken.Store(false) })
	w.boughtOnce(t, b)
	most := 1 // what the seller's server was asked, and nobody lived to hear
	if step == fault.CallAnswered || step == fault.CallReleased {
		most += restarts
	}
	require.LessOrEqual(t, int(api.asked.Load()), most)
	row.outcome = fmt.Sprintf("1 transfer, 1 sale, 1 answer, audit clean; the seller was asked %d times%s", api.asked.Load(), how)
}

// callAt calls with one payment until it is answered, as a program does that is told that nothing was charged. It never
// pays anew.
func (w *crashWorld) callAt(t *testing.T, url string) chan bought {
	t.Helper()
	ctx := within(t, hitWithin+againWithin+paidWithin)
	done := make(chan bought, 1)
	go func() {
		b := bought{url: url}
		b.payment, b.err = w.sign(ctx, url, 2)
		for b.err == nil {
			b.answer, b.err = w.buyer.Pay(ctx, b.payment, url)
			if !errors.Is(b.err, buyer.ErrRefused) || strings.Contains(b.err.Error(), ": 402: ") {
				break
			}
			b.err = context.Cause(ctx)
			time.Sleep(100 * time.Millisecond)
		}
		done <- b
	}()
	return done
}

// crashFacilitated lets the reference facilitator move the money, and kills the shop that asks it.
func crashFacilitated(t *testing.T, row *crashRow, step fault.Step, restarts int) {
	w := newCrashWorld(t)
	facilitator := serveNPM(t, "express", "facilitator_v2.mjs", "RPC_URL=http://127.0.0.1:"+envOf(w.env, "DEV_RPC_PORT"), "GAS_KEY="+envOf(w.env, "RELAYER_KEY"))
	w.env = append(w.env, "FACILITATOR_URL="+facilitator.url)
	w.crashPaying(t, row, step, restarts)
}

// crashCalledBack kills the shop when it has stored what a facilitator called back with, which calls until it is heard.
func crashCalledBack(t *testing.T, row *crashRow, restarts int) {
	w := newCrashWorld(t, "FACILITATOR_WEBHOOK_SECRET="+callbackKey)
	calm := w.live(t, "")
	b := <-w.pay(t, "", 1)
	require.NoError(t, b.err)
	calm.kill()
	heard, how := w.crash(t, row, fault.CallbackStored, restarts, w.callBack(t, b), func() {})
	w.boughtOnce(t, heard)
	var rows, times int
	var outcome string
	require.Eventually(t, func() bool {
		err := w.parts.Pool.QueryRow(t.Context(), `SELECT count(*), sum(times), min(outcome) FROM facilitator_callbacks`).Scan(&rows, &times, &outcome)
		return err == nil && outcome != ""
	}, paidWithin, 100*time.Millisecond, "nobody looked at what was called back")
	require.Equal(t, 1, rows)
	require.GreaterOrEqual(t, times, 2, "those before the crash and after it")
	row.outcome = fmt.Sprintf("1 transfer, 1 sale, audit clean; called back %d times, kept once, %q%s", times, outcome, how)
}

// callBack tells of a purchase until the shop says that it has heard.
func (w *crashWorld) callBack(t *testing.T, b bought) chan bought {
	t.Helper()
	body := fmt.Sprintf(`{"payment_attempt_id":%q,"success":true}`, b.answer.Purchase)
	seal := hmac.New(sha256.New, []byte(callbackKey))
	_, _ = seal.Write([]byte(body))
	signature := hex.EncodeToString(seal.Sum(nil))
	ctx := within(t, hitWithin+againWithin+paidWithin)
	done := make(chan bought, 1)
	go func() {
		for b.err == nil {
			a, err := new(world).send(ctx, http.MethodPost, w.site+"/api/facilitator/webhook", body, "X-Signature", signature)
			if err == nil && a.Status == http.StatusOK {
				break
			}
			time.Sleep(100 * time.Millisecond)
			b.err = context.Cause(ctx)
		}
		done <- b
	}()
	return done
}

// crashWithCode kills the shop while it asks the seller's server for a call that a code lets through. Its one use comes
// back, and is had by whoever calls next.
func crashWithCode(t *testing.T, row *crashRow) {
	w := newCrashWorld(t, "ALLOW_PRIVATE_TARGETS=true")
	api := w.sellCalls(t, shop.SettlesAfter)
	batch, err := w.parts.Shop.GenerateCodes(t.Context(), w.merchant, false, shop.CodeForm{Own: []string{"FREE-CALL"}, Terms: shop.Terms{Off: shop.OffAll, Uses: 1}}, audit.By{Actor: "test"})
	require.NoError(t, err)
	used := func() int {
		found, err := w.parts.Shop.CodeBatch(t.Context(), w.merchant, false, batch.ID)
		require.NoError(t, err)
		return found.Used
	}
	call := func() (answer, error) {
		return new(world).send(t.Context(), http.MethodGet, api.url, "", "X-Activation-Code", "FREE-CALL")
	}
	api.hold.Store(true)
	first := w.live(t, "")
	_, err = w.buyer.Ask(within(t, hitWithin), api.url) // it answers
	require.NoError(t, err)
	go func() { _, _ = call() }()
	require.Eventually(t, func() bool { return api.asked.Load() == 1 }, hitWithin, time.Millisecond)
	require.Equal(t, 1, used())
	first.kill()

	api.hold.Store(false)
	_, err = w.parts.Pool.Exec(t.Context(), `UPDATE code_uses SET held_until = now() - interval '1 second' WHERE held_until IS NOT NULL`) // it is a minute later
	require.NoError(t, err)
	w.live(t, "")
	require.Eventually(t, func() bool { return used() == 0 }, paidWithin, 100*time.Millisecond, "the use does not come back")
	a, err := call()
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	a, err = call()
	require.NoError(t, err)
	require.Equal(t, http.StatusConflict, a.Status, a.Body)
	findings, err := w.parts.Checkout.Audit(t.Context())
	require.NoError(t, err)
	require.Empty(t, findings)
	row.outcome = "its one use came back and was had once; audit clean"
}

func envOf(env []string, name string) string {
	for _, pair := range env {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}
