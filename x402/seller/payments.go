package seller

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"xsynesis/x402"
)

// afterEnd is how long a payment is remembered after nobody can use it any more.
const afterEnd = 10 * time.Minute

// maxKept is the largest answer that is given a second time.
const maxKept = 1 << 20

// payment is one that was taken. Its fields but turn belong to whoever holds turn.
type payment struct {
	signature []byte
	request   [32]byte  // what it pays for
	ends      time.Time // when it is forgotten
	turn      chan struct{}

	held    *held  // the handler's answer, once there is one
	dropped bool   // it was given, and is too large to be kept
	moved   bool   // the money
	asked   bool   // a facilitator was asked to move it, and may have
	tx      string // the transaction, if the facilitator said
	closed  bool   // let go of: it may be taken again
}

// payments are those that this process knows.
type payments struct {
	mu    sync.Mutex
	byKey map[string]*payment
	swept time.Time
}

func keyOf(p x402.Payment, t x402.Token) string {
	return fmt.Sprintf("%s/%s/%s/%s", t.Network, t.Address, p.Authorization.From, p.Authorization.Nonce)
}

// enter finds a payment, or adds it for the caller, who then has its turn.
func (ps *payments) enter(key string, fresh *payment, now time.Time) (found *payment, first bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if now.Sub(ps.swept) > time.Minute {
		ps.swept = now
		for k, p := range ps.byKey {
			if now.After(p.ends) {
				delete(ps.byKey, k)
			}
		}
	}
	if old, ok := ps.byKey[key]; ok {
		return old, false
	}
	ps.byKey[key] = fresh
	return fresh, true
}

// leave forgets a payment that surely moved nothing.
func (ps *payments) leave(key string, p *payment) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.byKey[key] == p {
		delete(ps.byKey, key)
	}
}

// same tells whether a payment is this very one, sent again.
func (p *payment) same(signature []byte, request [32]byte) bool {
	return p.request == request && bytes.Equal(p.signature, signature)
}

// wait takes the payment's turn, or ends with the context.
func (p *payment) wait(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *payment) done() { <-p.turn }

// memory is the [Claims] of a single process: the payments it knows are claims enough.
type memory struct{}

func (memory) Take(context.Context, string, time.Time) (bool, error) { return true, nil }
func (memory) Release(context.Context, string) error                 { return nil }
