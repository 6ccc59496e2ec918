package checkout

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/webhook"
)

// tillSale is what a purchase is to the till at which it begins.
type tillSale struct {
	at      AtTill
	version int64      // of the ticket, which must be the same still
	first   id.Attempt // the charge that a tip is added to; empty for a charge
	off     money.USDC // the discount
}

// Charge makes a purchase of a till's ticket: a code to pay. total is what the cashier saw, and once the ticket's key: the
// same again is the same purchase.
// Errors: [ErrTicketChanged], [ErrCharged], [ErrTotal], [shop.ErrShort], [shop.ErrNotFound] for an item that is not sold any
// more, [ErrUnfunded], [shop.ErrNoPayee], [shop.ErrUnproven], [*shop.FieldError].
func (s *Service) Charge(ctx context.Context, at AtTill, once string, total money.USDC) (Attempt, error) {
	key := sha256.Sum256([]byte("till\x00" + string(at.Device) + "\x00" + once))
	if before, err := s.startedBy(ctx, key[:]); err != nil || before.ID != "" {
		return before, err
	}
	t, err := s.Till(ctx, at.Device)
	switch {
	case err != nil:
		return Attempt{}, err
	case t.Charged():
		return Attempt{}, ErrCharged
	case t.Once() != once || len(t.Ticket.Lines) == 0:
		return Attempt{}, ErrTicketChanged
	}
	priced, err := s.PriceTicket(ctx, at, t.Ticket)
	if err != nil {
		return Attempt{}, err
	}
	if slices.ContainsFunc(priced.Lines, func(l PricedLine) bool { return l.Short }) {
		return Attempt{}, shop.ErrShort
	}
	return s.Start(ctx, Begin{
		Items: t.Ticket.wants(), Merchant: at.Merchant, Livemode: at.Livemode, Channel: "till", Reference: t.Ticket.Reference, Once: key[:],
		Choice: shop.Choice{Discount: -priced.Discount, DiscountTitle: priced.DiscountTitle}, Total: &total,
		till: &tillSale{at: at, version: t.version, off: -priced.Discount},
	})
}

// chargeTicketsTx makes purchases of their tickets; one whose ticket was changed meanwhile is refused.
func chargeTicketsTx(ctx context.Context, tx pgx.Tx, all []*beginning, refusals []error) error {
	var p queries.TillsChargeParams
	for i, b := range all {
		if b.till != nil && b.till.first == "" && refusals[i] == nil {
			p.Devices = append(p.Devices, string(b.till.at.Device))
			p.Versions = append(p.Versions, b.till.version)
			p.Attempts = append(p.Attempts, string(b.attempt.ID))
		}
	}
	if len(p.Devices) == 0 {
		return nil
	}
	charged, err := queries.New().TillsCharge(ctx, tx, p)
	if err != nil {
		return fmt.Errorf("charge tickets: %w", err)
	}
	for i, b := range all {
		if b.till != nil && b.till.first == "" && refusals[i] == nil && !slices.Contains(charged, b.attempt.ID) {
			refusals[i] = ErrTicketChanged
		}
	}
	return nil
}

// insertTillSalesTx notes which purchases began at which till, and by whom.
func insertTillSalesTx(ctx context.Context, tx pgx.Tx, now time.Time, begun []*beginning) error {
	p := queries.TillChargesInsertParams{Now: now}
	for _, b := range begun {
		if b.till == nil {
			continue
		}
		p.Attempts = append(p.Attempts, string(b.attempt.ID))
		p.Devices = append(p.Devices, string(b.till.at.Device))
		p.Persons = append(p.Persons, string(b.till.at.Person))
		p.Cashiers = append(p.Cashiers, b.till.at.Cashier)
		p.Firsts = append(p.Firsts, string(cmp.Or(b.till.first, b.attempt.ID)))
		p.Opened = append(p.Opened, b.replaces != "") // whoever adds a tip has opened it
	}
	if len(p.Attempts) == 0 {
		return nil
	}
	if err := queries.New().TillChargesInsert(ctx, tx, p); err != nil {
		return fmt.Errorf("note charges: %w", err)
	}
	for _, b := range begun {
		if err := b.tillTx(ctx, tx, now); err != nil {
			return err
		}
	}
	return nil
}

// tillTx lets what a tip was added to give way, and puts a discount on record.
func (b *beginning) tillTx(ctx context.Context, tx pgx.Tx, now time.Time) error {
	switch {
	case b.till == nil:
		return nil
	case b.replaces != "":
		q, next := queries.New(), b.attempt.ID
		if err := q.TillChargeGiveWay(ctx, tx, queries.TillChargeGiveWayParams{AttemptID: b.replaces, Next: next}); err != nil {
			return fmt.Errorf("let %s give way: %w", b.replaces, err)
		}
		if err := q.TillFollow(ctx, tx, queries.TillFollowParams{DeviceID: b.till.at.Device, Was: b.replaces, Next: next}); err != nil {
			return fmt.Errorf("follow %s: %w", b.replaces, err)
		}
		return nil
	case b.till.off > 0:
		return b.till.at.recordTx(ctx, tx, now, "discount.given", b.attempt.ID, map[string]string{"discount": b.till.off.String(), "total": b.attempt.Amount.String()})
	}
	return nil
}

func (at AtTill) recordTx(ctx context.Context, tx pgx.Tx, now time.Time, action string, attempt id.Attempt, seen any) error {
	return audit.RecordTx(ctx, tx, now, audit.Row{
		By: at.By, Merchant: at.Merchant, Action: action, ResourceType: "purchase", ResourceID: string(attempt), After: seen,
	})
}

// TillCharge is a purchase as its till knows it.
type TillCharge struct {
	Attempt     id.Attempt
	Device      id.Device
	Cashier     string
	Next        id.Attempt // what took its place because of a tip
	OpenedAt    *time.Time
	CancelledAt *time.Time
	Decision    string // about a late payment: accepted, refund, or empty
	Short       bool   // a late payment for what is sold out by now

	first  id.Attempt
	person id.Person
}

// ChargeOf returns what a till knows of a purchase, or [ErrNotFound] for one that did not begin at a till.
func (s *Service) ChargeOf(ctx context.Context, attempt id.Attempt) (TillCharge, error) {
	row, err := queries.New().TillChargeByID(ctx, s.pool, attempt)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return TillCharge{}, fmt.Errorf("charge %s: %w", attempt, err)
	}
	c := row.TillCharge
	return TillCharge{
		Attempt: c.AttemptID, Device: c.DeviceID, Cashier: c.Cashier, Next: c.NextID, OpenedAt: c.OpenedAt, CancelledAt: c.CancelledAt,
		Decision: c.Decision, Short: row.Short, first: c.FirstID, person: c.PersonID,
	}, nil
}

// Opened notes that a customer looks at a purchase of a till. Others are left alone.
func (s *Service) Opened(ctx context.Context, attempt id.Attempt) error {
	n, err := queries.New().TillChargeOpened(ctx, s.pool, queries.TillChargeOpenedParams{AttemptID: attempt, Now: s.now()})
	if err != nil || n == 0 {
		return err
	}
	p, err := s.Purchase(ctx, attempt)
	if err == nil {
		s.hub.Changed("", p.Merchant)
	}
	return err
}

// Tip adds a tip to what a customer is about to pay at a till, or takes it away again: a quote never changes, so that
// another purchase takes its place, of the same lines at the same prices.
// Errors: [ErrNotFound]; [ErrNotOpen] also for what did not begin at a till; [*shop.FieldError].
func (s *Service) Tip(ctx context.Context, attempt id.Attempt, tip money.USDC) (Attempt, error) {
	if tip < 0 || tip > shop.MaxAmount {
		return Attempt{}, &shop.FieldError{Field: "tip", Message: fmt.Sprintf("Give an amount up to %s USDC.", shop.MaxAmount.Grouped())}
	}
	p, err := s.Purchase(ctx, attempt)
	if err != nil {
		return Attempt{}, err
	}
	c, err := s.ChargeOf(ctx, attempt)
	if errors.Is(err, ErrNotFound) || err == nil && p.Status != Open {
		err = ErrNotOpen
	}
	if err != nil {
		return Attempt{}, err
	}
	offer, err := s.withTip(ctx, p.Attempt, c.first, tip)
	if err != nil || offer.Amount == p.Amount {
		return p.Attempt, err
	}
	a, err := s.draft(ctx, offer, Begin{Channel: p.Channel, Reference: p.Reference, Metadata: p.Metadata})
	if err != nil {
		return Attempt{}, err
	}
	at := AtTill{Device: c.Device, Merchant: p.Merchant, Livemode: p.Livemode, Person: c.person, Cashier: c.Cashier}
	begun := &beginning{offer: offer, attempt: a, replaces: attempt, till: &tillSale{at: at, first: c.first}}
	if err := s.begin(ctx, begun); err != nil {
		return Attempt{}, fmt.Errorf("tip for %s: %w", attempt, err)
	}
	s.hub.Changed(attempt, a.Merchant)
	s.hub.Changed(a.ID, a.Merchant)
	return begun.attempt, nil
}

// withTip offers what a charge sold, and a tip. What of it held stock holds it again.
func (s *Service) withTip(ctx context.Context, a Attempt, first id.Attempt, tip money.USDC) (shop.Offer, error) {
	charge, err := s.Purchase(ctx, first)
	if err != nil {
		return shop.Offer{}, err
	}
	held, err := queries.New().ReservationsOf(ctx, s.pool, a.ID)
	if err != nil {
		return shop.Offer{}, fmt.Errorf("stock of %s: %w", a.ID, err)
	}
	lines := slices.Clone(charge.Lines)
	for _, r := range held {
		if r.Status == "held" && int(r.Line) < len(lines) {
			lines[r.Line].Limited = true
		}
	}
	if tip > 0 {
		lines = append(lines, Line{Title: "Tip", Qty: 1, UnitAmount: tip})
	}
	o := shop.Resold(shop.Offer{
		Link:     shop.Link{Merchant: a.Merchant, Livemode: a.Livemode, Network: a.Network, Sells: shop.SellsItems, Metadata: json.RawMessage("{}")},
		Merchant: a.Merchant, Shop: a.Shop, Domain: a.Domain, PayTo: lower(a.PayTo), Collected: a.Collected,
	}, charge.Title, lines)
	if o.Amount > shop.MaxAmount {
		return o, &shop.FieldError{Field: "tip", Message: fmt.Sprintf("A purchase can come to at most %s USDC.", shop.MaxAmount.Grouped())}
	}
	return o, nil
}

// ownCharge is a charge of this till, or what took its place.
func (s *Service) ownCharge(ctx context.Context, at AtTill, attempt id.Attempt) (TillCharge, error) {
	for {
		c, err := s.ChargeOf(ctx, attempt)
		if err == nil && c.Device != at.Device {
			err = ErrNotFound
		}
		if err != nil || c.Next == "" {
			return c, err
		}
		attempt = c.Next
	}
}

// CancelCharge ends a purchase whose customer does not pay. Errors: [ErrNotFound]; [ErrNotOpen] where it is paid, being
// paid, or over.
func (s *Service) CancelCharge(ctx context.Context, at AtTill, attempt id.Attempt) error {
	c, err := s.ownCharge(ctx, at, attempt)
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := s.endTx(ctx, tx, c.Attempt, Open, Cancelled); err != nil {
			return err
		}
		err := queries.New().TillChargeCancelled(ctx, tx, queries.TillChargeCancelledParams{AttemptID: c.Attempt, DeviceID: at.Device, Now: s.now()})
		if err != nil {
			return err
		}
		return at.recordTx(ctx, tx, s.now(), "charge.cancelled", c.Attempt, map[string]string{"till": string(at.Device)})
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotOpen
	}
	if err != nil {
		return fmt.Errorf("cancel %s: %w", c.Attempt, err)
	}
	s.hub.Changed(c.Attempt, at.Merchant)
	return nil
}

// NextCustomer empties the ticket that a purchase was, once nothing more is to be done about it here.
func (s *Service) NextCustomer(ctx context.Context, at AtTill, attempt id.Attempt) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		t, err := lockTillTx(ctx, tx, at.Device)
		if err != nil || t.Charge != attempt || t.ChargeStatus == Open || t.ChargeStatus == Settling {
			return err
		}
		t.Ticket = Ticket{}
		return writeTillTx(ctx, tx, at.Device, t)
	})
}

// What becomes of a payment that came after its sale had ended.
const (
	LateAccepted = "accepted"
	LateRefund   = "refund"
)

// lateDeclined is money that came late and that somebody at the till does not want.
const lateDeclined = "late_declined"

// DecideLate says whether a till keeps money that came after the sale had ended, or the shop gives it back.
// Errors: [ErrNotFound], [ErrDecided].
func (s *Service) DecideLate(ctx context.Context, at AtTill, attempt id.Attempt, decision string) error {
	p, err := s.Purchase(ctx, attempt)
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := queries.New()
		// What goes back meanwhile is decided on already.
		if _, err := q.RefundAttempt(ctx, tx, queries.RefundAttemptParams{ID: attempt, MerchantID: at.Merchant, Livemode: p.Livemode}); err != nil {
			return notFoundRow(err)
		}
		n, err := q.TillChargeDecide(ctx, tx, queries.TillChargeDecideParams{
			AttemptID: attempt, DeviceID: at.Device, Decision: decision, Now: s.now(),
		})
		if err == nil && n == 0 {
			err = ErrDecided
		}
		if err != nil {
			return err
		}
		if decision == LateRefund {
			err = s.declineTx(ctx, tx, p)
		} else {
			err = s.acceptTx(ctx, tx, at, p)
		}
		if err != nil {
			return err
		}
		return at.recordTx(ctx, tx, s.now(), "late_payment."+decision, attempt, map[string]string{"amount": p.Amount.String()})
	})
	if err != nil {
		return fmt.Errorf("decide on %s: %w", attempt, err)
	}
	s.hub.Changed(attempt, at.Merchant)
	return nil
}

// acceptTx strikes a payment off the list of those to decide on, and empties the ticket that it paid.
func (s *Service) acceptTx(ctx context.Context, tx pgx.Tx, at AtTill, p Purchase) error {
	if err := queries.New().ExceptionAccept(ctx, tx, queries.ExceptionAcceptParams{AttemptID: string(p.ID), Now: s.now()}); err != nil {
		return err
	}
	t, err := lockTillTx(ctx, tx, at.Device)
	if err != nil || t.Charge != p.ID {
		return err
	}
	t.Ticket = Ticket{}
	return writeTillTx(ctx, tx, at.Device, t)
}

// declineTx puts a payment on the list of what is given back, unless it stands there already.
func (s *Service) declineTx(ctx context.Context, tx pgx.Tx, p Purchase) error {
	q, now := queries.New(), s.now()
	listed, err := q.ExceptionOpenOf(ctx, tx, string(p.ID))
	if err != nil || listed || p.Settlement == nil {
		return err
	}
	exception := id.New[id.Exception](now)
	err = q.ExceptionInsert(ctx, tx, queries.ExceptionInsertParams{
		ID: exception, MerchantID: p.Merchant, Livemode: p.Livemode, Kind: lateDeclined, AttemptID: &p.ID, SettlementID: &p.Settlement.ID,
		Payer: p.Settlement.Payer, Amount: p.Settlement.Amount, Network: p.Network.ID, Transaction: p.Settlement.Transaction, CreatedAt: now,
	})
	if err != nil {
		return err
	}
	return s.o.Webhooks.NoticeTx(ctx, tx, now, webhook.Notice{
		Merchant: p.Merchant, Livemode: p.Livemode, Kind: lateDeclined,
		Text: fmt.Sprintf("The till does not keep %s USDC that came late for “%s”. Give it back.", p.Settlement.Amount.Grouped(), p.Title),
		Link: exceptionsPath + "/" + string(exception) + "/refund",
	})
}
