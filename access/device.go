package access

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
)

const (
	// PairingTime is how long a tablet can be paired with a code.
	PairingTime = 5 * time.Minute
	// pairingGuesses is how many wrong codes may be typed anywhere while a code lives: it is one of a million.
	pairingGuesses = 20
	pairingDigits  = 6
)

// ErrPairing is returned for a pairing code that is none, was used, is too old, or saw too many wrong ones.
var ErrPairing = errors.New("access: not a pairing code")

// Device is a tablet on a shop's counter.
type Device struct {
	ID       id.Device
	Merchant id.Merchant
	Shop     string
	Name     string
	PairedBy string
	Since    time.Time
	Seen     time.Time
	// LocksEach tells that the tablet locks itself after each sale.
	LocksEach bool
}

type deviceView struct {
	Name string `json:"name"`
}

// StartPairing draws a code that pairs one tablet with the shop. Errors: [ErrPerson] for a name that is none, [ErrRole],
// [ErrDenied].
func (s *Service) StartPairing(ctx context.Context, of Session, from Browser, name string) (code string, expires time.Time, err error) {
	if name, err = cleanName(name); err != nil {
		return "", expires, err
	}
	now := s.now()
	expires = now.Add(PairingTime)
	err = s.asBoss(ctx, of, func(tx pgx.Tx, boss Role) error {
		if !boss.May(ChangeStaff) {
			return ErrRole
		}
		if code, err = s.drawPairing(ctx, tx, of, name, expires); err != nil {
			return err
		}
		return audit.RecordTx(ctx, tx, now, audit.Row{
			By: from.by(of.Person, of.PersonName), Merchant: of.Merchant, Action: "till.pairing_started", ResourceType: "till", After: deviceView{name},
		})
	})
	return code, expires, err
}

// drawPairing draws until the code is one that no other tablet could be typing now.
func (s *Service) drawPairing(ctx context.Context, tx pgx.Tx, of Session, name string, expires time.Time) (string, error) {
	for range 20 {
		code := drawDigits(pairingDigits)
		n, err := queries.New().PairingInsert(ctx, tx, queries.PairingInsertParams{
			CodeHash: hash(code), MerchantID: of.Merchant, Name: name, CreatedBy: of.Person, CreatedAt: s.now(), ExpiresAt: expires,
		})
		if err != nil {
			return "", fmt.Errorf("start pairing for %s: %w", of.Merchant, err)
		}
		if n == 1 {
			return code, nil
		}
	}
	return "", fmt.Errorf("start pairing for %s: no code is free", of.Merchant)
}

func drawDigits(n int) string {
	most := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
	v, err := rand.Int(rand.Reader, most)
	if err != nil {
		panic(err) // the system's randomness does not fail
	}
	return fmt.Sprintf("%0*d", n, v)
}

// Pair makes a tablet of the shop that drew the code, and returns what the tablet keeps: only its hash is stored.
// Errors: [ErrPairing].
func (s *Service) Pair(ctx context.Context, code string, from Browser) (secret string, err error) {
	code = strings.NewReplacer(" ", "", "-", "").Replace(code)
	if len(code) != pairingDigits || strings.Trim(code, "0123456789") != "" {
		return "", ErrPairing
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		secret, err = s.pairTx(ctx, tx, code, from)
		return err
	})
	if !errors.Is(err, ErrPairing) {
		return secret, err
	}
	if missed := queries.New().PairingMissed(ctx, s.pool, s.now()); missed != nil {
		return "", fmt.Errorf("count a wrong pairing code: %w", missed)
	}
	return "", err
}

func (s *Service) pairTx(ctx context.Context, tx pgx.Tx, code string, from Browser) (secret string, err error) {
	q, now := queries.New(), s.now()
	p, err := q.PairingTake(ctx, tx, queries.PairingTakeParams{CodeHash: hash(code), Now: now, Most: pairingGuesses})
	if errors.Is(err, pgx.ErrNoRows) {
		return "", ErrPairing
	}
	if err != nil {
		return "", fmt.Errorf("take a pairing code: %w", err)
	}
	secret = draw()
	device := id.New[id.Device](now)
	err = q.DeviceInsert(ctx, tx, queries.DeviceInsertParams{
		ID: device, MerchantID: p.MerchantID, Name: p.Name, Hash: hash(secret), PairedBy: p.CreatedBy, CreatedAt: now,
	})
	if err != nil {
		return "", fmt.Errorf("pair a tablet of %s: %w", p.MerchantID, err)
	}
	return secret, audit.RecordTx(ctx, tx, now, audit.Row{
		By: from.by("", "Tablet "+p.Name), Merchant: p.MerchantID, Action: "till.paired", ResourceType: "till", ResourceID: string(device),
		After: deviceView{p.Name},
	})
}

// Device returns which tablet a secret is that of, or [ErrDenied].
func (s *Service) Device(ctx context.Context, secret string) (Device, error) {
	q, now := queries.New(), s.now()
	if secret == "" {
		return Device{}, ErrDenied
	}
	r, err := q.DeviceByHash(ctx, s.pool, hash(secret))
	if err != nil {
		return Device{}, denied(err)
	}
	d := Device{ID: r.ID, Merchant: r.MerchantID, Shop: r.Shop, Name: r.Name, Since: r.CreatedAt, Seen: r.SeenAt, LocksEach: r.LocksEach}
	if now.Sub(d.Seen) >= seenEvery {
		if err := q.DeviceSeen(ctx, s.pool, queries.DeviceSeenParams{ID: r.ID, Now: now}); err != nil {
			return Device{}, fmt.Errorf("note that %s is in use: %w", r.ID, err)
		}
	}
	return d, nil
}

// Devices lists a shop's tablets, the newest first.
func (s *Service) Devices(ctx context.Context, merchant id.Merchant) ([]Device, error) {
	rows, err := queries.New().DeviceList(ctx, s.pool, merchant)
	if err != nil {
		return nil, fmt.Errorf("tablets of %s: %w", merchant, err)
	}
	out := make([]Device, len(rows))
	for i, r := range rows {
		out[i] = Device{ID: r.ID, Merchant: merchant, Name: r.Name, PairedBy: r.Pairer, Since: r.CreatedAt, Seen: r.SeenAt, LocksEach: r.LocksEach}
	}
	return out, nil
}

// RevokeDevice ends a tablet's part in the shop, and locks it. Errors: [ErrNotFound], [ErrRole], [ErrDenied].
func (s *Service) RevokeDevice(ctx context.Context, of Session, from Browser, device id.Device) error {
	return s.asBoss(ctx, of, func(tx pgx.Tx, boss Role) error {
		if !boss.May(ChangeStaff) {
			return ErrRole
		}
		q, now := queries.New(), s.now()
		was, err := q.DeviceRevoke(ctx, tx, queries.DeviceRevokeParams{ID: device, MerchantID: of.Merchant, Now: now})
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("revoke %s: %w", device, err)
		}
		if err := q.TillLockAll(ctx, tx, string(device)); err != nil {
			return fmt.Errorf("lock %s: %w", device, err)
		}
		return audit.RecordTx(ctx, tx, now, audit.Row{
			By: from.by(of.Person, of.PersonName), Merchant: of.Merchant, Action: "till.revoked", ResourceType: "till", ResourceID: string(device),
			Before: deviceView{was.Name},
		})
	})
}

// SetLocksEach says whether a tablet locks itself after each sale. Errors: [ErrNotFound], [ErrRole], [ErrDenied].
func (s *Service) SetLocksEach(ctx context.Context, of Session, from Browser, device id.Device, each bool) error {
	return s.asBoss(ctx, of, func(tx pgx.Tx, boss Role) error {
		if !boss.May(ChangeStaff) {
			return ErrRole
		}
		name, err := queries.New().DeviceLocksEach(ctx, tx, queries.DeviceLocksEachParams{ID: device, MerchantID: of.Merchant, LocksEach: each})
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("lock of %s: %w", device, err)
		}
		return audit.RecordTx(ctx, tx, s.now(), audit.Row{
			By: from.by(of.Person, of.PersonName), Merchant: of.Merchant, Action: "till.lock_changed", ResourceType: "till", ResourceID: string(device),
			After: struct {
				Name      string `json:"name"`
				LocksEach bool   `json:"locks_after_each_sale"`
			}{name, each},
		})
	})
}
