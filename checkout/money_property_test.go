package checkout_test

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/x402"
)

// step is something that happens to a shop's money; the numbers choose whose and how much.
type step struct {
	Do   string
	A, B int
	Cut  int // milliseconds after which the power fails; 0 for not
}

var (
	aStep = rapid.Custom(func(t *rapid.T) step {
		return step{
			Do: rapid.SampledFrom([]string{
				"pay", "pay", "pay", "pay", "transfer", "late", "stray", "void", "cancel", "refund", "refund", "refund", "payout", "payout", "stuck", "end",
				"switch", "reorg", "drop",
			}).Draw(t, "do"),
			A: rapid.IntRange(0, 999).Draw(t, "a"), B: rapid.IntRange(0, 999).Draw(t, "b"),
			Cut: rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 1, 3, 6, 10, 15, 25}).Draw(t, "cut"),
		}
	})
	aHistory = rapid.SliceOfN(aStep, 1, 10)
)

// history is what happens to one shop, beside what should be so on paper.
type history struct {
	*small

	merchant id.Merchant
	own      *ecdsa.PrivateKey
	links    []shop.Link
	paper    onPaper
	collects bool
	bought   []*purchased // beside those on paper
	ends     []func(step) error
	last     *purchased // nothing happened since it was paid
}

// purchased is a purchase that was paid, and how.
type purchased struct {
	*bought

	attempt    id.Attempt
	settlement checkout.Settlement
	buyer      *ecdsa.PrivateKey
	payment    *x402.Payment // nil: by a transfer
}

// lives lets one shop live through these steps.
func (w *small) lives(steps []step) error {
	h, err := w.found()
	if err != nil {
		return err
	}
	if err := h.opens(); err != nil {
		return err
	}
	for i, s := range steps {
		if err := h.step(s); err != nil {
			return fmt.Errorf("step %d, %+v: %w", i, s, err)
		}
	}
	for len(h.ends) > 0 {
		if err := h.end(step{}); err != nil {
			return fmt.Errorf("at the end: %w", err)
		}
	}
	return h.agrees(true)
}

func (h *history) opens() error {
	ctx := h.t.Context()
	for _, price := range []money.USDC{1_000_003, 333_337} {
		link, err := h.s.shop.CreateLink(ctx, h.merchant, false, shop.LinkForm{Title: "Flat white", Price: price}, ada)
		if err != nil {
			return err
		}
		h.links = append(h.links, link)
	}
	h.paper = onPaper{bps: int64(h.s.fee), own: addressOf(h.own), lies: map[common.Address]money.USDC{addressOf(h.own): 0}}
	for _, buyer := range h.buyers {
		h.paper.lies[addressOf(buyer)] = 0
	}
	lies, err := h.balances(h.paper.lies)
	h.paper.lies = lies
	return err
}

func (h *history) step(s step) error {
	last := h.last
	h.last = nil
	var err error
	switch s.Do {
	case "pay":
		err = h.pay(s)
	case "transfer", "late":
		err = h.transfer(s)
	case "stray":
		err = h.stray(s)
	case "void", "cancel":
		err = h.unpaid(s)
	case "refund":
		err = h.refund(s)
	case "payout":
		err = h.payout(s)
	case "stuck":
		err = h.stuck(s)
	case "end":
		err = h.end(s)
	case "switch":
		err = h.change()
	case "reorg":
		err = h.reorg(s)
	case "drop":
		err = h.drop(last)
	}
	if err == nil {
		err = h.agrees(false)
	}
	return err
}

func (h *history) begin(s step) (checkout.Attempt, *ecdsa.PrivateKey, error) {
	var a checkout.Attempt
	err := h.until(func(ctx context.Context, p *process) (err error) {
		a, err = p.checkout.Start(ctx, checkout.Begin{Token: h.links[s.B%len(h.links)].Token})
		return err
	})
	return a, h.buyers[s.A%fewBuyers], err
}

// pay is a purchase by a signature, which now and then somebody else sends.
func (h *history) pay(s step) error {
	a, buyer, err := h.begin(s)
	if err != nil {
		return err
	}
	payment := h.s.sign(h.t, a, buyer)
	if s.A%5 == 1 {
		if err := h.until(h.claims(a, payment)); err != nil {
			return err
		}
		if _, err := h.calls(buyer, transferCall(payment)); err != nil {
			return err
		}
	}
	if err := h.does(s.Cut, h.settles(a, payment)); err != nil {
		return err
	}
	return h.paid(a, buyer, &payment)
}

// claims hands a signature in.
func (h *history) claims(a checkout.Attempt, payment x402.Payment) func(context.Context, *process) error {
	return func(ctx context.Context, p *process) error {
		_, err := p.checkout.Pay(ctx, a.ID, payment)
		if errors.Is(err, checkout.ErrPending) {
			return nil
		}
		return err
	}
}

// settles brings a signature to its end.
func (h *history) settles(a checkout.Attempt, payment x402.Payment) func(context.Context, *process) error {
	return func(ctx context.Context, p *process) error {
		if err := h.claims(a, payment)(ctx, p); err != nil {
			return err
		}
		now, err := p.checkout.Purchase(ctx, a.ID)
		if err != nil || now.Settlement == nil {
			return errors.Join(err, errLater)
		}
		return p.checkout.Settle(ctx, now.Settlement.ID)
	}
}

// paid notes a purchase for which the money has to be there.
func (h *history) paid(a checkout.Attempt, buyer *ecdsa.PrivateKey, payment *x402.Payment) error {
	p, err := h.s.checkout.Purchase(h.t.Context(), a.ID)
	if err != nil {
		return err
	}
	if !p.Status.Paid() {
		return fmt.Errorf("%s is %s", a.ID, p.Status)
	}
	b := &purchased{
		bought:  h.paper.pays(addressOf(buyer), a.PayTo, p.Settlement.Amount),
		attempt: a.ID, settlement: *p.Settlement, buyer: buyer, payment: payment,
	}
	if payment != nil && b.came != a.Amount {
		return fmt.Errorf("%s cost %s, and %s came", a.ID, a.Amount, b.came)
	}
	h.bought, h.last = append(h.bought, b), b
	h.settled = append(h.settled, b.settlement.ID)
	return nil
}

// transfer is a purchase that its buyer pays by a transfer of his own, in time or after it was called off.
func (h *history) transfer(s step) error {
	a, buyer, err := h.begin(s)
	if err != nil {
		return err
	}
	ctx := h.t.Context()
	m, err := h.process.checkout.OpenManual(ctx, a.ID)
	if err != nil {
		return err
	}
	if s.Do == "late" {
		if err := h.process.checkout.Cancel(ctx, h.merchant, a.ID); err != nil {
			return err
		}
	}
	if _, err := h.sends(buyer, a.PayTo, m.Amount); err != nil {
		return err
	}
	if err := h.does(s.Cut, func(ctx context.Context, p *process) error {
		if err := p.checkout.Watch(ctx); err != nil {
			return err
		}
		if now, err := p.checkout.Purchase(ctx, a.ID); err != nil || !now.Status.Paid() {
			return errors.Join(err, errLater)
		}
		return nil
	}); err != nil {
		return err
	}
	return h.paid(a, buyer, nil)
}

// stray is money that comes without a purchase.
func (h *history) stray(s step) error {
	buyer, to := h.buyers[s.A%fewBuyers], h.paper.own
	if h.collects {
		to = h.paper.deposit
	}
	amount := money.USDC(20_000 + 1_000*len(h.paper.strays) + s.B)
	if _, err := h.sends(buyer, to, amount); err != nil {
		return err
	}
	h.paper.finds(addressOf(buyer), to, amount)
	return h.does(s.Cut, func(ctx context.Context, p *process) error {
		if err := p.checkout.Watch(ctx); err != nil {
			return err
		}
		_, err := h.listed(ctx, p, amount)
		return err
	})
}

// listed is money that waits for a decision of the shop.
func (h *history) listed(ctx context.Context, p *process, amount money.USDC) (id.Exception, error) {
	all, err := p.checkout.UnresolvedList(ctx, h.merchant, false, false, shop.Page{Limit: 50})
	for _, x := range all {
		if x.Amount == amount {
			return x.ID, err
		}
	}
	return "", errors.Join(err, errLater)
}

// unpaid is a purchase whose signature is never mined: nobody mines it in time, or its payer takes it back.
func (h *history) unpaid(s step) error {
	a, buyer, err := h.begin(s)
	if err != nil {
		return err
	}
	payment := h.s.sign(h.t, a, buyer)
	if s.Do == "cancel" {
		if err := h.until(h.claims(a, payment)); err != nil {
			return err
		}
		if _, err := h.calls(buyer, cancelCall(h.t, h.s.network.Token, payment, buyer)); err != nil {
			return err
		}
	} else if err := h.inVain(h.settles(a, payment), h.claims(a, payment)); err != nil {
		return err
	}
	h.grows(sealedAt + 1)
	return h.does(s.Cut, func(ctx context.Context, p *process) error {
		now, err := p.checkout.Purchase(ctx, a.ID)
		switch {
		case err != nil:
			return err
		case now.Status.Paid():
			return fmt.Errorf("%s is %s", a.ID, now.Status)
		case !now.Status.UnderWay():
			return nil
		}
		return errors.Join(p.checkout.Settle(ctx, now.Settlement.ID), errLater)
	})
}

// inVain tries something while no block is sealed, and lets hours pass. least has to be done all the same.
func (h *history) inVain(f func(context.Context, *process) error, least func(context.Context, *process) error) error {
	if err := h.until(least); err != nil {
		return err
	}
	h.still.Store(true)
	defer h.still.Store(false)
	ctx, cancel := context.WithTimeout(h.t.Context(), 60*time.Millisecond)
	defer cancel()
	_ = f(ctx, h.process)
	return h.passes(2 * time.Hour)
}

// refund gives something back: of a purchase, or of what came without one.
func (h *history) refund(s step) error {
	form := checkout.RefundForm{Once: []byte(id.NewToken())}
	if s.B%5 == 4 {
		for _, x := range h.paper.strays {
			if !x.decided && (x.collected || h.paper.lies[h.paper.own] >= x.amount) {
				listed, err := h.listed(h.t.Context(), h.process, x.amount)
				if err != nil {
					return err
				}
				form.Exception = listed
				return h.give(s, form, h.paper.sendsBack(x))
			}
		}
	}
	if len(h.bought) == 0 {
		return nil
	}
	b := h.bought[s.A%len(h.bought)]
	form.Attempt = b.attempt
	amount := b.came - b.back
	if s.B%3 > 0 {
		amount = max(amount*money.USDC(1+s.A%7)/8, 1)
		form.Amount = &amount
	}
	var out *leaving
	if amount > 0 {
		out = h.paper.gives(b.bought, amount)
	}
	return h.give(s, form, out)
}

// give makes a refund, or hears that there is none to make.
func (h *history) give(s step, form checkout.RefundForm, out *leaving) error {
	var r checkout.Refund
	err := h.does(s.Cut, func(ctx context.Context, p *process) (err error) {
		r, err = p.checkout.Refund(ctx, h.merchant, false, form, owner)
		return err
	})
	if out == nil {
		for _, known := range []error{ledger.ErrInsufficient, checkout.ErrNothingToRefund, checkout.ErrOverRefund, checkout.ErrReversed} {
			if errors.Is(err, known) {
				return nil
			}
		}
		return fmt.Errorf("a refund that cannot be came to %w", errors.Join(err, errUnlikely))
	}
	if err != nil {
		return err
	}
	if r.Amount != out.amount {
		return fmt.Errorf("%s goes back, on paper %s", r.Amount, out.amount)
	}
	h.ends = append(h.ends, func(s step) error { return h.endRefund(s, r, out) })
	if s.B%4 == 0 {
		return nil // it stays on its way for some time
	}
	return h.end(s)
}

var errUnlikely = errors.New("no refusal")

// endRefund brings a refund to its end.
func (h *history) endRefund(s step, r checkout.Refund, out *leaving) error {
	if r.Collected {
		return h.sent(s, string(r.ID), out)
	}
	if h.paper.lies[h.paper.own] < r.Amount || s.B%7 == 3 {
		h.paper.returns(out)
		return h.does(s.Cut, func(ctx context.Context, p *process) error {
			_, err := p.checkout.CancelRefund(ctx, h.merchant, false, r.ID, ada)
			return err
		})
	}
	hash, err := h.sends(h.own, common.HexToAddress(r.To), r.Amount)
	if err != nil {
		return err
	}
	h.paper.arrives(out)
	return h.does(s.Cut, func(ctx context.Context, p *process) error {
		now, err := p.checkout.ReportRefund(ctx, h.merchant, false, r.ID, hash.Hex(), ada)
		if err == nil && now.Status != checkout.RefundCompleted {
			err = errors.Join(p.checkout.LookForRefund(ctx, r.ID), errLater)
		}
		return err
	})
}

// payout asks for a part of what is owed, for all of it, or for a little more.
func (h *history) payout(s step) error {
	_, _, err := h.pays(s)
	if err != nil || s.B%3 == 0 || len(h.ends) == 0 {
		return err
	}
	return h.end(s)
}

func (h *history) pays(s step) (id.Payout, *leaving, error) {
	amount := max(h.paper.kept.available*money.USDC(1+s.A%8)/7, 1)
	out := h.paper.paysOut(amount)
	form := ledger.PayoutForm{Amount: amount, Destination: h.paper.own.Hex(), Once: []byte(id.NewToken()), By: ada}
	var p ledger.Payout
	err := h.does(s.Cut, func(ctx context.Context, of *process) (err error) {
		p, err = of.custody.CreatePayout(ctx, h.merchant, false, form)
		return err
	})
	if out == nil {
		if errors.Is(err, ledger.ErrInsufficient) || errors.Is(err, ledger.ErrNothingCollected) {
			return "", nil, nil
		}
		return "", nil, fmt.Errorf("a payout that cannot be came to %w", errors.Join(err, errUnlikely))
	}
	if err == nil {
		h.ends = append(h.ends, func(s step) error { return h.sent(s, string(p.ID), out) })
	}
	return p.ID, out, err
}

// stuck is a payout that nobody mines in time.
func (h *history) stuck(s step) error {
	p, out, err := h.pays(s)
	if err != nil || out == nil {
		return err
	}
	send := func(ctx context.Context, of *process) error { return of.custody.Send(ctx, string(p)) }
	if err := h.inVain(send, func(context.Context, *process) error { return nil }); err != nil {
		return err
	}
	h.grows(sealedAt + 1)
	last := h.ends[len(h.ends)-1]
	h.ends = h.ends[:len(h.ends)-1]
	return last(s)
}

// sent is money that a worker sends; it arrives, or comes back.
func (h *history) sent(s step, sending string, out *leaving) error {
	if err := h.does(s.Cut, func(ctx context.Context, p *process) error { return p.custody.Send(ctx, sending) }); err != nil {
		return err
	}
	came := ""
	if payout, err := id.Parse[id.Payout](sending); err == nil {
		p, err := h.process.custody.Payout(h.t.Context(), h.merchant, false, payout)
		if err != nil {
			return err
		}
		came = string(p.Status)
	} else {
		r, err := h.process.checkout.RefundByID(h.t.Context(), h.merchant, false, id.Refund(sending))
		if err != nil {
			return err
		}
		came = string(r.Status)
	}
	switch came {
	case "completed":
		h.paper.arrives(out)
	case "failed":
		h.paper.returns(out)
	default:
		return fmt.Errorf("%s is %s", sending, came)
	}
	return nil
}

// end brings the oldest of what is on its way to its end.
func (h *history) end(s step) error {
	if len(h.ends) == 0 {
		return nil
	}
	first := h.ends[0]
	h.ends = h.ends[1:]
	return first(s)
}

// change has somebody else keep the money from now on.
func (h *history) change() error {
	ctx, c := h.t.Context(), h.process.custody
	if err := c.Fill(ctx); err != nil {
		return err
	}
	h.collects = !h.collects
	if err := c.SetMode(ctx, h.merchant, sepolia, h.collects, ada); err != nil {
		return err
	}
	modes, err := c.Modes(ctx, h.merchant, false)
	if err != nil {
		return err
	}
	if h.paper.deposit = modes[0].Deposit; h.paper.lies[h.paper.deposit] == 0 {
		h.paper.lies[h.paper.deposit] = 0
	}
	return nil
}

// reorg takes blocks away, whose transactions come back in others.
func (h *history) reorg(s step) error {
	return h.forgets(uint64(1+s.A%4), common.Hash{}, func() error { return nil })
}

// drop takes the block of the last payment away, which never comes back.
func (h *history) drop(b *purchased) error {
	if b == nil {
		return nil
	}
	h.process.stop(h.t) // or its relayer would be faster
	h.still.Store(true)
	head, err := h.dev.Client().BlockNumber(h.t.Context())
	before := uint64(b.settlement.Block) - 1
	lost := err == nil && head-before < sealedAt && head/epoch == before/epoch
	if lost {
		err = h.forgets(head-before, common.HexToHash(b.settlement.Transaction), func() error {
			if b.payment == nil {
				return nil
			}
			_, err := h.calls(b.buyer, cancelCall(h.t, h.s.network.Token, *b.payment, b.buyer))
			return err
		})
	}
	h.still.Store(false)
	h.process = h.begins()
	if err != nil || !lost {
		return errors.Join(err, h.passes(leaseTime))
	}
	h.grows(sealedAt + 1)
	h.paper.loses(b.bought)
	return h.passes(leaseTime)
}

// fewLooks mend whatever they can.
const fewLooks = 5

// agrees wants the books, the chain and the paper to say the same, as soon as everybody has looked.
func (h *history) agrees(audited bool) error {
	looked := 0 // since a planted mistake was posted
	return h.until(func(ctx context.Context, p *process) error {
		err := h.same(ctx, p)
		if err != nil && h.planted && h.s.count(h.t, `SELECT is_called::int FROM wrongs`) > 0 {
			if looked++; looked > fewLooks {
				return err
			}
		}
		if err != nil {
			err = errors.Join(errLater, err, h.looks(ctx, p))
		}
		if err != nil || !audited {
			return err
		}
		return h.audited(ctx, p)
	})
}

// mostLost is how many payments are in blocks that may get lost, at most.
const mostLost = 2 * sealedAt

// looks does what workers do again and again.
func (h *history) looks(ctx context.Context, p *process) error {
	errs := []error{p.checkout.Watch(ctx), p.checkout.Recheck(ctx), p.custody.Keep(ctx)}
	for _, settlement := range h.settled[max(0, len(h.settled)-mostLost):] {
		errs = append(errs, p.checkout.Find(ctx, settlement))
	}
	return errors.Join(errs...)
}

func (h *history) same(ctx context.Context, p *process) error {
	all, err := p.custody.Holdings(ctx, h.merchant, false)
	if err != nil {
		return err
	}
	var kept standing
	for _, k := range all {
		kept = standing{k.Available, k.Fees, k.InPayout, k.InRefund, k.Open, k.Deposited, k.Received}
	}
	lies, err := h.balances(h.paper.lies)
	if err != nil {
		return err
	}
	if err := h.paper.differs(kept, lies); err != nil {
		return err
	}
	return h.listsAll(ctx, p)
}

// listsAll wants exactly what came without a purchase to wait for a decision.
func (h *history) listsAll(ctx context.Context, p *process) error {
	all, err := p.checkout.UnresolvedList(ctx, h.merchant, false, false, shop.Page{Limit: 50})
	if err != nil {
		return err
	}
	waits := map[money.USDC]bool{}
	for _, x := range h.paper.strays {
		if !x.arrived {
			waits[x.amount] = true
		}
	}
	for _, x := range all {
		if !waits[x.Amount] {
			return fmt.Errorf("%s USDC are listed as %s, and on paper they are not", x.Amount, x.Kind)
		}
	}
	if len(all) != len(waits) {
		return fmt.Errorf("%d payments are listed, on paper %d", len(all), len(waits))
	}
	return nil
}

func (h *history) audited(ctx context.Context, p *process) error {
	findings, err := p.checkout.Audit(ctx)
	if err != nil {
		return err
	}
	kept, err := p.custody.Audit(ctx)
	for _, f := range findings {
		kept = append(kept, f.String())
	}
	if err != nil || len(kept) == 0 {
		return err
	}
	return errors.Join(errLater, errors.New(strings.Join(kept, "\n")), h.looks(ctx, p))
}

// historiesOfOne is how many histories one small world sees.
const historiesOfOne = 25

func TestTheBooksTheChainAndAPaperAgree(t *testing.T) {
	t.Parallel()
	const lanes = 2
	for lane := range lanes {
		t.Run(fmt.Sprintf("lane %d", lane), func(t *testing.T) {
			t.Parallel()
			for n := lane; n < (*histories+historiesOfOne-1)/historiesOfOne; n += lanes {
				t.Run(fmt.Sprintf("world %d", n), livesOn)
			}
		})
	}
}

// livesOn lets histories follow each other in one small world, until one goes wrong: then each has its own.
func livesOn(t *testing.T) {
	w := newSmall(t)
	rapid.Check(t, func(rt *rapid.T) {
		steps := aHistory.Draw(rt, "steps")
		if w.spoiled || w.shops == mostShops {
			w = newSmall(t)
		}
		if err := w.lives(steps); err != nil {
			w.spoiled = true
			rt.Fatalf("%v", err)
		}
	})
}

// seeded are mistakes that each leave books which balance.
var seeded = map[string]struct {
	kind string
	by   int  // what is posted once more, in shares of what it should have been
	via  step // that leads to such a posting, once something was sold
}{
	"a double post":  {"sale", 1, step{Do: "pay"}},
	"a lost release": {"payout_failed", -1, step{Do: "stuck"}},
	"a sign error":   {"refund", -2, step{Do: "refund"}},
}

// goesWrong has each second posting of a kind be wrong.
func (w *small) goesWrong(kind string, by int) {
	w.s.exec(w.t, `CREATE SEQUENCE wrongs`)
	w.s.exec(w.t, `CREATE FUNCTION go_wrong() RETURNS trigger LANGUAGE plpgsql AS $$
		DECLARE p record; again text;
		BEGIN
			FOR p IN SELECT DISTINCT x.* FROM postings x JOIN new_entries e ON e.posting_id = x.id WHERE x.kind = TG_ARGV[0] AND x.source NOT LIKE '% again' LOOP
				CONTINUE WHEN nextval('wrongs') % 2 = 0;
				again := p.id || ' again';
				INSERT INTO postings (id, merchant_id, kind, source, created_at) VALUES (again, p.merchant_id, p.kind, p.source || ' again', p.created_at);
				INSERT INTO entries (posting_id, line, merchant_id, account, network, asset, amount, slot, created_at)
					SELECT again, line, merchant_id, account, network, asset, amount * TG_ARGV[1]::int, slot, created_at FROM entries WHERE posting_id = p.id;
				INSERT INTO balances (merchant_id, account, network, asset, slot, amount)
					SELECT merchant_id, account, network, asset, slot, amount FROM entries WHERE posting_id = again
					ON CONFLICT (merchant_id, account, network, asset, slot) DO UPDATE SET amount = balances.amount + EXCLUDED.amount;
			END LOOP;
			RETURN NULL;
		END $$`)
	w.s.exec(w.t, fmt.Sprintf(`CREATE TRIGGER go_wrong AFTER INSERT ON entries REFERENCING NEW TABLE AS new_entries
		FOR EACH STATEMENT EXECUTE FUNCTION go_wrong('%s', '%d')`, kind, by))
}

func TestMistakesInTheBooksAreFound(t *testing.T) {
	t.Parallel()
	for name, mistake := range seeded {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSmall(t)
			w.goesWrong(mistake.kind, mistake.by)
			w.planted, w.spoiled = true, true
			steps := []step{{Do: "switch"}, {Do: "pay"}, mistake.via}
			for i := range 5 {
				err := w.lives(append(steps, aHistory.Example(i)...))
				if err == nil {
					continue
				}
				require.ErrorContains(t, err, "the books have")
				require.NotContains(t, err.Error(), "it has no end")
				return
			}
			t.Fatal("nobody misses it")
		})
	}
}
