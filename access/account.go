package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
)

// recoveryTime is how long after a recovery code somebody may set up anew what he signs in with, and how long after
// another service's word he may set up the first that is his own.
const recoveryTime = 15 * time.Minute

// mayChange tells whether a session may change what its person signs in with: he proved again who he is, or has nothing
// that he could prove it with: not yet, or, as a recovery code says, no more.
func (g *Gate) mayChange(ctx context.Context, of Session) error {
	switch {
	case of.Device != "":
		return ErrDenied
	case of.SteppedUp, of.Method == ByRecovery && g.isFresh(of):
		return nil
	}
	ways, err := g.Ways(ctx, of.Person)
	if err != nil {
		return err
	}
	if !ways.Strong() && of.Method == ByPrivy && g.isFresh(of) {
		return nil // he has nothing that signs, and just came from where he proves who he is
	}
	some, err := queries.New().WaysIn(ctx, g.pool, of.Person)
	if err != nil {
		return fmt.Errorf("ways in of %s: %w", of.Person, err)
	}
	if some > 0 {
		return ErrStepUp
	}
	return nil
}

func (g *Gate) isFresh(of Session) bool { return g.now().Sub(of.Since) < recoveryTime }

// change changes what a person signs in with, one change at a time, and records it: what is the row's name or id.
func (g *Gate) change(ctx context.Context, of Session, from Browser, action, what string, do func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error {
		if _, err := queries.New().PersonLock(ctx, tx, of.Person); err != nil {
			return fmt.Errorf("lock %s: %w", of.Person, err)
		}
		if err := do(tx); err != nil {
			return err
		}
		kind, _, _ := strings.Cut(action, ".")
		return audit.RecordTx(ctx, tx, g.now(), audit.Row{By: from.by(of.Person, of.PersonName), Action: action, ResourceType: kind, ResourceID: what})
	})
}

// remove takes away what a person signs in with, unless it is the last that he has.
func (g *Gate) remove(ctx context.Context, of Session, from Browser, action, what string, do func(pgx.Tx) (int64, error)) error {
	if err := g.mayChange(ctx, of); err != nil {
		return err
	}
	return g.change(ctx, of, from, action, what, func(tx pgx.Tx) error {
		n, err := do(tx)
		if err != nil {
			return fmt.Errorf("%s of %s: %w", action, of.Person, err)
		}
		if n == 0 {
			return ErrNotFound
		}
		ways, err := queries.New().WaysIn(ctx, tx, of.Person)
		if err == nil && ways == 0 {
			err = ErrLastWayIn
		}
		return err
	})
}

// Rename changes what a person is called. Errors: [ErrPerson].
func (g *Gate) Rename(ctx context.Context, of Session, name string, from Browser) error {
	name, err := cleanName(name)
	if err != nil {
		return err
	}
	return g.change(ctx, of, from, "person.renamed", name, func(tx pgx.Tx) error {
		return queries.New().PersonRename(ctx, tx, queries.PersonRenameParams{ID: of.Person, Name: name})
	})
}

// Ways is what a person can prove who he is with.
type Ways struct {
	Passkeys []Passkey
	Wallets  []Wallet
	Codes    int // recovery codes that were not used
}

// Strong tells whether he has something that signs.
func (w Ways) Strong() bool { return len(w.Passkeys)+len(w.Wallets) > 0 }

// Ways lists what a person signs in with.
func (g *Gate) Ways(ctx context.Context, person id.Person) (w Ways, err error) {
	if w.Passkeys, err = g.Passkeys(ctx, person); err != nil {
		return w, err
	}
	if w.Wallets, err = g.Wallets(ctx, person); err != nil {
		return w, err
	}
	left, err := queries.New().RecoveryLeft(ctx, g.pool, person)
	w.Codes = int(left)
	return w, err
}

// stepUp notes that a session's person proved again who he is, and gives the session another secret.
func (g *Gate) stepUp(ctx context.Context, of Session, secret string) (fresh string, err error) {
	err = pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error {
		fresh, err = g.rotateTx(ctx, tx, of.ID, secret)
		return err
	})
	return fresh, err
}

// ConfirmByWallet is a step-up by one of the person's wallets; the session's secret changes. Errors: those of
// [Gate.SignedBy], [ErrOtherChain], and [ErrSignature] for another's wallet.
func (g *Gate) ConfirmByWallet(ctx context.Context, of Session, secret string, s Signed) (fresh string, err error) {
	proof, err := g.SignedBy(ctx, ForStepUp, of.Person, s)
	if err != nil {
		return "", err
	}
	person, err := holderOf(ctx, g.pool, proof)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && person != of.Person:
		return "", ErrSignature
	case err != nil:
		return "", err
	}
	return g.stepUp(ctx, of, secret)
}

// ConfirmByCode is a step-up by a recovery code, for somebody who has nothing that signs. Errors: [ErrDenied].
func (g *Gate) ConfirmByCode(ctx context.Context, of Session, secret, code string) (fresh string, err error) {
	ways, err := g.Ways(ctx, of.Person)
	if err != nil {
		return "", err
	}
	if ways.Strong() {
		return "", ErrDenied
	}
	err = pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error {
		person, err := g.useCodeTx(ctx, tx, code)
		if err != nil {
			return err
		}
		if person != of.Person {
			return ErrDenied
		}
		fresh, err = g.rotateTx(ctx, tx, of.ID, secret)
		return err
	})
	return fresh, err
}

// ConfirmDemo is a step-up without proof, for the development build's people.
func (g *Gate) ConfirmDemo(ctx context.Context, of Session, secret string) (fresh string, err error) {
	return g.stepUp(ctx, of, secret)
}

// End ends one of a person's own sessions. Errors: [ErrNotFound].
func (g *Gate) End(ctx context.Context, of Session, other id.Session, from Browser) error {
	return g.change(ctx, of, from, "session.ended", string(other), func(tx pgx.Tx) error {
		n, err := queries.New().SessionEnd(ctx, tx, queries.SessionEndParams{ID: other, PersonID: of.Person})
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		return err
	})
}

// EndOthers ends all of a person's sessions but his own.
func (g *Gate) EndOthers(ctx context.Context, of Session, from Browser) error {
	return g.change(ctx, of, from, "sessions.ended", "", func(tx pgx.Tx) error {
		return queries.New().SessionEndOthers(ctx, tx, queries.SessionEndOthersParams{ID: of.ID, PersonID: of.Person})
	})
}
