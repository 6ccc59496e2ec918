package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

// Purpose is what an answer to a challenge may be used for.
type Purpose string

// The purposes.
const (
	ForSignIn Purpose = "siwe"
	ForWallet Purpose = "wallet" // to sign in with another wallet from now on
	ForStepUp Purpose = "step_up"
	ForPayee  Purpose = "payee" // to be paid at an address
	forNewKey Purpose = "passkey_create"
	byPasskey Purpose = "passkey_sign_in"
)

// challengeTime is how long a challenge may be answered.
const challengeTime = 5 * time.Minute

// ask stores a challenge that was just drawn. Only its hash is kept, with what its answer will need.
func (g *Gate) ask(ctx context.Context, purpose Purpose, challenge string, person id.Person, data []byte) (expires time.Time, err error) {
	now := g.now()
	if data == nil {
		data = []byte("{}")
	}
	err = queries.New().ChallengeInsert(ctx, g.pool, queries.ChallengeInsertParams{
		Hash: hash(challenge), Purpose: string(purpose), PersonID: optional(person), Data: data,
		CreatedAt: now, ExpiresAt: now.Add(challengeTime),
	})
	if err != nil {
		return expires, fmt.Errorf("ask for %s: %w", purpose, err)
	}
	return now.Add(challengeTime), nil
}

// take finds a challenge for its one answer, which has to come from the person who was asked, if it was a certain one.
// It is gone whatever comes of the answer. Errors: [ErrChallenge].
func (g *Gate) take(ctx context.Context, purpose Purpose, challenge string, person id.Person) (data []byte, err error) {
	r, err := queries.New().ChallengeTake(ctx, g.pool, queries.ChallengeTakeParams{Hash: hash(challenge), Purpose: string(purpose), Now: g.now()})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, ErrChallenge
	case err != nil:
		return nil, fmt.Errorf("take a challenge for %s: %w", purpose, err)
	case !r.Lives || known(r.PersonID) != person:
		return nil, ErrChallenge
	}
	return r.Data, nil
}
