package evm

import (
	"context"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

// flight is what this process waits for: transactions by every hash under which they may be mined.
type flight struct {
	mu      sync.Mutex
	nonces  map[common.Hash]uint64
	waiting map[uint64]map[*waiter]struct{}
	sent    map[common.Hash]time.Time
	begun   chan struct{} // has one element when somebody began to wait
}

type waiter struct {
	nonce uint64
	seen  chan sighting
}

// sighting is a mined transaction in its block.
type sighting struct {
	receipt receipt
	block   Block
}

func newFlight() flight {
	return flight{
		nonces: map[common.Hash]uint64{}, waiting: map[uint64]map[*waiter]struct{}{},
		sent: map[common.Hash]time.Time{}, begun: make(chan struct{}, 1),
	}
}

func (f *flight) enter(r *relay) *waiter {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &waiter{nonce: r.nonce, seen: make(chan sighting, 1)}
	for _, v := range r.versions {
		f.nonces[v.hash] = r.nonce
	}
	if f.waiting[r.nonce] == nil {
		f.waiting[r.nonce] = map[*waiter]struct{}{}
	}
	f.waiting[r.nonce][w] = struct{}{}
	select {
	case f.begun <- struct{}{}:
	default:
	}
	return w
}

func (f *flight) leave(w *waiter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.waiting[w.nonce], w)
	if len(f.waiting[w.nonce]) > 0 {
		return
	}
	delete(f.waiting, w.nonce)
	for hash, nonce := range f.nonces {
		if nonce == w.nonce {
			delete(f.nonces, hash)
		}
	}
}

// also adds a hash under which a nonce may be mined from now on.
func (f *flight) also(nonce uint64, hash common.Hash) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting[nonce]) > 0 {
		f.nonces[hash] = nonce
	}
}

func (f *flight) empty() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiting) == 0
}

// wake tells the waiters of every receipt that is awaited, and returns those receipts.
func (f *flight) wake(receipts []receipt, b Block) []sighting {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []sighting
	for _, r := range receipts {
		nonce, ok := f.nonces[r.Hash]
		if !ok {
			continue
		}
		s := sighting{r, b}
		found = append(found, s)
		for w := range f.waiting[nonce] {
			select {
			case w.seen <- s:
			default:
			}
		}
	}
	return found
}

// claim is [flight.due], and at the same time notes it as sent: of many who ask, one is to send it.
func (f *flight) claim(hash common.Hash, since, at time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.sent[hash].Before(since) {
		return false
	}
	f.sent[hash] = at
	return true
}

// unsent takes back a claim that came to nothing.
func (f *flight) unsent(hash common.Hash) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.sent, hash)
}

// due reports whether a transaction was not sent since a moment.
func (f *flight) due(hash common.Hash, since time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent[hash].Before(since)
}

func (f *flight) noteSent(hash common.Hash, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent[hash] = at
}

// forgetSent drops what was sent before a moment.
func (f *flight) forgetSent(before time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for hash, at := range f.sent {
		if at.Before(before) {
			delete(f.sent, hash)
		}
	}
}

// sendShared is [Relayer.send] for a transaction that many wait for: one of them sends it.
func (r *Relayer) sendShared(ctx context.Context, v version) error {
	now := r.o.Now()
	if !r.flight.claim(v.hash, now.Add(-r.o.Resend), now) {
		return nil
	}
	err := r.send(ctx, v)
	if err != nil {
		r.flight.unsent(v.hash)
	}
	return err
}

// send broadcasts raw bytes. Whatever the node says, only the chain knows what became of them.
func (r *Relayer) send(ctx context.Context, v version) error {
	var hash common.Hash
	err := r.chain.nodes.call(ctx, &hash, "eth_sendRawTransaction", hexutil.Bytes(v.raw))
	if err == nil {
		r.flight.noteSent(v.hash, r.o.Now())
	}
	return err
}
