package webhook

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/queries"
)

// Why a delivery that is due is not sent now.
var (
	errNoSlot = errors.New("webhook: all slots are taken")
	errOpen   = errors.New("webhook: the breaker is open")
	errTaken  = errors.New("webhook: another process has it")
)

// How much longer than a try a process owns its delivery.
const (
	leaseSlack = 2 * time.Second  // at least: to write down what it came to
	leaseMost  = 20 * time.Second // and no longer, so that what a dead process left is soon taken up
)

// claim is the right to make one try.
type claim struct {
	lease    []byte
	slot     int16
	number   int32 // of the try
	attempt  int   // what the server is told
	beginsAt time.Time
	probe    bool
	header   http.Header
	// inLine tells that the delivery came up in its server's line, and not by its own job.
	inLine bool
}

// claim takes a slot of the server, the delivery and a moment, and writes the try down: in this order, so that two who
// claim never wait for each other in a circle. Errors: [errNoSlot], [errOpen], [errTaken]; nothing is written then.
func (s *Service) claim(ctx context.Context, row queries.DeliveryDueRow) (claim, error) {
	q, now, d := queries.New(), s.now(), row.Delivery
	c := claim{lease: make([]byte, 16)}
	_, _ = rand.Read(c.lease)
	secrets, err := s.secrets(row.Subscription, now)
	if err != nil {
		return claim{}, err
	}
	until := now.Add(s.lease())
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		c.slot, err = q.SlotTake(ctx, tx, queries.SlotTakeParams{DeliveryID: &d.ID, Lease: c.lease, Until: until, SubscriptionID: d.SubscriptionID, Now: now})
		if err != nil {
			return instead(err, errNoSlot)
		}
		tries, err := q.DeliveryLease(ctx, tx, queries.DeliveryLeaseParams{Lease: c.lease, Until: until, ID: d.ID, Now: now})
		if err != nil {
			return instead(err, errTaken)
		}
		admitted, err := q.HealthAdmit(ctx, tx, queries.HealthAdmitParams{
			Now: now, GapUs: s.gap().Microseconds(), Until: until, SubscriptionID: d.SubscriptionID, Asked: isTest(d),
		})
		if err != nil {
			return instead(err, errOpen)
		}
		c.beginsAt, c.probe, c.attempt = admitted.NextSlotAt.Add(-s.gap()), admitted.Probe, int(tries)+1
		c.header = Headers(secrets, d.EventID, Type(d.EventType), row.Body, c.beginsAt, c.attempt)
		return s.startTx(ctx, tx, now, row, &c)
	})
	if err != nil {
		return claim{}, fmt.Errorf("claim %s: %w", d.ID, err)
	}
	return c, nil
}

// startTx writes a try down before it is made.
func (s *Service) startTx(ctx context.Context, tx pgx.Tx, now time.Time, row queries.DeliveryDueRow, c *claim) error {
	shown, err := json.Marshal(redacted(c.header))
	if err != nil {
		return err
	}
	c.number, err = queries.New().TryStart(ctx, tx, queries.TryStartParams{
		Over: sentenceOver, Now: now, DeliveryID: row.Delivery.ID, Attempt: int32(c.attempt), Lease: c.lease,
		Url: row.Subscription.Url, RequestHeaders: shown, StartedAt: c.beginsAt,
	})
	return err
}

// instead says what a statement that found no row means.
func instead(err, meaning error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return meaning
	}
	return err
}

// lease is how long a process owns a delivery that it tries.
func (s *Service) lease() time.Duration {
	return min(max(s.o.Lease, s.o.Timeout+inFlight*s.gap()+leaseSlack), s.o.Timeout+inFlight*s.gap()+leaseMost)
}

// gap is the time between the beginnings of two tries of one subscription.
func (s *Service) gap() time.Duration { return time.Second / time.Duration(s.o.Rate) }

// redacted leaves the signatures out: the log shows no secret, nor what a secret made.
func redacted(h http.Header) http.Header {
	h = h.Clone()
	for _, name := range []string{HeaderSignature, HeaderSignatureNext, HeaderStandard} {
		if h.Get(name) != "" {
			h.Set(name, "redacted")
		}
	}
	return h
}
