package checkout

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/postgres"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/webhook"
	"xsynesis/x402"
)

// beginning is a purchase that begins: unpaid, or by its payment.
type beginning struct {
	offer    shop.Offer
	attempt  Attempt
	payment  *x402.Payment // nil for an unpaid one
	request  Request       // of the payment
	replaces id.Attempt    // an open purchase that ends where this one begins
	till     *tillSale     // nil where it begins at no till
	code     *handedIn     // nil where nobody hands in a code
	call     *newCall      // nil where no call is bought
	cart     *cartSale     // nil where it was no cart
}

func (b *beginning) paying() bool { return b.payment != nil }

// stocked tells whether some of it is counted.
func (b *beginning) stocked() bool {
	return slices.ContainsFunc(b.attempt.Lines, func(l Line) bool { return l.Limited })
}

// alone tells whether a purchase begins in a transaction of its own: those of a limited link stand in line at its row, and
// those with a code at the code's.
func (b *beginning) alone() bool {
	return b.offer.Link.MaxPayments > 0 || b.replaces != "" || b.attempt.Amount == 0 || b.code != nil
}

// beginMost is how many purchases begin in one transaction at most.
const beginMost = 64

// begin writes a purchase, with its share of what is limited and what ends or settles it.
func (s *Service) begin(ctx context.Context, b *beginning) error {
	if !b.alone() {
		refusal, err := s.beginnings.Do(ctx, b)
		if err != nil {
			return err
		}
		// A payment in hand may still take what somebody holds who has not paid.
		if refusal == nil || !b.paying() || !errors.Is(refusal, shop.ErrShort) {
			return refusal
		}
	}
	refusals, err := s.beginTogether(ctx, []*beginning{b}, true)
	if err != nil {
		return err
	}
	return refusals[0]
}

// beginAll begins purchases that came at the same time: each is begun, or refused for a reason of its own. Where all can
// be had, their stock is taken without a look at it before; who finds too little looks first.
func (s *Service) beginAll(ctx context.Context, all []*beginning) ([]error, error) {
	look := slices.ContainsFunc(all, func(b *beginning) bool { return b.attempt.from != "" && b.stocked() }) || !enough(all)
	refusals, err := s.beginTogether(ctx, all, look)
	if errors.Is(err, errShortage) {
		refusals, err = s.beginTogether(ctx, all, true)
	}
	return refusals, err
}

// enough tells whether there was enough of everything when the offers were read.
func enough(all []*beginning) bool {
	left := map[counter]int{}
	for _, b := range all {
		for _, g := range b.offer.Goods {
			if g.Limited {
				left[counter{g.Item, b.attempt.Livemode}] = g.Free
			}
		}
	}
	for _, b := range all {
		for of, qty := range wants(b.attempt) {
			if left[of] -= qty; left[of] < 0 {
				return false
			}
		}
	}
	return true
}

// beginTogether is one transaction. Where stock is taken, others wait for its statements and not for the disk.
func (s *Service) beginTogether(ctx context.Context, all []*beginning, look bool) ([]error, error) {
	begin := func(ctx context.Context, pool *pgxpool.Pool, do func(pgx.Tx) error) error {
		return pgx.BeginFunc(ctx, pool, do)
	}
	if slices.ContainsFunc(all, (*beginning).stocked) {
		begin = postgres.HotTx
	}
	for try := 1; ; try++ {
		refusals := make([]error, len(all))
		err := begin(ctx, s.pool, func(tx pgx.Tx) error { return s.beginTx(ctx, tx, all, look, refusals) })
		// One that ended what another held may have met somebody who went the other way round: nothing of it happened.
		if err == nil || !deadlocked(err) || try == mostTries {
			return refusals, err
		}
	}
}

// mostTries is how often a purchase begins anew that waited for another in a circle.
const mostTries = 3

func deadlocked(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "40P01"
}

// beginTx writes those that are not refused. Locks are taken in one order everywhere: purchases, links, codes, stock.
func (s *Service) beginTx(ctx context.Context, tx pgx.Tx, all []*beginning, look bool, refusals []error) error {
	for i, b := range all {
		b.attempt.holds, b.attempt.HoldsStock = false, false // it may come a second time
		if err := s.replaceTx(ctx, tx, b); err != nil {
			return err
		}
		if refusals[i] = s.takePlaceTx(ctx, tx, b); refusals[i] != nil && !refusal(refusals[i]) {
			return refusals[i]
		}
		if err := s.takeCodeTx(ctx, tx, b); err != nil { // it begins alone
			return err
		}
	}
	if look {
		if err := s.lookTx(ctx, tx, all, refusals); err != nil {
			return err
		}
	}
	if err := chargeTicketsTx(ctx, tx, all, refusals); err != nil {
		return err
	}
	if err := buyCartsTx(ctx, tx, all, refusals); err != nil {
		return err
	}
	var begun []*beginning
	for i, b := range all {
		if refusals[i] == nil {
			b.attempt.HoldsStock = b.stocked()
			begun = append(begun, b)
		}
	}
	// One that begins alone and is refused leaves nothing behind, not even the end of what it was to replace.
	if len(begun) == 0 {
		if len(all) == 1 {
			return refusals[0]
		}
		return nil
	}
	if err := s.writeTx(ctx, tx, begun); err != nil {
		return err
	}
	fault.At(fault.StartTaken)
	return nil
}

// refusal tells what concerns one buyer from what went wrong for all.
func refusal(err error) bool {
	for _, known := range []error{shop.ErrSoldOut, shop.ErrShort, shop.ErrLinkExpired, shop.ErrLinkPaused, shop.ErrLinkEarly, shop.ErrEndpointDisabled, ErrTooManyUnpaid} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// writeTx writes purchases with their lines and stock, tells of them, and gives each the job that ends or settles it.
func (s *Service) writeTx(ctx context.Context, tx pgx.Tx, begun []*beginning) error {
	attempts, events := make([]Attempt, len(begun)), make([]webhook.Event, len(begun))
	var claims []claiming
	var ends []river.InsertManyParams
	for i, b := range begun {
		attempts[i], events[i] = b.attempt, created(b.attempt)
		switch {
		case b.paying():
			claims = append(claims, claiming{b.attempt, *b.payment, b.request, b.call})
		case b.attempt.Amount > 0:
			ends = append(ends, river.InsertManyParams{Args: ExpireArgs{Attempt: b.attempt.ID}, InsertOpts: &river.InsertOpts{ScheduledAt: b.attempt.ExpiresAt}})
		}
	}
	if err := insertTx(ctx, tx, attempts...); err != nil {
		return err
	}
	if err := insertTillSalesTx(ctx, tx, s.now(), begun); err != nil {
		return err
	}
	if err := insertPassSalesTx(ctx, tx, begun); err != nil {
		return err
	}
	held, err := s.holdTx(ctx, tx, attempts)
	if err != nil {
		return err
	}
	if err := s.o.Webhooks.PublishTx(ctx, tx, s.now(), append(events, held...)...); err != nil {
		return err
	}
	if len(ends) > 0 {
		if _, err := s.jobs.InsertManyTx(ctx, tx, ends); err != nil {
			return fmt.Errorf("schedule ends: %w", err)
		}
	}
	if len(claims) > 0 {
		return s.claimTx(ctx, tx, claims...)
	}
	if a := attempts[0]; a.Amount == 0 {
		return s.giveAwayTx(ctx, tx, a.ID)
	}
	return nil
}

// takePlaceTx takes one of a limited link's payments, and notes on the purchase whether it did. A payment in hand may
// take over the oldest unpaid hold; an unpaid one must leave enough for others.
func (s *Service) takePlaceTx(ctx context.Context, tx pgx.Tx, b *beginning) error {
	l, a := b.offer.Link, &b.attempt
	if err := l.Timely(s.now()); err != nil {
		return err
	}
	if l.Archived() {
		return shop.ErrSoldOut
	}
	if l.MaxPayments == 0 {
		return nil
	}
	q := queries.New()
	_, err := q.LinkTakePayment(ctx, tx, l.ID)
	if errors.Is(err, pgx.ErrNoRows) && b.paying() {
		if err := s.displaceTx(ctx, tx, l.ID); err != nil {
			return err
		}
		_, err = q.LinkTakePayment(ctx, tx, l.ID)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return shop.ErrSoldOut
	}
	if err != nil {
		return fmt.Errorf("take payment of %s: %w", l.ID, err)
	}
	a.holds = true
	if b.paying() || a.from == "" {
		return nil
	}
	return s.checkUnpaidTx(ctx, tx, l, a.from)
}

// What unpaid purchases of one buyer, and of all buyers, may hold of a limited link or item.
const maxUnpaidPerBuyer = 3

// checkUnpaidTx runs under the link's row lock, so its counts stand still.
func (s *Service) checkUnpaidTx(ctx context.Context, tx pgx.Tx, l shop.Link, from string) error {
	q := queries.New()
	mine, err := q.AttemptUnpaidCount(ctx, tx, queries.AttemptUnpaidCountParams{LinkID: &l.ID, FromAddress: from})
	if err != nil {
		return fmt.Errorf("unpaid of buyer: %w", err)
	}
	held, err := q.AttemptUnpaidOfLink(ctx, tx, &l.ID)
	if err != nil {
		return fmt.Errorf("unpaid of link: %w", err)
	}
	taken, err := q.LinkTaken(ctx, tx, l.ID)
	if err != nil {
		return fmt.Errorf("taken of link: %w", err)
	}
	// The counter includes this purchase already; its attempt is not written yet.
	if int(mine) >= maxUnpaidPerBuyer || tooMuch(int(held), 1, l.MaxPayments-int(taken)+1) {
		return ErrTooManyUnpaid
	}
	return nil
}

// tooMuch tells whether one more unpaid purchase leaves too little for buyers who pay: all of them may hold half of what
// is free or so held, rounded up, but the first may take what it asks for.
func tooMuch(unpaid, more, free int) bool { return unpaid > 0 && unpaid+more > (free+unpaid+1)/2 }

// displaceTx ends the oldest unpaid purchase of a link, for a buyer who pays now.
func (s *Service) displaceTx(ctx context.Context, tx pgx.Tx, link id.Link) error {
	oldest, err := queries.New().AttemptOldestUnpaid(ctx, tx, &link)
	if errors.Is(err, pgx.ErrNoRows) {
		return shop.ErrSoldOut
	}
	if err != nil {
		return fmt.Errorf("oldest unpaid of %s: %w", link, err)
	}
	return s.endTx(ctx, tx, oldest, Open, Cancelled)
}

// replaceTx ends the open purchase that another one takes the place of. Its stock is given back once all stock that the
// two want is locked.
func (s *Service) replaceTx(ctx context.Context, tx pgx.Tx, b *beginning) error {
	if b.replaces == "" {
		return nil
	}
	row, err := s.closeTx(ctx, tx, b.replaces, Open, Cancelled)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && row.MerchantID != b.attempt.Merchant {
		return ErrNotOpen
	}
	if err != nil {
		return err
	}
	return givePlaceTx(ctx, tx, row)
}

// endTx ends a purchase that was not paid and gives back what it held.
func (s *Service) endTx(ctx context.Context, tx pgx.Tx, attempt id.Attempt, was, end Status) error {
	row, err := s.closeTx(ctx, tx, attempt, was, end)
	if err != nil {
		return err
	}
	return s.giveTx(ctx, tx, row)
}

// closeTx ends a purchase, which still holds what it held.
func (s *Service) closeTx(ctx context.Context, tx pgx.Tx, attempt id.Attempt, was, end Status) (queries.Attempt, error) {
	row, err := queries.New().AttemptMove(ctx, tx, queries.AttemptMoveParams{ID: attempt, Was: []string{string(was)}, Next: string(end), Now: s.now()})
	if err != nil {
		return row, fmt.Errorf("end %s: %w", attempt, err)
	}
	return row, nil
}

// giveTx gives back, once, what a purchase held: its place among a link's limited payments, its code, and its stock.
func (s *Service) giveTx(ctx context.Context, tx pgx.Tx, row queries.Attempt) error {
	if err := givePlaceTx(ctx, tx, row); err != nil || !row.HoldsStock {
		return err
	}
	return s.releaseTx(ctx, tx, row.ID)
}

func givePlaceTx(ctx context.Context, tx pgx.Tx, row queries.Attempt) error {
	q := queries.New()
	n, err := q.AttemptGivePayment(ctx, tx, row.ID)
	if err != nil {
		return fmt.Errorf("give back of %s: %w", row.ID, err)
	}
	if n > 0 && row.LinkID != nil {
		if err := q.LinkGivePayment(ctx, tx, *row.LinkID); err != nil {
			return fmt.Errorf("give back to %s: %w", *row.LinkID, err)
		}
	}
	return shop.GiveCodeBackTx(ctx, tx, row.UpdatedAt, row.ID)
}

// Cancel ends an open purchase for its shop, as a till does whose customer leaves, and gives back what it held.
// Errors: [ErrNotFound]; [ErrNotOpen] where it is paid, being paid, or over.
func (s *Service) Cancel(ctx context.Context, merchant id.Merchant, attempt id.Attempt) error {
	p, err := s.Purchase(ctx, attempt)
	if err == nil && p.Merchant != merchant {
		err = ErrNotFound
	}
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.endTx(ctx, tx, attempt, Open, Cancelled) })
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotOpen
	}
	if err != nil {
		return fmt.Errorf("cancel %s: %w", attempt, err)
	}
	s.hub.Changed(attempt, merchant)
	return nil
}
