package webhook

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// waits are the pauses after each failure: the first try is made at once, the fifth is the last.
var waits = [...]time.Duration{2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute}

// The numbers of the delivery, which the pages print.
const (
	tryTimeout    = 10 * time.Second // of one try, from the name's look-up to the answer's last byte
	answerKept    = 4 << 10          // bytes of an answer that are stored
	logKept       = 30 * 24 * time.Hour
	retryAfterCap = time.Hour
	disableAfter  = 72 * time.Hour // without a success, and
	disableTries  = 100            // failures in a row
	inFlight      = 4              // tries of one subscription at a time, over all processes
	perSecond     = 100            // tries of one subscription that begin in a second
	jitterMost    = 100            // thousandths of a wait
)

// Rules are what a shop can rely on; [Policy] returns those in force.
type Rules struct {
	Tries        int             // at most, for one delivery
	Waits        []time.Duration // after each failure but the last
	Jitter       int             // at most so many hundredths are added to a wait
	Timeout      time.Duration   // of one try
	RetryAfter   time.Duration   // the most that an answer's Retry-After lengthens a wait to
	DisableAfter time.Duration   // without a success, and
	DisableTries int             // failures in a row
	InFlight     int             // tries of one subscription at a time
	PerSecond    int             // tries of one subscription that begin in a second
	AnswerBytes  int             // of an answer that are kept
	Kept         time.Duration   // how long the log is kept
	Overlap      time.Duration   // how long an old secret signs beside a new one
}

// Policy is what the pages print about tries, in numbers that the code itself follows.
func Policy() Rules {
	return Rules{
		Tries: len(waits) + 1, Waits: append([]time.Duration(nil), waits[:]...), Jitter: jitterMost / 10, Timeout: tryTimeout,
		RetryAfter: retryAfterCap, DisableAfter: disableAfter, DisableTries: disableTries,
		InFlight: inFlight, PerSecond: perSecond, AnswerBytes: answerKept, Kept: logKept, Overlap: overlap,
	}
}

// NextTry tells when a delivery is tried again after so many counted tries, the last of which failed at failedAt, or
// false when that was the last. What the answer asked for by Retry-After makes the wait longer, up to an hour, and never
// shorter. jitter, in thousandths of the wait from 0 to 100, spreads those that failed together; it only adds.
func NextTry(tries int, failedAt time.Time, retryAfter time.Duration, jitter int) (time.Time, bool) {
	if tries < 1 || tries > len(waits) {
		return time.Time{}, false
	}
	wait := waits[tries-1]
	wait += wait * time.Duration(min(max(jitter, 0), jitterMost)) / 1000
	return failedAt.Add(max(wait, min(retryAfter, retryAfterCap))), true
}

// drawJitter draws what [NextTry] takes.
func drawJitter() int { return rand.IntN(jitterMost + 1) } //nolint:gosec // it spreads load and guards nothing

// retryAfter reads an answer's Retry-After, in seconds or as a date; 0 where there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
