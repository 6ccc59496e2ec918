package access

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

// Passkey is a key pair in somebody's device, as he sees it in a list.
type Passkey struct {
	ID    string // of the credential, in base64
	Name  string
	Since time.Time
	Used  *time.Time
}

// Passkeys lists a person's, the oldest first.
func (g *Gate) Passkeys(ctx context.Context, person id.Person) ([]Passkey, error) {
	rows, err := queries.New().PasskeyList(ctx, g.pool, person)
	if err != nil {
		return nil, fmt.Errorf("passkeys of %s: %w", person, err)
	}
	out := make([]Passkey, len(rows))
	for i, r := range rows {
		out[i] = Passkey{ID: base64.RawURLEncoding.EncodeToString(r.ID), Name: r.Name, Since: r.CreatedAt, Used: r.UsedAt}
	}
	return out, nil
}

// pending is what is remembered between the question to a browser and its answer.
type pending struct {
	State    json.RawMessage `json:"state"`
	Person   id.Person       `json:"person,omitempty"` // whom a new passkey is for; perhaps not made yet
	Newcomer *Newcomer       `json:"newcomer,omitempty"`
}

// AskNewPasskey is what a browser needs to make another passkey for a person. Errors: [ErrStepUp].
func (g *Gate) AskNewPasskey(ctx context.Context, of Session) (options json.RawMessage, err error) {
	if err := g.mayChange(ctx, of); err != nil {
		return nil, err
	}
	rows, err := queries.New().PasskeyList(ctx, g.pool, of.Person)
	if err != nil {
		return nil, fmt.Errorf("passkeys of %s: %w", of.Person, err)
	}
	return g.askCreation(ctx, of.Person, pending{Person: of.Person}, of.PersonName, rows)
}

// maxPass is more than any token has that lets somebody in.
const maxPass = 100

// AskFirstPasskey is what a browser needs to make the first passkey of somebody who is not known here yet. He becomes a
// person when the passkey is there. Errors: [ErrSignupsClosed], [ErrPerson].
func (g *Gate) AskFirstPasskey(ctx context.Context, n Newcomer) (options json.RawMessage, err error) {
	admitted, err := g.Admits(ctx, n.Pass)
	if err != nil {
		return nil, err
	}
	if !admitted {
		return nil, ErrSignupsClosed
	}
	name, err := cleanName(n.Name)
	if err != nil {
		return nil, err
	}
	switch {
	case !g.isFirstRun(n.Pass):
		n.Shop = ""
	case !IsName(n.Shop):
		return nil, ErrPerson
	}
	// What waits for the answer is kept of somebody whom nobody knows: no more of it than is of use.
	if len(n.Pass) > maxPass {
		n.Pass = ""
	}
	return g.askCreation(ctx, "", pending{Person: id.New[id.Person](g.now()), Newcomer: &n}, name, nil)
}

func (g *Gate) askCreation(ctx context.Context, asked id.Person, p pending, name string, known []queries.Passkey) (json.RawMessage, error) {
	q, err := g.passkeys.askCreation(p.Person, name, known)
	if err != nil {
		return nil, fmt.Errorf("ask for a passkey: %w", err)
	}
	p.State = q.state
	return q.options, g.askBrowser(ctx, forNewKey, q.challenge, asked, p)
}

func (g *Gate) askBrowser(ctx context.Context, purpose Purpose, challenge string, person id.Person, p pending) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = g.ask(ctx, purpose, challenge, person, data)
	return err
}

// answered finds what a browser's answer answers.
func (g *Gate) answered(ctx context.Context, purpose Purpose, answer []byte, person id.Person) (p pending, err error) {
	challenge, err := challengeOf(answer)
	if err != nil {
		return p, err
	}
	data, err := g.take(ctx, purpose, challenge, person)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("read a challenge: %w", err)
	}
	return p, nil
}

// challengeOf is the challenge that a browser says it answers; that it signed it is checked later.
func challengeOf(answer []byte) (string, error) {
	var a struct {
		Response struct {
			ClientData string `json:"clientDataJSON"`
		} `json:"response"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return "", ErrSignature
	}
	text, err := base64.RawURLEncoding.DecodeString(a.Response.ClientData)
	var client struct {
		Challenge string `json:"challenge"`
	}
	if err != nil || json.Unmarshal(text, &client) != nil || client.Challenge == "" {
		return "", ErrSignature
	}
	return client.Challenge, nil
}

// AddPasskey keeps the passkey that a person's browser made. Errors: [ErrStepUp], [ErrChallenge], [ErrSignature], [ErrTaken].
func (g *Gate) AddPasskey(ctx context.Context, of Session, name string, answer []byte, from Browser) error {
	if err := g.mayChange(ctx, of); err != nil {
		return err
	}
	p, err := g.answered(ctx, forNewKey, answer, of.Person)
	if err != nil {
		return err
	}
	made, err := g.passkeys.checkCreation(p, answer)
	if err != nil {
		return err
	}
	if name, err = cleanName(name); err != nil {
		name = deviceName(from.UserAgent)
	}
	return g.change(ctx, of, from, "passkey.added", name, func(tx pgx.Tx) error {
		return g.addPasskeyTx(ctx, tx, of.Person, name, made)
	})
}

// JoinByPasskey makes a person of somebody new, with the passkey that his browser made, and begins his session.
// Errors: [ErrChallenge], [ErrSignature], [ErrSignupsClosed], [ErrPerson].
func (g *Gate) JoinByPasskey(ctx context.Context, answer []byte, from Browser) (in Entered, err error) {
	p, err := g.answered(ctx, forNewKey, answer, "")
	if err != nil {
		return in, err
	}
	if p.Newcomer == nil {
		return in, ErrChallenge
	}
	made, err := g.passkeys.checkCreation(p, answer)
	if err != nil {
		return in, err
	}
	err = pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error {
		// The passkey holds the id that it was made with.
		if err := g.welcomeAsTx(ctx, tx, p.Person, p.Newcomer.joining(from, "passkey"), ""); err != nil {
			return err
		}
		if err := g.addPasskeyTx(ctx, tx, p.Person, deviceName(from.UserAgent), made); err != nil {
			return err
		}
		in, err = g.beginTx(ctx, tx, Entrance{Person: p.Person, Method: ByPasskey, Browser: from})
		return err
	})
	return in, err
}

func (g *Gate) addPasskeyTx(ctx context.Context, tx pgx.Tx, person id.Person, name string, made credential) error {
	n, err := queries.New().PasskeyInsert(ctx, tx, queries.PasskeyInsertParams{
		ID: made.id, PersonID: person, Name: name, Credential: made.record, CreatedAt: g.now(),
	})
	if err != nil {
		return fmt.Errorf("keep a passkey of %s: %w", person, err)
	}
	if n == 0 {
		return ErrTaken
	}
	return nil
}

// AskPasskey is what a browser needs to sign in with a passkey. It does not say whose: the passkey does.
func (g *Gate) AskPasskey(ctx context.Context) (options json.RawMessage, err error) {
	return g.askUse(ctx, byPasskey, "")
}

// AskStepUp is what a browser needs for a person's step-up.
func (g *Gate) AskStepUp(ctx context.Context, of Session) (options json.RawMessage, err error) {
	return g.askUse(ctx, ForStepUp, of.Person)
}

func (g *Gate) askUse(ctx context.Context, purpose Purpose, person id.Person) (json.RawMessage, error) {
	q, err := g.passkeys.askUse()
	if err != nil {
		return nil, fmt.Errorf("ask for a passkey: %w", err)
	}
	return q.options, g.askBrowser(ctx, purpose, q.challenge, person, pending{State: q.state})
}

// SignInByPasskey begins a session of the person whose passkey signed. Errors: [ErrChallenge], [ErrSignature].
func (g *Gate) SignInByPasskey(ctx context.Context, answer []byte, from Browser) (in Entered, err error) {
	p, err := g.answered(ctx, byPasskey, answer, "")
	if err != nil {
		return in, err
	}
	err = pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error {
		person, err := g.usePasskeyTx(ctx, tx, p, answer)
		if err != nil {
			return err
		}
		in, err = g.beginTx(ctx, tx, Entrance{Person: person, Method: ByPasskey, Browser: from})
		return err
	})
	return in, err
}

// ConfirmByPasskey is a step-up; the session's secret changes. Errors: [ErrChallenge], [ErrSignature].
func (g *Gate) ConfirmByPasskey(ctx context.Context, of Session, secret string, answer []byte) (fresh string, err error) {
	p, err := g.answered(ctx, ForStepUp, answer, of.Person)
	if err != nil {
		return "", err
	}
	err = pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error {
		person, err := g.usePasskeyTx(ctx, tx, p, answer)
		if err != nil {
			return err
		}
		if person != of.Person {
			return ErrSignature
		}
		fresh, err = g.rotateTx(ctx, tx, of.ID, secret)
		return err
	})
	return fresh, err
}

// usePasskeyTx checks what a passkey signed, and keeps its counter. A counter that did not grow means that there are two
// of it: then nobody comes in.
func (g *Gate) usePasskeyTx(ctx context.Context, tx pgx.Tx, p pending, answer []byte) (id.Person, error) {
	q := queries.New()
	used, err := credentialOf(answer)
	if err != nil {
		return "", err
	}
	row, err := q.PasskeyForUpdate(ctx, tx, used)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", ErrSignature
	}
	if err != nil {
		return "", fmt.Errorf("find a passkey: %w", err)
	}
	record, cloned, err := g.passkeys.checkUse(p, row, answer)
	if err != nil {
		return "", err
	}
	if cloned {
		slog.WarnContext(ctx, "a passkey seems to have been copied, and is refused", "person", row.PersonID, "passkey", row.Name)
		return "", ErrSignature
	}
	now := g.now()
	if err := q.PasskeyUsed(ctx, tx, queries.PasskeyUsedParams{ID: row.ID, Credential: record, UsedAt: &now}); err != nil {
		return "", fmt.Errorf("note the use of a passkey of %s: %w", row.PersonID, err)
	}
	return row.PersonID, nil
}

func credentialOf(answer []byte) ([]byte, error) {
	var a struct {
		ID string `json:"rawId"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return nil, ErrSignature
	}
	used, err := base64.RawURLEncoding.DecodeString(a.ID)
	if err != nil || len(used) == 0 {
		return nil, ErrSignature
	}
	return used, nil
}

// RenamePasskey changes what its person calls it. Errors: [ErrNotFound], [ErrPerson].
func (g *Gate) RenamePasskey(ctx context.Context, of Session, passkey, name string, from Browser) error {
	name, err := cleanName(name)
	if err != nil {
		return err
	}
	key, err := base64.RawURLEncoding.DecodeString(passkey)
	if err != nil {
		return ErrNotFound
	}
	return g.change(ctx, of, from, "passkey.renamed", name, func(tx pgx.Tx) error {
		n, err := queries.New().PasskeyRename(ctx, tx, queries.PasskeyRenameParams{ID: key, PersonID: of.Person, Name: name})
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		return err
	})
}

// RemovePasskey ends signing in with it. Errors: [ErrStepUp], [ErrNotFound], [ErrLastWayIn].
func (g *Gate) RemovePasskey(ctx context.Context, of Session, passkey string, from Browser) error {
	key, err := base64.RawURLEncoding.DecodeString(passkey)
	if err != nil {
		return ErrNotFound
	}
	return g.remove(ctx, of, from, "passkey.removed", passkey, func(tx pgx.Tx) (int64, error) {
		return queries.New().PasskeyDelete(ctx, tx, queries.PasskeyDeleteParams{ID: key, PersonID: of.Person})
	})
}
