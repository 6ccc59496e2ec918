package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/egress"
	"xsynesis/id"
	"xsynesis/queries"
)

// ErrTooMany is returned by [Service.Register] when a shop has as many subscriptions as it may.
var ErrTooMany = errors.New("webhook: too many subscriptions")

const (
	maxSubscriptions = 50 // of one shop, in each mode
	maxDescription   = 200
)

// Status is what a subscription's owner, or its server, made of it.
type Status string

// What a subscription can be. Only an active one hears of new events.
const (
	Active   Status = "active"
	Paused   Status = "paused"   // by its owner
	Disabled Status = "disabled" // because its server said that it is gone, or failed for too long
)

// Subscription is a merchant's server that wants to hear.
type Subscription struct {
	ID             id.Subscription
	Merchant       id.Merchant
	Livemode       bool
	URL            string
	Description    string
	Events         []Type // empty: all
	Status         Status
	DisabledReason string     // one sentence
	DisabledAt     *time.Time // nil: not disabled
	// RotatingUntil is how long the former secret still signs; nil: no rotation is under way.
	RotatingUntil *time.Time
	// Slow tells that its deliveries wait apart from those to healthy servers.
	Slow      bool
	CreatedAt time.Time
	UpdatedAt time.Time
	RemovedAt *time.Time // nil: registered
	Health    Health
}

// Health is how a subscription's server does.
type Health struct {
	LastDeliveredAt *time.Time
	FailingSince    *time.Time // the first failed try after the last success
	Failures        int        // tries that failed since
	OpenedUntil     *time.Time // until then nothing is sent, because most tries failed
}

// SubscriptionForm is what a seller writes about a subscription.
type SubscriptionForm struct {
	URL         string
	Description string
	Events      []Type // empty: all
	Active      bool   // false: paused
	// Once is an idempotency key, hashed with its scope: it makes one subscription, for ever. Nil for none.
	Once []byte
}

// SubscriptionUpdate is what a seller changes; nil leaves a field as it is.
type SubscriptionUpdate struct {
	URL         *string
	Description *string
	Events      *[]Type
	// Active false pauses. True takes up again what was paused or disabled.
	Active *bool
}

// Register makes a subscription and returns its secret, which is shown this once.
// Errors: [*FieldError], [ErrTooMany]; [ErrNotFound] when what Once made is unregistered.
func (s *Service) Register(ctx context.Context, merchant id.Merchant, livemode bool, f SubscriptionForm, by audit.By) (Subscription, string, error) {
	var err error
	if f.URL, err = s.checkURL(f.URL); err != nil {
		return Subscription{}, "", err
	}
	if err = f.check(); err != nil {
		return Subscription{}, "", err
	}
	now := s.now()
	var made Subscription
	var secret string
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if _, err := queries.New().SubscriptionMerchantHold(ctx, tx, merchant); err != nil {
			return notFound(err)
		}
		if made, secret, err = s.againTx(ctx, tx, now, merchant, livemode, f.Once); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		made, secret, err = s.registerTx(ctx, tx, now, merchant, livemode, f, by)
		return err
	})
	if err != nil {
		return Subscription{}, "", fmt.Errorf("register a webhook of %s: %w", merchant, err)
	}
	return made, secret, nil
}

// againTx finds what an idempotency key made before, or returns [pgx.ErrNoRows].
func (s *Service) againTx(ctx context.Context, tx pgx.Tx, now time.Time, merchant id.Merchant, livemode bool, once []byte) (Subscription, string, error) {
	if once == nil {
		return Subscription{}, "", pgx.ErrNoRows
	}
	row, err := queries.New().SubscriptionByOnce(ctx, tx, queries.SubscriptionByOnceParams{MerchantID: merchant, Livemode: livemode, Once: once})
	if err != nil {
		return Subscription{}, "", err
	}
	if row.Subscription.RemovedAt != nil {
		return Subscription{}, "", ErrNotFound
	}
	// The first secret while it signs, afterwards the one that replaced it.
	secrets, err := s.secrets(row.Subscription, now)
	return subscription(now, row.Subscription, row.SubscriptionHealth), secrets.Current, err
}

func (s *Service) registerTx(ctx context.Context, tx pgx.Tx, now time.Time, merchant id.Merchant, livemode bool, f SubscriptionForm, by audit.By) (Subscription, string, error) {
	q := queries.New()
	n, err := q.SubscriptionCount(ctx, tx, queries.SubscriptionCountParams{MerchantID: merchant, Livemode: livemode})
	if err != nil {
		return Subscription{}, "", err
	}
	if n >= maxSubscriptions {
		return Subscription{}, "", ErrTooMany
	}
	status, made, secret := Active, id.New[id.Subscription](now), NewSecret()
	if !f.Active {
		status = Paused
	}
	row, err := q.SubscriptionInsert(ctx, tx, queries.SubscriptionInsertParams{
		ID: made, MerchantID: merchant, Livemode: livemode, Url: f.URL, Description: f.Description, Events: texts(f.Events),
		Status: string(status), Secret: s.o.Vault.Seal(sealedAs(made), []byte(secret)), Once: f.Once, CreatedAt: now,
	})
	if err != nil {
		return Subscription{}, "", err
	}
	if err := q.SubscriptionHealthInsert(ctx, tx, queries.SubscriptionHealthInsertParams{SubscriptionID: made, LastSlot: inFlight - 1}); err != nil {
		return Subscription{}, "", err
	}
	return subscription(now, row, queries.SubscriptionHealth{}), secret, s.noteTx(ctx, tx, now, by, row, "webhook.registered", nil, seen(row))
}

// checkURL brings an address into order, or returns a [*FieldError].
func (s *Service) checkURL(given string) (string, error) {
	given = strings.TrimSpace(given)
	if err := s.o.Egress.Check(given); err != nil {
		if refused := (*egress.Refused)(nil); errors.As(err, &refused) {
			return "", &FieldError{"url", refused.Reason}
		}
		return "", &FieldError{"url", "Give a full address that begins with https://."}
	}
	return given, nil
}

// check brings the rest of a form into order, or returns a [*FieldError].
func (f *SubscriptionForm) check() error {
	f.Description = strings.TrimSpace(f.Description)
	if utf8.RuneCountInString(f.Description) > maxDescription || !printable(f.Description) {
		return &FieldError{"description", fmt.Sprintf("Use at most %d printable characters on one line.", maxDescription)}
	}
	for _, t := range f.Events {
		if !t.Known() {
			return &FieldError{"events", fmt.Sprintf("%.40q is not an event that is sent here.", string(t))}
		}
	}
	f.Events = slices.Compact(slices.Sorted(slices.Values(f.Events)))
	return nil
}

// printable refuses control characters and the marks that reverse the direction of a line.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r)
	})
}

// Subscriptions lists a shop's subscriptions, newest first, with one more than Limit where there are more.
func (s *Service) Subscriptions(ctx context.Context, merchant id.Merchant, livemode bool, p Page) ([]Subscription, error) {
	rows, err := queries.New().SubscriptionList(ctx, s.pool, queries.SubscriptionListParams{MerchantID: merchant, Livemode: livemode})
	if err != nil {
		return nil, fmt.Errorf("webhooks of %s: %w", merchant, err)
	}
	now := s.now()
	out := make([]Subscription, 0, len(rows))
	for _, r := range rows {
		if string(r.Subscription.ID) < cursor(p.Before) && string(r.Subscription.ID) > p.After {
			out = append(out, subscription(now, r.Subscription, r.SubscriptionHealth))
		}
	}
	switch most := p.Limit + 1; {
	case p.Limit == 0 || len(out) <= most:
		return out, nil
	case p.After != "": // those next to the cursor
		return out[len(out)-most:], nil
	default:
		return out[:most], nil
	}
}

// Subscription returns a merchant's own subscription, or [ErrNotFound].
func (s *Service) Subscription(ctx context.Context, merchant id.Merchant, livemode bool, of id.Subscription) (Subscription, error) {
	row, err := queries.New().SubscriptionByID(ctx, s.pool, queries.SubscriptionByIDParams{MerchantID: merchant, Livemode: livemode, ID: of})
	if err != nil {
		return Subscription{}, fmt.Errorf("webhook %s: %w", of, notFound(err))
	}
	return subscription(s.now(), row.Subscription, row.SubscriptionHealth), nil
}

// Update changes a subscription. What is on its way meanwhile goes where the subscription points when it is sent.
// Errors: [*FieldError], [ErrNotFound].
func (s *Service) Update(ctx context.Context, merchant id.Merchant, livemode bool, of id.Subscription, u SubscriptionUpdate, by audit.By) (Subscription, error) {
	now := s.now()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		row, err := queries.New().SubscriptionForUpdate(ctx, tx, queries.SubscriptionForUpdateParams{MerchantID: merchant, Livemode: livemode, ID: of})
		if err != nil {
			return notFound(err)
		}
		return s.updateTx(ctx, tx, now, row, u, by)
	})
	if err != nil {
		return Subscription{}, fmt.Errorf("update webhook %s: %w", of, err)
	}
	return s.Subscription(ctx, merchant, livemode, of)
}

func (s *Service) updateTx(ctx context.Context, tx pgx.Tx, now time.Time, row queries.Subscription, u SubscriptionUpdate, by audit.By) error {
	f := SubscriptionForm{URL: row.Url, Description: row.Description, Events: types(row.Events)}
	if u.URL != nil {
		var err error
		if f.URL, err = s.checkURL(*u.URL); err != nil {
			return err
		}
	}
	if u.Description != nil {
		f.Description = *u.Description
	}
	if u.Events != nil {
		f.Events = *u.Events
	}
	if err := f.check(); err != nil {
		return err
	}
	p := queries.SubscriptionUpdateParams{
		ID: row.ID, Url: f.URL, Description: f.Description, Events: texts(f.Events), Status: row.Status,
		DisabledAt: row.DisabledAt, DisabledReason: row.DisabledReason, Slow: row.Slow, UpdatedAt: now,
	}
	was := Status(row.Status)
	switch {
	case u.Active == nil:
	case *u.Active:
		p.Status, p.DisabledAt, p.DisabledReason = string(Active), nil, ""
	case was == Active:
		p.Status = string(Paused)
	}
	q, afresh := queries.New(), f.URL != row.Url || was == Disabled && p.Status == string(Active)
	if afresh {
		p.Slow = false
	}
	if err := q.SubscriptionUpdate(ctx, tx, p); err != nil {
		return err
	}
	is := subscriptionSeen{row.Livemode, p.Url, p.Description, p.Events, p.Status}
	if err := s.noteTx(ctx, tx, now, by, row, "webhook.changed", seen(row), is); err != nil {
		return err
	}
	if afresh {
		if err := q.SubscriptionHealthReset(ctx, tx, row.ID); err != nil {
			return err
		}
	}
	if p.Status != string(Active) || was == Active && !afresh {
		return nil
	}
	return s.wakeTx(ctx, tx, row.ID, p.Slow, inFlight) // what waited meanwhile
}

// Unregister ends a subscription for good; its log stays. What is still on its way is cancelled when its turn comes.
// Errors: [ErrNotFound].
func (s *Service) Unregister(ctx context.Context, merchant id.Merchant, livemode bool, of id.Subscription, by audit.By) (Subscription, error) {
	now := s.now()
	var row queries.Subscription
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if row, err = queries.New().SubscriptionRemove(ctx, tx, queries.SubscriptionRemoveParams{MerchantID: merchant, Livemode: livemode, ID: of, Now: now}); err != nil {
			return notFound(err)
		}
		return s.noteTx(ctx, tx, now, by, row, "webhook.removed", seen(row), nil)
	})
	if err != nil {
		return Subscription{}, fmt.Errorf("unregister webhook %s: %w", of, err)
	}
	return subscription(now, row, queries.SubscriptionHealth{}), nil
}

// Test sends webhook.test to one subscription, at once and whatever it asked for, also where it is paused or
// disabled: its owner wants to see whether the server works. Errors: [ErrNotFound].
func (s *Service) Test(ctx context.Context, merchant id.Merchant, livemode bool, of id.Subscription) (id.Delivery, error) {
	now := s.now()
	var sent []id.Delivery
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := queries.New().SubscriptionForUpdate(ctx, tx, queries.SubscriptionForUpdateParams{MerchantID: merchant, Livemode: livemode, ID: of}); err != nil {
			return notFound(err)
		}
		var err error
		sent, err = s.publishTx(ctx, tx, now, of, []Event{{
			Merchant: merchant, Livemode: livemode, Type: WebhookTest, ResourceType: ResourceSubscription, ResourceID: string(of),
			Payload: TestPayload{SubscriptionID: of, Message: "This is a test. Nothing was bought."},
		}})
		return err
	})
	if err != nil {
		return "", fmt.Errorf("test webhook %s: %w", of, err)
	}
	return sent[0], nil
}

func subscription(now time.Time, r queries.Subscription, h queries.SubscriptionHealth) Subscription {
	out := Subscription{
		ID: r.ID, Merchant: r.MerchantID, Livemode: r.Livemode, URL: r.Url, Description: r.Description, Events: types(r.Events),
		Status: Status(r.Status), DisabledReason: r.DisabledReason, DisabledAt: r.DisabledAt, Slow: r.Slow,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, RemovedAt: r.RemovedAt,
		Health: Health{LastDeliveredAt: h.LastDeliveredAt, FailingSince: h.FailingSince, Failures: int(h.Failures), OpenedUntil: h.OpenedUntil},
	}
	if r.OverlapUntil != nil && now.Before(*r.OverlapUntil) {
		out.RotatingUntil = r.OverlapUntil
	}
	return out
}

func types(events []string) []Type {
	out := make([]Type, len(events))
	for i, e := range events {
		out[i] = Type(e)
	}
	return out
}

func texts(events []Type) []string {
	out := make([]string, len(events))
	for i, e := range events {
		out[i] = string(e)
	}
	return out
}
