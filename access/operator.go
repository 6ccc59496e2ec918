package access

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"xsynesis/queries"
)

// OperatorTime is how long an operator stays signed in.
const OperatorTime = 12 * time.Hour

// Operator lets in whoever runs the gateway: the person who has its token.
type Operator struct {
	pool  *pgxpool.Pool
	token [sha256.Size]byte // hashed, so that a comparison tells nothing of the token's length either
	open  bool
	now   func() time.Time
}

// NewOperator returns the door; an empty token keeps it shut.
func NewOperator(pool *pgxpool.Pool, token string, now func() time.Time) *Operator {
	return &Operator{pool: pool, token: sha256.Sum256([]byte(token)), open: token != "", now: now}
}

// Configured tells whether there is a token at all.
func (o *Operator) Configured() bool { return o.open }

// Admits tells whether this is the token.
func (o *Operator) Admits(token string) bool {
	given := sha256.Sum256([]byte(token))
	return o.open && subtle.ConstantTimeCompare(given[:], o.token[:]) == 1
}

// SignIn begins a session for the token and returns its secret, or [ErrDenied].
func (o *Operator) SignIn(ctx context.Context, token string) (secret string, err error) {
	if !o.Admits(token) {
		return "", ErrDenied
	}
	secret, now := draw(), o.now()
	err = queries.New().OperatorSessionInsert(ctx, o.pool, queries.OperatorSessionInsertParams{
		Hash: o.hash(secret), CreatedAt: now, ExpiresAt: now.Add(OperatorTime),
	})
	if err != nil {
		return "", fmt.Errorf("sign an operator in: %w", err)
	}
	return secret, nil
}

// Session tells whether a session's secret is that of an operator, or returns [ErrDenied].
func (o *Operator) Session(ctx context.Context, secret string) error {
	if !o.open || secret == "" {
		return ErrDenied
	}
	lives, err := queries.New().OperatorSessionLives(ctx, o.pool, queries.OperatorSessionLivesParams{Hash: o.hash(secret), Now: o.now()})
	if err != nil {
		return fmt.Errorf("look for an operator: %w", err)
	}
	if !lives {
		return ErrDenied
	}
	return nil
}

// SignOut ends a session at once.
func (o *Operator) SignOut(ctx context.Context, secret string) error {
	return queries.New().OperatorSessionDelete(ctx, o.pool, o.hash(secret))
}

// hash is keyed with the token: whoever signed in with a former one is out.
func (o *Operator) hash(secret string) []byte {
	mac := hmac.New(sha256.New, o.token[:])
	mac.Write([]byte(secret))
	return mac.Sum(nil)
}
