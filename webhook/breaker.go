package webhook

import (
	"time"

	"xsynesis/queries"
)

// The breaker keeps tries away from a server that mostly fails: so many tries within a window, most of them failed,
// open it; after a pause one probe decides. A try that it holds back is not made, and does not count.
const (
	breakerWindow = 5 * time.Minute
	breakerTries  = 10 // in a window, at least
	breakerShare  = 70 // of a hundred that failed, at least
	breakerPause  = 30 * time.Second
	breakerMost   = 10 * time.Minute
)

// slowMillis is how long a typical try takes of a server whose deliveries wait on a queue of their own.
const slowMillis = 3000

// heard is what one try tells about a server.
type heard struct {
	at    time.Time
	ok    bool
	took  time.Duration
	probe bool // the one try that an open breaker let through
}

// after is a server's health once a try has ended.
func after(h queries.SubscriptionHealth, t heard) queries.SubscriptionHealth {
	took := int32(min(t.took, time.Minute).Milliseconds())
	if h.LatencyMs == 0 {
		h.LatencyMs = took
	} else {
		h.LatencyMs += (took - h.LatencyMs) / 4
	}
	if h.WindowStartedAt == nil || t.at.Sub(*h.WindowStartedAt) >= breakerWindow {
		h.WindowStartedAt, h.WindowTries, h.WindowFailures = &t.at, 0, 0
	}
	h.WindowTries++
	if t.ok {
		return succeeded(h, t)
	}
	h.WindowFailures++
	h.Failures++
	if h.FailingSince == nil {
		h.FailingSince = &t.at
	}
	switch {
	case t.probe, h.OpenedUntil == nil && h.WindowTries >= breakerTries && h.WindowFailures*100 >= h.WindowTries*breakerShare:
		return opened(h, t.at)
	default:
		return h
	}
}

func succeeded(h queries.SubscriptionHealth, t heard) queries.SubscriptionHealth {
	if h.OpenedUntil != nil { // what failed before it closed is no reason to open it again
		h.WindowStartedAt, h.WindowTries, h.WindowFailures = &t.at, 1, 0
	}
	h.LastDeliveredAt = &t.at
	h.FailingSince, h.Failures, h.ToldAt = nil, 0, nil
	h.OpenedUntil, h.Openings, h.ProbeUntil = nil, 0, nil
	return h
}

// opened opens the breaker, for twice as long as the last time in a row.
func opened(h queries.SubscriptionHealth, now time.Time) queries.SubscriptionHealth {
	pause := breakerMost
	if h.Openings < 5 {
		pause = min(breakerPause<<h.Openings, breakerMost)
	}
	until := now.Add(pause)
	h.OpenedUntil, h.ProbeUntil, h.Openings = &until, nil, h.Openings+1
	h.WindowStartedAt, h.WindowTries, h.WindowFailures = nil, 0, 0
	return h
}

// closed tells whether tries may be made at a time, and if not, when that is to be asked again.
func closed(h queries.SubscriptionHealth, now time.Time) (bool, time.Time) {
	switch {
	case h.OpenedUntil == nil:
		return true, time.Time{}
	case now.Before(*h.OpenedUntil):
		return false, *h.OpenedUntil
	case h.ProbeUntil != nil && now.Before(*h.ProbeUntil):
		return false, *h.ProbeUntil
	default:
		return true, time.Time{}
	}
}

// isSlow tells whether deliveries to a server belong on the queue of the slow ones.
func isSlow(h queries.SubscriptionHealth) bool {
	return h.OpenedUntil != nil || h.LatencyMs > slowMillis
}

// hopeless tells whether a server has failed for so long, and so often, that it is told no more.
func hopeless(h queries.SubscriptionHealth, now time.Time) bool {
	return h.FailingSince != nil && h.Failures >= disableTries && now.Sub(*h.FailingSince) >= disableAfter
}
