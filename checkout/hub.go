package checkout

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"xsynesis/id"
)

// channel is the Postgres notification channel of all processes.
const channel = "xsynesis_changed"

// Hub tells whoever waits, in any process, that a purchase or a shop changed; never what changed.
//
// Notifications leave after the commit that they tell of, several in one statement, so that no commit
// waits for another. One that is lost costs the waiter a look at the row, a moment later.
type Hub struct {
	pool *pgxpool.Pool
	out  chan string

	boot string // this process

	mu      sync.Mutex
	waiters map[string]map[chan struct{}]struct{}
	heard   uint64       // how often something was named
	last    [1024]string // what, the last times
}

// NewHub returns a hub that says nothing until [Hub.Run].
func NewHub(pool *pgxpool.Pool) *Hub {
	return &Hub{pool: pool, out: make(chan string, 4096), boot: id.NewToken(), waiters: map[string]map[chan struct{}]struct{}{}}
}

// Changed tells all processes that a purchase, and so its shop, changed. It never waits.
func (h *Hub) Changed(attempt id.Attempt, merchant id.Merchant) { h.tell(string(attempt), merchant) }

// Claimed tells the same of a purchase whose outcome is as open as before: those who wait for that are left in peace.
func (h *Hub) Claimed(attempt id.Attempt, merchant id.Merchant) {
	h.tell(claimed+string(attempt), merchant)
}

// ChangedTx tells the same of a shop and what else it names, once tx is committed. Such commits wait for each other, so it is
// for what is rare.
func ChangedTx(ctx context.Context, tx pgx.Tx, attempt id.Attempt, merchant id.Merchant) error {
	_, err := tx.Exec(ctx, "SELECT pg_notify($1, $2)", channel, string(attempt)+" "+string(merchant))
	return err
}

// Before the name of a purchase, and after it for those who wait for its outcome.
const (
	claimed = "~"
	outcome = "!"
)

func (h *Hub) tell(purchase string, merchant id.Merchant) {
	select {
	case h.out <- purchase + " " + string(merchant):
	default: // waiters look at their rows anyway
	}
}

// subscribeOutcome is [Hub.Subscribe] for one who does not care to hear that a payment was claimed.
func (h *Hub) subscribeOutcome(attempt id.Attempt) (known <-chan struct{}, cancel func()) {
	return h.Subscribe(string(attempt) + outcome)
}

// Subscribe returns a channel that receives when the attempt or merchant changes; cancel ends it.
func (h *Hub) Subscribe(topic string) (changed <-chan struct{}, cancel func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiters[topic] == nil {
		h.waiters[topic] = map[chan struct{}]struct{}{}
	}
	h.waiters[topic][c] = struct{}{}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waiters[topic], c)
		if len(h.waiters[topic]) == 0 {
			delete(h.waiters, topic)
		}
	}
}

// Moment names this moment for [Hub.ChangedSince].
func (h *Hub) Moment() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.boot + "." + strconv.FormatUint(h.heard, 10)
}

// ChangedSince tells whether a topic may have changed since a moment: whoever shows something of before, and only then begins to
// wait, would miss it. Of another process's moments, and of those long gone, nobody knows.
func (h *Hub) ChangedSince(topic, moment string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	boot, number, _ := strings.Cut(moment, ".")
	since, err := strconv.ParseUint(number, 10, 64)
	if err != nil || boot != h.boot || since > h.heard || h.heard-since > uint64(len(h.last)) {
		return true
	}
	for ; since < h.heard; since++ {
		if h.last[since%uint64(len(h.last))] == topic {
			return true
		}
	}
	return false
}

func (h *Hub) wake(topic string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last[h.heard%uint64(len(h.last))] = topic
	h.heard++
	for c := range h.waiters[topic] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// wakeAll follows a broken connection: anything may have been missed.
func (h *Hub) wakeAll() {
	h.mu.Lock()
	h.heard += uint64(len(h.last)) + 1
	topics := make([]string, 0, len(h.waiters))
	for topic := range h.waiters {
		topics = append(topics, topic)
	}
	h.mu.Unlock()
	for _, topic := range topics {
		h.wake(topic)
	}
}

// Run listens and speaks until ctx ends, and comes back after every lost connection.
func (h *Hub) Run(ctx context.Context) error {
	var speaking sync.WaitGroup
	speaking.Go(func() { h.speak(ctx) })
	defer speaking.Wait()
	for ctx.Err() == nil {
		if err := h.listen(ctx); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "listening for changes", "error", err)
			sleep(ctx, time.Second)
			h.wakeAll()
		}
	}
	return nil
}

func (h *Hub) listen(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, h.pool.Config().ConnConfig.Copy())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	h.wakeAll()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		for topic := range strings.FieldsSeq(n.Payload) {
			topic, open := strings.CutPrefix(topic, claimed)
			h.wake(topic)
			if !open {
				h.wake(topic + outcome)
			}
		}
	}
}

const (
	// gather is how long a change waits for company.
	gather = 5 * time.Millisecond
	// mostTogether keeps a payload below the 8,000 bytes that Postgres takes.
	mostTogether = 100
)

func (h *Hub) speak(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-h.out:
			h.say(ctx, h.together(ctx, first))
		}
	}
}

func (h *Hub) together(ctx context.Context, first string) string {
	said := []string{first}
	timer := time.NewTimer(gather)
	defer timer.Stop()
	for len(said) < mostTogether {
		select {
		case <-ctx.Done():
			return strings.Join(said, " ")
		case <-timer.C:
			return strings.Join(said, " ")
		case more := <-h.out:
			said = append(said, more)
		}
	}
	return strings.Join(said, " ")
}

func (h *Hub) say(ctx context.Context, payload string) {
	// The notification holds nothing that a crash may not lose, so its commit need not wait for the disk.
	err := pgx.BeginFunc(ctx, h.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL synchronous_commit = off"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "SELECT pg_notify($1, $2)", channel, payload)
		return err
	})
	if err != nil && ctx.Err() == nil {
		slog.WarnContext(ctx, "telling of changes", "error", err)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
