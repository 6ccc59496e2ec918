package checkout

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/webhook"
)

// errShortage is a lost race for the last of something.
var errShortage = errors.New("checkout: less is left than there was")

// counter is the stock of an item in one mode.
type counter struct {
	item id.Item
	live bool
}

// wants is how much of each counter a purchase needs, all its lines together.
func wants(a Attempt) map[counter]int {
	out := map[counter]int{}
	for _, l := range a.Lines {
		if l.Limited {
			out[counter{id.Item(l.ItemID), a.Livemode}] += l.Qty
		}
	}
	return out
}

// left is what there is of a counter, while its row is locked.
type left struct {
	limited bool
	free    int
	unpaid  int            // held by buyers who have not paid
	of      map[string]int // how many such purchases each buyer has, by his network address
}

// shelf is what there is of all that some purchases want.
type shelf map[counter]*left

// lookTx decides under the locks of the counters who gets what, in the order in which they came. All lines of a purchase
// are had, or none.
func (s *Service) lookTx(ctx context.Context, tx pgx.Tx, all []*beginning, refusals []error) error {
	var wanted []counter
	online := false
	for _, b := range all {
		for of := range wants(b.attempt) {
			wanted = append(wanted, of)
		}
		online = online || b.attempt.from != "" && !b.paying()
	}
	ended, err := replacedTx(ctx, tx, all)
	if err != nil {
		return err
	}
	for of := range ended.holds {
		wanted = append(wanted, of)
	}
	if len(wanted) == 0 {
		return nil
	}
	// Only who begins alone may take what others hold: their purchases are locked before any stock.
	var unpaid []displaceable
	if len(all) == 1 && all[0].paying() {
		if unpaid, err = displaceableTx(ctx, tx, wanted); err != nil {
			return err
		}
		for _, d := range unpaid {
			for of := range d.holds {
				wanted = append(wanted, of)
			}
		}
	}
	there, err := lockTx(ctx, tx, wanted)
	if err != nil {
		return err
	}
	if len(ended.holds) > 0 {
		if err := s.releaseTx(ctx, tx, ended.attempt); err != nil {
			return err
		}
		there.free(ended)
	}
	if online {
		if err := unpaidTx(ctx, tx, there); err != nil {
			return err
		}
	}
	for i, b := range all {
		if refusals[i] != nil {
			continue
		}
		if refusals[i] = there.take(b); errors.Is(refusals[i], shop.ErrShort) && len(unpaid) > 0 {
			if refusals[i], err = s.takeOverTx(ctx, tx, there, b, unpaid); err != nil {
				return err
			}
		}
	}
	return nil
}

// lockTx reads counters, and keeps them as they are until the transaction ends.
func lockTx(ctx context.Context, tx pgx.Tx, wanted []counter) (shelf, error) {
	var p queries.StockHoldParams
	for _, of := range wanted {
		p.Items, p.Livemodes = append(p.Items, string(of.item)), append(p.Livemodes, of.live)
	}
	rows, err := queries.New().StockHold(ctx, tx, p)
	if err != nil {
		return nil, fmt.Errorf("look at stock: %w", err)
	}
	there := make(shelf, len(rows))
	for _, r := range rows {
		there[counter{r.ItemID, r.Livemode}] = &left{limited: r.Limited, free: int(r.Free), of: map[string]int{}}
	}
	return there, nil
}

// unpaidTx adds what buyers hold who have not paid. Under the locks of the counters it stands still.
func unpaidTx(ctx context.Context, tx pgx.Tx, there shelf) error {
	var items []string
	for of := range there {
		items = append(items, string(of.item))
	}
	unpaid, err := queries.New().ReservationsUnpaid(ctx, tx, items)
	if err != nil {
		return fmt.Errorf("look at unpaid purchases: %w", err)
	}
	for _, u := range unpaid {
		if l := there[counter{u.ItemID, u.Livemode}]; l != nil {
			l.unpaid += int(u.Qty)
			l.of[u.UnpaidFrom] += int(u.Purchases)
		}
	}
	return nil
}

// free puts back what an ended purchase held.
func (there shelf) free(d displaceable) {
	for of, qty := range d.holds {
		there[of].free += qty
	}
}

// replacedTx is what a purchase still holds that another one has just taken the place of; such a one begins alone.
func replacedTx(ctx context.Context, tx pgx.Tx, all []*beginning) (displaceable, error) {
	d := displaceable{attempt: all[0].replaces, holds: map[counter]int{}}
	if d.attempt == "" {
		return d, nil
	}
	rows, err := queries.New().StockOfAttempts(ctx, tx, []string{string(d.attempt)})
	for _, r := range rows {
		d.holds[counter{r.ItemID, r.Livemode}] += int(r.Qty)
	}
	return d, err
}

// take gives a purchase what it wants of the shelf, or says why not. What is no longer counted it gets for nothing.
func (there shelf) take(b *beginning) error {
	a := &b.attempt
	for i, l := range a.Lines {
		if of := there[counter{id.Item(l.ItemID), a.Livemode}]; l.Limited && (of == nil || !of.limited) {
			a.Lines = slices.Clone(a.Lines)
			a.Lines[i].Limited = false
		}
	}
	wanted := wants(*a)
	for of, qty := range wanted {
		switch l := there[of]; {
		case l.free < qty:
			return shop.ErrShort
		case b.paying() || a.from == "":
		case l.of[a.from] >= maxUnpaidPerBuyer || tooMuch(l.unpaid, qty, l.free):
			return ErrTooManyUnpaid
		}
	}
	for of, qty := range wanted {
		l := there[of]
		l.free -= qty
		if !b.paying() && a.from != "" {
			l.unpaid += qty
			l.of[a.from]++
		}
	}
	return nil
}

// displaceable is an unpaid purchase, and the stock that it holds.
type displaceable struct {
	attempt id.Attempt
	holds   map[counter]int
}

// displaceMost is how many unpaid purchases one who pays may end at most.
const displaceMost = 20

// displaceableTx locks unpaid purchases that hold some of what is wanted, the oldest first.
func displaceableTx(ctx context.Context, tx pgx.Tx, wanted []counter) ([]displaceable, error) {
	items := make([]string, len(wanted))
	for i, of := range wanted {
		items[i] = string(of.item)
	}
	q := queries.New()
	attempts, err := q.AttemptsUnpaidHolding(ctx, tx, queries.AttemptsUnpaidHoldingParams{Items: items, Livemode: wanted[0].live, Most: displaceMost})
	if err != nil || len(attempts) == 0 {
		return nil, err
	}
	ids, unpaid := make([]string, len(attempts)), make([]displaceable, len(attempts))
	for i, a := range attempts {
		ids[i], unpaid[i] = string(a), displaceable{a, map[counter]int{}}
	}
	rows, err := q.StockOfAttempts(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		i := slices.Index(attempts, r.AttemptID)
		unpaid[i].holds[counter{r.ItemID, r.Livemode}] += int(r.Qty)
	}
	return unpaid, nil
}

// takeOverTx ends as many unpaid purchases as hold what a paying buyer lacks, and none if all of them hold too little.
func (s *Service) takeOverTx(ctx context.Context, tx pgx.Tx, there shelf, b *beginning, unpaid []displaceable) (refusal, err error) {
	wanted := wants(b.attempt)
	lacks := func(of counter) bool { return there[of].free < wanted[of] }
	var ending []id.Attempt
	for _, d := range unpaid {
		helps := false
		for of := range d.holds {
			helps = helps || wanted[of] > 0 && lacks(of)
		}
		if !helps {
			continue
		}
		ending = append(ending, d.attempt)
		there.free(d)
	}
	if refusal = there.take(b); refusal != nil {
		return refusal, nil
	}
	for _, attempt := range ending {
		if err := s.endTx(ctx, tx, attempt, Open, Cancelled); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// holdTx takes the stock of purchases that were just written, and returns what there is to tell of it.
// It returns [errShortage] where too little is left.
func (s *Service) holdTx(ctx context.Context, tx pgx.Tx, attempts []Attempt) ([]webhook.Event, error) {
	now := s.now()
	p := queries.StockTakeParams{Status: "held", Now: now}
	var events []webhook.Event
	for _, a := range attempts {
		from := a.from
		if a.Status != Open {
			from = ""
		}
		for i, l := range a.Lines {
			if !l.Limited {
				continue
			}
			r := queries.Reservation{
				ID: id.New[id.Reservation](now), MerchantID: a.Merchant, AttemptID: a.ID, Line: int16(i), ItemID: id.Item(l.ItemID),
				Livemode: a.Livemode, Qty: int32(l.Qty), Status: p.Status, UnpaidFrom: from,
			}
			addReservation(&p, r)
			events = append(events, ofReservation(r, webhook.ReservationCreated))
		}
	}
	if len(p.Ids) == 0 {
		return nil, nil
	}
	low, err := s.takeTx(ctx, tx, p)
	return append(events, low...), err
}

func addReservation(p *queries.StockTakeParams, r queries.Reservation) {
	p.Ids = append(p.Ids, string(r.ID))
	p.Merchants = append(p.Merchants, string(r.MerchantID))
	p.Attempts = append(p.Attempts, string(r.AttemptID))
	p.Lines = append(p.Lines, r.Line)
	p.Items = append(p.Items, string(r.ItemID))
	p.Livemodes = append(p.Livemodes, r.Livemode)
	p.Quantities = append(p.Quantities, r.Qty)
	p.UnpaidFrom = append(p.UnpaidFrom, r.UnpaidFrom)
}

// lowStock is an item of which little is left.
const lowStock = "low_stock"

// takeTx counts reservations, and tells of items of which little is left.
func (s *Service) takeTx(ctx context.Context, tx pgx.Tx, p queries.StockTakeParams) (low []webhook.Event, err error) {
	counters := map[counter]bool{}
	for i, item := range p.Items {
		counters[counter{id.Item(item), p.Livemodes[i]}] = true
	}
	rows, err := queries.New().StockTake(ctx, tx, p)
	if err != nil {
		return nil, fmt.Errorf("take stock: %w", err)
	}
	if len(rows) != len(counters) {
		return nil, errShortage
	}
	for _, r := range rows {
		if !r.Low {
			continue
		}
		low = append(low, webhook.Event{
			Merchant: r.MerchantID, Livemode: r.Livemode, Type: webhook.ItemLowStock, ResourceType: webhook.ResourceItem, ResourceID: string(r.ItemID),
			Payload: webhook.StockPayload{ItemID: r.ItemID, ItemTitle: r.Title, Free: r.Free},
		})
		if err := s.o.Webhooks.NoticeTx(ctx, tx, p.Now, webhook.Notice{
			Merchant: r.MerchantID, Livemode: r.Livemode, Kind: lowStock, Text: fmt.Sprintf("“%s” runs low: %d left.", r.Title, r.Free),
			Link: "/dashboard/items/" + string(r.ItemID),
		}); err != nil {
			return nil, err
		}
	}
	return low, nil
}

// releaseTx gives back the stock that purchases hold and did not buy.
func (s *Service) releaseTx(ctx context.Context, tx pgx.Tx, attempts ...id.Attempt) error {
	ids := make([]string, len(attempts))
	for i, a := range attempts {
		ids[i] = string(a)
	}
	now := s.now()
	rows, err := queries.New().ReservationsRelease(ctx, tx, queries.ReservationsReleaseParams{Attempts: ids, Now: now})
	if err != nil {
		return fmt.Errorf("release stock of %s: %w", attempts[0], err)
	}
	if err := queries.New().AttemptHoldStock(ctx, tx, queries.AttemptHoldStockParams{Ids: ids, Holds: false}); err != nil {
		return fmt.Errorf("release stock of %s: %w", attempts[0], err)
	}
	events := make([]webhook.Event, len(rows))
	for i, r := range rows {
		events[i] = ofReservation(queries.Reservation{
			ID: id.Reservation(r.ID), MerchantID: r.MerchantID, AttemptID: id.Attempt(r.AttemptID), ItemID: id.Item(r.ItemID), Livemode: r.Livemode,
			Qty: r.Qty, Status: "released",
		}, webhook.ReservationReleased)
	}
	return s.o.Webhooks.PublishTx(ctx, tx, now, events...)
}

// claimStockTx makes what purchases hold theirs, now that they are paid. Money that came late takes stock anew, if there is
// enough for all lines; if not, somebody has to decide.
func (s *Service) claimStockTx(ctx context.Context, tx pgx.Tx, all []paid) error {
	var holding []string
	for i := range all {
		if all[i].attempt.HoldsStock {
			holding = append(holding, string(all[i].attempt.ID))
		}
	}
	if len(holding) > 0 {
		rows, err := queries.New().ReservationsClaim(ctx, tx, queries.ReservationsClaimParams{Attempts: holding, Now: s.now()})
		if err != nil {
			return fmt.Errorf("claim stock of %s: %w", holding[0], err)
		}
		for _, r := range rows {
			i := slices.IndexFunc(all, func(p paid) bool { return p.attempt.ID == r.AttemptID })
			all[i].reserved = append(all[i].reserved, r)
		}
	}
	for i := range all {
		if Status(all[i].attempt.Status) == SettledLate && !all[i].attempt.HoldsStock {
			if err := s.claimLateTx(ctx, tx, &all[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// claimLateTx takes the stock anew that a purchase had given back before its money came.
func (s *Service) claimLateTx(ctx context.Context, tx pgx.Tx, p *paid) error {
	former, err := queries.New().ReservationsReleased(ctx, tx, p.attempt.ID)
	if err != nil || len(former) == 0 {
		return err
	}
	now := s.now()
	take := queries.StockTakeParams{Status: "claimed", Now: now}
	rows := make([]queries.Reservation, len(former))
	for i, r := range former {
		r.ID, r.Status, r.UnpaidFrom = id.New[id.Reservation](now), take.Status, ""
		addReservation(&take, r)
		rows[i] = r
	}
	err = pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { // a savepoint
		low, err := s.takeTx(ctx, tx, take)
		p.told = append(p.told, low...)
		return err
	})
	if errors.Is(err, errShortage) {
		return s.exceptTx(ctx, tx, *p)
	}
	if err != nil {
		return err
	}
	p.reserved = rows
	for _, r := range rows {
		p.told = append(p.told, ofReservation(r, webhook.ReservationCreated))
	}
	return queries.New().AttemptHoldStock(ctx, tx, queries.AttemptHoldStockParams{Ids: []string{string(p.attempt.ID)}, Holds: true})
}

// Reservation is stock that a line of a purchase holds, or bought.
type Reservation struct {
	ID     id.Reservation
	Line   int // of the purchase, from 0
	Item   id.Item
	Qty    int
	Status string // held, claimed or released
}

// Reservations lists the stock that a purchase holds, holds no more, or bought, line by line.
func (s *Service) Reservations(ctx context.Context, attempt id.Attempt) ([]Reservation, error) {
	rows, err := queries.New().ReservationsOf(ctx, s.pool, attempt)
	if err != nil {
		return nil, fmt.Errorf("reservations of %s: %w", attempt, err)
	}
	out := make([]Reservation, len(rows))
	for i, r := range rows {
		out[i] = Reservation{ID: r.ID, Line: int(r.Line), Item: r.ItemID, Qty: int(r.Qty), Status: r.Status}
	}
	return out, nil
}

// ofReservation tells where a reservation stands now: its state is the last word of the event's name, or it was created.
func ofReservation(r queries.Reservation, t webhook.Type) webhook.Event {
	return webhook.Event{
		Merchant: r.MerchantID, Livemode: r.Livemode, Type: t, ResourceType: webhook.ResourceReservation, ResourceID: string(r.ID),
		Payload: webhook.ReservationPayload{ReservationID: r.ID, PaymentAttemptID: r.AttemptID, ItemID: r.ItemID, Qty: r.Qty, Status: r.Status},
	}
}
