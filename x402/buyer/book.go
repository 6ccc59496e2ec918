package buyer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"xsynesis/money"
)

// State is what became of a payment.
type State string

// The states of an [Entry]. Every one counts against the limits: what was signed may be moved until it ends, whatever the
// server said, and afterwards only a chain knows.
const (
	Signed  State = "signed"  // written down, perhaps sent, no answer yet
	Paid    State = "paid"    // the server gave what was paid for
	Refused State = "refused" // the server did not take it; sent again with the same request while it is valid
	Used    State = "used"    // the server says that it was used before
)

// Entry is one payment.
type Entry struct {
	Nonce       string     `json:"nonce"`
	State       State      `json:"state"`
	At          time.Time  `json:"at"`
	ValidBefore time.Time  `json:"valid_before"` // nothing moves afterwards
	Method      string     `json:"method"`
	URL         string     `json:"url"`
	Host        string     `json:"host"`
	Amount      money.USDC `json:"amount"` // base units
	Network     string     `json:"network"`
	Asset       string     `json:"asset"`
	Payer       string     `json:"payer"`
	PayTo       string     `json:"pay_to"`
	Transaction string     `json:"transaction,omitempty"`
	Reason      string     `json:"reason,omitempty"` // of a refusal, in the server's words

	Request string `json:"request"`          // what it pays for: a hash of method, URL and body
	Header  string `json:"header,omitempty"` // the payment itself, until its outcome is known
	Value   string `json:"value,omitempty"`
}

// open tells whether the payment may be sent again for its own request.
func (e Entry) open(now time.Time) bool {
	return (e.State == Signed || e.State == Refused) && e.Value != "" && now.Before(e.ValidBefore.Add(-tooLate))
}

const (
	// day is how long a payment counts against the limits of a day.
	day = 24 * time.Hour
	// tooLate is how long before its end a payment is not worth sending any more: it has to be mined by then.
	tooLate = 11 * time.Second
)

// Book is what was paid, by every process that shares its file. A payment is written down before it is sent, so that a
// killed program still knows it. Any number of goroutines may use it.
type Book struct {
	path string // "" keeps it in memory

	mu      sync.Mutex
	entries []Entry
	index   map[string]int  // by nonce
	flying  map[string]bool // nonces that this process is waiting for
	read    int64           // bytes of the file that are in entries
}

// NewBook keeps what was paid in memory.
func NewBook() *Book { return &Book{index: map[string]int{}, flying: map[string]bool{}} }

// OpenBook keeps what was paid in a file that only its owner can read: payments under way stand in it. Processes that share
// it share its limits; where two of them make the very same request at the same moment, they share its payment.
func OpenBook(path string) (*Book, error) {
	b := NewBook()
	b.path = path
	b.mu.Lock()
	defer b.mu.Unlock()
	return b, b.locked(func(*os.File) error { return nil })
}

// Entries lists what was paid, oldest first.
func (b *Book) Entries() []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.entries)
}

// take finds an open payment for a request, and keeps it for the caller until [Book.end].
func (b *Book) take(request string, now time.Time) (found Entry, ok bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	err = b.locked(func(*os.File) error {
		for _, e := range slices.Backward(b.entries) {
			if e.Request == request && e.open(now) && !b.flying[e.Nonce] {
				b.flying[e.Nonce] = true
				found, ok = e, true
				return nil
			}
		}
		return nil
	})
	return found, ok, err
}

// sign adds what make makes, if the limits allow its amount, and keeps it for the caller until [Book.end].
func (b *Book) sign(e Entry, l Limits, make func() (header, value string, err error)) (Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.locked(func(f *os.File) error {
		if err := b.within(e, l); err != nil {
			return err
		}
		var err error
		if e.Header, e.Value, err = make(); err != nil {
			return err
		}
		if err := write(f, e); err != nil {
			return err
		}
		b.put(e)
		b.flying[e.Nonce] = true
		return nil
	})
	return e, err
}

// within holds a new payment against the limits.
func (b *Book) within(e Entry, l Limits) error {
	if e.Amount > l.Request {
		return fmt.Errorf("%w: %s USDC for one request, %s allowed", ErrLimit, e.Amount, l.Request)
	}
	all, here := e.Amount, e.Amount
	for _, old := range b.entries {
		if old.At.Before(e.At.Add(-day)) {
			continue
		}
		all += old.Amount
		if old.Host == e.Host {
			here += old.Amount
		}
	}
	if all > l.Day {
		return fmt.Errorf("%w: %s USDC in a day, %s allowed", ErrLimit, all, l.Day)
	}
	if here > l.Host {
		return fmt.Errorf("%w: %s USDC in a day at %s, %s allowed", ErrLimit, here, e.Host, l.Host)
	}
	return nil
}

// end writes down what became of a payment and lets go of it.
func (b *Book) end(e Entry) error {
	if e.State == Paid || e.State == Used {
		e.Header, e.Value = "", ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.flying, e.Nonce)
	return b.locked(func(f *os.File) error {
		if err := write(f, e); err != nil {
			return err
		}
		b.put(e)
		return nil
	})
}

func (b *Book) put(e Entry) {
	if i, known := b.index[e.Nonce]; known {
		b.entries[i] = e
		return
	}
	b.index[e.Nonce] = len(b.entries)
	b.entries = append(b.entries, e)
}

// locked runs do with the file, if there is one, held against other processes and read to its end.
func (b *Book) locked(do func(*os.File) error) (err error) {
	if b.path == "" {
		return do(nil)
	}
	f, err := os.OpenFile(b.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the book of payments: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }() // which frees the lock
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", b.path, err)
	}
	if err := b.catchUp(f); err != nil {
		return fmt.Errorf("read %s: %w", b.path, err)
	}
	if err := do(f); err != nil {
		return err
	}
	b.read, err = f.Seek(0, io.SeekCurrent)
	return err
}

// catchUp reads what other processes have written, and cuts off a line that a killed one has not finished.
func (b *Book) catchUp(f *os.File) error {
	if _, err := f.Seek(b.read, io.SeekStart); err != nil {
		return err
	}
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		var e Entry
		if err := json.Unmarshal(bytes.TrimSpace(line), &e); err != nil {
			return fmt.Errorf("at byte %d: %w", b.read, err)
		}
		b.put(e)
		b.read += int64(len(line))
	}
	if err := f.Truncate(b.read); err != nil {
		return err
	}
	_, err := f.Seek(b.read, io.SeekStart)
	return err
}

// write is done when the disk has it.
func write(f *os.File, e Entry) error {
	if f == nil {
		return nil
	}
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write a payment down: %w", err)
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write a payment down: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write a payment down: %w", err)
	}
	return nil
}
