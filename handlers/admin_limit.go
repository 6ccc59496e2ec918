package handlers

import (
	"sync"
	"time"
)

const (
	// signInTries is how often somebody may be wrong within signInWindow.
	signInTries  = 5
	signInWindow = time.Minute
	// signInAddresses bounds what is remembered.
	signInAddresses = 10_000
)

// signIns counts wrong tokens by address. A token cannot be guessed; this keeps the log and the clock of those who try.
type signIns struct {
	mu    sync.Mutex
	wrong map[string]wrongSignIns
}

type wrongSignIns struct {
	since time.Time
	times int
}

func newSignIns() *signIns { return &signIns{wrong: map[string]wrongSignIns{}} }

// wait is how long an address has to wait before it may try again; 0 for not at all.
func (s *signIns) wait(address string, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.wrong[address]
	if w.times < signInTries {
		return 0
	}
	return max(0, w.since.Add(signInWindow).Sub(now))
}

// failed counts one more.
func (s *signIns) failed(address string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) >= signInAddresses {
		clear(s.wrong)
	}
	w := s.wrong[address]
	if now.Sub(w.since) >= signInWindow {
		w = wrongSignIns{since: now}
	}
	w.times++
	s.wrong[address] = w
}
