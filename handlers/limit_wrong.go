package handlers

import (
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common/lru"
)

// How often somebody may be wrong within a minute: an address about who it is and about activation codes, a tablet about
// PINs, whoever's they are.
const (
	signInTries = 5
	pinTries    = 10
	codeTries   = 10
	wrongWindow = time.Minute
)

// wrongs counts wrong tries. What is guessed at cannot be guessed; this keeps the log and the clock of those who try.
type wrongs struct {
	most int
	mu   sync.Mutex
	seen lru.BasicLRU[string, wrongTries]
}

type wrongTries struct {
	since time.Time
	times int
}

func newWrongs(most int) *wrongs {
	return &wrongs{most: most, seen: lru.NewBasicLRU[string, wrongTries](mostCounted)}
}

// wait is how long somebody has to wait before he may try again; 0 for not at all.
func (w *wrongs) wait(who string, now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	tries, _ := w.seen.Get(who)
	if tries.times < w.most {
		return 0
	}
	return max(0, tries.since.Add(wrongWindow).Sub(now))
}

// failed counts one more.
func (w *wrongs) failed(who string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tries, _ := w.seen.Get(who)
	if now.Sub(tries.since) >= wrongWindow {
		tries = wrongTries{since: now}
	}
	tries.times++
	w.seen.Add(who, tries)
}
