package checkout

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/vault"
)

const (
	buyerKeyBytes = 32
	// buyerKeysRest is how often the keys are read again at most, for tokens that none of the known ones makes.
	buyerKeysRest = time.Second
)

// buyerKeys are what buyers' tokens are derived from. They are kept in the database, sealed with the master key: another
// master key opens them as well once they are sealed anew, and begins one of its own for what is bought from then on.
type buyerKeys struct {
	pool  *pgxpool.Pool
	vault *vault.Vault
	now   func() time.Time

	mu     sync.Mutex // held while they are read
	readAt time.Time
	known  atomic.Pointer[[][]byte] // that of new purchases first; nil: not read yet
}

// current is the key of purchases that begin now.
func (b *buyerKeys) current(ctx context.Context) ([]byte, error) {
	if known := b.known.Load(); known != nil {
		return (*known)[0], nil
	}
	known, err := b.read(ctx)
	if err != nil {
		return nil, err
	}
	return known[0], nil
}

// find returns what ok accepts of what derive makes of the keys, or nothing. Another process may have begun a key since
// they were read: then they are read again.
func (b *buyerKeys) find(ctx context.Context, derive func(key []byte) string, ok func(token string) bool) (string, error) {
	look := func(keys [][]byte) string {
		for _, key := range keys {
			if token := derive(key); ok(token) {
				return token
			}
		}
		return ""
	}
	if known := b.known.Load(); known != nil {
		if token := look(*known); token != "" {
			return token, nil
		}
	}
	keys, err := b.read(ctx)
	return look(keys), err
}

// read reads the keys, and begins one where there is none, or none yet of the present master key.
func (b *buyerKeys) read(ctx context.Context) ([][]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if known := b.known.Load(); known != nil && b.now().Sub(b.readAt) < buyerKeysRest {
		return *known, nil
	}
	rows, err := queries.New().BuyerKeys(ctx, b.pool)
	if err == nil && b.lacksOwn(rows) {
		rows, err = b.begin(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("keys of buyers' tokens: %w", err)
	}
	var own, former [][]byte
	for _, row := range rows {
		key, err := b.vault.Open(buyerKeySealedAs(row.ID), row.Sealed)
		if err != nil { // what it made opens what it opened before; it is only never shown again
			slog.ErrorContext(ctx, "a key of buyers' tokens does not open: was MASTER_KEY replaced without the former one behind it?", "error", err)
			continue
		}
		if b.vault.Stale(row.Sealed) {
			former = append(former, key)
		} else {
			own = append(own, key)
		}
	}
	if len(own) == 0 { // changed by hand
		return nil, fmt.Errorf("keys of buyers' tokens: %w", vault.ErrSealed)
	}
	keys := append(own, former...)
	b.readAt = b.now()
	b.known.Store(&keys)
	return keys, nil
}

// lacksOwn tells whether no key is sealed with the present master key.
func (b *buyerKeys) lacksOwn(rows []queries.BuyerKeysRow) bool {
	return !slices.ContainsFunc(rows, func(row queries.BuyerKeysRow) bool { return !b.vault.Stale(row.Sealed) })
}

// begin begins a key, unless another process has done so at the same moment.
func (b *buyerKeys) begin(ctx context.Context) (rows []queries.BuyerKeysRow, err error) {
	q, now := queries.New(), b.now()
	err = pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
		if err := q.BuyerKeysLock(ctx, tx); err != nil {
			return err
		}
		if rows, err = q.BuyerKeys(ctx, tx); err != nil || !b.lacksOwn(rows) {
			return err
		}
		var key [buyerKeyBytes]byte
		_, _ = rand.Read(key[:])
		row := id.New[id.BuyerKey](now)
		if err := q.BuyerKeyInsert(ctx, tx, queries.BuyerKeyInsertParams{
			ID: row, Sealed: b.vault.Seal(buyerKeySealedAs(row), key[:]), CreatedAt: now,
		}); err != nil {
			return err
		}
		rows, err = q.BuyerKeys(ctx, tx)
		return err
	})
	return rows, err
}

// buyerKeySealedAs names a key to the vault: sealed bytes of one row open in no other.
func buyerKeySealedAs(key id.BuyerKey) string { return "buyer_keys/" + string(key) + "/sealed" }

// ResealBuyerKeys seals anew, with the newest master key, what buyers' tokens are derived from, and returns how many
// rows it changed. What does not open is in the error, and does not keep the others.
func (s *Service) ResealBuyerKeys(ctx context.Context) (changed int, err error) {
	q, v := queries.New(), s.o.Vault
	rows, err := q.BuyerKeys(ctx, s.pool)
	if err != nil {
		return 0, fmt.Errorf("keys of buyers' tokens: %w", err)
	}
	var failed []error
	for _, row := range rows {
		if !v.Stale(row.Sealed) {
			continue
		}
		key, err := v.Open(buyerKeySealedAs(row.ID), row.Sealed)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		n, err := q.BuyerKeyReseal(ctx, s.pool, queries.BuyerKeyResealParams{
			ID: row.ID, Sealed: v.Seal(buyerKeySealedAs(row.ID), key), Was: row.Sealed,
		})
		if err != nil {
			return changed, fmt.Errorf("seal %s: %w", row.ID, err)
		}
		changed += int(n)
	}
	return changed, errors.Join(failed...)
}

// BuyerToken is the secret that opens a purchase's goods (`k`): 128 bits, in base58. It is empty for a purchase that has
// none any more, or whose key is lost.
func (s *Service) BuyerToken(ctx context.Context, a Attempt) string {
	if len(a.tokenHash) == 0 {
		return ""
	}
	token, err := s.buyers.find(ctx, func(key []byte) string { return buyerToken(key, a.ID) }, a.IsBuyer)
	if err != nil {
		slog.ErrorContext(ctx, "a buyer's token cannot be shown", "attempt", a.ID, "error", err)
	}
	return token
}

func buyerToken(key []byte, attempt id.Attempt) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("xsynesis:buyer:v1" + string(attempt)))
	return id.Token([16]byte(mac.Sum(nil)[:16]))
}
