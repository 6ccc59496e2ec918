package access

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"math/big"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
)

var (
	// ErrTwoKeys is returned for a third key of one name: two are enough to change over.
	ErrTwoKeys = errors.New("access: two keys of this name open the shop already")
	// ErrTooManyKeys is returned when a shop has as many keys as it may.
	ErrTooManyKeys = errors.New("access: too many keys")
	// ErrKeyEnded is returned for a key that opens nothing any more and so cannot be replaced.
	ErrKeyEnded = errors.New("access: the key has ended")
)

// KeyFormError says which field of a key's form is wrong, in a sentence for the person who filled it in.
type KeyFormError struct {
	Field   string
	Message string
}

func (e *KeyFormError) Error() string { return e.Field + ": " + e.Message }

// Key is what a shop sees of one of its API keys: everything but the secret.
type Key struct {
	ID        id.Key
	Name      string
	Livemode  bool
	Hint      string // its last characters; empty for keys that were made before there were hints
	Scopes    []Scope
	Creator   string // who made it; empty for nobody in particular
	CreatedAt time.Time
	ExpiresAt *time.Time // nil: never
	UsedAt    *time.Time // to the minute; nil: never
	RevokedAt *time.Time
}

// Alive tells whether the key opens anything.
func (k Key) Alive(now time.Time) bool {
	return k.RevokedAt == nil && (k.ExpiresAt == nil || now.Before(*k.ExpiresAt))
}

// KeyForm is what a person decides about a new key.
type KeyForm struct {
	Name      string
	Livemode  bool
	Scopes    []Scope
	ExpiresAt *time.Time // nil: never
}

const (
	maxKeyName   = 60
	keysOfName   = 2  // alive at once, for the time in which programs change over
	keysOfShop   = 50 // alive at once, in one mode
	keysShown    = 100
	keyHint      = 4
	usedEvery    = time.Minute
	maxKeyExpiry = 5 * 366 * 24 * time.Hour
)

// KeyOverlap is how long a key that was replaced opens the shop beside the new one.
const KeyOverlap = 24 * time.Hour

func (f *KeyForm) check(now time.Time) error {
	f.Name = strings.TrimSpace(f.Name)
	unknown := func(s Scope) bool { return !slices.Contains(Scopes, s) }
	switch {
	case f.Name == "":
		return &KeyFormError{"name", "Give the key a name that says which program uses it."}
	case utf8.RuneCountInString(f.Name) > maxKeyName || !IsName(f.Name):
		return &KeyFormError{"name", fmt.Sprintf("Use at most %d printable characters.", maxKeyName)}
	case len(f.Scopes) == 0:
		return &KeyFormError{"scopes", "Choose at least one thing that the key may do."}
	case slices.ContainsFunc(f.Scopes, unknown):
		return &KeyFormError{"scopes", "Choose from what is offered."}
	case f.ExpiresAt != nil && (!f.ExpiresAt.After(now) || f.ExpiresAt.After(now.Add(maxKeyExpiry))):
		return &KeyFormError{"expires", "Choose a day that is still to come, at most five years ahead."}
	}
	slices.Sort(f.Scopes)
	f.Scopes = slices.Compact(f.Scopes)
	return nil
}

// MakeKey makes an API key and returns it with its secret, which nobody can read again: only its hash is kept.
// Errors: [*KeyFormError], [ErrTwoKeys], [ErrTooManyKeys], [ErrDenied] for a person who may not make keys any more.
func (s *Service) MakeKey(ctx context.Context, merchant id.Merchant, f KeyForm, by audit.By) (made Key, secret string, err error) {
	if err := f.check(s.now()); err != nil {
		return Key{}, "", err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		made, secret, err = s.makeKeyTx(ctx, tx, merchant, f, by, "api_key.created")
		return err
	})
	if err != nil {
		return Key{}, "", fmt.Errorf("make a key of %s: %w", merchant, err)
	}
	return made, secret, nil
}

func (s *Service) makeKeyTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant, f KeyForm, by audit.By, action string) (Key, string, error) {
	q, now := queries.New(), s.now()
	if _, err := q.MerchantLock(ctx, tx, merchant); err != nil {
		return Key{}, "", fmt.Errorf("lock: %w", err)
	}
	if err := mayMakeKeyTx(ctx, tx, merchant, by.Person); err != nil {
		return Key{}, "", err
	}
	alive, err := q.KeyCount(ctx, tx, queries.KeyCountParams{Name: f.Name, MerchantID: merchant, Livemode: f.Livemode, Now: now})
	switch {
	case err != nil:
		return Key{}, "", fmt.Errorf("count: %w", err)
	case alive.Named >= keysOfName:
		return Key{}, "", ErrTwoKeys
	case alive.Total >= keysOfShop:
		return Key{}, "", ErrTooManyKeys
	}
	secret := newKey(f.Livemode)
	made := Key{
		ID: id.New[id.Key](now), Name: f.Name, Livemode: f.Livemode, Hint: secret[len(secret)-keyHint:], Scopes: f.Scopes,
		Creator: by.Actor, CreatedAt: now, ExpiresAt: f.ExpiresAt,
	}
	if err := q.KeyInsert(ctx, tx, made.row(merchant, secret, by.Person)); err != nil {
		return Key{}, "", fmt.Errorf("insert: %w", err)
	}
	return made, secret, s.recordKeyTx(ctx, tx, merchant, by, action, made.ID, nil, made.seen())
}

// mayMakeKeyTx makes sure that a person still may: a key outlives its maker's part in the shop, and whoever takes that
// away holds the same lock. Where no person asks there is nothing to look for.
func mayMakeKeyTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant, person id.Person) error {
	if person == "" {
		return nil
	}
	m, err := memberTx(ctx, tx, merchant, person)
	if errors.Is(err, ErrNotFound) || err == nil && (Status(m.Status) != Active || !Role(m.Role).May(ChangeKeys)) {
		return ErrDenied
	}
	return err
}

func (k Key) row(merchant id.Merchant, secret string, by id.Person) queries.KeyInsertParams {
	return queries.KeyInsertParams{
		ID: k.ID, MerchantID: merchant, Livemode: k.Livemode, Name: k.Name, Hash: hash(secret), Hint: k.Hint, Scopes: texts(k.Scopes),
		CreatedBy: optional(by), CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt,
	}
}

// keySeen is what the audit log says of a key.
type keySeen struct {
	Name      string     `json:"name"`
	Livemode  bool       `json:"livemode"`
	Hint      string     `json:"hint"`
	Scopes    []Scope    `json:"scopes"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

func (k Key) seen() keySeen { return keySeen{k.Name, k.Livemode, k.Hint, k.Scopes, k.ExpiresAt} }

func (s *Service) recordKeyTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant, by audit.By, action string, key id.Key, before, after any) error {
	return audit.RecordTx(ctx, tx, s.now(), audit.Row{
		By: by, Merchant: merchant, Action: action, ResourceType: "api_key", ResourceID: string(key), Before: before, After: after,
	})
}

// Keys lists a shop's keys of one mode: those that open something first, the newest first.
func (s *Service) Keys(ctx context.Context, merchant id.Merchant, livemode bool) ([]Key, error) {
	rows, err := queries.New().KeyList(ctx, s.pool, queries.KeyListParams{MerchantID: merchant, Livemode: livemode, Now: s.now(), Most: keysShown})
	if err != nil {
		return nil, fmt.Errorf("keys of %s: %w", merchant, err)
	}
	out := make([]Key, len(rows))
	for i, r := range rows {
		out[i] = keyOf(r.ApiKey, r.Creator)
	}
	return out, nil
}

// Key returns one of a shop's keys. Errors: [ErrNotFound].
func (s *Service) Key(ctx context.Context, merchant id.Merchant, livemode bool, key id.Key) (Key, error) {
	r, err := queries.New().KeyByID(ctx, s.pool, queries.KeyByIDParams{MerchantID: merchant, Livemode: livemode, ID: key})
	if err != nil {
		return Key{}, fmt.Errorf("key %s: %w", key, keyNotFound(err))
	}
	return keyOf(r.ApiKey, r.Creator), nil
}

// RevokeKey ends a key at once: every process looks keys up with each request. To end it again changes nothing.
// Errors: [ErrNotFound].
func (s *Service) RevokeKey(ctx context.Context, merchant id.Merchant, livemode bool, key id.Key, by audit.By) error {
	q, now := queries.New(), s.now()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		r, err := q.KeyLock(ctx, tx, queries.KeyLockParams{MerchantID: merchant, Livemode: livemode, ID: key})
		if err != nil || r.RevokedAt != nil {
			return keyNotFound(err)
		}
		if err := q.KeyRevoke(ctx, tx, queries.KeyRevokeParams{ID: key, Now: now}); err != nil {
			return err
		}
		return s.recordKeyTx(ctx, tx, merchant, by, "api_key.revoked", key, keyOf(r, "").seen(), nil)
	})
	if err != nil {
		return fmt.Errorf("revoke %s: %w", key, err)
	}
	return nil
}

// RollKey makes a key that may do the same as another, which opens the shop for [KeyOverlap] longer, so that programs
// can change over. Errors: [ErrNotFound], [ErrKeyEnded], [ErrTwoKeys], [ErrDenied].
func (s *Service) RollKey(ctx context.Context, merchant id.Merchant, livemode bool, key id.Key, by audit.By) (made Key, secret string, err error) {
	q, now := queries.New(), s.now()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		r, err := q.KeyLock(ctx, tx, queries.KeyLockParams{MerchantID: merchant, Livemode: livemode, ID: key})
		if err != nil {
			return keyNotFound(err)
		}
		old := keyOf(r, "")
		if !old.Alive(now) {
			return ErrKeyEnded
		}
		f := KeyForm{Name: old.Name, Livemode: livemode, Scopes: old.Scopes, ExpiresAt: old.ExpiresAt}
		if made, secret, err = s.makeKeyTx(ctx, tx, merchant, f, by, "api_key.rolled"); err != nil {
			return err
		}
		return q.KeyEnd(ctx, tx, queries.KeyEndParams{ID: key, Until: now.Add(KeyOverlap)})
	})
	if err != nil {
		return Key{}, "", fmt.Errorf("roll %s: %w", key, err)
	}
	return made, secret, nil
}

func keyNotFound(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

func keyOf(r queries.ApiKey, creator string) Key {
	scopes := make([]Scope, len(r.Scopes))
	for i, s := range r.Scopes {
		scopes[i] = Scope(s)
	}
	return Key{
		ID: r.ID, Name: r.Name, Livemode: r.Livemode, Hint: r.Hint, Scopes: scopes, Creator: creator, CreatedAt: r.CreatedAt,
		ExpiresAt: r.ExpiresAt, UsedAt: r.UsedAt, RevokedAt: r.RevokedAt,
	}
}

func texts(scopes []Scope) []string {
	out := make([]string, len(scopes))
	for i, s := range scopes {
		out[i] = string(s)
	}
	return out
}

// CreateKey makes an API key that no person asked for: for the development build and for tests.
func (s *Service) CreateKey(ctx context.Context, merchant id.Merchant, livemode bool, name string, scopes []Scope) (string, error) {
	secret, now := newKey(livemode), s.now()
	k := Key{ID: id.New[id.Key](now), Name: name, Livemode: livemode, Hint: secret[len(secret)-keyHint:], Scopes: scopes, CreatedAt: now}
	if err := queries.New().KeyInsert(ctx, s.pool, k.row(merchant, secret, "")); err != nil {
		return "", fmt.Errorf("create key of %s: %w", merchant, err)
	}
	return secret, nil
}

// Caller returns what an API key may do, or [ErrDenied].
func (s *Service) Caller(ctx context.Context, key string) (Caller, error) {
	if !strings.HasPrefix(key, "sk_") || mistyped(key) {
		return Caller{}, ErrDenied
	}
	q, now := queries.New(), s.now()
	r, err := q.KeyByHash(ctx, s.pool, queries.KeyByHashParams{Hash: hash(key), Now: now})
	if err != nil {
		return Caller{}, denied(err)
	}
	if minute := now.Truncate(usedEvery); r.UsedAt == nil || r.UsedAt.Before(minute) {
		if err := q.KeyUsed(ctx, s.pool, queries.KeyUsedParams{ID: r.ID, Minute: minute}); err != nil {
			return Caller{}, fmt.Errorf("note that %s is in use: %w", r.ID, err)
		}
	}
	return Caller{Merchant: r.MerchantID, Livemode: r.Livemode, Scopes: r.Scopes, Key: r.ID, KeyHint: r.Hint}, nil
}

// A key is its mode, 256 random bits in base62, and a checksum, by which scanners and we ourselves know a key that is
// one from text that only looks so.
const (
	keyAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	keyPrefix   = len("sk_test_")
	keyRandom   = 43 // 62^43 > 2^256
	keyChecksum = 6  // 62^6 > 2^32
)

func newKey(livemode bool) string {
	prefix := "sk_test_"
	if livemode {
		prefix = "sk_live_"
	}
	var b [32]byte
	_, _ = rand.Read(b[:])
	key := prefix + base62(new(big.Int).SetBytes(b[:]), keyRandom)
	return key + keySum(key)
}

func keySum(key string) string {
	return base62(big.NewInt(int64(crc32.ChecksumIEEE([]byte(key)))), keyChecksum)
}

// mistyped tells a key whose checksum does not fit. Older keys, which are shorter, have none.
func mistyped(key string) bool {
	if len(key) != keyPrefix+keyRandom+keyChecksum {
		return false
	}
	body := key[:len(key)-keyChecksum]
	return keySum(body) != key[len(body):]
}

// base62 writes a number with so many figures.
func base62(n *big.Int, figures int) string {
	out, figure, base := make([]byte, figures), new(big.Int), big.NewInt(int64(len(keyAlphabet)))
	for i := figures - 1; i >= 0; i-- {
		n.DivMod(n, base, figure)
		out[i] = keyAlphabet[figure.Int64()]
	}
	return string(out)
}
