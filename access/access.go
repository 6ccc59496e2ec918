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
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"xsynesis/id"
	"xsynesis/queries"
)

// ErrDenied is returned for sessions and keys that do not exist, ended, or were revoked.
var ErrDenied = errors.New("access: denied")

// ErrNotFound is returned for rows that are not there, or that are somebody else's.
var ErrNotFound = errors.New("access: not found")

// Scope is something an API key may do.
type Scope string

// The scopes.
const (
	LinksRead      Scope = "links:read"
	LinksWrite     Scope = "links:write"
	ItemsRead      Scope = "items:read"
	ItemsWrite     Scope = "items:write"
	EndpointsRead  Scope = "endpoints:read"
	EndpointsWrite Scope = "endpoints:write"
	SalesRead      Scope = "sales:read"
	SalesWrite     Scope = "sales:write"
	RefundsRead    Scope = "refunds:read"
	RefundsWrite   Scope = "refunds:write"
	PayoutsRead    Scope = "payouts:read"
	PayoutsWrite   Scope = "payouts:write"
	WebhooksRead   Scope = "webhooks:read"
	WebhooksWrite  Scope = "webhooks:write"
	EventsRead     Scope = "events:read"
	CodesRead      Scope = "codes:read"
	CodesWrite     Scope = "codes:write"
	PaymentsDev    Scope = "dev:settle"
)

// Scopes lists all of them.
var Scopes = []Scope{LinksRead, LinksWrite, ItemsRead, ItemsWrite, EndpointsRead, EndpointsWrite, SalesRead, SalesWrite, CodesRead, CodesWrite, RefundsRead, RefundsWrite, PayoutsRead, PayoutsWrite, WebhooksRead, WebhooksWrite, EventsRead, PaymentsDev}

// Caller is a program that acts for a shop, in one mode.
type Caller struct {
	Merchant id.Merchant
	Livemode bool
	Scopes   []string
	// Key is the API key's row, and KeyHint its last characters; both are empty for a person's access token.
	Key     id.Key
	KeyHint string
	// Role is the person's whose access token it is; empty for a key, which may do what its scopes say.
	Role Role
	// Person and PersonName are whose access token it is; empty for a key.
	Person     id.Person
	PersonName string
	// Once is the call's idempotency key, hashed with its scope, for what the call makes; nil for none.
	Once []byte
}

// May tells whether the key has the scope.
func (c Caller) May(s Scope) bool { return slices.Contains(c.Scopes, string(s)) }

// Member is a person with a role in a shop.
type Member struct {
	Person     id.Person
	PersonName string
	Role       Role
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

// Members lists everybody who may sign in; only the development build shows it.
func (s *Service) Members(ctx context.Context) ([]Member, error) {
	rows, err := queries.New().MemberList(ctx, s.pool)
	if err != nil {
		return nil, fmt.Errorf("members: %w", err)
	}
	out := make([]Member, len(rows))
	for i, r := range rows {
		out[i] = Member{Person: r.Person.ID, PersonName: r.Person.Name, Role: Role(r.Role), Merchant: r.Merchant.ID, Shop: r.Merchant.Name}
	}
	return out, nil
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
