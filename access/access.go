// Package access says who may act for a shop: people by session, programs by API key.
package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"xsynesis/id"
	"xsynesis/queries"
)

// ErrDenied is returned for sessions and keys that do not exist, ended, or were revoked.
var ErrDenied = errors.New("access: denied")

// Scope is something an API key may do.
type Scope string

// The scopes.
const (
	LinksRead     Scope = "links:read"
	LinksWrite    Scope = "links:write"
	SalesRead     Scope = "sales:read"
	WebhooksRead  Scope = "webhooks:read"
	WebhooksWrite Scope = "webhooks:write"
	EventsRead    Scope = "events:read"
	PaymentsDev   Scope = "dev:settle"
)

// Scopes lists all of them.
var Scopes = []Scope{LinksRead, LinksWrite, SalesRead, WebhooksRead, WebhooksWrite, EventsRead, PaymentsDev}

// Caller is a program that acts for a shop, in one mode.
type Caller struct {
	Merchant id.Merchant
	Livemode bool
	Scopes   []string
	// Once is the call's idempotency key, hashed with its scope, for what the call makes; nil for none.
	Once []byte
}

// May tells whether the key has the scope.
func (c Caller) May(s Scope) bool { return slices.Contains(c.Scopes, string(s)) }

// Session is a person at work for a shop.
type Session struct {
	Person     id.Person
	PersonName string
	Role       string
	Merchant   id.Merchant
	Shop       string
}

// Member is a person with a role in a shop.
type Member struct {
	Person     id.Person
	PersonName string
	Role       string
	Merchant   id.Merchant
	Shop       string
}

// Service knows people and keys.
type Service struct {
	pool *pgxpool.Pool
	now  func() time.Time
}

// New returns a service on this database.
func New(pool *pgxpool.Pool, now func() time.Time) *Service { return &Service{pool: pool, now: now} }

// sessionTime is the absolute limit of a session.
const sessionTime = 7 * 24 * time.Hour

// Members lists everybody who may sign in; only the development build shows it.
func (s *Service) Members(ctx context.Context) ([]Member, error) {
	rows, err := queries.New().MemberList(ctx, s.pool)
	if err != nil {
		return nil, fmt.Errorf("members: %w", err)
	}
	out := make([]Member, len(rows))
	for i, r := range rows {
		out[i] = Member{Person: r.Person.ID, PersonName: r.Person.Name, Role: r.Role, Merchant: r.Merchant.ID, Shop: r.Merchant.Name}
	}
	return out, nil
}

// SignIn begins a session of a member and returns its secret, which is stored only as a hash.
func (s *Service) SignIn(ctx context.Context, merchant id.Merchant, person id.Person) (secret string, err error) {
	q, now := queries.New(), s.now()
	if _, err := q.MemberRole(ctx, s.pool, queries.MemberRoleParams{MerchantID: merchant, PersonID: person}); err != nil {
		return "", denied(err)
	}
	secret = draw()
	return secret, q.SessionInsert(ctx, s.pool, queries.SessionInsertParams{
		Hash: hash(secret), PersonID: person, MerchantID: merchant, CreatedAt: now, ExpiresAt: now.Add(sessionTime),
	})
}

// Session returns who a session's secret stands for, or [ErrDenied].
func (s *Service) Session(ctx context.Context, secret string) (Session, error) {
	r, err := queries.New().SessionByHash(ctx, s.pool, queries.SessionByHashParams{Hash: hash(secret), Now: s.now()})
	if err != nil {
		return Session{}, denied(err)
	}
	return Session{Person: r.Session.PersonID, PersonName: r.PersonName, Role: r.Role, Merchant: r.Merchant.ID, Shop: r.Merchant.Name}, nil
}

// SignOut ends a session at once.
func (s *Service) SignOut(ctx context.Context, secret string) error {
	return queries.New().SessionDelete(ctx, s.pool, hash(secret))
}

// CreateKey makes an API key and returns it; only its hash is stored.
func (s *Service) CreateKey(ctx context.Context, merchant id.Merchant, livemode bool, name string, scopes []Scope) (string, error) {
	prefix, now := "sk_test_", s.now()
	if livemode {
		prefix = "sk_live_"
	}
	texts := make([]string, len(scopes))
	for i, scope := range scopes {
		texts[i] = string(scope)
	}
	key := prefix + draw()
	err := queries.New().KeyInsert(ctx, s.pool, queries.KeyInsertParams{
		ID: id.New[id.Key](now), MerchantID: merchant, Livemode: livemode, Name: name, Hash: hash(key), Scopes: texts, CreatedAt: now,
	})
	if err != nil {
		return "", fmt.Errorf("create key of %s: %w", merchant, err)
	}
	return key, nil
}

// Caller returns what an API key may do, or [ErrDenied].
func (s *Service) Caller(ctx context.Context, key string) (Caller, error) {
	if !strings.HasPrefix(key, "sk_") {
		return Caller{}, ErrDenied
	}
	r, err := queries.New().KeyByHash(ctx, s.pool, queries.KeyByHashParams{Hash: hash(key), Now: s.now()})
	if err != nil {
		return Caller{}, denied(err)
	}
	return Caller{Merchant: r.MerchantID, Livemode: r.Livemode, Scopes: r.Scopes}, nil
}

func denied(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrDenied
	}
	return err
}

func draw() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}
