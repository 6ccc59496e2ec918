package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"xsynesis/id"
	"xsynesis/queries"
)

// DeliveryStatus is where a delivery stands.
type DeliveryStatus string

// What a delivery can be.
const (
	Pending   DeliveryStatus = "pending"
	Delivered DeliveryStatus = "delivered"
	Failed    DeliveryStatus = "failed"    // after the last try
	Cancelled DeliveryStatus = "cancelled" // its subscription is not to be told any more
)

// Delivery is one event on its way to one subscription.
type Delivery struct {
	ID           id.Delivery
	Event        id.Event
	Subscription id.Subscription
	URL          string // where the subscription points now
	Merchant     id.Merchant
	Livemode     bool
	Type         Type
	ResourceID   string
	Status       DeliveryStatus
	Reason       string // why it failed or was cancelled: one sentence
	Tries        int    // that count: interrupted ones do not
	// NextTry is when it is due; nil: never again.
	NextTry *time.Time
	// Sending tells that a try is under way.
	Sending bool
	// WaitsSince is since when it is due and waits for its server; nil: it does not.
	WaitsSince *time.Time
	// ReplayOf is the delivery that it repeats; nil: it is the event's original one.
	ReplayOf *id.Delivery
	Replay   *id.Replay // the replay of many that it belongs to
	// Of the last try that was finished; LastTryAt nil: there was none.
	LastStatus int    // 0: no answer
	LastClass  string // of its failure
	LastTook   time.Duration
	LastTryAt  *time.Time
	CreatedAt  time.Time
	EndedAt    *time.Time
}

// DeliveryDetail is a delivery with what was sent and what came back.
type DeliveryDetail struct {
	Delivery
	ResourceType string
	Sequence     int64
	HappenedAt   time.Time
	Body         []byte // as it is signed and sent
	Log          []Try  // in the order in which they began
	// Plan is when it is tried next, and after that if every one of these tries fails at once, lengthened by nothing.
	Plan []time.Time
}

// The states of a try.
const (
	TryStarted     = "started"
	TrySucceeded   = "succeeded"
	TryFailed      = "failed"
	TryInterrupted = "interrupted" // no process finished it: it does not count
)

// Try is one call of a merchant's server.
type Try struct {
	Number       int // counts all of them
	Attempt      int // what the server was told: interrupted ones do not count
	State        string
	URL          string
	Header       http.Header // signatures redacted
	StartedAt    time.Time
	EndedAt      *time.Time
	Status       int    // 0: no answer
	Class        string // of a failure: as egress names it, or "status"; empty for a success
	Error        string // one sentence
	Connected    time.Duration
	Took         time.Duration
	TLS          string
	AnswerHeader http.Header
	Answer       []byte // the first 4 KiB, as they came
	AnswerBytes  int64  // what was read of it
	NextTry      *time.Time
}

// DeliveryFilter chooses among a shop's deliveries; zero fields choose all.
type DeliveryFilter struct {
	Subscription id.Subscription
	Status       DeliveryStatus
	EventType    Type
	Resource     string // an id
	Replay       id.Replay
	// Search is the id of a delivery, an event or a resource, or a text in the body of one of the newest events.
	Search   string
	From, To time.Time // when the delivery was made: from, up to but without
}

// searchedBodies bounds how far back a text is searched for.
const searchedBodies = 5000

// Deliveries lists a shop's deliveries, newest first, with one more than Limit where there are more.
func (s *Service) Deliveries(ctx context.Context, merchant id.Merchant, livemode bool, f DeliveryFilter, p Page) ([]Delivery, error) {
	q, now := queries.New(), s.now()
	a := queries.DeliveryListParams{
		MerchantID: merchant, Livemode: livemode, Since: "", Until: "~", Before: cursor(p.Before), Status: string(f.Status), EventType: string(f.EventType),
		Subscription: string(f.Subscription), Resource: f.Resource, Replay: string(f.Replay), Search: f.Search, IsID: isID(f.Search),
		Searched: searchedBodies, Most: int32(p.Limit + 1),
	}
	if !f.From.IsZero() {
		a.Since = string(id.First[id.Delivery](f.From))
	}
	if !f.To.IsZero() {
		a.Until = string(id.First[id.Delivery](f.To))
	}
	var out []Delivery
	if p.After != "" {
		rows, err := q.DeliveryListAfter(ctx, s.pool, queries.DeliveryListAfterParams{
			MerchantID: a.MerchantID, Livemode: a.Livemode, Since: a.Since, Until: a.Until, After: p.After, Status: a.Status, EventType: a.EventType,
			Subscription: a.Subscription, Resource: a.Resource, Replay: a.Replay, Search: a.Search, IsID: a.IsID, Searched: a.Searched, Most: a.Most,
		})
		if err != nil {
			return nil, fmt.Errorf("deliveries of %s: %w", merchant, err)
		}
		for _, r := range slices.Backward(rows) {
			out = append(out, delivery(now, r.Delivery, r.Url))
		}
		return out, nil
	}
	rows, err := q.DeliveryList(ctx, s.pool, a)
	if err != nil {
		return nil, fmt.Errorf("deliveries of %s: %w", merchant, err)
	}
	for _, r := range rows {
		out = append(out, delivery(now, r.Delivery, r.Url))
	}
	return out, nil
}

// isID tells ids from other texts: a prefix, and what follows it.
func isID(search string) bool {
	prefix, rest, ok := strings.Cut(search, "_")
	_, err := id.ParseToken(rest)
	return ok && prefix != "" && err == nil
}

// Delivery returns a merchant's own delivery with all its tries, or [ErrNotFound].
func (s *Service) Delivery(ctx context.Context, merchant id.Merchant, livemode bool, of id.Delivery) (DeliveryDetail, error) {
	q, now := queries.New(), s.now()
	row, err := q.DeliveryByID(ctx, s.pool, queries.DeliveryByIDParams{ID: of, MerchantID: merchant, Livemode: livemode})
	if err != nil {
		return DeliveryDetail{}, fmt.Errorf("delivery %s: %w", of, notFound(err))
	}
	tries, err := q.TryList(ctx, s.pool, of)
	if err != nil {
		return DeliveryDetail{}, fmt.Errorf("tries of %s: %w", of, err)
	}
	out := DeliveryDetail{
		Delivery: delivery(now, row.Delivery, row.Url), ResourceType: row.Event.ResourceType, Sequence: row.Event.Sequence,
		HappenedAt: row.Event.CreatedAt, Body: row.Event.Body, Log: make([]Try, len(tries)),
	}
	for i, t := range tries {
		if out.Log[i], err = try(t); err != nil {
			return DeliveryDetail{}, fmt.Errorf("try %d of %s: %w", t.Number, of, err)
		}
	}
	out.Plan = plan(now, out.Delivery)
	return out, nil
}

// plan is when a pending delivery is tried, as far as can be told.
func plan(now time.Time, d Delivery) []time.Time {
	if d.NextTry == nil {
		return nil
	}
	at := *d.NextTry
	out, tries := []time.Time{at}, d.Tries+1
	if at.Before(now) {
		at = now
	}
	for next, ok := NextTry(tries, at, 0, 0); ok; next, ok = NextTry(tries, at, 0, 0) {
		out, at, tries = append(out, next), next, tries+1
	}
	return out
}

func delivery(now time.Time, r queries.Delivery, url string) Delivery {
	return Delivery{
		ID: r.ID, Event: r.EventID, Subscription: r.SubscriptionID, URL: url, Merchant: r.MerchantID, Livemode: r.Livemode,
		Type: Type(r.EventType), ResourceID: r.ResourceID, Status: DeliveryStatus(r.Status), Reason: r.Reason, Tries: int(r.Tries),
		NextTry: r.NextTryAt, Sending: r.LeaseUntil != nil && now.Before(*r.LeaseUntil), WaitsSince: r.WaitsSince,
		ReplayOf: r.ReplayOf, Replay: r.ReplayID, LastStatus: int(r.LastStatus), LastClass: r.LastClass,
		LastTook: millis(r.LastMs), LastTryAt: r.LastTryAt, CreatedAt: r.CreatedAt, EndedAt: r.EndedAt,
	}
}

func try(r queries.Try) (Try, error) {
	out := Try{
		Number: int(r.Number), Attempt: int(r.Attempt), State: r.State, URL: r.Url, StartedAt: r.StartedAt, EndedAt: r.EndedAt,
		Status: int(r.Status), Class: r.Class, Error: r.Error, Connected: millis(r.ConnectedMs), Took: millis(r.LatencyMs), TLS: r.Tls,
		Answer: r.Answer, AnswerBytes: r.AnswerBytes, NextTry: r.NextTryAt,
	}
	if err := json.Unmarshal(r.RequestHeaders, &out.Header); err != nil {
		return out, err
	}
	return out, json.Unmarshal(r.AnswerHeaders, &out.AnswerHeader)
}

func millis(n int32) time.Duration { return time.Duration(n) * time.Millisecond }
