package access

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

const (
	recoveryCodes = 10
	// A code has 24 characters of 5 bits: whoever reads its hash cannot find it either, and it can be typed.
	codeLength = 24
	codeGroup  = 4
	// codeAlphabet is Crockford's: no letter looks like a digit.
	codeAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"
)

// MakeCodes draws a person's recovery codes, each of which signs him in once. The former ones end. They are shown now
// and never again: only their hashes are kept. Errors: [ErrStepUp].
func (g *Gate) MakeCodes(ctx context.Context, of Session, from Browser) (codes []string, err error) {
	if err := g.mayChange(ctx, of); err != nil {
		return nil, err
	}
	err = g.change(ctx, of, from, "recovery_codes.made", "", func(tx pgx.Tx) error {
		codes, err = g.makeCodesTx(ctx, tx, of.Person)
		return err
	})
	return codes, err
}

func (g *Gate) makeCodesTx(ctx context.Context, tx pgx.Tx, person id.Person) ([]string, error) {
	q := queries.New()
	codes, hashes := make([]string, recoveryCodes), make([][]byte, recoveryCodes)
	for i := range codes {
		codes[i] = drawCode()
		hashes[i] = hash(plainCode(codes[i]))
	}
	if err := q.RecoveryForget(ctx, tx, person); err != nil {
		return nil, fmt.Errorf("forget recovery codes of %s: %w", person, err)
	}
	if err := q.RecoveryInsert(ctx, tx, queries.RecoveryInsertParams{Hashes: hashes, PersonID: person, CreatedAt: g.now()}); err != nil {
		return nil, fmt.Errorf("keep recovery codes of %s: %w", person, err)
	}
	return codes, nil
}

// SignInByCode begins a session of the person whose code this is; the code is used up. Errors: [ErrDenied].
func (g *Gate) SignInByCode(ctx context.Context, code string, from Browser) (in Entered, err error) {
	err = pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error {
		person, err := g.useCodeTx(ctx, tx, code)
		if err != nil {
			return err
		}
		in, err = g.beginTx(ctx, tx, Entrance{Person: person, Method: ByRecovery, Browser: from})
		return err
	})
	return in, err
}

func (g *Gate) useCodeTx(ctx context.Context, tx pgx.Tx, code string) (id.Person, error) {
	plain := plainCode(code)
	if len(plain) != codeLength {
		return "", ErrDenied
	}
	person, err := queries.New().RecoveryUse(ctx, tx, queries.RecoveryUseParams{Hash: hash(plain), Now: g.now()})
	if errors.Is(err, pgx.ErrNoRows) {
		return "", ErrDenied
	}
	return person, err
}

// Join makes a person who has nothing to sign with: he gets recovery codes, and a session. Errors: [ErrSignupsClosed],
// [ErrPerson].
func (g *Gate) Join(ctx context.Context, n Newcomer, from Browser) (in Entered, codes []string, err error) {
	err = pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error {
		person, err := g.welcomeTx(ctx, tx, n.joining(from, "recovery codes"), "")
		if err != nil {
			return err
		}
		if codes, err = g.makeCodesTx(ctx, tx, person); err != nil {
			return err
		}
		in, err = g.beginTx(ctx, tx, Entrance{Person: person, Method: ByStart, Browser: from})
		return err
	})
	return in, codes, err
}

func drawCode() string {
	var b [codeLength]byte
	_, _ = rand.Read(b[:])
	var code strings.Builder
	for i, v := range b {
		if i > 0 && i%codeGroup == 0 {
			code.WriteByte('-')
		}
		code.WriteByte(codeAlphabet[int(v)%len(codeAlphabet)]) // 256 is a multiple of 32
	}
	return code.String()
}

// plainCode is a code without what people add and confuse when they type it.
func plainCode(code string) string {
	return strings.NewReplacer("-", "", " ", "", "\t", "", "o", "0", "i", "1", "l", "1").Replace(strings.ToLower(strings.TrimSpace(code)))
}
