package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/audit"
	"xsynesis/fault"
	"xsynesis/money"
)

// What leaves a shop that has sold one thing. A fortieth of what is kept is the platform's.
const (
	crashFees  = "PLATFORM_FEE_BPS=250"
	crashKept  = crashPrice - crashPrice/40
	crashPaid  = money.USDC(20_000)                     // paid out; it would be there twice
	crashBack  = money.USDC(20_000)                     // given back
	crashGiven = crashKept - (crashBack - crashBack/40) // what is owed to the shop after that: its fee comes back with it
)

// leaving is money that a program asks a shop to send.
type leaving struct {
	world   *crashWorld
	call    string // that asks for it
	list    string // that shows it
	id      string // what the calls name it by
	body    object
	own     bool // the shop's own wallet sends it
	from    common.Address
	to      common.Address
	amount  money.USDC
	left    money.USDC // what is owed to the shop afterwards
	kinds   []string   // of the postings about it
	tells   []string   // the events about it
	options []string   // those that may be missing: what the chain did while nobody looked is not told of
}

// ways are those in which money leaves, each with the moments that it meets.
var ways = []struct {
	name  string
	kept  bool // money is kept for the shop
	steps []fault.Step
	leave func(*crashWorld, string) *leaving
}{
	{"payout", true, fault.PayoutSteps, (*crashWorld).payout},
	{"refund of what is kept", true, slices.Concat([]fault.Step{fault.RefundCreating, fault.RefundCreated}, fault.PayoutSteps[2:]), (*crashWorld).refund},
	{"refund by the shop's own wallet", false, fault.RefundSteps, (*crashWorld).ownRefund},
}

// TestCrashOfMoneyThatLeaves kills a shop at every moment of a payout and of a refund, and starts it again once and twice.
// Whatever the moment, whoever asks again has one payout, and the money moved once.
func TestCrashOfMoneyThatLeaves(t *testing.T) {
	t.Parallel()
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
	for _, way := range ways {
		for _, step := range way.steps {
			table.order = append(table.order, way.name+": "+string(step))
		}
	}
	for _, c := range forgettings {
		scenarios <- func() { t.Run(c.name, func(t *testing.T) { c.run(t, table) }) }
	}
	for _, restarts := range []int{2, 1} { // the longer ones first
		for _, way := range ways {
			for _, step := range way.steps {
				scenarios <- func() {
					row := crashRow{step: way.name + ": " + string(step), restarts: restarts, outcome: "FAILED"}
					t.Run(fmt.Sprintf("%s/%d", row.step, restarts), func(t *testing.T) {
						began := time.Now()
						defer func() { row.took = time.Since(began); table.add(row) }()
						w := newCrashWorld(t, crashFees)
						w.leaves(t, &row, step, way.leave(w, w.earns(t, way.kept)))
					})
				}
			}
		}
	}
	close(scenarios)
	running.Wait()
	table.print()
}

// forgetting is a departure of which the shop forgets, while it is down, what makes it one. What the other rows look at
// must then be wrong: if it were not, they would prove nothing.
type forgetting struct {
	name   string
	step   fault.Step
	leave  func(*crashWorld, string) *leaving
	forget string
	finds  string
}

var forgettings = []forgetting{
	{
		"control: a refund without its key", fault.RefundCreated, (*crashWorld).refund,
		`UPDATE refunds SET once = NULL; DELETE FROM idempotency_keys`,
		"other payouts and refunds: 1, not 0",
	},
	{ // nor is it compared with the chain, or looked up in what was written before it was sent
		"control: a payout with another nonce", fault.RelayMined, (*crashWorld).payout,
		`UPDATE sendings SET status = 'queued', transaction = '', valid_before = NULL, nonce = '0x' || encode(sha256('another'), 'hex');
		DELETE FROM relay_versions; DELETE FROM relays;
		CREATE FUNCTION unseen() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
		CREATE TRIGGER unseen BEFORE INSERT ON custody_strays FOR EACH ROW EXECUTE FUNCTION unseen()`,
		"transfers on the chain: 2, not 1",
	},
}

func (c forgetting) run(t *testing.T, table *crashTable) {
	row := crashRow{step: c.name, restarts: 1, outcome: "FAILED: nothing was found wrong"}
	began := time.Now()
	defer func() { row.took = time.Since(began); table.add(row) }()
	w := newCrashWorld(t, crashFees)
	l := c.leave(w, w.earns(t, true))
	asked, _ := w.crash(t, &row, c.step, row.restarts, l.leave(t), func() {
		_, err := w.parts.Pool.Exec(t.Context(), c.forget)
		require.NoError(t, err)
	})
	wrong := l.wrong(t.Context(), asked.answer.Purchase)
	require.Error(t, wrong)
	require.Contains(t, strings.Split(wrong.Error(), "\n"), c.finds)
	row.outcome = "is found out, as it must be: " + c.finds
}

// earns sells one thing, in a shop that ends in peace, and returns the purchase.
func (w *crashWorld) earns(t *testing.T, kept bool) string {
	t.Helper()
	calm := w.live(t, "")
	defer calm.end()
	if kept {
		require.Eventually(t, func() bool { // a worker makes the addresses
			return w.parts.Custody.SetMode(t.Context(), w.merchant, crashNetwork, true, audit.By{Actor: "test"}) == nil
		}, hitWithin, 50*time.Millisecond, "there is no address to keep money at")
	}
	payment, err := w.sign(within(t, hitWithin), w.link, 2)
	require.NoError(t, err)
	sold, err := w.buyer.Pay(within(t, paidWithin), payment, w.link)
	require.NoError(t, err)
	w.program, err = w.parts.Access.CreateKey(t.Context(), w.merchant, false, "Crash", access.Scopes)
	require.NoError(t, err)
	modes, err := w.parts.Custody.Modes(t.Context(), w.merchant, false)
	require.NoError(t, err)
	w.deposit = modes[0].Deposit
	require.NoError(t, w.parts.Custody.TrustDestination(t.Context(), w.merchant, crashNetwork, w.payee))
	return sold.Purchase
}

func (w *crashWorld) payout(string) *leaving {
	return &leaving{
		world: w, call: "/api/payouts/create", list: "/api/payouts/list", id: "payout_id",
		body: object{"amount": crashPaid.Units(), "destination_wallet": w.payee.Hex()},
		from: w.deposit, to: w.payee, amount: crashPaid, left: crashKept - crashPaid,
		kinds: []string{"payout", "payout_completed"}, tells: []string{"payout.completed", "payout.created"}, options: []string{"payout.sent"},
	}
}

func (w *crashWorld) refund(purchase string) *leaving {
	return &leaving{
		world: w, call: "/api/refunds/create", list: "/api/refunds/list", id: "id",
		body: object{"payment_attempt_id": purchase, "amount": crashBack.Units(), "reason": "It was cold."},
		from: w.deposit, to: w.buyer.Address(), amount: crashBack, left: crashGiven,
		kinds: []string{"refund", "refund_completed"}, tells: []string{"refund.completed", "refund.created"},
	}
}

func (w *crashWorld) ownRefund(purchase string) *leaving {
	l := w.refund(purchase)
	l.own, l.from, l.left, l.kinds = true, w.payee, 0, []string{"refund_completed"}
	return l
}

// leaves kills the shop while money leaves it.
func (w *crashWorld) leaves(t *testing.T, row *crashRow, step fault.Step, l *leaving) {
	t.Helper()
	asked, how := w.crash(t, row, step, row.restarts, l.leave(t), func() {})
	require.NoError(t, l.wrong(t.Context(), asked.answer.Purchase))
	again, err := l.ask(within(t, paidWithin))
	require.NoError(t, err)
	require.Equal(t, asked.answer.Purchase, again.name(l), "the same request has another effect")
	require.NoError(t, l.wrong(t.Context(), asked.answer.Purchase))
	row.outcome = fmt.Sprintf("1 transfer, %d postings, audit clean; asked %d times%s", len(l.kinds), asked.answer.Tries, how)
}

// seenTogether is longer than a process takes to die: what is seen in the moment of its death is told after it.
const seenTogether = 500 * time.Millisecond

// leave asks for the money, through every crash, until it is where it belongs.
func (l *leaving) leave(t *testing.T) chan bought {
	t.Helper()
	ctx := within(t, hitWithin+againWithin+paidWithin)
	done := make(chan bought, 1)
	go func() {
		var b bought
		made, err := l.ask(ctx)
		if err == nil {
			b.answer.Purchase, b.answer.Tries = made.name(l), made.tries
			err = l.arrives(ctx, made)
		}
		b.err = err
		time.Sleep(seenTogether)
		done <- b
	}()
	return done
}

// leavingRow is what the API says of it.
type leavingRow struct {
	PayoutID    string `json:"payout_id"`
	ID          string `json:"id"`
	Status      string `json:"status"`
	Transaction string `json:"transaction"`
	Transfer    *struct {
		To   common.Address `json:"to"`
		Data hexutil.Bytes  `json:"data"`
	} `json:"transfer"`

	tries int
}

func (r leavingRow) name(l *leaving) string {
	if l.id == "id" {
		return r.ID
	}
	return r.PayoutID
}

// ask asks until it is answered, always with the same key.
func (l *leaving) ask(ctx context.Context) (made leavingRow, err error) {
	body, err := json.Marshal(l.body)
	if err != nil {
		return made, err
	}
	for made.tries = 1; ; made.tries++ {
		a, err := l.send(ctx, http.MethodPost, l.call, string(body), "Idempotency-Key", "the-one-and-only")
		switch {
		case err == nil && a.Status == http.StatusCreated:
			return made, json.Unmarshal([]byte(a.Body), &made)
		case err == nil && bytes.Contains([]byte(a.Body), []byte(`"idempotency_running"`)):
			// It was asked for by a process that is dead. It is a minute later.
			const later = `UPDATE idempotency_keys SET locked_until = now() - interval '1 second' WHERE status IS NULL`
			if _, err := l.world.parts.Pool.Exec(ctx, later); err != nil {
				return made, err
			}
		case err == nil && a.Status < http.StatusInternalServerError:
			return made, fmt.Errorf("%s: %d %s", l.call, a.Status, a.Body)
		}
		if err := pause(ctx); err != nil {
			return made, err
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(100 * time.Millisecond):
		return nil
	}
}

func (l *leaving) send(ctx context.Context, method, path, body string, headers ...string) (answer, error) {
	headers = append(headers, "Authorization", "Bearer "+l.world.program, "Content-Type", "application/json")
	return new(world).send(ctx, method, l.world.site+path, body, headers...)
}

// arrives waits until it is where it belongs; what the shop's own wallet has to send it sends, once.
func (l *leaving) arrives(ctx context.Context, made leavingRow) error {
	var report string
	if l.own {
		hash, err := sendFrom(ctx, l.world.chain, l.world.owner, made.Transfer.To, nil, made.Transfer.Data)
		if err != nil {
			return err
		}
		report = fmt.Sprintf(`{"id":%q,"transaction":%q}`, made.ID, hash.Hex())
	}
	for {
		if report != "" {
			_, _ = l.send(ctx, http.MethodPost, "/api/refunds/sent", report) // until the list says that it was heard
		}
		a, err := l.send(ctx, http.MethodGet, l.list, "")
		var list struct{ Data []leavingRow }
		if err == nil && a.Status == http.StatusOK {
			err = json.Unmarshal([]byte(a.Body), &list)
		}
		for _, r := range list.Data {
			switch {
			case r.name(l) != made.name(l):
			case r.Status == "completed":
				return err
			case r.Status == "failed":
				return fmt.Errorf("%s failed: %s", made.name(l), a.Body)
			}
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// wrong is everything that is not as after one departure; nil if nothing is.
func (l *leaving) wrong(ctx context.Context, source string) error {
	var all []error
	is := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			all = append(all, fmt.Errorf("%s: %v, not %v", what, got, want))
		}
	}
	w := l.world
	transfers, value, err := w.moved(ctx, []common.Hash{common.BytesToHash(l.from[:])}, []common.Hash{common.BytesToHash(l.to[:])})
	if err != nil {
		return err
	}
	is("transfers on the chain", transfers, 1)
	is("money on the chain", value, l.amount)
	kinds, err := w.texts(ctx, `SELECT kind FROM postings WHERE source = $1 ORDER BY id`, source)
	if err != nil {
		return err
	}
	is("postings", kinds, l.kinds)
	told, err := w.texts(ctx, `SELECT event_type FROM events WHERE resource_id = $1 ORDER BY event_type`, source)
	if err != nil {
		return err
	}
	is("what the shop was told", slices.DeleteFunc(slices.Clone(told), func(s string) bool { return slices.Contains(l.options, s) }), l.tells)
	is("what it was told twice", len(slices.Compact(told)), len(told))
	others, err := w.texts(ctx, `SELECT id FROM (SELECT id FROM payouts UNION ALL SELECT id FROM refunds) made WHERE id <> $1`, source)
	if err != nil {
		return err
	}
	is("other payouts and refunds", len(others), 0)
	holdings, err := w.parts.Custody.Holdings(ctx, w.merchant, false)
	if err != nil || len(holdings) != 1 {
		return fmt.Errorf("%d holdings: %w", len(holdings), err)
	}
	h := holdings[0]
	is("owed to the shop", h.Available, l.left)
	is("on its way", h.InPayout+h.InRefund, money.USDC(0))
	is("beyond the books", h.Drift, money.USDC(0))
	return errors.Join(append(all, w.broken(ctx))...)
}

// texts are the first column of what a statement finds.
func (w *crashWorld) texts(ctx context.Context, sql string, args ...any) (out []string, err error) {
	rows, err := w.parts.Pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// broken is what the audit of everything finds.
func (w *crashWorld) broken(ctx context.Context) error {
	books, err := w.parts.Checkout.Audit(ctx)
	all := []error{err}
	for _, f := range books {
		all = append(all, errors.New(f.String()))
	}
	for _, look := range []func(context.Context) ([]string, error){w.parts.Custody.Audit, w.parts.Webhooks.Audit} {
		found, err := look(ctx)
		all = append(all, err)
		for _, f := range found {
			all = append(all, errors.New(f))
		}
	}
	return errors.Join(all...)
}
