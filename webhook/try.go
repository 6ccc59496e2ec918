package webhook

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"xsynesis/egress"
	"xsynesis/fault"
	"xsynesis/queries"
)

// classStatus is the class of a failure that was an answer, other than a redirect.
const classStatus = "status"

// sentenceOver is what is known of a try that no process finished.
const sentenceOver = "It was cut short on our side; what the server did is not known."

// recordTimeout is how long it may take to write down what a try came to, also while the process stops.
const recordTimeout = 5 * time.Second

// maxAnswerHeaders bounds what is kept of an answer's headers, in bytes.
const maxAnswerHeaders = 8 << 10

// try calls the server, without holding a connection to the database, and writes down what that came to. It returns
// when the delivery is due again.
func (s *Service) try(ctx context.Context, row queries.DeliveryDueRow, c claim) (time.Time, error) {
	fault.At(fault.WebhookClaimed)
	if err := s.sleepUntil(ctx, c.beginsAt); err != nil {
		return s.abandon(ctx, row, c)
	}
	answer, err := s.o.Egress.Post(ctx, egress.Call{
		URL: row.Subscription.Url, Header: c.header, Body: row.Body, Timeout: s.o.Timeout, Keep: answerKept,
	})
	if ctx.Err() != nil && (err != nil || !accepted(answer.Status)) { // this process stops: the server is not to blame
		return s.abandon(ctx, row, c)
	}
	fault.At(fault.WebhookAnswered)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	again, err := s.record(ctx, row, c, judge(s.now(), answer, err, int(row.Delivery.Tries)+1))
	fault.At(fault.WebhookRecorded)
	return again, err
}

// sleepUntil waits for a moment that is at most a few hundred milliseconds away.
func (s *Service) sleepUntil(ctx context.Context, at time.Time) error {
	wait := at.Sub(s.now())
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func accepted(status int) bool { return status >= 200 && status < 300 }

// verdict is what a try came to.
type verdict struct {
	at     time.Time
	answer egress.Answer
	ok     bool
	gone   bool   // the server wants to hear nothing more
	class  string // of the failure
	reason string // one sentence about it
	// next is when the delivery is tried again, and last tells that it is not.
	next time.Time
	last bool
}

// judge says what a try came to; tries counts it.
func judge(now time.Time, a egress.Answer, err error, tries int) verdict {
	v := verdict{at: now, answer: a, ok: err == nil && accepted(a.Status)}
	if v.ok {
		return v
	}
	v.gone = a.Status == http.StatusGone
	v.class, v.reason = failure(a, err)
	next, more := NextTry(tries, now, retryAfter(a.Header, now), drawJitter())
	if v.last = !more || v.gone; !v.last {
		v.next = next
	}
	return v
}

// failure sorts what went wrong, and says it in a sentence that a seller can act on.
func failure(a egress.Answer, err error) (class, reason string) {
	if err == nil {
		said := strings.TrimSpace(fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status)))
		if a.Status >= 300 && a.Status < 400 {
			return egress.ClassRedirect, "Your server answered " + said + ". Redirects are not followed."
		}
		return classStatus, "Your server answered " + said + "."
	}
	class = egress.Class(err)
	switch class {
	case egress.ClassRefused:
		return class, "We do not send to this address."
	case egress.ClassDNS:
		return class, "The name of your server could not be found."
	case egress.ClassConnect:
		return class, "Your server did not take the connection."
	case egress.ClassTLS:
		return class, "The secure connection could not be made."
	case egress.ClassTimeout:
		return class, "Your server's whole answer was not there in time."
	case egress.ClassTooLarge:
		return class, "The answer was too large to read."
	case egress.ClassReset:
		return class, "The connection broke off before the end of the answer."
	default:
		return class, "What came back was not HTTP."
	}
}
