package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

var (
	// ErrUnknownType is returned by [Service.PublishTx] for what has no schema.
	ErrUnknownType = errors.New("webhook: unknown event type")
	// ErrBody is returned by [Service.PublishTx] for events that cannot be written as they are.
	ErrBody = errors.New("webhook: event cannot be written")
)

// maxBody bounds an event, as the database does.
const maxBody = 64 << 10

// PublishTx tells whoever subscribed that something happened, once the caller's transaction is committed.
//
// The caller holds the locks of the resources that the events tell of, or made them in this transaction: their
// events are numbered in this order, from 1 and without gaps. All events are written in one round trip. Only where
// somebody subscribed follow their deliveries, and a job for each.
// Errors: [ErrUnknownType], [ErrBody]; after any error the transaction must be rolled back.
func (s *Service) PublishTx(ctx context.Context, tx pgx.Tx, now time.Time, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	_, err := s.publishTx(ctx, tx, now, "", events)
	return err
}

// publishTx publishes to everybody who asked, or to one subscription alone, and returns the deliveries.
func (s *Service) publishTx(ctx context.Context, tx pgx.Tx, now time.Time, to id.Subscription, events []Event) ([]id.Delivery, error) {
	p, err := written(now, events)
	if err != nil {
		return nil, err
	}
	p.Addressee = string(to)
	hearers, err := queries.New().EventPublish(ctx, tx, p)
	if err != nil {
		return nil, fmt.Errorf("publish %d events, first %s of %s: %w", len(events), events[0].Type, events[0].ResourceID, err)
	}
	if len(hearers) == 0 {
		return nil, nil
	}
	return s.sendTx(ctx, tx, now, p, hearers)
}

// written makes the rows of events: their bodies but for the number of the resource's event, which the database knows.
func written(now time.Time, events []Event) (queries.EventPublishParams, error) {
	n := len(events)
	p := queries.EventPublishParams{
		Ids: make([]string, n), Merchants: make([]string, n), Livemodes: make([]bool, n), Types: make([]string, n),
		ResourceTypes: make([]string, n), Resources: make([]string, n), Nths: make([]int64, n),
		Heads: make([][]byte, n), Tails: make([][]byte, n), Now: now,
	}
	for i := range events {
		p.Ids[i] = string(id.New[id.Event](now))
	}
	slices.Sort(p.Ids) // the feed shows them in the order given
	for i, e := range events {
		p.Merchants[i], p.Livemodes[i], p.Types[i] = string(e.Merchant), e.Livemode, string(e.Type)
		p.ResourceTypes[i], p.Resources[i], p.Nths[i] = e.ResourceType, e.ResourceID, 1
		for _, before := range p.Resources[:i] {
			if before == e.ResourceID {
				p.Nths[i]++
			}
		}
		var err error
		if p.Heads[i], p.Tails[i], err = body(p.Ids[i], now, e); err != nil {
			return p, fmt.Errorf("%s of %s: %w", e.Type, e.ResourceID, err)
		}
	}
	return p, nil
}

// body writes an event as the contract has it, in two parts: the sequence number stands between them.
func body(event string, now time.Time, e Event) (head, tail []byte, err error) {
	if !e.Type.Known() {
		return nil, nil, ErrUnknownType
	}
	if head, err = encode(struct {
		ID           string      `json:"id"`
		Type         Type        `json:"event_type"`
		Merchant     id.Merchant `json:"seller_id"`
		Livemode     bool        `json:"livemode"`
		ResourceType string      `json:"resource_type"`
		ResourceID   string      `json:"resource_id"`
	}{event, e.Type, e.Merchant, e.Livemode, e.ResourceType, e.ResourceID}); err != nil {
		return nil, nil, err
	}
	if tail, err = encode(struct {
		Payload   any    `json:"payload"`
		Timestamp string `json:"timestamp"`
	}{e.Payload, now.UTC().Format(time.RFC3339)}); err != nil {
		return nil, nil, err
	}
	head = append(head[:len(head)-1], `,"sequence":`...)
	tail[0] = ','
	const digits = 19 // of the largest sequence number
	if len(head)+len(tail)+digits > maxBody {
		return nil, nil, fmt.Errorf("%w: %d bytes", ErrBody, len(head)+len(tail))
	}
	return head, tail, nil
}

// encode writes JSON as it is, without escapes for HTML.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBody, err)
	}
	b := bytes.TrimSuffix(out.Bytes(), []byte("\n"))
	if garbled(b) {
		return nil, fmt.Errorf("%w: a text is not UTF-8, or holds a NUL", ErrBody)
	}
	return b, nil
}

// garbled finds the escapes that stand in JSON for what was no text: the encoder writes U+FFFD as an escape only
// where it replaced a byte.
func garbled(b []byte) bool {
	for i := bytes.IndexByte(b, '\\'); i >= 0 && i < len(b); {
		if bytes.HasPrefix(b[i:], []byte(`\ufffd`)) || bytes.HasPrefix(b[i:], []byte(`\u0000`)) {
			return true
		}
		next := bytes.IndexByte(b[i+2:], '\\') // past what is escaped
		if next < 0 {
			return false
		}
		i += 2 + next
	}
	return false
}

// sendTx puts events on their way to those who are to hear of them.
func (s *Service) sendTx(ctx context.Context, tx pgx.Tx, now time.Time, p queries.EventPublishParams, hearers []queries.EventPublishRow) ([]id.Delivery, error) {
	var d queries.EventDeliveriesInsertParams
	made, jobs := make([]id.Delivery, len(hearers)), make([]queued, len(hearers))
	for i, h := range hearers {
		e := slices.Index(p.Ids, h.EventID)
		made[i] = id.New[id.Delivery](now)
		jobs[i] = queued{made[i], h.Slow}
		d.Ids, d.Events, d.Subscriptions = append(d.Ids, string(made[i])), append(d.Events, p.Ids[e]), append(d.Subscriptions, h.SubscriptionID)
		d.Merchants, d.Livemodes = append(d.Merchants, p.Merchants[e]), append(d.Livemodes, p.Livemodes[e])
		d.Types, d.Resources = append(d.Types, p.Types[e]), append(d.Resources, p.Resources[e])
	}
	d.Now = now
	if err := queries.New().EventDeliveriesInsert(ctx, tx, d); err != nil {
		return nil, fmt.Errorf("deliveries of %s: %w", p.Ids[0], err)
	}
	return made, s.enqueueTx(ctx, tx, time.Time{}, jobs...)
}
