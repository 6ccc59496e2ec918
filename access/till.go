package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/webhook"
)

const (
	// TillIdle is how long a till stays unlocked that nobody touches.
	TillIdle = 5 * time.Minute
	// pinTries is how many wrong PINs pause somebody's tile.
	pinTries = 5
	// pinPause is how long, the first time; each further one takes twice as long, up to the longest.
	pinPause        = time.Minute
	pinPauseLongest = time.Hour
)

// ErrPIN is returned for a PIN that is not his.
var ErrPIN = errors.New("access: not this PIN")

// PausedError is returned, whatever the PIN, while somebody's tile is paused after too many wrong ones.
type PausedError struct{ Until time.Time }

func (e *PausedError) Error() string { return "access: paused after wrong PINs" }

// Tills are unlocked by people with a PIN; shops hear of it when somebody guesses.
type Tills struct {
	*Service
	notices *webhook.Service
}

// NewTills returns the tills of a service.
func NewTills(s *Service, notices *webhook.Service) *Tills {
	return &Tills{Service: s, notices: notices}
}

// Tile is somebody who may unlock a till.
type Tile struct {
	Person id.Person
	Name   string
	Role   Role
}

// Tiles lists who may unlock a shop's tills, by name.
func (t *Tills) Tiles(ctx context.Context, merchant id.Merchant) ([]Tile, error) {
	rows, err := queries.New().TillStaff(ctx, t.pool, merchant)
	if err != nil {
		return nil, fmt.Errorf("tiles of %s: %w", merchant, err)
	}
	var out []Tile
	for _, r := range rows {
		if Role(r.Role).May(UseTill) {
			out = append(out, Tile{r.PersonID, r.Name, Role(r.Role)})
		}
	}
	return out, nil
}

// Unlock begins a till's session of somebody with his PIN. Tries of one person are looked at one after the other, so no
// crowd of them finds more. Errors: [ErrPIN], [*PausedError], [ErrNotFound] for somebody without a tile.
func (t *Tills) Unlock(ctx context.Context, on Device, person id.Person, pin string, from Browser) (secret string, err error) {
	var refused error // the try counts: its transaction is kept
	err = pgx.BeginFunc(ctx, t.pool, func(tx pgx.Tx) error {
		m, err := queries.New().StaffForUnlock(ctx, tx, queries.StaffForUnlockParams{MerchantID: on.Merchant, PersonID: person})
		if errors.Is(err, pgx.ErrNoRows) || err == nil && !Role(m.Role).May(UseTill) {
			return ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("tile of %s: %w", person, err)
		}
		if m.PinLockedUntil != nil && m.PinLockedUntil.After(t.now()) {
			return &PausedError{*m.PinLockedUntil}
		}
		if !isPIN(m.Pin, pin) {
			refused, err = t.missTx(ctx, tx, on, person, m, from)
			return err
		}
		secret, err = t.unlockTx(ctx, tx, on, person, m, from)
		return err
	})
	if err == nil {
		err = refused
	}
	return secret, err
}

func (t *Tills) unlockTx(ctx context.Context, tx pgx.Tx, on Device, person id.Person, m queries.StaffForUnlockRow, from Browser) (string, error) {
	if m.PinFailures > 0 {
		err := queries.New().StaffPINTried(ctx, tx, queries.StaffPINTriedParams{MerchantID: on.Merchant, PersonID: person})
		if err != nil {
			return "", fmt.Errorf("forget wrong PINs of %s: %w", person, err)
		}
	}
	if err := queries.New().TillLockAll(ctx, tx, string(on.ID)); err != nil {
		return "", fmt.Errorf("lock %s: %w", on.ID, err)
	}
	in, err := t.beginTx(ctx, tx, Entrance{
		Person: person, Merchant: on.Merchant, Livemode: m.WentLive, Method: ByPIN, Device: on.ID, Browser: from,
	})
	return in.Secret, err
}

// missTx counts a wrong PIN, and pauses the tile with every fifth.
func (t *Tills) missTx(ctx context.Context, tx pgx.Tx, on Device, person id.Person, m queries.StaffForUnlockRow, from Browser) (refused, err error) {
	now, failures, refused := t.now(), m.PinFailures+1, ErrPIN
	tried := queries.StaffPINTriedParams{MerchantID: on.Merchant, PersonID: person, PinFailures: failures}
	if failures%pinTries == 0 {
		until := now.Add(pauseAfter(int(failures)))
		tried.PinLockedUntil, refused = &until, &PausedError{until}
		text := fmt.Sprintf("%d wrong PINs for %s at the till %s. The tile is paused until %s.", failures, m.Name, on.Name, until.UTC().Format("15:04:05 UTC"))
		if err := t.warnTx(ctx, tx, on.Merchant, m.WentLive, text); err != nil {
			return nil, err
		}
	}
	if err := queries.New().StaffPINTried(ctx, tx, tried); err != nil {
		return nil, fmt.Errorf("count wrong PINs of %s: %w", person, err)
	}
	return refused, audit.RecordTx(ctx, tx, now, audit.Row{
		By: from.by("", "Till "+on.Name), Merchant: on.Merchant, Action: "pin.refused", ResourceType: "member", ResourceID: string(person),
		After: struct {
			Name     string `json:"name"`
			Failures int32  `json:"failures"`
		}{m.Name, failures},
	})
}

// warnTx rings the bell of a shop in both its modes: whoever looks at real money must not miss what concerns the till.
func (t *Tills) warnTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant, wentLive bool, text string) error {
	modes := []bool{false}
	if wentLive {
		modes = append(modes, true)
	}
	for _, livemode := range modes {
		err := t.notices.NoticeTx(ctx, tx, t.now(), webhook.Notice{
			Merchant: merchant, Livemode: livemode, Kind: "pin_paused", Link: "/dashboard/staff", Text: text,
		})
		if err != nil {
			return fmt.Errorf("tell %s of wrong PINs: %w", merchant, err)
		}
	}
	return nil
}

func pauseAfter(failures int) time.Duration {
	pause := pinPause
	for range failures/pinTries - 1 {
		if pause *= 2; pause >= pinPauseLongest {
			return pinPauseLongest
		}
	}
	return pause
}

// Unlocked returns who is at a till, or [ErrDenied] if it is locked: it locks itself when nobody touches it.
// Touched tells whether a person asked, and not the page by itself.
func (t *Tills) Unlocked(ctx context.Context, on Device, secret string, touched bool) (Session, error) {
	if secret == "" {
		return Session{}, ErrDenied
	}
	now := t.now()
	r, err := queries.New().TillSession(ctx, t.pool, queries.TillSessionParams{
		Hash: hash(secret), Device: string(on.ID), Now: now, IdleSince: now.Add(-TillIdle), Touch: touched,
	})
	if err != nil {
		return Session{}, denied(err)
	}
	s := Session{
		ID: r.ID, Person: r.PersonID, PersonName: r.Name, Role: Role(r.Role), Merchant: known(r.MerchantID), Shop: r.Shop, Livemode: r.Livemode,
		Device: on.ID, Method: ByPIN, Since: r.CreatedAt,
	}
	if !s.May(UseTill) {
		return Session{}, ErrDenied
	}
	return s, nil
}

// Lock ends the session of whoever is at a till.
func (t *Tills) Lock(ctx context.Context, on Device, secret string) error {
	return queries.New().TillLock(ctx, t.pool, queries.TillLockParams{Hash: hash(secret), Device: string(on.ID)})
}
